//! `/composite/sobjects`: up to 200 records in one request. Source: Salesforce reference §11.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::{
    id::RecordId,
    sandbox::salesforce::{
        answer::Answer,
        call::Call,
        node::Node,
        refusal::Refusal,
        rest::{
            Desk, Held,
            records::{field, row, writer},
        },
        schema::{Object, field::Field, object, object_of},
        write::{Writer, id_of},
    },
};

/// Records of one request.
const MOST: usize = 200;

/// Records that one request may read.
const MOST_READ: usize = 2_000;

/// Runs of equal type.
const MOST_RUNS: usize = 10;

/// The outcome of one record.
type Item = Result<(RecordId, Option<bool>), Refusal>;

/// Everything under `/composite/sobjects`.
///
/// # Errors
/// What is not well formed.
pub fn collections(desk: &mut Desk<'_>, call: &Call, rest: &[&str]) -> Result<Answer, Refusal> {
    match (call.method.as_str(), rest) {
        ("POST", []) => write(desk, call, |writer, record| {
            let object = type_of(record)?;
            if record.keys().any(|key| key.eq_ignore_ascii_case("id")) {
                return Err(Refusal::new("INVALID_FIELD", "cannot specify Id in an insert call"));
            }
            writer.create(object, record).map(|id| (id, None))
        }),
        ("PATCH", []) => write(desk, call, |writer, record| {
            let mut record = record.clone();
            let id =
                record.iter().find(|(key, _)| key.eq_ignore_ascii_case("id")).and_then(|(_, id)| id.as_str());
            let id = id
                .map(str::to_owned)
                .ok_or_else(|| Refusal::new("MISSING_ARGUMENT", "Id not specified in an update call"))?;
            record.retain(|key, _| !key.eq_ignore_ascii_case("id"));
            let object = type_of(&record).or_else(|refusal| object_of(&id).ok_or(refusal))?;
            let id = id_of(object, &id)?;
            writer.update(object, id, &record).map(|()| (id, None)).map_err(gone)
        }),
        ("PATCH", [name, key]) => {
            let object = object(name).ok_or_else(Refusal::not_found)?;
            let key = object.field(key).filter(|field| field.external_id || field.name == "Id");
            let key = key.ok_or_else(Refusal::not_found)?;
            write(desk, call, |writer, record| upsert(writer, object, key, record))
        }
        ("DELETE", []) => delete(desk, call),
        ("GET" | "POST", [name]) => retrieve(desk, call, object(name).ok_or_else(Refusal::not_found)?),
        _ => Err(Refusal::new("METHOD_NOT_ALLOWED", format!("HTTP Method '{}' not allowed.", call.method))),
    }
}

/// A record that is not there is `INVALID_CROSS_REFERENCE_KEY` in an item.
fn gone(refusal: Refusal) -> Refusal {
    if refusal.code == "NOT_FOUND" {
        return Refusal::new("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id");
    }
    refusal
}

fn type_of(record: &Map<String, Value>) -> Result<&'static Object, Refusal> {
    let name = record.get("attributes").and_then(|attributes| attributes["type"].as_str());
    let name =
        name.ok_or_else(|| Refusal::new("INVALID_TYPE", "attributes.type is required for every record"))?;
    object(name)
        .ok_or_else(|| Refusal::new("INVALID_TYPE", format!("sObject type '{name}' is not supported.")))
}

fn upsert(
    writer: &mut Writer<'_>,
    object: &'static Object,
    key: &'static Field,
    record: &Map<String, Value>,
) -> Item {
    let mut record = record.clone();
    let value =
        record.iter().find(|(name, _)| name.eq_ignore_ascii_case(key.name)).map(|(_, value)| value.clone());
    if key.name == "Id" {
        record.retain(|name, _| !name.eq_ignore_ascii_case("id"));
        return match value.as_ref().and_then(Value::as_str) {
            None => writer.create(object, &record).map(|id| (id, Some(true))),
            Some(id) => {
                let id = id_of(object, id)?;
                writer.update(object, id, &record).map(|()| (id, Some(false))).map_err(gone)
            }
        };
    }
    let value = value
        .filter(|value| !value.is_null())
        .ok_or_else(|| Refusal::new("MISSING_ARGUMENT", format!("{} not specified", key.name)))?;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match &writer.with_value(object, key, &text)[..] {
        [] => writer.create(object, &record).map(|id| (id, Some(true))),
        [one] => {
            let id = one.id;
            record.retain(|name, _| !name.eq_ignore_ascii_case(key.name));
            writer.update(object, id, &record).map(|()| (id, Some(false)))
        }
        _ => Err(Refusal::new("DUPLICATE_EXTERNAL_ID", format!("{} matches several records", key.name))),
    }
}

