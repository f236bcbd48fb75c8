//! The commands, as an operator runs them.

use std::{
    collections::HashMap,
    fs,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use portal_gateway::{
    config::Config,
    demo,
    sandbox::{
        Listen, Options, Sandbox,
        core::{Rule, RuleKind, System},
        credentials::{DEMO_DEVICE, DEMO_PASSWORD},
    },
    secret::ExposeSecret,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{
    gateway::database,
    process::{Ended, Running, run},
    sessions::{REFRESH, SIGN_IN, SIGN_OUT},
};

pub type Env = HashMap<&'static str, String>;

pub async fn sandbox() -> Sandbox {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = Options { customers: 20, delay: false, listen: Listen::loopback(0), ..Options::default() };
    Sandbox::start(options).await.unwrap()
}

/// The settings of a gateway over a sandbox, its files in a folder.
pub fn settings(sandbox: &Sandbox, folder: &TempDir) -> Env {
    let mut env = demo::settings(sandbox);
    env.insert("DATA_DIR", folder.path().join("data").display().to_string());
    env.insert("DATABASE_URL", format!("sqlite:{}", folder.path().join("portal.db").display()));
    env.insert("BFF_PORT", "0".to_owned());
    env
}

/// The arguments of a small development gateway.
pub fn dev_on_free_ports(data: &str) -> Vec<&str> {
    vec![
        "dev",
        "--data-dir",
        data,
        "--customers",
        "20",
        "--accounts",
        "3",
        "--no-delay",
        "--port",
        "0",
        "--admin-port",
        "0",
        "--whmcs-port",
        "0",
        "--salesforce-port",
        "0",
        "--freebit-port",
        "0",
        "--japan-post-port",
        "0",
        "--captcha-port",
        "0",
        "--pubsub-port",
        "0",
        "--smtp-port",
        "0",
    ]
}

/// A failure told in one readable line.
fn one_line(ended: &Ended, code: i32) -> &str {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    let lines: Vec<_> = ended.err.lines().collect();
    assert_eq!(lines.len(), 1, "{ended:?}");
    for trace in ["panicked", "backtrace", "stack", "src/", "Error {", "Some(", "Err("] {
        assert!(!ended.err.contains(trace), "{ended:?}");
    }
    lines[0]
}

#[tokio::test]
async fn an_empty_environment_is_told_everything_that_is_missing() {
    let ended = run(&["serve"], &Env::new()).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{ended:?}");
    let required: Vec<_> = Config::settings().into_iter().filter(|setting| setting.is_required).collect();
    assert!(required.len() >= 7);
    for setting in required {
        let line = format!("  {0}: is missing; for example {0}={1}", setting.name, setting.example);
        assert!(ended.err.lines().any(|told| told == line), "{line}\n{}", ended.err);
    }
    assert!(ended.err.contains("SF_PRIVATE_KEY_PATH: is missing, and so is SF_PRIVATE_KEY_BASE64"));
    assert!(!ended.err.contains("panicked"));
}

#[tokio::test]
async fn every_wrong_value_is_told_at_once_and_no_secret_is_shown() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let mut env = settings(&sandbox, &folder);
    env.extend([
        ("BFF_PORT", "seventy".to_owned()),
        ("REQUEST_TIMEOUT", "10".to_owned()),
        ("DATABASE_URL", "mysql://portal:hunter2@db/portal".to_owned()),
        ("AUTH_SECRET", "hunter2".to_owned()),
        ("WHMCS_BASE_URL", "billing.example.jp".to_owned()),
        ("FREEBIT_OEM_ID", String::new()),
    ]);
    for command in ["serve", "check", "migrate"] {
        let ended = run(&[command], &env).await;
        assert_eq!(ended.code, Some(2), "{command}: {ended:?}");
        for name in
            ["BFF_PORT", "REQUEST_TIMEOUT", "DATABASE_URL", "AUTH_SECRET", "WHMCS_BASE_URL", "FREEBIT_OEM_ID"]
        {
            let told = ended.err.lines().find(|line| line.starts_with(&format!("  {name}: ")));
            let told = told.unwrap_or_else(|| panic!("{command}: {name}: {ended:?}"));
            assert!(told.contains(&format!("; for example {name}=")), "{told}");
        }
        assert_eq!(ended.err.lines().filter(|line| line.starts_with("  ")).count(), 6, "{ended:?}");
        assert!(!ended.err.contains("hunter2"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_missing_key_file_is_told_in_a_line() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    for name in ["SF_PRIVATE_KEY_PATH", "AUTH_SIGNING_KEY_PATH"] {
        let mut env = settings(&sandbox, &folder);
        if name == "SF_PRIVATE_KEY_PATH" {
            env.remove("SF_PRIVATE_KEY_BASE64");
        }
        env.insert(name, "/nowhere/key.pem".to_owned());
        let ended = run(&["serve"], &env).await;
        assert_eq!(ended.code, Some(2));
        let faults: Vec<_> = ended.err.lines().filter(|line| line.starts_with("  ")).collect();
        assert_eq!(faults.len(), 1, "{ended:?}");
        let told =
            format!("  {name}: the file \"/nowhere/key.pem\" cannot be read: No such file or directory");
        assert!(faults[0].starts_with(&told), "{}", faults[0]);
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_one_line_without_its_password() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut env = settings(&sandbox, &folder);
    env.insert("DATABASE_URL", format!("postgres://portal:hunter2@127.0.0.1:{port}/portal"));
    let target = format!("127.0.0.1:{port}/portal");
    for command in ["serve", "migrate"] {
        let ended = run(&[command], &env).await;
        let err = Ended { err: without_log(&ended.err), ..ended };
        let line = one_line(&err, 1);
        assert!(line.starts_with("portal-gateway: ") && !line.contains("hunter2"), "{line}");
        assert_eq!(line.matches(&target).count(), 1, "{line}");
        assert!(line.to_lowercase().contains("connection refused"), "it does not say why: {line}");
    }
    env.insert("DATABASE_URL", "sqlite:/proc/nowhere/portal.db".to_owned());
    let ended = run(&["serve"], &env).await;
    let err = Ended { err: without_log(&ended.err), ..ended };
    assert_eq!(one_line(&err, 1).matches("/proc/nowhere/portal.db").count(), 1, "{err:?}");
}

/// What was said beside the log.
fn without_log(err: &str) -> String {
    err.lines().filter(|line| !line.contains(" INFO ")).map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn a_taken_port_is_one_line() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let port = address.port().to_string();
    let mut env = settings(&sandbox, &folder);
    env.insert("BFF_PORT", port.clone());
    let ended = run(&["serve"], &env).await;
    let told = format!("portal-gateway: {address} is taken by another program: choose another port");
    assert_eq!(one_line(&ended, 1), told);

    let data = folder.path().join("dev").display().to_string();
    let free = [
        "--admin-port",
        "--whmcs-port",
        "--salesforce-port",
        "--freebit-port",
        "--pubsub-port",
        "--japan-post-port",
        "--captcha-port",
        "--smtp-port",
    ];
    let mut arguments = vec!["dev", "--data-dir", &data, "--port", &port];
    arguments.extend(free.iter().flat_map(|name| [*name, "0"]));
    assert_eq!(one_line(&run(&arguments, &Env::new()).await, 1), told);
    let mut arguments = vec!["dev", "--data-dir", &data, "--port", "0", "--salesforce-port", &port];
    arguments.extend(free.iter().filter(|name| **name != "--salesforce-port").flat_map(|name| [*name, "0"]));
    let ended = run(&arguments, &Env::new()).await;
    let line = one_line(&ended, 1);
    assert!(line.contains("Salesforce") && line.contains(&address.to_string()), "{line}");
    assert_eq!(line.matches("in use").count(), 1, "{line}");
}

#[tokio::test]
async fn the_committed_schema_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("schema.graphql").display().to_string();
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql");
    let ended = run(&["schema", "--check", committed], &Env::new()).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    let printed = run(&["schema"], &Env::new()).await.out;
    assert_eq!(printed, fs::read_to_string(committed).unwrap());
    assert_eq!(run(&["schema", "--write", &file], &Env::new()).await.code, Some(0));
    assert_eq!(fs::read_to_string(&file).unwrap(), printed);
    fs::write(&file, format!("{printed}\n# more")).unwrap();
    let ended = run(&["schema", "--check", &file], &Env::new()).await;
    assert!(one_line(&ended, 1).contains("is out of step"));
    let ended = run(&["schema", "--check", "/nowhere"], &Env::new()).await;
    assert!(one_line(&ended, 1).contains("/nowhere cannot be read"));
}

#[tokio::test]
async fn a_check_tries_every_system_and_names_the_one_at_fault() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let mut env = settings(&sandbox, &folder);
    let store = database().await;
    env.insert("DATABASE_URL", store.settings().url.expose_secret().to_owned());
    let systems = [
        "database",
        "redis",
        "billing (WHMCS)",
        "CRM (Salesforce)",
        "events of the CRM (Pub/Sub)",
        "mobile network (Freebit)",
        "postal look-up (Japan Post)",
        "mail server",
    ];
    let told = |ended: &Ended, how: &str, what: &str| {
        ended.out.lines().any(|line| line.starts_with(&format!("{how:<6} {what}")))
    };
    let ended = run(&["check"], &env).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for system in systems {
        assert!(told(&ended, "ok", system), "{system}: {ended:?}");
    }
    sandbox.core().faults.add(Rule::every(System::Salesforce, RuleKind::Status));
    let ended = run(&["check"], &env).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for system in systems {
        let how = if system.contains("CRM") { "FAULT" } else { "ok" };
        assert!(told(&ended, how, system), "{system}: {ended:?}");
    }
    // Several at once are all told.
    sandbox.core().faults.add(Rule::every(System::Freebit, RuleKind::Drop));
    let ended = run(&["check"], &env).await;
    assert_eq!(ended.out.matches("FAULT").count(), 3, "{ended:?}");
    // Of the CRM only the event bus.
    sandbox.core().faults.clear();
    env.insert("SF_PUBSUB_ENDPOINT", "https://127.0.0.1:1".to_owned());
    let ended = run(&["check"], &env).await;
    assert!(ended.code == Some(1) && told(&ended, "FAULT", "events of the CRM (Pub/Sub)"), "{ended:?}");
    assert!(told(&ended, "ok", "CRM (Salesforce)"), "{ended:?}");
}

#[tokio::test]
async fn a_migration_may_run_again() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let env = settings(&sandbox, &folder);
    for _ in 0..2 {
        let ended = run(&["migrate"], &env).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(0), "The database is up to date.\n"), "{ended:?}");
    }
    assert!(folder.path().join("portal.db").exists());
}

