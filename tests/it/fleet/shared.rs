//! Many readers of one thing make one load, on one replica and over all.

use std::{sync::Arc, time::Duration};

use portal_gateway::sandbox::{
    core::System,
    journal::{Entry, Filter, Kind},
};
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    Fleet, Wishes,
    client::{Answer, Question},
};

/// How many ask at once.
const READERS: usize = 1_000;

/// One read of each system's kinds: the profile, the invoices, the orders and the cases.
const QUESTION: &str = "{ viewer { profile { fullName } invoices(first: 3) { totalCount }
    orders(first: 3) { totalCount } cases(first: 3) { totalCount } } }";

/// How soon one asks after the other: all before the first has its answer, and no faster than two cores can take them.
const APART: Duration = Duration::from_millis(2);

/// The question of many who all wait together, spread over the replicas.
async fn ask_at_once(fleet: &Arc<Fleet>, question: &Question) -> Vec<Answer> {
    let mut connections = Vec::with_capacity(READERS);
    for reader in 0..READERS {
        connections.push(fleet.connect(reader % fleet.replicas.len()).await);
    }
    let mut readers = JoinSet::new();
    let mut pace = tokio::time::interval(APART);
    for mut connection in connections {
        pace.tick().await;
        let question = question.clone();
        readers.spawn(async move { connection.ask(&question).await });
    }
    readers.join_all().await
}

/// The profile, the invoices, the orders and the cases were read once each since the journal was cleared.
fn assert_one_call_per_kind(fleet: &Fleet) {
    let journal = &fleet.sandbox.core().journal;
    for read in ["GetClientsDetails", "GetInvoices"] {
        assert_eq!(journal.count(System::Whmcs, Some(read)), 1, "{read}: {:?}", journal.counts());
    }
    // The orders and the cases travel in one call, or in one each when they set out apart.
    let filter = Filter { system: Some(System::Salesforce), kind: Some(Kind::Call), ..Filter::default() };
    let calls = journal.entries(&filter);
    let count = |operation: &str, object: &str| {
        let is_it = |entry: &&Entry| {
            let detail = entry.detail.as_ref().map_or("", |detail| detail.get());
            &*entry.operation == operation && detail.contains(object)
        };
        calls.iter().filter(is_it).count()
    };
    let (together, orders, cases) =
        (count("composite", ""), count("query", "\"Order\""), count("query", "\"Case\""));
    assert!(
        [(1, 0, 0), (0, 1, 1)].contains(&(together, orders, cases)),
        "{together} together, {orders} of orders, {cases} of cases: {calls:?}"
    );
}

async fn a_thousand_readers_make_one_call_per_kind(replicas: usize) {
    let fleet = Arc::new(Fleet::with(Wishes { replicas, ..Wishes::default() }).await);
    let question = Question::new(&fleet.sign_in(1).await, QUESTION, json!({}));
    // Slow enough that all are waiting when the answer comes.
    for system in System::ALL {
        fleet.sandbox.core().delays.set(system, Duration::from_secs(3));
    }
    fleet.sandbox.core().journal.clear();
    let answers = ask_at_once(&fleet, &question).await;
    assert!(answers.iter().all(|answer| answer.data() == answers[0].data()));
    assert_one_call_per_kind(&fleet);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_readers_of_one_replica_make_one_call_per_kind() {
    a_thousand_readers_make_one_call_per_kind(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_readers_of_three_replicas_make_one_call_per_kind() {
    a_thousand_readers_make_one_call_per_kind(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asked_first_may_go_away() {
    let fleet = Fleet::start().await;
    let question = Question::new(&fleet.sign_in(1).await, QUESTION, json!({}));
    for system in System::ALL {
        fleet.sandbox.core().delays.set(system, Duration::from_secs(1));
    }
    let journal = &fleet.sandbox.core().journal;
    journal.clear();
    let mut first = fleet.connect(0).await;
    let leading = {
        let question = question.clone();
        tokio::spawn(async move { first.ask(&question).await })
    };
    let is_asked = async {
        while journal.count(System::Whmcs, None) < 2 || journal.count(System::Salesforce, None) < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), is_asked).await.expect("the systems are asked");
    // The connection goes with the task.
    leading.abort();
    assert!(leading.await.unwrap_err().is_cancelled());
    let others = futures::future::join_all((0..3).map(|replica| fleet.ask(replica, &question))).await;
    assert!(others.iter().all(|answer| answer.data() == others[0].data()));
    assert_one_call_per_kind(&fleet);
}
