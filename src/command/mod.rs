//! One module a command, and what they share.

pub mod check;
#[cfg(feature = "sandbox")]
pub mod dev;
pub mod health;
pub mod migrate;
pub mod mirror;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod schema;
pub mod serve;

use std::{io::IsTerminal, process::ExitCode};

use anyhow::anyhow;
use portal_gateway::config::{Config, LogFormat};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

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

/// Starts the log.
fn start_log(config: &Config) {
    let filter = EnvFilter::new(&config.server.log_level);
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match config.server.log_format {
        LogFormat::Json => log.json().init(),
        LogFormat::Text => log.init(),
    }
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
