//! Where a subscription begins, and how much it is sent.

use chrono::TimeDelta;

use super::*;

/// Changes a case so often, one event each.
fn edit(bench: &Bench, times: usize) {
    for n in 0..times {
        bench.org().edit("Case", &case(1), &json!({"Subject": format!("about {n}")})).unwrap();
    }
}

async fn subjects(bench: &Bench, events: &[ConsumerEvent]) -> Vec<Value> {
    let mut subjects = Vec::new();
    for event in events {
        subjects.push(bench.decode(event).await["Subject"].clone());
    }
    subjects
}

#[tokio::test]
async fn a_subscription_begins_with_the_oldest_with_what_follows_or_behind_a_position() {
    let bench = Bench::start().await;
    edit(&bench, 3);
    let mut earliest = bench.subscribe(first(CASES, ReplayPreset::Earliest, &[], 10)).await;
    let events = earliest.events(3).await;
    assert_eq!(subjects(&bench, &events).await, ["about 0", "about 1", "about 2"]);
    let ids: Vec<u64> = events
        .iter()
        .map(|event| u64::from_be_bytes(event.replay_id.as_slice().try_into().unwrap()))
        .collect();
    assert!(ids.windows(2).all(|pair| pair[0] + 1 < pair[1]), "{ids:?}");

    let mut behind = bench.subscribe(first(CASES, ReplayPreset::Custom, &events[0].replay_id, 10)).await;
    assert_eq!(subjects(&bench, &behind.events(2).await).await, ["about 1", "about 2"]);
    let mut latest = bench.subscribe(first(CASES, ReplayPreset::Latest, &[], 10)).await;
    soon(bench.org().bus.until_subscribed(3)).await;
    bench.org().edit("Case", &case(1), &json!({"Subject": "new"})).unwrap();
    assert_eq!(subjects(&bench, &latest.events(1).await).await, ["new"]);
    assert_eq!(subjects(&bench, &behind.events(1).await).await, ["new"]);
    let mut union =
        bench.subscribe(first("/data/ChangeEvents", ReplayPreset::Custom, &events[2].replay_id, 10)).await;
    assert_eq!(subjects(&bench, &union.events(1).await).await, ["new"]);
}

#[tokio::test]
async fn a_position_that_is_missing_unknown_too_old_or_reset_is_refused() {
    let bench = Bench::start().await;
    bench.set(|settings| settings.token_lifetime_s = 100 * 3_600);
    edit(&bench, 2);
    let refusal = async |replay_id: &[u8]| {
        let status = bench.subscribe(first(CASES, ReplayPreset::Custom, replay_id, 1)).await.refusal().await;
        assert_eq!(status.code(), Code::InvalidArgument);
        code(&status).rsplit("subscription.fetch.").next().unwrap().to_owned()
    };
    assert_eq!(refusal(&[]).await, "replayid.validation.failed");
    assert_eq!(refusal(&[0, 0, 0, 0, 0, 0, 0, 7]).await, "replayid.corrupted");
    assert_eq!(refusal(b"short").await, "replayid.corrupted");

    let mut subscriber = bench.subscribe(first(CASES, ReplayPreset::Earliest, &[], 2)).await;
    let old = subscriber.events(2).await[0].replay_id.clone();
    bench.sandbox.core().clock.advance(TimeDelta::hours(71));
    edit(&bench, 1);
    assert_eq!(bench.subscribe(first(CASES, ReplayPreset::Custom, &old, 9)).await.events(2).await.len(), 2);
    bench.sandbox.core().clock.advance(TimeDelta::hours(2));
    assert_eq!(refusal(&old).await, "replayid.corrupted");
    let retained = bench.subscribe(first(CASES, ReplayPreset::Earliest, &[], 9)).await.events(1).await;
    bench.org().bus.reset(CASES);
    assert_eq!(refusal(&retained[0].replay_id).await, "replayid.corrupted");
}

