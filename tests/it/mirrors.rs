//! What the gateway's own database remembers of billing's lists, and the comparison with what the systems say.

use std::{collections::HashMap, time::Duration};

use async_graphql::Request;
use chrono::{NaiveTime, TimeDelta};
use portal_gateway::{
    app::App,
    billing::Invoice,
    clock::{Clock, TOKYO},
    config::Config,
    deadline::{Budget, Lane},
    demo,
    error::Error,
    events::{
        Owners, Received, Worker,
        reconcile::{Reconciler, Round, Settings},
        whmcs::Reading,
    },
    freshness::{Source, Stale},
    identity::{Caller, Principal, Viewer},
    money::Money,
    sandbox::{
        Listen, Options, Sandbox,
        core::{Rule, RuleKind, System},
        world::ids,
    },
    schema,
    secret::ExposeSecret,
    store::{Mapping, MirroredList, testing::TestStore},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    fleet::desk::Desk,
    gateway::{Gateway, database, today},
    process::run,
};

/// Customers who are mapped.
const ACCOUNTS: u64 = 6;

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A sandbox that reports nothing, and a store that replicas come to and go from.
struct Bench {
    sandbox: Sandbox,
    store: TestStore,
    clock: Clock,
    env: HashMap<&'static str, String>,
    _data: tempfile::TempDir,
}

impl Bench {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let sandbox = Sandbox::start(Options {
            customers: 20,
            delay: false,
            listen: Listen::loopback(0),
            today: Some(today()),
            ..Options::default()
        })
        .await
        .unwrap();
        let noon = today().and_time(NaiveTime::from_hms_opt(12, 0, 0).unwrap());
        let noon = noon.and_local_timezone(TOKYO).unwrap().to_utc();
        sandbox.core().clock.advance(noon - chrono::Utc::now());
        let clock = sandbox.core().clock.clone();
        let (data, store) = (tempfile::tempdir().unwrap(), database().await);
        let mut env = demo::settings(&sandbox);
        env.insert("WHMCS_CALLS_PER_MINUTE", "0".to_owned());
        env.insert("SF_CALLS_PER_MINUTE", "0".to_owned());
        env.insert("SF_EVENTS_ENABLED", "false".to_owned());
        env.insert("SF_PUBSUB_ENDPOINT", String::new());
        env.insert("DATA_DIR", data.path().display().to_string());
        env.insert("DATABASE_URL", store.settings().url.expose_secret().to_owned());
        let bench = Self { sandbox, store, clock, env, _data: data };
        let app = bench.replica().await;
        demo::register(&app.identity, &bench.sandbox.core().world, ACCOUNTS).await.unwrap();
        bench
    }

    /// A gateway that remembers nothing but what stands in the store.
    async fn replica(&self) -> App {
        let config = Config::from_env(|name| self.env.get(name).cloned()).unwrap();
        App::build(&config, self.clock.clone()).await.unwrap()
    }

    async fn customer(&self, n: u64) -> Mapping {
        let client = portal_gateway::id::ClientId(ids::client_id(n));
        self.store.mapping_of_client(client).await.unwrap().unwrap()
    }

    fn principal(&self, customer: &Mapping) -> Principal {
        Principal {
            user: customer.user,
            client: customer.client,
            account: customer.account,
            session: Uuid::nil(),
            expires_at: self.clock.now() + TimeDelta::hours(1),
        }
    }

    /// A request of a customer.
    fn viewer(&self, customer: &Mapping) -> Viewer {
        Viewer::new(self.principal(customer), Budget::new(Duration::from_secs(10), Lane::Interactive))
    }

    /// Waits until both lists of a customer are mirrored: nobody who reads waits for that.
    async fn until_mirrored(&self, customer: &Mapping) {
        let since = self.clock.now() - TimeDelta::hours(1);
        let mirrored = async {
            while !self.store.is_mirrored_since(customer.client, since).await.unwrap() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, mirrored).await.expect("the lists are mirrored");
    }

    /// How often billing was asked with an action since the journal was cleared.
    fn asked(&self, action: &str) -> u64 {
        self.sandbox.core().journal.count(System::Whmcs, Some(action))
    }
}

fn json_of<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap()
}