#[tokio::test]
async fn ids_that_are_none_are_told_what_they_must_be() {
    for arguments in [&["audit", "list", "--user", "foo"][..], &["jobs", "retry", "5"]] {
        let ended = run(arguments, &Env::new()).await;
        assert!(ended.code == Some(2) && ended.err.contains("must be a UUID, such as 0"), "{ended:?}");
    }
    let help = run(&["help"], &Env::new()).await.out;
    let audit = help.lines().find(|line| line.trim_start().starts_with("audit")).unwrap();
    assert!(audit.contains("deletes what is old"), "{audit}");
}

#[tokio::test]
async fn dev_prints_its_links_answers_and_stops_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("dev").display().to_string();
    let mut dev = Running::start(&dev_on_free_ports(&data), &Env::new());
    let greeting = dev.lines_until("Ctrl-C").await;
    let link = |name: &str| {
        let line = greeting.lines().find_map(|line| line.trim_start().strip_prefix(name));
        let line = line.unwrap_or_else(|| panic!("{name}: {greeting}"));
        line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned()
    };
    for name in ["Billing", "CRM", "Mobile lines", "Admin", "API"] {
        link(name);
    }
    assert!(greeting.contains(DEMO_PASSWORD), "{greeting}");
    assert_eq!(greeting.matches("@example.jp").count(), 3, "{greeting}");

    let ready = link("Health");
    let ended = run(&["health", "--url", &ready], &Env::new()).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "ready\n"), "{ended:?}");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for name in ["GraphiQL", "Metrics"] {
        let answer = http.get(link(name)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{name}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{name}");
        assert!(answer.headers().contains_key("strict-transport-security"), "{name}");
    }
    // Nothing is pooled: a connection that rests would be closed by the stop anyway.
    drop(http);
    let began = Instant::now();
    let ended = dev.stop().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let ended = run(&["health", "--url", &ready], &Env::new()).await;
    assert_ne!(ended.code, Some(0));
    one_line(&ended, 1);
}

