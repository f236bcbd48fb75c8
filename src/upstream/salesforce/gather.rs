//! Statements of one tick travel together.
//!
//! Whoever asks puts the statement down, steps back a few times so that its siblings can do the same, and then
//! whoever is first sends all that lie there: one as a plain query, more as composites of five (a composite counts
//! as one call of the allowance and may hold five queries). The stepping back is a yield of the scheduler, not a
//! timer: futures of one task, and tasks of one thread, always meet; tasks on different threads nearly always do.
//! Where each of them asks another process first whether it must come at all, they come further apart, and then they
//! wait for each other by the clock: [`super::Settings::gather_within`].
//! Sending runs in a task of its own, so an asker who leaves fails nobody, and each asker waits only as long as its
//! own deadline allows. The same statement asked twice is sent once.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::oneshot,
    task::yield_now,
    time::{sleep, timeout_at},
};
use tracing::Instrument;

use crate::{
    deadline::Budget,
    spending::carried,
    upstream::{
        Error, Kind,
        salesforce::{
            client::{Client, QUERY},
            soql::Soql,
        },
    },
};

/// Queries that one composite may hold.
pub(super) const QUERIES: usize = 5;
/// So many yields without a newcomer, and the tick is over. An idle worker needs about a microsecond for one.
const QUIET: usize = 16;
/// So many yields, and it is over in any case.
const PATIENCE: usize = 256;

/// What waits to be sent.
#[derive(Debug)]
pub(super) struct Gather {
    waiting: Mutex<Vec<Asked>>,
    within: Duration,
}

/// One statement and everyone who asked it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) soql: Soql,
    budget: Budget,
    askers: Vec<oneshot::Sender<Result<Bytes, Error>>>,
}

impl Asked {
    /// Hands everyone the answer. Those who have left do not hear it.
    pub(super) fn answer(self, answer: &Result<Bytes, Error>) {
        for asker in self.askers {
            let _ = asker.send(answer.clone());
        }
    }

    fn wanted(&self) -> bool {
        self.askers.iter().any(|asker| !asker.is_closed())
    }
}

/// The budget of a request that serves several: the most urgent lane, the latest deadline.
fn joined(group: &[Asked]) -> Option<Budget> {
    group.iter().map(|asked| asked.budget).reduce(join)
}

fn join(one: Budget, two: Budget) -> Budget {
    Budget { deadline: one.deadline.max(two.deadline), lane: one.lane.min(two.lane) }
}

impl Gather {
    /// Nothing waits yet. Statements that come `within` this time of each other travel together.
    pub(super) fn new(within: Duration) -> Self {
        Self { waiting: Mutex::default(), within }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body that answers a statement: one page, as the vendor sends it.
    pub(super) async fn ask(&self, client: &Client, budget: Budget, soql: Soql) -> Result<Bytes, Error> {
        let (asker, answer) = oneshot::channel();
        self.put(soql, budget, asker);
        self.settle().await;
        self.send(client);
        match timeout_at(budget.deadline.into(), answer).await {
            Ok(Ok(answer)) => answer,
            // The sending task is gone, and the runtime with it.
            Ok(Err(_)) => Err(client.error(QUERY, Kind::Broken)),
            Err(_) => Err(client.error(QUERY, Kind::Deadline)),
        }
    }

    fn put(&self, soql: Soql, budget: Budget, asker: oneshot::Sender<Result<Bytes, Error>>) {
        let mut waiting = self.waiting();
        match waiting.iter_mut().find(|asked| asked.soql == soql) {
            Some(asked) => {
                asked.budget = join(asked.budget, budget);
                asked.askers.push(asker);
            }
            None => waiting.push(Asked { soql, budget, askers: vec![asker] }),
        }
    }

    /// Waits until nobody has come for a while, or somebody has sent everything.
    async fn settle(&self) {
        if !self.within.is_zero() {
            sleep(self.within).await;
        }
        let (mut seen, mut quiet) = (0, 0);
        for _ in 0..PATIENCE {
            let count = self.waiting().len();
            quiet = if count == seen { quiet + 1 } else { 0 };
            seen = count;
            if count == 0 || quiet == QUIET {
                return;
            }
            yield_now().await;
        }
    }

    /// Sends all that waits; the most urgent share a request.
    fn send(&self, client: &Client) {
        let mut waiting = std::mem::take(&mut *self.waiting());
        waiting.retain(Asked::wanted);
        waiting.sort_by_key(|asked| asked.budget.lane);
        let mut waiting = waiting.into_iter();
        loop {
            let group: Vec<Asked> = waiting.by_ref().take(QUERIES).collect();
            let Some(budget) = joined(&group) else { return };
            let client = client.clone();
            tokio::spawn(carried(async move { client.answer(budget, group).await }).in_current_span());
        }
    }
}
