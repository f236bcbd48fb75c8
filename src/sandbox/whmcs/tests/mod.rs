//! The emulator driven through its router, family by family.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod clients;
mod dialects;
mod invoices;
mod money;
mod orders;
mod services;
mod sign_on;
mod transport;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use url::form_urlencoded;

use crate::sandbox::core::Core;
use crate::sandbox::credentials::{WHMCS_IDENTIFIER, WHMCS_SECRET};
use crate::sandbox::whmcs::{Installation, Settings};

/// The demo customer and its user.
pub const DEMO: &str = "1001";

/// One emulator and the core under it.
#[derive(Clone)]
pub struct Bench {
    pub core: Arc<Core>,
    pub installation: Installation,
    pub router: Router,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    pub fn with(settings: Settings) -> Self {
        let core = Arc::new(Core::new(7, 50, false));
        let url = "https://billing.example.test/billing/".to_owned();
        let installation = Installation::new(Arc::clone(&core), url, settings);
        Self { core, router: installation.router(), installation }
    }

    /// Sends a form as it is and returns status, media type and text.
    pub async fn post(&self, form: &str) -> (StatusCode, String, String) {
        let request = Request::post("/billing/includes/api.php")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()))
            .unwrap();
        self.send(request).await
    }

    pub async fn send(&self, request: Request<Body>) -> (StatusCode, String, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let media =
            response.headers().get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap().to_owned());
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, media.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
    }

    /// Calls an action with good credentials and decodes the answer.
    pub async fn call(&self, action: &str, params: &[(&str, &str)]) -> Value {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("identifier", WHMCS_IDENTIFIER).append_pair("secret", WHMCS_SECRET);
        form.append_pair("action", action).append_pair("responsetype", "json");
        form.extend_pairs(params);
        let (status, media, body) = self.post(&form.finish()).await;
        assert_eq!((status, media.as_str()), (StatusCode::OK, "application/json"), "{action}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Calls an action that must succeed.
    pub async fn ok(&self, action: &str, params: &[(&str, &str)]) -> Value {
        let answer = self.call(action, params).await;
        assert_eq!(answer["result"], "success", "{action} {params:?}: {answer}");
        answer
    }

    /// Calls an action that must be refused with a text.
    pub async fn refused(&self, action: &str, params: &[(&str, &str)], message: &str) {
        let answer = self.call(action, params).await;
        assert_eq!(answer, json!({"result": "error", "message": message}), "{action} {params:?}");
    }

    /// The hooks that fired since the last call of this.
    pub fn hooks(&self) -> Vec<String> {
        use crate::sandbox::journal::{Filter, Kind};
        let filter = Filter { kind: Some(Kind::Effect), ..Filter::default() };
        let names =
            self.core.journal.entries(&filter).into_iter().map(|entry| entry.operation.to_string()).collect();
        self.core.journal.clear();
        names
    }

    /// An invoice of the demo customer in a status.
    pub async fn invoice_in(&self, status: &str) -> Value {
        let answer = self.ok("GetInvoices", &[("userid", DEMO), ("status", status)]).await;
        answer["invoices"]["invoice"][0].clone()
    }

    /// A new invoice of one item.
    pub async fn new_invoice(&self, client: &str, amount: &str) -> String {
        let answer = self
            .ok(
                "CreateInvoice",
                &[("userid", client), ("itemdescription1", "Top-up"), ("itemamount1", amount)],
            )
            .await;
        answer["invoiceid"].to_string()
    }

    pub async fn invoice(&self, id: &str) -> Value {
        self.ok("GetInvoice", &[("invoiceid", id)]).await
    }
}

/// `base64(serialize(map))` of texts under integer keys.
pub fn serialized(map: &[(u64, &str)]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let body: String = map.iter().map(|(k, v)| format!("i:{k};s:{}:\"{v}\";", v.len())).collect();
    STANDARD.encode(format!("a:{}:{{{body}}}", map.len()))
}

/// The text of a JSON scalar.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
