//! Events of the CRM, from the sandbox's bus into the inbox: whatever breaks on the way.

use std::{collections::HashMap, future::Future, sync::Arc, task::Poll, time::Duration};

use chrono::TimeDelta;
use portal_gateway::{
    clock::Clock,
    config::Config,
    crm::Crm,
    demo,
    events::{
        Change, Inbox, Meaning,
        salesforce::{Consumer, Entity, Report, Settings, Start},
    },
    freshness::{self, Cache},
    id::{AccountId, CaseId, OrderId},
    sandbox::{
        Listen, Options, Sandbox,
        core::System,
        faults::{Rule, RuleKind},
        salesforce::pubsub::bus,
        world::ids::sf_id,
    },
    store::{
        inbox::{Claimed, Source},
        testing::{TestStore, keys},
    },
    upstream::salesforce::{
        Client,
        pubsub::{self, Body, Event},
    },
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    fleet::inbox,
    gateway::{Gateway, Wishes, database, today},
    wire,
};

pub const ORDERS: &str = "/data/OrderChangeEvent";
const CASES: &str = "/data/CaseChangeEvent";

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A sandbox, a database, and readers between them.
pub struct Bench {
    pub sandbox: Sandbox,
    pub store: TestStore,
    crm: Client,
    domain: Crm,
    settings: Settings,
    /// Of the readers alone, for their leases.
    clock: Clock,
    inbox: Inbox,
}

impl Bench {
    async fn start() -> Self {
        Self::with(true).await
    }

