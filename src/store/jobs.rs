//! Rows of `jobs`: work that must be done after its cause was committed.
//!
//! A job enters in the transaction of its cause. Any replica may claim it; a claim is a lease with a token, and who resumes
//! after the lease can neither finish nor fail the job any more. A try counts when it is claimed, not when it fails, so
//! a job that takes its worker with it ends as well.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::store::{Result, Store, Tx, sql};

/// A job to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewJob<'a> {
    /// A version 7 uuid.
    pub id: Uuid,
    /// Who does it.
    pub kind: &'a str,
    /// One job of a kind has it; never personal data.
    pub key: &'a str,
    /// What is to be done, sealed.
    pub payload: &'a [u8],
    /// Now.
    pub created_at: DateTime<Utc>,
    /// Not before then.
    pub due_at: DateTime<Utc>,
    /// Worthless from then on; `None` when never.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A job that this process may do until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedJob {
    /// Its id.
    pub id: Uuid,
    /// Who does it.
    pub kind: String,
    /// What is to be done, sealed.
    pub payload: Vec<u8>,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
    /// Worthless from then on.
    pub expires_at: Option<DateTime<Utc>>,
    /// Which try this is, from 1.
    pub attempt: i64,
    claim: Uuid,
}

/// How much of one kind waits.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct JobBacklog {
    /// The kind.
    pub kind: String,
    /// Jobs that are to be done, now or later.
    pub waiting: i64,
    /// When the first of them is due, or was.
    pub first_due: Option<DateTime<Utc>>,
    /// Jobs that were given up and that nobody has looked after.
    pub dead: i64,
}

/// A job that was given up. What it was to do stays hidden.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct DeadJob {
    /// Its id.
    pub job_id: Uuid,
    /// Who was to do it.
    pub kind: String,
    /// How often it was tried.
    pub attempts: i64,
    /// Why the last try failed.
    pub reason: String,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
    /// When it was given up.
    pub died_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct Row {
    job_id: Uuid,
    kind: String,
    payload: Vec<u8>,
    created_at: DateTime<Utc>,
    due_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    attempts: i64,
}

