//! Requests with headers of one's own, and answers with theirs.

use reqwest::{RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};

use crate::gateway::Gateway;

/// An answer, read whole.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    pub async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of the first error; empty without one.
    pub fn code(&self) -> String {
        self.json()["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Every `Set-Cookie`.
    pub fn cookies(&self) -> Vec<&str> {
        self.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect()
    }
}

/// Posts a body of JSON, unless `content-type` is among the headers.
pub async fn post(gateway: &Gateway, headers: &[(&str, &str)], body: impl Into<String>) -> Reply {
    let mut request = gateway.request("POST", "/graphql").body(body.into());
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Reply::to(request).await
}

/// Posts a document.
pub async fn ask(gateway: &Gateway, headers: &[(&str, &str)], query: &str, variables: Value) -> Reply {
    post(gateway, headers, json!({ "query": query, "variables": variables }).to_string()).await
}

/// Sends a document in the address of a GET.
pub async fn get(gateway: &Gateway, headers: &[(&str, &str)], query: &str) -> Reply {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
    let mut request = gateway.request("GET", &format!("/graphql?{query}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Reply::to(request).await
}
