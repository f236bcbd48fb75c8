//! No secret and nothing personal reaches the log, the metrics or the audit log (requirement P1), nor lies plain in the
//! database (requirement P2).
//!
//! A whole process runs at the most verbose level, over systems that fail in every manner, and is given canaries: in what
//! people type in every mutation, in what the systems answer, and in what is wrong with either. Then each is looked for as it
//! is, in lower case, in base64, in hex and as a part of an address.

mod acts;
mod panics;
mod search;
mod stored;

use std::time::Duration;

use chrono::Utc;
use portal_gateway::{
    clock::Clock,
    demo,
    sandbox::{
        core::{Rule, RuleKind, System},
        credentials::{DEMO_DEVICE, DEMO_PASSWORD},
    },
    store::audit::Filter,
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use self::{search::Canaries, stored::Watch};
use crate::{
    audit::story,
    gateway::DASHBOARD,
    sessions::{REFRESH, SIGN_IN, SIGN_OUT},
    sign_up::DOCUMENT,
    stage::{Door, Stage, until},
};

const PATIENCE: Duration = Duration::from_secs(120);
const EMAIL: &str = "quokkarina.narwhalsson@example.jp";
const PASSWORD: &str = "quokka battery staple 5521";
const CREATE: &str = include_str!("../../../examples/queries/session.graphql");
const VERIFY: &str = include_str!("../../../examples/queries/session-verify.graphql");
const RESET_REQUEST: &str = include_str!("../../../examples/queries/password-reset-request.graphql");
const RESET: &str = include_str!("../../../examples/queries/password-reset.graphql");
const PROFILE: &str = include_str!("../../../examples/queries/profile-update.graphql");
const STEP_UP: &str = include_str!("../../../examples/queries/step-up.graphql");
const ACCOUNT: &str = include_str!("../../../examples/queries/account.graphql");
/// Tables in which nothing lies after all of that: what events leave that were not understood or came to nothing has tests of
/// its own.
const UNSEEN: &[&str] = &["dead_letters", "event_cursors", "reconciliations", "undecoded_events"];
const POSTAL: &str = include_str!("../../../examples/queries/postal.graphql");

/// A request as a page of ours sends it, with cookies.
fn page(door: &Door, cookies: Option<&str>, document: &str, variables: &Value) -> reqwest::RequestBuilder {
    let question = json!({ "query": document, "variables": variables });
    let request = door.http.post(format!("{}/graphql", door.url)).json(&question);
    let request = request.header("origin", "http://localhost:4000").header("x-portal-csrf", "1");
    cookies.iter().fold(request, |request, cookies| request.header("cookie", *cookies))
}

fn fault(system: System, kind: RuleKind, message: &str) -> Rule {
    Rule { message: Some(message.to_owned()), status: Some(500), times: Some(3), ..Rule::every(system, kind) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_canary_reaches_the_log_the_metrics_the_audit_log_or_a_plain_column() {
    let mut canaries = Canaries::default();
    let server = canaries.plant("server's secret", "Zq5521-server-secret-of-32-characters");
    let key = format!("1:{}", canaries.plant("data key", format!("{}=", "A".repeat(43))));
    let mut settings = story::SETTINGS.to_vec();
    settings.extend([
        // The origin of our pages.
        ("PUBLIC_URL", "http://localhost:4000"),
        ("LOG_LEVEL", "trace"),
        ("LOG_FORMAT", "json"),
        ("AUTH_SECRET", &server),
        ("DATA_KEYS", &key),
        ("QUEUE_BACKOFF_DELAY", "50ms"),
        ("WHMCS_TIMEOUT", "2s"),
        ("SF_TIMEOUT", "2s"),
        ("SIGNUP_RATE_LIMIT_LIMIT", "100000"),
        ("PASSWORD_RESET_RATE_LIMIT_LIMIT", "100000"),
    ]);
    let mut stage = Stage::with(&settings).await;
    stage.env.extend(demo::captcha(&stage.sandbox));
    let watch = Watch::begin((*stage.store).clone());
    let (sandbox, store, env) = (&stage.sandbox, &stage.store, &stage.env);
    for name in [
        "WHMCS_API_IDENTIFIER",
        "WHMCS_API_SECRET",
        "FREEBIT_OEM_KEY",
        "WHMCS_WEBHOOK_SECRETS",
        "CAPTCHA_SECRET",
    ] {
        if let Some(value) = env.get(name).filter(|value| value.len() >= 12) {
            canaries.plant(name, value.clone());
        }
    }
    // Customers of before, whom the systems know.
    let app = stage.app().await;
    demo::register(&app.identity, &sandbox.core().world, 5).await.unwrap();
    let process = stage.serve();
    process.ready().await;
    sandbox.send_hooks_to(&process.url, Clock::system());
    let mail =
        async |to: &str, since| timeout(PATIENCE, sandbox.mail().next(to, since)).await.expect("a mail");

    // Somebody new, from the code to the session, with a form that is wrong first.
    canaries.plant("address", EMAIL);
    canaries.plant("password", PASSWORD);
    let begun = process.ask(None, DOCUMENT, "SignUpBegin", json!({ "email": EMAIL })).await;
    let challenge = &begun["data"]["signUpBegin"]["challenge"]["id"];
    let sent = mail(EMAIL, 0).await;
    let code = canaries.plant("code", sent.code.clone().unwrap());
    let wrong = canaries.plant("wrong code", if code == "918273" { "918274" } else { "918273" });
    process.ask(None, DOCUMENT, "SignUpVerify", json!({ "challengeId": challenge, "code": wrong })).await;
    let verified =
        process.ask(None, DOCUMENT, "SignUpVerify", json!({ "challengeId": challenge, "code": code })).await;
    let verification =
        canaries.token("verification", &verified["data"]["signUpVerify"]["verification"]["token"]);
    let mut form = crate::sign_up::form(&json!(verification));
    form["password"] = json!(PASSWORD);
    form["profile"]["firstName"] = json!(canaries.plant("first name", "Quokkarina"));
    form["profile"]["lastName"] = json!(canaries.plant("last name", "Narwhalsson"));
    form["profile"]["company"] = json!(canaries.plant("company", "Wombatworks"));
    form["profile"]["phone"] = json!("+81 90 7731 9924");
    canaries.plant("telephone", "77319924");
    canaries.plant("telephone", "7731-9924");
    canaries.plant("telephone", "7731 9924");
    form["address"]["building"] = json!(canaries.plant("building", "Axolotl Heights"));
    form["address"]["buildingJapanese"] = json!(canaries.plant("building", "アホロートルハイツ"));
    let mut bad = form.clone();
    bad["profile"]["phone"] = json!(canaries.plant("what is no number", "call-me-5521-please"));
    bad["address"]["postalCode"] = json!(canaries.plant("what is no code", "postal-5521-canary"));
    process.ask(None, DOCUMENT, "SignUpComplete", bad).await;
    // While nothing gets on, what is to be done lies in the store: of a client it is not known whether it was made, and who it
    // was is not to be found out.
    let leak = canaries.plant("message of a system", "Upstreamleak5521 of Quokkarina");
    let lost = Rule { operation: "AddClient".to_owned(), ..Rule::every(System::Whmcs, RuleKind::Drop) };
    sandbox.core().faults.add(lost);
    // The first look is before that.
    for (kind, times) in [(RuleKind::Delay, Some(1)), (RuleKind::Hang, None)] {
        let operation = "GetClients".to_owned();
        sandbox.core().faults.add(Rule { operation, times, ..Rule::every(System::Whmcs, kind) });
    }
    sandbox.core().faults.add(Rule::every(System::Smtp, RuleKind::Drop));
    let waits = async {
        let waits = "workflows WHERE step = 'client' AND is_sending AND ended_at IS NULL";
        until("the sign-up waits", async || (store.count(waits).await > 0).then_some(())).await;
        let forgetful = json!({ "email": sandbox.core().world.customer(5).email });
        process.ask(None, RESET_REQUEST, "PasswordResetRequest", forgetful).await;
        let waits = "jobs WHERE kind = 'mail' AND due_at IS NOT NULL AND attempts > 0";
        until("a mail waits", async || (store.count(waits).await > 0).then_some(())).await;
        let midway = store.rows().await;
        sandbox.core().faults.clear();
        // The next tries meet faults.
        for system in [System::Whmcs, System::Salesforce] {
            sandbox.core().faults.add(fault(system, RuleKind::Status, &leak));
        }
        midway
    };
    let (_, midway) = tokio::join!(process.ask(None, DOCUMENT, "SignUpComplete", form.clone()), waits);
    let done = timeout(PATIENCE, async {
        loop {
            let done = process.ask(None, DOCUMENT, "SignUpComplete", form.clone()).await;
            let done = done["data"]["signUpComplete"].clone();
            if done.is_object() && done["status"] != "IN_PROGRESS" {
                return done;
            }
            sleep(Duration::from_millis(100)).await;
        }
    });
    let done = done.await.expect("it ends");
    let sent = mail(&sandbox.core().world.customer(5).email, 0).await;
    canaries.plant("reset token", sent.links[0].split_once("#token=").unwrap().1);
    assert_eq!(done["status"], "COMPLETE", "{done}");
    canaries.token("access token", &done["session"]["accessToken"]);
    canaries.token("refresh token", &done["session"]["refreshToken"]);
    canaries.token("device token", &done["deviceToken"]);

    // A guest, whose request meets a fault as well.
    let email = canaries.plant("address", "capybarina.okapisson@example.jp");
    let mut asked = crate::availability::guest(&email);
    asked["firstName"] = json!(canaries.plant("first name", "Capybarina"));
    asked["lastName"] = json!(canaries.plant("last name", "Okapisson"));
    asked["address"]["building"] = json!(canaries.plant("building", "Tapir Terrace"));
    sandbox.core().faults.add(fault(System::Salesforce, RuleKind::Status, &leak));
    let asked = process.ask(None, crate::availability::DOCUMENT, "AvailabilityRequest", asked).await;
    assert_eq!(asked["data"]["availabilityRequest"]["submitted"], true, "{asked}");

    // A sign-in in two steps, with a wrong password before it.
    let wrong_password = canaries.plant("wrong password", "wrong quokka battery 9917");
    let sign_in = json!({ "input": { "email": EMAIL, "password": wrong_password } });
    process.ask(None, SIGN_IN, "SignIn", sign_in).await;
    let since = sandbox.mail().newest();
    let created = json!({ "input": { "email": EMAIL, "password": PASSWORD } });
    let created = process.ask(None, CREATE, "SessionCreate", created).await;
    let challenge = &created["data"]["sessionCreate"]["challenge"]["id"];
    assert!(challenge.is_string(), "{created}");
    let mut since = since;
    let code = loop {
        let sent = mail(EMAIL, since).await;
        if let Some(code) = &sent.code {
            break canaries.plant("code", code.clone());
        }
        since = sent.id;
    };
    let input = json!({ "input": { "challengeId": challenge, "code": code, "rememberDevice": true } });
    let entered = process.ask(None, VERIFY, "SessionVerify", input).await;
    let entered = &entered["data"]["sessionVerify"];
    let access = canaries.token("access token", &entered["session"]["accessToken"]);
    canaries.plant("signature", access.rsplit('.').next().unwrap());
    let refresh = canaries.token("refresh token", &entered["session"]["refreshToken"]);
    canaries.token("device token", &entered["deviceToken"]);
    let token = Some(&*access);
    let refreshed =
        process.ask(None, REFRESH, "Refresh", json!({ "input": { "refreshToken": refresh } })).await;
    canaries.token("access token", &refreshed["data"]["sessionRefresh"]["session"]["accessToken"]);

    // Their own settings, well and wrongly typed.
    let phone = json!({ "phone": canaries.plant("telephone", "090-6644-1188") });
    process.ask(token, PROFILE, "ProfileUpdate", phone).await;
    canaries.plant("telephone", "66441188");
    let mut moved = crate::sign_up::address();
    moved["building"] = json!(canaries.plant("building", "Pangolin Towers"));
    process.ask(token, PROFILE, "AddressUpdate", json!({ "address": moved })).await;
    process.ask(token, STEP_UP, "StepUp", json!({ "password": PASSWORD })).await;
    process.ask(token, STEP_UP, "StepUp", json!({ "password": wrong_password })).await;
    let typed = canaries.plant("of a wrong type", "Wrongtype5521");
    process.ask(token, PROFILE, "ProfileUpdate", json!({ "phone": { "no": typed } })).await;
    process.ask(token, &format!("query {{ viewer(name: \"{typed}\") {{ {typed} }} }}"), "", json!({})).await;
    process.ask(token, &format!("query {{ viewer {{ id }} # {typed}"), "", json!({})).await;
    let code = json!({ "code": canaries.plant("postal code", "150-0041") });
    process.ask(None, POSTAL, "", code).await;

    // A forgotten password.
    let mut since = sandbox.mail().newest();
    process.ask(None, RESET_REQUEST, "PasswordResetRequest", json!({ "email": EMAIL })).await;
    let reset = loop {
        let sent = mail(EMAIL, since).await;
        let text = sent.text.as_deref().unwrap_or_default();
        if let Some((_, rest)) = text.split_once("#token=") {
            let is_part = |c: &char| c.is_ascii_alphanumeric() || "-_".contains(*c);
            break canaries.plant("reset token", rest.chars().take_while(is_part).collect::<String>());
        }
        since = sent.id;
    };
    let new = canaries.plant("new password", "another wombat staple 3344");
    for _ in 0..2 {
        process.ask(None, RESET, "PasswordReset", json!({ "token": reset, "newPassword": new })).await;
    }

    // A customer of before: what the systems answer, by cookies; then while each of them fails in each manner.
    let known = sandbox.core().world.customer(1).clone();
    canaries.plant("address", known.email.clone());
    canaries.plant("telephone", known.phone.clone());
    canaries.plant("name", known.name());
    canaries.plant("name in kanji", format!("{} {}", known.family_kanji, known.given_kanji));
    canaries.plant("cookie", "quokka-cookie-5521");
    let input = json!({ "email": known.email, "password": DEMO_PASSWORD, "deviceToken": DEMO_DEVICE, "delivery": "COOKIES" });
    let answer = page(&process, Some("other=quokka-cookie-5521"), SIGN_IN, &json!({ "input": input }));
    let answer = answer.send().await.unwrap();
    let mut cookies = Vec::new();
    for cookie in answer.headers().get_all("set-cookie") {
        let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        let value = pair.split_once('=').unwrap().1;
        // Those that are taken away have none.
        if value.len() >= 16 {
            canaries.plant("cookie", value);
        }
        cookies.push(pair);
    }
    assert!(cookies.len() >= 2, "{cookies:?}");
    let cookies = cookies.join("; ");
    let ask = async |document: &str| -> Value {
        page(&process, Some(&cookies), document, &json!({})).send().await.unwrap().json().await.unwrap()
    };
    let shown = ask(DASHBOARD).await;
    assert_eq!(shown["data"]["viewer"]["profile"]["email"], known.email, "{shown}");
    let lines = shown["data"]["viewer"]["subscriptions"]["nodes"].as_array().unwrap();
    let numbers: Vec<_> = lines.iter().filter_map(|one| one["line"]["phoneNumber"].as_str()).collect();
    assert!(!numbers.is_empty(), "{shown}");
    for number in numbers {
        canaries.plant("number of a line", number);
        canaries.plant("number of a line", number.replace('-', ""));
    }
    ask(ACCOUNT).await;
    for kind in [
        RuleKind::Status,
        RuleKind::Business,
        RuleKind::Garbage,
        RuleKind::Truncated,
        RuleKind::Empty,
        RuleKind::Drop,
        RuleKind::Expire,
    ] {
        for system in System::UPSTREAMS {
            sandbox.core().faults.add(fault(system, kind, &leak));
        }
        for n in 2..=4 {
            let email = &sandbox.core().world.customer(n).email;
            let input = json!({ "email": email, "password": DEMO_PASSWORD, "deviceToken": DEMO_DEVICE, "delivery": "TOKENS" });
            let entered = process.ask(None, SIGN_IN, "SignIn", json!({ "input": input })).await;
            let token =
                entered["data"]["sessionCreate"]["session"]["accessToken"].as_str().map(str::to_owned);
            process.ask(token.as_deref(), DASHBOARD, "Dashboard", json!({})).await;
        }
        sandbox.core().faults.clear();
    }
    page(&process, Some(&cookies), SIGN_OUT, &json!({})).send().await.unwrap();

    // What each act takes and gives, once the systems are believed again.
    let scene = story::Scene { door: process.door.clone(), app: &app, sandbox };
    acts::believe_again(&scene).await;
    for (what, value) in story::play_on(&scene, None).await {
        canaries.plant(&what, value);
    }
    acts::export(&mut canaries, &scene).await;
    acts::partner(&mut canaries, &scene).await;
    acts::hand_off(&mut canaries, &scene, &watch).await;
    acts::factors(&mut canaries, &scene, &watch).await;
    acts::captcha(&mut canaries, &scene).await;

    // What strangers send.
    let http = &process.http;
    let address = |path: &str| format!("{}{path}", process.url);
    let stranger = canaries.plant("in an address", "strangerpath5521");
    http.get(address(&format!("/{stranger}?email={EMAIL}"))).send().await.unwrap();
    http.get(address(&format!("/graphql?query=%7B{stranger}%7D&variables={stranger}"))).send().await.unwrap();
    let bearer = canaries.plant("made-up token", "eyJhbGciOiJFZERTQSJ9.cXVva2thNTUyMQ.c3RyYW5nZXI1NTIx");
    http.post(address("/graphql"))
        .bearer_auth(&bearer)
        .json(&json!({ "query": "{ viewer { id } }" }))
        .send()
        .await
        .unwrap();
    let body = canaries.plant("body of a hook", "{\"id\":\"1\",\"hook-canary-5521\"");
    let signature = canaries
        .plant("made-up signature", "5521deadbeef5521deadbeef5521deadbeef5521deadbeef5521deadbeef5521");
    let hook = http.post(address("/webhooks/whmcs")).header("x-portal-event-id", "quokka-event");
    let hook = hook.header("x-portal-timestamp", Utc::now().timestamp().to_string());
    hook.header("x-portal-signature", &signature).body(body).send().await.unwrap();

    let metrics = http.get(address("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("http_requests_total"), "{metrics}");
    let ended = process.stop().await;
    let log = format!("{}\n{}", ended.out, ended.err);
    assert!(log.contains("\"TRACE\"") && log.contains("\"DEBUG\""), "it was verbose");
    assert!(log.lines().filter(|line| line.contains("answered")).count() > 30, "it told of the requests");
    let events = store.audit_events(&Filter::default(), 0, 10_000).await.unwrap();
    assert!(events.len() > 10, "{}", events.len());
    let audit = format!("{events:?}");
    let stored = watch.end().await;
    println!(
        "{} canaries, {} bytes of log, {} events, {} bytes of rows",
        canaries.count(),
        log.len(),
        events.len(),
        stored.text.len()
    );
    let midway = stored::text(&midway);
    let mut leaks = Vec::new();
    for (place, text) in [
        ("log", &log),
        ("metrics", &metrics),
        ("audit log", &audit),
        ("store while all waits", &midway),
        ("store", &stored.text),
    ] {
        leaks.extend(canaries.found(text).into_iter().map(|found| format!("in the {place}: {found}")));
    }
    assert!(leaks.is_empty(), "{}\nalways empty: {:?}", leaks.join("\n"), stored.unseen);
    assert_eq!(stored.unseen, UNSEEN, "each table had a row to look at, but these");
    // The controls, in what was really written.
    let planted = format!("{log}\n{{\"message\":\"{EMAIL}\"}}");
    let found = canaries.found(&planted);
    assert!(found.iter().any(|one| one.starts_with("address: ")), "{found:?}");
    // A plain column, and one of bytes that are not sealed.
    for (table, column, value) in
        [("jobs", "reason", format!("'{EMAIL}'")), ("jobs", "payload", stored::bytes(EMAIL))]
    {
        store.execute(&format!("UPDATE {table} SET {column} = {value}")).await;
        let found = canaries.found(&stored::text(&store.rows().await));
        assert!(found.iter().any(|one| one.starts_with("address: ")), "{column}: {found:?}");
    }
}
