//! HTTP in front of the resources: reading, signing in, counting, faults, headers.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, Multipart, Request, State},
    http::{HeaderMap, header},
    response::Response,
};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::sandbox::{
    core::{FaultKind, System},
    salesforce::{
        answer::Answer,
        call::{self, Body, Call, Target},
        node::Node,
        oauth::{
            identity,
            session::Session,
            token::{self, Denial},
        },
        operation,
        org::Org,
        pubsub::capture::Origin,
        refusal::Refusal,
        rest::{Desk, Held, versions},
        settings::Settings,
    },
};

/// Bytes that a body may have: a file of 37.5 MB in base64, and what is around it.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

/// Bytes that a URI may have.
const LONGEST_URI: usize = 16_384;

/// Answers every request.
pub async fn serve(State(org): State<Arc<Org>>, request: Request) -> Response {
    let uri = request.uri().path_and_query().map_or("/", |uri| uri.as_str()).to_owned();
    if uri.len() > LONGEST_URI {
        return Answer::from(Refusal::new("URI_TOO_LONG", "URI exceeds 16384 bytes")).into_response(false);
    }
    let path = uri.split('?').next().unwrap_or_default().trim_end_matches('/').to_owned();
    if path == "/services/data" {
        let fault = org.core.enter(System::Salesforce, "versions", json!({})).await;
        return match fault {
            None => versions::versions().into_response(false),
            Some(fault) => acted_out(&org, fault.kind, None).await,
        };
    }
    if path == "/control" {
        return control(&org, request).await.into_response(true);
    }
    if path.starts_with("/services/oauth2/") || path.starts_with("/id/") {
        return oauth(org, &path, request).await;
    }
    match call::target(&uri) {
        Some(target) => rest(org, target, request).await,
        None => Answer::from(Refusal::not_found()).into_response(false),
    }
}

/// A resource under `/services/data/vNN.0/`.
async fn rest(org: Arc<Org>, target: Target, request: Request) -> Response {
    let headers = request.headers().clone();
    let is_indented = headers.get("x-prettyprint").is_some_and(|value| value != "0" && value != "false");
    let mut method = request.method().as_str().to_owned();
    let wanted = headers.get("x-http-method-override").and_then(|value| value.to_str().ok());
    let wanted =
        wanted.or(target.query.iter().find(|(key, _)| key == "_HttpMethod").map(|(_, value)| value.as_str()));
    if let Some(wanted) = wanted.filter(|_| method == "POST") {
        method = wanted.to_ascii_uppercase();
    }
    let body = read(request).await;
    let call =
        Call { method, version: target.version, path: target.path, query: target.query, headers, body };
    let (operation, detail) = operation::of(&call);
    let token = bearer(&call.headers).map(str::to_owned);
    let fault = org.core.enter(System::Salesforce, operation, detail).await;
    let (fault, is_applied) = fault.map_or((None, false), |fault| (Some(fault.kind), fault.applied));
    if let (Some(kind), false) = (&fault, is_applied) {
        return acted_out(&org, kind.clone(), token.as_deref()).await;
    }
    let work = tokio::task::spawn_blocking({
        let (org, token) = (Arc::clone(&org), token.clone());
        move || authorised(&org, &call, token.as_deref())
    });
    let answer = work.await.unwrap_or_else(|_| {
        Refusal::new("UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId: 0")
            .into()
    });
    if let Some(kind) = fault {
        return acted_out(&org, kind, token.as_deref()).await;
    }
    limited(&org, answer).into_response(is_indented)
}

/// Checks the token and the daily limit, then answers.
fn authorised(org: &Org, call: &Call, token: Option<&str>) -> Answer {
    let now = org.core.clock.now();
    let session = match session(org, &call.headers, token) {
        Ok(session) => session,
        Err(refusal) => return refusal.into(),
    };
    {
        let mut usage = org.usage();
        if usage.used(now) >= org.settings().daily_limit {
            return Refusal::new("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.").into();
        }
        usage.count(now);
    }
    if let Err(refusal) = versions::check(call.version) {
        return refusal.into();
    }
    let held = if operation::writes(call) { Held::Write(org.write()) } else { Held::Read(org.read()) };
    let origin = Origin::rest(&session.user, call.version, client(call));
    let mut desk = Desk { org, held, now, origin };
    let answer = desk.answer(call);
    desk.commit();
    answer
}

/// `client=` of `Sforce-Call-Options`.
fn client(call: &Call) -> Option<&str> {
    let mut options = call.header("sforce-call-options")?.split(',');
    options.find_map(|option| option.trim().strip_prefix("client="))
}

fn session(org: &Org, headers: &HeaderMap, token: Option<&str>) -> Result<Session, Refusal> {
    let refused = || Refusal::new("INVALID_SESSION_ID", "Session expired or invalid");
    let Some(token) = token else {
        return Err(if headers.contains_key(header::AUTHORIZATION) {
            Refusal::new("INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")
        } else {
            refused()
        });
    };
    let (now, lifetime) = (org.core.clock.now(), org.lifetime());
    org.sessions().enter(token, now, lifetime).ok_or_else(refused)
}

/// `Authorization: Bearer` and, from older callers, `OAuth`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("oauth")).then(|| token.trim())
}

/// The answer with the header that tells the use of the day.
fn limited(org: &Org, answer: Answer) -> Answer {
    let used = org.usage().used(org.core.clock.now());
    answer.with("sforce-limit-info", format!("api-usage={used}/{}", org.settings().daily_limit))
}

