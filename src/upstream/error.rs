//! What can go wrong with one call to an upstream system.

use std::time::Duration;

use crate::error::{self, Service, SourceError};

/// One failed upstream call. Holds no body, no secret and no personal data, so it may be logged whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} {operation}: {kind}", service.as_str())]
pub struct Error {
    /// The role of the system that was asked.
    pub service: Service,
    /// The vendor's name of the call, such as `GetInvoices`.
    pub operation: &'static str,
    /// What happened.
    pub kind: Kind,
}

/// The kinds of failure that a caller or an operator would act on differently.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    /// The deadline passed, in the queue or in flight. A write may have happened.
    #[error("no answer within the deadline")]
    Deadline,
    /// The breaker is open: the system was not asked.
    #[error("the breaker is open")]
    Open,
    /// The queue is full, or cannot move before the deadline: the system was not asked.
    #[error("shed, try again in {} ms", retry_after.as_millis())]
    Shed {
        /// When the queue is expected to have room.
        retry_after: Duration,
    },
    /// No connection: the request was never sent. Holds the operating system's reason.
    #[error("no connection: {0}")]
    Connect(String),
    /// The connection broke after the request had been sent. A write may have happened.
    #[error("the connection broke")]
    Broken,
    /// The answer is larger than the limit.
    #[error("the answer exceeds {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// An HTTP status that says nothing more.
    #[error("HTTP status {0}")]
    Status(u16),
    /// The vendor's limit is reached.
    #[error("rate limited by the vendor, try again in {} ms", retry_after.as_millis())]
    RateLimited {
        /// What the vendor asked for, or a second.
        retry_after: Duration,
    },
    /// Our credentials or session were refused.
    #[error("credentials or session refused")]
    Session,
    /// The vendor says, in its own protocol, that it cannot serve now.
    #[error("unavailable by its own account ({code})")]
    Unavailable {
        /// The vendor's code, or a word for it.
        code: String,
    },
    /// Not the vendor's protocol at all: an error page, a cut or empty body.
    #[error("the answer is not the vendor's protocol")]
    Garbage,
    /// The vendor's protocol, but not the shape that we know.
    #[error("unexpected shape at {path}")]
    Decode {
        /// The path of the value at fault, such as `invoices.invoice[0].total`.
        path: String,
    },
    /// A business refusal. It is final: the same call will be refused again.
    #[error("refused ({code}): {message}")]
    Refused {
        /// The vendor's code, empty where it has none.
        code: String,
        /// What remains of the vendor's words: for the log only, never for a client.
        message: String,
    },
    /// Our own request could not be built: a fault of ours.
    #[error("the request could not be built")]
    Request,
}

/// The words that the vendors' refusals are made of; any other word may be somebody's name.
const VOCABULARY: [&str; 56] = [
    "a",
    "access",
    "account",
    "action",
    "address",
    "administrator",
    "allowed",
    "already",
    "amount",
    "an",
    "api",
    "authentication",
    "bad",
    "balance",
    "cannot",
    "client",
    "credentials",
    "denied",
    "disabled",
    "email",
    "empty",
    "error",
    "exceeds",
    "exists",
    "failed",
    "field",
    "found",
    "has",
    "id",
    "in",
    "invalid",
    "invoice",
    "ip",
    "is",
    "locked",
    "method",
    "missing",
    "must",
    "no",
    "not",
    "of",
    "or",
    "order",
    "password",
    "pay",
    "payment",
    "pending",
    "permissions",
    "provided",
    "query",
    "request",
    "required",
    "service",
    "status",
    "such",
    "valid",
];

/// The words of a vendor's message that are nobody's; what stood between them is a dash of dots.
pub fn known_words(message: &str) -> String {
    let mut words: Vec<&str> = message
        .split_whitespace()
        .take(30)
        .map(|word| {
            let bare = word.trim_matches(|c: char| c.is_ascii_punctuation());
            let is_known = VOCABULARY.iter().any(|known| known.eq_ignore_ascii_case(bare));
            if is_known { bare } else { "…" }
        })
        .collect();
    words.dedup();
    words.join(" ")
}

