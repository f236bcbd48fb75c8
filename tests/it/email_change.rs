//! Another e-mail address: both are proved, then it is in force in every system, or in none.

use std::{collections::BTreeSet, time::Duration};

use chrono::TimeDelta;
use portal_gateway::{
    deadline::{Budget, Lane},
    id::{AccountId, ClientId},
    identity::{Credential, Registration},
    sandbox::{
        core::{Rule, RuleKind, System},
        credentials::DEMO_PASSWORD,
    },
    store::audit::Filter,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    audit,
    gateway::{Customer, Gateway},
    sign_up::{self, accounts, clients, hasty, until},
};

pub const DOCUMENT: &str = include_str!("../../examples/queries/email-change.graphql");
const SESSION: &str = include_str!("../../examples/queries/session.graphql");
pub const NEW: &str = "hanako.new@example.jp";
const WHO: &str = "{ viewer { id profile { email } } }";
/// Longer than any mail may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn email(gateway: &Gateway, n: u64) -> String {
    gateway.sandbox.core().world.customer(n).email.clone()
}

/// A change that was begun, with the codes that were mailed.
struct Begun {
    id: Value,
    new: String,
    present: String,
}

async fn begin(customer: &Customer<'_>, new: &str) -> Value {
    let answer = customer.operate(DOCUMENT, "EmailChangeBegin", json!({ "newEmail": new })).await;
    answer.data()["emailChangeBegin"].clone()
}

async fn code(gateway: &Gateway, address: &str, since: u64) -> String {
    let mail =
        timeout(PATIENCE, gateway.sandbox.mail().next(address, since)).await.expect("the mail arrives");
    mail.code.clone().expect("a code")
}

async fn begun(gateway: &Gateway, customer: &Customer<'_>, present: &str, new: &str) -> Begun {
    let since = gateway.mailed_so_far().await;
    let begun = begin(customer, new).await;
    assert_eq!(begun["userErrors"], json!([]), "{begun}");
    Begun {
        id: begun["challenge"]["id"].clone(),
        new: code(gateway, &new.trim().to_lowercase(), since).await,
        present: code(gateway, present, since).await,
    }
}

async fn try_finish(customer: &Customer<'_>, id: &Value, new: &str, present: &str) -> Value {
    let variables = json!({ "challengeId": id, "newCode": new, "presentCode": present });
    customer.operate(DOCUMENT, "EmailChangeFinish", variables).await.body
}

async fn finish(customer: &Customer<'_>, begun: &Begun) -> Value {
    let answer = try_finish(customer, &begun.id, &begun.new, &begun.present).await;
    assert!(answer["errors"].is_null(), "{answer}");
    answer["data"]["emailChangeFinish"].clone()
}

/// Says it again until it is no longer in progress.
async fn finish_at_last(customer: &Customer<'_>, begun: &Begun) -> Value {
    until("it ends", async || {
        let answer = finish(customer, begun).await;
        (answer["status"] != "IN_PROGRESS").then_some(answer)
    })
    .await
}

