//! What a gateway's memory grows to while very many customers ask for their dashboard.
//!
//! The gateway runs in this process, with the limits of its caches as the environment says; the sandbox runs in a
//! second one, so that its memory does not count. Sessions are opened without passwords, whose hashing would be all
//! the load. Every customer's answers are then made old once, as after a great many changes.
//!
//! It fails when the memory grows by more than 64 MB beyond the limits, or, with `--warm`, when customers are no longer
//! answered from memory at the end.
//!
//! ```text
//! cargo run --release --example memory -- --customers 100000
//! CACHE_MEMORY_MB=6144 CACHE_RESPONSES_MB=3072 cargo run --release --example memory -- --customers 100000 --warm
//! ```
#![expect(clippy::print_stdout, reason = "the report is what this program is for")]

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Read, stdin, stdout},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use portal_gateway::{
    app::App,
    billing,
    clock::Clock,
    config::Config,
    demo,
    http::{self, gateway},
    id::ClientId,
    sandbox::{
        self, Listen, Sandbox,
        world::{World, ids},
    },
    schema,
    secret::ExposeSecret,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// As in the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DASHBOARD: &str = include_str!("queries/dashboard.graphql");

/// What is shown stays fresh for longer than this runs.
const FRESH: [&str; 6] =
    ["CACHE_PROFILE", "CACHE_SUBSCRIPTIONS", "CACHE_INVOICES", "CACHE_ORDERS", "CACHE_CASES", "CACHE_USAGE"];

/// How much more than its limits the whole process may take.
const BEYOND: u64 = 64;
/// Customers who are asked again at the end.
const SAMPLE: u64 = 1_000;

/// Fills a gateway with customers and reports its memory.
#[derive(Debug, Parser)]
struct Options {
    /// Customers, each of whom asks twice.
    #[arg(long, default_value_t = 100_000)]
    customers: u64,
    /// Questions that are under way at once.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Fail unless all customers are still warm at the end; the limits must have room for them.
    #[arg(long)]
    warm: bool,
    /// Be the sandbox of another process: writes its settings, and runs until its input ends.
    #[arg(long, hide = true)]
    sandbox: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let _ = rustls::crypto::ring::default_provider().install_default();
    if options.sandbox {
        return be_the_sandbox(options.customers).await;
    }
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--sandbox", "--customers", &options.customers.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
    let mut env: HashMap<String, String> = serde_json::from_str(&line)?;
    let report = fill(&options, &mut env).await;
    // Its input ends, and so does it.
    drop(child.stdin.take());
    child.wait()?;
    report
}

async fn be_the_sandbox(customers: u64) -> Result<()> {
    let options = sandbox::Options {
        customers,
        delay: false,
        listen: Listen::loopback(0),
        ..sandbox::Options::default()
    };
    let sandbox = Sandbox::start(options).await?;
    let mut knobs = sandbox.salesforce().settings();
    knobs.daily_limit = 100 * customers;
    sandbox.salesforce().set(knobs);
    let settings = demo::settings(&sandbox);
    serde_json::to_writer(stdout(), &settings)?;
    println!();
    tokio::task::spawn_blocking(|| stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}

async fn fill(options: &Options, env: &mut HashMap<String, String>) -> Result<()> {
    let data = tempfile::tempdir()?;
    env.insert("DATABASE_URL".into(), format!("sqlite:{}", data.path().join("portal.db").display()));
    env.insert("DATA_DIR".into(), data.path().display().to_string());
    env.extend(FRESH.map(|name| (name.to_owned(), "1h".to_owned())));
    env.extend(
        ["WHMCS_CALLS_PER_MINUTE", "SF_CALLS_PER_MINUTE"].map(|name| (name.to_owned(), "0".to_owned())),
    );
    env.extend(std::env::vars());
    let config = Config::from_env(|name| env.get(name).cloned())
        .map_err(|faults| anyhow!("the configuration cannot be used: {faults:?}"))?;
    let app = App::build(&config, Clock::system()).await?;
    let world = World::new(sandbox::Options::default().seed, options.customers, Clock::system().today());
    demo::register(&app.identity, &world, options.customers).await?;
    let address = serve(&config, &app).await?;
    let limit = (config.cache.memory_bytes + config.response_bytes) >> 20;
    println!("limits           {limit} MB for entries and answers");
    println!("before           {} MB", resident()? >> 20);

    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
    let asker = Asker { http, url: format!("http://{address}/graphql"), app: app.clone() };
    let (began, mut most) = (Instant::now(), 0);
    let step = (options.customers / 10).max(1);
    for round in ["asked", "asked again after a change"] {
        let asked = stream::iter(1..=options.customers).map(|n| {
            let (asker, email) = (&asker, world.customer(n).email.clone());
            async move { asker.ask(n, &email, 2).await.map(|_| n) }
        });
        let mut asked = asked.buffer_unordered(options.connections);
        while let Some(n) = asked.try_next().await? {
            if n % step == 0 {
                let now = resident()? >> 20;
                most = most.max(now);
                let (entries, bytes) = app.cache.size();
                println!("{n:>9} {round}  {now} MB; {entries} entries that weigh {} MB", bytes >> 20);
            }
        }
        if round == "asked" {
            for n in 1..=options.customers {
                let client = ClientId(ids::client_id(n));
                // Without Redis this cannot fail; with it the others learn later.
                let _ = app.cache.invalidate(&billing::tags::everything(client)).await;
            }
        }
    }
    println!("time             {:.0} s", began.elapsed().as_secs_f64());

    let sample = SAMPLE.min(options.customers);
    let mut warm = 0;
    for n in (1..=sample).map(|k| k * options.customers / sample) {
        let before = app.cache.tally().misses;
        asker.ask(n, &world.customer(n).email.clone(), 1).await?;
        warm += u64::from(app.cache.tally().misses == before);
    }
    println!("still warm       {warm} of {sample} customers");
    most = most.max(resident()? >> 20);
    println!("at most          {most} MB, {} MB beyond the limits", most as i64 - limit as i64);
    ensure!(most <= limit + BEYOND, "{most} MB are more than {limit} MB and {BEYOND} MB");
    ensure!(!options.warm || warm == sample, "only {warm} of {sample} customers were still warm");
    Ok(())
}

/// Asks for dashboards.
struct Asker {
    http: reqwest::Client,
    url: String,
    app: App,
}

impl Asker {
    /// Asks as a customer, in a session of their own, so many times.
    async fn ask(&self, n: u64, email: &str, times: usize) -> Result<()> {
        let grant = self.app.identity.enter(email).await.map_err(|error| anyhow!("customer {n}: {error}"))?;
        let question = json!({ "query": DASHBOARD }).to_string();
        for _ in 0..times {
            let token = grant.access_token.expose_secret();
            let asked =
                self.http.post(&self.url).bearer_auth(token).header("content-type", "application/json");
            let answer: Value = asked.body(question.clone()).send().await?.json().await?;
            ensure!(answer["errors"].is_null(), "customer {n}: {}", answer["errors"]);
        }
        Ok(())
    }
}

async fn serve(config: &Config, app: &App) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let stopping = CancellationToken::new();
    let state = gateway::state(config, app, schema::build(app.clone()), stopping.clone());
    let timeouts = http::Timeouts::default();
    tokio::spawn(http::serve(listener, http::Door::new(Arc::new(state)), stopping, timeouts));
    Ok(address)
}

/// Resident memory of this process in bytes, as Linux tells it.
fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? << 10)
}
