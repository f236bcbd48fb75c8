//! `keys`: the keys that sign access tokens, and those under which personal data lies sealed.

use std::process::ExitCode;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clap::{Args, Subcommand};
use portal_gateway::{
    config::Config,
    identity::{self, KeyState},
    store::Store,
};

use super::progress::Progress;

/// What is done with the keys.
#[derive(Subcommand)]
pub enum Command {
    /// Shows the keys of access tokens that lie in the database. Their private parts stay hidden.
    List,
    /// Replaces a key.
    #[command(subcommand)]
    Rotate(Rotate),
}

/// Which key is replaced.
#[derive(Subcommand)]
pub enum Rotate {
    /// Makes a new key for access tokens. Nobody is signed out.
    Signing(Signing),
    /// Seals everything anew with the first key of DATA_KEYS, so that the others can be taken away. All replicas must have that key first;
    /// they go on meanwhile. What was stopped goes on when it is begun again.
    Data,
}

/// Options of `keys rotate signing`.
#[derive(Args)]
pub struct Signing {
    /// How long the new key is published before it signs. Less than 10 makes others who keep the published keys refuse tokens for a while.
    #[arg(long, value_name = "MINUTES", default_value_t = 10, value_parser = clap::value_parser!(u16))]
    lead: u16,
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    super::on_database(async |config, store| match command {
        Command::List => list(config, store).await,
        Command::Rotate(Rotate::Signing(options)) => rotate_signing(config, store, &options).await,
        Command::Rotate(Rotate::Data) => rotate_data(store).await,
    })
    .await
}

async fn list(config: &Config, store: &Store) -> anyhow::Result<ExitCode> {
    if config.identity.signing_key.is_some() {
        println!(
            "Access tokens are signed by the key of AUTH_SIGNING_KEY_PATH, which the database does not hold."
        );
    }
    for key in identity::signing_keys(store, Utc::now()).await? {
        let state = match key.state {
            KeyState::Next => "next",
            KeyState::Active => "active",
            KeyState::Retired => "retired",
        };
        let until = key.verifies_until.map_or_else(|| "-".to_owned(), second);
        println!("{}  {state:<7}  signs from {}  verifies until {until}", key.kid, second(key.signs_from));
    }
    Ok(ExitCode::SUCCESS)
}

async fn rotate_signing(config: &Config, store: &Store, options: &Signing) -> anyhow::Result<ExitCode> {
    if config.identity.signing_key.is_some() {
        eprintln!(
            "portal-gateway: access tokens are signed by the key of AUTH_SIGNING_KEY_PATH: replace that file, \
             or leave the setting out, so that keys are kept in the database"
        );
        return Ok(ExitCode::FAILURE);
    }
    let lead = TimeDelta::minutes(i64::from(options.lead));
    let (kid, signs_from) = identity::rotate_signing_key(store, Utc::now(), lead).await?;
    println!("The key {kid} signs access tokens from {} on.", second(signs_from));
    Ok(ExitCode::SUCCESS)
}

/// Walks until a walk finds nothing to do: what was written meanwhile may lie under the key of whoever wrote it.
async fn rotate_data(store: &Store) -> anyhow::Result<ExitCode> {
    let mut all = 0;
    loop {
        let mut progress = Progress::new("values", store.count_sealed().await?);
        let walk = store.reseal(|more| progress.step(more)).await?;
        progress.end();
        all += walk.done;
        if !walk.failed.is_empty() {
            for (column, count) in &walk.failed {
                eprintln!("Of {column} {} not open.", super::counted(*count, "value does", "values do"));
            }
            eprintln!("No key can be taken away. {} sealed anew.", sealed(all));
            return Ok(ExitCode::FAILURE);
        }
        if walk.done + walk.overtaken == 0 {
            break;
        }
    }
    println!("{} sealed anew.", sealed(all));
    let gone = store.forget_data_keys(Utc::now()).await?;
    if gone.is_empty() {
        println!("Nothing lies under another key than the first of DATA_KEYS.");
    } else {
        let gone = gone.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        println!("Nothing lies under these keys any more, which can be taken out of DATA_KEYS: {gone}.");
    }
    Ok(ExitCode::SUCCESS)
}

fn sealed(count: u64) -> String {
    super::counted(count, "value was", "values were")
}

fn second(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
