//! A gateway that runs as a process of its own, so that it can be killed, with a person who is signed in.

use std::{collections::HashMap, net::TcpListener, time::Duration};

use portal_gateway::{
    app::App,
    clock::Clock,
    config::Config,
    demo,
    identity::Principal,
    sandbox::{Listen, Options, Sandbox},
    secret::ExposeSecret,
    store::testing::TestStore,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{gateway::database, process::Running, registration_kills::PATIENCE};

/// What processes run on, one after the other, and the person.
pub struct Stage {
    pub sandbox: Sandbox,
    pub store: TestStore,
    /// The same application in this process, which serves nothing and does no jobs.
    pub app: App,
    /// The person's address and ids.
    pub email: String,
    pub person: Principal,
    env: HashMap<&'static str, String>,
    http: reqwest::Client,
    url: String,
    token: String,
    _data: tempfile::TempDir,
}

impl Stage {
    pub async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options =
            Options { customers: 20, delay: false, listen: Listen::loopback(0), ..Options::default() };
        let sandbox = Sandbox::start(options).await.unwrap();
        let (store, data) = (database().await, tempfile::tempdir().unwrap());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut env: HashMap<&'static str, String> = demo::settings(&sandbox);
        env.extend([
            ("DATABASE_URL", store.settings().url.expose_secret().to_owned()),
            ("DATA_DIR", data.path().display().to_string()),
            ("BFF_PORT", port.to_string()),
            ("SF_EVENTS_ENABLED", "false".to_owned()),
            ("QUEUE_LEASE", "10s".to_owned()),
            ("QUEUE_BACKOFF_DELAY", "100ms".to_owned()),
            ("QUEUE_BACKOFF_MOST", "500ms".to_owned()),
        ]);
        let config = Config::from_env(|name| env.get(name).cloned()).unwrap();
        let app = App::build(&config, Clock::system()).await.unwrap();
        demo::register(&app.identity, &sandbox.core().world, 2).await.unwrap();
        let email = sandbox.core().world.customer(1).email.clone();
        let token = app.identity.enter(&email).await.unwrap().access_token.expose_secret().to_owned();
        let person = app.identity.authenticate(&token).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(15)).build().unwrap();
        let url = format!("http://127.0.0.1:{port}/graphql");
        Self { sandbox, store, app, email, person, env, http, url, token, _data: data }
    }

    /// Starts a process.
    pub fn serve(&self) -> Running {
        Running::start(&["serve"], &self.env)
    }

    /// Asks one operation as the person; `None` while no process is there.
    pub async fn ask(&self, document: &str, operation: &str, variables: Value) -> Option<Value> {
        let question = json!({ "query": document, "operationName": operation, "variables": variables });
        let asked = self.http.post(&self.url).bearer_auth(&self.token).json(&question).send().await.ok()?;
        asked.json::<Value>().await.ok()
    }

    /// The code of the first mail to an address.
    pub async fn code(&self, address: &str) -> String {
        let mail = timeout(PATIENCE, self.sandbox.mail().next(address, 0)).await.expect("the code arrives");
        mail.code.clone().unwrap()
    }
}