fn wrong(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

/// The addresses of the first client of a login, as staff see them.
async fn in_billing(gateway: &Gateway, email: &str) -> Vec<(Value, Value)> {
    let clients = clients(gateway, email).await;
    clients
        .iter()
        .map(|client| (client["email"].clone(), client["users"]["user"][0]["email"].clone()))
        .collect()
}

async fn sign_in(gateway: &Gateway, email: &str) -> Value {
    let input = json!({ "input": { "email": email, "password": DEMO_PASSWORD } });
    gateway.nobody().ask(SESSION, input).await.data()["sessionCreate"].clone()
}

#[tokio::test]
async fn an_address_that_was_proved_beside_the_present_one_is_in_force_everywhere() {
    let gateway = hasty().await;
    let old = email(&gateway, 1);
    let (customer, other) = (gateway.sign_in(1).await, gateway.sign_in(1).await);
    assert_eq!(customer.ask(WHO, json!({})).await.data()["viewer"]["profile"]["email"], old);
    // What is under way with the old address: a link for a new password, and a sign-in.
    let since = gateway.mailed_so_far().await;
    let reset = include_str!("../../examples/queries/password-reset-request.graphql");
    gateway.nobody().ask(reset, json!({ "email": old })).await.data();
    let link = timeout(PATIENCE, gateway.sandbox.mail().next(&old, since)).await.unwrap();
    let token = link.links[0].split_once("#token=").unwrap().1.to_owned();
    let since = gateway.mailed_so_far().await;
    let pending = sign_in(&gateway, &old).await["challenge"]["id"].clone();
    let pending_code = code(&gateway, &old, since).await;

    let begun = begun(&gateway, &customer, &old, "  Hanako.NEW@example.jp ").await;
    let since = gateway.mailed_so_far().await;
    let done = finish_at_last(&customer, &begun).await;
    assert_eq!((&done["status"], &done["userErrors"]), (&json!("COMPLETE"), &json!([])), "{done}");
    assert_eq!(done["profile"]["email"], NEW, "the next read is new");
    assert_eq!(finish(&customer, &begun).await["status"], "COMPLETE", "again makes no second change");

    assert_eq!(in_billing(&gateway, NEW).await, [(json!(NEW), json!(NEW))], "the client and its login");
    assert_eq!(in_billing(&gateway, &old).await, []);
    until("the CRM has it", async || accounts(&gateway, NEW).await.pop()).await;
    assert!(accounts(&gateway, &old).await.is_empty());

    assert_eq!(other.ask(WHO, json!({})).await.status, 401, "other sessions end");
    assert_eq!(customer.ask(WHO, json!({})).await.data()["viewer"]["profile"]["email"], NEW);
    let told = timeout(PATIENCE, gateway.sandbox.mail().next(&old, since)).await.unwrap();
    assert_eq!(told.subject, "Your e-mail address was changed");
    let text = told.text.as_deref().unwrap();
    assert!(text.contains("h***@example.jp") && text.contains("support") && !text.contains(NEW), "{text}");
    let told = timeout(PATIENCE, gateway.sandbox.mail().next(NEW, since)).await.unwrap();
    assert_eq!(told.subject, "Your new e-mail address is in use");

    let document = include_str!("../../examples/queries/password-reset.graphql");
    let variables = json!({ "token": token, "newPassword": "an entirely different staple" });
    let reset = gateway.nobody().ask(document, variables).await.data()["passwordReset"].clone();
    assert_eq!(reset["userErrors"][0]["code"], "RESET_LINK_VOID", "mailed to the old address");
    let document = include_str!("../../examples/queries/session-verify.graphql");
    let variables = json!({ "input": { "challengeId": pending, "code": pending_code } });
    let verified = gateway.nobody().ask(document, variables).await.data()["sessionVerify"].clone();
    assert_eq!(verified["userErrors"][0]["code"], "AUTH_OTP_EXPIRED", "mailed to the old address");
    assert_eq!(sign_in(&gateway, &old).await["userErrors"][0]["code"], "AUTH_INVALID_CREDENTIALS");
    assert!(sign_in(&gateway, NEW).await["challenge"]["id"].is_string());

    let events = gateway.app.store.audit_events(&Filter::default(), 0, 100).await.unwrap();
    let of_it: Vec<_> =
        events.iter().map(|event| &*event.act).filter(|act| act.starts_with("email.")).collect();
    assert_eq!(of_it.len(), 3, "{of_it:?}");
    assert!(of_it.contains(&"email.change") && !events.iter().any(|event| event.details.contains('@')));
}

#[tokio::test]
async fn nobody_learns_whether_the_new_address_is_somebodys() {
    let gateway = hasty().await;
    let (customer, theirs) = (gateway.sign_in(1).await, email(&gateway, 2));
    let since = gateway.mailed_so_far().await;
    let (free, taken) = (begin(&customer, NEW).await, begin(&customer, &theirs).await);
    let shape = |answer: &Value| {
        let mut shown = answer.clone();
        for of in ["newAddress", "presentAddress"] {
            shown["challenge"][of]["expiresAt"] = Value::Null;
            shown["challenge"][of]["sentTo"] = Value::Null;
        }
        shown["challenge"]["id"] = Value::Null;
        shown
    };
    assert_eq!(shape(&free), shape(&taken));
    let resend = async |begun: &Value| {
        let variables = json!({ "challengeId": begun["challenge"]["id"], "address": "NEW" });
        let answer = customer.operate(DOCUMENT, "EmailChangeResend", variables).await.data();
        let mut sent = answer["emailChangeResend"].clone();
        assert!(sent["code"]["expiresAt"].is_string(), "{sent}");
        sent["code"]["expiresAt"] = Value::Null;
        sent["code"]["sentTo"] = Value::Null;
        sent
    };
    assert_eq!(resend(&free).await, resend(&taken).await);
    gateway.mailed_so_far().await;
    let mailed = gateway.sandbox.mail().to(&theirs);
    let mailed: Vec<_> = mailed.iter().filter(|mail| mail.id > since).collect();
    assert_eq!(mailed.len(), 2);
    for mail in mailed {
        assert_eq!(mail.subject, "This e-mail address has an account already");
        assert_eq!(mail.code, None, "no code that could be used");
    }
    // The code at the present address alone is not enough, and a wrong one at a free address is refused in the same words.
    let present = gateway.sandbox.mail().to(&email(&gateway, 1));
    let codes: Vec<_> = present.iter().filter_map(|mail| mail.code.clone()).collect();
    let new = gateway.sandbox.mail().to(NEW).last().unwrap().code.clone().unwrap();
    let of_free = try_finish(&customer, &free["challenge"]["id"], &wrong(&new), &codes[0]).await;
    let of_taken = try_finish(&customer, &taken["challenge"]["id"], "123456", &codes[1]).await;
    assert_eq!(of_free["data"], of_taken["data"]);
    assert_eq!(of_free["data"]["emailChangeFinish"]["userErrors"][0]["code"], "AUTH_OTP_INVALID");
}

#[tokio::test]
async fn a_change_asks_for_a_fresh_proof_for_both_codes_and_for_the_session_that_began_it() {
    let gateway = hasty().await;
    let (old, customer, twin) = (email(&gateway, 1), gateway.sign_in(1).await, gateway.sign_in(1).await);
    for (new, refused) in [("nonsense", "INVALID_EMAIL"), (&*old.to_uppercase(), "EMAIL_UNCHANGED")] {
        let answer = begin(&customer, new).await;
        assert_eq!(answer["challenge"], Value::Null);
        let shown = (&answer["userErrors"][0]["code"], &answer["userErrors"][0]["field"]);
        assert_eq!(shown, (&json!(refused), &json!(["newEmail"])));
    }
    let begun = begun(&gateway, &customer, &old, NEW).await;
    let refused = async |who: &Customer<'_>, new: &str, present: &str| {
        let answer = try_finish(who, &begun.id, new, present).await["data"]["emailChangeFinish"].clone();
        assert_eq!(answer["status"], "REFUSED", "{answer}");
        let errors = answer["userErrors"].as_array().unwrap();
        let errors: Vec<_> = errors.iter().map(|error| json!([error["code"], error["field"][0]])).collect();
        (json!(errors), json!([answer["newTriesLeft"], answer["presentTriesLeft"]]))
    };
    let void = json!([["AUTH_OTP_EXPIRED", "newCode"], ["AUTH_OTP_EXPIRED", "presentCode"]]);
    assert_eq!(refused(&twin, &begun.new, &begun.present).await, (void.clone(), json!([0, 0])));
    let stranger = gateway.sign_in(3).await;
    assert_eq!(refused(&stranger, &begun.new, &begun.present).await.0, void);
    let both = json!([["AUTH_OTP_INVALID", "newCode"], ["AUTH_OTP_INVALID", "presentCode"]]);
    let (bad_new, bad_present) = (wrong(&begun.new), wrong(&begun.present));
    assert_eq!(refused(&customer, &bad_new, &bad_present).await, (both, json!([2, 2])));
    // Either address by itself is not enough.
    let one = json!([["AUTH_OTP_INVALID", "presentCode"]]);
    assert_eq!(refused(&customer, &begun.new, &begun.new).await.0, one);
    let answer = refused(&customer, &begun.present, &begun.present).await;
    assert_eq!(answer, (json!([["AUTH_OTP_INVALID", "newCode"]]), json!([0, null])));
    let answer = refused(&customer, &begun.new, &begun.present).await;
    assert_eq!(answer.0, void, "no try is left");
    assert_eq!(in_billing(&gateway, &old).await, [(json!(old), json!(old))]);

    gateway.app.clock.advance(TimeDelta::minutes(5));
    let answer = begin(&customer, NEW).await;
    assert_eq!(answer["userErrors"][0]["code"], "STEP_UP_REQUIRED");
    let nobody = gateway.nobody().operate(DOCUMENT, "EmailChangeBegin", json!({ "newEmail": NEW })).await;
    assert_eq!(nobody.body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
}

/// The change ended refused, which is on record for this customer, once a request.
async fn assert_on_record(gateway: &Gateway, customer: &Customer<'_>, code: &str) {
    let principal = gateway.app.identity.authenticate(customer.token.as_ref().unwrap()).await.unwrap();
    let mut rows = audit::rows(gateway).await;
    rows.retain(|row| row.act == "email.change" && row.subject_id == Some(principal.user.0));
    let requests: BTreeSet<_> = rows.iter().map(|row| row.request_id.clone()).collect();
    assert!(rows.len() > 1 && requests.len() == rows.len(), "one of each that was told: {rows:?}");
    assert_eq!(rows.iter().filter(|row| row.details.contains("workflow")).count(), 1, "and of its end");
    for row in &rows {
        assert_eq!((row.actor_kind.as_str(), row.reason.as_deref()), ("user", Some(code)), "{row:?}");
        assert!(row.request_id.is_some(), "{row:?}");
    }
}

#[tokio::test]
async fn what_billing_refuses_changes_nothing_anywhere() {
    let gateway = hasty().await;
    let unchanged = async |n: u64, new: &str| {
        let (old, customer) = (email(&gateway, n), gateway.sign_in(n).await);
        let begun = begun(&gateway, &customer, &old, new).await;
        let refused = finish_at_last(&customer, &begun).await;
        assert_eq!((&refused["status"], &refused["profile"]), (&json!("REFUSED"), &Value::Null), "{refused}");
        assert_eq!(finish(&customer, &begun).await["userErrors"], refused["userErrors"], "and again");
        assert_eq!(in_billing(&gateway, &old).await, [(json!(old), json!(old))], "{new}");
        assert_eq!(accounts(&gateway, &old).await.len(), 1);
        assert!(sign_in(&gateway, &old).await["challenge"]["id"].is_string());
        assert_eq!(customer.ask(WHO, json!({})).await.data()["viewer"]["profile"]["email"], old);
        let code = refused["userErrors"][0]["code"].clone();
        assert_on_record(&gateway, &customer, code.as_str().unwrap()).await;
        code
    };
    // A client who is no user here.
    assert_eq!(unchanged(1, &email(&gateway, 20)).await, "EMAIL_TAKEN");
    // A login without a client: found out after the client had the address already.
    let staff = [("firstname", "A"), ("lastname", "B"), ("email", NEW), ("password2", "correct horse")];
    gateway.sandbox.billing().staff("AddUser", &staff).await;
    assert_eq!(unchanged(2, NEW).await, "EMAIL_TAKEN");
    let rows = audit::rows(&gateway).await;
    let restored: Vec<_> = rows.iter().filter(|row| row.act == "email.restore").collect();
    assert_eq!(restored.len(), 2, "the login and the client: {restored:?}");
    for row in restored {
        assert_eq!((row.actor_kind.as_str(), row.outcome.as_str()), ("system", "done"), "{row:?}");
        assert!(row.request_id.is_some() && row.subject_id.is_some(), "{row:?}");
    }
    // And one that billing does not like, told without the vendor's words.
    let rule = Rule {
        operation: "UpdateClient".to_owned(),
        times: Some(1),
        message: Some("The email address entered is not valid".to_owned()),
        ..Rule::every(System::Whmcs, RuleKind::Business)
    };
    gateway.sandbox.core().faults.add(rule);
    assert_eq!(unchanged(3, "banned@example.jp").await, "EMAIL_REFUSED");
}

#[tokio::test]
async fn somebody_who_takes_the_address_meanwhile_gets_it_and_billing_gets_back_what_it_had() {
    let gateway = hasty().await;
    let (old, customer) = (email(&gateway, 1), gateway.sign_in(1).await);
    let begun = begun(&gateway, &customer, &old, NEW).await;
    let rule = Rule { operation: "UpdateUser".to_owned(), ..Rule::every(System::Whmcs, RuleKind::Status) };
    gateway.sandbox.core().faults.add(rule);
    let asking = finish(&customer, &begun);
    let taking = async {
        until("the client has it", async || clients(&gateway, NEW).await.pop()).await;
        let registration = Registration {
            email: NEW.to_owned(),
            client: ClientId(999_999),
            account: AccountId::parse("001000000000999").unwrap(),
            locale: "en",
        };
        let password = Credential::Password("an entirely different staple".to_owned().into());
        gateway.app.identity.register(&registration, password).await.unwrap();
        gateway.sandbox.core().faults.clear();
    };
    tokio::join!(asking, taking);
    let refused = finish_at_last(&customer, &begun).await;
    assert_eq!(refused["userErrors"][0]["code"], "EMAIL_TAKEN", "{refused}");
    assert_eq!(in_billing(&gateway, &old).await, [(json!(old), json!(old))]);
    assert!(sign_in(&gateway, &old).await["challenge"]["id"].is_string());
    assert_eq!(customer.ask(WHO, json!({})).await.data()["viewer"]["profile"]["email"], old);
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_and_a_system_that_is_away_costs_no_code() {
    let gateway = hasty().await;
    for (n, operation, applied) in [
        (1, "UpdateClient", true),
        (2, "UpdateClient", false),
        (3, "UpdateUser", true),
        (4, "UpdateUser", false),
    ] {
        let (old, new) = (email(&gateway, n), format!("new{n}@example.jp"));
        let customer = gateway.sign_in(n).await;
        let begun = begun(&gateway, &customer, &old, &new).await;
        let rule = Rule {
            operation: operation.to_owned(),
            applied,
            times: Some(1),
            ..Rule::every(System::Whmcs, RuleKind::Drop)
        };
        gateway.sandbox.core().faults.add(rule);
        assert_eq!(finish_at_last(&customer, &begun).await["status"], "COMPLETE", "{operation} {applied}");
        assert_eq!(in_billing(&gateway, &new).await, [(json!(new), json!(new))]);
    }
    let (old, customer) = (email(&gateway, 5), gateway.sign_in(5).await);
    let begun = begun(&gateway, &customer, &old, NEW).await;
    gateway.sandbox.core().faults.add(Rule::every(System::Whmcs, RuleKind::Status));
    let away = try_finish(&customer, &begun.id, &begun.new, &begun.present).await;
    assert_eq!(away["errors"][0]["extensions"]["code"], "SERVICE_UNAVAILABLE", "{away}");
    gateway.sandbox.core().faults.clear();
    until("billing is back", async || {
        let read = gateway.sign_in(6).await.ask(WHO, json!({})).await;
        read.body["errors"].is_null().then_some(())
    })
    .await;
    assert_eq!(finish_at_last(&customer, &begun).await["status"], "COMPLETE", "the same codes do");
}

#[tokio::test]
async fn right_codes_are_good_however_often_billing_is_away() {
    let gateway = hasty().await;
    let (old, customer) = (email(&gateway, 1), gateway.sign_in(1).await);
    let begun = begun(&gateway, &customer, &old, NEW).await;
    // It answers some other question each time, so that the gateway does not take it for gone and goes on trying.
    let rule = Rule { operation: "GetClients".to_owned(), ..Rule::every(System::Whmcs, RuleKind::Status) };
    gateway.sandbox.core().faults.add(rule);
    for _ in 0..4 {
        let away = try_finish(&customer, &begun.id, &begun.new, &begun.present).await;
        assert_eq!(away["errors"][0]["extensions"]["code"], "SERVICE_UNAVAILABLE", "{away}");
        let budget = Budget::new(PATIENCE, Lane::Interactive);
        assert!(gateway.app.billing.client(budget, ClientId(1001)).await.unwrap().is_some());
    }
    // A wrong one costs what it did.
    let refused = try_finish(&customer, &begun.id, &wrong(&begun.new), &begun.present).await;
    assert_eq!(refused["data"]["emailChangeFinish"]["newTriesLeft"], 2, "{refused}");
    gateway.sandbox.core().faults.clear();
    assert_eq!(finish_at_last(&customer, &begun).await["status"], "COMPLETE");
}

#[tokio::test]
async fn a_stranger_who_tries_codes_for_the_new_address_costs_the_present_one_no_try() {
    let gateway = hasty().await;
    let (old, customer) = (email(&gateway, 1), gateway.sign_in(1).await);
    let begun = begun(&gateway, &customer, &old, NEW).await;
    // As many as anybody may try for an address.
    let stranger = gateway.nobody();
    for tries in [3, 3, 3, 1] {
        let opened = stranger.operate(sign_up::DOCUMENT, "SignUpBegin", json!({ "email": NEW })).await.data();
        let challenge = &opened["signUpBegin"]["challenge"]["id"];
        for _ in 0..tries {
            let guess = json!({ "challengeId": challenge, "code": "000000" });
            stranger.operate(sign_up::DOCUMENT, "SignUpVerify", guess).await.data();
        }
    }
    for _ in 0..3 {
        let waits = try_finish(&customer, &begun.id, &begun.new, &begun.present).await;
        assert_eq!(waits["errors"][0]["extensions"]["code"], "RATE_LIMITED", "{waits}");
    }
    gateway.app.clock.advance(TimeDelta::minutes(1));
    assert_eq!(finish_at_last(&customer, &begun).await["status"], "COMPLETE");
}

#[tokio::test]
async fn what_was_mailed_to_the_old_address_neither_erases_nor_proves_who_is_there() {
    let gateway = hasty().await;
    let (old, customer) = (email(&gateway, 1), gateway.sign_in(1).await);
    let erase = include_str!("../../examples/queries/account-erase.graphql");
    let since = gateway.mailed_so_far().await;
    let erasure = customer.operate(erase, "AccountEraseBegin", json!({})).await.data();
    let erasure_code = code(&gateway, &old, since).await;
    let since = gateway.mailed_so_far().await;
    let step_up = include_str!("../../examples/queries/step-up-code.graphql");
    let step_up = customer.ask(step_up, json!({})).await.data();
    let step_up_code = code(&gateway, &old, since).await;

    let begun = begun(&gateway, &customer, &old, NEW).await;
    assert_eq!(finish_at_last(&customer, &begun).await["status"], "COMPLETE");

    let document = "mutation($id: ID!, $code: String!) {
        stepUp(input: { mailedCode: { challengeId: $id, code: $code } }) { freshUntil userErrors { code } } }";
    let variables = json!({ "id": step_up["stepUpCodeSend"]["challengeId"], "code": step_up_code });
    let proved = customer.ask(document, variables).await.data()["stepUp"].clone();
    assert_eq!(proved, json!({ "freshUntil": null, "userErrors": [{ "code": "AUTH_OTP_EXPIRED" }] }));
    let variables =
        json!({ "challengeId": erasure["accountEraseBegin"]["challengeId"], "code": erasure_code });
    let erased = customer.operate(erase, "AccountErase", variables).await.data()["accountErase"].clone();
    assert_eq!(
        (&erased["erased"], &erased["userErrors"][0]["code"]),
        (&json!(false), &json!("AUTH_OTP_EXPIRED"))
    );
    assert_eq!(customer.ask(WHO, json!({})).await.data()["viewer"]["profile"]["email"], NEW);
}

#[tokio::test]
async fn of_many_at_once_one_changes_it_and_all_learn_so() {
    let gateway = hasty().await;
    let (old, customer) = (email(&gateway, 1), gateway.sign_in(1).await);
    let begun = begun(&gateway, &customer, &old, NEW).await;
    let since = gateway.mailed_so_far().await;
    let all = futures::future::join_all((0..3).map(|_| finish_at_last(&customer, &begun))).await;
    assert!(all.iter().all(|answer| answer["status"] == "COMPLETE"), "{all:?}");
    gateway.mailed_so_far().await;
    let told = gateway.sandbox.mail().to(&old);
    assert_eq!(told.iter().filter(|mail| mail.id > since).count(), 1, "one notice");
}
