//! What a warm answer costs over the least that any answer can cost.
//!
//! The floor is a bare axum handler that reads the same question and sends the same bytes. Both servers run
//! in this process on threads of their own, so that their CPU time can be told apart from the client's, and
//! they are measured in turns, so that a busy machine troubles both alike. The gateway has every layer on:
//! it authenticates, counts, and writes its log, to a file, and with `REDIS_URL` set it shares its cache.
//!
//! It fails when the gateway reaches less than the share of the floor that is promised, or asks a system meanwhile.
//!
//! ```text
//! cargo bench --bench warm
//! ```
#![expect(clippy::print_stdout, reason = "the report is what this program is for")]

use std::{
    fs,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use axum::{Router, body::Bytes, http::header::CONTENT_TYPE, routing::post};
use metrics_exporter_prometheus::PrometheusBuilder;
use portal_gateway::{
    app::App,
    clock::Clock,
    config::{Config, LogFormat},
    demo,
    http::{self, gateway},
    log,
    sandbox::{self, Listen, Sandbox},
    schema,
    secret::ExposeSecret,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};
use tokio_util::sync::CancellationToken;

/// As in the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is asked.
const DASHBOARD: &str = include_str!("../examples/queries/dashboard.graphql");

/// How long what it shows counts as fresh: longer than this runs.
const FRESH: [&str; 6] =
    ["CACHE_PROFILE", "CACHE_SUBSCRIPTIONS", "CACHE_INVOICES", "CACHE_ORDERS", "CACHE_CASES", "CACHE_USAGE"];
/// The share of the floor's throughput that is promised.
const PROMISED: f64 = 0.6;
/// Turns that each server gets.
const TURNS: usize = 5;
/// How long one turn lasts.
const TURN: Duration = Duration::from_secs(3);
/// Connections that ask at once.
const CONNECTIONS: usize = 16;

fn main() -> Result<()> {
    // cargo passes `--bench`; `cargo test --benches` does not, and only wants to see that this builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow!("TLS was set up twice"))?;
    let (gateway, floor, client) = (threads("gateway")?, threads("floor")?, threads("client")?);
    let data = tempfile::tempdir()?;
    // The sandbox answers only the first question, on the client's threads.
    let sandbox = client.block_on(Sandbox::start(sandbox::Options {
        customers: 1,
        delay: false,
        listen: Listen::loopback(0),
        ..sandbox::Options::default()
    }))?;
    PrometheusBuilder::new().install_recorder().context("metrics cannot be recorded")?;
    let file = fs::File::create(data.path().join("log"))?;
    let _log = log::start("info", LogFormat::Json, false, file)?;
    let (address, question) = gateway.block_on(serve_gateway(&sandbox, data.path()))?;
    // The second answer is a kept one, and tells the age of what it shows.
    let answer = client.block_on(async {
        let mut connection = Connection::open(address).await?;
        connection.ask(&question).await?;
        connection.ask(&question).await
    })?;
    ensure!(answer.windows(11).any(|bytes| bytes == b"\"freshness\""), "the answer was not kept");
    ensure!(!answer.windows(8).any(|bytes| bytes == b"\"errors\""), "the dashboard has errors");
    let floor_address = floor.block_on(serve_bytes(answer.clone()))?;
    let journal = &sandbox.core().journal;
    let calls = || journal.counts().into_iter().map(|count| count.count).sum::<u64>();
    let calls_before = calls();

    let mut rounds = Vec::new();
    for _ in 0..TURNS {
        let warm = turn(&client, address, &question, answer.len(), "gateway")?;
        let bare = turn(&client, floor_address, &question, answer.len(), "floor")?;
        rounds.push((warm, bare));
    }
    println!("answer           {} bytes", answer.len());
    for (name, side) in [("warm dashboard", 0), ("bare axum", 1)] {
        let of = |round: &(Turn, Turn)| if side == 0 { round.0 } else { round.1 };
        println!(
            "{name:<16} {:>8.0} a second, {:>6.1} us CPU each",
            median(rounds.iter().map(|round| of(round).rate)),
            median(rounds.iter().map(|round| of(round).cpu_us)),
        );
    }
    let throughput = median(rounds.iter().map(|(a, b)| a.rate / b.rate));
    println!("throughput       {throughput:.3} of the floor");
    println!(
        "CPU              {:.1} times the floor",
        median(rounds.iter().map(|(a, b)| a.cpu_us / b.cpu_us))
    );
    println!("calls            {}", calls() - calls_before);
    ensure!(calls() == calls_before, "a warm answer asked a system");
    ensure!(throughput >= PROMISED, "{throughput:.3} of the floor, not {PROMISED}");
    Ok(())
}

/// A runtime whose threads bear a name by which the system accounts for them.
fn threads(name: &str) -> Result<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(2).thread_name(name).enable_all().build()?)
}

