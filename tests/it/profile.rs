//! What customers change about themselves: billing first, the CRM as soon as it answers, and the next read is new.

use chrono::TimeDelta;
use portal_gateway::sandbox::core::{Rule, RuleKind, System};
use serde_json::{Value, json};

use crate::{
    gateway::{Customer, Gateway},
    sign_up::{accounts, address, clients, hasty, until},
};

const DOCUMENT: &str = include_str!("../../examples/queries/profile-update.graphql");
const PROFILE: &str = "{ viewer { profile {
    phone birthDate gender nationality address { line1 line2 city state postalCode }
    japaneseAddress { street city } } } }";

async fn change(customer: &Customer<'_>, input: Value) -> Value {
    let document = "mutation($input: ProfileChange!) {
        profileUpdate(input: $input) { profile { phone } userErrors { code field } } }";
    customer.ask(document, json!({ "input": input })).await.data()["profileUpdate"].clone()
}

async fn profile(customer: &Customer<'_>) -> Value {
    customer.ask(PROFILE, json!({})).await.data()["viewer"]["profile"].clone()
}

fn email(gateway: &Gateway, n: u64) -> String {
    gateway.sandbox.core().world.customer(n).email.clone()
}

#[tokio::test]
async fn a_changed_profile_is_in_both_systems_and_in_the_next_read() {
    let gateway = hasty().await;
    let (customer, other) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let (before, others) = (profile(&customer).await, profile(&other).await);
    let answer = customer.operate(DOCUMENT, "ProfileUpdate", json!({ "phone": "+81 70 9876 5432" })).await;
    assert_eq!(answer.data()["profileUpdate"]["profile"]["phone"], "070-9876-5432");
    let input = json!({ "birthDate": "1985-05-06", "gender": "OTHER", "nationality": "France" });
    assert_eq!(change(&customer, input).await["userErrors"], json!([]));
    let after = profile(&customer).await;
    assert_eq!(after["phone"], "070-9876-5432");
    assert_eq!((&after["birthDate"], &after["gender"]), (&json!("1985-05-06"), &json!("OTHER")));
    assert_eq!((&after["nationality"], &after["address"]), (&json!("France"), &before["address"]));
    let account = accounts(&gateway, &email(&gateway, 1)).await.remove(0);
    assert_eq!((&account["Phone"], &account["Sex__pc"]), (&json!("070-9876-5432"), &json!("Other")));
    assert_eq!(account["PersonBirthdate"], "1985-05-06");
    assert_eq!(profile(&other).await, others, "nobody else's has changed");
}

