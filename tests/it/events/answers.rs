//! What an event makes old, and what heals when one was lost.

use std::{collections::HashMap, time::Duration};

use portal_gateway::{
    events::{Change, salesforce::Settings},
    id::{AccountId, CaseId, OrderId},
    sandbox::{
        core::System,
        faults::{Rule, RuleKind},
        world::ids::sf_id,
    },
};
use serde_json::{Value, json};

use super::{Bench, ORDERS, PATIENCE, eventually};
use crate::{
    gateway::{Gateway, Wishes},
    wire,
};

#[tokio::test]
async fn events_say_whose_answers_are_old() {
    let mut bench = Bench::start().await;
    bench.settings.comments_every = Some(Duration::from_millis(50));
    let reader = bench.read();
    bench.until_subscribed().await;
    let changes = reader.consumer.changes(bench.domain.clone());
    let account = |n| AccountId::parse(&sf_id("001", n, 0)).unwrap();
    let meaning = async |count: usize| {
        let events = bench.events(count).await;
        let mut said = Vec::new();
        for meaning in changes.of(&events).await {
            said.extend(meaning.unwrap().changes);
        }
        said
    };

    let order = bench.orders(1).remove(0);
    bench.move_order(&order, 1);
    let orders = Change::Order { account: account(1), order: OrderId::parse(&order) };
    assert_eq!(meaning(1).await, std::slice::from_ref(&orders));
    bench.edit("Order", &order, json!({ "WHMCS_Order_ID__c": "77" }));
    assert_eq!(meaning(1).await, [], "nobody is shown that");

    let line = bench.sandbox.core().world.customer(1).orders[0].lines[0].line;
    let line = sf_id("802", 1, bench.sandbox.core().world.customer(1).orders[0].k * 16 + line);
    bench.edit("OrderItem", &line, json!({ "Billing_Cycle__c": "Annually" }));
    assert!(meaning(1).await.contains(&orders));

    let case = sf_id("500", 2, bench.sandbox.core().world.customer(2).cases[0].k);
    let case_id = CaseId::parse(&case).unwrap();
    let conversation = Change::Conversation { account: account(2), case: case_id };
    bench.edit("Case", &case, json!({ "Priority": "High" }));
    let cases = Change::Case { account: account(2), case: Some(case_id) };
    assert_eq!(meaning(1).await, [cases, conversation.clone()]);
    let comment = json!({ "ParentId": case, "CommentBody": "We are on it", "IsPublished": true });
    bench.sandbox.salesforce().create("CaseComment", &comment).unwrap();
    assert_eq!(meaning(1).await, std::slice::from_ref(&conversation));
    let mail = json!({ "ParentId": case, "Subject": "Re", "TextBody": "Hello", "Incoming": true });
    bench.sandbox.salesforce().create("EmailMessage", &mail).unwrap();
    assert!(meaning(1).await.contains(&conversation));

    bench.edit("Account", account(3).as_str(), json!({ "Phone": "03-1234-5678" }));
    let said = meaning(1).await;
    assert!(said.contains(&Change::Account { account: account(3) }), "{said:?}");

    bench.edit("Product2", &sf_id("01t", 0, 1), json!({ "Description": "Faster" }));
    assert_eq!(meaning(1).await, [Change::Catalogue]);
    bench.edit("PricebookEntry", &sf_id("01u", 0, 1), json!({ "UnitPrice": 4321 }));
    assert_eq!(meaning(1).await, [Change::Catalogue]);
    let opportunity = sf_id("006", 1, bench.sandbox.core().world.customer(1).opportunities[0].k);
    bench.edit("Opportunity", &opportunity, json!({ "Description": "Moved on" }));
    let said = meaning(1).await;
    let any_order = Change::Order { account: account(1), order: None };
    assert!(said.contains(&any_order) && said.contains(&Change::Account { account: account(1) }), "{said:?}");
    reader.stop().await;
}

