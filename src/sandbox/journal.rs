//! What happened in the sandbox: every call that arrived, every effect it had.
//!
//! Tests assert the cost of a question from it. It keeps the newest entries and exact counts of all.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{clock::Clock, sandbox::core::System};

/// Entries that are kept (about 40 MB when full); older ones fall out, their counts stay.
const KEPT: usize = 250_000;

/// Whether an entry is a call that arrived or an effect that one had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A call arrived.
    Call,
    /// State was changed, an event was fired, a file was written.
    Effect,
}

/// One line of the journal.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Counts from 1 since the start; never reused, not even after [`Journal::clear`].
    pub seq: u64,
    /// When, on the sandbox's clock.
    pub at: DateTime<Utc>,
    /// Call or effect.
    pub kind: Kind,
    /// Where.
    pub system: System,
    /// The operation called (`GetInvoices`, `query`, `getDetail`), or the effect (`invoice.created`).
    pub operation: Arc<str>,
    /// Arguments worth knowing, as JSON; `null` when none. Without secrets.
    pub detail: Option<Box<RawValue>>,
}

/// Which entries are wanted; an absent part matches all.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Filter {
    /// Only this system's.
    pub system: Option<System>,
    /// Only this operation or effect.
    pub operation: Option<String>,
    /// Only calls, or only effects.
    pub kind: Option<Kind>,
    /// Only entries after this `seq`.
    pub since: Option<u64>,
}

/// How often something happened since the journal was last cleared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Where.
    pub system: System,
    /// Call or effect.
    pub kind: Kind,
    /// The operation or effect.
    pub operation: Arc<str>,
    /// How often.
    pub count: u64,
}

#[derive(Debug, Default)]
struct Pages {
    seq: u64,
    entries: VecDeque<Entry>,
    counts: BTreeMap<(System, Kind, Arc<str>), u64>,
}

/// The journal of one sandbox. Cheap to write: one short lock.
#[derive(Debug)]
pub struct Journal {
    clock: Clock,
    pages: Mutex<Pages>,
}

impl Journal {
    /// An empty journal whose times come from a clock.
    pub fn new(clock: Clock) -> Self {
        Self { clock, pages: Mutex::default() }
    }

    /// Writes down a call that arrived. `detail` holds no secret and no personal data.
    pub fn call(&self, system: System, operation: &str, detail: Value) {
        self.write(Kind::Call, system, operation, detail);
    }

    /// Writes down what a call (or the passing of time) changed.
    pub fn effect(&self, system: System, effect: &str, detail: Value) {
        self.write(Kind::Effect, system, effect, detail);
    }

    fn write(&self, kind: Kind, system: System, operation: &str, detail: Value) {
        let detail = (!detail.is_null()).then(|| serde_json::value::to_raw_value(&detail).ok()).flatten();
        let at = self.clock.now();
        let mut pages = self.pages();
        pages.seq += 1;
        let seq = pages.seq;
        let mut key = (system, kind, Arc::<str>::from(operation));
        if let Some((known, _)) = pages.counts.get_key_value(&key) {
            key = known.clone();
        }
        let operation = Arc::clone(&key.2);
        *pages.counts.entry(key).or_default() += 1;
        if pages.entries.len() == KEPT {
            pages.entries.pop_front();
        }
        pages.entries.push_back(Entry { seq, at, kind, system, operation, detail });
    }

    /// The kept entries that match, oldest first.
    pub fn entries(&self, filter: &Filter) -> Vec<Entry> {
        let pages = self.pages();
        let matches = |entry: &&Entry| {
            filter.system.is_none_or(|system| system == entry.system)
                && filter.kind.is_none_or(|kind| kind == entry.kind)
                && filter.operation.as_deref().is_none_or(|operation| operation == &*entry.operation)
                && filter.since.is_none_or(|since| entry.seq > since)
        };
        pages.entries.iter().filter(matches).cloned().collect()
    }

    /// How many calls of an operation arrived at a system; `None` counts all operations.
    pub fn count(&self, system: System, operation: Option<&str>) -> u64 {
        let pages = self.pages();
        let matches = |(key, _): &(&(System, Kind, Arc<str>), &u64)| {
            key.0 == system && key.1 == Kind::Call && operation.is_none_or(|operation| operation == &*key.2)
        };
        pages.counts.iter().filter(matches).map(|(_, count)| count).sum()
    }

    /// All counts since the last clearing.
    pub fn counts(&self) -> Vec<Count> {
        let pages = self.pages();
        let count = |((system, kind, operation), count): (&(System, Kind, Arc<str>), &u64)| Count {
            system: *system,
            kind: *kind,
            operation: Arc::clone(operation),
            count: *count,
        };
        pages.counts.iter().map(count).collect()
    }

    /// Forgets entries and counts.
    pub fn clear(&self) {
        let mut pages = self.pages();
        pages.entries = VecDeque::new();
        pages.counts.clear();
    }

    fn pages(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use serde_json::json;

    use super::*;

    #[test]
    fn entries_are_filtered_and_counts_survive_until_cleared() {
        let journal = Journal::new(Clock::system());
        journal.call(System::Whmcs, "GetInvoices", json!({ "clientid": 1001 }));
        journal.call(System::Whmcs, "GetInvoices", Value::Null);
        journal.call(System::Salesforce, "query", Value::Null);
        journal.effect(System::Whmcs, "invoice.paid", json!({ "id": 1 }));

        assert_eq!(journal.count(System::Whmcs, None), 2);
        assert_eq!(journal.count(System::Whmcs, Some("GetInvoices")), 2);
        assert_eq!(journal.count(System::Freebit, None), 0);
        assert_eq!(journal.entries(&Filter { since: Some(2), ..Filter::default() }).len(), 2);
        let effects = journal.entries(&Filter { kind: Some(Kind::Effect), ..Filter::default() });
        assert_eq!(serde_json::to_value(&effects[0]).unwrap()["detail"], json!({ "id": 1 }));
        assert_eq!(journal.counts().len(), 3);

        journal.clear();
        assert!(journal.counts().is_empty());
        journal.call(System::Freebit, "getDetail", Value::Null);
        assert_eq!(journal.entries(&Filter::default())[0].seq, 5);
    }
}