#[tokio::test]
async fn no_more_is_sent_than_was_asked_for() {
    let bench = Bench::start().await;
    let mut subscriber = bench.latest(CASES, 2).await;
    edit(&bench, 3);
    let mut events = Vec::new();
    let mut pending = 2;
    while events.len() < 2 {
        let answer = subscriber.answer().await;
        pending -= answer.events.len() as i32;
        assert_eq!(answer.pending_num_requested, pending);
        events.extend(answer.events);
        assert_eq!(answer.latest_replay_id, events.last().unwrap().replay_id);
    }
    let more = tokio::time::timeout(Duration::from_millis(100), subscriber.answers.message()).await;
    assert!(more.is_err(), "the third waits, and the stream stays open");
    subscriber.ask(200).await;
    assert_eq!(subscriber.answer().await.pending_num_requested, 99, "at most 100 are outstanding");
    subscriber.ask(50).await;
    edit(&bench, 1);
    let pending = subscriber.answer().await.pending_num_requested;
    assert!([98, 99].contains(&pending), "{pending}");
}

#[tokio::test]
async fn an_answer_holds_no_more_than_a_batch() {
    let bench = Bench::start().await;
    bench.set(|settings| settings.pubsub_batch = 2);
    edit(&bench, 3);
    let mut subscriber = bench.subscribe(first(CASES, ReplayPreset::Earliest, &[], 100)).await;
    assert_eq!(subscriber.answer().await.events.len(), 2);
    assert_eq!(subscriber.answer().await.events.len(), 1);
}

#[tokio::test]
async fn a_wrong_request_ends_the_stream_with_its_code() {
    let bench = Bench::start().await;
    for (request, expected) in [
        (first("", ReplayPreset::Latest, &[], 1), "topic.validation.empty"),
        (first("/data/NopeChangeEvent", ReplayPreset::Latest, &[], 1), "topic.not.found"),
        (first(CASES, ReplayPreset::Latest, &[], 0), "subscription.fetch.requested.events.invalid"),
    ] {
        let mut subscriber = bench.subscribe(request).await;
        assert_eq!(code(&subscriber.refusal().await), expected);
        assert!(subscriber.next().await.unwrap().is_none());
    }
    let mut subscriber = bench.latest(CASES, 1).await;
    subscriber.requests.send(first(ORDERS, ReplayPreset::Latest, &[], 1)).await.unwrap();
    assert_eq!(code(&subscriber.refusal().await), "subscription.fetch.topic.mismatch");
    let mut subscriber = bench.latest(CASES, 1).await;
    subscriber.ask(-1).await;
    assert_eq!(code(&subscriber.refusal().await), "subscription.fetch.requested.events.invalid");
}

#[tokio::test]
async fn a_quiet_subscription_is_kept_alive_with_a_position_to_resume_from() {
    let bench = Bench::start().await;
    bench.set(|settings| settings.pubsub_keep_alive_ms = 20);
    let mut subscriber = bench.latest(CASES, 5).await;
    let kept = subscriber.answer().await;
    assert!(kept.events.is_empty() && kept.latest_replay_id.len() == 8 && kept.pending_num_requested == 5);
    bench.set(|settings| settings.pubsub_keep_alive_ms = 60_000);
    drop(subscriber);
    edit(&bench, 1);
    let mut resumed = bench.subscribe(first(CASES, ReplayPreset::Custom, &kept.latest_replay_id, 5)).await;
    assert_eq!(subjects(&bench, &resumed.events(1).await).await, ["about 0"]);
}

#[tokio::test]
async fn who_asks_for_nothing_more_or_says_farewell_ends_well() {
    let bench = Bench::start().await;
    bench.set(|settings| settings.pubsub_idle_close_ms = 30);
    edit(&bench, 1);
    let mut subscriber = bench.subscribe(first(CASES, ReplayPreset::Earliest, &[], 1)).await;
    subscriber.events(1).await;
    assert!(subscriber.next().await.unwrap().is_none());
    let Subscriber { requests, mut answers } = bench.latest(CASES, 5).await;
    drop(requests);
    assert!(soon(answers.message()).await.unwrap().is_none());
}
