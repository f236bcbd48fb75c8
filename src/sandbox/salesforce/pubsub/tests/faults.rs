//! What a subscriber must bear.

use super::*;
use crate::sandbox::core::{Rule, RuleKind, System};

#[tokio::test]
async fn streams_end_with_a_code_or_without_one_and_connections_are_cut() {
    let bench = Bench::start().await;
    let mut subscriber = bench.latest(CASES, 1).await;
    assert_eq!(bench.org().bus.drop_streams(Some("service.unavailable")), 1);
    let status = subscriber.refusal().await;
    assert_eq!((code(&status), status.code()), ("service.unavailable", Code::Unavailable));
    let mut subscriber = bench.latest(CASES, 1).await;
    bench.org().bus.drop_streams(None);
    let status = subscriber.refusal().await;
    assert_eq!((status.code(), status.metadata().get("error-code")), (Code::Unavailable, None));
    let mut subscriber = bench.latest(CASES, 1).await;
    bench.org().bus.drop_connections();
    assert!(subscriber.refusal().await.metadata().get("error-code").is_none());
    bench.latest(CASES, 1).await;
}

#[tokio::test]
async fn a_fault_strikes_the_call_that_it_names_and_no_other() {
    let bench = Bench::start().await;
    let faults = &bench.sandbox.core().faults;
    faults.add(Rule { times: Some(1), ..Rule::every(System::Salesforce, RuleKind::Status) });
    bench.topic(CASES).await.unwrap();
    faults.clear();
    let named = |kind, code: &str| Rule {
        operation: "pubsub.GetTopic".to_owned(),
        code: Some(code.to_owned()),
        times: Some(1),
        ..Rule::every(System::Salesforce, kind)
    };
    faults.add(named(RuleKind::Business, "service.protection.triggered"));
    let refusal = bench.topic(CASES).await.unwrap_err();
    assert_eq!((code(&refusal), refusal.code()), ("service.protection.triggered", Code::ResourceExhausted));
    faults.add(named(RuleKind::Expire, ""));
    assert_eq!(code(&bench.topic(CASES).await.unwrap_err()), "service.auth.error");
    assert_eq!(code(&bench.topic(CASES).await.unwrap_err()), "service.auth.error", "the token stays ended");
}

#[tokio::test]
async fn an_event_can_come_twice_with_its_own_id_in_another_position() {
    let bench = Bench::start().await;
    let mut subscriber = bench.latest(CASES, 10).await;
    let now = bench.sandbox.core().clock.now();
    assert!(!bench.org().bus.repeat(CASES, now));
    bench.org().edit("Case", &case(1), &json!({"Subject": "once"})).unwrap();
    assert!(bench.org().bus.repeat(CASES, now));
    let events = subscriber.events(2).await;
    assert_eq!(events[0].event, events[1].event);
    assert!(events[0].replay_id < events[1].replay_id);
}

#[tokio::test]
async fn a_schema_can_change_between_two_events_and_the_old_one_is_still_served() {
    let bench = Bench::start().await;
    let mut subscriber = bench.latest(CASES, 10).await;
    let before = bench.topic(CASES).await.unwrap().schema_id;
    bench.org().edit("Case", &case(1), &json!({"Subject": "before"})).unwrap();
    let after = bench.org().bus.change_schema(CASES).unwrap();
    bench.org().edit("Case", &case(1), &json!({"Subject": "after"})).unwrap();
    assert_eq!(bench.topic(CASES).await.unwrap().schema_id, after);
    let events = subscriber.events(2).await;
    for (event, schema_id, subject) in [(&events[0], &before, "before"), (&events[1], &after, "after")] {
        assert_eq!(&event.event.as_ref().unwrap().schema_id, schema_id);
        assert_eq!(bench.decode(event).await["Subject"], subject);
    }
    assert_ne!(before, after);
}

#[tokio::test]
async fn gaps_garbage_and_edits_come_through_the_admin_endpoint() {
    let bench = Bench::start().await;
    let mut subscriber = bench.latest(CASES, 10).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let send = async |method: &str, path: &str, body: Value| -> (u16, Value) {
        let url = format!("{}/salesforce/{path}", bench.sandbox.admin_url());
        let response = client.request(method.parse().unwrap(), url).json(&body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    };
    let gap = json!({"act": "gap", "object": "Case", "kind": "GAP_OVERFLOW"});
    assert_eq!(send("POST", "events", gap).await.0, 200);
    let (status, created) = send("POST", "records/Case", json!({"Subject": "by staff"})).await;
    assert_eq!(status, 201);
    let path = format!("records/Case/{}", created["id"].as_str().unwrap());
    assert_eq!(send("PATCH", &path, json!({"Status": "Closed"})).await.0, 204);
    assert_eq!(send("PATCH", &path, json!({"Nope": 1})).await.0, 400);
    assert_eq!(send("DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(send("POST", "events", json!({"act": "garbage", "topic": CASES})).await.0, 200);
    assert_eq!(send("POST", "events", json!({"act": "reset", "topic": "/data/Nope"})).await.0, 404);
    let mut events = subscriber.events(5).await;
    let dropped = send("POST", "events", json!({"act": "drop_streams", "code": "service.auth.error"})).await;
    assert_eq!(dropped, (200, json!({"streams": 1})));
    assert_eq!(code(&subscriber.refusal().await), "service.auth.error");

    let garbage = events.pop().unwrap();
    assert_eq!(garbage.event.unwrap().payload, [0xFF; 3]);
    let mut kinds = Vec::new();
    for event in &events {
        let header = bench.decode(event).await["ChangeEventHeader"].clone();
        kinds.push((header["changeType"].clone(), header["recordIds"][0].clone()));
    }
    let id = &created["id"];
    assert_eq!(
        kinds,
        [
            (json!("GAP_OVERFLOW"), json!("000000000000000AAA")),
            (json!("CREATE"), id.clone()),
            (json!("UPDATE"), id.clone()),
            (json!("DELETE"), id.clone())
        ]
    );
}
