//! A record whose field names are known only from configuration.
//!
//! Field names differ between organisations, so a domain that goes by the field map reads records by name; a name
//! that is not in the answer is told as the path at fault.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{
    error::Service,
    id::RecordId,
    upstream::{
        Error, Kind,
        salesforce::{client::QUERY, wire::instant},
    },
};

/// One record of an answer. Paths go over parents: `Account.Name`; behind a parent that is null, all is null.
#[derive(Clone, PartialEq)]
pub struct Record(HashMap<String, Cell>);

#[derive(Clone, PartialEq)]
enum Cell {
    Plain(Value),
    Parent(Record),
    Children(Vec<Record>),
}

impl std::fmt::Debug for Record {
    /// The names of the fields: their values are personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut names: Vec<_> = self.0.keys().collect();
        names.sort();
        f.debug_tuple("Record").field(&names).finish()
    }
}

impl Record {
    /// A text, a picklist's value; the vendor has no empty texts, only nulls.
    ///
    /// # Errors
    /// [`Kind::Decode`] when the field is missing or has another shape; the same for all that follow.
    pub fn text(&self, path: &str) -> Result<Option<&str>, Error> {
        self.read(path, Value::as_str)
    }

    /// The id of this record or of another.
    ///
    /// # Errors
    /// As for [`Record::text`].
    pub fn id(&self, path: &str) -> Result<Option<RecordId>, Error> {
        self.read(path, |value| RecordId::parse(value.as_str()?))
    }

    /// A number, an amount, a percentage.
    ///
    /// # Errors
    /// As for [`Record::text`].
    pub fn number(&self, path: &str) -> Result<Option<Decimal>, Error> {
        self.read(path, |value| {
            let number = value.as_number()?.to_string();
            number.parse().or_else(|_| Decimal::from_scientific(&number)).ok()
        })
    }

    /// A check box; null is false.
    ///
    /// # Errors
    /// As for [`Record::text`].
    pub fn flag(&self, path: &str) -> Result<bool, Error> {
        self.read(path, Value::as_bool).map(|flag| flag.unwrap_or(false))
    }

    /// A day.
    ///
    /// # Errors
    /// As for [`Record::text`].
    pub fn day(&self, path: &str) -> Result<Option<NaiveDate>, Error> {
        self.read(path, |value| value.as_str()?.parse().ok())
    }

    /// An instant.
    ///
    /// # Errors
    /// As for [`Record::text`].
    pub fn instant(&self, path: &str) -> Result<Option<DateTime<Utc>>, Error> {
        self.read(path, |value| instant::parse(value.as_str()?))
    }

    /// The records of a child relationship, none when it is null.
    ///
    /// # Errors
    /// As for [`Record::text`].
    pub fn children(&self, relationship: &str) -> Result<&[Record], Error> {
        match self.0.get(relationship) {
            Some(Cell::Children(children)) => Ok(children),
            Some(Cell::Plain(Value::Null)) => Ok(&[]),
            _ => Err(unexpected(relationship)),
        }
    }

    /// What every record of its kind has: null is as wrong as missing.
    ///
    /// # Errors
    /// As for [`Record::text`].
    pub fn required<T>(
        &self,
        path: &str,
        read: impl Fn(&Self, &str) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        read(self, path)?.ok_or_else(|| unexpected(path))
    }

    fn read<'a, T>(&'a self, path: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>, Error> {
        match self.find(path) {
            Some(Value::Null) => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| unexpected(path)),
            None => Err(unexpected(path)),
        }
    }

    fn find(&self, path: &str) -> Option<&Value> {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        match (self.0.get(name)?, rest) {
            (Cell::Plain(Value::Null), _) => Some(&Value::Null),
            (Cell::Plain(value), None) => Some(value),
            (Cell::Parent(parent), Some(rest)) => parent.find(rest),
            _ => None,
        }
    }
}

fn unexpected(path: &str) -> Error {
    Error { service: Service::Crm, operation: QUERY, kind: Kind::Decode { path: path.to_owned() } }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        HashMap::deserialize(deserializer).map(Self::from)
    }
}

impl From<HashMap<String, Value>> for Record {
    fn from(fields: HashMap<String, Value>) -> Self {
        let cell = |value| match value {
            Value::Object(mut fields) => match fields.remove("records") {
                Some(Value::Array(records)) => {
                    Cell::Children(records.into_iter().filter_map(record).collect())
                }
                _ => Cell::Parent(Self::from(fields.into_iter().collect::<HashMap<_, _>>())),
            },
            value => Cell::Plain(value),
        };
        let named = fields.into_iter().filter(|(name, _)| name != "attributes");
        Self(named.map(|(name, value)| (name, cell(value))).collect())
    }
}

fn record(value: Value) -> Option<Record> {
    match value {
        Value::Object(fields) => Some(Record::from(fields.into_iter().collect::<HashMap<_, _>>())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use serde_json::json;

    use super::*;

    fn order() -> Record {
        serde_json::from_value(json!({
            "attributes": { "type": "Order", "url": "/services/data/v67.0/sobjects/Order/80190000001pPvHAAU" },
            "Id": "80190000001pPvHAAU",
            "Status": "Draft",
            "Note__c": null,
            "TotalAmount": 1200.0,
            "Rush__c": true,
            "EffectiveDate": "2026-11-20",
            "CreatedDate": "2026-11-20T03:04:05.000+0000",
            "Account": { "attributes": { "type": "Account" }, "Name": "Taro", "Owner": null },
            "Opportunity": null,
            "OrderItems": {
                "totalSize": 1, "done": true,
                "records": [{ "attributes": { "type": "OrderItem" }, "Quantity": 2.0 }]
            },
            "Cases": null
        }))
        .unwrap()
    }

    #[test]
    fn fields_are_read_by_name_and_type() {
        let order = order();
        assert_eq!(order.text("Status").unwrap(), Some("Draft"));
        assert_eq!(order.text("Note__c").unwrap(), None);
        assert_eq!(order.id("Id").unwrap(), RecordId::parse("80190000001pPvH"));
        assert_eq!(order.number("TotalAmount").unwrap(), Some(Decimal::from(1200)));
        assert!(order.flag("Rush__c").unwrap());
        assert_eq!(order.day("EffectiveDate").unwrap(), NaiveDate::from_ymd_opt(2026, 11, 20));
        assert_eq!(order.instant("CreatedDate").unwrap().unwrap().to_rfc3339(), "2026-11-20T03:04:05+00:00");
        assert_eq!(order.text("Account.Name").unwrap(), Some("Taro"));
        assert_eq!(order.text("Account.Owner.Name").unwrap(), None);
        assert_eq!(order.text("Opportunity.Name").unwrap(), None);
        assert_eq!(order.children("OrderItems").unwrap()[0].number("Quantity").unwrap(), Some(Decimal::TWO));
        assert!(order.children("Cases").unwrap().is_empty());
    }

    #[test]
    fn what_is_missing_or_of_another_shape_is_told_by_its_path_and_never_by_its_value() {
        let order = order();
        for error in [
            order.text("Nope").unwrap_err(),
            order.number("Nope").unwrap_err(),
            order.text("Account.Nope").unwrap_err(),
            order.children("Nope").unwrap_err(),
        ] {
            assert!(error.to_string().ends_with("Nope"), "{error}");
        }
        assert_eq!(
            order.number("Account.Name").unwrap_err().to_string(),
            "CRM query: unexpected shape at Account.Name"
        );
        assert!(!format!("{order:?}").contains("Taro"));
    }
}
