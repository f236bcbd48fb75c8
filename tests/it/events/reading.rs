//! What comes, and where a reader goes on.

use portal_gateway::{
    events::{Meaning, salesforce::Report},
    id::{AccountId, OrderId},
    sandbox::world::ids::sf_id,
    store::inbox::Source,
};
use serde_json::{Value, json};

use super::{Bench, CASES, ORDERS, PATIENCE, eventually, report};
use crate::fleet::inbox;

#[tokio::test]
async fn an_event_that_is_stored_while_the_worker_is_busy_is_looked_for_afterwards() {
    let bench = Bench::start().await;
    let reader = bench.read();
    bench.until_subscribed().await;
    bench.move_order(&bench.orders(1)[0], 1);
    bench.events(1).await;
    // Nobody was waiting, as while a batch is applied. Whoever waits from now on is told still.
    let news = bench.inbox.news();
    tokio::time::timeout(PATIENCE, news.notified()).await.expect("the news are kept");
    reader.stop().await;
}

#[tokio::test]
async fn what_changes_in_the_crm_is_in_the_inbox_by_its_ids_alone() {
    let bench = Bench::start().await;
    let reader = bench.read();
    bench.until_subscribed().await;
    let order = bench.orders(1).remove(0);
    bench.edit("Order", &order, json!({ "BillingCity": "Shibuya" }));
    let event = bench.events(1).await.remove(0);
    assert_eq!((event.source, event.topic.as_str()), (Source::Crm, "OrderChangeEvent"));
    assert_eq!(event.record, format!("Order:{order}"));
    assert!(!event.payload.contains("Shibuya"), "{}", event.payload);
    assert!(matches!(report(&event), Report::Record { account: None, is_internal: false, .. }));

    let health = reader.health(ORDERS).await;
    assert_eq!(health["subscriber"]["status"], "connected");
    assert!(health["replay"]["lastReplayId"].is_string() && health["lagSeconds"].is_number(), "{health}");
    assert_eq!(reader.health(CASES).await["replay"]["lastReplayId"], Value::Null);
    reader.stop().await;
}

#[tokio::test]
async fn an_approved_order_and_a_decided_eligibility_are_known_by_what_they_name() {
    let mut bench = Bench::start().await;
    bench.settings.channels.retain(|channel| channel.starts_with("/event/"));
    let reader = bench.read();
    bench.until_subscribed().await;
    let account = sf_id("001", 2, 0);
    bench.edit("Account", &account, json!({ "Internet_Eligibility__c": "Home 10G" }));
    let event = bench.events(1).await.remove(0);
    assert_eq!(report(&event), Report::Eligibility { account: AccountId::parse(&account).unwrap() });

    let created = json!({ "AccountId": account, "EffectiveDate": "2026-11-20", "Status": "Pending Review" });
    let order = bench.sandbox.salesforce().create("Order", &created).unwrap();
    bench.edit("Order", order.as_str(), json!({ "Status": "Approved" }));
    let event = bench.events(1).await.remove(0);
    let Report::Fulfilment { order: named, idempotency_key, .. } = report(&event) else {
        panic!("{event:?}")
    };
    assert_eq!(Some(named), OrderId::parse(order.as_str()));
    assert!(
        idempotency_key.is_some_and(|key| !key.is_empty()),
        "the workflow that reads it must know it again"
    );
    // Nothing that is served changes by it, and the row stays for the workflow.
    let changes = reader.consumer.changes(bench.domain.clone());
    assert_eq!(changes.of(std::slice::from_ref(&event)).await.remove(0).unwrap(), Meaning::default());
    let kept = inbox::events(&bench.store).await;
    assert!(kept.iter().any(|row| row.event_id == event.event_id && row.settled_at.is_some()), "{kept:?}");
    reader.stop().await;
}

#[tokio::test]
async fn a_reader_goes_on_where_the_last_one_stopped() {
    let bench = Bench::start().await;
    let order = bench.orders(1).remove(0);
    let first = bench.read();
    bench.until_subscribed().await;
    bench.move_order(&order, 1);
    bench.events(1).await;
    first.stop().await;
    bench.move_order(&order, 2);
    bench.move_order(&order, 3);
    let second = bench.read();
    let events = bench.events(2).await;
    assert_eq!(
        events.iter().map(|event| event.event_id.clone()).collect::<Vec<_>>(),
        bench.published(ORDERS)[1..]
    );
    second.stop().await;
}

#[tokio::test]
async fn what_comes_twice_is_stored_once_and_a_new_schema_is_fetched() {
    let bench = Bench::start().await;
    let order = bench.orders(1).remove(0);
    let reader = bench.read();
    bench.until_subscribed().await;
    bench.move_order(&order, 1);
    bench.events(1).await;
    let now = bench.sandbox.core().clock.now();
    assert!(bench.bus().repeat(ORDERS, now), "in another place, under the same id");
    bench.bus().change_schema(ORDERS).unwrap();
    bench.move_order(&order, 2);
    assert_eq!(bench.events(1).await[0].event_id, bench.published(ORDERS)[2]);
    assert_eq!(bench.store.event_backlog(Source::Crm).await.unwrap().dead, 0);
    reader.stop().await;
}

#[tokio::test]
async fn a_quiet_channel_keeps_its_place() {
    let bench = Bench::start().await;
    let org = bench.sandbox.salesforce();
    let mut knobs = org.settings();
    knobs.pubsub_keep_alive_ms = 20;
    org.set(knobs);
    let reader = bench.read();
    let first = bench.position(CASES).await;
    eventually("a later position", async || bench.position(CASES).await != first).await;
    reader.stop().await;
}
