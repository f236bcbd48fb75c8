//! Real connections: ports, slow clients, and a stop under way.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_graphql::{Response, Value};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Network,
    http::{Door, Timeouts, bind, serve, tests::state},
};

const LIVE: &[u8] = b"GET /health/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
const QUERY: &[u8] = b"GET /graphql?query=%7Bhello%7D HTTP/1.1\r\nhost: x\r\n\r\n";

struct Server {
    address: SocketAddr,
    stopping: CancellationToken,
    ended: JoinHandle<()>,
    /// Tells that a query has arrived, and lets it go on.
    arrived: oneshot::Receiver<()>,
    proceed: oneshot::Sender<()>,
}

/// A server whose first query waits for the test.
async fn server(timeouts: Timeouts) -> Server {
    let (mut state, _) = state();
    let (arrive, arrived) = oneshot::channel();
    let (proceed, go_on) = oneshot::channel();
    let gate = Mutex::new(Some((arrive, go_on)));
    state.execute = Arc::new(move |_, _| {
        let gate = gate.lock().unwrap().take();
        Box::pin(async move {
            if let Some((arrive, go_on)) = gate {
                arrive.send(()).unwrap();
                let _ = go_on.await;
            }
            Response::new(Value::from("done")).into()
        })
    });
    state.body_within = Duration::from_millis(50);
    let stopping = state.stopping.clone();
    let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let ended = tokio::spawn(serve(listener, Door::new(Arc::new(state)), stopping.clone(), timeouts));
    Server { address, stopping, ended, arrived, proceed }
}

async fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut text = String::new();
    // A connection that is cut off is an answer too.
    let _ = stream.read_to_string(&mut text).await;
    text
}

#[tokio::test]
async fn an_accepted_request_finishes_while_the_server_stops() {
    let server = server(Timeouts { linger: Duration::from_secs(3600), ..Timeouts::default() }).await;
    assert!(ask(server.address, LIVE).await.starts_with("HTTP/1.1 200"));
    let asked = tokio::spawn(ask(server.address, QUERY));
    server.arrived.await.unwrap();
    server.stopping.cancel();
    // It lingers: still answering, but not ready.
    assert!(ask(server.address, LIVE).await.starts_with("HTTP/1.1 503"));
    server.proceed.send(()).unwrap();
    server.ended.abort();
    drop(asked);
}

#[tokio::test]
async fn a_stop_closes_the_port_waits_for_requests_and_ends() {
    let server = server(Timeouts::default()).await;
    let asked = tokio::spawn(ask(server.address, QUERY));
    server.arrived.await.unwrap();
    server.stopping.cancel();
    // The port is closed before the request ends.
    while TcpStream::connect(server.address).await.is_ok() {}
    assert!(!server.ended.is_finished());
    server.proceed.send(()).unwrap();
    assert!(asked.await.unwrap().contains("\"done\""));
    server.ended.await.unwrap();
}

#[tokio::test]
async fn what_outlives_the_grace_is_cut_off() {
    let server = server(Timeouts { grace: Duration::from_millis(20), ..Timeouts::default() }).await;
    let asked = tokio::spawn(ask(server.address, QUERY));
    server.arrived.await.unwrap();
    server.stopping.cancel();
    server.ended.await.unwrap();
    assert_eq!(asked.await.unwrap(), "");
    drop(server.proceed);
}

#[tokio::test]
async fn dripping_headers_and_bodies_are_closed_in_time() {
    let server = server(Timeouts { headers: Duration::from_millis(50), ..Timeouts::default() }).await;
    assert_eq!(ask(server.address, b"GET /health/live HTTP/1.1\r\nx-slow: ").await, "");
    let body =
        b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    let answer = ask(server.address, body).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_connection_may_rest_between_requests() {
    let headers = Duration::from_millis(80);
    let server = server(Timeouts { headers, ..Timeouts::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let live = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";
    for _ in 0..2 {
        stream.write_all(live).await.unwrap();
        let mut answer = vec![0; 1024];
        let length = stream.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
        // Longer than headers may take; nothing is under way meanwhile.
        tokio::time::sleep(headers * 3).await;
    }
    // But a second request that only begins is closed like a first one.
    stream.write_all(b"GET /heal").await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn one_address_has_only_so_many_connections() {
    let server = server(Timeouts { connections_per_address: 1, ..Timeouts::default() }).await;
    let first = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(ask(server.address, LIVE).await, "");
    drop(first);
    while ask(server.address, LIVE).await.is_empty() {}
}

#[tokio::test]
async fn our_proxies_have_as_many_connections_as_they_need() {
    let proxies = vec![Network::parse("127.0.0.0/8").unwrap()];
    let server = server(Timeouts { connections_per_address: 1, proxies, ..Timeouts::default() }).await;
    let _first = TcpStream::connect(server.address).await.unwrap();
    assert!(ask(server.address, LIVE).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_answer_that_goes_on_is_no_idle_connection() {
    let idle = Duration::from_millis(60);
    let answer = move || async move {
        axum::body::Body::from_stream(futures::stream::unfold(0, move |n| async move {
            tokio::time::sleep(idle).await;
            let piece = Ok::<_, std::convert::Infallible>(axum::body::Bytes::from_static(b"piece "));
            (n < 5).then_some((piece, n + 1))
        }))
    };
    let router = axum::Router::new().route("/", axum::routing::get(answer));
    let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let timeouts = Timeouts { idle, ..Timeouts::default() };
    tokio::spawn(serve(listener, router, CancellationToken::new(), timeouts));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // Then it is idle, and closed.
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text.matches("piece ").count(), 5, "{text}");
    assert!(text.ends_with("0\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn a_taken_port_is_one_readable_sentence() {
    let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let error = bind(address).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{address} is taken by another program: choose another port"));
}
