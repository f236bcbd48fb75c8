//! The platform events of the organisation. Source: domain reference §10, §17.1.

use std::sync::LazyLock;

use apache_avro::types::Value as Avro;
use serde_json::{Map, Value};

use crate::sandbox::salesforce::{
    pubsub::definition::{null, some, to_avro},
    refusal::Refusal,
    schema::field::{Field, double, text},
};

/// Published when an order is approved.
pub const FULFILMENT: &str = "Order_Fulfilment_Requested__e";

/// Published when what an account is eligible for has changed.
pub const ELIGIBILITY: &str = "Account_Internet_Eligibility_Update__e";

/// A platform event's declaration.
#[derive(Debug)]
pub struct PlatformEvent {
    /// API name.
    pub name: &'static str,
    /// Its own fields.
    pub fields: Vec<Field>,
}

/// All of them.
pub static PLATFORM_EVENTS: LazyLock<Vec<PlatformEvent>> = LazyLock::new(|| {
    vec![
        PlatformEvent {
            name: FULFILMENT,
            fields: vec![
                text("OrderId__c", 18).required(),
                text("IdemKey__c", 80),
                text("CorrelationId__c", 80),
                text("RequestedBy__c", 80),
                double("Version__c"),
            ],
        },
        PlatformEvent {
            name: ELIGIBILITY,
            fields: vec![
                text("AccountId__c", 18).required(),
                text("Internet_Eligibility__c", 255),
                text("Internet_Eligibility_Status__c", 255),
            ],
        },
    ]
});

/// A platform event by name, in any case.
pub fn platform_event(name: &str) -> Option<&'static PlatformEvent> {
    PLATFORM_EVENTS.iter().find(|event| event.name.eq_ignore_ascii_case(name))
}

impl PlatformEvent {
    /// The values of a body, checked and in the event's order.
    ///
    /// # Errors
    /// An unknown field, a missing one, a value of another type or too long.
    pub fn read(&self, body: &Map<String, Value>) -> Result<Vec<(String, Avro)>, Refusal> {
        for name in body.keys().filter(|name| *name != "attributes") {
            if !self.fields.iter().any(|field| field.name.eq_ignore_ascii_case(name)) {
                let message = format!("No such column '{name}' on sobject of type {}", self.name);
                return Err(Refusal::new("INVALID_FIELD", message));
            }
        }
        self.fields.iter().map(|field| Ok((field.name.to_owned(), value(field, body)?))).collect()
    }
}

fn value(field: &Field, body: &Map<String, Value>) -> Result<Avro, Refusal> {
    let given = body.iter().find(|(name, _)| field.name.eq_ignore_ascii_case(name));
    let given = given.map(|(_, value)| value).filter(|value| !value.is_null() && *value != "");
    let Some(given) = given else {
        if field.required {
            let message = format!("Required fields are missing: [{}]", field.name);
            return Err(Refusal::new("REQUIRED_FIELD_MISSING", message).on(field.name));
        }
        return Ok(null());
    };
    if given.as_str().is_some_and(|text| text.chars().count() > field.length) {
        let message = format!("{}: data value too large (max length={})", field.label, field.length);
        return Err(Refusal::new("STRING_TOO_LONG", message).on(field.name));
    }
    let value = to_avro(field.kind, given).ok_or_else(|| {
        let message = format!("{}: value not of required type", field.label);
        Refusal::new("INVALID_TYPE_ON_FIELD_IN_RECORD", message).on(field.name)
    })?;
    Ok(if field.required { value } else { some(value) })
}
