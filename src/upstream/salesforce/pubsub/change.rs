//! Change events: what happened to which record.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Schema, Undecodable};

/// The field that makes an event a change event.
const HEADER: &str = "ChangeEventHeader";

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChangeType {
    /// A record was made.
    Create,
    /// Fields changed.
    Update,
    /// A record went to the bin.
    Delete,
    /// It came back.
    Undelete,
    /// As [`Create`](Self::Create), but without fields: the record must be read.
    GapCreate,
    /// As [`Update`](Self::Update), but without fields.
    GapUpdate,
    /// As [`Delete`](Self::Delete).
    GapDelete,
    /// As [`Undelete`](Self::Undelete), but without fields.
    GapUndelete,
    /// More changed than the bus tells: every record of the kind may be another.
    GapOverflow,
    /// Reserved by the vendor.
    Snapshot,
    /// One that came after this was written.
    #[serde(other)]
    Unknown,
}

/// A change event, read.
#[derive(Clone, Debug)]
pub struct Change {
    /// The object, such as `OrderItem`.
    pub entity: String,
    /// The records as the vendor writes them; more than one when the same change of a transaction was merged. A
    /// wildcard such as `001*` stands for all of a kind.
    pub records: Vec<String>,
    /// What happened.
    pub change_type: ChangeType,
    /// Who caused it, such as `com/salesforce/api/rest/67.0;client=portal-gateway`; empty for a person.
    pub origin: String,
    /// The same for all changes of a transaction.
    pub transaction: String,
    /// The place in the transaction.
    pub sequence: i64,
    /// When it became visible.
    pub committed_at: DateTime<Utc>,
    /// The fields that changed, of an update: `Status`, `BillingAddress.City`.
    pub changed: Vec<String>,
    /// The fields that came with a value.
    pub fields: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    entity_name: String,
    record_ids: Vec<String>,
    change_type: ChangeType,
    #[serde(default)]
    change_origin: String,
    transaction_key: String,
    sequence_number: i64,
    commit_timestamp: i64,
    #[serde(default)]
    nulled_fields: Vec<String>,
    #[serde(default)]
    diff_fields: Vec<String>,
    #[serde(default)]
    changed_fields: Vec<String>,
}

impl Change {
    /// The change that an event's fields tell; gives the fields back when it is no change event.
    pub(super) fn read(
        mut fields: Map<String, Value>,
        schema: &Schema,
    ) -> Result<Result<Self, Map<String, Value>>, Undecodable> {
        let Some(header) = fields.remove(HEADER) else { return Ok(Err(fields)) };
        let header: Header = serde_json::from_value(header)
            .map_err(|_| Undecodable("the header of the change is of another shape"))?;
        let mut changed = schema.names(&header.changed_fields)?;
        for also in [&header.nulled_fields, &header.diff_fields] {
            for name in schema.names(also)? {
                if !changed.contains(&name) {
                    changed.push(name);
                }
            }
        }
        if header.record_ids.is_empty() {
            return Err(Undecodable("the change is of no record"));
        }
        fields.retain(|_, value| !value.is_null());
        Ok(Ok(Self {
            entity: header.entity_name,
            records: header.record_ids,
            change_type: header.change_type,
            origin: header.change_origin,
            transaction: header.transaction_key,
            sequence: header.sequence_number,
            committed_at: DateTime::from_timestamp_millis(header.commit_timestamp)
                .ok_or(Undecodable("the change happened at no time"))?,
            changed,
            fields,
        }))
    }
}
