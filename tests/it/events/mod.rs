//! Events of the CRM, from the sandbox's bus into the inbox.

mod answers;
mod crashes;
mod reading;
mod trouble;

use std::{collections::HashMap, time::Duration};

use chrono::TimeDelta;
use portal_gateway::{
    clock::Clock,
    config::Config,
    crm::Crm,
    demo,
    events::{
        Inbox,
        salesforce::{Consumer, Report, Settings, Start},
    },
    freshness::{self, Cache},
    sandbox::{Listen, Options, Sandbox, salesforce::pubsub::bus, world::ids::sf_id},
    store::{
        inbox::Claimed,
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

use crate::gateway::{database, today};

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
