//! Which changes reach whom.

use std::{collections::HashMap, time::Duration};

use portal_gateway::{
    id::CaseId,
    notify::{Hint, Subject, Topic},
};
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

use super::{CHANGED, ids, invoice_of, invoices, with};
use crate::{gateway::Gateway, socket::Socket};

#[tokio::test]
async fn an_update_brings_the_object_as_it_is_now_and_only_to_its_owner() {
    let gateway = Gateway::start().await;
    let (taro, hanako) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let (mine, theirs) = (invoices(&taro).await, invoices(&hanako).await);
    let document = "subscription($id: ID) { invoiceUpdated(id: $id) { id invoice { id number } } }";
    let mut at_taro = Socket::of(&gateway, &taro).await;
    at_taro.subscribe("all", document).await;
    at_taro.subscribe_with("one", document, json!({ "id": mine[0].0 })).await;
    let mut at_hanako = Socket::of(&gateway, &hanako).await;
    at_hanako.subscribe("all", document).await;
    at_hanako.subscribe("changed", CHANGED).await;
    // Another's id is refused like one that does not exist.
    let mut refused = Vec::new();
    for id in [theirs[0].0.as_str(), "SW52b2ljZTo5OTk5OTk5OTk5"] {
        at_taro.subscribe_with("foreign", document, json!({ "id": id })).await;
        let mut answer = at_taro.hear().await;
        assert_eq!(answer["payload"]["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{answer}");
        answer["payload"]["extensions"].take();
        refused.push(answer);
        assert_eq!(at_taro.hear().await, json!({ "id": "foreign", "type": "complete" }));
    }
    assert_eq!(refused[0], refused[1]);
    at_hanako.settle().await;
    at_taro.settle().await;

    let (client, _) = ids(&gateway, &taro).await;
    gateway.app.live.publish(invoice_of(client, mine[1].1)).await;
    let update = at_taro.update("all").await["invoiceUpdated"].clone();
    assert_eq!(update["id"], mine[1].0);
    assert_eq!(update["invoice"]["id"], mine[1].0);
    gateway.app.live.publish(invoice_of(client, mine[0].1)).await;
    let mut heard = HashMap::new();
    for _ in 0..2 {
        let message = at_taro.hear().await;
        heard.insert(message["id"].to_string(), message["payload"]["data"]["invoiceUpdated"]["id"].clone());
    }
    assert_eq!(heard, HashMap::from(["\"all\"", "\"one\""].map(|id| (id.to_owned(), json!(mine[0].0)))));
    // Even a hint that names another's object in one's own topic shows nothing of it.
    gateway.app.live.publish(invoice_of(client, theirs[0].1)).await;
    assert_eq!(at_taro.update("all").await["invoiceUpdated"]["invoice"], Value::Null);
    // Nothing of all that came to the other.
    at_hanako.settle().await;
}

#[tokio::test]
async fn each_kind_of_update_comes_by_its_own_field() {
    let gateway = Gateway::start().await;
    let taro = gateway.sign_in(1).await;
    let data = taro
        .ask(
            "{ viewer { orders(first: 1) { nodes { id } } cases(first: 1) { nodes { id } }
               subscriptions(first: 100) { nodes { line { phoneNumber } } } } }",
            json!({}),
        )
        .await
        .data();
    let viewer = &data["viewer"];
    let (_, account) = ids(&gateway, &taro).await;
    let mut socket = Socket::of(&gateway, &taro).await;
    for (id, query) in [
        ("order", "subscription { orderUpdated { id order { id } } }"),
        ("case", "subscription { caseUpdated { id case { id } } }"),
        ("line", "subscription { lineUpdated { line { phoneNumber } } }"),
    ] {
        socket.subscribe(id, query).await;
        socket.settle().await;
    }
    socket.subscribe("last", CHANGED).await;
    socket.settle().await;
    // Subscribing asks the systems; a query behind it shows that it is done.
    socket.subscribe("done", "{ viewer { orders { totalCount } cases { totalCount } } }").await;
    socket.update("done").await;
    assert_eq!(socket.hear().await["type"], "complete");

    let publish = |topic, subject| gateway.app.live.publish(Hint::new(topic, subject));
    publish(Topic::Account(account), Subject::Order(None)).await;
    let mut heard = HashMap::new();
    let mut next = async |socket: &mut Socket, count: usize| {
        heard.clear();
        for _ in 0..count {
            let message = socket.hear().await;
            heard.insert(message["id"].as_str().unwrap().to_owned(), message["payload"]["data"].clone());
        }
        heard.clone()
    };
    let order = next(&mut socket, 2).await;
    assert_eq!(order["order"], json!({ "orderUpdated": { "id": null, "order": null } }));
    assert_eq!(order["last"], json!({ "accountChanged": { "kind": "ORDER", "id": null } }));

    if let Some(id) = viewer["cases"]["nodes"][0]["id"].as_str() {
        publish(Topic::Account(account), Subject::Case(case_of(id))).await;
        let case = next(&mut socket, 2).await;
        assert_eq!(case["case"], json!({ "caseUpdated": { "id": id, "case": { "id": id } } }));
        assert_eq!(case["last"], json!({ "accountChanged": { "kind": "CASE", "id": id } }));
    }
    let lines = viewer["subscriptions"]["nodes"].as_array().unwrap();
    let line = lines.iter().find_map(|node| node["line"]["phoneNumber"].as_str()).expect("a mobile line");
    publish(Topic::Line(line.into()), Subject::Line).await;
    publish(Topic::Line("09000000000".into()), Subject::Line).await;
    assert_eq!(socket.update("line").await, json!({ "lineUpdated": { "line": { "phoneNumber": line } } }));
    socket.settle().await;
}

