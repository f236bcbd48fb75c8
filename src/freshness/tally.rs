//! What became of reads, for operators.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::{Cache, Kind};

/// What became of one read of one key.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Memory,
    Redis,
    Load,
    Joined,
    Stale,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis => "redis",
            Self::Load => "load",
            Self::Joined => "joined",
            Self::Stale => "stale",
        }
    }
}

/// Counts since the start of this replica.
#[derive(Debug, Default)]
pub(super) struct Counts {
    reads: [AtomicU64; 5],
    pub(super) invalidated: AtomicU64,
}

/// What became of the reads of this replica since it started, by key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Answered from memory or from Redis.
    pub hits: u64,
    /// Asked of their systems.
    pub misses: u64,
    /// Waited for what somebody else asked.
    pub joined: u64,
    /// Shown old.
    pub stale: u64,
    /// Tags that were raised here.
    pub invalidations: u64,
}

impl Cache {
    /// Counts what became of the reads of some keys.
    pub(super) fn count(&self, kind: &Kind, outcome: Outcome, keys: usize) {
        let keys = keys as u64;
        self.0.counts.reads[outcome as usize].fetch_add(keys, Ordering::Relaxed);
        metrics::counter!("cache_reads_total", "kind" => kind.name, "outcome" => outcome.as_str())
            .increment(keys);
    }

    /// What became of the reads of this replica since it started.
    pub fn tally(&self) -> Tally {
        let counts = &self.0.counts;
        let of = |outcome: Outcome| counts.reads[outcome as usize].load(Ordering::Relaxed);
        Tally {
            hits: of(Outcome::Memory) + of(Outcome::Redis),
            misses: of(Outcome::Load),
            joined: of(Outcome::Joined),
            stale: of(Outcome::Stale),
            invalidations: counts.invalidated.load(Ordering::Relaxed),
        }
    }
}
