//! The client of the CRM, Salesforce: its REST interface, spoken sparingly, and its event bus ([`pubsub`]).
//!
//! A call is dear here: the organisation has a daily allowance for everything it does. So statements asked in the
//! same tick travel in one composite request ([`gather`]), the allowance is read from every answer and kept for
//! those who need it most ([`meter`]), and one session serves all ([`session`]). Statements come from [`soql`],
//! the only way to a query.
//!
//! Source: Salesforce reference §1 to §12, §15 and §25.

mod client;
mod errors;
mod gather;
mod meter;
pub mod pubsub;
mod record;
mod session;
mod settings;
mod sobjects;
pub mod soql;
mod wire;

pub use client::Client;
pub use meter::Usage;
pub use record::Record;
pub use settings::{Misconfigured, Settings};
pub use sobjects::Upserted;
pub use wire::{Allowance, Children, Describe, Field, instant};

#[cfg(test)]
mod tests;
