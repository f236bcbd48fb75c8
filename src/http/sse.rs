//! `/graphql` as server-sent events: the graphql-sse protocol, each operation on a connection of its own.
//!
//! What is refused before it runs is answered as any other request is; from then on every answer is an event
//! `next`, and `complete` ends the stream. A stream that ends without it was cut off: the client subscribes again.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderValue, Response, StatusCode,
        header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE},
    },
};
use futures::{
    StreamExt,
    stream::{BoxStream, unfold},
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::http::{
    Asker, State,
    answer::Fault,
    graphql::unauthenticated,
    operation::{Operation, Said},
    seats::{Denied, Seat},
};

/// Whether the client takes events and nothing else that we could answer.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    ranges
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|media| media.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// One event stream.
struct Events {
    said: BoxStream<'static, Said>,
    seat: Option<Seat>,
    heartbeat: Interval,
    stopping: CancellationToken,
    is_over: bool,
}

/// Answers an admitted operation with events.
pub(super) fn answer<V: Send + Sync + 'static>(
    state: &Arc<State<V>>,
    operation: Operation,
    asker: Asker<V>,
) -> Result<Response<Body>, Fault> {
    let Some(streams) = &state.streams else {
        return Err(Fault::new(
            StatusCode::NOT_ACCEPTABLE,
            "NOT_ACCEPTABLE",
            "there are no event streams here",
        ));
    };
    let unavailable = |message| Fault::new(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", message);
    if state.stopping.is_cancelled() {
        return Err(unavailable("the gateway is stopping"));
    }
    let seat = match &asker.viewer {
        None => None,
        Some(viewer) => Some(streams.seats.take((streams.badge)(viewer)).map_err(|denied| match denied {
            Denied::Expired => unauthenticated(&Error::Unauthenticated),
            Denied::Full => {
                let message = "too many connections of this account are open";
                Fault::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", message)
            }
        })?),
    };
    let every = streams.limits.heartbeat;
    let mut heartbeat = interval_at(Instant::now() + every, every.max(Duration::from_millis(1)));
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = Events {
        said: operation.run(Arc::clone(state), streams, asker),
        seat,
        heartbeat,
        stopping: state.stopping.clone(),
        is_over: false,
    };
    let body = unfold(events, |mut events| async move {
        let text = events.next().await?;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), events))
    });
    let mut answer = Response::new(Body::from_stream(body));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Else a proxy may gather events before it passes them on.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(answer)
}

impl Events {
    /// The next piece of the stream; `None` at its end.
    async fn next(&mut self) -> Option<String> {
        if self.is_over {
            return None;
        }
        let ended = async {
            match &mut self.seat {
                Some(seat) => seat.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => None,
            _ = ended => None,
            said = self.said.next() => match said? {
                // JSON as we write it has no line breaks.
                Said::Next(json) => Some(format!("event: next\ndata: {json}\n\n")),
                Said::Refused(errors) => {
                    self.is_over = true;
                    Some(format!(
                        "event: next\ndata: {{\"errors\":{errors}}}\n\nevent: complete\ndata:\n\n"
                    ))
                }
                Said::Complete => {
                    self.is_over = true;
                    Some("event: complete\ndata:\n\n".to_owned())
                }
                Said::Lagged => None,
            },
            _ = self.heartbeat.tick() => Some(":\n\n".to_owned()),
        }
    }
}
