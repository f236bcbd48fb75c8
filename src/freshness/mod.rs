//! The cache: an entry is stamped with the versions of its tags; raising a tag's version makes the
//! entry old.
//!
//! A domain declares for each read its [`Kind`] (name, system, times), a [`Key`] and the [`Tag`]s of
//! what it depends on. A key contains its owner by construction, so one person's answer can never be
//! another's. A load notes the versions before it asks upstream: what arrives after a tag was raised is
//! stored already old, so an invalidation in flight is never lost.
//!
//! Two tiers: memory, weighed in bytes, and Redis, compressed, which also shares the versions between
//! replicas (see [`redis`]). Reads of one key that meet share one load, over requests and over replicas.
//! The load runs in a task of its own, so that a reader who goes away fails nobody.
//!
//! An entry that has grown old by time alone is served at once, and says so, while it is read anew; one
//! that was made old by a change is served only when its system does not answer.

mod entry;
mod flight;
mod key;
mod kind;
mod load;
mod mirror;
mod reader;
pub mod redis;
mod response;
mod tally;

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use futures::future::FutureExt;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{
    entry::Entry,
    flight::{Flights, Wait, Wanted},
    mirror::{Mirror, Stamp, Standing},
    redis::Link,
    tally::{Counts, Outcome},
};
pub use self::{
    entry::Value,
    key::{Key, Owner, Tag},
    kind::{Kind, Lifetime, STALE_WITHIN},
    reader::{Basis, Cost, Explained, Origin, Read, Reader, Source, Stale},
    redis::Unconfirmed,
    response::{Found, Kept, ResponseKey, Responses},
    tally::Tally,
};
use crate::{
    clock::Clock,
    deadline::Budget,
    error::{Error, Result, Service, SourceError},
    seal::Keyring,
};

/// Settings of the cache.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The most bytes that entries in memory and what is known of tags may weigh together.
    pub memory_bytes: u64,
    /// How long an entry is served after its fresh time, while it is read anew.
    pub refresh_within: Duration,
    /// How old an entry may be while this replica cannot know what was raised, since Redis is away.
    pub unconfirmed_within: Duration,
    /// Redis; without it this process is the only replica.
    pub redis: Option<redis::Settings>,
    /// Plants the fault that the cache exists to prevent: versions are noted after the load, not before.
    /// A test must notice it.
    #[cfg(any(test, feature = "sandbox"))]
    pub plant_late_capture: bool,
    /// Plants another: the keys of the kinds that are declared with [`Cache::kind`] do not say whose they are.
    #[cfg(any(test, feature = "sandbox"))]
    pub plant_lost_owner: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            refresh_within: Duration::from_secs(60),
            unconfirmed_within: Duration::from_secs(5),
            redis: None,
            #[cfg(any(test, feature = "sandbox"))]
            plant_late_capture: false,
            #[cfg(any(test, feature = "sandbox"))]
            plant_lost_owner: false,
        }
    }
}

/// The cache. Clones share it.
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

struct Inner {
    entries: moka::future::Cache<Key, Arc<Entry>>,
    mirror: Arc<Mirror>,
    flights: Arc<Flights>,
    link: Option<Arc<Link>>,
    clock: Clock,
    settings: Settings,
    /// Systems whose last load failed.
    ailing: [AtomicBool; Service::ALL.len()],
    counts: Counts,
    _link_ends: DropGuard,
}

/// How a remembered entry may be used.
enum Use {
    /// It counts as fresh.
    Fresh,
    /// It is served at once and read anew.
    Refresh(Stale),
    /// Redis can tell whether it still stands.
    Verify,
    /// Only when its system does not answer.
    LastResort,
    /// Not at all.
    Never,
}