impl Store {
    /// Takes up to `limit` jobs that are due, those that are due longest first.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn claim_jobs(
        &self,
        limit: u32,
        now: DateTime<Utc>,
        lease: Duration,
    ) -> Result<Vec<ClaimedJob>> {
        let claim = Uuid::new_v4();
        let until = now + TimeDelta::from_std(lease).unwrap_or(TimeDelta::MAX);
        // The conditions stand twice: PostgreSQL looks again at a row for which it had to wait, but not at the inner
        // question.
        let mut rows = sql!(
            self.write(),
            "UPDATE jobs SET claim = $4, claimed_until = $3, attempts = attempts + 1
             WHERE due_at <= $1 AND (claimed_until IS NULL OR claimed_until <= $1)
                AND job_id IN (
                    SELECT j.job_id FROM jobs j
                    WHERE j.due_at <= $1 AND (j.claimed_until IS NULL OR j.claimed_until <= $1)
                    ORDER BY j.due_at LIMIT $2)
             RETURNING job_id, kind, payload, created_at, due_at, expires_at, attempts",
            [now, i64::from(limit), until, claim],
            fetch_all as Row
        )?;
        rows.sort_by_key(|row| (row.due_at, row.job_id));
        let claimed = rows.into_iter().map(|row| ClaimedJob {
            id: row.job_id,
            kind: row.kind,
            payload: row.payload,
            created_at: row.created_at,
            expires_at: row.expires_at,
            attempt: row.attempts,
            claim,
        });
        Ok(claimed.collect())
    }

    /// Gives a claimed job back as if it had not been tried. It is due again at `due`. False when the lease had ended.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn job_postponed(&self, job: &ClaimedJob, due: DateTime<Utc>) -> Result<bool> {
        let changed = sql!(
            self.write(),
            "UPDATE jobs SET claim = NULL, claimed_until = NULL, attempts = attempts - 1, due_at = $3
             WHERE job_id = $1 AND claim = $2",
            [job.id, job.claim, due]
        )?;
        Ok(changed == 1)
    }

    /// A try has failed: the job is due again at `due`. `reason` is a fixed sentence without personal data. False when the
    /// lease had ended: then nothing is changed.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn job_failed(&self, job: &ClaimedJob, reason: &str, due: DateTime<Utc>) -> Result<bool> {
        let changed = sql!(
            self.write(),
            "UPDATE jobs SET claim = NULL, claimed_until = NULL, reason = $3, due_at = $4
             WHERE job_id = $1 AND claim = $2",
            [job.id, job.claim, reason, due]
        )?;
        Ok(changed == 1)
    }

    /// Gives a job up: it is kept for people to look after. Otherwise as [`Store::job_failed`].
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn job_died(&self, job: &ClaimedJob, reason: &str, now: DateTime<Utc>) -> Result<bool> {
        let changed = sql!(
            self.write(),
            "UPDATE jobs SET claim = NULL, claimed_until = NULL, reason = $3, due_at = NULL, died_at = $4
             WHERE job_id = $1 AND claim = $2",
            [job.id, job.claim, reason, now]
        )?;
        Ok(changed == 1)
    }

    /// How much waits, kind by kind.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn job_backlog(&self) -> Result<Vec<JobBacklog>> {
        Ok(sql!(
            self.read(),
            "SELECT kind, count(due_at) AS waiting, min(due_at) AS first_due, count(died_at) AS dead
             FROM jobs WHERE due_at IS NOT NULL OR died_at IS NOT NULL GROUP BY kind ORDER BY kind",
            [],
            fetch_all as JobBacklog
        )?)
    }

    /// Jobs that were given up, the newest first.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn dead_jobs(&self, limit: u32) -> Result<Vec<DeadJob>> {
        Ok(sql!(
            self.read(),
            "SELECT job_id, kind, attempts, reason, created_at, died_at FROM jobs
             WHERE died_at IS NOT NULL ORDER BY died_at DESC, job_id LIMIT $1",
            [i64::from(limit)],
            fetch_all as DeadJob
        )?)
    }

    /// Lets a job that was given up begin anew; all of them when `id` is `None`. Gives how many.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn revive_jobs(&self, id: Option<Uuid>, now: DateTime<Utc>) -> Result<u64> {
        let revived = match id {
            Some(id) => sql!(
                self.write(),
                "UPDATE jobs SET died_at = NULL, attempts = 0, due_at = $1 WHERE died_at IS NOT NULL AND job_id = $2",
                [now, id]
            ),
            None => sql!(
                self.write(),
                "UPDATE jobs SET died_at = NULL, attempts = 0, due_at = $1 WHERE died_at IS NOT NULL",
                [now]
            ),
        };
        Ok(revived?)
    }

    /// Forgets jobs that were finished, and those that were given up, before an instant. Gives their number. One of a
    /// workflow stays until every workflow of its kind has ended: without it none would ever go on.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn purge_jobs(&self, finished: DateTime<Utc>, died: DateTime<Utc>) -> Result<u64> {
        Ok(sql!(
            self.write(),
            "DELETE FROM jobs WHERE finished_at < $1 OR (died_at < $2 AND NOT EXISTS (
                SELECT 1 FROM workflows WHERE workflows.kind = jobs.kind AND ended_at IS NULL))",
            [finished, died]
        )?)
    }
}

impl Tx {
    /// Stores a job with everything else that the transaction does. False when there is one of this kind with this key,
    /// waiting, done or given up; then nothing is changed.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn insert_job(&mut self, job: &NewJob<'_>) -> Result<bool> {
        let stored = sql!(
            self.on(),
            "INSERT INTO jobs (job_id, kind, unique_key, payload, created_at, due_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (kind, unique_key) DO NOTHING",
            [job.id, job.kind, job.key, job.payload, job.created_at, job.due_at, job.expires_at]
        )?;
        Ok(stored == 1)
    }

    /// Finishes a claimed job with everything else that the transaction does; its payload goes. False when the lease had
    /// ended: then nothing is changed, and another does it, too, so the transaction should be undone.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn job_finished(&mut self, job: &ClaimedJob, now: DateTime<Utc>) -> Result<bool> {
        let changed = sql!(
            self.on(),
            "UPDATE jobs SET claim = NULL, claimed_until = NULL, payload = NULL, reason = NULL, due_at = NULL,
                finished_at = $3
             WHERE job_id = $1 AND claim = $2",
            [job.id, job.claim, now]
        )?;
        Ok(changed == 1)
    }
}

#[cfg(test)]
mod tests;
