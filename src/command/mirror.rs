//! `mirror`: fills the mirrors of billing's lists, or empties them.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use futures::{StreamExt, stream};
use portal_gateway::{
    app::App,
    billing::Billing,
    clock::Clock,
    deadline::{Budget, Lane},
    error::Error,
    store::{Mapping, Store},
};

use super::progress::Progress;

/// How long one customer may take. Nobody waits for one.
const WITHIN: Duration = Duration::from_secs(60);
/// Customers that are read at once.
const AT_ONCE: usize = 2;
/// Customers that are looked up at once.
const PAGE: u32 = 500;
/// How often a customer is asked for again when a limit is reached.
const TRIES: u32 = 5;
/// The longest wait before that.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What is done with the mirrors.
#[derive(Subcommand)]
pub enum Command {
    /// Reads the lists of every customer from billing, in the background lane, and writes their mirrors.
    Rebuild(Rebuild),
    /// Empties the mirrors. They fill again as customers ask.
    Drop,
}

/// Options of `mirror rebuild`.
#[derive(Args)]
pub struct Rebuild {
    /// Leaves out customers whose lists were all read within so many minutes, so that what was stopped goes on; 0 leaves out none.
    #[arg(long, default_value_t = 60)]
    pub newer_than: u32,
}

/// Does it. The exit code of a rebuild tells whether some customers failed.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let config = match super::configuration() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    super::install_tls()?;
    match command {
        Command::Drop => {
            let store = super::open_store(&config).await?;
            let lists = store.drop_mirrors().await?;
            store.close().await;
            println!("The mirrors are empty; {} in them.", super::counted(lists, "list was", "lists were"));
            Ok(ExitCode::SUCCESS)
        }
        Command::Rebuild(options) => {
            let clock = Clock::system();
            let app = App::build(&config, clock.clone()).await?;
            let since = clock.now() - TimeDelta::minutes(i64::from(options.newer_than));
            let done = rebuild(&app, Some(since).filter(|_| options.newer_than > 0)).await?;
            app.store.close().await;
            Ok(done.tell())
        }
    }
}

/// What a rebuild came to.
#[derive(Default)]
struct Done {
    rebuilt: u64,
    left_out: u64,
    /// By the code of the failure.
    failed: BTreeMap<&'static str, u64>,
}

impl Done {
    fn count(&mut self, outcome: Result<Outcome, Error>) {
        match outcome {
            Ok(Outcome::Rebuilt) => self.rebuilt += 1,
            Ok(Outcome::LeftOut) => self.left_out += 1,
            Err(error) => *self.failed.entry(error.code()).or_default() += 1,
        }
    }

    /// Prints it.
    fn tell(&self) -> ExitCode {
        let read = super::counted(self.rebuilt, "customer was", "customers were");
        let left_out = super::counted(self.left_out, "was", "were");
        println!("{read} read, {left_out} left out as new enough.");
        if self.failed.is_empty() {
            return ExitCode::SUCCESS;
        }
        for (code, count) in &self.failed {
            eprintln!("{} failed: {code}", super::counted(*count, "customer", "customers"));
        }
        ExitCode::FAILURE
    }
}

enum Outcome {
    Rebuilt,
    LeftOut,
}

/// Reads every mapped customer, except those whose lists were all read since an instant.
async fn rebuild(app: &App, since: Option<DateTime<Utc>>) -> anyhow::Result<Done> {
    let mut progress = Progress::new("customers", app.store.count_mappings().await?);
    let (mut done, mut last) = (Done::default(), None);
    loop {
        let page = app.store.mappings_after(last, PAGE).await?;
        let Some(end) = page.last() else { break };
        last = Some(end.user);
        let mut outcomes = stream::iter(page)
            .map(|mapping| read(&app.billing, &app.store, mapping, since))
            .buffer_unordered(AT_ONCE);
        while let Some(outcome) = outcomes.next().await {
            done.count(outcome);
            progress.step(1);
        }
    }
    progress.end();
    Ok(done)
}

async fn read(
    billing: &Billing,
    store: &Store,
    mapping: Mapping,
    since: Option<DateTime<Utc>>,
) -> Result<Outcome, Error> {
    if let Some(since) = since
        && store.is_mirrored_since(mapping.client, since).await?
    {
        return Ok(Outcome::LeftOut);
    }
    let mut tries = 1;
    loop {
        let budget = Budget::new(WITHIN, Lane::Background);
        match billing.mirror_anew(mapping.client, budget).await {
            Err(Error::RateLimited { retry_after, .. }) if tries < TRIES => {
                tokio::time::sleep(retry_after.min(PAUSE_MAX)).await;
                tries += 1;
            }
            outcome => return outcome.map(|()| Outcome::Rebuilt),
        }
    }
}
