//! `POST /composite/tree/{object}`: records with their children, all or nothing. Source: Salesforce reference §14.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::{
    id::RecordId,
    sandbox::salesforce::{
        answer::Answer,
        call::Call,
        node::Node,
        refusal::Refusal,
        rest::{Desk, Held, allow, records::writer},
        schema::{Object, known, object},
    },
};

const MOST_RECORDS: usize = 200;
const MOST_TYPES: usize = 5;
const DEEPEST: usize = 5;

/// One record of a tree, taken out of it.
struct Leaf<'a> {
    object: &'static Object,
    reference: &'a str,
    body: Map<String, Value>,
    /// The parent's place in the list, and the field that names it.
    parent: Option<(usize, &'static str)>,
}

/// `POST /composite/tree/{object}`.
///
/// # Errors
/// A call that is not well formed. What records refuse is in the answer.
pub fn tree(desk: &mut Desk<'_>, call: &Call, name: &str) -> Result<Answer, Refusal> {
    allow(call, &["POST"])?;
    let object = object(name).ok_or_else(Refusal::not_found)?;
    let mut leaves = Vec::new();
    flatten(object, &call.json()?["records"], None, 1, &mut leaves)?;
    let types: HashSet<&str> = leaves.iter().map(|leaf| leaf.object.name).collect();
    let references: HashSet<&str> = leaves.iter().map(|leaf| leaf.reference).collect();
    if leaves.len() > MOST_RECORDS {
        let message =
            format!("record limit reached. cannot submit more than {MOST_RECORDS} records into this call");
        return Err(Refusal::new("EXCEEDED_ID_LIMIT", message));
    }
    if types.len() > MOST_TYPES {
        return Err(Refusal::new("INVALID_INPUT", "A tree can have records of at most 5 types"));
    }
    if references.len() != leaves.len() {
        return Err(Refusal::new("INVALID_INPUT", "Duplicate ReferenceId provided in the request."));
    }
    let savepoint = desk.held.savepoint();
    let mut ids: Vec<Option<RecordId>> = Vec::new();
    let mut errors = Vec::new();
    for leaf in &mut leaves {
        if let Some((parent, field)) = leaf.parent {
            // Without its parent a record says nothing of its own.
            let Some(id) = ids[parent] else {
                ids.push(None);
                continue;
            };
            leaf.body.insert(field.to_owned(), id.as_str().into());
        }
        let created = writer(desk, call)?.create(leaf.object, &leaf.body);
        if let Err(refusal) = &created {
            errors.push(Node::object([
                ("referenceId", Node::from(leaf.reference)),
                ("errors", Node::List(vec![refusal.to_item()])),
            ]));
        }
        ids.push(created.ok());
    }
    if !errors.is_empty() {
        if let Held::Write(overlay) = &mut desk.held {
            overlay.roll_back(savepoint);
        }
        let body = Node::object([("hasErrors", true.into()), ("results", Node::List(errors))]);
        return Ok(Answer::json(400, body));
    }
    let results: Vec<Value> = leaves
        .iter()
        .zip(&ids)
        .map(|(leaf, id)| json!({"referenceId": leaf.reference, "id": id.map(|id| id.to_string())}))
        .collect();
    let body = Node::object([("hasErrors", false.into()), ("results", Node::Value(Value::Array(results)))]);
    Ok(Answer::json(201, body))
}

/// Lays the records of a tree in a row, parents first.
fn flatten<'a>(
    object: &'static Object,
    records: &'a Value,
    parent: Option<(usize, &'static str)>,
    depth: usize,
    leaves: &mut Vec<Leaf<'a>>,
) -> Result<(), Refusal> {
    let invalid = |message: &str| Refusal::new("INVALID_INPUT", message);
    if depth > DEEPEST {
        return Err(invalid("A tree can be at most 5 levels deep"));
    }
    for record in records.as_array().ok_or_else(|| invalid("records is required"))? {
        let reference = record["attributes"]["referenceId"].as_str();
        let reference =
            reference.ok_or_else(|| invalid("Include a reference ID for each record in the request."))?;
        let mut body = Map::new();
        let mut branches = Vec::new();
        for (name, value) in record.as_object().into_iter().flatten() {
            match object.child(name) {
                Some(child) if value["records"].is_array() => branches.push((child, &value["records"])),
                _ => {
                    body.insert(name.clone(), value.clone());
                }
            }
        }
        let at = leaves.len();
        leaves.push(Leaf { object, reference, body, parent });
        for (child, records) in branches {
            flatten(known(child.object), records, Some((at, child.field)), depth + 1, leaves)?;
        }
    }
    Ok(())
}