impl Kind {
    /// A business refusal. Vendors echo what they were sent, names and addresses too, so of the message only
    /// the words remain that their refusals are made of.
    pub fn refused(code: impl Into<String>, message: &str) -> Self {
        Self::Refused { code: code.into(), message: known_words(message) }
    }

    /// Whether the system itself is at fault: what the breaker counts.
    ///
    /// A refusal, a session, a shape that changed in one answer and the vendor's own rate limit are not: the
    /// system answers.
    pub const fn is_outage(&self) -> bool {
        match self {
            Self::Status(status) => *status >= 500,
            Self::Deadline | Self::Connect(_) | Self::Broken | Self::Unavailable { .. } | Self::Garbage => {
                true
            }
            _ => false,
        }
    }

    /// Whether asking again within the same request can help. Only reads are ever asked again.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Status(status) => *status >= 500 || *status == 408,
            Self::Connect(_)
            | Self::Broken
            | Self::Unavailable { .. }
            | Self::Garbage
            | Self::RateLimited { .. } => true,
            _ => false,
        }
    }

    /// Whether the call may have taken effect although it failed: a write must then be looked up, never resent.
    pub const fn may_have_happened(&self) -> bool {
        match self {
            Self::Status(status) => *status >= 500,
            Self::Deadline
            | Self::Broken
            | Self::TooLarge { .. }
            | Self::Garbage
            | Self::Decode { .. }
            | Self::Unavailable { .. } => true,
            _ => false,
        }
    }

    /// The value of the metric's label `outcome`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Open => "open",
            Self::Shed { .. } => "shed",
            Self::Connect(_) => "connect",
            Self::Broken => "broken",
            Self::TooLarge { .. } => "too_large",
            Self::Status(_) => "status",
            Self::RateLimited { .. } => "rate_limited",
            Self::Session => "session",
            Self::Unavailable { .. } => "unavailable",
            Self::Garbage => "garbage",
            Self::Decode { .. } => "decode",
            Self::Refused { .. } => "refused",
            Self::Request => "request",
        }
    }
}

impl Error {
    /// What the failure of a write means above: one that may have happened is told apart, since it must be looked up and
    /// never be sent again.
    pub fn of_write(self) -> error::Error {
        if self.kind.may_have_happened() {
            error::Error::Uncertain { service: self.service, source: SourceError::new(self) }
        } else {
            self.into()
        }
    }
}

impl From<Error> for error::Error {
    /// Whatever the reason (an outage, a refused session, an answer that we cannot read, a refusal that no client
    /// method expects), the system is of no use to this request, and only its own fields are lost.
    fn from(error: Error) -> Self {
        let service = error.service;
        match error.kind {
            Kind::Shed { retry_after } | Kind::RateLimited { retry_after } => {
                Self::RateLimited { retry_after, service: Some(service) }
            }
            Kind::Request => Self::internal(error),
            _ => Self::Unavailable { service, source: SourceError::new(error) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_only_the_words_that_are_nobodys() {
        for (said, kept) in [
            (
                "Invalid IP 203.0.113.9: action \"Taro Yamada\" is not allowed",
                "Invalid IP … action … is not allowed",
            ),
            ("Client Not Found", "Client Not Found"),
            ("No row for hanako@example.jp 渋谷区 token eyJhbGci.abc", "No …"),
        ] {
            assert_eq!(Kind::refused("", said).to_string(), format!("refused (): {kept}"));
        }
    }

    #[test]
    fn the_role_of_the_failed_system_survives() {
        for kind in [
            Kind::Deadline,
            Kind::Open,
            Kind::Status(403),
            Kind::Garbage,
            Kind::Session,
            Kind::refused("", "no"),
            Kind::Shed { retry_after: Duration::from_secs(1) },
            Kind::Decode { path: "a.b".to_owned() },
        ] {
            let error = error::Error::from(Error { service: Service::Sim, operation: "getDetail", kind });
            assert_eq!(error.service(), Some(Service::Sim));
        }
    }
}
