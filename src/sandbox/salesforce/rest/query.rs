//! `query`, `queryAll` and their further pages. Source: Salesforce reference §8.

use std::sync::Arc;

use serde_json::json;

use crate::{
    id::RecordId,
    sandbox::salesforce::{
        answer::Answer,
        call::Call,
        node::Node,
        query::{Found, Terms, answer, shape::Shape},
        refusal::Refusal,
        rest::{Desk, allow},
    },
};

/// `GET /query?q=…`.
///
/// # Errors
/// A statement that is no SOQL, or asks for what is not there.
pub fn query(desk: &Desk<'_>, call: &Call) -> Result<Answer, Refusal> {
    allow(call, &["GET", "HEAD"])?;
    let statement =
        call.parameter("q").ok_or_else(|| Refusal::malformed("SOQL statements cannot be empty or null"))?;
    let settings = desk.org.settings();
    if settings.slow_query_text.is_some_and(|text| statement.contains(&text)) {
        return Err(Refusal::new("QUERY_TIMEOUT", "Your query request was running for too long."));
    }
    let terms = terms(desk, call);
    let view = desk.view();
    Ok(Answer::ok(match answer(&view, statement, terms)? {
        Found::Count(count) => result(count, None, Vec::new()),
        Found::Rows(rows) => result(rows.len(), None, rows),
        Found::Records(ids, shape) => {
            let size = page_size(call, settings.page_size);
            let (ids, shape): (Arc<[RecordId]>, Arc<Shape>) = (ids.into(), shape.into());
            let id = (ids.len() > size)
                .then(|| desk.org.cursors().open(Arc::clone(&ids), Arc::clone(&shape), desk.now));
            page(desk, call, id.as_deref(), &ids, &shape, 0, size)
        }
    }))
}

/// `GET /query/<locator>`.
///
/// # Errors
/// `INVALID_QUERY_LOCATOR`.
pub fn more(desk: &Desk<'_>, call: &Call, locator: &str) -> Result<Answer, Refusal> {
    allow(call, &["GET", "HEAD"])?;
    let found = desk.org.cursors().find(locator, desk.now);
    let (id, cursor, row) =
        found.ok_or_else(|| Refusal::new("INVALID_QUERY_LOCATOR", "invalid query locator"))?;
    let size = page_size(call, desk.org.settings().page_size);
    Ok(Answer::ok(page(desk, call, Some(&id), &cursor.ids, &cursor.shape, row, size)))
}

/// `GET /tooling/query?q=…`: no managed event subscriptions.
///
/// # Errors
/// Any other object.
pub fn tooling(call: &Call) -> Result<Answer, Refusal> {
    let statement = call.parameter("q").unwrap_or_default().to_ascii_lowercase();
    if statement.contains("from managedeventsubscription") {
        return Ok(Answer::ok(Node::Value(
            json!({"size": 0, "totalSize": 0, "done": true, "queryLocator": null, "entityTypeName": null, "records": []}),
        )));
    }
    Err(Refusal::new("INVALID_TYPE", "sObject type is not supported."))
}

fn terms(desk: &Desk<'_>, call: &Call) -> Terms {
    let with_deleted = call.path.first().is_some_and(|segment| segment == "queryAll");
    Terms { now: desk.now, with_deleted, version: call.version }
}

/// `Sforce-Query-Options: batchSize=N`, 200 to 2000, unless the knob is smaller.
fn page_size(call: &Call, knob: usize) -> usize {
    let asked = call
        .header("sforce-query-options")
        .and_then(|options| {
            options
                .split([',', ';'])
                .find_map(|option| option.trim().strip_prefix("batchSize=")?.parse().ok())
        })
        .map_or(2_000, |size: usize| size.clamp(200, 2_000));
    asked.min(knob).max(1)
}

fn page(
    desk: &Desk<'_>,
    call: &Call,
    id: Option<&str>,
    ids: &[RecordId],
    shape: &Shape,
    from: usize,
    size: usize,
) -> Node {
    let view = desk.view();
    let end = (from + size).min(ids.len());
    let rows = ids[from..end]
        .iter()
        .filter_map(|id| Some(shape.row(&view, &view.get(*id)?, terms(desk, call))))
        .collect();
    let next = id.filter(|_| end < ids.len());
    let resource = call.path.first().map_or("query", String::as_str);
    let next = next.map(|id| format!("/services/data/v{}.0/{resource}/{id}-{end}", call.version));
    result(ids.len(), next, rows)
}

fn result(total: usize, next: Option<String>, rows: Vec<Node>) -> Node {
    let mut parts = vec![("totalSize".into(), total.into()), ("done".into(), next.is_none().into())];
    if let Some(next) = next {
        parts.push(("nextRecordsUrl".into(), Node::from(next.as_str())));
    }
    parts.push(("records".into(), rows.into()));
    Node::Object(parts)
}
