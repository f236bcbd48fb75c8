//! For operators: alive, ready, metrics; and the answers where there is no route.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{Request, State as Extract},
    http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use tokio::time::timeout;

use crate::http::{State, accept::Media, answer, entry};

/// How long readiness may take to find out.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// The process runs.
pub(super) async fn live() -> &'static str {
    "alive\n"
}

/// Requests can be served now: 200, else 503 with the reason. Not ready as soon as a stop begins.
pub(super) async fn ready<V>(Extract(state): Extract<Arc<State<V>>>) -> (StatusCode, String) {
    let found = if state.stopping.is_cancelled() {
        Err("stopping")
    } else {
        timeout(READY_WITHIN, (state.ready)()).await.unwrap_or(Err("not known in time"))
    };
    match found {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}

/// How the reading of the CRM's events stands: 200, else 503 when that cannot be found out.
pub(super) async fn sf_events<V>(
    Extract(state): Extract<Arc<State<V>>>,
) -> (StatusCode, Json<serde_json::Value>) {
    match timeout(READY_WITHIN, (state.sf_events)()).await {
        Ok(Some(health)) => (StatusCode::OK, Json(health)),
        _ => {
            let unknown = serde_json::json!({ "error": "the database is not answering" });
            (StatusCode::SERVICE_UNAVAILABLE, Json(unknown))
        }
    }
}

/// How the cache stands.
pub(super) async fn cache<V>(Extract(state): Extract<Arc<State<V>>>, request: Request) -> Response<Body> {
    let Some(health) = &state.cache_health else { return not_found(request).await };
    Json(health()).into_response()
}

/// What Prometheus reads.
pub(super) async fn metrics<V>(Extract(state): Extract<Arc<State<V>>>, request: Request) -> Response<Body> {
    let Some(metrics) = &state.metrics else { return not_found(request).await };
    let mut answer = Response::new(Body::from(metrics.render()));
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, text);
    answer
}

pub(super) async fn not_found(request: Request) -> Response<Body> {
    let id = entry::request_id(&request.into_parts().0);
    answer::refused(StatusCode::NOT_FOUND, Media::Json, "NOT_FOUND", "there is nothing here", &id)
}

pub(super) async fn method_not_allowed(request: Request) -> Response<Body> {
    let id = entry::request_id(&request.into_parts().0);
    let status = StatusCode::METHOD_NOT_ALLOWED;
    answer::refused(status, Media::Json, "METHOD_NOT_ALLOWED", "not with this method", &id)
}
