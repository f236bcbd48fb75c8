//! Answers as bytes: of the engine, and of a request that never reached it.

use std::borrow::Cow;

use async_graphql::{ErrorExtensionValues, Response as Executed, ServerError, Value};
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, header::CONTENT_TYPE},
};
use serde::Serialize;

use crate::http::{RequestId, accept::Media, guard::Refusal};

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
    bytes(status, media, &Refused { errors: &[error], extensions: Extensions { request_id: id.as_str() } })
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

/// The answer of the engine.
pub(super) fn executed(mut executed: Executed, media: Media, id: &RequestId) -> Response<Body> {
    if !was_refused(&mut executed) {
        executed.extensions.insert("requestId".to_owned(), Value::from(id.as_str()));
        let mut answer = bytes(StatusCode::OK, media, &executed);
        answer.headers_mut().extend(executed.http_headers);
        return answer;
    }
    let status = match media {
        Media::Json => StatusCode::OK,
        Media::Graphql => StatusCode::BAD_REQUEST,
    };
    bytes(
        status,
        media,
        &Refused { errors: &executed.errors, extensions: Extensions { request_id: id.as_str() } },
    )
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
