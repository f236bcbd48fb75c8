//! Which web pages may use us: cross-origin reads (CORS), and requests that carry a browser's cookies.

use axum::http::{
    HeaderMap, HeaderValue,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
    },
};

/// The exact origins (`https://portal.example.jp`) of the pages that may use us. Our own pages need
/// no entry where the browser sends `Sec-Fetch-Site`.
#[derive(Clone, Debug, Default)]
pub struct Origins(Vec<String>);

impl Origins {
    /// Compared byte by byte; `null` is never allowed.
    pub fn new(allowed: impl IntoIterator<Item = String>) -> Self {
        Self(allowed.into_iter().filter(|origin| origin != "null").collect())
    }

    /// The request's origin, when it is on the list.
    pub(super) fn allowed<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        self.0.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then_some(origin)
    }

    /// Whether a request that a browser's cookies vouch for was meant by its user: it has a header that
    /// a form or an image cannot send, and comes from our own page or from one on the list.
    pub(super) fn proves_intent(&self, headers: &HeaderMap) -> bool {
        let has_custom_header =
            headers.contains_key("x-portal-csrf") || headers.contains_key("graphql-preflight");
        has_custom_header && self.admits_page(headers)
    }

    /// Whether a request comes from our own page or from one on the list.
    pub(super) fn admits_page(&self, headers: &HeaderMap) -> bool {
        let is_own_page = headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin");
        is_own_page || self.allowed(headers).is_some()
    }

    /// Lets the page read the answer, when its origin is on the list. Never a wildcard.
    pub(super) fn grant(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        answer.append(VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = self.allowed(request) {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            answer
                .insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("x-request-id, retry-after"));
        }
    }

    /// Answers a browser's question before a cross-origin request.
    pub(super) fn preflight(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        self.grant(request, answer);
        if answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            let headers =
                "authorization, content-type, graphql-preflight, x-explain, x-portal-csrf, x-request-id";
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(headers));
            answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
    }
}
