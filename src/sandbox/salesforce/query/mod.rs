//! Queries: names bound to the schema, records found, rows shaped.
//! Source: Salesforce reference §8, §9.

pub mod aggregate;
pub mod bind;
pub mod filter;
pub mod narrow;
pub mod run;
pub mod shape;

use chrono::{DateTime, Utc};

use crate::{
    id::RecordId,
    sandbox::salesforce::{
        node::Node,
        query::{bind::Binder, shape::Shape},
        refusal::Refusal,
        soql,
        store::View,
    },
};

/// What a statement found.
pub enum Found {
    /// `COUNT()`.
    Count(usize),
    /// Finished rows of aggregates.
    Rows(Vec<Node>),
    /// Records in their order, and how to show them.
    Records(Vec<RecordId>, Shape),
}

/// The conditions under which a statement is answered.
#[derive(Clone, Copy)]
pub struct Terms {
    /// Now: what date literals count from.
    pub now: DateTime<Utc>,
    /// With deleted records (`queryAll`).
    pub with_deleted: bool,
    /// API version, for links.
    pub version: u32,
}

/// Answers a statement.
///
/// # Errors
/// `MALFORMED_QUERY`, `INVALID_FIELD`, `INVALID_TYPE` and their kin, as the vendor words them.
pub fn answer(view: &View<'_>, statement: &str, terms: Terms) -> Result<Found, Refusal> {
    let query = soql::parse(statement).map_err(|malformed| Refusal::malformed(malformed.0))?;
    let plan = Binder { view, statement, terms }.top(&query)?;
    run::run(view, plan, terms)
}