    pub async fn with(pubsub_tls: bool) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let sandbox = Sandbox::start(Options {
            customers: 50,
            delay: false,
            listen: Listen::loopback(0),
            today: Some(today()),
            pubsub_tls,
            ..Options::default()
        })
        .await
        .unwrap();
        let mut env = demo::settings(&sandbox);
        let data = tempfile::tempdir().unwrap();
        env.insert("DATA_DIR", data.path().display().to_string());
        let config = Config::from_env(|name| env.get(name).cloned()).unwrap();
        let clock = sandbox.core().clock.clone();
        let mut settings = config.crm_events.unwrap();
        settings.start = Start::Earliest;
        settings.reconnect_max = Duration::from_millis(50);
        settings.comments_every = None;
        let crm = Client::new(config.salesforce, clock.clone()).unwrap();
        let cache = Cache::new(freshness::Settings::default(), keys(), clock.clone()).unwrap();
        let (store, own_clock) = (database().await, Clock::starting_at(clock.now()));
        Self {
            inbox: Inbox::new(store.clone(), own_clock.clone()),
            domain: Crm::new(crm.clone(), cache, config.crm_fields, config.case_origins, &config.crm_times),
            crm,
            store,
            settings,
            clock: own_clock,
            sandbox,
        }
    }

    fn consumer(&self) -> Consumer {
        Consumer::new(self.settings.clone(), self.crm.clone(), &self.inbox).unwrap()
    }

    /// A reader at work.
    fn read(&self) -> Reader {
        let (consumer, stop) = (self.consumer(), CancellationToken::new());
        let task = tokio::spawn({
            let (consumer, stop) = (consumer.clone(), stop.clone());
            async move { consumer.run(stop).await }
        });
        Reader { consumer, stop, task }
    }

    fn bus(&self) -> &bus::Bus {
        &self.sandbox.salesforce().bus
    }

    async fn until_subscribed(&self) {
        let all = self.bus().until_subscribed(self.settings.channels.len());
        tokio::time::timeout(PATIENCE, all).await.unwrap();
    }

    /// Takes what may be applied now out of the inbox, as a worker does: of each record, one event.
    async fn take(&self) -> Vec<Claimed> {
        let now = self.clock.now() + TimeDelta::seconds(1);
        let claimed = self.store.claim_events(1_000, now, PATIENCE).await.unwrap();
        let mut tx = self.store.begin().await.unwrap();
        for event in &claimed {
            assert!(tx.event_applied(event, now, None).await.unwrap());
        }
        tx.commit().await.unwrap();
        claimed
    }

    /// Takes everything that waits in the inbox out of it, in the order in which it came.
    async fn drain(&self) -> Vec<Claimed> {
        let mut all = Vec::new();
        loop {
            let taken = self.take().await;
            if taken.is_empty() {
                all.sort_by_key(|event: &Claimed| event.sequence);
                return all;
            }
            all.extend(taken);
        }
    }

    /// Events as they come, until there are so many.
    async fn events(&self, count: usize) -> Vec<Claimed> {
        let mut all = Vec::new();
        eventually("events in the inbox", async || {
            all.extend(self.drain().await);
            all.len() >= count
        })
        .await;
        assert_eq!(all.len(), count, "{all:?}");
        all
    }

    /// The orders of a customer.
    pub fn orders(&self, n: u64) -> Vec<String> {
        let customer = self.sandbox.core().world.customer(n);
        customer.orders.iter().map(|order| sf_id("801", n, order.k)).collect()
    }

    fn edit(&self, object: &str, id: &str, body: Value) {
        self.sandbox.salesforce().edit(object, id, &body).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    }

    pub fn move_order(&self, order: &str, n: usize) {
        self.edit("Order", order, json!({ "BillingCity": format!("City {n}") }));
    }

    /// The ids of the events of a channel, in the order of the bus.
    pub fn published(&self, channel: &str) -> Vec<String> {
        let events = self.bus().after(channel, 0, usize::MAX, self.sandbox.core().clock.now());
        let mut schemas = HashMap::new();
        let mut ids = Vec::new();
        for (_, event) in events {
            let schema = schemas.entry(event.schema_id.clone()).or_insert_with(|| {
                let definition = self.bus().definition(&event.schema_id).unwrap();
                pubsub::Schema::parse(&definition.schema_json).unwrap()
            });
            let event = Event::read(&event.id, &event.payload, schema).unwrap();
            let Body::Change(change) = event.body else { panic!("{event:?}") };
            let id = |record: &String| format!("{}:{}:{record}", change.transaction, change.sequence);
            ids.extend(change.records.iter().map(id));
        }
        ids
    }

    /// The cursor of a channel, once there is one.
    async fn position(&self, channel: &str) -> Vec<u8> {
        let mut position = None;
        eventually("a cursor", async || {
            position = self.store.event_cursor(channel).await.unwrap().and_then(|cursor| cursor.position);
            position.is_some()
        })
        .await;
        position.unwrap()
    }
}

struct Reader {
    consumer: Consumer,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Reader {
    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }

    /// What `/health/sf-events` says of a channel.
    async fn health(&self, channel: &str) -> Value {
        health(&self.consumer, channel).await
    }
}

async fn health(consumer: &Consumer, channel: &str) -> Value {
    let health = serde_json::to_value(consumer.health().await.unwrap()).unwrap();
    let channels = health["channels"].as_array().unwrap();
    channels.iter().find(|one| one["channel"] == channel).unwrap().clone()
}

/// Looks until something holds.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let looked = tokio::time::timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    looked.await.unwrap_or_else(|_| panic!("{what}: not in time"));
}

fn report(event: &Claimed) -> Report {
    serde_json::from_str(&event.payload).unwrap()
}

#[tokio::test]
async fn an_event_that_is_stored_while_the_worker_is_busy_is_looked_for_afterwards() {
    let bench = Bench::start().await;
    let reader = bench.read();
    bench.until_subscribed().await;
    bench.move_order(&bench.orders(1)[0], 1);
    bench.events(1).await;
    // Nobody was waiting, as while a batch is applied. Whoever waits from now on is told still.
    let news = bench.inbox.news();
    tokio::time::timeout(PATIENCE, news.notified()).await.expect("the news are kept");
    reader.stop().await;
}

