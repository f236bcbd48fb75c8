//! From what a transaction wrote to the events that tell of it. Source: Salesforce reference §23; domain reference §10, §17.1.

use std::sync::Arc;

use apache_avro::types::Value as Avro;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::sandbox::salesforce::{
    org::Org,
    pubsub::{
        bitmap::Bitmap,
        bus::Event,
        definition::{CHANGE_TYPES, Definition, Member, Parts, null, some, to_avro},
        platform::{ELIGIBILITY, FULFILMENT, PlatformEvent, platform_event},
        topic::{is_captured, of_event, of_object},
    },
    schema::{
        Object,
        field::{Field, Kind},
        order::APPROVED_STATUSES,
    },
    store::{Before, Overlay, Record, View},
};

/// Who wrote, and through what.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Record id of the user.
    pub user: String,
    /// `changeOrigin`: empty for a change made by a person in the application.
    pub change_origin: String,
}

impl Origin {
    /// A change through REST. `client`: the name from `Sforce-Call-Options`.
    pub fn rest(user: &str, version: u32, client: Option<&str>) -> Self {
        let client = client.map(|name| format!(";client={name}")).unwrap_or_default();
        Self { user: user.to_owned(), change_origin: format!("com/salesforce/api/rest/{version}.0{client}") }
    }

    /// A change by a person.
    pub fn person(user: String) -> Self {
        Self { user, change_origin: String::new() }
    }
}

/// A change event that is still to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Of which object.
    pub object: &'static Object,
    /// Which records.
    pub ids: Vec<String>,
    /// One of [`CHANGE_TYPES`].
    pub kind: &'static str,
    /// Place in the transaction, from 1.
    pub sequence: i32,
    changed: Bitmap,
    nulled: Bitmap,
    body: Vec<Avro>,
}

impl Change {
    /// A change that tells only that there was one.
    pub fn gap(object: &'static Object, kind: &'static str, ids: Vec<String>) -> Self {
        Self {
            object,
            ids,
            kind,
            sequence: 1,
            changed: Bitmap::default(),
            nulled: Bitmap::default(),
            body: Vec::new(),
        }
    }

    /// Whether this tells the same of another record, so that one event can tell both.
    fn is_same(&self, other: &Self) -> bool {
        ["UPDATE", "DELETE"].contains(&self.kind)
            && (self.object, self.kind, &self.changed, &self.nulled, &self.body)
                == (other.object, other.kind, &other.changed, &other.nulled, &other.body)
    }
}

/// What all events of a transaction share.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Who wrote.
    pub origin: Origin,
    /// When.
    pub at: DateTime<Utc>,
    /// `transactionKey`.
    pub key: String,
    number: i64,
}

impl Transaction {
    /// A transaction that commits now.
    pub fn new(org: &Org, origin: Origin) -> Self {
        Self {
            origin,
            at: org.core.clock.now(),
            key: Uuid::new_v4().to_string(),
            number: org.bus.next_commit(),
        }
    }

    /// Puts a change on its topic.
    pub fn publish_change(&self, org: &Org, change: Change) {
        let topic = of_object(change.object);
        let Some(definition) = org.bus.topic(&topic).map(|topic| topic.definition) else { return };
        let mut fields = vec![("ChangeEventHeader".to_owned(), self.header(&change))];
        let mut body = change.body.into_iter();
        fields.extend(
            definition
                .members
                .iter()
                .map(|member| (member.name.to_owned(), body.next().unwrap_or_else(null))),
        );
        self.put(org, &topic, Uuid::new_v4().to_string(), &definition, fields);
    }

    /// Puts a platform event on its topic, with its UUID. `values`: its own fields in their order.
    pub fn publish_event(&self, org: &Org, id: String, event: &PlatformEvent, values: Vec<(String, Avro)>) {
        let topic = of_event(event.name);
        let Some(definition) = org.bus.topic(&topic).map(|topic| topic.definition) else { return };
        let mut fields = vec![
            ("CreatedDate".to_owned(), Avro::Long(self.at.timestamp_millis())),
            ("CreatedById".to_owned(), Avro::String(self.origin.user.clone())),
        ];
        fields.extend(values);
        self.put(org, &topic, id, &definition, fields);
    }

    fn put(&self, org: &Org, topic: &str, id: String, definition: &Definition, fields: Vec<(String, Avro)>) {
        match definition.encode(fields) {
            None => tracing::error!(topic, "an event does not fit its own schema"),
            Some(payload) => {
                let event = Event { id, schema_id: definition.schema_id.clone(), payload };
                org.bus.publish(topic, &Arc::new(event), self.at);
            }
        }
    }

