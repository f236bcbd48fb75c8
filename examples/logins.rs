//! What a crowd at the door costs those who are inside (requirement A2): asks a running gateway ordinary questions at a
//! fixed rate, first in quiet and then while hundreds sign in at once, and says how long the answers took. Whoever is told to
//! come back does so, after the time that the gateway said and up to a tenth more, until everybody is in. Their connections are
//! there before: in front of a gateway stands a proxy, which keeps its own.
//!
//! `cargo run --release -- dev` in one terminal, `cargo run --release --example logins` in another. The gateway's memory is looked
//! at when its process is named with `--pid`: that of `dev` holds the sandbox, too. Both share the machine's cores with this
//! program, so the figures are upper bounds; the crowd itself stands for five hundred machines of their own, and so its thread
//! gives way to everything else where the system allows that.
#![expect(clippy::print_stdout, reason = "a report")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use portal_gateway::{
    clock::Clock,
    sandbox::{self, credentials, world::World},
};
use serde_json::{Value, json};
use tokio::{
    runtime::Runtime,
    time::{interval, sleep},
};
use tokio_util::sync::CancellationToken;

/// What requirement A2 allows: the 99th percentile as a multiple of the quiet one.
const SLOWER_AT_MOST: f64 = 2.0;
/// What it allows to each core that hashes, and to all the rest, in MiB.
const HASH_MIB: f64 = 19.0;
const REST_MIB: f64 = 32.0;

/// Signs crowds in beside ordinary questions.
#[derive(Parser)]
struct Options {
    /// Where the gateway answers.
    #[arg(long, default_value = "http://127.0.0.1:4000/graphql")]
    url: String,
    /// How many sign in at once.
    #[arg(long, default_value_t = 500)]
    crowd: u64,
    /// Questions a second.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// How long the quiet part takes, in seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// The gateway's process, whose memory is looked at.
    #[arg(long)]
    pid: Option<u32>,
}

/// What became of the crowd.
struct Crowd {
    /// How long those waited for their last answer who got in, in microseconds.
    entered: Histogram<u64>,
    /// The same of those who were told to come back.
    sent_away: Histogram<u64>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build()?;
    let world = World::new(sandbox::Options::default().seed, options.crowd + 1, Clock::system().today());
    let emails: Vec<_> = (1..=options.crowd).map(|n| world.customer(n).email.clone()).collect();

    let answer = sign_in(&http, &options.url, &world.customer(options.crowd + 1).email).await?;
    let token = answer.pointer("/data/sessionCreate/session/accessToken").and_then(Value::as_str);
    let token = token.with_context(|| format!("nobody could sign in: {answer}"))?.to_owned();

    let part = Duration::from_secs(options.seconds);
    // Connections and caches are made before anything is measured.
    ask(&http, &options, &token, sleep(Duration::from_secs(2))).await?;
    let quiet = ask(&http, &options, &token, sleep(part)).await?.0;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (runtime, crowd_http) = connected(runtime, &options).await?;
    let before = options.pid.map(resident_mib).transpose()?;
    let began = Instant::now();
    let (busy, (crowd, most)) = ask(&http, &options, &token, async {
        let stop = CancellationToken::new();
        let (url, stopping) = (options.url.clone(), stop.clone());
        let crowd = tokio::task::spawn_blocking(move || {
            let _stop = stopping.drop_guard();
            give_way();
            runtime.block_on(crowd(&crowd_http, &url, &emails))
        });
        tokio::join!(crowd, watch(options.pid, &stop))
    })
    .await?;
    let (crowd, most, took) = (crowd??, most?, began.elapsed());

    let ms = |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    let rows = [
        ("quiet", &quiet),
        ("busy", &busy),
        ("signed in", &crowd.entered),
        ("told to come back", &crowd.sent_away),
    ];
    for (name, histogram) in rows {
        println!(
            "{name:<18} {:>6} answers: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
            histogram.len(),
            ms(histogram, 0.5),
            ms(histogram, 0.99),
            ms(histogram, 1.0)
        );
    }
    println!("{} were in after {:.1} s", crowd.entered.len(), took.as_secs_f64());
    let slower = ms(&busy, 0.99) / ms(&quiet, 0.99);
    println!("p99 busy / quiet: {slower:.2} (at most {SLOWER_AT_MOST})");
    let mut holds = slower <= SLOWER_AT_MOST;
    if let (Some(before), Some(most)) = (before, most) {
        let cores = std::thread::available_parallelism()?.get() as f64;
        let allowed = cores * HASH_MIB + REST_MIB;
        let more = most - before;
        println!(
            "memory: {before:.0} MiB before, {most:.0} MiB at most: {more:.0} MiB more (at most {allowed:.0})"
        );
        holds &= more <= allowed;
    }
    ensure!(holds, "requirement A2 does not hold in this run");
    Ok(())
}