#[tokio::test]
async fn what_changes_in_the_crm_is_in_the_inbox_by_its_ids_alone() {
    let bench = Bench::start().await;
    let reader = bench.read();
    bench.until_subscribed().await;
    let order = bench.orders(1).remove(0);
    bench.edit("Order", &order, json!({ "BillingCity": "Shibuya" }));
    let event = bench.events(1).await.remove(0);
    assert_eq!((event.source, event.topic.as_str()), (Source::Crm, "OrderChangeEvent"));
    assert_eq!(event.record, format!("Order:{order}"));
    assert!(!event.payload.contains("Shibuya"), "{}", event.payload);
    assert!(matches!(report(&event), Report::Record { account: None, is_internal: false, .. }));

    let health = reader.health(ORDERS).await;
    assert_eq!(health["subscriber"]["status"], "connected");
    assert!(health["replay"]["lastReplayId"].is_string() && health["lagSeconds"].is_number(), "{health}");
    assert_eq!(reader.health(CASES).await["replay"]["lastReplayId"], Value::Null);
    reader.stop().await;
}

#[tokio::test]
async fn an_approved_order_and_a_decided_eligibility_are_known_by_what_they_name() {
    let mut bench = Bench::start().await;
    bench.settings.channels.retain(|channel| channel.starts_with("/event/"));
    let reader = bench.read();
    bench.until_subscribed().await;
    let account = sf_id("001", 2, 0);
    bench.edit("Account", &account, json!({ "Internet_Eligibility__c": "Home 10G" }));
    let event = bench.events(1).await.remove(0);
    assert_eq!(report(&event), Report::Eligibility { account: AccountId::parse(&account).unwrap() });

    let created = json!({ "AccountId": account, "EffectiveDate": "2026-11-20", "Status": "Pending Review" });
    let order = bench.sandbox.salesforce().create("Order", &created).unwrap();
    bench.edit("Order", order.as_str(), json!({ "Status": "Approved" }));
    let event = bench.events(1).await.remove(0);
    let Report::Fulfilment { order: named, idempotency_key, .. } = report(&event) else {
        panic!("{event:?}")
    };
    assert_eq!(Some(named), OrderId::parse(order.as_str()));
    assert!(
        idempotency_key.is_some_and(|key| !key.is_empty()),
        "the workflow that reads it must know it again"
    );
    // Nothing that is served changes by it, and the row stays for the workflow.
    let changes = reader.consumer.changes(bench.domain.clone());
    assert_eq!(changes.of(std::slice::from_ref(&event)).await.remove(0).unwrap(), Meaning::default());
    let kept = inbox::events(&bench.store).await;
    assert!(kept.iter().any(|row| row.event_id == event.event_id && row.settled_at.is_some()), "{kept:?}");
    reader.stop().await;
}

#[tokio::test]
async fn a_reader_goes_on_where_the_last_one_stopped() {
    let bench = Bench::start().await;
    let order = bench.orders(1).remove(0);
    let first = bench.read();
    bench.until_subscribed().await;
    bench.move_order(&order, 1);
    bench.events(1).await;
    first.stop().await;
    bench.move_order(&order, 2);
    bench.move_order(&order, 3);
    let second = bench.read();
    let events = bench.events(2).await;
    assert_eq!(
        events.iter().map(|event| event.event_id.clone()).collect::<Vec<_>>(),
        bench.published(ORDERS)[1..]
    );
    second.stop().await;
}

#[tokio::test]
async fn what_comes_twice_is_stored_once_and_a_new_schema_is_fetched() {
    let bench = Bench::start().await;
    let order = bench.orders(1).remove(0);
    let reader = bench.read();
    bench.until_subscribed().await;
    bench.move_order(&order, 1);
    bench.events(1).await;
    let now = bench.sandbox.core().clock.now();
    assert!(bench.bus().repeat(ORDERS, now), "in another place, under the same id");
    bench.bus().change_schema(ORDERS).unwrap();
    bench.move_order(&order, 2);
    assert_eq!(bench.events(1).await[0].event_id, bench.published(ORDERS)[2]);
    assert_eq!(bench.store.event_backlog(Source::Crm).await.unwrap().dead, 0);
    reader.stop().await;
}

