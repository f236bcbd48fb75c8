//! Japan Post's Digital Address API, emulated: tokens, and the search by postal code or digital address.
//!
//! Source: domain reference §9.3, and the field names of the vendor's public reference. It knows a sample of the
//! country: see [`places`].

mod places;
mod refusal;
mod search;
mod token;

#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State as Shared},
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use crate::sandbox::core::{Core, Fault, FaultKind, System};

use refusal::Refusal;
use token::State;

/// The emulator.
pub fn router(core: Arc<Core>) -> Router {
    Router::new()
        .route("/api/v1/j/token", post(token))
        .route("/api/v1/searchcode/{code}", get(search_code))
        .with_state(Arc::new(State::new(core)))
}

async fn token(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Bytes) -> Response {
    let fault = state.core.enter(System::JapanPost, "token", Value::Null).await;
    answer(fault, || state.grant(&headers, &body), || refusal::CREDENTIALS).await
}

async fn search_code(
    Shared(state): Shared<Arc<State>>,
    Path(code): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    // A digital address stands for where somebody lives.
    let detail = if search::is_digits(&code) { json!({ "code": code }) } else { Value::Null };
    let fault = state.core.enter(System::JapanPost, "searchcode", detail).await;
    let work = || if state.admits(&headers) { search::search(&code, &query) } else { Err(refusal::TOKEN) };
    let expire = || {
        state.forget(&headers);
        refusal::TOKEN
    };
    answer(fault, work, expire).await
}

/// Does the work, or acts a fault out. `expire` says how the vendor refuses a session.
async fn answer(
    fault: Option<Fault>,
    work: impl FnOnce() -> Result<Value, Refusal>,
    expire: impl FnOnce() -> Refusal,
) -> Response {
    let Some(Fault { kind, applied }) = fault else {
        return work().map_or_else(Refusal::into_response, |answer| Json(answer).into_response());
    };
    if applied {
        // What was done is lost on the way.
        let _ = work();
    }
    match kind {
        FaultKind::Business { code, message } if code.is_empty() => {
            refusal::refuse("500-9999-0001", &message)
        }
        FaultKind::Business { code, message } => refusal::refuse(&code, &message),
        FaultKind::Expire => expire().into_response(),
        other => other.act_out().await,
    }
}
