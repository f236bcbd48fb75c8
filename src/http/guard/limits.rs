//! The figures that a document must keep to, and the refusal when it does not.

use std::fmt;

/// What one request may ask. The defaults are the product's requirement; all are settings.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of the document.
    pub document_bytes: usize,
    /// Lexical tokens of the document; comments and commas are none.
    pub tokens: usize,
    /// Open brackets of any kind at once, in the raw text.
    pub nesting: usize,
    /// Fields below one another.
    pub depth: u32,
    /// Fields below one another under `__schema` or `__type`; the usual client query needs 15.
    pub introspection_depth: u32,
    /// Aliases as written.
    pub aliases: usize,
    /// Fields at the root of one operation, fragments expanded.
    pub root_fields: u64,
    /// Directives at one place.
    pub directives_here: usize,
    /// Directives as written.
    pub directives: usize,
    /// Fragment definitions.
    pub fragments: usize,
    /// Selections (fields, spreads, inline fragments) of all operations, fragments expanded.
    pub selections: u64,
    /// Selections of the operation asked for, each multiplied by the page sizes above it.
    pub cost: u64,
    /// Items a page is counted with when the document does not say.
    pub default_page: u64,
    /// The largest `first` or `last`.
    pub page: i64,
    /// Bytes of the variables' JSON.
    pub variables_bytes: usize,
    /// Open brackets at once in the variables' JSON.
    pub variables_depth: usize,
    /// Mutations of which one document may hold one: each guesses at a secret.
    pub once: &'static [&'static str],
    /// Whether `__schema` and `__type` are answered.
    pub introspection: bool,
    /// Bytes of parsed documents that are kept.
    pub cache_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes: 16 * 1024,
            tokens: 2_000,
            nesting: 40,
            depth: 12,
            introspection_depth: 16,
            aliases: 30,
            root_fields: 20,
            directives_here: 5,
            directives: 50,
            fragments: 100,
            selections: 500,
            cost: 10_000,
            default_page: crate::page::DEFAULT_FIRST as u64,
            page: crate::page::MAX_FIRST as i64,
            variables_bytes: 64 * 1024,
            variables_depth: 32,
            once: &["sessionCreate", "sessionRefresh"],
            introspection: false,
            cache_bytes: 16 * 1024 * 1024,
        }
    }
}

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
