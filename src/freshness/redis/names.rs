//! How the keys and channels are called.

use crate::freshness::Key;

/// Names of the keys of one installation.
pub(super) struct Names {
    pub(super) prefix: String,
    pub(super) tags: String,
    pub(super) counter: String,
    pub(super) replicas: String,
    pub(super) era: String,
}

impl Names {
    /// All names begin with the prefix, whose braces keep all versions on one node of a cluster.
    pub(super) fn new(prefix: &str) -> Self {
        let prefix = format!("{{{prefix}}}:");
        Self {
            tags: format!("{prefix}t:"),
            counter: format!("{prefix}version"),
            replicas: format!("{prefix}replicas"),
            era: format!("{prefix}era"),
            prefix,
        }
    }

    pub(super) fn entry(&self, key: &Key) -> String {
        format!("{}e:{}", self.prefix, key.digest())
    }

    pub(super) fn lease(&self, load: &str) -> String {
        format!("{}l:{load}", self.prefix)
    }

    pub(super) fn told(&self, replica: &str) -> String {
        format!("{}told:{replica}", self.prefix)
    }
}
