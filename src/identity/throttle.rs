//! Delay after failed sign-ins: guessing gets slow, but nobody is locked out for good (requirement A4).

use std::{net::IpAddr, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use moka::{future::Cache, ops::compute::Op, policy::EvictionPolicy};

use crate::error::{Error, Result};

/// Keys remembered at most; the longest unused go first.
const CAPACITY: u64 = 100_000;
/// The first delay; each further failure doubles it.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The longest delay.
const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);
/// Failures are forgotten after this time without another.
const MEMORY: TimeDelta = TimeDelta::days(1);

/// Counts failures by key and makes those wait who have too many.
///
/// A try counts as a failure from its beginning until [`Throttle::forget`] or [`Throttle::withdraw`]
/// says otherwise, so that many at once are no way around it, nor is hanging up early.
pub(super) struct Throttle {
    free: u32,
    tries: Cache<[u8; 32], Tries>,
}

#[derive(Clone, Copy)]
struct Tries {
    failures: u32,
    last_at: DateTime<Utc>,
}

impl Throttle {
    /// After `free` failures each further try must wait.
    pub(super) fn new(free: u32) -> Self {
        let tries = Cache::builder()
            .max_capacity(CAPACITY)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(MEMORY.to_std().unwrap_or(LONGEST_DELAY))
            .build();
        Self { free, tries }
    }

    /// Counts a try, or refuses it when it comes too early; then it does not count.
    pub(super) async fn admit(&self, key: [u8; 32], now: DateTime<Utc>) -> Result<()> {
        let mut wait = None;
        self.tries
            .entry(key)
            .and_compute_with(|known| {
                let known =
                    known.map(|entry| entry.into_value()).filter(|tries| now - tries.last_at < MEMORY);
                let failures = known.map_or(0, |tries| tries.failures);
                wait = known
                    .and_then(|tries| (tries.last_at + self.delay(failures) - now).to_std().ok())
                    .filter(|wait| !wait.is_zero());
                std::future::ready(match wait {
                    Some(_) => Op::Nop,
                    None => Op::Put(Tries { failures: failures.saturating_add(1), last_at: now }),
                })
            })
            .await;
        wait.map_or(Ok(()), |retry_after| Err(Error::RateLimited { retry_after, service: None }))
    }

    /// The try was right: all failures of the key are forgotten.
    pub(super) async fn forget(&self, key: [u8; 32]) {
        self.tries.invalidate(&key).await;
    }

    /// The try was no failure: it alone is uncounted.
    pub(super) async fn withdraw(&self, key: [u8; 32]) {
        self.tries
            .entry(key)
            .and_compute_with(|known| {
                std::future::ready(match known.map(|entry| entry.into_value()) {
                    Some(tries) if tries.failures > 1 => {
                        Op::Put(Tries { failures: tries.failures - 1, ..tries })
                    }
                    Some(_) => Op::Remove,
                    None => Op::Nop,
                })
            })
            .await;
    }

    fn delay(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(beyond) => FIRST_DELAY.saturating_mul(1 << beyond.min(20)).min(LONGEST_DELAY),
        }
    }
}

/// The network that counts as one client: an IPv4 address, or the /64 of an IPv6 address.
pub fn network_of(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets()[..8].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    const KEY: [u8; 32] = [1; 32];

    async fn wait(throttle: &Throttle, now: DateTime<Utc>) -> u64 {
        match throttle.admit(KEY, now).await {
            Ok(()) => 0,
            Err(Error::RateLimited { retry_after, service: None }) => retry_after.as_secs(),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn five_failures_are_free_then_the_delay_doubles_up_to_a_quarter_of_an_hour() {
        let throttle = Throttle::new(5);
        let mut now = Utc::now();
        for _ in 0..5 {
            assert_eq!(wait(&throttle, now).await, 0);
        }
        for delay in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            assert_eq!(wait(&throttle, now).await, delay);
            assert_eq!(wait(&throttle, now).await, delay, "a refused try does not count");
            now += TimeDelta::seconds(delay.try_into().unwrap());
            assert_eq!(wait(&throttle, now).await, 0);
        }
        assert_eq!(wait(&throttle, now + TimeDelta::days(1)).await, 0);
    }

    #[tokio::test]
    async fn a_success_forgets_and_a_withdrawn_try_does_not_count() {
        let throttle = Throttle::new(5);
        let now = Utc::now();
        for _ in 0..20 {
            assert_eq!(wait(&throttle, now).await, 0);
            throttle.withdraw(KEY).await;
        }
        for _ in 0..5 {
            assert_eq!(wait(&throttle, now).await, 0);
        }
        assert_eq!(wait(&throttle, now).await, 1);
        throttle.forget(KEY).await;
        assert_eq!(wait(&throttle, now).await, 0);
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }
}
