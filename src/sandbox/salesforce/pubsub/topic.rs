//! The topics, by name. Source: Salesforce reference §20.1, §23.4.

use crate::sandbox::salesforce::{
    pubsub::{
        definition::{Definition, change_event},
        platform::{self, PlatformEvent},
    },
    schema::{Object, known},
};

/// Objects whose changes are captured. Comments on cases cannot be.
pub const CAPTURED: [&str; 8] =
    ["Product2", "PricebookEntry", "Order", "OrderItem", "Account", "Opportunity", "Case", "EmailMessage"];

/// The topic that carries every change event.
pub const ALL_CHANGES: &str = "/data/ChangeEvents";

/// What a topic carries.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// Changes of one object.
    Object(&'static Object),
    /// Changes of all captured objects.
    Changes,
    /// A platform event.
    Platform(&'static PlatformEvent),
}

impl Source {
    /// The definition of its events. `extra`: how many fields were added to it since.
    pub fn definition(self, extra: usize) -> Option<Definition> {
        match self {
            Self::Object(object) => Definition::change(object, extra),
            Self::Changes => Definition::changes(extra),
            Self::Platform(event) => Definition::platform(event, extra),
        }
    }
}

/// The topic of an object's changes.
pub fn of_object(object: &Object) -> String {
    format!("/data/{}", change_event(object))
}

/// The topic of a platform event.
pub fn of_event(name: &str) -> String {
    format!("/event/{name}")
}

/// Every topic that there is.
pub fn all() -> impl Iterator<Item = (String, Source)> {
    let changes = CAPTURED.iter().map(|name| (of_object(known(name)), Source::Object(known(name))));
    let events =
        platform::PLATFORM_EVENTS.iter().map(|event| (of_event(event.name), Source::Platform(event)));
    changes.chain(events).chain([(ALL_CHANGES.to_owned(), Source::Changes)])
}

/// Whether an object's changes are captured.
pub fn is_captured(object: &Object) -> bool {
    CAPTURED.contains(&object.name)
}
