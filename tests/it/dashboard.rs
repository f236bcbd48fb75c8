//! One question over three systems: how many calls it costs, and when.

use portal_gateway::sandbox::core::{Rule, RuleKind, System};
use serde_json::{Value, json};

use crate::gateway::{DASHBOARD, Gateway, Wishes};

/// Calls by system and operation since the journal was cleared.
fn calls(gateway: &Gateway) -> Vec<(&'static str, String, u64)> {
    let mut calls = gateway.calls();
    calls.sort();
    calls
}

fn total(gateway: &Gateway, system: System) -> u64 {
    gateway.sandbox.core().journal.count(system, None)
}

/// How many lines the answer shows with their usage.
fn lines_shown(data: &Value) -> u64 {
    let nodes = data["viewer"]["subscriptions"]["nodes"].as_array().unwrap();
    let lines = nodes.iter().filter(|node| !node["line"].is_null());
    u64::try_from(lines.count()).unwrap()
}

#[tokio::test]
async fn a_cold_dashboard_costs_the_fewest_calls_and_a_warm_one_none() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    gateway.forget_calls();

    let data = customer.ask(DASHBOARD, json!({})).await.data();
    let lines = lines_shown(&data);
    assert!(lines >= 3, "the demo customer shows some lines: {data}");
    assert_eq!(total(&gateway, System::Salesforce), 1, "{:?}", calls(&gateway));
    assert!(total(&gateway, System::Whmcs) <= 4, "{:?}", calls(&gateway));
    assert_eq!(total(&gateway, System::Freebit), lines, "{:?}", calls(&gateway));

    gateway.forget_calls();
    let again = customer.ask(DASHBOARD, json!({})).await.data();
    assert_eq!(again, data);
    assert_eq!(calls(&gateway), [], "a second time within the fresh time asks nobody");
}

#[tokio::test]
async fn fifty_cold_dashboards_at_once_cost_the_calls_of_one() {
    // The emulators take their time, so that all fifty are under way together.
    let gateway = Gateway::with(Wishes { delay: true, ..Wishes::default() }).await;
    let customer = gateway.sign_in(1).await;
    gateway.forget_calls();

    let answers =
        futures::future::join_all((0..50).map(|_| async { customer.ask(DASHBOARD, json!({})).await.data() }))
            .await;
    let lines = lines_shown(&answers[0]);
    assert!(answers.iter().all(|data| *data == answers[0]));
    assert_eq!(total(&gateway, System::Salesforce), 1, "{:?}", calls(&gateway));
    assert!(total(&gateway, System::Whmcs) <= 4, "{:?}", calls(&gateway));
    assert_eq!(total(&gateway, System::Freebit), lines, "{:?}", calls(&gateway));
}

#[tokio::test]
async fn all_systems_are_asked_before_any_has_answered() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    gateway.forget_calls();
    for system in [System::Whmcs, System::Salesforce] {
        gateway.sandbox.core().faults.add(Rule::every(system, RuleKind::Hang));
    }
    let wait_for_all = async {
        loop {
            let asked: Vec<_> = calls(&gateway).into_iter().map(|(_, operation, _)| operation).collect();
            let wanted = ["GetClientsDetails", "GetClientsProducts", "GetInvoices", "composite"];
            if wanted.iter().all(|operation| asked.iter().any(|asked| asked == operation)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    // Nothing ever answers, so all four calls can only be there together.
    tokio::select! {
        () = wait_for_all => {}
        answer = customer.ask(DASHBOARD, json!({})) => panic!("answered without its systems: {:?}", answer.body),
    }
}

#[tokio::test]
async fn conversations_of_several_cases_travel_in_one_call() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    let cases = "{ viewer { cases(first: 5) { nodes { number } } } }";
    customer.ask(cases, json!({})).await.data();
    gateway.forget_calls();
    let with_conversation =
        "{ viewer { cases(first: 5) { nodes { number conversation { author body sentAt } } } } }";
    let data = customer.ask(with_conversation, json!({})).await.data();
    let spoken = data["viewer"]["cases"]["nodes"].as_array().unwrap();
    assert!(spoken.iter().any(|case| !case["conversation"].as_array().unwrap().is_empty()), "{data}");
    assert_eq!(total(&gateway, System::Salesforce), 1, "{:?}", calls(&gateway));
}

#[tokio::test]
async fn an_answer_is_explained_when_asked_to() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    let question = json!({ "query": "{ viewer { summary { unpaidInvoices openOrders } } }" });
    let ask = async || {
        let request = gateway.request("POST", "/graphql").json(&question).header("x-explain", "1");
        let request = request.bearer_auth(customer.token.as_ref().unwrap());
        request.send().await.unwrap().json::<serde_json::Value>().await.unwrap()
    };
    let cold = ask().await;
    let paths = cold["extensions"]["explain"].as_array().unwrap();
    let of = |name: &str| paths.iter().find(|path| path["path"] == format!("viewer.summary.{name}")).unwrap();
    let invoices = &of("unpaidInvoices")["calls"][0];
    assert_eq!(invoices["service"], "BILLING");
    assert_eq!(invoices["operation"], "GetInvoices");
    assert_eq!(invoices["attempts"], 1);
    assert!(of("openOrders")["waitedMs"].as_f64().unwrap() > 0.0);
    assert_eq!(of("openOrders")["calls"][0]["service"], "CRM");
    for name in ["unpaidInvoices", "openOrders"] {
        assert_eq!((&of(name)["source"], &of(name)["ageSeconds"]), (&json!("LIVE"), &json!(0)), "{cold}");
        assert_eq!(of(name)["quota"], 1, "{cold}");
        assert!(of(name)["calls"][0]["queuedMs"].is_number(), "{cold}");
    }
    // What memory answers costs nothing, and says where it came from.
    gateway.app.clock.advance(chrono::TimeDelta::seconds(7));
    let warm = ask().await;
    let paths = warm["extensions"]["explain"].as_array().unwrap();
    assert_eq!(paths.len(), 2, "{warm}");
    for path in paths {
        assert_eq!((&path["source"], &path["calls"]), (&json!("MEMORY"), &json!([])), "{warm}");
        assert_eq!((&path["quota"], &path["waitedMs"]), (&json!(0), &json!(0.0)), "{warm}");
        assert!(path["ageSeconds"].as_i64().unwrap() >= 7, "{warm}");
    }
    assert_eq!(warm["extensions"]["freshness"][0]["source"], "MEMORY");
    // Nobody who does not ask is bothered.
    let plain = customer.ask(question["query"].as_str().unwrap(), json!({})).await;
    assert!(plain.body["extensions"]["explain"].is_null());
}

#[tokio::test]
async fn where_nobody_is_to_be_told_an_explanation_is_not_given() {
    let env = [("EXPLAIN", "false".to_owned())];
    let gateway = Gateway::with(Wishes { env: env.into(), ..Wishes::default() }).await;
    let customer = gateway.sign_in(1).await;
    let question = json!({ "query": "{ viewer { summary { unpaidInvoices } } }" });
    for _ in 0..2 {
        let request = gateway.request("POST", "/graphql").json(&question).header("x-explain", "1");
        let request = request.bearer_auth(customer.token.as_ref().unwrap());
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert!(answer["errors"].is_null(), "{answer}");
        assert!(answer["extensions"].get("explain").is_none(), "{answer}");
    }
}
