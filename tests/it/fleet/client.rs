//! A connection that is kept: the cheapest way to ask very often.

use std::net::SocketAddr;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use portal_gateway::clock::Clock;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// A question as it goes over the wire.
#[derive(Clone, Debug)]
pub struct Question {
    token: String,
    body: Bytes,
}

impl Question {
    /// A document with its variables, asked by whoever holds the token.
    pub fn new(token: &str, query: &str, variables: Value) -> Self {
        let body = json!({ "query": query, "variables": variables }).to_string();
        Self { token: format!("Bearer {token}"), body: body.into() }
    }
}

/// One kept connection to one replica.
pub struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    clock: Clock,
}

/// What came back, and when it was asked.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub began: DateTime<Utc>,
    pub ended: DateTime<Utc>,
}

impl Answer {
    /// Whether it is a whole answer without errors.
    pub fn is_good(&self) -> bool {
        self.status == 200 && self.body["errors"].is_null() && self.body["data"].is_object()
    }

    /// The data of an answer without errors.
    pub fn data(&self) -> &Value {
        assert!(self.is_good(), "{}: {}", self.status, self.body);
        &self.body["data"]
    }
}

impl Connection {
    /// Connects to a replica.
    pub async fn open(address: SocketAddr, clock: &Clock) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, clock: clock.clone() }
    }

    /// Asks, and waits for the whole answer.
    pub async fn ask(&mut self, question: &Question) -> Answer {
        let request = Request::post("/graphql")
            .header(header::HOST, "replica")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, &question.token)
            .body(Full::new(question.body.clone()))
            .unwrap();
        self.sender.ready().await.unwrap();
        let began = self.clock.now();
        let response = self.sender.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let ended = self.clock.now();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes).into_owned()));
        Answer { status, body, began, ended }
    }
}
