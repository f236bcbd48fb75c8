//! `GET /exports/{id}`: a document that a customer asked for. The one thing that is fetched outside the graph, since it is a
//! file: never kept by a cache, and only in a session that has just proved who is there.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Request, State as Extract},
    http::{
        HeaderValue, Response, StatusCode,
        header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE},
        request::Parts,
    },
};

use crate::{
    error::Error,
    http::{
        Presented, State, accept::Media, answer::Fault, cookies::Credentials, entry, graphql::unauthenticated,
    },
};

/// The file.
pub(super) async fn download<V: Clone + Send + Sync + 'static>(
    Extract(state): Extract<Arc<State<V>>>,
    Path(id): Path<String>,
    request: Request,
) -> Response<Body> {
    let (parts, _) = request.into_parts();
    match find(&state, &parts, id).await {
        Ok(bytes) => {
            let mut answer = Response::new(Body::from(bytes));
            let headers = answer.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            let name = HeaderValue::from_static("attachment; filename=\"export.json\"");
            headers.insert(CONTENT_DISPOSITION, name);
            answer
        }
        Err(fault) => fault.answer(Media::Json, &entry::request_id(&parts)),
    }
}

async fn find<V: Send + Sync + 'static>(
    state: &State<V>,
    parts: &Parts,
    id: String,
) -> Result<Vec<u8>, Fault> {
    let missing = || Fault::new(StatusCode::NOT_FOUND, "NOT_FOUND", "there is no such document");
    let download = state.download.as_ref().ok_or_else(missing)?;
    let credentials = Credentials::read(&parts.headers);
    let origin = entry::whence(parts, entry::peer(parts), &state.proxies, entry::request_id(parts));
    if credentials.are_ambient && !state.origins.proves_intent(&parts.headers) {
        (state.note_page)(origin, "/exports").await;
        let message = "a request with cookies needs the header x-portal-csrf and an allowed origin";
        return Err(Fault::new(StatusCode::FORBIDDEN, "FORBIDDEN", message));
    }
    let token = credentials.access.filter(|_| !credentials.are_malformed);
    let token = token.ok_or_else(|| unauthenticated(&Error::Unauthenticated))?;
    let viewer = (state.authenticate)(Presented { token: token.to_owned(), customer: None })
        .await
        .map_err(|error| unauthenticated(&error))?;
    match download(viewer, origin, id).await {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(missing()),
        Err(Error::Rejected(_)) => {
            let message = "prove again that it is you: `stepUpBegin` says how you can";
            Err(Fault::new(StatusCode::FORBIDDEN, "STEP_UP_REQUIRED", message))
        }
        Err(error) => Err(unauthenticated(&error)),
    }
}
