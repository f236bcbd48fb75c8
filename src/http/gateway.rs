//! The door of a real application: joins the graph, the sessions and the store to the routes.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use super::{
    Answers, Asker, Badge, Executed, Origin, Origins, Presented, Seats, State, Streams, TokenEndpoint,
    Webhooks, graphiql::Example, guard::Guard, metered,
};
use crate::{
    app::App,
    clock::Clock,
    config::Config,
    deadline::{Budget, Lane},
    error::{Error, Result, Service},
    events,
    freshness::{Explained, Reader},
    identity::{self, Caller, Identity, Viewer},
    schema::{self, Delivery, PortalSchema},
    spending::Spending,
};

/// How long a download may take to be found.
const DOWNLOAD_WITHIN: Duration = Duration::from_secs(10);

/// How long `/health/ready` waits for the store.
const STORE_WITHIN: Duration = Duration::from_secs(2);

/// The state of the routes over a running application.
pub fn state(config: &Config, app: &App, schema: PortalSchema, stopping: CancellationToken) -> State<Caller> {
    let (sessions, store) = (app.identity.clone(), app.store.clone());
    let (meter, clock) = (app.identity.clone(), app.clock.clone());
    let execute = move |request, asker: Asker<Caller>| {
        let (schema, meter, clock) = (schema.clone(), meter.clone(), clock.clone());
        async move { answer(&schema, &meter, &clock, request, asker).await }
    };
    let authenticate = move |Presented { token, customer }: Presented| {
        let sessions = sessions.clone();
        async move { sessions.caller(&token, customer.as_deref().map(schema::customer_of)).await }
    };
    let (known, keys, pages) = (app.identity.clone(), app.identity.clone(), app.identity.clone());
    let ready = move || {
        let store = store.clone();
        async move {
            match tokio::time::timeout(STORE_WITHIN, store.ping()).await {
                Ok(Ok(())) => Ok(()),
                _ => Err("the database is not answering"),
            }
        }
    };
    let streams = Streams {
        subscribe: {
            let (schema, within) = (schema::build_live(app.clone()), config.server.request_timeout);
            let meter = app.identity.clone();
            Arc::new(move |request, asker| subscribe(&schema, &meter, request, asker, within))
        },
        badge: |caller: &Caller| {
            let (user, stands_by, expires_at) = caller.badge();
            Badge { user, stands_by, expires_at }
        },
        seats: {
            let sessions = app.identity.clone();
            let ended = move |asked: Vec<_>| {
                let sessions = sessions.clone();
                async move { sessions.ended(&asked).await }
            };
            let ended = Arc::new(move |asked| Box::pin(ended(asked)) as _);
            Seats::new(config.live.connections_per_user, app.clock.clone(), ended)
        },
        limits: config.live.clone(),
    };
    let events = app.crm_events.clone();
    let sf_events = move || {
        let events = events.clone();
        async move {
            let health = match events {
                Some(events) => events.health().await.ok()?,
                None => events::salesforce::Health::default(),
            };
            serde_json::to_value(health).ok()
        }
    };
    let answers = Answers::new(app.cache.clone(), config.response_bytes, Caller::owner);
    let (cached, kept, files) = (app.clone(), answers.clone(), app.clone());
    State {
        answers: Some(answers),
        clock: app.clock.clone(),
        explains: config.server.explain,
        recall: Arc::new(move |token, customer| {
            known.recall_caller(token, customer.map(schema::customer_of))
        }),
        partner: |caller| caller.partner().map(|partner| partner.partner),
        tokens: Some(Arc::new(TokenEndpoint::new(
            app.identity.clone(),
            config.server.trusted_proxies.clone(),
        ))),
        guard: Guard::new(config.limits.clone()),
        note_page: Arc::new(move |origin, what| {
            let pages = pages.clone();
            Box::pin(async move {
                pages.note_refusal(None, None, &origin.into(), Error::Forbidden.code(), what).await;
            })
        }),
        origins: Origins::new(config.server.cors_origins.iter().chain([&config.server.public_url]).cloned()),
        body_bytes: config.limits.body_bytes,
        answer_within: config.server.request_timeout,
        proxies: config.server.trusted_proxies.clone(),
        ready: Arc::new(move || Box::pin(ready())),
        sf_events: Arc::new(move || Box::pin(sf_events())),
        cache_health: Some(Arc::new(move || cache_health(&cached, &kept))),
        published_keys: Some(Arc::new(move || keys.published_keys())),
        stopping,
        webhooks: Webhooks::new(
            &config.webhooks,
            app.inbox.clone(),
            app.clock.clone(),
            config.server.trusted_proxies.clone(),
        )
        .map(Arc::new),
        download: Some(Arc::new(move |caller, origin, id| {
            Box::pin(download(files.clone(), caller, origin, id)) as _
        })),
        streams: Some(streams),
        ..State::new(
            Arc::new(move |request, asker| Box::pin(execute(request, asker))),
            Arc::new(move |token| Box::pin(authenticate(token))),
        )
    }
}

