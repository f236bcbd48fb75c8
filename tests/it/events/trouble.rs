//! What breaks on the way: streams, positions, schemas, the database.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use portal_gateway::{
    events::{
        Change, Meaning,
        salesforce::{Entity, Report},
    },
    id::{AccountId, OrderId},
    sandbox::{
        core::System,
        faults::{Rule, RuleKind},
        salesforce::pubsub::bus,
        world::ids::sf_id,
    },
    store::inbox::Source,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Bench, ORDERS, PATIENCE, eventually, health, report};

#[tokio::test]
async fn a_gap_is_of_its_record_and_an_overflow_asks_for_a_comparison() {
    let bench = Bench::start().await;
    let order = bench.orders(1).remove(0);
    let reader = bench.read();
    bench.until_subscribed().await;
    let org = bench.sandbox.salesforce();
    org.publish_gap("Order", "GAP_UPDATE", &[&order]).unwrap();
    let event = bench.events(1).await;
    let changes = reader.consumer.changes(bench.domain.clone()).of(&event).await.remove(0).unwrap().changes;
    let account = AccountId::parse(&sf_id("001", 1, 0)).unwrap();
    assert_eq!(changes, [Change::Order { account, order: OrderId::parse(&order) }]);
    assert!(bench.store.reconciliations().await.unwrap().is_empty());

    org.publish_gap("Order", "GAP_OVERFLOW", &[]).unwrap();
    let event = bench.events(1).await;
    assert_eq!(report(&event[0]), Report::Whole { entity: Entity::Order });
    assert_eq!(bench.store.reconciliations().await.unwrap()[0].scope, "Order");

    // A record that is gone, of whom nobody has heard before: nobody can say whose it was.
    let body = json!({ "Subject": "Hello", "AccountId": account.as_str(), "Origin": "Portal Support" });
    let case = org.create("Case", &body).unwrap();
    bench.events(1).await;
    org.delete("Case", case.as_str()).unwrap();
    let event = bench.events(1).await;
    let meaning = reader.consumer.changes(bench.domain.clone()).of(&event).await.remove(0).unwrap();
    assert_eq!(meaning, Meaning::default());
    let scopes: Vec<_> =
        bench.store.reconciliations().await.unwrap().into_iter().map(|asked| asked.scope).collect();
    assert_eq!(scopes, ["Order", "Case"]);
    reader.stop().await;
}

#[tokio::test]
async fn a_refused_position_is_an_alarm_and_loses_nothing_that_the_bus_still_has() {
    let bench = Bench::start().await;
    let order = bench.orders(1).remove(0);
    let reader = bench.read();
    bench.until_subscribed().await;
    bench.move_order(&order, 1);
    bench.events(1).await;
    reader.stop().await;
    // As after a refresh: every position given so far is unknown.
    bench.bus().reset(ORDERS);
    bench.move_order(&order, 2);
    let reader = bench.read();
    let events = bench.events(1).await;
    assert_eq!(events[0].event_id, bench.published(ORDERS)[0]);
    let asked = bench.store.reconciliations().await.unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].scope, ORDERS);
    tokio::time::timeout(PATIENCE, bench.inbox.reconcile().notified()).await.unwrap();
    assert!(bench.store.reconciled(&asked[0]).await.unwrap());
    reader.stop().await;
}

#[tokio::test]
async fn streams_that_break_are_opened_again_also_with_a_new_session() {
    let bench = Bench::start().await;
    let order = bench.orders(1).remove(0);
    let reader = bench.read();
    for (n, code) in [None, Some("service.unavailable"), Some("service.auth.error")].into_iter().enumerate() {
        bench.until_subscribed().await;
        bench.move_order(&order, n);
        bench.events(1).await;
        assert!(bench.bus().drop_streams(code) > 0);
        bench.move_order(&order, 10 + n);
        bench.events(1).await;
    }
    bench.bus().drop_connections();
    bench.move_order(&order, 20);
    bench.events(1).await;
    // The bus refuses the session itself.
    let expired = Rule::every(System::Salesforce, RuleKind::Expire);
    let once = Rule { operation: "pubsub.Subscribe".into(), times: Some(1), ..expired };
    bench.sandbox.core().faults.add(once);
    bench.bus().drop_streams(None);
    bench.move_order(&order, 21);
    bench.events(1).await;
    reader.stop().await;
}

