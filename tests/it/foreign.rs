//! Two customers can never see each other.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use portal_gateway::sandbox::world::ids;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use crate::{
    gateway::{Customer, DASHBOARD, Gateway},
    wire::ask,
};

/// Everything that a customer can see, with every id.
const ALL: &str = r"query All {
  viewer {
    id
    profile { email phone customerNumber fullName address { line1 } }
    subscriptions(first: 100) { edges { cursor } nodes { id name line { phoneNumber state { iccid } } order { id } } }
    invoices(first: 100) { edges { cursor } nodes { id number } }
    orders(first: 100) { edges { cursor } nodes { id number lines { subscription { id } } } }
    cases(first: 100) { edges { cursor } nodes { id number subject conversation { id body } subscription { id } } }
    paymentMethods { id }
  }
}";

/// Every string under a field of one of these names.
fn gather(value: &Value, names: &[&str], found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if names.contains(&name.as_str()) => {
                        found.insert(text.clone());
                    }
                    _ => gather(value, names, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, names, found)),
        _ => {}
    }
}

fn gathered(value: &Value, names: &[&str]) -> Vec<String> {
    let mut found = BTreeSet::new();
    gather(value, names, &mut found);
    found.into_iter().collect()
}

/// What only the other customer's answers may hold.
struct Other {
    ids: Vec<String>,
    cursors: Vec<String>,
    values: Vec<String>,
}

async fn other(customer: &Customer<'_>, mine: &Value) -> Other {
    let theirs = customer.ask(ALL, json!({})).await.data();
    let names = ["email", "phone", "customerNumber", "phoneNumber", "number", "id"];
    let own = gathered(mine, &names);
    let values = gathered(&theirs, &names).into_iter().filter(|value| !own.contains(value)).collect();
    Other { ids: gathered(&theirs, &["id"]), cursors: gathered(&theirs, &["cursor"]), values }
}

/// The questions that take an id, a cursor or a search text, given some of the other's.
fn questions(id: &str, ids: &[String], cursor: &str, text: &str) -> Vec<(&'static str, Value)> {
    let node = "... on Subscription { name line { phoneNumber } order { number } invoices { number } }
                ... on Invoice { number balance { amount } lines { description } }
                ... on Order { number subscriptions { name } }
                ... on Case { number subject conversation { body } }
                ... on PaymentMethod { lastFour }";
    // Leaked once per run: a handful of documents.
    let document = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    vec![
        (document(format!("query($id: ID!) {{ node(id: $id) {{ id {node} }} }}")), json!({ "id": id })),
        (
            document(format!("query($ids: [ID!]!) {{ nodes(ids: $ids) {{ id {node} }} }}")),
            json!({ "ids": ids }),
        ),
        (
            "query($after: String, $text: String) { viewer {
                subscriptions(after: $after) { nodes { id line { phoneNumber } } }
                invoices(after: $after, filter: { search: $text }) { nodes { id number } }
                orders(after: $after) { nodes { id number } }
                cases(after: $after, filter: { search: $text }) { nodes { id number } } } }",
            json!({ "after": cursor, "text": text }),
        ),
    ]
}

/// The first of the other's values that an answer holds.
fn leak<'a>(answer: &Value, other: &'a Other, sent: &[String]) -> Option<&'a String> {
    let text = answer["data"].to_string();
    other
        .values
        .iter()
        .find(|value| !sent.contains(value) && value.len() > 3 && text.contains(value.as_str()))
}

#[test]
fn no_id_of_another_customer_opens_anything() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gateway = runtime.block_on(Gateway::start());
    let (a, mine, theirs) = runtime.block_on(async {
        let (a, b) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
        let mine = a.ask(ALL, json!({})).await.data();
        let theirs = other(&b, &mine).await;
        (a, mine, theirs)
    });
    assert!(theirs.ids.len() > 10 && theirs.values.len() > 10, "the other has something to lose");
    let random = "SW52b2ljZTo5OTk5OTk5OTk5";

    let mut runner = TestRunner::new(Config { cases: 2500, failure_persistence: None, ..Config::default() });
    let strategy = (
        prop::sample::select(theirs.ids.clone()),
        prop::collection::vec(prop::sample::select(theirs.ids.clone()), 1..8),
        prop::sample::select(theirs.cursors.clone()),
        prop::sample::select(theirs.values.clone()),
    );
    runner
        .run(&strategy, |(id, ids, cursor, text)| {
            runtime.block_on(async {
                for (document, variables) in questions(&id, &ids, &cursor, &text) {
                    let answer = a.ask(document, variables).await.body;
                    let sent: Vec<_> = ids.iter().chain([&id]).cloned().collect();
                    prop_assert_eq!(leak(&answer, &theirs, &sent), None, "{}", answer);
                }
                // What is somebody else's looks like what does not exist.
                let document = "query($id: ID!) { node(id: $id) { id } }";
                let foreign = a.ask(document, json!({ "id": id })).await.body;
                let missing = a.ask(document, json!({ "id": random })).await.body;
                if foreign["errors"].is_null() {
                    prop_assert_eq!(&foreign["data"], &missing["data"]);
                }
                Ok(())
            })
        })
        .unwrap();
    drop(mine);
}

/// An id of the same kind and form as another, of something that never was.
fn never(id: &str) -> String {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(id).unwrap()).unwrap();
    let (kind, key) = text.split_once(':').unwrap();
    let key = match key.parse::<u64>() {
        Ok(_) => "9".repeat(key.len()),
        Err(_) => ids::sf_id(&key[..3], 987_654, 3),
    };
    BASE64_URL_SAFE_NO_PAD.encode(format!("{kind}:{key}"))
}

