//! A client of graphql-transport-ws that says exactly what it is told to.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::gateway::{Customer, Gateway};

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open socket.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Opens a socket with our protocol.
    pub async fn open(gateway: &Gateway) -> Self {
        Self::with(gateway, &[("sec-websocket-protocol", "graphql-transport-ws")]).await.unwrap()
    }

    /// Opens a socket with these headers, or gives the status that refused it.
    pub async fn with(gateway: &Gateway, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        Self::at(&gateway.url, headers).await
    }

    /// The same at the address of any gateway.
    pub async fn at(url: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let mut request = url.replace("http://", "ws://").into_client_request().unwrap();
        *request.uri_mut() = format!("{}/graphql", url.replace("http://", "ws://")).parse().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_str(value).unwrap());
        }
        let socket = TcpSocket::new_v4().unwrap();
        // Little room for what is not read.
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        let address = url.strip_prefix("http://").unwrap().parse().unwrap();
        let stream = MaybeTlsStream::Plain(socket.connect(address).await.unwrap());
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            // A server need not echo a protocol, and this client insists on it.
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens a socket and begins it as a customer.
    pub async fn of(gateway: &Gateway, customer: &Customer<'_>) -> Self {
        let mut socket = Self::open(gateway).await;
        socket.init(customer).await;
        assert_eq!(socket.hear().await, json!({ "type": "connection_ack" }));
        socket
    }

    /// Says `connection_init` as a customer.
    pub async fn init(&mut self, customer: &Customer<'_>) {
        let authorization = format!("Bearer {}", customer.token.as_ref().unwrap());
        self.say(json!({ "type": "connection_init", "payload": { "authorization": authorization } })).await;
    }

    pub async fn say(&mut self, message: Value) {
        self.send(Message::text(message.to_string())).await;
    }

    pub async fn send(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    /// Begins an operation.
    pub async fn subscribe(&mut self, id: &str, query: &str) {
        self.subscribe_with(id, query, json!({})).await;
    }

    pub async fn subscribe_with(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.say(json!({ "id": id, "type": "subscribe", "payload": payload })).await;
    }

    /// Asks for a sign of life and waits for it: whatever was said before has been heard then.
    pub async fn settle(&mut self) {
        self.say(json!({ "type": "ping", "payload": { "settle": true } })).await;
        let pong = self.hear().await;
        assert_eq!(pong, json!({ "type": "pong", "payload": { "settle": true } }));
    }

    /// The next message.
    pub async fn hear(&mut self) -> Value {
        loop {
            let message = timeout(PATIENCE, self.0.next()).await.expect("silence").expect("the end").unwrap();
            match message {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Whether a message comes before the end.
    pub async fn hear_or_end(&mut self) -> bool {
        matches!(self.0.next().await, Some(Ok(Message::Text(_))))
    }

    /// The next message, which is an update of an operation: its data.
    pub async fn update(&mut self, id: &str) -> Value {
        let message = self.hear().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("next"), &json!(id)), "{message}");
        assert!(message["payload"]["errors"].is_null(), "{message}");
        message["payload"]["data"].clone()
    }

    /// The code and the reason with which it is closed, whatever is said before.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("it stays open") {
                Some(Ok(Message::Close(Some(frame)))) => {
                    return (frame.code.into(), frame.reason.to_string());
                }
                Some(Ok(Message::Close(None)) | Err(_)) | None => return (1006, String::new()),
                Some(Ok(_)) => {}
            }
        }
    }
}
