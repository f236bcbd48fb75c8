//! `account`: what an operator does to one person's account.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use portal_gateway::{clock::Clock, identity::FactorDesk, jobs::Queue, seal::Keyring};

/// What is done with an account.
#[derive(Subcommand)]
pub enum Command {
    /// Takes authenticator app, recovery codes and passkeys away from a person who lost them all, after you have made sure who it is.
    /// The password and a mailed code sign in from then on. All sessions end within 5 seconds, no device is trusted any more, and a mail
    /// tells the owner.
    ResetFactors(Whose),
}

/// Whose account.
#[derive(Args)]
pub struct Whose {
    /// The address with which the person signs in.
    #[arg(long, value_name = "ADDRESS")]
    email: String,
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    super::on_database(async |config, store| {
        let keys = Keyring::new(&config.data_keys.keys, &config.data_keys.data_dir)?;
        let jobs = Queue::new(store.clone(), keys, Clock::system());
        let desk = FactorDesk::new(store.clone(), jobs, Clock::system());
        let Command::ResetFactors(Whose { email }) = command;
        reset(&desk, &email).await.map(|()| ExitCode::SUCCESS)
    })
    .await
}

async fn reset(desk: &FactorDesk, email: &str) -> anyhow::Result<()> {
    let reset = desk.reset(email).await?.ok_or_else(|| anyhow!("nobody has this address"))?;
    if !reset.had_app && reset.passkeys == 0 {
        return Err(anyhow!("this account has neither an authenticator app nor a passkey: nothing was done"));
    }
    let app =
        if reset.had_app { "The authenticator app with its recovery codes" } else { "No authenticator app" };
    println!("{app} and {} removed.", super::counted(reset.passkeys, "passkey was", "passkeys were"));
    let ended = super::counted(reset.sessions_ended, "session", "sessions");
    println!("{ended} ended. The owner is told by mail.");
    Ok(())
}