#[tokio::test]
async fn a_change_in_the_crm_is_in_the_next_answers() {
    const QUESTION: &str = "{ viewer { orders(first: 1) { nodes { address { city } } }
        cases(first: 1) { nodes { conversation { body } } } } }";
    let env = HashMap::from([
        ("SF_EVENTS_ENABLED", "true".to_owned()),
        ("SF_CASE_COMMENT_POLL", "1s".to_owned()),
        // Nothing here is seen because its time has run out.
        ("CACHE_ORDERS", "1h".to_owned()),
        ("CACHE_CASES", "1h".to_owned()),
        ("CACHE_CONVERSATION", "1h".to_owned()),
    ]);
    let gateway = Gateway::with(Wishes { env, ..Wishes::default() }).await;
    let org = gateway.sandbox.salesforce();
    let subscribed = org.bus.until_subscribed(Settings::CHANNELS.len());
    tokio::time::timeout(PATIENCE, subscribed).await.unwrap();
    let customer = gateway.sign_in(1).await;
    let ask = async || customer.ask(QUESTION, Value::Null).await.data()["viewer"].clone();
    ask().await;
    for order in &gateway.sandbox.core().world.customer(1).orders {
        org.edit("Order", &sf_id("801", 1, order.k), &json!({ "BillingCity": "Elsewhere" })).unwrap();
    }
    eventually("the order", async || ask().await["orders"]["nodes"][0]["address"]["city"] == "Elsewhere")
        .await;
    for case in &gateway.sandbox.core().world.customer(1).cases {
        let comment = json!({
            "ParentId": sf_id("500", 1, case.k), "CommentBody": "It is mended", "IsPublished": true
        });
        org.create("CaseComment", &comment).unwrap();
    }
    eventually("the comment", async || ask().await.to_string().contains("It is mended")).await;

    let reply = wire::Reply::to(gateway.request("GET", "/health/sf-events")).await;
    assert_eq!((reply.status, &reply.json()["enabled"]), (200, &json!(true)));
    let quiet = Gateway::start().await;
    let reply = wire::Reply::to(quiet.request("GET", "/health/sf-events")).await;
    assert_eq!((reply.status, reply.json()), (200, json!({ "enabled": false, "channels": [] })));
}

#[tokio::test]
async fn what_was_lost_with_a_refused_position_is_found_by_the_comparison_and_healed() {
    const QUESTION: &str = "{ viewer { orders(first: 1) { nodes { address { city } } } } }";
    let env = HashMap::from([
        ("SF_EVENTS_ENABLED", "true".to_owned()),
        ("SF_EVENTS_RECONNECT_MAX", "1s".to_owned()),
        ("CACHE_ORDERS", "12h".to_owned()),
        ("RECONCILE_PER_MINUTE", "600".to_owned()),
        ("RECONCILE_SETTLE", "0s".to_owned()),
    ]);
    let gateway = Gateway::with(Wishes { env, ..Wishes::default() }).await;
    let org = gateway.sandbox.salesforce();
    let subscribed = org.bus.until_subscribed(Settings::CHANNELS.len());
    tokio::time::timeout(PATIENCE, subscribed).await.unwrap();
    let customer = gateway.sign_in(1).await;
    let city = async || {
        let data = customer.ask(QUESTION, Value::Null).await.data();
        data["viewer"]["orders"]["nodes"][0]["address"]["city"].clone()
    };
    let move_to = |city: &str| {
        for order in &gateway.sandbox.core().world.customer(1).orders {
            org.edit("Order", &sf_id("801", 1, order.k), &json!({ "BillingCity": city })).unwrap();
        }
    };
    // There is a position to be refused.
    city().await;
    move_to("First");
    eventually("an event", async || city().await == "First").await;
    // The bus is away, and forgets what it had for us.
    let refused =
        Rule { operation: "pubsub.Subscribe".into(), ..Rule::every(System::Salesforce, RuleKind::Expire) };
    gateway.sandbox.core().faults.add(refused);
    org.bus.drop_streams(None);
    eventually("no stream", async || org.bus.subscriptions() == 0).await;
    move_to("Second");
    org.bus.reset(ORDERS);
    assert_eq!(city().await, "First", "nobody has told");
    gateway.sandbox.core().faults.clear();
    eventually("the comparison", async || city().await == "Second").await;
    let tally = gateway.app.reconciler.tally();
    assert!(tally.drifted >= 1, "{tally:?}");
}
