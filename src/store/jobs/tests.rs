//! The jobs' rows, on both databases.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashSet;

use chrono::SubsecRound;
use futures::future::join_all;

use super::*;
use crate::store::{
    testing::on_both_stores,
    workflows::{End, NewWorkflow},
};

const LEASE: Duration = Duration::from_secs(60);

fn job(key: &str, at: DateTime<Utc>) -> NewJob<'_> {
    NewJob {
        id: Uuid::now_v7(),
        kind: "mail",
        key,
        payload: b"sealed",
        created_at: at,
        due_at: at,
        expires_at: None,
    }
}

async fn insert(store: &Store, job: &NewJob<'_>) -> bool {
    let mut tx = store.begin().await.unwrap();
    let inserted = tx.insert_job(job).await.unwrap();
    tx.commit().await.unwrap();
    inserted
}

async fn finish(store: &Store, job: &ClaimedJob, now: DateTime<Utc>) -> bool {
    let mut tx = store.begin().await.unwrap();
    let finished = tx.job_finished(job, now).await.unwrap();
    tx.commit().await.unwrap();
    finished
}

on_both_stores! {
    async fn a_job_is_there_once_under_its_key_and_only_with_its_cause(store: TestStore) {
        let at = Utc::now().trunc_subsecs(6);
        let mut tx = store.begin().await.unwrap();
        assert!(tx.insert_job(&job("a", at)).await.unwrap());
        drop(tx);
        assert!(store.claim_jobs(10, at, LEASE).await.unwrap().is_empty(), "its cause was undone");

        let new: Vec<_> = (0..20).map(|_| job("a", at)).collect();
        let inserted = join_all(new.iter().map(|job| insert(&store, job))).await;
        assert_eq!(inserted.iter().filter(|new| **new).count(), 1);
        assert!(insert(&store, &NewJob { kind: "order", ..job("a", at) }).await, "another kind, another job");
        let claimed = store.claim_jobs(10, at, LEASE).await.unwrap();
        assert_eq!(claimed.len(), 2);
        for claimed in &claimed {
            assert_eq!((&*claimed.payload, claimed.created_at, claimed.attempt), (&b"sealed"[..], at, 1));
            assert!(finish(&store, claimed, at).await);
        }
        assert!(!insert(&store, &job("a", at)).await, "it is remembered after it was done");
        assert_eq!(store.purge_jobs(at + TimeDelta::seconds(1), at).await.unwrap(), 2);
        assert!(insert(&store, &job("a", at)).await);
    }

    async fn jobs_are_claimed_when_they_are_due_and_the_longest_due_first(store: TestStore) {
        let at = Utc::now().trunc_subsecs(6);
        for (key, after) in [("late", 10), ("second", 2), ("first", 1)] {
            let due_at = at + TimeDelta::seconds(after);
            assert!(insert(&store, &NewJob { due_at, ..job(key, at) }).await);
        }
        assert!(store.claim_jobs(10, at, LEASE).await.unwrap().is_empty());
        let soon = at + TimeDelta::seconds(2);
        let first = store.claim_jobs(1, soon, LEASE).await.unwrap();
        let second = store.claim_jobs(10, soon, LEASE).await.unwrap();
        assert_eq!((first.len(), second.len()), (1, 1));
        assert!(store.claim_jobs(10, soon, LEASE).await.unwrap().is_empty(), "both are claimed, the third is not due");
        let backlog = store.job_backlog().await.unwrap();
        let first_due = Some(at + TimeDelta::seconds(1));
        assert_eq!(backlog, [JobBacklog { kind: "mail".to_owned(), waiting: 3, first_due, dead: 0 }]);
        assert!(finish(&store, &first[0], soon).await);
        assert_eq!(store.job_backlog().await.unwrap()[0].first_due, Some(soon), "it was the one due first");
    }

    async fn what_a_crashed_worker_had_claimed_goes_over_when_the_lease_ends(store: TestStore) {
        let at = Utc::now();
        assert!(insert(&store, &job("a", at)).await);
        drop(store.claim_jobs(1, at, LEASE).await.unwrap());
        let before = at + TimeDelta::seconds(59);
        assert!(store.claim_jobs(1, before, LEASE).await.unwrap().is_empty());
        let after = at + TimeDelta::seconds(60);
        let again = store.claim_jobs(1, after, LEASE).await.unwrap();
        assert_eq!(again[0].attempt, 2, "the try that was lost counts");
        assert!(finish(&store, &again[0], after).await);
    }

    async fn one_who_resumes_after_the_lease_changes_nothing(store: TestStore) {
        let at = Utc::now();
        assert!(insert(&store, &job("a", at)).await);
        let paused = store.claim_jobs(1, at, LEASE).await.unwrap().remove(0);
        let later = at + TimeDelta::seconds(61);
        let other = store.claim_jobs(1, later, LEASE).await.unwrap().remove(0);
        assert!(!finish(&store, &paused, later).await);
        assert!(!store.job_postponed(&paused, later).await.unwrap());
        assert!(!store.job_failed(&paused, "late", later).await.unwrap());
        assert!(!store.job_died(&paused, "late", later).await.unwrap());
        assert!(finish(&store, &other, later).await);
        assert!(!finish(&store, &other, later).await);
        assert!(store.job_backlog().await.unwrap().is_empty());
    }

    async fn workers_that_meet_share_nothing(store: TestStore) {
        let at = Utc::now();
        let mut tx = store.begin().await.unwrap();
        for n in 0..200 {
            assert!(tx.insert_job(&job(&n.to_string(), at)).await.unwrap());
        }
        tx.commit().await.unwrap();
        let mut seen = HashSet::new();
        while seen.len() < 200 {
            let rounds = join_all((0..4).map(|_| store.claim_jobs(10, at, LEASE))).await;
            for job in rounds.into_iter().flat_map(Result::unwrap) {
                assert!(seen.insert(job.id), "claimed twice");
                assert!(finish(&store, &job, at).await);
            }
        }
    }

    async fn what_failed_waits_and_what_was_given_back_was_never_tried(store: TestStore) {
        let at = Utc::now();
        assert!(insert(&store, &job("a", at)).await);
        let first = store.claim_jobs(1, at, LEASE).await.unwrap().remove(0);
        let due = at + TimeDelta::seconds(5);
        assert!(store.job_failed(&first, "away", due).await.unwrap());
        assert!(store.claim_jobs(1, at + TimeDelta::seconds(4), LEASE).await.unwrap().is_empty());
        let second = store.claim_jobs(1, due, LEASE).await.unwrap().remove(0);
        assert_eq!(second.attempt, 2);
        assert!(store.job_postponed(&second, due).await.unwrap());
        assert_eq!(store.claim_jobs(1, due, LEASE).await.unwrap()[0].attempt, 2);
    }

    async fn a_dead_job_is_kept_until_somebody_looks_after_it(store: TestStore) {
        let at = Utc::now().trunc_subsecs(6);
        for key in ["a", "b"] {
            assert!(insert(&store, &job(key, at)).await);
        }
        for claimed in store.claim_jobs(2, at, LEASE).await.unwrap() {
            assert!(store.job_died(&claimed, "refused", at).await.unwrap());
        }
        let later = at + TimeDelta::days(1);
        assert!(store.claim_jobs(10, later, LEASE).await.unwrap().is_empty());
        assert_eq!(store.purge_jobs(later, at).await.unwrap(), 0);
        let dead = store.dead_jobs(10).await.unwrap();
        assert_eq!(dead.len(), 2);
        assert_eq!((dead[0].reason.as_str(), dead[0].attempts, dead[0].died_at), ("refused", 1, at));
        assert_eq!(store.job_backlog().await.unwrap()[0].dead, 2);

        assert_eq!(store.revive_jobs(Some(dead[0].job_id), later).await.unwrap(), 1);
        let revived = store.claim_jobs(10, later, LEASE).await.unwrap();
        assert_eq!((revived.len(), revived[0].id, revived[0].attempt), (1, dead[0].job_id, 1));
        assert_eq!((&*revived[0].payload, store.revive_jobs(None, later).await.unwrap()), (&b"sealed"[..], 1));
        assert!(store.dead_jobs(10).await.unwrap().is_empty());
        for claimed in store.claim_jobs(10, later, LEASE).await.unwrap() {
            assert!(store.job_died(&claimed, "refused", later).await.unwrap());
        }
        assert_eq!(store.purge_jobs(at, later + TimeDelta::seconds(1)).await.unwrap(), 1);
    }

    async fn a_dead_job_outlasts_the_workflows_of_its_kind(store: TestStore) {
        let at = Utc::now().trunc_subsecs(6);
        let id = Uuid::now_v7();
        let mut tx = store.begin().await.unwrap();
        let new = NewWorkflow { id, kind: "mail", key: b"key", state: b"sealed", step: "first", at };
        assert!(tx.insert_workflow(&new).await.unwrap());
        assert!(tx.insert_job(&job("a", at)).await.unwrap());
        assert!(tx.insert_job(&NewJob { kind: "other", ..job("b", at) }).await.unwrap());
        tx.commit().await.unwrap();
        for claimed in store.claim_jobs(2, at, LEASE).await.unwrap() {
            assert!(store.job_died(&claimed, "away", at).await.unwrap());
        }
        let later = at + TimeDelta::days(31);
        assert_eq!(store.purge_jobs(later, later).await.unwrap(), 1);
        assert_eq!(store.dead_jobs(10).await.unwrap()[0].kind, "mail", "it can still be revived");
        let taken = store.take_workflow(id).await.unwrap().unwrap();
        let mut tx = store.begin().await.unwrap();
        assert!(tx.end_workflow(&taken, End::Refused, "", later).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(store.purge_jobs(later, later).await.unwrap(), 1);
    }
}
