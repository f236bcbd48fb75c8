//! What a partner may ask: so many requests in a second, and points of cost that come back as time goes on.
//!
//! A request pays for the dearest answer that its document allows, before it runs, and gets back what it did not need. With
//! Redis all replicas share a partner's two buckets; what Redis says is remembered here as well, so when it dies this
//! replica goes on from what it knows.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use moka::{policy::EvictionPolicy, sync::Cache};
use redis::{RedisError, Script};

use crate::{
    error::{Error, Result},
    freshness::redis as settings,
    id::PartnerId,
    identity::throttle::Link,
};

/// Partners remembered at most.
const CAPACITY: u64 = 10_000;

/// Both buckets are filled by the time since they were looked at, and pay together or not at all. Gives the wait in
/// milliseconds, and what is left, in thousandths. The arithmetic of [`judge`].
const CHARGE: &str = r"
local now, rate, most, restore = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local requests, points = tonumber(ARGV[5]), tonumber(ARGV[6])
local held = redis.call('HMGET', KEYS[1], 'at', 'requests', 'points')
local at, left, credit = tonumber(held[1] or now), tonumber(held[2] or rate), tonumber(held[3] or most)
local passed = math.max(now - at, 0) / 1000
left = math.min(rate, left + passed * rate)
credit = math.min(most, credit + passed * restore)
local wait = math.max((requests - left) / rate, (points - credit) / restore, 0)
if requests == 0 then wait = 0 end
if wait == 0 then
  left = left - requests
  credit = math.min(most, credit - points)
end
redis.call('HSET', KEYS[1], 'at', string.format('%.0f', math.max(now, at)),
  'requests', string.format('%.3f', left), 'points', string.format('%.3f', credit))
redis.call('PEXPIRE', KEYS[1], math.ceil(math.max(most / restore, 1) * 1000) + 1000)
return { math.ceil(wait * 1000 - 0.001), math.floor(left * 1000 + 0.5), math.floor(credit * 1000 + 0.5) }";

/// How much a partner may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Requests in a second, and at once.
    pub requests_per_second: u32,
    /// Points of cost at most.
    pub cost_maximum: u32,
    /// Points of cost that come back in a second.
    pub cost_restore: u32,
}

/// How a partner's points stand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Balance {
    /// When all are there.
    pub maximum: u32,
    /// What is there now.
    pub available: u32,
    /// What comes back in a second.
    pub restore_rate: u32,
}

/// Why a request was not begun.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unpaid {
    /// It has to wait.
    Wait(Duration, Balance),
    /// It costs more than the whole budget.
    TooDear(Balance),
}

/// What both buckets hold.
#[derive(Clone, Copy, Debug)]
struct State {
    /// Milliseconds.
    at: i64,
    requests: f64,
    points: f64,
}

/// The budgets of all partners.
pub(super) struct Budgets {
    states: Cache<PartnerId, State>,
    /// Held while a bucket is looked at.
    turn: Mutex<()>,
    shared: Option<(Link, Script)>,
}

impl Budgets {
    /// Counts in Redis, when there is one.
    pub(super) fn new(redis: Option<&settings::Settings>) -> Result<Self> {
        let link =
            redis.map(|settings| Link::new(settings, "partners")).transpose().map_err(Error::internal)?;
        Ok(Self {
            states: Cache::builder().max_capacity(CAPACITY).eviction_policy(EvictionPolicy::lru()).build(),
            turn: Mutex::new(()),
            shared: link.map(|link| (link, Script::new(CHARGE))),
        })
    }

    /// Pays for a request, or says why not.
    pub(super) async fn charge(
        &self,
        partner: PartnerId,
        terms: Terms,
        cost: u64,
        now: DateTime<Utc>,
    ) -> std::result::Result<Balance, Unpaid> {
        if cost > u64::from(terms.cost_maximum) {
            return Err(Unpaid::TooDear(self.pay(partner, terms, (0, 0), now).await.1));
        }
        let cost = i64::try_from(cost).unwrap_or(i64::MAX);
        match self.pay(partner, terms, (1, cost), now).await {
            (0, balance) => Ok(balance),
            (wait, balance) => Err(Unpaid::Wait(Duration::from_millis(wait), balance)),
        }
    }

