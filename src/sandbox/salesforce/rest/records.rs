//! Single records: read, create, update, delete, upsert, blobs. Source: Salesforce reference §5, §6.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{
    id::RecordId,
    sandbox::salesforce::{
        answer::{Answer, Content},
        call::{Body, Call},
        node::Node,
        query::shape::{attributes, url, value},
        refusal::Refusal,
        rest::{Desk, Held, allow, describe, recent},
        schema::{
            Object,
            field::{Field, Kind},
            object,
        },
        store::{Record, View},
        write::{Writer, id_of},
    },
};

/// Below this version an update by external id answers 204.
const SAYS_CREATED: u32 = 46;

/// Everything under `/sobjects/{object}`.
///
/// # Errors
/// Unknown object, field or record; refused writes.
pub fn records(desk: &mut Desk<'_>, call: &Call, name: &str, rest: &[&str]) -> Result<Answer, Refusal> {
    let object = object(name).ok_or_else(Refusal::not_found)?;
    match rest {
        [] => match call.method.as_str() {
            "GET" => Ok(describe::basic(desk, call, object)),
            "POST" => create(desk, call, object),
            _ => Err(not_allowed(call, &["GET", "POST"])),
        },
        ["describe"] => allow(call, &["GET", "HEAD"]).map(|()| describe::object(call, object)),
        ["updated"] => recent::updated(desk, call, object),
        ["deleted"] => recent::deleted(desk, call, object),
        ["Id" | "id"] if call.method == "POST" => create(desk, call, object),
        [id] => by_id(desk, call, object, id),
        [first, last] => {
            if let Some(field) = object.field(last).filter(|field| field.kind == Kind::Base64) {
                return blob(desk, call, object, first, field);
            }
            by_key(desk, call, object, first, last)
        }
        _ => Err(Refusal::not_found()),
    }
}

fn not_allowed(call: &Call, methods: &[&str]) -> Refusal {
    allow(call, methods).err().unwrap_or_else(Refusal::not_found)
}

/// The writer of a request.
///
/// # Errors
/// A request that was held for reading only.
pub fn writer<'a>(desk: &'a mut Desk<'_>, call: &Call) -> Result<Writer<'a>, Refusal> {
    let settings = desk.org.settings();
    let Held::Write(overlay) = &mut desk.held else {
        return Err(Refusal::new("UNKNOWN_EXCEPTION", "An unexpected error occurred. ErrorId: read-only"));
    };
    let is = |name: &str, wanted: &str| {
        call.header(name).is_some_and(|value| value.to_ascii_lowercase().contains(wanted))
    };
    Ok(Writer {
        org: desk.org,
        overlay,
        settings,
        now: desk.now,
        user: desk.origin.user.clone(),
        assigns: !is("sforce-auto-assign", "false"),
        saves_duplicates: is("sforce-duplicate-rule-header", "allowsave=true"),
        blob: match &call.body {
            Body::Multipart(_, blob) => blob.clone(),
            _ => None,
        },
    })
}

fn create(desk: &mut Desk<'_>, call: &Call, object: &'static Object) -> Result<Answer, Refusal> {
    let body = call.object()?;
    let id = writer(desk, call)?.create(object, body)?;
    Ok(created(object, id, call.version, None))
}

fn created(object: &Object, id: RecordId, version: u32, is_created: Option<bool>) -> Answer {
    let mut parts = vec![
        ("id".into(), Node::from(id.as_str())),
        ("success".into(), true.into()),
        ("errors".into(), Node::List(Vec::new())),
    ];
    if let Some(is_created) = is_created {
        parts.push(("created".into(), is_created.into()));
    }
    if is_created == Some(false) {
        return Answer::ok(Node::Object(parts));
    }
    let location = format!("/services/data/v{version}.0/sobjects/{}/{id}", object.name);
    Answer::json(201, Node::Object(parts)).with("location", location)
}

fn by_id(desk: &mut Desk<'_>, call: &Call, object: &'static Object, id: &str) -> Result<Answer, Refusal> {
    match call.method.as_str() {
        "GET" | "HEAD" => {
            let parsed =
                id_of(object, id).map_err(|refusal| refusal.with_status(404)).map_err(|refusal| Refusal {
                    code: "NOT_FOUND".into(),
                    message: "Provided external ID field does not exist or is not accessible: ".to_owned()
                        + id,
                    fields: Vec::new(),
                    ..refusal
                })?;
            let view = desk.view();
            let record = view.get(parsed).ok_or_else(Refusal::not_found)?;
            if record.is_deleted() {
                return Err(Refusal::new("ENTITY_IS_DELETED", "entity is deleted"));
            }
            read(&view, call, &record)
        }
        "PATCH" => {
            let id = id_of(object, id)?;
            let body = call.object()?;
            check_conditions(desk, call, id)?;
            writer(desk, call)?.update(object, id, body)?;
            Ok(Answer::bare(204))
        }
        "DELETE" => {
            let id = id_of(object, id)?;
            writer(desk, call)?.delete(object, id)?;
            Ok(Answer::bare(204))
        }
        _ => Err(not_allowed(call, &["HEAD", "GET", "PATCH", "DELETE"])),
    }
}

