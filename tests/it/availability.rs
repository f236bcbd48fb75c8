//! What internet can be had at an address: asked by a guest, or by whoever signs up with it.

use chrono::TimeDelta;
use futures::future::join_all;
use portal_gateway::{
    app::App,
    deadline::{Budget, Lane},
    sandbox::{
        Sandbox,
        core::{Rule, RuleKind, System},
        journal::{Filter, Kind},
    },
    store::audit,
    upstream::salesforce::soql::{self, Select},
};
use serde_json::{Value, json};
use tokio::time::Duration;

use crate::{
    gateway::{Answer, Gateway},
    sign_up::{EMAIL, address, clients, complete_at_last, fail, form, hasty, until, verified},
};

pub const DOCUMENT: &str = include_str!("../../examples/queries/availability.graphql");
const PATIENCE: Duration = Duration::from_secs(60);

/// What a guest writes.
pub fn guest(email: &str) -> Value {
    json!({ "firstName": "Zoë", "lastName": "O'Brien", "email": email, "address": address() })
}

async fn ask(gateway: &Gateway, form: Value) -> Answer {
    gateway.nobody().operate(DOCUMENT, "AvailabilityRequest", form).await
}

async fn submit(gateway: &Gateway, form: Value) {
    let answer = ask(gateway, form).await.data()["availabilityRequest"].clone();
    assert_eq!(answer, json!({ "submitted": true, "userErrors": [] }));
}

/// Records of the CRM, the oldest first.
pub async fn records(app: &App, object: &str, fields: &[&str], filter: soql::Filter) -> Vec<Value> {
    let select = Select::from(object).fields(["Id", "LastModifiedDate"]).fields(fields).filter(filter);
    let soql = select.order_by("CreatedDate", soql::Direction::Ascending).build().unwrap();
    // They are asked for by the gateway's own client, which may still believe that the CRM is away.
    until("the CRM answers", async || {
        let budget = Budget::new(PATIENCE, Lane::Interactive);
        app.upstreams.salesforce.query(budget, soql.clone()).await.ok()
    })
    .await
}

const ACCOUNT: [&str; 15] = [
    "FirstName",
    "LastName",
    "PersonEmail",
    "Phone",
    "SF_Account_No__c",
    "WH_Account__c",
    "Portal_Status__c",
    "BillingStreet",
    "BillingCity",
    "BillingState",
    "BillingPostalCode",
    "Internet_Eligibility__c",
    "Internet_Eligibility_Status__c",
    "Internet_Eligibility_Request_Date_Time__c",
    "Internet_Eligibility_Case_Id__c",
];

/// The accounts with an address.
pub async fn accounts(app: &App, email: &str) -> Vec<Value> {
    records(app, "Account", &ACCOUNT, soql::Filter::eq("PersonEmail", email)).await
}

/// The opportunities of an account.
pub async fn opportunities(app: &App, account: &Value) -> Vec<Value> {
    let fields = [
        "Name",
        "StageName",
        "CloseDate",
        "CommodityType__c",
        "Opportunity_Source__c",
        "Application_Stage__c",
        "WHMCS_Service_ID__c",
    ];
    records(app, "Opportunity", &fields, soql::Filter::eq("AccountId", text(&account["Id"]))).await
}

/// The cases of an account in which staff check an address, as far as they are of ours.
pub async fn checks(app: &App, account: &Value) -> Vec<Value> {
    let fields =
        ["Subject", "Description", "Origin", "Type", "Status", "Opportunity__c", "Portal_Case_Key__c"];
    let of_account = soql::Filter::eq("AccountId", text(&account["Id"]));
    let origin = soql::Filter::eq("Origin", "Eligibility Request");
    let mut cases = records(app, "Case", &fields, of_account.and(origin)).await;
    cases.retain(|case| {
        case["Portal_Case_Key__c"].as_str().is_some_and(|key| key.starts_with("availability-"))
    });
    cases
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}"))
}