/// A whole gateway with one customer. Gives its address and their question, as it travels.
async fn serve_gateway(sandbox: &Sandbox, data: &std::path::Path) -> Result<(SocketAddr, String)> {
    let mut settings = demo::settings(sandbox);
    settings.insert("DATABASE_URL", format!("sqlite:{}", data.join("portal.db").display()));
    settings.insert("DATA_DIR", data.display().to_string());
    settings.extend(FRESH.map(|name| (name, "1h".to_owned())));
    // Its reader asks the CRM by itself.
    settings.insert("SF_EVENTS_ENABLED", "false".to_owned());
    settings.extend(std::env::var("REDIS_URL").map(|url| ("REDIS_URL", url)));
    let config = Config::from_env(|name| settings.get(name).cloned())
        .map_err(|faults| anyhow!("the configuration cannot be used: {faults:?}"))?;
    let app = App::build(&config, Clock::system()).await?;
    let world = &sandbox.core().world;
    demo::register(&app.identity, world, 1).await?;
    let grant = app.identity.enter(&world.customer(1).email).await?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let stopping = CancellationToken::new();
    let state = gateway::state(&config, &app, schema::build(app.clone()), stopping.clone());
    tokio::spawn(http::serve(
        listener,
        http::Door::new(Arc::new(state)),
        stopping,
        http::Timeouts::default(),
    ));
    let body = serde_json::json!({ "query": DASHBOARD }).to_string();
    let question = format!(
        "POST /graphql HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         accept: application/json\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
        grant.access_token.expose_secret(),
        body.len()
    );
    Ok((address, question))
}

/// The floor: reads the body, sends the bytes.
async fn serve_bytes(answer: Bytes) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let handler = post(move |_question: Bytes| {
        let answer = answer.clone();
        async move { ([(CONTENT_TYPE, "application/json; charset=utf-8")], answer) }
    });
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/graphql", handler)).await });
    Ok(address)
}

/// What one turn measured.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// Answers a second.
    rate: f64,
    /// CPU time of the server's threads for each, microseconds.
    cpu_us: f64,
}

fn turn(client: &Runtime, address: SocketAddr, question: &str, length: usize, server: &str) -> Result<Turn> {
    let cpu_before = cpu_seconds(server)?;
    let began = Instant::now();
    let answers = client.block_on(async {
        let mut connections = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS {
            let question = question.to_owned();
            connections.spawn(async move {
                let mut connection = Connection::open(address).await?;
                let mut answers = 0_u32;
                while began.elapsed() < TURN {
                    let answer = connection.ask(&question).await?;
                    // An age may have a digit more.
                    ensure!(
                        answer.len().abs_diff(length) < 64,
                        "an answer of {} bytes, not {length}",
                        answer.len()
                    );
                    answers += 1;
                }
                Ok(answers)
            });
        }
        let mut total = 0;
        while let Some(answers) = connections.join_next().await {
            total += answers??;
        }
        Ok::<_, anyhow::Error>(total)
    })?;
    let (answers, elapsed) = (f64::from(answers), began.elapsed().as_secs_f64());
    Ok(Turn { rate: answers / elapsed, cpu_us: (cpu_seconds(server)? - cpu_before) * 1e6 / answers })
}

/// CPU time of this process's threads of one name. Linux counts it in nanoseconds.
fn cpu_seconds(name: &str) -> Result<f64> {
    let mut total = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        let thread = thread?.path();
        // A thread may end while this looks.
        let Ok(comm) = fs::read_to_string(thread.join("comm")) else { continue };
        if comm.trim() == name {
            let spent = fs::read_to_string(thread.join("schedstat"))?;
            total += spent.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
    }
    Ok(total as f64 / 1e9)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A connection that does no more than it must: a full client would cost more than the floor it measures.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// Sends a whole request and reads the answer's body, whose length its head must tell.
    async fn ask(&mut self, request: &str) -> Result<Bytes> {
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        let (head, length) = loop {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "closed without an answer");
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head = std::str::from_utf8(&self.buffer[..end])?.to_ascii_lowercase();
                ensure!(head.starts_with("http/1.1 200"), "{head}");
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
                break (end + 4, length.context("no content-length")?.trim().parse::<usize>()?);
            }
        };
        while self.buffer.len() < head + length {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "closed within an answer");
        }
        Ok(Bytes::copy_from_slice(&self.buffer[head..]))
    }
}
