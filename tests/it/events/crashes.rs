//! Events and crashes in great numbers.

use std::{future::Future, task::Poll, time::Duration};

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use super::{Bench, ORDERS, eventually};

/// Polls a future so many times and then drops it: a crash at whatever it was waiting for.
async fn crash_after(polls: usize, future: impl Future<Output = ()>) {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if future.as_mut().poll(context).is_ready() || left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        Poll::Pending
    })
    .await;
}

#[tokio::test]
async fn ten_thousand_events_and_two_hundred_crashes_lose_nothing_repeat_nothing_and_keep_the_order() {
    const ROUNDS: usize = 200;
    const EACH: usize = 50;
    let mut bench = Bench::with(false).await;
    bench.settings.channels = vec![ORDERS.to_owned()];
    // Many small commits, so that many crashes meet one.
    bench.settings.bus.num_requested = 20;
    let orders: Vec<_> = (1..=20).flat_map(|n| bench.orders(n)).collect();
    assert!(orders.len() >= 20);
    let (mut crashes, mut halfway) = (0, 0);
    let mut before = Vec::new();
    for round in 0..ROUNDS {
        for n in 0..EACH {
            let n = round * EACH + n;
            bench.move_order(&orders[n * 7 % orders.len()], n);
        }
        // Anywhere: before the lease, in a statement, in the commit, behind it.
        let polls = rand::random_range(1..160);
        let reader = bench.consumer();
        let crash = crash_after(polls, reader.run(CancellationToken::new()));
        // A reader that has read everything is crashed where it waits for more.
        let _ = tokio::time::timeout(Duration::from_secs(1), crash).await;
        crashes += 1;
        // Its lease was not given back.
        bench.clock.advance(TimeDelta::from_std(bench.settings.lease).unwrap() + TimeDelta::seconds(1));
        let now = bench.store.event_cursor(ORDERS).await.unwrap().and_then(|cursor| cursor.position);
        halfway += usize::from(now.as_ref().is_some_and(|now| *now != before));
        before = now.unwrap_or(before);
    }
    let reader = bench.read();
    let published = bench.published(ORDERS);
    assert_eq!((crashes, published.len()), (ROUNDS, ROUNDS * EACH));
    assert!(halfway > ROUNDS / 10, "only {halfway} readers had stored anything when they crashed");
    let mut stored = Vec::new();
    while stored.len() < published.len() {
        // As long as it may take altogether: the machine may be busy, but it goes on.
        let before = stored.len();
        eventually("more events", async || {
            stored.extend(bench.take().await);
            stored.len() > before
        })
        .await;
    }
    reader.stop().await;
    stored.sort_by_key(|event| event.sequence);
    let stored: Vec<_> = stored.into_iter().map(|event| event.event_id).collect();
    assert!(stored == published, "{} of {} events, or in another order", stored.len(), published.len());
}
