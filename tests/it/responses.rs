//! Answers that are kept, in the whole gateway: what a second one costs, and when there is none.

use std::collections::HashMap;

use portal_gateway::{
    freshness::Tag,
    store::audit::{Actor, Event},
};
use reqwest::header::{CONTENT_LENGTH, ETAG};
use serde_json::{Value, json};

use crate::{
    fleet::redis::Redis,
    gateway::{Customer, DASHBOARD, Gateway, Wishes},
};

/// Asks, and gives the bytes of the answer.
async fn raw(gateway: &Gateway, customer: &Customer<'_>, query: &str) -> Vec<u8> {
    let token = customer.token.as_deref().unwrap();
    let request = gateway.request("POST", "/graphql").bearer_auth(token).json(&json!({ "query": query }));
    let response = request.send().await.unwrap();
    let announced: usize = response.headers()[CONTENT_LENGTH].to_str().unwrap().parse().unwrap();
    let bytes = response.bytes().await.unwrap().to_vec();
    assert_eq!(bytes.len(), announced);
    bytes
}

/// The bytes of the data, before what differs from answer to answer.
fn data(bytes: &[u8]) -> &[u8] {
    let end = bytes.windows(14).position(|at| at == br#","extensions":"#).unwrap();
    &bytes[..end]
}

#[tokio::test]
async fn a_second_dashboard_is_the_same_bytes_and_asks_nobody() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    let first = raw(&gateway, &customer, DASHBOARD).await;
    gateway.forget_calls();
    let second = raw(&gateway, &customer, DASHBOARD).await;
    assert_eq!(data(&first), data(&second));
    assert!(gateway.calls().is_empty(), "{:?}", gateway.calls());

    // They differ in their id, and in where and when the data was read.
    let [first, second] = [first, second].map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap());
    assert_ne!(first["extensions"]["requestId"], second["extensions"]["requestId"]);
    assert!(first["errors"].is_null() && second["errors"].is_null());
    let paths = |answer: &Value| -> Vec<String> {
        let seen = answer["extensions"]["freshness"].as_array().cloned().unwrap_or_default();
        seen.iter().map(|seen| seen["path"].as_str().unwrap().to_owned()).collect()
    };
    let (before, after) = (paths(&first), paths(&second));
    assert!(before.iter().all(|path| after.contains(path)), "{before:?} {after:?}");
    for path in ["viewer.profile", "viewer.subscriptions", "viewer.invoices", "viewer.orders", "viewer.cases"]
    {
        assert!(after.iter().any(|seen| seen == path), "{path} of {after:?}");
    }
    insta::assert_json_snapshot!(second["extensions"]["freshness"][0], { ".ageSeconds" => "[seconds]" }, @r#"
    {
      "ageSeconds": "[seconds]",
      "path": "viewer.cases",
      "source": "MEMORY",
      "stale": false
    }
    "#);
}

#[tokio::test]
async fn an_answer_with_notifications_is_kept_until_one_comes_or_is_read() {
    const BELL: &str = "{ viewer { profile { fullName } notifications { unreadCount nodes { id } } } }";
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    let bell = || async { customer.ask(BELL, json!({})).await.data()["viewer"]["notifications"].clone() };
    assert_eq!(bell().await["unreadCount"], 0);
    let principal = gateway.app.identity.authenticate(customer.token.as_deref().unwrap()).await.unwrap();
    let notifications = &gateway.app.notifications;
    for event in ["event-1", "event-2"] {
        assert!(notifications.eligibility_changed(principal.account, true, event).await.unwrap());
    }
    let shown = bell().await;
    assert_eq!(shown["unreadCount"], 2, "they came");
    // What is changed behind the gateway's back shows that the answer is a kept one.
    let now = gateway.app.clock.now();
    let event = Event::done("notification.read-all", Actor::System, now);
    gateway.app.store.read_notifications(principal.user, None, now, event).await.unwrap();
    assert_eq!(bell().await["unreadCount"], 2, "the answer was not kept");
    let dismiss = "mutation($id: ID!) { notificationDismiss(input: { id: $id }) { userErrors { code } } }";
    customer.ask(dismiss, json!({ "id": shown["nodes"][0]["id"] })).await.data();
    let shown = bell().await;
    assert_eq!((&shown["unreadCount"], shown["nodes"].as_array().unwrap().len()), (&json!(0), 1));
}

#[tokio::test]
async fn two_customers_with_one_question_never_share_an_answer() {
    let gateway = Gateway::start().await;
    let (a, b) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let (of_a, of_b) = (raw(&gateway, &a, DASHBOARD).await, raw(&gateway, &b, DASHBOARD).await);
    assert_ne!(data(&of_a), data(&of_b));
    for _ in 0..20 {
        let again = futures::future::join(raw(&gateway, &a, DASHBOARD), raw(&gateway, &b, DASHBOARD)).await;
        assert_eq!((data(&again.0), data(&again.1)), (data(&of_a), data(&of_b)));
    }
    let nobody = gateway.nobody().ask(DASHBOARD, json!({})).await.data();
    assert!(nobody["viewer"].is_null());
}

