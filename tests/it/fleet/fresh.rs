//! No read that starts after the acknowledgement of a change returns what was there before it, on any replica.
//!
//! `FLEET_READS` sets how many reads are recorded: 5,000 unless it says otherwise; 100,000 is the full size.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use portal_gateway::sandbox::journal::{Count, Kind};

use super::{
    Fleet, Wishes,
    history::{Known, Violation, tell, violations},
    inbox::{acknowledged, all_applied, events, lag},
    registers::{Register, registers},
    traffic::{Reads, Traffic},
};

/// Customers whose records are written; few where writes shall meet loads that are under way.
const MANY: u64 = 12;
const FEW: u64 = 3;

/// How long an answer of billing is under way: changes that happen meanwhile are not in it.
const UNDER_WAY: Duration = Duration::from_millis(60);

/// What was read while others wrote.
struct History {
    reads: Reads,
    known: Vec<Vec<Known>>,
    writes: usize,
    /// Writes a second while there were any.
    rate: f64,
    /// Reads of the systems that it cost.
    calls: u64,
    lag: [TimeDelta; 3],
}

impl History {
    /// Writes at the full rate until so many reads are recorded, then goes on reading until all is acknowledged.
    async fn record(fleet: &Arc<Fleet>, customers: u64, reads: usize) -> Self {
        let registers: Arc<Vec<Register>> = Arc::new(registers(fleet, customers).await);
        assert!(registers.len() >= 8, "a few of each kind: {}", registers.len());
        fleet.billing.delay_answers(UNDER_WAY);
        fleet.sandbox.core().journal.clear();
        let mut traffic = Traffic::start(fleet, &registers).await;
        let began = Instant::now();
        traffic.until(reads).await;
        traffic.stop_writing().await;
        let writes = registers.iter().map(|register| register.writes().len()).sum();
        let rate = writes as f64 / began.elapsed().as_secs_f64();
        all_applied(fleet, &registers, Duration::from_secs(60)).await;
        // Every value is acknowledged now; each must be read by everybody.
        traffic.until(traffic.answers() + reads / 20).await;
        let reads = traffic.stop().await;
        let events = events(&fleet.store).await;
        Self {
            reads,
            known: registers.iter().map(|register| acknowledged(&events, register)).collect(),
            writes,
            rate,
            calls: reading(&fleet.sandbox.core().journal.counts()),
            lag: lag(&events, &registers),
        }
    }

    fn violations(&self) -> Vec<Violation> {
        violations(&self.reads.good, &self.known, TimeDelta::zero())
    }
}

/// Calls that read.
fn reading(counts: &[Count]) -> u64 {
    let reads = |count: &&Count| {
        count.kind == Kind::Call
            && ["GetInvoices", "GetInvoice", "composite", "query"].contains(&&*count.operation)
    };
    counts.iter().filter(reads).map(|count| count.count).sum()
}

/// How many reads a history has.
fn size() -> usize {
    std::env::var("FLEET_READS").map_or(5_000, |reads| reads.parse().expect("FLEET_READS is a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_that_starts_after_an_acknowledgement_is_older() {
    let fleet = Arc::new(Fleet::start().await);
    let history = History::record(&fleet, MANY, size()).await;
    let [half, most, all] = history.lag.map(|lag| lag.num_milliseconds());
    println!(
        "{} reads on {} replicas, {} writes at {:.1} a second, {} calls; from a write to the last replica's knowledge: p50 {half} ms, \
         p99 {most} ms, at most {all} ms; the slowest read {} ms",
        history.reads.good.len(),
        fleet.replicas.len(),
        history.writes,
        history.rate,
        history.calls,
        history.reads.slowest.num_milliseconds(),
    );
    assert!(history.reads.bad.is_empty(), "{:?}", &history.reads.bad[..history.reads.bad.len().min(3)]);
    let violations = history.violations();
    assert!(violations.is_empty(), "{}", tell(&violations));
    // It has shown something only when most reads were answered from what was kept.
    assert!(history.calls < history.reads.good.len() as u64, "{} calls", history.calls);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_notes_versions_after_the_load_is_caught() {
    let wishes = Wishes { late_capture: true, ..Wishes::default() };
    let fleet = Arc::new(Fleet::with(wishes).await);
    let history = History::record(&fleet, FEW, 1_500).await;
    assert!(!history.violations().is_empty(), "the planted fault was not noticed");
}