/// `If-Match` and `If-Unmodified-Since`. Source: Salesforce reference §3.4.
fn check_conditions(desk: &Desk<'_>, call: &Call, id: RecordId) -> Result<(), Refusal> {
    let Some(record) = desk.view().living(id) else { return Ok(()) };
    let failed = || Err(Refusal::new("PRECONDITION_FAILED", "The precondition of the request is not met"));
    if let Some(tags) = call.header("if-match")
        && record.object.name == "Account"
        && tags != "*"
        && !tags.split(',').any(|tag| tag.trim() == etag(&record))
    {
        return failed();
    }
    if let Some(date) = call.header("if-unmodified-since") {
        let Ok(date) = chrono::DateTime::parse_from_rfc2822(date) else {
            return Err(Refusal::new("INVALID_HEADER", "Invalid value of If-Unmodified-Since"));
        };
        if recent::modified_at(&record).is_some_and(|at| at.timestamp() > date.timestamp()) {
            return failed();
        }
    }
    Ok(())
}

/// The tag of a record's state. It moves with every change.
fn etag(record: &Record) -> String {
    let stamp = record.text("SystemModstamp").unwrap_or_default();
    let digits: String = stamp.chars().filter(char::is_ascii_digit).collect();
    format!("\"{digits}\"")
}

/// The row of a record: the fields that were named, or all.
fn read(view: &View<'_>, call: &Call, record: &Arc<Record>) -> Result<Answer, Refusal> {
    let last_modified = recent::modified_at(record);
    if let Some(since) =
        call.header("if-modified-since").and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok())
        && last_modified.is_some_and(|at| at.timestamp() <= since.timestamp())
    {
        return Ok(Answer::bare(304));
    }
    let is_tagged = record.object.name == "Account";
    if is_tagged
        && call
            .header("if-none-match")
            .is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == etag(record)))
    {
        return Ok(Answer::bare(304));
    }
    let node = match call.parameter("fields") {
        Some(names) => {
            let fields = names
                .split(',')
                .map(|name| field(record.object, name.trim()))
                .collect::<Result<Vec<_>, _>>()?;
            row(view, record, fields.into_iter(), call.version)
        }
        None => row(view, record, record.object.fields.iter(), call.version),
    };
    let mut answer = Answer::ok(node);
    if is_tagged {
        answer = answer.with("etag", etag(record));
    }
    if let Some(at) = last_modified {
        answer = answer.with("last-modified", at.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
    }
    Ok(answer)
}

