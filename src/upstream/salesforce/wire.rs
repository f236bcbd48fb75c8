//! The shapes of bodies, as the vendor sends them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::id::RecordId;

/// One page of a query's answer. `done` is the only sign of the end.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<T> {
    pub(super) done: bool,
    #[serde(default)]
    pub(super) next_records_url: Option<String>,
    pub(super) records: Vec<T>,
}

/// A request that carries others.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CompositeRequest {
    pub(super) all_or_none: bool,
    pub(super) composite_request: Vec<Subrequest>,
}

/// One of them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Subrequest {
    pub(super) method: &'static str,
    pub(super) url: String,
    pub(super) reference_id: String,
}

/// The answer to a composite: always 200, each part with a status of its own.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CompositeAnswer {
    pub(super) composite_response: Vec<Part>,
}

/// The answer to one subrequest.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    pub(super) body: Box<RawValue>,
    pub(super) http_status_code: u16,
    pub(super) reference_id: String,
}

/// The answer to a create or an upsert.
#[derive(Debug, Deserialize)]
pub(super) struct Saved {
    pub(super) id: RecordId,
    #[serde(default)]
    pub(super) created: Option<bool>,
}

/// What an object has: the fields that this organisation gave it, as far as our user sees them.
#[derive(Clone, Debug, Deserialize)]
pub struct Describe {
    /// The object's name in its own spelling.
    pub name: String,
    /// Its fields.
    pub fields: Vec<Field>,
}

/// One field of an object.
#[derive(Clone, Debug, Deserialize)]
pub struct Field {
    /// The name in its own spelling.
    pub name: String,
    /// The vendor's word for its type: `string`, `picklist`, `reference`, `datetime` and others.
    #[serde(rename = "type")]
    pub kind: String,
    /// The most characters of a text; 0 for other types.
    #[serde(default)]
    pub length: u32,
    /// Whether a condition may name it.
    #[serde(default)]
    pub filterable: bool,
    /// Whether our user may set it when creating.
    #[serde(default)]
    pub createable: bool,
    /// Whether our user may change it.
    #[serde(default)]
    pub updateable: bool,
    /// Whether it is a key for upserts.
    #[serde(default, rename = "externalId")]
    pub external_id: bool,
}

/// One allowance of the organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Allowance {
    /// How much there is.
    pub max: i64,
    /// What is left of it; minutes old.
    pub remaining: i64,
}

/// Reads what `limits` answers, and passes over entries of another shape.
pub(super) fn allowances(all: BTreeMap<String, serde_json::Value>) -> BTreeMap<String, Allowance> {
    all.into_iter().filter_map(|(name, value)| Some((name, Allowance::deserialize(value).ok()?))).collect()
}

/// The records of a child relationship, for a field that a child select fills. The vendor's null is an empty list;
/// pages that follow have been joined by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Children<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Children<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct List<T> {
            records: Vec<T>,
        }
        Ok(Self(Option::<List<T>>::deserialize(deserializer)?.map_or_else(Vec::new, |list| list.records)))
    }
}

/// Instants as the vendor writes them, `2026-11-20T03:04:05.000+0000`, for `#[serde(with = "instant")]`.
pub mod instant {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, de::Error};

    /// Reads the vendor's form; `None` for anything else.
    pub fn parse(text: &str) -> Option<DateTime<Utc>> {
        DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%#z").ok().map(|instant| instant.to_utc())
    }

    /// A required instant.
    ///
    /// # Errors
    /// When the value is no instant.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| D::Error::custom("not an instant"))
    }

    /// An instant that may be null: `#[serde(deserialize_with = "instant::optional")]`.
    ///
    /// # Errors
    /// When the value is neither null nor an instant.
    pub fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
        let text = <Option<std::borrow::Cow<'de, str>>>::deserialize(deserializer)?;
        text.map(|text| parse(&text).ok_or_else(|| D::Error::custom("not an instant"))).transpose()
    }
}
