//! A service that tells people from programs, emulated: the widget that gives tokens, and the check of them ("siteverify") as
//! Turnstile, hCaptcha and reCAPTCHA v2 have it.
//!
//! Here whoever asks the widget is a person. A token is good once, for five minutes, and with the secret of the key for which
//! it was solved. Source: the vendors' public references.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Form, Json, Router,
    extract::{Query, State as Shared},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use crate::sandbox::{
    core::{Core, Fault, FaultKind, System},
    credentials::{CAPTCHA_SECRET, CAPTCHA_SITE_KEY},
};

/// Life of a token, in the sandbox's time.
const LIFE: TimeDelta = TimeDelta::minutes(5);
/// The page on which a token was solved, unless the widget was told another.
const HOST: &str = "localhost";

/// What the emulator remembers: tokens that were not shown yet.
struct State {
    core: Arc<Core>,
    tokens: Mutex<HashMap<String, Solved>>,
}

struct Solved {
    at: DateTime<Utc>,
    site_key: String,
    hostname: String,
}

/// The emulator.
pub fn router(core: Arc<Core>) -> Router {
    Router::new()
        .route("/widget", post(widget))
        .route("/siteverify", post(siteverify))
        .with_state(Arc::new(State { core, tokens: Mutex::default() }))
}

/// What the vendor's script does in the browser: `POST /widget?sitekey=…` gives a token. `hostname` says on which page.
async fn widget(Shared(state): Shared<Arc<State>>, Query(query): Query<HashMap<String, String>>) -> Response {
    if let Some(Fault { kind, .. }) = state.core.enter(System::Captcha, "widget", Value::Null).await {
        return kind.act_out().await;
    }
    let Some(site_key) = query.get("sitekey").filter(|key| !key.is_empty()).cloned() else {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "missing sitekey" }))).into_response();
    };
    let token = format!("sbx.{}", uuid::Uuid::new_v4().simple());
    let hostname = query.get("hostname").map_or(HOST, String::as_str).to_owned();
    let now = state.core.clock.now();
    let mut tokens = state.tokens();
    tokens.retain(|_, solved| now < solved.at + LIFE);
    tokens.insert(token.clone(), Solved { at: now, site_key, hostname });
    Json(json!({ "token": token })).into_response()
}

async fn siteverify(
    Shared(state): Shared<Arc<State>>,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let fault = state.core.enter(System::Captcha, "siteverify", Value::Null).await;
    let Some(Fault { kind, applied }) = fault else { return Json(state.check(&form)).into_response() };
    if applied {
        // What was done is lost on the way.
        let _ = state.check(&form);
    }
    match kind {
        FaultKind::Business { code, .. } if !code.is_empty() => Json(refused(&code)).into_response(),
        FaultKind::Business { .. } => Json(refused("bad-request")).into_response(),
        FaultKind::Expire => Json(refused("invalid-input-secret")).into_response(),
        other => other.act_out().await,
    }
}

impl State {
    fn check(&self, form: &HashMap<String, String>) -> Value {
        let Some(secret) = form.get("secret").filter(|secret| !secret.is_empty()) else {
            return refused("missing-input-secret");
        };
        if !bool::from(secret.as_bytes().ct_eq(CAPTCHA_SECRET.as_bytes())) {
            return refused("invalid-input-secret");
        }
        let Some(token) = form.get("response").filter(|token| !token.is_empty()) else {
            return refused("missing-input-response");
        };
        if !token.starts_with("sbx.") {
            return refused("invalid-input-response");
        }
        let solved = self.tokens().remove(token);
        match solved.filter(|solved| self.core.clock.now() < solved.at + LIFE) {
            None => refused("timeout-or-duplicate"),
            Some(solved) if solved.site_key != CAPTCHA_SITE_KEY => refused("sitekey-secret-mismatch"),
            Some(Solved { at, hostname, .. }) => {
                json!({ "success": true, "challenge_ts": at, "hostname": hostname, "error-codes": [] })
            }
        }
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<String, Solved>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(code: &str) -> Value {
    json!({ "success": false, "error-codes": [code] })
}
