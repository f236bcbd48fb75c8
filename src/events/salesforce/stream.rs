//! One channel: events into the inbox, in order, each batch with the cursor behind it.

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    backoff::Backoff,
    consumer::Inner,
    health::Link,
    intake::{self, Row, fingerprint},
    report::Report,
    settings::Start,
};
use crate::{
    store::{
        self,
        inbox::{NewEvent, Received, Source},
        leases::Lease,
        streams::Undecoded,
    },
    upstream::salesforce::pubsub::{self, Event, Remedy, Replay, ReplayId, Subscription},
};

/// Tries that a schema has before its events are put aside (requirement E5).
const TRIES: u32 = 5;
/// The first wait after a stream broke.
const RECONNECT: Duration = Duration::from_secs(1);
/// The first and the longest wait for a database that does not answer.
const DATABASE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// The first and the longest wait for a schema.
const SCHEMA: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Why a stream is not gone on with.
enum Ended {
    /// The lease is another's.
    Lost,
    /// The bus.
    Bus(pubsub::Error),
}

impl From<pubsub::Error> for Ended {
    fn from(error: pubsub::Error) -> Self {
        Self::Bus(error)
    }
}

/// What one event leaves.
enum Item {
    Rows(Vec<Row>),
    Undecoded { event: pubsub::Received, reason: &'static str },
}

/// A channel, read under a lease.
pub(super) struct Stream<'a> {
    consumer: &'a Inner,
    channel: &'a str,
    lease: &'a Lease,
    /// Schemas that are not to be had.
    bad_schemas: HashSet<String>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(consumer: &'a Inner, channel: &'a str, lease: &'a Lease) -> Self {
        Self { consumer, channel, lease, bad_schemas: HashSet::new() }
    }

