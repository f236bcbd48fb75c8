//! What partners used, counted by day.
//!
//! Counted in memory and written every few seconds: a request does not wait for it. A process that is killed loses the
//! counts of those seconds, and nothing else.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::{
    error::Result,
    id::PartnerId,
    identity::Identity,
    store::{PartnerUsageRow, Store},
};

/// How often the counts are written.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// What was counted and not yet written.
#[derive(Default)]
pub(super) struct Usage(Mutex<HashMap<(PartnerId, String), PartnerUsageRow>>);

impl Usage {
    /// Counts a request.
    pub(super) fn count(&self, partner: PartnerId, cost: u64, is_refused: bool, now: DateTime<Utc>) {
        let cost = i64::try_from(cost).unwrap_or(i64::MAX);
        self.add(partner, now.format("%Y-%m-%d").to_string(), [1, cost, i64::from(is_refused)]);
    }

    fn add(&self, partner: PartnerId, day: String, [requests, cost, refusals]: [i64; 3]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = counts.entry((partner, day.clone())).or_insert(PartnerUsageRow {
            day,
            requests: 0,
            cost: 0,
            refusals: 0,
        });
        counted.requests += requests;
        counted.cost = counted.cost.saturating_add(cost);
        counted.refusals += refusals;
    }

    /// Writes what was counted. What cannot be written is kept for the next time.
    pub(super) async fn write(&self, store: &Store) -> Result<()> {
        let counted = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut failed = None;
        for ((partner, day), used) in counted {
            if let Err(error) = store.add_partner_usage(partner, &used).await {
                self.add(partner, day, [used.requests, used.cost, used.refusals]);
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

impl Identity {
    /// Writes from time to time what partners used, until `stopping` is cancelled, and then once more.
    pub async fn count_partners(&self, stopping: CancellationToken) {
        let mut ticks = tokio::time::interval(WRITE_EVERY);
        loop {
            let is_over = tokio::select! {
                () = stopping.cancelled() => true,
                _ = ticks.tick() => false,
            };
            if let Err(error) = self.0.partners.usage.write(&self.0.store).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "what partners used cannot be written now"
                );
            }
            if is_over {
                return;
            }
        }
    }
}