#[tokio::test]
async fn without_billing_and_with_nothing_cached_both_lists_come_from_the_mirror() {
    let bench = Bench::start().await;
    let (first, taro, jiro) = (bench.replica().await, bench.customer(1).await, bench.customer(2).await);
    let viewer = bench.viewer(&taro);
    let invoices = first.billing.invoices(&viewer).await.unwrap();
    let subscriptions = first.billing.subscriptions(&viewer).await.unwrap();
    assert_eq!((invoices.origin().source, invoices.origin().stale), (Source::Live, None));
    assert!(!invoices.is_empty() && !subscriptions.is_empty());
    bench.until_mirrored(&taro).await;
    drop(first);

    bench.sandbox.core().faults.add(Rule::every(System::Whmcs, RuleKind::Drop));
    bench.clock.advance(TimeDelta::minutes(30));
    let second = bench.replica().await;
    let viewer = bench.viewer(&taro);
    second.crm.orders(&viewer).await.unwrap();
    assert!(viewer.reader().basis().is_some());
    let mirrored = second.billing.invoices(&viewer).await.unwrap();
    assert_eq!(json_of(&*mirrored), json_of(&*invoices));
    let again = second.billing.subscriptions(&viewer).await.unwrap();
    assert_eq!(json_of(&*again), json_of(&*subscriptions));
    for origin in [mirrored.origin(), again.origin()] {
        assert_eq!((origin.source, origin.stale), (Source::Mirror, Some(Stale::Unavailable)));
        let age = origin.age(bench.clock.now());
        assert!(age >= TimeDelta::minutes(30) && age < TimeDelta::minutes(40), "{age}");
    }
    assert!(viewer.reader().basis().is_none(), "an answer from the mirror is kept nowhere");

    // Through the graph: the lists are there, and the balance of an invoice is not.
    let question = "{ viewer {
        invoices(first: 50) { totalCount nodes { lines { description } } }
        subscriptions(first: 50) { totalCount } paymentMethods { id } } }";
    let (caller, viewer) = (Caller::Customer(bench.principal(&taro)), bench.viewer(&taro));
    let request = Request::new(question).data(viewer.budget());
    let answer = schema::execute(&schema::build(second.clone()), request, Some(caller), Some(viewer)).await;
    let errors = json_of(&answer.errors);
    let data = answer.data.into_json().unwrap()["viewer"].clone();
    assert_eq!(data["invoices"]["totalCount"], invoices.len(), "{errors}");
    assert_eq!(data["subscriptions"]["totalCount"], subscriptions.len(), "{errors}");
    assert!(data["invoices"]["nodes"].as_array().unwrap().iter().all(|node| node["lines"].is_null()));
    assert!(data["paymentMethods"].is_null());
    let details = second.billing.invoice_details(&bench.viewer(&taro), mirrored[0].key).await;
    assert!(matches!(details, Err(Error::Unavailable { .. })), "a balance is never stale");

    // Nobody else's, and not for ever.
    let never_read = second.billing.invoices(&bench.viewer(&jiro)).await;
    assert!(matches!(never_read, Err(Error::Unavailable { .. })));
    bench.clock.advance(TimeDelta::days(8));
    let too_old = second.billing.subscriptions(&bench.viewer(&taro)).await;
    assert!(matches!(too_old, Err(Error::Unavailable { .. })));
}

#[tokio::test]
async fn a_rebuild_fills_the_mirrors_goes_on_where_it_stopped_and_tells_what_failed() {
    let bench = Bench::start().await;
    let calls =
        || ["GetInvoices", "GetClientsProducts", "GetClientsDetails"].map(|action| bench.asked(action));
    bench.sandbox.core().journal.clear();
    let ended = run(&["mirror", "rebuild"], &bench.env).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("6 customers were read, 0 were left out"), "{ended:?}");
    assert!(ended.err.contains("6 of 6 customers"), "{ended:?}");
    assert_eq!(calls(), [ACCOUNTS; 3]);
    let taro = bench.customer(1).await;
    let list = bench.store.mirrored_list(MirroredList::Invoices, taro.client).await.unwrap().unwrap();
    let first: Invoice = serde_json::from_str(&list.records[0]).unwrap();
    assert_eq!(bench.store.owner_of_mirrored_invoice(first.key).await.unwrap(), Some(taro.client));

    let ended = run(&["mirror", "rebuild"], &bench.env).await;
    assert!(ended.out.contains("0 customers were read, 6 were left out"), "{ended:?}");
    assert_eq!((ended.code, calls()), (Some(0), [ACCOUNTS; 3]));
    let ended = run(&["mirror", "drop"], &bench.env).await;
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (Some(0), "The mirrors are empty; 12 lists were in them.\n")
    );
    assert_eq!(bench.store.mirrored_list(MirroredList::Invoices, taro.client).await.unwrap(), None);

    bench.sandbox.core().faults.add(Rule::every(System::Whmcs, RuleKind::Drop));
    let ended = run(&["mirror", "rebuild"], &bench.env).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("6 customers failed: SERVICE_UNAVAILABLE"), "{ended:?}");
}

/// What is compared, at once.
fn reconciler(app: &App) -> Reconciler {
    let settings = Settings { per_minute: 60_000, settle: Duration::ZERO, ..Settings::default() };
    let (billing, crm) = (app.billing.clone(), app.crm.clone());
    Reconciler::new(&app.inbox, billing, crm, app.cache.clone(), app.live.clone(), settings)
}

