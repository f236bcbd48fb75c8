//! The HTTP door: GraphQL over HTTP, WebSockets and server-sent events, health, metrics, GraphiQL.
//!
//! The engine's ready-made service takes any body size and media type, runs mutations on GET, and
//! answers errors with 200; so the handler is ours. It knows neither the schema nor how a token is
//! verified: [`State`] brings both as functions, and the type `V` of whoever is signed in.
//!
//! Every answer passes one place (request id, headers, one log line, two metrics). Everything else is
//! done where it is needed: a layer that a request does not need still costs it. For the same reason
//! `/graphql` does not go through the router ([`Door`]), and what was asked before by the same bytes is
//! neither parsed nor judged again.

mod accept;
mod answer;
mod cookies;
mod door;
mod entry;
mod exports;
mod finished;
pub mod gateway;
pub mod graphiql;
mod graphql;
pub mod guard;
mod health;
mod jwks;
mod metered;
mod oauth;
mod operation;
mod origin;
mod pace;
mod params;
mod questions;
mod responses;
mod seats;
mod serve;
mod sse;
#[cfg(test)]
mod tests;
mod webhooks;
mod ws;

use std::{net::IpAddr, sync::Arc, time::Duration};

use async_graphql::{Request, Response};
use axum::{
    Router,
    middleware::from_fn,
    routing::{any, get},
};
use futures::{future::BoxFuture, stream::BoxStream};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    config::{self, Network},
    deadline::Budget,
    error::Result,
    freshness::Reader,
    id::PartnerId,
    schema::cookies::Cookies,
};

pub use door::Door;
pub use entry::RequestId;
pub use oauth::TokenEndpoint;
pub use origin::Origins;
pub use responses::Answers;
pub use seats::{Badge, Ended, Seats};
pub use serve::{Timeouts, bind, serve};
pub use webhooks::Webhooks;

/// Who asks, and what the request may use; handed to [`State::execute`] beside the request.
pub struct Asker<V> {
    /// Whoever the token names; `None` when there is none.
    pub viewer: Option<V>,
    /// Where the request came from.
    pub origin: Origin,
    /// Time and lane of upstream calls.
    pub budget: Budget,
    /// What a sign-in writes and a refresh reads.
    pub cookies: Cookies,
    /// The cost that the guard found.
    pub cost: u64,
    /// Whether the operation hashes a password.
    pub hashes: bool,
    /// Whether to say what each path of the answer cost.
    pub explain: bool,
}

/// What a request brings to say who asks.
pub struct Presented {
    /// The access token.
    pub token: String,
    /// The customer whom it names in `portal-customer`, when a partner acts for one.
    pub customer: Option<String>,
}

/// Verifies an access token. `Error::Unauthenticated` becomes 401.
pub type Authenticate<V> = Arc<dyn Fn(Presented) -> BoxFuture<'static, Result<V>> + Send + Sync>;

/// What is known of an access token, beside the customer whom the request names, without asking anybody: whoever it names, when
/// it was verified a moment ago. `None` says nothing against it: [`Authenticate`] tells.
pub type Recall<V> = Arc<dyn Fn(&str, Option<&str>) -> Option<V> + Send + Sync>;

/// Executes a request whose document is parsed and admitted.
pub type Execute<V> = Arc<dyn Fn(Request, Asker<V>) -> BoxFuture<'static, Executed> + Send + Sync>;

/// What came of it.
pub struct Executed {
    /// The engine's answer.
    pub response: Response,
    /// What it was read with; `None` when that is not known.
    pub reader: Option<Reader>,
}

impl From<Response> for Executed {
    /// An answer that nothing is known of but itself.
    fn from(response: Response) -> Self {
        Self { response, reader: None }
    }
}

/// Begins a subscription whose document is parsed and admitted. The stream ends after its first answer when
/// that has no data, and later only when its reader is too slow.
pub type Subscribe<V> = Arc<dyn Fn(Request, Asker<V>) -> BoxStream<'static, Response> + Send + Sync>;

/// What connections that stay open need: sockets, and streams of events.
pub struct Streams<V> {
    /// Begins a subscription.
    pub subscribe: Subscribe<V>,
    /// What a connection of this viewer is known by.
    pub badge: fn(&V) -> Badge,
    /// Who is connected.
    pub seats: Seats,
    /// What they may cost.
    pub limits: config::Live,
}

/// Where a request came from.
#[derive(Clone)]
pub struct Origin {
    /// The client's address; `None` in a test without a connection.
    pub address: Option<IpAddr>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// For logs and errors.
    pub request_id: RequestId,
}

/// Gives a document of whoever asks by its id; `None` when there is none of theirs.
pub type Download<V> =
    Arc<dyn Fn(V, Origin, String) -> BoxFuture<'static, Result<Option<Vec<u8>>>> + Send + Sync>;

