//! `POST /oauth/token`: where partners get their access tokens (RFC 6749, client credentials).
//!
//! The client proves itself by HTTP Basic or in the form, not by both. What is wrong is told in the words of the RFC, and
//! never what of the credentials it was. Nothing of it may be kept by anybody.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State as Extract},
    http::{
        HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    routing::post,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http_body_util::{BodyExt, Limited};
use serde_json::json;
use tokio::time::timeout;
use url::form_urlencoded;

use crate::{
    config::Network,
    http::entry,
    identity::{self, Identity, PartnerToken, TokenRefusal, TokenRequest},
    secret::{ExposeSecret, SecretString},
};

/// Bytes of a form; ours have about 200.
const LARGEST: usize = 8 * 1024;
/// How long a form may take to arrive.
const WITHIN: Duration = Duration::from_secs(10);

/// The token endpoint.
pub struct TokenEndpoint {
    identity: Identity,
    proxies: Vec<Network>,
}

/// Why there is no token, as the RFC names it.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    error: &'static str,
    description: &'static str,
    header: Option<(HeaderName, HeaderValue)>,
}

impl TokenEndpoint {
    /// An endpoint; `proxies` are those whose word on addresses is believed.
    pub fn new(identity: Identity, proxies: Vec<Network>) -> Self {
        Self { identity, proxies }
    }

    async fn answer(&self, request: Request) -> Result<PartnerToken, Refusal> {
        let (parts, body) = request.into_parts();
        let id = entry::request_id(&parts);
        let from = identity::Context::from(entry::whence(&parts, entry::peer(&parts), &self.proxies, id));
        let is_form =
            parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|text| {
                let media = text.split(';').next().unwrap_or_default().trim();
                media.eq_ignore_ascii_case("application/x-www-form-urlencoded")
            });
        if !is_form {
            return Err(invalid("send application/x-www-form-urlencoded"));
        }
        let form = match timeout(WITHIN, Limited::new(body, LARGEST).collect()).await {
            Ok(Ok(body)) => Form::read(&body.to_bytes())?,
            _ => return Err(invalid("the form is too large, or broke off")),
        };
        let is_basic = parts.headers.contains_key(AUTHORIZATION);
        let (client_id, secret) = match (basic(&parts.headers), form.client_id, form.secret) {
            (Some(_), _, Some(_)) => return Err(invalid("prove the client in one way, not in two")),
            (Some((id, secret)), None, None) => (id, secret),
            (Some((id, secret)), Some(named), None) if named == id => (id, secret),
            (None, Some(id), Some(secret)) if !is_basic => (id, secret),
            _ => return Err(unknown_client(is_basic)),
        };
        match form.grant_type.as_deref() {
            Some("client_credentials") => {}
            Some(_) => {
                let description = "the one grant is client_credentials";
                return Err(Refusal { error: "unsupported_grant_type", ..invalid(description) });
            }
            None => return Err(invalid("grant_type is missing")),
        }
        let request = TokenRequest { client_id, secret, scope: form.scope };
        self.identity.partner_token(&request, &from).await.map_err(|refusal| match refusal {
            TokenRefusal::InvalidClient => unknown_client(is_basic),
            TokenRefusal::InvalidScope => Refusal {
                error: "invalid_scope",
                ..invalid("a scope is unknown, or more than this client may have")
            },
            TokenRefusal::TooOften(wait) => {
                let seconds = wait.as_millis().div_ceil(1000).max(1);
                Refusal {
                    status: StatusCode::TOO_MANY_REQUESTS,
                    error: "temporarily_unavailable",
                    description: "too many tokens were asked for",
                    header: HeaderValue::try_from(seconds.to_string()).ok().map(|value| (RETRY_AFTER, value)),
                }
            }
            TokenRefusal::Away(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a partner's token cannot be made now"
                );
                Refusal {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    error: "temporarily_unavailable",
                    description: "clients cannot be checked now",
                    header: Some((RETRY_AFTER, HeaderValue::from_static("1"))),
                }
            }
        })
    }
}

