//! Several replicas of the gateway in this process, on one store, one Redis and one sandbox; and the faults between them.

mod client;
pub mod desk;
mod faults;
mod fresh;
mod history;
pub mod inbox;
mod limits;
mod outage;
mod own;
mod proxy;
pub mod redis;
mod registers;
mod revocation;
mod shared;
mod traffic;

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use chrono::NaiveTime;
use portal_gateway::{
    app::App,
    clock::{Clock, TOKYO},
    config::Config,
    demo,
    http::{self, Timeouts, gateway},
    sandbox::{Listen, Options, Sandbox, credentials},
    schema,
    secret::ExposeSecret,
    store::testing::TestStore,
};
use serde_json::{Value, json};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use self::{
    client::{Answer, Connection, Question},
    proxy::Proxy,
    redis::Redis,
};
use crate::gateway::{database, today};

/// Customers who can sign in.
const ACCOUNTS: u64 = 12;

/// One fleet at a time: each keeps both cores busy.
static TURN: Semaphore = Semaphore::const_new(1);

/// What a test wants different.
pub struct Wishes {
    /// How many replicas.
    replicas: usize,
    /// Variables of the configuration on top of the usual ones.
    env: HashMap<&'static str, String>,
    /// Plants the fault of a cache that notes versions after the load.
    late_capture: bool,
}

impl Default for Wishes {
    fn default() -> Self {
        Self { replicas: 3, env: HashMap::new(), late_capture: false }
    }
}

/// Replicas that share a store and a Redis, over one sandbox; all ends with it.
pub struct Fleet {
    replicas: Vec<Replica>,
    sandbox: Sandbox,
    /// Between the replicas and billing.
    billing: Proxy,
    redis: Mutex<Redis>,
    clock: Clock,
    stop: CancellationToken,
    _data: tempfile::TempDir,
    store: TestStore,
    _turn: SemaphorePermit<'static>,
}

/// One gateway of a fleet.
pub struct Replica {
    app: App,
    address: SocketAddr,
    /// Between it and Redis.
    redis: Proxy,
}

impl Fleet {
    /// Three replicas.
    async fn start() -> Self {
        Self::with(Wishes::default()).await
    }

    async fn with(wishes: Wishes) -> Self {
        let turn = TURN.acquire().await.unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let sandbox = Sandbox::start(Options {
            customers: 50,
            delay: false,
            listen: Listen::loopback(0),
            today: Some(today()),
            pubsub_tls: false,
            ..Options::default()
        })
        .await
        .unwrap();
        // Assertions are dated: both sides must agree on the time.
        let noon = today().and_time(NaiveTime::from_hms_opt(12, 0, 0).unwrap());
        let noon = noon.and_local_timezone(TOKYO).unwrap().to_utc();
        sandbox.core().clock.advance(noon - chrono::Utc::now());
        let clock = sandbox.core().clock.clone();

        let (data, store) = (tempfile::tempdir().unwrap(), database().await);
        let billing = Proxy::to(address(&sandbox.whmcs_url())).await;
        let redis = Redis::start().await;
        let mut env = demo::settings(&sandbox);
        env.insert("WHMCS_BASE_URL", format!("http://{}", billing.address()));
        // Room for the rates of a test; the limits themselves are tested where they are kept.
        env.insert("WHMCS_CALLS_PER_MINUTE", "0".to_owned());
        env.insert("SF_CALLS_PER_MINUTE", "0".to_owned());
        env.insert("DATA_DIR", data.path().display().to_string());
        env.insert("DATABASE_URL", store.settings().url.expose_secret().to_owned());
        // What is written before the reader of events has connected counts, too.
        env.insert("SF_EVENTS_REPLAY", "ALL".to_owned());
        env.extend(wishes.env);

        let stop = CancellationToken::new();
        let mut replicas = Vec::new();
        for _ in 0..wishes.replicas {
            let between = Proxy::to(redis.address()).await;
            env.insert("REDIS_URL", format!("redis://{}", between.address()));
            let mut config = Config::from_env(|name| env.get(name).cloned()).unwrap();
            config.cache.plant_late_capture = wishes.late_capture;
            let app = App::build(&config, clock.clone()).await.unwrap();
            if replicas.is_empty() {
                demo::register(&app.identity, &sandbox.core().world, ACCOUNTS).await.unwrap();
            }
            app.warm_up().await;
            let listener = http::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
            let address = listener.local_addr().unwrap();
            let state = gateway::state(&config, &app, schema::build(app.clone()), stop.clone());
            // A thousand connections wait for each other to be opened.
            let timeouts = Timeouts {
                headers: Duration::from_secs(60),
                connections_per_address: 5_000,
                ..Timeouts::default()
            };
            tokio::spawn(http::serve(listener, http::router(Arc::new(state)), stop.clone(), timeouts));
            tokio::spawn({
                let (app, stop) = (app.clone(), stop.clone());
                async move { app.work(stop).await }
            });
            replicas.push(Replica { app, address, redis: between });
        }
        // Whichever replica receives an event, all must know.
        let last: &Replica = &replicas[wishes.replicas - 1];
        sandbox.send_hooks_to(&format!("http://{}", last.address), clock.clone());
        Self {
            replicas,
            sandbox,
            billing,
            redis: Mutex::new(redis),
            clock,
            stop,
            _data: data,
            store,
            _turn: turn,
        }
    }

    /// A connection to a replica.
    async fn connect(&self, replica: usize) -> Connection {
        Connection::open(self.replicas[replica].address, &self.clock).await
    }

    /// Asks one replica once.
    async fn ask(&self, replica: usize, question: &Question) -> Answer {
        self.connect(replica).await.ask(question).await
    }

    /// Does something to the way of every replica to Redis.
    fn each_redis(&self, act: impl Fn(&Proxy)) {
        self.replicas.iter().for_each(|replica| act(&replica.redis));
    }

    /// Signs a customer of the sandbox in; the token is good on every replica.
    async fn sign_in(&self, n: u64) -> String {
        let input = json!({
            "email": self.sandbox.core().world.customer(n).email,
            "password": credentials::DEMO_PASSWORD,
            "deviceToken": credentials::DEMO_DEVICE,
        });
        let mutation = "mutation($input: SessionCreateInput!) {
            sessionCreate(input: $input) { session { accessToken } userErrors { code } } }";
        let url = format!("http://{}/graphql", self.replicas[0].address);
        let body = json!({ "query": mutation, "variables": { "input": input } });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer: Value = http.post(url).json(&body).send().await.unwrap().json().await.unwrap();
        let token = answer["data"]["sessionCreate"]["session"]["accessToken"].as_str();
        token.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The address in a URL of the sandbox.
fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().unwrap()
}
