//! Postal look-up: for everybody, with few calls, and honest when the post is away.

use std::collections::{BTreeSet, HashMap};

use chrono::TimeDelta;
use futures::future::join_all;
use portal_gateway::sandbox::core::{Rule, RuleKind, System};
use serde_json::{Value, json};

use crate::{
    gateway::{ACCOUNTS, Answer, Gateway, Wishes},
    wire,
};

/// The document of the address form.
const FORM: &str = include_str!("../../examples/queries/postal.graphql");

async fn started<const N: usize>(env: [(&'static str, &str); N]) -> Gateway {
    let mut env = HashMap::from(env.map(|(name, value)| (name, value.to_owned())));
    env.entry("POSTAL_LOOKUPS_PER_MINUTE").or_insert_with(|| "60000".to_owned());
    Gateway::with(Wishes { env, ..Wishes::default() }).await
}

async fn look_up(gateway: &Gateway, code: &str) -> Answer {
    gateway.nobody().ask(FORM, json!({ "code": code })).await
}

async fn found(gateway: &Gateway, code: &str) -> Vec<Value> {
    look_up(gateway, code).await.data()["postalLookup"].as_array().unwrap().clone()
}

/// Tokens and searches that the post was asked for.
fn asked(gateway: &Gateway) -> (u64, u64) {
    let journal = &gateway.sandbox.core().journal;
    let count = |operation| journal.count(System::JapanPost, Some(operation));
    (count("token"), count("searchcode"))
}

fn fail(gateway: &Gateway, kind: RuleKind) {
    gateway.sandbox.core().faults.add(Rule::every(System::JapanPost, kind));
}

#[tokio::test]
async fn a_form_is_filled_in_without_a_session() {
    let gateway = started([]).await;
    gateway.forget_calls();
    let mut answers = serde_json::Map::new();
    // A town, a code of two prefectures, one of many towns, an organisation's own, and somebody's digital address.
    for code in ["150-0041", "〒４９８－００００", "4520961", "100-8111", "a7e-2fk2", "999-9999"] {
        answers.insert(code.to_owned(), found(&gateway, code).await.into());
    }
    insta::assert_json_snapshot!(answers);
    assert_eq!(
        gateway.calls().into_iter().map(|(system, ..)| system).collect::<BTreeSet<_>>(),
        BTreeSet::from(["japanpost"])
    );
}

#[tokio::test]
async fn the_form_begins_as_the_addresses_of_customers_do() {
    let gateway = started([]).await;
    for n in 1..=ACCOUNTS {
        let customer = gateway.sign_in(n).await;
        let question = "{ viewer { profile { address { line2 city state postalCode country } } } }";
        let address = customer.ask(question, json!({})).await.data()["viewer"]["profile"]["address"].clone();
        let found = found(&gateway, address["postalCode"].as_str().unwrap()).await;
        assert_eq!(found.len(), 1, "{address}");
        let form = &found[0]["form"];
        for field in ["city", "state", "postalCode", "country"] {
            assert_eq!(form[field], address[field], "{address}");
        }
        let town = form["line2"].as_str().unwrap();
        assert!(address["line2"].as_str().unwrap().starts_with(town), "{address}");
    }
}

#[tokio::test]
async fn a_second_look_up_asks_nobody_and_tells_its_age() {
    let gateway = started([]).await;
    let first = look_up(&gateway, "150-0041").await;
    assert_eq!(first.body["extensions"]["freshness"], Value::Null, "{}", first.body);
    gateway.forget_calls();
    gateway.app.clock.advance(TimeDelta::hours(20));
    let second = look_up(&gateway, "１５０００４１").await;
    let told = &second.body["extensions"]["freshness"][0];
    assert_eq!((&told["path"], &told["source"]), (&json!("postalLookup"), &json!("MEMORY")), "{told}");
    assert!(told["ageSeconds"].as_i64().unwrap() >= 20 * 3600 && told["stale"] == false, "{told}");
    assert_eq!(second.data(), first.data());
    // Customers get what everybody gets.
    let customer = gateway.sign_in(1).await;
    assert!(customer.ask(FORM, json!({})).await.data()["postalLookup"].is_array());
    assert_eq!(asked(&gateway), (0, 0));
    gateway.app.clock.advance(TimeDelta::hours(20));
    found(&gateway, "150-0041").await;
    assert_eq!(asked(&gateway).1, 1, "it is kept for a day");
}

#[tokio::test]
async fn a_hundred_who_ask_at_once_make_one_call() {
    let gateway = started([]).await;
    gateway.sandbox.core().delays.set(System::JapanPost, std::time::Duration::from_millis(500));
    let answers = join_all((0..100).map(|_| found(&gateway, "106-0032"))).await;
    assert!(answers.iter().all(|answer| answer.len() == 1 && answer == &answers[0]));
    assert_eq!(asked(&gateway), (1, 1));
    // For another code another one, with the same token.
    found(&gateway, "160-0022").await;
    assert_eq!(asked(&gateway), (1, 2));
}

#[tokio::test]
async fn that_nothing_has_a_code_is_remembered_shortly() {
    let gateway = started([]).await;
    assert_eq!(found(&gateway, "999-9999").await, [] as [Value; 0]);
    assert_eq!(found(&gateway, "9999999").await, [] as [Value; 0]);
    assert_eq!(asked(&gateway).1, 1);
    gateway.app.clock.advance(TimeDelta::minutes(6));
    assert_eq!(found(&gateway, "9999999").await, [] as [Value; 0]);
    assert_eq!(asked(&gateway).1, 2);
    // An answer that says so is not kept whole either.
    let customer = gateway.sign_in(1).await;
    let ask = async || customer.ask(FORM, json!({ "code": "9999999" })).await.data();
    ask().await;
    gateway.app.clock.advance(TimeDelta::minutes(6));
    ask().await;
    assert_eq!(asked(&gateway).1, 3);
}

#[tokio::test]
async fn a_token_that_has_ended_is_replaced_without_a_trace() {
    let gateway = started([]).await;
    found(&gateway, "150-0041").await;
    gateway.sandbox.core().clock.advance(TimeDelta::hours(2));
    assert_eq!(found(&gateway, "106-0032").await.len(), 1);
    assert_eq!(asked(&gateway), (2, 3));
}

#[tokio::test]
async fn while_the_post_is_away_what_is_known_is_shown_with_its_age() {
    let gateway = started([("CACHE_POSTAL", "1h"), ("JAPAN_POST_TIMEOUT", "600ms")]).await;
    let known = look_up(&gateway, "150-0041").await.data();
    found(&gateway, "A7E-2FK2").await;
    fail(&gateway, RuleKind::Drop);
    gateway.app.clock.advance(TimeDelta::hours(3));

    let answer = look_up(&gateway, "150-0041").await;
    let told = &answer.body["extensions"]["freshness"][0];
    assert_eq!((&told["stale"], &told["reason"]), (&json!(true), &json!("SERVICE_UNAVAILABLE")), "{told}");
    assert!(told["ageSeconds"].as_i64().unwrap() >= 3 * 3600, "{told}");
    assert_eq!(answer.data(), known);

    // What is not known is null, and so is what may be somebody else's by now.
    for code in ["106-0032", "A7E-2FK2"] {
        let answer = look_up(&gateway, code).await;
        assert_eq!((answer.status, &answer.body["data"]), (200, &json!({ "postalLookup": null })));
        let error = &answer.body["errors"][0];
        insta::allow_duplicates! {
            insta::assert_json_snapshot!(error, @r#"
            {
              "extensions": {
                "code": "SERVICE_UNAVAILABLE",
                "retryable": true,
                "service": "POSTAL"
              },
              "locations": [
                {
                  "column": 3,
                  "line": 4
                }
              ],
              "message": "postal look-up is not answering",
              "path": [
                "postalLookup"
              ]
            }
            "#);
        }
    }

    gateway.sandbox.core().faults.clear();
    let back = async {
        while look_up(&gateway, "106-0032").await.body["data"]["postalLookup"].is_null() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), back).await.expect("recovers within 10 s");
}

#[tokio::test]
async fn a_limit_of_the_post_is_told_as_one() {
    let gateway = started([("JAPAN_POST_TIMEOUT", "600ms")]).await;
    let rule = Rule::every(System::JapanPost, RuleKind::Business);
    gateway.sandbox.core().faults.add(Rule { code: Some("429-1001-0001".to_owned()), ..rule });
    let answer = look_up(&gateway, "150-0041").await;
    let told = &answer.body["errors"][0]["extensions"];
    assert_eq!((&told["code"], &told["service"]), (&json!("RATE_LIMITED"), &json!("POSTAL")), "{told}");
    assert!(told["retryAfterMs"].as_i64().unwrap() >= 1000, "{told}");
}

#[tokio::test]
async fn one_client_may_not_ask_too_often() {
    let gateway = started([("POSTAL_LOOKUPS_PER_MINUTE", "6"), ("TRUST_PROXY", "127.0.0.1")]).await;
    // Every alias counts, and so does what memory knows.
    let question = "{ a: postalLookup(code: \"1500041\") { postalCode }
                      b: postalLookup(code: \"1500041\") { postalCode }
                      c: postalLookup(code: \"1060032\") { postalCode } }";
    let reply = wire::ask(&gateway, &[("x-forwarded-for", "192.0.2.1")], question, json!({})).await.json();
    let nulls = reply["data"].as_object().unwrap().values().filter(|value| value.is_null()).count();
    assert_eq!((nulls, reply["errors"].as_array().unwrap().len()), (1, 1), "{reply}");
    let told = &reply["errors"][0]["extensions"];
    assert_eq!((&told["code"], &told["retryable"]), (&json!("RATE_LIMITED"), &json!(true)), "{told}");
    assert!((1..=10_000).contains(&told["retryAfterMs"].as_i64().unwrap()), "{told}");
    assert!(told["service"].is_null(), "the limit is ours: {told}");

    let before = asked(&gateway);
    let from = async |client| {
        wire::ask(&gateway, &[("x-forwarded-for", client)], FORM, json!({ "code": "1600022" })).await.code()
    };
    assert_eq!(from("192.0.2.1").await, "RATE_LIMITED");
    assert_eq!(asked(&gateway), before, "who is refused costs no call");
    assert_eq!(from("192.0.2.2").await, "");
}

#[tokio::test]
async fn what_is_no_code_is_refused_before_anybody_is_asked() {
    let gateway = started([("POSTAL_LOOKUPS_PER_MINUTE", "3")]).await;
    for code in ["", "150", "150-00411", "Shibuya-ku", "'; --", "../token", "A7E-2FK2-1"] {
        let answer = look_up(&gateway, code).await;
        let told = &answer.body["errors"][0];
        let extensions = &told["extensions"];
        assert_eq!(
            (&extensions["code"], &extensions["argument"]),
            (&json!("BAD_USER_INPUT"), &json!("code")),
            "{told}"
        );
        assert_eq!(extensions["retryable"], false);
        assert!(told["message"].as_str().unwrap().contains("150-0041"), "it says what would do: {told}");
    }
    assert_eq!(asked(&gateway), (0, 0));
    assert_eq!(found(&gateway, "150-0041").await.len(), 1, "they do not count against the client");
}

#[tokio::test]
async fn where_it_is_not_set_up_it_says_so_and_not_to_try_again() {
    let unset =
        ["JAPAN_POST_BASE_URL", "JAPAN_POST_CLIENT_ID", "JAPAN_POST_SECRET_KEY", "JAPAN_POST_SOURCE_ADDRESS"];
    let gateway = started(unset.map(|name| (name, ""))).await;
    let answer = look_up(&gateway, "150-0041").await;
    let error = &answer.body["errors"][0];
    assert_eq!(error["message"], "postal look-up is not set up here");
    let expected = json!({ "code": "NOT_CONFIGURED", "retryable": false, "service": "POSTAL" });
    assert_eq!(error["extensions"], expected);
}

#[tokio::test]
async fn a_digital_address_is_kept_for_a_moment() {
    let gateway = started([]).await;
    found(&gateway, "A7E-2FK2").await;
    gateway.app.clock.advance(TimeDelta::minutes(2));
    found(&gateway, "A7E-2FK2").await;
    assert_eq!(asked(&gateway).1, 2, "its owner may change it");
}
