//! `health`: asks a running gateway whether it is ready, for container health checks.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use url::Url;

/// Which gateway to ask.
#[derive(Args)]
pub struct Options {
    /// Its address.
    #[arg(long, env = "HEALTH_URL", default_value = "http://127.0.0.1:4000/health/ready")]
    url: Url,
}

/// Succeeds when the gateway says that it is ready.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    super::install_tls()?;
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(3)).build()?;
    let answer = client.get(options.url).send().await?;
    if answer.status().is_success() {
        println!("ready");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("not ready: {}", answer.text().await?.trim());
    Ok(ExitCode::FAILURE)
}
