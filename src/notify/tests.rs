//! Hints reach those whom they concern, on every replica.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt};
use uuid::Uuid;

use super::*;
use crate::id::{AccountId, ClientId, InvoiceId, NotificationId, RecordId, UserId};

fn invoice(client: u64, invoice: u64) -> Hint {
    Hint::new(Topic::Client(ClientId(client)), Subject::Invoice(Some(InvoiceId(invoice))))
}

fn waiting(listening: &mut Listening) -> Vec<Hint> {
    std::iter::from_fn(|| listening.next().now_or_never().flatten()).map(|hint| (*hint).clone()).collect()
}

async fn next(listening: &mut Listening) -> Option<Arc<Hint>> {
    tokio::time::timeout(Duration::from_secs(20), listening.next()).await.unwrap()
}

#[tokio::test]
async fn a_hint_reaches_the_listeners_of_its_topic_and_no_others() {
    let live = Live::new(&Settings::default()).unwrap();
    let (one, two) = (Topic::Client(ClientId(1)), Topic::Client(ClientId(2)));
    let mut first = live.subscribe([one.clone()]);
    let mut second = live.subscribe([two]);
    let mut both = live.subscribe([one.clone(), one, Topic::User(UserId(Uuid::nil()))]);
    live.publish(invoice(1, 9)).await;
    live.publish(Hint::new(Topic::Everyone, Subject::Catalogue)).await;
    live.publish(Hint::new(Topic::User(UserId(Uuid::nil())), Subject::Notifications)).await;
    let catalogue = Hint::new(Topic::Everyone, Subject::Catalogue);
    assert_eq!(waiting(&mut first), [invoice(1, 9), catalogue.clone()]);
    assert_eq!(waiting(&mut second), [catalogue]);
    assert_eq!(waiting(&mut both).len(), 3);
}

#[tokio::test]
async fn a_listener_that_left_is_forgotten() {
    let live = Live::new(&Settings::default()).unwrap();
    let listening = live.subscribe([Topic::Line("08010000001".into())]);
    let mut other = live.subscribe([]);
    other.also(Topic::Line("08010000001".into()));
    drop(listening);
    live.publish(Hint::new(Topic::Line("08010000001".into()), Subject::Line)).await;
    assert_eq!(waiting(&mut other).len(), 1);
    drop(other);
    assert!(live.subscribe([]).next().now_or_never().is_none());
}

#[tokio::test]
async fn a_reader_that_leaves_its_queue_full_is_ended_and_delays_nobody() {
    let live = Live::new(&Settings { queue: 3, ..Settings::default() }).unwrap();
    let topic = Topic::Client(ClientId(1));
    let mut slow = live.subscribe([topic.clone()]);
    let mut quick = live.subscribe([topic]);
    for n in 0..3 {
        live.publish(invoice(1, n)).await;
        assert_eq!(waiting(&mut quick), [invoice(1, n)]);
    }
    live.publish(invoice(1, 3)).await;
    assert_eq!(waiting(&mut quick), [invoice(1, 3)]);
    assert!(slow.next().await.is_none(), "it is ended, and what it had not read is lost");
    live.publish(invoice(1, 4)).await;
    assert!(slow.next().await.is_none());
}

#[test]
fn a_hint_survives_its_way() {
    let account = AccountId(RecordId::parse("0014H00002LbR7Q").unwrap());
    for hint in [
        invoice(7, 8),
        Hint::new(Topic::Account(account), Subject::Order(None)),
        Hint::new(Topic::Line("08010000001".into()), Subject::Line),
        Hint::new(Topic::User(UserId(Uuid::nil())), Subject::Notification(NotificationId(Uuid::nil()))),
        Hint::everything(),
    ] {
        let text = serde_json::to_string(&hint).unwrap();
        assert_eq!(serde_json::from_str::<Hint>(&text).unwrap(), hint, "{text}");
    }
}

/// A hub on the Redis of the tests, with a channel of its own.
fn replica(prefix: &str) -> Live {
    let url = std::env::var("TEST_REDIS_URL")
        .unwrap_or_else(|_| panic!("TEST_REDIS_URL is missing: run with scripts/services"));
    let redis = freshness::redis::Settings { url: url.into(), prefix: prefix.to_owned() };
    Live::new(&Settings { queue: 1_000, redis: Some(redis), ..Settings::default() }).unwrap()
}

#[tokio::test]
async fn replicas_hear_each_other_and_nobody_hears_twice() {
    let prefix = Uuid::new_v4().to_string();
    let (here, there) = (replica(&prefix), replica(&prefix));
    let foreign = replica("another");
    let topic = Topic::Client(ClientId(1));
    let mut at_home = here.subscribe([topic.clone()]);
    let mut abroad = there.subscribe([topic.clone()]);
    let mut elsewhere = foreign.subscribe([topic]);
    // Listening begins in the background: until then a hint is not heard.
    let mut sent = 0;
    let heard = loop {
        here.publish(invoice(1, sent)).await;
        sent += 1;
        if let Ok(Some(hint)) = tokio::time::timeout(Duration::from_millis(100), abroad.next()).await {
            break hint;
        }
        assert!(sent < 50, "the other replica hears nothing");
    };
    let Subject::Invoice(Some(InvoiceId(first))) = heard.subject else { panic!("{heard:?}") };
    for n in first + 1..first + 20 {
        if n >= sent {
            here.publish(invoice(1, n)).await;
        }
        assert_eq!(*next(&mut abroad).await.unwrap(), invoice(1, n), "in order, each once");
    }
    let at_home = waiting(&mut at_home);
    assert_eq!(at_home, (0..first + 20).map(|n| invoice(1, n)).collect::<Vec<_>>());
    assert_eq!(waiting(&mut elsewhere), []);
}
