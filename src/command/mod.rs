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
use portal_gateway::{config::Config, log, seal::Keyring, store::Store};
use tokio_util::sync::CancellationToken;

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
    let keys = Keyring::new(&config.data_keys.keys, &config.data_keys.data_dir)?;
    let store = Store::connect(&config.store).await?;
    store.migrate(&keys).await?;
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
