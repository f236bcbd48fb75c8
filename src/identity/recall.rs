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

use crate::{id::UserId, identity::Caller};

/// Tokens that are recalled at most: about 250 bytes each.
const CAPACITY: u64 = 50_000;

/// The tokens of the last moments.
pub(super) struct Recall {
    keys: [RandomState; 2],
    known: Cache<[u64; 2], Known, foldhash::quality::RandomState>,
}

/// Whom a token speaks for.
#[derive(Clone)]
struct Known {
    caller: Caller,
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

    /// Whom the token speaks for, beside the customer that the request names; `None` when that has to be found out.
    pub(super) fn get(
        &self,
        token: &str,
        customer: Option<UserId>,
        now: DateTime<Utc>,
        ends: u64,
    ) -> Option<Caller> {
        let known = self.known.get(&self.name(token, customer))?;
        // A clock that was set back is no reason to believe for longer.
        (known.ends == ends && known.good.contains(&now)).then_some(known.caller)
    }

    /// Notes what was found out. `ends` was read before.
    pub(super) fn insert(
        &self,
        token: &str,
        customer: Option<UserId>,
        caller: Caller,
        good: Range<DateTime<Utc>>,
        ends: u64,
    ) {
        self.known.insert(self.name(token, customer), Known { caller, good, ends });
    }

    fn name(&self, token: &str, customer: Option<UserId>) -> [u64; 2] {
        let name = (token, customer);
        [self.keys[0].hash_one(name), self.keys[1].hash_one(name)]
    }
}
