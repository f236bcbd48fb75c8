//! A request, as the resources see it: over HTTP or inside a composite.

use axum::http::HeaderMap;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::sandbox::salesforce::refusal::Refusal;

/// A request to a resource.
#[derive(Clone, Debug)]
pub struct Call {
    /// `GET`, `POST`, …
    pub method: String,
    /// API version.
    pub version: u32,
    /// What follows `/services/data/vNN.0/`: split on `/` first and percent-decoded then, so that `%2F` stays in a value.
    pub path: Vec<String>,
    /// Query string, decoded as a form.
    pub query: Vec<(String, String)>,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Body,
}

/// The body of a request.
#[derive(Clone, Debug)]
pub enum Body {
    /// None.
    Empty,
    /// JSON.
    Json(Value),
    /// What should have been JSON: the vendor's message.
    NotJson(String),
    /// The fields of a record, and the bytes of one of them.
    Multipart(Value, Option<(String, Bytes)>),
    /// Another media type.
    Other,
}

/// What a path under `/services/data` addresses.
pub struct Target {
    /// API version.
    pub version: u32,
    /// The rest of the path.
    pub path: Vec<String>,
    /// Query string, decoded.
    pub query: Vec<(String, String)>,
}

/// Reads `/services/data/vNN.0/…?…`; `None` for another path.
pub fn target(uri: &str) -> Option<Target> {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let rest = path.strip_prefix("/services/data/v")?;
    let (version, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let version = version.strip_suffix(".0").unwrap_or(version).parse().ok()?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let path = if rest.is_empty() { Vec::new() } else { rest.split('/').map(decode).collect() };
    let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    Some(Target { version, path, query })
}

fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

impl Call {
    /// The path's segments.
    pub fn segments(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// A parameter of the query string.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// No JSON, or another media type.
    pub fn json(&self) -> Result<&Value, Refusal> {
        match &self.body {
            Body::Json(value) | Body::Multipart(value, _) => Ok(value),
            Body::NotJson(message) => Err(Refusal::new("JSON_PARSER_ERROR", message.clone())),
            Body::Empty => {
                Err(Refusal::new("JSON_PARSER_ERROR", "No content to map to Object due to end of input"))
            }
            Body::Other => Err(Refusal::new(
                "UNSUPPORTED_MEDIA_TYPE",
                "HTTP Media Type is not supported. Expected application/json",
            )),
        }
    }

    /// The body as a JSON object.
    ///
    /// # Errors
    /// As [`Call::json`], and for other JSON.
    pub fn object(&self) -> Result<&Map<String, Value>, Refusal> {
        self.json()?.as_object().ok_or_else(|| {
            Refusal::new(
                "JSON_PARSER_ERROR",
                "Can not deserialize SObject out of a value that is no object at [line:1, column:1]",
            )
        })
    }
}
