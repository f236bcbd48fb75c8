//! A person leaves: what the portal held is gone, what law keeps is named, and they may come back as anybody may.

use std::{collections::BTreeSet, time::Duration};

use chrono::TimeDelta;
use portal_gateway::{
    crm::{Access, Source},
    id::ClientId,
    sandbox::{
        core::{Rule, RuleKind, System},
        credentials::DEMO_PASSWORD,
    },
    secret::ExposeSecret,
    store::audit::Filter,
    workflows::jobs::GrantAccess,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    gateway::{Customer, Gateway},
    passkeys::register,
    phone::Phone,
    records,
    sign_up::{PASSWORD, accounts, clients, hasty, staff_cases, until, verified},
    stage::{self, Moment, Stage, crm},
};

const DOCUMENT: &str = include_str!("../../examples/queries/account-erase.graphql");
const SESSION: &str = include_str!("../../examples/queries/session.graphql");
const EVERYTHING: &str = "{ viewer { profile { email } invoices(first: 1) { totalCount }
    subscriptions(first: 1) { totalCount } notifications(first: 1) { totalCount } } }";
/// Longer than any mail may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn email(gateway: &Gateway, n: u64) -> String {
    gateway.sandbox.core().world.customer(n).email.clone()
}

/// Asks for the erasure. Gives the challenge and the code that was mailed.
async fn begin(gateway: &Gateway, customer: &Customer<'_>, email: &str) -> (Value, String) {
    let since = gateway.mailed_so_far().await;
    let begun = customer.operate(DOCUMENT, "AccountEraseBegin", json!({})).await.data();
    let begun = begun["accountEraseBegin"].clone();
    assert_eq!(begun["userErrors"], json!([]), "{begun}");
    let mail = timeout(PATIENCE, gateway.sandbox.mail().next(email, since)).await.expect("the code arrives");
    (begun["challengeId"].clone(), mail.code.clone().unwrap())
}

async fn erase(customer: &Customer<'_>, challenge: &Value, code: &str) -> Value {
    let variables = json!({ "challengeId": challenge, "code": code });
    customer.operate(DOCUMENT, "AccountErase", variables).await.data()["accountErase"].clone()
}

async fn sign_in(gateway: &Gateway, email: &str) -> Value {
    let input = json!({ "input": { "email": email, "password": DEMO_PASSWORD } });
    gateway.nobody().ask(SESSION, input).await.data()["sessionCreate"].clone()
}

/// The tables in which a row holds one of some words.
async fn tables_with(gateway: &Gateway, words: &[String]) -> BTreeSet<String> {
    let rows = gateway.app.store.dump().await;
    let holds = |row: &String| words.iter().any(|word| row.contains(&word.to_lowercase()));
    rows.into_iter().filter(|(_, row)| holds(row)).map(|(table, _)| table).collect()
}

/// Rows that mirror what a client has in billing.
async fn mirrored(gateway: &Gateway, client: ClientId) -> usize {
    let rows = gateway.app.store.dump().await;
    let is_theirs = |row: &str| {
        let key = format!("\"client_id\": {client}");
        row.starts_with(&format!("{client} "))
            || [",", "}"].iter().any(|end| row.contains(&format!("{key}{end}")))
    };
    rows.iter().filter(|(table, row)| table.contains("mirror") && is_theirs(row)).count()
}

