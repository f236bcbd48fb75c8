//! The CRM's event bus, over gRPC: platform events and change events, read from a position on.
//!
//! One connection carries all streams. Each call proves itself with the session that the REST interface uses; a
//! refused session is replaced once. Schemas never change under their id, so each is fetched once and kept. Events
//! come as they are ([`Received`]); decoding is a step of its own, so that one that cannot be decoded holds up
//! nobody ([`Event::read`]).
//!
//! Positions ([`ReplayId`]) are opaque: never computed, compared or counted up.
//!
//! Source: Salesforce reference §19 to §24.

mod change;
mod client;
mod error;
#[rustfmt::skip]
mod eventbus;
mod event;
#[cfg(test)]
mod generated;
mod schema;
mod settings;
mod subscription;

pub use change::{Change, ChangeType};
pub use client::{Client, Topic};
pub use error::{Error, Remedy};
pub use event::{Body, Event, ReplayId};
pub use schema::{Schema, Undecodable};
pub use settings::Settings;
pub use subscription::{Batch, Received, Replay, Subscription};
