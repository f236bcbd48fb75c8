//! Requests that were read and admitted before, by their exact bytes: who asks the same again costs
//! neither parsing of JSON nor a hash of the document.

use std::sync::{Arc, Weak};

use async_graphql::{Variables, parser::types::OperationType};
use async_graphql_value::ConstValue;
use axum::body::Bytes;
use moka::sync::Cache;
use sha2::{Digest, Sha256};

use crate::http::guard::{Admitted, Document, DocumentHash};

/// How much the remembered requests weigh together, bytes.
const CAPACITY: u64 = 16 << 20;
/// A larger request is not remembered: one client could crowd out all others with few of them.
const LARGEST: usize = 32 * 1024;
/// The most bytes of an operation's name in a log line.
const NAME: usize = 64;

/// What names a question among all: the document, its operation and the variables, whatever the order
/// in which they were written.
pub(super) type QuestionHash = [u8; 32];

/// A request that was admitted. Not to be printed: the variables of a sign-in hold a password.
pub(super) struct Question {
    pub kind: OperationType,
    pub variables: Variables,
    pub hash: QuestionHash,
    /// Kept by the guard, for as long as it keeps documents at all.
    document: Weak<Document>,
    operation_name: Option<String>,
    cost: u64,
    document_name: String,
}

impl Question {
    pub(super) fn new(admitted: &Admitted, variables: Variables) -> Self {
        let Admitted { document, operation_name, kind, cost, hashes: _ } = admitted;
        Self {
            kind: *kind,
            hash: hash(&document.hash, operation_name.as_deref(), &variables),
            variables,
            document: Arc::downgrade(document),
            operation_name: operation_name.clone(),
            cost: *cost,
            // The first eight bytes are enough to find it again.
            document_name: hex::encode(&document.hash[..8]),
        }
    }

    /// What the guard said; `None` when it has forgotten the document.
    pub(super) fn admitted(&self) -> Option<Admitted> {
        Some(Admitted {
            document: self.document.upgrade()?,
            operation_name: self.operation_name.clone(),
            kind: self.kind,
            cost: self.cost,
            // Only queries are remembered.
            hashes: false,
        })
    }

    /// Its operation's name, shortened for a log line.
    pub(super) fn operation(&self) -> Option<&str> {
        let name = self.operation_name.as_deref()?;
        Some(name.get(..NAME).unwrap_or(name))
    }

    /// The beginning of its document's hash.
    pub(super) fn document(&self) -> &str {
        &self.document_name
    }
}

/// Where a request's words stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In the body of a POST.
    Body,
    /// In the address of a GET.
    Address,
}

/// The requests that were admitted lately. Only queries: a mutation may hold a password.
pub(super) struct Questions {
    bodies: Cache<Bytes, Arc<Question>, foldhash::quality::RandomState>,
    addresses: Cache<Bytes, Arc<Question>, foldhash::quality::RandomState>,
}

impl Questions {
    pub(super) fn new() -> Self {
        let table = || {
            Cache::builder()
                .weigher(|words: &Bytes, _| u32::try_from(1024 + 8 * words.len()).unwrap_or(u32::MAX))
                .max_capacity(CAPACITY)
                // Keyed at random; and the whole bytes are compared.
                .build_with_hasher(foldhash::quality::RandomState::default())
        };
        Self { bodies: table(), addresses: table() }
    }

    pub(super) fn get(&self, form: Form, words: &[u8]) -> Option<Arc<Question>> {
        self.table(form).get(words)
    }

    pub(super) fn insert(&self, form: Form, words: &[u8], question: &Arc<Question>) {
        if question.kind == OperationType::Query && words.len() <= LARGEST {
            // A copy: the bytes as they came may hold on to a larger buffer.
            self.table(form).insert(Bytes::copy_from_slice(words), Arc::clone(question));
        }
    }

    fn table(&self, form: Form) -> &Cache<Bytes, Arc<Question>, foldhash::quality::RandomState> {
        match form {
            Form::Body => &self.bodies,
            Form::Address => &self.addresses,
        }
    }
}

fn hash(document: &DocumentHash, operation: Option<&str>, variables: &Variables) -> QuestionHash {
    let mut hash = Sha256::new();
    hash.update(document);
    text(&mut hash, operation.unwrap_or_default());
    object(&mut hash, variables.iter().map(|(name, value)| (name.as_str(), value)));
    hash.finalize().into()
}

/// Every value begins with its kind and its length, so that no two spell the same bytes.
fn value(hash: &mut Sha256, value_: &ConstValue) {
    match value_ {
        ConstValue::Null => hash.update(b"n"),
        ConstValue::Number(number) => {
            hash.update(b"d");
            text(hash, &number.to_string());
        }
        ConstValue::String(words) => {
            hash.update(b"s");
            text(hash, words);
        }
        ConstValue::Boolean(is_true) => hash.update(if *is_true { b"t" } else { b"f" }),
        ConstValue::Binary(bytes) => {
            hash.update(b"b");
            length(hash, bytes.len());
            hash.update(bytes);
        }
        ConstValue::Enum(name) => {
            hash.update(b"e");
            text(hash, name.as_str());
        }
        ConstValue::List(items) => {
            hash.update(b"l");
            length(hash, items.len());
            items.iter().for_each(|item| value(hash, item));
        }
        ConstValue::Object(fields) => {
            object(hash, fields.iter().map(|(name, value)| (name.as_str(), value)));
        }
    }
}

fn object<'a>(hash: &mut Sha256, fields: impl Iterator<Item = (&'a str, &'a ConstValue)>) {
    let mut fields: Vec<_> = fields.collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    hash.update(b"o");
    length(hash, fields.len());
    for (name, of_field) in fields {
        text(hash, name);
        value(hash, of_field);
    }
}

fn text(hash: &mut Sha256, words: &str) {
    length(hash, words.len());
    hash.update(words);
}

fn length(hash: &mut Sha256, length: usize) {
    hash.update((length as u64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn of(variables: &str) -> QuestionHash {
        hash(&[7; 32], Some("Dashboard"), &serde_json::from_str(variables).unwrap())
    }

    #[test]
    fn the_order_of_names_does_not_matter() {
        assert_eq!(
            of(r#"{"a": 1, "b": {"c": [1, null], "d": "x"}}"#),
            of(r#"{"b": {"d": "x", "c": [1, null]}, "a": 1}"#)
        );
    }

    #[test]
    fn everything_else_does() {
        let spellings = [
            r"{}",
            r#"{"a": 1}"#,
            r#"{"a": "1"}"#,
            r#"{"a": true}"#,
            r#"{"a": null}"#,
            r#"{"a": [1]}"#,
            r#"{"a": [[1]]}"#,
            r#"{"a": [1, 2]}"#,
            r#"{"a": [2, 1]}"#,
            r#"{"a": {"b": 1}}"#,
            r#"{"a": {}, "b": 1}"#,
            r#"{"ab": 1}"#,
            r#"{"a": "b"}"#,
            r#"{"a": "bs"}"#,
        ];
        let hashes: std::collections::HashSet<_> = spellings.iter().map(|text| of(text)).collect();
        assert_eq!(hashes.len(), spellings.len());
        let variables = Variables::default();
        assert_ne!(hash(&[7; 32], None, &variables), hash(&[7; 32], Some("A"), &variables));
        assert_ne!(hash(&[7; 32], None, &variables), hash(&[8; 32], None, &variables));
    }
}
