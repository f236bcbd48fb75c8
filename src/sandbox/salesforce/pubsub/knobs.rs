//! Events that no change has caused: for tests of what a subscriber must bear. Source: Salesforce reference §23.1, §27.6.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use crate::sandbox::salesforce::{
    org::Org,
    pubsub::{
        bus::Event,
        capture::{Change, Origin, Transaction},
        definition::CHANGE_TYPES,
        platform::platform_event,
        topic::is_captured,
    },
    refusal::Refusal,
    schema::object,
    store::seed::staff_user,
};

/// The record id of an overflow: no record.
const NO_RECORD: &str = "000000000000000AAA";

impl Org {
    /// Publishes a change of records that tells nothing but that there was one: `GAP_UPDATE` and its like. Without
    /// ids: of no record, as an overflow does.
    ///
    /// # Errors
    /// An object whose changes are not captured, or an unknown kind.
    pub fn publish_gap(&self, name: &str, kind: &str, ids: &[&str]) -> Result<(), Refusal> {
        let object = object(name).filter(|object| is_captured(object)).ok_or_else(Refusal::not_found)?;
        let kind = CHANGE_TYPES.iter().find(|known| **known == kind).ok_or_else(Refusal::not_found)?;
        let ids = if ids.is_empty() { &[NO_RECORD][..] } else { ids };
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        let transaction = Transaction::new(self, Origin::person(staff_user()));
        transaction.publish_change(self, Change::gap(object, kind, ids));
        Ok(())
    }

    /// Publishes a platform event; gives its UUID.
    ///
    /// # Errors
    /// An unknown event, or values that do not fit it.
    pub fn publish_event(&self, name: &str, values: &Value) -> Result<String, Refusal> {
        let event = platform_event(name).ok_or_else(Refusal::not_found)?;
        let malformed = || Refusal::new("JSON_PARSER_ERROR", "The values must be an object");
        let values = event.read(values.as_object().ok_or_else(malformed)?)?;
        let id = Uuid::new_v4().to_string();
        let transaction = Transaction::new(self, Origin::person(staff_user()));
        transaction.publish_event(self, id.clone(), event, values);
        Ok(id)
    }

    /// Publishes an event whose payload its schema cannot read.
    ///
    /// # Errors
    /// An unknown topic.
    pub fn publish_garbage(&self, topic: &str) -> Result<(), Refusal> {
        let definition = self.bus.topic(topic).ok_or_else(Refusal::not_found)?.definition;
        let id = Uuid::new_v4().to_string();
        let event = Event { id, schema_id: definition.schema_id.clone(), payload: vec![0xFF; 3] };
        self.bus.publish(topic, &Arc::new(event), self.core.clock.now());
        Ok(())
    }
}
