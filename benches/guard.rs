//! What the document guard costs: for an honest document, new and known, and for each hostile one
//! (required: at most 5 ms each).

#![expect(clippy::expect_used, reason = "a bench may panic")]

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

criterion_group!(benches, guard);
criterion_main!(benches);