#[tokio::test]
async fn an_erased_account_leaves_no_row_behind_and_its_person_may_come_back() {
    let gateway = hasty().await;
    let (email, other) = (email(&gateway, 1), gateway.sign_in(2).await);
    let person = gateway.sandbox.core().world.customer(1);
    let (customer, twin) = (gateway.sign_in(1).await, gateway.sign_in(1).await);
    let who = gateway.app.identity.authenticate(customer.token.as_ref().unwrap()).await.unwrap();
    register(&customer, &mut Phone::new()).await;
    assert!(gateway.app.notifications.eligibility_changed(who.account, true, "report").await.unwrap());
    customer.ask(EVERYTHING, json!({})).await.data();
    other.ask(EVERYTHING, json!({})).await.data();
    // A code and a sign-in that are under way, what somebody proved who is to sign up, and a history.
    sign_in(&gateway, &email).await;
    verified(&gateway, &email).await;
    verified(&gateway, "somebody.else@example.jp").await;
    let verifications = async || {
        let rows = gateway.app.store.dump().await;
        rows.iter().filter(|(table, _)| table == "verifications").count()
    };
    assert_eq!(verifications().await, 2);

    // The names under which rows know the person: what leads to them, and the random id.
    let (hyphens, plain) = (who.user.0.to_string(), who.user.0.simple().to_string());
    let random = [hyphens, plain];
    let words = [email.clone(), who.account.to_string(), person.phone.clone()];
    until("the mirrors are written", async || (mirrored(&gateway, who.client).await > 0).then_some(())).await;
    let before = tables_with(&gateway, &[&words[..], &random].concat()).await;
    for table in ["id_mappings", "sessions", "passkeys", "notifications", "audit_events"] {
        assert!(before.contains(table), "the dump shows {table}: {before:?}");
    }

    let (challenge, code) = begin(&gateway, &customer, &email).await;
    let since = gateway.mailed_so_far().await;
    let erased = erase(&customer, &challenge, &code).await;
    assert_eq!((&erased["erased"], &erased["userErrors"]), (&json!(true), &json!([])), "{erased}");
    let parts = erased["parts"].as_array().unwrap();
    let outcomes: Vec<_> = parts.iter().map(|part| json!([part["scope"], part["outcome"]])).collect();
    let expected = json!([
        ["PORTAL", "ERASED"],
        ["AUDIT_LOG", "ANONYMISED"],
        ["BILLING", "KEPT_BY_LAW"],
        ["CRM", "ASKED_STAFF"],
        ["MOBILE_NETWORK", "ASKED_STAFF"]
    ]);
    assert_eq!(json!(outcomes), expected);
    assert!(parts[2]["law"].as_str().unwrap().contains("7 years") && parts[2]["until"] == "2033-11-20");

    for session in [&customer, &twin] {
        assert_eq!(session.ask("{ viewer { id } }", json!({})).await.status, 401);
    }
    let told = timeout(PATIENCE, gateway.sandbox.mail().next(&email, since)).await.unwrap();
    assert_eq!(told.subject, "Your account is erased");
    let account = who.account.to_string();
    until("staff are asked", async || {
        let cases = staff_cases(&gateway, &account).await;
        let asked = cases.iter().filter(|case| case["Subject"] == "Erasure of personal data was asked for");
        (asked.count() == 1).then_some(())
    })
    .await;
    until("the CRM is told", async || {
        let account = accounts(&gateway, &email).await.remove(0);
        (account["Portal_Status__c"] == "Closed").then_some(())
    })
    .await;
    gateway.mailed_so_far().await;

    assert_eq!(mirrored(&gateway, who.client).await, 0);
    assert_eq!(verifications().await, 1, "what is sealed names nobody, and goes all the same");
    assert_eq!(tables_with(&gateway, &words).await, BTreeSet::new(), "no row leads to the person");
    let after = tables_with(&gateway, &random).await;
    let allowed: BTreeSet<_> = ["audit_events", "jobs"].map(str::to_owned).into();
    assert!(
        after.is_subset(&allowed),
        "only the log and the keys of ended jobs know the random id: {after:?}"
    );
    let verdict = gateway.app.store.verify_audit(None, |_, _| {}).await.unwrap();
    assert!(verdict.faults.is_empty(), "{verdict:?}");
    let events = gateway.app.store.audit_events(&Filter::default(), 0, 100).await.unwrap();
    assert!(events.iter().any(|event| event.act == "account.erase" && event.outcome == "done"));

    // What was to be told to the CRM while that was away comes late, and opens nothing again.
    let access = Access {
        client: who.client,
        name: "A. B.".to_owned(),
        source: Source::NewSignup,
        at: gateway.app.clock.now(),
    };
    let mut tx = gateway.app.store.begin().await.unwrap();
    let late = GrantAccess { account: who.account, access };
    assert!(gateway.app.jobs.put(&mut tx, "late", &late).await.unwrap());
    tx.commit().await.unwrap();
    gateway.app.jobs.wake();
    until("it is done", async || {
        let backlog = gateway.app.store.job_backlog().await.unwrap();
        (!backlog.iter().any(|one| one.kind == "grant-access" && one.waiting > 0)).then_some(())
    })
    .await;
    assert_eq!(accounts(&gateway, &email).await[0]["Portal_Status__c"], "Closed");

    // Nobody knows the address any more, as one that never was.
    let (unknown, gone) = (sign_in(&gateway, "nobody@example.jp").await, sign_in(&gateway, &email).await);
    assert_eq!(gone, unknown);
    // Billing has its client still, so who comes back is routed there.
    assert_eq!(clients(&gateway, &email).await.len(), 1);
    let verification = verified(&gateway, &email).await;
    assert_eq!(verification["routing"]["route"], "BILLING_UNMAPPED");
    let document = include_str!("../../examples/queries/account-link.graphql");
    let variables =
        json!({ "verification": verification["token"], "password": PASSWORD, "termsVersion": "1" });
    let linked = gateway.nobody().operate(document, "AccountLink", variables).await.data();
    assert_eq!(linked["accountLink"]["status"], "COMPLETE", "{linked}");
    // Nobody else has lost anything.
    other.ask(EVERYTHING, json!({})).await.data();
}