#[tokio::test]
async fn a_gap_is_of_its_record_and_an_overflow_asks_for_a_comparison() {
    let bench = Bench::start().await;
    let order = bench.orders(1).remove(0);
    let reader = bench.read();
    bench.until_subscribed().await;
    let org = bench.sandbox.salesforce();
    org.publish_gap("Order", "GAP_UPDATE", &[&order]).unwrap();
    let event = bench.events(1).await;
    let changes = reader.consumer.changes(bench.domain.clone()).of(&event).await.remove(0).unwrap().changes;
    let account = AccountId::parse(&sf_id("001", 1, 0)).unwrap();
    assert_eq!(changes, [Change::Order { account, order: OrderId::parse(&order) }]);
    assert!(bench.store.reconciliations().await.unwrap().is_empty());

    org.publish_gap("Order", "GAP_OVERFLOW", &[]).unwrap();
    let event = bench.events(1).await;
    assert_eq!(report(&event[0]), Report::Whole { entity: Entity::Order });
    assert_eq!(bench.store.reconciliations().await.unwrap()[0].scope, "Order");

    // A record that is gone, of whom nobody has heard before: nobody can say whose it was.
    let body = json!({ "Subject": "Hello", "AccountId": account.as_str(), "Origin": "Portal Support" });
    let case = org.create("Case", &body).unwrap();
    bench.events(1).await;
    org.delete("Case", case.as_str()).unwrap();
    let event = bench.events(1).await;
    let meaning = reader.consumer.changes(bench.domain.clone()).of(&event).await.remove(0).unwrap();
    assert_eq!(meaning, Meaning::default());
    let scopes: Vec<_> =
        bench.store.reconciliations().await.unwrap().into_iter().map(|asked| asked.scope).collect();
    assert_eq!(scopes, ["Order", "Case"]);
    reader.stop().await;
}

#[tokio::test]
async fn a_quiet_channel_keeps_its_place() {
    let bench = Bench::start().await;
    let org = bench.sandbox.salesforce();
    let mut knobs = org.settings();
    knobs.pubsub_keep_alive_ms = 20;
    org.set(knobs);
    let reader = bench.read();
    let first = bench.position(CASES).await;
    eventually("a later position", async || bench.position(CASES).await != first).await;
    reader.stop().await;
}

#[tokio::test]
async fn a_refused_position_is_an_alarm_and_loses_nothing_that_the_bus_still_has() {
    let bench = Bench::start().await;
    let order = bench.orders(1).remove(0);
    let reader = bench.read();
    bench.until_subscribed().await;
    bench.move_order(&order, 1);
    bench.events(1).await;
    reader.stop().await;
    // As after a refresh: every position given so far is unknown.
    bench.bus().reset(ORDERS);
    bench.move_order(&order, 2);
    let reader = bench.read();
    let events = bench.events(1).await;
    assert_eq!(events[0].event_id, bench.published(ORDERS)[0]);
    let asked = bench.store.reconciliations().await.unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].scope, ORDERS);
    tokio::time::timeout(PATIENCE, bench.inbox.reconcile().notified()).await.unwrap();
    assert!(bench.store.reconciled(&asked[0]).await.unwrap());
    reader.stop().await;
}

#[tokio::test]
async fn streams_that_break_are_opened_again_also_with_a_new_session() {
    let bench = Bench::start().await;
    let order = bench.orders(1).remove(0);
    let reader = bench.read();
    for (n, code) in [None, Some("service.unavailable"), Some("service.auth.error")].into_iter().enumerate() {
        bench.until_subscribed().await;
        bench.move_order(&order, n);
        bench.events(1).await;
        assert!(bench.bus().drop_streams(code) > 0);
        bench.move_order(&order, 10 + n);
        bench.events(1).await;
    }
    bench.bus().drop_connections();
    bench.move_order(&order, 20);
    bench.events(1).await;
    // The bus refuses the session itself.
    let expired = Rule::every(System::Salesforce, RuleKind::Expire);
    let once = Rule { operation: "pubsub.Subscribe".into(), times: Some(1), ..expired };
    bench.sandbox.core().faults.add(once);
    bench.bus().drop_streams(None);
    bench.move_order(&order, 21);
    bench.events(1).await;
    reader.stop().await;
}

