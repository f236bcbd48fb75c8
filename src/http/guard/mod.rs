//! The document guard: what a stranger's document may cost before it is validated.
//!
//! The engine's own limits do not protect their own evaluation: validation walks into every spread of
//! every fragment, synchronously. So a document passes three gates first, each cheap against the
//! next: a scan of its raw bytes, one parse (whose recursion the scan has bounded), and a walk that
//! measures every fragment once. What passes is kept by the hash of its text, so a document that is
//! asked again is neither scanned, parsed nor measured; only a cost that depends on variables is
//! reckoned anew.
//!
//! Size and cost are two numbers. The *selections* of a document (500, fragments expanded) bound
//! what parsing and validating it costs us, whatever its arguments. The *cost* (10,000) multiplies
//! them by the requested page sizes and bounds what executing it may cause. One number for both
//! would refuse a screen of 30 objects or admit a page of 100 within a page of 100.

mod cost;
mod measure;
mod refusal;
mod scan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_graphql::{
    Variables,
    parser::{
        parse_query,
        types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType},
    },
};

use async_graphql_value::ConstValue;
use moka::future::Cache;
use sha2::{Digest, Sha256};

pub use crate::config::Limits;
pub use refusal::Refusal;

/// The SHA-256 of a document's text.
pub type DocumentHash = [u8; 32];

/// A document that keeps to every limit that its text alone decides.
#[derive(Debug)]
pub struct Document {
    /// Of the text.
    pub hash: DocumentHash,
    /// The parsed text.
    pub parsed: ExecutableDocument,
    operations: Vec<Entry>,
    tokens: usize,
}

#[derive(Debug)]
struct Entry {
    measured: measure::Operation,
    /// `None` when it depends on variables.
    cost: Option<u64>,
}

/// A document with the operation that is asked of it.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Shared with everyone who asks the same.
    pub document: Arc<Document>,
    /// Which of its operations; `None` for the only one, when it has no name.
    pub operation_name: Option<String>,
    /// Query, mutation or subscription.
    pub kind: OperationType,
    /// Selections, each multiplied by the page sizes above it.
    pub cost: u64,
    /// Whether it hashes a password.
    pub hashes: bool,
}

/// Admits or refuses documents, and remembers those it admitted.
#[derive(Debug)]
pub struct Guard {
    limits: Limits,
    known: Cache<DocumentHash, Arc<Document>>,
}

impl Guard {
    /// A guard with nothing remembered.
    pub fn new(limits: Limits) -> Self {
        // A token becomes about 150 bytes of tree, as measured on typical documents.
        let weigh = |_: &DocumentHash, document: &Arc<Document>| {
            u32::try_from(512 + document.tokens * 150).unwrap_or(u32::MAX)
        };
        Self { known: Cache::builder().weigher(weigh).max_capacity(limits.cache_bytes).build(), limits }
    }

    /// The figures of this guard.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Bounds the JSON of the variables, before it is read.
    ///
    /// # Errors
    /// `VARIABLES_TOO_LARGE`, `VARIABLES_TOO_DEEP`.
    pub fn admit_variables(&self, json: &str) -> Result<(), Refusal> {
        scan::variables(json, &self.limits)
    }

    /// Admits one operation of a document.
    ///
    /// # Errors
    /// The refusal of the first limit that is passed.
    pub async fn admit(
        &self,
        query: &str,
        variables: &Variables,
        operation_name: Option<&str>,
    ) -> Result<Admitted, Refusal> {
        let document = self.document(query).await?;
        let operation_name = operation_name.filter(|name| !name.is_empty());
        let (entry, operation) = document.operation(operation_name)?;
        if entry.measured.introspects && !self.limits.introspection {
            return Err(Refusal::new("INTROSPECTION_DISABLED", "introspection is switched off"));
        }
        // Of the operation that is executed: another one of the document guesses at nothing.
        if entry.measured.once > 1 {
            let what = "signing in, proving or refreshing in one operation";
            return Err(Refusal::over("REPEATED_SIGN_IN", what, 1));
        }
        check_variables(operation, variables)?;
        let cost = match entry.cost {
            Some(cost) => cost,
            None => cost::operation(&document.parsed, operation, variables, &self.limits)?.0,
        };
        let kind = entry.measured.kind;
        let operation_name = entry.measured.name.clone();
        let hashes = kind == OperationType::Mutation && entry.measured.hashes;
        Ok(Admitted { document, operation_name, kind, cost, hashes })
    }

