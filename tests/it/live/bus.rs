//! The way of hints between replicas, when Redis goes away and comes back.

use std::time::Duration;

use futures::StreamExt;
use portal_gateway::{
    freshness::redis,
    id::ClientId,
    notify::{Hint, Listening, Live, Settings, Subject, Topic},
};
use tokio::time::timeout;

use crate::fleet::redis::Redis;

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn replica(redis: &Redis) -> Live {
    let url = format!("redis://{}", redis.address()).into();
    let redis = Some(redis::Settings { url, prefix: "live".to_owned() });
    Live::new(&Settings { redis, ..Settings::default() }).unwrap()
}

/// Waits for a hint of that kind.
async fn hears(listening: &mut Listening, subject: &Subject) -> bool {
    let heard = async {
        while let Some(hint) = listening.next().await {
            if hint.subject == *subject {
                return true;
            }
        }
        false
    };
    timeout(Duration::from_millis(200), heard).await.unwrap_or(false)
}

/// Publishes until the other replica has heard it.
async fn arrives(from: &Live, at: &mut Listening, subject: Subject) {
    let arrived = async {
        loop {
            from.publish(Hint::new(Topic::Client(ClientId(1)), subject.clone())).await;
            if hears(at, &subject).await {
                return;
            }
        }
    };
    timeout(PATIENCE, arrived).await.expect("it arrives");
}

#[tokio::test]
async fn after_redis_was_away_every_listener_is_told_that_hints_may_be_missing() {
    let mut redis = Redis::start().await;
    let (here, there) = (replica(&redis), replica(&redis));
    let mut listening = there.subscribe([Topic::Client(ClientId(1))]);
    arrives(&here, &mut listening, Subject::Profile).await;

    redis.kill().await;
    // Nobody waits for Redis, and who listens here hears it.
    let mut own = here.subscribe([Topic::Client(ClientId(1))]);
    here.publish(Hint::new(Topic::Client(ClientId(1)), Subject::PaymentMethods)).await;
    assert!(hears(&mut own, &Subject::PaymentMethods).await);
    assert!(!hears(&mut listening, &Subject::PaymentMethods).await);

    redis.restart_empty().await;
    let told = async { while !hears(&mut listening, &Subject::Everything).await {} };
    timeout(PATIENCE, told).await.expect("anything may have changed");
    arrives(&here, &mut listening, Subject::Profile).await;
}
