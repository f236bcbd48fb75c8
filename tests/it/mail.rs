//! Mails: from the transaction of their cause to the mail server.

use std::{collections::HashMap, time::Duration};

use chrono::{TimeDelta, Utc};
use portal_gateway::{
    app::App,
    clock::Clock,
    config::Config,
    demo,
    mail::{Language, Mail, Message},
    sandbox::{
        Listen, Options, Sandbox,
        core::{Rule, RuleKind, System},
        smtp,
    },
    secret::ExposeSecret,
    store::testing::TestStore,
};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    gateway::{Gateway, Wishes, database},
    process::{Running, run},
};

const TO: &str = "taro.yamada@example.jp";
const CODE: &str = "048213";
const LINK: &str = "https://portal.example.jp/reset?token=canary-5f3a9c";

/// Longer than any mail may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn code(clock: &Clock) -> Mail {
    let expires_at = clock.now() + TimeDelta::minutes(10);
    let message = Message::SignInCode { code: CODE.to_owned(), expires_at };
    Mail { to: TO.to_owned(), language: Language::Japanese, message }
}

/// Commits the cause of a mail.
async fn put(app: &App, key: &str, mail: &Mail) -> bool {
    let mut tx = app.store.begin().await.unwrap();
    let is_new = app.jobs.put(&mut tx, key, mail).await.unwrap();
    tx.commit().await.unwrap();
    app.jobs.wake();
    is_new
}

async fn next(sandbox: &Sandbox, since: u64) -> std::sync::Arc<smtp::Mail> {
    timeout(PATIENCE, sandbox.mail().next(TO, since)).await.expect("the mail arrives")
}

/// A gateway that tries again soon.
async fn hasty() -> Gateway {
    let env = HashMap::from([("QUEUE_BACKOFF_DELAY", "10ms".to_owned()), ("QUEUE_POLL", "50ms".to_owned())]);
    Gateway::with(Wishes { env, ..Wishes::default() }).await
}

fn fail(sandbox: &Sandbox, operation: &str, kind: RuleKind, times: u32, applied: bool) {
    let operation = operation.to_owned();
    let rule = Rule { operation, applied, times: Some(times), ..Rule::every(System::Smtp, kind) };
    sandbox.core().faults.add(rule);
}

#[tokio::test]
async fn a_mail_leaves_once_when_its_cause_is_committed() {
    let gateway = hasty().await;
    let app = &gateway.app;
    let mut tx = app.store.begin().await.unwrap();
    let mut undone = code(&app.clock);
    undone.to = "undone@example.jp".to_owned();
    assert!(app.jobs.put(&mut tx, "undone", &undone).await.unwrap());
    drop(tx);
    assert!(put(app, "sign-in:1", &code(&app.clock)).await);
    assert!(!put(app, "sign-in:1", &code(&app.clock)).await, "one cause, one mail");

    let mail = next(&gateway.sandbox, 0).await;
    assert_eq!(mail.from, "no-reply@portal.example.jp");
    assert_eq!((mail.to.as_slice(), mail.subject.as_str()), (&[TO.to_owned()][..], "ログイン用コード"));
    assert_eq!(mail.code.as_deref(), Some(CODE));
    assert!(mail.text.as_ref().unwrap().contains(CODE) && mail.html.as_ref().unwrap().contains(CODE));
    let header =
        |name: &str| mail.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value);
    assert_eq!(header("Auto-Submitted"), Some("auto-generated"));
    assert_eq!(header("Content-Language"), Some("ja"));
    assert!(header("From").unwrap().contains("no-reply@portal.example.jp"), "{:?}", mail.headers);

    // A later mail shows that nothing else was on its way.
    assert!(put(app, "sign-in:2", &code(&app.clock)).await);
    let second = next(&gateway.sandbox, mail.id).await;
    assert_ne!(mail.message_id, second.message_id);
    assert_eq!(gateway.sandbox.mail().newest(), 2);
}

#[tokio::test]
async fn a_mail_server_that_fails_at_first_gets_the_mail_once() {
    let gateway = hasty().await;
    fail(&gateway.sandbox, "DATA", RuleKind::Status, 1, false);
    fail(&gateway.sandbox, "CONNECT", RuleKind::Drop, 1, false);
    assert!(put(&gateway.app, "sign-in:1", &code(&gateway.app.clock)).await);
    let mail = next(&gateway.sandbox, 0).await;
    assert_eq!(mail.code.as_deref(), Some(CODE));
    assert!(gateway.sandbox.core().faults.list().is_empty(), "both struck");
    assert!(put(&gateway.app, "sign-in:2", &code(&gateway.app.clock)).await);
    next(&gateway.sandbox, mail.id).await;
    assert_eq!(gateway.sandbox.mail().to(TO).len(), 2);
}

