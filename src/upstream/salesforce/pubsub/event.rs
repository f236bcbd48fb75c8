//! One event of the bus.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Change, Schema, Undecodable};

/// A position of a topic. It shows as base64, and nothing can be asked of it.
#[derive(Clone)]
pub struct ReplayId(Bytes);

impl ReplayId {
    /// The position that these bytes are; `None` for no bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Option<Self> {
        let bytes = bytes.into();
        (!bytes.is_empty()).then_some(Self(bytes))
    }

    /// To be stored and sent back as it is.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }
}

impl fmt::Display for ReplayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl fmt::Debug for ReplayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplayId({self})")
    }
}

/// An event, decoded.
#[derive(Clone, Debug)]
pub struct Event {
    /// The event's own id; the same when it was published twice.
    pub id: String,
    /// What it says.
    pub body: Body,
}

/// What an event says.
#[derive(Clone, Debug)]
pub enum Body {
    /// A change of records.
    Change(Box<Change>),
    /// The fields of a platform event, those without a value too.
    Platform(Map<String, Value>),
}

impl Event {
    /// Decodes a payload that was written with a schema.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn read(id: &str, payload: &[u8], schema: &Schema) -> Result<Self, Undecodable> {
        let body = match Change::read(schema.decode(payload)?, schema)? {
            Ok(change) => Body::Change(Box::new(change)),
            Err(fields) => Body::Platform(fields),
        };
        Ok(Self { id: id.to_owned(), body })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use apache_avro::{Schema as Avro, types::Value as Datum, writer::datum::GenericDatumWriter};
    use serde_json::json;

    use super::*;
    use crate::upstream::salesforce::pubsub::{ChangeType, schema::tests::change_schema};

    fn write(schema: &str, fields: Vec<(&str, Datum)>) -> Vec<u8> {
        let schema = Avro::parse_str(schema).unwrap();
        let record =
            Datum::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(record).unwrap()
    }

    fn texts(texts: &[&str]) -> Datum {
        Datum::Array(texts.iter().map(|text| Datum::String((*text).to_owned())).collect())
    }

    fn some(text: &str) -> Datum {
        Datum::Union(1, Box::new(Datum::String(text.to_owned())))
    }

    fn header(changed: &[&str], nulled: &[&str]) -> Datum {
        let text = |text: &str| Datum::String(text.to_owned());
        Datum::Record(vec![
            ("entityName".to_owned(), text("Account")),
            ("recordIds".to_owned(), texts(&["00190000001pPvHAAU"])),
            ("changeType".to_owned(), Datum::Enum(1, "UPDATE".to_owned())),
            ("changeOrigin".to_owned(), text("")),
            ("transactionKey".to_owned(), text("0002")),
            ("sequenceNumber".to_owned(), Datum::Int(3)),
            ("commitTimestamp".to_owned(), Datum::Long(1_763_600_000_123)),
            ("commitNumber".to_owned(), Datum::Long(i64::MAX)),
            ("commitUser".to_owned(), text("005")),
            ("nulledFields".to_owned(), texts(nulled)),
            ("diffFields".to_owned(), texts(&[])),
            ("changedFields".to_owned(), texts(changed)),
        ])
    }

    #[test]
    fn a_change_is_read_with_the_names_of_its_fields() {
        let text = change_schema(&[
            json!({ "name": "Name", "type": ["null", "string"] }),
            json!({ "name": "Phone", "type": ["null", "string"] }),
        ]);
        let none = Datum::Union(0, Box::new(Datum::Null));
        let fields = vec![
            ("ChangeEventHeader", header(&["0x02"], &["0x04"])),
            ("Name", some("Taro")),
            ("Phone", none),
        ];
        let payload = write(&text, fields);
        let schema = Schema::parse(&text).unwrap();
        let event = Event::read("uuid", &payload, &schema).unwrap();
        let Body::Change(change) = event.body else { panic!("{event:?}") };
        assert_eq!((change.entity.as_str(), change.change_type), ("Account", ChangeType::Update));
        assert_eq!(change.records, ["00190000001pPvHAAU"]);
        assert_eq!(change.changed, ["Name", "Phone"]);
        assert_eq!(change.fields.keys().collect::<Vec<_>>(), ["Name"]);
        assert_eq!(change.committed_at.timestamp_millis(), 1_763_600_000_123);
        assert!(Event::read("uuid", &payload[..payload.len() - 1], &schema).is_err());
        assert!(Event::read("uuid", &[&payload[..], &[0]].concat(), &schema).is_err());
    }

    #[test]
    fn an_event_without_the_header_is_a_platform_event() {
        let text =
            json!({ "type": "record", "name": "My_Event__e", "namespace": "com.sforce.eventbus", "fields": [
            { "name": "CreatedDate", "type": "long" }, { "name": "CreatedById", "type": "string" },
            { "name": "OrderId__c", "type": ["null", "string"], "default": null }] })
            .to_string();
        let created = Datum::Long(1);
        let by = Datum::String("005".to_owned());
        let payload = write(
            &text,
            vec![("CreatedDate", created), ("CreatedById", by), ("OrderId__c", some("80190000001pPvHAAU"))],
        );
        let event = Event::read("uuid", &payload, &Schema::parse(&text).unwrap()).unwrap();
        let Body::Platform(fields) = event.body else { panic!("{event:?}") };
        assert_eq!(fields["OrderId__c"], "80190000001pPvHAAU");
    }
}