impl From<Origin> for identity::Context {
    fn from(Origin { address, user_agent, request_id }: Origin) -> Self {
        Self { address, user_agent, request_id: Some(request_id.as_str().to_owned()), ..Self::default() }
    }
}

/// An export of whoever asks.
async fn download(app: App, caller: Caller, origin: Origin, id: String) -> Result<Option<Vec<u8>>> {
    // What is no id is one that was never given out.
    let id = Uuid::try_parse(&id).unwrap_or_default();
    // A partner is shown no document of a customer's: there is none of its own.
    let budget = Budget::new(DOWNLOAD_WITHIN, Lane::Interactive);
    let is_customer = matches!(caller, Caller::Customer(_));
    let Some(viewer) = Viewer::of(&caller, budget).filter(|_| is_customer) else { return Ok(None) };
    let viewer = viewer.from(origin.into());
    app.exports.download(&viewer, id).await
}

/// What an operator wants to know of the cache of this replica.
fn cache_health(app: &App, answers: &Answers<Caller>) -> serde_json::Value {
    let (entries, bytes) = app.cache.size();
    let (kept, kept_bytes) = answers.size();
    let ailing: Vec<_> =
        Service::ALL.into_iter().filter(|service| app.cache.ails(*service)).map(Service::as_str).collect();
    serde_json::json!({
        "entries": entries,
        "bytes": bytes,
        "answers": { "entries": kept, "bytes": kept_bytes },
        "reads": app.cache.tally(),
        "versionsLive": app.cache.is_live(),
        "redis": app.cache.is_connected().map(|is_connected| serde_json::json!({ "connected": is_connected })),
        "ailing": ailing,
        "reconciliation": app.reconciler.tally(),
    })
}

async fn answer(
    schema: &PortalSchema,
    meter: &Identity,
    clock: &Clock,
    request: async_graphql::Request,
    asker: Asker<Caller>,
) -> Executed {
    // Of a crowd that signs in, most are told to come back: that has to cost less than finding it out (requirement A2).
    if asker.hashes
        && let Err(crowded) = meter.check_room_for_password()
    {
        return schema::refuse(&crowded).into();
    }
    let paid = match asker.viewer.as_ref().and_then(Caller::partner) {
        None => None,
        Some(partner) => match metered::pay(meter, partner, asker.cost).await {
            Ok(paid) => Some(paid),
            Err(refused) => return refused.into(),
        },
    };
    let request_id = asker.origin.request_id;
    let origin = identity::Context::from(asker.origin);
    let caller = asker.viewer;
    let viewer = caller.as_ref().and_then(|caller| Viewer::of(caller, asker.budget));
    let viewer = viewer.map(|viewer| viewer.from(origin.clone()));
    // Who is not signed in reads what is public.
    let reader = viewer.as_ref().map_or_else(|| Reader::new(asker.budget), |viewer| viewer.reader().clone());
    let request = request.data(asker.budget).data(reader.clone()).data(asker.cookies).data(origin);
    // Log lines of fields and upstream calls carry the id that the client sees.
    let span = tracing::info_span!("request", request_id = request_id.as_str());
    if asker.explain {
        reader.explain();
    }
    let mut response = schema::execute(schema, request, caller, viewer).instrument(span).await;
    if let Some(paths) = reader.explained() {
        response.extensions.insert("explain".to_owned(), explained(&paths, clock.now()));
    }
    if let Some(paid) = paid {
        paid.settle(meter, &mut response).await;
    }
    Executed { response, reader: Some(reader) }
}

