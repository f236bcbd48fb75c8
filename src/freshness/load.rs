//! One load: Redis first, then the lease over the fleet, then the system of record.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use futures::future::FutureExt;
use sha2::{Digest, Sha256};
use tracing::Instrument;

use super::{
    Budget, Cache, Entry, Error, Future, Key, Kind, Outcome, Result, Tag, Use, Value, delta,
    flight::{Batch, Departure, Wanted},
    late,
    mirror::{Stamp, Standing},
    redis::Link,
};
use crate::spending::{Spending, noted};

/// How long a replica that waits for another's load sleeps between two looks, at first and at most.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));

impl Cache {
    /// Starts the load of some keys in a task of its own.
    pub(super) fn depart<T: Value>(
        &self,
        departure: Departure,
        kind: &Kind,
        budget: Budget,
        leading: Vec<Wanted>,
        load: impl Future<Output = Result<HashMap<Key, T>>> + Send + 'static,
    ) -> Batch {
        let (cache, kind) = (self.clone(), *kind);
        let flight = async move {
            let keys: Vec<_> = leading.iter().map(|(key, _)| key.clone()).collect();
            let _landed = cache.0.flights.landing(departure.number, keys.clone());
            let link = cache.0.link.clone().filter(|_| cache.0.mirror.is_live());
            let Some(link) = link else {
                return cache.load(&kind, departure.epoch, leading, load).await.map(|(entries, _)| entries);
            };
            // Everything is found, or everything is loaded: a batch is one call anyway.
            if let Some(stored) = link.get(&keys).await
                && let Some(found) = cache.find::<T>(&link, &kind, &keys, stored).await
            {
                cache.count(&kind, Outcome::Redis, keys.len());
                return Ok(found);
            }
            let lease = lease_name(&leading, &cache);
            let mut pause = LOOK_AGAIN.0;
            while let Some((is_taken, stored)) = link.lease(&lease, &keys).await {
                if let Some(found) = cache.find::<T>(&link, &kind, &keys, stored).await {
                    if is_taken {
                        link.release(&lease).await;
                    }
                    cache.count(&kind, Outcome::Joined, keys.len());
                    return Ok(found);
                }
                if is_taken {
                    break;
                }
                if Instant::now() > budget.deadline {
                    return Err(late(kind.service));
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LOOK_AGAIN.1);
            }
            let loaded = cache.load(&kind, departure.epoch, leading, load).await;
            // Nobody here waits until the other replicas have it, or until Redis is found away.
            let (entries, packed) = match loaded {
                Ok((entries, packed)) => (Ok(entries), packed),
                Err(error) => (Err(error), Vec::new()),
            };
            let keep = kind.lifetime.fresh.mul_f64(1.1).max(kind.lifetime.stale);
            tokio::spawn(async move {
                let packed = packed.into_iter().filter_map(|(key, packed)| Some((key, packed.compress()?)));
                let packed: Vec<_> = packed.collect();
                if !packed.is_empty() {
                    link.put(packed, keep).await;
                }
                link.release(&lease).await;
            });
            entries
        };
        let task = tokio::spawn(flight.in_current_span());
        async move { task.await.unwrap_or_else(|panic| Err(Error::internal(panic))) }.boxed().shared()
    }

    /// Waits for a load, as long as the reader may.
    pub(super) async fn land(
        &self,
        kind: &Kind,
        budget: Budget,
        batch: Batch,
    ) -> Result<Arc<HashMap<Key, Arc<Entry>>>> {
        tokio::time::timeout_at(budget.deadline.into(), batch).await.map_err(|_| late(kind.service))?
    }

