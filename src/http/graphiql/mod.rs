//! GraphiQL, whole in the binary: no network but ours.
//!
//! `bundle/` is what `npm run build` makes in `app/`, each file compressed, and is committed, so that
//! building the gateway needs no Node. The files go out as they are; a client that does not take
//! brotli, which browsers do not over plain HTTP from another machine, gets them unpacked.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Path, State as Extract},
    http::{
        HeaderMap, HeaderValue, Response, StatusCode,
        header::{
            ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
            IF_NONE_MATCH, LOCATION, REFERRER_POLICY, VARY,
        },
    },
    routing::get,
};
use rust_embed::{EmbeddedFile, RustEmbed};
use serde::Serialize;

#[derive(RustEmbed)]
#[folder = "src/http/graphiql/bundle"]
struct Bundle;

/// Everything comes from us; the editor writes its styles while it runs.
const POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; \
     style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the page offers beside the editor.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Graphiql {
    /// A tab each.
    pub examples: Vec<Example>,
    /// Customers to sign in as; `None` outside development.
    pub demo: Option<Demo>,
}

/// A document that runs as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct Example {
    /// What it shows.
    pub name: String,
    /// The document.
    pub query: String,
    /// Its variables, an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variables: Option<serde_json::Value>,
}

/// The demo customers of the sandbox. Their password is no secret: the page shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Demo {
    /// The first one is signed in when the page opens.
    pub customers: Vec<DemoCustomer>,
    /// The same for all.
    pub password: String,
    /// The token of the device that all of them trust, so that no code is asked for.
    #[serde(rename = "deviceToken")]
    pub device_token: String,
}

/// One of them.
#[derive(Clone, Debug, Serialize)]
pub struct DemoCustomer {
    /// To sign in with.
    pub email: String,
    /// As the page lists it.
    pub name: String,
}

/// The routes of the page.
pub(super) fn router<S: Clone + Send + Sync + 'static>(graphiql: Graphiql) -> Router<S> {
    let moved = || async { (StatusCode::PERMANENT_REDIRECT, [(LOCATION, "/graphiql/")]) };
    Router::new()
        .route("/graphiql", get(moved))
        .route("/graphiql/", get(|headers: HeaderMap| file("index.html".to_owned(), headers)))
        .route("/graphiql/examples.json", get(examples))
        .route("/graphiql/session.json", get(session))
        .route(
            "/graphiql/assets/{name}",
            get(|Path(name): Path<String>, headers: HeaderMap| {
                // A name, never a path.
                file(format!("assets/{}", name.replace(['/', '\\'], "")), headers)
            }),
        )
        .with_state(Arc::new(graphiql))
}

async fn examples(Extract(graphiql): Extract<Arc<Graphiql>>) -> axum::Json<Vec<Example>> {
    axum::Json(graphiql.examples.clone())
}

async fn session(Extract(graphiql): Extract<Arc<Graphiql>>) -> axum::Json<Option<Demo>> {
    axum::Json(graphiql.demo.clone())
}

async fn file(path: String, request: HeaderMap) -> Response<Body> {
    let Some(EmbeddedFile { data, metadata }) = Bundle::get(&format!("{path}.br")) else {
        let mut missing = Response::new(Body::from("there is no such file\n"));
        *missing.status_mut() = StatusCode::NOT_FOUND;
        return missing;
    };
    let takes_brotli = request
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| matches!(coding.trim().split(';').next(), Some("br" | "*")) && !coding.contains("q=0"));
    let hash: String = metadata.sha256_hash()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let etag = format!("\"{hash}{}\"", if takes_brotli { "-br" } else { "" });
    let is_known = request.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let mut answer = if is_known {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer
    } else if takes_brotli {
        let mut answer = Response::new(Body::from(data.into_owned()));
        answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
        answer
    } else {
        Response::new(Body::from(unpack(data.into_owned()).await))
    };
    let headers = answer.headers_mut();
    // The name of an asset changes with what is in it; the page itself is asked for again.
    let is_asset = path.starts_with("assets/");
    let lasts = if is_asset { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(lasts));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type(&path)));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(ETAG, etag);
    }
    answer
}

/// Takes some milliseconds, so not on a thread that serves others.
async fn unpack(packed: Vec<u8>) -> Vec<u8> {
    let unpack = move || {
        let mut plain = Vec::new();
        // The bytes are our own; a test unpacks them all.
        let _ = brotli::BrotliDecompress(&mut packed.as_slice(), &mut plain);
        plain
    };
    tokio::task::spawn_blocking(unpack).await.unwrap_or_default()
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("ttf") => "font/ttf",
        _ => "application/octet-stream",
    }
}
