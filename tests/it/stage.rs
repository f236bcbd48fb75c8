//! Gateways that run as processes of their own, so that they can be killed or stopped at a chosen moment, over one sandbox
//! and one store.

use std::{
    collections::HashMap,
    net::TcpListener,
    ops::Deref,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use portal_gateway::{
    app::App,
    clock::Clock,
    config::Config,
    demo,
    identity::{Grant, Principal},
    sandbox::{
        Listen, Options, Sandbox,
        core::{Rule, RuleKind, System},
    },
    secret::ExposeSecret,
    store::{Tx, testing::TestStore},
};
use serde_json::{Value, json};
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::{
    gateway::database,
    process::{Ended, Running},
};

/// Longer than anything may take: most of it is the wait for the lease of one that was killed.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// Stages are set up one by one: many at once would keep each other from opening their databases in time.
static TURN: Semaphore = Semaphore::const_new(1);

/// How long the answer to a call takes that is to be caught on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(2);

/// Waits until something is so.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("{what}"))
}

/// What processes run on, one after the other or side by side.
pub struct Stage {
    pub sandbox: Sandbox,
    pub store: TestStore,
    pub env: HashMap<&'static str, String>,
    port: u16,
    _data: tempfile::TempDir,
}

/// A customer of the sandbox who is signed in.
pub struct Person {
    pub email: String,
    pub ids: Principal,
    pub grant: Grant,
}

impl Stage {
    /// With short leases and waits.
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// The same with other variables of the configuration.
    pub async fn with(more: &[(&'static str, &str)]) -> Self {
        let _turn = TURN.acquire().await.unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options =
            Options { customers: 20, delay: false, listen: Listen::loopback(0), ..Options::default() };
        let sandbox = Sandbox::start(options).await.unwrap();
        let (store, data, port) = (database().await, tempfile::tempdir().unwrap(), free_port());
        let (mut env, database) = (demo::settings(&sandbox), store.settings().url);
        let usual = [
            ("DATABASE_URL", database.expose_secret()),
            ("DATA_DIR", &data.path().display().to_string()),
            ("BFF_PORT", &port.to_string()),
            ("SF_EVENTS_ENABLED", "false"),
            // Many stages at once, on a busy machine.
            ("DATABASE_MAX_CONNECTIONS", "5"),
            ("DATABASE_ACQUIRE_TIMEOUT", "10s"),
            ("AUTH_FAILURE_FLOOR", "0ms"),
            ("QUEUE_LEASE", "10s"),
            ("QUEUE_BACKOFF_DELAY", "100ms"),
            ("QUEUE_BACKOFF_MOST", "500ms"),
            ("SIGN_UP_SETTLE", "0ms"),
        ];
        env.extend(usual.iter().chain(more).map(|(name, value)| (*name, (*value).to_owned())));
        Self { sandbox, store, env, port, _data: data }
    }

    /// The same application in this process, which serves nothing and does no jobs.
    pub async fn app(&self) -> App {
        let _turn = TURN.acquire().await.unwrap();
        let config = Config::from_env(|name| self.env.get(name).cloned()).unwrap();
        App::build(&config, Clock::system()).await.unwrap()
    }

    /// Signs the first customer in, without a proof. The second may as well.
    pub async fn sign_in(&self, app: &App) -> Person {
        let world = &self.sandbox.core().world;
        demo::register(&app.identity, world, 2).await.unwrap();
        let email = world.customer(1).email.clone();
        let grant = app.identity.enter(&email).await.unwrap();
        let ids = app.identity.authenticate(grant.access_token.expose_secret()).await.unwrap();
        Person { email, ids, grant }
    }

    /// Starts a process.
    pub fn serve(&self) -> Process {
        Process::start(&self.env, self.port)
    }

    /// Starts another one beside the first.
    pub fn serve_beside(&self) -> Process {
        let (mut env, port) = (self.env.clone(), free_port());
        env.insert("BFF_PORT", port.to_string());
        Process::start(&env, port)
    }

    /// The code of the first mail to an address.
    pub async fn code(&self, address: &str) -> String {
        let mail = timeout(PATIENCE, self.sandbox.mail().next(address, 0)).await.expect("the code arrives");
        mail.code.clone().unwrap()
    }

    /// Lets a call hang, or take long, when it comes.
    pub fn lie_in_wait(&self, call: Call, moment: Moment) {
        let faults = &self.sandbox.core().faults;
        let rule = |kind, times| Rule {
            operation: call.operation.to_owned(),
            times: Some(times),
            ..Rule::every(call.system, kind)
        };
        faults.add(rule(RuleKind::Delay, call.behind));
        faults.add(match moment {
            Moment::Sent => rule(RuleKind::Hang, 1),
            Moment::Applied => Rule { applied: true, ..rule(RuleKind::Hang, 1) },
            Moment::Answered => Rule { delay_ms: ON_ITS_WAY.as_millis() as u64, ..rule(RuleKind::Delay, 1) },
        });
    }

    /// Waits until the call has come as far as the moment says. What is given back keeps it there: nothing can be written
    /// into a table before [`Tx::commit`].
    pub async fn caught(&self, moment: Moment, table: &str) -> Option<Tx> {
        until("the call comes", async || self.sandbox.core().faults.list().is_empty().then_some(())).await;
        match moment {
            Moment::Sent => None,
            Moment::Applied => {
                // The effect comes right behind the fault that was drawn.
                sleep(Duration::from_millis(200)).await;
                None
            }
            Moment::Answered => {
                let held = self.store.hold(table).await;
                sleep(ON_ITS_WAY + Duration::from_millis(300)).await;
                Some(held)
            }
        }
    }

    /// Stops a process where it is, but not while it keeps others from writing; what was held is let go.
    pub async fn pause(&self, process: &Process, held: Option<Tx>) {
        let held = match held {
            Some(held) => held,
            None => self.store.begin().await.unwrap(),
        };
        process.running.pause().await;
        held.commit().await.unwrap();
    }
}

/// A port that nobody else takes: below those that the system gives to connections, of which other tests open thousands,
/// and one only once.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 10_000;
    const MANY: u32 = 20_000;
    loop {
        let n = std::process::id() + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + n % MANY).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A call to a system.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    system: System,
    operation: &'static str,
    /// How many of its kind come before it.
    behind: u32,
}

/// A call to billing.
pub const fn billing(operation: &'static str) -> Call {
    Call { system: System::Whmcs, operation, behind: 0 }
}

/// A call to the CRM.
pub const fn crm(operation: &'static str) -> Call {
    Call { system: System::Salesforce, operation, behind: 0 }
}

impl Call {
    /// Behind others of its kind.
    pub const fn behind(self, behind: u32) -> Self {
        Self { behind, ..self }
    }
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It was sent, and never has an effect.
    Sent,
    /// It has had its effect, and its answer will not come.
    Applied,
    /// Its answer is there, and what it said could not be stored yet.
    Answered,
}

/// One gateway as a process.
pub struct Process {
    /// Where it is asked, also by those who outlive it.
    pub door: Door,
    running: Running,
}

/// Where a gateway is asked.
#[derive(Clone)]
pub struct Door {
    pub url: String,
    pub http: reqwest::Client,
}

impl Deref for Process {
    type Target = Door;

