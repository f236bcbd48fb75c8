//! The coordinator of workflows.
//!
//! A workflow lies in one row, sealed: which step is next, what it knows, and whether the step has been begun. A step that
//! calls outside is stored as begun before it calls. A run that finds it so does not know what became of the call: the step is
//! told ([`Turn::again`]) and looks before it sends. A step that only writes here does so in the transaction that stores its
//! outcome. A refusal leads to the step that the refused one names: from there on what was done is undone, by steps again. What
//! the audit log is told of that is written with where the workflow stands.
//!
//! The row is the truth; the job (see [`crate::jobs`]) only says that somebody has to look at it, under its lease and with its
//! waits. A run that outlived its lease stores nothing: the fencing number of the row has risen.

use std::{collections::BTreeSet, marker::PhantomData, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{sync::Notify, time};
use uuid::Uuid;

use crate::{
    clock::Clock,
    deadline::{Budget, Lane},
    error::{Error, Result},
    jobs::{Job, Queue, Setback, Try},
    seal::{Keyring, Place},
    store::{
        Store, Tx,
        audit::Event,
        workflows::{End, NewWorkflow, Standing, TakenWorkflow},
    },
};

/// How long one step may take: less than the shortest lease of a job, of which a run gets three quarters.
const STEP_WITHIN: Duration = Duration::from_secs(7);
/// How often whoever waits looks whether another replica has ended the workflow.
const LOOK: Duration = Duration::from_millis(250);
/// How long the outcome of an ended workflow can be asked for.
const KEPT: TimeDelta = TimeDelta::days(7);

/// A workflow: what it knows, and its steps.
pub trait Workflow: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its name. It never changes, since workflows outlive releases.
    const KIND: &'static str;
    /// Its steps, in their order. A name never changes its meaning.
    const STEPS: &'static [Step<Self>];
    /// What the steps work with.
    type Tools: Clone + Send + Sync + 'static;

    /// What the audit log is to say when it ends without having done what it was to do. The engine adds why.
    fn refusal(&self, at: DateTime<Utc>) -> Event;

    /// What the audit log is to say of a step that was done, or refused, in itself: where others were told something, or
    /// something was undone. `None` for all others, of which the end tells.
    fn event(&self, _step: &'static str, _at: DateTime<Utc>) -> Option<Event> {
        None
    }
}

/// One step.
pub struct Step<W: Workflow> {
    /// Its name in the row.
    pub name: &'static str,
    /// What it does.
    pub act: Act<W>,
    /// Where a refusal leads; `None` when there is nothing to undo: then the workflow ends.
    pub otherwise: Option<&'static str>,
    /// Whether a call that surely did nothing, since a system is away, ends the workflow instead of being repeated: the
    /// person is told, and may come back.
    pub gives_up: bool,
}

/// What a step does. It may change what the workflow knows; that is stored with its outcome.
pub enum Act<W: Workflow> {
    /// Calls outside.
    Ask(for<'a> fn(&'a mut W, &'a W::Tools, Turn) -> BoxFuture<'a, Result<Next>>),
    /// Writes here, in the transaction that stores its outcome.
    Store(for<'a> fn(&'a mut W, &'a W::Tools, &'a mut Tx) -> BoxFuture<'a, Result<Next>>),
}

/// What a step that calls outside is told.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// The step was begun before, and nobody knows what became of it: look before sending.
    pub again: bool,
    /// When it was begun, or when what it called was given up.
    pub since: DateTime<Utc>,
    /// What the calls may spend.
    pub budget: Budget,
}

/// What comes after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The step behind it.
    On,
    /// The step once more, as if it had never been begun: what nobody knew has surely not happened. What it sends is
    /// stored as sent anew.
    Anew,
    /// The end. What came of it is kept, and must not be personal data.
    Done(String),
    /// The end, after everything was undone, for the reasons of the refusal.
    Refused,
}

/// How a workflow stands, for whoever began it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on; ask again.
    Running,
    /// It did what it was to do; with what came of it.
    Done(String),
    /// It ended without; with the codes that say why. It may be begun anew.
    Refused(Vec<String>),
}

/// What became of beginning a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It runs, or has run, under this id.
    Here,
    /// Another of the same key runs.
    Busy,
}

