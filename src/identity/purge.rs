//! Forgets what is of no use any more.

use chrono::TimeDelta;

use crate::{identity::Inner, store::Error};

/// How long what ran out is kept, in case somebody asks what became of it.
const KEPT: TimeDelta = TimeDelta::days(1);

impl Inner {
    /// Forgets sessions, codes, verifications, links, hand-offs, enrolments and signing keys that ran out, devices that were not
    /// seen for long, and old history.
    pub(super) async fn purge(&self) {
        let now = self.now();
        let purged = async {
            self.store.purge_sessions(now - KEPT).await?;
            self.store.purge_challenges(now - KEPT).await?;
            self.store.purge_verifications(now).await?;
            self.store.purge_hand_offs(now).await?;
            self.store.purge_enrolments(now).await?;
            self.store.purge_password_resets(now).await?;
            self.store.purge_exports(now).await?;
            self.store.purge_devices(now - self.device_lifetime).await?;
            self.store.purge_sign_ins(now - self.history_for).await?;
            self.tokens.keys().purge(now).await?;
            Ok::<_, Error>(())
        };
        if let Err(error) = purged.await {
            tracing::warn!(error = &error as &dyn std::error::Error, "what ran out could not be forgotten");
        }
    }
}
