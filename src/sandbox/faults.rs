//! Faults and delays that a test (or a curious person) puts into the sandbox.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::Body,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use crate::sandbox::core::System;

/// What an emulator does instead of answering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The manner of failing.
    pub kind: FaultKind,
    /// `true`: the work is done first, then it fails (a write has happened although the caller sees an error).
    pub applied: bool,
}

/// The manner of failing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// An HTTP status with a body.
    Status {
        /// The status.
        status: u16,
        /// The body, as it is sent.
        body: String,
        /// Its media type.
        content_type: String,
    },
    /// A failure in the vendor's own envelope: WHMCS `result=error`, a Salesforce error array, a Freebit result code.
    Business {
        /// The vendor's code (`errorCode`, `resultCode`); WHMCS has none.
        code: String,
        /// The vendor's message.
        message: String,
    },
    /// 200 with text that is not JSON.
    Garbage,
    /// 200 with JSON that ends too early.
    Truncated,
    /// 200 without a body.
    Empty,
    /// Never answers.
    Hang,
    /// Closes the connection without an answer.
    Drop,
    /// The session (or credential) is refused, as that vendor says it.
    Expire,
}

impl FaultKind {
    /// Acts out the kinds that look the same at every vendor. [`FaultKind::Business`] and [`FaultKind::Expire`]
    /// have a vendor's shape and are acted out by its emulator; here they become a bare 500 and 401.
    pub async fn act_out(self) -> Response {
        let ok = |media, body: &'static str| ([(CONTENT_TYPE, media)], body).into_response();
        match self {
            Self::Status { status, body, content_type } => {
                let status = axum::http::StatusCode::from_u16(status).unwrap_or_default();
                (status, [(CONTENT_TYPE, content_type)], body).into_response()
            }
            Self::Garbage => ok("text/html; charset=utf-8", "<html><body><b>Fatal error</b>: Allowed memory"),
            Self::Truncated => {
                ok("application/json", r#"{"result":"success","resultCode":"100","records":[{"Id":"0"#)
            }
            Self::Empty => ok("application/json", ""),
            Self::Hang => std::future::pending().await,
            // A body that fails before its first byte: the server closes without flushing the head.
            Self::Drop => Response::new(Body::from_stream(futures::stream::once(async {
                Err::<Vec<u8>, _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
            }))),
            Self::Business { message, .. } => {
                (axum::http::StatusCode::INTERNAL_SERVER_ERROR, message).into_response()
            }
            Self::Expire => axum::http::StatusCode::UNAUTHORIZED.into_response(),
        }
    }
}

/// The kind of a [`Rule`], as the admin endpoint spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleKind {
    /// See [`FaultKind::Status`].
    Status,
    /// See [`FaultKind::Business`].
    Business,
    /// See [`FaultKind::Garbage`].
    Garbage,
    /// See [`FaultKind::Truncated`].
    Truncated,
    /// See [`FaultKind::Empty`].
    Empty,
    /// See [`FaultKind::Hang`].
    Hang,
    /// See [`FaultKind::Drop`].
    Drop,
    /// See [`FaultKind::Expire`].
    Expire,
    /// No fault: the answer only comes later, by `delay_ms`.
    Delay,
}

/// An order to fail: which calls, how, how often. The body of `POST /faults`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Whose calls.
    pub system: System,
    /// Which operation (without regard to case), or `*` for all.
    #[serde(default = "all")]
    pub operation: String,
    /// How.
    pub kind: RuleKind,
    /// Status of [`RuleKind::Status`]; 503 unless said (451 from the mail server: try again later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Vendor's code of [`RuleKind::Business`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Vendor's message of [`RuleKind::Business`], or the body of [`RuleKind::Status`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Media type of the body of [`RuleKind::Status`]; plain text unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Do the work first, then fail.
    #[serde(default)]
    pub applied: bool,
    /// Wait this long before, milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// How many calls; absent for all until removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

fn all() -> String {
    "*".to_owned()
}

