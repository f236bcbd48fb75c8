//! The same buckets in Redis, for all replicas: each question is one script, so that nothing comes between.
//!
//! An answer has a short time; then this replica goes on with its own memory, and asks again a moment later.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

use redis::{
    Client, RedisError, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::time::timeout;

use super::{Bucket, Outcome, Rule, State};
use crate::{freshness::redis::Settings, secret::ExposeSecret};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long Redis is left alone after it did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// The arithmetic of [`super::judge`]. Gives the wait and what each bucket holds then.
const ADMIT: &str = r"
local now = tonumber(ARGV[1])
local wait, held = 0, {}
for i = 1, #KEYS do
  local kind, a, b = ARGV[i * 3 - 1], tonumber(ARGV[i * 3]), tonumber(ARGV[i * 3 + 1])
  local first = tonumber(redis.call('HGET', KEYS[i], 'first') or '')
  local second = tonumber(redis.call('HGET', KEYS[i], 'second') or '')
  local old = { first or 0, second or 0 }
  local here, new, lasts
  if kind == 'rate' then
    local free_at = math.max(first or now, now) + math.floor(b / a)
    here, new, lasts = free_at - b - now, { free_at, 0 }, free_at - now
  else
    local failures, last_at = 0, 0
    if first and second and now - second < 86400000 then failures, last_at = first, second end
    local delay = 0
    if failures >= a then delay = math.min(1000 * 2 ^ math.min(failures - a, 20), b) end
    here = 0
    if delay > 0 then here = last_at + delay - now end
    new, lasts = { failures + 1, now }, 86400000
  end
  wait = math.max(wait, here)
  held[i] = { old, new, lasts }
end
local out = { math.max(wait, 0) }
for i = 1, #KEYS do
  local state = held[i][1]
  if wait <= 0 then
    state = held[i][2]
    redis.call('HSET', KEYS[i], 'first', string.format('%.0f', state[1]), 'second', string.format('%.0f', state[2]))
    redis.call('PEXPIRE', KEYS[i], math.max(held[i][3], 1))
  end
  out[#out + 1] = state[1]
  out[#out + 1] = state[2]
end
return out";

/// The arithmetic of [`super::without`].
const SETTLE: &str = r"
for i = 1, #KEYS do
  local outcome, kind, a, b = ARGV[i * 4 - 3], ARGV[i * 4 - 2], tonumber(ARGV[i * 4 - 1]), tonumber(ARGV[i * 4])
  local first = tonumber(redis.call('HGET', KEYS[i], 'first') or '')
  if outcome == 'forgiven' then
    redis.call('DEL', KEYS[i])
  elseif first and kind == 'rate' then
    redis.call('HSET', KEYS[i], 'first', string.format('%.0f', first - math.floor(b / a)))
  elseif first and first > 1 then
    redis.call('HSET', KEYS[i], 'first', string.format('%.0f', first - 1))
  else
    redis.call('DEL', KEYS[i])
  end
end
return 0";

/// What a question gave: the wait, 0 when the try was counted, and what the buckets hold.
pub(super) struct Judged {
    pub(super) wait: i64,
    pub(super) states: Vec<State>,
}

/// The buckets of all replicas.
pub(super) struct Shared {
    link: Link,
    admit: Script,
    settle: Script,
}

/// A way to Redis for short questions, which is left alone for a moment when it does not answer.
pub(in crate::identity) struct Link {
    connection: ConnectionManager,
    /// All names begin with it; its braces keep the buckets of one question on one node of a cluster.
    prefix: String,
    born: Instant,
    /// Milliseconds after the birth until which Redis is left alone.
    away_until: AtomicI64,
}

impl Link {
    /// Nothing is connected yet. `room` keeps its names apart. To be called within a Tokio runtime.
    pub(in crate::identity) fn new(settings: &Settings, room: &str) -> Result<Self, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            // The next question tries again.
            .set_number_of_retries(1)
            .set_max_delay(PAUSE);
        let client = Client::open(settings.url.expose_secret())?;
        Ok(Self {
            connection: client.get_connection_manager_lazy(config)?,
            prefix: format!("{{{}:{room}}}:", settings.prefix),
            born: Instant::now(),
            away_until: AtomicI64::new(0),
        })
    }

    /// With what all names begin.
    pub(in crate::identity) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Asks Redis, unless it did not answer a moment ago.
    pub(in crate::identity) async fn within<T>(
        &self,
        ask: impl AsyncFnOnce(ConnectionManager) -> Result<T, RedisError>,
    ) -> Option<T> {
        let elapsed = || i64::try_from(self.born.elapsed().as_millis()).unwrap_or(i64::MAX);
        if elapsed() < self.away_until.load(Ordering::Relaxed) {
            return None;
        }
        match timeout(PATIENCE, ask(self.connection.clone())).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(_)) | Err(_) => {
                let until = elapsed() + i64::try_from(PAUSE.as_millis()).unwrap_or(0);
                if self.away_until.swap(until, Ordering::Relaxed) + 60_000 < until {
                    tracing::warn!("Redis does not answer: this replica counts tries by itself");
                }
                None
            }
        }
    }
}

impl Shared {
    /// Nothing is connected yet. To be called within a Tokio runtime.
    pub(super) fn new(settings: &Settings) -> Result<Self, RedisError> {
        let link = Link::new(settings, "throttle")?;
        Ok(Self { link, admit: Script::new(ADMIT), settle: Script::new(SETTLE) })
    }

    /// `None` while Redis does not answer.
    pub(super) async fn admit(&self, buckets: &[Bucket], now: i64) -> Option<Judged> {
        if buckets.is_empty() {
            return Some(Judged { wait: 0, states: Vec::new() });
        }
        let mut call = self.admit.prepare_invoke();
        call.arg(now);
        for bucket in buckets {
            let (kind, a, b) = words(bucket.rule);
            call.key(self.name(bucket)).arg(kind).arg(a).arg(b);
        }
        let numbers: Vec<i64> =
            self.link.within(async |mut redis| call.invoke_async(&mut redis).await).await?;
        let (wait, states) = numbers.split_first()?;
        let states: Vec<_> =
            states.chunks_exact(2).map(|pair| State { first: pair[0], second: pair[1] }).collect();
        (states.len() == buckets.len()).then_some(Judged { wait: *wait, states })
    }

    /// False while Redis does not answer.
    pub(super) async fn settle(&self, outcomes: &[(Bucket, Outcome)]) -> bool {
        if outcomes.is_empty() {
            return true;
        }
        let mut call = self.settle.prepare_invoke();
        for (bucket, outcome) in outcomes {
            let (kind, a, b) = words(bucket.rule);
            let outcome = match outcome {
                Outcome::Withdrawn => "withdrawn",
                Outcome::Forgiven => "forgiven",
            };
            call.key(self.name(bucket)).arg(outcome).arg(kind).arg(a).arg(b);
        }
        self.link.within(async |mut redis| call.invoke_async::<i64>(&mut redis).await).await.is_some()
    }

    fn name(&self, bucket: &Bucket) -> String {
        format!("{}{}", self.link.prefix, hex::encode(&bucket.key[..16]))
    }
}

fn words(rule: Rule) -> (&'static str, i64, i64) {
    match rule {
        Rule::Rate { limit, window } => ("rate", limit, window),
        Rule::Delay { free, longest } => ("delay", free, longest),
    }
}
