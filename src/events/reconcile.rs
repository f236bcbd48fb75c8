//! Compares, at a slow pace, what is served with what the systems say, and heals what differs: a change may have been
//! reported by nobody, or its report may be lost.
//!
//! One replica at a time goes round the mapped customers, in the background lane: while a system's breaker is open, or
//! Salesforce's allowance is nearly used, it is refused, and waits. A round begins from time to time, and at once when
//! [`Store::reconciliations`] asks for one; billing's automation, which asks after each of its runs, may have to wait.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    billing::Billing,
    clock::Clock,
    crm::Crm,
    deadline::{Budget, Lane},
    error::Error,
    events::{Change, Inbox, lease::Turn},
    freshness::{Cache, Owner, Tag},
    notify::Live,
    store::{Mapping, Store, streams::Reconciliation},
};

/// The lease of the replica that compares.
const LEASE: &str = "reconciliation";
/// How long the lease lasts when it is not renewed.
const LEASE_LASTS: Duration = Duration::from_secs(30);
/// The scope of a comparison that billing's automation asks for: its changes come in bursts, whose reports may be lost.
pub(super) const AUTOMATION: &str = "billing";
/// The automation runs every few minutes: from the end of a round to the begin of one that it alone asks for.
const AUTOMATION_PAUSE: Duration = Duration::from_secs(30 * 60);
/// How often it is looked whether a round is asked for.
const LOOK: Duration = Duration::from_secs(60);
/// Customers that are looked up at once.
const PAGE: u32 = 200;
/// How long the systems may take for one customer. Nobody waits for it.
const WITHIN: Duration = Duration::from_secs(60);
/// How long to wait when a system is away.
const AWAY: Duration = Duration::from_secs(30);
/// How often a customer is tried before the round goes on without.
const TRIES: u32 = 3;

/// How much is compared, and when.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Customers a minute; 0 compares nothing.
    pub per_minute: u32,
    /// From the end of a round to the begin of the next, when none is asked for.
    pub every: Duration,
    /// How long a difference is watched before it counts: a report of it may be on its way.
    pub settle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { per_minute: 30, every: Duration::from_secs(60 * 60), settle: Duration::from_secs(6) }
    }
}

/// What this replica has compared since it began to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Customers that were compared.
    pub checked: u64,
    /// Lists of theirs that differed, and were healed.
    pub drifted: u64,
    /// When the counting began.
    pub since: DateTime<Utc>,
}

/// What one round came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Customers that were compared.
    pub checked: u64,
    /// Lists of theirs that differed, and were healed.
    pub drifted: u64,
    /// Customers that could not be compared.
    pub failed: u64,
}

/// When the next round begins.
#[derive(Debug)]
struct Schedule {
    every: Duration,
    /// When nobody asks for it.
    unasked: Instant,
    /// When somebody does.
    asked: Instant,
    /// When only billing's automation does.
    automated: Instant,
}

impl Schedule {
    fn new(every: Duration, now: Instant) -> Self {
        Self { every, unasked: now + every, asked: now, automated: now }
    }

    /// When a round begins that does what is asked for.
    fn due(&self, requests: &[Reconciliation]) -> Instant {
        let begins =
            |request: &Reconciliation| if request.scope == AUTOMATION { self.automated } else { self.asked };
        requests.iter().map(begins).fold(self.unasked, Instant::min)
    }

    /// A round has ended. What is asked for is done at once, unless the round was not whole.
    fn ended(&mut self, round: &Round, now: Instant) {
        self.unasked = now + self.every;
        self.asked = if round.failed > 0 { self.unasked } else { now };
        self.automated = self.unasked.min(self.asked + AUTOMATION_PAUSE);
    }
}

/// Compares what is served with the systems. Clones share everything.
#[derive(Clone)]
pub struct Reconciler(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    billing: Billing,
    crm: Crm,
    cache: Cache,
    live: Live,
    asked: Arc<Notify>,
    settings: Settings,
    tally: Mutex<Tally>,
}