/// The code of a workflow that gave up because a system is away; behind a colon, which one: `TRY_LATER:BILLING`.
pub const TRY_LATER: &str = "TRY_LATER";

/// What lies in the row.
#[derive(Serialize, Deserialize)]
#[serde(bound = "W: Workflow")]
struct State<W> {
    workflow: W,
    /// Why it was refused, while what was done is undone.
    refusal: BTreeSet<String>,
}

/// That somebody has to look at a workflow.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Visit<W> {
    id: Uuid,
    #[serde(skip)]
    kind: PhantomData<fn() -> W>,
}

impl<W: Workflow> Job for Visit<W> {
    const KIND: &'static str = W::KIND;
}

/// Begins and runs workflows of one kind. Clones share everything.
pub struct Engine<W: Workflow>(Arc<Inner<W>>);

impl<W: Workflow> Clone for Engine<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<W: Workflow> {
    store: Store,
    keys: Keyring,
    clock: Clock,
    queue: Queue,
    tools: W::Tools,
    news: Notify,
    /// Tries of a run before people must look.
    attempts: u32,
}

/// What a run works on.
struct Run<W> {
    taken: TakenWorkflow,
    state: State<W>,
    at: usize,
    again: bool,
    since: DateTime<Utc>,
}

impl<W: Workflow> Engine<W> {
    /// An engine whose steps work with these tools.
    pub fn new(
        store: Store,
        keys: Keyring,
        clock: Clock,
        queue: Queue,
        tools: W::Tools,
        attempts: u32,
    ) -> Self {
        Self(Arc::new(Inner { store, keys, clock, queue, tools, news: Notify::new(), attempts }))
    }

    /// How often a run is tried before people must look.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// Begins a workflow, unless there is one of this id, which has not been refused, or one of this key runs. `key` is a
    /// keyed hash.
    ///
    /// # Errors
    /// [`Error::StoreAway`] and [`Error::Internal`]; then nothing was begun.
    pub async fn begin(&self, id: Uuid, key: &[u8], workflow: W) -> Result<Begun> {
        let this = &*self.0;
        let mut tx = this.store.begin().await?;
        if !self.begin_within(&mut tx, id, key, workflow).await? {
            drop(tx);
            // One that was refused is not in the way, and says nothing of what is asked for now.
            let standing = this.store.workflow_standing(id).await?;
            let is_here = matches!(standing, Some(Standing::Running | Standing::Done(_)));
            return Ok(if is_here { Begun::Here } else { Begun::Busy });
        }
        tx.commit().await?;
        this.queue.wake();
        Ok(Begun::Here)
    }

    /// The same with everything else that a transaction does; whoever commits it wakes the queue. False when there is one of
    /// this id, or another of this key runs: then nothing was begun.
    ///
    /// # Errors
    /// As [`Engine::begin`]; then the transaction is to be undone.
    pub async fn begin_within(&self, tx: &mut Tx, id: Uuid, key: &[u8], workflow: W) -> Result<bool> {
        let this = &*self.0;
        let now = this.clock.now();
        let state = this.seal(id, &State { workflow, refusal: BTreeSet::new() })?;
        let step = W::STEPS.first().ok_or_else(|| Error::internal("a workflow without steps"))?.name;
        let new = NewWorkflow { id, kind: W::KIND, key, state: &state, step, at: now };
        tx.purge_workflows(now - KEPT).await?;
        if !tx.insert_workflow(&new).await? {
            return Ok(false);
        }
        // Every beginning has a job of its own: the key of a refused one is still remembered.
        let visit = Visit { id, kind: PhantomData::<fn() -> W> };
        this.queue.put(tx, &Uuid::now_v7().to_string(), &visit).await?;
        Ok(true)
    }

    /// How a workflow stands; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::StoreAway`] and [`Error::Internal`].
    pub async fn outcome(&self, id: Uuid) -> Result<Option<Outcome>> {
        Ok(self.0.store.workflow_standing(id).await?.map(|standing| match standing {
            Standing::Running => Outcome::Running,
            Standing::Done(result) => Outcome::Done(result),
            Standing::Refused(codes) => Outcome::Refused(codes.split(' ').map(str::to_owned).collect()),
        }))
    }

