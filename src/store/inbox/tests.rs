//! The inbox, on both databases.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashSet;

use chrono::SubsecRound;
use futures::future::join_all;

use super::*;
use crate::store::testing::on_both_stores;

const LEASE: Duration = Duration::from_secs(30);

fn event<'a>(id: &'a str, record: &'a str, at: DateTime<Utc>) -> NewEvent<'a> {
    NewEvent {
        source: Source::Billing,
        event_id: id,
        fingerprint: id.as_bytes(),
        topic: "InvoicePaid",
        record,
        payload: "{\"invoice\":31}",
        occurred_at: at,
        received_at: at,
    }
}

fn ids(claimed: &[Claimed]) -> Vec<&str> {
    claimed.iter().map(|event| event.event_id.as_str()).collect()
}

async fn settle(store: &Store, event: &Claimed, now: DateTime<Utc>) -> bool {
    let mut tx = store.begin().await.unwrap();
    let settled = tx.event_applied(event, now, None).await.unwrap();
    tx.commit().await.unwrap();
    settled
}

on_both_stores! {
    async fn an_event_is_stored_once_under_its_id(store: TestStore) {
        let at = Utc::now().trunc_subsecs(6);
        let first = event("a", "invoice:31", at);
        let copies = join_all((0..100).map(|_| store.receive_event(&first))).await;
        let new = copies.iter().filter(|one| matches!(one, Ok(Received::New))).count();
        let again = copies.iter().filter(|one| matches!(one, Ok(Received::Duplicate))).count();
        assert_eq!((new, again), (1, 99), "{copies:?}");
        let forged = NewEvent { fingerprint: b"other", ..first };
        assert_eq!(store.receive_event(&forged).await.unwrap(), Received::Conflict);
        let other_sender = NewEvent { source: Source::Crm, ..forged };
        assert_eq!(store.receive_event(&other_sender).await.unwrap(), Received::New);
        let backlog = store.event_backlog(Source::Billing).await.unwrap();
        assert_eq!(backlog, Backlog { waiting: 1, oldest: Some(at), dead: 0 });

        let claimed = store.claim_events(10, at, LEASE).await.unwrap();
        assert_eq!(claimed.len(), 2);
        let one = &claimed[0];
        assert_eq!((one.topic.as_str(), one.record.as_str()), ("InvoicePaid", "invoice:31"));
        assert_eq!((one.payload.as_str(), one.occurred_at), ("{\"invoice\":31}", at));
    }

    async fn an_event_of_a_transaction_that_is_undone_was_never_there(store: TestStore) {
        let at = Utc::now();
        let mut tx = store.begin().await.unwrap();
        assert_eq!(tx.receive_event(&event("a", "r", at)).await.unwrap(), Received::New);
        assert_eq!(tx.receive_event(&event("a", "r", at)).await.unwrap(), Received::Duplicate);
        drop(tx);
        assert_eq!(store.receive_event(&event("a", "r", at)).await.unwrap(), Received::New);
    }

    async fn events_of_one_record_are_claimed_in_order_and_others_beside_them(store: TestStore) {
        let at = Utc::now();
        for (id, record) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a")] {
            store.receive_event(&event(id, record, at)).await.unwrap();
        }
        let first = store.claim_events(10, at, LEASE).await.unwrap();
        assert_eq!(ids(&first), ["a1", "b1"]);
        assert!(store.claim_events(10, at, LEASE).await.unwrap().is_empty(), "all others wait for a1");
        assert!(store.event_postponed(&first[0], at + TimeDelta::seconds(5)).await.unwrap());
        assert!(store.claim_events(10, at, LEASE).await.unwrap().is_empty(), "a1 is not due, and a2 waits for it");
        let later = at + TimeDelta::seconds(5);
        let again = store.claim_events(10, later, LEASE).await.unwrap();
        assert_eq!(ids(&again), ["a1"]);
        assert_eq!(again[0].failures, 0);
        assert!(settle(&store, &again[0], later).await);
        assert_eq!(ids(&store.claim_events(10, later, LEASE).await.unwrap()), ["a2"]);
    }

    async fn one_who_resumes_after_the_lease_settles_nothing(store: TestStore) {
        let at = Utc::now();
        store.receive_event(&event("a", "r", at)).await.unwrap();
        let paused = store.claim_events(1, at, LEASE).await.unwrap();
        let later = at + TimeDelta::seconds(30);
        let other = store.claim_events(1, later, LEASE).await.unwrap();
        assert_eq!(ids(&other), ["a"]);
        assert!(!settle(&store, &paused[0], later).await);
        assert!(!store.event_postponed(&paused[0], later).await.unwrap());
        assert_eq!(store.event_failed(&paused[0], "late", later).await.unwrap(), Failed::Lost);
        assert!(settle(&store, &other[0], later).await);
        assert!(!settle(&store, &other[0], later).await);
    }

    async fn claims_that_meet_share_nothing(store: TestStore) {
        let at = Utc::now();
        let mut tx = store.begin().await.unwrap();
        for n in 0..200 {
            let (id, record) = (n.to_string(), (n % 50).to_string());
            assert_eq!(tx.receive_event(&event(&id, &record, at)).await.unwrap(), Received::New);
        }
        tx.commit().await.unwrap();
        let mut order = Vec::new();
        loop {
            let rounds = join_all((0..4).map(|_| store.claim_events(20, at, LEASE))).await;
            let claimed: Vec<_> = rounds.into_iter().flat_map(Result::unwrap).collect();
            let records: HashSet<_> = claimed.iter().map(|event| event.record.clone()).collect();
            assert_eq!(records.len(), claimed.len(), "two events of one record at once");
            for event in &claimed {
                assert!(settle(&store, event, at).await);
                order.push((event.record.clone(), event.sequence));
            }
            if store.event_backlog(Source::Billing).await.unwrap().waiting == 0 {
                break;
            }
        }
        assert_eq!(order.len(), 200);
        for record in 0..50 {
            let of_one: Vec<_> = order.iter().filter(|(of, _)| *of == record.to_string()).collect();
            assert!(of_one.is_sorted(), "{of_one:?}");
        }
    }

    async fn a_pass_that_is_due_again_holds_nobody_up(store: TestStore) {
        let at = Utc::now();
        store.receive_event(&event("a1", "a", at)).await.unwrap();
        store.receive_event(&event("a2", "a", at)).await.unwrap();
        let first = store.claim_events(10, at, LEASE).await.unwrap();
        let again = at + TimeDelta::seconds(2);
        let mut tx = store.begin().await.unwrap();
        assert!(tx.event_applied(&first[0], at, Some(again)).await.unwrap());
        tx.commit().await.unwrap();
        let second = store.claim_events(10, at, LEASE).await.unwrap();
        assert_eq!(ids(&second), ["a2"]);
        assert_eq!(store.purge_events(at + TimeDelta::days(9)).await.unwrap(), 0, "one is due, the other claimed");
        let repeated = store.claim_events(10, again, LEASE).await.unwrap();
        assert_eq!((ids(&repeated), repeated[0].passes), (vec!["a1"], 1));
        assert!(settle(&store, &repeated[0], again).await);
        assert!(store.claim_events(10, again + TimeDelta::seconds(20), LEASE).await.unwrap().is_empty());
    }

    async fn the_fifth_failure_is_the_last_and_frees_the_record(store: TestStore) {
        let mut now = Utc::now().trunc_subsecs(6);
        store.receive_event(&event("poison", "a", now)).await.unwrap();
        store.receive_event(&event("a2", "a", now)).await.unwrap();
        let mut waits = Vec::new();
        loop {
            let claimed = store.claim_events(10, now, LEASE).await.unwrap();
            assert_eq!(ids(&claimed), ["poison"]);
            match store.event_failed(&claimed[0], "it cannot be read", now).await.unwrap() {
                Failed::Retried(due) => {
                    waits.push((due - now).num_seconds());
                    assert!(store.claim_events(10, due - TimeDelta::seconds(1), LEASE).await.unwrap().is_empty());
                    now = due;
                }
                Failed::Dead => break,
                Failed::Lost => panic!("nobody else claims"),
            }
        }
        assert_eq!(waits, [1, 2, 4, 8]);
        assert_eq!(ids(&store.claim_events(10, now, LEASE).await.unwrap()), ["a2"]);
        assert_eq!(store.event_backlog(Source::Billing).await.unwrap().dead, 1);
        assert_eq!(store.receive_event(&event("poison", "a", now)).await.unwrap(), Received::Duplicate);
        let mut tx = store.begin().await.unwrap();
        tx.bury_event(&event("garbage", "a", now), "no schema").await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(store.event_backlog(Source::Billing).await.unwrap().dead, 2);
    }

    async fn ids_are_kept_until_they_are_purged(store: TestStore) {
        let at = Utc::now();
        store.receive_event(&event("old", "a", at - TimeDelta::days(9))).await.unwrap();
        store.receive_event(&event("stuck", "b", at - TimeDelta::days(9))).await.unwrap();
        store.receive_event(&event("young", "c", at - TimeDelta::days(7))).await.unwrap();
        for event in store.claim_events(10, at, LEASE).await.unwrap() {
            if event.event_id != "stuck" {
                assert!(settle(&store, &event, at).await);
            }
        }
        assert_eq!(store.purge_events(at - TimeDelta::days(8)).await.unwrap(), 1);
        for (id, received) in [("old", Received::New), ("young", Received::Duplicate), ("stuck", Received::Duplicate)] {
            assert_eq!(store.receive_event(&event(id, "x", at)).await.unwrap(), received, "{id}");
        }
    }
}
