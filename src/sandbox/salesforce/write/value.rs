//! Values as they come in: of the field's type, within its sizes. Source: Salesforce reference §3.5, §4.3.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chrono::{DateTime, NaiveDate};
use serde_json::Value;

use crate::{
    id::RecordId,
    sandbox::salesforce::{
        refusal::Refusal,
        schema::{
            field::{Field, Kind},
            object_of,
        },
        store::{
            View,
            record::{day, instant},
        },
    },
};

type Result<T> = std::result::Result<T, Refusal>;

/// The value to store.
///
/// # Errors
/// Another type, too long, not in the list, no such record.
pub fn coerce(view: &View<'_>, field: &Field, value: &Value) -> Result<Value> {
    let wrong = || {
        let shown = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let message = format!("{}: value not of required type: {shown}", field.label);
        Refusal::new("INVALID_TYPE_ON_FIELD_IN_RECORD", message).on(field.name)
    };
    match (field.kind, value) {
        (_, Value::Null) => Ok(Value::Null),
        (_, Value::String(text)) if text.is_empty() => Ok(Value::Null),
        (Kind::Reference, Value::String(id)) => reference(view, field, id),
        (kind, Value::String(text)) if kind.is_text() => self::text(field, text),
        (Kind::Boolean, Value::Bool(flag)) => Ok((*flag).into()),
        (Kind::Boolean, Value::String(text)) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true.into()),
            "false" | "0" => Ok(false.into()),
            _ => Err(wrong()),
        },
        (Kind::Int, Value::Number(number)) => number.as_i64().map(Value::from).ok_or_else(wrong),
        (kind, Value::Number(number)) if kind.is_number() => {
            number.as_f64().map(Value::from).ok_or_else(wrong)
        }
        (kind, Value::String(text)) if kind.is_number() => {
            let number: f64 = text.trim().parse().map_err(|_| wrong())?;
            if number.is_finite() { Ok(number.into()) } else { Err(wrong()) }
        }
        (Kind::Date, Value::String(text)) => {
            let date: Option<NaiveDate> = text.get(..10).and_then(|date| date.parse().ok());
            date.filter(|_| text.len() == 10 || text.as_bytes().get(10) == Some(&b'T'))
                .map(|date| day(date).into())
                .ok_or_else(wrong)
        }
        (Kind::DateTime, Value::String(text)) => {
            let at = DateTime::parse_from_rfc3339(text)
                .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"))
                .map_err(|_| wrong())?;
            Ok(instant(at.to_utc()).into())
        }
        _ => Err(wrong()),
    }
}

fn text(field: &Field, text: &str) -> Result<Value> {
    if field.kind == Kind::Email && !is_email(text) {
        let message = format!("{}: invalid email address: {text}", field.label);
        return Err(Refusal::new("INVALID_EMAIL_ADDRESS", message).on(field.name));
    }
    if field.restricted && !field.values.contains(&text) {
        let message = format!("{}: bad value for restricted picklist field: {text}", field.label);
        return Err(Refusal::new("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message).on(field.name));
    }
    let length = if field.length_in_bytes { text.len() } else { text.chars().count() };
    if length > field.length {
        let message = format!("{}: data value too large: {text} (max length={})", field.label, field.length);
        return Err(Refusal::new("STRING_TOO_LONG", message).on(field.name));
    }
    Ok(text.into())
}

fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.split_once('@') else { return false };
    let is_plain = |part: &str| {
        !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || "@,;:<>()[]\"\\".contains(c))
    };
    is_plain(name)
        && is_plain(host)
        && host.contains('.')
        && host.split('.').all(|label| !label.is_empty())
        && !name.starts_with('.')
        && !name.ends_with('.')
}

fn reference(view: &View<'_>, field: &Field, id: &str) -> Result<Value> {
    let parsed = RecordId::parse(id)
        .filter(|id| object_of(id.as_str()).is_some_and(|object| field.targets.contains(&object.name)));
    let Some(parsed) = parsed else {
        let message = format!("{}: id value of incorrect type: {id}", field.label);
        return Err(Refusal::new("MALFORMED_ID", message).on(field.name));
    };
    match view.get(parsed) {
        None => Err(Refusal::new("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id").on(field.name)),
        Some(record) if record.is_deleted() => {
            Err(Refusal::new("ENTITY_IS_DELETED", "entity is deleted").on(field.name).with_status(400))
        }
        Some(_) => Ok(parsed.as_str().into()),
    }
}

/// The bytes of a base64 field.
///
/// # Errors
/// What is no base64.
pub fn blob(field: &Field, value: &Value) -> Result<Bytes> {
    let text = value.as_str().unwrap_or_default();
    let bytes = STANDARD.decode(text.split_whitespace().collect::<String>()).map_err(|_| {
        let message = format!(
            "{}: value not of required type: {}",
            field.label,
            text.chars().take(40).collect::<String>()
        );
        Refusal::new("INVALID_TYPE_ON_FIELD_IN_RECORD", message).on(field.name)
    })?;
    Ok(bytes.into())
}