#[tokio::test]
async fn a_stream_on_which_the_bus_falls_silent_is_opened_again() {
    let mut bench = Bench::start().await;
    bench.settings.channels = vec![ORDERS.to_owned()];
    bench.settings.bus.silence = Duration::from_millis(200);
    let org = bench.sandbox.salesforce();
    let mut knobs = org.settings();
    // Not even a sign of life comes.
    knobs.pubsub_keep_alive_ms = 3_600_000;
    org.set(knobs);
    let reader = bench.read();
    bench.until_subscribed().await;
    let subscribed = || {
        let counts = bench.sandbox.core().journal.counts().into_iter();
        counts.filter(|count| &*count.operation == "pubsub.Subscribe").map(|count| count.count).sum::<u64>()
    };
    eventually("another stream", async || subscribed() >= 3).await;
    bench.move_order(&bench.orders(1)[0], 1);
    bench.events(1).await;
    reader.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_put_aside_and_holds_nobody_up() {
    let bench = Bench::start().await;
    let order = bench.orders(1).remove(0);
    let now = bench.sandbox.core().clock.now();
    bench.move_order(&order, 1);
    let schema = bench.bus().topic(ORDERS).unwrap().definition.schema_id.clone();
    for (id, schema, payload) in
        [("garbage", schema.as_str(), vec![0xFF; 40]), ("no schema", "AAAAAAAAAAAAAAAAAAAAAA", vec![0])]
    {
        let event = bus::Event { id: id.to_owned(), schema_id: schema.to_owned(), payload };
        bench.bus().publish(ORDERS, &Arc::new(event), now);
    }
    bench.move_order(&order, 2);
    let reader = bench.read();
    assert_eq!(bench.events(2).await.len(), 2);
    assert_eq!(bench.store.event_backlog(Source::Crm).await.unwrap().dead, 2);
    let asked = bench.sandbox.core().journal.counts().into_iter();
    let asked: u64 =
        asked.filter(|count| &*count.operation == "pubsub.GetSchema").map(|count| count.count).sum();
    assert_eq!(asked, 1 + 5, "one schema is there, the other had five tries");
    reader.stop().await;
}

#[tokio::test]
async fn a_paused_reader_that_resumes_writes_nothing() {
    let mut bench = Bench::start().await;
    bench.settings.channels = vec![ORDERS.to_owned()];
    let order = bench.orders(1).remove(0);
    let (paused, stop) = (bench.consumer(), CancellationToken::new());
    let mut first = Box::pin({
        let (paused, stop) = (paused.clone(), stop.clone());
        async move { paused.run(stop).await }
    });
    // It reads, and is then not given the processor any more.
    tokio::select! {
        () = &mut first => panic!("it ended"),
        () = bench.bus().until_subscribed(1) => {}
    }
    bench.clock.advance(TimeDelta::from_std(bench.settings.lease).unwrap() + TimeDelta::seconds(1));
    let second = bench.read();
    tokio::time::timeout(PATIENCE, bench.bus().until_subscribed(2)).await.unwrap();
    bench.move_order(&order, 1);
    bench.events(1).await;
    let position = bench.position(ORDERS).await;
    // It resumes with the event at hand, finds that the lease has gone over, and waits.
    let first = tokio::spawn(first);
    eventually("the paused reader gives up", async || {
        health(&paused, ORDERS).await["subscriber"]["status"] == "standby"
    })
    .await;
    assert_eq!(bench.position(ORDERS).await, position);
    assert!(bench.drain().await.is_empty());
    assert_eq!(second.health(ORDERS).await["subscriber"]["status"], "connected");
    // When the other one leaves, it takes over again.
    second.stop().await;
    bench.move_order(&order, 2);
    assert_eq!(bench.events(1).await[0].event_id, bench.published(ORDERS)[1]);
    stop.cancel();
    tokio::time::timeout(PATIENCE, first).await.unwrap().unwrap();
}

#[tokio::test]
async fn while_the_database_is_paused_no_more_is_held_than_was_asked_for() {
    let mut bench = Bench::start().await;
    bench.settings.channels = vec![ORDERS.to_owned()];
    bench.settings.bus.num_requested = 10;
    let org = bench.sandbox.salesforce();
    let mut knobs = org.settings();
    knobs.pubsub_idle_close_ms = 50;
    org.set(knobs);
    let order = bench.orders(1).remove(0);
    let reader = bench.read();
    bench.until_subscribed().await;
    bench.move_order(&order, 0);
    bench.events(1).await;
    // Somebody sits on the row of the cursor.
    let mut paused = bench.store.begin().await.unwrap();
    let position = bench.position(ORDERS).await;
    paused.move_cursor(ORDERS, Some(&position), None, bench.clock.now()).await.unwrap();
    for n in 1..=200 {
        bench.move_order(&order, n);
    }
    // What was asked for arrives, and nobody asks for more: the bus ends the stream.
    eventually("the stream is idle", async || bench.bus().subscriptions() == 0).await;
    drop(paused);
    let events = bench.events(200).await;
    let ids: Vec<_> = events.into_iter().map(|event| event.event_id).collect();
    assert_eq!(ids, bench.published(ORDERS)[1..]);
    reader.stop().await;
}

#[tokio::test]
async fn events_say_whose_answers_are_old() {
    let mut bench = Bench::start().await;
    bench.settings.comments_every = Some(Duration::from_millis(50));
    let reader = bench.read();
    bench.until_subscribed().await;
    let changes = reader.consumer.changes(bench.domain.clone());
    let account = |n| AccountId::parse(&sf_id("001", n, 0)).unwrap();
    let meaning = async |count: usize| {
        let events = bench.events(count).await;
        let mut said = Vec::new();
        for meaning in changes.of(&events).await {
            said.extend(meaning.unwrap().changes);
        }
        said
    };

    let order = bench.orders(1).remove(0);
    bench.move_order(&order, 1);
    let orders = Change::Order { account: account(1), order: OrderId::parse(&order) };
    assert_eq!(meaning(1).await, std::slice::from_ref(&orders));
    bench.edit("Order", &order, json!({ "WHMCS_Order_ID__c": "77" }));
    assert_eq!(meaning(1).await, [], "nobody is shown that");

    let line = bench.sandbox.core().world.customer(1).orders[0].lines[0].line;
    let line = sf_id("802", 1, bench.sandbox.core().world.customer(1).orders[0].k * 16 + line);
    bench.edit("OrderItem", &line, json!({ "Billing_Cycle__c": "Annually" }));
    assert!(meaning(1).await.contains(&orders));

    let case = sf_id("500", 2, bench.sandbox.core().world.customer(2).cases[0].k);
    let case_id = CaseId::parse(&case).unwrap();
    let conversation = Change::Conversation { account: account(2), case: case_id };
    bench.edit("Case", &case, json!({ "Priority": "High" }));
    let cases = Change::Case { account: account(2), case: Some(case_id) };
    assert_eq!(meaning(1).await, [cases, conversation.clone()]);
    let comment = json!({ "ParentId": case, "CommentBody": "We are on it", "IsPublished": true });
    bench.sandbox.salesforce().create("CaseComment", &comment).unwrap();
    assert_eq!(meaning(1).await, std::slice::from_ref(&conversation));
    let mail = json!({ "ParentId": case, "Subject": "Re", "TextBody": "Hello", "Incoming": true });
    bench.sandbox.salesforce().create("EmailMessage", &mail).unwrap();
    assert!(meaning(1).await.contains(&conversation));

    bench.edit("Account", account(3).as_str(), json!({ "Phone": "03-1234-5678" }));
    let said = meaning(1).await;
    assert!(said.contains(&Change::Account { account: account(3) }), "{said:?}");

    bench.edit("Product2", &sf_id("01t", 0, 1), json!({ "Description": "Faster" }));
    assert_eq!(meaning(1).await, [Change::Catalogue]);
    bench.edit("PricebookEntry", &sf_id("01u", 0, 1), json!({ "UnitPrice": 4321 }));
    assert_eq!(meaning(1).await, [Change::Catalogue]);
    let opportunity = sf_id("006", 1, bench.sandbox.core().world.customer(1).opportunities[0].k);
    bench.edit("Opportunity", &opportunity, json!({ "Description": "Moved on" }));
    let said = meaning(1).await;
    let any_order = Change::Order { account: account(1), order: None };
    assert!(said.contains(&any_order) && said.contains(&Change::Account { account: account(1) }), "{said:?}");
    reader.stop().await;
}

#[tokio::test]
async fn a_change_in_the_crm_is_in_the_next_answers() {
    const QUESTION: &str = "{ viewer { orders(first: 1) { nodes { address { city } } }
        cases(first: 1) { nodes { conversation { body } } } } }";
    let env = HashMap::from([
        ("SF_EVENTS_ENABLED", "true".to_owned()),
        ("SF_CASE_COMMENT_POLL", "1s".to_owned()),
        // Nothing here is seen because its time has run out.
        ("CACHE_ORDERS", "1h".to_owned()),
        ("CACHE_CASES", "1h".to_owned()),
        ("CACHE_CONVERSATION", "1h".to_owned()),
    ]);
    let gateway = Gateway::with(Wishes { env, ..Wishes::default() }).await;
    let org = gateway.sandbox.salesforce();
    let subscribed = org.bus.until_subscribed(Settings::CHANNELS.len());
    tokio::time::timeout(PATIENCE, subscribed).await.unwrap();
    let customer = gateway.sign_in(1).await;
    let ask = async || customer.ask(QUESTION, Value::Null).await.data()["viewer"].clone();
    ask().await;
    for order in &gateway.sandbox.core().world.customer(1).orders {
        org.edit("Order", &sf_id("801", 1, order.k), &json!({ "BillingCity": "Elsewhere" })).unwrap();
    }
    eventually("the order", async || ask().await["orders"]["nodes"][0]["address"]["city"] == "Elsewhere")
        .await;
    for case in &gateway.sandbox.core().world.customer(1).cases {
        let comment = json!({
            "ParentId": sf_id("500", 1, case.k), "CommentBody": "It is mended", "IsPublished": true
        });
        org.create("CaseComment", &comment).unwrap();
    }
    eventually("the comment", async || ask().await.to_string().contains("It is mended")).await;

    let reply = wire::Reply::to(gateway.request("GET", "/health/sf-events")).await;
    assert_eq!((reply.status, &reply.json()["enabled"]), (200, &json!(true)));
    let quiet = Gateway::start().await;
    let reply = wire::Reply::to(quiet.request("GET", "/health/sf-events")).await;
    assert_eq!((reply.status, reply.json()), (200, json!({ "enabled": false, "channels": [] })));
}

