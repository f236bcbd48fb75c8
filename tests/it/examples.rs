//! What the example documents show of one customer, over everything that the customer has.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::gateway::{ACCOUNTS, Customer, Gateway};

/// The documents about one object, by the viewer's list that holds its kind.
const DETAILS: [(&str, &str); 4] = [
    ("subscriptions", include_str!("../../examples/queries/subscription.graphql")),
    ("invoices", include_str!("../../examples/queries/invoice.graphql")),
    ("orders", include_str!("../../examples/queries/order.graphql")),
    ("cases", include_str!("../../examples/queries/case.graphql")),
];

/// The answer about every object of the customer, by list.
async fn details(customer: &Customer<'_>) -> BTreeMap<&'static str, Vec<Value>> {
    let ids = "{ viewer {
        subscriptions(first: 100) { nodes { id } } invoices(first: 100) { nodes { id } }
        orders(first: 100) { nodes { id } } cases(first: 100) { nodes { id } }
    } }";
    let ids = customer.ask(ids, json!({})).await.data();
    let mut details = BTreeMap::new();
    for (list, document) in DETAILS {
        for node in ids["viewer"][list]["nodes"].as_array().unwrap() {
            let answer = customer.ask(document, json!({ "id": node["id"] })).await.data();
            details.entry(list).or_insert_with(Vec::new).push(answer["node"].clone());
        }
    }
    details
}

/// Sorts the paths of a value's leaves by whether they hold something; an empty list holds nothing.
fn sort(path: &str, value: &Value, filled: &mut BTreeSet<String>, empty: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            filled.insert(path.to_owned());
            fields.iter().for_each(|(name, value)| sort(&format!("{path}.{name}"), value, filled, empty));
        }
        Value::Array(items) if !items.is_empty() => {
            filled.insert(path.to_owned());
            items.iter().for_each(|item| sort(path, item, filled, empty));
        }
        Value::Null | Value::Array(_) => drop(empty.insert(path.to_owned())),
        _ => drop(filled.insert(path.to_owned())),
    }
}

#[tokio::test]
async fn every_field_about_an_object_is_filled_for_the_demo_customer() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    let (mut filled, mut empty) = (BTreeSet::new(), BTreeSet::new());
    for (list, answers) in details(&customer).await {
        assert!(answers.len() > 5, "{list}: {}", answers.len());
        answers.iter().for_each(|answer| sort(list, answer, &mut filled, &mut empty));
    }
    // None of this customer's orders waits for a day that was chosen.
    let never: Vec<_> = empty.difference(&filled).collect();
    assert_eq!(never, ["orders.activationOn"]);
}

#[tokio::test]
async fn what_the_demo_customer_has_of_each_kind_reads_as_it_did() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    let details = details(&customer).await;
    let one = |list: &str, is_it: &dyn Fn(&Value) -> bool| {
        details[list].iter().find(|answer| is_it(answer)).cloned().unwrap()
    };
    // The lines of the customer are spelt in different cases by the carrier.
    let lines: Vec<_> = details["subscriptions"]
        .iter()
        .filter(|answer| answer["kind"] == "SIM")
        .map(|answer| json!({ "name": answer["name"], "state": answer["line"]["state"] }))
        .collect();
    let by_mail = |answer: &Value| {
        let conversation = answer["conversation"].as_array().unwrap();
        conversation.iter().any(|message| message["channel"] == "EMAIL")
    };
    let has_credit = |answer: &Value| answer["credit"]["amount"] != "0";
    insta::assert_json_snapshot!(json!({
        "lines": lines,
        "order in trouble": one("orders", &|answer| !answer["problem"].is_null()),
        "case by mail": one("cases", &by_mail),
        "top-up": one("invoices", &|answer| answer["status"] == "OVERDUE"),
        "invoice with credit": one("invoices", &has_credit),
    }));
}

#[tokio::test]
async fn customers_of_both_languages_read_their_own() {
    let gateway = Gateway::start().await;
    let question = "{ viewer {
        profile { fullName companyName language address { line1 line2 city state } }
        orders(first: 1) { nodes { address { street city isChanged } } }
        cases(first: 1) { nodes { subject } }
    } }";
    let mut answers = Vec::new();
    // A foreigner, a Japanese, and a company whose name billing writes with entities.
    for n in [3, 4, 16] {
        answers.push(gateway.sign_in(n).await.ask(question, json!({})).await.data());
    }
    insta::assert_json_snapshot!(answers);
}

#[tokio::test]
async fn no_mail_repeats_the_mail_that_it_answers() {
    let gateway = Gateway::start().await;
    let question = "{ viewer { cases(first: 50) { nodes { conversation { channel body } } } } }";
    let mut mails = 0;
    for n in 1..=ACCOUNTS {
        let answer = gateway.sign_in(n).await.ask(question, json!({})).await.data();
        let cases = answer["viewer"]["cases"]["nodes"].as_array().unwrap();
        for message in cases.iter().flat_map(|case| case["conversation"].as_array().unwrap()) {
            let body = message["body"].as_str().unwrap();
            assert!(!body.contains("\n>") && !body.contains("support@"), "{body}");
            mails += usize::from(message["channel"] == "EMAIL");
        }
    }
    assert!(mails > 5, "{mails}");
}
