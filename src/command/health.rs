//! `health`: asks a running gateway whether it is ready, for container health checks.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use url::Url;

/// Which gateway to ask.
#[derive(Args)]
pub struct Options {
    /// Its address; by default this machine's, at the gateway's own port.
    #[arg(long, env = "HEALTH_URL")]
    url: Option<Url>,
    /// The port of the gateway on this machine.
    #[arg(long, env = "BFF_PORT", default_value_t = 4000)]
    port: u16,
}

/// Succeeds when the gateway says that it is ready.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    super::install_tls()?;
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(3)).build()?;
    let url = match options.url {
        Some(url) => url,
        None => Url::parse(&format!("http://127.0.0.1:{}/health/ready", options.port))?,
    };
    let answer = client.get(url).send().await?;
    if answer.status().is_success() {
        println!("ready");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("not ready: {}", answer.text().await?.trim());
    Ok(ExitCode::FAILURE)
}
