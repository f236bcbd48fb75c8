//! From an event of the bus to what is stored of it.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::report::{Entity, Report, deletes};
use crate::{
    id::{AccountId, OrderId, RecordId},
    upstream::salesforce::pubsub::{Body, Change, ChangeType, Event, Undecodable},
};

/// Fields of an order that say only that and by whom it was changed.
const AUDIT: [&str; 3] = ["LastModifiedDate", "LastModifiedById", "SystemModstamp"];

/// A row of the inbox to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The event's own id.
    pub(super) event_id: String,
    /// What kind of event, in the vendor's words.
    pub(super) topic: String,
    pub(super) report: Report,
    pub(super) occurred_at: DateTime<Utc>,
}

impl Row {
    /// The payload of the inbox.
    pub(super) fn payload(&self) -> String {
        // A report is made of texts and truths: it always has a form.
        serde_json::to_string(&self.report).unwrap_or_default()
    }
}

/// Tells a repetition from another event under the same id.
pub(super) fn fingerprint(text: &str) -> Vec<u8> {
    Sha256::digest(text).to_vec()
}

/// What is stored of an event that was received on a channel: a row for each record, none when the portal serves
/// nothing of it.
///
/// # Errors
/// When the event lacks what it is known by.
pub(super) fn rows(
    channel: &str,
    event: Event,
    internal_order_fields: &[String],
    now: DateTime<Utc>,
) -> Result<Vec<Row>, Undecodable> {
    match event.body {
        Body::Change(change) => Ok(of_change(&change, internal_order_fields)),
        Body::Platform(fields) => of_platform_event(channel, event.id, &fields, now).map(|row| vec![row]),
    }
}

fn of_change(change: &Change, internal_order_fields: &[String]) -> Vec<Row> {
    let Some(entity) = Entity::parse(&change.entity) else { return Vec::new() };
    let field = |name: &str| RecordId::parse(change.fields.get(name)?.as_str()?);
    let is_internal = entity == Entity::Order
        && change.change_type == ChangeType::Update
        && !change.changed.is_empty()
        && change.changed.iter().all(|name| {
            AUDIT.contains(&name.as_str()) || internal_order_fields.iter().any(|internal| internal == name)
        });
    let report = |record: &str| match RecordId::parse(record) {
        Some(id) if change.change_type != ChangeType::GapOverflow => Report::Record {
            entity,
            id,
            is_deleted: deletes(change.change_type),
            is_internal,
            account: field("AccountId").map(AccountId),
            parent: entity.parent_field().and_then(field),
        },
        // A wildcard, or a change too large to tell.
        _ => Report::Whole { entity },
    };
    let row = |record: &String| Row {
        event_id: format!("{}:{}:{record}", change.transaction, change.sequence),
        topic: format!("{}ChangeEvent", change.entity),
        report: report(record),
        occurred_at: change.committed_at,
    };
    change.records.iter().map(row).collect()
}