/// Acts out a fault as Salesforce would.
async fn acted_out(org: &Org, kind: FaultKind, token: Option<&str>) -> Response {
    match kind {
        FaultKind::Business { code, message } => {
            limited(org, Refusal::new(code, message).into()).into_response(false)
        }
        FaultKind::Expire => {
            // The token that was shown stays refused; a new sign-in is good again.
            if let Some(token) = token {
                org.sessions().revoke(token);
            }
            let refusal = Refusal::new("INVALID_SESSION_ID", "Session expired or invalid");
            limited(org, refusal.into()).into_response(false)
        }
        other => other.act_out().await,
    }
}

/// `/services/oauth2/…` and `/id/…`.
async fn oauth(org: Arc<Org>, path: &str, request: Request) -> Response {
    let headers = request.headers().clone();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let method = request.method().clone();
    let body = axum::body::to_bytes(request.into_body(), LARGEST_BODY).await.unwrap_or_default();
    let mut form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    form.extend(url::form_urlencoded::parse(query.as_bytes()).into_owned());
    let name = path.strip_prefix("/services/oauth2/").unwrap_or("identity");
    let grant =
        form.iter().find(|(key, _)| key == "grant_type").map(|(_, value)| value.as_str()).unwrap_or_default();
    let detail = if name == "token" { json!({"grant_type": grant}) } else { json!({}) };
    let fault = org.core.enter(System::Salesforce, name, detail).await;
    let work = || {
        let shown = form
            .iter()
            .find(|(key, _)| key == "oauth_token" || key == "access_token")
            .map(|(_, value)| value.as_str());
        match (name, method.as_str()) {
            ("token", "POST") => token::token(&org, &headers, &form).unwrap_or_else(Answer::from),
            ("revoke", _) => token::revoke(&org, &form),
            ("introspect", "POST") => token::introspect(&org, &form),
            ("userinfo", _) => Answer::from(
                session(&org, &headers, bearer(&headers).or(shown))
                    .and_then(|session| identity::identity(&org, &session.user)),
            ),
            ("identity", _) => {
                Answer::from(session(&org, &headers, bearer(&headers).or(shown)).and_then(|_| {
                    let user = path.rsplit('/').next().unwrap_or_default();
                    identity::identity(&org, user)
                }))
            }
            _ => Refusal::not_found().into(),
        }
    };
    match fault {
        None => work().into_response(false),
        Some(fault) => {
            if fault.applied {
                work();
            }
            match fault.kind {
                FaultKind::Business { code, message } if name == "token" => {
                    Answer::from(Denial::new(&code, &message)).into_response(false)
                }
                FaultKind::Expire if name == "token" => {
                    Answer::from(Denial::grant("expired authorization code")).into_response(false)
                }
                kind => acted_out(&org, kind, bearer(&headers)).await,
            }
        }
    }
}

/// The knobs: `GET` shows them, `PATCH` turns some, `DELETE` turns all back.
async fn control(org: &Org, request: Request) -> Answer {
    let method = request.method().clone();
    let body = axum::body::to_bytes(request.into_body(), LARGEST_BODY).await.unwrap_or_default();
    let mut settings = json!(org.settings());
    match method.as_str() {
        "DELETE" => settings = json!(Settings::default()),
        "PATCH" => {
            let changes: Value = serde_json::from_slice(&body).unwrap_or_default();
            for (key, value) in changes.as_object().into_iter().flatten() {
                settings[key.as_str()] = value.clone();
            }
        }
        _ => {}
    }
    match serde_json::from_value::<Settings>(settings) {
        Ok(settings) => {
            let shown = json!(settings);
            org.set(settings);
            Answer::ok(Node::Value(shown))
        }
        Err(error) => Answer::json(400, Node::Value(json!({"error": error.to_string()}))),
    }
}

async fn read(request: Request) -> Body {
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = media.unwrap_or_default().trim().to_ascii_lowercase();
    if media.starts_with("multipart/form-data") {
        return multipart(request).await.unwrap_or(Body::Other);
    }
    let Ok(bytes) = axum::body::to_bytes(request.into_body(), LARGEST_BODY).await else { return Body::Other };
    if bytes.is_empty() {
        return Body::Empty;
    }
    if !media.starts_with("application/json") {
        return Body::Other;
    }
    match serde_json::from_slice(&bytes) {
        Ok(value) => Body::Json(value),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            Body::NotJson(format!("Unexpected character at [line:{line}, column:{column}]"))
        }
    }
}

/// The JSON part is known by its media type, or as the only one without a file name; the other one is the blob, named
/// as its field. The order is free.
async fn multipart(request: Request) -> Option<Body> {
    let mut parts = Multipart::from_request(request, &()).await.ok()?;
    let (mut record, mut blob): (Option<Value>, Option<(String, Bytes)>) = (None, None);
    while let Some(part) = parts.next_field().await.ok()? {
        let is_json = part.content_type().is_some_and(|media| media.starts_with("application/json"));
        let has_file = part.file_name().is_some();
        let name = part.name().unwrap_or_default().to_owned();
        let bytes = part.bytes().await.ok()?;
        let is_record =
            record.is_none() && !has_file && (is_json || serde_json::from_slice::<Value>(&bytes).is_ok());
        if is_record {
            record = serde_json::from_slice(&bytes).ok();
        } else {
            blob = Some((name, bytes));
        }
    }
    Some(Body::Multipart(record?, blob))
}
