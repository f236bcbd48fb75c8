//! A load generator: many customers sign in and ask one document, and every answer is checked to be the asker's own.
//!
//! Closed loop: each connection asks again as soon as it has its answer. Fixed rate (`--rate`): questions
//! start on a timetable, and one that starts late because all connections are busy counts its wait too.
//!
//! ```text
//! portal-gateway dev --customers 1000 --no-delay &
//! cargo run --release --example load -- --customers 200 --seconds 20 --pid $!
//! cargo run --release --example load -- --customers 200 --seconds 20 --rate 500
//! ```
//!
//! In `dev` the process is the gateway and the sandbox together; for the gateway's CPU alone run `serve` and
//! `sandbox` apart.
#![expect(clippy::print_stdout, reason = "the report is what this program is for")]

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use portal_gateway::{
    clock::Clock,
    sandbox::{self, credentials, witness::Witness, world::World},
};
use serde_json::{Value, json};

/// Asks a running gateway under load and reports what it cost.
#[derive(Debug, Parser)]
struct Options {
    /// The gateway's endpoint.
    #[arg(long, default_value = "http://127.0.0.1:4000/graphql")]
    url: String,
    /// The sandbox's admin endpoint, whose journal counts the upstream calls.
    #[arg(long, default_value = "http://127.0.0.1:4100")]
    admin: String,
    /// The document that is asked.
    #[arg(long, default_value = "examples/queries/dashboard.graphql")]
    document: PathBuf,
    /// Its variables, as JSON.
    #[arg(long, default_value = "{}")]
    variables: String,
    /// How many demo customers sign in: the first ones of the sandbox.
    #[arg(long, default_value_t = 50)]
    customers: u64,
    /// The sandbox's seed.
    #[arg(long, default_value_t = sandbox::Options::default().seed)]
    seed: u64,
    /// The demo customers' password.
    #[arg(long, default_value = credentials::DEMO_PASSWORD)]
    password: String,
    /// Questions per second; without it, as many as the connections manage.
    #[arg(long)]
    rate: Option<f64>,
    /// Questions that can be under way at once.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Ends after so many questions.
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// Ends after so many seconds. Access tokens live for ten minutes, and so no run is longer than nine.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=540))]
    seconds: u64,
    /// Lets every customer ask once before the measurement, so that it finds the cache warm.
    #[arg(long)]
    warm: bool,
    /// The gateway's process, for its CPU time.
    #[arg(long)]
    pid: Option<u32>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let options = Options::parse();
    // No connection here is encrypted, but the client asks for a provider when it is built.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .pool_max_idle_per_host(options.connections)
        .build()?;
    let world = World::new(options.seed, options.customers, Clock::system().today());
    let document = fs::read_to_string(&options.document)
        .with_context(|| format!("cannot read {}", options.document.display()))?;
    let variables: Value = serde_json::from_str(&options.variables).context("--variables is not JSON")?;
    let question = Arc::new(json!({ "query": document, "variables": variables }).to_string());

    let began = Instant::now();
    let askers: Vec<_> = stream::iter(1..=options.customers)
        .map(|n| sign_in(&http, &options, &world, n))
        .buffered(4)
        .try_collect()
        .await?;
    println!("{} customers signed in within {:.1} s", askers.len(), began.elapsed().as_secs_f64());
    if options.warm {
        stream::iter(&askers)
            .map(|asker| ask(&http, &options.url, &question, asker))
            .buffer_unordered(options.connections)
            .try_for_each(|_| async { Ok(()) })
            .await
            .map_err(|fault| anyhow::anyhow!("warming up: {fault}"))?;
    }

