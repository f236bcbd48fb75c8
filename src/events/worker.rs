//! Applies what is in the inbox: claims events, says what changed, makes answers old, settles the rows.
//!
//! A row is settled only after every replica has confirmed that the answers are old, so nothing is lost with a replica;
//! what was applied and not yet settled is applied again by another, which does no harm.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use tokio::{sync::Notify, time::interval};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    error::Error,
    events::{
        Change, Inbox, Meaning, Notice, Owners, Settings,
        owners::Unknown,
        reconcile::AUTOMATION,
        salesforce::{Changes, Unmapped},
        whmcs::{Hook, Ids},
    },
    freshness::{Cache, Tag},
    id::ClientId,
    notify::{Hint, Live, Notifications},
    store::{
        self, MirroredList, Store,
        inbox::{Claimed, Failed, Source},
    },
};

/// Events of one batch: one confirmation by all replicas serves them all.
const BATCH: u32 = 200;
/// How long a batch may take before another replica takes it over.
const LEASE: Duration = Duration::from_secs(60);
/// Owners that are asked for at once.
const QUESTIONS: usize = 8;
/// When an event is tried again that needs a system which is away.
const AWAY: TimeDelta = TimeDelta::seconds(5);
/// When an event is tried again that a replica did not confirm.
const UNCONFIRMED: TimeDelta = TimeDelta::milliseconds(500);
/// How often the worker looks how full the inbox is.
const LOOK: Duration = Duration::from_secs(15);
/// How often old ids are forgotten.
const PURGE: Duration = Duration::from_secs(60 * 60);

/// Applies events. One a replica.
#[derive(Clone)]
pub struct Worker {
    store: Store,
    clock: Clock,
    news: Arc<Notify>,
    reconcile: Arc<Notify>,
    cache: Cache,
    owners: Owners,
    /// Says what the CRM's events mean; `None` when they are not read.
    crm: Option<Changes>,
    live: Live,
    notifications: Notifications,
    settings: Settings,
}

/// Why nobody can say what an event means.
enum Setback {
    /// A system that has to be asked is away.
    Away,
    /// It will never be understood; the sentence goes to the dead letters.
    Poison(&'static str),
}

impl Worker {
    /// A worker on an inbox.
    pub fn new(
        inbox: &Inbox,
        cache: Cache,
        owners: Owners,
        crm: Option<Changes>,
        live: Live,
        notifications: Notifications,
        settings: Settings,
    ) -> Self {
        Self {
            store: inbox.store.clone(),
            clock: inbox.clock.clone(),
            news: inbox.news(),
            reconcile: inbox.reconcile(),
            cache,
            owners,
            crm,
            live,
            notifications,
            settings,
        }
    }