fn of_platform_event(
    channel: &str,
    id: String,
    fields: &Map<String, Value>,
    now: DateTime<Utc>,
) -> Result<Row, Undecodable> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let owned = |name| text(name).map(str::to_owned);
    if id.is_empty() {
        return Err(Undecodable("the event has no id"));
    }
    let report = if let Some(order) = text("OrderId__c") {
        let order = OrderId::parse(order).ok_or(Undecodable("the event names no order"))?;
        let (idempotency_key, correlation) = (owned("IdemKey__c"), owned("CorrelationId__c"));
        Report::Fulfilment { order, idempotency_key, correlation }
    } else if let Some(account) = text("AccountId__c") {
        let account = AccountId::parse(account).ok_or(Undecodable("the event names no account"))?;
        Report::Eligibility { account }
    } else {
        return Err(Undecodable("the event names neither an order nor an account"));
    };
    let created = fields.get("CreatedDate").and_then(Value::as_i64).and_then(DateTime::from_timestamp_millis);
    let topic = channel.rsplit('/').next().unwrap_or(channel).to_owned();
    Ok(Row { event_id: id, topic, report, occurred_at: created.unwrap_or(now) })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use serde_json::json;

    use super::*;

    const ORDER: &str = "80190000001pPvHAAU";
    const ACCOUNT: &str = "00190000001pPvHAAU";

    fn change(entity: &str, change_type: ChangeType, changed: &[&str], fields: Value) -> Event {
        let body = Body::Change(Box::new(Change {
            entity: entity.to_owned(),
            records: vec![ORDER.to_owned()],
            change_type,
            origin: String::new(),
            transaction: "0001".to_owned(),
            sequence: 2,
            committed_at: DateTime::UNIX_EPOCH,
            changed: changed.iter().map(ToString::to_string).collect(),
            fields: fields.as_object().unwrap().clone(),
        }));
        Event { id: "uuid".to_owned(), body }
    }

    fn read(event: Event) -> Result<Vec<Row>, Undecodable> {
        let internal = ["Activation_Error_Message__c".to_owned()];
        rows("/event/Something__e", event, &internal, DateTime::UNIX_EPOCH)
    }

    fn report(event: Event) -> Report {
        read(event).unwrap().remove(0).report
    }

    #[test]
    fn only_ids_and_kinds_are_kept_of_a_change() {
        let fields = json!({ "AccountId": ACCOUNT, "Status": "Draft", "BillingCity": "Shibuya" });
        let row = read(change("Order", ChangeType::Create, &[], fields)).unwrap().remove(0);
        assert_eq!(row.event_id, format!("0001:2:{ORDER}"));
        assert_eq!(row.topic, "OrderChangeEvent");
        assert_eq!(row.report.record(), format!("Order:{ORDER}"));
        let expected = json!({ "report": "record", "entity": "Order", "id": ORDER, "is_deleted": false,
            "is_internal": false, "account": ACCOUNT, "parent": null });
        assert_eq!(serde_json::from_str::<Value>(&row.payload()).unwrap(), expected);
    }

    #[test]
    fn an_update_of_an_order_is_internal_only_when_every_field_is() {
        let is_internal = |entity, change_type, changed: &[&str]| {
            matches!(
                report(change(entity, change_type, changed, json!({}))),
                Report::Record { is_internal: true, .. }
            )
        };
        let internal = ["Activation_Error_Message__c", "LastModifiedDate"];
        assert!(is_internal("Order", ChangeType::Update, &internal));
        assert!(!is_internal("Order", ChangeType::Update, &["Activation_Error_Message__c", "Status"]));
        assert!(!is_internal("Order", ChangeType::Update, &[]));
        assert!(!is_internal("Order", ChangeType::GapUpdate, &internal));
        assert!(!is_internal("Case", ChangeType::Update, &internal));
    }

    #[test]
    fn merged_changes_are_a_row_each_and_wildcards_are_the_whole_object() {
        let mut event = change("Order", ChangeType::Update, &["Status"], json!({}));
        let Body::Change(inner) = &mut event.body else { panic!() };
        inner.records = vec![ORDER.to_owned(), "80190000001pPvI".to_owned(), "801*".to_owned()];
        let rows = read(event).unwrap();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[2].report, Report::Whole { entity: Entity::Order });
        let mut ids: Vec<_> = rows.iter().map(|row| row.event_id.clone()).collect();
        ids.dedup();
        assert_eq!(ids.len(), 3);
        let overflow = change("Case", ChangeType::GapOverflow, &[], json!({}));
        assert_eq!(report(overflow), Report::Whole { entity: Entity::Case });
        assert!(read(change("User", ChangeType::Update, &[], json!({}))).unwrap().is_empty());
    }

    #[test]
    fn platform_events_are_known_by_what_they_name() {
        let event = |fields: Value| {
            let body = Body::Platform(fields.as_object().unwrap().clone());
            read(Event { id: "uuid".to_owned(), body })
        };
        let fulfil = event(json!({ "OrderId__c": ORDER, "IdemKey__c": "k", "CreatedDate": 5000 })).unwrap();
        assert_eq!((fulfil[0].event_id.as_str(), fulfil[0].topic.as_str()), ("uuid", "Something__e"));
        assert_eq!(fulfil[0].occurred_at.timestamp(), 5);
        assert!(
            matches!(&fulfil[0].report, Report::Fulfilment { idempotency_key: Some(key), .. } if key == "k")
        );
        let eligible = event(json!({ "AccountId__c": ACCOUNT })).unwrap();
        assert!(matches!(eligible[0].report, Report::Eligibility { .. }));
        assert!(event(json!({ "OrderId__c": "not an id" })).is_err());
        assert!(event(json!({})).is_err());
    }
}
