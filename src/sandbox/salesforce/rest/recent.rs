//! `recent`, `updated`, `deleted`: what was written lately. Source: Salesforce reference §5.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::sandbox::salesforce::{
    answer::Answer,
    call::Call,
    node::Node,
    query::shape::attributes,
    refusal::Refusal,
    rest::{Desk, allow},
    schema::{Object, objects},
    store::{Record, record::instant},
};

/// Days that `updated` and `deleted` reach back.
const FARTHEST_DAYS: i64 = 30;

/// When a record was last changed.
pub fn modified_at(record: &Record) -> Option<DateTime<Utc>> {
    let text = record.text("SystemModstamp")?;
    Some(DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z").ok()?.to_utc())
}

/// `GET /recent`.
///
/// # Errors
/// Another method.
pub fn recent(desk: &Desk<'_>, call: &Call) -> Result<Answer, Refusal> {
    allow(call, &["GET"])?;
    Ok(Answer::ok(Node::List(items(desk, call, None))))
}

/// The records written last, newest first.
pub fn items(desk: &Desk<'_>, call: &Call, object: Option<&'static Object>) -> Vec<Node> {
    let limit = call.parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(200).min(200);
    let objects = objects().iter().filter(|one| object.is_none_or(|object| object == *one));
    let ids = objects.flat_map(|object| desk.held.of(object));
    let mut records: Vec<_> =
        ids.filter_map(|id| desk.held.get(id)).filter(|record| !record.is_deleted()).collect();
    records.sort_by_key(|record| std::cmp::Reverse(modified_at(record)));
    let row = |record: &Record| {
        let name = record.text(record.object.name_field).map_or(Node::NULL, Node::from);
        Node::object([
            ("attributes", attributes(record, call.version)),
            ("Id", Node::from(record.id.as_str())),
            ("Name", name),
        ])
    };
    records.into_iter().take(limit).map(|record| row(record)).collect()
}

/// `GET /sobjects/{object}/updated?start=&end=`.
///
/// # Errors
/// Times that are none, or too far back.
pub fn updated(desk: &Desk<'_>, call: &Call, object: &'static Object) -> Result<Answer, Refusal> {
    let (written, end) = written_between(desk, call, object)?;
    let ids: Vec<&str> =
        written.iter().filter(|record| !record.is_deleted()).map(|record| record.id.as_str()).collect();
    Ok(Answer::ok(Node::Value(json!({"ids": ids, "latestDateCovered": instant(end)}))))
}

/// `GET /sobjects/{object}/deleted?start=&end=`.
///
/// # Errors
/// Times that are none, or too far back.
pub fn deleted(desk: &Desk<'_>, call: &Call, object: &'static Object) -> Result<Answer, Refusal> {
    let (written, end) = written_between(desk, call, object)?;
    let deleted = written.iter().filter(|record| record.is_deleted());
    let records: Vec<_> = deleted
        .map(|record| json!({"id": record.id.as_str(), "deletedDate": record.get("SystemModstamp")}))
        .collect();
    let earliest = instant(desk.now - TimeDelta::days(15));
    Ok(Answer::ok(Node::Value(json!({
        "deletedRecords": records, "earliestDateAvailable": earliest, "latestDateCovered": instant(end)
    }))))
}

type Written<'a> = (Vec<&'a Record>, DateTime<Utc>);

fn written_between<'a>(
    desk: &'a Desk<'_>,
    call: &Call,
    object: &'static Object,
) -> Result<Written<'a>, Refusal> {
    allow(call, &["GET"])?;
    let time = |name: &str| {
        let text = call.parameter(name).unwrap_or_default().replace(' ', "+");
        DateTime::parse_from_rfc3339(&text)
            .or_else(|_| DateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f%z"))
            .map(|at| at.to_utc())
            .map_err(|_| {
                Refusal::new("INVALID_REPLICATION_DATE", format!("{name}: a date and time is expected"))
            })
    };
    let (start, end) = (time("start")?, time("end")?);
    if end <= start {
        return Err(Refusal::new("INVALID_REPLICATION_DATE", "endDate must be after startDate"));
    }
    if desk.now - start > TimeDelta::days(FARTHEST_DAYS) {
        return Err(Refusal::new("INVALID_REPLICATION_DATE", "startDate is more than 30 days ago"));
    }
    let records = desk.held.of(object).filter_map(|id| desk.held.get(id));
    let within = |record: &&Record| modified_at(record).is_some_and(|at| at >= start && at < end);
    Ok((records.map(AsRef::as_ref).filter(within).collect(), end))
}