#[tokio::test]
async fn an_address_is_kept_in_both_writings() {
    let gateway = hasty().await;
    let customer = gateway.sign_in(3).await;
    profile(&customer).await;
    let answer = customer.operate(DOCUMENT, "AddressUpdate", json!({ "address": address() })).await.data();
    let shown = &answer["addressUpdate"]["profile"];
    assert_eq!(shown["address"]["line1"], "Sunny Heights 203");
    assert_eq!(shown["japaneseAddress"]["street"], "神南1-19-11 サニーハイツ203号室");
    let client = clients(&gateway, &email(&gateway, 3)).await.remove(0);
    assert_eq!((&client["address2"], &client["state"]), (&json!("Jinnan 1-19-11"), &json!("Tokyo")));
    assert_eq!(profile(&customer).await["address"]["postalCode"], "150-0041");

    let mut house = address();
    house["residence"] = json!("HOUSE");
    house["building"] = Value::Null;
    house["room"] = Value::Null;
    let answer = customer.operate(DOCUMENT, "AddressUpdate", json!({ "address": house })).await.data();
    let shown = &answer["addressUpdate"]["profile"];
    assert_eq!(
        (&shown["address"]["line1"], &shown["address"]["line2"]),
        (&json!("1-19-11"), &json!("Jinnan"))
    );
    assert_eq!(shown["japaneseAddress"]["street"], "神南1-19-11");
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once_and_nothing_is_written() {
    let gateway = hasty().await;
    let customer = gateway.sign_in(1).await;
    gateway.forget_calls();
    let input = json!({ "phone": "1", "birthDate": "2300-01-01", "nationality": "x".repeat(61) });
    let refused = change(&customer, input).await;
    let expected = json!([
        { "code": "INVALID_PHONE", "field": ["phone"] },
        { "code": "INVALID_BIRTH_DATE", "field": ["birthDate"] },
        { "code": "TOO_LONG", "field": ["nationality"] },
    ]);
    assert_eq!((&refused["userErrors"], &refused["profile"]), (&expected, &Value::Null));
    let mut bad = address();
    bad["building"] = json!(" ");
    bad["room"] = Value::Null;
    bad["postalCode"] = json!("15");
    let refused = customer.operate(DOCUMENT, "AddressUpdate", json!({ "address": bad })).await.data();
    let fields: Vec<_> = refused["addressUpdate"]["userErrors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].clone())
        .collect();
    let expected =
        [["address", "postalCode"], ["address", "building"], ["address", "room"]].map(|field| json!(field));
    assert_eq!(fields, expected);
    assert_eq!(gateway.effects(), 0);
    let nobody = gateway.nobody().operate(DOCUMENT, "AddressUpdate", json!({ "address": address() })).await;
    assert_eq!(nobody.body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
}

#[tokio::test]
async fn the_crm_gets_its_copy_when_it_is_back() {
    let gateway = hasty().await;
    let customer = gateway.sign_in(4).await;
    let rule = Rule { operation: "update".to_owned(), ..Rule::every(System::Salesforce, RuleKind::Status) };
    gateway.sandbox.core().faults.add(rule);
    let answer = customer.operate(DOCUMENT, "AddressUpdate", json!({ "address": address() })).await.data();
    assert_eq!(answer["addressUpdate"]["profile"]["address"]["line1"], "Sunny Heights 203");
    let street = async || accounts(&gateway, &email(&gateway, 4)).await[0]["BillingStreet"].clone();
    assert_ne!(street().await, "神南1-19-11 サニーハイツ203号室");
    gateway.sandbox.core().faults.clear();
    until("the job brings it", async || {
        // The job is due later than any request ends; the test's clock goes on.
        gateway.app.clock.advance(TimeDelta::seconds(5));
        (street().await == "神南1-19-11 サニーハイツ203号室").then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_billing_did_not_get_the_crm_does_not_get_either() {
    let gateway = hasty().await;
    let customer = gateway.sign_in(5).await;
    let before = accounts(&gateway, &email(&gateway, 5)).await.remove(0);
    let rule = Rule {
        operation: "UpdateClient".to_owned(),
        times: Some(1),
        ..Rule::every(System::Whmcs, RuleKind::Drop)
    };
    gateway.sandbox.core().faults.add(rule);
    let answer = customer.operate(DOCUMENT, "ProfileUpdate", json!({})).await;
    assert_eq!(answer.body["errors"][0]["extensions"]["code"], "OUTCOME_UNKNOWN", "{}", answer.body);
    gateway.app.clock.advance(TimeDelta::seconds(31));
    gateway.app.jobs.wake();
    until("the job has looked", async || {
        gateway.app.store.job_backlog().await.unwrap().is_empty().then_some(())
    })
    .await;
    let after = accounts(&gateway, &email(&gateway, 5)).await.remove(0);
    assert_eq!(before["Phone"], after["Phone"]);
    // What the log says is what came of it, as soon as anybody knows.
    assert_eq!(logged(&gateway).await, ["begun", "NOT_APPLIED"]);

    // And what it got although nobody was told so, the CRM gets as well.
    let rule = Rule {
        operation: "UpdateClient".to_owned(),
        times: Some(1),
        applied: true,
        ..Rule::every(System::Whmcs, RuleKind::Drop)
    };
    gateway.sandbox.core().faults.add(rule);
    let answer = customer.operate(DOCUMENT, "ProfileUpdate", json!({})).await;
    assert_eq!(answer.body["errors"][0]["extensions"]["code"], "OUTCOME_UNKNOWN");
    gateway.app.clock.advance(TimeDelta::seconds(31));
    gateway.app.jobs.wake();
    until("the job brings it", async || {
        (accounts(&gateway, &email(&gateway, 5)).await[0]["Phone"] == "090-1234-5678").then_some(())
    })
    .await;
    assert_eq!(profile(&customer).await["phone"], "090-1234-5678");
    assert_eq!(logged(&gateway).await, ["begun", "NOT_APPLIED", "begun", "done"]);

    let rule = Rule {
        operation: "UpdateClient".to_owned(),
        times: Some(1),
        ..Rule::every(System::Whmcs, RuleKind::Business)
    };
    gateway.sandbox.core().faults.add(rule);
    let refused = change(&customer, json!({ "phone": "+81 70 9876 5432" })).await;
    assert_eq!(refused["userErrors"][0]["code"], "BILLING_REFUSED", "{refused}");
    assert_eq!(change(&customer, json!({ "phone": "+81 70 9876 5432" })).await["userErrors"], json!([]));
    gateway.app.clock.advance(TimeDelta::seconds(31));
    gateway.app.jobs.wake();
    until("the jobs have looked", async || {
        gateway.app.store.job_backlog().await.unwrap().is_empty().then_some(())
    })
    .await;
    let told = logged(&gateway).await.split_off(4);
    assert_eq!(told, ["begun", "BILLING_REFUSED", "begun", "done"], "and nothing twice");
}

/// What the audit log says of changes of profiles.
async fn logged(gateway: &Gateway) -> Vec<String> {
    let rows = gateway.app.store.audit_events(&Default::default(), 0, 1_000).await.unwrap();
    rows.into_iter()
        .filter_map(|row| match row.act.as_str() {
            "profile.begin-change" => Some("begun".to_owned()),
            "profile.change" => Some(row.reason.unwrap_or(row.outcome)),
            _ => None,
        })
        .collect()
}
