//! `POST /composite/graph`: composites that are atomic each. Source: Salesforce reference §13.

use std::collections::HashSet;

use serde_json::Value;

use crate::sandbox::salesforce::{
    answer::Answer,
    call::{Call, target},
    node::Node,
    refusal::Refusal,
    rest::{
        Desk, allow,
        composite::{Outcome, run, subrequests},
    },
};

/// Nodes of one graph.
const MOST_NODES: usize = 500;

/// Graphs of one request.
const MOST_GRAPHS: usize = 75;

/// Distinct kinds of nodes: version, method and object.
const MOST_KINDS: usize = 15;

/// Failed graphs after which the rest is not tried.
const MOST_FAILED: usize = 14;

/// `POST /composite/graph`.
///
/// # Errors
/// A call that is not well formed, or over the limits.
pub fn graph(desk: &mut Desk<'_>, call: &Call) -> Result<Answer, Refusal> {
    allow(call, &["POST"])?;
    let body = call.json()?;
    let invalid = |message: String| Refusal::new("INVALID_INPUT", message);
    let graphs = body["graphs"].as_array().ok_or_else(|| invalid("graphs is required".to_owned()))?;
    if graphs.len() > MOST_GRAPHS {
        return Err(Refusal::new(
            "LIMIT_EXCEEDED",
            format!("You can't have more than {MOST_GRAPHS} graphs."),
        ));
    }
    let mut ids = HashSet::new();
    for graph in graphs {
        let id = graph["graphId"].as_str().ok_or_else(|| invalid("graphId is required".to_owned()))?;
        if !ids.insert(id) {
            return Err(invalid(format!("Duplicate graphId: {id}")));
        }
        check(graph)?;
    }
    let (mut nodes, mut failed) = (Vec::new(), 0);
    for graph in graphs {
        if failed >= MOST_FAILED {
            break;
        }
        let requests = subrequests(&graph["compositeRequest"], call.version)?;
        let outcomes = run(desk, &requests, call, true);
        desk.commit();
        let is_successful = outcomes.iter().all(|outcome| outcome.answer.is_success());
        failed += usize::from(!is_successful);
        let responses = outcomes.iter().map(Outcome::to_node).collect();
        nodes.push(Node::object([
            ("graphId", Node::from(graph["graphId"].as_str().unwrap_or_default())),
            ("graphResponse", Node::object([("compositeResponse", Node::List(responses))])),
            ("isSuccessful", is_successful.into()),
        ]));
    }
    Ok(Answer::ok(Node::object([("graphs", Node::List(nodes))])))
}

/// Only single records may be nodes, and not too many or too different ones.
fn check(graph: &Value) -> Result<(), Refusal> {
    let nodes = graph["compositeRequest"].as_array().map(Vec::as_slice).unwrap_or_default();
    if nodes.len() > MOST_NODES {
        return Err(Refusal::new(
            "LIMIT_EXCEEDED",
            format!("You can't have more than {MOST_NODES} nodes in a graph."),
        ));
    }
    let mut kinds = HashSet::new();
    for node in nodes {
        let (method, url) =
            (node["method"].as_str().unwrap_or_default(), node["url"].as_str().unwrap_or_default());
        let target = target(url);
        let path: Vec<&str> =
            target.iter().flat_map(|target| target.path.iter().map(String::as_str)).collect();
        let is_allowed = matches!(
            (method, &path[..]),
            ("POST", ["sobjects", _])
                | ("GET" | "PATCH" | "DELETE", ["sobjects", _, _])
                | ("GET" | "PATCH" | "DELETE" | "POST", ["sobjects", _, _, _])
        );
        if !is_allowed {
            return Err(Refusal::new("INVALID_INPUT", format!("{method} {url} is not supported in a graph")));
        }
        kinds.insert((target.as_ref().map(|target| target.version), method, path[1].to_ascii_lowercase()));
    }
    if kinds.len() > MOST_KINDS {
        return Err(Refusal::new(
            "LIMIT_EXCEEDED",
            format!("You can't have more than {MOST_KINDS} distinct nodes."),
        ));
    }
    Ok(())
}
