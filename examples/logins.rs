//! What a crowd at the door costs those who are inside (requirement A2): asks a running gateway ordinary questions at a
//! fixed rate, first in quiet and then while hundreds sign in at once, and says how long the answers took.
//!
//! `portal-gateway dev` in one terminal, `cargo run --release --example logins -- --pid PID` in another.
#![expect(clippy::print_stdout, reason = "a report")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use futures::future::join_all;
use hdrhistogram::Histogram;
use portal_gateway::{
    clock::Clock,
    sandbox::{self, credentials, world::World},
};
use serde_json::{Value, json};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

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
    /// How long each part takes at least, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The gateway's process, whose memory is looked at.
    #[arg(long)]
    pid: Option<u32>,
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
    let memory_before = options.pid.map(resident_mib).transpose()?;
    let quiet = ask(&http, &options, &token, async { tokio::time::sleep(part).await }).await?.0;
    let crowd = async {
        let began = Instant::now();
        let (mut entered, mut sent_away) = (0_u64, 0_u64);
        // One crowd after the other, until the part is over.
        while began.elapsed() < part {
            let answers = join_all(emails.iter().map(|email| sign_in(&http, &options.url, email))).await;
            for answer in answers.into_iter().flatten() {
                let is_in = answer.pointer("/data/sessionCreate/session/accessToken").is_some();
                let code = answer.pointer("/errors/0/extensions/code").and_then(Value::as_str);
                entered += u64::from(is_in);
                sent_away += u64::from(code == Some("RATE_LIMITED"));
            }
        }
        (entered, sent_away)
    };
    let (busy, (entered, sent_away)) = ask(&http, &options, &token, crowd).await?;

    let ms = |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    for (name, histogram) in [("quiet", &quiet), ("busy", &busy)] {
        println!(
            "{name:<6} {} answers: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
            histogram.len(),
            ms(histogram, 0.5),
            ms(histogram, 0.99),
            ms(histogram, 1.0)
        );
    }
    println!("p99 busy / quiet: {:.2}", ms(&busy, 0.99) / ms(&quiet, 0.99));
    println!("{entered} signed in, {sent_away} were told to come back");
    if let (Some(pid), Some(before)) = (options.pid, memory_before) {
        println!(
            "memory: {before:.0} MiB before, {:.0} MiB after, {:.0} MiB at most",
            resident_mib(pid)?,
            peak_mib(pid)?
        );
    }
    ensure!(entered > 0, "nobody could sign in");
    Ok(())
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
                let answer = request.send().await;
                let is_good = matches!(&answer, Ok(answer) if answer.status().is_success());
                let _ = send.send(is_good.then(|| due.elapsed()));
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
        let took = took.context("a question was not answered")?;
        histogram.record(u64::try_from(took.as_micros())?)?;
    }
    Ok((histogram, ended))
}

fn resident_mib(pid: u32) -> Result<f64> {
    status(pid, "VmRSS:")
}

fn peak_mib(pid: u32) -> Result<f64> {
    status(pid, "VmHWM:")
}

/// A figure of a process, in MiB.
fn status(pid: u32, name: &str) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).context("the system does not tell")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}