    /// Applies events until `stopping` is cancelled; a batch that was begun is finished.
    pub async fn run(self, stopping: CancellationToken) {
        let mut poll = interval(self.settings.poll);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut look, mut purge) = (interval(LOOK), interval(PURGE));
        loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                _ = look.tick() => self.look().await,
                _ = purge.tick() => self.purge().await,
                () = self.news.notified() => self.drain(&stopping).await,
                _ = poll.tick() => self.drain(&stopping).await,
            }
        }
    }

    /// Applies batches until nothing is due.
    async fn drain(&self, stopping: &CancellationToken) {
        while !stopping.is_cancelled() {
            match self.round().await {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    // The next look tries again.
                    tracing::warn!(error = &error as &dyn std::error::Error, "events cannot be applied now");
                    return;
                }
            }
        }
    }

    /// Applies one batch. Gives the number of events that were claimed.
    ///
    /// # Errors
    /// When the database fails; what was claimed is due again when its lease ends.
    pub async fn round(&self) -> Result<usize, Error> {
        let claimed = self.store.claim_events(BATCH, self.clock.now(), LEASE).await?;
        let count = claimed.len();
        let (hooks, reports): (Vec<_>, Vec<_>) =
            claimed.into_iter().partition(|event| event.source == Source::Billing);
        let hooks = stream::iter(hooks).map(|event| async move {
            let meaning = self.understand_hook(&event).await;
            (event, meaning)
        });
        let (mut meanings, reports) = tokio::join!(
            hooks.buffer_unordered(QUESTIONS).collect::<Vec<_>>(),
            self.understand_reports(reports)
        );
        meanings.extend(reports);
        let mut understood = Vec::with_capacity(count);
        for (event, meaning) in meanings {
            match meaning {
                Ok(meaning) => understood.push((event, meaning)),
                Err(setback) => self.set_back(&event, setback).await?,
            }
        }
        if !understood.is_empty() {
            self.apply(understood).await?;
        }
        Ok(count)
    }

    /// What the CRM's events mean in the portal's words.
    async fn understand_reports(&self, events: Vec<Claimed>) -> Vec<(Claimed, Result<Meaning, Setback>)> {
        let meanings = match &self.crm {
            Some(crm) => crm.of(&events).await,
            // Left over from when they were read: nothing that is served waits for them now.
            None => events.iter().map(|_| Ok(Meaning::default())).collect(),
        };
        let meanings = meanings.into_iter().map(|meaning| {
            meaning.map_err(|unmapped| match unmapped {
                Unmapped::Later(error) => {
                    tracing::warn!(%error, "the CRM cannot say what an event means; it waits");
                    Setback::Away
                }
                Unmapped::Unreadable => Setback::Poison("a payload that cannot be read"),
            })
        });
        events.into_iter().zip(meanings).collect()
    }

    /// What a hook of billing means in the portal's words.
    async fn understand_hook(&self, event: &Claimed) -> Result<Meaning, Setback> {
        let hook = Hook::find(&event.topic).ok_or(Setback::Poison("a hook that is not known any more"))?;
        let ids: Ids = serde_json::from_str(&event.payload)
            .map_err(|_| Setback::Poison("a payload that cannot be read"))?;
        if ids.other_client.is_some() {
            self.owners.forget();
        }
        let client = if hook.needs_client() { self.owners.find(&ids).await } else { Ok(None) };
        let client = client.map_err(|unknown| match unknown {
            Unknown::Away(error) => {
                tracing::warn!(hook = hook.name, %error, "billing cannot say whose it is; the event waits");
                Setback::Away
            }
            Unknown::Odd(error) => {
                tracing::error!(hook = hook.name, %error, "billing does not say whose it is");
                Setback::Poison("billing does not say whose it is")
            }
        })?;
        Ok(Meaning {
            is_early: hook.is_early,
            asks_comparison: hook.asks_comparison(),
            ..Meaning::from(hook.changes(&ids, client))
        })
    }

    /// Makes answers old on every replica, writes the notices, settles the rows, tells the listeners: in this order, so
    /// that whoever follows a notice finds what it speaks of, and none is lost with a replica.
    async fn apply(&self, batch: Vec<(Claimed, Meaning)>) -> Result<(), Error> {
        let tags: HashSet<Tag> =
            batch.iter().flat_map(|(_, meaning)| &meaning.changes).flat_map(Change::tags).collect();
        let tags: Vec<Tag> = tags.into_iter().collect();
        let confirmed = self.cache.invalidate(&tags).await;
        let now = self.clock.now();
        if let Err(error) = confirmed {
            tracing::warn!(%error, events = batch.len(), "not every replica confirmed a change; its events wait");
            for (event, _) in &batch {
                count("postponed", event);
                self.store.event_postponed(event, now + UNCONFIRMED).await?;
            }
            return Ok(());
        }
        for (event, meaning) in &batch {
            if let Some(notice) = meaning.notice {
                self.notify(notice, &event.event_id).await?;
            }
        }
        let mut tx = self.store.begin().await?;
        for (event, meaning) in &batch {
            let again = meaning.is_early.then(|| self.again(event, now)).flatten();
            if tx.event_applied(event, now, again).await? && event.passes == 0 {
                count("applied", event);
                let lag = (now - event.occurred_at).to_std().unwrap_or_default();
                metrics::histogram!("invalidation_lag_seconds", "source" => event.source.as_str())
                    .record(lag.as_secs_f64());
            }
        }
        let changes = batch.iter().flat_map(|(_, meaning)| &meaning.changes);
        // In one order, so that no two workers wait for each other.
        let marks: BTreeSet<_> = changes.filter_map(mirror_mark).collect();
        for (client, list) in marks {
            match list {
                Some(list) => tx.mirror_changed(list, client, now).await?,
                None => tx.forget_mirrors(client).await?,
            }
        }
        let asks_comparison = batch.iter().any(|(_, meaning)| meaning.asks_comparison);
        if asks_comparison {
            tx.request_reconciliation(AUTOMATION, "the automation of billing has run", now).await?;
        }
        tx.commit().await?;
        if asks_comparison {
            self.reconcile.notify_one();
        }
        let hints: HashSet<Hint> =
            batch.iter().flat_map(|(_, meaning)| &meaning.changes).map(Change::hint).collect();
        for hint in hints {
            self.live.publish(hint).await;
        }
        Ok(())
    }

    /// Rings the bell, once for each event, however often that is applied.
    async fn notify(&self, notice: Notice, event_id: &str) -> Result<(), Error> {
        let Notice::Eligibility { account, is_eligible } = notice;
        self.notifications.eligibility_changed(account, is_eligible, event_id).await.map(drop)
    }

    /// When an event is applied once more; `None` after the last time.
    fn again(&self, event: &Claimed, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let after = self.settings.repeats.get(usize::try_from(event.passes).ok()?)?;
        Some((event.received_at + TimeDelta::from_std(*after).ok()?).max(now))
    }

    async fn set_back(&self, event: &Claimed, setback: Setback) -> Result<(), store::Error> {
        let now = self.clock.now();
        let Setback::Poison(reason) = setback else {
            count("postponed", event);
            self.store.event_postponed(event, now + AWAY).await?;
            return Ok(());
        };
        count("failed", event);
        if self.store.event_failed(event, reason, now).await? == Failed::Dead {
            count("dead", event);
            tracing::error!(
                source = event.source.as_str(),
                topic = event.topic,
                sequence = event.sequence,
                reason,
                "an event is given up: see dead_letters"
            );
        }
        Ok(())
    }

    async fn look(&self) {
        for source in [Source::Billing, Source::Crm] {
            match self.store.event_backlog(source).await {
                Ok(backlog) => {
                    let age = backlog.oldest.map(|oldest| self.clock.now() - oldest);
                    let age = age.and_then(|age| age.to_std().ok()).unwrap_or_default();
                    let name = source.as_str();
                    #[expect(clippy::cast_precision_loss, reason = "a gauge; counts stay far below 2⁵³")]
                    {
                        metrics::gauge!("events_waiting", "source" => name).set(backlog.waiting as f64);
                        metrics::gauge!("events_dead", "source" => name).set(backlog.dead as f64);
                    }
                    metrics::gauge!("events_oldest_seconds", "source" => name).set(age.as_secs_f64());
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the inbox cannot be looked at");
                }
            }
        }
    }

    async fn purge(&self) {
        let keep = TimeDelta::from_std(self.settings.keep).unwrap_or(TimeDelta::MAX);
        let before = self.clock.now() - keep;
        let purged = tokio::try_join!(self.store.purge_events(before), self.store.purge_undecoded(before));
        if let Err(error) = purged {
            tracing::warn!(error = &error as &dyn std::error::Error, "old events cannot be forgotten now");
        }
    }
}

/// What a change makes of the mirrors: a list is known to be old, or (`None`) all that is mirrored of a client goes, since
/// it was closed, merged or deleted.
fn mirror_mark(change: &Change) -> Option<(ClientId, Option<MirroredList>)> {
    match change {
        Change::Invoice { client, .. } => Some((*client, Some(MirroredList::Invoices))),
        Change::Subscription { client, .. } => Some((*client, Some(MirroredList::Subscriptions))),
        Change::Client { client } => Some((*client, None)),
        _ => None,
    }
}

fn count(outcome: &'static str, event: &Claimed) {
    metrics::counter!("events_total", "source" => event.source.as_str(), "outcome" => outcome).increment(1);
}
