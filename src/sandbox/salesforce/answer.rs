//! What a resource answers.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use serde_json::Value;

use crate::sandbox::salesforce::{node::Node, refusal::Refusal};

/// An answer, over HTTP or inside a composite.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers beside the usual.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub content: Content,
}

/// The body of an answer.
#[derive(Clone, Debug)]
pub enum Content {
    /// None.
    None,
    /// JSON.
    Json(Node),
    /// Bytes of a media type.
    Bytes(Bytes, String),
}

impl Answer {
    /// 200 with JSON.
    pub fn ok(node: Node) -> Self {
        Self::json(200, node)
    }

    /// A status with JSON.
    pub fn json(status: u16, node: Node) -> Self {
        Self { status, headers: Vec::new(), content: Content::Json(node) }
    }

    /// A status without a body.
    pub fn bare(status: u16) -> Self {
        Self { status, headers: Vec::new(), content: Content::None }
    }

    /// The same with a header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Whether the work was done.
    pub fn is_success(&self) -> bool {
        self.status < 300
    }

    /// The body's JSON; null when there is none.
    pub fn node(&self) -> Node {
        match &self.content {
            Content::Json(node) => node.clone(),
            _ => Node::Value(Value::Null),
        }
    }

    /// As HTTP. `is_indented`: the caller asked for `X-PrettyPrint`.
    pub fn into_response(self, is_indented: bool) -> Response {
        let (body, media) = match self.content {
            Content::None => (Body::empty(), None),
            Content::Json(node) => {
                let text =
                    if is_indented { serde_json::to_vec_pretty(&node) } else { serde_json::to_vec(&node) };
                (Body::from(text.unwrap_or_default()), Some("application/json;charset=UTF-8".to_owned()))
            }
            Content::Bytes(bytes, media) => (Body::from(bytes), Some(media)),
        };
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if let Some(media) = media.and_then(|media| HeaderValue::from_str(&media).ok()) {
            headers.insert(header::CONTENT_TYPE, media);
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::json(refusal.status, Node::List(vec![refusal.to_node()]))
    }
}

impl From<Result<Self, Refusal>> for Answer {
    fn from(result: Result<Self, Refusal>) -> Self {
        result.unwrap_or_else(Self::from)
    }
}
