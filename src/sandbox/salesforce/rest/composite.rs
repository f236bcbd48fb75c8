//! `POST /composite` and `/composite/batch`. Source: Salesforce reference §12, §14.

use std::collections::{HashMap, HashSet};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::sandbox::salesforce::{
    answer::{Answer, Content},
    call::{Body, Call, target},
    node::Node,
    refusal::Refusal,
    rest::{
        Desk, Held, allow,
        reference::{self, resolve},
    },
};

/// Subrequests of a composite or a batch.
const MOST: usize = 25;

/// Subrequests that query or carry collections.
const MOST_QUERIES: usize = 5;

/// From this version an illegal `referenceId` fails the whole call.
const STRICT_REFERENCES: u32 = 52;

/// One subrequest of a composite.
pub struct Subrequest<'a> {
    /// `referenceId`.
    pub reference: &'a str,
    method: &'a str,
    url: &'a str,
    body: Option<&'a Value>,
    headers: HeaderMap,
}

/// The outcome of one subrequest.
pub struct Outcome {
    /// `referenceId`.
    pub reference: String,
    /// Its own answer.
    pub answer: Answer,
}

impl Outcome {
    /// The element of `compositeResponse`.
    pub fn to_node(&self) -> Node {
        let headers = self.answer.headers.iter().filter(|(name, _)| *name == "location");
        let headers = headers.map(|(_, value)| ("Location".into(), Node::from(value.as_str()))).collect();
        Node::object([
            ("body", self.answer.node()),
            ("httpHeaders", Node::Object(headers)),
            ("httpStatusCode", usize::from(self.answer.status).into()),
            ("referenceId", Node::from(self.reference.as_str())),
        ])
    }
}

/// Reads the subrequests of a list.
///
/// # Errors
/// Missing parts, forbidden headers, `referenceId`s that are illegal or used twice.
pub fn subrequests<'a>(list: &'a Value, version: u32) -> Result<Vec<Subrequest<'a>>, Refusal> {
    let invalid = |message: String| Refusal::new("INVALID_INPUT", message);
    let list = list.as_array().filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| invalid("The compositeRequest list must not be empty".to_owned()))?;
    let mut seen = HashSet::new();
    let mut requests = Vec::new();
    for item in list {
        let text = |key: &str| {
            item[key].as_str().ok_or_else(|| invalid(format!("{key} is required in every subrequest")))
        };
        let (method, url, reference) = (text("method")?, text("url")?, text("referenceId")?);
        let is_legal = reference.starts_with(|c: char| c.is_ascii_alphanumeric())
            && reference.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_legal && version >= STRICT_REFERENCES {
            return Err(invalid(format!(
                "Provided referenceId '{reference}' must start with a letter or a number, and it can contain only letters, numbers and underscores ('_')."
            )));
        }
        if !seen.insert(reference) {
            return Err(invalid(format!("Duplicate referenceId provided: {reference}")));
        }
        if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method) {
            return Err(invalid(format!("Invalid HTTP method '{method}' in subrequest {reference}")));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in item["httpHeaders"].as_object().into_iter().flatten() {
            if ["accept", "authorization", "content-type"].contains(&name.to_ascii_lowercase().as_str()) {
                return Err(invalid(format!("The header {name} is not allowed in a subrequest")));
            }
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_str(value.as_str().unwrap_or_default()),
            ) {
                headers.insert(name, value);
            }
        }
        requests.push(Subrequest {
            reference,
            method,
            url,
            body: item.get("body").filter(|body| !body.is_null()),
            headers,
        });
    }
    Ok(requests)
}

/// `POST /composite`.
///
/// # Errors
/// A call that is not well formed, or over the limits.
pub fn composite(desk: &mut Desk<'_>, call: &Call) -> Result<Answer, Refusal> {
    allow(call, &["POST"])?;
    let body = call.json()?;
    let requests = subrequests(&body["compositeRequest"], call.version)?;
    if requests.len() > MOST {
        return Err(Refusal::new(
            "LIMIT_EXCEEDED",
            format!("You can't have more than {MOST} subrequests in a composite request."),
        ));
    }
    if requests.iter().filter(|request| is_query(request.url)).count() > MOST_QUERIES {
        return Err(Refusal::new(
            "LIMIT_EXCEEDED",
            format!(
                "You can't have more than {MOST_QUERIES} subrequests of type query or sObject collections."
            ),
        ));
    }
    let outcomes = run(desk, &requests, call, body["allOrNone"] == true);
    let nodes = outcomes.iter().map(Outcome::to_node).collect();
    Ok(Answer::ok(Node::object([("compositeResponse", Node::List(nodes))])))
}

fn is_query(url: &str) -> bool {
    target(url).is_some_and(|target| {
        let path: Vec<&str> = target.path.iter().map(String::as_str).collect();
        matches!(path[..], ["query" | "queryAll", ..] | ["composite", "sobjects", ..])
    })
}

