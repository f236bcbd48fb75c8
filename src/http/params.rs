//! Reads what a request asks: from a body of JSON or from the address of a GET.

use std::borrow::Cow;

use async_graphql::Variables;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{error::Category, value::RawValue};

use crate::http::{answer::Fault, guard::Guard};

/// A request of GraphQL over HTTP. Its `extensions` are read past: we know none.
#[derive(Debug)]
pub(super) struct Params<'a> {
    pub query: Cow<'a, str>,
    pub operation_name: Option<Cow<'a, str>>,
    pub variables: Variables,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow)]
    query: Option<Cow<'a, str>>,
    #[serde(borrow)]
    operation_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    variables: Option<&'a RawValue>,
    #[serde(borrow)]
    extensions: Option<&'a RawValue>,
}

/// A body may be `application/json` in UTF-8 and nothing else, which no form of a web page can send.
pub(super) fn check_media(headers: &HeaderMap) -> Result<(), Fault> {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = text.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.filter_map(|part| part.split_once('=')).all(|(name, value)| {
        !name.trim().eq_ignore_ascii_case("charset")
            || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    if is_json && is_utf8 && !headers.contains_key(header::CONTENT_ENCODING) {
        return Ok(());
    }
    let message = "send application/json in UTF-8, not encoded";
    Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message))
}

impl<'a> Params<'a> {
    pub(super) fn from_body(body: &'a [u8], guard: &Guard) -> Result<Self, Fault> {
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => {}
            Some(b'[') => return Err(bad("BATCH_REFUSED", "send one operation a request")),
            _ => return Err(bad("BAD_REQUEST", "the body is no JSON object")),
        }
        let body: Body<'_> = serde_json::from_slice(body).map_err(|error| match error.classify() {
            Category::Data => wrong_type(),
            _ => bad("BAD_REQUEST", "the body is no JSON"),
        })?;
        Self::new(body.query, body.operation_name, body.variables, body.extensions, guard)
    }

    pub(super) fn from_address(query_string: &'a str, guard: &Guard) -> Result<Self, Fault> {
        let (mut query, mut operation_name) = (None, None);
        let (mut variables, mut extensions) = (None, None);
        for (name, value) in url::form_urlencoded::parse(query_string.as_bytes()) {
            let (seen, value) = match name.as_ref() {
                "query" => (&mut query, value),
                "operationName" => (&mut operation_name, value),
                "variables" => (&mut variables, value),
                "extensions" => (&mut extensions, value),
                _ => continue,
            };
            if seen.replace(value).is_some() {
                return Err(bad("BAD_REQUEST", "a parameter is given twice"));
            }
        }
        let variables = variables.as_deref().filter(|text| !text.is_empty());
        let extensions = extensions.as_deref().filter(|text| !text.is_empty());
        Self::new(query, operation_name, raw(variables, guard)?, raw(extensions, guard)?, guard)
    }

    fn new(
        query: Option<Cow<'a, str>>,
        operation_name: Option<Cow<'a, str>>,
        variables: Option<&RawValue>,
        extensions: Option<&RawValue>,
        guard: &Guard,
    ) -> Result<Self, Fault> {
        if extensions.is_some_and(|raw| !raw.get().starts_with('{')) {
            return Err(wrong_type());
        }
        let query = query.ok_or_else(|| bad("BAD_REQUEST", "query is missing"))?;
        let variables = match variables {
            None => Variables::default(),
            Some(raw) if raw.get().starts_with('{') => {
                guard.admit_variables(raw.get())?;
                serde_json::from_str(raw.get()).map_err(|_| wrong_type())?
            }
            Some(_) => return Err(wrong_type()),
        };
        Ok(Self { query, operation_name, variables })
    }
}

/// JSON within an address. Its depth is bounded before it is read.
fn raw<'a>(text: Option<&'a str>, guard: &Guard) -> Result<Option<&'a RawValue>, Fault> {
    let Some(text) = text else { return Ok(None) };
    guard.admit_variables(text)?;
    serde_json::from_str(text).map_err(|_| bad("BAD_REQUEST", "variables or extensions are no JSON"))
}

fn bad(code: &'static str, message: &'static str) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, code, message)
}

fn wrong_type() -> Fault {
    bad("BAD_REQUEST", "query and operationName are strings; variables and extensions are objects")
}
