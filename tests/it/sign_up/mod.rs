//! Getting started: somebody new becomes a customer of all three systems, once.

mod faults;
mod once;
mod routes;
mod settling;

use std::{collections::HashMap, time::Duration};

use portal_gateway::{
    sandbox::{
        core::{Rule, RuleKind, System},
        journal::{Filter, Kind},
    },
    upstream::salesforce::soql,
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    availability,
    gateway::{Answer, Gateway, Wishes},
    records,
};

pub const DOCUMENT: &str = include_str!("../../../examples/queries/sign-up.graphql");
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
    challenge_in(gateway, email, "ENGLISH").await
}

async fn challenge_in(gateway: &Gateway, email: &str, language: &str) -> (Value, String) {
    let since = gateway.mailed_so_far().await;
    let begun = step(gateway, "SignUpBegin", json!({ "email": email, "language": language })).await.data();
    let challenge = begun["signUpBegin"]["challenge"].clone();
    assert!(challenge["id"].is_string(), "{begun}");
    let mail = timeout(PATIENCE, gateway.sandbox.mail().next(email, since)).await.expect("the code arrives");
    (challenge, mail.code.clone().unwrap())
}

/// Proves an address.
pub async fn verified(gateway: &Gateway, email: &str) -> Value {
    verified_in(gateway, email, "ENGLISH").await
}

async fn verified_in(gateway: &Gateway, email: &str, language: &str) -> Value {
    let (challenge, code) = challenge_in(gateway, email, language).await;
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
        "acceptsMarketing": true,
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
    records::clients(&gateway.sandbox, email).await
}

/// Records of the CRM with everything that sign-up writes.
pub async fn accounts(gateway: &Gateway, email: &str) -> Vec<Value> {
    records::accounts(&gateway.app, email).await
}

/// Cases of an account that were opened for staff.
pub async fn staff_cases(gateway: &Gateway, account: &str) -> Vec<Value> {
    records::staff_cases(&gateway.app, account).await
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
        ("PersonEmail", EMAIL),
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
    // It was found by its address; this one by the number.
    let numbered = soql::Filter::eq("SF_Account_No__c", &*number);
    let numbered = availability::records(&gateway.app, "Account", &["PersonEmail"], numbered).await;
    let [only] = &numbered[..] else { panic!("{numbered:?}") };
    assert_eq!(only["PersonEmail"], EMAIL);

    let mut customer = gateway.nobody();
    customer.token = done["session"]["accessToken"].as_str().map(str::to_owned);
    let account = include_str!("../../../examples/queries/account.graphql");
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
async fn what_somebody_says_in_japanese_lands_in_every_system_and_no_advertising_is_none() {
    let gateway = hasty().await;
    let verification = verified_in(&gateway, EMAIL, "JAPANESE").await;
    let mut said = form(&verification["token"]);
    said["profile"] = json!({
        "firstName": "花子", "lastName": "山田", "phone": "０９０－１２３４－５６７８", "birthDate": "1985-12-01",
        "gender": "MALE", "nationality": "日本", "company": "山田商店",
    });
    said["acceptsMarketing"] = json!(false);
    let done = complete(&gateway, said).await;
    assert_eq!((&done["status"], &done["userErrors"]), (&json!("COMPLETE"), &json!([])), "{done}");
    let number = done["viewer"]["profile"]["customerNumber"].as_str().unwrap().to_owned();

    let client = clients(&gateway, EMAIL).await.remove(0);
    for (name, value) in [
        ("firstname", "花子"),
        ("lastname", "山田"),
        ("companyname", "山田商店"),
        ("email", EMAIL),
        ("phonenumber", "090-1234-5678"),
        ("address1", "Sunny Heights 203"),
        ("state", "Tokyo"),
        ("language", "japanese"),
    ] {
        assert_eq!(client[name], value, "{name}");
    }
    assert_eq!(client["marketing_emails_opt_in"], false);
    let fields = client["customfields"].to_string();
    for value in [&*number, "1985-12-01", "Male", "日本"] {
        assert!(fields.contains(value), "{value}: {fields}");
    }

    let account = until("the CRM is told", async || {
        let account = accounts(&gateway, EMAIL).await.remove(0);
        account["Portal_Status__c"].is_string().then_some(account)
    })
    .await;
    for (name, value) in [
        ("FirstName", "花子"),
        ("LastName", "山田"),
        ("PersonEmail", EMAIL),
        ("Phone", "090-1234-5678"),
        ("PersonBirthdate", "1985-12-01"),
        ("Sex__pc", "男性"),
        ("SF_Account_No__c", &number),
        ("BillingStreet", "神南1-19-11 サニーハイツ203号室"),
        ("WH_Account__c", &format!("#{} - 花子 山田", client["id"])),
    ] {
        assert_eq!(account[name], value, "{name}");
    }

    let mut customer = gateway.nobody();
    customer.token = done["session"]["accessToken"].as_str().map(str::to_owned);
    let document = include_str!("../../../examples/queries/account.graphql");
    let profile = customer.ask(document, json!({})).await.data()["viewer"]["profile"].clone();
    for (name, value) in [
        ("firstName", "花子"),
        ("lastName", "山田"),
        ("companyName", "山田商店"),
        ("email", EMAIL),
        ("language", "japanese"),
        ("birthDate", "1985-12-01"),
        ("gender", "MALE"),
        ("nationality", "日本"),
    ] {
        assert_eq!(profile[name], value, "{name}");
    }
    let user = gateway.app.store.user_by_email(EMAIL).await.unwrap().unwrap();
    assert_eq!(user.locale, "ja");
    assert!(!gateway.app.store.consent(user.id).await.unwrap().unwrap().1);
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
