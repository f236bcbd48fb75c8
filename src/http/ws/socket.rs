//! One open socket, in one task: it hears, runs its operations side by side, and says what they answer.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_graphql::parser::types::OperationType;
use axum::extract::ws::{Message, WebSocket};
use futures::{
    StreamExt,
    future::{AbortHandle, Abortable},
    stream::{BoxStream, SelectAll},
};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout, timeout_at};

use super::message::{self, Close, Heard, Proof};
use crate::{
    config,
    deadline::{Budget, Lane},
    error::Error,
    http::{
        Asker, Origin, Presented, State, Streams,
        answer::Fault,
        cookies::bearer,
        operation::{Operation, Said},
        params::Params,
        seats::{Denied, Seat},
    },
    schema::cookies::Cookies,
};

/// How long the other side may take to say goodbye.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// What the opening of a socket told.
pub(super) struct Handshake {
    /// Whether our protocol was offered.
    pub speaks: bool,
    /// The token of the header or the cookie.
    pub access: Option<String>,
    /// Whether the browser added it by itself.
    pub is_ambient: bool,
    /// Whether it cannot be a token.
    pub is_malformed: bool,
    /// The customer for whom a partner asks.
    pub customer: Option<String>,
    pub origin: Origin,
}

/// Nothing can be said any more: the other side is gone, or takes nothing.
struct Gone;

/// Why a socket ends.
enum Over {
    Close(Close),
    Gone,
}

impl From<Close> for Over {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

impl From<Gone> for Over {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

type Operations = SelectAll<Abortable<BoxStream<'static, (Arc<str>, Said)>>>;

/// An open socket.
pub(super) struct Socket<V> {
    socket: WebSocket,
    state: Arc<State<V>>,
    handshake: Handshake,
    operations: Operations,
    running: HashMap<Arc<str>, AbortHandle>,
}

/// Whoever was acknowledged.
struct Admitted<V> {
    viewer: V,
    seat: Seat,
    /// Whether mutations were meant: no cookies, or a script's word.
    may_change: bool,
}

impl<V: Clone + Send + Sync + 'static> Socket<V> {
    pub(super) fn new(socket: WebSocket, state: Arc<State<V>>, handshake: Handshake) -> Self {
        Self { socket, state, handshake, operations: SelectAll::new(), running: HashMap::new() }
    }

    /// Serves the socket to its end.
    pub(super) async fn run(mut self) {
        let began = Instant::now();
        let state = Arc::clone(&self.state);
        let Some(streams) = &state.streams else { return };
        let Err(over) = self.serve(streams).await;
        // What runs for a socket ends with it.
        self.running.clear();
        self.operations.clear();
        let code = match &over {
            Over::Close(close) => {
                self.close(close, &streams.limits).await;
                close.code()
            }
            // As if the other side had closed it.
            Over::Gone => 1005,
        };
        metrics::counter!("live_sockets_closed_total", "code" => code.to_string()).increment(1);
        let (request_id, seconds) = (self.handshake.origin.request_id.as_str(), began.elapsed().as_secs());
        tracing::debug!(target: "portal_gateway::http", request_id, code, seconds, "socket closed");
    }

    async fn serve(&mut self, streams: &Streams<V>) -> Result<std::convert::Infallible, Over> {
        if !self.handshake.speaks {
            return Err(Close::Protocol.into());
        }
        let mut admitted = self.init(streams).await?;
        let stopping = self.state.stopping.clone();
        let every = streams.limits.heartbeat;
        let mut heartbeat = interval_at(Instant::now() + every, every);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_alive = true;
        loop {
            tokio::select! {
                () = stopping.cancelled() => return Err(Close::Stopping.into()),
                end = admitted.seat.ended() => return Err(Close::from(end).into()),
                message = self.socket.recv() => {
                    is_alive = true;
                    if let Some(text) = text_of(message)? {
                        self.hear(&text, &admitted, streams).await?;
                    }
                }
                Some((id, said)) = self.operations.next(), if !self.running.is_empty() => {
                    self.pass_on(&id, said, &streams.limits).await?;
                }
                _ = heartbeat.tick() => {
                    if !std::mem::take(&mut is_alive) {
                        return Err(Gone.into());
                    }
                    self.say(Message::Ping(Vec::new().into()), &streams.limits).await?;
                }
            }
        }
    }

