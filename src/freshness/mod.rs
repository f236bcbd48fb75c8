//! The cache: an entry is stamped with the versions of its tags; raising a tag's version makes the
//! entry old.
//!
//! A domain declares for each read its [`Kind`] (name, system, fresh time), a [`Key`] and the
//! [`Tag`]s of what it depends on. A key contains its owner by construction, so one person's answer
//! can never be another's. A load captures the versions before it asks upstream: what arrives after a
//! bump is stored already old, so an invalidation in flight is never lost.
//!
//! This is the memory tier: entries are weighed in bytes, and reads of one key that meet share one
//! load, over requests too. The load runs in a task of its own, so that a reader who goes away
//! fails nobody.

mod flight;
mod key;
mod version;

use std::{
    any::Any,
    collections::HashMap,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::FutureExt;
use serde::Serialize;
use tracing::Instrument;

pub use self::key::{Key, Owner, Tag};
use self::{
    flight::{Batch, Flights, Wait},
    version::{Stamps, Versions},
};
use crate::{
    deadline::Budget,
    error::{Error, Result, Service, SourceError},
};

/// What a domain declares once for a kind of read.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name in keys and metrics, such as `invoices`.
    pub name: &'static str,
    /// The system that is asked when nothing fresh is at hand.
    pub service: Service,
    /// How long an answer counts as fresh when nothing invalidates it. Jittered by ±10 %.
    pub fresh: Duration,
}

/// Settings of the memory tier.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The most bytes that entries may weigh together.
    pub memory_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { memory_bytes: 256 << 20 }
    }
}

/// The cache. Clones share it.
#[derive(Clone)]
pub struct Cache {
    entries: moka::future::Cache<Key, Arc<Entry>>,
    versions: Arc<Versions>,
    flights: Arc<Flights>,
}

/// A cached value. The type behind `value` is fixed by the kind of its key.
pub(crate) struct Entry {
    value: Arc<dyn Any + Send + Sync>,
    stamps: Stamps,
    fresh_until: Instant,
    weight: u32,
}

impl Cache {
    /// An empty cache.
    pub fn new(settings: &Settings) -> Self {
        Self {
            entries: moka::future::Cache::builder()
                .max_capacity(settings.memory_bytes)
                .weigher(|_, entry: &Arc<Entry>| entry.weight)
                .build(),
            versions: Arc::default(),
            flights: Arc::default(),
        }
    }

    /// Makes every entry that carries one of the tags old, at once.
    pub fn invalidate(&self, tags: &[Tag]) {
        self.versions.bump(tags);
    }

