//! Answers as bytes: of the engine, and of a request that never reached it.

use std::{borrow::Cow, collections::BTreeMap};

use async_graphql::{ErrorExtensionValues, Response as Executed, ServerError, Value};
use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, RETRY_AFTER, VARY},
    },
};
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    freshness::Origin,
    http::{RequestId, accept::Media, finished, guard::Refusal},
};

/// The most errors of a refused document.
const ERRORS: usize = 10;
/// The most bytes of the message of one of them; together they stay below 4 KiB.
const MESSAGE: usize = 240;
/// The most places that one of them points to.
const PLACES: usize = 3;

/// Why a request is not executed.
#[derive(Debug)]
pub(super) struct Fault {
    /// `None` when the request is well-formed and its document is at fault: then the media type decides.
    status: Option<StatusCode>,
    pub code: &'static str,
    message: Cow<'static, str>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Fault {
    pub(super) const fn new(status: StatusCode, code: &'static str, message: &'static str) -> Self {
        Self { status: Some(status), code, message: Cow::Borrowed(message), header: None }
    }

    /// A request that is well-formed and not executed, as a document that is at fault.
    pub(super) const fn refusal(code: &'static str, message: &'static str) -> Self {
        Self { status: None, code, message: Cow::Borrowed(message), header: None }
    }

    /// Whether the request is well-formed, so that its connection may stay open.
    pub(super) const fn is_of_the_document(&self) -> bool {
        self.status.is_none()
    }

    /// The list of errors as JSON, for a connection that stays open.
    pub(super) fn errors(&self) -> String {
        errors(self.code, &self.message)
    }

    /// A client finds there what to do.
    pub(super) fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    pub(super) fn answer(self, media: Media, id: &RequestId) -> Response<Body> {
        let status = self.status.unwrap_or(match media {
            Media::Json => StatusCode::OK,
            Media::Graphql => StatusCode::BAD_REQUEST,
        });
        let mut answer = refused(status, media, self.code, &self.message, id);
        if let Some((name, value)) = self.header {
            answer.headers_mut().insert(name, value);
        }
        answer
    }
}

impl From<Refusal> for Fault {
    fn from(Refusal { code, message }: Refusal) -> Self {
        Self { status: None, code, message: message.into(), header: None }
    }
}

#[derive(Serialize)]
struct Refused<'a> {
    errors: &'a [ServerError],
    extensions: Extensions<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Extensions<'a> {
    #[serde(flatten)]
    others: Option<&'a BTreeMap<String, Value>>,
    request_id: &'a str,
}

/// One error and no data.
pub(super) fn refused(
    status: StatusCode,
    media: Media,
    code: &'static str,
    message: &str,
    id: &RequestId,
) -> Response<Body> {
    let mut error = ServerError::new(message, None);
    set_code(&mut error, code);
    bytes(
        status,
        media,
        &Refused { errors: &[error], extensions: Extensions { others: None, request_id: id.as_str() } },
    )
}

/// One error as a list of JSON.
pub(super) fn errors(code: &'static str, message: &str) -> String {
    let mut error = ServerError::new(message, None);
    set_code(&mut error, code);
    serde_json::to_string(&[error]).unwrap_or_default()
}

/// What a connection that stays open hears when an operation took too long.
pub(super) fn too_late() -> Executed {
    let mut error = ServerError::new("the request took too long", None);
    set_code(&mut error, "DEADLINE_EXCEEDED");
    Executed::from_errors(vec![error])
}

/// An answer of the engine as JSON; or, when nothing was executed, the list of its errors.
pub(super) fn message(mut executed: Executed, id: &RequestId) -> Result<String, String> {
    if was_refused(&mut executed) {
        return Err(serde_json::to_string(&executed.errors).unwrap_or_default());
    }
    executed.extensions.insert("requestId".to_owned(), Value::from(id.as_str()));
    Ok(serde_json::to_string(&executed).unwrap_or_default())
}

/// Whether the document was refused before anything ran: then there are no data, and no error has a place in
/// them. The errors are cut to a bounded size then.
fn was_refused(executed: &mut Executed) -> bool {
    let was_refused = executed.data == Value::Null
        && !executed.errors.is_empty()
        && executed.errors.iter().all(|error| error.path.is_empty());
    if was_refused {
        executed.errors.truncate(ERRORS);
        for error in &mut executed.errors {
            shorten(&mut error.message);
            error.locations.truncate(PLACES);
            set_code(error, "GRAPHQL_VALIDATION_FAILED");
        }
    }
    was_refused
}

/// An answer of the engine, written.
pub(super) struct Written {
    pub answer: Response<Body>,
    /// Its data, when something was executed and nothing failed: it may be sent again.
    pub data: Option<Bytes>,
}