impl Reconciler {
    /// One over the domains, for what is asked for in an inbox.
    pub fn new(
        inbox: &Inbox,
        billing: Billing,
        crm: Crm,
        cache: Cache,
        live: Live,
        settings: Settings,
    ) -> Self {
        let (store, clock, asked) = (inbox.store.clone(), inbox.clock.clone(), inbox.reconcile());
        let tally = Mutex::new(Tally { checked: 0, drifted: 0, since: clock.now() });
        Self(Arc::new(Inner { store, clock, billing, crm, cache, live, asked, settings, tally }))
    }

    /// What this replica has compared.
    pub fn tally(&self) -> Tally {
        *self.0.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes round whenever it is this replica's turn, until told to stop. Two that compare do no harm.
    pub async fn run(&self, stopping: CancellationToken) {
        let Inner { store, clock, settings, .. } = &*self.0;
        if settings.per_minute > 0 {
            let turn = Turn::new(store.clone(), clock.clone(), LEASE, LEASE_LASTS);
            turn.run(&stopping, |_| self.rounds()).await;
        }
    }

    /// Goes round again and again.
    async fn rounds(&self) {
        let Inner { store, asked, settings, .. } = &*self.0;
        let mut schedule = Schedule::new(settings.every, Instant::now());
        loop {
            let requests = self.requests().await;
            let due = schedule.due(&requests);
            if Instant::now() < due {
                tokio::select! {
                    () = asked.notified() => {}
                    () = sleep_until(due.min(Instant::now() + LOOK)) => {}
                }
                continue;
            }
            let round = self.round().await;
            tracing::info!(
                checked = round.checked,
                drifted = round.drifted,
                failed = round.failed,
                "what is served was compared with the systems"
            );
            schedule.ended(&round, Instant::now());
            if round.failed > 0 {
                // What was asked for stays asked for.
                continue;
            }
            for request in &requests {
                if let Err(error) = store.reconciled(request).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, scope = request.scope, "a comparison cannot be settled");
                }
            }
        }
    }

    async fn requests(&self) -> Vec<Reconciliation> {
        self.0.store.reconciliations().await.unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "nobody can say whether a comparison is asked for");
            Vec::new()
        })
    }

    /// Compares every mapped customer once, at the pace of the settings.
    pub async fn round(&self) -> Round {
        let Inner { store, settings, .. } = &*self.0;
        let mut pace = interval(Duration::from_secs(60) / settings.per_minute.max(1));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut round, mut last, mut is_away) = (Round::default(), None, false);
        loop {
            let page = match store.mappings_after(last, PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the customers to be compared cannot be read");
                    round.failed += 1;
                    return round;
                }
            };
            let Some(end) = page.last() else { return round };
            last = Some(end.user);
            for mapping in &page {
                pace.tick().await;
                let (drifted, outcome) = self.check_patiently(mapping, is_away).await;
                round.drifted += drifted;
                is_away = matches!(outcome, Err(Error::Unavailable { .. }));
                match outcome {
                    Ok(()) => {
                        round.checked += 1;
                        metrics::counter!("reconcile_checked_total").increment(1);
                    }
                    Err(error) => {
                        round.failed += 1;
                        metrics::counter!("reconcile_failed_total", "code" => error.code()).increment(1);
                    }
                }
            }
        }
    }

    /// Compares one customer; waits and tries again while a system refuses background work, or is away: what one
    /// customer lacks may be the customer's own fault, what two after each other lack is the system's.
    async fn check_patiently(&self, mapping: &Mapping, is_away: bool) -> (u64, Result<(), Error>) {
        let (mut tries, mut drifted) = (1, 0);
        loop {
            let (count, outcome) = self.check(mapping).await;
            drifted += count;
            let pause = match outcome {
                Err(Error::RateLimited { retry_after, .. }) if tries < TRIES => {
                    retry_after.clamp(Duration::from_secs(1), LOOK)
                }
                Err(Error::Unavailable { .. }) if is_away && tries < TRIES => AWAY,
                outcome => return (drifted, outcome),
            };
            tries += 1;
            sleep(pause).await;
        }
    }

    /// Compares one customer and heals what differs. Gives how many lists did, and why not all could be compared.
    async fn check(&self, mapping: &Mapping) -> (u64, Result<(), Error>) {
        let Inner { billing, crm, settings, .. } = &*self.0;
        let Mapping { user, client, account } = *mapping;
        let (owner, budget) = (Owner::User(user), Budget::new(WITHIN, Lane::Background));
        let (billing, crm) = tokio::join!(
            billing.compare(owner, client, budget, settings.settle),
            crm.compare(owner, account, budget, settings.settle),
        );
        let mut drifted = Vec::new();
        let mut note = |is_drifted: bool, kind: &'static str, change: Change| {
            if is_drifted {
                drifted.push((kind, change));
            }
        };
        if let Ok(drift) = &billing {
            note(drift.invoices, "invoices", Change::Invoice { client, invoice: None });
            note(drift.subscriptions, "subscriptions", Change::Subscription { client, subscription: None });
            note(drift.profile, "profile", Change::Profile { client });
            note(drift.payment_methods, "payment_methods", Change::PaymentMethods { client });
        }
        if let Ok(drift) = &crm {
            note(drift.orders, "orders", Change::Order { account, order: None });
            note(drift.cases, "cases", Change::Case { account, case: None });
        }
        let count = drifted.len() as u64;
        self.heal(mapping, &drifted).await;
        let mut tally = self.0.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.drifted += count;
        let outcome = billing.and(crm).map(|_| ());
        tally.checked += u64::from(outcome.is_ok());
        (count, outcome)
    }

    /// Makes what differs old everywhere, and tells the listeners.
    async fn heal(&self, mapping: &Mapping, drifted: &[(&'static str, Change)]) {
        for (kind, _) in drifted {
            metrics::counter!("reconcile_drift_total", "kind" => *kind).increment(1);
            let (client, account) = (mapping.client.0, mapping.account.as_str());
            tracing::warn!(client, account, kind, "what is served was not what its system says");
        }
        let tags: Vec<Tag> = drifted.iter().flat_map(|(_, change)| change.tags()).collect();
        if self.0.cache.invalidate(&tags).await.is_err() {
            tracing::warn!("not every replica has confirmed what was healed; it will when Redis is back");
        }
        for (_, change) in drifted {
            self.0.live.publish(change.hint()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_done_at_once_and_the_automation_does_not_keep_rounds_going() {
        let (every, now) = (Duration::from_secs(60 * 60), Instant::now());
        let asked = |scope: &str| {
            [Reconciliation { scope: scope.to_owned(), reason: String::new(), requested_at: Utc::now() }]
        };
        let (refused, automated) = (asked("/data/OrderChangeEvent"), asked(AUTOMATION));
        let both = [refused.as_slice(), &automated].concat();
        let mut schedule = Schedule::new(every, now);
        assert_eq!(schedule.due(&[]), now + every);
        assert_eq!((schedule.due(&refused), schedule.due(&automated)), (now, now));

        let end = now + Duration::from_secs(60);
        schedule.ended(&Round { checked: 6, drifted: 1, failed: 0 }, end);
        assert_eq!((schedule.due(&[]), schedule.due(&refused)), (end + every, end));
        assert_eq!(schedule.due(&automated), end + AUTOMATION_PAUSE);
        assert_eq!(schedule.due(&both), end);

        // One that was not whole is not repeated at once.
        schedule.ended(&Round { checked: 5, drifted: 0, failed: 1 }, end);
        assert_eq!(schedule.due(&both), end + every);
    }
}
