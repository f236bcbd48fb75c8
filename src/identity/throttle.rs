//! Counts what is tried and makes those wait who try too much: one mechanism for every limit of this room.
//!
//! A [`Bucket`] is a key with a rule. Several are asked at once, and all of them take the try or none does, so a try that
//! is refused for its account does not count for its address. Buckets live in memory: at most so many, the longest unused
//! go first.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use moka::{policy::EvictionPolicy, sync::Cache};

use crate::error::{Error, Result};

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
}

impl Throttle {
    pub(super) fn new() -> Self {
        Self { local: Local::new() }
    }

    /// Counts a try in every bucket, or refuses it when it comes too early for one; then it counts in none.
    ///
    /// # Errors
    /// [`Error::RateLimited`] with the longest wait.
    #[expect(clippy::unused_async, reason = "buckets that replicas share are asked over the network")]
    pub(super) async fn admit(&self, buckets: &[Bucket], now: DateTime<Utc>) -> Result<()> {
        match self.local.admit(buckets, now.timestamp_millis()) {
            0 => Ok(()),
            wait => {
                let retry_after = Duration::from_millis(wait.unsigned_abs());
                Err(Error::RateLimited { retry_after, service: None })
            }
        }
    }

    /// Says what became of a try.
    #[expect(clippy::unused_async, reason = "buckets that replicas share are asked over the network")]
    pub(super) async fn settle(&self, outcomes: &[(Bucket, Outcome)]) {
        self.local.settle(outcomes);
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use chrono::TimeDelta;

    use super::*;

    const QUARTER: Duration = Duration::from_secs(15 * 60);

    fn bucket(name: u8, rule: Rule) -> Bucket {
        Bucket { key: [name; 32], rule }
    }

    async fn wait(throttle: &Throttle, buckets: &[Bucket], now: DateTime<Utc>) -> u64 {
        match throttle.admit(buckets, now).await {
            Ok(()) => 0,
            Err(Error::RateLimited { retry_after, service: None }) => retry_after.as_secs(),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn five_failures_are_free_then_the_delay_doubles_up_to_a_quarter_of_an_hour() {
        let throttle = Throttle::new();
        let account = [bucket(1, Rule::delay(5, QUARTER))];
        let mut now = Utc::now();
        for _ in 0..5 {
            assert_eq!(wait(&throttle, &account, now).await, 0);
        }
        for delay in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            assert_eq!(wait(&throttle, &account, now).await, delay);
            assert_eq!(wait(&throttle, &account, now).await, delay, "a refused try does not count");
            now += TimeDelta::seconds(delay.try_into().unwrap());
            assert_eq!(wait(&throttle, &account, now).await, 0);
        }
        assert_eq!(wait(&throttle, &account, now + TimeDelta::days(1)).await, 0);
    }

    #[tokio::test]
    async fn a_success_forgets_and_a_withdrawn_try_does_not_count() {
        let throttle = Throttle::new();
        let account = bucket(1, Rule::delay(5, QUARTER));
        let now = Utc::now();
        for _ in 0..20 {
            assert_eq!(wait(&throttle, &[account], now).await, 0);
            throttle.settle(&[(account, Outcome::Withdrawn)]).await;
        }
        for _ in 0..5 {
            assert_eq!(wait(&throttle, &[account], now).await, 0);
        }
        assert_eq!(wait(&throttle, &[account], now).await, 1);
        throttle.settle(&[(account, Outcome::Forgiven)]).await;
        assert_eq!(wait(&throttle, &[account], now).await, 0);
    }

    #[tokio::test]
    async fn a_rate_gives_its_limit_at_once_and_then_as_the_window_passes() {
        let throttle = Throttle::new();
        let sends = [bucket(1, Rule::rate(5, Duration::from_secs(300)))];
        let now = Utc::now();
        for _ in 0..5 {
            assert_eq!(wait(&throttle, &sends, now).await, 0);
        }
        assert_eq!(wait(&throttle, &sends, now).await, 60);
        let later = now + TimeDelta::seconds(60);
        assert_eq!(wait(&throttle, &sends, later).await, 0);
        assert_eq!(wait(&throttle, &sends, later).await, 60);
        let much_later = now + TimeDelta::seconds(600);
        for _ in 0..5 {
            assert_eq!(wait(&throttle, &sends, much_later).await, 0);
        }
        assert_eq!(wait(&throttle, &sends, much_later).await, 60);
    }

    #[tokio::test]
    async fn all_buckets_take_a_try_or_none_does() {
        let throttle = Throttle::new();
        let narrow = bucket(1, Rule::rate(1, Duration::from_secs(60)));
        let wide = bucket(2, Rule::rate(3, Duration::from_secs(60)));
        let now = Utc::now();
        assert_eq!(wait(&throttle, &[wide, narrow], now).await, 0);
        for _ in 0..10 {
            assert_eq!(wait(&throttle, &[wide, narrow], now).await, 60);
        }
        assert_eq!(wait(&throttle, &[wide], now).await, 0);
        assert_eq!(wait(&throttle, &[wide], now).await, 0);
        assert_eq!(wait(&throttle, &[wide], now).await, 20);
    }
}