    async fn document(&self, query: &str) -> Result<Arc<Document>, Refusal> {
        if query.len() > self.limits.document_bytes {
            return Err(Refusal::over(
                "DOCUMENT_TOO_LARGE",
                "bytes of a document",
                self.limits.document_bytes,
            ));
        }
        let hash: DocumentHash = Sha256::digest(query).into();
        if let Some(known) = self.known.get(&hash).await {
            return Ok(known);
        }
        let document = Arc::new(self.read(query, hash)?);
        self.known.insert(hash, Arc::clone(&document)).await;
        Ok(document)
    }

    /// All that is done with a document seen for the first time.
    fn read(&self, query: &str, hash: DocumentHash) -> Result<Document, Refusal> {
        let tokens = scan::document(query, &self.limits)?;
        let parsed = parse_query(query).map_err(|error| parse_failed(&error))?;
        let measured = measure::document(&parsed, &self.limits)?;
        let mut operations = Vec::with_capacity(measured.len());
        for measured in measured {
            let operation = find(&parsed, measured.name.as_deref()).ok_or_else(unknown_operation)?;
            let cost = match cost::operation(&parsed, operation, &Variables::default(), &self.limits) {
                Ok((cost, false)) => Some(cost),
                Ok((_, true)) => None,
                // A default page size may be over what the variables ask for.
                Err(_) if !operation.variable_definitions.is_empty() => None,
                Err(refusal) => return Err(refusal),
            };
            operations.push(Entry { measured, cost });
        }
        Ok(Document { hash, parsed, operations, tokens })
    }
}

impl Document {
    fn operation(&self, name: Option<&str>) -> Result<(&Entry, &OperationDefinition), Refusal> {
        let entry = match name {
            Some(name) => self.operations.iter().find(|entry| entry.measured.name.as_deref() == Some(name)),
            None if self.operations.len() == 1 => self.operations.first(),
            None => {
                let message = "operationName is needed to choose one of the document's operations";
                return Err(Refusal::new("GRAPHQL_VALIDATION_FAILED", message));
            }
        };
        entry
            .and_then(|entry| Some((entry, find(&self.parsed, entry.measured.name.as_deref())?)))
            .ok_or_else(unknown_operation)
    }
}

fn find<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Option<&'a OperationDefinition> {
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(&operation.node),
        (DocumentOperations::Multiple(all), Some(name)) => all.get(name).map(|operation| &operation.node),
        _ => None,
    }
}

fn unknown_operation() -> Refusal {
    Refusal::new("GRAPHQL_VALIDATION_FAILED", "the document has no operation of that name")
}

/// The engine looks at a variable only where it is used and takes a missing one for a failed field.
fn check_variables(operation: &OperationDefinition, variables: &Variables) -> Result<(), Refusal> {
    for definition in &operation.variable_definitions {
        let definition = &definition.node;
        let name = definition.name.node.as_str();
        let is_missing = match variables.get(name) {
            Some(ConstValue::Null) => true,
            Some(_) => false,
            None => definition.default_value.is_none(),
        };
        if is_missing && !definition.var_type.node.nullable {
            let shown: String = name.chars().take(64).collect();
            return Err(Refusal::new("BAD_USER_INPUT", format!("the variable ${shown} is required")));
        }
    }
    Ok(())
}

/// The place of a syntax error, without the words of the parser, which quote the document.
fn parse_failed(error: &async_graphql::parser::Error) -> Refusal {
    let message = match error.positions().next() {
        Some(at) => format!("syntax error at line {}, column {}", at.line, at.column),
        None => "syntax error".to_owned(),
    };
    Refusal::new("GRAPHQL_PARSE_FAILED", message)
}