/// The bytes of an answer without what names the request.
async fn bytes(
    customer: &Customer<'_>,
    gateway: &Gateway,
    document: &str,
    variables: Value,
) -> (u16, String) {
    let bearer = format!("Bearer {}", customer.token.as_deref().unwrap());
    let reply = ask(gateway, &[("authorization", &bearer)], document, variables).await;
    let id = reply.header("x-request-id").to_owned();
    assert!(!id.is_empty() && reply.text.contains(&id), "{reply:?}");
    (reply.status, reply.text.replace(&id, "[request]"))
}

const NODE: &str = "query($id: ID!) { node(id: $id) { __typename id } nodes(ids: [$id]) { id } }";

/// Requirement Z3.
#[tokio::test]
async fn what_is_somebody_elses_is_byte_for_byte_what_never_was() {
    let gateway = Gateway::start().await;
    let (a, b) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let theirs = b.ask(ALL, json!({})).await.data();
    let mut kinds = BTreeSet::new();
    for list in ["subscriptions", "invoices", "orders", "cases"] {
        let id = theirs["viewer"][list]["nodes"][0]["id"].as_str().unwrap();
        kinds.insert((list, id.to_owned()));
    }
    let method = theirs["viewer"]["paymentMethods"][0]["id"].as_str().unwrap();
    kinds.insert(("paymentMethods", method.to_owned()));
    for (list, id) in &kinds {
        let (foreign, missing) = (json!({ "id": id }), json!({ "id": never(id) }));
        // Once beforehand, so that both are asked with the same things known.
        bytes(&a, &gateway, NODE, missing.clone()).await;
        let foreign = bytes(&a, &gateway, NODE, foreign).await;
        assert_eq!(foreign, bytes(&a, &gateway, NODE, missing).await, "{list}");
        assert!(foreign.1.contains(r#""node":null"#), "{list}: {foreign:?}");
        // And the owner does see it.
        let own = bytes(&b, &gateway, NODE, json!({ "id": id })).await.1;
        assert!(own.contains("__typename"), "{list}: {own}");
    }
    let session = "{ viewer { sessions { id } devices { id } } }";
    let theirs = b.ask(session, json!({})).await.data();
    let random =
        |kind: &str| BASE64_URL_SAFE_NO_PAD.encode(format!("{kind}:00000000-0000-7000-8000-000000000000"));
    for (document, id, kind) in [
        (
            "mutation($id: ID!) { sessionRevoke(input: { id: $id }) { revoked userErrors { code } } }",
            &theirs["viewer"]["sessions"][0]["id"],
            "Session",
        ),
        (
            "mutation($id: ID!) { deviceRevoke(input: { id: $id }) { revoked userErrors { code } } }",
            &theirs["viewer"]["devices"][0]["id"],
            "Device",
        ),
    ] {
        let foreign = bytes(&a, &gateway, document, json!({ "id": id })).await;
        let missing = bytes(&a, &gateway, document, json!({ "id": random(kind) })).await;
        assert_eq!(foreign, missing, "{kind}");
        assert!(foreign.1.contains(r#""revoked":false"#), "{foreign:?}");
    }
    assert_eq!(b.ask(session, json!({})).await.status, 200, "nothing of theirs was ended");
}

/// How probable it is that a sample of one class takes longer than one of another: 0.5 tells nothing.
fn auc(one: &[f64], other: &[f64]) -> f64 {
    let longer = |a: &f64| {
        other
            .iter()
            .map(|b| {
                if a > b {
                    1.0
                } else if a == b {
                    0.5
                } else {
                    0.0
                }
            })
            .sum::<f64>()
    };
    one.iter().map(longer).sum::<f64>() / (one.len() * other.len()) as f64
}

/// Requirement Z3, by the measure of A3.
#[tokio::test]
async fn the_time_does_not_tell_what_is_somebody_elses_from_what_never_was() {
    const SAMPLES: usize = 500;
    let gateway = Gateway::start().await;
    let (a, b) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let theirs = b.ask(ALL, json!({})).await.data();
    let foreign = theirs["viewer"]["invoices"]["nodes"][0]["id"].as_str().unwrap().to_owned();
    let missing = never(&foreign);
    bytes(&a, &gateway, NODE, json!({ "id": missing })).await;
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..SAMPLES {
        // The planted class is slower by what would tell the two apart; few samples of it show that.
        let classes = if round % 10 == 0 { 3 } else { 2 };
        for turn in 0..classes {
            let class = (turn + round) % classes;
            let id = if class == 1 { &missing } else { &foreign };
            let began = Instant::now();
            bytes(&a, &gateway, NODE, json!({ "id": id })).await;
            if class == 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            times[class].push(began.elapsed().as_secs_f64());
        }
    }
    let found = auc(&times[0], &times[1]);
    assert!((0.44..=0.56).contains(&found), "{found:.3}");
    assert!(auc(&times[2], &times[1]) > 0.56, "5 ms more were not seen");
}

#[tokio::test]
async fn the_check_finds_a_leak_that_is_planted() {
    let gateway = Gateway::start().await;
    let (a, b) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let mine = a.ask(ALL, json!({})).await.data();
    let theirs = other(&b, &mine).await;
    // The bug: the session of one is answered with the customer of the other.
    let answer = b.ask(DASHBOARD, json!({})).await.body;
    assert!(leak(&answer, &theirs, &[]).is_some(), "the check is blind");
    let own = a.ask(DASHBOARD, json!({})).await.body;
    assert_eq!(leak(&own, &theirs, &[]), None);
}
