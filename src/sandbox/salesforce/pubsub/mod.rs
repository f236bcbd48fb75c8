//! The Pub/Sub API: change events and platform events over gRPC, on a port of its own.
//!
//! What a request to the REST interface commits is published here in the order of commits: the changed fields with
//! their bitmaps, the name of the caller, the key of the transaction. The gateway's client has its own copy of the
//! interface. Source: Salesforce reference §18–§23.

pub mod bitmap;
pub mod bus;
pub mod capture;
pub mod definition;
pub mod door;
pub mod errors;
pub mod generated;
pub mod knobs;
pub mod platform;
pub mod service;
pub mod subscribe;
pub mod tls;
pub mod topic;

#[cfg(test)]
mod tests;
