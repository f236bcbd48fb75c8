//! A system is down for a while: what was asked before is still answered, at once and with its age.
//!
//! `FLEET_OUTAGE` sets how many seconds it lasts: 8 unless it says otherwise; 60 is the full length.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use portal_gateway::sandbox::core::{Rule, RuleKind, System};
use serde_json::json;

use super::{Fleet, Wishes, client::Question};

/// Customers who ask.
const CUSTOMERS: u64 = 6;

/// How long an answer counts as fresh, far less than the outage lasts.
const FRESH: Duration = Duration::from_secs(2);

const QUESTION: &str = "{ viewer { profile { fullName } invoices(first: 3) { totalCount }
    orders(first: 3) { totalCount } cases(first: 3) { totalCount } } }";

/// How long the systems are away.
fn length() -> Duration {
    let seconds =
        std::env::var("FLEET_OUTAGE").map_or(8, |text| text.parse().expect("FLEET_OUTAGE is a number"));
    Duration::from_secs(seconds)
}

async fn answers_while_away(kind: RuleKind) {
    let fresh = || format!("{}ms", FRESH.as_millis());
    let times =
        ["CACHE_PROFILE", "CACHE_INVOICES", "CACHE_ORDERS", "CACHE_CASES"].map(|name| (name, fresh()));
    let fleet = Arc::new(Fleet::with(Wishes { env: times.into(), ..Wishes::default() }).await);
    let mut questions = Vec::new();
    for n in 1..=CUSTOMERS {
        questions.push(Question::new(&fleet.sign_in(n).await, QUESTION, json!({})));
    }
    let mut connections = Vec::new();
    for replica in 0..fleet.replicas.len() {
        let mut connection = fleet.connect(replica).await;
        for question in &questions {
            assert!(connection.ask(question).await.is_good());
        }
        connections.push(connection);
    }
    let journal = &fleet.sandbox.core().journal;
    journal.clear();
    for system in System::ALL {
        fleet.sandbox.core().faults.add(Rule::every(system, kind));
    }

    let away = Instant::now();
    let (mut times, mut stale) = (Vec::new(), 0);
    while away.elapsed() < length() {
        for question in &questions {
            for connection in &mut connections {
                let answer = connection.ask(question).await;
                let freshness = &answer.body["extensions"]["freshness"];
                assert!(answer.is_good(), "{}", answer.body);
                times.push(answer.ended - answer.began);
                let entries: Vec<_> = freshness.as_array().into_iter().flatten().collect();
                if away.elapsed() > FRESH.mul_f64(1.5) {
                    let is_told = |entry: &&&serde_json::Value| {
                        entry["stale"] == true && entry["ageSeconds"].as_f64().is_some_and(|age| age >= 1.0)
                    };
                    assert!(entries.iter().filter(is_told).count() >= 3, "its age is told: {}", answer.body);
                    stale += 1;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(stale > 0);
    times.sort();
    let [median, most, all] =
        [2, 100, times.len()].map(|share| times[times.len() - 1 - (times.len() - 1) / share]);
    println!(
        "{} answers: p50 {} ms, p99 {} ms, at most {} ms",
        times.len(),
        median.num_milliseconds(),
        most.num_milliseconds(),
        all.num_milliseconds()
    );
    assert!(median <= chrono::TimeDelta::milliseconds(50), "{median}");
    // Whoever is away is not pestered.
    let asked: u64 = System::ALL.iter().map(|system| journal.count(*system, None)).sum();
    assert!(asked * 4 < times.len() as u64 * 3, "{asked} calls for {} answers", times.len());

    fleet.sandbox.core().faults.clear();
    journal.clear();
    let back = Instant::now();
    let is_fresh = async {
        loop {
            let mut is_fresh = true;
            for question in &questions {
                for connection in &mut connections {
                    let answer = connection.ask(question).await;
                    assert!(answer.is_good(), "{}", answer.body);
                    let freshness =
                        answer.body["extensions"]["freshness"].as_array().cloned().unwrap_or_default();
                    is_fresh &= freshness.iter().all(|entry| entry["stale"] != true);
                }
            }
            if is_fresh {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), is_fresh).await.expect("fresh within 10 s");
    let rounds = back.elapsed().as_secs_f64() / FRESH.mul_f64(0.9).as_secs_f64() + 1.0;
    println!("fresh again after {} ms", back.elapsed().as_millis());
    for count in journal.counts() {
        // Each replica may begin one before it hears of another's.
        let most = (CUSTOMERS * fleet.replicas.len() as u64) as f64 * rounds.ceil();
        assert!(count.count as f64 <= most, "a stampede: {count:?} in {rounds} rounds");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cached_questions_are_answered_while_the_systems_are_down() {
    answers_while_away(RuleKind::Drop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cached_questions_are_answered_while_the_systems_hang() {
    answers_while_away(RuleKind::Hang).await;
}
