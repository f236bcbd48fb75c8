//! How the API refuses: a status, and trailers with the vendor's code and the id of the call.
//! Source: Salesforce reference §21.

use tonic::{
    Code, Status,
    metadata::{AsciiMetadataValue, MetadataMap},
};
use uuid::Uuid;

/// What stands before every code.
const PREFIX: &str = "sfdc.platform.eventbus.grpc.";

/// A refusal with a vendor's code, given without its prefix.
pub fn refused(code: &str, message: &str) -> Status {
    let rpc = rpc_id();
    let mut trailers = MetadataMap::new();
    for (name, value) in [("error-code", format!("{PREFIX}{code}")), ("rpc-id", rpc.clone())] {
        if let Ok(value) = AsciiMetadataValue::try_from(value) {
            trailers.insert(name, value);
        }
    }
    Status::with_metadata(status_of(code), format!("{message} rpcId: {rpc}"), trailers)
}

/// What a caller sees when the connection's stream is reset: no code, no id.
pub fn reset() -> Status {
    Status::unavailable("RST_STREAM closed stream. HTTP/2 error code: NO_ERROR")
}

/// An id for tracing a call.
pub fn rpc_id() -> String {
    Uuid::new_v4().to_string()
}

/// The status of a code. Most are a choice of this emulator; the service promises only the codes.
fn status_of(code: &str) -> Code {
    match code {
        "service.auth.error" | "service.auth.refresh.invalid" => Code::Unauthenticated,
        "service.tenant.license"
        | "topic.meta.permission"
        | "schema.meta.permission"
        | "subscription.topic.cannot.subscribe"
        | "publish.topic.cannot.publish" => Code::PermissionDenied,
        "service.unavailable" | "topic.api.unavailable" | "schema.api.unavailable" => Code::Unavailable,
        "service.protection.triggered"
        | "service.protection.stream.limit.triggered"
        | "concurrent.client.limit.exceeded"
        | "subscription.fetch.overflow"
        | "subscription.limit.exceeded" => Code::ResourceExhausted,
        "topic.not.found" => Code::NotFound,
        "subscription.fetch.replay.repeated" | "subscription.internal.error" => Code::Internal,
        "publish.stream.sweeper.timeout" => Code::DeadlineExceeded,
        _ => Code::InvalidArgument,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_its_code_and_the_id_of_the_call() {
        let status = refused("subscription.fetch.replayid.corrupted", "The Replay ID is corrupted.");
        assert_eq!(status.code(), Code::InvalidArgument);
        let trailer = |name: &str| status.metadata().get(name).map(|value| value.as_bytes().to_vec());
        assert_eq!(
            trailer("error-code").as_deref(),
            Some(&b"sfdc.platform.eventbus.grpc.subscription.fetch.replayid.corrupted"[..])
        );
        let rpc = String::from_utf8_lossy(&trailer("rpc-id").unwrap_or_default()).into_owned();
        assert!(rpc.len() == 36 && status.message().ends_with(&format!("rpcId: {rpc}")));
        assert!(reset().metadata().is_empty());
    }
}