/// Lets this thread have what the others leave.
fn give_way() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(19);
}

/// The crowd's own runtime, with a connection for everybody.
async fn connected(runtime: Runtime, options: &Options) -> Result<(Runtime, reqwest::Client)> {
    let (url, crowd) = (options.url.clone(), options.crowd);
    let connected = tokio::task::spawn_blocking(move || {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let body = json!({ "query": "{ __typename }" });
        let all = (0..crowd).map(async |_| http.post(&url).json(&body).send().await?.bytes().await);
        runtime.block_on(try_join_all(all))?;
        Ok::<_, anyhow::Error>((runtime, http))
    });
    connected.await?
}

/// Everybody at once, until all are in.
async fn crowd(http: &reqwest::Client, url: &str, emails: &[String]) -> Result<Crowd> {
    let (send, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let all = emails.iter().map(async |email| {
        loop {
            let began = Instant::now();
            let answer = sign_in(http, url, email).await?;
            let is_in = answer.pointer("/data/sessionCreate/session/accessToken").is_some();
            send.send((is_in, began.elapsed()))?;
            if is_in {
                return Ok::<_, anyhow::Error>(());
            }
            let wait = answer.pointer("/errors/0/extensions/retryAfterMs").and_then(Value::as_u64);
            let wait = wait.with_context(|| format!("neither in nor told to come back: {answer}"))?;
            sleep(Duration::from_millis(wait).mul_f64(rand::random_range(1.0..1.1))).await;
        }
    });
    try_join_all(all).await?;
    answers.close();
    let mut crowd = Crowd { entered: Histogram::new(3)?, sent_away: Histogram::new(3)? };
    while let Some((is_in, took)) = answers.recv().await {
        let histogram = if is_in { &mut crowd.entered } else { &mut crowd.sent_away };
        histogram.record(u64::try_from(took.as_micros())?)?;
    }
    Ok(crowd)
}

/// The most memory that a process holds until it is told to stop, in MiB.
async fn watch(pid: Option<u32>, stop: &CancellationToken) -> Result<Option<f64>> {
    let Some(pid) = pid else { return Ok(None) };
    let mut most = 0_f64;
    let mut tick = interval(Duration::from_millis(20));
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        most = most.max(resident_mib(pid)?);
    }
    Ok(Some(most))
}

/// The password, on the device that every demo customer trusts.
async fn sign_in(http: &reqwest::Client, url: &str, email: &str) -> Result<Value> {
    let body = json!({
        "query": "mutation ($input: SessionCreateInput!) {
            sessionCreate(input: $input) { session { accessToken } userErrors { code } } }",
        "variables": { "input": {
            "email": email,
            "password": credentials::DEMO_PASSWORD,
            "deviceToken": credentials::DEMO_DEVICE,
        } },
    });
    Ok(http.post(url).json(&body).send().await?.json().await?)
}

/// Asks at a fixed rate until something else has ended; microseconds, from the time at which a question was due.
async fn ask<T>(
    http: &reqwest::Client,
    options: &Options,
    token: &str,
    until: impl Future<Output = T>,
) -> Result<(Histogram<u64>, T)> {
    let mut histogram = Histogram::new(3)?;
    let (send, mut took) = tokio::sync::mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let asking = async {
        let mut tick = interval(Duration::from_secs(1) / options.rate);
        while let Some(due) = stop.run_until_cancelled(tick.tick()).await {
            let body = json!({ "query": "{ viewer { id notifications { totalCount } } }" });
            let request = http.post(&options.url).bearer_auth(token).json(&body);
            let send = send.clone();
            tokio::spawn(async move {
                let answered = async {
                    let answer: Value = request.send().await?.error_for_status()?.json().await?;
                    ensure!(answer.pointer("/data/viewer/id").is_some(), "not an answer: {answer}");
                    Ok(due.elapsed())
                };
                let _ = send.send(answered.await);
            });
        }
    };
    let until = async {
        let ended = until.await;
        stop.cancel();
        ended
    };
    let ((), ended) = tokio::join!(asking, until);
    drop(send);
    while let Some(took) = took.recv().await {
        histogram.record(u64::try_from(took?.as_micros())?)?;
    }
    Ok((histogram, ended))
}

/// The resident memory of a process, in MiB.
fn resident_mib(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line =
        text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the system does not tell")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}
