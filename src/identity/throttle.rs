//! Counts what is tried and makes those wait who try too much: one mechanism for every limit of this room.
//!
//! A [`Bucket`] is a key with a rule. Several are asked at once, and all of them take the try or none does, so a try that
//! is refused for its account does not count for its address.
//!
//! With Redis, all replicas share the buckets. What Redis says is remembered here as well, so when it dies this replica goes
//! on from what it knows (requirement A4). The memory holds so many buckets at most; the longest unused go first.

mod shared;
#[cfg(test)]
mod tests;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use moka::{policy::EvictionPolicy, sync::Cache};

pub(super) use self::shared::Link;
use self::shared::Shared;
use crate::{
    error::{Error, Result},
    freshness::redis,
};

/// Keys remembered at most; the longest unused go first.
const CAPACITY: u64 = 100_000;
/// The first delay; each further failure doubles it.
const FIRST_DELAY_MS: i64 = 1_000;
/// Failures are forgotten after this time without another.
const MEMORY_MS: i64 = 24 * 60 * 60 * 1_000;

/// What a bucket allows. Times are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// So many in a window, spread over it as they come (GCRA).
    Rate {
        /// How many at once.
        limit: i64,
        /// How long until that many are free again.
        window: i64,
    },
    /// After so many failures each further try waits: a second, then twice as long each time.
    Delay {
        /// Failures before the first wait.
        free: i64,
        /// The longest wait.
        longest: i64,
    },
}

impl Rule {
    /// So many in a window.
    pub(super) fn rate(limit: u32, window: Duration) -> Self {
        Self::Rate { limit: i64::from(limit.max(1)), window: ms(window).max(1) }
    }

    /// Delays after so many failures.
    pub(super) fn delay(free: u32, longest: Duration) -> Self {
        Self::Delay { free: i64::from(free), longest: ms(longest) }
    }
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    /// Names what it counts, and says nothing without the server's secret.
    pub(super) key: [u8; 32],
    pub(super) rule: Rule,
}

/// What becomes of a try that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was none that counts: it alone is uncounted.
    Withdrawn,
    /// It was right: everything that the bucket counted is forgotten.
    Forgiven,
}

/// Two numbers: of a rate, when all of it is free again; of delays, the failures and the time of the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    first: i64,
    second: i64,
}

/// Counts by key and makes those wait who are over their rule.
///
/// A try counts from its beginning until [`Throttle::settle`] says otherwise, so that many at once are no way around it,
/// nor is hanging up early.
pub(super) struct Throttle {
    local: Local,
    shared: Option<Shared>,
}

impl Throttle {
    /// Counts in Redis, when there is one. Then it is to be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`Error::Internal`] when the address of Redis cannot be read.
    pub(super) fn new(redis: Option<&redis::Settings>) -> Result<Self> {
        let shared = redis.map(Shared::new).transpose().map_err(Error::internal)?;
        Ok(Self { local: Local::new(), shared })
    }

    /// Counts a try in every bucket, or refuses it when it comes too early for one; then it counts in none.
    ///
    /// # Errors
    /// [`Error::RateLimited`] with the longest wait.
    pub(super) async fn admit(&self, buckets: &[Bucket], now: DateTime<Utc>) -> Result<()> {
        let now = now.timestamp_millis();
        let judged = match &self.shared {
            Some(shared) => shared.admit(buckets, now).await,
            None => None,
        };
        let wait = match judged {
            Some(judged) => {
                self.local.learn(buckets, &judged.states);
                judged.wait
            }
            None => self.local.admit(buckets, now),
        };
        match wait {
            0 => Ok(()),
            wait => {
                let retry_after = Duration::from_millis(wait.unsigned_abs());
                Err(Error::RateLimited { retry_after, service: None })
            }
        }
    }

    /// Says what became of a try.
    pub(super) async fn settle(&self, outcomes: &[(Bucket, Outcome)]) {
        self.local.settle(outcomes);
        if let Some(shared) = &self.shared {
            shared.settle(outcomes).await;
        }
    }
}

/// The buckets of this process.
struct Local {
    states: Cache<[u8; 32], State>,
    /// Held while several buckets are looked at together.
    turn: Mutex<()>,
}

impl Local {
    fn new() -> Self {
        let states = Cache::builder().max_capacity(CAPACITY).eviction_policy(EvictionPolicy::lru()).build();
        Self { states, turn: Mutex::new(()) }
    }

    /// How long to wait; 0 when the try was counted.
    fn admit(&self, buckets: &[Bucket], now: i64) -> i64 {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let judged: Vec<_> = buckets
            .iter()
            .map(|bucket| (bucket, judge(bucket.rule, self.states.get(&bucket.key), now)))
            .collect();
        let wait = judged.iter().map(|(_, verdict)| verdict.err().unwrap_or(0)).max().unwrap_or(0);
        if wait == 0 {
            for (bucket, verdict) in judged {
                if let Ok(state) = verdict {
                    self.states.insert(bucket.key, state);
                }
            }
        }
        wait
    }

    /// Remembers what all replicas counted.
    fn learn(&self, buckets: &[Bucket], states: &[State]) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        for (bucket, state) in buckets.iter().zip(states) {
            self.states.insert(bucket.key, *state);
        }
    }

    fn settle(&self, outcomes: &[(Bucket, Outcome)]) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        for (bucket, outcome) in outcomes {
            let left = match outcome {
                Outcome::Forgiven => None,
                Outcome::Withdrawn => {
                    self.states.get(&bucket.key).and_then(|state| without(bucket.rule, state))
                }
            };
            match left {
                Some(state) => self.states.insert(bucket.key, state),
                None => self.states.invalidate(&bucket.key),
            }
        }
    }
}

/// A bucket after one more try, or how long that try must wait.
fn judge(rule: Rule, state: Option<State>, now: i64) -> Result<State, i64> {
    match rule {
        Rule::Rate { limit, window } => {
            let free_at = state.map_or(now, |state| state.first.max(now)) + window / limit;
            let wait = free_at - window - now;
            if wait > 0 { Err(wait) } else { Ok(State { first: free_at, second: 0 }) }
        }
        Rule::Delay { free, longest } => {
            let State { first: failures, second: last_at } =
                state.filter(|state| now - state.second < MEMORY_MS).unwrap_or_default();
            let delay = match failures - free {
                ..0 => 0,
                beyond => (FIRST_DELAY_MS << beyond.min(20)).min(longest),
            };
            let wait = last_at + delay - now;
            if wait > 0 && delay > 0 { Err(wait) } else { Ok(State { first: failures + 1, second: now }) }
        }
    }
}

/// A bucket without the try that was counted last; `None` when nothing is left in it.
fn without(rule: Rule, state: State) -> Option<State> {
    match rule {
        Rule::Rate { limit, window } => Some(State { first: state.first - window / limit, ..state }),
        Rule::Delay { .. } => (state.first > 1).then(|| State { first: state.first - 1, ..state }),
    }
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}
