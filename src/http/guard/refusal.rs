//! The refusal of a document.

use std::fmt;

/// Why a request is not executed: a stable code and a sentence that repeats nothing of the document
/// but, at most, a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The value of `extensions.code`.
    pub code: &'static str,
    /// The public sentence.
    pub message: String,
}

impl Refusal {
    /// A refusal of this code.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// More of something than is allowed.
    pub fn over(code: &'static str, what: &str, limit: impl fmt::Display) -> Self {
        Self::new(code, format!("{what}: at most {limit}"))
    }
}
