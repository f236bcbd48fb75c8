//! Getting started: somebody new becomes a customer of all three systems, once.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use portal_gateway::{
    app::App,
    deadline::{Budget, Lane},
    id::{AccountId, ClientId},
    identity::{Credential, Registration},
    sandbox::{
        core::{Rule, RuleKind, System},
        credentials::DEMO_PASSWORD,
        journal::{Filter, Kind},
    },
    store::workflows::Standing,
    upstream::salesforce::soql::{self, Select},
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::gateway::{Answer, Customer, Gateway, Wishes};

pub const DOCUMENT: &str = include_str!("../../examples/queries/sign-up.graphql");
const SESSION: &str = include_str!("../../examples/queries/session.graphql");
pub const EMAIL: &str = "zoe.obrien@example.jp";
pub const PASSWORD: &str = "an entirely different staple";
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway that tries again soon, and takes nothing for slow.
pub async fn hasty() -> Gateway {
    hasty_with(&[]).await
}

async fn hasty_with(more: &[(&'static str, &str)]) -> Gateway {
    hasty_of(more, false).await
}

async fn hasty_of(more: &[(&'static str, &str)], blind_resend: bool) -> Gateway {
    let mut env = HashMap::from([
        ("QUEUE_BACKOFF_DELAY", "50ms".to_owned()),
        ("QUEUE_BACKOFF_MOST", "200ms".to_owned()),
        ("QUEUE_POLL", "50ms".to_owned()),
        ("SIGN_UP_SETTLE", "0ms".to_owned()),
        ("WHMCS_TIMEOUT", "2s".to_owned()),
        ("SF_TIMEOUT", "2s".to_owned()),
    ]);
    env.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    Gateway::with(Wishes { env, blind_resend, ..Wishes::default() }).await
}

/// One operation of the document, by somebody who is not signed in.
pub async fn step(gateway: &Gateway, operation: &str, variables: Value) -> Answer {
    gateway.nobody().operate(DOCUMENT, operation, variables).await
}

/// Asks for a code, and gives the challenge with the code that was mailed.
pub async fn challenge(gateway: &Gateway, email: &str) -> (Value, String) {
    let since = gateway.mailed_so_far().await;
    let begun = step(gateway, "SignUpBegin", json!({ "email": email })).await.data();
    let challenge = begun["signUpBegin"]["challenge"].clone();
    assert!(challenge["id"].is_string(), "{begun}");
    let mail = timeout(PATIENCE, gateway.sandbox.mail().next(email, since)).await.expect("the code arrives");
    (challenge, mail.code.clone().unwrap())
}

/// Proves an address.
pub async fn verified(gateway: &Gateway, email: &str) -> Value {
    let (challenge, code) = challenge(gateway, email).await;
    let variables = json!({ "challengeId": challenge["id"], "code": code });
    let verified = step(gateway, "SignUpVerify", variables).await.data();
    let verification = verified["signUpVerify"]["verification"].clone();
    assert!(verification["token"].is_string(), "{verified}");
    verification
}

pub fn address() -> Value {
    json!({
        "postalCode": "1500041", "prefecture": "東京都", "city": "Shibuya-ku", "cityJapanese": "渋谷区",
        "town": "Jinnan", "townJapanese": "神南", "block": "1-19-11", "residence": "APARTMENT",
        "building": "Sunny Heights", "buildingJapanese": "サニーハイツ", "room": "203",
    })
}

pub fn form(token: &Value) -> Value {
    json!({
        "verification": token,
        "profile": {
            "firstName": "Zoë", "lastName": "O'Brien", "phone": "+81 90 1234 5678", "birthDate": "1990-01-31",
            "gender": "FEMALE", "nationality": "Ireland", "company": "Sample & Sons",
        },
        "address": address(),
        "password": PASSWORD,
        "termsVersion": "1",
    })
}

pub async fn complete(gateway: &Gateway, form: Value) -> Value {
    loop {
        let answer = step(gateway, "SignUpComplete", form.clone()).await;
        // Fifty at once may wait too long for a connection to the database: that is told, and may be tried again.
        let error = &answer.body["errors"][0]["extensions"];
        if error["code"] != "SERVICE_UNAVAILABLE" || !error["service"].is_null() {
            return answer.data()["signUpComplete"].clone();
        }
    }
}

/// Says it again until it is no longer in progress.
pub async fn complete_at_last(gateway: &Gateway, form: &Value) -> Value {
    timeout(PATIENCE, async {
        loop {
            let answer = complete(gateway, form.clone()).await;
            if answer["status"] != "IN_PROGRESS" {
                return answer;
            }
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("it ends")
}

/// The clients with an address, as staff see them.
pub async fn clients(gateway: &Gateway, email: &str) -> Vec<Value> {
    let found = gateway.sandbox.billing().staff("GetClients", &[("search", email)]).await;
    let mut clients = Vec::new();
    for row in found["clients"]["client"].as_array().into_iter().flatten() {
        let id = row["id"].to_string();
        let details =
            gateway.sandbox.billing().staff("GetClientsDetails", &[("clientid", id.trim_matches('"'))]).await;
        clients.push(details["client"].clone());
    }
    clients
}

/// Records of the CRM with everything that sign-up writes.
pub async fn accounts(gateway: &Gateway, email: &str) -> Vec<Value> {
    let soql = Select::from("Account")
        .fields([
            "Id",
            "FirstName",
            "LastName",
            "PersonEmail",
            "Phone",
            "PersonMobilePhone",
            "PersonBirthdate",
            "Sex__pc",
            "SF_Account_No__c",
            "WH_Account__c",
            "Portal_Status__c",
            "Portal_Registration_Source__c",
            "Portal_Last_SignIn__c",
            "BillingStreet",
            "BillingCity",
            "BillingState",
            "BillingPostalCode",
            "BillingCountry",
        ])
        .filter(soql::Filter::eq("PersonEmail", email))
        .build()
        .unwrap();
    let budget = Budget::new(PATIENCE, Lane::Interactive);
    gateway.app.upstreams.salesforce.query(budget, soql).await.unwrap()
}

/// Cases of an account that were opened for staff.
pub async fn staff_cases(gateway: &Gateway, account: &str) -> Vec<Value> {
    cases_of(&gateway.app, account).await
}

/// The same through another application.
pub async fn cases_of(app: &App, account: &str) -> Vec<Value> {
    let soql = Select::from("Case")
        .fields(["Subject", "Description", "Origin", "Portal_Case_Key__c"])
        .filter(soql::Filter::eq("AccountId", account).and(soql::Filter::eq("Origin", "Portal Notification")))
        .build()
        .unwrap();
    let budget = Budget::new(PATIENCE, Lane::Interactive);
    let all: Vec<Value> = app.upstreams.salesforce.query(budget, soql).await.unwrap();
    all.into_iter().filter(|case| !case["Portal_Case_Key__c"].is_null()).collect()
}

/// Waits until something is so.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{what}"))
}

pub fn fail(gateway: &Gateway, system: System, operation: &str, kind: RuleKind, applied: bool) {
    let rule = Rule { operation: operation.to_owned(), applied, times: Some(1), ..Rule::every(system, kind) };
    gateway.sandbox.core().faults.add(rule);
}

fn created(gateway: &Gateway, system: System, effect: &str, object: Option<&str>) -> usize {
    let filter = Filter { system: Some(system), kind: Some(Kind::Effect), ..Filter::default() };
    let entries = gateway.sandbox.core().journal.entries(&filter);
    let is_it = |detail: &Option<Box<serde_json::value::RawValue>>| {
        object.is_none_or(|object| {
            detail.as_ref().is_some_and(|detail| detail.get().contains(&format!("\"object\":\"{object}\"")))
        })
    };
    entries.iter().filter(|entry| &*entry.operation == effect && is_it(&entry.detail)).count()
}

/// One of each was made, whatever went wrong.
pub async fn assert_one_of_each(gateway: &Gateway, email: &str) {
    assert_eq!(clients(gateway, email).await.len(), 1, "one client");
    assert_eq!(accounts(gateway, email).await.len(), 1, "one account");
    assert_eq!(created(gateway, System::Whmcs, "ClientAdd", None), 1, "one client was added");
    assert_eq!(created(gateway, System::Salesforce, "create", Some("Account")), 1, "one account was created");
    assert!(gateway.app.store.user_by_email(email).await.unwrap().is_some(), "one user");
}

#[tokio::test]
async fn every_captured_field_lands_in_every_system_and_reads_back() {
    let gateway = hasty().await;
    let verification = verified(&gateway, EMAIL).await;
    assert_eq!(verification["routing"]["route"], "NEW_CUSTOMER");
    assert_eq!(verification["routing"]["prefill"], Value::Null);
    let done = complete(&gateway, form(&verification["token"])).await;
    assert_eq!((&done["status"], &done["userErrors"]), (&json!("COMPLETE"), &json!([])), "{done}");
    let number = done["viewer"]["profile"]["customerNumber"].as_str().unwrap().to_owned();

    let client = clients(&gateway, EMAIL).await.remove(0);
    let custom = |id: u64| {
        let fields = client["customfields"].as_array().unwrap();
        let field = fields.iter().find(|field| field["id"].to_string().trim_matches('"') == id.to_string());
        field.unwrap()["value"].clone()
    };
    for (name, value) in [
        ("firstname", "Zoë"),
        ("lastname", "O'Brien"),
        ("companyname", "Sample & Sons"),
        ("email", EMAIL),
        ("phonenumber", "090-1234-5678"),
        ("address1", "Sunny Heights 203"),
        ("address2", "Jinnan 1-19-11"),
        ("city", "Shibuya-ku"),
        ("state", "Tokyo"),
        ("postcode", "150-0041"),
        ("country", "JP"),
        ("language", "english"),
        ("status", "Active"),
    ] {
        let said = client[name].as_str().unwrap().replace("&#039;", "'").replace("&amp;", "&");
        assert_eq!(said, value, "{name}");
    }
    assert_eq!(client["isOptedInToMarketingEmails"], true);
    assert_eq!((custom(198), custom(201)), (json!(number), json!("1990-01-31")));
    assert_eq!((custom(202), custom(203)), (json!("Female"), json!("Ireland")));

    let account = until("the CRM is told", async || {
        let account = accounts(&gateway, EMAIL).await.remove(0);
        account["Portal_Status__c"].is_string().then_some(account)
    })
    .await;
    for (name, value) in [
        ("FirstName", "Zoë"),
        ("LastName", "O'Brien"),
        ("Phone", "090-1234-5678"),
        ("PersonMobilePhone", "090-1234-5678"),
        ("PersonBirthdate", "1990-01-31"),
        ("Sex__pc", "女性"),
        ("SF_Account_No__c", &number),
        ("Portal_Status__c", "Active"),
        ("Portal_Registration_Source__c", "New Signup"),
        ("BillingStreet", "神南1-19-11 サニーハイツ203号室"),
        ("BillingCity", "渋谷区"),
        ("BillingState", "東京都"),
        ("BillingPostalCode", "150-0041"),
        ("BillingCountry", "日本"),
        ("WH_Account__c", &format!("#{} - Zoë O'Brien", client["id"])),
    ] {
        assert_eq!(account[name], value, "{name}");
    }
    assert!(account["Portal_Last_SignIn__c"].is_string());

    let mut customer = gateway.nobody();
    customer.token = done["session"]["accessToken"].as_str().map(str::to_owned);
    let account = include_str!("../../examples/queries/account.graphql");
    let profile = customer.ask(account, json!({})).await.data()["viewer"]["profile"].clone();
    assert_eq!(
        profile,
        json!({
            "firstName": "Zoë", "lastName": "O'Brien", "fullName": "Zoë O'Brien", "companyName": "Sample & Sons",
            "email": EMAIL, "phone": "090-1234-5678", "language": "english", "customerNumber": number,
            "birthDate": "1990-01-31", "gender": "FEMALE", "nationality": "Ireland", "currency": "JPY",
            "address": {
                "line1": "Sunny Heights 203", "line2": "Jinnan 1-19-11", "city": "Shibuya-ku", "state": "Tokyo",
                "postalCode": "150-0041", "country": "JP",
            },
            "japaneseAddress": {
                "street": "神南1-19-11 サニーハイツ203号室", "city": "渋谷区", "prefecture": "東京都",
                "postalCode": "150-0041",
            },
        })
    );
    let user = gateway.app.store.user_by_email(EMAIL).await.unwrap().unwrap();
    let (terms, marketing, _) = gateway.app.store.consent(user.id).await.unwrap().unwrap();
    assert_eq!((terms.as_str(), marketing), ("1", true));
    // Billing's password is nobody's.
    let parameters = [("email", EMAIL), ("password2", PASSWORD)];
    assert_eq!(gateway.sandbox.billing().staff("ValidateLogin", &parameters).await["result"], "error");
    assert_one_of_each(&gateway, EMAIL).await;
}

#[tokio::test]
async fn fifty_at_once_make_one_client_one_account_and_one_user() {
    // Each of them opens a session, and none of these is to end the others.
    let gateway = hasty_with(&[("AUTH_SESSIONS_PER_USER", "100")]).await;
    let verification = verified(&gateway, EMAIL).await;
    let form = form(&verification["token"]);
    let answers = join_all((0..50).map(|_| complete(&gateway, form.clone()))).await;
    let done = answers.iter().filter(|answer| answer["status"] == "COMPLETE").count();
    assert_eq!(done, 50, "{answers:?}");
    assert_one_of_each(&gateway, EMAIL).await;
    // Another verification of the same address finds the account.
    let second = verified(&gateway, EMAIL).await;
    assert_eq!(second["routing"]["route"], "PORTAL_EXISTS");
    let refused = complete(&gateway, self::form(&second["token"])).await;
    assert_eq!(refused["userErrors"][0]["code"], "ACCOUNT_EXISTS");
    assert_one_of_each(&gateway, EMAIL).await;
}

#[tokio::test]
async fn a_lost_answer_is_given_again_to_whoever_chose_the_password_and_to_nobody_later() {
    let gateway = hasty().await;
    let verification = verified(&gateway, EMAIL).await;
    let form = form(&verification["token"]);
    let first = complete(&gateway, form.clone()).await;
    assert_eq!(first["status"], "COMPLETE", "{first}");
    let again = complete(&gateway, form.clone()).await;
    assert_eq!((&again["status"], &again["viewer"]["id"]), (&json!("COMPLETE"), &first["viewer"]["id"]));

    // Whoever got hold of the verification has no password.
    let refused = async |form: &Value| {
        let answer = complete(&gateway, form.clone()).await;
        assert_eq!((&answer["status"], &answer["session"]), (&json!("REFUSED"), &Value::Null), "{answer}");
        answer["userErrors"][0]["code"].clone()
    };
    let mut other = form.clone();
    other["password"] = json!("quite another horse battery");
    assert_eq!(refused(&other).await, "ACCOUNT_EXISTS");
    // Nor does the first one help once it was replaced.
    let owner = Customer::with(&gateway, again["session"]["accessToken"].as_str().unwrap().to_owned());
    let change = "mutation($input: PasswordChangeInput!) { passwordChange(input: $input) { changed } }";
    let input = json!({ "currentPassword": PASSWORD, "newPassword": "yet another horse battery" });
    assert_eq!(owner.ask(change, json!({ "input": input })).await.data()["passwordChange"]["changed"], true);
    assert_eq!(refused(&form).await, "ACCOUNT_EXISTS");
    // And after some minutes everybody signs in as always.
    other["password"] = json!("yet another horse battery");
    assert_eq!(complete(&gateway, other.clone()).await["status"], "COMPLETE");
    gateway.app.clock.advance(TimeDelta::minutes(5));
    assert_eq!(refused(&other).await, "ACCOUNT_EXISTS");
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once_and_costs_nothing() {
    let gateway = hasty().await;
    let verification = verified(&gateway, EMAIL).await;
    gateway.forget_calls();
    let mut bad = form(&verification["token"]);
    bad["profile"]["firstName"] = json!("  ");
    bad["profile"]["phone"] = json!("12");
    bad["profile"]["birthDate"] = json!("2030-01-01");
    bad["address"]["postalCode"] = json!("1");
    bad["address"]["prefecture"] = json!("Atlantis");
    bad["address"]["room"] = json!(null);
    bad["password"] = json!("O'Brien");
    bad["termsVersion"] = json!("0");
    let refused = complete(&gateway, bad).await;
    assert_eq!(refused["status"], "REFUSED");
    let told: Vec<_> = refused["userErrors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["code"].as_str().unwrap().to_owned(), error["field"].clone()))
        .collect();
    let expected = [
        ("REQUIRED", json!(["profile", "firstName"])),
        ("INVALID_PHONE", json!(["profile", "phone"])),
        ("INVALID_BIRTH_DATE", json!(["profile", "birthDate"])),
        ("INVALID_POSTAL_CODE", json!(["address", "postalCode"])),
        ("INVALID_PREFECTURE", json!(["address", "prefecture"])),
        ("REQUIRED", json!(["address", "room"])),
        ("PASSWORD_LENGTH", json!(["password"])),
        ("TERMS_OUTDATED", json!(["termsVersion"])),
    ];
    assert_eq!(told, expected.map(|(code, field)| (code.to_owned(), field)));
    assert_eq!(gateway.calls(), []);
    let done = complete(&gateway, form(&verification["token"])).await;
    assert_eq!(done["status"], "COMPLETE", "the verification is still good: {done}");
}

#[tokio::test]
async fn an_address_that_is_known_is_answered_like_any_other_until_it_is_proved() {
    let gateway = hasty().await;
    let world = &gateway.sandbox.core().world;
    let (user, client) = (world.customer(1), world.customer(20));
    let org = gateway.sandbox.salesforce();
    let staff_made = json!({
        "FirstName": "Hana", "LastName": "Walkin", "PersonEmail": "hana@example.jp", "PersonBirthdate": "1980-02-03",
        "PersonMobilePhone": "080-1111-2222", "Sex__pc": "女性", "SF_Account_No__c": "W777",
    });
    org.create("Account", &staff_made).unwrap();
    let mut shapes = Vec::new();
    for email in [EMAIL, &user.email, &client.email, "hana@example.jp"] {
        let answer = step(&gateway, "SignUpBegin", json!({ "email": email })).await.data();
        let challenge = &answer["signUpBegin"]["challenge"];
        shapes.push((answer["signUpBegin"]["userErrors"].clone(), challenge["triesLeft"].clone()));
    }
    assert!(shapes.iter().all(|shape| *shape == shapes[0]), "{shapes:?}");
    // Their codes are not those of the challenges that follow.
    for email in [EMAIL, &user.email, &client.email, "hana@example.jp"] {
        timeout(PATIENCE, gateway.sandbox.mail().next(email, 0)).await.expect("it arrives");
    }

    let routing = verified(&gateway, &user.email).await["routing"].clone();
    assert_eq!(routing["route"], "PORTAL_EXISTS");
    assert!(routing["handOff"]["token"].is_string());
    let routing = verified(&gateway, &client.email).await["routing"].clone();
    assert_eq!(routing["route"], "BILLING_UNMAPPED");
    assert_eq!(routing["prefill"]["lastName"], client.family);
    assert_eq!((&routing["prefill"]["hasAddress"], &routing["handOff"]), (&json!(true), &Value::Null));

    // Whom staff know: the account is taken over, with its number.
    let verification = verified(&gateway, "hana@example.jp").await;
    assert_eq!(verification["routing"]["route"], "CRM_UNMAPPED");
    let prefill = &verification["routing"]["prefill"];
    assert_eq!((&prefill["firstName"], &prefill["gender"]), (&json!("Hana"), &json!("FEMALE")));
    assert_eq!((&prefill["phone"], &prefill["birthDate"]), (&json!("080-1111-2222"), &json!("1980-02-03")));
    let done = complete(&gateway, form(&verification["token"])).await;
    assert_eq!(done["viewer"]["profile"]["customerNumber"], "W777", "{done}");
    let all = accounts(&gateway, "hana@example.jp").await;
    assert_eq!((all.len(), &all[0]["FirstName"]), (1, &json!("Hana")), "names are staff's to change");
    // Who is a client must link.
    let refused = complete(&gateway, form(&verified(&gateway, &client.email).await["token"])).await;
    assert_eq!(refused["userErrors"][0]["code"], "ACCOUNT_LINK_REQUIRED");
}

#[tokio::test]
async fn the_code_is_spared_for_five_minutes_after_the_proof_however_late_it_is_asked_for() {
    let gateway = hasty().await;
    let email = gateway.sandbox.core().world.customer(1).email.clone();
    let verification = verified(&gateway, &email).await;
    let proved_at = gateway.app.clock.now();
    let until = |routing: &Value| -> DateTime<Utc> {
        routing["handOff"]["expiresAt"].as_str().unwrap().parse().unwrap()
    };
    assert!(until(&verification["routing"]) <= proved_at + TimeDelta::minutes(5));
    let resume = async || {
        let variables = json!({ "verification": verification["token"] });
        let resumed = step(&gateway, "SignUpResume", variables).await.data();
        resumed["signUpResume"]["verification"]["routing"].clone()
    };
    let enter = async |token: &Value| {
        let input = json!({ "email": email, "password": DEMO_PASSWORD, "handOffToken": token });
        gateway.nobody().ask(SESSION, json!({ "input": input })).await.data()["sessionCreate"].clone()
    };
    gateway.app.clock.advance(TimeDelta::minutes(4));
    let again = resume().await;
    assert_eq!(until(&again), until(&verification["routing"]), "the time goes on from the proof");
    assert!(enter(&again["handOff"]["token"]).await["session"]["accessToken"].is_string());
    let last = resume().await["handOff"]["token"].clone();
    gateway.app.clock.advance(TimeDelta::minutes(1));
    assert!(enter(&last).await["challenge"]["id"].is_string(), "it has run out");
    let late = resume().await;
    assert_eq!((&late["route"], &late["handOff"]), (&json!("PORTAL_EXISTS"), &Value::Null));
}

#[tokio::test]
async fn three_wrong_codes_are_the_end_and_a_verification_ends_with_its_time() {
    let gateway = hasty().await;
    let (challenge, code) = challenge(&gateway, EMAIL).await;
    let wrong = if code == "000000" { "000001" } else { "000000" };
    for left in [2, 1, 0] {
        let variables = json!({ "challengeId": challenge["id"], "code": wrong });
        let answer = step(&gateway, "SignUpVerify", variables).await.data();
        assert_eq!(answer["signUpVerify"]["triesLeft"], left, "{answer}");
    }
    let variables = json!({ "challengeId": challenge["id"], "code": code });
    let late = step(&gateway, "SignUpVerify", variables).await.data();
    assert_eq!(late["signUpVerify"]["userErrors"][0]["code"], "AUTH_OTP_EXPIRED");
    let verification = verified(&gateway, EMAIL).await;
    for token in [json!("bm90aGluZw"), json!("§")] {
        let refused = complete(&gateway, form(&token)).await;
        assert_eq!(refused["userErrors"][0]["code"], "VERIFICATION_EXPIRED");
    }
    gateway.app.clock.advance(TimeDelta::minutes(31));
    let refused = complete(&gateway, form(&verification["token"])).await;
    assert_eq!(refused["userErrors"][0]["code"], "VERIFICATION_EXPIRED");
    assert_eq!(clients(&gateway, EMAIL).await.len(), 0);
}

#[tokio::test]
async fn what_billing_refuses_leaves_nothing_in_the_portal_and_can_be_put_right() {
    let gateway = hasty().await;
    let verification = verified(&gateway, EMAIL).await;
    fail(&gateway, System::Whmcs, "AddClient", RuleKind::Business, false);
    let refused = complete(&gateway, form(&verification["token"])).await;
    assert_eq!(refused["status"], "REFUSED");
    assert_eq!(refused["userErrors"][0]["code"], "BILLING_CREATE_FAILED");
    assert!(gateway.app.store.user_by_email(EMAIL).await.unwrap().is_none());
    let done = complete(&gateway, form(&verification["token"])).await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
    assert_one_of_each(&gateway, EMAIL).await;
}

#[tokio::test]
async fn a_system_that_is_away_is_told_and_nothing_is_left_behind() {
    let gateway = hasty().await;
    for (system, operation, service) in
        [(System::Whmcs, "GetClients", "BILLING"), (System::Salesforce, "query", "CRM")]
    {
        let verification = verified(&gateway, EMAIL).await;
        let rule = Rule { operation: operation.to_owned(), ..Rule::every(system, RuleKind::Status) };
        gateway.sandbox.core().faults.add(rule);
        let answer = step(&gateway, "SignUpComplete", form(&verification["token"])).await;
        let error = &answer.body["errors"][0]["extensions"];
        assert_eq!((&error["code"], &error["service"]), (&json!("SERVICE_UNAVAILABLE"), &json!(service)));
        assert_eq!(error["retryable"], true);
        gateway.sandbox.core().faults.clear();
        assert!(gateway.app.store.user_by_email(EMAIL).await.unwrap().is_none());
        // The breaker has to see that the system is back.
        sleep(Duration::from_millis(1_500)).await;
    }
    let verification = verified(&gateway, EMAIL).await;
    let done = complete_at_last(&gateway, &form(&verification["token"])).await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
    assert_one_of_each(&gateway, EMAIL).await;
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_looked_up_and_never_repeated() {
    for (system, operation) in
        [(System::Whmcs, "AddClient"), (System::Salesforce, "upsert"), (System::Salesforce, "update")]
    {
        for kind in [RuleKind::Drop, RuleKind::Hang, RuleKind::Garbage] {
            for applied in [true, false] {
                let gateway = hasty().await;
                let verification = verified(&gateway, EMAIL).await;
                fail(&gateway, system, operation, kind, applied);
                println!("{operation} {kind:?}, applied: {applied}");
                let done = complete_at_last(&gateway, &form(&verification["token"])).await;
                assert_eq!(done["status"], "COMPLETE", "{operation} {kind:?} {applied}: {done}");
                until("the CRM is told", async || {
                    (accounts(&gateway, EMAIL).await[0]["Portal_Status__c"] == "Active").then_some(())
                })
                .await;
                assert!(gateway.sandbox.core().faults.list().is_empty(), "{operation}: it struck");
                assert_one_of_each(&gateway, EMAIL).await;
                assert_eq!(sent_blindly(&gateway), 0, "{operation} {kind:?} {applied}");
            }
        }
    }
}

/// How often a client was created again without a look for the one that the call before may have made. Billing takes no
/// second client of an address, so that alone would hide it.
fn sent_blindly(gateway: &Gateway) -> usize {
    let filter = Filter { kind: Some(Kind::Call), system: Some(System::Whmcs), ..Filter::default() };
    let (mut blind, mut is_unknown) = (0, false);
    for call in gateway.sandbox.core().journal.entries(&filter) {
        match &*call.operation {
            "AddClient" => {
                blind += usize::from(is_unknown);
                is_unknown = true;
            }
            "GetClients" => is_unknown = false,
            _ => {}
        }
    }
    blind
}

#[tokio::test]
async fn a_client_that_is_created_again_without_a_look_is_noticed() {
    let gateway = hasty_of(&[], true).await;
    let verification = verified(&gateway, EMAIL).await;
    fail(&gateway, System::Whmcs, "AddClient", RuleKind::Drop, true);
    let done = complete_at_last(&gateway, &form(&verification["token"])).await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
    assert_eq!(sent_blindly(&gateway), 1, "the planted fault was not seen");
}

#[tokio::test]
async fn a_user_that_cannot_be_stored_leaves_an_inactive_client_and_a_task_for_staff() {
    let gateway = hasty_with(&[("QUEUE_BACKOFF_DELAY", "2s"), ("QUEUE_BACKOFF_MOST", "2s")]).await;
    let verification = verified(&gateway, EMAIL).await;
    fail(&gateway, System::Whmcs, "AddClient", RuleKind::Drop, true);
    let form = form(&verification["token"]);
    let completing = complete_at_last(&gateway, &form);
    // While the answer of billing is lost, somebody else takes the address.
    let taking = async {
        until("the client is made", async || clients(&gateway, EMAIL).await.into_iter().next()).await;
        let other = Registration {
            email: EMAIL.to_owned(),
            client: ClientId(9_000_001),
            account: AccountId::parse("001000000000001").unwrap(),
            locale: "en",
        };
        let credential = Credential::Password(PASSWORD.into());
        gateway.app.identity.register(&other, credential).await.unwrap();
    };
    let (refused, ()) = tokio::join!(completing, taking);
    assert_eq!(refused["status"], "REFUSED", "{refused}");
    assert_eq!(refused["userErrors"][0]["code"], "ACCOUNT_EXISTS");
    let clients = clients(&gateway, EMAIL).await;
    assert_eq!((clients.len(), &clients[0]["status"]), (1, &json!("Inactive")));
    let account = accounts(&gateway, EMAIL).await.remove(0);
    let cases = staff_cases(&gateway, account["Id"].as_str().unwrap()).await;
    assert_eq!(cases.len(), 1);
    let told = cases[0]["Description"].as_str().unwrap();
    assert!(told.contains("inactive") && !told.contains(EMAIL), "{told}");
}

#[tokio::test]
async fn a_sign_up_that_takes_long_is_told_to_be_in_progress_and_ends_by_itself() {
    let gateway = hasty_with(&[("SIGN_UP_WAIT", "0ms")]).await;
    let verification = verified(&gateway, EMAIL).await;
    let form = form(&verification["token"]);
    let first = complete(&gateway, form.clone()).await;
    assert_eq!((&first["status"], &first["userErrors"]), (&json!("IN_PROGRESS"), &json!([])), "{first}");
    let done = complete_at_last(&gateway, &form).await;
    assert_eq!(done["status"], "COMPLETE");
    assert_one_of_each(&gateway, EMAIL).await;
    // Nothing of the person is left in the row.
    let id = gateway.app.sign_up.resume(verification["token"].as_str().unwrap().into()).await.unwrap();
    let standing = gateway.app.store.workflow_standing(id.verification.id).await.unwrap();
    assert!(matches!(standing, Some(Standing::Done(_))));
}
