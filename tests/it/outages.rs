//! One dead system costs only its own fields, and says so.

use std::time::{Duration, Instant};

use portal_gateway::sandbox::core::{Rule, RuleKind, System};
use serde_json::{Value, json};

use crate::gateway::{Answer, Gateway, Wishes};

/// Fields of each system, all in one question.
const EVERYTHING: &str = r#"query Everything {
  viewer {
    profile { fullName }
    invoices(first: 5) { totalCount }
    paymentMethods { id }
    subscriptions(first: 10) { nodes { name line { phoneNumber usage { todayBytes } state { status } } } }
    orders(first: 5) { totalCount }
    cases(first: 5) { totalCount }
  }
  postalLookup(code: "1500041") { postalCode }
}"#;

/// Whether every field of a system is there.
fn arrived(answer: &Answer, system: System) -> bool {
    let viewer = &answer.body["data"]["viewer"];
    let lines = || {
        let nodes = viewer["subscriptions"]["nodes"].as_array().cloned().unwrap_or_default();
        nodes.into_iter().filter(|node| !node["line"].is_null()).collect::<Vec<_>>()
    };
    match system {
        System::Whmcs => ["profile", "invoices", "paymentMethods", "subscriptions"]
            .iter()
            .all(|field| !viewer[*field].is_null()),
        System::Salesforce => ["orders", "cases"].iter().all(|field| !viewer[*field].is_null()),
        System::Smtp | System::Captcha => unreachable!("no answer is made of it"),
        System::Freebit => !lines().is_empty() && lines().iter().all(|node| !node["line"]["usage"].is_null()),
        System::JapanPost => !answer.body["data"]["postalLookup"].is_null(),
    }
}

fn role(system: System) -> &'static str {
    match system {
        System::Whmcs => "BILLING",
        System::Salesforce => "CRM",
        System::Freebit => "SIM",
        System::JapanPost => "POSTAL",
        System::Smtp | System::Captcha => unreachable!("no answer is made of it"),
    }
}

/// What the answer must look like while one system is down.
fn check(answer: &Answer, down: System, how: &str) {
    assert_eq!(answer.status, 200, "{how}: {:?}", answer.body);
    for system in System::UPSTREAMS {
        // Lines hang from subscriptions, so without billing there are none to show.
        if system == System::Freebit && down == System::Whmcs {
            continue;
        }
        assert_eq!(
            arrived(answer, system),
            system != down,
            "{how}: {system:?} with {down:?} down: {:?}",
            answer.body
        );
    }
    let errors =
        answer.body["errors"].as_array().unwrap_or_else(|| panic!("{how}: no errors: {:?}", answer.body));
    for error in errors {
        let extensions = &error["extensions"];
        let code = extensions["code"].as_str().unwrap_or_default();
        assert!(["SERVICE_UNAVAILABLE", "RATE_LIMITED"].contains(&code), "{how}: {error}");
        assert_eq!(extensions["service"], role(down), "{how}: {error}");
        assert_eq!(extensions["retryable"], true, "{how}: {error}");
        let text = error.to_string().to_lowercase();
        for leak in ["whmcs", "salesforce", "freebit", "japan", "http", "127.0.0.1", "soql", "resultcode"] {
            assert!(!text.contains(leak), "{how}: `{leak}` shows in {error}");
        }
    }
}

/// A gateway whose upstream calls give up after a short while.
async fn impatient() -> Gateway {
    let timeout = |name| (name, "600ms".to_owned());
    let env = [
        timeout("WHMCS_TIMEOUT"),
        timeout("SF_TIMEOUT"),
        timeout("FREEBIT_TIMEOUT"),
        timeout("JAPAN_POST_TIMEOUT"),
        ("POSTAL_LOOKUPS_PER_MINUTE", "6000".to_owned()),
    ];
    Gateway::with(Wishes { env: env.into(), ..Wishes::default() }).await
}

#[tokio::test]
async fn whatever_way_a_system_fails_the_others_arrive() {
    for (how, kind) in [
        ("down", RuleKind::Drop),
        ("hanging", RuleKind::Hang),
        ("refusing", RuleKind::Status),
        ("rate limiting", RuleKind::Status),
        ("garbage", RuleKind::Garbage),
        ("truncated", RuleKind::Truncated),
        ("empty", RuleKind::Empty),
    ] {
        for down in System::UPSTREAMS {
            // A gateway of its own: no breaker that an earlier fault opened.
            let gateway = impatient().await;
            let customer = gateway.sign_in(1).await;
            let mut rule = Rule::every(down, kind);
            rule.status = match how {
                "refusing" => Some(503),
                "rate limiting" => Some(429),
                _ => None,
            };
            gateway.sandbox.core().faults.add(rule);
            let answer = customer.ask(EVERYTHING, json!({})).await;
            check(&answer, down, how);
        }
    }
}

#[tokio::test]
async fn with_the_breaker_open_nobody_is_asked_and_the_answer_is_immediate() {
    let gateway = impatient().await;
    let customer = gateway.sign_in(1).await;
    gateway.sandbox.core().faults.add(Rule::every(System::Salesforce, RuleKind::Drop));
    // Enough failures to open the breaker; each asks anew, since failures are not kept.
    let mut opened = false;
    for _ in 0..20 {
        gateway.forget_calls();
        let begun = Instant::now();
        check(&customer.ask(EVERYTHING, json!({})).await, System::Salesforce, "breaker");
        if gateway.sandbox.core().journal.count(System::Salesforce, None) == 0 {
            assert!(begun.elapsed() < Duration::from_millis(500), "an open breaker answers at once");
            opened = true;
            break;
        }
    }
    assert!(opened, "the breaker never opened");

    // And it closes again once the system is back.
    gateway.sandbox.core().faults.clear();
    let back = async {
        loop {
            let answer = customer.ask("{ viewer { orders { totalCount } } }", json!({})).await;
            if answer.body["errors"].is_null() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), back).await.expect("recovers within 10 s");
}

#[tokio::test]
async fn a_question_of_two_calls_to_one_system_recovers_by_itself() {
    let gateway = impatient().await;
    let fault = Rule { status: Some(503), ..Rule::every(System::Whmcs, RuleKind::Status) };
    gateway.sandbox.core().faults.add(fault);
    let question = "{ viewer { subscriptions(first: 1) { totalCount } } }";
    for n in 1..=6 {
        assert!(!gateway.sign_in(n).await.ask(question, json!({})).await.body["errors"].is_null());
    }
    // Billing is back, and nobody asks it for anything else.
    gateway.sandbox.core().faults.clear();
    let customer = gateway.sign_in(1).await;
    let back = async {
        while !customer.ask(question, json!({})).await.body["errors"].is_null() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), back).await.expect("recovers within 10 s");
}

#[tokio::test]
async fn a_session_that_a_system_has_forgotten_is_renewed_without_a_trace() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    // The post's is opened by the first look-up.
    for (system, operation) in
        [(System::Salesforce, "*"), (System::Freebit, "*"), (System::JapanPost, "searchcode")]
    {
        let mut rule = Rule::every(system, RuleKind::Expire);
        (rule.operation, rule.times) = (operation.to_owned(), Some(1));
        gateway.sandbox.core().faults.add(rule);
    }
    let answer = customer.ask(EVERYTHING, json!({})).await;
    assert_eq!(answer.body["errors"], Value::Null, "{:?}", answer.body);
    assert!(System::UPSTREAMS.into_iter().all(|system| arrived(&answer, system)));
}
