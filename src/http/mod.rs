//! The HTTP door: GraphQL over HTTP, health, metrics, GraphiQL.

pub mod guard;