    let calls_before = upstream_calls(&http, &options.admin).await?;
    let cpu_before = options.pid.map(cpu_seconds).transpose()?;
    let tally = run(&http, &options, question, askers).await?;
    let cpu = match (options.pid, cpu_before) {
        (Some(pid), Some(before)) => Some(cpu_seconds(pid)? - before),
        _ => None,
    };
    let calls = upstream_calls(&http, &options.admin)
        .await?
        .into_iter()
        .map(|(system, count)| {
            let before = calls_before.get(&system).copied().unwrap_or(0);
            (system, count.saturating_sub(before))
        })
        .collect();
    tally.report(&calls, cpu);
    Ok(if tally.faults.is_empty() && tally.answers() > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A customer who is signed in, and what may stand in their answers.
#[derive(Debug)]
struct Asker {
    token: String,
    witness: Witness,
}

/// Signs one customer in, waiting as long as the gateway asks for when it limits the attempts.
async fn sign_in(http: &reqwest::Client, options: &Options, world: &World, n: u64) -> Result<Asker> {
    let customer = world.customer(n);
    let body = json!({
        "query": "mutation ($email: String!, $password: String!, $device: String) {
            sessionCreate(input: { email: $email, password: $password, deviceToken: $device }) {
                session { accessToken } userErrors { code message }
            }
        }",
        "variables": { "email": customer.email, "password": options.password, "device": credentials::DEMO_DEVICE },
    });
    for _ in 0..20 {
        let answer: Value = http.post(&options.url).json(&body).send().await?.json().await?;
        if let Some(wait) = answer.pointer("/errors/0/extensions/retryAfterMs").and_then(Value::as_u64) {
            tokio::time::sleep(Duration::from_millis(wait.clamp(10, 5_000))).await;
            continue;
        }
        let token = answer.pointer("/data/sessionCreate/session/accessToken").and_then(Value::as_str);
        let Some(token) = token else { bail!("customer {n} could not sign in: {answer}") };
        return Ok(Asker { token: format!("Bearer {token}"), witness: Witness::of(&customer) });
    }
    bail!("the gateway kept limiting the sign-in of customer {n}")
}

/// Asks once. Gives the length of the answer in bytes, or the kind of fault.
async fn ask(http: &reqwest::Client, url: &str, question: &str, asker: &Asker) -> Result<u64, String> {
    let sent = http
        .post(url)
        .header("content-type", "application/json")
        .header("authorization", &asker.token)
        .body(question.to_owned())
        .send()
        .await;
    let response = sent.map_err(|e| format!("no answer: {}", without_url(e)))?;
    let status = response.status();
    let bytes = response.bytes().await.map_err(|e| format!("broken answer: {}", without_url(e)))?;
    if !status.is_success() {
        return Err(format!("status {}", status.as_u16()));
    }
    let answer: Value = serde_json::from_slice(&bytes).map_err(|_| "not JSON".to_owned())?;
    if let Some(error) = answer.pointer("/errors/0") {
        let code = error.pointer("/extensions/code").and_then(Value::as_str).unwrap_or("no code");
        return Err(format!("error {code}"));
    }
    match asker.witness.check(&answer["data"])? {
        0 => Err("nothing in the answer tells whose it is".to_owned()),
        _ => Ok(bytes.len() as u64),
    }
}

/// The sentence of an error without the address: one kind of fault is one line of the report.
fn without_url(error: reqwest::Error) -> String {
    error.without_url().to_string()
}

/// What a run found.
#[derive(Debug)]
struct Tally {
    /// Microseconds.
    latencies: Histogram<u64>,
    bytes: u64,
    faults: BTreeMap<String, u64>,
    elapsed: Duration,
}

async fn run(
    http: &reqwest::Client,
    options: &Options,
    question: Arc<String>,
    askers: Vec<Asker>,
) -> Result<Tally> {
    ensure!(!askers.is_empty() && options.connections > 0, "at least one customer and one connection");
    ensure!(options.rate.is_none_or(|rate| rate > 0.0), "--rate must be above zero");
    let askers = Arc::new(askers);
    let turn = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let ends = began + Duration::from_secs(options.seconds);

    let mut connections = tokio::task::JoinSet::new();
    for _ in 0..options.connections {
        let (http, url, question) = (http.clone(), options.url.clone(), Arc::clone(&question));
        let (askers, turn) = (Arc::clone(&askers), Arc::clone(&turn));
        let (rate, requests) = (options.rate, options.requests);
        connections.spawn(async move {
            let mut tally = Tally::new()?;
            loop {
                let i = turn.fetch_add(1, Ordering::Relaxed);
                let now = Instant::now();
                let due = rate.map_or(now, |rate| began + Duration::from_secs_f64(i as f64 / rate));
                if i >= requests || due.max(now) >= ends {
                    return Ok::<_, anyhow::Error>(tally);
                }
                // A question that is late because no connection was free counts from when it was due. One that is
                // in time counts from when it leaves: the timer's own millisecond is not the gateway's.
                let start = if due > now {
                    tokio::time::sleep_until(due.into()).await;
                    Instant::now()
                } else {
                    due
                };
                let asker = &askers[usize::try_from(i)? % askers.len()];
                match ask(&http, &url, &question, asker).await {
                    Ok(bytes) => tally.add(start.elapsed(), bytes)?,
                    Err(fault) => *tally.faults.entry(fault).or_default() += 1,
                }
            }
        });
    }
    let mut total = Tally::new()?;
    while let Some(tally) = connections.join_next().await {
        total.merge(tally??)?;
    }
    total.elapsed = began.elapsed();
    Ok(total)
}

impl Tally {
    fn new() -> Result<Self> {
        Ok(Self { latencies: Histogram::new(3)?, bytes: 0, faults: BTreeMap::new(), elapsed: Duration::ZERO })
    }

