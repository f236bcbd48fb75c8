//! Errors as clients see them: a stable code, a safe sentence, a retryable flag.

use async_graphql::{Response, ServerError, Value};

use crate::error::Error;

/// The code of a document that does not fit the schema.
const VALIDATION_FAILED: &str = "GRAPHQL_VALIDATION_FAILED";

/// Gives every error of an answer its code, and replaces the sentence of whatever is not meant for a
/// client. A failure is logged here, once.
pub fn mask(response: &mut Response) {
    for error in &mut response.errors {
        match error.source::<Error>().cloned() {
            Some(cause) => describe(error, &cause),
            // The engine's own errors carry no path while it reads the document, and name only what
            // the client itself wrote.
            None if error.path.is_empty() => set(error, "code", VALIDATION_FAILED),
            // Arguments of the wrong form are found while a field runs. The engine repeats them, and they may be secrets.
            None => {
                if let Some((expected, _)) = error.message.split_once(", found ") {
                    error.message = format!("{expected}.");
                }
                set(error, "code", "BAD_USER_INPUT");
                set(error, "retryable", false);
            }
        }
    }
}

/// The first field that the asker may not read or do, as its path.
pub fn refused_path(response: &Response) -> Option<String> {
    let is_refused = |error: &&ServerError| matches!(error.source::<Error>(), Some(Error::Forbidden));
    response.errors.iter().find(is_refused).map(path_of)
}

/// An answer that says only what was wrong with the request.
pub fn refuse(cause: &Error) -> Response {
    let mut error = ServerError::new(cause.to_string(), None);
    describe(&mut error, cause);
    Response::from_errors(vec![error])
}

fn describe(error: &mut ServerError, cause: &Error) {
    error.message = cause.to_string();
    set(error, "code", cause.code());
    set(error, "retryable", cause.is_retryable());
    if let Some(service) = cause.service() {
        set(error, "service", service.as_str());
    }
    if let Error::BadInput { argument, .. } = cause {
        set(error, "argument", *argument);
    }
    if let Error::RateLimited { retry_after, .. } = cause {
        set(error, "retryAfterMs", i64::try_from(retry_after.as_millis()).unwrap_or(i64::MAX));
    }
    let path = path_of(error);
    match cause {
        Error::Internal(source) => {
            tracing::error!(path, source = source as &dyn std::error::Error, "a field failed on our side");
        }
        Error::StoreAway(source) => tracing::warn!(
            path,
            source = source as &dyn std::error::Error,
            "a field failed since the database does not answer"
        ),
        Error::Unavailable { service, source } | Error::Uncertain { service, source } => tracing::warn!(
            path,
            service = service.as_str(),
            source = source as &dyn std::error::Error,
            "a field failed upstream"
        ),
        _ => tracing::debug!(path, code = cause.code(), "a field was refused"),
    }
}

fn path_of(error: &ServerError) -> String {
    error.path.iter().map(segment).collect::<Vec<_>>().join(".")
}

fn segment(segment: &async_graphql::PathSegment) -> String {
    match segment {
        async_graphql::PathSegment::Field(name) => name.clone(),
        async_graphql::PathSegment::Index(index) => index.to_string(),
    }
}

fn set(error: &mut ServerError, name: &str, value: impl Into<Value>) {
    error.extensions.get_or_insert_default().set(name, value);
}