#[tokio::test]
async fn what_was_lost_with_a_refused_position_is_found_by_the_comparison_and_healed() {
    const QUESTION: &str = "{ viewer { orders(first: 1) { nodes { address { city } } } } }";
    let env = HashMap::from([
        ("SF_EVENTS_ENABLED", "true".to_owned()),
        ("SF_EVENTS_RECONNECT_MAX", "1s".to_owned()),
        ("CACHE_ORDERS", "12h".to_owned()),
        ("RECONCILE_PER_MINUTE", "600".to_owned()),
        ("RECONCILE_SETTLE", "0s".to_owned()),
    ]);
    let gateway = Gateway::with(Wishes { env, ..Wishes::default() }).await;
    let org = gateway.sandbox.salesforce();
    let subscribed = org.bus.until_subscribed(Settings::CHANNELS.len());
    tokio::time::timeout(PATIENCE, subscribed).await.unwrap();
    let customer = gateway.sign_in(1).await;
    let city = async || {
        let data = customer.ask(QUESTION, Value::Null).await.data();
        data["viewer"]["orders"]["nodes"][0]["address"]["city"].clone()
    };
    let move_to = |city: &str| {
        for order in &gateway.sandbox.core().world.customer(1).orders {
            org.edit("Order", &sf_id("801", 1, order.k), &json!({ "BillingCity": city })).unwrap();
        }
    };
    // There is a position to be refused.
    city().await;
    move_to("First");
    eventually("an event", async || city().await == "First").await;
    // The bus is away, and forgets what it had for us.
    let refused =
        Rule { operation: "pubsub.Subscribe".into(), ..Rule::every(System::Salesforce, RuleKind::Expire) };
    gateway.sandbox.core().faults.add(refused);
    org.bus.drop_streams(None);
    eventually("no stream", async || org.bus.subscriptions() == 0).await;
    move_to("Second");
    org.bus.reset(ORDERS);
    assert_eq!(city().await, "First", "nobody has told");
    gateway.sandbox.core().faults.clear();
    eventually("the comparison", async || city().await == "Second").await;
    let tally = gateway.app.reconciler.tally();
    assert!(tally.drifted >= 1, "{tally:?}");
}