#[tokio::test]
async fn a_kept_answer_is_not_for_those_who_signed_out_or_were_disabled() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    for _ in 0..2 {
        raw(&gateway, &customer, DASHBOARD).await;
    }
    customer.ask("mutation { sessionEnd { ended } }", json!({})).await.data();
    assert_eq!(customer.ask(DASHBOARD, json!({})).await.status, 401, "at once");

    let customer = gateway.sign_in(1).await;
    for _ in 0..2 {
        raw(&gateway, &customer, DASHBOARD).await;
    }
    let principal = gateway.app.identity.authenticate(customer.token.as_deref().unwrap()).await.unwrap();
    assert!(gateway.app.identity.disable(principal.user).await.unwrap());
    assert_eq!(customer.ask(DASHBOARD, json!({})).await.status, 401, "at once");
}

#[tokio::test]
async fn what_changed_is_read_anew_and_the_rest_is_not() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    raw(&gateway, &customer, DASHBOARD).await;
    let principal = gateway.app.identity.authenticate(customer.token.as_deref().unwrap()).await.unwrap();
    gateway.forget_calls();
    let invoices = Tag::new(format!("client:{}:invoices", principal.client));
    gateway.app.cache.invalidate(&[invoices]).await.unwrap();
    raw(&gateway, &customer, DASHBOARD).await;
    let asked: Vec<_> = gateway.calls().into_iter().map(|(_, operation, _)| operation).collect();
    assert_eq!(asked, ["GetInvoices"]);
}

#[tokio::test]
async fn a_get_is_answered_304_while_nothing_changed() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    let get = |tag: String| {
        let request = gateway.request("GET", "/graphql?query={viewer{profile{fullName}}}");
        request.bearer_auth(customer.token.as_deref().unwrap()).header("if-none-match", tag).send()
    };
    let first = get(String::new()).await.unwrap();
    let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
    assert_eq!(
        (first.status().as_u16(), &first.headers()["cache-control"]),
        (200, &"private, no-store".parse().unwrap())
    );
    let second = get(tag.clone()).await.unwrap();
    assert_eq!((second.status().as_u16(), second.headers()[ETAG].to_str().unwrap()), (304, tag.as_str()));
    assert_eq!(second.bytes().await.unwrap().len(), 0);
    assert_eq!(get("W/\"another\"".to_owned()).await.unwrap().status(), 200);
}

#[derive(Debug)]
struct Commands {
    /// Readings of entries.
    reads: u64,
    all: u64,
}

/// The commands that a server has run.
async fn commands(redis: &Redis) -> Commands {
    let text: String = redis::from_redis_value(redis.command(&["INFO", "commandstats"]).await).unwrap();
    let calls = |line: &str| -> u64 {
        line.split("calls=").nth(1).unwrap().split(',').next().unwrap().parse().unwrap()
    };
    let lines = text.lines().filter(|line| line.starts_with("cmdstat_"));
    let (mut reads, mut all) = (0, 0);
    for line in lines {
        all += calls(line);
        if line.starts_with("cmdstat_mget") {
            reads = calls(line);
        }
    }
    Commands { reads, all }
}

#[tokio::test]
async fn a_hit_asks_neither_the_systems_nor_redis() {
    let redis = Redis::start().await;
    let env = [("REDIS_URL", format!("redis://{}", redis.address()))].into();
    let gateway = Gateway::with(Wishes { env, ..Wishes::default() }).await;
    let customer = gateway.sign_in(1).await;
    while !gateway.app.cache.is_live() {
        tokio::task::yield_now().await;
    }
    for _ in 0..2 {
        raw(&gateway, &customer, DASHBOARD).await;
    }
    gateway.forget_calls();
    let before = commands(&redis).await;
    const HITS: u64 = 500;
    for _ in 0..HITS {
        raw(&gateway, &customer, DASHBOARD).await;
    }
    let after = commands(&redis).await;
    // Entries are read by MGET, and by nothing else.
    assert!(before.reads > 0);
    assert_eq!(after.reads, before.reads);
    // The leases of replicas are renewed meanwhile, some commands each time.
    assert!(after.all - before.all < HITS / 2, "{before:?} {after:?}");
    assert!(gateway.calls().is_empty(), "{:?}", gateway.calls());
}

#[tokio::test]
async fn a_cold_dashboard_asks_the_crm_once_although_each_of_its_parts_asks_redis_first() {
    let redis = Redis::start().await;
    let env = HashMap::from([
        ("REDIS_URL", format!("redis://{}", redis.address())),
        // Far longer than the parts come apart on a busy machine.
        ("SF_GATHER_WITHIN", "50ms".to_owned()),
    ]);
    let gateway = Gateway::with(Wishes { env, ..Wishes::default() }).await;
    while !gateway.app.cache.is_live() {
        tokio::task::yield_now().await;
    }
    for n in 1..=5 {
        let customer = gateway.sign_in(n).await;
        gateway.forget_calls();
        raw(&gateway, &customer, DASHBOARD).await;
        let calls: Vec<_> =
            gateway.calls().into_iter().filter(|(system, ..)| *system == "salesforce").collect();
        assert_eq!(calls, [("salesforce", "composite".to_owned(), 1)], "customer {n}");
    }
}
