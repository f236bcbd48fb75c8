//! The bell: what staff decide in the CRM is told to the customer, once, and how its list is kept.

use std::{collections::HashMap, time::Duration};

use chrono::TimeDelta;
use portal_gateway::{
    events::salesforce::Settings,
    sandbox::{
        core::{Rule, RuleKind, System},
        world::ids::sf_id,
    },
    store::inbox::Source,
};
use serde_json::{Value, json};

use crate::{
    gateway::{ACCOUNTS, Customer, Gateway, Wishes},
    live::ids,
    socket::Socket,
};

const DECISIONS: &str = "/event/Account_Internet_Eligibility_Update__e";

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway that reads the CRM's events.
async fn gateway() -> Gateway {
    let env = HashMap::from([
        ("SF_EVENTS_ENABLED", "true".to_owned()),
        ("SF_CASE_COMMENT_POLL", "0s".to_owned()),
        ("EVENTS_POLL", "50ms".to_owned()),
    ]);
    let gateway = Gateway::with(Wishes { env, ..Wishes::default() }).await;
    let subscribed = gateway.sandbox.salesforce().bus.until_subscribed(Settings::CHANNELS.len());
    tokio::time::timeout(PATIENCE, subscribed).await.expect("the channels are read");
    gateway
}

/// Where the channel of decisions has been read to.
async fn position(gateway: &Gateway) -> Option<Vec<u8>> {
    gateway.app.store.event_cursor(DECISIONS).await.unwrap().and_then(|cursor| cursor.position)
}

/// Until the channel was read beyond a position, and all that was read is applied.
async fn until_applied(gateway: &Gateway, before: Option<Vec<u8>>) {
    let applied = async {
        while position(gateway).await == before
            || gateway.app.store.event_backlog(Source::Crm).await.unwrap().waiting > 0
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, applied).await.expect("the events are applied");
}

/// What staff write into an account, and what follows from it.
async fn decide(gateway: &Gateway, n: u64, fields: Value) {
    let before = position(gateway).await;
    gateway.sandbox.salesforce().edit("Account", &sf_id("001", n, 0), &fields).unwrap();
    until_applied(gateway, before).await;
}

/// The bell of a customer.
async fn bell(customer: &Customer<'_>) -> Value {
    let question = "{ viewer { notifications(first: 10) {
        totalCount unreadCount nodes { kind title link readAt } } } }";
    customer.ask(question, json!({})).await.data()["viewer"]["notifications"].clone()
}

