//! The public keys of access tokens, for whoever verifies them elsewhere.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State as Extract},
    http::{
        HeaderValue, Response, StatusCode,
        header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG},
    },
};

use crate::http::{State, finished, health};

/// Where the set is found.
pub(super) const PATH: &str = "/.well-known/jwks.json";

/// How long others may keep the set: less than a new key is shown before it signs.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The set, as RFC 7517 has it; 304 when it is the one that the client has.
pub(super) async fn show<V>(Extract(state): Extract<Arc<State<V>>>, request: Request) -> Response<Body> {
    let Some(keys) = &state.published_keys else { return health::not_found(request).await };
    let set = keys();
    let tag = finished::entity_tag(set.as_bytes());
    let is_known = tag.as_ref().is_some_and(|tag| finished::is_known(tag, request.headers()));
    let mut answer = Response::new(if is_known { Body::empty() } else { Body::from(set) });
    if is_known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    headers.insert(CACHE_CONTROL, KEPT);
    // They are public: any page may read them.
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if let Some(tag) = tag {
        headers.insert(ETAG, tag);
    }
    answer
}
