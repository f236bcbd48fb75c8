//! Who reads, and what was read: where each value came from and what an answer built from them depends on.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Tag,
    mirror::{Mirror, Stamp, Standing},
};
use crate::{deadline::Budget, spending::Spending};

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The system of record, asked for this request.
    Live,
    /// This replica's memory.
    Memory,
    /// Redis.
    Redis,
    /// The copy in the gateway's own database.
    Mirror,
}

impl Source {
    /// Its name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Memory => "MEMORY",
            Self::Redis => "REDIS",
            Self::Mirror => "MIRROR",
        }
    }
}

/// Why a value is older than it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stale {
    /// It is being read anew.
    Refreshing,
    /// Its system is not answering.
    Unavailable,
}

impl Stale {
    /// Its name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refreshing => "REFRESHING",
            Self::Unavailable => "SERVICE_UNAVAILABLE",
        }
    }
}

/// Where a value came from, and how old it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Where it came from.
    pub source: Source,
    /// When its system was asked.
    pub loaded_at: DateTime<Utc>,
    /// Why it is older than it should be; `None` when it is not.
    pub stale: Option<Stale>,
}

impl Origin {
    /// Its age.
    pub fn age(&self, now: DateTime<Utc>) -> TimeDelta {
        (now - self.loaded_at).max(TimeDelta::zero())
    }
}

/// What it took to read a value that was not in memory.
#[derive(Clone, Debug)]
pub struct Cost {
    /// How long the reader waited.
    pub waited: Duration,
    /// The calls of the load that it waited for; none when another replica's was found.
    pub calls: Arc<[Spending]>,
}

/// Where the value behind one path of an answer came from, and what it cost.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The path, joined by dots.
    pub path: String,
    /// Where the value came from.
    pub origin: Origin,
    /// What it took; `None` when it was in memory.
    pub cost: Option<Cost>,
}

/// A value that was read, with its origin.
#[derive(Debug)]
pub struct Read<T> {
    value: Arc<T>,
    origin: Origin,
    cost: Option<Cost>,
}

impl<T> Read<T> {
    /// A value from where the caller says.
    pub fn new(value: Arc<T>, origin: Origin) -> Self {
        Self { value, origin, cost: None }
    }

    pub(super) fn costing(self, cost: Option<Cost>) -> Self {
        Self { cost, ..self }
    }

    /// Where it came from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// A part of the value, with the same origin.
    pub fn part<U>(&self, part: U) -> Read<U> {
        Read { value: Arc::new(part), origin: self.origin, cost: self.cost.clone() }
    }

    /// The value alone.
    pub fn into_value(self) -> Arc<T> {
        self.value
    }
}

impl<T> Clone for Read<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), origin: self.origin, cost: self.cost.clone() }
    }
}

impl<T> Deref for Read<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// What one request reads with: its budget, and the log of what it read. Clones share the log.
#[derive(Clone, Debug)]
pub struct Reader {
    budget: Budget,
    log: Arc<Mutex<Log>>,
}

#[derive(Debug, Default)]
struct Log {
    is_kept: Kept,
    tags: Vec<Tag>,
    epoch: Option<u64>,
    fresh_until: Option<DateTime<Utc>>,
    seen: Vec<(String, Origin)>,
    /// When the request asked to be explained: each path, in the order in which it was read.
    explained: Option<Vec<Explained>>,
}

/// Whether an answer may be kept whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kept {
    #[default]
    Yes,
    No,
}

/// What a finished answer depends on.
#[derive(Debug)]
pub struct Basis {
    pub(super) stamp: Stamp,
    /// Until then every part of it counts as fresh.
    pub fresh_until: DateTime<Utc>,
    /// Where the value behind each path of the answer came from; paths are joined by dots.
    pub seen: Vec<(String, Origin)>,
}

impl Reader {
    /// A reader with a budget, and nothing read yet.
    pub fn new(budget: Budget) -> Self {
        Self { budget, log: Arc::default() }
    }

    /// Time and place in the queue.
    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// Says that the answer must not be kept whole, since something in it is not behind the cache, or is
    /// never to be shown old.
    pub fn keep_not(&self) {
        self.log().is_kept = Kept::No;
    }

    /// Asks for an account of where each path of the answer came from and what it cost.
    pub fn explain(&self) {
        self.log().explained = Some(Vec::new());
    }

    /// Where each path of the answer came from so far, and what it cost; `None` unless it was asked for.
    pub fn explained(&self) -> Option<Vec<Explained>> {
        self.log().explained.clone()
    }

    /// Notes that a value stands behind a path of the answer.
    pub fn see<T>(&self, path: String, read: &Read<T>) {
        let mut log = self.log();
        if let Some(explained) = &mut log.explained {
            let (origin, cost) = (read.origin, read.cost.clone());
            explained.push(Explained { path: path.clone(), origin, cost });
        }
        log.seen.push((path, read.origin));
    }

    /// Where the values of the answer came from so far, by path.
    pub fn seen(&self) -> Vec<(String, Origin)> {
        self.log().seen.clone()
    }

    /// What the answer depends on. `None` when nothing was read, or the answer must not be kept.
    pub fn basis(&self) -> Option<Basis> {
        let mut log = self.log();
        if log.is_kept == Kept::No {
            return None;
        }
        log.tags.sort_unstable();
        log.tags.dedup();
        let (epoch, fresh_until) = (log.epoch?, log.fresh_until?);
        Some(Basis { stamp: Stamp::new(log.tags.clone(), epoch), fresh_until, seen: log.seen.clone() })
    }

    /// An entry that the request read.
    pub(super) fn note(&self, stamp: &Stamp, fresh_until: DateTime<Utc>) {
        let mut log = self.log();
        log.tags.extend_from_slice(stamp.tags());
        let epoch = stamp.epoch();
        log.epoch = Some(log.epoch.map_or(epoch, |least| least.min(epoch)));
        log.fresh_until = Some(log.fresh_until.map_or(fresh_until, |first| first.min(fresh_until)));
    }

    /// A poisoned lock still guards whole values.
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Basis {
    /// Whether everything that the answer was built from still stands.
    pub(super) fn holds(&self, mirror: &Mirror, now: DateTime<Utc>) -> bool {
        now < self.fresh_until && mirror.is_live() && mirror.judge(&self.stamp) == Standing::Current
    }

    /// Its weight in bytes.
    pub fn weight(&self) -> usize {
        64 + self.stamp.tags().iter().map(|tag| 24 + tag.as_str().len()).sum::<usize>()
            + self.seen.iter().map(|(path, _)| 64 + path.len()).sum::<usize>()
    }
}