    /// Waits for `connection_init` and acknowledges it.
    async fn init(&mut self, streams: &Streams<V>) -> Result<Admitted<V>, Over> {
        let deadline = Instant::now() + streams.limits.init_within;
        let stopping = self.state.stopping.clone();
        let proof = loop {
            let message = tokio::select! {
                biased;
                () = stopping.cancelled() => return Err(Close::Stopping.into()),
                message = timeout_at(deadline, self.socket.recv()) => message.map_err(|_| Close::InitTimeout)?,
            };
            let Some(text) = text_of(message)? else { continue };
            match Heard::read(&text).ok_or(Close::Malformed)? {
                Heard::Init(proof) => break proof,
                Heard::Ping(payload) => self.pong(payload.map(|raw| raw.get()), &streams.limits).await?,
                Heard::Pong => {}
                Heard::Subscribe(..) | Heard::Complete(_) => return Err(Close::Unauthorized.into()),
            }
        };
        let admitted = admit(&self.state, &self.handshake, proof, streams).await?;
        self.say_text(message::write("connection_ack", None, None), &streams.limits).await?;
        Ok(admitted)
    }

    /// Does what a message says.
    async fn hear(&mut self, text: &str, admitted: &Admitted<V>, streams: &Streams<V>) -> Result<(), Over> {
        match Heard::read(text).ok_or(Close::Malformed)? {
            Heard::Init(_) => Err(Close::SecondInit.into()),
            Heard::Ping(payload) => Ok(self.pong(payload.map(|raw| raw.get()), &streams.limits).await?),
            Heard::Pong => Ok(()),
            Heard::Complete(id) => {
                if let Some(handle) = self.running.remove(id.as_str()) {
                    handle.abort();
                }
                Ok(())
            }
            Heard::Subscribe(id, payload) => {
                if self.running.contains_key(id.as_str()) {
                    return Err(Close::Duplicate(id).into());
                }
                match self.begin(&id, payload.get(), admitted, streams).await {
                    Ok(()) => Ok(()),
                    Err(fault) if fault.is_of_the_document() => {
                        let error = message::write("error", Some(&id), Some(&fault.errors()));
                        Ok(self.say_text(error, &streams.limits).await?)
                    }
                    Err(_) => Err(Close::Malformed.into()),
                }
            }
        }
    }

    /// Begins an operation.
    async fn begin(
        &mut self,
        id: &str,
        payload: &str,
        admitted: &Admitted<V>,
        streams: &Streams<V>,
    ) -> Result<(), Fault> {
        let most = streams.limits.operations_per_socket;
        if self.running.len() >= most {
            let message = "too many operations are under way on this socket";
            return Err(Fault::refusal("OPERATION_LIMIT", message));
        }
        let operation =
            Operation::admit(&self.state, Params::from_body(payload.as_bytes(), &self.state.guard)?).await?;
        if operation.admitted.kind == OperationType::Mutation && !admitted.may_change {
            let message = "a mutation beside cookies needs x-portal-csrf in the payload of connection_init";
            return Err(Fault::refusal("FORBIDDEN", message));
        }
        let is_partner = (self.state.partner)(&admitted.viewer).is_some();
        let lane = if is_partner { Lane::Partner } else { Lane::Interactive };
        let asker = Asker {
            explain: false,
            viewer: Some(admitted.viewer.clone()),
            origin: self.handshake.origin.clone(),
            budget: Budget::new(self.state.answer_within, lane),
            cookies: Cookies::unwritable(),
            cost: operation.admitted.cost,
            hashes: operation.admitted.hashes,
        };
        let said = operation.run(Arc::clone(&self.state), streams, asker);
        let id: Arc<str> = id.into();
        let named = Arc::clone(&id);
        let said = said.map(move |said| (Arc::clone(&named), said)).boxed();
        let (said, handle) = futures::stream::abortable(said);
        self.operations.push(said);
        self.running.insert(id, handle);
        Ok(())
    }