    fn add(&mut self, latency: Duration, bytes: u64) -> Result<()> {
        self.latencies.record(u64::try_from(latency.as_micros())?)?;
        self.bytes += bytes;
        Ok(())
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        self.latencies.add(other.latencies)?;
        self.bytes += other.bytes;
        for (fault, count) in other.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        Ok(())
    }

    fn answers(&self) -> u64 {
        self.latencies.len()
    }

    fn report(&self, calls: &BTreeMap<String, u64>, cpu_seconds: Option<f64>) {
        let answers = self.answers();
        let per_answer = |n: f64| if answers == 0 { 0.0 } else { n / answers as f64 };
        let ms = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        let seconds = self.elapsed.as_secs_f64();
        println!("answers          {answers} in {seconds:.1} s, {:.0} a second", answers as f64 / seconds);
        println!("each             {:.0} bytes", per_answer(self.bytes as f64));
        println!(
            "latency, ms      p50 {:.2}  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  most {:.2}",
            ms(0.5),
            ms(0.9),
            ms(0.99),
            ms(0.999),
            self.latencies.max() as f64 / 1000.0
        );
        let systems: Vec<_> =
            calls.iter().map(|(system, n)| format!("{system} {:.3}", per_answer(*n as f64))).collect();
        let total = calls.values().sum::<u64>() as f64;
        println!("upstream calls   {:.3} per answer ({})", per_answer(total), systems.join(", "));
        if let Some(cpu) = cpu_seconds {
            println!("CPU              {:.3} s per 1,000 answers", 1000.0 * per_answer(cpu));
        }
        println!("faults           {}", self.faults.values().sum::<u64>());
        for (fault, count) in &self.faults {
            println!("  {count:>6} x {fault}");
        }
    }
}

/// Calls that arrived at each system since the journal was last cleared.
async fn upstream_calls(http: &reqwest::Client, admin: &str) -> Result<BTreeMap<String, u64>> {
    let url = format!("{admin}/journal/counts");
    let counts: Vec<Value> =
        http.get(&url).send().await.with_context(|| format!("{url} is not answering"))?.json().await?;
    let mut calls = BTreeMap::new();
    for count in counts.iter().filter(|count| count["kind"] == "call") {
        let system = count["system"].as_str().unwrap_or_default().to_owned();
        *calls.entry(system).or_default() += count["count"].as_u64().unwrap_or(0);
    }
    Ok(calls)
}

/// CPU time that a process has used: user and system, all threads. Linux counts it in hundredths of a second.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat =
        fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("no process {pid}"))?;
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th field behind it.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| -> Result<u64> { Ok(fields.get(at).context("a short /proc line")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) as f64 / 100.0)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn the_cpu_time_of_a_process_is_read_and_grows() {
        let before = cpu_seconds(std::process::id()).unwrap();
        assert!(before >= 0.0);
        assert!(cpu_seconds(u32::MAX).is_err());
    }
}
