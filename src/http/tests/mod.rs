#![expect(clippy::unwrap_used, reason = "a test may panic")]
//! The door with a small graph behind it.

mod graphiql;
mod protocol;
mod responses;
mod sessions;
mod stopping;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_graphql::{Context, EmptySubscription, ErrorExtensions, Object, Schema};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode},
};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::{
    error::Error,
    http::{Asker, Origins, Presented, State, guard::Guard, guard::Limits, router},
    schema::cookies::Cookies,
    secret::{ExposeSecret, SecretString},
};

pub(super) struct Query;
pub(super) struct Mutation;

/// How often a mutation ran.
#[derive(Default)]
pub(super) struct Effects(AtomicUsize);

#[Object]
impl Query {
    async fn hello(&self, #[graphql(default = 1)] times: i32) -> String {
        "hello".repeat(usize::try_from(times).unwrap_or(0))
    }
    async fn who(&self, ctx: &Context<'_>) -> Option<String> {
        ctx.data_opt::<String>().cloned()
    }
    async fn fails(&self) -> Option<async_graphql::Result<i32>> {
        Some(Err("not today".into()))
    }
    async fn must(&self) -> async_graphql::Result<i32> {
        Err("not today".into())
    }
    /// Meets a limit: of a system, when one is named, or ours.
    async fn limited(&self, wait: i32, system: Option<String>) -> Option<async_graphql::Result<i32>> {
        let error = async_graphql::Error::new("later").extend_with(|_, extensions| {
            extensions.set("code", "RATE_LIMITED");
            extensions.set("retryAfterMs", wait);
            if let Some(system) = &system {
                extensions.set("service", system.as_str());
            }
        });
        Some(Err(error))
    }
    async fn panics(&self, #[graphql(default = "a secret")] number: String) -> i32 {
        number.parse().unwrap()
    }
    async fn hangs(&self) -> i32 {
        std::future::pending().await
    }
}

#[Object]
impl Mutation {
    async fn session_create(&self, ctx: &Context<'_>) -> bool {
        ctx.data_unchecked::<Counted>().0.0.fetch_add(1, Ordering::SeqCst);
        let jar = ctx.data_unchecked::<Cookies>();
        let lasts = Duration::from_secs(600);
        jar.sign_in(SecretString::from("new-access"), lasts, SecretString::from("new-refresh"), lasts * 2);
        true
    }
    async fn session_refresh(&self, ctx: &Context<'_>) -> Option<String> {
        let jar = ctx.data_unchecked::<Cookies>();
        jar.refresh().map(|token| token.expose_secret().to_owned())
    }
    async fn session_end(&self, ctx: &Context<'_>) -> bool {
        ctx.data_unchecked::<Cookies>().sign_out();
        true
    }
}

#[derive(Clone)]
pub(super) struct Counted(Arc<Effects>);

/// A door whose only good token is `good`.
pub(super) struct Door {
    pub router: Router,
    effects: Arc<Effects>,
}

pub(super) fn state() -> (State<String>, Arc<Effects>) {
    let schema = Schema::build(Query, Mutation, EmptySubscription).disable_suggestions().finish();
    let effects = Arc::new(Effects::default());
    let counted = Counted(Arc::clone(&effects));
    let execute = move |request: async_graphql::Request, asker: Asker<String>| {
        let (schema, mut request) = (schema.clone(), request.data(asker.cookies).data(counted.clone()));
        if let Some(viewer) = asker.viewer {
            request = request.data(viewer);
        }
        Box::pin(async move { schema.execute(request).await.into() }) as _
    };
    let authenticate = |Presented { token, .. }: Presented| {
        Box::pin(async move {
            match token.as_str() {
                "good" => Ok("taro".to_owned()),
                "unlucky" => Err(Error::internal("the store is down")),
                _ => Err(Error::Unauthenticated),
            }
        }) as _
    };
    let mut state = State::new(Arc::new(execute), Arc::new(authenticate));
    state.origins = Origins::new(["https://portal.example.jp".to_owned(), "null".to_owned()]);
    (state, effects)
}

pub(super) fn door() -> Door {
    door_with(|_| {})
}

pub(super) fn door_with(change: impl FnOnce(&mut State<String>)) -> Door {
    let (mut state, effects) = state();
    change(&mut state);
    Door { router: router(Arc::new(state)), effects }
}

pub(super) fn with_introspection(state: &mut State<String>) {
    state.guard = Guard::new(Limits { introspection: true, ..Limits::default() });
}

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
    /// The code of the first error.
    pub fn code(&self) -> String {
        self.json()["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Door {
    pub fn effects(&self) -> usize {
        self.effects.0.load(Ordering::SeqCst)
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    /// Posts a body with more headers; `content-type` is JSON unless given.
    pub async fn post(&self, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::post("/graphql");
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    pub async fn query(&self, headers: &[(&str, &str)], query: &str) -> Answer {
        self.post(headers, serde_json::json!({ "query": query }).to_string()).await
    }

    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }
}