    /// Gives back points that were not needed. Gives how the budget stands; with none to give back it only says that.
    pub(super) async fn give_back(
        &self,
        partner: PartnerId,
        terms: Terms,
        points: u64,
        now: DateTime<Utc>,
    ) -> Balance {
        let points = i64::try_from(points).unwrap_or(0);
        self.pay(partner, terms, (0, -points), now).await.1
    }

    /// The wait in milliseconds, 0 when it was paid, and what is left.
    async fn pay(
        &self,
        partner: PartnerId,
        terms: Terms,
        price: (i64, i64),
        now: DateTime<Utc>,
    ) -> (u64, Balance) {
        let at = now.timestamp_millis();
        let (wait, state) = match self.ask(partner, terms, price, at).await {
            Some((wait, state)) => {
                let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
                self.states.insert(partner, state);
                (wait, state)
            }
            None => {
                let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
                let (wait, state) = judge(terms, self.states.get(&partner), price, at);
                self.states.insert(partner, state);
                (wait, state)
            }
        };
        let balance = Balance {
            maximum: terms.cost_maximum,
            available: whole(state.points).min(terms.cost_maximum),
            restore_rate: terms.cost_restore,
        };
        (wait, balance)
    }

    /// Asks Redis; `None` while there is none, or it does not answer.
    async fn ask(
        &self,
        partner: PartnerId,
        terms: Terms,
        (requests, points): (i64, i64),
        at: i64,
    ) -> Option<(u64, State)> {
        let (link, script) = self.shared.as_ref()?;
        let mut call = script.prepare_invoke();
        call.key(format!("{}{partner}", link.prefix()))
            .arg(at)
            .arg(terms.requests_per_second.max(1))
            .arg(terms.cost_maximum.max(1))
            .arg(terms.cost_restore.max(1))
            .arg(requests)
            .arg(points);
        let held: Vec<i64> = link
            .within(async |mut redis| -> std::result::Result<_, RedisError> {
                call.invoke_async(&mut redis).await
            })
            .await?;
        let [wait, requests, points] = held.try_into().ok()?;
        #[expect(clippy::cast_precision_loss, reason = "far below what a float holds exactly")]
        let thousandths = |number: i64| number as f64 / 1000.0;
        let state = State { at, requests: thousandths(requests), points: thousandths(points) };
        Some((wait.unsigned_abs(), state))
    }
}

