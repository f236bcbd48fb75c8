//! Telling people: live hints to whoever has an open subscription, and the notifications of the bell.
//!
//! A [`Hint`] says that something changed, in ids; whoever hears it asks again through the ordinary reads, so a
//! hint that is lost costs time and never truth, and nothing personal travels. [`Live`] brings hints to
//! the subscriptions of every replica. [`Notifications`] keeps what the bell shows and hints at it.

mod bus;
mod hint;
mod live;
mod notifications;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::freshness;

pub use hint::{Hint, Subject, Topic};
pub use live::{Listening, Live};
pub use notifications::{Kind, Notification, Notifications};

/// How hints travel and how long notifications are kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Hints that may wait for one subscription; one more ends it.
    pub queue: usize,
    /// The way to the other replicas, that of the cache; `None` for one replica alone.
    pub redis: Option<freshness::redis::Settings>,
    /// How long a notification is shown.
    pub lifetime: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { queue: 64, redis: None, lifetime: Duration::from_secs(30 * 24 * 60 * 60) }
    }
}
