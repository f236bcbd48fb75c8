//! Does jobs: claims what is due, runs it within its lease, says how it went.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt, future::BoxFuture};
use tokio::{task::JoinSet, time};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    jobs::{Error, Job, Queue, Settings},
    seal,
    store::{self, jobs::ClaimedJob},
};

/// When a job comes again that this replica cannot do, but another may: a newer release, or one that has its key.
const ELSEWHERE: TimeDelta = TimeDelta::seconds(30);
/// How often the worker looks how much waits.
const LOOK: Duration = Duration::from_secs(15);
/// How often old jobs are forgotten.
const PURGE: Duration = Duration::from_secs(60 * 60);

/// What a handler is told besides the job itself.
#[derive(Clone, Copy, Debug)]
pub struct Try {
    /// The job's id: the same on every try, so what is done outside can be told apart by it.
    pub job: Uuid,
    /// Which try this is, from 1.
    pub number: u32,
}

/// Why a job is not done. The reason is kept with the job and logged: a sentence without personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setback {
    /// It may go better later.
    Later(String),
    /// It will never be done: it is given up at once.
    Hopeless(String),
}

type Run = dyn Fn(Queue, ClaimedJob) -> BoxFuture<'static, Result<Result<(), Setback>, Error>> + Send + Sync;

#[derive(Clone)]
struct Handler {
    run: Arc<Run>,
    attempts: u32,
}

/// How a try went.
enum Outcome {
    Done,
    /// It had become worthless.
    Expired,
    Failed(String),
    Dead(String),
    /// It counts as not tried.
    Postponed(TimeDelta),
}

/// Does jobs, a bounded number at once. One a replica.
#[derive(Clone)]
pub struct Worker {
    queue: Queue,
    settings: Settings,
    handlers: HashMap<&'static str, Handler>,
}

impl Worker {
    /// A worker that can do nothing yet: see [`Worker::on`].
    pub fn new(queue: Queue, settings: Settings) -> Self {
        Self { queue, settings, handlers: HashMap::new() }
    }

