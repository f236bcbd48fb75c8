//! The token endpoint and its kin.

use axum::http::HeaderMap;
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::sandbox::{
    credentials::{SALESFORCE_CLIENT_ID, SALESFORCE_USERNAME},
    salesforce::{
        answer::Answer,
        node::Node,
        oauth::{assertion, identity},
        org::Org,
        store::seed::integration_user,
    },
};

/// Consumer secret of the sandbox's connected app, for the flows that need one.
pub const CLIENT_SECRET: &str = "sandbox-consumer-secret-0000000001";

/// Password of the sandbox's integration user, for the password flow.
pub const PASSWORD: &str = "sandbox-password-01";

/// A refused sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// HTTP status.
    pub status: u16,
    /// `error`.
    pub error: String,
    /// `error_description`.
    pub description: String,
}

impl Denial {
    /// A refusal with its two texts.
    pub fn new(error: &str, description: &str) -> Self {
        Self { status: 400, error: error.to_owned(), description: description.to_owned() }
    }

    /// `invalid_grant`.
    pub fn grant(description: &str) -> Self {
        Self::new("invalid_grant", description)
    }
}

impl From<Denial> for Answer {
    fn from(denial: Denial) -> Self {
        let body = json!({"error": denial.error, "error_description": denial.description});
        Self::json(denial.status, Node::Value(body))
            .with("cache-control", "no-store")
            .with("pragma", "no-cache")
    }
}

/// The fields of a form.
pub type Form = [(String, String)];

fn field<'a>(form: &'a Form, name: &str) -> Option<&'a str> {
    form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// `POST /services/oauth2/token`.
///
/// # Errors
/// Every refusal of the reference, §2.4, that can be provoked here.
pub fn token(org: &Org, headers: &HeaderMap, form: &Form) -> Result<Answer, Denial> {
    let now = org.core.clock.now();
    let kind = field(form, "grant_type").unwrap_or_default();
    match kind {
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
            let text = field(form, "assertion").ok_or_else(|| Denial::grant("invalid assertion"))?;
            let claims = assertion::verify(text, &org.public_url, now.timestamp())?;
            if let Some(jti) = claims.jti
                && !org.sessions().is_first_use(&jti, claims.expires, now.timestamp())
            {
                return Err(Denial::grant("invalid assertion"));
            }
            if org.settings().unapproved_users.iter().any(|user| user == SALESFORCE_USERNAME) {
                return Err(Denial::grant("user hasn't approved this consumer"));
            }
        }
        "client_credentials" => client(headers, form)?,
        "password" => {
            client(headers, form)?;
            let password = field(form, "password").unwrap_or_default();
            // A security token may stand behind the password.
            if field(form, "username") != Some(SALESFORCE_USERNAME) || !password.starts_with(PASSWORD) {
                return Err(Denial::grant("authentication failure"));
            }
        }
        "refresh_token" => {
            client(headers, form)?;
            return Err(Denial::grant("expired access/refresh token"));
        }
        _ => return Err(Denial::new("unsupported_grant_type", "grant type not supported")),
    }
    let token = org.sessions().open(integration_user(), SALESFORCE_CLIENT_ID, now);
    let id = identity::url(org, &integration_user());
    let issued_at = now.timestamp_millis().to_string();
    let mut body = json!({
        "access_token": token,
        "scope": "api refresh_token",
        "instance_url": org.public_url,
        "api_instance_url": org.public_url,
        "id": id,
        "token_type": "Bearer",
    });
    if kind != "urn:ietf:params:oauth:grant-type:jwt-bearer"
        && let Value::Object(parts) = &mut body
    {
        parts.insert("signature".to_owned(), signature(&id, &issued_at).into());
        parts.insert("issued_at".to_owned(), issued_at.into());
        parts.insert("token_format".to_owned(), "opaque".into());
    }
    Ok(Answer::ok(Node::Value(body)).with("cache-control", "no-store").with("pragma", "no-cache"))
}

/// The app's own credentials, in the body or as Basic.
fn client(headers: &HeaderMap, form: &Form) -> Result<(), Denial> {
    let basic = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
        .and_then(|text| String::from_utf8(STANDARD.decode(text).ok()?).ok());
    let (id, secret) = match &basic {
        Some(pair) => pair.split_once(':').unwrap_or((pair, "")),
        None => {
            (field(form, "client_id").unwrap_or_default(), field(form, "client_secret").unwrap_or_default())
        }
    };
    if id != SALESFORCE_CLIENT_ID {
        return Err(Denial::new("invalid_client_id", "client identifier invalid"));
    }
    if secret != CLIENT_SECRET {
        return Err(Denial::new("invalid_client", "invalid client credentials"));
    }
    Ok(())
}

fn signature(id: &str, issued_at: &str) -> String {
    Hmac::<Sha256>::new_from_slice(CLIENT_SECRET.as_bytes())
        .map(|mac| STANDARD.encode(mac.chain_update(id).chain_update(issued_at).finalize().into_bytes()))
        .unwrap_or_default()
}

/// `POST /services/oauth2/revoke`.
pub fn revoke(org: &Org, form: &Form) -> Answer {
    if let Some(token) = field(form, "token") {
        org.sessions().revoke(token);
    }
    Answer::bare(200)
}

/// `POST /services/oauth2/introspect`.
pub fn introspect(org: &Org, form: &Form) -> Answer {
    let lifetime = org.lifetime();
    let session =
        field(form, "token").and_then(|token| org.sessions().enter(token, org.core.clock.now(), lifetime));
    Answer::ok(Node::Value(match session {
        None => json!({"active": false}),
        Some(session) => json!({
            "active": true,
            "scope": "api refresh_token",
            "client_id": session.client,
            "username": SALESFORCE_USERNAME,
            "sub": identity::url(org, &session.user),
            "token_type": "access_token",
            "exp": (session.used_at + lifetime).timestamp(),
            "iat": session.issued_at.timestamp(),
            "nbf": session.issued_at.timestamp(),
        }),
    }))
}
