//! The REST resources under `/services/data/vNN.0/`.

pub mod collections;
pub mod composite;
pub mod cursor;
pub mod describe;
pub mod events;
pub mod graph;
pub mod limits;
pub mod query;
pub mod recent;
pub mod records;
pub mod reference;
pub mod tree;
pub mod versions;

use std::{
    ops::Deref,
    sync::{RwLockReadGuard, RwLockWriteGuard},
};

use chrono::{DateTime, Utc};

use crate::sandbox::salesforce::{
    answer::Answer,
    call::Call,
    org::Org,
    pubsub::capture::Origin,
    refusal::Refusal,
    store::{Overlay, View},
};

/// What was written, held for one request: to read, or to read and write.
pub enum Held<'a> {
    /// To read.
    Read(RwLockReadGuard<'a, Overlay>),
    /// To read and write.
    Write(RwLockWriteGuard<'a, Overlay>),
}

impl Deref for Held<'_> {
    type Target = Overlay;

    fn deref(&self) -> &Overlay {
        match self {
            Self::Read(overlay) => overlay,
            Self::Write(overlay) => overlay,
        }
    }
}

/// One request being served: a transaction, or several when its parts stand alone.
pub struct Desk<'a> {
    /// The organisation.
    pub org: &'a Org,
    /// The records.
    pub held: Held<'a>,
    /// When the request came.
    pub now: DateTime<Utc>,
    /// Whose request it is, and through what it came.
    pub origin: Origin,
}

impl Desk<'_> {
    /// All records as they are now.
    pub fn view(&self) -> View<'_> {
        View::new(&self.org.core.world, &self.org.shared, &self.held)
    }

    /// Answers a call. What it wrote stays until the whole request commits; a refused call leaves nothing.
    pub fn answer(&mut self, call: &Call) -> Answer {
        let savepoint = self.held.savepoint();
        let answer = Answer::from(self.dispatch(call));
        if !answer.is_success()
            && let Held::Write(overlay) = &mut self.held
        {
            overlay.roll_back(savepoint);
        }
        answer
    }

    /// Ends a transaction: what was written stays, and its events are published.
    pub fn commit(&mut self) {
        if let Held::Write(overlay) = &mut self.held {
            self.org.commit(overlay, self.origin.clone());
        }
    }

    fn dispatch(&mut self, call: &Call) -> Result<Answer, Refusal> {
        let segments = call.segments();
        match &segments[..] {
            [] => Ok(versions::resources(self.org, call.version, &self.origin.user)),
            ["query" | "queryAll"] => query::query(self, call),
            ["query" | "queryAll", locator] => query::more(self, call, locator),
            // No managed subscriptions exist, and nothing else of the tooling API does.
            ["tooling", "query"] => query::tooling(call),
            ["limits"] => Ok(limits::limits(self.org, self.now)),
            ["recent"] => recent::recent(self, call),
            ["sobjects"] => allow(call, &["GET", "HEAD"]).map(|()| describe::global(call)),
            ["sobjects", event, rest @ ..] if event.ends_with("__e") => {
                events::events(self, call, event, rest)
            }
            ["event", "eventSchema", id] => events::schema_by_id(self, call, id),
            ["sobjects", object, rest @ ..] => records::records(self, call, object, rest),
            ["composite"] => composite::composite(self, call),
            ["composite", "batch"] => composite::batch(self, call),
            ["composite", "graph"] => graph::graph(self, call),
            ["composite", "tree", object] => tree::tree(self, call, object),
            ["composite", "sobjects", rest @ ..] => collections::collections(self, call, rest),
            _ => Err(Refusal::not_found()),
        }
    }
}

/// Refuses a method that a resource does not know.
///
/// # Errors
/// `METHOD_NOT_ALLOWED`.
pub fn allow(call: &Call, methods: &[&str]) -> Result<(), Refusal> {
    if methods.contains(&call.method.as_str()) {
        return Ok(());
    }
    Err(Refusal::new(
        "METHOD_NOT_ALLOWED",
        format!("HTTP Method '{}' not allowed. Allowed are {}", call.method, methods.join(",")),
    ))
}
