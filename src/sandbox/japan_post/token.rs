//! `POST /api/v1/j/token`: client credentials for a token that expires.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::http::{HeaderMap, header::CONTENT_TYPE};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use crate::sandbox::{
    core::Core,
    credentials::{JAPAN_POST_CLIENT_ID, JAPAN_POST_SECRET_KEY},
    japan_post::refusal::{self, Refusal},
};

/// Life of a token, in the sandbox's time (domain reference §9.3).
const LIFE: TimeDelta = TimeDelta::hours(1);

/// What the emulator remembers: the tokens that it gave out.
#[derive(Debug)]
pub(super) struct State {
    pub(super) core: Arc<Core>,
    tokens: Mutex<HashMap<String, DateTime<Utc>>>,
}

#[derive(Deserialize)]
struct Grant {
    grant_type: String,
    client_id: String,
    secret_key: String,
}

impl State {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, tokens: Mutex::default() }
    }

    /// Gives a token to whoever proves itself and says where it calls from.
    pub(super) fn grant(&self, headers: &HeaderMap, body: &[u8]) -> Result<Value, Refusal> {
        let source = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
        source.and_then(|text| text.parse::<IpAddr>().ok()).ok_or(refusal::SOURCE)?;
        let grant = read(headers, body).ok_or(refusal::PARAMETER)?;
        if grant.grant_type != "client_credentials" {
            return Err(refusal::PARAMETER);
        }
        let is_known = grant.client_id.as_bytes().ct_eq(JAPAN_POST_CLIENT_ID.as_bytes())
            & grant.secret_key.as_bytes().ct_eq(JAPAN_POST_SECRET_KEY.as_bytes());
        if !bool::from(is_known) {
            return Err(refusal::CREDENTIALS);
        }
        let token = format!("sbx.{}", uuid::Uuid::new_v4().simple());
        let now = self.core.clock.now();
        let mut tokens = self.tokens();
        tokens.retain(|_, ends| *ends > now);
        tokens.insert(token.clone(), now + LIFE);
        Ok(json!({ "token": token, "token_type": "jwt", "expires_in": LIFE.num_seconds(), "scope": "J1" }))
    }

    /// Whether the bearer of these headers holds a token that is still good.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let now = self.core.clock.now();
        bearer(headers).is_some_and(|token| self.tokens().get(token).is_some_and(|ends| *ends > now))
    }

    /// Forgets the bearer's token, as when it expires early.
    pub(super) fn forget(&self, headers: &HeaderMap) {
        if let Some(token) = bearer(headers) {
            self.tokens().remove(token);
        }
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<String, DateTime<Utc>>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// JSON or a form.
fn read(headers: &HeaderMap, body: &[u8]) -> Option<Grant> {
    let media = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim();
    match media {
        "application/json" => serde_json::from_slice(body).ok(),
        "application/x-www-form-urlencoded" => {
            let mut fields: HashMap<_, _> = url::form_urlencoded::parse(body).into_owned().collect();
            let mut take = |name: &str| fields.remove(name);
            Some(Grant {
                grant_type: take("grant_type")?,
                client_id: take("client_id")?,
                secret_key: take("secret_key")?,
            })
        }
        _ => None,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")
}
