//! Many customers ask at once, go away midway, and never see each other: no key of the cache, of what is under way
//! or of an answer may be without the one who asks (requirement Z5).

use std::{collections::HashMap, future::ready, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::{StreamExt, stream};
use portal_gateway::{
    billing, crm,
    freshness::Tag,
    id::{AccountId, ClientId},
    sandbox::{core::System, witness::Witness, world::ids},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::gateway::{Customer, DASHBOARD, Gateway, LostOwner, Wishes};

/// Documents that everybody asks alike, so that only who asks tells their answers apart.
const QUESTIONS: [&str; 5] = [
    DASHBOARD,
    "{ viewer { profile { email customerNumber } } }",
    "{ viewer { subscriptions(first: 2) { nodes { id line { phoneNumber state { iccid } } } } profile { email } } }",
    "{ viewer { invoices(first: 3) { nodes { id } } paymentMethods { id } profile { email } } }",
    "{ viewer { orders(first: 2) { nodes { id } } cases(first: 2) { nodes { id } } profile { email } } }",
];
/// One object by its id, which may be another customer's.
const NODE: &str = "query($id: ID!) { viewer { profile { email } } node(id: $id) { id } }";
/// Customers whose requests are on their way at the same time; more would need more sockets than a process may have.
const SIDE_BY_SIDE: usize = 10;

/// How many come, and how often each asks at once.
#[derive(Clone, Copy)]
struct Crowd {
    customers: u64,
    each: u64,
}

/// What came of it.
#[derive(Default)]
struct Outcome {
    answers: usize,
    cancelled: usize,
    /// What somebody was shown that was another's, and whatever else was not as it should be.
    faults: Vec<String>,
}

fn invoice(n: u64) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("Invoice:{}", ids::invoice_id(n, 1)))
}

/// One request of a customer, which may be given up midway.
async fn ask(gateway: &Gateway, token: &str, n: u64, seed: u64) -> Result<Option<Value>, String> {
    let mut random = StdRng::seed_from_u64(seed);
    let customer = Customer::with(gateway, token.to_owned());
    let foreign = if random.random_bool(0.5) { n } else { n % 7 + 1 };
    let (query, variables) = match random.random_range(0..12_usize) {
        kind @ 0..10 => (QUESTIONS[kind.div_ceil(2) % QUESTIONS.len()], json!({})),
        _ => (NODE, json!({ "id": invoice(foreign) })),
    };
    let patience = if random.random_bool(0.1) {
        Duration::from_millis(random.random_range(0..30))
    } else {
        Duration::MAX
    };
    let Ok(answer) = tokio::time::timeout(patience, customer.ask(query, variables)).await else {
        return Ok(None);
    };
    if query == NODE && foreign != n && !answer.body["data"]["node"].is_null() {
        return Err(format!("customer {n} was shown an invoice of customer {foreign}"));
    }
    if !answer.body["errors"].is_null() {
        return Err(format!("customer {n}: {}", answer.body["errors"]));
    }
    Ok(Some(answer.body))
}

/// Everything that can change for a customer.
fn tags(n: u64) -> Vec<Tag> {
    let account = AccountId::parse(&ids::sf_id("001", n, 0)).unwrap();
    [billing::tags::everything(ClientId(ids::client_id(n))), crm::tags::everything(account)].concat()
}

async fn storm(gateway: Gateway, crowd: Crowd) -> Outcome {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let gateway = Arc::new(gateway);
    let unrest = tokio::spawn({
        let gateway = Arc::clone(&gateway);
        let mut random = StdRng::seed_from_u64(seed);
        async move {
            loop {
                for system in System::ALL {
                    let delay = Duration::from_millis(random.random_range(0..25));
                    gateway.sandbox.core().delays.set(system, delay);
                }
                let changed = random.random_range(1..=crowd.customers);
                let _ = gateway.app.cache.invalidate(&tags(changed)).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
    let world = &gateway.sandbox.core().world;
    let mut customers = Vec::new();
    for n in 1..=crowd.customers {
        customers.push((n, gateway.sign_in(n).await.token.unwrap(), Witness::of(&world.customer(n))));
    }
    let outcomes = stream::iter(customers).map(|(n, token, witness)| {
        let gateway = Arc::clone(&gateway);
        async move {
            let mut asked = JoinSet::new();
            for k in 0..crowd.each {
                let (gateway, token, seed) = (Arc::clone(&gateway), token.clone(), seed ^ (n << 32 | k));
                asked.spawn(async move { ask(&gateway, &token, n, seed).await });
            }
            let mut outcome = Outcome::default();
            for answer in asked.join_all().await {
                match answer {
                    Ok(None) => outcome.cancelled += 1,
                    Ok(Some(answer)) => {
                        outcome.answers += 1;
                        match witness.check(&answer["data"]) {
                            Ok(0) => outcome.faults.push(format!("nothing tells whose this is: {answer}")),
                            Ok(_) => {}
                            Err(fault) => outcome.faults.push(fault),
                        }
                    }
                    Err(fault) => outcome.faults.push(fault),
                }
            }
            outcome
        }
    });
    let add = |mut whole: Outcome, one: Outcome| {
        whole.answers += one.answers;
        whole.cancelled += one.cancelled;
        whole.faults.extend(one.faults);
        ready(whole)
    };
    let whole = outcomes.buffer_unordered(SIDE_BY_SIDE).fold(Outcome::default(), add).await;
    unrest.abort();
    println!("{} answers, {} given up, {} faults", whole.answers, whole.cancelled, whole.faults.len());
    whole
}

fn shared() -> HashMap<&'static str, String> {
    let url = std::env::var("TEST_REDIS_URL").expect("TEST_REDIS_URL: scripts/services sets it");
    HashMap::from([("REDIS_URL", url), ("REDIS_PREFIX", format!("test-{}", Uuid::new_v4()))])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_customers_who_ask_fifty_times_at_once_see_nothing_but_their_own() {
    let crowd = Crowd { customers: 100, each: 50 };
    let gateway = Gateway::with(Wishes { customers: crowd.customers, ..Wishes::default() }).await;
    let outcome = storm(gateway, crowd).await;
    assert_eq!(outcome.faults, Vec::<String>::new());
    // A tenth is given up, as far as their answers are not there before.
    assert!(
        outcome.answers >= 4_300 && outcome.cancelled >= 100,
        "{} {}",
        outcome.answers,
        outcome.cancelled
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_do_they_when_what_is_read_is_shared_through_redis() {
    let crowd = Crowd { customers: 20, each: 30 };
    let wishes = Wishes { customers: crowd.customers, env: shared(), ..Wishes::default() };
    let outcome = storm(Gateway::with(wishes).await, crowd).await;
    assert_eq!(outcome.faults, Vec::<String>::new());
    assert!(outcome.answers >= 500 && outcome.cancelled >= 10, "{} {}", outcome.answers, outcome.cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_lose_the_one_who_asks_are_noticed() {
    // Some come when others have been answered already.
    let crowd = Crowd { customers: 40, each: 8 };
    for plant in [LostOwner::OfEntries, LostOwner::OfAnswers] {
        let wishes = Wishes { customers: crowd.customers, plant: Some(plant), ..Wishes::default() };
        let outcome = storm(Gateway::with(wishes).await, crowd).await;
        let is_foreign = |fault: &String| fault.contains("was shown a foreign");
        assert!(outcome.faults.iter().any(is_foreign), "the check is blind: {:?}", outcome.faults);
    }
}