    /// Passes on what an operation says.
    async fn pass_on(&mut self, id: &str, said: Said, limits: &config::Live) -> Result<(), Over> {
        let text = match &said {
            Said::Next(answer) => message::write("next", Some(id), Some(answer)),
            Said::Refused(errors) => message::write("error", Some(id), Some(errors)),
            Said::Complete => message::write("complete", Some(id), None),
            Said::Lagged => return Err(Close::Later("Updates are read too slowly").into()),
        };
        if !matches!(said, Said::Next(_)) {
            self.running.remove(id);
        }
        Ok(self.say_text(text, limits).await?)
    }

    async fn pong(&mut self, payload: Option<&str>, limits: &config::Live) -> Result<(), Gone> {
        self.say_text(message::write("pong", None, payload), limits).await
    }

    async fn say_text(&mut self, text: String, limits: &config::Live) -> Result<(), Gone> {
        self.say(Message::Text(text.into()), limits).await
    }

    /// Sends a message. Whoever takes nothing for too long is dropped, with what waits for it.
    async fn say(&mut self, message: Message, limits: &config::Live) -> Result<(), Gone> {
        match timeout(limits.send_within, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Gone),
            Err(_) => {
                metrics::counter!("live_slow_readers_total").increment(1);
                Err(Gone)
            }
        }
    }

    /// Says goodbye, and waits a little for the other side's.
    async fn close(&mut self, close: &Close, limits: &config::Live) {
        if self.say(Message::Close(Some(close.frame())), limits).await.is_ok() {
            let rest = async { while let Some(Ok(_)) = self.socket.recv().await {} };
            let _ = timeout(GOODBYE_WITHIN, rest).await;
        }
    }
}

/// Who it is. What the first message says goes before what the browser added.
async fn admit<V>(
    state: &State<V>,
    handshake: &Handshake,
    proof: Proof,
    streams: &Streams<V>,
) -> Result<Admitted<V>, Close> {
    let forbidden = Close::Forbidden("Forbidden");
    let (token, is_ambient) = match &proof.authorization {
        Some(header) => (bearer(header).ok_or_else(|| forbidden.clone())?.to_owned(), false),
        None if handshake.is_malformed => return Err(forbidden),
        None => {
            let token = handshake.access.clone().ok_or_else(|| forbidden.clone())?;
            (token, handshake.is_ambient)
        }
    };
    let customer = proof.customer.or_else(|| handshake.customer.clone());
    let viewer = (state.authenticate)(Presented { token, customer }).await.map_err(|error| match error {
        Error::Unauthenticated | Error::Forbidden | Error::NotGranted | Error::Rejected(_) => {
            forbidden.clone()
        }
        _ => Close::Later("Sessions cannot be checked now"),
    })?;
    let seat = streams.seats.take((streams.badge)(&viewer)).map_err(|denied| match denied {
        Denied::Expired => forbidden,
        Denied::Full => Close::Later("Too many connections of this account are open"),
    })?;
    Ok(Admitted { viewer, seat, may_change: !is_ambient || proof.csrf.is_some() })
}

/// The text of a message; `None` for one that says nothing to us.
fn text_of(
    message: Option<Result<Message, axum::Error>>,
) -> Result<Option<axum::extract::ws::Utf8Bytes>, Over> {
    match message {
        None | Some(Ok(Message::Close(_))) => Err(Gone.into()),
        Some(Ok(Message::Text(text))) => Ok(Some(text)),
        Some(Ok(Message::Binary(_))) => Err(Close::Malformed.into()),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Err(error)) => Err(if is_too_large(&error) { Close::TooLarge.into() } else { Gone.into() }),
    }
}

/// Whether a message had more bytes than allowed. The framework wraps the error of a crate that it does not show, so
/// its sentence is all there is.
fn is_too_large(error: &axum::Error) -> bool {
    let text = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    text.starts_with("Space limit exceeded")
}