    /// Reads until the lease is lost. Never ends when the bus refuses the channel for good.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(RECONNECT, self.consumer.settings.reconnect_max);
        let mut refused_sessions = 0;
        loop {
            let error = match self.follow(&mut backoff, &mut refused_sessions).await {
                Ended::Lost => return,
                Ended::Bus(error) => error,
            };
            metrics::counter!("crm_event_stream_failures_total", "channel" => self.channel.to_owned(), "code" => error.code.clone())
                .increment(1);
            let link = if error.remedy == Remedy::Stop { Link::Refused } else { Link::Disconnected };
            self.consumer.board.broken(self.channel, link, &error.code);
            tracing::warn!(channel = self.channel, %error, "a stream of events broke");
            match error.remedy {
                Remedy::Retry => backoff.wait().await,
                Remedy::Slower => backoff.wait_long().await,
                Remedy::Renew => {
                    refused_sessions += 1;
                    if refused_sessions > 1 {
                        backoff.wait().await;
                    }
                }
                Remedy::Replay => {
                    if !self.begin_anew().await {
                        return;
                    }
                    backoff.wait().await;
                }
                Remedy::Stop => {
                    tracing::error!(
                        channel = self.channel,
                        %error,
                        "this channel is not read any more: a setting must be changed, here or in the CRM"
                    );
                    return std::future::pending().await;
                }
            }
        }
    }

    /// One stream, from the cursor on.
    async fn follow(&mut self, backoff: &mut Backoff, refused_sessions: &mut u32) -> Ended {
        match self.read(backoff, refused_sessions).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn read(
        &mut self,
        backoff: &mut Backoff,
        refused_sessions: &mut u32,
    ) -> Result<std::convert::Infallible, Ended> {
        let from = self.position().await;
        let mut subscription: Subscription = self.consumer.bus.subscribe(self.channel, &from).await?;
        self.consumer.board.connected(self.channel);
        tracing::info!(channel = self.channel, ?from, "events are read");
        loop {
            let batch = subscription.next().await?;
            backoff.reset();
            *refused_sessions = 0;
            let Some(position) = batch.position else { continue };
            let mut items = Vec::with_capacity(batch.events.len());
            for event in batch.events {
                items.push(self.item(event).await?);
            }
            if !self.keep(&items, &position).await {
                return Err(Ended::Lost);
            }
            // Only now: while the database is paused, no more than what was asked for is held.
            subscription.more().await;
        }
    }

    /// Where to go on. Waits for the database.
    async fn position(&self) -> Replay {
        let mut backoff = Backoff::new(DATABASE.0, DATABASE.1);
        loop {
            match self.consumer.store.event_cursor(self.channel).await {
                Ok(Some(cursor)) => {
                    return cursor.position.and_then(ReplayId::new).map_or(Replay::Earliest, Replay::After);
                }
                Ok(None) => {
                    return match self.consumer.settings.start {
                        Start::Latest => Replay::Latest,
                        Start::Earliest => Replay::Earliest,
                    };
                }
                Err(error) => self.waiting(&error),
            }
            backoff.wait().await;
        }
    }

    /// What an event leaves. Only an outage of the bus is an error: everything else concerns the event alone.
    async fn item(&mut self, event: pubsub::Received) -> Result<Item, Ended> {
        let mut backoff = Backoff::new(SCHEMA.0, SCHEMA.1);
        let mut tries = 0;
        let schema = loop {
            if self.bad_schemas.contains(&event.schema) {
                return Ok(Item::Undecoded { event, reason: "its schema cannot be had" });
            }
            match self.consumer.bus.schema(&event.schema).await {
                Ok(schema) => break schema,
                Err(error) if error.remedy == Remedy::Stop => {
                    tries += 1;
                    if tries == TRIES {
                        tracing::error!(channel = self.channel, %error, "a schema cannot be had");
                        self.bad_schemas.insert(event.schema.clone());
                        continue;
                    }
                    backoff.wait().await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        let internal = &self.consumer.settings.internal_order_fields;
        let rows = Event::read(&event.id, &event.payload, &schema)
            .and_then(|decoded| intake::rows(self.channel, decoded, internal, self.consumer.clock.now()));
        Ok(match rows {
            Ok(rows) => Item::Rows(rows),
            Err(undecodable) => Item::Undecoded { event, reason: undecodable.0 },
        })
    }

    /// Stores a batch and the position behind it. Waits for the database; false when the lease is lost.
    async fn keep(&self, items: &[Item], position: &ReplayId) -> bool {
        let mut backoff = Backoff::new(DATABASE.0, DATABASE.1);
        loop {
            match self.commit(items, position).await {
                Ok(is_held) => return is_held,
                Err(error) => self.waiting(&error),
            }
            backoff.wait().await;
        }
    }

    /// Rows and cursor in one transaction (requirement E1), which is undone when the lease is another's (E4).
    async fn commit(&self, items: &[Item], position: &ReplayId) -> store::Result<bool> {
        let now = self.consumer.clock.now();
        let mut newest: Option<DateTime<Utc>> = None;
        let (mut is_new, mut is_incomplete) = (0_u64, false);
        let mut tx = self.consumer.store.begin().await?;
        for item in items {
            match item {
                Item::Rows(rows) => {
                    for row in rows {
                        newest = newest.max(Some(row.occurred_at));
                        is_new += u64::from(self.receive(&mut tx, row, now).await?);
                        if let Report::Whole { entity } = row.report {
                            let reason = "more records changed than the event bus tells";
                            tx.request_reconciliation(entity.as_str(), reason, now).await?;
                            is_incomplete = true;
                        }
                    }
                }
                Item::Undecoded { event, reason } => self.bury(&mut tx, event, reason, now).await?,
            }
        }
        tx.move_cursor(self.channel, Some(position.as_bytes()), newest, now).await?;
        if !tx.holds(self.lease).await? {
            return Ok(false);
        }
        tx.commit().await?;
        if is_new > 0 {
            metrics::counter!("crm_events_total", "channel" => self.channel.to_owned()).increment(is_new);
            self.consumer.inbox.wake();
        }
        if let Some(newest) = newest {
            let lag = (now - newest).as_seconds_f64().max(0.0);
            metrics::gauge!("crm_event_lag_seconds", "channel" => self.channel.to_owned()).set(lag);
            self.consumer.board.lag(self.channel, lag);
        }
        if is_incomplete {
            self.consumer.reconcile.notify_one();
        }
        Ok(true)
    }

    /// Whether the row is new.
    async fn receive(&self, tx: &mut store::Tx, row: &Row, now: DateTime<Utc>) -> store::Result<bool> {
        let (payload, record) = (row.payload(), row.report.record());
        let event = NewEvent {
            source: Source::Crm,
            event_id: &row.event_id,
            fingerprint: &fingerprint(&payload),
            topic: &row.topic,
            record: &record,
            payload: &payload,
            occurred_at: row.occurred_at,
            received_at: now,
        };
        let received = tx.receive_event(&event).await?;
        if received == Received::Conflict {
            metrics::counter!("crm_event_conflicts_total", "channel" => self.channel.to_owned()).increment(1);
            tracing::error!(
                channel = self.channel,
                event = row.event_id,
                "another event came under the same id"
            );
        }
        Ok(received == Received::New)
    }

    /// Puts an event aside that cannot be read.
    async fn bury(
        &self,
        tx: &mut store::Tx,
        event: &pubsub::Received,
        reason: &'static str,
        now: DateTime<Utc>,
    ) -> store::Result<()> {
        let position = event.replay_id.to_string();
        let payload =
            json!({ "channel": self.channel, "schema": event.schema, "replayId": position }).to_string();
        // One without an id is known by its place.
        let event_id = if event.id.is_empty() { &position } else { &event.id };
        let letter = NewEvent {
            source: Source::Crm,
            event_id,
            fingerprint: &fingerprint(&payload),
            topic: self.channel,
            record: self.channel,
            payload: &payload,
            occurred_at: now,
            received_at: now,
        };
        let undecoded = Undecoded {
            channel: self.channel,
            position: event.replay_id.as_bytes(),
            schema: &event.schema,
            payload: &event.payload,
            letter,
            reason,
        };
        if tx.bury_undecoded(&undecoded).await? {
            metrics::counter!("crm_events_dead_total", "channel" => self.channel.to_owned()).increment(1);
            tracing::error!(
                channel = self.channel,
                event = event_id,
                schema = event.schema,
                reason,
                "an event was put aside"
            );
        }
        Ok(())
    }

    /// The position was refused: an alarm, the earliest event, and a comparison (requirement E3). False when the lease
    /// is lost.
    async fn begin_anew(&self) -> bool {
        metrics::counter!("crm_event_cursors_refused_total", "channel" => self.channel.to_owned())
            .increment(1);
        tracing::error!(
            channel = self.channel,
            "the event bus refused our position: events may be lost, so a comparison is asked for, and what the bus \
             still keeps is read again"
        );
        let mut backoff = Backoff::new(DATABASE.0, DATABASE.1);
        loop {
            match self.forget().await {
                Ok(is_held) => return is_held,
                Err(error) => self.waiting(&error),
            }
            backoff.wait().await;
        }
    }

    async fn forget(&self) -> store::Result<bool> {
        let now = self.consumer.clock.now();
        let mut tx = self.consumer.store.begin().await?;
        tx.move_cursor(self.channel, None, None, now).await?;
        tx.request_reconciliation(self.channel, "the event bus refused our position", now).await?;
        if !tx.holds(self.lease).await? {
            return Ok(false);
        }
        tx.commit().await?;
        self.consumer.reconcile.notify_one();
        Ok(true)
    }

    fn waiting(&self, error: &store::Error) {
        tracing::warn!(
            channel = self.channel,
            error = error as &dyn std::error::Error,
            "events wait for the database"
        );
    }
}
