//! The event bus: a log per topic, from which any number of subscriptions read at their own place.
//!
//! Positions are one ascending number over all topics, so they have gaps within each. They begin at the time at which
//! the bus came into being: after a restart every older position is unknown, as after a sandbox refresh.
//! Source: Salesforce reference §20.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::sandbox::salesforce::pubsub::{
    definition::Definition,
    errors::refused,
    topic::{self, ALL_CHANGES, Source},
};

/// How long an event can be read.
const RETENTION: TimeDelta = TimeDelta::hours(72);

/// An event as it lies on the bus.
#[derive(Debug)]
pub struct Event {
    /// The event's UUID: a duplicate has the same.
    pub id: String,
    /// What the payload was written with.
    pub schema_id: String,
    /// Avro.
    pub payload: Vec<u8>,
}

/// Where a subscription begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With what comes next.
    Latest,
    /// With the oldest event that is retained.
    Earliest,
    /// Behind a position.
    After(Vec<u8>),
}

/// A topic as it is asked for.
#[derive(Clone, Debug)]
pub struct Topic {
    /// What it carries.
    pub source: Source,
    /// The definition now.
    pub definition: Arc<Definition>,
}

/// Every open stream ends so: with a vendor's code, or without any.
#[derive(Clone, Debug)]
pub struct Cut(pub Option<String>);

/// The event bus of an organisation.
#[derive(Debug)]
pub struct Bus {
    log: Mutex<Log>,
    newest: watch::Sender<u64>,
    cuts: broadcast::Sender<Cut>,
    streams: watch::Sender<usize>,
    connections: Mutex<CancellationToken>,
}

/// A subscription that is open, as the bus counts them.
pub struct Open(watch::Sender<usize>);

