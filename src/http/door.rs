//! What a connection brings its requests to.
//!
//! A router costs each request a look-up, a layer and some boxes, which is a third of what a warm answer
//! costs in all. So the one path that is asked all the time goes past it.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    http::{Method, Response, header::UPGRADE},
};
use futures::future::BoxFuture;
use tower::ServiceExt;

use crate::http::{State, graphql, router};

/// Answers one request from an address.
type Answer = Arc<dyn Fn(Request, SocketAddr) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

/// The routes, with a short way to `/graphql`. Clones share everything.
#[derive(Clone)]
pub struct Door {
    router: Router,
    graphql: Option<Answer>,
}

impl Door {
    /// The door over a state.
    pub fn new<V: Clone + Send + Sync + 'static>(state: Arc<State<V>>) -> Self {
        let router = router(Arc::clone(&state));
        let answer = move |request, peer| -> BoxFuture<'static, Response<Body>> {
            Box::pin(graphql::answer(Arc::clone(&state), request, peer))
        };
        Self { router, graphql: Some(Arc::new(answer)) }
    }

    pub(super) fn answer(
        &self,
        mut request: Request,
        peer: SocketAddr,
    ) -> BoxFuture<'static, Response<Body>> {
        if let Some(graphql) = &self.graphql
            && request.uri().path() == "/graphql"
            && matches!(*request.method(), Method::GET | Method::POST)
            && !request.headers().contains_key(UPGRADE)
        {
            return graphql(request, peer);
        }
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = self.router.clone().oneshot(request);
        Box::pin(async move { answer.await.unwrap_or_else(|never| match never {}) })
    }
}

impl From<Router> for Door {
    /// Routes without a short way.
    fn from(router: Router) -> Self {
        Self { router, graphql: None }
    }
}