/// A field that a request names.
///
/// # Errors
/// `INVALID_FIELD`.
pub fn field(object: &'static Object, name: &str) -> Result<&'static Field, Refusal> {
    object.field(name).ok_or_else(|| {
        Refusal::new("INVALID_FIELD", format!("No such column '{name}' on sobject of type {object}"))
    })
}

/// A row of fields, `Id` always among them.
pub fn row(
    view: &View<'_>,
    record: &Record,
    fields: impl Iterator<Item = &'static Field>,
    version: u32,
) -> Node {
    let mut parts = vec![("attributes".into(), attributes(record, version))];
    let mut has_id = false;
    for field in fields {
        has_id |= field.kind == Kind::Id;
        parts.push((field.name.into(), value(view, record, field, version)));
    }
    if !has_id {
        parts.push(("Id".into(), Node::from(record.id.as_str())));
    }
    Node::Object(parts)
}

fn blob(
    desk: &Desk<'_>,
    call: &Call,
    object: &'static Object,
    id: &str,
    field: &Field,
) -> Result<Answer, Refusal> {
    allow(call, &["GET", "HEAD"])?;
    let id = id_of(object, id)?;
    let record = desk.view().living(id).ok_or_else(Refusal::not_found)?;
    let bytes = record.blob.clone().ok_or_else(Refusal::not_found)?;
    let media = match field.name {
        "Body" => record.text("ContentType").unwrap_or("application/octet-stream"),
        _ => "application/octetstream",
    };
    let content = Content::Bytes(bytes, media.to_owned());
    Ok(Answer { content, ..Answer::bare(200) })
}

fn by_key(
    desk: &mut Desk<'_>,
    call: &Call,
    object: &'static Object,
    name: &str,
    key: &str,
) -> Result<Answer, Refusal> {
    let field =
        object.field(name).filter(|field| field.external_id || field.id_lookup || field.kind == Kind::Id);
    let Some(field) = field else {
        // A record's reference leads to its parent: `/sobjects/Order/801…/Account`.
        return related(desk, call, object, name, key).ok_or_else(|| {
            Refusal::new(
                "NOT_FOUND",
                format!("Provided external ID field does not exist or is not accessible: {name}"),
            )
        })?;
    };
    if field.kind == Kind::Id {
        return by_id(desk, call, object, key);
    }
    let mut matches = found(desk, object, field, key);
    match call.method.as_str() {
        "GET" | "HEAD" | "DELETE" | "PATCH" | "POST" => {}
        _ => return Err(not_allowed(call, &["HEAD", "GET", "PATCH", "DELETE"])),
    }
    if matches.len() > 1 {
        let urls = matches.iter().map(|record| Node::from(url(record, call.version).as_str())).collect();
        return Ok(Answer::json(300, Node::List(urls)));
    }
    let record = matches.pop();
    match (call.method.as_str(), record) {
        ("PATCH" | "POST", record) => upsert(desk, call, object, field, key, record),
        (_, None) => Err(Refusal::not_found()),
        ("DELETE", Some(record)) => {
            writer(desk, call)?.delete(object, record.id)?;
            Ok(Answer::bare(204))
        }
        (_, Some(record)) => read(&desk.view(), call, &record),
    }
}

/// The living records with a value in a key field.
fn found(desk: &Desk<'_>, object: &'static Object, field: &'static Field, key: &str) -> Vec<Arc<Record>> {
    let view = desk.view();
    let candidates = view.with_values(object, &[], field, &[key.to_owned()]);
    let mut found = Vec::new();
    let _ = view.scan(object, candidates.as_ref(), |record| {
        let is_same = record.text(field.name).is_some_and(|value| value.to_lowercase() == key.to_lowercase());
        if is_same && !record.is_deleted() {
            found.push(Arc::clone(record));
        }
        std::ops::ControlFlow::Continue(())
    });
    found
}

fn upsert(
    desk: &mut Desk<'_>,
    call: &Call,
    object: &'static Object,
    field: &'static Field,
    key: &str,
    record: Option<Arc<Record>>,
) -> Result<Answer, Refusal> {
    let body = call.object()?;
    if body.keys().any(|name| name.eq_ignore_ascii_case(field.name)) {
        let message = format!("The {} field should not be specified in the sobject data.", field.name);
        return Err(Refusal::new("INVALID_FIELD", message).on(field.name));
    }
    match record {
        Some(record) => {
            writer(desk, call)?.update(object, record.id, body)?;
            if call.version < SAYS_CREATED {
                return Ok(Answer::bare(204));
            }
            Ok(created(object, record.id, call.version, Some(false)))
        }
        None if call.parameter("updateOnly") == Some("true") => Err(Refusal::not_found()),
        None => {
            let mut body: Map<String, Value> = body.clone();
            body.insert(field.name.to_owned(), key.into());
            let id = writer(desk, call)?.create(object, &body)?;
            Ok(created(object, id, call.version, (call.version >= SAYS_CREATED).then_some(true)))
        }
    }
}

/// `/sobjects/{object}/{id}/{relationship}`: the parent's row, or the children's.
fn related(
    desk: &Desk<'_>,
    call: &Call,
    object: &'static Object,
    id: &str,
    relationship: &str,
) -> Option<Result<Answer, Refusal>> {
    let id = id_of(object, id).ok()?;
    if call.method != "GET" {
        return None;
    }
    let view = desk.view();
    let record = view.living(id)?;
    if let Some(reference) = object.parent(relationship) {
        let parent = record.reference(reference.name).and_then(|id| view.living(id));
        return Some(parent.ok_or_else(Refusal::not_found).and_then(|parent| read(&view, call, &parent)));
    }
    let child = object.child(relationship)?;
    let target = crate::sandbox::salesforce::schema::known(child.object);
    let rows: Vec<Node> = view
        .children(target, child.field, id)
        .iter()
        .map(|record| row(&view, record, target.fields.iter(), call.version))
        .collect();
    let parts = [("totalSize", rows.len().into()), ("done", true.into()), ("records", rows.into())];
    Some(Ok(Answer::ok(Node::object(parts))))
}
