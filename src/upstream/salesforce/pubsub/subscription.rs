//! A stream of events.

use std::sync::Arc;

use bytes::Bytes;
use tokio::{sync::mpsc, time::timeout};
use tonic::Streaming;

use super::{
    Error, Remedy, ReplayId,
    client::Client,
    eventbus::{FetchRequest, FetchResponse, ReplayPreset},
};
use crate::upstream::salesforce::session::Token;

pub(super) const OPERATION: &str = "Subscribe";

/// Where a stream begins.
#[derive(Clone, Debug)]
pub enum Replay {
    /// With what comes from now on.
    Latest,
    /// With the earliest event that the bus keeps: three days at most.
    Earliest,
    /// With the first event after a position.
    After(ReplayId),
}

impl Replay {
    /// The first request of a stream.
    pub(super) fn request(&self, topic: &str, events: i32) -> FetchRequest {
        let (preset, replay_id) = match self {
            Self::Latest => (ReplayPreset::Latest, Bytes::new()),
            Self::Earliest => (ReplayPreset::Earliest, Bytes::new()),
            Self::After(position) => (ReplayPreset::Custom, position.to_bytes()),
        };
        FetchRequest {
            topic_name: topic.to_owned(),
            replay_preset: preset.into(),
            replay_id,
            num_requested: events,
            auth_refresh: String::new(),
        }
    }
}

/// An event as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Where it stands.
    pub replay_id: ReplayId,
    /// The event's own id.
    pub id: String,
    /// The schema that it was written with.
    pub schema: String,
    /// Avro. May hold personal data.
    pub payload: Bytes,
}

/// What came at once.
#[derive(Clone, Debug)]
pub struct Batch {
    /// In the order of the topic; none when the bus only says that it is there.
    pub events: Vec<Received>,
    /// Where to go on once the batch is done with.
    pub position: Option<ReplayId>,
}

/// A stream of one topic. Dropping it ends it.
///
/// The bus sends what was asked for and no more: who does not call [`more`](Self::more) is sent nothing further.
pub struct Subscription {
    client: Client,
    token: Arc<Token>,
    topic: String,
    requests: mpsc::Sender<FetchRequest>,
    answers: Streaming<FetchResponse>,
    /// What the bus still owes.
    owed: i32,
}

impl Subscription {
    pub(super) fn new(
        client: Client,
        token: Arc<Token>,
        topic: String,
        requests: mpsc::Sender<FetchRequest>,
        answers: Streaming<FetchResponse>,
    ) -> Self {
        let owed = client.settings().num_requested;
        Self { client, token, topic, requests, answers, owed }
    }

    /// The next that the bus sends. After an error the stream is over.
    ///
    /// # Errors
    /// With the [`Remedy`]; [`Remedy::Retry`] also when the bus ended the stream or has been silent for too long.
    pub async fn next(&mut self) -> Result<Batch, Error> {
        let silence = self.client.settings().silence;
        let answer = match timeout(silence, self.answers.message()).await {
            Ok(Ok(Some(answer))) => answer,
            Ok(Ok(None)) => return Err(Error::new(OPERATION, Remedy::Retry, "ended")),
            Ok(Err(status)) => return Err(self.client.refused(OPERATION, &self.token, &status).await),
            Err(_) => return Err(Error::new(OPERATION, Remedy::Retry, "silent")),
        };
        self.client.accepted();
        self.owed -= i32::try_from(answer.events.len()).unwrap_or(i32::MAX);
        let events: Vec<_> = answer.events.into_iter().filter_map(received).collect();
        let latest = ReplayId::new(answer.latest_replay_id);
        let position = events.last().map(|event| event.replay_id.clone()).or(latest);
        Ok(Batch { events, position })
    }

    /// Asks for more once half of what was asked for has come.
    pub async fn more(&mut self) {
        let most = self.client.settings().num_requested;
        if self.owed > most / 2 {
            return;
        }
        let request = FetchRequest {
            topic_name: self.topic.clone(),
            num_requested: most - self.owed.max(0),
            ..FetchRequest::default()
        };
        // When the stream is over, the next answer says why.
        if self.requests.send(request).await.is_ok() {
            self.owed = most;
        }
    }
}

/// An event without a position cannot be gone on from, and one without a body says nothing: neither is the vendor's.
fn received(event: super::eventbus::ConsumerEvent) -> Option<Received> {
    let replay_id = ReplayId::new(event.replay_id)?;
    let event = event.event?;
    Some(Received { replay_id, id: event.id, schema: event.schema_id, payload: event.payload })
}