fn kinds(bell: &Value) -> Vec<&str> {
    bell["nodes"].as_array().unwrap().iter().map(|node| node["kind"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_decided_eligibility_rings_the_bell_once() {
    let gateway = gateway().await;
    let (customer, other) = (gateway.sign_in(2).await, gateway.sign_in(3).await);
    decide(&gateway, 2, json!({ "Internet_Eligibility_Status__c": "Pending" })).await;
    assert_eq!(bell(&customer).await["totalCount"], 0, "a check that goes on is no news");

    let granted =
        json!({ "Internet_Eligibility_Status__c": "Eligible", "Internet_Eligibility__c": "Home 10G" });
    decide(&gateway, 2, granted).await;
    let rung = bell(&customer).await;
    assert_eq!((kinds(&rung), &rung["unreadCount"]), (vec!["ELIGIBILITY_ELIGIBLE"], &json!(1)), "{rung}");
    let told = &rung["nodes"][0];
    assert_eq!((&told["readAt"], &told["link"]), (&Value::Null, &json!("/account/services/internet")));

    // The bus delivers the same event again.
    let before = position(&gateway).await;
    assert!(gateway.sandbox.salesforce().bus.repeat(DECISIONS, gateway.sandbox.core().clock.now()));
    until_applied(&gateway, before).await;
    assert_eq!(bell(&customer).await, rung);

    // Another decision is news again, of what is known by then.
    let refused = json!({ "Internet_Eligibility_Status__c": "Ineligible", "Internet_Eligibility__c": null });
    decide(&gateway, 2, refused).await;
    assert_eq!(kinds(&bell(&customer).await), ["ELIGIBILITY_INELIGIBLE", "ELIGIBILITY_ELIGIBLE"]);
    assert_eq!(bell(&other).await["totalCount"], 0);
}

#[tokio::test]
async fn a_decision_waits_for_a_crm_that_is_away_and_nobody_asks_for_strangers() {
    let gateway = gateway().await;
    let customer = gateway.sign_in(2).await;
    let granted =
        json!({ "Internet_Eligibility_Status__c": "Eligible", "Internet_Eligibility__c": "Home 10G" });
    let core = gateway.sandbox.core();
    let queries = || core.journal.count(System::Salesforce, Some("query"));
    gateway.forget_calls();
    decide(&gateway, ACCOUNTS + 1, granted.clone()).await;
    assert_eq!(queries(), 0, "an account of nobody here");

    let query = Rule { operation: "query".into(), ..Rule::every(System::Salesforce, RuleKind::Drop) };
    core.faults.add(query);
    let before = position(&gateway).await;
    gateway.sandbox.salesforce().edit("Account", &sf_id("001", 2, 0), &granted).unwrap();
    let asked = async {
        while queries() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("the CRM is asked");
    assert_eq!(bell(&customer).await["totalCount"], 0);
    core.faults.clear();
    gateway.app.clock.advance(TimeDelta::seconds(6));
    until_applied(&gateway, before).await;
    assert_eq!(kinds(&bell(&customer).await), ["ELIGIBILITY_ELIGIBLE"]);
}

#[tokio::test]
async fn the_bell_rings_once_for_each_decision_and_for_nobody_else() {
    let gateway = Gateway::start().await;
    let (taro, hanako) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let (_, account) = ids(&gateway, &taro).await;
    let bell =
        "subscription { notificationReceived { id notification { id kind title message link readAt } } }";
    let (mut mine, mut theirs) = (Socket::of(&gateway, &taro).await, Socket::of(&gateway, &hanako).await);
    mine.subscribe("bell", bell).await;
    theirs.subscribe("bell", bell).await;
    mine.settle().await;
    theirs.settle().await;
    let notifications = &gateway.app.notifications;
    assert!(notifications.eligibility_changed(account, true, "event-1").await.unwrap());
    assert!(!notifications.eligibility_changed(account, true, "event-1").await.unwrap(), "a replay");
    let received = mine.update("bell").await["notificationReceived"].clone();
    assert_eq!(received["notification"]["kind"], "ELIGIBILITY_ELIGIBLE");
    mine.settle().await;
    theirs.settle().await;
    assert!(notifications.eligibility_changed(account, false, "event-2").await.unwrap());
    let second = mine.update("bell").await["notificationReceived"]["id"].clone();

    let list = "{ viewer { notifications(first: 10) { totalCount unreadCount nodes { id kind readAt } } } }";
    let shown = async |customer: &Customer<'_>| {
        customer.ask(list, json!({})).await.data()["viewer"]["notifications"].clone()
    };
    let all = shown(&taro).await;
    assert_eq!((&all["totalCount"], &all["unreadCount"]), (&json!(2), &json!(2)), "{all}");
    assert_eq!(all["nodes"][0]["id"], second, "newest first");
    assert_eq!(shown(&hanako).await["totalCount"], 0);

    let read = "mutation($id: ID!) { notificationMarkRead(input: { id: $id }) {
        notification { id readAt } userErrors { code field } } }";
    let dismiss = "mutation($id: ID!) { notificationDismiss(input: { id: $id }) {
        notification { id } userErrors { code } } }";
    let first = &received["id"];
    for foreign in [read, dismiss] {
        let refused = hanako.ask(foreign, json!({ "id": first })).await.data();
        assert!(refused.to_string().contains("NOT_FOUND"), "{refused}");
    }
    let marked = taro.ask(read, json!({ "id": first })).await.data();
    assert!(marked["notificationMarkRead"]["notification"]["readAt"].is_string(), "{marked}");
    assert_eq!(shown(&taro).await["unreadCount"], 1);
    let dismissed = taro.ask(dismiss, json!({ "id": first })).await.data();
    assert_eq!(dismissed["notificationDismiss"]["notification"]["id"], *first);
    let marked = taro.ask("mutation { notificationMarkAllRead { markedCount } }", json!({})).await.data();
    assert_eq!(marked["notificationMarkAllRead"]["markedCount"], 1);
    let left = shown(&taro).await;
    assert_eq!((&left["totalCount"], &left["unreadCount"]), (&json!(1), &json!(0)));
    let node = "query($id: ID!) { node(id: $id) { id } }";
    assert_eq!(taro.ask(node, json!({ "id": second })).await.data()["node"]["id"], second);
    assert_eq!(hanako.ask(node, json!({ "id": second })).await.data()["node"], Value::Null);

    // After thirty days it is gone, and its place with the next one's.
    gateway.app.clock.advance(TimeDelta::days(31));
    let later = gateway.sign_in(1).await;
    assert_eq!(shown(&later).await["totalCount"], 0);
}