impl Open {
    /// Counts one more.
    pub fn new(bus: &Bus) -> Self {
        bus.streams.send_modify(|open| *open += 1);
        Self(bus.streams.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

#[derive(Debug)]
struct Log {
    newest: u64,
    commits: i64,
    topics: HashMap<String, Line>,
    definitions: HashMap<String, Arc<Definition>>,
}

/// A topic with its positions, oldest first.
#[derive(Debug)]
struct Line {
    topic: Topic,
    positions: VecDeque<Position>,
}

/// A place in a topic. One without an event was given to a subscriber of a quiet topic, to remember.
#[derive(Debug)]
struct Position {
    id: u64,
    at: DateTime<Utc>,
    event: Option<Arc<Event>>,
}

impl Line {
    fn forget(&mut self, now: DateTime<Utc>) {
        while self.positions.front().is_some_and(|oldest| now - oldest.at > RETENTION) {
            self.positions.pop_front();
        }
    }
}

impl Log {
    /// The next position: a little further, never the very next number.
    fn next(&mut self) -> u64 {
        self.newest += 2 + (self.newest.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 62);
        self.newest
    }

    fn put(&mut self, topic: &str, now: DateTime<Utc>, event: Option<&Arc<Event>>) -> u64 {
        let id = self.next();
        let is_change =
            matches!(self.topics.get(topic), Some(line) if matches!(line.topic.source, Source::Object(_)));
        let union = (is_change && event.is_some()).then_some(ALL_CHANGES);
        for name in [Some(topic), union].into_iter().flatten() {
            if let Some(line) = self.topics.get_mut(name) {
                line.forget(now);
                line.positions.push_back(Position { id, at: now, event: event.cloned() });
            }
        }
        id
    }
}

impl Bus {
    /// A bus with every topic, and nothing on it.
    pub fn new(now: DateTime<Utc>) -> Self {
        let newest = u64::try_from(now.timestamp_millis()).unwrap_or_default() << 12;
        let mut log = Log { newest, commits: 0, topics: HashMap::new(), definitions: HashMap::new() };
        for (name, source) in topic::all() {
            if let Some(definition) = source.definition(0).map(Arc::new) {
                log.definitions.insert(definition.schema_id.clone(), Arc::clone(&definition));
                let topic = Topic { source, definition };
                log.topics.insert(name, Line { topic, positions: VecDeque::new() });
            }
        }
        Self {
            log: Mutex::new(log),
            newest: watch::Sender::new(newest),
            cuts: broadcast::Sender::new(16),
            streams: watch::Sender::new(0),
            connections: Mutex::default(),
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A topic by its exact name.
    pub fn topic(&self, name: &str) -> Option<Topic> {
        self.log().topics.get(name).map(|line| line.topic.clone())
    }

    /// A definition by its id, also one that is no longer used.
    pub fn definition(&self, schema_id: &str) -> Option<Arc<Definition>> {
        self.log().definitions.get(schema_id).cloned()
    }

    /// The number of a new commit.
    pub fn next_commit(&self) -> i64 {
        let mut log = self.log();
        log.commits += 1;
        // Large, as they are: beyond what a double holds exactly.
        (1 << 53) + log.commits
    }

    /// Puts an event on a topic (a change also on the union of all), and gives its position.
    pub fn publish(&self, topic: &str, event: &Arc<Event>, now: DateTime<Utc>) -> u64 {
        let mut log = self.log();
        let id = log.put(topic, now, Some(event));
        drop(log);
        self.newest.send_replace(id);
        id
    }

    /// The place from which a subscription reads.
    ///
    /// # Errors
    /// `topic.not.found`; a position that is missing, unknown, or has aged out.
    pub fn start(&self, topic: &str, start: &Start, now: DateTime<Utc>) -> Result<u64, Status> {
        let mut log = self.log();
        let newest = log.newest;
        let Some(line) = log.topics.get_mut(topic) else {
            return Err(refused("topic.not.found", &format!("The topic {topic} does not exist.")));
        };
        line.forget(now);
        match start {
            Start::Latest => Ok(newest),
            Start::Earliest => Ok(0),
            Start::After(replay_id) if replay_id.is_empty() => Err(refused(
                "subscription.fetch.replayid.validation.failed",
                "The Replay ID validation failed. Ensure that the Replay ID is valid.",
            )),
            Start::After(replay_id) => {
                let id = <[u8; 8]>::try_from(replay_id.as_slice()).ok().map(u64::from_be_bytes);
                id.filter(|id| line.positions.binary_search_by_key(id, |position| position.id).is_ok()).ok_or_else(
                    || {
                        refused(
                            "subscription.fetch.replayid.corrupted",
                            "The Replay ID is corrupted. Ensure that it isn't modified and is within the retention.",
                        )
                    },
                )
            }
        }
    }

    /// Up to so many events behind a place.
    pub fn after(&self, topic: &str, place: u64, most: usize, now: DateTime<Utc>) -> Vec<(u64, Arc<Event>)> {
        let mut log = self.log();
        let Some(line) = log.topics.get_mut(topic) else { return Vec::new() };
        line.forget(now);
        let from = line.positions.partition_point(|position| position.id <= place);
        let events =
            line.positions.range(from..).filter_map(|position| Some((position.id, position.event.clone()?)));
        events.take(most).collect()
    }

    /// A position at the end of a topic, for a subscriber to remember although nothing has happened behind its place;
    /// `None` when something has.
    pub fn mark(&self, topic: &str, place: u64, now: DateTime<Utc>) -> Option<u64> {
        let mut log = self.log();
        let positions = log.topics.get(topic).map(|line| line.positions.iter().rev());
        let is_quiet = positions.is_none_or(|mut positions| {
            !positions
                .by_ref()
                .take_while(|position| position.id > place)
                .any(|position| position.event.is_some())
        });
        is_quiet.then(|| log.put(topic, now, None))
    }

    /// Tells when something was published.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Waits until so many subscriptions are open and have taken their places: what is published then reaches them.
    pub async fn until_subscribed(&self, subscriptions: usize) {
        let _ = self.streams.subscribe().wait_for(|open| *open >= subscriptions).await;
    }

    /// How many subscriptions are open.
    pub fn subscriptions(&self) -> usize {
        *self.streams.borrow()
    }

    /// Tells when streams are to end.
    pub fn cuts(&self) -> broadcast::Receiver<Cut> {
        self.cuts.subscribe()
    }

    /// Ends every open stream: with a vendor's code (without its prefix), or reset without one. Gives how many.
    pub fn drop_streams(&self, code: Option<&str>) -> usize {
        self.cuts.send(Cut(code.map(str::to_owned))).unwrap_or(0)
    }

    /// What ends the connections that are made from now on.
    pub fn connections(&self) -> CancellationToken {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Cuts every open connection. New ones are accepted.
    pub fn drop_connections(&self) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *connections).cancel();
    }

    /// Forgets what is on a topic: every position given so far becomes unknown.
    pub fn reset(&self, topic: &str) {
        if let Some(line) = self.log().topics.get_mut(topic) {
            line.positions.clear();
        }
    }

    /// Delivers the newest event of a topic once more, in a new position. `false` when there is none.
    pub fn repeat(&self, topic: &str, now: DateTime<Utc>) -> bool {
        let newest = {
            let log = self.log();
            let events = log.topics.get(topic).map(|line| line.positions.iter().rev());
            events.and_then(|mut events| events.find_map(|position| position.event.clone()))
        };
        match newest {
            Some(event) => {
                self.publish(topic, &event, now);
                true
            }
            None => false,
        }
    }

    /// Adds a field to a topic's definition: events from now on carry another schema. Gives its id.
    pub fn change_schema(&self, topic: &str) -> Option<String> {
        let mut log = self.log();
        let line = log.topics.get_mut(topic)?;
        let definition = Arc::new(line.topic.source.definition(line.topic.definition.extra + 1)?);
        line.topic.definition = Arc::clone(&definition);
        let id = definition.schema_id.clone();
        log.definitions.insert(id.clone(), definition);
        Some(id)
    }
}
