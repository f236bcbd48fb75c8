#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Instant;

use chrono::{SubsecRound, TimeDelta};

use super::*;
use crate::store::testing::on_both_stores;

fn user() -> UserId {
    UserId(Uuid::from_u128(7))
}

fn event(n: i64) -> Event {
    let origin = Origin {
        request_id: Some(format!("request-{n}")),
        network: Some(vec![192, 0, 2, 1]),
        user_agent_class: Some("browser"),
        ..Origin::default()
    };
    Event::done("session.create", Actor::User(user()), Utc::now()).from(origin).with("session", n)
}

async fn write(store: &Store, count: i64) {
    for n in 1..=count {
        store.audit(event(n)).await.unwrap();
    }
}

async fn rows(store: &Store) -> Vec<EventRow> {
    store.audit_events(&Filter::default(), 0, 1_000).await.unwrap()
}

async fn verify(store: &Store, known: Option<&Anchor>) -> Vec<Fault> {
    store.verify_audit(known, |_, _| ()).await.unwrap().faults
}

/// Takes the guards off, as who may change the tables can.
async fn disarm(store: &Store) {
    match store.write() {
        On::Sqlite(db) => {
            sqlx::query("DROP TRIGGER audit_events_unchanged").execute(db).await.unwrap();
            sqlx::query("DROP TRIGGER audit_events_kept").execute(db).await.unwrap();
        }
        On::Postgres(db) => {
            sqlx::query("DROP TRIGGER audit_events_kept ON audit_events").execute(db).await.unwrap();
        }
    }
}

async fn delete_from(store: &Store, first: i64, last: i64) {
    let text = "DELETE FROM audit_events WHERE sequence BETWEEN $1 AND $2";
    assert!(sql!(store.write(), text, [first, last]).unwrap() > 0);
}

