//! Many open subscriptions: opens sockets, publishes changes to all of them, and reports what a socket costs and how long
//! a change takes to every reader.
//!
//! It publishes as another replica would, through the Redis of the gateway. All sockets belong to one user, so the
//! limits of a user and of this machine must be raised:
//!
//! ```text
//! ulimit -n 20000
//! redis-server --port 6399 --save '' &
//! REDIS_URL=redis://127.0.0.1:6399 LIVE_CONNECTIONS_PER_USER=10000 LOG_LEVEL=warn cargo run --release -- dev --no-delay &
//! cargo run --release --example sockets -- --redis redis://127.0.0.1:6399 --sockets 5000 --pid <gateway>
//! ```
#![expect(clippy::print_stdout, reason = "the report is what this program is for")]

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use futures::{SinkExt, StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use portal_gateway::{
    clock::Clock,
    freshness,
    id::InvoiceId,
    notify::{Hint, Live, Settings, Subject, Topic},
    sandbox,
    sandbox::{credentials, world::World},
};
use serde_json::{Value, json};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue, protocol::WebSocketConfig},
};

/// As in the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sockets from one address: the gateway takes 1,000 connections of each.
const OF_ONE_ADDRESS: usize = 900;
/// How long the readers may take to hear everything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens many subscriptions against a running gateway and measures their deliveries.
#[derive(Debug, Parser)]
struct Options {
    /// The gateway, on this machine.
    #[arg(long, default_value = "127.0.0.1:4000")]
    gateway: SocketAddr,
    /// The Redis of the gateway.
    #[arg(long)]
    redis: String,
    /// Its `REDIS_PREFIX`.
    #[arg(long, default_value = "portal")]
    prefix: String,
    /// Sockets, each with one subscription.
    #[arg(long, default_value_t = 5_000)]
    sockets: usize,
    /// Changes that every socket hears.
    #[arg(long, default_value_t = 50)]
    changes: u64,
    /// Time between two changes, in milliseconds.
    #[arg(long, default_value_t = 200)]
    every_ms: u64,
    /// The gateway's process, for its memory.
    #[arg(long)]
    pid: Option<u32>,
}

type Socket = WebSocketStream<TcpStream>;

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let token = sign_in(&options).await?;
    let before = resident_kib(options.pid)?;

    let began = Instant::now();
    let sockets: Vec<Socket> = stream::iter(0..options.sockets)
        .map(|n| open(&options, n, &token))
        .buffer_unordered(64)
        .try_collect()
        .await?;
    println!("{} sockets opened within {:.1} s", sockets.len(), began.elapsed().as_secs_f64());
    if let (Some(before), Some(after)) = (before, resident_kib(options.pid)?) {
        let each = after.saturating_sub(before) as f64 / sockets.len() as f64;
        println!("memory: {before} KiB before, {after} KiB with all open: {each:.1} KiB a socket");
    }

    let redis =
        freshness::redis::Settings { url: options.redis.clone().into(), prefix: options.prefix.clone() };
    let live = Live::new(&Settings { redis: Some(redis), ..Settings::default() })?;
    let sent: Arc<Vec<AtomicU64>> = Arc::new((0..options.changes).map(|_| AtomicU64::new(0)).collect());
    let (heard, mut delays) = mpsc::unbounded_channel();
    for socket in sockets {
        tokio::spawn(listen(socket, began, Arc::clone(&sent), heard.clone()));
    }
    drop(heard);
    for n in 0..options.changes {
        tokio::time::sleep(Duration::from_millis(options.every_ms)).await;
        let at = u64::try_from(began.elapsed().as_micros())?;
        sent[usize::try_from(n)?].store(at, Ordering::Release);
        live.publish(Hint::new(Topic::Everyone, Subject::Invoice(Some(InvoiceId(n))))).await;
    }

    let expected = options.sockets as u64 * options.changes;
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 600_000_000, 3)?;
    while histogram.len() < expected {
        match timeout(PATIENCE, delays.recv()).await {
            Ok(Some(delay)) => histogram.record(delay)?,
            _ => break,
        }
    }
    println!("{} of {expected} deliveries", histogram.len());
    let ms = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    println!("delay: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms", ms(0.5), ms(0.99), ms(1.0));
    if let Some(after) = resident_kib(options.pid)? {
        println!("memory: {after} KiB after the deliveries");
    }
    ensure!(histogram.len() == expected, "deliveries are missing");
    Ok(())
}

