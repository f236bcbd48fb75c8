//! The gateway and the sandbox in this process, each on ports of its own, and clients that ask.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{NaiveDate, NaiveTime};
use portal_gateway::{
    app::App,
    clock::{Clock, TOKYO},
    config::Config,
    demo,
    freshness::Owner,
    http::{self, Answers, Timeouts, gateway},
    sandbox::{
        Listen, Options, Sandbox,
        journal::{Filter, Kind},
    },
    schema,
    secret::ExposeSecret,
    store::{
        Store,
        testing::{self, TestStore},
    },
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::stage::Door;

/// The question of the first screen.
pub const DASHBOARD: &str = include_str!("../../examples/queries/dashboard.graphql");

/// Customers who can sign in.
pub const ACCOUNTS: u64 = 16;

/// The day on which every test runs, so that answers can be compared with what they were.
pub fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
}

/// A fault that a test plants to see that it would be noticed: that of a key the part is lost which says whose it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LostOwner {
    /// In what is read from the systems.
    OfEntries,
    /// In answers that are kept whole.
    OfAnswers,
}

/// What a test wants different.
#[derive(Default)]
pub struct Wishes {
    /// Variables of the configuration on top of the usual ones.
    pub env: HashMap<&'static str, String>,
    /// Whether the emulators take their time.
    pub delay: bool,
    /// How many customers can sign in, when more than [`ACCOUNTS`].
    pub customers: u64,
    /// A fault.
    pub plant: Option<LostOwner>,
    /// Whether people are to show that they are.
    pub captcha: bool,
    /// Plants the fault of a sign-up that creates a client again without a look.
    pub blind_resend: bool,
}

/// A running gateway over a running sandbox; both end with it.
pub struct Gateway {
    pub url: String,
    pub app: App,
    pub sandbox: Sandbox,
    http: reqwest::Client,
    stop: CancellationToken,
    data: tempfile::TempDir,
    store: TestStore,
}

impl Gateway {
    pub async fn start() -> Self {
        Self::with(Wishes::default()).await
    }

    pub async fn with(wishes: Wishes) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let sandbox = Sandbox::start(Options {
            customers: wishes.customers.max(50),
            delay: wishes.delay,
            listen: Listen::loopback(0),
            today: Some(today()),
            ..Options::default()
        })
        .await
        .unwrap();
        let data = tempfile::tempdir().unwrap();
        let mut env = demo::settings(&sandbox);
        // Room for the rates of a test; the limits themselves are tested where they are kept.
        env.insert("WHMCS_CALLS_PER_MINUTE", "0".to_owned());
        env.insert("SF_CALLS_PER_MINUTE", "0".to_owned());
        // What a refusal takes at least is tested by itself.
        env.insert("AUTH_FAILURE_FLOOR", "0ms".to_owned());
        env.insert("DATA_DIR", data.path().display().to_string());
        let store = database().await;
        env.insert("DATABASE_URL", store.settings().url.expose_secret().to_owned());
        // Only who wishes for them: their reader asks the CRM by itself.
        env.insert("SF_EVENTS_ENABLED", "false".to_owned());
        if wishes.captcha {
            env.extend(demo::captcha(&sandbox));
        }
        env.extend(wishes.env);
        let mut config = Config::from_env(|name| env.get(name).cloned()).unwrap();
        config.cache.plant_lost_owner = wishes.plant == Some(LostOwner::OfEntries);
        config.workflows.plant_blind_resend = wishes.blind_resend;

        let noon = today().and_time(NaiveTime::from_hms_opt(12, 0, 0).unwrap());
        let noon = noon.and_local_timezone(TOKYO).unwrap().to_utc();
        let clock = Clock::starting_at(noon);
        // Assertions are dated: both sides must agree on the time.
        sandbox.core().clock.advance(noon - chrono::Utc::now());
        let app = App::build(&config, clock).await.unwrap();
        demo::register(&app.identity, &sandbox.core().world, ACCOUNTS.max(wishes.customers)).await.unwrap();
        app.warm_up().await;

