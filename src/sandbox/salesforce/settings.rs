//! What a test can turn while the emulator runs. `GET` and `PATCH /control`, outside `/services`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The knobs. Source: Salesforce reference §27.6.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Requests in 24 hours.
    pub daily_limit: u64,
    /// Seconds without use after which a token ends.
    pub token_lifetime_s: i64,
    /// Most rows of a page; the caller's `batchSize` counts when it is smaller.
    pub page_size: usize,
    /// Users who have not approved the connected app: a sign-in for them is refused.
    pub unapproved_users: Vec<String>,
    /// Records that somebody else holds: writing them fails with `UNABLE_TO_LOCK_ROW`.
    pub locked_ids: Vec<String>,
    /// Text of a validation rule by object: every write of such a record fails with it.
    pub validation_rules: BTreeMap<String, String>,
    /// Objects with a duplicate rule: a record with an e-mail address or name that exists is refused unless the caller
    /// sends `Sforce-Duplicate-Rule-Header: allowSave=true`.
    pub duplicate_rules: Vec<String>,
    /// Statements that run too long: those that contain this text fail with `QUERY_TIMEOUT`.
    pub slow_query_text: Option<String>,
    /// Milliseconds after which a quiet subscription is told that it lives.
    pub pubsub_keep_alive_ms: u64,
    /// Milliseconds after which a subscription that asks for nothing more is ended.
    pub pubsub_idle_close_ms: u64,
    /// Most events of one answer to a subscription.
    pub pubsub_batch: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            daily_limit: 100_000,
            token_lifetime_s: 7_200,
            page_size: 2_000,
            unapproved_users: Vec::new(),
            locked_ids: Vec::new(),
            validation_rules: BTreeMap::new(),
            duplicate_rules: Vec::new(),
            slow_query_text: None,
            pubsub_keep_alive_ms: 270_000,
            pubsub_idle_close_ms: 60_000,
            pubsub_batch: 100,
        }
    }
}
