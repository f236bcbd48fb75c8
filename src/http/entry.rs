//! What every route has: a request id, safe headers, one log line, two metrics.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Arc, LazyLock, PoisonError, RwLock},
    time::Instant,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Response,
        header::{CACHE_CONTROL, STRICT_TRANSPORT_SECURITY, USER_AGENT, X_CONTENT_TYPE_OPTIONS},
        request::Parts,
    },
    middleware::Next,
};
use metrics::{Counter, Histogram};

use crate::{
    config::Network,
    http::{Origin, jwks, questions::Question, responses::Outcome},
    id::PartnerId,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that we take from a caller.
const LONGEST_ID: usize = 64;

/// Names one request in headers, answers and logs: the caller's `x-request-id` when it is 8 to 64
/// letters, digits, `.`, `_` or `-`, else 32 hexadecimal digits of ours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    text: [u8; LONGEST_ID],
    length: usize,
}

impl RequestId {
    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }

    fn of(headers: &HeaderMap) -> Self {
        let mut text = [0; LONGEST_ID];
        if let Some(given) = headers.get(X_REQUEST_ID).map(HeaderValue::as_bytes)
            && (8..=LONGEST_ID).contains(&given.len())
            && given.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        {
            text[..given.len()].copy_from_slice(given);
            return Self { text, length: given.len() };
        }
        for (pair, byte) in text.chunks_exact_mut(2).zip(rand::random::<[u8; 16]>()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self { text, length: 32 }
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What `/graphql` adds to the log line. Never a document's text, a variable or a token.
#[derive(Clone, Default)]
pub(super) struct Record {
    /// What was asked, once it is admitted.
    pub question: Option<Arc<Question>>,
    /// `anonymous`, `bearer` or `cookie`.
    pub caller: &'static str,
    /// The partner, when it is one.
    pub partner: Option<PartnerId>,
    /// Why it was refused.
    pub code: Option<&'static str>,
    /// How it met the answers that are kept.
    cache: Option<Outcome>,
}

impl Record {
    /// Counts how the request met the answers that are kept.
    pub(super) fn note(&mut self, outcome: Outcome) {
        outcome.count();
        self.cache = Some(outcome);
    }
}

/// The id that [`enter`] gave.
pub(super) fn request_id(parts: &Parts) -> RequestId {
    parts.extensions.get().copied().unwrap_or_else(|| RequestId::of(&parts.headers))
}

/// The peer, as the server tells it to the router.
pub(super) fn peer(parts: &Parts) -> Option<SocketAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer)
}

/// Where a request through the router came from.
pub(super) fn address(parts: &Parts, proxies: &[Network]) -> Option<IpAddr> {
    origin(parts, peer(parts), proxies)
}

/// Where a request came from, with what else is noted of it.
pub(super) fn whence(
    parts: &Parts,
    peer: Option<SocketAddr>,
    proxies: &[Network],
    request_id: RequestId,
) -> Origin {
    let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Origin { address: origin(parts, peer, proxies), user_agent, request_id }
}

/// Where the request came from: the peer, or what a trusted proxy says of it.
pub(super) fn origin(parts: &Parts, peer: Option<SocketAddr>, proxies: &[Network]) -> Option<IpAddr> {
    let peer = peer?.ip().to_canonical();
    let is_proxy = |address: &IpAddr| proxies.iter().any(|network| network.contains(*address));
    if !is_proxy(&peer) {
        return Some(peer);
    }
    let forwarded = parts.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = forwarded.flat_map(|value| value.split(',')).collect();
    let hops = hops.iter().rev().map_while(|hop| hop.trim().parse::<IpAddr>().ok());
    hops.map(|hop| hop.to_canonical()).find(|hop| !is_proxy(hop)).or(Some(peer))
}

/// Wraps the routes that go through the router.
pub(super) async fn enter(mut request: Request, next: Next) -> Response<Body> {
    let entry = Entry::begin(&request);
    request.extensions_mut().insert(entry.id);
    let mut answer = next.run(request).await;
    let record = answer.extensions_mut().remove::<Record>().unwrap_or_default();
    entry.leave(&mut answer, &record);
    answer
}

/// A request that has come in.
pub(super) struct Entry {
    pub id: RequestId,
    began: Instant,
    method: &'static str,
    route: &'static str,
}

impl Entry {
    pub(super) fn begin(request: &Request) -> Self {
        Self {
            id: RequestId::of(request.headers()),
            began: Instant::now(),
            method: known_method(request.method()),
            route: known_route(request.uri().path()),
        }
    }

    /// Gives the answer what every answer has, counts it, and writes its line.
    pub(super) fn leave(self, answer: &mut Response<Body>, record: &Record) {
        let Self { id, began, method, route } = self;
        let headers = answer.headers_mut();
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            headers.insert(X_REQUEST_ID, value);
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(
            STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000; includeSubDomains"),
        );
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));

        let seconds = began.elapsed().as_secs_f64();
        let status = answer.status().as_u16();
        METERS.count(route, method, status, seconds);
        if route == "/graphiql" && status < 400 {
            // The page is a dozen files: a line each would bury what it asks.
            return;
        }
        let question = record.question.as_deref();
        tracing::info!(
            target: "portal_gateway::http",
            request_id = id.as_str(),
            method,
            route,
            status,
            ms = (seconds * 1e4).round() / 10.0,
            operation = question.and_then(Question::operation),
            document = question.map(Question::document),
            caller = record.caller,
            partner = record.partner.map(tracing::field::display),
            code = record.code,
            cache = record.cache.map(|outcome| outcome.as_str().0),
            "answered"
        );
    }
}

/// What is counted by route, method and status.
type Meter = (Counter, Histogram);

/// The meters of the routes: looked up in the recorder once, since that costs more than a warm answer's
/// look-up. There are as many as routes, methods and statuses that occur.
#[derive(Default)]
struct Meters(RwLock<HashMap<(&'static str, &'static str, u16), Meter>>);

static METERS: LazyLock<Meters> = LazyLock::new(Meters::default);

impl Meters {
    fn count(&self, route: &'static str, method: &'static str, status: u16, seconds: f64) {
        let count = |(requests, times): &Meter| {
            requests.increment(1);
            times.record(seconds);
        };
        let key = (route, method, status);
        if let Some(meter) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return count(meter);
        }
        let meter = (
            metrics::counter!("http_requests_total", "route" => route, "method" => method, "status" => status.to_string()),
            metrics::histogram!("http_request_seconds", "route" => route),
        );
        count(&meter);
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key, meter);
    }
}

/// A stranger's path is neither logged nor counted: it may be endless, or hold a secret.
fn known_route(path: &str) -> &'static str {
    match path {
        "/graphql" => "/graphql",
        "/health/cache" => "/health/cache",
        "/health/sf-events" => "/health/sf-events",
        "/health/live" => "/health/live",
        "/health/ready" => "/health/ready",
        "/metrics" => "/metrics",
        "/oauth/token" => "/oauth/token",
        jwks::PATH => jwks::PATH,
        "/webhooks/whmcs" => "/webhooks/whmcs",
        path if path.starts_with("/exports/") => "/exports",
        path if path == "/graphiql" || path.starts_with("/graphiql/") => "/graphiql",
        _ => "other",
    }
}

fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::OPTIONS => "OPTIONS",
        Method::HEAD => "HEAD",
        _ => "other",
    }
}