/// A text as it may stand in a log: as it is, in lower case, in base64, in hex, in an address.
fn spellings(canary: &str) -> Vec<String> {
    vec![
        canary.to_owned(),
        canary.to_lowercase(),
        BASE64_STANDARD_NO_PAD.encode(canary),
        hex::encode(canary),
        url::form_urlencoded::byte_serialize(canary.as_bytes()).collect(),
    ]
}

#[tokio::test]
async fn the_log_of_every_level_holds_no_password_token_or_address() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("dev").display().to_string();
    let env = Env::from([("LOG_LEVEL", "trace".to_owned())]);
    let mut dev = Running::start(&dev_on_free_ports(&data), &env);
    let greeting = dev.lines_until("Ctrl-C").await;
    let api =
        greeting.lines().find_map(|line| line.trim_start().strip_prefix("API")).unwrap().trim().to_owned();
    let email = greeting.split_whitespace().find(|word| word.contains('@')).unwrap().to_owned();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |query: &str, input: Value, bearer: &str| {
        let body = json!({ "query": query, "variables": { "input": input } });
        let request = http.post(&api).json(&body).header("x-request-id", "canary-flow-1");
        let request = if bearer.is_empty() { request } else { request.bearer_auth(bearer) };
        let text = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let wrong = json!({ "email": "Canary.Address@example.jp", "password": "Canary-Wrong-Password" });
    ask(SIGN_IN, wrong, "").await;
    ask(SIGN_IN, json!({ "email": email, "password": "Canary-Other-Password" }), "").await;
    let created =
        ask(SIGN_IN, json!({ "email": email, "password": DEMO_PASSWORD, "deviceToken": DEMO_DEVICE }), "")
            .await;
    let session = &created["data"]["sessionCreate"]["session"];
    let token = |session: &Value, name: &str| session[name].as_str().unwrap().to_owned();
    let (access, first) = (token(session, "accessToken"), token(session, "refreshToken"));
    ask("{ viewer { profile { email } orders { totalCount } } }", Value::Null, &access).await;
    let next = ask(REFRESH, json!({ "refreshToken": first }), "").await;
    let second = token(&next["data"]["sessionRefresh"]["session"], "refreshToken");
    let last = ask(REFRESH, json!({ "refreshToken": second }), "").await;
    let third = token(&last["data"]["sessionRefresh"]["session"], "refreshToken");
    // The session ends by reuse, and what was good is refused.
    ask(REFRESH, json!({ "refreshToken": first }), "").await;
    ask(SIGN_OUT, Value::Null, &access).await;
    ask(SIGN_OUT, Value::Null, "Canary-Garbage-Token").await;
    let log = dev.stop().await.err;

    assert!(
        log.contains("canary-flow-1") && log.contains(" TRACE ") && log.contains("used twice"),
        "a log of all levels"
    );
    let canaries = [
        "Canary.Address@example.jp",
        "Canary-Wrong-Password",
        "Canary-Other-Password",
        "Canary-Garbage-Token",
        DEMO_PASSWORD,
        &email,
        &access,
        &first,
        &second,
        &third,
    ];
    let folded = log.to_lowercase();
    for canary in canaries {
        for spelling in spellings(canary) {
            let at = folded.find(&spelling.to_lowercase());
            let line =
                at.map(|at| folded[..at].lines().count()).and_then(|n| log.lines().nth(n.saturating_sub(1)));
            assert!(at.is_none(), "{canary} shows: {line:?}");
        }
        // The search itself finds what is planted.
        let planted = format!("{log}{}", hex::encode(canary));
        assert!(spellings(canary).iter().any(|spelling| planted.contains(spelling)));
    }
}
