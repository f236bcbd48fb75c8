//! `POST /webhooks/whmcs`: where the billing system reports what changed.
//!
//! Headers: `x-portal-event-id` (1 to 64 letters, digits, `-`, `_`), `x-portal-timestamp` (Unix seconds of this try) and
//! `x-portal-signature`: one or several, separated by commas or spaces, each the HMAC-SHA256 in hexadecimal over
//! `<id>.<timestamp>.<raw body>`. Any one that fits any active secret is enough, so both sides can rotate.
//!
//! Everything that costs comes after what is cheap: the rate, the headers, the size, the signature over the raw bytes,
//! and only then the JSON. The answer is 2xx only when the event is durable (requirements W1 to W5).

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{Request, State as Extract},
    http::{
        HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    routing::post,
};
use bytes::Bytes;
use governor::{Quota, RateLimiter, clock::DefaultClock, state::keyed::HashMapStateStore};
use hmac::{Hmac, Mac};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use tokio::time::timeout;

use crate::{
    clock::Clock,
    config::{self, Network},
    events::{
        Inbox, Received,
        whmcs::{Reading, is_event_id},
    },
    http::entry,
    secret::{ExposeSecret, SecretString},
};

/// Names the event; the same on every try.
const EVENT_ID: HeaderName = HeaderName::from_static("x-portal-event-id");
/// When this try was signed.
const TIMESTAMP: HeaderName = HeaderName::from_static("x-portal-timestamp");
/// Proves who sent it.
const SIGNATURE: HeaderName = HeaderName::from_static("x-portal-signature");

/// Bytes of a body at most (requirement W5).
const BODY_BYTES: usize = 256 * 1024;
/// How long a body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// How long the database may take.
const STORE_WITHIN: Duration = Duration::from_secs(5);
/// Signatures of one request that are looked at.
const SIGNATURES: usize = 8;
/// Addresses whose rates are remembered before the quiet ones are forgotten.
const ADDRESSES: usize = 10_000;

type Rates = RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>;

/// The route with what it needs.
pub struct Webhooks {
    inbox: Inbox,
    clock: Clock,
    secrets: Vec<SecretString>,
    tolerance: Duration,
    rates: Rates,
    proxies: Vec<Network>,
}

/// Why an event is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    TooMany,
    Malformed(&'static str),
    Unauthenticated,
    OutOfTime,
    TooLarge,
    TooSlow,
    Conflict,
    Unavailable,
}

impl Webhooks {
    /// The route; `None` when no secret is configured.
    pub fn new(
        settings: &config::Webhooks,
        inbox: Inbox,
        clock: Clock,
        proxies: Vec<Network>,
    ) -> Option<Self> {
        if settings.whmcs_secrets.is_empty() {
            return None;
        }
        let each = NonZeroU32::new(settings.per_second).unwrap_or(NonZeroU32::MIN);
        // A sender that was cut off has a backlog to tell.
        let quota = Quota::per_second(each).allow_burst(each.saturating_mul(BURST));
        Some(Self {
            inbox,
            clock,
            secrets: settings.whmcs_secrets.clone(),
            tolerance: settings.tolerance,
            rates: RateLimiter::hashmap(quota),
            proxies,
        })
    }

    fn admit(&self, address: Option<IpAddr>) -> Result<(), Refusal> {
        if self.rates.len() > ADDRESSES {
            self.rates.retain_recent();
        }
        let address = address.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), network);
        self.rates.check_key(&address).map_err(|_| Refusal::TooMany)
    }

    async fn receive(&self, request: Request) -> Result<Received, Refusal> {
        let (parts, body) = request.into_parts();
        self.admit(entry::address(&parts, &self.proxies))?;
        let headers = Headers::read(&parts.headers)?;
        let age = (self.clock.now().timestamp()).abs_diff(headers.timestamp);
        if age > self.tolerance.as_secs() {
            return Err(Refusal::OutOfTime);
        }
        let body = read(body).await?;
        if !headers.are_signed(&self.secrets, &body) {
            return Err(Refusal::Unauthenticated);
        }
        let notice = match Reading::of(&body, headers.id) {
            Reading::Notice(notice) => notice,
            // Nothing to remember: a repetition has no effect either.
            Reading::NoEffect => return Ok(Received::Duplicate),
            Reading::Malformed(reason) => return Err(Refusal::Malformed(reason)),
        };
        match timeout(STORE_WITHIN, self.inbox.receive_hook(&notice, &body)).await {
            Ok(Ok(Received::Conflict)) => {
                tracing::error!(
                    event_id = headers.id,
                    hook = notice.hook.name,
                    "an id of an event was used again for another: is somebody else signing?"
                );
                Err(Refusal::Conflict)
            }
            Ok(Ok(received)) => Ok(received),
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an event cannot be stored now");
                Err(Refusal::Unavailable)
            }
            Err(_) => {
                tracing::warn!("an event was not stored in time");
                Err(Refusal::Unavailable)
            }
        }
    }
}

