//! A whole process that is killed in the middle of a sign-up: another one finishes it, and makes nothing twice.
//!
//! Each case is killed while a call hangs: before it has had an effect, or after. What a killed process had claimed is
//! another's after the lease.

use std::{collections::HashMap, net::TcpListener, time::Duration};

use futures::future::join_all;
use portal_gateway::{
    app::Upstreams,
    clock::Clock,
    config::Config,
    deadline::{Budget, Lane},
    demo,
    sandbox::{
        Listen, Options, Sandbox,
        core::{Rule, RuleKind, System},
    },
    secret::ExposeSecret,
    upstream::salesforce::soql::{self, Select},
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    gateway::database,
    process::Running,
    sign_up::{DOCUMENT, EMAIL, form},
};

pub const PATIENCE: Duration = Duration::from_secs(240);

/// Where the process is killed: in which call, and whether that has had its effect.
const CASES: [(System, &str, bool); 7] = [
    (System::Salesforce, "query", false),
    (System::Salesforce, "upsert", false),
    (System::Salesforce, "upsert", true),
    (System::Whmcs, "AddClient", false),
    (System::Whmcs, "AddClient", true),
    (System::Salesforce, "update", false),
    (System::Salesforce, "update", true),
];

/// Asks one operation; `None` while the process is not there.
async fn ask(http: &reqwest::Client, url: &str, operation: &str, variables: &Value) -> Option<Value> {
    let question = json!({ "query": DOCUMENT, "operationName": operation, "variables": variables });
    let response = http.post(format!("{url}/graphql")).json(&question).send().await.ok()?;
    response.json::<Value>().await.ok()
}

pub async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("it happens")
}

async fn killed_while(system: System, operation: &str, applied: bool) {
    let options = Options { customers: 20, delay: false, listen: Listen::loopback(0), ..Options::default() };
    let sandbox = Sandbox::start(options).await.unwrap();
    let (store, data) = (database().await, tempfile::tempdir().unwrap());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let mut env: HashMap<&'static str, String> = demo::settings(&sandbox);
    env.extend([
        ("DATABASE_URL", store.settings().url.expose_secret().to_owned()),
        ("DATA_DIR", data.path().display().to_string()),
        ("BFF_PORT", port.to_string()),
        ("SF_EVENTS_ENABLED", "false".to_owned()),
        ("QUEUE_LEASE", "10s".to_owned()),
        ("QUEUE_BACKOFF_DELAY", "100ms".to_owned()),
        ("QUEUE_BACKOFF_MOST", "500ms".to_owned()),
        ("SIGN_UP_SETTLE", "0ms".to_owned()),
    ]);
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(15)).build().unwrap();
    let first = Running::start(&["serve"], &env);
    let begun = until(async || ask(&http, &url, "SignUpBegin", &json!({ "email": EMAIL })).await).await;
    let mail = timeout(PATIENCE, sandbox.mail().next(EMAIL, 0)).await.expect("the code arrives");
    let challenge = &begun["data"]["signUpBegin"]["challenge"]["id"];
    let answer = json!({ "challengeId": challenge, "code": mail.code });
    let verified = ask(&http, &url, "SignUpVerify", &answer).await.unwrap();
    let form = form(&verified["data"]["signUpVerify"]["verification"]["token"]);

    let rule = Rule {
        operation: operation.to_owned(),
        applied,
        times: Some(1),
        ..Rule::every(system, RuleKind::Hang)
    };
    sandbox.core().faults.add(rule);
    let asking = tokio::spawn({
        let (http, url, form) = (http.clone(), url.clone(), form.clone());
        async move { ask(&http, &url, "SignUpComplete", &form).await }
    });
    until(async || sandbox.core().faults.list().is_empty().then_some(())).await;
    if applied {
        // The effect comes right behind the fault that was drawn.
        sleep(Duration::from_millis(200)).await;
    }
    first.kill().await;
    let _ = asking.await;

    let second = Running::start(&["serve"], &env);
    let done = until(async || {
        let answer = ask(&http, &url, "SignUpComplete", &form).await?;
        let done = answer["data"]["signUpComplete"].clone();
        (done.is_object() && done["status"] != "IN_PROGRESS").then_some(done)
    })
    .await;
    assert_eq!(done["status"], "COMPLETE", "{operation} {applied}: {done}");

    let config = Config::from_env(|name| env.get(name).cloned()).unwrap();
    let crm = Upstreams::new(&config, &Clock::system()).unwrap().salesforce;
    let accounts = async || -> Vec<Value> {
        let soql = Select::from("Account")
            .fields(["Id", "Portal_Status__c"])
            .filter(soql::Filter::eq("PersonEmail", EMAIL))
            .build()
            .unwrap();
        crm.query(Budget::new(PATIENCE, Lane::Interactive), soql).await.unwrap()
    };
    until(async || (accounts().await.first()?["Portal_Status__c"] == "Active").then_some(())).await;
    assert_eq!(accounts().await.len(), 1, "{operation} {applied}: one account");
    let clients = sandbox.billing().staff("GetClients", &[("search", EMAIL)]).await;
    let clients = clients["clients"]["client"].as_array().map_or(0, Vec::len);
    assert_eq!(clients, 1, "{operation} {applied}: one client");
    assert_eq!(store.count_mappings().await.unwrap(), 1, "{operation} {applied}: one user");
    second.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_in_a_sign_up_another_finishes_it_once() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Most of the time is the wait for a lease to end.
    join_all(CASES.map(|(system, operation, applied)| killed_while(system, operation, applied))).await;
}
