//! Two customers can never see each other.

use std::collections::BTreeSet;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use crate::gateway::{Customer, DASHBOARD, Gateway};

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
