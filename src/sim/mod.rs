//! Mobile lines: state, usage, quota and options.
//!
//! A line is reached only through a subscription that the viewer owns, so the methods here take the
//! number that billing names for it. One line per call: the carrier forbids sweeps (Freebit reference
//! §2.6). Source of the rules: domain reference §19, §21.

mod line;
pub mod tags;
mod usage;

use std::{sync::Arc, time::Duration};

use chrono::{Months, NaiveDate};

pub use self::{
    line::{LineState, LineStatus, NetworkType, SimType, VoiceOptions},
    usage::{DayUsage, QuotaAddition, Usage},
};
use crate::{
    clock::Clock,
    error::{Result, Service},
    freshness::{Cache, Kind, Lifetime, Read},
    identity::Viewer,
    upstream::freebit,
};

/// How far back the history of added data reaches.
const HISTORY: Months = Months::new(6);

/// How long each kind of answer is of use (domain reference §21, §27).
#[derive(Clone, Debug)]
pub struct Times {
    /// State, plan and options of a line.
    pub line: Lifetime,
    /// Data used.
    pub usage: Lifetime,
    /// Data added.
    pub quota: Lifetime,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            line: Lifetime::fresh_for(Duration::from_secs(300)),
            usage: Lifetime::fresh_for(Duration::from_secs(60)),
            quota: Lifetime::fresh_for(Duration::from_secs(300)),
        }
    }
}

/// The domain of mobile lines. Clones share everything.
#[derive(Clone)]
pub struct Sim {
    freebit: freebit::Client,
    cache: Cache,
    clock: Clock,
    kinds: Arc<Kinds>,
}

struct Kinds {
    line: Kind,
    usage: Kind,
    quota: Kind,
}

impl Sim {
    /// The domain over one client of the mobile network.
    pub fn new(freebit: freebit::Client, cache: Cache, clock: Clock, times: &Times) -> Self {
        let kind = |name, lifetime| cache.kind(name, Service::Sim, lifetime);
        let kinds = Kinds {
            line: kind("line", times.line),
            usage: kind("usage", times.usage),
            quota: kind("quota", times.quota),
        };
        Self { freebit, cache, clock, kinds: Arc::new(kinds) }
    }

    /// State, plan and options of a line; `None` when the network does not know the number yet.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`] when the network does not answer.
    pub async fn state(&self, viewer: &Viewer, number: &str) -> Result<Read<Option<LineState>>> {
        let budget = viewer.budget();
        self.cache
            .read(
                viewer.reader(),
                &self.kinds.line,
                viewer.owner().key(&self.kinds.line, number),
                vec![tags::state(number)],
                || {
                    let (freebit, number) = (self.freebit.clone(), number.to_owned());
                    async move { Ok(freebit.get_detail(budget, &number).await?.map(LineState::new)) }
                },
            )
            .await
    }

    /// Data used on a line, today and on recent days.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`] when the network does not answer.
    pub async fn usage(&self, viewer: &Viewer, number: &str) -> Result<Read<Usage>> {
        let budget = viewer.budget();
        self.cache
            .read(
                viewer.reader(),
                &self.kinds.usage,
                viewer.owner().key(&self.kinds.usage, number),
                vec![tags::usage(number)],
                || {
                    let (sim, number) = (self.clone(), number.to_owned());
                    async move {
                        let traffic = sim.freebit.get_traffic_info(budget, &number).await?;
                        Ok(Usage::new(traffic, sim.clock.today()))
                    }
                },
            )
            .await
    }

    /// Data added to a line in the last six months, newest first.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`] when the network does not answer.
    pub async fn additions(&self, viewer: &Viewer, number: &str) -> Result<Read<Vec<QuotaAddition>>> {
        let budget = viewer.budget();
        self.cache
            .read(
                viewer.reader(),
                &self.kinds.quota,
                viewer.owner().key(&self.kinds.quota, number),
                vec![tags::quota(number)],
                || {
                    let (sim, number) = (self.clone(), number.to_owned());
                    async move {
                        let to = sim.clock.today();
                        let from = to.checked_sub_months(HISTORY).unwrap_or(NaiveDate::MIN);
                        let history = sim.freebit.get_quota_history(budget, &number, from, to).await?;
                        Ok(QuotaAddition::list(history))
                    }
                },
            )
            .await
    }
}
