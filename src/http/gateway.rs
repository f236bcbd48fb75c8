//! The door of a real application: joins the graph, the sessions and the store to the routes.

use std::{sync::Arc, time::Duration};

use futures::stream::BoxStream;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Asker, Badge, Origins, Seats, State, Streams, graphiql::Example, guard::Guard};
use crate::{
    app::App,
    config::Config,
    identity::{self, Principal, Viewer},
    schema::{self, Delivery, PortalSchema},
};

/// How long `/health/ready` waits for the store.
const STORE_WITHIN: Duration = Duration::from_secs(2);

/// The state of the routes over a running application.
pub fn state(
    config: &Config,
    app: &App,
    schema: PortalSchema,
    stopping: CancellationToken,
) -> State<Principal> {
    let (sessions, store) = (app.identity.clone(), app.store.clone());
    let execute = move |request, asker: Asker<Principal>| {
        let schema = schema.clone();
        async move { answer(&schema, request, asker).await }
    };
    let authenticate = move |token: String| {
        let sessions = sessions.clone();
        async move { sessions.authenticate(&token).await }
    };
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
            Arc::new(move |request, asker| subscribe(&schema, request, asker, within))
        },
        badge: |principal: &Principal| Badge {
            user: principal.user.0,
            session: principal.session,
            expires_at: principal.expires_at,
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
    State {
        guard: Guard::new(config.limits.clone()),
        origins: Origins::new(config.server.cors_origins.iter().chain([&config.server.public_url]).cloned()),
        body_bytes: config.limits.body_bytes,
        answer_within: config.server.request_timeout,
        proxies: config.server.trusted_proxies.clone(),
        ready: Arc::new(move || Box::pin(ready())),
        stopping,
        streams: Some(streams),
        ..State::new(
            Arc::new(move |request, asker| Box::pin(execute(request, asker))),
            Arc::new(move |token| Box::pin(authenticate(token))),
        )
    }
}

async fn answer(
    schema: &PortalSchema,
    request: async_graphql::Request,
    asker: Asker<Principal>,
) -> async_graphql::Response {
    let viewer = asker.viewer.map(|principal| Viewer::new(principal, asker.budget));
    let origin = identity::Context { address: asker.address, user_agent: asker.user_agent };
    let request = request.data(asker.budget).data(asker.cookies).data(origin);
    // Log lines of fields and upstream calls carry the id that the client sees.
    let span = tracing::info_span!("request", request_id = asker.request_id.as_str());
    schema::execute(schema, request, viewer).instrument(span).await
}

fn subscribe(
    schema: &PortalSchema,
    request: async_graphql::Request,
    asker: Asker<Principal>,
    within: Duration,
) -> BoxStream<'static, async_graphql::Response> {
    let origin = identity::Context { address: asker.address, user_agent: asker.user_agent };
    let request = request.data(asker.budget).data(asker.cookies).data(origin);
    let delivery = asker.viewer.map(|principal| Delivery { principal, within });
    schema::subscribe(schema, request, delivery)
}

/// The documents of `examples/queries`, one a portal screen, as tabs of GraphiQL.
#[derive(rust_embed::RustEmbed)]
#[folder = "examples/queries"]
struct Queries;

/// The tabs of GraphiQL: those that run as they stand, the dashboard first.
pub fn examples() -> Vec<Example> {
    let mut examples: Vec<_> = Queries::iter()
        .filter(|file| file.ends_with(".graphql"))
        .filter_map(|file| {
            let query = String::from_utf8(Queries::get(&file)?.data.into_owned()).ok()?;
            // A variable without a default has to be filled in by hand.
            let runs = !query.lines().any(|line| line.contains('$') && line.contains("!"));
            let name = file.trim_end_matches(".graphql").to_owned();
            // One that listens has no answer to show at once.
            let listens = query.lines().any(|line| line.starts_with("subscription"));
            (runs && !listens).then_some(Example { name, query, variables: None })
        })
        .collect();
    examples.sort_by_key(|example| (example.name != "dashboard", example.name.clone()));
    examples
}
