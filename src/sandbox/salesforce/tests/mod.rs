//! The emulator over its own HTTP.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod reading;
mod signing_in;
mod together;
mod writing;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::sandbox::{
    core::Core,
    credentials::{SALESFORCE_CLIENT_ID, SALESFORCE_PRIVATE_KEY, SALESFORCE_USERNAME},
    salesforce::{organisation, router},
    world::ids::{prefix, sf_id},
};

const URL: &str = "http://127.0.0.1:1";
const DATA: &str = "/services/data/v68.0";

/// An emulator and somebody who has signed in.
struct Sandbox {
    core: Arc<Core>,
    router: Router,
    token: String,
}

/// An answer, its body read as JSON when it is some.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Value,
    bytes: Vec<u8>,
}

impl Reply {
    /// The code of an error array.
    fn code(&self) -> &str {
        self.body[0]["errorCode"].as_str().unwrap_or_default()
    }

    fn records(&self) -> &Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body["records"].as_array().unwrap()
    }
}

impl Sandbox {
    async fn start() -> Self {
        Self::with_customers(20).await
    }

    async fn with_customers(customers: u64) -> Self {
        let core = Arc::new(Core::new(7, customers, false));
        let router = router(organisation(Arc::clone(&core), URL.to_owned()));
        let mut sandbox = Self { core, router, token: String::new() };
        let reply = sandbox.token(&assertion(json!({}), SALESFORCE_PRIVATE_KEY)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        sandbox.token = reply.body["access_token"].as_str().unwrap().to_owned();
        sandbox
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Reply { status: parts.status.as_u16(), headers: parts.headers, body, bytes }
    }

    async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn token(&self, assertion: &str) -> Reply {
        let grant = ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
        self.form("/services/oauth2/token", &[grant, ("assertion", assertion)]).await
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Reply {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("{DATA}/{path}") };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token));
        let request = match body {
            Value::Null => request.body(Body::empty()),
            body => request.header("content-type", "application/json").body(body.to_string().into()),
        };
        self.send(request.unwrap()).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, Value::Null).await
    }

    async fn query(&self, statement: &str) -> Reply {
        let q = url::form_urlencoded::Serializer::new(String::new()).append_pair("q", statement).finish();
        self.get(&format!("query?{q}")).await
    }

    async fn set(&self, knobs: Value) {
        assert_eq!(self.call("PATCH", "/control", knobs).await.status, 200);
    }
}

/// A signed assertion: the usual claims with some replaced.
fn assertion(claims: Value, key: &str) -> String {
    let exp = chrono::Utc::now().timestamp() + 180;
    let mut all = json!({
        "iss": SALESFORCE_CLIENT_ID, "sub": SALESFORCE_USERNAME, "aud": "https://login.salesforce.com", "exp": exp
    });
    for (name, value) in claims.as_object().unwrap() {
        all[name.as_str()] = value.clone();
    }
    encode(&Header::new(Algorithm::RS256), &all, &EncodingKey::from_rsa_pem(key.as_bytes()).unwrap()).unwrap()
}

fn account(n: u64) -> String {
    sf_id(prefix::ACCOUNT, n, 0)
}

fn query_url(statement: &str) -> String {
    format!(
        "{DATA}/query?{}",
        url::form_urlencoded::Serializer::new(String::new()).append_pair("q", statement).finish()
    )
}
