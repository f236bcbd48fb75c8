//! `audit`: reads the audit log, finds out whether it is as it was written, and deletes what is old.

use std::{
    io::{self, IsTerminal, Write},
    net::IpAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clap::{Args, Subcommand};
use portal_gateway::{
    id::UserId,
    identity,
    store::{
        Store,
        audit::{Anchor, EventRow, Filter},
    },
};
use serde_json::json;
use uuid::Uuid;

/// Events of one question.
const PAGE: u32 = 500;
/// How often a line tells how far it is.
const TELL: Duration = Duration::from_secs(2);

/// What is done with the log.
#[derive(Subcommand)]
pub enum Command {
    /// Prints events, oldest first, one JSON object a line.
    List(List),
    /// Reckons the chain anew, and names every event that was edited, moved or deleted. The exit code is 1 then.
    Verify(Verify),
    /// Deletes what is older than AUDIT_KEEP, as a running gateway does whose role may.
    Purge,
}

/// Options of `audit list`.
#[derive(Args)]
pub struct List {
    /// Of this act only, such as session.create.
    #[arg(long)]
    act: Option<String>,
    /// By this user, or about them.
    #[arg(long, value_name = "UUID", value_parser = super::uuid)]
    user: Option<Uuid>,
    /// From the network of this address only.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
    /// From an instant on, such as 2026-11-24T00:00:00Z, or for so long until now: 30m, 12h, 7d.
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<DateTime<Utc>>,
    /// How many at most.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    limit: u64,
}

/// Options of `audit verify`.
#[derive(Args)]
pub struct Verify {
    /// What an earlier `audit verify` printed: then events that were cut off from the end since show, too.
    #[arg(long, value_name = "SEQUENCE:HASH")]
    anchor: Option<Anchor>,
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    super::on_database(async |config, store| match command {
        Command::List(options) => list(store, options).await,
        Command::Verify(options) => verify(store, options.anchor.as_ref()).await,
        Command::Purge => purge(store, config.identity.audit_keep).await,
    })
    .await
}

async fn list(store: &Store, options: List) -> anyhow::Result<ExitCode> {
    let filter = Filter {
        act: options.act,
        user: options.user.map(UserId),
        since: options.since,
        network: options.address.map(identity::network_of),
    };
    let (mut after, mut left) = (0, options.limit);
    let mut out = io::stdout().lock();
    while left > 0 {
        let page = store.audit_events(&filter, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.sequence;
        for event in page.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            match writeln!(out, "{}", line(event)) {
                // Whoever read the lines has enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
                written => written?,
            }
            left -= 1;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn purge(store: &Store, keep: Duration) -> anyhow::Result<ExitCode> {
    let before = TimeDelta::from_std(keep).ok().and_then(|keep| Utc::now().checked_sub_signed(keep));
    let mut purged = 0;
    if let Some(before) = before {
        loop {
            match store.purge_audit(before).await? {
                0 => break,
                more => purged += more,
            }
        }
    }
    println!("{} deleted.", super::counted(purged, "event was", "events were"));
    Ok(ExitCode::SUCCESS)
}

/// An event as a JSON object. What is absent is left out.
fn line(event: &EventRow) -> serde_json::Value {
    let details = serde_json::from_str(&event.details).unwrap_or_else(|_| json!(event.details));
    let mut object = json!({
        "sequence": event.sequence,
        "at": event.at.to_rfc3339_opts(SecondsFormat::Micros, true),
        "act": event.act,
        "outcome": event.outcome,
        "reason": event.reason,
        "actor": { "kind": event.actor_kind, "id": event.actor_id },
        "subject": event.subject_id,
        "requestId": event.request_id,
        "network": event.network.as_ref().map(hex::encode),
        "userAgentClass": event.user_agent_class,
        "details": details,
        "hash": hex::encode(&event.hash),
    });
    if let Some(object) = object.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    object
}

async fn verify(store: &Store, anchor: Option<&Anchor>) -> anyhow::Result<ExitCode> {
    let is_terminal = io::stderr().is_terminal();
    let mut told = Instant::now();
    let verdict = store
        .verify_audit(anchor, |read, of| {
            if told.elapsed() >= TELL {
                told = Instant::now();
                eprint!(
                    "{}{read} of {of} events{}",
                    if is_terminal { "\r" } else { "" },
                    if is_terminal { "" } else { "\n" }
                );
            }
        })
        .await?;
    if verdict.faults.is_empty() {
        let events = super::counted(verdict.events, "event is as it was", "events are as they were");
        println!("{events} written.");
        println!("anchor {}", verdict.head);
        return Ok(ExitCode::SUCCESS);
    }
    for fault in &verdict.faults {
        println!("FAULT  {fault}");
    }
    let read = super::counted(verdict.events, "event was", "events were");
    Err(anyhow!("the audit log is not as it was written ({read} read)"))
}

/// An instant, or so long ago.
fn since(text: &str) -> Result<DateTime<Utc>, String> {
    let wrong = || "must be an instant such as 2026-11-24T00:00:00Z, or 30m, 12h, 7d".to_owned();
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(instant.to_utc());
    }
    let (digits, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let count: i64 = digits.parse().map_err(|_| wrong())?;
    let ago = match unit {
        "m" => TimeDelta::try_minutes(count),
        "h" => TimeDelta::try_hours(count),
        "d" => TimeDelta::try_days(count),
        _ => None,
    };
    ago.and_then(|ago| Utc::now().checked_sub_signed(ago)).ok_or_else(wrong)
}
