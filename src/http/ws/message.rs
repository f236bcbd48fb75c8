//! The messages of graphql-transport-ws, and the codes with which a socket is closed.
//!
//! Source: the protocol's specification, `PROTOCOL.md` of `enisdenjo/graphql-ws`; requirement S7.

use std::borrow::Cow;

use axum::extract::ws::{CloseFrame, Utf8Bytes};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::http::seats::End;

/// The name of the protocol in `Sec-WebSocket-Protocol`.
pub(super) const PROTOCOL: &str = "graphql-transport-ws";
/// The most bytes of a reason: a frame of control holds 125, and the code takes two.
const REASON: usize = 123;
/// The most bytes of the id that a client gives an operation.
const ID: usize = 128;

/// What a client says.
#[derive(Debug)]
pub(super) enum Heard<'a> {
    /// Begins; with what proves who it is.
    Init(Proof),
    /// Asks for a sign of life.
    Ping(Option<&'a RawValue>),
    /// Gives one.
    Pong,
    /// Begins an operation.
    Subscribe(String, &'a RawValue),
    /// Ends one.
    Complete(String),
}

/// The payload of `connection_init`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Proof {
    /// `Bearer …`, as in the header of a request.
    #[serde(alias = "Authorization")]
    pub authorization: Option<String>,
    /// Beside cookies: that a script of the page said it, as with the header of a request.
    #[serde(rename = "x-portal-csrf")]
    pub csrf: Option<String>,
    /// The customer for whom a partner asks, as in the header of a request.
    #[serde(rename = "portal-customer")]
    pub customer: Option<String>,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

impl<'a> Heard<'a> {
    /// Reads a message; `None` when it is malformed or unknown.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let raw: Raw<'a> = serde_json::from_str(text).ok()?;
        let id = |id: Option<Cow<'_, str>>| id.map(Cow::into_owned).filter(|id| (1..=ID).contains(&id.len()));
        let payload = raw.payload.filter(|payload| payload.get() != "null");
        let is_object = payload.is_none_or(|payload| payload.get().starts_with('{'));
        match &*raw.kind {
            _ if !is_object => None,
            "connection_init" => Some(Self::Init(match payload {
                Some(payload) => serde_json::from_str(payload.get()).ok()?,
                None => Proof::default(),
            })),
            "ping" => Some(Self::Ping(payload)),
            "pong" => Some(Self::Pong),
            "subscribe" => Some(Self::Subscribe(id(raw.id)?, payload?)),
            "complete" => Some(Self::Complete(id(raw.id)?)),
            _ => None,
        }
    }
}

/// What we say.
#[derive(Serialize)]
struct Spoken<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
}

/// A message of ours. A payload that is no JSON is left out.
pub(super) fn write(kind: &'static str, id: Option<&str>, payload: Option<&str>) -> String {
    let payload = payload.and_then(|payload| serde_json::from_str::<&RawValue>(payload).ok());
    serde_json::to_string(&Spoken { id, kind, payload }).unwrap_or_default()
}

/// Why a socket is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// The gateway stops.
    Stopping,
    /// No JSON, no message of the protocol, or not text.
    Malformed,
    /// More bytes than a message may have.
    TooLarge,
    /// An operation before `connection_ack`.
    Unauthorized,
    /// No token, a bad one, or one that has run out; or the session was ended.
    Forbidden(&'static str),
    /// Another protocol.
    Protocol,
    /// No `connection_init` in time.
    InitTimeout,
    /// An id that is in use; it is told, as far as there is room.
    Duplicate(String),
    /// `connection_init` again.
    SecondInit,
    /// It may be tried again later: too many connections, too slow a reader, sessions that cannot be checked.
    Later(&'static str),
}

impl From<End> for Close {
    fn from(end: End) -> Self {
        match end {
            End::Expired => Self::Forbidden("The token has expired"),
            End::Revoked => Self::Forbidden("The session has ended"),
            End::Unknown => Self::Later("Sessions cannot be checked now"),
        }
    }
}

impl Close {
    /// The code of RFC 6455 or of the protocol.
    pub(super) const fn code(&self) -> u16 {
        match self {
            Self::Stopping => 1001,
            Self::TooLarge => 1009,
            Self::Later(_) => 1013,
            Self::Malformed => 4400,
            Self::Unauthorized => 4401,
            Self::Forbidden(_) => 4403,
            Self::Protocol => 4406,
            Self::InitTimeout => 4408,
            Self::Duplicate(_) => 4409,
            Self::SecondInit => 4429,
        }
    }

    /// The frame that says it.
    pub(super) fn frame(&self) -> CloseFrame {
        let reason: Cow<'static, str> = match self {
            Self::Stopping => "The gateway is stopping".into(),
            Self::Malformed => "Invalid message".into(),
            Self::TooLarge => "Message too large".into(),
            Self::Unauthorized => "Unauthorized".into(),
            Self::Protocol => "Subprotocol not acceptable".into(),
            Self::InitTimeout => "Connection initialisation timeout".into(),
            Self::Duplicate(id) => format!("Subscriber for {id} already exists").into(),
            Self::SecondInit => "Too many initialisation requests".into(),
            Self::Forbidden(reason) | Self::Later(reason) => (*reason).into(),
        };
        let end = reason.floor_char_boundary(REASON);
        CloseFrame { code: self.code(), reason: Utf8Bytes::from(&reason[..end]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_message_is_refused() {
        for text in [
            "",
            "hello",
            "{}",
            "[]",
            "null",
            r#"{"type":1}"#,
            r#"{"type":"start"}"#,
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","id":"1"}"#,
            r#"{"type":"subscribe","id":"","payload":{}}"#,
            r#"{"type":"subscribe","id":1,"payload":{}}"#,
            r#"{"type":"subscribe","id":"1","payload":[]}"#,
            r#"{"type":"subscribe","id":"1","payload":null}"#,
            r#"{"type":"complete"}"#,
            r#"{"type":"ping","payload":1}"#,
            r#"{"type":"connection_init","payload":"token"}"#,
            r#"{"type":"connection_init","payload":{"authorization":1}}"#,
        ] {
            assert!(Heard::read(text).is_none(), "{text}");
        }
        assert!(Heard::read(&format!(r#"{{"type":"complete","id":"{}"}}"#, "x".repeat(129))).is_none());
    }

    #[test]
    fn a_reason_fits_its_frame_and_ends_between_letters() {
        for id in ["あ".repeat(40), "x".repeat(128), "🦀".repeat(32)] {
            let frame = Close::Duplicate(id).frame();
            assert_eq!(frame.code, 4409);
            assert!((100..=REASON).contains(&frame.reason.len()), "{}", frame.reason);
        }
    }

    #[test]
    fn a_message_is_written_as_the_protocol_has_it() {
        assert_eq!(write("connection_ack", None, None), r#"{"type":"connection_ack"}"#);
        assert_eq!(
            write("next", Some("a\"b"), Some(r#"{"data":1}"#)),
            r#"{"id":"a\"b","type":"next","payload":{"data":1}}"#
        );
    }
}
