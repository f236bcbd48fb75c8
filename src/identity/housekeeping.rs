//! Forgetting what is of no use any more: sessions and links that ran out, events that were kept long enough.

use std::time::Duration;

use tokio::time;
use tokio_util::sync::CancellationToken;

use super::Identity;

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(60 * 60);

impl Identity {
    /// Forgets what ran out, every hour, until `stopping` is cancelled. Replicas may do so side by side.
    pub async fn keep_house(&self, stopping: CancellationToken) {
        let mut hours = time::interval(EVERY);
        while stopping.run_until_cancelled(hours.tick()).await.is_some() {
            self.forget_old().await;
            self.purge_audit(&stopping).await;
        }
    }

    async fn forget_old(&self) {
        let this = &*self.0;
        let now = this.now();
        let forgotten =
            tokio::try_join!(this.store.purge_sessions(now), this.store.purge_password_resets(now));
        if let Err(error) = forgotten {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "what has run out cannot be forgotten now");
        }
    }
}
