//! The gateway and the sandbox in this process, each on ports of its own, and clients that ask.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{NaiveDate, NaiveTime};
use portal_gateway::{
    app::App,
    clock::{Clock, TOKYO},
    config::Config,
    http,
    id::{AccountId, ClientId},
    identity::Registration,
    sandbox::{
        Options, Sandbox,
        core::Core,
        credentials,
        journal::Kind,
        world::{System, ids},
    },
    schema,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// The day on which every test runs.
pub fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
}

/// A running gateway over a running sandbox; both end with it.
pub struct Gateway {
    pub url: String,
    pub app: App,
    pub sandbox: Sandbox,
    pub http: reqwest::Client,
    stop: CancellationToken,
    _data: tempfile::TempDir,
}

/// What a test wants different.
#[derive(Default)]
pub struct Wishes {
    /// Environment variables on top of the usual ones.
    pub env: HashMap<&'static str, String>,
    /// Whether the emulators take their time.
    pub delay: bool,
}
