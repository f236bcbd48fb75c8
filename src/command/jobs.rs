//! `jobs`: looks after jobs that were given up.

use std::process::ExitCode;

use chrono::{SecondsFormat, Utc};
use clap::{Args, Subcommand};
use uuid::Uuid;

/// Dead jobs that are shown.
const SHOWN: u32 = 500;

/// What is done with the dead jobs.
#[derive(Subcommand)]
pub enum Command {
    /// Shows the jobs that were given up, newest first. What they were to do stays hidden.
    List,
    /// Lets jobs that were given up begin anew.
    Retry(Retry),
}

/// Options of `jobs retry`.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Retry {
    /// The id of one job.
    #[arg(value_name = "UUID", value_parser = super::uuid)]
    job: Option<Uuid>,
    /// All of them.
    #[arg(long)]
    all: bool,
}

/// Does it. The exit code is 1 when the job that was named is not a dead one.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    super::on_database(async |_, store| match command {
        Command::List => {
            for job in store.dead_jobs(SHOWN).await? {
                let died_at = job.died_at.to_rfc3339_opts(SecondsFormat::Secs, true);
                let tries = super::counted(job.attempts, "try", "tries");
                println!("{}  {died_at}  {}  {tries}  {}", job.job_id, job.kind, job.reason);
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Retry(retry) => {
            let revived = store.revive_jobs(retry.job, Utc::now()).await?;
            println!("{} anew.", super::counted(revived, "job begins", "jobs begin"));
            Ok(if revived == 0 && !retry.all { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
    })
    .await
}