/// Waits until an address has an account with so many checks; gives both.
async fn checked(gateway: &Gateway, email: &str, count: usize) -> (Value, Vec<Value>) {
    until("staff have the case", async || {
        let account = accounts(&gateway.app, email).await.first()?.clone();
        let found = checks(&gateway.app, &account).await;
        (found.len() >= count).then_some((account, found))
    })
    .await
}

/// Waits until the account says that the check is pending.
async fn pending(gateway: &Gateway, email: &str) -> Value {
    until("the check is pending", async || {
        let account = accounts(&gateway.app, email).await.first()?.clone();
        (account["Internet_Eligibility_Status__c"] == "Pending").then_some(account)
    })
    .await
}

/// Records of an object that were created through the interface.
pub fn created(sandbox: &Sandbox, object: &str) -> usize {
    let filter = Filter {
        system: Some(System::Salesforce),
        operation: Some("create".to_owned()),
        kind: Some(Kind::Effect),
        ..Filter::default()
    };
    let is_it = format!("\"object\":\"{object}\"");
    let entries = sandbox.core().journal.entries(&filter);
    let details = entries.iter().filter_map(|entry| entry.detail.as_ref());
    details.filter(|detail| detail.get().contains(&is_it)).count()
}

#[tokio::test]
async fn a_guest_gets_an_account_an_opportunity_and_a_case_and_no_login() {
    let gateway = hasty().await;
    submit(&gateway, guest(&EMAIL.to_uppercase())).await;
    let account = pending(&gateway, EMAIL).await;
    for (name, value) in [
        ("FirstName", "Zoë"),
        ("LastName", "O'Brien"),
        ("PersonEmail", EMAIL),
        ("BillingStreet", "神南1-19-11 サニーハイツ203号室"),
        ("BillingCity", "渋谷区"),
        ("BillingState", "東京都"),
        ("BillingPostalCode", "150-0041"),
    ] {
        assert_eq!(account[name], value, "{name}");
    }
    assert!(text(&account["SF_Account_No__c"]).starts_with('P'));
    assert!(account["Portal_Status__c"].is_null(), "no portal user: {account}");
    let opportunities = opportunities(&gateway.app, &account).await;
    assert_eq!(opportunities.len(), 1, "{opportunities:?}");
    for (name, value) in [
        ("StageName", "Introduction"),
        ("CloseDate", "2026-12-20"),
        ("CommodityType__c", "Internet"),
        ("Opportunity_Source__c", "Portal - Internet Eligibility Request"),
        ("Application_Stage__c", "INTRO-1"),
    ] {
        assert_eq!(opportunities[0][name], value, "{name}");
    }
    let checks = checks(&gateway.app, &account).await;
    assert_eq!(checks.len(), 1, "{checks:?}");
    let check = &checks[0];
    assert_eq!((&check["Opportunity__c"], &check["Type"]), (&opportunities[0]["Id"], &json!("Internet")));
    assert_eq!(account["Internet_Eligibility_Case_Id__c"], check["Id"]);
    assert!(text(&account["Internet_Eligibility_Request_Date_Time__c"]).starts_with("2026-11-20T03:"));
    let told = text(&check["Description"]);
    for words in [
        "Zoë O'Brien",
        EMAIL,
        "NOT verified",
        "東京都渋谷区 神南1-19-11 サニーハイツ203号室",
        "Sunny Heights 203, Jinnan 1-19-11, Shibuya-ku, Tokyo 150-0041",
        "Account: newly created",
        "Opportunity: newly created",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(gateway.app.store.user_by_email(EMAIL).await.unwrap().is_none());
    assert_eq!(clients(&gateway, EMAIL).await.len(), 0, "billing hears nothing");
    let filter = audit::Filter { act: Some("availability.request".to_owned()), ..audit::Filter::default() };
    let events = gateway.app.store.audit_events(&filter, 0, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert!(!events[0].details.contains('@'), "{}", events[0].details);
}

#[tokio::test]
async fn who_types_the_address_of_a_customer_changes_nothing_of_theirs_and_learns_nothing() {
    let gateway = hasty().await;
    let email = gateway.sandbox.core().world.customer(1).email.clone();
    let counts = "{ viewer { cases(first: 100) { totalCount nodes { subject } } } }";
    let customer = gateway.sign_in(1).await;
    let shown = customer.ask(counts, json!({})).await.data();
    let before = accounts(&gateway.app, &email).await.remove(0);
    let known = opportunities(&gateway.app, &before).await;
    gateway.forget_calls();
    let answers = [ask(&gateway, guest(&email)).await.body, ask(&gateway, guest(EMAIL)).await.body];
    assert_eq!(answers[0]["data"], answers[1]["data"], "the same for both");
    let (account, checks) = checked(&gateway, &email, 1).await;
    pending(&gateway, EMAIL).await;
    assert_eq!(account, before, "not even touched");
    let told = text(&checks[0]["Description"]);
    assert!(told.contains("matched by the e-mail address, and left as it was"), "{told}");

    // Its own opportunities are as they were; one more is there.
    let now = opportunities(&gateway.app, &account).await;
    assert_eq!(now.len(), known.len() + 1, "{now:?}");
    assert!(known.iter().all(|one| now.contains(one)), "{known:?}\n{now:?}");
    let new = now.iter().find(|one| !known.contains(one)).unwrap();
    assert_eq!((&new["StageName"], &new["Id"]), (&json!("Introduction"), &checks[0]["Opportunity__c"]));
    // As they are when what is kept is read anew.
    gateway.app.clock.advance(TimeDelta::minutes(2));
    assert_eq!(customer.ask(counts, json!({})).await.data(), shown, "the customer sees no case of strangers");
}

#[tokio::test]
async fn an_opportunity_in_its_first_stage_is_matched_and_no_other_is() {
    let gateway = hasty().await;
    let (org, app) = (gateway.sandbox.salesforce(), &gateway.app);
    let email = "hana@example.jp";
    let person = json!({ "FirstName": "Hana", "LastName": "Walkin", "PersonEmail": email });
    let account = org.create("Account", &person).unwrap();
    let open = |stage: &str, product: &str, service: Option<&str>| {
        let fields = json!({
            "Name": "Walk-in", "AccountId": account.as_str(), "StageName": stage, "CloseDate": "2026-12-01",
            "CommodityType__c": product, "WHMCS_Service_ID__c": service,
        });
        org.create("Opportunity", &fields).unwrap()
    };
    for (stage, product, service) in [
        ("Ready", "Internet", None),
        ("Active", "Internet", Some("77")),
        ("Introduction", "SIM", None),
        ("Introduction", "Internet", Some("78")),
    ] {
        open(stage, product, service);
    }
    submit(&gateway, guest(email)).await;
    let (account, first) = checked(&gateway, email, 1).await;
    assert!(text(&first[0]["Description"]).contains("Opportunity: newly created"), "{first:?}");
    assert_eq!(opportunities(app, &account).await.len(), 5);
    // The next one is matched with that.
    gateway.sandbox.core().clock.advance(TimeDelta::seconds(1));
    let mut other = guest(email);
    other["address"]["room"] = json!("204");
    submit(&gateway, other).await;
    let (_, both) = checked(&gateway, email, 2).await;
    assert_eq!(both[1]["Opportunity__c"], both[0]["Opportunity__c"]);
    assert!(text(&both[1]["Description"]).contains("Opportunity: matched"), "{both:?}");
    assert!(text(&both[1]["Description"]).contains("204号室"), "{both:?}");
    assert_eq!(opportunities(app, &account).await.len(), 5);
    // When staff have moved it on, another one begins.
    org.edit("Opportunity", text(&both[0]["Opportunity__c"]), &json!({ "StageName": "Ready" })).unwrap();
    gateway.sandbox.core().clock.advance(TimeDelta::seconds(1));
    let mut third = guest(email);
    third["address"]["room"] = json!("205");
    submit(&gateway, third).await;
    let (_, all) = checked(&gateway, email, 3).await;
    assert_ne!(all[2]["Opportunity__c"], all[0]["Opportunity__c"]);
    let now = opportunities(app, &account).await;
    let moved = now.iter().find(|one| one["Id"] == all[0]["Opportunity__c"]).unwrap();
    assert_eq!((now.len(), &moved["StageName"]), (6, &json!("Ready")), "{now:?}");
    assert_eq!(accounts(app, email).await.len(), 1);
}

#[tokio::test]
async fn of_several_accounts_the_oldest_is_taken_and_staff_are_told() {
    let gateway = hasty().await;
    let org = gateway.sandbox.salesforce();
    let email = "twice@example.jp";
    for name in ["First", "Second"] {
        org.create("Account", &json!({ "LastName": name, "PersonEmail": email })).unwrap();
        gateway.sandbox.core().clock.advance(TimeDelta::seconds(1));
    }
    submit(&gateway, guest(email)).await;
    let (account, checks) = checked(&gateway, email, 1).await;
    assert_eq!(account["LastName"], "First");
    assert!(text(&checks[0]["Description"]).contains("Several accounts"), "{checks:?}");
    assert_eq!(accounts(&gateway.app, email).await.len(), 2);
}

#[tokio::test]
async fn the_same_form_is_one_request_and_others_of_one_guest_meet_in_one_account() {
    let gateway = hasty().await;
    let mut other = guest(EMAIL);
    other["address"]["room"] = json!("204");
    // As many as the limit lets through.
    let forms = [guest(EMAIL), guest(EMAIL), guest(EMAIL), other.clone(), other];
    join_all(forms.map(|form| submit(&gateway, form))).await;
    let (account, checks) = checked(&gateway, EMAIL, 2).await;
    pending(&gateway, EMAIL).await;
    assert_eq!(checks.len(), 2, "{checks:?}");
    assert_eq!(checks[0]["Opportunity__c"], checks[1]["Opportunity__c"]);
    assert_eq!(accounts(&gateway.app, EMAIL).await.len(), 1);
    assert_eq!(opportunities(&gateway.app, &account).await.len(), 1);
    // The sixth is one too many, whoever has the address.
    let known = gateway.sandbox.core().world.customer(1).email.clone();
    for email in [EMAIL, &known] {
        let asked = join_all((0..6).map(|_| ask(&gateway, guest(email)))).await;
        let limited = asked.iter().filter(|answer| {
            let error = &answer.body["errors"][0]["extensions"];
            error["code"] == "RATE_LIMITED" && error["retryAfterMs"].is_u64()
        });
        assert_eq!(limited.count(), if email == EMAIL { 6 } else { 1 });
    }
}

#[tokio::test]
async fn all_that_is_wrong_with_the_form_is_told_and_nothing_is_begun() {
    let gateway = hasty().await;
    gateway.forget_calls();
    let mut bad = guest(EMAIL);
    bad["email"] = json!("no address");
    bad["firstName"] = json!(" ");
    bad["lastName"] = json!("<script>");
    bad["address"]["postalCode"] = json!("1");
    bad["address"]["room"] = json!(null);
    let refused = ask(&gateway, bad).await.data()["availabilityRequest"].clone();
    assert_eq!(refused["submitted"], false);
    let told: Vec<_> = refused["userErrors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (text(&error["code"]).to_owned(), error["field"].clone()))
        .collect();
    let expected = [
        ("INVALID_EMAIL", json!(["email"])),
        ("REQUIRED", json!(["firstName"])),
        ("INVALID_NAME", json!(["lastName"])),
        ("INVALID_POSTAL_CODE", json!(["address", "postalCode"])),
        ("REQUIRED", json!(["address", "room"])),
    ];
    assert_eq!(told, expected.map(|(code, field)| (code.to_owned(), field)));
    // However often that is, it counts for no limit.
    for _ in 0..6 {
        let refused = ask(&gateway, guest("no address")).await.data()["availabilityRequest"].clone();
        assert_eq!(refused["userErrors"][0]["code"], "INVALID_EMAIL", "{refused}");
    }
    let backlog = gateway.app.store.job_backlog().await.unwrap();
    assert!(!backlog.iter().any(|one| one.kind == "availability"), "{backlog:?}");
    assert_eq!(gateway.calls(), []);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_makes_nothing_twice_and_a_refusal_loses_nothing() {
    for operation in ["create", "update"] {
        for kind in [RuleKind::Drop, RuleKind::Hang, RuleKind::Business] {
            for applied in [true, false] {
                let gateway = hasty().await;
                println!("{operation} {kind:?}, applied: {applied}");
                let code =
                    (kind == RuleKind::Business).then(|| "FIELD_CUSTOM_VALIDATION_EXCEPTION".to_owned());
                let rule = Rule {
                    operation: operation.to_owned(),
                    applied,
                    code,
                    times: Some(1),
                    ..Rule::every(System::Salesforce, kind)
                };
                gateway.sandbox.core().faults.add(rule);
                submit(&gateway, guest(EMAIL)).await;
                let account = pending(&gateway, EMAIL).await;
                assert!(gateway.sandbox.core().faults.list().is_empty(), "{operation}: it struck");
                assert_one_of_each(&gateway, &account).await;
            }
        }
    }
}

/// The other creations, where the ones before have nothing to do.
#[tokio::test]
async fn neither_opportunity_nor_case_is_made_twice() {
    for has_opportunity in [false, true] {
        for kind in [RuleKind::Drop, RuleKind::Hang] {
            for applied in [true, false] {
                let gateway = hasty().await;
                let org = gateway.sandbox.salesforce();
                let person = json!({ "LastName": "Walkin", "PersonEmail": EMAIL });
                let account = org.create("Account", &person).unwrap();
                if has_opportunity {
                    let fields = json!({
                        "Name": "Walk-in", "AccountId": account.as_str(), "StageName": "Introduction",
                        "CloseDate": "2026-12-01", "CommodityType__c": "Internet",
                    });
                    org.create("Opportunity", &fields).unwrap();
                }
                gateway.forget_calls();
                fail(&gateway, System::Salesforce, "create", kind, applied);
                submit(&gateway, guest(EMAIL)).await;
                let (account, checks) = checked(&gateway, EMAIL, 1).await;
                let state =
                    if has_opportunity { "Opportunity: matched" } else { "Opportunity: newly created" };
                assert!(text(&checks[0]["Description"]).contains(state), "{kind:?} {applied}: {checks:?}");
                assert!(gateway.sandbox.core().faults.list().is_empty(), "it struck");
                assert_eq!(opportunities(&gateway.app, &account).await.len(), 1, "{kind:?} {applied}");
                assert_eq!(created(&gateway.sandbox, "Case"), 1, "{kind:?} {applied}");
            }
        }
    }
}

async fn assert_one_of_each(gateway: &Gateway, account: &Value) {
    assert_eq!(accounts(&gateway.app, EMAIL).await.len(), 1, "one account");
    assert_eq!(opportunities(&gateway.app, account).await.len(), 1, "one opportunity");
    let checks = checks(&gateway.app, account).await;
    assert_eq!(checks.len(), 1, "one case");
    assert!(text(&checks[0]["Description"]).contains("Opportunity: newly created"), "{checks:?}");
    for object in ["Account", "Opportunity", "Case"] {
        assert_eq!(created(&gateway.sandbox, object), 1, "one {object} was created");
    }
}

#[tokio::test]
async fn while_the_crm_is_away_a_request_waits() {
    let gateway = hasty().await;
    gateway.sandbox.core().faults.add(Rule::every(System::Salesforce, RuleKind::Status));
    submit(&gateway, guest(EMAIL)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    gateway.sandbox.core().faults.clear();
    let account = pending(&gateway, EMAIL).await;
    assert_one_of_each(&gateway, &account).await;
}

#[tokio::test]
async fn who_signs_up_with_it_gets_all_in_one_go() {
    let gateway = hasty().await;
    let verification = verified(&gateway, EMAIL).await;
    let with = form(&verification["token"]);
    let complete = async |variables: Value| {
        let operation = "SignUpCompleteWithAvailability";
        let answer = gateway.nobody().operate(DOCUMENT, operation, variables).await.data();
        answer["signUpComplete"].clone()
    };
    // Said by several at once, it is one.
    let answers = join_all((0..5).map(|_| complete(with.clone()))).await;
    assert!(answers.iter().any(|done| done["status"] == "COMPLETE"), "{answers:?}");
    let account = until("the check is pending and the portal is told of", async || {
        let account = pending(&gateway, EMAIL).await;
        (account["Portal_Status__c"] == "Active").then_some(account)
    })
    .await;
    let checks = checks(&gateway.app, &account).await;
    assert_eq!(checks.len(), 1, "{checks:?}");
    let told = text(&checks[0]["Description"]);
    for words in
        ["the e-mail address is verified", "Account: the customer's own", "newly created", "神南1-19-11"]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert_eq!(account["Internet_Eligibility_Case_Id__c"], checks[0]["Id"]);
    assert_eq!(opportunities(&gateway.app, &account).await.len(), 1);
    assert_eq!((accounts(&gateway.app, EMAIL).await.len(), clients(&gateway, EMAIL).await.len()), (1, 1));
    assert!(gateway.app.store.user_by_email(EMAIL).await.unwrap().is_some());
}

#[tokio::test]
async fn a_guest_who_comes_back_to_sign_up_finds_the_account_and_the_opportunity() {
    let gateway = hasty().await;
    submit(&gateway, guest(EMAIL)).await;
    let guests = pending(&gateway, EMAIL).await;
    gateway.sandbox.core().clock.advance(TimeDelta::seconds(1));
    let verification = verified(&gateway, EMAIL).await;
    assert_eq!(verification["routing"]["route"], "CRM_UNMAPPED");
    let mut with = form(&verification["token"]);
    with["availability"] = json!(true);
    let document = "mutation($input: SignUpCompleteInput!) { signUpComplete(input: $input) {
        status viewer { profile { customerNumber } } userErrors { code } } }";
    let done =
        gateway.nobody().ask(document, json!({ "input": with })).await.data()["signUpComplete"].clone();
    assert_eq!(done["status"], "COMPLETE", "{done}");
    assert_eq!(done["viewer"]["profile"]["customerNumber"], guests["SF_Account_No__c"]);
    let (account, checks) = checked(&gateway, EMAIL, 2).await;
    assert_eq!(account["Id"], guests["Id"]);
    assert_eq!(checks[1]["Opportunity__c"], checks[0]["Opportunity__c"]);
    assert!(text(&checks[1]["Description"]).contains("Opportunity: matched"), "{checks:?}");
    until("the newer case is noted", async || {
        let account = accounts(&gateway.app, EMAIL).await.remove(0);
        (account["Internet_Eligibility_Case_Id__c"] == checks[1]["Id"]).then_some(())
    })
    .await;

    // Without the wish there is no case.
    let other = "another.person@example.jp";
    let verification = verified(&gateway, other).await;
    let done = complete_at_last(&gateway, &form(&verification["token"])).await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
    until("the CRM is told", async || {
        let account = accounts(&gateway.app, other).await.first()?.clone();
        (account["Portal_Status__c"] == "Active").then_some(())
    })
    .await;
    let account = accounts(&gateway.app, other).await.remove(0);
    assert!(account["Internet_Eligibility_Status__c"].is_null(), "{account}");
    assert_eq!(self::checks(&gateway.app, &account).await.len(), 0);
}
