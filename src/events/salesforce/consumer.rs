//! The one reader of the event bus.

use std::{fmt, future::pending, sync::Arc};

use futures::{
    FutureExt,
    future::{BoxFuture, select_all},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Changes, Health, Settings, comments::Comments, health::Board, stream::Stream};
use crate::{
    clock::Clock,
    crm::Crm,
    events::{Inbox, lease::Turn},
    store::{self, Store, leases::Lease},
    upstream::salesforce::{self, Misconfigured, pubsub},
};

/// The lease of the reader.
const LEASE: &str = "crm-events";

/// Reads the event bus while it holds the lease. Clones share everything.
#[derive(Clone)]
pub struct Consumer(Arc<Inner>);

pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) crm: salesforce::Client,
    pub(super) bus: pubsub::Client,
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) board: Board,
    pub(super) inbox: Inbox,
    pub(super) reconcile: Arc<Notify>,
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("bus", &self.0.bus).finish_non_exhaustive()
    }
}

impl Consumer {
    /// A reader into an inbox, with the session of a client of the CRM. Nothing is asked before it runs.
    ///
    /// # Errors
    /// When the address of the bus or an authority cannot be used.
    pub fn new(settings: Settings, crm: salesforce::Client, inbox: &Inbox) -> Result<Self, Misconfigured> {
        Ok(Self(Arc::new(Inner {
            bus: pubsub::Client::new(settings.bus.clone(), &crm)?,
            store: inbox.store.clone(),
            crm,
            settings,
            clock: inbox.clock.clone(),
            board: Board::default(),
            inbox: inbox.clone(),
            reconcile: inbox.reconcile(),
        })))
    }

    /// Says what the events that it stores mean; `domain` says what was decided.
    pub fn changes(&self, domain: Crm) -> Changes {
        let Inner { store, crm, clock, reconcile, .. } = &*self.0;
        Changes::new(store.clone(), crm.clone(), domain, clock.clone(), Arc::clone(reconcile))
    }

    /// What an operator sees.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn health(&self) -> store::Result<Health> {
        let cursors = self.0.store.event_cursors().await?;
        Ok(self.0.board.health(&self.0.settings.channels, &cursors, self.0.clock.now()))
    }

    /// Reads whenever it is this replica's turn, until told to stop.
    pub async fn run(&self, stopping: CancellationToken) {
        let Inner { store, clock, settings, .. } = &*self.0;
        let turn = Turn::new(store.clone(), clock.clone(), LEASE, settings.lease);
        let read = |lease: Lease| async move {
            let _reading = Reading::begin(&self.0.board);
            self.read(&lease).await;
        };
        turn.run(&stopping, read).await;
    }

    /// Reads every channel until one finds that the lease is lost. All of it is one task, so that whoever stops it stops
    /// all.
    async fn read(&self, lease: &Lease) {
        let inner = &*self.0;
        // Without a channel there is nothing that ends.
        let mut parts: Vec<BoxFuture<'_, ()>> = vec![pending().boxed()];
        parts.extend(
            inner.settings.channels.iter().map(|channel| Stream::new(inner, channel, lease).run().boxed()),
        );
        if let Some(every) = inner.settings.comments_every {
            parts.push(Comments::new(inner, lease, every).run().boxed());
        }
        select_all(parts).await;
    }
}

/// Shows to operators that this replica reads.
struct Reading<'a>(&'a Board);

impl<'a> Reading<'a> {
    fn begin(board: &'a Board) -> Self {
        metrics::gauge!("crm_events_reader").set(1.0);
        Self(board)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        metrics::gauge!("crm_events_reader").set(0.0);
        self.0.clear();
    }
}
