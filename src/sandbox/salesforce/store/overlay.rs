//! What was written since the start, over the seeded world.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    id::RecordId,
    sandbox::{
        salesforce::{
            pubsub::platform::PlatformEvent,
            schema::{Object, is_key},
            store::record::Record,
        },
        world::ids,
    },
};

/// `n` of the ids of created records begins here, far above every seeded customer.
pub const CREATED: u64 = 1 << 40;

type Ids = BTreeSet<RecordId>;

/// Created and changed records, with indexes over their keys, and the log that undoes a transaction.
#[derive(Debug, Default)]
pub struct Overlay {
    records: HashMap<RecordId, Arc<Record>>,
    by_object: HashMap<&'static str, Ids>,
    by_key: HashMap<(&'static str, &'static str), HashMap<String, Ids>>,
    created: u64,
    undo: Vec<Before>,
    effects: Vec<(String, Value)>,
    events: Vec<Announced>,
}

/// A record as it was written before a transaction; `None` when nothing had been.
pub type Before = (RecordId, Option<Arc<Record>>);

/// A platform event that a transaction publishes when it commits: its UUID, what it is, its values.
pub type Announced = (String, &'static PlatformEvent, Vec<(String, apache_avro::types::Value)>);

/// What a transaction did.
#[derive(Debug, Default)]
pub struct Committed {
    /// Effects for the journal.
    pub effects: Vec<(String, Value)>,
    /// Each record that it wrote, once, as it was before; in the order of the writes.
    pub before: Vec<Before>,
    /// Platform events to publish.
    pub events: Vec<Announced>,
}

/// A point that a transaction can go back to.
#[derive(Clone, Copy, Debug)]
pub struct Savepoint {
    undo: usize,
    effects: usize,
    events: usize,
}

impl Overlay {
    /// The written version of a record.
    pub fn get(&self, id: RecordId) -> Option<&Arc<Record>> {
        self.records.get(&id)
    }

    /// The written records of an object.
    pub fn of(&self, object: &Object) -> impl Iterator<Item = RecordId> {
        self.by_object.get(object.name).into_iter().flatten().copied()
    }

    /// The written records of an object with a value in a key field, without regard to case.
    pub fn with_key(
        &self,
        object: &'static Object,
        field: &'static str,
        value: &str,
    ) -> impl Iterator<Item = RecordId> {
        let values = self.by_key.get(&(object.name, field));
        values.and_then(|values| values.get(&value.to_lowercase())).into_iter().flatten().copied()
    }

    /// An id for a new record.
    pub fn new_id(&mut self, object: &Object) -> Option<RecordId> {
        self.created += 1;
        RecordId::parse(&ids::sf_id(
            object.prefix,
            CREATED + self.created / 4096,
            (self.created % 4096) as u32,
        ))
    }

    /// The next number of an auto-number field. It is not given back by a rollback, as on the platform.
    pub fn next_number(&mut self) -> u64 {
        self.created += 1;
        self.created
    }

    /// Writes a record.
    pub fn put(&mut self, record: Record) {
        let id = record.id;
        let before = self.swap(id, Some(Arc::new(record)));
        self.undo.push((id, before));
    }

    /// Notes an effect, journalled when the transaction commits.
    pub fn effect(&mut self, effect: &str, detail: Value) {
        self.effects.push((effect.to_owned(), detail));
    }

    /// Notes a platform event, published when the transaction commits.
    pub fn announce(&mut self, event: Announced) {
        self.events.push(event);
    }

    /// Where the transaction stands.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint { undo: self.undo.len(), effects: self.effects.len(), events: self.events.len() }
    }

    /// Undoes what was written since.
    pub fn roll_back(&mut self, to: Savepoint) {
        while self.undo.len() > to.undo {
            if let Some((id, before)) = self.undo.pop() {
                self.swap(id, before);
            }
        }
        self.effects.truncate(to.effects);
        self.events.truncate(to.events);
    }

    /// Keeps what was written, and tells what it was.
    pub fn commit(&mut self) -> Committed {
        let mut seen = HashSet::new();
        let mut before = std::mem::take(&mut self.undo);
        before.retain(|(id, _)| seen.insert(*id));
        Committed {
            effects: std::mem::take(&mut self.effects),
            before,
            events: std::mem::take(&mut self.events),
        }
    }

    /// Replaces a record and keeps the indexes in step.
    fn swap(&mut self, id: RecordId, record: Option<Arc<Record>>) -> Option<Arc<Record>> {
        let before = self.records.remove(&id);
        if let Some(before) = &before {
            for (key, value) in keys(before) {
                if let Some(ids) = self.by_key.get_mut(&key).and_then(|values| values.get_mut(&value)) {
                    ids.remove(&id);
                }
            }
            if let Some(ids) = self.by_object.get_mut(before.object.name) {
                ids.remove(&id);
            }
        }
        if let Some(record) = record {
            for (key, value) in keys(&record) {
                self.by_key.entry(key).or_default().entry(value).or_default().insert(id);
            }
            self.by_object.entry(record.object.name).or_default().insert(id);
            self.records.insert(id, record);
        }
        before
    }
}

type Key = ((&'static str, &'static str), String);

fn keys(record: &Record) -> impl Iterator<Item = Key> {
    record.object.fields.iter().filter(|field| is_key(field)).filter_map(|field| {
        let value = record.text(field.name)?;
        Some(((record.object.name, field.name), value.to_lowercase()))
    })
}
