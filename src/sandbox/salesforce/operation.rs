//! What a request is, for the journal and for injected faults.

use serde_json::{Value, json};

use crate::sandbox::salesforce::call::{Call, target};

/// The operation, and a detail without secrets or personal data.
pub fn of(call: &Call) -> (&'static str, Value) {
    let segments = call.segments();
    let is_get = matches!(call.method.as_str(), "GET" | "HEAD");
    match &segments[..] {
        ["query" | "queryAll"] => {
            ("query", json!({"object": object_of(call.parameter("q").unwrap_or_default())}))
        }
        ["query" | "queryAll", _] => ("queryMore", json!({})),
        ["tooling", ..] => ("tooling", json!({})),
        ["limits"] => ("limits", json!({})),
        ["recent"] => ("recent", json!({})),
        ["sobjects"] => ("describeGlobal", json!({})),
        ["sobjects", object, "describe"] => ("describe", json!({"object": object})),
        ["sobjects", object, "updated" | "deleted"] => ("replication", json!({"object": object})),
        ["sobjects", object] if is_get => ("describe", json!({"object": object})),
        ["sobjects", object] => ("create", json!({"object": object})),
        ["sobjects", object, rest @ ..] => {
            let operation = match (call.method.as_str(), rest.len()) {
                ("GET" | "HEAD", _) => "retrieve",
                ("DELETE", _) => "delete",
                (_, 1) => "update",
                _ => "upsert",
            };
            (operation, json!({"object": object}))
        }
        ["composite"] => ("composite", json!({"requests": subrequests(call, "compositeRequest")})),
        ["composite", "batch"] => ("batch", json!({"requests": subrequests(call, "batchRequests")})),
        ["composite", "graph"] => ("graph", json!({})),
        ["composite", "tree", object] => ("tree", json!({"object": object})),
        ["composite", "sobjects", ..] => ("collections", json!({"method": call.method})),
        _ => ("other", json!({})),
    }
}

/// Whether a request may write: whether it needs the records to itself.
pub fn writes(call: &Call) -> bool {
    let is_get = matches!(call.method.as_str(), "GET" | "HEAD");
    match &call.segments()[..] {
        ["composite"] => items(call, "compositeRequest").any(|item| item["method"].as_str() != Some("GET")),
        ["composite", "batch"] => {
            items(call, "batchRequests").any(|item| item["method"].as_str() != Some("GET"))
        }
        _ => !is_get,
    }
}

fn items<'a>(call: &'a Call, list: &'a str) -> impl Iterator<Item = &'a Value> {
    call.json().ok().and_then(|body| body[list].as_array()).into_iter().flatten()
}

/// `referenceId`, method and object of each subrequest.
fn subrequests(call: &Call, list: &str) -> Vec<Value> {
    items(call, list)
        .take(25)
        .map(|item| {
            let url = item["url"].as_str().unwrap_or_default();
            let object = target(url).and_then(|target| {
                match target.path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                    ["query" | "queryAll"] => {
                        target.query.iter().find(|(key, _)| key == "q").map(|(_, soql)| object_of(soql))
                    }
                    ["sobjects", object, ..] => Some(object.to_owned()),
                    ["composite", kind, ..] => Some(kind.to_owned()),
                    _ => None,
                }
            });
            json!({"referenceId": item["referenceId"], "method": item["method"], "object": object})
        })
        .collect()
}

/// The object after the last `FROM` outside parentheses.
fn object_of(statement: &str) -> String {
    let mut depth = 0;
    let mut words = statement.split_whitespace();
    while let Some(word) = words.next() {
        if depth == 0 && word.eq_ignore_ascii_case("from") {
            return words.next().unwrap_or_default().chars().take(40).collect();
        }
        depth += word.matches('(').count() as i64 - word.matches(')').count() as i64;
    }
    String::new()
}
