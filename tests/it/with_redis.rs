//! The main flows of identity once more, on a gateway that shares its state through Redis.

use std::collections::HashMap;

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::{
    gateway::{Customer, Gateway, Wishes},
    password_reset, sign_in,
    sign_up::{EMAIL, PASSWORD, complete_at_last, form, verified},
};

const NEW: &str = "an entirely different battery";
const REFRESH: &str = include_str!("../../examples/queries/session-refresh.graphql");

/// That a gateway uses Redis, and nobody else's of it.
pub fn settings() -> [(&'static str, String); 2] {
    let url = std::env::var("TEST_REDIS_URL")
        .unwrap_or_else(|_| panic!("TEST_REDIS_URL is missing: run with scripts/services"));
    [("REDIS_URL", url), ("REDIS_PREFIX", format!("test-{:032x}", rand::random::<u128>()))]
}

async fn with_redis() -> Gateway {
    let mut env = HashMap::from([
        ("QUEUE_BACKOFF_DELAY", "50ms".to_owned()),
        ("QUEUE_POLL", "50ms".to_owned()),
        ("SIGN_UP_SETTLE", "0ms".to_owned()),
    ]);
    env.extend(settings());
    Gateway::with(Wishes { env, ..Wishes::default() }).await
}

async fn email_of(gateway: &Gateway, session: &Value) -> Value {
    let customer = Customer::with(gateway, session["accessToken"].as_str().unwrap().to_owned());
    customer.ask("{ viewer { profile { email } } }", json!({})).await.data()["viewer"]["profile"]["email"]
        .clone()
}

#[tokio::test]
async fn somebody_signs_up_signs_in_refreshes_and_replaces_a_forgotten_password() {
    let gateway = with_redis().await;
    let verification = verified(&gateway, EMAIL).await;
    assert_eq!(verification["routing"]["route"], "NEW_CUSTOMER");
    let done = complete_at_last(&gateway, &form(&verification["token"])).await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
    assert_eq!(email_of(&gateway, &done["session"]).await, EMAIL);

    let entered = sign_in::enter(&gateway, EMAIL, PASSWORD).await;
    assert_eq!(email_of(&gateway, &entered["session"]).await, EMAIL);
    let token = json!({ "refreshToken": entered["session"]["refreshToken"] });
    let refreshed = gateway.nobody().ask(REFRESH, token.clone()).await.data()["sessionRefresh"].clone();
    assert_eq!(email_of(&gateway, &refreshed["session"]).await, EMAIL);
    gateway.app.clock.advance(TimeDelta::seconds(11));
    let reused = gateway.nobody().ask(REFRESH, token).await.body;
    assert_eq!(reused["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{reused}");

    let token = password_reset::token(&gateway, EMAIL).await;
    assert_eq!(password_reset::reset(&gateway, &token, NEW).await, password_reset::done());
    let old = Customer::with(&gateway, done["session"]["accessToken"].as_str().unwrap().to_owned());
    assert_eq!(old.ask("{ viewer { id } }", json!({})).await.status, 401, "all sessions have ended");
    let entered = sign_in::enter(&gateway, EMAIL, NEW).await;
    assert_eq!(email_of(&gateway, &entered["session"]).await, EMAIL);
}