#[tokio::test]
async fn a_stream_on_which_the_bus_falls_silent_is_opened_again() {
    let mut bench = Bench::start().await;
    bench.settings.channels = vec![ORDERS.to_owned()];
    bench.settings.bus.silence = Duration::from_millis(200);
    let org = bench.sandbox.salesforce();
    let mut knobs = org.settings();
    // Not even a sign of life comes.
    knobs.pubsub_keep_alive_ms = 3_600_000;
    org.set(knobs);
    let reader = bench.read();
    bench.until_subscribed().await;
    let subscribed = || {
        let counts = bench.sandbox.core().journal.counts().into_iter();
        counts.filter(|count| &*count.operation == "pubsub.Subscribe").map(|count| count.count).sum::<u64>()
    };
    eventually("another stream", async || subscribed() >= 3).await;
    bench.move_order(&bench.orders(1)[0], 1);
    bench.events(1).await;
    reader.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_put_aside_and_holds_nobody_up() {
    let bench = Bench::start().await;
    let order = bench.orders(1).remove(0);
    let now = bench.sandbox.core().clock.now();
    bench.move_order(&order, 1);
    let schema = bench.bus().topic(ORDERS).unwrap().definition.schema_id.clone();
    for (id, schema, payload) in
        [("garbage", schema.as_str(), vec![0xFF; 40]), ("no schema", "AAAAAAAAAAAAAAAAAAAAAA", vec![0])]
    {
        let event = bus::Event { id: id.to_owned(), schema_id: schema.to_owned(), payload };
        bench.bus().publish(ORDERS, &Arc::new(event), now);
    }
    bench.move_order(&order, 2);
    let reader = bench.read();
    assert_eq!(bench.events(2).await.len(), 2);
    assert_eq!(bench.store.event_backlog(Source::Crm).await.unwrap().dead, 2);
    let asked = bench.sandbox.core().journal.counts().into_iter();
    let asked: u64 =
        asked.filter(|count| &*count.operation == "pubsub.GetSchema").map(|count| count.count).sum();
    assert_eq!(asked, 1 + 5, "one schema is there, the other had five tries");
    reader.stop().await;
}

#[tokio::test]
async fn a_paused_reader_that_resumes_writes_nothing() {
    let mut bench = Bench::start().await;
    bench.settings.channels = vec![ORDERS.to_owned()];
    let order = bench.orders(1).remove(0);
    let (paused, stop) = (bench.consumer(), CancellationToken::new());
    let mut first = Box::pin({
        let (paused, stop) = (paused.clone(), stop.clone());
        async move { paused.run(stop).await }
    });
    // It reads, and is then not given the processor any more.
    tokio::select! {
        () = &mut first => panic!("it ended"),
        () = bench.bus().until_subscribed(1) => {}
    }
    bench.clock.advance(TimeDelta::from_std(bench.settings.lease).unwrap() + TimeDelta::seconds(1));
    let second = bench.read();
    tokio::time::timeout(PATIENCE, bench.bus().until_subscribed(2)).await.unwrap();
    bench.move_order(&order, 1);
    bench.events(1).await;
    let position = bench.position(ORDERS).await;
    // It resumes with the event at hand, finds that the lease has gone over, and waits.
    let first = tokio::spawn(first);
    eventually("the paused reader gives up", async || {
        health(&paused, ORDERS).await["subscriber"]["status"] == "standby"
    })
    .await;
    assert_eq!(bench.position(ORDERS).await, position);
    assert!(bench.drain().await.is_empty());
    assert_eq!(second.health(ORDERS).await["subscriber"]["status"], "connected");
    // When the other one leaves, it takes over again.
    second.stop().await;
    bench.move_order(&order, 2);
    assert_eq!(bench.events(1).await[0].event_id, bench.published(ORDERS)[1]);
    stop.cancel();
    tokio::time::timeout(PATIENCE, first).await.unwrap().unwrap();
}

#[tokio::test]
async fn while_the_database_is_paused_no_more_is_held_than_was_asked_for() {
    let mut bench = Bench::start().await;
    bench.settings.channels = vec![ORDERS.to_owned()];
    bench.settings.bus.num_requested = 10;
    let org = bench.sandbox.salesforce();
    let mut knobs = org.settings();
    knobs.pubsub_idle_close_ms = 50;
    org.set(knobs);
    let order = bench.orders(1).remove(0);
    let reader = bench.read();
    bench.until_subscribed().await;
    bench.move_order(&order, 0);
    bench.events(1).await;
    // Somebody sits on the row of the cursor.
    let mut paused = bench.store.begin().await.unwrap();
    let position = bench.position(ORDERS).await;
    paused.move_cursor(ORDERS, Some(&position), None, bench.clock.now()).await.unwrap();
    for n in 1..=200 {
        bench.move_order(&order, n);
    }
    // What was asked for arrives, and nobody asks for more: the bus ends the stream.
    eventually("the stream is idle", async || bench.bus().subscriptions() == 0).await;
    drop(paused);
    let events = bench.events(200).await;
    let ids: Vec<_> = events.into_iter().map(|event| event.event_id).collect();
    assert_eq!(ids, bench.published(ORDERS)[1..]);
    reader.stop().await;
}