        let stop = CancellationToken::new();
        let listener = http::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut state = gateway::state(&config, &app, schema::build(app.clone()), stop.clone());
        if wishes.plant == Some(LostOwner::OfAnswers) {
            state.answers = Some(Answers::new(app.cache.clone(), config.response_bytes, |_| Owner::Public));
        }
        let door = http::Door::new(Arc::new(state));
        tokio::spawn(http::serve(listener, door, stop.clone(), Timeouts::default()));
        tokio::spawn({
            let (app, stop) = (app.clone(), stop.clone());
            async move { app.work(stop).await }
        });
        sandbox.send_hooks_to(&url, app.clock.clone());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { url, app, sandbox, http, stop, data, store }
    }

    /// What another replica is to be given, so that it has the same accounts and sessions.
    pub fn state(&self) -> HashMap<&'static str, String> {
        HashMap::from([
            ("DATABASE_URL", self.store.settings().url.expose_secret().to_owned()),
            ("DATA_DIR", self.data.path().display().to_string()),
        ])
    }

    /// Signs a customer of the sandbox in, without a proof: how people sign in has tests of its own.
    pub async fn sign_in(&self, n: u64) -> Customer<'_> {
        let email = &self.sandbox.core().world.customer(n).email;
        let grant = self.app.identity.enter(email).await.unwrap();
        Customer { gateway: self, token: Some(grant.access_token.expose_secret().to_owned()) }
    }

    /// See [`mailed_so_far`].
    pub async fn mailed_so_far(&self) -> u64 {
        mailed_so_far(&self.app.store, &self.sandbox).await
    }

    /// Somebody who is not signed in.
    pub fn nobody(&self) -> Customer<'_> {
        Customer { gateway: self, token: None }
    }

    /// Where it is asked.
    pub fn door(&self) -> Door {
        Door { url: self.url.clone(), http: self.http.clone() }
    }

    /// Begins to stop, as a signal does.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// A request to a path of the gateway.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().unwrap(), format!("{}{path}", self.url))
    }

    /// Calls that reached the emulators since the journal was cleared.
    pub fn calls(&self) -> Vec<(&'static str, String, u64)> {
        let counts = self.sandbox.core().journal.counts();
        counts
            .into_iter()
            .filter(|count| count.kind == Kind::Call)
            .map(|count| (count.system.as_str(), count.operation.to_string(), count.count))
            .collect()
    }

    /// Writes that took effect in the emulators.
    pub fn effects(&self) -> usize {
        self.written().len()
    }

    /// The same by their names: `whmcs client.updated`.
    pub fn written(&self) -> Vec<String> {
        let filter = Filter { kind: Some(Kind::Effect), ..Filter::default() };
        let effects = self.sandbox.core().journal.entries(&filter);
        effects.iter().map(|effect| format!("{} {}", effect.system.as_str(), effect.operation)).collect()
    }

    /// Clears the journal.
    pub fn forget_calls(&self) {
        self.sandbox.core().journal.clear();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Waits until every mail that was put in has left. Gives the id of the newest, so that the next one is of what comes.
pub async fn mailed_so_far(store: &Store, sandbox: &Sandbox) -> u64 {
    let left = async {
        loop {
            let backlog = store.job_backlog().await.unwrap();
            if !backlog.iter().any(|one| one.kind == "mail" && one.waiting > 0) {
                return sandbox.mail().newest();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), left).await.expect("the mails leave")
}

/// An empty database on the store that `TEST_STORE` names: SQLite unless it says `postgres`.
pub async fn database() -> TestStore {
    match std::env::var("TEST_STORE").as_deref() {
        Ok("postgres") => testing::postgres().await,
        Ok("sqlite") | Err(_) => testing::sqlite().await,
        Ok(other) => panic!("TEST_STORE is sqlite or postgres, not {other}"),
    }
}

/// Somebody who asks, signed in or not.
pub struct Customer<'a> {
    gateway: &'a Gateway,
    pub token: Option<String>,
}

impl<'a> Customer<'a> {
    /// Somebody who has an access token.
    pub fn with(gateway: &'a Gateway, token: String) -> Self {
        Self { gateway, token: Some(token) }
    }

    /// Asks by POST, as an ordinary client does.
    pub async fn ask(&self, query: &str, variables: Value) -> Answer {
        self.send(json!({ "query": query, "variables": variables })).await
    }

    /// Asks one operation of a document that holds several.
    pub async fn operate(&self, document: &str, operation: &str, variables: Value) -> Answer {
        self.send(json!({ "query": document, "operationName": operation, "variables": variables })).await
    }

    async fn send(&self, question: Value) -> Answer {
        let mut request = self.gateway.request("POST", "/graphql").json(&question);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        Answer { status: response.status().as_u16(), body: response.json().await.unwrap() }
    }
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// The data of an answer without errors.
    pub fn data(self) -> Value {
        assert!(self.body["errors"].is_null(), "{}", self.body["errors"]);
        self.body["data"].clone()
    }
}