async fn sign_in(options: &Options) -> Result<String> {
    let seed = sandbox::Options::default().seed;
    let email = World::new(seed, 1, Clock::system().today()).customer(1).email.clone();
    let body = json!({
        "query": "mutation($input: SessionCreateInput!) { sessionCreate(input: $input) { session { accessToken } } }",
        "variables": { "input": {
            "email": email,
            "password": credentials::DEMO_PASSWORD,
            "deviceToken": credentials::DEMO_DEVICE,
        } },
    });
    let answer: Value = reqwest::Client::new()
        .post(format!("http://{}/graphql", options.gateway))
        .json(&body)
        .send()
        .await?
        .json()
        .await?;
    let token = answer["data"]["sessionCreate"]["session"]["accessToken"].as_str();
    Ok(token.with_context(|| format!("nobody could sign in: {answer}"))?.to_owned())
}

/// Opens a socket and subscribes. Its address on this machine depends on its number.
async fn open(options: &Options, n: usize, token: &str) -> Result<Socket> {
    let address = Ipv4Addr::new(127, 0, 1, u8::try_from(1 + n / OF_ONE_ADDRESS)?);
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((address, 0)))?;
    let stream = socket.connect(options.gateway).await?;
    let mut request = format!("ws://{}/graphql", options.gateway).into_client_request()?;
    let protocol = HeaderValue::from_static("graphql-transport-ws");
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let config = WebSocketConfig::default().read_buffer_size(1024).write_buffer_size(0);
    let (mut socket, _) = client_async_with_config(request, stream, Some(config)).await?;
    let init =
        json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {token}") } });
    let query = "subscription { accountChanged { kind id } }";
    let subscribe = json!({ "id": "1", "type": "subscribe", "payload": { "query": query } });
    for message in [init, subscribe, json!({ "type": "ping" })] {
        socket.send(Message::text(message.to_string())).await?;
    }
    // The answer to the last says that all was heard.
    loop {
        let message = socket.next().await.context("a socket was closed")??;
        ensure!(!message.is_close(), "a socket was closed: {message}");
        if message.to_text().is_ok_and(|text| text.contains("pong")) {
            return Ok(socket);
        }
    }
}

/// Tells how long each change took.
async fn listen(
    mut socket: Socket,
    began: Instant,
    sent: Arc<Vec<AtomicU64>>,
    heard: mpsc::UnboundedSender<u64>,
) {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    while let Some(Ok(message)) = socket.next().await {
        let now = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let Ok(text) = message.to_text() else { continue };
        let Ok(message) = serde_json::from_str::<Value>(text) else { continue };
        let id = message["payload"]["data"]["accountChanged"]["id"].as_str();
        let id = id.and_then(|id| BASE64_URL_SAFE_NO_PAD.decode(id).ok());
        let id = id.and_then(|id| String::from_utf8(id).ok());
        let change = id.and_then(|id| id.strip_prefix("Invoice:")?.parse::<usize>().ok());
        if let Some(sent) = change.and_then(|change| sent.get(change)) {
            let _ = heard.send(now.saturating_sub(sent.load(Ordering::Acquire)));
        }
    }
}

/// Resident memory of a process, as Linux tells it.
fn resident_kib(pid: Option<u32>) -> Result<Option<u64>> {
    let Some(pid) = pid else { return Ok(None) };
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("no such process")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()))
}
