//! Forgets what is of no use any more.

use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::identity::{Identity, Inner};

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// How long what ran out is kept, in case somebody asks what became of it.
const KEPT: TimeDelta = TimeDelta::days(1);

impl Identity {
    /// Forgets what ran out, every hour until `stopping` is cancelled.
    pub async fn run(&self, stopping: CancellationToken) {
        let mut purge = tokio::time::interval(EVERY);
        while stopping.run_until_cancelled(purge.tick()).await.is_some() {
            if let Err(error) = self.0.purge().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "what ran out could not be forgotten"
                );
            }
            self.purge_audit(&stopping).await;
        }
    }
}

impl Inner {
    /// Forgets sessions, codes, links and hand-offs that ran out, devices that were not seen for long, and old history.
    pub(super) async fn purge(&self) -> Result<(), crate::store::Error> {
        let now = self.now();
        self.store.purge_sessions(now - KEPT).await?;
        self.store.purge_challenges(now - KEPT).await?;
        self.store.purge_hand_offs(now).await?;
        self.store.purge_password_resets(now).await?;
        self.store.purge_devices(now - self.device_lifetime).await?;
        self.store.purge_sign_ins(now - self.history_for).await?;
        Ok(())
    }
}
