//! What the bus's refusals mean to us.

use tonic::{Code, Status};

use crate::upstream;

/// What every code of the vendor begins with.
const PREFIX: &str = "sfdc.platform.eventbus.grpc.";

/// One failure of the bus. Holds no token and no payload, so it may be logged whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event bus failed {operation}: {code} (rpc {rpc_id})")]
pub struct Error {
    /// The vendor's name of the call.
    pub operation: &'static str,
    /// What helps.
    pub remedy: Remedy,
    /// The vendor's code without its common prefix, or the name of the gRPC status.
    pub code: String,
    /// What the vendor's support asks for; `-` when there is none.
    pub rpc_id: String,
}

/// What a caller does after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// It passes by itself: ask again after a wait.
    Retry,
    /// We ask too much: ask again after a long wait.
    Slower,
    /// The session was refused; it has been replaced, so ask again.
    Renew,
    /// The position is refused: it is too old, or the topic was begun anew. Events may be lost.
    Replay,
    /// It stays as it is until somebody changes a setting, here or there.
    Stop,
}

impl Error {
    pub(super) fn new(operation: &'static str, remedy: Remedy, code: impl Into<String>) -> Self {
        Self { operation, remedy, code: code.into(), rpc_id: "-".to_owned() }
    }

    /// The status and the trailers of a refused call. The message is left out: it may quote what was sent.
    pub(super) fn refused(operation: &'static str, status: &Status) -> Self {
        let trailer = |name: &str| Some(status.metadata().get(name)?.to_str().ok()?.to_owned());
        let code = trailer("error-code").map(|code| code.strip_prefix(PREFIX).unwrap_or(&code).to_owned());
        Self {
            operation,
            remedy: code.as_deref().and_then(remedy_of).unwrap_or_else(|| bare(status.code())),
            code: code.unwrap_or_else(|| format!("{:?}", status.code())),
            rpc_id: trailer("rpc-id").unwrap_or_else(|| "-".to_owned()),
        }
    }

    /// No session to call with.
    pub(super) fn session(operation: &'static str, error: &upstream::Error) -> Self {
        let remedy = match error.kind {
            upstream::Kind::Session => Remedy::Renew,
            upstream::Kind::RateLimited { .. } => Remedy::Slower,
            _ => Remedy::Retry,
        };
        Self::new(operation, remedy, format!("login.{}", error.kind.as_str()))
    }
}

/// Source: Salesforce reference §21; the code decides, the status only where there is none.
fn remedy_of(code: &str) -> Option<Remedy> {
    Some(match code {
        "service.auth.error" => Remedy::Renew,
        "subscription.fetch.replayid.corrupted" | "subscription.fetch.replayid.validation.failed" => {
            Remedy::Replay
        }
        "service.unavailable"
        | "topic.api.unavailable"
        | "schema.api.unavailable"
        | "subscription.fetch.replay.repeated"
        | "subscription.internal.error" => Remedy::Retry,
        "service.protection.triggered"
        | "service.protection.stream.limit.triggered"
        | "concurrent.client.limit.exceeded"
        | "subscription.fetch.overflow"
        | "subscription.limit.exceeded" => Remedy::Slower,
        "service.auth.headers.invalid"
        | "service.auth.refresh.invalid"
        | "service.tenant.license"
        | "topic.not.found"
        | "topic.validation.empty"
        | "topic.meta.permission"
        | "schema.meta.permission"
        | "schema.validation.failed"
        | "subscription.fetch.requested.events.invalid"
        | "subscription.fetch.topic.mismatch"
        | "subscription.fetch.request.invalid"
        | "subscription.topic.cannot.subscribe" => Remedy::Stop,
        _ => return None,
    })
}

fn bare(code: Code) -> Remedy {
    match code {
        Code::Unauthenticated => Remedy::Renew,
        Code::ResourceExhausted => Remedy::Slower,
        Code::InvalidArgument
        | Code::NotFound
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented => Remedy::Stop,
        _ => Remedy::Retry,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn status(code: Code, told: &str) -> Status {
        let mut status = Status::new(code, "no row for taro@example.jp rpcId: 1-2");
        status.metadata_mut().insert("error-code", format!("{PREFIX}{told}").parse().unwrap());
        status.metadata_mut().insert("rpc-id", "1-2".parse().unwrap());
        status
    }

    #[test]
    fn the_code_decides_and_not_the_status() {
        for (told, remedy) in [
            ("service.auth.error", Remedy::Renew),
            ("service.unavailable", Remedy::Retry),
            ("subscription.fetch.replayid.corrupted", Remedy::Replay),
            ("subscription.limit.exceeded", Remedy::Slower),
            ("topic.not.found", Remedy::Stop),
        ] {
            for code in [Code::InvalidArgument, Code::Unavailable, Code::Internal] {
                let error = Error::refused("Subscribe", &status(code, told));
                assert_eq!((error.remedy, error.code.as_str()), (remedy, told));
                assert_eq!(error.rpc_id, "1-2");
                assert!(!error.to_string().contains("taro"), "{error}");
            }
        }
    }

    #[test]
    fn without_a_code_that_we_know_the_status_decides() {
        let reset = Status::unavailable("RST_STREAM closed stream");
        assert_eq!(Error::refused("Subscribe", &reset).remedy, Remedy::Retry);
        assert_eq!(Error::refused("Subscribe", &reset).code, "Unavailable");
        let new = Error::refused("Subscribe", &status(Code::PermissionDenied, "something.new"));
        assert_eq!((new.remedy, new.code.as_str()), (Remedy::Stop, "something.new"));
        assert_eq!(Error::refused("GetTopic", &Status::unauthenticated("")).remedy, Remedy::Renew);
    }
}
