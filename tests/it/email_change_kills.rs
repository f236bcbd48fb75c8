//! A whole process that is killed in the middle of a change of an address: another one finishes it, or puts everything back.

use std::{collections::HashMap, net::TcpListener, time::Duration};

use futures::future::join_all;
use portal_gateway::{
    app::App,
    clock::Clock,
    config::Config,
    deadline::{Budget, Lane},
    demo,
    sandbox::{
        Listen, Options, Sandbox,
        core::{Rule, RuleKind, System},
    },
    secret::ExposeSecret,
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    email_change::{DOCUMENT, NEW},
    gateway::database,
    process::Running,
    registration_kills::{PATIENCE, until},
};

/// Where the process is killed: in which call after how many of its kind, whether that has had its effect, and whether
/// somebody has the address, so that everything is put back.
struct Case {
    system: System,
    operation: &'static str,
    behind: u32,
    applied: bool,
    is_taken: bool,
}

const fn case(system: System, operation: &'static str, applied: bool) -> Case {
    Case { system, operation, behind: 0, applied, is_taken: false }
}

const CASES: [Case; 7] = [
    case(System::Whmcs, "UpdateClient", false),
    case(System::Whmcs, "UpdateClient", true),
    case(System::Whmcs, "UpdateUser", false),
    case(System::Whmcs, "UpdateUser", true),
    case(System::Salesforce, "update", false),
    // The login is refused, and what was done is undone: the login first, then the client.
    Case { system: System::Whmcs, operation: "UpdateUser", behind: 1, applied: false, is_taken: true },
    Case { system: System::Whmcs, operation: "UpdateClient", behind: 1, applied: true, is_taken: true },
];

async fn killed_while(case: Case) {
    let Case { system, operation, behind, applied, is_taken } = case;
    let options = Options { customers: 20, delay: false, listen: Listen::loopback(0), ..Options::default() };
    let sandbox = Sandbox::start(options).await.unwrap();
    let (store, data) = (database().await, tempfile::tempdir().unwrap());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/graphql");
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
    // Somebody who is signed in, before the process starts that is killed.
    let config = Config::from_env(|name| env.get(name).cloned()).unwrap();
    let app = App::build(&config, Clock::system()).await.unwrap();
    demo::register(&app.identity, &sandbox.core().world, 2).await.unwrap();
    let old = sandbox.core().world.customer(1).email.clone();
    let token = app.identity.enter(&old).await.unwrap().access_token.expose_secret().to_owned();
    let user = app.identity.authenticate(&token).await.unwrap();
    if is_taken {
        let staff = [("firstname", "A"), ("lastname", "B"), ("email", NEW), ("password2", "correct horse")];
        sandbox.billing().staff("AddUser", &staff).await;
    }

    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(15)).build().unwrap();
    let ask = async |operation: &str, variables: Value| {
        let question = json!({ "query": DOCUMENT, "operationName": operation, "variables": variables });
        let asked = http.post(&url).bearer_auth(&token).json(&question).send().await.ok()?;
        asked.json::<Value>().await.ok()
    };
    let first = Running::start(&["serve"], &env);
    let begun = until(async || ask("EmailChangeBegin", json!({ "newEmail": NEW })).await).await;
    let code = async |address: &str| {
        let mail = timeout(PATIENCE, sandbox.mail().next(address, 0)).await.expect("the code arrives");
        mail.code.clone().unwrap()
    };
    let codes = json!({
        "challengeId": begun["data"]["emailChangeBegin"]["challenge"]["id"],
        "newCode": code(NEW).await,
        "presentCode": code(&old).await,
    });
    let faults = &sandbox.core().faults;
    let rule = |kind, applied, times| Rule {
        operation: operation.to_owned(),
        applied,
        times: Some(times),
        ..Rule::every(system, kind)
    };
    if behind > 0 {
        faults.add(rule(RuleKind::Delay, false, behind));
    }
    faults.add(rule(RuleKind::Hang, applied, 1));
    let asking = ask("EmailChangeFinish", codes.clone());
    let killing = async {
        until(async || faults.list().is_empty().then_some(())).await;
        if applied {
            // The effect comes right behind the fault that was drawn.
            sleep(Duration::from_millis(200)).await;
        }
        first.kill().await;
    };
    tokio::join!(asking, killing);

    let second = Running::start(&["serve"], &env);
    let done = until(async || {
        let done = ask("EmailChangeFinish", codes.clone()).await?["data"]["emailChangeFinish"].clone();
        (done.is_object() && done["status"] != "IN_PROGRESS").then_some(done)
    })
    .await;
    let what = format!("{operation} {behind} {applied} {is_taken}");
    let (status, address) = if is_taken { ("REFUSED", old.as_str()) } else { ("COMPLETE", NEW) };
    assert_eq!(done["status"], status, "{what}: {done}");
    let budget = Budget::new(PATIENCE, Lane::Interactive);
    let emails = app.billing.emails(budget, user.client).await.unwrap();
    assert_eq!((emails.client.as_str(), emails.login.unwrap().1.as_str()), (address, address), "{what}");
    assert_eq!(store.user(user.user).await.unwrap().unwrap().1, address, "{what}");
    until(async || {
        let accounts = app.crm.accounts_of_email(budget, address).await.ok()?;
        (accounts.len() == 1 && accounts[0].id == user.account).then_some(())
    })
    .await;
    second.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_in_a_change_of_an_address_another_finishes_it_or_puts_it_back() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Most of the time is the wait for a lease to end.
    join_all(CASES.map(killed_while)).await;
}
