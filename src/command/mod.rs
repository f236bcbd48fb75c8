//! One module a command, and what they share.

pub mod account;
pub mod audit;
pub mod check;
#[cfg(feature = "sandbox")]
pub mod dev;
pub mod health;
pub mod jobs;
pub mod keys;
pub mod migrate;
pub mod mirror;
pub mod partner;
mod progress;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod schema;
pub mod serve;

use std::{io::IsTerminal, process::ExitCode};

use anyhow::{Context, anyhow};
use portal_gateway::{app, config::Config, log, store::Store};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The exit code of a configuration that cannot be used.
const BAD_CONFIGURATION: u8 = 2;

/// The configuration of the environment, or every fault of it on the terminal.
fn configuration() -> Result<Config, ExitCode> {
    Config::from_env(|name| std::env::var(name).ok()).map_err(|faults| {
        eprintln!("portal-gateway: the configuration cannot be used:");
        for fault in faults {
            eprintln!("  {fault}");
        }
        eprintln!("Every setting is described in .env.example.");
        ExitCode::from(BAD_CONFIGURATION)
    })
}

/// The database, up to date and open.
async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let (store, _) = app::open_store(config).await?;
    Ok(store)
}

/// What a command does with the database alone: opens it, and closes it however that ends.
async fn on_database(
    act: impl AsyncFnOnce(&Config, &Store) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let config = match configuration() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    install_tls()?;
    let store = open_store(&config).await?;
    let done = act(&config, &store).await;
    store.close().await;
    done
}

/// A number with what it counts: `1 secret was`, `2 secrets were`.
fn counted(count: impl Into<i128>, one: &str, more: &str) -> String {
    let count = count.into();
    format!("{count} {}", if count == 1 { one } else { more })
}

/// Reads an id as the log and the lists show it.
fn uuid(text: &str) -> Result<Uuid, String> {
    Uuid::try_parse(text)
        .map_err(|_| "must be a UUID, such as 0190abcd-0000-7000-8000-000000000000".to_owned())
}

/// Starts the log, on the terminal.
fn start_log(config: &Config) -> anyhow::Result<log::Guard> {
    let (filter, format) = (&config.server.log_level, config.server.log_format);
    let out = std::io::stderr();
    log::start(filter, format, out.is_terminal(), out).context("the log cannot be started")
}

/// Installs the one TLS implementation.
fn install_tls() -> anyhow::Result<()> {
    let provider = rustls::crypto::ring::default_provider();
    provider.install_default().map_err(|_| anyhow!("TLS was set up twice"))
}

/// Is cancelled when the process is asked to stop.
fn stop_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let stopping = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn({
        let stopping = stopping.clone();
        async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stopping.cancel();
        }
    });
    Ok(stopping)
}