impl Rule {
    /// Every call of a system fails in one manner until the rule is removed.
    pub fn every(system: System, kind: RuleKind) -> Self {
        Self {
            system,
            operation: all(),
            kind,
            status: None,
            code: None,
            message: None,
            content_type: None,
            applied: false,
            delay_ms: 0,
            times: None,
        }
    }

    fn matches(&self, system: System, operation: &str) -> bool {
        self.system == system && (self.operation == "*" || self.operation.eq_ignore_ascii_case(operation))
    }

    fn fault(&self) -> Option<Fault> {
        let text = |part: &Option<String>, other: &str| part.clone().unwrap_or_else(|| other.to_owned());
        let kind = match self.kind {
            RuleKind::Delay => return None,
            RuleKind::Status => FaultKind::Status {
                status: self.status.unwrap_or(if self.system == System::Smtp { 451 } else { 503 }),
                body: text(&self.message, "injected fault"),
                content_type: text(&self.content_type, "text/plain; charset=utf-8"),
            },
            RuleKind::Business => FaultKind::Business {
                code: text(&self.code, ""),
                message: text(&self.message, "injected fault"),
            },
            RuleKind::Garbage => FaultKind::Garbage,
            RuleKind::Truncated => FaultKind::Truncated,
            RuleKind::Empty => FaultKind::Empty,
            RuleKind::Hang => FaultKind::Hang,
            RuleKind::Drop => FaultKind::Drop,
            RuleKind::Expire => FaultKind::Expire,
        };
        Some(Fault { kind, applied: self.applied })
    }
}

/// The rules now in force. The first that matches a call wins.
#[derive(Debug, Default)]
pub struct Faults(Mutex<VecDeque<Rule>>);

impl Faults {
    /// Adds a rule behind those in force. One with `times` 0 does nothing and is not kept.
    pub fn add(&self, rule: Rule) {
        if rule.times != Some(0) {
            self.rules().push_back(rule);
        }
    }

    /// The rules in force.
    pub fn list(&self) -> Vec<Rule> {
        self.rules().iter().cloned().collect()
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// What befalls a call: an additional delay, and a fault unless it is to be answered. Uses up a rule's `times`.
    pub fn take(&self, system: System, operation: &str) -> (Duration, Option<Fault>) {
        self.take_first(|rule| rule.matches(system, operation))
    }

    /// The same, but only a rule that names the operation strikes.
    pub fn take_named(&self, system: System, operation: &str) -> (Duration, Option<Fault>) {
        self.take_first(|rule| rule.operation != "*" && rule.matches(system, operation))
    }

    fn take_first(&self, strikes: impl Fn(&Rule) -> bool) -> (Duration, Option<Fault>) {
        let mut rules = self.rules();
        let Some(at) = rules.iter().position(strikes) else {
            return (Duration::ZERO, None);
        };
        let rule = &mut rules[at];
        let taken = (Duration::from_millis(rule.delay_ms), rule.fault());
        if let Some(times) = &mut rule.times {
            *times -= 1;
            if *times == 0 {
                rules.remove(at);
            }
        }
        taken
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, VecDeque<Rule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_rule_is_used_as_often_as_it_says() {
        let faults = Faults::default();
        faults.add(
            serde_json::from_value(serde_json::json!({
                "system": "whmcs", "operation": "getinvoices", "kind": "business", "message": "no", "times": 2,
                "applied": true, "delay_ms": 5
            }))
            .unwrap(),
        );
        assert_eq!(faults.take(System::Freebit, "GetInvoices").1, None);
        assert_eq!(faults.take(System::Whmcs, "GetClients").1, None);
        for _ in 0..2 {
            let (delay, fault) = faults.take(System::Whmcs, "GetInvoices");
            assert_eq!(delay, Duration::from_millis(5));
            let kind = FaultKind::Business { code: String::new(), message: "no".to_owned() };
            assert_eq!(fault, Some(Fault { kind, applied: true }));
        }
        assert_eq!(faults.take(System::Whmcs, "GetInvoices").1, None);
        assert!(faults.list().is_empty());
    }
}