/// Runs subrequests one after the other. `all_or_none`: one failure undoes all.
pub fn run(desk: &mut Desk<'_>, requests: &[Subrequest<'_>], call: &Call, all_or_none: bool) -> Vec<Outcome> {
    let savepoint = desk.held.savepoint();
    let mut bodies: HashMap<String, Value> = HashMap::new();
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut failed = None;
    for request in requests {
        let answer = match subcall(request, &bodies, call) {
            Ok(_) if failed.is_some() && all_or_none => halted(),
            Ok(subcall) => answer(desk, &subcall, all_or_none),
            Err(refusal) => refusal.into(),
        };
        if answer.is_success() {
            bodies.insert(request.reference.to_owned(), answer.node().to_value());
        } else if failed.is_none() {
            failed = Some(outcomes.len());
        }
        outcomes.push(Outcome { reference: request.reference.to_owned(), answer });
    }
    if let (true, Some(failed)) = (all_or_none, failed) {
        if let Held::Write(overlay) = &mut desk.held {
            overlay.roll_back(savepoint);
        }
        for (at, outcome) in outcomes.iter_mut().enumerate() {
            if at != failed {
                outcome.answer = halted();
            }
        }
    }
    outcomes
}

/// Answers a subrequest. With an outer `allOrNone` a collection with one bad item counts as failed.
fn answer(desk: &mut Desk<'_>, call: &Call, all_or_none: bool) -> Answer {
    let is_blob =
        matches!(call.segments()[..], ["sobjects", _, _, field] if ["VersionData", "Body"].contains(&field));
    let is_composite = matches!(call.segments()[..], ["composite"] | ["composite", "graph" | "batch"]);
    if is_blob || is_composite {
        return Refusal::new("INVALID_INPUT", "This resource is not supported in a composite request").into();
    }
    let answer = desk.answer(call);
    let has_bad_item = || match &answer.content {
        Content::Json(Node::List(items)) => items.iter().any(|item| item.to_value()["success"] == false),
        _ => false,
    };
    if all_or_none
        && answer.is_success()
        && matches!(call.segments()[..], ["composite", ..])
        && has_bad_item()
    {
        return Answer { status: 400, ..answer };
    }
    answer
}

/// A subrequest as a call, its references filled in.
fn subcall(request: &Subrequest<'_>, bodies: &HashMap<String, Value>, outer: &Call) -> Result<Call, Refusal> {
    let url = resolve(request.url, bodies)?;
    let target = target(&url).ok_or_else(Refusal::not_found)?;
    let body = match request.body {
        Some(body) => Body::Json(reference::resolve_all(body, bodies)?),
        None => Body::Empty,
    };
    let mut headers = outer.headers.clone();
    for (name, value) in &request.headers {
        headers.insert(name, value.clone());
    }
    Ok(Call {
        method: request.method.to_owned(),
        version: target.version,
        path: target.path,
        query: target.query,
        headers,
        body,
    })
}

fn halted() -> Answer {
    Refusal::new(
        "PROCESSING_HALTED",
        "The transaction was rolled back since another operation in the same transaction failed.",
    )
    .into()
}

/// `POST /composite/batch`: independent subrequests, each counted as one request.
///
/// # Errors
/// More than 25.
pub fn batch(desk: &mut Desk<'_>, call: &Call) -> Result<Answer, Refusal> {
    allow(call, &["POST"])?;
    let body = call.json()?;
    let list = body["batchRequests"]
        .as_array()
        .ok_or_else(|| Refusal::new("INVALID_INPUT", "batchRequests is required"))?;
    if list.len() > MOST {
        return Err(Refusal::new("LIMIT_EXCEEDED", format!("A batch can have at most {MOST} subrequests.")));
    }
    let mut results = Vec::new();
    let mut has_errors = false;
    for item in list {
        let answer = if has_errors && body["haltOnError"] == true {
            Refusal::new("BATCH_PROCESSING_HALTED", "Batch processing halted as a previous request failed.")
                .with_status(412)
                .into()
        } else {
            let url = format!(
                "/services/data/{}",
                item["url"].as_str().unwrap_or_default().trim_start_matches('/')
            );
            match target(&url) {
                None => Refusal::not_found().into(),
                Some(target) => desk.answer(&Call {
                    method: item["method"].as_str().unwrap_or("GET").to_owned(),
                    version: target.version,
                    path: target.path,
                    query: target.query,
                    headers: call.headers.clone(),
                    body: item.get("richInput").map_or(Body::Empty, |body| Body::Json(body.clone())),
                }),
            }
        };
        desk.commit();
        has_errors |= !answer.is_success();
        results.push(Node::object([
            ("statusCode", usize::from(answer.status).into()),
            ("result", answer.node()),
        ]));
    }
    for _ in 1..list.len() {
        desk.org.usage().count(desk.now);
    }
    Ok(Answer::ok(Node::object([
        ("hasErrors", Node::Value(json!(has_errors))),
        ("results", Node::List(results)),
    ])))
}