    /// Asks the system of record.
    async fn load<T: Value>(
        &self,
        kind: &Kind,
        epoch: u64,
        leading: Vec<Wanted>,
        load: impl Future<Output = Result<HashMap<Key, T>>>,
    ) -> Result<(Arc<HashMap<Key, Arc<Entry>>>, Vec<(Key, super::entry::Packed)>)> {
        self.count(kind, Outcome::Load, leading.len());
        let inner = &*self.0;
        let asked_at = inner.clock.now();
        let (values, spent) = noted(load).await;
        let spent: Arc<[Spending]> = spent.into();
        let ails = matches!(values, Err(Error::Unavailable { .. }));
        inner.ailing[kind.service as usize].store(ails, Ordering::Relaxed);
        let mut values = values?;
        #[cfg(any(test, feature = "sandbox"))]
        let epoch = if inner.settings.plant_late_capture { inner.mirror.epoch() } else { epoch };
        let mut entries = HashMap::with_capacity(values.len());
        let mut packed = Vec::with_capacity(values.len());
        for (key, tags) in leading {
            let Some(value) = values.remove(&key) else { continue };
            let stamp = Stamp::new(&*tags, epoch);
            let (entry, json) =
                Entry::loaded(value, stamp, asked_at, jitter(kind.lifetime.fresh), Arc::clone(&spent));
            self.remember(key.clone(), Arc::clone(&entry)).await;
            if inner.link.is_some() {
                packed.push((key.clone(), json));
            }
            entries.insert(key, entry);
        }
        Ok((Arc::new(entries), packed))
    }

    /// All of the keys from memory or from what Redis holds under them, when all of them count as fresh.
    async fn find<T: Value>(
        &self,
        link: &Link,
        kind: &Kind,
        keys: &[Key],
        stored: Vec<Option<Vec<u8>>>,
    ) -> Option<Arc<HashMap<Key, Arc<Entry>>>> {
        let mut found = HashMap::with_capacity(keys.len());
        for (key, bytes) in keys.iter().zip(stored) {
            let mut usable = None;
            if let Some(entry) = self.get(key) {
                usable = self.is_usable(link, kind, &entry).await.then_some(entry);
            }
            if usable.is_none()
                && let Some(entry) = bytes.and_then(|bytes| Entry::unpack::<T>(&bytes))
            {
                // An older one is the last resort when the load fails.
                self.remember(key.clone(), Arc::clone(&entry)).await;
                usable = self.is_usable(link, kind, &entry).await.then_some(entry);
            }
            found.insert(key.clone(), usable?);
        }
        Some(Arc::new(found))
    }

    /// Whether an entry counts as fresh; where the mirror does not reach back far enough, Redis tells.
    pub(super) async fn is_usable(&self, link: &Link, kind: &Kind, entry: &Entry) -> bool {
        match self.judge(kind, entry) {
            Use::Fresh => true,
            Use::Verify => {
                let floor = self.0.mirror.floor();
                let is_current = link
                    .version(entry.stamp.tags())
                    .await
                    .is_some_and(|version| version <= entry.stamp.epoch());
                if is_current {
                    entry.stamp.raise(floor);
                }
                is_current && self.0.mirror.judge(&entry.stamp) == Standing::Current
            }
            Use::Refresh(_) | Use::LastResort | Use::Never => false,
        }
    }

    /// Keeps an entry in memory, unless a later one is there.
    async fn remember(&self, key: Key, entry: Arc<Entry>) {
        let is_later = |there: &Arc<Entry>| there.loaded_at > entry.loaded_at;
        if !self.get(&key).is_some_and(|there| is_later(&there)) {
            self.0.entries.insert(key, entry).await;
        }
    }
}

/// The name of a load over the fleet: its keys, and the versions that it begins at. One that began
/// before a change is not waited for after it.
pub(super) fn lease_name(leading: &[Wanted], cache: &Cache) -> String {
    let mut keys: Vec<_> = leading.iter().map(|(key, _)| key.digest()).collect();
    keys.sort_unstable();
    let mut hash = Sha256::new();
    for key in keys {
        hash.update(key);
    }
    let tags: Vec<Tag> = leading.iter().flat_map(|(_, tags)| tags.iter().cloned()).collect();
    format!("{}:{}", hex::encode(&hash.finalize()[..16]), cache.0.mirror.version(&tags))
}

/// Spreads expiry by ±10 %, so that entries loaded together do not grow old together.
pub(super) fn jitter(fresh: Duration) -> TimeDelta {
    delta(fresh.mul_f64(rand::random_range(0.9..=1.1)))
}