#[tokio::test]
async fn what_differs_although_nothing_was_reported_is_healed_and_counted() {
    let bench = Bench::start().await;
    let app = bench.replica().await;
    let (mut found, mut n) = (None, 0);
    while found.is_none() && n < ACCOUNTS {
        n += 1;
        let customer = bench.customer(n).await;
        let invoices = app.billing.invoices(&bench.viewer(&customer)).await.unwrap();
        let orders = app.crm.orders(&bench.viewer(&customer)).await.unwrap();
        let order = orders.iter().find(|order| order.address.is_some()).map(|order| order.key);
        found = invoices.first().map(|invoice| invoice.key).zip(order).map(|both| (customer, both));
    }
    let (customer, (invoice, order)) = found.expect("a customer with an invoice and an order");
    app.billing.subscriptions(&bench.viewer(&customer)).await.unwrap();
    app.crm.cases(&bench.viewer(&customer)).await.unwrap();
    bench.until_mirrored(&customer).await;
    let shown = async || -> (Money, String) {
        let viewer = bench.viewer(&customer);
        let invoices = app.billing.invoices(&viewer).await.unwrap();
        let orders = app.crm.orders(&viewer).await.unwrap();
        let amount = invoices.iter().find(|row| row.key == invoice).unwrap().subtotal;
        let row = orders.iter().find(|row| row.key == order).unwrap().clone();
        (amount, row.address.unwrap().street)
    };
    let reconciler = reconciler(&app);
    let quiet = Round { checked: ACCOUNTS, drifted: 0, failed: 0 };
    assert_eq!(reconciler.round().await, quiet);

    let before = shown().await;
    let desk = Desk::open(&bench.sandbox).await;
    desk.set_line(invoice.0, ids::item_id(invoice.0, 1), 1_000_000).await;
    desk.update_record("Order", order.as_str(), json!({ "BillingStreet": "Revision 1" })).await;
    assert_eq!(shown().await, before, "nobody has told");
    assert_eq!(reconciler.round().await, Round { drifted: 2, ..quiet });
    let after = shown().await;
    assert_eq!(after.1, "Revision 1");
    assert!(after.0.amount >= 1_000_000.into(), "{after:?}");
    let list = bench.store.mirrored_list(MirroredList::Invoices, customer.client).await.unwrap().unwrap();
    let rows: Vec<Invoice> = list.records.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert_eq!(
        rows.iter().find(|row| row.key == invoice).unwrap().subtotal,
        after.0,
        "the mirror is healed, too"
    );
    assert_eq!(reconciler.round().await, quiet);
    let tally = reconciler.tally();
    assert_eq!((tally.checked, tally.drifted), (3 * ACCOUNTS, 2));

    // A change that was reported is no drift, although nobody has read the list since.
    desk.set_line(invoice.0, ids::item_id(invoice.0, 1), 2_000_000).await;
    let body = json!({ "id": "e1", "event": "InvoicePaid", "occurred_at": bench.clock.now().timestamp(),
        "ids": { "invoice": invoice.0 } });
    let body = body.to_string();
    let Reading::Notice(notice) = Reading::of(body.as_bytes(), "e1") else { panic!("{body}") };
    assert_eq!(app.inbox.receive_hook(&notice, body.as_bytes()).await.unwrap(), Received::New);
    bench.sandbox.core().journal.clear();
    let owners = Owners::new(app.upstreams.whmcs.clone(), app.store.clone());
    let (cache, live, bell) = (app.cache.clone(), app.live.clone(), app.notifications.clone());
    let worker = Worker::new(&app.inbox, cache, owners, None, live, bell, Default::default());
    assert_eq!(worker.round().await.unwrap(), 1);
    assert_eq!(bench.asked("GetInvoice"), 0, "the mirror says whose it is");
    assert_eq!(reconciler.round().await, quiet);
    assert!(shown().await.0.amount >= 2_000_000.into());
}

#[tokio::test]
async fn a_comparison_that_is_asked_for_is_done_and_settled() {
    let bench = Bench::start().await;
    let (app, stop) = (bench.replica().await, CancellationToken::new());
    let reconciler = reconciler(&app);
    let running = tokio::spawn({
        let (reconciler, stop) = (reconciler.clone(), stop.clone());
        async move { reconciler.run(stop).await }
    });
    let mut tx = bench.store.begin().await.unwrap();
    tx.request_reconciliation("/data/OrderChangeEvent", "a test", bench.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    app.inbox.reconcile().notify_one();
    let settled = async {
        while !bench.store.reconciliations().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("it is settled");
    assert_eq!(reconciler.tally().checked, ACCOUNTS);
    stop.cancel();
    tokio::time::timeout(PATIENCE, running).await.expect("it stops").unwrap();
}

#[tokio::test]
async fn the_health_of_the_cache_tells_what_it_holds_and_who_is_away() {
    let gateway = Gateway::start().await;
    let health = async || -> Value {
        let response = gateway.request("GET", "/health/cache").send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    };
    let customer = gateway.sign_in(1).await;
    customer.ask("{ viewer { orders { totalCount } } }", json!({})).await.data();
    let told = health().await;
    assert_eq!((&told["versionsLive"], &told["redis"]), (&json!(true), &Value::Null), "{told}");
    assert_eq!((&told["ailing"], &told["reconciliation"]["checked"]), (&json!([]), &json!(0)), "{told}");
    assert!(told["entries"].is_u64() && told["bytes"].is_u64(), "{told}");
    gateway.sandbox.core().faults.add(Rule::every(System::Whmcs, RuleKind::Drop));
    customer.ask("{ viewer { profile { fullName } } }", json!({})).await;
    assert_eq!(health().await["ailing"], json!(["BILLING"]));
}
