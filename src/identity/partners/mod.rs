//! Partners: programs of others that act for customers who allowed it.

mod scope;

pub use scope::{Scope, Scopes};
