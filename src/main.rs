//! The commands of the gateway: `portal-gateway help`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the commands speak to a terminal")]

mod command;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;

/// Gives back what a crowd took, which the system's allocator keeps, and is faster with small things.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// One GraphQL API over billing, CRM and mobile lines.
#[derive(Parser)]
#[command(version, about, disable_help_subcommand = false)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts the gateway and the sandbox in one process, with demo customers.
    #[cfg(feature = "sandbox")]
    Dev(command::dev::Options),
    /// Starts the gateway against the configured systems.
    Serve,
    /// Starts the emulators alone, for other clients.
    #[cfg(feature = "sandbox")]
    Sandbox(command::sandbox::Options),
    /// Brings the database up to date.
    Migrate,
    /// Fills or empties the mirrors: the lists of billing that are shown when it does not answer.
    #[command(subcommand)]
    Mirror(command::mirror::Command),
    /// Shows the jobs that were given up, or lets them begin anew.
    #[command(subcommand)]
    Jobs(command::jobs::Command),
    /// Reads the audit log, finds out whether it is as it was written, or deletes what is old.
    #[command(subcommand)]
    Audit(command::audit::Command),
    /// Helps one person: takes lost second factors away.
    #[command(subcommand)]
    Account(command::account::Command),
    /// Shows the keys of access tokens, or replaces one without signing anybody out.
    #[command(subcommand)]
    Keys(command::keys::Command),
    /// Creates and revokes partners, replaces their secrets, and shows what they used.
    #[command(subcommand)]
    Partner(command::partner::Command),
    /// Prints the schema, writes it to a file, or compares it with one.
    Schema(command::schema::Options),
    /// Reads the configuration and tries every system; lists all faults at once.
    Check,
    /// Asks a running gateway whether it is ready.
    Health(command::health::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        #[cfg(feature = "sandbox")]
        Command::Dev(options) => command::dev::run(options).await,
        Command::Serve => command::serve::run().await,
        #[cfg(feature = "sandbox")]
        Command::Sandbox(options) => command::sandbox::run(options).await,
        Command::Migrate => command::migrate::run().await,
        Command::Mirror(mirror) => command::mirror::run(mirror).await,
        Command::Jobs(jobs) => command::jobs::run(jobs).await,
        Command::Audit(audit) => command::audit::run(audit).await,
        Command::Account(account) => command::account::run(account).await,
        Command::Keys(keys) => command::keys::run(keys).await,
        Command::Partner(partner) => command::partner::run(partner).await,
        Command::Schema(options) => command::schema::run(&options),
        Command::Check => command::check::run().await,
        Command::Health(options) => command::health::run(options).await,
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("portal-gateway: {}", told_once(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes in one line, each said once: some errors repeat their cause in their own words.
fn told_once(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |line, cause| match cause.to_string() {
        first if line.is_empty() => first,
        known if line.contains(&known) => line,
        more => format!("{line}: {more}"),
    })
}
