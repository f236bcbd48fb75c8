//! `deploy/whmcs/portal_gateway.php`, run by PHP against the running gateway.
//!
//! It needs `php` with cURL, which `scripts/test` installs.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, SystemTime},
};

use chrono::Utc;
use portal_gateway::{events::whmcs::Hook, sandbox::credentials, store::inbox::Source};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::{
    fleet::inbox,
    gateway::{ACCOUNTS, Gateway},
    stage::Stage,
};

const HOOK_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/whmcs/portal_gateway.php");
const WHMCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/php/whmcs.php");

/// No gateway listens there.
const NOWHERE: &str = "http://127.0.0.1:1/webhooks/whmcs";

/// A folder beside the web root of an installation.
struct Installation {
    folder: tempfile::TempDir,
    with_capsule: bool,
    with_curl: bool,
}

impl Installation {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("web")).unwrap();
        Self { folder, with_capsule: false, with_curl: true }
    }

    fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    /// Writes the settings as an operator does.
    fn configure(&self, url: &str) {
        let ini = format!(
            "url = \"{url}\"\nsecret = \"{}\"\nspool = \"{}\"\nsource = billing.example.test\n",
            credentials::WHMCS_WEBHOOK_SECRET,
            self.spool().display()
        );
        fs::write(self.folder.path().join("portal_gateway.ini"), ini).unwrap();
    }

    /// One request to WHMCS that fires hooks. Nothing may be printed, and PHP ends as if nothing was.
    fn fire(&self, hooks: &Value) {
        assert_eq!(self.php(&hooks.to_string()), "", "a hook must not print");
    }

    /// What PHP prints.
    fn php(&self, argument: &str) -> String {
        let mut php = php();
        if !self.with_curl {
            php.args(["-d", "disable_functions=curl_init"]);
        }
        php.args([WHMCS, HOOK_FILE, argument]).env("WHMCS_ROOT", self.folder.path().join("web"));
        if self.with_capsule {
            php.env("WITH_CAPSULE", "1");
        }
        let Output { status, stdout, .. } = php.output().unwrap();
        assert!(status.success(), "{status}");
        String::from_utf8(stdout).unwrap()
    }

    fn queue(&self, folder: &str) -> Vec<PathBuf> {
        let Ok(files) = fs::read_dir(self.spool().join(folder)) else { return Vec::new() };
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }

    fn events(&self) -> Vec<Value> {
        let read = |file: &PathBuf| serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        self.queue("new").iter().map(read).collect()
    }

    /// As if the pause before the next try were over.
    fn pause_is_over(&self) {
        for file in self.queue("new") {
            let file = fs::File::options().write(true).open(file).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(5)).unwrap();
        }
    }
}

fn php() -> Command {
    let found = Command::new("php").arg("-m").output();
    let is_whole = found
        .is_ok_and(|found| String::from_utf8_lossy(&found.stdout).lines().any(|module| module == "curl"));
    assert!(is_whole, "PHP with cURL is missing: run scripts/need php=php-cli php/curl=php-curl");
    let mut php = Command::new("php");
    php.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    php
}

/// A gateway whose clock shows what PHP's does, and that hears of billing through the hook file alone.
async fn gateway() -> Gateway {
    let gateway = Gateway::start().await;
    gateway.sandbox.billing().send_hooks_to(NOWHERE.to_owned(), Duration::ZERO, gateway.app.clock.clone());
    let behind = Utc::now() - gateway.app.clock.now();
    gateway.app.clock.advance(behind);
    gateway.sandbox.core().clock.advance(behind);
    gateway
}

// PHP keeps the thread of the test; the gateway needs one of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_are_queued_while_the_gateway_is_away_arrive_when_it_is_back() {
    for with_curl in [true, false] {
        events_arrive_late(with_curl).await;
    }
}

