//! The rules; and that Redis keeps the same ones for all replicas.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use chrono::TimeDelta;

use super::*;

const QUARTER: Duration = Duration::from_secs(15 * 60);

fn bucket(name: u8, rule: Rule) -> Bucket {
    Bucket { key: [name; 32], rule }
}

async fn wait(throttle: &Throttle, buckets: &[Bucket], now: DateTime<Utc>) -> u64 {
    match throttle.admit(buckets, now).await {
        Ok(()) => 0,
        Err(Error::RateLimited { retry_after, service: None }) => retry_after.as_secs(),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn five_failures_are_free_then_the_delay_doubles_up_to_a_quarter_of_an_hour() {
    let throttle = Throttle::new(None).unwrap();
    let account = [bucket(1, Rule::delay(5, QUARTER))];
    let mut now = Utc::now();
    for _ in 0..5 {
        assert_eq!(wait(&throttle, &account, now).await, 0);
    }
    for delay in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
        assert_eq!(wait(&throttle, &account, now).await, delay);
        assert_eq!(wait(&throttle, &account, now).await, delay, "a refused try does not count");
        now += TimeDelta::seconds(delay.try_into().unwrap());
        assert_eq!(wait(&throttle, &account, now).await, 0);
    }
    assert_eq!(wait(&throttle, &account, now + TimeDelta::days(1)).await, 0);
}

#[tokio::test]
async fn a_success_forgets_and_a_withdrawn_try_does_not_count() {
    let throttle = Throttle::new(None).unwrap();
    let account = bucket(1, Rule::delay(5, QUARTER));
    let now = Utc::now();
    for _ in 0..20 {
        assert_eq!(wait(&throttle, &[account], now).await, 0);
        throttle.settle(&[(account, Outcome::Withdrawn)]).await;
    }
    for _ in 0..5 {
        assert_eq!(wait(&throttle, &[account], now).await, 0);
    }
    assert_eq!(wait(&throttle, &[account], now).await, 1);
    throttle.settle(&[(account, Outcome::Forgiven)]).await;
    assert_eq!(wait(&throttle, &[account], now).await, 0);
}

#[tokio::test]
async fn a_rate_gives_its_limit_at_once_and_then_as_the_window_passes() {
    let throttle = Throttle::new(None).unwrap();
    let sends = [bucket(1, Rule::rate(5, Duration::from_secs(300)))];
    let now = Utc::now();
    for _ in 0..5 {
        assert_eq!(wait(&throttle, &sends, now).await, 0);
    }
    assert_eq!(wait(&throttle, &sends, now).await, 60);
    let later = now + TimeDelta::seconds(60);
    assert_eq!(wait(&throttle, &sends, later).await, 0);
    assert_eq!(wait(&throttle, &sends, later).await, 60);
    let much_later = now + TimeDelta::seconds(600);
    for _ in 0..5 {
        assert_eq!(wait(&throttle, &sends, much_later).await, 0);
    }
    assert_eq!(wait(&throttle, &sends, much_later).await, 60);
}

#[tokio::test]
async fn all_buckets_take_a_try_or_none_does() {
    let throttle = Throttle::new(None).unwrap();
    let narrow = bucket(1, Rule::rate(1, Duration::from_secs(60)));
    let wide = bucket(2, Rule::rate(3, Duration::from_secs(60)));
    let now = Utc::now();
    assert_eq!(wait(&throttle, &[wide, narrow], now).await, 0);
    for _ in 0..10 {
        assert_eq!(wait(&throttle, &[wide, narrow], now).await, 60);
    }
    assert_eq!(wait(&throttle, &[wide], now).await, 0);
    assert_eq!(wait(&throttle, &[wide], now).await, 0);
    assert_eq!(wait(&throttle, &[wide], now).await, 20);
}

/// A throttle on the Redis of the tests.
fn replica(prefix: &str) -> Throttle {
    let url = std::env::var("TEST_REDIS_URL")
        .unwrap_or_else(|_| panic!("TEST_REDIS_URL is missing: run with scripts/services"));
    at(&url, prefix)
}

fn at(url: &str, prefix: &str) -> Throttle {
    Throttle::new(Some(&redis::Settings { url: url.into(), prefix: prefix.to_owned() })).unwrap()
}

/// Whether tries were let in, in their order, and how the buckets settled between.
async fn play(throttles: &[&Throttle], steps: &[u8]) -> Vec<u64> {
    let buckets = [
        bucket(1, Rule::delay(2, QUARTER)),
        bucket(2, Rule::rate(4, Duration::from_secs(60))),
        bucket(3, Rule::rate(7, Duration::from_secs(61))),
    ];
    let mut now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let mut waits = Vec::new();
    for (step, throttle) in steps.iter().zip(throttles.iter().cycle()) {
        match step {
            0..=4 => waits.push(wait(throttle, &buckets, now).await),
            5 => waits.push(wait(throttle, &buckets[1..], now).await),
            6 => throttle.settle(&[(buckets[0], Outcome::Withdrawn), (buckets[1], Outcome::Withdrawn)]).await,
            7 => throttle.settle(&[(buckets[0], Outcome::Forgiven)]).await,
            seconds => now += TimeDelta::seconds(i64::from(*seconds)),
        }
    }
    waits
}

#[tokio::test]
async fn redis_judges_as_memory_does_and_replicas_share_what_they_count() {
    let mut told = Vec::new();
    for seed in 0..20_u64 {
        // A walk that is the same in every run.
        let mut at = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let steps: Vec<u8> = (0..60)
            .map(|_| {
                at ^= at << 13;
                at ^= at >> 7;
                at ^= at << 17;
                u8::try_from(at % 24).unwrap()
            })
            .collect();
        let alone = Throttle::new(None).unwrap();
        let prefix = uuid::Uuid::new_v4().to_string();
        let (here, there) = (replica(&prefix), replica(&prefix));
        let expected = play(&[&alone], &steps).await;
        assert_eq!(play(&[&here, &there], &steps).await, expected, "seed {seed}: {steps:?}");
        told.extend(expected);
    }
    let waits = told.iter().filter(|wait| **wait > 0).count();
    assert!(waits > 50 && told.len() - waits > 50, "the walks show next to nothing: {told:?}");
}

#[tokio::test]
async fn limits_hold_while_redis_is_dead_or_silent() {
    // Nobody listens there; and somebody who listens and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    for url in ["redis://127.0.0.1:1".to_owned(), format!("redis://127.0.0.1:{port}")] {
        let throttle = at(&url, "away");
        let account = [bucket(1, Rule::delay(5, QUARTER))];
        let now = Utc::now();
        let began = std::time::Instant::now();
        for _ in 0..5 {
            assert_eq!(wait(&throttle, &account, now).await, 0, "{url}");
        }
        assert_eq!(wait(&throttle, &account, now).await, 1, "{url}");
        assert!(began.elapsed() < Duration::from_secs(3), "each try waits in vain: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_replica_goes_on_from_what_redis_told_it_last() {
    let prefix = uuid::Uuid::new_v4().to_string();
    let (here, there) = (replica(&prefix), replica(&prefix));
    let account = [bucket(1, Rule::delay(5, QUARTER))];
    let now = Utc::now();
    for throttle in [&there, &there, &there, &there, &here] {
        assert_eq!(wait(throttle, &account, now).await, 0);
    }
    let left = Throttle { local: here.local, shared: None };
    assert_eq!(wait(&left, &account, now).await, 1);
}
