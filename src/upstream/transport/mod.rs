//! The one way out: every call to every upstream system goes through a [`Transport`], one per system.
//!
//! In order: the deadline (the smaller of the request's and the call's own), the breaker (open: answered at
//! once; a write also while reads find the system away), the gate (lane, concurrency, rate; a full queue sheds), HTTP with a bounded answer, and the client's
//! verdict on it, since a 200 may be an outage. Reads are asked again twice at most, with full jitter and out of
//! a budget over all calls; writes never are. Dropping the future frees everything.
//!
//! Each call is one span and one count in `upstream_calls_total{service,operation,outcome}` and
//! `upstream_call_seconds{service,operation}`.

mod breaker;
mod gate;
mod settings;

use std::{error::Error as StdError, future, sync::Arc, task::Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, redirect};
use rustls::crypto::CryptoProvider;
use tokio::{
    pin, select,
    time::{Duration, Instant, sleep, sleep_until, timeout_at},
};
use tower::retry::budget::{Budget as _, TpsBudget};
use tracing::{Instrument, Span, field::Empty, info_span};

pub use crate::upstream::transport::settings::{
    Breaker as BreakerSettings, Retry as RetrySettings, Settings,
};
use crate::{
    deadline::Budget,
    error::Service,
    spending::{self, Spending},
    upstream::{
        error::{Error, Kind},
        transport::{
            breaker::{Breaker, Ticket},
            gate::Gate,
        },
    },
};

/// How long a vendor's rate limit is taken to last when it does not say.
const RATE_LIMIT: Duration = Duration::from_secs(1);

/// Whether a call changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Changes nothing: may be asked again.
    Read,
    /// Changes something, or may: is sent once.
    Write,
}

/// One call, apart from its content.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The vendor's name of the call, for spans, metrics and errors.
    pub operation: &'static str,
    /// Whether it changes anything.
    pub class: Class,
    /// The time and the lane that the request gives it.
    pub budget: Budget,
}

/// A whole answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Bytes,
}

impl Answer {
    /// What an HTTP status means by itself, for clients whose body has not said more: 429 is the vendor's limit,
    /// any other status the status.
    pub fn status_kind(&self) -> Kind {
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            Kind::RateLimited { retry_after: self.retry_after().unwrap_or(RATE_LIMIT) }
        } else {
            Kind::Status(self.status.as_u16())
        }
    }

    /// `Retry-After` in seconds; the form with a date is not read.
    pub fn retry_after(&self) -> Option<Duration> {
        self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
    }

    /// Decodes the body. A wrong shape is told by its path, anything but JSON is [`Kind::Garbage`].
    ///
    /// # Errors
    /// [`Kind::Decode`] and [`Kind::Garbage`].
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Kind> {
        decode(&self.body)
    }
}

/// Decodes JSON. A wrong shape is told by its path, anything but JSON is [`Kind::Garbage`].
///
/// # Errors
/// [`Kind::Decode`] and [`Kind::Garbage`].
pub fn decode<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Kind> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        if error.inner().is_data() { Kind::Decode { path: error.path().to_string() } } else { Kind::Garbage }
    })?;
    json.end().map_err(|_| Kind::Garbage)?;
    Ok(value)
}

/// One upstream system's way out. Clones share everything.
#[derive(Clone, Debug)]
pub struct Transport(Arc<Inner>);

