//! The one reader of the event bus.

use std::{fmt, pin::pin, sync::Arc, time::Duration};

use futures::{
    FutureExt,
    future::{BoxFuture, select_all},
};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{Changes, Health, Settings, comments::Comments, health::Board, stream::Stream};
use crate::{
    clock::Clock,
    crm::Crm,
    events::Inbox,
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
    pub(super) arrived: Arc<Notify>,
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
            arrived: inbox.news(),
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

    /// Waits for the lease, reads while it lasts, and so on until told to stop; then it gives the lease back.
    pub async fn run(&self, stopping: CancellationToken) {
        loop {
            let Some(lease) = stopping.run_until_cancelled(self.acquire()).await else { return };
            tracing::info!(fence = lease.fence(), "this replica reads the CRM's events");
            metrics::gauge!("crm_events_reader").set(1.0);
            let lost = stopping.run_until_cancelled(self.read(&lease)).await;
            metrics::gauge!("crm_events_reader").set(0.0);
            self.0.board.clear();
            if lost.is_none() {
                if let Err(error) = self.0.store.release_lease(&lease, self.0.clock.now()).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the lease of the reader runs out by itself"
                    );
                }
                return;
            }
            tracing::warn!(fence = lease.fence(), "another replica reads the CRM's events now");
        }
    }

    async fn acquire(&self) -> Lease {
        let Inner { store, settings, clock, .. } = &*self.0;
        loop {
            match store.acquire_lease(LEASE, clock.now(), settings.lease).await {
                Ok(Some(lease)) => return lease,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the lease of the reader cannot be asked for"
                    );
                }
            }
            sleep(jittered(settings.lease / 3)).await;
        }
    }

    /// Reads every channel until the lease is lost. All of it is one task, so that whoever stops it stops all.
    async fn read(&self, lease: &Lease) {
        let inner = &*self.0;
        let mut parts: Vec<BoxFuture<'_, ()>> = vec![self.renew(lease).boxed()];
        parts.extend(
            inner.settings.channels.iter().map(|channel| Stream::new(inner, channel, lease).run().boxed()),
        );
        if let Some(every) = inner.settings.comments_every {
            parts.push(Comments::new(inner, lease, every).run().boxed());
        }
        select_all(parts).await;
    }

    /// Renews the lease until it is another's. While the database does not answer it may still be ours: every write
    /// finds out for itself.
    async fn renew(&self, lease: &Lease) {
        let Inner { store, settings, clock, .. } = &*self.0;
        loop {
            sleep(settings.lease / 3).await;
            match pin!(store.renew_lease(lease, clock.now(), settings.lease)).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the lease of the reader cannot be renewed"
                    );
                }
            }
        }
    }
}

/// A tenth shorter or longer, so that replicas do not ask together.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.9 + 0.2 * rand::random::<f64>())
}