impl Cache {
    /// An empty cache. With Redis it connects in the background, and works meanwhile as if Redis were away. What lies in
    /// Redis is sealed with the keys, which all replicas share.
    ///
    /// # Errors
    /// When the address of Redis cannot be read.
    pub fn new(settings: Settings, keys: Keyring, clock: Clock) -> Result<Self> {
        let stop = CancellationToken::new();
        let mirror = Arc::new(if settings.redis.is_some() { Mirror::following() } else { Mirror::alone() });
        let link = match &settings.redis {
            Some(redis) => {
                let opened = Link::open(redis, keys, Arc::clone(&mirror), stop.clone());
                Some(opened.map_err(|_| Error::internal("the address of Redis cannot be read"))?)
            }
            None => None,
        };
        Ok(Self(Arc::new(Inner {
            entries: moka::future::Cache::builder()
                .max_capacity(settings.memory_bytes - mirror::TAG_BYTES.min(settings.memory_bytes / 8))
                .weigher(|_, entry: &Arc<Entry>| entry.weight)
                .build(),
            mirror,
            flights: Arc::default(),
            link,
            clock,
            settings,
            ailing: Default::default(),
            counts: Counts::default(),
            _link_ends: stop.drop_guard(),
        })))
    }

    /// Makes every entry that carries one of the tags old, on every replica: when this returns, no read
    /// that starts later, anywhere, is answered from before the change.
    ///
    /// # Errors
    /// [`Unconfirmed`] when Redis cannot be reached: this replica knows, the others will when it is back,
    /// and meanwhile show nothing older than [`Settings::unconfirmed_within`].
    pub async fn invalidate(&self, tags: &[Tag]) -> Result<(), Unconfirmed> {
        if tags.is_empty() {
            return Ok(());
        }
        self.0.counts.invalidated.fetch_add(tags.len() as u64, Ordering::Relaxed);
        let began = Instant::now();
        let done = match &self.0.link {
            Some(link) => link.invalidate(tags).await,
            None => {
                self.0.mirror.raise_alone(tags);
                Ok(())
            }
        };
        metrics::histogram!("cache_invalidation_seconds").record(began.elapsed().as_secs_f64());
        done
    }

    /// Whether an answer that was built from some reads still stands. Costs no allocation and no waiting.
    pub fn holds(&self, basis: &Basis) -> bool {
        basis.holds(&self.0.mirror, self.0.clock.now())
    }

    /// Whether every acknowledged change is known here. Always, without Redis.
    pub fn is_live(&self) -> bool {
        self.0.mirror.is_live()
    }

    /// Whether Redis is connected; `None` without Redis.
    pub fn is_connected(&self) -> Option<bool> {
        self.0.link.as_ref().map(|link| link.is_connected())
    }

    /// Whether the last load from a system failed, so that what is remembered of it is served although it is old.
    pub fn ails(&self, service: Service) -> bool {
        self.0.ailing[service as usize].load(Ordering::Relaxed)
    }

    /// Entries in memory, and what they weigh in bytes.
    pub fn size(&self) -> (u64, u64) {
        (self.0.entries.entry_count(), self.0.entries.weighted_size())
    }

    /// Notes that a read follows of something that this service keeps itself and that is not worth an entry: an
    /// answer that shows it stands until one of the tags is raised, or the time has passed.
    pub fn attend(&self, reader: &Reader, tags: Vec<Tag>, fresh: Duration) {
        let stamp = Stamp::new(tags, self.0.mirror.epoch());
        reader.note(&stamp, self.0.clock.now() + delta(fresh));
    }

