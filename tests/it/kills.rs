//! Requirement E1 with a whole process that is killed again and again while the CRM's records change.
//!
//! `EVENT_KILLS` sets how often: 12 unless it says otherwise; 200 is the full size.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use portal_gateway::{demo, secret::ExposeSecret, store::inbox::Source};
use tokio::time::{sleep, timeout};

use crate::{
    events::{Bench, ORDERS},
    fleet::inbox::{self, Event},
    process::Running,
};

/// Changes during the life of each process.
const EACH: usize = 50;

/// How long a process lives: less and more than it needs to get ready and the lease of its predecessor.
const LIFE: std::ops::Range<u64> = 300..2_500;

/// What a killed worker had claimed is another's after a minute.
const PATIENCE: Duration = Duration::from_secs(180);

fn kills() -> usize {
    std::env::var("EVENT_KILLS").map_or(12, |kills| kills.parse().expect("EVENT_KILLS is a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_again_and_again_applies_every_event_once_and_in_order() {
    let bench = Bench::with(false).await;
    let data = tempfile::tempdir().unwrap();
    let mut env = demo::settings(&bench.sandbox);
    env.insert("DATABASE_URL", bench.store.settings().url.expose_secret().to_owned());
    env.insert("DATA_DIR", data.path().display().to_string());
    env.insert("BFF_PORT", "0".to_owned());
    env.insert("SF_EVENTS_REPLAY", "ALL".to_owned());
    env.insert("SF_EVENTS_LEASE", "1s".to_owned());
    env.insert("SF_PUBSUB_NUM_REQUESTED", "20".to_owned());
    let orders: Vec<_> = (1..=20).flat_map(|n| bench.orders(n)).collect();

    let least = kills();
    let (mut kills, mut met, mut before) = (0, 0, None);
    // A busy machine kills more of them before they have done anything.
    while kills < least || met <= least / 5 {
        assert!(
            kills < 10 * least,
            "only {met} of {kills} processes had stored anything when they were killed"
        );
        let process = Running::start(&["serve"], &env);
        let life = Duration::from_millis(rand::random_range(LIFE));
        let born = Instant::now();
        for n in 0..EACH {
            let n = kills * EACH + n;
            bench.move_order(&orders[n * 7 % orders.len()], n);
            sleep(life / u32::try_from(EACH).unwrap()).await;
        }
        sleep(life.saturating_sub(born.elapsed())).await;
        process.kill().await;
        let position = bench.store.event_cursor(ORDERS).await.unwrap().and_then(|cursor| cursor.position);
        met += usize::from(position != before);
        before = position;
        kills += 1;
    }

    let published = bench.published(ORDERS);
    assert_eq!(published.len(), kills * EACH);
    let last = Running::start(&["serve"], &env);
    let all = async {
        loop {
            let rows = orders_of(inbox::events(&bench.store).await);
            if rows.len() == published.len() && rows.iter().all(|row| row.settled_at.is_some()) {
                return rows;
            }
            sleep(Duration::from_millis(250)).await;
        }
    };
    let rows = timeout(PATIENCE, all).await.expect("every event is applied");
    println!("{} events, {kills} kills, {met} of them after something was stored", rows.len());
    assert_eq!(bench.store.event_backlog(Source::Crm).await.unwrap().dead, 0);
    assert!(rows.iter().map(|row| &row.event_id).eq(&published), "another order than they happened in");
    assert!(rows.iter().all(|row| row.passes == 1), "one was applied more than once");
    let mut applied = HashMap::new();
    for row in &rows {
        let earlier = applied.insert(&row.record, row.settled_at);
        assert!(earlier.is_none_or(|earlier| earlier <= row.settled_at), "out of order: {row:?}");
    }
    last.kill().await;
}

fn orders_of(rows: Vec<Event>) -> Vec<Event> {
    rows.into_iter().filter(|row| row.source == "crm" && row.record.starts_with("Order:")).collect()
}