    /// Waits for the end of a workflow, on whichever replica it runs, at most so long.
    ///
    /// # Errors
    /// As [`Engine::outcome`].
    pub async fn wait(&self, id: Uuid, within: Duration) -> Result<Outcome> {
        let until = time::Instant::now() + within;
        loop {
            let news = self.0.news.notified();
            match self.outcome(id).await {
                // Whoever waits need not know that a look failed: there will be another.
                Ok(Some(Outcome::Running)) | Err(Error::StoreAway(_)) => {}
                Ok(Some(outcome)) => return Ok(outcome),
                Ok(None) => return Err(Error::internal("a workflow is gone while it is waited for")),
                Err(error) => return Err(error),
            }
            if time::Instant::now() >= until {
                return Ok(Outcome::Running);
            }
            let _ = time::timeout(LOOK, news).await;
        }
    }

    /// Does a job that [`Engine::begin`] put in: runs the workflow as far as it goes.
    ///
    /// # Errors
    /// [`Setback::Later`] when it has to be looked at again.
    pub async fn visit(&self, visit: Visit<W>, this: Try) -> Result<(), Setback> {
        let done = self.0.run(visit.id, this.number >= self.0.attempts).await;
        self.0.news.notify_waiters();
        done
    }
}

impl<W: Workflow> Inner<W> {
    async fn run(&self, id: Uuid, is_last: bool) -> Result<(), Setback> {
        let taken = self.store.take_workflow(id).await.map_err(|error| later(&error.into()))?;
        let Some(taken) = taken else { return Ok(()) };
        let mut run = self.open(taken).map_err(|error| later(&error))?;
        let went = loop {
            match self.step(&mut run).await {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let Err(error) = went else { return Ok(()) };
        let step = W::STEPS[run.at].name;
        tracing::warn!(
            kind = W::KIND, workflow = %id, step, cause = cause(&error), "a workflow has to be looked at again"
        );
        let now = self.clock.now();
        if is_last && let Err(error) = self.store.workflow_needs_review(&run.taken, now).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a workflow cannot be left to people");
        }
        // What was sent may still be at work: the time to wait for it begins now.
        if !run.again
            && let Err(error) = self.store.workflow_given_up(&run.taken, now).await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "when a call was given up cannot be stored"
            );
        }
        Err(later(&error))
    }

    fn open(&self, taken: TakenWorkflow) -> Result<Run<W>> {
        let plain = self.keys.open(place(&taken.id), &taken.state).map_err(Error::internal)?;
        // The cause may quote what the workflow knows.
        let state = serde_json::from_slice(&plain)
            .map_err(|_| Error::internal("what a workflow knows cannot be read"))?;
        let at = W::STEPS
            .iter()
            .position(|step| step.name == taken.step)
            .ok_or_else(|| Error::internal("a workflow is at a step that this release does not know"))?;
        Ok(Run { state, at, again: taken.is_sending, since: taken.updated_at, taken })
    }

    /// Does one step; false when the workflow has ended, or another run has it.
    async fn step(&self, run: &mut Run<W>) -> Result<bool> {
        let step = &W::STEPS[run.at];
        let (outcome, tx) = match &step.act {
            Act::Ask(ask) => {
                if !run.again {
                    if !self.save(run, self.store.begin().await?, true).await? {
                        return Ok(false);
                    }
                    run.since = self.clock.now();
                }
                let budget = Budget::new(STEP_WITHIN, Lane::Interactive);
                let turn = Turn { again: run.again, since: run.since, budget };
                (ask(&mut run.state.workflow, &self.tools, turn).await, None)
            }
            Act::Store(store) => {
                let mut tx = self.store.begin().await?;
                let outcome = store(&mut run.state.workflow, &self.tools, &mut tx).await;
                // What failed is undone.
                let kept = outcome.is_ok().then_some(tx);
                (outcome, kept)
            }
        };
        match outcome {
            Ok(Next::On) if run.at + 1 < W::STEPS.len() => {
                let mut tx = self.tx(tx).await?;
                self.tell(&mut tx, run, step, None);
                (run.at, run.again) = (run.at + 1, false);
                self.save(run, tx, false).await
            }
            Ok(Next::On) => Err(Error::internal("the last step of a workflow does not end it")),
            Ok(Next::Anew) => {
                run.again = false;
                Ok(true)
            }
            Ok(Next::Done(result)) => self.end(run, self.tx(tx).await?, End::Done, &result).await,
            Ok(Next::Refused) => {
                let mut tx = self.tx(tx).await?;
                self.tell(&mut tx, run, step, None);
                self.refuse(run, tx).await
            }
            Err(Error::Rejected(errors)) => {
                run.state.refusal.extend(errors.iter().map(|error| error.code.to_owned()));
                self.turn_back(run, step, errors.first().map_or("REFUSED", |error| error.code)).await
            }
            Err(error) if step.gives_up && !run.again && surely_did_nothing(&error) => {
                let service = error.service().map_or("", |service| service.as_str());
                run.state.refusal.insert(format!("{TRY_LATER}:{service}"));
                self.turn_back(run, step, TRY_LATER).await
            }
            Err(error) => Err(error),
        }
    }

    /// Goes to where a refusal leads.
    async fn turn_back(&self, run: &mut Run<W>, step: &Step<W>, why: &'static str) -> Result<bool> {
        let mut tx = self.store.begin().await?;
        self.tell(&mut tx, run, step, Some(why));
        let Some(name) = step.otherwise else { return self.refuse(run, tx).await };
        run.at = W::STEPS
            .iter()
            .position(|step| step.name == name)
            .ok_or_else(|| Error::internal("a step leads to one that is not there"))?;
        run.again = false;
        self.save(run, tx, false).await
    }

    /// Tells the audit log of a step, with its outcome.
    fn tell(&self, tx: &mut Tx, run: &Run<W>, step: &Step<W>, refused: Option<&'static str>) {
        if let Some(event) = run.state.workflow.event(step.name, self.clock.now()) {
            let event = event.with("workflow", run.taken.id);
            tx.audit(match refused {
                Some(why) => event.refused(why),
                None => event,
            });
        }
    }

    async fn refuse(&self, run: &Run<W>, mut tx: Tx) -> Result<bool> {
        let codes: Vec<_> = run.state.refusal.iter().map(String::as_str).collect();
        let codes = codes.join(" ");
        let event = run.state.workflow.refusal(self.clock.now());
        tx.audit(event.refused(codes.as_str()).with("workflow", run.taken.id));
        self.end(run, tx, End::Refused, &codes).await
    }

    async fn tx(&self, tx: Option<Tx>) -> Result<Tx> {
        Ok(match tx {
            Some(tx) => tx,
            None => self.store.begin().await?,
        })
    }

    /// Stores where a workflow stands, with everything else in the transaction. False when another run has it.
    async fn save(&self, run: &Run<W>, mut tx: Tx, is_sending: bool) -> Result<bool> {
        let state = self.seal(run.taken.id, &run.state)?;
        let (step, now) = (W::STEPS[run.at].name, self.clock.now());
        let is_ours = tx.save_workflow(&run.taken, &state, step, is_sending, now).await?;
        if is_ours {
            tx.commit().await?;
        }
        Ok(is_ours)
    }

    async fn end(&self, run: &Run<W>, mut tx: Tx, end: End, result: &str) -> Result<bool> {
        if tx.end_workflow(&run.taken, end, result, self.clock.now()).await? {
            tx.commit().await?;
            self.queue.wake();
            metrics::counter!("workflows_total", "kind" => W::KIND, "outcome" => if end == End::Done { "done" } else { "refused" })
                .increment(1);
        }
        Ok(false)
    }

    fn seal(&self, id: Uuid, state: &State<W>) -> Result<Vec<u8>> {
        let plain = serde_json::to_vec(state)
            .map_err(|_| Error::internal("what a workflow knows cannot be written"))?;
        self.keys.seal(place(&id), &plain).map_err(Error::internal)
    }
}

fn place(id: &Uuid) -> Place<'_> {
    Place { table: "workflows", column: "state", row: id.as_bytes() }
}

/// A failure before anything was sent.
fn surely_did_nothing(error: &Error) -> bool {
    matches!(error, Error::Unavailable { .. } | Error::RateLimited { .. })
}

fn later(error: &Error) -> Setback {
    Setback::Later(cause(error))
}

/// The public sentence and the cause, neither of which holds personal data.
fn cause(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
