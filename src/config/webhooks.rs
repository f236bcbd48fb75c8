//! What other systems report, and how it is applied.

use std::time::Duration;

use crate::{
    config::reader::Reader,
    events,
    secret::{ExposeSecret, SecretString},
};

/// Bytes of a secret at least (requirement W1).
const SECRET_LENGTH: usize = 24;
/// Secrets that are active at once: the next one and the last one.
const SECRETS: usize = 2;

/// Who may report.
#[derive(Clone, Debug)]
pub struct Webhooks {
    /// The secrets of the billing system's hooks, one or two; empty when there are no hooks.
    pub whmcs_secrets: Vec<SecretString>,
    /// How far the time of a report may be from ours, either way.
    pub tolerance: Duration,
    /// Reports of one address in a second; a few seconds' worth may come at once.
    pub per_second: u32,
}

pub(super) fn read(env: &mut Reader<'_>) -> (Webhooks, events::Settings) {
    env.section("Events");
    let whmcs_secrets: Vec<SecretString> = env
        .get("WHMCS_WEBHOOK_SECRETS", "list of secrets of 24 bytes or more", "Secrets with which the hook file in WHMCS signs; two while one is replaced. Without one there is no /webhooks/whmcs.")
        .example("$(openssl rand -hex 32)")
        .secret()
        .list("", |text| {
            if text.len() < SECRET_LENGTH {
                return Err(format!("must be secrets of at least {SECRET_LENGTH} bytes"));
            }
            Ok(text.into())
        });
    if whmcs_secrets.len() > SECRETS {
        env.refuse("WHMCS_WEBHOOK_SECRETS", format!("may hold {SECRETS} secrets at most"));
    }
    if let [one, other] = &whmcs_secrets[..]
        && one.expose_secret() == other.expose_secret()
    {
        env.refuse("WHMCS_WEBHOOK_SECRETS", "holds the same secret twice");
    }
    let webhooks = Webhooks {
        whmcs_secrets,
        tolerance: env
            .get("WHMCS_WEBHOOK_TOLERANCE", "duration", "How far the clock of WHMCS may be from ours.")
            .duration("5m", "10s", "5m"),
        per_second: env
            .get(
                "WHMCS_WEBHOOK_RATE",
                "events a second",
                "Events of one address that are taken; five seconds' worth may come at once.",
            )
            .number(200, 1..=100_000),
    };
    let mut time = |name: &str, about: &str, default: &str, least: &str, most: &str| {
        env.get(name, "duration", about).duration(default, least, most)
    };
    let events = events::Settings {
        poll: time(
            "EVENTS_POLL",
            "How often a replica looks for events that another received.",
            "1s",
            "50ms",
            "1m",
        ),
        repeats: [
            time(
                "EVENTS_SECOND_PASS",
                "When an event that may come before its change is applied again.",
                "2s",
                "100ms",
                "1m",
            ),
            time(
                "EVENTS_THIRD_PASS",
                "When it is applied for the last time, after it was received.",
                "5s",
                "100ms",
                "5m",
            ),
        ],
        keep: time(
            "EVENTS_KEEP",
            "How long ids of events are remembered, so that a repetition has no effect.",
            "8d",
            "7d",
            "90d",
        ),
    };
    (webhooks, events)
}
