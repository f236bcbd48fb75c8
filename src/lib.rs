//! One GraphQL API over the three systems that run a telecom customer portal: billing (WHMCS),
//! CRM (Salesforce) and mobile lines (Freebit).
//!
//! Floors, top down; imports point down only (`tests/it/layers.rs` holds the table):
//! `app` and `http` → `schema` → the domains (`billing`, `crm`, `sim`, `identity`, `notify`) → `upstream`,
//! `freshness`, `mail`, `jobs`, `store` → the words that all share.

pub mod app;
pub mod big_int;
pub mod billing;
pub mod clock;
pub mod config;
pub mod crm;
pub mod deadline;
#[cfg(feature = "sandbox")]
pub mod demo;
pub mod error;
pub mod events;
pub mod freshness;
pub mod http;
pub mod id;
pub mod identity;
pub mod jobs;
pub mod log;
pub mod mail;
pub mod money;
pub mod notify;
pub mod page;
pub mod postal;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod schema;
pub mod seal;
pub mod secret;
pub mod sim;
pub mod spending;
pub mod store;
pub mod upstream;
pub mod workflows;