struct Inner {
    service: Service,
    name: &'static str,
    settings: Settings,
    client: Client,
    gate: Arc<Gate>,
    reads: Arc<Breaker>,
    writes: Arc<Breaker>,
    retries: TpsBudget,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Transport {
    /// Builds the pool. `name` is the system's label in metrics and spans, such as `whmcs`.
    ///
    /// Redirects are never followed and no proxy of the environment is used: a body holds credentials.
    ///
    /// # Errors
    /// [`Kind::Request`] when TLS cannot be set up.
    pub fn new(service: Service, name: &'static str, settings: Settings) -> Result<Self, Error> {
        // `main` has chosen before; whoever has not gets the only one that is compiled in.
        if CryptoProvider::get_default().is_none() {
            _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .gzip(true)
            .connect_timeout(settings.connect_timeout)
            .pool_max_idle_per_host(settings.concurrency)
            .build()
            .map_err(|_| Error { service, operation: "connect", kind: Kind::Request })?;
        let now = Instant::now();
        Ok(Self(Arc::new(Inner {
            service,
            name,
            client,
            gate: Gate::new(settings.concurrency, settings.calls_per_minute, settings.queue),
            reads: Arc::new(Breaker::new(settings.breaker.clone(), now)),
            writes: Arc::new(Breaker::new(settings.breaker.clone(), now)),
            retries: TpsBudget::new(
                Duration::from_secs(10),
                settings.retry.reserve.min(1000),
                settings.retry.budget.clamp(0.0, 1.0),
            ),
            settings,
        })))
    }

    /// Asks. `build` makes the request anew for each attempt; `judge` turns an answer of any status into a value,
    /// or says what is wrong with it: its verdict drives retries and the breaker.
    ///
    /// # Errors
    /// Everything in [`Kind`].
    pub async fn send<T>(
        &self,
        call: Call,
        build: impl Fn(&Client) -> RequestBuilder + Send + Sync,
        judge: impl Fn(Answer) -> Result<T, Kind> + Send + Sync,
    ) -> Result<T, Error> {
        let (name, operation) = (self.0.name, call.operation);
        let span = info_span!("upstream", service = name, operation, attempts = Empty, outcome = Empty);
        let began = Instant::now();
        let mut effort = Effort::default();
        let outcome = self.0.attempts(call, &mut effort, build, judge).instrument(span.clone()).await;
        let Effort { queued, attempts } = effort;
        let service = self.0.service;
        spending::note(Spending { service, operation, queued, took: began.elapsed(), attempts });
        let word = outcome.as_ref().map_or_else(Kind::as_str, |_| "ok");
        span.record("outcome", word);
        metrics::counter!("upstream_calls_total", "service" => name, "operation" => operation, "outcome" => word)
            .increment(1);
        metrics::histogram!("upstream_call_seconds", "service" => name, "operation" => operation)
            .record(began.elapsed());
        outcome.map_err(|kind| self.error(operation, kind))
    }

    /// An error of this system.
    pub fn error(&self, operation: &'static str, kind: Kind) -> Error {
        Error { service: self.0.service, operation, kind }
    }
}

/// What a call cost so far.
#[derive(Default)]
struct Effort {
    queued: Duration,
    /// How often it was sent.
    attempts: u32,
}

impl Inner {
    async fn attempts<T>(
        &self,
        call: Call,
        effort: &mut Effort,
        build: impl Fn(&Client) -> RequestBuilder,
        judge: impl Fn(Answer) -> Result<T, Kind>,
    ) -> Result<T, Kind> {
        let deadline =
            Instant::from_std(call.budget.deadline).min(Instant::now() + self.settings.call_timeout);
        let further = if call.class == Class::Read { self.settings.retry.attempts } else { 0 };
        let mut cause = None;
        for attempt in 0.. {
            Span::current().record("attempts", attempt + 1);
            let kind = match self.attempt(call, deadline, effort, &build, &judge).await {
                Ok(value) => return Ok(value),
                Err(kind) => kind,
            };
            // A repeat that was not let out says less than the failure it was to repair.
            let kind = match cause.take() {
                Some(cause) if matches!(kind, Kind::Open | Kind::Shed { .. } | Kind::Deadline) => {
                    return Err(cause);
                }
                _ => kind,
            };
            let wait = self.wait(&kind, attempt);
            let in_time = Instant::now() + wait < deadline;
            if attempt >= further || !kind.is_retryable() || !in_time || !self.retries.withdraw() {
                return Err(kind);
            }
            cause = Some(kind);
            sleep(wait).await;
        }
        Err(Kind::Deadline)
    }

    /// Full jitter, but never sooner than the vendor asked for.
    fn wait(&self, kind: &Kind, attempt: u32) -> Duration {
        let jitter = self.settings.retry.base.mul_f64(2f64.powi(attempt as i32) * rand::random::<f64>());
        match kind {
            Kind::RateLimited { retry_after } => *retry_after + jitter,
            _ => jitter,
        }
    }

    async fn attempt<T>(
        &self,
        call: Call,
        deadline: Instant,
        effort: &mut Effort,
        build: &impl Fn(&Client) -> RequestBuilder,
        judge: &impl Fn(Answer) -> Result<T, Kind>,
    ) -> Result<T, Kind> {
        let breaker = match call.class {
            Class::Read => &self.reads,
            Class::Write => &self.writes,
        };
        let began = Instant::now();
        if call.class == Class::Write && self.reads.is_sure_of_outage(began) {
            // Nothing is lost by saying so at once, and a write that hangs leaves its outcome unknown.
            return Err(Kind::Open);
        }
        let pass = {
            let opening = breaker.opening();
            pin!(opening);
            opening.as_mut().enable();
            if !breaker.would_admit(Instant::now()) {
                return Err(Kind::Open);
            }
            select! {
                biased;
                pass = self.gate.enter(call.budget.lane, deadline) => pass,
                () = &mut opening => return Err(Kind::Open),
                () = sleep_until(deadline) => return Err(Kind::Deadline),
            }
            .map_err(|shed| Kind::Shed { retry_after: shed.retry_after })?
        };
        effort.queued += began.elapsed();
        let mut ticket = breaker.enter(Instant::now()).ok_or(Kind::Open)?;
        effort.attempts += 1;
        if effort.attempts == 1 {
            self.retries.deposit();
        }
        let request = build(&self.client);
        let outcome = self.ask(request, &mut ticket, deadline).await.and_then(judge);
        match &outcome {
            Err(Kind::Request) => drop(ticket),
            // A deadline that left little time says nothing about the system.
            Err(Kind::Deadline) if ticket.is_patient(Instant::now()) => drop(ticket),
            Err(kind) if kind.is_outage() => ticket.fail(Instant::now()),
            _ => ticket.succeed(Instant::now()),
        }
        drop(pass);
        outcome
    }

    async fn ask(
        &self,
        request: RequestBuilder,
        ticket: &mut Ticket,
        deadline: Instant,
    ) -> Result<Answer, Kind> {
        let exchange = async {
            let response = request.send().await.map_err(|error| kind_of(&error))?;
            read(response, self.settings.answer_limit).await
        };
        pin!(exchange);
        // Looked at each time: a process that was stopped meanwhile must not send what another has taken over.
        let mut exchange = future::poll_fn(|context| {
            if Instant::now() < deadline {
                exchange.as_mut().poll(context)
            } else {
                Poll::Ready(Err(Kind::Deadline))
            }
        });
        if ticket.slow_at() < deadline {
            match timeout_at(ticket.slow_at(), &mut exchange).await {
                Ok(answer) => return answer,
                Err(_) => ticket.slow(Instant::now()),
            }
        }
        timeout_at(deadline, exchange).await.unwrap_or(Err(Kind::Deadline))
    }
}

/// Reads an answer, up to a size.
async fn read(mut response: Response, limit: usize) -> Result<Answer, Kind> {
    let announced = response.content_length().unwrap_or(0);
    if announced > limit as u64 {
        return Err(Kind::TooLarge { limit });
    }
    let mut body = BytesMut::with_capacity(announced as usize);
    while let Some(chunk) = response.chunk().await.map_err(|error| kind_of(&error))? {
        if body.len() + chunk.len() > limit {
            return Err(Kind::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body: body.freeze(),
    })
}

fn kind_of(error: &reqwest::Error) -> Kind {
    if error.is_connect() {
        // The innermost cause is the system's own: it names neither the address nor the request.
        let mut cause: &dyn StdError = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Kind::Connect(cause.to_string())
    } else if error.is_builder() {
        Kind::Request
    } else if error.is_timeout() {
        Kind::Deadline
    } else {
        Kind::Broken
    }
}

#[cfg(test)]
mod tests;
