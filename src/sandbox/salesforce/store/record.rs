//! A record: the fields that have a value.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;

use crate::{id::RecordId, sandbox::salesforce::schema::Object};

static NULL: Value = Value::Null;

/// A record. A field without a value is null, or false when it is a flag.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Of which object.
    pub object: &'static Object,
    /// Its id.
    pub id: RecordId,
    /// Values by canonical field name; `Id` is not among them.
    pub fields: BTreeMap<&'static str, Value>,
    /// The bytes of its blob field.
    pub blob: Option<Bytes>,
}

impl Record {
    /// A record without values.
    pub fn new(object: &'static Object, id: RecordId) -> Self {
        Self { object, id, fields: BTreeMap::new(), blob: None }
    }

    /// A stored value; null when there is none.
    pub fn get(&self, field: &str) -> &Value {
        self.fields.get(field).unwrap_or(&NULL)
    }

    /// A stored text.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.get(field).as_str()
    }

    /// A stored flag.
    pub fn is(&self, field: &str) -> bool {
        self.get(field).as_bool().unwrap_or(false)
    }

    /// A stored reference.
    pub fn reference(&self, field: &str) -> Option<RecordId> {
        RecordId::parse(self.text(field)?)
    }

    /// Sets a value; null and empty text remove it.
    pub fn set(&mut self, field: &'static str, value: impl Into<Value>) {
        match value.into() {
            Value::Null => self.fields.remove(field),
            Value::String(text) if text.is_empty() => self.fields.remove(field),
            value => self.fields.insert(field, value),
        };
    }

    /// Sets a value and gives the record back.
    pub fn with(mut self, field: &'static str, value: impl Into<Value>) -> Self {
        self.set(field, value);
        self
    }

    /// Whether it lies in the recycle bin.
    pub fn is_deleted(&self) -> bool {
        self.is("IsDeleted")
    }
}

/// A day as rows show it.
pub fn day(date: NaiveDate) -> String {
    date.format("%Y-%m-%d").to_string()
}

/// An instant as rows show it: UTC, milliseconds, no colon in the zone.
pub fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}
