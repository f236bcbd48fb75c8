//! Redis fails under load: nobody gets an error, nothing is older than the bound, and soon all is as before.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use serde_json::json;
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Fleet,
    client::Question,
    history::{Known, quantile, tell, violations},
    inbox::{acknowledged, all_applied, events},
    proxy::Mode,
    registers::registers,
    traffic::Traffic,
};

/// How old an answer may be while a replica cannot know what changed; the default of `CACHE_UNCONFIRMED_WITHIN`.
const BOUND: TimeDelta = TimeDelta::seconds(5);

/// What the way of an event and of a load may add on a busy machine.
const SLACK: TimeDelta = TimeDelta::seconds(2);

/// How soon all must be as before.
const RECOVERY: Duration = Duration::from_secs(5);

/// How long a fault lasts: longer than any lease.
const FAULT: Duration = Duration::from_secs(4);

/// Has a fault happen under load and end again, and judges what was read.
async fn survives(fault: impl AsyncFnOnce(&Fleet), end: impl AsyncFnOnce(&Fleet)) {
    let fleet = Arc::new(Fleet::start().await);
    let registers = Arc::new(registers(&fleet, 12).await);
    let mut traffic = Traffic::start(&fleet, &registers).await;
    traffic.until(500).await;
    fault(&fleet).await;
    tokio::time::sleep(FAULT).await;
    end(&fleet).await;
    tokio::time::sleep(RECOVERY).await;
    let recovered = fleet.clock.now();
    let written = traffic.answers();
    traffic.until(written + 300).await;
    traffic.stop_writing().await;
    all_applied(&fleet, &registers, Duration::from_secs(60)).await;
    traffic.until(traffic.answers() + 300).await;
    let reads = traffic.stop().await;
    println!("{} reads; the slowest took {} ms", reads.good.len(), reads.slowest.num_milliseconds());

    assert!(reads.bad.is_empty(), "{} of them: {:?}", reads.bad.len(), &reads.bad[..reads.bad.len().min(3)]);
    let written: Vec<Vec<_>> = registers
        .iter()
        .map(|register| {
            let writes = register.writes().into_iter();
            writes.map(|write| Known { value: write.value, from: write.ended }).collect()
        })
        .collect();
    let old = violations(&reads.good, &written, BOUND + SLACK);
    assert!(old.is_empty(), "older than the bound: {}", tell(&old));

    let events = events(&fleet.store).await;
    let known: Vec<_> = registers.iter().map(|register| acknowledged(&events, register)).collect();
    let later: Vec<_> = reads.good.iter().filter(|read| read.began >= recovered).copied().collect();
    assert!(later.len() >= 300);
    let old = violations(&later, &known, TimeDelta::zero());
    assert!(old.is_empty(), "older than acknowledged, after the recovery: {}", tell(&old));
    // And changes are acknowledged as before.
    let mut lags: Vec<_> = registers
        .iter()
        .zip(&known)
        .flat_map(|(register, known)| register.writes().into_iter().zip(known))
        .filter(|(write, _)| write.began > recovered)
        .map(|(write, known)| known.from - write.began)
        .collect();
    let most = quantile(&mut lags, 0.99).expect("something was written after the recovery");
    println!("{} changes after the recovery, acknowledged within {} ms", lags.len(), most.num_milliseconds());
    assert!(most <= BOUND, "changes are acknowledged within {most}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_killed_and_starts_again_empty() {
    survives(
        async |fleet| fleet.redis.lock().await.kill().await,
        async |fleet| {
            fleet.redis.lock().await.restart_empty().await;
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_hangs() {
    survives(
        async |fleet| fleet.each_redis(|redis| redis.set(Mode::Hang)),
        async |fleet| {
            fleet.each_redis(|redis| redis.set(Mode::Open));
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_restarted_empty_and_emptied_at_once() {
    survives(
        async |fleet| fleet.redis.lock().await.restart_empty().await,
        async |fleet| {
            fleet.redis.lock().await.command(&["FLUSHALL"]).await;
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_connections_that_carry_pushes_are_cut() {
    survives(
        async |fleet| {
            for _ in 0..10 {
                fleet.each_redis(super::proxy::Proxy::cut_push);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        },
        async |fleet| fleet.each_redis(super::proxy::Proxy::cut_push),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_connection_of_one_replica_that_carries_pushes_hangs() {
    survives(
        async |fleet| fleet.replicas[1].redis.set_push(Mode::Hang),
        async |fleet| {
            fleet.replicas[1].redis.set_push(Mode::Open);
        },
    )
    .await;
}

/// Customers who keep asking in [`without_redis_the_systems_are_asked_no_more_than_the_bound_demands`].
const CUSTOMERS: u64 = 6;
/// Kinds of read in one question, each a call of its own at most.
const KINDS: u64 = 4;

/// Asks over and over until told to stop; gives how long each answer took.
async fn keep_asking(
    fleet: Arc<Fleet>,
    replica: usize,
    questions: Vec<Question>,
    stop: CancellationToken,
) -> Vec<(Instant, TimeDelta)> {
    let mut connection = fleet.connect(replica).await;
    let mut took = Vec::new();
    while !stop.is_cancelled() {
        for question in &questions {
            let at = Instant::now();
            let answer = connection.ask(question).await;
            assert!(answer.is_good(), "{}", answer.body);
            took.push((at, answer.ended - answer.began));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_the_systems_are_asked_no_more_than_the_bound_demands() {
    let fleet = Arc::new(Fleet::start().await);
    let question = "{ viewer { profile { fullName } invoices(first: 3) { totalCount }
        orders(first: 3) { totalCount } cases(first: 3) { totalCount } } }";
    let mut questions = Vec::new();
    for n in 1..=CUSTOMERS {
        questions.push(Question::new(&fleet.sign_in(n).await, question, json!({})));
    }
    let (stop, mut readers) = (CancellationToken::new(), JoinSet::new());
    for replica in (0..fleet.replicas.len()).cycle().take(2 * fleet.replicas.len()) {
        readers.spawn(keep_asking(Arc::clone(&fleet), replica, questions.clone(), stop.clone()));
    }
    let reads = || {
        let counts = fleet.sandbox.core().journal.counts().into_iter();
        let is_read =
            |operation: &str| ["GetClientsDetails", "GetInvoices", "composite"].contains(&operation);
        counts.filter(|count| is_read(&count.operation)).map(|count| count.count).sum::<u64>()
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    fleet.sandbox.core().journal.clear();
    let fault = Instant::now();
    fleet.each_redis(|redis| redis.set(Mode::Hang));
    tokio::time::sleep(FAULT).await;
    fleet.redis.lock().await.kill().await;
    fleet.each_redis(|redis| redis.set(Mode::Open));
    tokio::time::sleep(FAULT).await;
    fleet.redis.lock().await.restart_empty().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (asked, lasted) = (reads(), fault.elapsed());
    stop.cancel();
    let took: Vec<_> = readers.join_all().await.into_iter().flatten().collect();

    // Each replica for itself, and each list once in the time that it may be old.
    let times = lasted.as_secs_f64() / BOUND.as_seconds_f64() + 1.0;
    let most = (fleet.replicas.len() as u64 * CUSTOMERS * KINDS) as f64 * times.ceil();
    let p99 = |is_it: &dyn Fn(Instant) -> bool| {
        let mut some: Vec<_> = took.iter().filter(|(at, _)| is_it(*at)).map(|(_, took)| *took).collect();
        quantile(&mut some, 0.99).unwrap().num_milliseconds()
    };
    let (before, during) = (p99(&|at| at < fault), p99(&|at| at >= fault));
    println!(
        "{} answers and {asked} calls in {} ms, of {most} that may be; p99 {before} ms before, {during} ms without",
        took.len(),
        lasted.as_millis()
    );
    assert!(asked as f64 <= most, "a stampede: {asked} calls, not {most}");
    assert!(during <= 1_000, "p99 {during} ms");
}
