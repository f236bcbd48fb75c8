//! Postal look-up: the places that a postal code stands for, and the address behind a digital address.
//!
//! Public: whoever fills in an address form may ask, signed in or not. So it is limited by the client's address, and a code
//! is asked for once, however many want it. What a postal code stands for changes monthly and is kept for a day; a
//! digital address is somebody's, who may change it at any time, so it is kept for a moment and never shown old. That
//! nothing has a code is remembered only by the replica that was told so, and shortly: new codes appear.
//!
//! Source: domain reference §9.2, §9.3, §27.

mod address;
mod code;
mod pace;

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use self::pace::Pace;
pub use self::{
    address::{AddressForm, PlaceName, PostalAddress},
    code::{Code, DigitalAddress, PostalCode},
};
use crate::{
    clock::Clock,
    error::{Error, Result, Service},
    freshness::{Cache, Kind, Lifetime, Origin, Owner, Read, Reader, Source, Tag},
    upstream::japan_post,
};

/// Look-ups of one client address in a minute, unless the configuration says otherwise (design choice).
pub const LOOKUPS_PER_MINUTE: u32 = 60;

/// Codes that nothing has: how many are remembered at most.
const UNKNOWN: u64 = 10_000;

/// How long each kind of answer is of use (domain reference §27).
#[derive(Clone, Debug)]
pub struct Times {
    /// The places of a postal code.
    pub code: Lifetime,
    /// The address behind a digital address, which is never shown old.
    pub digital: Duration,
    /// That nothing has a code.
    pub unknown: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            code: Lifetime::fresh_for(Duration::from_secs(24 * 3600)),
            digital: Duration::from_secs(60),
            unknown: Duration::from_secs(300),
        }
    }
}

/// The domain of postal look-up. Clones share everything.
#[derive(Clone)]
pub struct Postal {
    client: Option<japan_post::Client>,
    cache: Cache,
    clock: Clock,
    shared: Arc<Shared>,
}

struct Shared {
    code: Kind,
    digital: Kind,
    unknown_within: TimeDelta,
    /// When each of these codes was found to be nobody's.
    unknown: moka::sync::Cache<Code, DateTime<Utc>>,
    pace: Pace,
}

impl Postal {
    /// The domain over one client of the post; without a client every look-up is refused as not set up.
    pub fn new(
        client: Option<japan_post::Client>,
        cache: Cache,
        clock: Clock,
        times: &Times,
        per_minute: u32,
    ) -> Self {
        let kind = |name, lifetime| cache.kind(name, Service::Postal, lifetime);
        let shared = Shared {
            code: kind("postal_code", times.code),
            digital: kind("digital_address", Lifetime::fresh_for(times.digital)).never_stale(),
            unknown_within: TimeDelta::from_std(times.unknown).unwrap_or(TimeDelta::MAX),
            unknown: moka::sync::Cache::new(UNKNOWN),
            pace: Pace::new(per_minute),
        };
        Self { client, cache, clock, shared: Arc::new(shared) }
    }

    /// The addresses that a code stands for: several where a code is shared, none where nothing has it. `code` is as a
    /// person writes it, see [`Code::parse`]; `from` is the client that asks.
    ///
    /// # Errors
    /// [`Error::BadInput`] for what is no code, [`Error::NotConfigured`], [`Error::RateLimited`] when the client
    /// asks too often, [`Error::Unavailable`] when the post does not answer and nothing older may be shown.
    pub async fn look_up(
        &self,
        reader: &Reader,
        from: Option<IpAddr>,
        code: &str,
    ) -> Result<Read<Vec<PostalAddress>>> {
        let code = Code::parse(code).map_err(|reason| Error::BadInput { argument: "code", reason })?;
        let client = self.client.clone().ok_or(Error::NotConfigured { service: Service::Postal })?;
        let shared = &*self.shared;
        shared.pace.admit(from)?;
        if let Some(asked_at) = shared.unknown.get(&code)
            && self.clock.now() < asked_at + shared.unknown_within
        {
            return Ok(nothing(reader, Source::Memory, asked_at));
        }
        let kind = if matches!(code, Code::Postal(_)) { &shared.code } else { &shared.digital };
        let key = Owner::Public.key(kind, &code);
        let budget = reader.budget();
        let wanted = [(key.clone(), vec![tag()])];
        let load = |_| {
            let (key, code) = (key.clone(), code.clone());
            async move {
                let found = client.search_code(budget, code.as_str()).await?;
                let addresses: Vec<_> = found.into_iter().map(PostalAddress::new).collect();
                // What is left out is not remembered.
                Ok(if addresses.is_empty() { HashMap::new() } else { HashMap::from([(key, addresses)]) })
            }
        };
        let asked_at = self.clock.now();
        let mut found = self.cache.read_many(reader, kind, &wanted, load).await?;
        Ok(found.remove(&key).unwrap_or_else(|| {
            shared.unknown.insert(code, asked_at);
            nothing(reader, Source::Live, asked_at)
        }))
    }
}

/// That nothing has a code. An answer that says so is not kept whole: nothing would tell when it ends.
fn nothing(reader: &Reader, source: Source, loaded_at: DateTime<Utc>) -> Read<Vec<PostalAddress>> {
    reader.keep_not();
    Read::new(Arc::default(), Origin { source, loaded_at, stale: None })
}

/// The monthly edition of the postal data: raising it makes every look-up old.
fn tag() -> Tag {
    Tag::new("postal")
}
