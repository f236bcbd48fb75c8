//! What the vendor's errors mean to us.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use crate::upstream::{
    Kind,
    error::known_words,
    transport::{Answer, decode},
};

/// When the daily allowance is worth another look.
const ALLOWANCE_USED_UP: Duration = Duration::from_secs(300);
/// When too many long calls, or a record locked by another, are worth another try.
const BUSY: Duration = Duration::from_secs(1);

/// One of the errors of a refused request. Every refusal is an array of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fault {
    error_code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    fields: Vec<String>,
}

/// What an answer that is not a success means.
pub(super) fn kind_of(answer: &Answer) -> Kind {
    let told = told(answer.status, &answer.body);
    match told {
        Some(Kind::Status(_)) | None => answer.status_kind(),
        Some(kind) => kind,
    }
}

/// The same for a subrequest of a composite, which has a status and a body of its own.
pub(super) fn kind_of_part(status: u16, body: &[u8]) -> Kind {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    told(status, body).unwrap_or(Kind::Status(status.as_u16()))
}

fn told(status: StatusCode, body: &[u8]) -> Option<Kind> {
    // Whatever the body says: a new session is worth one try.
    if status == StatusCode::UNAUTHORIZED {
        return Some(Kind::Session);
    }
    // The edge before the organisation has no route to it.
    if status.as_u16() == 420 {
        return Some(Kind::Unavailable { code: "420".to_owned() });
    }
    let fault = decode::<Vec<Fault>>(body).ok()?.into_iter().next()?;
    Some(match fault.error_code.as_str() {
        "INVALID_SESSION_ID" => Kind::Session,
        "REQUEST_LIMIT_EXCEEDED" if fault.message.starts_with("Concurrent") => {
            Kind::RateLimited { retry_after: BUSY }
        }
        "REQUEST_LIMIT_EXCEEDED" => Kind::RateLimited { retry_after: ALLOWANCE_USED_UP },
        // Nothing was done, nothing is broken, and it passes by itself: to a caller, a limit.
        "UNABLE_TO_LOCK_ROW" => Kind::RateLimited { retry_after: BUSY },
        "SERVER_UNAVAILABLE" | "UNKNOWN_EXCEPTION" => Kind::Unavailable { code: fault.error_code },
        "API_DISABLED_FOR_ORG" | "API_CURRENTLY_DISABLED" => Kind::Status(status.as_u16()),
        _ if status.is_server_error() => Kind::Unavailable { code: fault.error_code },
        _ => Kind::Refused { message: fault.harmless(), code: fault.error_code },
    })
}

impl Fault {
    /// The part of the message that cannot hold what was sent. The vendor quotes values and statements.
    fn harmless(&self) -> String {
        let message = self.message.as_str();
        let words = match self.error_code.as_str() {
            // Names of fields, or an administrator's sentence.
            "REQUIRED_FIELD_MISSING" | "FIELD_CUSTOM_VALIDATION_EXCEPTION" => message,
            "INVALID_FIELD" | "INVALID_TYPE" => behind_excerpt(message),
            "MALFORMED_QUERY" => "",
            // The label of the field, or what is wrong, before what was sent.
            "DUPLICATE_VALUE"
            | "STRING_TOO_LONG"
            | "INVALID_EMAIL_ADDRESS"
            | "INVALID_TYPE_ON_FIELD_IN_RECORD"
            | "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST" => {
                message.split([':', '\n', '\'']).next().unwrap_or_default()
            }
            _ => &known_words(message),
        };
        let words = words.lines().next().unwrap_or_default().trim();
        if self.fields.is_empty() {
            words.to_owned()
        } else {
            format!("[{}] {words}", self.fields.join(", "))
        }
    }
}

/// What is said behind an excerpt of the statement: names of objects and fields. The excerpt ends with a line of its
/// own, which no literal can hold, since a line feed in a literal is escaped.
fn behind_excerpt(message: &str) -> &str {
    match message.rsplit_once("\nERROR at Row:") {
        Some((_, rest)) => rest.split_once('\n').map_or("", |(_, words)| words),
        None => ["No such column", "sObject type"]
            .iter()
            .find_map(|begin| message.find(begin))
            .map_or("", |at| &message[at..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, code: &str, message: &str) -> Kind {
        let body = serde_json::json!([{ "errorCode": code, "message": message, "fields": [] }]);
        kind_of_part(status, body.to_string().as_bytes())
    }

    #[test]
    fn codes_become_what_a_caller_acts_on() {
        assert_eq!(kind(401, "INVALID_SESSION_ID", "Session expired or invalid"), Kind::Session);
        for (message, retry_after) in [
            ("TotalRequests Limit exceeded.", ALLOWANCE_USED_UP),
            ("ConcurrentRequests (Concurrent API Requests) Limit exceeded.", BUSY),
        ] {
            assert_eq!(kind(403, "REQUEST_LIMIT_EXCEEDED", message), Kind::RateLimited { retry_after });
        }
        assert_eq!(
            kind(400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record"),
            Kind::RateLimited { retry_after: BUSY }
        );
        assert_eq!(
            kind(503, "SERVER_UNAVAILABLE", ""),
            Kind::Unavailable { code: "SERVER_UNAVAILABLE".into() }
        );
        assert_eq!(kind(500, "SOMETHING_NEW", ""), Kind::Unavailable { code: "SOMETHING_NEW".into() });
        assert_eq!(kind(403, "API_DISABLED_FOR_ORG", ""), Kind::Status(403));
        assert_eq!(kind_of_part(503, b"<html>"), Kind::Status(503));
        assert_eq!(kind_of_part(420, b""), Kind::Unavailable { code: "420".into() });
    }

    #[test]
    fn what_was_sent_does_not_come_back_in_an_error() {
        for (code, message, kept) in [
            ("STRING_TOO_LONG", "Name: data value too large: Taro Yamada (max length=80)", "Name"),
            ("INVALID_EMAIL_ADDRESS", "Email: invalid email address: taro@example.jp", "Email"),
            ("MALFORMED_QUERY", "WHERE Name = 'Taro\n^\nERROR at Row:1:Column:9", ""),
            (
                "INVALID_FIELD",
                "WHERE Name = 'Taro' AND Nope = 1\n^\nERROR at Row:1:Column:9\nNo such column 'Nope' on entity 'Order'.",
                "No such column 'Nope' on entity 'Order'.",
            ),
            (
                "INVALID_FIELD",
                "No such column 'Nope' on sobject of type Order",
                "No such column 'Nope' on sobject of type Order",
            ),
            (
                "INVALID_TYPE",
                "SELECT Id FROM Nope\n^\nERROR at Row:1:Column:16\nsObject type 'Nope' is not supported.",
                "sObject type 'Nope' is not supported.",
            ),
            ("DUPLICATE_VALUE", "duplicate value found: X__c duplicates value", "duplicate value found"),
            ("SOMETHING_NEW", "No row for Name = Yamada Hanako, hanako@example.jp, 渋谷区", "No …"),
            (
                "REQUIRED_FIELD_MISSING",
                "Required fields are missing: [Name]",
                "Required fields are missing: [Name]",
            ),
        ] {
            assert_eq!(kind(400, code, message), Kind::Refused { code: code.into(), message: kept.into() });
        }
    }
}
