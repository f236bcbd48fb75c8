//! Rows of `workflows`: what spans several systems and must be finished.
//!
//! A run of a workflow takes it over with a new fencing number; an older run that was only paused can store nothing any
//! more. What is stored before a call goes out says that it is being sent, so that whoever resumes knows to look first.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::store::{Result, Store, Tx, sql};

/// A workflow to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewWorkflow<'a> {
    /// Its id, which its caller knows it by.
    pub id: Uuid,
    /// Which workflow.
    pub kind: &'a str,
    /// What may have one at a time: a keyed hash, never personal data.
    pub key: &'a [u8],
    /// What it knows, sealed.
    pub state: &'a [u8],
    /// Its first step.
    pub step: &'a str,
    /// Now.
    pub at: DateTime<Utc>,
}

/// A workflow that this run has taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenWorkflow {
    /// Its id.
    pub id: Uuid,
    /// What it knows, sealed.
    pub state: Vec<u8>,
    /// What is to be done.
    pub step: String,
    /// Whether the step was begun and its outcome is not known.
    pub is_sending: bool,
    /// When that step was begun, or when what it called was given up.
    pub updated_at: DateTime<Utc>,
    fence: i64,
}

/// How a workflow ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It did what it was to do.
    Done,
    /// It did nothing, or undid what it had done.
    Refused,
}

impl End {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

/// How a workflow stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It goes on, or waits for people.
    Running,
    /// It did what it was to do; with what came of it.
    Done(String),
    /// It ended without; with the codes that say why.
    Refused(String),
}

#[derive(sqlx::FromRow)]
struct Taken {
    state: Vec<u8>,
    step: String,
    is_sending: bool,
    taken_from: DateTime<Utc>,
    fence: i64,
}

impl Store {
    /// How a workflow stands; `None` when there is none.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn workflow_standing(&self, id: Uuid) -> Result<Option<Standing>> {
        let row = sql!(
            self.read(),
            "SELECT status, result FROM workflows WHERE workflow_id = $1",
            [id],
            fetch_optional as (String, Option<String>)
        )?;
        Ok(row.map(|(status, result)| match status.as_str() {
            "done" => Standing::Done(result.unwrap_or_default()),
            "refused" => Standing::Refused(result.unwrap_or_default()),
            _ => Standing::Running,
        }))
    }

    /// Takes a workflow over from whoever ran it; `None` when it has ended.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn take_workflow(&self, id: Uuid) -> Result<Option<TakenWorkflow>> {
        let row = sql!(
            self.write(),
            "UPDATE workflows SET fence = fence + 1 WHERE workflow_id = $1 AND ended_at IS NULL
             RETURNING state, step, is_sending, updated_at AS taken_from, fence",
            [id],
            fetch_optional as Taken
        )?;
        Ok(row.map(|row| TakenWorkflow {
            id,
            state: row.state,
            step: row.step,
            is_sending: row.is_sending,
            updated_at: row.taken_from,
            fence: row.fence,
        }))
    }

    /// Stores that what a step called was given up, without knowing its outcome. False when another run has it.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn workflow_given_up(&self, taken: &TakenWorkflow, at: DateTime<Utc>) -> Result<bool> {
        let changed = sql!(
            self.write(),
            "UPDATE workflows SET updated_at = $3 WHERE workflow_id = $1 AND fence = $2 AND ended_at IS NULL",
            [taken.id, taken.fence, at]
        )?;
        Ok(changed == 1)
    }

    /// Leaves a workflow to people: it goes on when its job is revived. False when another run has it.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn workflow_needs_review(&self, taken: &TakenWorkflow, at: DateTime<Utc>) -> Result<bool> {
        let changed = sql!(
            self.write(),
            "UPDATE workflows SET status = 'review', updated_at = $3
             WHERE workflow_id = $1 AND fence = $2 AND ended_at IS NULL",
            [taken.id, taken.fence, at]
        )?;
        Ok(changed == 1)
    }
}