/// Seconds of the rate that may come at once.
const BURST: NonZeroU32 = match NonZeroU32::new(5) {
    Some(seconds) => seconds,
    None => NonZeroU32::MIN,
};

/// One address of IPv4; the network of a customer of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & (u128::MAX << 64))),
    }
}

/// The headers of an event.
#[derive(Debug)]
struct Headers<'a> {
    id: &'a str,
    timestamp: i64,
    /// As it was written: it is signed so.
    timestamp_text: &'a str,
    signatures: Vec<[u8; 32]>,
}

impl<'a> Headers<'a> {
    fn read(headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let text = |name: HeaderName| {
            let mut values = headers.get_all(name).iter();
            let value = values.next()?.to_str().ok()?;
            values.next().is_none().then_some(value)
        };
        let id = text(EVENT_ID).filter(|id| is_event_id(id));
        let id = id.ok_or(Refusal::Malformed("x-portal-event-id is missing or malformed"))?;
        let written = text(TIMESTAMP).and_then(|written| Some((written, written.parse().ok()?)));
        let (timestamp_text, timestamp) =
            written.ok_or(Refusal::Malformed("x-portal-timestamp is missing or malformed"))?;
        let signatures: Vec<_> = headers
            .get_all(SIGNATURE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split([',', ' ']))
            .filter(|text| !text.is_empty())
            .take(SIGNATURES)
            .filter_map(|text| {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
            })
            .collect();
        if signatures.is_empty() {
            return Err(Refusal::Unauthenticated);
        }
        Ok(Self { id, timestamp, timestamp_text, signatures })
    }

    /// Whether one of the signatures is of one of the secrets. Every pair is compared, whatever the others gave.
    fn are_signed(&self, secrets: &[SecretString], body: &[u8]) -> bool {
        let mut is_signed = Choice::from(0);
        for secret in secrets {
            // A key of any length is good for HMAC.
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else {
                continue;
            };
            mac.update(self.id.as_bytes());
            mac.update(b".");
            mac.update(self.timestamp_text.as_bytes());
            mac.update(b".");
            mac.update(body);
            let expected: [u8; 32] = mac.finalize().into_bytes().into();
            for signature in &self.signatures {
                is_signed |= signature.ct_eq(&expected);
            }
        }
        is_signed.into()
    }
}

async fn read(body: Body) -> Result<Bytes, Refusal> {
    // A body that says so itself is not waited for.
    if body.size_hint().lower() > BODY_BYTES as u64 {
        return Err(Refusal::TooLarge);
    }
    match timeout(BODY_WITHIN, Limited::new(body, BODY_BYTES).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
        Ok(Err(_)) => Err(Refusal::Malformed("the body broke off")),
        Err(_) => Err(Refusal::TooSlow),
    }
}

/// The route.
pub(super) fn router<S>(webhooks: Arc<Webhooks>) -> Router<S> {
    Router::new().route("/webhooks/whmcs", post(handle)).with_state(webhooks)
}

async fn handle(Extract(webhooks): Extract<Arc<Webhooks>>, request: Request) -> Response<Body> {
    let received = webhooks.receive(request).await;
    let (status, message) = match received {
        Ok(Received::New) => (StatusCode::ACCEPTED, ""),
        Ok(_) => (StatusCode::OK, ""),
        Err(refusal) => refusal.say(),
    };
    metrics::counter!("webhooks_total", "status" => status.as_u16().to_string()).increment(1);
    let mut answer = Response::new(Body::from(message));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    answer
}

impl Refusal {
    fn say(self) -> (StatusCode, &'static str) {
        match self {
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too many events: come back\n"),
            Self::Malformed(reason) => (StatusCode::BAD_REQUEST, reason),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "no signature that fits\n"),
            Self::OutOfTime => {
                (StatusCode::UNAUTHORIZED, "the timestamp is too far from now: set the clock\n")
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body took too long\n"),
            Self::Conflict => (StatusCode::CONFLICT, "this id was used for another event\n"),
            Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "the event cannot be stored now: come back\n")
            }
        }
    }
}