#[tokio::test]
async fn an_erasure_asks_for_a_fresh_proof_and_for_the_code_of_its_own_session() {
    let gateway = hasty().await;
    let (email, customer, twin) = (email(&gateway, 1), gateway.sign_in(1).await, gateway.sign_in(1).await);
    let (challenge, code) = begin(&gateway, &customer, &email).await;
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let refused = erase(&customer, &challenge, wrong).await;
    assert_eq!((&refused["erased"], &refused["parts"]), (&json!(false), &json!([])));
    assert_eq!(refused["userErrors"][0]["code"], "AUTH_OTP_INVALID");
    assert_eq!((&refused["userErrors"][0]["field"], &refused["triesLeft"]), (&json!(["code"]), &json!(2)));
    assert_eq!(erase(&twin, &challenge, &code).await["userErrors"][0]["code"], "AUTH_OTP_EXPIRED");
    assert_eq!(erase(&customer, &json!("x"), &code).await["userErrors"][0]["code"], "AUTH_OTP_EXPIRED");
    gateway.app.clock.advance(TimeDelta::minutes(5));
    let late = customer.operate(DOCUMENT, "AccountEraseBegin", json!({})).await.data();
    assert_eq!(late["accountEraseBegin"]["userErrors"][0]["code"], "STEP_UP_REQUIRED");
    assert_eq!(late["accountEraseBegin"]["challengeId"], Value::Null);
    assert!(sign_in(&gateway, &email).await["challenge"]["id"].is_string(), "nothing was erased");
    let nobody = gateway.nobody().operate(DOCUMENT, "AccountEraseBegin", json!({})).await;
    assert_eq!(nobody.body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
}

#[tokio::test]
async fn the_portal_forgets_at_once_and_staff_are_asked_when_the_crm_is_back() {
    let gateway = hasty().await;
    let (email, customer) = (email(&gateway, 1), gateway.sign_in(1).await);
    let who = gateway.app.identity.authenticate(customer.token.as_ref().unwrap()).await.unwrap();
    let account = who.account.to_string();
    let (challenge, code) = begin(&gateway, &customer, &email).await;
    // The case is put, and its answer is lost, again and again.
    let rule = Rule {
        operation: "upsert".to_owned(),
        applied: true,
        ..Rule::every(System::Salesforce, RuleKind::Drop)
    };
    gateway.sandbox.core().faults.add(rule);
    let many = futures::future::join_all((0..3).map(|_| {
        let variables = json!({ "challengeId": challenge, "code": code });
        customer.operate(DOCUMENT, "AccountErase", variables)
    }));
    let done = many.await;
    let done = done.iter().filter(|answer| answer.body["data"]["accountErase"]["erased"] == true).count();
    assert_eq!(done, 1, "of many at once one erases");
    assert_eq!(sign_in(&gateway, &email).await["userErrors"][0]["code"], "AUTH_INVALID_CREDENTIALS");
    until("it was tried", async || (!staff_cases(&gateway, &account).await.is_empty()).then_some(())).await;
    gateway.sandbox.core().faults.clear();
    until("the job is done", async || {
        gateway.app.clock.advance(TimeDelta::seconds(5));
        gateway.app.store.job_backlog().await.unwrap().is_empty().then_some(())
    })
    .await;
    assert_eq!(staff_cases(&gateway, &account).await.len(), 1, "one case");
}

/// Killed while the case for staff is put: before it has had its effect, or after.
async fn killed_while_staff_are_asked(moment: Moment) {
    let stage = Stage::new().await;
    let app = stage.app().await;
    let person = stage.sign_in(&app).await;
    let token = Some(person.grant.access_token.expose_secret());
    let first = stage.serve();
    first.ready().await;
    let begun = first.ask(token, DOCUMENT, "AccountEraseBegin", json!({})).await;
    let challenge = begun["data"]["accountEraseBegin"]["challengeId"].clone();
    let variables = json!({ "challengeId": challenge, "code": stage.code(&person.email).await });
    stage.lie_in_wait(crm("upsert"), moment);
    let erased = first.ask(token, DOCUMENT, "AccountErase", variables).await;
    assert_eq!(erased["data"]["accountErase"]["erased"], true, "{erased}");
    stage.caught(moment, "jobs").await;
    first.kill().await;
    assert!(stage.store.user(person.ids.user).await.unwrap().is_none(), "it was one transaction");

    let second = stage.serve();
    stage::until("staff are asked", async || {
        let waiting = stage.store.job_backlog().await.unwrap();
        (!waiting.iter().any(|one| one.kind == "open-staff-case" && one.waiting > 0)).then_some(())
    })
    .await;
    let cases = records::staff_cases(&app, &person.ids.account.to_string()).await;
    assert_eq!(cases.len(), 1, "one case, {moment:?}");
    second.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_in_an_erasure_another_asks_staff_once() {
    tokio::join!(killed_while_staff_are_asked(Moment::Sent), killed_while_staff_are_asked(Moment::Applied));
}
