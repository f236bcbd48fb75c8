//! How often one client may look up: GCRA by its address, since nobody need be signed in (domain reference §9.3).
//!
//! Each replica counts by itself, so that a look-up that memory answers costs no round trip.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::HashMapStateStore,
};

use crate::error::{Error, Result};

/// Clients that are remembered before the quiet ones are forgotten.
const CLIENTS: usize = 10_000;
/// The part of a minute's look-ups that may come at once.
const AT_ONCE: u32 = 3;

/// Counts look-ups by client.
pub(super) struct Pace(RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>);

impl Pace {
    pub(super) fn new(per_minute: u32) -> Self {
        let each = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
        let at_once = NonZeroU32::new(per_minute / AT_ONCE).unwrap_or(NonZeroU32::MIN);
        Self(RateLimiter::hashmap(Quota::per_minute(each).allow_burst(at_once)))
    }

    /// Counts a look-up, or says when the next may come. Clients without an address count as one.
    pub(super) fn admit(&self, from: Option<IpAddr>) -> Result<()> {
        if self.0.len() > CLIENTS {
            self.0.retain_recent();
        }
        let client = from.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), network);
        self.0.check_key(&client).map_err(|refused| Error::RateLimited {
            retry_after: refused.wait_time_from(self.0.clock().now()),
            service: None,
        })
    }
}

/// The network that counts as one client: an IPv4 address, or the /64 of an IPv6 address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::time::Duration;

    use super::*;

    #[test]
    fn a_third_of_a_minute_may_come_at_once_and_then_it_is_told_when_to_come_back() {
        let pace = Pace::new(6);
        let from = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        for _ in 0..2 {
            pace.admit(from("192.0.2.1")).unwrap();
        }
        let Err(Error::RateLimited { retry_after, service: None }) = pace.admit(from("192.0.2.1")) else {
            panic!("the third is refused");
        };
        assert!(
            retry_after > Duration::from_secs(5) && retry_after <= Duration::from_secs(10),
            "{retry_after:?}"
        );
        assert!(pace.admit(from("::ffff:192.0.2.1")).is_err(), "the same client");
        assert!(pace.admit(from("192.0.2.2")).is_ok(), "another one");
        for last in 1..=2 {
            pace.admit(from(&format!("2001:db8:1:2::{last}"))).unwrap();
        }
        assert!(pace.admit(from("2001:db8:1:2:ffff::3")).is_err(), "one network");
        assert!(pace.admit(from("2001:db8:1:3::1")).is_ok());
    }

    #[test]
    fn the_least_pace_still_admits_one() {
        let pace = Pace::new(1);
        assert!(pace.admit(None).is_ok());
        assert!(pace.admit(None).is_err());
    }
}
