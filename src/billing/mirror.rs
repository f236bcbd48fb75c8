//! The last source of the two lists: what the gateway's own database remembers of them when billing does not answer
//! and no cache knows them.
//!
//! A list is written after it was read, without anybody waiting for it. It is shown with its age, never as fresh, and
//! never for one invoice with its balance.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Serialize, de::DeserializeOwned};

use super::{Billing, Invoice, Subscription};
use crate::{
    deadline::Budget,
    error::{Error, Result},
    freshness::{Origin, Read, Reader, Source, Stale},
    id::ClientId,
    store::{MirrorRow, MirroredList, Store},
};

/// Where the mirrors are, and how long they are of use. Clones share the store.
#[derive(Clone)]
pub struct Mirrors {
    store: Store,
    within: Duration,
}

/// A row of a mirrored list.
pub(super) trait Mirrored: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its list.
    const LIST: MirroredList;
    /// Its number in billing.
    fn number(&self) -> u64;
    /// As it would be read on that day.
    fn on(self, today: NaiveDate) -> Self;
}

impl Mirrored for Invoice {
    const LIST: MirroredList = MirroredList::Invoices;

    fn number(&self) -> u64 {
        self.key.0
    }

    fn on(self, today: NaiveDate) -> Self {
        Self { status: self.status.on(self.due_on, today), ..self }
    }
}

impl Mirrored for Subscription {
    const LIST: MirroredList = MirroredList::Subscriptions;

    fn number(&self) -> u64 {
        self.key.0
    }

    fn on(self, _: NaiveDate) -> Self {
        self
    }
}

/// A list as the mirror holds it.
pub(super) struct Remembered<T> {
    pub(super) rows: Vec<T>,
    pub(super) loaded_at: DateTime<Utc>,
    /// Whether a change was reported since it was read.
    pub(super) is_known_old: bool,
}

impl Mirrors {
    /// The mirrors in a store; a list that was read longer ago than `within` is not shown.
    pub fn new(store: Store, within: Duration) -> Self {
        Self { store, within }
    }

    /// Writes a list that was read at an instant.
    pub(super) async fn keep<T: Mirrored>(
        &self,
        client: ClientId,
        list: &[T],
        loaded_at: DateTime<Utc>,
    ) -> Result<()> {
        self.write(T::LIST, client, rows(list)?, loaded_at).await
    }

    /// Writes a list that was read at an instant, without anybody waiting for it. A failure is only logged.
    pub(super) fn keep_later<T: Mirrored>(&self, client: ClientId, list: &[T], loaded_at: DateTime<Utc>) {
        let (mirrors, rows) = (self.clone(), rows(list));
        tokio::spawn(async move {
            let written = async { mirrors.write(T::LIST, client, rows?, loaded_at).await };
            if let Err(error) = written.await {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(list = T::LIST.as_str(), cause, "a list could not be mirrored");
            }
        });
    }

    async fn write(
        &self,
        list: MirroredList,
        client: ClientId,
        rows: Vec<MirrorRow>,
        loaded_at: DateTime<Utc>,
    ) -> Result<()> {
        let is_written = self.store.mirror_list(list, client, &rows, loaded_at).await?;
        let outcome = if is_written { "written" } else { "unchanged" };
        metrics::counter!("mirror_writes_total", "kind" => list.as_str(), "outcome" => outcome).increment(1);
        Ok(())
    }

    /// A list as it was read last; `None` when it never was, or another release wrote it.
    pub(super) async fn recall<T: Mirrored>(
        &self,
        client: ClientId,
        today: NaiveDate,
    ) -> Result<Option<Remembered<T>>> {
        let Some(found) = self.store.mirrored_list(T::LIST, client).await? else { return Ok(None) };
        let rows =
            found.records.iter().map(|record| serde_json::from_str::<T>(record).map(|row| row.on(today)));
        let Ok(rows) = rows.collect() else { return Ok(None) };
        Ok(Some(Remembered {
            rows,
            loaded_at: found.loaded_at,
            is_known_old: found.changed_at.is_some_and(|changed_at| changed_at >= found.loaded_at),
        }))
    }
}

impl Billing {
    /// The same domain with mirrors of its lists.
    #[must_use]
    pub fn mirrored(self, mirrors: Mirrors) -> Self {
        Self { mirrors: Some(mirrors), ..self }
    }

    /// Reads both lists of a client from billing and writes their mirrors, whatever is cached.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::RateLimited`] when billing does not answer, [`Error::Internal`] when the
    /// store does not; a list that arrived before is written.
    pub async fn mirror_anew(&self, client: ClientId, budget: Budget) -> Result<()> {
        let Some(mirrors) = &self.mirrors else { return Ok(()) };
        let asked_at = self.clock.now();
        let invoices = self.ask_invoices(client, budget).await?;
        mirrors.keep(client, &invoices, asked_at).await?;
        let asked_at = self.clock.now();
        let subscriptions = self.ask_subscriptions(client, budget).await?;
        mirrors.keep(client, &subscriptions, asked_at).await
    }

    /// What the mirror holds of a list that could not be read, or why it could not.
    pub(super) async fn last_source<T: Mirrored>(
        &self,
        reader: &Reader,
        client: ClientId,
        error: Error,
    ) -> Result<Read<Vec<T>>> {
        let is_away = matches!(error, Error::Unavailable { .. } | Error::RateLimited { .. });
        let Some(mirrors) = self.mirrors.as_ref().filter(|_| is_away) else { return Err(error) };
        let found = match mirrors.recall::<T>(client, self.clock.today()).await {
            Ok(found) => found.filter(|found| self.clock.now() < found.loaded_at + mirrors.within),
            Err(cause) => {
                let cause = std::error::Error::source(&cause).map(ToString::to_string);
                tracing::warn!(list = T::LIST.as_str(), cause, "a mirror cannot be read");
                None
            }
        };
        let Some(found) = found else { return Err(error) };
        metrics::counter!("cache_reads_total", "kind" => T::LIST.as_str(), "outcome" => "mirror")
            .increment(1);
        // It stands behind no tag: nothing would tell that an answer made from it is old.
        reader.keep_not();
        let origin =
            Origin { source: Source::Mirror, loaded_at: found.loaded_at, stale: Some(Stale::Unavailable) };
        Ok(Read::new(Arc::new(found.rows), origin))
    }
}

fn rows<T: Mirrored>(list: &[T]) -> Result<Vec<MirrorRow>> {
    list.iter()
        .map(|row| {
            let record = serde_json::to_string(row).map_err(Error::internal)?;
            Ok(MirrorRow { id: row.number(), record })
        })
        .collect()
}
