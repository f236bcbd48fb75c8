//! `migrate`: brings the database up to date.

use std::process::ExitCode;

/// Connects, and applies what is missing.
pub async fn run() -> anyhow::Result<ExitCode> {
    let config = match super::configuration() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    super::install_tls()?;
    let store = super::open_store(&config).await?;
    store.close().await;
    println!("The database is up to date.");
    Ok(ExitCode::SUCCESS)
}