/// Writes the answer of the engine. Without data and without a place in the data, its errors say that the
/// document was refused before anything ran. `seen` is where the data came from.
pub(super) fn executed(
    mut executed: Executed,
    seen: &[(String, Origin)],
    now: DateTime<Utc>,
    media: Media,
    id: &RequestId,
) -> Written {
    if was_refused(&mut executed) || was_turned_away(&mut executed) {
        return Written { answer: invalid(&executed, media, id), data: None };
    }
    let mut text = Vec::with_capacity(4096);
    // Values of the engine are always JSON.
    if executed.errors.is_empty() {
        text.extend_from_slice(br#"{"data":"#);
    } else {
        text.extend_from_slice(br#"{"errors":"#);
        let _ = serde_json::to_writer(&mut text, &executed.errors);
        text.extend_from_slice(br#","data":"#);
    }
    let _ = serde_json::to_writer(&mut text, &executed.data);
    let is_plain =
        executed.errors.is_empty() && executed.extensions.is_empty() && executed.http_headers.is_empty();
    let data = is_plain.then(|| Bytes::copy_from_slice(&text));
    text.extend(finished::head(seen.iter().map(|(path, origin)| (path.as_str(), *origin)), now));
    for (name, value) in &executed.extensions {
        let _ = serde_json::to_writer(&mut text, name);
        text.push(b':');
        let _ = serde_json::to_writer(&mut text, value);
        text.push(b',');
    }
    text.extend(finished::foot(id));
    let mut answer = whole(Body::from(text), media);
    answer.headers_mut().extend(executed.http_headers);
    Written { answer, data }
}

/// An answer of what was executed.
pub(super) fn whole(body: Body, media: Media) -> Response<Body> {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, media.header());
    answer
}

/// What a GET without errors tells of how it may be kept: what is public by anybody, who asks again each time; what is
/// personal by no cache, but a program may remember it with its tag (requirement P4).
pub(super) fn validated(
    mut answer: Response<Body>,
    tag: HeaderValue,
    request: &HeaderMap,
    is_personal: bool,
) -> Response<Body> {
    if finished::is_known(&tag, request) {
        answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = answer.headers_mut();
    let control = if is_personal { "private, no-store" } else { "no-cache" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(control));
    headers.append(VARY, HeaderValue::from_static("Accept, Authorization, Cookie, Portal-Customer"));
    headers.insert(ETAG, tag);
    answer
}

/// A request that was refused. One that only came too early is told so by the status, whatever the media type.
fn invalid(executed: &Executed, media: Media, id: &RequestId) -> Response<Body> {
    let wait = executed.errors.iter().filter_map(wait_of).max();
    let status = match (wait, media) {
        (Some(_), _) => StatusCode::TOO_MANY_REQUESTS,
        (None, Media::Json) => StatusCode::OK,
        (None, Media::Graphql) => StatusCode::BAD_REQUEST,
    };
    let extensions = Extensions { others: Some(&executed.extensions), request_id: id.as_str() };
    let mut answer = bytes(status, media, &Refused { errors: &executed.errors, extensions });
    if let Some(seconds) = wait.and_then(|seconds| HeaderValue::try_from(seconds.to_string()).ok()) {
        answer.headers_mut().insert(RETRY_AFTER, seconds);
    }
    answer
}

/// Whether all that was asked for met a limit of ours: then nothing was done, and the request is told to come back as one that
/// never ran (requirement A2).
fn was_turned_away(executed: &mut Executed) -> bool {
    let Value::Object(fields) = &executed.data else { return false };
    let is_ours = |error: &ServerError| {
        let service = error.extensions.as_ref().and_then(|extensions| extensions.get("service"));
        service.is_none() && wait_of(error).is_some()
    };
    let was_turned_away = !executed.errors.is_empty()
        && fields.values().all(|value| *value == Value::Null)
        && executed.errors.iter().all(is_ours);
    if was_turned_away {
        for error in &mut executed.errors {
            // There are no data in which it could have a place.
            error.path.clear();
        }
    }
    was_turned_away
}

/// After how many seconds a request that was refused for its rate may come again.
fn wait_of(error: &ServerError) -> Option<u64> {
    let extensions = error.extensions.as_ref()?;
    if extensions.get("code") != Some(&Value::from("RATE_LIMITED")) {
        return None;
    }
    match extensions.get("retryAfterMs") {
        Some(Value::Number(ms)) => Some(ms.as_u64()?.div_ceil(1000).max(1)),
        _ => None,
    }
}

fn set_code(error: &mut ServerError, code: &'static str) {
    let extensions = error.extensions.get_or_insert_with(ErrorExtensionValues::default);
    if extensions.get("code").is_none() {
        extensions.set("code", code);
    }
}

fn shorten(message: &mut String) {
    if message.len() > MESSAGE {
        message.truncate(message.floor_char_boundary(MESSAGE));
        message.push('…');
    }
}

fn bytes(status: StatusCode, media: Media, value: &impl Serialize) -> Response<Body> {
    // Values of the engine are always JSON; an empty body would be the sign of a bug there.
    let mut answer = Response::new(Body::from(serde_json::to_vec(value).unwrap_or_default()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, media.header());
    answer
}
