//! What the document guard costs: for an honest document, new and known, and for each hostile one
//! (required: at most 5 ms each).

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a bench may panic and reports what it found")]

use std::hint::black_box;

use async_graphql::Variables;
use criterion::{Criterion, criterion_group, criterion_main};
use portal_gateway::http::guard::{Guard, Limits};

mod documents;

fn guard(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let variables = Variables::default();
    let admit =
        |guard: &Guard, document: &str| runtime.block_on(guard.admit(black_box(document), &variables, None));

    let mut honest = c.benchmark_group("honest");
    honest.bench_function("dashboard, new", |b| {
        // Without room nothing is kept, so that every time is the first.
        let guard = Guard::new(Limits { cache_bytes: 0, ..Limits::default() });
        b.iter(|| admit(&guard, documents::DASHBOARD).expect("admitted"));
    });
    let known = Guard::new(Limits::default());
    honest.bench_function("dashboard, known", |b| {
        b.iter(|| admit(&known, documents::DASHBOARD).expect("admitted"));
    });
    let admitted = admit(&known, documents::DASHBOARD).expect("admitted");
    honest.bench_function("dashboard, copy of the parsed document", |b| {
        b.iter(|| black_box(admitted.document.parsed.clone()));
    });
    honest.finish();

    let mut hostile = c.benchmark_group("hostile");
    hostile.sample_size(10);
    let fresh = Guard::new(Limits::default());
    for (name, document) in documents::hostile() {
        hostile.bench_function(name, |b| b.iter(|| admit(&fresh, &document).expect_err("refused")));
    }
    hostile.finish();
}

/// A thousand hostile documents must leave no more than 8 MiB behind.
fn memory(_: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let guard = Guard::new(Limits::default());
    let refuse_all = |rounds: usize| {
        for (_, document) in documents::hostile().iter().cycle().take(rounds) {
            runtime.block_on(guard.admit(document, &Variables::default(), None)).expect_err("refused");
        }
    };
    refuse_all(100);
    let before = resident_kib();
    refuse_all(1_000);
    let grown = resident_kib().saturating_sub(before);
    println!("1,000 hostile documents: {grown} KiB more resident");
    assert!(grown <= 8 * 1024, "{grown} KiB");
}

/// Resident memory of this process; 0 where there is no `/proc`.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

criterion_group!(benches, guard, memory);
criterion_main!(benches);
