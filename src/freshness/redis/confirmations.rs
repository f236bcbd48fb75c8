//! Who has taken which version.

use std::{collections::HashMap, sync::Mutex, time::Instant};

use tokio::sync::Notify;

use super::lock;

/// A version that this replica has taken, and the replica that raised it.
pub(super) struct Taken {
    pub(super) raiser: String,
    pub(super) version: u64,
}

/// What other replicas have told this one: the highest version of ours that each has taken.
#[derive(Default)]
pub(super) struct Told {
    versions: Mutex<HashMap<String, u64>>,
    changed: Notify,
}

impl Told {
    pub(super) fn note(&self, replica: &str, version: u64) {
        {
            let mut versions = lock(&self.versions);
            match versions.get_mut(replica) {
                Some(known) => *known = version.max(*known),
                None => {
                    versions.insert(replica.to_owned(), version);
                }
            }
        }
        self.changed.notify_waiters();
    }

    /// Waits until a replica has told that version, or its lease has run out.
    pub(super) async fn wait(&self, replica: &str, version: u64, lease_ends: Instant) {
        let told = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if lock(&self.versions).get(replica).is_some_and(|told| *told >= version) {
                    return;
                }
                changed.await;
            }
        };
        let _ = tokio::time::timeout_at(lease_ends.into(), told).await;
    }
}
