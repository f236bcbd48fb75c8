//! `account`: what an operator does to one person's account.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use portal_gateway::{clock::Clock, identity::AccountDesk, jobs::Queue, seal::Keyring};

/// What is done with an account.
#[derive(Subcommand)]
pub enum Command {
    /// Takes authenticator app, recovery codes and passkeys away from a person who lost them all, after you have made sure who it is.
    /// The password and a mailed code sign in from then on. All sessions end within 5 seconds, no device is trusted any more, and a mail
    /// tells the owner.
    ResetFactors(Whose),
    /// Closes an account: nobody signs in any more, all sessions end within 5 seconds, and no partner sees anything of it.
    Disable(Whose),
    /// Opens an account again that was closed.
    Enable(Whose),
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
        let desk = AccountDesk::new(store.clone(), jobs, Clock::system());
        match command {
            Command::ResetFactors(Whose { email }) => reset(&desk, &email).await?,
            Command::Disable(Whose { email }) => {
                let done = desk.disable(&email).await?.ok_or_else(nobody)?;
                say(done, "The account is disabled.", "this account is disabled already: nothing was done")?;
            }
            Command::Enable(Whose { email }) => {
                let done = desk.enable(&email).await?.ok_or_else(nobody)?;
                say(done, "The account is open again.", "this account is not disabled: nothing was done")?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}

fn nobody() -> anyhow::Error {
    anyhow!("nobody has this address")
}

fn say(is_done: bool, done: &str, otherwise: &'static str) -> anyhow::Result<()> {
    if !is_done {
        return Err(anyhow!(otherwise));
    }
    println!("{done}");
    Ok(())
}

async fn reset(desk: &AccountDesk, email: &str) -> anyhow::Result<()> {
    let reset = desk.reset_factors(email).await?.ok_or_else(nobody)?;
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
