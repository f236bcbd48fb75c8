//! One subscription: places, flow control, keep-alive. Source: Salesforce reference §20.2, §20.3.

use std::{sync::Arc, time::Duration};

use futures::{Stream, stream};
use tokio::{
    sync::{broadcast, watch},
    time::{Instant, sleep_until},
};
use tonic::{Status, Streaming};

use crate::sandbox::salesforce::{
    org::Org,
    pubsub::{
        bus::{Cut, Open, Start},
        errors::{self, refused},
        generated::{ConsumerEvent, FetchRequest, FetchResponse, ProducerEvent, ReplayPreset},
    },
};

/// Most events that may be outstanding.
const MOST_OUTSTANDING: usize = 100;

/// A subscription after its first request.
struct Subscription {
    org: Arc<Org>,
    requests: Streaming<FetchRequest>,
    topic: String,
    place: u64,
    outstanding: usize,
    answered_at: Instant,
    published: watch::Receiver<u64>,
    cuts: broadcast::Receiver<Cut>,
    _open: Open,
}

/// The answers to a stream of requests. A refusal ends it.
pub fn subscribe(
    org: Arc<Org>,
    requests: Streaming<FetchRequest>,
) -> impl Stream<Item = Result<FetchResponse, Status>> {
    enum State {
        New(Arc<Org>, Box<Streaming<FetchRequest>>),
        Open(Box<Subscription>),
        Ended,
    }
    stream::unfold(State::New(org, Box::new(requests)), |state| async move {
        let mut subscription = match state {
            State::New(org, requests) => match Subscription::open(org, *requests).await {
                Ok(Some(subscription)) => Box::new(subscription),
                Ok(None) => return None,
                Err(status) => return Some((Err(status), State::Ended)),
            },
            State::Open(subscription) => subscription,
            State::Ended => return None,
        };
        match subscription.next().await {
            Ok(Some(response)) => Some((Ok(response), State::Open(subscription))),
            Ok(None) => None,
            Err(status) => Some((Err(status), State::Ended)),
        }
    })
}

impl Subscription {
    /// Reads the first request. `None`: the caller has left without any.
    async fn open(org: Arc<Org>, mut requests: Streaming<FetchRequest>) -> Result<Option<Self>, Status> {
        let Some(first) = requests.message().await? else { return Ok(None) };
        if first.topic_name.is_empty() {
            return Err(refused("topic.validation.empty", "The topic name is empty."));
        }
        let asked = asked(&first)?;
        let start = match first.replay_preset() {
            ReplayPreset::Latest => Start::Latest,
            ReplayPreset::Earliest => Start::Earliest,
            ReplayPreset::Custom => Start::After(first.replay_id),
        };
        let place = org.bus.start(&first.topic_name, &start, org.core.clock.now())?;
        Ok(Some(Self {
            requests,
            topic: first.topic_name,
            place,
            outstanding: asked.min(MOST_OUTSTANDING),
            answered_at: Instant::now(),
            published: org.bus.watch(),
            cuts: org.bus.cuts(),
            _open: Open::new(&org.bus),
            org,
        }))
    }

    /// The next answer; `None` when the subscription has ended well.
    async fn next(&mut self) -> Result<Option<FetchResponse>, Status> {
        loop {
            if let Some(response) = self.deliver() {
                return Ok(Some(response));
            }
            let settings = self.org.settings();
            let patience = if self.outstanding > 0 {
                settings.pubsub_keep_alive_ms
            } else {
                settings.pubsub_idle_close_ms
            };
            let until = self.answered_at + Duration::from_millis(patience);
            tokio::select! {
                cut = self.cuts.recv() => return Err(match cut {
                    Ok(Cut(Some(code))) => refused(&code, "The subscription was ended."),
                    _ => errors::reset(),
                }),
                request = self.requests.message() => match request? {
                    Some(request) => self.ask(&request)?,
                    None => return Ok(None),
                },
                _ = self.published.changed(), if self.outstanding > 0 => {}
                () = sleep_until(until) => {
                    if self.outstanding == 0 {
                        return Ok(None);
                    }
                    if let Some(mark) = self.org.bus.mark(&self.topic, self.place, self.org.core.clock.now()) {
                        self.place = mark;
                        return Ok(Some(self.respond(Vec::new())));
                    }
                }
            }
        }
    }

    /// A later request: more events of the same topic.
    fn ask(&mut self, request: &FetchRequest) -> Result<(), Status> {
        if !request.topic_name.is_empty() && request.topic_name != self.topic {
            return Err(refused(
                "subscription.fetch.topic.mismatch",
                "The topic name differs from that of the first request.",
            ));
        }
        self.outstanding = (self.outstanding + asked(request)?).min(MOST_OUTSTANDING);
        Ok(())
    }

    /// What can be delivered now.
    fn deliver(&mut self) -> Option<FetchResponse> {
        if self.outstanding == 0 {
            return None;
        }
        let most = self.outstanding.min(self.org.settings().pubsub_batch.max(1));
        let events = self.org.bus.after(&self.topic, self.place, most, self.org.core.clock.now());
        self.place = events.last()?.0;
        self.outstanding -= events.len();
        let events = events.into_iter().map(|(id, event)| ConsumerEvent {
            event: Some(ProducerEvent {
                id: event.id.clone(),
                schema_id: event.schema_id.clone(),
                payload: event.payload.clone(),
                headers: Vec::new(),
            }),
            replay_id: id.to_be_bytes().to_vec(),
        });
        let events = events.collect();
        Some(self.respond(events))
    }

    fn respond(&mut self, events: Vec<ConsumerEvent>) -> FetchResponse {
        self.answered_at = Instant::now();
        FetchResponse {
            events,
            latest_replay_id: self.place.to_be_bytes().to_vec(),
            rpc_id: errors::rpc_id(),
            pending_num_requested: i32::try_from(self.outstanding).unwrap_or(i32::MAX),
        }
    }
}

/// How many events a request asks for.
fn asked(request: &FetchRequest) -> Result<usize, Status> {
    usize::try_from(request.num_requested).ok().filter(|asked| *asked > 0).ok_or_else(|| {
        refused(
            "subscription.fetch.requested.events.invalid",
            "The number of requested events must be greater than zero.",
        )
    })
}