/// Polls a future so many times and then drops it: a crash at whatever it was waiting for.
async fn crash_after(polls: usize, future: impl Future<Output = ()>) {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if future.as_mut().poll(context).is_ready() || left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        Poll::Pending
    })
    .await;
}

#[tokio::test]
async fn ten_thousand_events_and_two_hundred_crashes_lose_nothing_repeat_nothing_and_keep_the_order() {
    const ROUNDS: usize = 200;
    const EACH: usize = 50;
    let mut bench = Bench::with(false).await;
    bench.settings.channels = vec![ORDERS.to_owned()];
    // Many small commits, so that many crashes meet one.
    bench.settings.bus.num_requested = 20;
    let orders: Vec<_> = (1..=20).flat_map(|n| bench.orders(n)).collect();
    assert!(orders.len() >= 20);
    let (mut crashes, mut halfway) = (0, 0);
    let mut before = Vec::new();
    for round in 0..ROUNDS {
        for n in 0..EACH {
            let n = round * EACH + n;
            bench.move_order(&orders[n * 7 % orders.len()], n);
        }
        // Anywhere: before the lease, in a statement, in the commit, behind it.
        let polls = rand::random_range(1..160);
        let reader = bench.consumer();
        let crash = crash_after(polls, reader.run(CancellationToken::new()));
        // A reader that has read everything is crashed where it waits for more.
        let _ = tokio::time::timeout(Duration::from_secs(1), crash).await;
        crashes += 1;
        // Its lease was not given back.
        bench.clock.advance(TimeDelta::from_std(bench.settings.lease).unwrap() + TimeDelta::seconds(1));
        let now = bench.store.event_cursor(ORDERS).await.unwrap().and_then(|cursor| cursor.position);
        halfway += usize::from(now.as_ref().is_some_and(|now| *now != before));
        before = now.unwrap_or(before);
    }
    let reader = bench.read();
    let published = bench.published(ORDERS);
    assert_eq!((crashes, published.len()), (ROUNDS, ROUNDS * EACH));
    assert!(halfway > ROUNDS / 10, "only {halfway} readers had stored anything when they crashed");
    let mut stored = Vec::new();
    while stored.len() < published.len() {
        // As long as it may take altogether: the machine may be busy, but it goes on.
        let before = stored.len();
        eventually("more events", async || {
            stored.extend(bench.take().await);
            stored.len() > before
        })
        .await;
    }
    reader.stop().await;
    stored.sort_by_key(|event| event.sequence);
    let stored: Vec<_> = stored.into_iter().map(|event| event.event_id).collect();
    assert!(stored == published, "{} of {} events, or in another order", stored.len(), published.len());
}