/// Where each path came from, how long its reader waited, and the calls of the load behind it.
fn explained(paths: &[Explained], now: DateTime<Utc>) -> async_graphql::Value {
    let ms = |duration: Duration| (duration.as_secs_f64() * 1e4).round() / 10.0;
    let call = |spent: &Spending| {
        serde_json::json!({
            "service": spent.service.as_str(),
            "operation": spent.operation,
            "queuedMs": ms(spent.queued),
            "ms": ms(spent.took),
            "attempts": spent.attempts,
        })
    };
    let path = |Explained { path, origin, cost }: &Explained| {
        let calls = cost.as_ref().map_or(&[][..], |cost| &cost.calls);
        serde_json::json!({
            "path": path,
            "source": origin.source.as_str(),
            "ageSeconds": origin.age(now).num_seconds(),
            "waitedMs": cost.as_ref().map_or(0.0, |cost| ms(cost.waited)),
            "quota": calls.iter().map(|call| call.attempts).sum::<u32>(),
            "calls": calls.iter().map(call).collect::<Vec<_>>(),
        })
    };
    let paths: Vec<_> = paths.iter().map(path).collect();
    async_graphql::to_value(paths).unwrap_or_default()
}

fn subscribe(
    schema: &PortalSchema,
    meter: &Identity,
    request: async_graphql::Request,
    asker: Asker<Caller>,
    within: Duration,
) -> BoxStream<'static, async_graphql::Response> {
    let origin = identity::Context::from(asker.origin);
    let reader = Reader::new(asker.budget);
    let request = request.data(asker.budget).data(reader).data(asker.cookies).data(origin);
    let delivery = asker.viewer.map(|caller| Delivery { caller, within });
    let Some(partner) = asker.viewer.as_ref().and_then(Caller::partner).copied() else {
        return schema::subscribe(schema, request, delivery);
    };
    let schema = schema.clone();
    let begin = move |request| schema::subscribe(&schema, request, delivery);
    metered::subscribe(meter.clone(), partner, asker.cost, request, begin)
}

/// The documents of `examples/queries`, one a portal screen, as tabs of GraphiQL.
#[derive(rust_embed::RustEmbed)]
#[folder = "examples/queries"]
struct Queries;

/// The tabs of GraphiQL: the one question of each that runs as it stands and changes nothing, the dashboard first.
pub fn examples() -> Vec<Example> {
    let mut examples: Vec<_> = Queries::iter()
        .filter(|file| file.ends_with(".graphql"))
        .filter_map(|file| {
            let query = String::from_utf8(Queries::get(&file)?.data.into_owned()).ok()?;
            // A variable without a default has to be filled in by hand.
            let runs = !query.lines().any(|line| line.contains('$') && line.contains("!"));
            let name = file.trim_end_matches(".graphql").to_owned();
            let kinds = ["query", "mutation", "subscription"];
            let mut operations = query.lines().filter(|line| kinds.iter().any(|kind| line.starts_with(kind)));
            let shows = operations.next().is_some_and(|first| first.starts_with("query"));
            (runs && shows && operations.next().is_none()).then_some(Example { name, query, variables: None })
        })
        .collect();
    examples.sort_by_key(|example| (example.name != "dashboard", example.name.clone()));
    examples
}