    /// Reads one value: from memory, from Redis, from a load that is under way, or by `load`.
    ///
    /// # Errors
    /// What `load` says, when nothing older may be shown; [`Error::Unavailable`] when the budget ends first.
    pub async fn read<T, F>(
        &self,
        reader: &Reader,
        kind: &Kind,
        key: Key,
        tags: Vec<Tag>,
        load: impl FnOnce() -> F,
    ) -> Result<Read<T>>
    where
        T: Value,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let wanted = [(key.clone(), tags)];
        let mut found = self
            .read_many(reader, kind, &wanted, |_| {
                let load = load();
                let key = key.clone();
                async move { Ok(HashMap::from([(key, load.await?)])) }
            })
            .await?;
        found.remove(&key).ok_or_else(|| Error::internal("a load left its only key out"))
    }

    /// Reads several values of one kind; those that are neither cached nor under way are loaded together,
    /// by one call of `load` with their keys. A key that `load` leaves out is absent in the result and is
    /// not remembered.
    ///
    /// # Errors
    /// What `load` says, when nothing older may be shown; [`Error::Unavailable`] when the budget ends first.
    pub async fn read_many<T, F>(
        &self,
        reader: &Reader,
        kind: &Kind,
        wanted: &[(Key, Vec<Tag>)],
        load: impl FnOnce(Vec<Key>) -> F,
    ) -> Result<HashMap<Key, Read<T>>>
    where
        T: Value,
        F: Future<Output = Result<HashMap<Key, T>>> + Send + 'static,
    {
        if kind.never_stale {
            reader.keep_not();
        }
        let began = Instant::now();
        let mut costs: HashMap<Key, Cost> = HashMap::new();
        let mut found = HashMap::with_capacity(wanted.len());
        let mut missing: Vec<Wanted> = Vec::new();
        let mut refreshed = Vec::new();
        for (key, tags) in wanted {
            let entry = self.get(key);
            match entry.as_ref().map_or(Use::Never, |entry| self.judge(kind, entry)) {
                Use::Fresh => {
                    self.count(kind, Outcome::Memory, 1);
                    found.extend(
                        entry.map(|entry| (key.clone(), (Arc::clone(&entry), entry.remembered(None)))),
                    );
                }
                Use::Refresh(why) => {
                    self.count(kind, Outcome::Stale, 1);
                    refreshed.push(key.clone());
                    missing.push((key.clone(), tags.as_slice().into()));
                    found.extend(
                        entry.map(|entry| (key.clone(), (Arc::clone(&entry), entry.remembered(Some(why))))),
                    );
                }
                Use::Verify | Use::LastResort | Use::Never => {
                    missing.push((key.clone(), tags.as_slice().into()));
                }
            }
        }
        if kind.never_stale && !self.is_live() {
            // Nothing tells whether a load that is under way began before a change that was acknowledged.
            self.0.flights.let_land(&missing, reader.budget().deadline).await;
        }
        if !missing.is_empty() {
            let waits = self.0.flights.join_or_begin(
                missing,
                &self.0.mirror,
                |key| self.get(key).filter(|entry| matches!(self.judge(kind, entry), Use::Fresh)),
                |departure, leading| {
                    let keys = leading.iter().map(|(key, _)| key.clone()).collect();
                    self.depart(departure, kind, reader.budget(), leading, load(keys))
                },
            );
            for (key, wait) in waits {
                let batch = match wait {
                    Wait::Landed(entry) => {
                        self.count(kind, Outcome::Memory, 1);
                        let origin = entry.remembered(None);
                        found.insert(key, (entry, origin));
                        continue;
                    }
                    Wait::Joined(batch) => {
                        self.count(kind, Outcome::Joined, 1);
                        batch
                    }
                    Wait::Led(batch) => batch,
                };
                if refreshed.contains(&key) {
                    // The load goes on by itself.
                    continue;
                }
                match self.land(kind, reader.budget(), batch).await {
                    Ok(landed) => {
                        let Some(entry) = landed.get(&key) else { continue };
                        let calls = Arc::clone(&entry.spent);
                        costs.insert(key.clone(), Cost { waited: began.elapsed(), calls });
                        found.insert(key, (Arc::clone(entry), entry.landed()));
                    }
                    Err(error) => {
                        let (entry, origin) = self.last_resort(kind, &key, error)?;
                        self.count(kind, Outcome::Stale, 1);
                        found.insert(key, (entry, origin));
                    }
                }
            }
        }
        found
            .into_iter()
            .map(|(key, (entry, origin))| {
                if origin.stale.is_some() {
                    reader.keep_not();
                }
                reader.note(&entry.stamp, entry.fresh_until);
                match Arc::clone(&entry.value).downcast::<T>() {
                    Ok(value) => {
                        let cost = costs.remove(&key);
                        Ok((key, Read::new(value, origin).costing(cost)))
                    }
                    Err(_) => Err(Error::internal("two types of value under one kind of key")),
                }
            })
            .collect()
    }

    /// What would be served under a key without asking its system, from memory or else from Redis. It counts as no
    /// read, and starts none.
    pub async fn peek<T: Value>(&self, kind: &Kind, key: &Key) -> Option<Read<T>> {
        if let Some(entry) = self.get(key) {
            let stale = match self.judge(kind, &entry) {
                Use::Fresh => None,
                Use::Refresh(why) => Some(why),
                Use::Verify | Use::LastResort | Use::Never => return None,
            };
            let origin = entry.remembered(stale);
            return Some(Read::new(Arc::clone(&entry.value).downcast().ok()?, origin));
        }
        let link = self.0.link.as_ref().filter(|_| self.is_live())?;
        let stored = link.get(std::slice::from_ref(key)).await?.pop()??;
        let entry = Entry::unpack::<T>(&stored)?;
        if !self.is_usable(link, kind, &entry).await {
            return None;
        }
        Some(Read::new(Arc::clone(&entry.value).downcast().ok()?, entry.landed()))
    }

    /// Whether what was peeked at before is served still, and is not what its system says now.
    pub async fn still_differs<T: Value>(&self, kind: &Kind, key: &Key, before: &Read<T>, now: &T) -> bool {
        self.peek::<T>(kind, key).await.is_some_and(|served| {
            served.origin().loaded_at == before.origin().loaded_at && !is_same(&*served, now)
        })
    }

    /// What memory holds under a key.
    fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        // A look-up only waits for its own future to be polled once.
        self.0.entries.get(key).now_or_never()?
    }

    /// How an entry may be used now.
    fn judge(&self, kind: &Kind, entry: &Entry) -> Use {
        let inner = &*self.0;
        let now = inner.clock.now();
        let may_be_stale = !kind.never_stale && now < entry.loaded_at + delta(kind.lifetime.stale);
        let last_resort = if may_be_stale { Use::LastResort } else { Use::Never };
        let standing = inner.mirror.judge(&entry.stamp);
        let is_live = inner.mirror.is_live();
        if standing == Standing::Old {
            // Nothing newer is to be had, and whoever asks need not wait to learn it.
            return match last_resort {
                Use::LastResort if self.ails(kind.service) => Use::Refresh(Stale::Unavailable),
                other => other,
            };
        }
        let is_confirmed = is_live && standing == Standing::Current;
        if now < entry.fresh_until {
            let is_young = now < entry.loaded_at + delta(inner.settings.unconfirmed_within);
            return match standing {
                _ if is_confirmed => Use::Fresh,
                Standing::Unknown if is_live => Use::Verify,
                _ if is_young && !kind.never_stale => Use::Fresh,
                _ => last_resort,
            };
        }
        let is_refreshable = now < entry.fresh_until + delta(inner.settings.refresh_within);
        match last_resort {
            Use::LastResort if is_confirmed && self.ails(kind.service) => Use::Refresh(Stale::Unavailable),
            Use::LastResort if is_confirmed && is_refreshable => Use::Refresh(Stale::Refreshing),
            other => other,
        }
    }

    /// What may be shown when a load failed.
    fn last_resort(&self, kind: &Kind, key: &Key, error: Error) -> Result<(Arc<Entry>, Origin)> {
        if !matches!(error, Error::Unavailable { .. } | Error::RateLimited { .. }) {
            return Err(error);
        }
        let entry = self.get(key).filter(|entry| !matches!(self.judge(kind, entry), Use::Never));
        let entry = entry.ok_or(error)?;
        let origin = entry.remembered(Some(Stale::Unavailable));
        Ok((entry, origin))
    }
}

/// Whether two values read alike: what is served and what its system says now.
pub fn is_same<T: Value>(one: &T, other: &T) -> bool {
    match (serde_json::to_vec(one), serde_json::to_vec(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// Settings are far below the most that a difference of instants can hold.
fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// A read whose budget ended while the load was still under way.
fn late(service: Service) -> Error {
    Error::Unavailable { service, source: SourceError::new("the budget ended while a load was under way") }
}

#[cfg(test)]
mod tests;
