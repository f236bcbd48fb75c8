//! How a request, or a part of it, is refused.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::sandbox::salesforce::node::Node;

/// An error with its code, its message, and the fields it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// HTTP status of the whole answer.
    pub status: u16,
    /// `errorCode`; `statusCode` in the item of a collection.
    pub code: Cow<'static, str>,
    /// `message`.
    pub message: String,
    /// `fields`.
    pub fields: Vec<String>,
    /// `duplicateResult`.
    pub duplicates: Option<Value>,
}

impl Refusal {
    /// A refusal with the status that belongs to its code.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        let code = code.into();
        let status = status(&code);
        Self { status, code, message: message.into(), fields: Vec::new(), duplicates: None }
    }

    /// The fields it is about.
    pub fn on(mut self, field: &str) -> Self {
        self.fields.push(field.to_owned());
        self
    }

    /// Another status than the code's own.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// 404: what the path names is not there.
    pub fn not_found() -> Self {
        Self::new("NOT_FOUND", "The requested resource does not exist")
    }

    /// 400 `MALFORMED_QUERY`.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new("MALFORMED_QUERY", message)
    }

    /// The element of an error array.
    pub fn to_node(&self) -> Node {
        let mut parts = vec![
            (Cow::from("message"), Node::from(self.message.as_str())),
            (Cow::from("errorCode"), Node::from(self.code.as_ref())),
        ];
        if !self.fields.is_empty() || is_of_fields(&self.code) {
            parts.push((Cow::from("fields"), Node::Value(json!(self.fields))));
        }
        if let Some(duplicates) = &self.duplicates {
            parts.insert(0, (Cow::from("duplicateResult"), Node::Value(duplicates.clone())));
        }
        Node::Object(parts)
    }

    /// The element of `errors` in the item of a collection.
    pub fn to_item(&self) -> Node {
        Node::Object(vec![
            ("statusCode".into(), Node::from(self.code.as_ref())),
            ("message".into(), Node::from(self.message.as_str())),
            ("fields".into(), Node::Value(json!(self.fields))),
        ])
    }
}

/// Codes whose array element has `fields` even when none is named.
fn is_of_fields(code: &str) -> bool {
    matches!(
        code,
        "REQUIRED_FIELD_MISSING"
            | "STRING_TOO_LONG"
            | "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
            | "INVALID_EMAIL_ADDRESS"
            | "INVALID_TYPE_ON_FIELD_IN_RECORD"
            | "INVALID_FIELD_FOR_INSERT_UPDATE"
            | "FIELD_CUSTOM_VALIDATION_EXCEPTION"
            | "FIELD_INTEGRITY_EXCEPTION"
            | "DUPLICATE_VALUE"
            | "DUPLICATES_DETECTED"
            | "UNABLE_TO_LOCK_ROW"
            | "MALFORMED_ID"
            | "INVALID_CROSS_REFERENCE_KEY"
            | "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
    )
}

/// The HTTP status of a code. Source: Salesforce reference §4.3.
fn status(code: &str) -> u16 {
    match code {
        "INVALID_SESSION_ID" | "INVALID_AUTH_HEADER" => 401,
        "REQUEST_LIMIT_EXCEEDED"
        | "API_DISABLED_FOR_ORG"
        | "API_CURRENTLY_DISABLED"
        | "INSUFFICIENT_ACCESS_OR_READONLY" => 403,
        "NOT_FOUND" | "ENTITY_IS_DELETED" => 404,
        "METHOD_NOT_ALLOWED" => 405,
        "UNSUPPORTED_API_VERSION" => 410,
        "PRECONDITION_FAILED" => 412,
        "URI_TOO_LONG" => 414,
        "UNSUPPORTED_MEDIA_TYPE" => 415,
        "UNKNOWN_EXCEPTION" => 500,
        "SERVER_UNAVAILABLE" => 503,
        _ => 400,
    }
}