/// Notes that a request was refused, since the page that it comes from may not send it. The text names what was asked.
pub type NotePage = Arc<dyn Fn(Origin, &'static str) -> BoxFuture<'static, ()> + Send + Sync>;

/// Says whether requests can be served now; the sentence of a refusal is shown to operators.
pub type Ready = Arc<dyn Fn() -> BoxFuture<'static, Result<(), &'static str>> + Send + Sync>;

/// Says how the reading of the CRM's events stands, as JSON; `None` when that cannot be found out.
pub type SfEvents = Arc<dyn Fn() -> BoxFuture<'static, Option<serde_json::Value>> + Send + Sync>;

/// Says how the cache stands, as JSON.
pub type CacheHealth = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

/// Gives the public keys of access tokens, as a JWK set in JSON.
pub type PublishedKeys = Arc<dyn Fn() -> String + Send + Sync>;

/// All that the routes need.
pub struct State<V> {
    /// The graph.
    pub execute: Execute<V>,
    /// The sessions.
    pub authenticate: Authenticate<V>,
    /// The same without waiting, for tokens that were verified a moment ago.
    pub recall: Recall<V>,
    /// The partner, when it is one that asks: its answers are counted one by one and not kept.
    pub partner: fn(&V) -> Option<PartnerId>,
    /// What documents may ask.
    pub guard: guard::Guard,
    /// Which web pages may use us.
    pub origins: Origins,
    /// For what other pages send.
    pub note_page: NotePage,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// How long a body may take to arrive.
    pub body_within: Duration,
    /// How long a request may take.
    pub answer_within: Duration,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub proxies: Vec<Network>,
    /// For `/health/ready`.
    pub ready: Ready,
    /// For `/health/sf-events`.
    pub sf_events: SfEvents,
    /// For `/health/cache`; without it the route is missing.
    pub cache_health: Option<CacheHealth>,
    /// For `/.well-known/jwks.json`; without it the route is missing.
    pub published_keys: Option<PublishedKeys>,
    /// Cancelled when the process begins to stop: not ready from then on.
    pub stopping: CancellationToken,
    /// Connections that stay open; `None` refuses them.
    pub streams: Option<Streams<V>>,
    /// The page for exploring; `None` leaves it out.
    pub graphiql: Option<graphiql::Graphiql>,
    /// For `/metrics`; without it the route is missing.
    pub metrics: Option<PrometheusHandle>,
    /// For `/oauth/token`; without it the route is missing.
    pub tokens: Option<Arc<TokenEndpoint>>,
    /// For `/webhooks/whmcs`; without it the route is missing.
    pub webhooks: Option<Arc<Webhooks>>,
    /// For `/exports/{id}`; without it nothing is found there.
    pub download: Option<Download<V>>,
    /// Whether a request may ask what each path of its answer cost.
    pub explains: bool,
    /// Answers that are sent again; `None` leaves every request to be executed.
    pub answers: Option<Answers<V>>,
    /// By which ages are told.
    pub clock: Clock,
    /// Requests that were admitted before.
    questions: questions::Questions,
}

impl<V> State<V> {
    /// A state with the default figures: 128 KiB within 10 s, answered within 10 s.
    pub fn new(execute: Execute<V>, authenticate: Authenticate<V>) -> Self {
        Self {
            execute,
            authenticate,
            recall: Arc::new(|_, _| None),
            partner: |_| None,
            guard: guard::Guard::new(guard::Limits::default()),
            origins: Origins::default(),
            note_page: Arc::new(|_, _| Box::pin(async {})),
            body_bytes: 128 * 1024,
            body_within: Duration::from_secs(10),
            answer_within: Duration::from_secs(10),
            proxies: Vec::new(),
            ready: Arc::new(|| Box::pin(async { Ok(()) })),
            sf_events: Arc::new(|| Box::pin(async { Some(serde_json::json!({ "enabled": false })) })),
            cache_health: None,
            published_keys: None,
            stopping: CancellationToken::new(),
            streams: None,
            graphiql: None,
            metrics: None,
            tokens: None,
            webhooks: None,
            download: None,
            explains: false,
            answers: None,
            clock: Clock::system(),
            questions: questions::Questions::new(),
        }
    }
}

/// The routes. A server takes a [`Door`], which is faster.
pub fn router<V: Clone + Send + Sync + 'static>(state: Arc<State<V>>) -> Router {
    let webhooks = state.webhooks.clone().map_or_else(Router::new, webhooks::router);
    let tokens = state.tokens.clone().map_or_else(Router::new, oauth::router);
    let graphiql = state.graphiql.clone().map_or_else(Router::new, graphiql::router);
    Router::new()
        .route("/graphql", any(graphql::handle::<V>))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready::<V>))
        .route("/health/sf-events", get(health::sf_events::<V>))
        .route("/health/cache", get(health::cache::<V>))
        .route(jwks::PATH, get(jwks::show::<V>))
        .route("/metrics", get(health::metrics::<V>))
        .route("/exports/{id}", get(exports::download::<V>))
        .merge(graphiql)
        .merge(webhooks)
        .merge(tokens)
        .fallback(health::not_found)
        .method_not_allowed_fallback(health::method_not_allowed)
        .layer(from_fn(entry::enter))
        .with_state(state)
}