/// The wait in milliseconds, 0 when it was paid, and what the buckets hold then.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times and points of a budget are far below what a float holds exactly"
)]
fn judge(terms: Terms, state: Option<State>, (requests, points): (i64, i64), now: i64) -> (u64, State) {
    let (rate, most) = (f64::from(terms.requests_per_second.max(1)), f64::from(terms.cost_maximum.max(1)));
    let restore = f64::from(terms.cost_restore.max(1));
    let held = state.unwrap_or(State { at: now, requests: rate, points: most });
    let passed = (now - held.at).max(0) as f64 / 1000.0;
    let mut state = State {
        at: now.max(held.at),
        requests: (held.requests + passed * rate).min(rate),
        points: (held.points + passed * restore).min(most),
    };
    let wait = match requests {
        0 => 0.0,
        _ => {
            ((requests as f64 - state.requests) / rate).max((points as f64 - state.points) / restore).max(0.0)
        }
    };
    if wait == 0.0 {
        state.requests -= requests as f64;
        state.points = (state.points - points as f64).min(most);
    }
    ((wait * 1000.0 - 0.001).ceil() as u64, state)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut at the ends by the cast")]
fn whole(points: f64) -> u32 {
    // As precise as Redis keeps them.
    (points + 0.0005).floor() as u32
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;

    const TERMS: Terms = Terms { requests_per_second: 2, cost_maximum: 100, cost_restore: 10 };

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[tokio::test]
    async fn requests_and_points_run_out_and_come_back() {
        let budgets = Budgets::new(None).unwrap();
        let partner = PartnerId(Uuid::from_u128(1));
        let charge = |cost, at| budgets.charge(partner, TERMS, cost, at);
        assert_eq!(charge(60, now()).await.unwrap().available, 40);
        let Unpaid::Wait(wait, balance) = charge(60, now()).await.unwrap_err() else {
            panic!("it may come again")
        };
        assert_eq!((wait, balance.available), (Duration::from_secs(2), 40));
        assert_eq!(charge(40, now()).await.unwrap().available, 0);
        // The third request of this second, though it costs nothing.
        let Unpaid::Wait(wait, _) = charge(0, now()).await.unwrap_err() else { panic!("it may come again") };
        assert_eq!(wait, Duration::from_millis(500));
        let later = now() + TimeDelta::seconds(2);
        assert_eq!(charge(15, later).await.unwrap().available, 5);
        assert_eq!(budgets.give_back(partner, TERMS, 7, later).await.available, 12);
        // What is given back never fills it beyond its size.
        assert_eq!(budgets.give_back(partner, TERMS, 1_000, later).await.available, 100);
        let other = PartnerId(Uuid::from_u128(2));
        assert_eq!(budgets.charge(other, TERMS, 1, now()).await.unwrap().available, 99);
    }

    #[tokio::test]
    async fn what_costs_more_than_everything_is_told_so_and_costs_nothing() {
        let budgets = Budgets::new(None).unwrap();
        let partner = PartnerId(Uuid::from_u128(1));
        let unpaid = budgets.charge(partner, TERMS, 101, now()).await.unwrap_err();
        let Unpaid::TooDear(balance) = unpaid else { panic!("waiting does not help") };
        assert_eq!(balance, Balance { maximum: 100, available: 100, restore_rate: 10 });
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_gives_nothing_for_free() {
        let budgets = Budgets::new(None).unwrap();
        let partner = PartnerId(Uuid::from_u128(1));
        budgets.charge(partner, TERMS, 100, now()).await.unwrap();
        let before = now() - TimeDelta::hours(1);
        assert_eq!(budgets.give_back(partner, TERMS, 0, before).await.available, 0);
        assert_eq!(budgets.give_back(partner, TERMS, 0, now()).await.available, 0);
    }

    fn replica(url: &str, prefix: &str) -> Budgets {
        Budgets::new(Some(&settings::Settings { url: url.into(), prefix: prefix.to_owned() })).unwrap()
    }

    #[tokio::test]
    async fn replicas_share_a_budget_and_each_goes_on_from_what_redis_told_it_last() {
        let url = std::env::var("TEST_REDIS_URL")
            .unwrap_or_else(|_| panic!("TEST_REDIS_URL is missing: run with scripts/services"));
        let prefix = Uuid::new_v4().to_string();
        let (here, there) = (replica(&url, &prefix), replica(&url, &prefix));
        let partner = PartnerId(Uuid::from_u128(1));
        let mut at = now();
        let alone = Budgets::new(None).unwrap();
        // The same steps, on one memory and on two replicas in turn.
        let steps =
            [(30, 0), (60, 0), (20, 400), (0, 100), (90, 3_000), (10, 10), (5, 700), (50, 1_500), (1, 0)];
        let mut refused = 0;
        for (place, (cost, later)) in steps.into_iter().enumerate() {
            at += TimeDelta::milliseconds(later);
            let expected = alone.charge(partner, TERMS, cost, at).await;
            let replica = if place % 2 == 0 { &here } else { &there };
            assert_eq!(replica.charge(partner, TERMS, cost, at).await, expected, "step {place}");
            refused += usize::from(expected.is_err());
        }
        assert!((2..steps.len() - 2).contains(&refused), "{refused}");
        let left = here.give_back(partner, TERMS, 0, at).await;
        let here = Budgets { shared: None, ..here };
        assert_eq!(here.give_back(partner, TERMS, 0, at).await, left);
    }

    #[tokio::test]
    async fn budgets_hold_while_redis_is_dead() {
        let budgets = replica("redis://127.0.0.1:1", "away");
        let partner = PartnerId(Uuid::from_u128(1));
        assert_eq!(budgets.charge(partner, TERMS, 100, now()).await.unwrap().available, 0);
        assert!(budgets.charge(partner, TERMS, 1, now()).await.is_err());
    }
}