/// The route.
pub(super) fn router<S: Clone + Send + Sync + 'static>(endpoint: Arc<TokenEndpoint>) -> Router<S> {
    Router::new().route("/oauth/token", post(handle).with_state(endpoint))
}

async fn handle(Extract(endpoint): Extract<Arc<TokenEndpoint>>, request: Request) -> Response<Body> {
    let (status, body, header) = match endpoint.answer(request).await {
        Ok(PartnerToken { access_token, lifetime, scopes }) => (
            StatusCode::OK,
            json!({
                "access_token": access_token.expose_secret(),
                "token_type": "Bearer",
                "expires_in": lifetime.num_seconds(),
                "scope": scopes.to_string(),
            }),
            None,
        ),
        Err(Refusal { status, error, description, header }) => {
            (status, json!({ "error": error, "error_description": description }), header)
        }
    };
    let mut answer = Response::new(Body::from(body.to_string()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    if let Some((name, value)) = header {
        headers.insert(name, value);
    }
    answer
}

/// The fields of a form that count; others are read past.
#[derive(Default)]
struct Form {
    grant_type: Option<String>,
    client_id: Option<String>,
    secret: Option<SecretString>,
    scope: Option<String>,
}

impl Form {
    /// A field without a value counts as left out, and one that stands there twice is refused (RFC 6749, §3.2).
    fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(bytes).filter(|(_, value)| !value.is_empty()) {
            let value = value.into_owned();
            let is_repeated = match &*name {
                "grant_type" => form.grant_type.replace(value).is_some(),
                "client_id" => form.client_id.replace(value).is_some(),
                "client_secret" => form.secret.replace(value.into()).is_some(),
                "scope" => form.scope.replace(value).is_some(),
                _ => false,
            };
            if is_repeated {
                return Err(invalid("a parameter stands there twice"));
            }
        }
        Ok(form)
    }
}

/// Client id and secret of an `Authorization` header; both are form-encoded in it (RFC 6749, §2.3.1).
fn basic(headers: &HeaderMap) -> Option<(String, SecretString)> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (scheme, encoded) = values.next()?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || values.next().is_some() {
        return None;
    }
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((decoded(id), SecretString::from(decoded(secret))))
}

fn decoded(text: &str) -> String {
    // One name without a value is the whole text; what would separate pairs is put in as what it stands for.
    let escaped = text.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(escaped.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}

fn invalid(description: &'static str) -> Refusal {
    Refusal { status: StatusCode::BAD_REQUEST, error: "invalid_request", description, header: None }
}

fn unknown_client(is_basic: bool) -> Refusal {
    let challenge = HeaderValue::from_static("Basic realm=\"partners\", charset=\"UTF-8\"");
    Refusal {
        status: StatusCode::UNAUTHORIZED,
        error: "invalid_client",
        description: "the client is unknown, or this is none of its secrets",
        header: is_basic.then_some((WWW_AUTHENTICATE, challenge)),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_form_is_read_and_a_repeated_field_refused() {
        let form = Form::read(b"grant_type=client_credentials&scope=a%3Ab+c&client_id=&x=1&x=2").unwrap();
        assert_eq!(form.grant_type.as_deref(), Some("client_credentials"));
        assert_eq!((form.scope.as_deref(), form.client_id), (Some("a:b c"), None));
        assert_eq!(Form::read(b"scope=a&scope=a").err().unwrap().error, "invalid_request");
    }

    #[test]
    fn basic_credentials_are_form_encoded() {
        let of = |text: &str| {
            let value = format!("Basic {}", BASE64_STANDARD.encode(text));
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::try_from(value).unwrap())]);
            basic(&headers).map(|(id, secret)| (id, secret.expose_secret().to_owned()))
        };
        assert_eq!(of("pc_1:a%3Ab%2B=&"), Some(("pc_1".to_owned(), "a:b+=&".to_owned())));
        assert_eq!(of("pc_1:"), Some(("pc_1".to_owned(), String::new())));
        assert_eq!(of("pc_1"), None);
        let bearer = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer x"))]);
        assert!(basic(&bearer).is_none());
    }
}