async fn events_arrive_late(with_curl: bool) {
    let (gateway, whmcs) = (gateway().await, Installation { with_curl, ..Installation::new() });
    let question = "{ viewer { invoices(first: 100) { totals { paid { amount } } } } }";
    let n = ACCOUNTS;
    let (customer, client) = (gateway.sign_in(n).await, portal_gateway::sandbox::world::ids::client_id(n));
    let before = customer.ask(question, json!({})).await.data();

    // Somebody orders and pays; only the hook file tells, and the gateway is away.
    let client = client.to_string();
    let billing = gateway.sandbox.billing();
    let made = billing
        .staff(
            "CreateInvoice",
            &[
                ("userid", &*client),
                ("status", "Unpaid"),
                ("itemdescription1", "Router"),
                ("itemamount1", "5000"),
            ],
        )
        .await;
    let invoice = made["invoiceid"].as_u64().unwrap_or_else(|| panic!("{made}"));
    let paid = billing.staff("AddInvoicePayment", &[("invoiceid", &*invoice.to_string())]).await;
    assert_eq!(paid["result"], "success", "{paid}");
    whmcs.configure(NOWHERE);
    let model = json!({ "id": invoice, "firstname": "Taro", "notes": "hunter2" });
    whmcs.fire(&json!([
        ["InvoiceCreated", { "invoiceid": invoice, "source": "adminarea", "user": "system", "status": "Unpaid" }],
        ["InvoicePaid", { "invoiceid": invoice, "invoice": model }],
    ]));
    let events = whmcs.events();
    assert_eq!(events.len(), 2, "both are queued");
    assert_eq!(customer.ask(question, json!({})).await.data(), before, "nobody was told");

    // It comes back; the cron job sends what is due, and the answer is new.
    whmcs.configure(&format!("{}/webhooks/whmcs", gateway.url));
    whmcs.pause_is_over();
    whmcs.fire(&json!([["AfterCronJob", {}]]));
    assert!(
        whmcs.queue("new").is_empty()
            && whmcs.queue("sending").is_empty()
            && whmcs.queue("refused").is_empty()
    );
    let told = async {
        while customer.ask(question, json!({})).await.data() == before
            || gateway.app.store.event_backlog(Source::Billing).await.unwrap().waiting > 0
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.expect("the paid invoice shows");
    assert_eq!(gateway.app.store.event_backlog(Source::Billing).await.unwrap().dead, 0);

    // While it is there, an event goes out with its own request.
    whmcs.fire(&json!([["InvoicePaid", { "invoiceid": invoice }]]));
    assert!(whmcs.queue("new").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_killed_and_started_again_meanwhile_loses_no_event() {
    const REQUESTS: u64 = 12;
    const EACH: u64 = 4;
    let stage = Stage::new().await;
    let mut gateway = stage.serve();
    let whmcs = Installation::new();
    whmcs.configure(&format!("{}/webhooks/whmcs", gateway.url));
    gateway.ready().await;
    for request in 0..REQUESTS {
        let fire = || {
            let first = request * EACH + 1;
            let hook = |n: u64| json!(["ClientEdit", { "userid": 1_000 + n }]);
            whmcs.fire(&Value::Array((first..first + EACH).map(hook).collect()));
        };
        if request % 4 == 1 {
            // It dies while PHP sends.
            std::thread::scope(|scope| {
                let sending = scope.spawn(fire);
                std::thread::sleep(Duration::from_millis(20 * request));
                tokio::task::block_in_place(|| Handle::current().block_on(gateway.kill()));
                sending.join().unwrap();
            });
            gateway = stage.serve();
            if request % 8 == 1 {
                gateway.ready().await;
            }
        } else {
            fire();
        }
    }
    gateway.ready().await;
    // The cron job of the installation sends what is due, until nothing is left.
    for _ in 0..20 {
        for file in whmcs.queue("sending") {
            fs::File::options().write(true).open(file).unwrap().set_modified(old()).unwrap();
        }
        whmcs.pause_is_over();
        whmcs.fire(&json!([["AfterCronJob", {}]]));
        if whmcs.queue("new").is_empty() && whmcs.queue("sending").is_empty() {
            break;
        }
    }
    assert_eq!(whmcs.queue("refused"), Vec::<PathBuf>::new());
    assert!(whmcs.queue("new").is_empty() && whmcs.queue("sending").is_empty(), "some were never sent");
    let stored = inbox::events(&stage.store).await;
    let clients: Vec<_> = stored.iter().filter(|event| event.record.starts_with("client:")).collect();
    let records: BTreeSet<_> = clients.iter().map(|event| &event.record).collect();
    assert_eq!(records.len() as u64, REQUESTS * EACH, "{stored:?}");
    assert_eq!(clients.len(), records.len(), "one was stored twice");
    gateway.kill().await;
}

fn old() -> SystemTime {
    SystemTime::now() - Duration::from_secs(120)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_gateway_will_never_take_is_put_aside_and_what_it_may_take_later_is_kept() {
    use axum::{Router, http::StatusCode, routing::post};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = |status: StatusCode| post(move || async move { status });
    let router = Router::new()
        .route("/400", answer(StatusCode::BAD_REQUEST))
        .route("/409", answer(StatusCode::CONFLICT))
        .route("/413", answer(StatusCode::PAYLOAD_TOO_LARGE))
        .route("/401", answer(StatusCode::UNAUTHORIZED))
        .route("/429", answer(StatusCode::TOO_MANY_REQUESTS))
        .route("/503", answer(StatusCode::SERVICE_UNAVAILABLE));
    tokio::spawn(async move { axum::serve(listener, router).await });
    for (status, is_hopeless) in
        [(400, true), (409, true), (413, true), (401, false), (429, false), (503, false)]
    {
        for with_curl in [true, false] {
            let whmcs = Installation { with_curl, ..Installation::new() };
            whmcs.configure(&format!("{url}/{status}"));
            whmcs.fire(&json!([["InvoicePaid", { "invoiceid": 31 }]]));
            let (new, refused) = (whmcs.queue("new").len(), whmcs.queue("refused").len());
            assert_eq!((new, refused), if is_hopeless { (0, 1) } else { (1, 0) }, "{status} {with_curl}");
        }
    }
}

#[test]
fn it_sends_every_hook_that_has_an_effect_and_no_other() {
    let whmcs = Installation::new();
    whmcs.configure(NOWHERE);
    let listed = whmcs.php("--names");
    let sent: BTreeSet<_> = listed.lines().collect();
    let has_effect: BTreeSet<_> =
        Hook::all().filter(|hook| hook.has_effect()).map(|hook| hook.name).collect();
    // AfterCronJob sends what is queued, and is nothing to send: the daily run says as much.
    assert!(sent.contains("AfterCronJob"));
    assert_eq!(sent, has_effect);
}

#[test]
fn only_ids_leave_and_the_client_is_found_while_the_row_is_there() {
    let mut whmcs = Installation::new();
    whmcs.with_capsule = true;
    whmcs.configure(NOWHERE);
    let cases = [
        (
            "InvoicePaid",
            json!({ "invoiceid": 31, "invoice": { "id": 31 } }),
            json!({ "invoice": 31, "client": 1031 }),
        ),
        (
            "AfterModuleCreate",
            json!({ "params": { "serviceid": 7, "userid": 42, "serverpassword": "hunter2", "clientsdetails": {} } }),
            json!({ "service": 7, "client": 42 }),
        ),
        (
            "AfterModuleChangePassword",
            json!({ "serviceid": "7", "oldpassword": "hunter2", "newpassword": "hunter2" }),
            json!({ "service": 7, "client": 1007 }),
        ),
        ("DeleteOrder", json!({ "orderid": 5 }), json!({ "order": 5, "client": 1005 })),
        (
            "CCUpdate",
            json!({ "userid": 42, "cardnum": "hunter2", "cardcvv": "hunter2" }),
            json!({ "client": 42 }),
        ),
        (
            "ClientEdit",
            json!({ "userid": 42, "email": "hunter2@example.jp", "olddata": { "notes": "hunter2" } }),
            json!({ "client": 42 }),
        ),
        (
            "AddTransaction",
            json!({ "id": 3, "userid": 42, "invocieid": 31, "description": "hunter2" }),
            json!({ "client": 42, "invoice": 31 }),
        ),
        (
            "OrderPaid",
            json!({ "orderId": 5, "userId": 42, "invoiceId": 31 }),
            json!({ "invoice": 31, "client": 42, "order": 5 }),
        ),
        ("ManualRefund", json!({ "transid": 9, "amount": "1.00" }), json!({ "invoice": 77, "client": 1077 })),
        (
            "CancellationRequest",
            json!({ "userid": 42, "relid": 7, "reason": "hunter2" }),
            json!({ "service": 7, "client": 42 }),
        ),
        (
            "InvoiceSplit",
            json!({ "originalinvoiceid": 31, "newinvoiceid": 32 }),
            json!({ "invoice": 31, "other_invoice": 32, "client": 1031 }),
        ),
        (
            "AfterClientMerge",
            json!({ "toUserID": 1, "fromUserID": 2 }),
            json!({ "client": 1, "other_client": 2 }),
        ),
        ("AfterProductUpgrade", json!({ "upgradeid": 4 }), json!({})),
        ("ProductEdit", json!({ "pid": 3, "name": "hunter2" }), json!({})),
        ("DailyCronJob", Value::Null, json!({})),
    ];
    let hooks: Vec<_> = cases.iter().map(|(name, params, _)| json!([name, params])).collect();
    whmcs.fire(&Value::Array(hooks));
    let events = whmcs.events();
    assert_eq!(events.len(), cases.len());
    for ((name, _, ids), event) in cases.iter().zip(&events) {
        assert_eq!((&event["event"], &event["ids"]), (&json!(name), ids));
        assert_eq!(event.as_object().unwrap().len(), 5, "{event}");
    }
    assert!(!json!(events).to_string().contains("hunter2"));
    // What a hook is not told in the usual form, and what is noise, harms nobody.
    whmcs.fire(&json!([
        ["InvoicePaid", null], ["InvoicePaid", { "invoiceid": { "a": 1 } }], ["UserLogin", { "user": 1 }],
        ["LogActivity", { "description": "hunter2" }],
    ]));
}

#[test]
fn tries_are_spaced_and_what_another_process_sends_is_left_to_it() {
    let whmcs = Installation::new();
    whmcs.configure(NOWHERE);
    whmcs.fire(&json!([["InvoicePaid", { "invoiceid": 31 }]]));
    let first = whmcs.queue("new");
    assert!(first[0].to_string_lossy().ends_with(".1"), "one try: {first:?}");
    let due = fs::metadata(&first[0]).unwrap().modified().unwrap();
    assert!(due > SystemTime::now(), "it waits");
    whmcs.fire(&json!([["AfterCronJob", {}]]));
    assert_eq!(whmcs.queue("new"), first, "not yet");
    whmcs.pause_is_over();
    whmcs.fire(&json!([["AfterCronJob", {}]]));
    let second = whmcs.queue("new");
    assert!(second[0].to_string_lossy().ends_with(".2"), "{second:?}");
    assert!(fs::metadata(&second[0]).unwrap().modified().unwrap() > due, "it waits longer");

    // Another process is at it, and died: after a minute it is free again.
    let name = second[0].file_name().unwrap();
    let taken = whmcs.spool().join("sending").join(name);
    fs::rename(&second[0], &taken).unwrap();
    let age = |path: &Path, seconds| {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    };
    age(&taken, 5);
    whmcs.fire(&json!([["AfterCronJob", {}]]));
    assert!(whmcs.queue("new").is_empty() && taken.exists());
    age(&taken, 120);
    whmcs.fire(&json!([["AfterCronJob", {}]]));
    assert_eq!(whmcs.queue("new").len(), 1);
}

#[test]
fn without_whmcs_or_settings_it_does_nothing() {
    let direct = php().arg(HOOK_FILE).output().unwrap();
    assert_eq!((direct.status.code(), direct.stdout.as_slice()), (Some(1), &b""[..]));
    let whmcs = Installation::new();
    whmcs.fire(&json!([["InvoicePaid", { "invoiceid": 31 }], ["AfterCronJob", {}]]));
    assert!(!whmcs.spool().exists());
    let unwritable = Installation::new();
    fs::write(unwritable.spool(), "a file where the folder should be").unwrap();
    unwritable.configure(NOWHERE);
    unwritable.fire(&json!([["InvoicePaid", { "invoiceid": 31 }], ["AfterCronJob", {}]]));
}