impl Tx {
    /// Stores a workflow with everything else that the transaction does. One of this id that was refused gives way. False
    /// when there is another of this id, or one of this kind and key that has not ended.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn insert_workflow(&mut self, new: &NewWorkflow<'_>) -> Result<bool> {
        sql!(self.on(), "DELETE FROM workflows WHERE workflow_id = $1 AND status = 'refused'", [new.id])?;
        let stored = sql!(
            self.on(),
            "INSERT INTO workflows
                (workflow_id, kind, unique_key, state, step, is_sending, status, fence, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $7, 'running', 0, $6, $6) ON CONFLICT DO NOTHING",
            [new.id, new.kind, new.key, new.state, new.step, new.at, false]
        )?;
        Ok(stored == 1)
    }

    /// Stores where a workflow stands. False when another run has it: then the transaction is to be undone.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn save_workflow(
        &mut self,
        taken: &TakenWorkflow,
        state: &[u8],
        step: &str,
        is_sending: bool,
        at: DateTime<Utc>,
    ) -> Result<bool> {
        let changed = sql!(
            self.on(),
            "UPDATE workflows SET state = $3, step = $4, is_sending = $5, status = 'running', updated_at = $6
             WHERE workflow_id = $1 AND fence = $2 AND ended_at IS NULL",
            [taken.id, taken.fence, state, step, is_sending, at]
        )?;
        Ok(changed == 1)
    }

    /// Ends a workflow; what it knew goes. False as for [`Tx::save_workflow`].
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn end_workflow(
        &mut self,
        taken: &TakenWorkflow,
        end: End,
        result: &str,
        at: DateTime<Utc>,
    ) -> Result<bool> {
        let changed = sql!(
            self.on(),
            "UPDATE workflows SET status = $3, result = $4, state = NULL, is_sending = $6, updated_at = $5,
                ended_at = $5
             WHERE workflow_id = $1 AND fence = $2 AND ended_at IS NULL",
            [taken.id, taken.fence, end.as_str(), result, at, false]
        )?;
        Ok(changed == 1)
    }

    /// Forgets workflows that ended before an instant.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn purge_workflows(&mut self, ended: DateTime<Utc>) -> Result<u64> {
        Ok(sql!(self.on(), "DELETE FROM workflows WHERE ended_at < $1", [ended])?)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::store::testing::on_both_stores;

    async fn insert(store: &Store, id: Uuid, key: &[u8]) -> bool {
        let mut tx = store.begin().await.unwrap();
        let new = NewWorkflow { id, kind: "test", key, state: b"sealed", step: "first", at: Utc::now() };
        let is_new = tx.insert_workflow(&new).await.unwrap();
        tx.commit().await.unwrap();
        is_new
    }

    async fn end(store: &Store, taken: &TakenWorkflow, end: End, result: &str) -> bool {
        let mut tx = store.begin().await.unwrap();
        let is_ours = tx.end_workflow(taken, end, result, Utc::now()).await.unwrap();
        tx.commit().await.unwrap();
        is_ours
    }

    on_both_stores! {
        async fn one_of_a_key_runs_at_a_time_and_one_that_was_refused_gives_way(store: TestStore) {
            let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
            assert!(insert(&store, one, b"key").await);
            assert!(!insert(&store, one, b"key").await, "it is there");
            assert!(!insert(&store, other, b"key").await, "its key is taken");
            assert!(insert(&store, other, b"another").await);
            let taken = store.take_workflow(one).await.unwrap().unwrap();
            assert!(end(&store, &taken, End::Refused, "NO").await);
            assert_eq!(store.workflow_standing(one).await.unwrap(), Some(Standing::Refused("NO".to_owned())));
            assert_eq!(store.take_workflow(one).await.unwrap(), None);
            assert!(insert(&store, one, b"key").await, "it begins anew");
            let taken = store.take_workflow(one).await.unwrap().unwrap();
            assert!(end(&store, &taken, End::Done, "id").await);
            assert!(!insert(&store, one, b"key").await, "what is done stays done");
            assert!(insert(&store, Uuid::now_v7(), b"key").await, "but its key is free");
        }

        async fn a_run_that_was_overtaken_stores_nothing(store: TestStore) {
            let id = Uuid::now_v7();
            assert!(insert(&store, id, b"key").await);
            let first = store.take_workflow(id).await.unwrap().unwrap();
            let second = store.take_workflow(id).await.unwrap().unwrap();
            let mut tx = store.begin().await.unwrap();
            assert!(!tx.save_workflow(&first, b"x", "second", true, Utc::now()).await.unwrap());
            assert!(tx.save_workflow(&second, b"y", "second", true, Utc::now()).await.unwrap());
            tx.commit().await.unwrap();
            assert!(!end(&store, &first, End::Done, "").await);
            assert!(!store.workflow_needs_review(&first, Utc::now()).await.unwrap());
            assert!(!store.workflow_given_up(&first, Utc::now()).await.unwrap());
            assert!(store.workflow_needs_review(&second, Utc::now()).await.unwrap());
            assert_eq!(store.workflow_standing(id).await.unwrap(), Some(Standing::Running));
            let third = store.take_workflow(id).await.unwrap().unwrap();
            assert_eq!((third.state.as_slice(), third.step.as_str(), third.is_sending), (&b"y"[..], "second", true));
        }
    }
}