    fn header(&self, change: &Change) -> Avro {
        let text = |text: &str| Avro::String(text.to_owned());
        let list = |list: &[String]| Avro::Array(list.iter().cloned().map(Avro::String).collect());
        let place = CHANGE_TYPES.iter().position(|kind| *kind == change.kind).unwrap_or_default();
        let fields = [
            ("entityName", text(change.object.name)),
            ("recordIds", list(&change.ids)),
            ("changeType", Avro::Enum(u32::try_from(place).unwrap_or_default(), change.kind.to_owned())),
            ("changeOrigin", text(&self.origin.change_origin)),
            ("transactionKey", text(&self.key)),
            ("sequenceNumber", Avro::Int(change.sequence)),
            ("commitTimestamp", Avro::Long(self.at.timestamp_millis())),
            ("commitNumber", Avro::Long(self.number)),
            ("commitUser", text(&self.origin.user)),
            ("nulledFields", list(&change.nulled.to_list())),
            ("diffFields", list(&[])),
            ("changedFields", list(&change.changed.to_list())),
        ];
        Avro::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

/// Publishes what a transaction did. It is called while the records are still held, so that events come in the order
/// of commits, and whoever reads a record because of one sees it as it was committed or later.
pub fn publish(org: &Org, overlay: &Overlay, before: Vec<Before>, transaction: &Transaction) {
    let (nothing, now) = (Overlay::default(), View::new(&org.core.world, &org.shared, overlay));
    let seeded = View::new(&org.core.world, &org.shared, &nothing);
    let mut changes: Vec<Change> = Vec::new();
    let mut flows = Vec::new();
    for (sequence, (id, before)) in (1..).zip(before) {
        let before = before.or_else(|| seeded.get(id));
        let Some(after) = now.get(id) else { continue };
        if !is_captured(after.object) {
            continue;
        }
        let Some(topic) = org.bus.topic(&of_object(after.object)) else { continue };
        let Some(change) = change(&topic.definition.members, before.as_deref(), &after, sequence) else {
            continue;
        };
        flows.extend(flow(before.as_deref(), &after, transaction));
        match changes.last_mut().filter(|last| last.is_same(&change)) {
            Some(last) => last.ids.extend(change.ids),
            None => changes.push(change),
        }
    }
    for change in changes {
        transaction.publish_change(org, change);
    }
    for (name, body) in flows {
        if let Some(event) = platform_event(name)
            && let Ok(values) = event.read(&body)
        {
            transaction.publish_event(org, Uuid::new_v4().to_string(), event, values);
        }
    }
}

/// The change of one record; `None` when nothing remains of it.
fn change(members: &[Member], before: Option<&Record>, after: &Record, sequence: i32) -> Option<Change> {
    let was_there = before.is_some_and(|before| !before.is_deleted());
    let kind = match (before.is_some(), was_there, after.is_deleted()) {
        (_, true, false) => "UPDATE",
        (_, true, true) => "DELETE",
        (false, _, false) => "CREATE",
        (true, false, false) => "UNDELETE",
        (_, false, true) => return None,
    };
    let mut change = Change { sequence, ..Change::gap(after.object, kind, vec![after.id.to_string()]) };
    let compared = (kind == "UPDATE").then_some(before).flatten();
    if kind != "DELETE" {
        change.body = members
            .iter()
            .enumerate()
            .map(|(place, member)| value(&mut change, place + 1, member, compared, after))
            .collect();
    }
    Some(change)
}

/// The value of a member: all of it, or only what differs from before.
fn value(
    change: &mut Change,
    place: usize,
    member: &Member,
    before: Option<&Record>,
    after: &Record,
) -> Avro {
    match &member.parts {
        Parts::One(field) => {
            let now = part(after, field);
            if let Some(before) = before {
                // It moves with every change, also when the clock has not.
                if part(before, field) == now && field.name != "LastModifiedDate" {
                    return null();
                }
                change.changed.add(place);
                if now.is_none() {
                    change.nulled.add(place);
                }
            }
            now.map_or_else(null, some)
        }
        Parts::Compound { members, fields, whole, .. } => {
            if let Some(whole) = whole
                && fields.iter().flatten().all(|field| part(after, field).is_none())
            {
                let now = part(after, whole);
                if let Some(before) = before {
                    if part(before, whole) == now {
                        return null();
                    }
                    change.changed.add(place);
                }
                return now.map_or_else(null, some);
            }
            let mut is_told = false;
            let mut values = Vec::new();
            for (at, ((name, _), field)) in members.iter().zip(fields).enumerate() {
                let mut now = field.and_then(|field| part(after, field));
                if let (Some(before), Some(field)) = (before, field) {
                    if part(before, field) == now {
                        now = None;
                    } else {
                        is_told = true;
                        change.changed.add_member(place, at);
                        if now.is_none() {
                            change.nulled.add_member(place, at);
                        }
                    }
                }
                is_told |= now.is_some();
                values.push(((*name).to_owned(), now.map_or_else(null, some)));
            }
            let branch = if whole.is_some() { 2 } else { 1 };
            if is_told { Avro::Union(branch, Box::new(Avro::Record(values))) } else { null() }
        }
    }
}

/// The value of a record's field; a flag always has one.
fn part(record: &Record, field: &Field) -> Option<Avro> {
    match field.kind {
        Kind::Boolean => Some(Avro::Boolean(record.is(field.name))),
        kind => to_avro(kind, record.get(field.name)),
    }
}

/// What the organisation's own automation publishes after a record has changed.
fn flow(
    before: Option<&Record>,
    after: &Record,
    transaction: &Transaction,
) -> Option<(&'static str, Map<String, Value>)> {
    let before = before?;
    let has_moved = |field: &str| before.get(field) != after.get(field);
    let id = after.id.as_str();
    let (name, body) = match after.object.name {
        "Order"
            if has_moved("Status")
                && after.text("Status").is_some_and(|status| APPROVED_STATUSES.contains(&status)) =>
        {
            (
                FULFILMENT,
                json!({
                    "OrderId__c": id, "IdemKey__c": format!("{id}:{}", transaction.key),
                    "CorrelationId__c": transaction.key, "RequestedBy__c": transaction.origin.user, "Version__c": 1
                }),
            )
        }
        "Account" if has_moved("Internet_Eligibility__c") || has_moved("Internet_Eligibility_Status__c") => (
            ELIGIBILITY,
            json!({
                "AccountId__c": id,
                "Internet_Eligibility__c": after.get("Internet_Eligibility__c"),
                "Internet_Eligibility_Status__c": after.get("Internet_Eligibility_Status__c")
            }),
        ),
        _ => return None,
    };
    match body {
        Value::Object(body) => Some((name, body)),
        _ => None,
    }
}