    fn deref(&self) -> &Door {
        &self.door
    }
}

impl Door {
    /// Waits until it is ready.
    pub async fn ready(&self) {
        until("it gets ready", async || {
            let answer = self.http.get(format!("{}/health/ready", self.url)).send().await.ok()?;
            (answer.status() == 200).then_some(())
        })
        .await;
    }

    /// Asks one operation of a document; of a document that has only one, without its name. `None` while it is not there.
    pub async fn try_ask(
        &self,
        token: Option<&str>,
        document: &str,
        operation: &str,
        variables: &Value,
    ) -> Option<Value> {
        let operation = Some(operation).filter(|name| !name.is_empty());
        let question = json!({ "query": document, "operationName": operation, "variables": variables });
        let mut request = self.http.post(format!("{}/graphql", self.url)).json(&question);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.ok()?.json().await.ok()
    }

    /// The same, of one that is there.
    pub async fn ask(&self, token: Option<&str>, document: &str, operation: &str, variables: Value) -> Value {
        let answer = self.try_ask(token, document, operation, &variables).await;
        answer.unwrap_or_else(|| panic!("{operation}: no answer"))
    }
}

impl Process {
    fn start(env: &HashMap<&'static str, String>, port: u16) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        let door = Door { url: format!("http://127.0.0.1:{port}"), http };
        Self { door, running: Running::start(&["serve"], env) }
    }

    /// Ends it without asking.
    pub async fn kill(self) {
        self.running.kill().await;
    }

    /// Lets it go on after [`Stage::pause`].
    pub async fn resume(&self) {
        self.running.resume().await;
    }

    /// Asks it to stop, and waits for that.
    pub async fn stop(self) -> Ended {
        self.running.stop().await
    }
}