on_both_stores! {
    async fn an_event_is_there_when_its_act_is(store: TestStore) {
        let mut tx = store.begin().await.unwrap();
        tx.audit(event(1));
        drop(tx);
        assert_eq!(rows(&store).await, []);
        let mut tx = store.begin().await.unwrap();
        tx.audit(event(1));
        tx.audit(event(2).refused("NO").about(UserId(Uuid::max())));
        tx.commit().await.unwrap();
        let rows = rows(&store).await;
        assert_eq!(rows.iter().map(|row| row.sequence).collect::<Vec<_>>(), [1, 2], "an undone one leaves no gap");
        assert_eq!((rows[0].outcome.as_str(), rows[1].outcome.as_str()), ("done", "refused"));
        assert_eq!((rows[1].reason.as_deref(), rows[1].subject_id), (Some("NO"), Some(Uuid::max())));
        assert_eq!((rows[0].subject_id, rows[0].actor_id.clone()), (Some(user().0), Some(user().0.to_string())));
        assert_eq!(rows[0].details, r#"{"session":"1"}"#);
        let network = rows[0].network.clone().unwrap();
        assert!(network.len() == 16 && !network.starts_with(&[192, 0, 2, 1]));
        assert_eq!(verify(&store, None).await, []);
    }

    async fn the_database_refuses_changes_and_deletions(store: TestStore) {
        write(&store, 2).await;
        let edit = sql!(store.write(), "UPDATE audit_events SET act = 'x'", []);
        assert!(edit.unwrap_err().to_string().contains("audit events are neither changed nor deleted"));
        let deletion = sql!(store.write(), "DELETE FROM audit_events", []);
        assert!(deletion.unwrap_err().to_string().contains("audit events are neither changed nor deleted"));
        if let On::Postgres(db) = store.write() {
            let emptied = sqlx::query("TRUNCATE audit_events").execute(db).await;
            assert!(emptied.unwrap_err().to_string().contains("neither changed nor deleted"));
        }
        assert_eq!(rows(&store).await.len(), 2);
    }

    async fn an_edit_is_named(store: TestStore) {
        write(&store, 5).await;
        disarm(&store).await;
        for (text, at) in [
            ("UPDATE audit_events SET outcome = 'refused' WHERE sequence = 3", 3),
            ("UPDATE audit_events SET subject_id = NULL WHERE sequence = 1", 1),
            ("UPDATE audit_events SET reason = '' WHERE sequence = 5", 5),
            // The same bytes, divided in another way.
            ("UPDATE audit_events SET act = 'session.created', outcome = 'one' WHERE sequence = 4", 4),
        ] {
            let before = verify(&store, None).await;
            sql!(store.write(), text, []).unwrap();
            let after = verify(&store, None).await;
            assert!(!before.contains(&Fault::Edited(at)) && after.contains(&Fault::Edited(at)), "{text}: {after:?}");
            assert_eq!(after.len(), before.len() + 1, "{text}");
        }
    }

    async fn a_deletion_is_named(store: TestStore) {
        write(&store, 6).await;
        disarm(&store).await;
        delete_from(&store, 3, 4).await;
        assert_eq!(verify(&store, None).await, [Fault::Missing { from: 3, to: 4 }]);
        // The first ones, and the last ones, too.
        delete_from(&store, 1, 1).await;
        delete_from(&store, 6, 6).await;
        let missing = |from, to| Fault::Missing { from, to };
        assert_eq!(verify(&store, None).await, [missing(1, 1), missing(3, 4), missing(6, 6)]);
    }

    async fn another_order_and_another_row_in_its_place_are_named(store: TestStore) {
        write(&store, 5).await;
        disarm(&store).await;
        for (from, to) in [(2, 99), (3, 2), (99, 3)] {
            sql!(store.write(), "UPDATE audit_events SET sequence = $2 WHERE sequence = $1", [from, to]).unwrap();
        }
        assert_eq!(verify(&store, None).await, [Fault::Edited(2), Fault::Edited(3), Fault::Detached(4)]);
    }

    async fn what_was_cut_off_is_named_even_when_the_end_was_put_back(store: TestStore) {
        write(&store, 3).await;
        let early = sql!(store.read(), "SELECT sequence, hash, mac FROM audit_marks WHERE mark = 'head'", [],
            fetch_one as (i64, Vec<u8>, Vec<u8>)).unwrap();
        write(&store, 3).await;
        let verdict = store.verify_audit(None, |_, _| ()).await.unwrap();
        assert_eq!((verdict.events, verdict.head.sequence, verdict.faults.len()), (6, 6, 0));
        let anchor: Anchor = verdict.head.to_string().parse().unwrap();
        assert_eq!(anchor, verdict.head);
        disarm(&store).await;
        delete_from(&store, 4, 6).await;
        let put_back = async |mac: &[u8]| {
            let text = "UPDATE audit_marks SET sequence = $1, hash = $2, mac = $3 WHERE mark = 'head'";
            sql!(store.write(), text, [early.0, &early.1[..], mac]).unwrap();
        };
        // Whoever had a copy of the old end puts it back whole: only an anchor that was kept elsewhere tells.
        put_back(&early.2).await;
        assert_eq!(verify(&store, None).await, []);
        assert_eq!(verify(&store, Some(&anchor)).await, [Fault::Missing { from: 4, to: 6 }]);
        // Whoever had none must forge it.
        put_back(&[0; 32]).await;
        assert_eq!(verify(&store, None).await, [Fault::Mark("head")]);
        // The next event would hide that; so it is noted for good.
        write(&store, 1).await;
        assert_eq!(verify(&store, None).await, [Fault::Tampered(4)]);
        let last = rows(&store).await.pop().unwrap();
        assert_eq!((last.sequence, last.act.as_str()), (5, "session.create"));
        write(&store, 1).await;
        assert_eq!(verify(&store, Some(&anchor)).await, [Fault::Tampered(4), Fault::Anchor(6)]);
    }

    async fn what_was_purged_is_not_missed_and_what_is_younger_stays(store: TestStore) {
        let now = Utc::now().trunc_subsecs(6);
        for days in [9, 8, 7, 2, 8, 1] {
            let at = now - TimeDelta::days(days);
            store.audit(Event::done("session.end", Actor::System, at)).await.unwrap();
        }
        let week = now - TimeDelta::days(5);
        assert_eq!(store.purge_audit(week).await.unwrap(), 3);
        assert_eq!(store.purge_audit(week).await.unwrap(), 0);
        // One that is older than its predecessor waits for it.
        assert_eq!(rows(&store).await.iter().map(|row| row.sequence).collect::<Vec<_>>(), [4, 5, 6]);
        assert_eq!(verify(&store, None).await, []);
        write(&store, 1).await;
        assert_eq!(verify(&store, None).await, []);
        // The place where the log begins is signed: it cannot be moved to hide more.
        sql!(store.write(), "UPDATE audit_marks SET sequence = 5 WHERE mark = 'anchor'", []).unwrap();
        delete_from(&store, 4, 5).await;
        let faults = verify(&store, None).await;
        assert_eq!(faults, [Fault::Mark("anchor"), Fault::Detached(6)]);
        assert_eq!(store.purge_audit(now + TimeDelta::days(1)).await.unwrap(), 2);
        assert_eq!(rows(&store).await, []);
    }

    async fn writers_at_once_make_one_chain(store: TestStore) {
        const WRITERS: i64 = 500;
        let began = Instant::now();
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut tx = store.begin().await.unwrap();
                    tx.audit(event(n));
                    // Every fifth thinks better of it.
                    if n % 5 == 0 { drop(tx) } else { tx.commit().await.unwrap() }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        let verdict = store.verify_audit(None, |_, _| ()).await.unwrap();
        assert_eq!((verdict.events, verdict.head.sequence, verdict.faults), (400, 400, Vec::new()));
        assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
    }

    async fn no_text_forges_an_event(store: TestStore) {
        let forged = "1\r\n{\"sequence\":2,\"act\":\"user.disable\"}\u{2028}\"},{\"x\":\"";
        let origin = Origin { request_id: Some(forged.to_owned()), ..Origin::default() };
        let event = Event::done("session.end", Actor::Partner(forged.to_owned()), Utc::now());
        store.audit(event.from(origin).refused(forged).with("ended", forged)).await.unwrap();
        let rows = rows(&store).await;
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].actor_id.as_deref(), rows[0].request_id.as_deref()), (Some(forged), Some(forged)));
        let details: BTreeMap<String, String> = serde_json::from_str(&rows[0].details).unwrap();
        assert_eq!(details["ended"], forged);
        assert!(!rows[0].details.contains(['\n', '\r']));
        assert_eq!(verify(&store, None).await, []);
    }

    async fn events_are_found_by_what_they_say(store: TestStore) {
        write(&store, 2).await;
        let old = Event::done("user.disable", Actor::Operator, Utc::now() - TimeDelta::hours(3)).about(user());
        store.audit(old).await.unwrap();
        store.audit(Event::done("user.disable", Actor::Operator, Utc::now())).await.unwrap();
        let found = async |filter: Filter| {
            let rows = store.audit_events(&filter, 0, 10).await.unwrap();
            rows.into_iter().map(|row| row.sequence).collect::<Vec<_>>()
        };
        let act = Some("user.disable".to_owned());
        assert_eq!(found(Filter { act: act.clone(), ..Filter::default() }).await, [3, 4]);
        assert_eq!(found(Filter { user: Some(user()), ..Filter::default() }).await, [1, 2, 3]);
        let since = Some(Utc::now() - TimeDelta::hours(1));
        assert_eq!(found(Filter { act, since, ..Filter::default() }).await, [4]);
        assert_eq!(found(Filter { network: Some(vec![192, 0, 2, 1]), ..Filter::default() }).await, [1, 2]);
        assert_eq!(found(Filter { network: Some(vec![192, 0, 2, 2]), ..Filter::default() }).await, [0; 0]);
    }
}
