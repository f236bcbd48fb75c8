//! The Salesforce emulator: OAuth, REST, SOQL, composites, files.
//!
//! Its records are the seeded world with what was written laid over it, so a million customers cost nothing until
//! somebody writes. Built from the reference alone; it shares no type with the gateway's client.

pub mod admin;
pub mod answer;
pub mod call;
pub mod door;
pub mod node;
pub mod oauth;
pub mod operation;
pub mod org;
pub mod pubsub;
pub mod query;
pub mod refusal;
pub mod rest;
pub mod schema;
pub mod settings;
pub mod soql;
pub mod staff;
pub mod store;
pub mod usage;
pub mod write;

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit};
use tower_http::{compression::CompressionLayer, decompression::RequestDecompressionLayer};

use crate::sandbox::core::Core;

pub use org::Org;

/// A fresh organisation over the core's world.
///
/// `public_url` is the scheme, host and port under which callers reach it, without a trailing slash: token answers
/// name it as `instance_url`.
pub fn organisation(core: Arc<Core>, public_url: String) -> Arc<Org> {
    Arc::new(Org::new(core, public_url))
}

/// Serves an organisation's OAuth and REST.
pub fn router(org: Arc<Org>) -> Router {
    Router::new()
        .fallback(door::serve)
        .with_state(org)
        .layer(DefaultBodyLimit::disable())
        .layer(RequestDecompressionLayer::new())
        .layer(CompressionLayer::new())
}

#[cfg(test)]
mod tests;