    /// Registers who does jobs of a kind, and how many tries one has (the setting's number when it is `None`). A job may be
    /// done more than once: a try whose end could not be stored is repeated.
    #[must_use]
    pub fn on<J, Doing>(
        mut self,
        attempts: Option<u32>,
        run: impl Fn(J, Try) -> Doing + Send + Sync + 'static,
    ) -> Self
    where
        J: Job,
        Doing: Future<Output = Result<(), Setback>> + Send + 'static,
    {
        let run = Arc::new(run);
        let run = move |queue: Queue, job: ClaimedJob| -> BoxFuture<'static, _> {
            let run = Arc::clone(&run);
            async move {
                let this = Try { job: job.id, number: u32::try_from(job.attempt).unwrap_or(u32::MAX) };
                let payload = queue.read::<J>(&job)?;
                Ok(run(payload, this).await)
            }
            .boxed()
        };
        let attempts = attempts.unwrap_or(self.settings.attempts);
        self.handlers.insert(J::KIND, Handler { run: Arc::new(run), attempts });
        self
    }

    /// Does jobs until `stopping` is cancelled; those under way may finish within a moment, the others are given back.
    pub async fn run(self, stopping: CancellationToken) {
        let mut poll = time::interval(self.settings.poll);
        poll.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let (mut look, mut purge) = (time::interval(LOOK), time::interval(PURGE));
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                _ = look.tick() => self.look().await,
                _ = purge.tick() => self.purge().await,
                Some(_) = running.join_next() => self.fill(&mut running, &stopping).await,
                () = self.queue.news.notified() => self.fill(&mut running, &stopping).await,
                _ = poll.tick() => self.fill(&mut running, &stopping).await,
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// Claims as many jobs as there is room for, and begins them.
    async fn fill(&self, running: &mut JoinSet<()>, stopping: &CancellationToken) {
        let room = self.settings.concurrency.saturating_sub(running.len());
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        if room == 0 {
            return;
        }
        match self.queue.store.claim_jobs(room, self.queue.clock.now(), self.settings.lease).await {
            Ok(claimed) => {
                for job in claimed {
                    let (worker, stopping) = (self.clone(), stopping.clone());
                    running.spawn(async move { worker.perform(job, stopping).await });
                }
            }
            // The next look tries again.
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "jobs cannot be claimed now");
            }
        }
    }

    /// One try of one job, to its end.
    pub(super) async fn perform(&self, job: ClaimedJob, stopping: CancellationToken) {
        let began = time::Instant::now();
        let stopped = async {
            stopping.cancelled().await;
            time::sleep(self.settings.grace).await;
        };
        let outcome = tokio::select! {
            outcome = self.attempt(&job) => outcome,
            () = stopped => Outcome::Postponed(TimeDelta::zero()),
        };
        let kind = self.handlers.get_key_value(job.kind.as_str()).map_or("unknown", |(kind, _)| *kind);
        metrics::histogram!("job_seconds", "kind" => kind).record(began.elapsed().as_secs_f64());
        let word = match self.settle(&job, outcome).await {
            Ok(word) => word,
            Err(error) => {
                tracing::warn!(
                    kind, job = %job.id, error = &error as &dyn std::error::Error,
                    "how a job went cannot be stored; it is tried again"
                );
                "unsettled"
            }
        };
        metrics::counter!("jobs_total", "kind" => kind, "outcome" => word).increment(1);
    }

    async fn attempt(&self, job: &ClaimedJob) -> Outcome {
        if job.expires_at.is_some_and(|end| end <= self.queue.clock.now()) {
            return Outcome::Expired;
        }
        let Some(handler) = self.handlers.get(job.kind.as_str()) else {
            return Outcome::Postponed(ELSEWHERE);
        };
        if job.attempt > i64::from(handler.attempts) {
            return Outcome::Dead("no try came to its end".to_owned());
        }
        let is_last = job.attempt == i64::from(handler.attempts);
        let failed = |reason: String| if is_last { Outcome::Dead(reason) } else { Outcome::Failed(reason) };
        let run = AssertUnwindSafe((handler.run)(self.queue.clone(), job.clone())).catch_unwind();
        // Ends before the lease does: whoever takes over does not do the same at the same time.
        match time::timeout(self.settings.lease * 3 / 4, run).await {
            Err(_) => failed("it took too long".to_owned()),
            Ok(Err(_)) => failed("it panicked".to_owned()),
            Ok(Ok(Err(Error::Seal(seal::Error::Refused | seal::Error::Malformed)))) => {
                Outcome::Dead("what it holds was changed".to_owned())
            }
            Ok(Ok(Err(error))) => {
                tracing::error!(
                    kind = job.kind, job = %job.id, error = &error as &dyn std::error::Error,
                    "a job cannot be read here; it waits for a replica that can"
                );
                Outcome::Postponed(ELSEWHERE)
            }
            Ok(Ok(Ok(Ok(())))) => Outcome::Done,
            Ok(Ok(Ok(Err(Setback::Later(reason))))) => failed(reason),
            Ok(Ok(Ok(Err(Setback::Hopeless(reason))))) => Outcome::Dead(reason),
        }
    }

    /// Stores how a try went. Gives the metric's word for it: `lost` when the lease had ended, and another does the job.
    async fn settle(&self, job: &ClaimedJob, outcome: Outcome) -> Result<&'static str, store::Error> {
        let (store, now) = (&self.queue.store, self.queue.clock.now());
        let (word, is_ours) = match &outcome {
            Outcome::Done | Outcome::Expired => {
                let mut tx = store.begin().await?;
                let is_ours = tx.job_finished(job, now).await?;
                tx.commit().await?;
                (if matches!(outcome, Outcome::Done) { "done" } else { "expired" }, is_ours)
            }
            Outcome::Failed(reason) => {
                let due = now + self.wait_after(job.attempt);
                ("failed", store.job_failed(job, reason, due).await?)
            }
            Outcome::Dead(reason) => ("dead", store.job_died(job, reason, now).await?),
            Outcome::Postponed(wait) => ("postponed", store.job_postponed(job, now + *wait).await?),
        };
        let (kind, attempt) = (job.kind.as_str(), job.attempt);
        if !is_ours {
            tracing::warn!(kind, job = %job.id, attempt, "a job's lease had ended before its try did");
            return Ok("lost");
        }
        match outcome {
            Outcome::Failed(reason) => tracing::warn!(kind, job = %job.id, attempt, reason, "a job failed"),
            Outcome::Dead(reason) => {
                tracing::error!(kind, job = %job.id, attempt, reason, "a job is given up: see its row in jobs");
            }
            Outcome::Done | Outcome::Expired | Outcome::Postponed(_) => {}
        }
        Ok(word)
    }

    /// Twice as long after each try, at most the longest wait, and somewhat less at random so that jobs which failed
    /// together do not come back together.
    fn wait_after(&self, attempt: i64) -> TimeDelta {
        let doublings = u32::try_from(attempt - 1).unwrap_or(0).min(31);
        let wait = self.settings.backoff.saturating_mul(1 << doublings).min(self.settings.backoff_most);
        TimeDelta::from_std(wait.mul_f64(rand::random_range(0.75..=1.0))).unwrap_or(TimeDelta::MAX)
    }

    async fn look(&self) {
        match self.queue.store.job_backlog().await {
            Ok(backlog) => {
                let now = self.queue.clock.now();
                for kind in self.handlers.keys() {
                    let of_kind = backlog.iter().find(|one| one.kind == *kind);
                    let overdue = of_kind.and_then(|one| (now - one.first_due?).to_std().ok());
                    let (waiting, dead) = of_kind.map_or((0, 0), |one| (one.waiting, one.dead));
                    #[expect(clippy::cast_precision_loss, reason = "a gauge; counts stay far below 2⁵³")]
                    {
                        metrics::gauge!("jobs_waiting", "kind" => *kind).set(waiting as f64);
                        metrics::gauge!("jobs_dead", "kind" => *kind).set(dead as f64);
                    }
                    metrics::gauge!("jobs_oldest_seconds", "kind" => *kind)
                        .set(overdue.unwrap_or_default().as_secs_f64());
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the jobs cannot be looked at");
            }
        }
    }

    async fn purge(&self) {
        let now = self.queue.clock.now();
        let before = |keep: Duration| -> DateTime<Utc> {
            TimeDelta::from_std(keep)
                .ok()
                .and_then(|keep| now.checked_sub_signed(keep))
                .unwrap_or(DateTime::<Utc>::MIN_UTC)
        };
        let (keep, keep_dead) = (before(self.settings.keep), before(self.settings.keep_dead));
        if let Err(error) = self.queue.store.purge_jobs(keep, keep_dead).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "old jobs cannot be forgotten now");
        }
    }
}