#[tokio::test]
async fn a_mail_that_was_taken_untold_comes_again_under_the_same_id() {
    let gateway = hasty().await;
    fail(&gateway.sandbox, "DATA", RuleKind::Drop, 1, true);
    assert!(put(&gateway.app, "sign-in:1", &code(&gateway.app.clock)).await);
    let first = next(&gateway.sandbox, 0).await;
    let again = next(&gateway.sandbox, first.id).await;
    assert_eq!(first.message_id, again.message_id, "a reader shows one");
    assert!(first.message_id.as_ref().unwrap().ends_with("@portal.example.jp"));
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_is_kept_for_people_without_the_address() {
    let gateway = hasty().await;
    fail(&gateway.sandbox, "RCPT", RuleKind::Business, 1, false);
    assert!(put(&gateway.app, "sign-in:1", &code(&gateway.app.clock)).await);
    assert!(put(&gateway.app, "sign-in:2", &code(&gateway.app.clock)).await);
    next(&gateway.sandbox, 0).await;
    let dead = timeout(PATIENCE, async {
        loop {
            let dead = gateway.app.store.dead_jobs(10).await.unwrap();
            if !dead.is_empty() {
                return dead;
            }
            tokio::task::yield_now().await;
        }
    });
    let dead = dead.await.unwrap();
    assert_eq!((dead.len(), dead[0].kind.as_str(), dead[0].attempts), (1, "mail", 1));
    assert_eq!(dead[0].reason, "the mail server refuses it (554)");
    assert_eq!(gateway.app.store.revive_jobs(None, gateway.app.clock.now()).await.unwrap(), 1);
    gateway.app.jobs.wake();
    next(&gateway.sandbox, 1).await;
}

/// The settings of a gateway of its own over a sandbox.
fn settings(sandbox: &Sandbox, folder: &TempDir, store: &TestStore) -> HashMap<&'static str, String> {
    let mut env = demo::settings(sandbox);
    env.extend([
        ("DATA_DIR", folder.path().join("data").display().to_string()),
        ("DATABASE_URL", store.settings().url.expose_secret().to_owned()),
        ("BFF_PORT", "0".to_owned()),
        ("SF_EVENTS_ENABLED", "false".to_owned()),
        // A mail that cannot leave waits; one that was claimed by a killed process comes back with its lease's end.
        ("QUEUE_BACKOFF_DELAY", "100ms".to_owned()),
        ("QUEUE_BACKOFF_MOST", "500ms".to_owned()),
        ("QUEUE_LEASE", "10s".to_owned()),
        ("MAIL_ATTEMPTS", "100".to_owned()),
        ("LOG_LEVEL", "trace".to_owned()),
    ]);
    env
}

async fn sandbox() -> Sandbox {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = Options { customers: 20, delay: false, listen: Listen::loopback(0), ..Options::default() };
    Sandbox::start(options).await.unwrap()
}

#[tokio::test]
async fn an_operator_sees_dead_jobs_and_lets_them_begin_anew() {
    let (sandbox, folder, store) = (sandbox().await, tempfile::tempdir().unwrap(), database().await);
    let env = settings(&sandbox, &folder, &store);
    let config = Config::from_env(|name| env.get(name).cloned()).unwrap();
    let app = App::build(&config, Clock::system()).await.unwrap();
    assert!(put(&app, "sign-in:1", &code(&app.clock)).await);
    let job = store.claim_jobs(1, Utc::now(), PATIENCE).await.unwrap().remove(0);
    assert!(store.job_died(&job, "the mail server refuses it (550)", Utc::now()).await.unwrap());

    let list = run(&["jobs", "list"], &env).await;
    let line = list.out.lines().next().unwrap_or_else(|| panic!("{list:?}"));
    assert!(line.starts_with(&job.id.to_string()), "{line}");
    assert!(line.ends_with("mail  1 try  the mail server refuses it (550)"), "{line}");
    let id = job.id.to_string();
    let retry = run(&["jobs", "retry", &id], &env).await;
    assert_eq!((retry.code, retry.out.as_str()), (Some(0), "1 job begins anew.\n"), "{retry:?}");
    assert_eq!(run(&["jobs", "retry", &id], &env).await.code, Some(1), "it is dead no more");
    assert_eq!(run(&["jobs", "retry"], &env).await.code, Some(2), "which?");
    assert_eq!(run(&["jobs", "list"], &env).await.out, "");
    assert_eq!(store.job_backlog().await.unwrap()[0].waiting, 1);
}

#[tokio::test]
async fn a_queued_mail_leaves_after_the_process_was_killed_and_is_no_secret_at_rest() {
    let (sandbox, folder, store) = (sandbox().await, tempfile::tempdir().unwrap(), database().await);
    let env = settings(&sandbox, &folder, &store);
    // The cause is committed by a process that ends at once: it never sent a mail.
    let config = Config::from_env(|name| env.get(name).cloned()).unwrap();
    let app = App::build(&config, Clock::system()).await.unwrap();
    let expires_at = app.clock.now() + TimeDelta::minutes(30);
    let message = Message::PasswordReset { link: LINK.to_owned(), expires_at };
    let mail = Mail { to: TO.to_owned(), language: Language::English, message };
    assert!(put(&app, "reset:1", &mail).await);
    let waiting = app.store.claim_jobs(1, Utc::now(), Duration::ZERO).await.unwrap();
    for secret in [TO, LINK] {
        assert!(!waiting[0].payload.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
    }
    app.store.close().await;
    drop(app);

    // This one is killed while the mail server hangs.
    fail(&sandbox, "DATA", RuleKind::Hang, 1, false);
    let killed = Running::start(&["serve"], &env);
    timeout(PATIENCE, async {
        while sandbox.core().journal.count(System::Smtp, Some("DATA")) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it tries");
    killed.kill().await;
    assert_eq!(sandbox.mail().newest(), 0);

    let running = Running::start(&["serve"], &env);
    let mail = next(&sandbox, 0).await;
    assert_eq!(mail.links, [LINK]);
    let ended = running.stop().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(sandbox.mail().to(TO).len(), 1);
    for secret in [TO, LINK, "canary-5f3a9c"] {
        assert!(!ended.err.contains(secret) && !ended.out.contains(secret), "{secret} in the log");
    }
    assert!(store.job_backlog().await.unwrap().is_empty());
}