fn case_of(id: &str) -> Option<CaseId> {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(id).unwrap()).unwrap();
    CaseId::parse(text.strip_prefix("Case:")?)
}

#[tokio::test]
async fn what_a_customer_changes_is_told_to_their_other_devices_and_to_nobody_else() {
    let gateway = Gateway::start().await;
    // Billing reports nothing.
    gateway.sandbox.send_hooks_to("http://127.0.0.1:1", gateway.app.clock.clone());
    let (taro, hanako) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let mut device = Socket::of(&gateway, &taro).await;
    let mut other = Socket::of(&gateway, &hanako).await;
    for socket in [&mut device, &mut other] {
        socket.subscribe("1", CHANGED).await;
        socket.settle().await;
    }
    let change = r#"mutation { profileUpdate(input: { phone: "090-1111-2222" }) { userErrors { code } } }"#;
    let changed = taro.ask(change, json!({})).await.data();
    assert_eq!(changed["profileUpdate"]["userErrors"], json!([]));
    assert_eq!(device.update("1").await["accountChanged"], json!({ "kind": "PROFILE", "id": null }));
    other.settle().await;
}

#[tokio::test]
async fn an_update_reaches_the_sockets_of_another_replica() {
    let url = std::env::var("TEST_REDIS_URL").expect("TEST_REDIS_URL: run with scripts/services");
    let prefix = Uuid::new_v4().to_string();
    let env = [("REDIS_URL", url.as_str()), ("REDIS_PREFIX", prefix.as_str())];
    let (here, there) = (with(&env).await, with(&env).await);
    let taro = there.sign_in(1).await;
    let mut socket = Socket::of(&there, &taro).await;
    socket.subscribe("1", CHANGED).await;
    socket.settle().await;
    let profile = Hint::new(Topic::Client(ids(&there, &taro).await.0), Subject::Profile);
    let heard = async {
        loop {
            // The other replica begins to listen in the background.
            here.app.live.publish(profile.clone()).await;
            if let Ok(update) = timeout(Duration::from_millis(200), socket.update("1")).await {
                break update;
            }
        }
    };
    let update = timeout(Duration::from_secs(20), heard).await.expect("the other replica hears nothing");
    assert_eq!(update["accountChanged"]["kind"], "PROFILE");
}
