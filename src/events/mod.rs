//! Change that begins outside: what the other systems report makes answers old.
//!
//! An event is stored in the inbox before its sender hears that it was received. A worker of any replica then says what
//! it means in the portal's words ([`Change`]), makes the answers that depend on it old on every replica, settles the
//! row, and tells the listeners. An event is a hint, never data: what it says is thrown away, and the next read asks.

pub mod change;
mod lease;
mod meaning;
mod owners;
pub mod reconcile;
pub mod salesforce;
pub mod whmcs;
mod worker;

use std::{sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use tokio::sync::Notify;

pub use self::{
    change::Change,
    meaning::{Meaning, Notice},
    owners::Owners,
    worker::Worker,
};
pub use crate::store::inbox::Received;
use crate::{
    clock::Clock,
    store::{
        self, Store,
        inbox::{NewEvent, Source},
    },
};

/// How events are applied.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How often a replica looks for events that another received, and for those that are due again.
    pub poll: Duration,
    /// When an event whose sender spoke before its change was visible is applied again, after it was received.
    pub repeats: [Duration; 2],
    /// How long ids are remembered, so that a repetition has no second effect. Seven days at least (requirement W3).
    pub keep: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            repeats: [Duration::from_secs(2), Duration::from_secs(5)],
            keep: Duration::from_secs(8 * 24 * 60 * 60),
        }
    }
}

/// The way in for events, shared by all that receive them. Clones share everything.
#[derive(Clone)]
pub struct Inbox {
    store: Store,
    clock: Clock,
    news: Arc<Notify>,
    reconcile: Arc<Notify>,
}

impl Inbox {
    /// The inbox of a store.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, news: Arc::default(), reconcile: Arc::default() }
    }

    /// Stores a hook of the billing system. When this returns, the event is durable, or has no effect anyway.
    ///
    /// # Errors
    /// [`store::Error::Database`]: then the sender has to repeat it.
    pub async fn receive_hook(&self, notice: &whmcs::Notice, body: &[u8]) -> Result<Received, store::Error> {
        let now = self.clock.now();
        let received = self
            .store
            .receive_event(&NewEvent {
                source: Source::Billing,
                event_id: &notice.id,
                fingerprint: &Sha256::digest(body),
                topic: notice.hook.name,
                record: &notice.record(),
                payload: &notice.payload(),
                occurred_at: chrono::DateTime::from_timestamp(notice.occurred_at, 0).unwrap_or(now),
                received_at: now,
            })
            .await?;
        if received == Received::New {
            self.wake();
        }
        Ok(received)
    }

    /// Notified whenever an event was stored.
    pub fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.news)
    }

    /// Notified whenever a comparison with the systems is asked for on this replica. What is asked for stands in
    /// [`Store::reconciliations`], also after a restart; whoever has done it says so with [`Store::reconciled`].
    pub fn reconcile(&self) -> Arc<Notify> {
        Arc::clone(&self.reconcile)
    }

    /// Lets the worker of this replica look at once. To be called after the transaction that stored an event.
    pub fn wake(&self) {
        self.news.notify_one();
    }
}
