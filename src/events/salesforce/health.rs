//! What an operator sees of the reading.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::store::streams::Cursor;

/// How one channel stands with this replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Link {
    /// Another replica reads.
    Standby,
    /// Events come.
    Connected,
    /// It was interrupted and is opened again.
    Disconnected,
    /// The bus says no, and will until a setting is changed.
    Refused,
}

#[derive(Clone, Debug)]
struct Seen {
    link: Link,
    lag_seconds: Option<f64>,
    last_error: Option<String>,
}

/// What the streams tell of themselves. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Board(Arc<Mutex<BTreeMap<String, Seen>>>);

impl Board {
    fn seen(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn connected(&self, channel: &str) {
        let mut board = self.seen();
        let lag_seconds = board.get(channel).and_then(|seen| seen.lag_seconds);
        board.insert(channel.to_owned(), Seen { link: Link::Connected, lag_seconds, last_error: None });
    }

    pub(super) fn broken(&self, channel: &str, link: Link, error: &str) {
        let mut board = self.seen();
        let lag_seconds = board.get(channel).and_then(|seen| seen.lag_seconds);
        board.insert(channel.to_owned(), Seen { link, lag_seconds, last_error: Some(error.to_owned()) });
    }

    pub(super) fn lag(&self, channel: &str, seconds: f64) {
        if let Some(seen) = self.seen().get_mut(channel) {
            seen.lag_seconds = Some(seconds);
        }
    }

    /// Another replica reads now, or nobody.
    pub(super) fn clear(&self) {
        self.seen().clear();
    }

    pub(super) fn health(&self, channels: &[String], cursors: &[Cursor], now: DateTime<Utc>) -> Health {
        let board = self.seen();
        let channels = channels.iter().map(|channel| {
            let cursor = cursors.iter().find(|cursor| cursor.channel == *channel);
            let seen = board.get(channel);
            let position = cursor.and_then(|cursor| cursor.position.as_deref());
            ChannelHealth {
                channel: channel.clone(),
                replay: Replayed { last_replay_id: position.map(base64) },
                subscriber: Subscriber {
                    status: seen.map_or(Link::Standby, |seen| seen.link),
                    last_error: seen.and_then(|seen| seen.last_error.clone()),
                },
                lag_seconds: seen.and_then(|seen| seen.lag_seconds),
                idle_seconds: cursor.map(|cursor| (now - cursor.moved_at).num_seconds().max(0)),
            }
        });
        Health { enabled: true, channels: channels.collect() }
    }
}

fn base64(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes)
}

/// The answer of `/health/sf-events`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Whether events are read at all.
    pub enabled: bool,
    /// Every channel.
    pub channels: Vec<ChannelHealth>,
}

/// How one channel stands.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelHealth {
    channel: String,
    replay: Replayed,
    subscriber: Subscriber,
    /// From the last event's own time to its being stored.
    lag_seconds: Option<f64>,
    /// Since the bus last moved the cursor; on a quiet channel it does at least every 270 s.
    idle_seconds: Option<i64>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Replayed {
    /// In base64, as the vendor's tools show it; null before the first.
    last_replay_id: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Subscriber {
    status: Link,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}
