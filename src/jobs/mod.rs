//! Durable work: what must be done after its cause was committed, by any replica, at least once.
//!
//! A [`Job`] is put into the [`Queue`] within the transaction of its cause, so it is there exactly when that is. A [`Worker`]
//! of any replica claims it under a lease, and finishes it only while the lease is still its own. What failed is tried
//! again after growing waits; what failed too often is dead, and kept until people look after it. What a job holds is
//! sealed at rest and gone once the job is done, so it may hold what a mail to a person must say.
//!
//! The queue is a table of ours. The one kept library that serves both databases, apalis 1.0, falls short of the rules:
//! it adds a job through a pool of its own and not in the caller's transaction; a lock belongs to a worker's name for as
//! long as that worker gives signs of life, and not to one claim, so what is stuck stays stuck, and a try that ends late
//! can still settle the job (its `reschedule` on SQLite asks for no lock at all); and its times are those of the
//! database, which no test can move.

#[cfg(test)]
mod tests;
mod worker;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Notify;
use uuid::Uuid;

pub use self::worker::{Setback, Try, Worker};
use crate::{
    clock::Clock,
    error,
    seal::{self, Keyring, Place},
    store::{
        self, Store, Tx,
        jobs::{ClaimedJob, NewJob},
    },
};

/// Something that is to be done.
pub trait Job: Serialize + DeserializeOwned + Send + 'static {
    /// Who does it: the name under which a handler is registered. It never changes, since jobs outlive releases.
    const KIND: &'static str;

    /// From then on it is worthless, and dropped without a try. `None`: never.
    fn expires_at(&self) -> Option<DateTime<Utc>> {
        None
    }
}

/// How jobs are done.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Jobs at once, on one replica.
    pub concurrency: usize,
    /// How often a replica looks for jobs that another put in, and for those that have become due.
    pub poll: Duration,
    /// How long a try may take before another replica takes over. The try itself is ended after three quarters of it.
    pub lease: Duration,
    /// Tries of a job, unless its kind has a number of its own (domain reference §28).
    pub attempts: u32,
    /// The wait after the first failed try; it doubles with each (domain reference §28).
    pub backoff: Duration,
    /// The longest wait.
    pub backoff_most: Duration,
    /// How long the key of a finished job is remembered.
    pub keep: Duration,
    /// How long a dead job is kept.
    pub keep_dead: Duration,
    /// How long running jobs may go on after the signal to stop; then they are given back.
    pub grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            concurrency: 8,
            poll: Duration::from_secs(1),
            lease: Duration::from_secs(60),
            attempts: 3,
            backoff: Duration::from_secs(5),
            backoff_most: Duration::from_secs(600),
            keep: Duration::from_secs(7 * DAY),
            keep_dead: Duration::from_secs(30 * DAY),
            grace: Duration::from_secs(20),
        }
    }
}

/// Why a job cannot be put in, or not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The data keys.
    #[error(transparent)]
    Seal(#[from] seal::Error),
    /// It cannot be written as JSON, or this release does not understand what another wrote. The cause is left out: it
    /// may quote what the job holds.
    #[error("what the job holds cannot be read or written")]
    Payload,
}

impl From<Error> for error::Error {
    fn from(cause: Error) -> Self {
        Self::internal(cause)
    }
}

/// The way in for jobs. Clones share everything.
#[derive(Clone)]
pub struct Queue {
    store: Store,
    keys: Keyring,
    clock: Clock,
    news: Arc<Notify>,
}

impl Queue {
    /// The queue of a store, whose jobs are sealed with these keys.
    pub fn new(store: Store, keys: Keyring, clock: Clock) -> Self {
        Self { store, keys, clock, news: Arc::default() }
    }

    /// Puts a job in, to be done at once after the transaction is committed. `key` names its cause, without personal
    /// data: of a kind, one job has it. False when there is one already; then nothing is changed.
    ///
    /// # Errors
    /// [`Error`]; then the transaction is to be undone.
    pub async fn put<J: Job>(&self, tx: &mut Tx, key: &str, job: &J) -> Result<bool, Error> {
        self.put_at(tx, key, job, self.clock.now()).await
    }

    /// As [`Queue::put`], to be done not before `due_at`.
    ///
    /// # Errors
    /// As [`Queue::put`].
    pub async fn put_at<J: Job>(
        &self,
        tx: &mut Tx,
        key: &str,
        job: &J,
        due_at: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let id = Uuid::now_v7();
        let plain = serde_json::to_vec(job).map_err(|_| Error::Payload)?;
        let payload = self.keys.seal(place(&id), &plain)?;
        let new = NewJob {
            id,
            kind: J::KIND,
            key,
            payload: &payload,
            created_at: self.clock.now(),
            due_at,
            expires_at: job.expires_at(),
        };
        Ok(tx.insert_job(&new).await?)
    }

    /// Lets the worker of this replica look at once. To be called after the commit; without it the next poll finds the job.
    pub fn wake(&self) {
        self.news.notify_one();
    }

    /// What a claimed job holds.
    fn read<J: Job>(&self, job: &ClaimedJob) -> Result<J, Error> {
        let plain = self.keys.open(place(&job.id), &job.payload)?;
        serde_json::from_slice(&plain).map_err(|_| Error::Payload)
    }
}

fn place(id: &Uuid) -> Place<'_> {
    Place { table: "jobs", column: "payload", row: id.as_bytes() }
}
