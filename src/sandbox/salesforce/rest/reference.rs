//! `@{ref.path}` in the URL or body of a subrequest. Source: Salesforce reference §12.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::sandbox::salesforce::refusal::Refusal;

/// Replaces the references in a text.
///
/// # Errors
/// `PROCESSING_HALTED` when a reference leads to nothing.
pub fn resolve(text: &str, bodies: &HashMap<String, Value>) -> Result<String, Refusal> {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("@{") {
        let Some(length) = rest[start..].find('}') else { break };
        resolved.push_str(&rest[..start]);
        match look_up(&rest[start + 2..start + length], bodies)? {
            Value::String(value) => resolved.push_str(&value),
            other => resolved.push_str(&other.to_string()),
        }
        rest = &rest[start + length + 1..];
    }
    resolved.push_str(rest);
    Ok(resolved)
}

/// Replaces the references in all texts of a body.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_all(body: &Value, bodies: &HashMap<String, Value>) -> Result<Value, Refusal> {
    Ok(match body {
        Value::String(text) if text.contains("@{") => Value::String(resolve(text, bodies)?),
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| resolve_all(item, bodies)).collect::<Result<_, _>>()?)
        }
        Value::Object(parts) => {
            let resolved = parts.iter().map(|(key, value)| Ok((key.clone(), resolve_all(value, bodies)?)));
            Value::Object(resolved.collect::<Result<Map<_, _>, Refusal>>()?)
        }
        other => other.clone(),
    })
}

/// `ref.records[0].Id`: the case of every name matters.
fn look_up(expression: &str, bodies: &HashMap<String, Value>) -> Result<Value, Refusal> {
    let (reference, path) = expression.split_once(['.', '[']).unwrap_or((expression, ""));
    let path = &expression[expression.len() - path.len()..];
    let nothing = || {
        Refusal::new(
            "PROCESSING_HALTED",
            format!(
                "Invalid reference specified. No value for {path} found in {reference}. Provided reference: {expression}"
            ),
        )
    };
    let mut value = bodies.get(reference).ok_or_else(nothing)?;
    for step in path.split(['.', '[']).map(|step| step.trim_end_matches(']')).filter(|step| !step.is_empty())
    {
        value = match value {
            Value::Array(items) => step.parse::<usize>().ok().and_then(|at| items.get(at)),
            other => other.get(step),
        }
        .ok_or_else(nothing)?;
    }
    match value {
        Value::Null | Value::Object(_) | Value::Array(_) => Err(nothing()),
        value => Ok(value.clone()),
    }
}
