//! Whose token was verified a moment ago, so that a request with it waits for nothing.
//!
//! The names of tokens here are two keyed hashes of 64 bits with keys of this process: as hard to meet
//! by chance as a longer hash that anybody can reckon, for a fifth of its cost. What is recalled is
//! believed exactly as long as the session's state behind it, and no longer than anything ends here.

use std::{
    hash::{BuildHasher, RandomState},
    ops::Range,
};

use chrono::{DateTime, Utc};
use moka::sync::Cache;

use crate::identity::Principal;

/// Tokens that are recalled at most: as many as come within what is believed of a session.
const CAPACITY: u64 = 25_000;
/// What they weigh at most, in bytes.
pub(super) const BYTES: u64 = CAPACITY * 400;

/// The tokens of the last moments.
pub(super) struct Recall {
    keys: [RandomState; 2],
    known: Cache<[u64; 2], Known, foldhash::quality::RandomState>,
}

/// Whom a token speaks for.
#[derive(Clone)]
struct Known {
    principal: Principal,
    /// From when it was verified until the session's state must be read again.
    good: Range<DateTime<Utc>>,
    /// How many sessions had ended here before it was verified.
    ends: u64,
}

impl Recall {
    pub(super) fn new() -> Self {
        let hasher = foldhash::quality::RandomState::default();
        Self {
            keys: [RandomState::new(), RandomState::new()],
            known: Cache::builder().max_capacity(CAPACITY).build_with_hasher(hasher),
        }
    }

    /// Whom the token speaks for; `None` when that has to be found out.
    pub(super) fn get(&self, token: &str, now: DateTime<Utc>, ends: u64) -> Option<Principal> {
        let known = self.known.get(&self.name(token))?;
        // A clock that was set back is no reason to believe for longer.
        (known.ends == ends && known.good.contains(&now)).then_some(known.principal)
    }

    /// Notes what was found out. `ends` was read before.
    pub(super) fn insert(&self, token: &str, principal: Principal, good: Range<DateTime<Utc>>, ends: u64) {
        self.known.insert(self.name(token), Known { principal, good, ends });
    }

    fn name(&self, token: &str) -> [u64; 2] {
        [self.keys[0].hash_one(token), self.keys[1].hash_one(token)]
    }
}