/// Writes each record of the body.
fn write(
    desk: &mut Desk<'_>,
    call: &Call,
    mut one: impl FnMut(&mut Writer<'_>, &Map<String, Value>) -> Item,
) -> Result<Answer, Refusal> {
    let body = call.object()?;
    let list = body.get("records").and_then(Value::as_array);
    let list = list.ok_or_else(|| Refusal::new("INVALID_INPUT", "records is required"))?;
    check_size(list.len())?;
    let types: Vec<&Value> = list.iter().map(|record| &record["attributes"]["type"]).collect();
    if types.chunk_by(|one, other| one == other).count() > MOST_RUNS {
        return Err(Refusal::new("INVALID_INPUT", "The records change type more than 10 times"));
    }
    let records = list.iter().map(|record| {
        record.as_object().ok_or_else(|| Refusal::new("JSON_PARSER_ERROR", "Every record must be an object"))
    });
    let records = records.collect::<Result<Vec<_>, _>>()?;
    let all_or_none = body.get("allOrNone") == Some(&Value::Bool(true));
    each(desk, call, &records, all_or_none, |writer, record| one(writer, record))
}

fn check_size(count: usize) -> Result<(), Refusal> {
    if count > MOST {
        let message = format!("record limit reached. cannot submit more than {MOST} records into this call");
        return Err(Refusal::new("EXCEEDED_ID_LIMIT", message));
    }
    Ok(())
}

fn delete(desk: &mut Desk<'_>, call: &Call) -> Result<Answer, Refusal> {
    let ids: Vec<&str> =
        call.parameter("ids").unwrap_or_default().split(',').filter(|id| !id.is_empty()).collect();
    if ids.is_empty() {
        return Err(Refusal::new("INVALID_INPUT", "ids is required"));
    }
    check_size(ids.len())?;
    let all_or_none = call.parameter("allOrNone") == Some("true");
    let mut seen = HashSet::new();
    each(desk, call, &ids, all_or_none, |writer, id| {
        if !seen.insert(RecordId::parse(id)) {
            return Err(Refusal::new("DUPLICATE_VALUE", "duplicate id specified"));
        }
        let malformed = || Refusal::new("MALFORMED_ID", format!("malformed id {id}"));
        let object = object_of(id).ok_or_else(malformed)?;
        let id = id_of(object, id)?;
        writer.delete(object, id).map(|()| (id, None)).map_err(gone)
    })
}

/// Works through items; each stands alone unless all or none is wanted.
fn each<T>(
    desk: &mut Desk<'_>,
    call: &Call,
    items: &[T],
    all_or_none: bool,
    mut one: impl FnMut(&mut Writer<'_>, &T) -> Item,
) -> Result<Answer, Refusal> {
    let start = desk.held.savepoint();
    let mut outcomes: Vec<Item> = Vec::new();
    for item in items {
        let before = desk.held.savepoint();
        let outcome = one(&mut writer(desk, call)?, item);
        if let (Held::Write(overlay), Err(_)) = (&mut desk.held, &outcome) {
            overlay.roll_back(before);
        }
        outcomes.push(outcome);
    }
    if all_or_none && outcomes.iter().any(Result::is_err) {
        if let Held::Write(overlay) = &mut desk.held {
            overlay.roll_back(start);
        }
        for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_ok()) {
            *outcome = Err(Refusal::new(
                "ALL_OR_NONE_OPERATION_ROLLED_BACK",
                "Record rolled back because not all records were valid and the request was using AllOrNone header",
            ));
        }
    }
    Ok(Answer::ok(Node::List(outcomes.iter().map(to_node).collect())))
}

fn to_node(item: &Item) -> Node {
    match item {
        Ok((id, is_created)) => {
            let mut parts = vec![
                ("id".into(), Node::from(id.as_str())),
                ("success".into(), true.into()),
                ("errors".into(), Node::List(Vec::new())),
            ];
            if let Some(is_created) = is_created {
                parts.push(("created".into(), (*is_created).into()));
            }
            Node::Object(parts)
        }
        Err(refusal) => {
            Node::object([("success", false.into()), ("errors", Node::List(vec![refusal.to_item()]))])
        }
    }
}

/// Reads up to 2,000 records by id; a missing one is null.
fn retrieve(desk: &Desk<'_>, call: &Call, object: &'static Object) -> Result<Answer, Refusal> {
    let listed = |name: &str| -> Vec<String> {
        call.parameter(name)
            .unwrap_or_default()
            .split(',')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (ids, names) = if call.method == "GET" {
        (listed("ids"), listed("fields"))
    } else {
        let body = call.object()?;
        let texts = |name: &str| -> Vec<String> {
            let list = body.get(name).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
        };
        (texts("ids"), texts("fields"))
    };
    if ids.len() > MOST_READ {
        let message =
            format!("record limit reached. cannot submit more than {MOST_READ} records into this call");
        return Err(Refusal::new("EXCEEDED_ID_LIMIT", message));
    }
    let fields = names.iter().map(|name| field(object, name)).collect::<Result<Vec<_>, _>>()?;
    let view = desk.view();
    let rows = ids.iter().map(|id| {
        let record = id_of(object, id).ok().and_then(|id| view.living(id));
        record.map_or(Node::NULL, |record| row(&view, &record, fields.iter().copied(), call.version))
    });
    Ok(Answer::ok(Node::List(rows.collect())))
}