    /// Reads one value: from memory, from a load that is under way, or by `load`.
    ///
    /// # Errors
    /// What `load` says; [`Error::Unavailable`] when the budget ends first.
    pub async fn read<T, F>(
        &self,
        kind: &Kind,
        budget: Budget,
        key: Key,
        tags: Vec<Tag>,
        load: impl FnOnce() -> F,
    ) -> Result<Arc<T>>
    where
        T: Serialize + Send + Sync + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let wanted = [(key.clone(), tags)];
        let mut found = self
            .read_many(kind, budget, &wanted, |_| {
                let load = load();
                let key = key.clone();
                async move { Ok(HashMap::from([(key, load.await?)])) }
            })
            .await?;
        found.remove(&key).ok_or_else(|| Error::internal("a load left its only key out"))
    }

    /// Reads several values of one kind; those that are neither in memory nor under way are loaded
    /// together, by one call of `load` with their keys. A key that `load` leaves out is absent in the
    /// result and is not remembered.
    ///
    /// # Errors
    /// What `load` says; [`Error::Unavailable`] when the budget ends first.
    pub async fn read_many<T, F>(
        &self,
        kind: &Kind,
        budget: Budget,
        wanted: &[(Key, Vec<Tag>)],
        load: impl FnOnce(Vec<Key>) -> F,
    ) -> Result<HashMap<Key, Arc<T>>>
    where
        T: Serialize + Send + Sync + 'static,
        F: Future<Output = Result<HashMap<Key, T>>> + Send + 'static,
    {
        let mut found = HashMap::with_capacity(wanted.len());
        let mut missing = Vec::new();
        for (key, tags) in wanted {
            match self.fresh(key) {
                Some(entry) => {
                    count(kind, "hit");
                    found.insert(key.clone(), entry);
                }
                None => missing.push((key.clone(), self.versions.capture(tags))),
            }
        }
        if !missing.is_empty() {
            let waits = self.flights.join_or_begin(
                missing,
                &self.versions,
                |key| self.fresh(key),
                |number, leading| {
                    let keys = leading.iter().map(|(key, _)| key.clone()).collect();
                    self.begin(number, kind, leading, load(keys))
                },
            );
            for (key, wait) in waits {
                let (outcome, batch) = match wait {
                    Wait::Landed(entry) => {
                        count(kind, "hit");
                        found.insert(key, entry);
                        continue;
                    }
                    Wait::Joined(batch) => ("joined", batch),
                    Wait::Led(batch) => ("load", batch),
                };
                count(kind, outcome);
                let landed = tokio::time::timeout_at(budget.deadline.into(), batch)
                    .await
                    .map_err(|_| late(kind.service))??;
                if let Some(entry) = landed.get(&key) {
                    found.insert(key, Arc::clone(entry));
                }
            }
        }
        found
            .into_iter()
            .map(|(key, entry)| match Arc::clone(&entry.value).downcast::<T>() {
                Ok(value) => Ok((key, value)),
                Err(_) => Err(Error::internal("two types of value under one kind of key")),
            })
            .collect()
    }

    /// An entry that is neither old nor outdated.
    fn fresh(&self, key: &Key) -> Option<Arc<Entry>> {
        // A look-up only waits for its own future to be polled once.
        let entry = self.entries.get(key).now_or_never()??;
        (entry.fresh_until > Instant::now() && self.versions.are_current(&entry.stamps)).then_some(entry)
    }

    /// Starts the load of some keys in a task of its own.
    fn begin<T>(
        &self,
        number: u64,
        kind: &Kind,
        leading: Vec<(Key, Stamps)>,
        load: impl Future<Output = Result<HashMap<Key, T>>> + Send + 'static,
    ) -> Batch
    where
        T: Serialize + Send + Sync + 'static,
    {
        let cache = self.clone();
        let fresh = kind.fresh;
        let flight = async move {
            let _landed = cache.flights.landing(number, leading.iter().map(|(key, _)| key.clone()).collect());
            let mut values = load.await?;
            let mut entries = HashMap::with_capacity(values.len());
            for (key, stamps) in leading {
                let Some(value) = values.remove(&key) else { continue };
                let entry = Arc::new(Entry {
                    weight: weigh(&value),
                    value: Arc::new(value),
                    stamps,
                    fresh_until: Instant::now() + jitter(fresh),
                });
                cache.entries.insert(key.clone(), Arc::clone(&entry)).await;
                entries.insert(key, entry);
            }
            Ok(Arc::new(entries))
        };
        let task = tokio::spawn(flight.in_current_span());
        async move { task.await.unwrap_or_else(|panic| Err(Error::internal(panic))) }.boxed().shared()
    }
}

/// A read whose budget ended while the load was still under way.
fn late(service: Service) -> Error {
    Error::Unavailable { service, source: SourceError::new("the budget ended while a load was under way") }
}

fn count(kind: &Kind, outcome: &'static str) {
    metrics::counter!("cache_reads_total", "kind" => kind.name, "outcome" => outcome).increment(1);
}

/// Spreads expiry by ±10 %, so that entries loaded together do not grow old together.
fn jitter(fresh: Duration) -> Duration {
    fresh.mul_f64(rand::random_range(0.9..=1.1))
}

/// The weight of an entry in bytes: its JSON length stands for its strings, doubled for the structs
/// around them, and a constant for the key, the stamps and the table.
fn weigh(value: &impl Serialize) -> u32 {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    let _ = serde_json::to_writer(&mut count, value);
    u32::try_from(512 + 2 * count.0).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
