//! What every route has: a request id, safe headers, one log line, two metrics.

use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Response,
        header::{CACHE_CONTROL, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS},
        request::Parts,
    },
    middleware::Next,
};

use crate::{config::Network, http::guard::DocumentHash};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names one request in headers, answers and logs: the caller's `x-request-id` when it is 8 to 64
/// letters, digits, `.`, `_` or `-`, else 32 hexadecimal digits of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok());
        let is_well_formed = |text: &&str| {
            (8..=64).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        match given.filter(is_well_formed) {
            Some(text) => Self(text.into()),
            None => Self(format!("{:032x}", rand::random::<u128>()).into()),
        }
    }
}

/// What `/graphql` adds to the log line. Never a document's text, a variable or a token.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub operation: Option<String>,
    pub document: Option<DocumentHash>,
    /// `anonymous`, `bearer` or `cookie`.
    pub caller: &'static str,
    /// Why it was refused.
    pub code: Option<&'static str>,
}

/// The id that [`enter`] gave.
pub(super) fn request_id(parts: &Parts) -> RequestId {
    parts.extensions.get().cloned().unwrap_or_else(|| RequestId::of(&parts.headers))
}

/// Where the request came from: the peer, or what a trusted proxy says of it.
pub(super) fn address(parts: &Parts, proxies: &[Network]) -> Option<IpAddr> {
    let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    let peer = peer.ip().to_canonical();
    let is_proxy = |address: &IpAddr| proxies.iter().any(|network| network.contains(*address));
    if !is_proxy(&peer) {
        return Some(peer);
    }
    let forwarded = parts.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = forwarded.flat_map(|value| value.split(',')).collect();
    let hops = hops.iter().rev().map_while(|hop| hop.trim().parse::<IpAddr>().ok());
    hops.map(|hop| hop.to_canonical()).find(|hop| !is_proxy(hop)).or(Some(peer))
}

/// Wraps every route.
pub(super) async fn enter(mut request: Request, next: Next) -> Response<Body> {
    let began = Instant::now();
    let id = RequestId::of(request.headers());
    let method = known_method(request.method());
    let route = known_route(request.uri().path());
    request.extensions_mut().insert(id.clone());

    let mut answer = next.run(request).await;

    let headers = answer.headers_mut();
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        headers.insert(X_REQUEST_ID, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000; includeSubDomains"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));

    let took = began.elapsed();
    let status = answer.status().as_u16();
    metrics::counter!("http_requests_total", "route" => route, "method" => method, "status" => status.to_string())
        .increment(1);
    metrics::histogram!("http_request_seconds", "route" => route).record(took.as_secs_f64());
    if route == "/graphiql" && status < 400 {
        // The page is a dozen files: a line each would bury what it asks.
        return answer;
    }
    let record = answer.extensions_mut().remove::<Record>().unwrap_or_default();
    tracing::info!(
        target: "portal_gateway::http",
        request_id = id.as_str(),
        method,
        route,
        status,
        ms = (took.as_secs_f64() * 1e4).round() / 10.0,
        operation = record.operation.as_deref().map(|name| name.get(..64).unwrap_or(name)),
        document = record.document.map(short),
        caller = record.caller,
        code = record.code,
        "answered"
    );
    answer
}

/// The first eight bytes of a document's hash are enough to find it again.
fn short(hash: DocumentHash) -> String {
    hash[..8].iter().fold(String::with_capacity(16), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A stranger's path is neither logged nor counted: it may be endless, or hold a secret.
fn known_route(path: &str) -> &'static str {
    match path {
        "/graphql" => "/graphql",
        "/health/live" => "/health/live",
        "/health/ready" => "/health/ready",
        "/metrics" => "/metrics",
        "/webhooks/whmcs" => "/webhooks/whmcs",
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
