//! A guest and the owner of the address that the guest typed: one account, and nobody's words for another's.

use std::collections::HashMap;

use futures::future::join_all;
use portal_gateway::sandbox::core::{Rule, RuleKind, System};
use serde_json::{Value, json};

use crate::{
    availability::{self, checks, guest},
    gateway::{Gateway, Wishes},
    linking::link,
    newcomer::{Newcomer, Path},
    records,
    sign_up::{EMAIL, accounts, clients, complete_at_last, form, hasty, until, verified},
    stage::{
        Moment::{self, Applied, Sent},
        Stage, crm,
    },
};

/// What somebody says who has nothing to do with the address.
fn stranger(email: &str) -> Value {
    let mut said = guest(email);
    (said["firstName"], said["lastName"]) = (json!("Sten"), json!("Stranger"));
    said["address"]["room"] = json!("901");
    said
}

async fn submit(gateway: &Gateway, said: Value) {
    let answer = gateway.nobody().operate(availability::DOCUMENT, "AvailabilityRequest", said).await.data();
    assert_eq!(answer["availabilityRequest"]["submitted"], true, "{answer}");
}

/// The account that a stranger's request made for an address, when all of it is done.
async fn strangers_account(gateway: &Gateway, email: &str) -> Value {
    submit(gateway, stranger(email)).await;
    records::settled(&gateway.app).await;
    let made = availability::accounts(&gateway.app, email).await.remove(0);
    assert_eq!(
        (&made["LastName"], &made["Internet_Eligibility_Status__c"]),
        (&json!("Stranger"), &json!("Pending"))
    );
    made
}

/// There is one account, it is the owner's in all it says, and staff have the guest's request at it.
async fn assert_one_and_the_owners(gateway: &Gateway, case: &str) -> Value {
    records::settled(&gateway.app).await;
    let found = records::disagreements(&gateway.sandbox, &gateway.app, EMAIL, records::End::Joined).await;
    assert_eq!(found, [""; 0], "{case}");
    let account = availability::accounts(&gateway.app, EMAIL).await.remove(0);
    assert_owners(&account, case);
    let checks = checks(&gateway.app, &account).await;
    assert_eq!(checks.len(), 1, "{case}");
    assert!(checks[0]["Description"].as_str().unwrap().contains("Sten Stranger"), "{case}: {checks:?}");
    account
}

/// What the account says is what the form of a sign-up says.
fn assert_owners(account: &Value, case: &str) {
    for (name, value) in [
        ("FirstName", "Zoë"),
        ("LastName", "O'Brien"),
        ("PersonEmail", EMAIL),
        ("Phone", "090-1234-5678"),
        ("BillingStreet", "神南1-19-11 サニーハイツ203号室"),
    ] {
        assert_eq!(account[name], value, "{case}: {name}");
    }
}

/// A gateway whose calls of the CRM may take some seconds, so that another can come between.
async fn patient() -> Gateway {
    let env = HashMap::from([
        ("QUEUE_BACKOFF_DELAY", "50ms".to_owned()),
        ("QUEUE_BACKOFF_MOST", "200ms".to_owned()),
        ("QUEUE_POLL", "50ms".to_owned()),
        ("SIGN_UP_SETTLE", "0ms".to_owned()),
        ("SF_TIMEOUT", "5s".to_owned()),
    ]);
    Gateway::with(Wishes { env, ..Wishes::default() }).await
}

/// A call of the CRM that is to be held up, once.
fn hold_up(gateway: &Gateway, operation: &str, kind: RuleKind) {
    gateway.forget_calls();
    let delay_ms = if kind == RuleKind::Delay { 3_000 } else { 0 };
    let rule = Rule {
        operation: operation.to_owned(),
        delay_ms,
        times: Some(1),
        ..Rule::every(System::Salesforce, kind)
    };
    gateway.sandbox.core().faults.add(rule);
}

async fn held_up(gateway: &Gateway, operation: &str) {
    let journal = &gateway.sandbox.core().journal;
    let comes = async || (journal.count(System::Salesforce, Some(operation)) > 0).then_some(());
    until("the call comes", comes).await;
}

#[tokio::test]
async fn a_guest_who_looked_first_finds_the_account_of_who_signs_up_meanwhile_and_leaves_it() {
    // The call takes long; or it never has an effect, and is sent again.
    for kind in [RuleKind::Delay, RuleKind::Hang] {
        let gateway = patient().await;
        let verification = verified(&gateway, EMAIL).await;
        hold_up(&gateway, "create", kind);
        submit(&gateway, stranger(EMAIL)).await;
        held_up(&gateway, "create").await;
        let done = complete_at_last(&gateway, &form(&verification["token"])).await;
        assert_eq!(done["status"], "COMPLETE", "{done}");
        let account = assert_one_and_the_owners(&gateway, &format!("{kind:?}")).await;
        assert!(account["Internet_Eligibility_Status__c"].is_null(), "{kind:?}: {account}");
    }
}

#[tokio::test]
async fn who_signs_up_while_a_guest_makes_the_account_takes_it_over() {
    let gateway = patient().await;
    let verification = verified(&gateway, EMAIL).await;
    hold_up(&gateway, "upsert", RuleKind::Delay);
    let guest = async {
        held_up(&gateway, "upsert").await;
        submit(&gateway, stranger(EMAIL)).await;
    };
    let said = form(&verification["token"]);
    let (done, ()) = tokio::join!(complete_at_last(&gateway, &said), guest);
    assert_eq!(done["status"], "COMPLETE", "{done}");
    assert_one_and_the_owners(&gateway, "upsert").await;
}

#[tokio::test]
async fn an_account_that_is_made_within_the_call_is_taken_over_by_the_next_one() {
    let gateway = hasty().await;
    let verification = verified(&gateway, EMAIL).await;
    let rule = Rule {
        operation: "upsert".to_owned(),
        code: Some("DUPLICATE_VALUE".to_owned()),
        times: Some(1),
        ..Rule::every(System::Salesforce, RuleKind::Business)
    };
    gateway.sandbox.core().faults.add(rule);
    let done = complete_at_last(&gateway, &form(&verification["token"])).await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
    assert!(gateway.sandbox.core().faults.list().is_empty(), "it struck");
    assert_eq!(accounts(&gateway, EMAIL).await.len(), 1);
}

#[tokio::test]
async fn the_owner_is_shown_nothing_of_what_a_guest_said_and_the_account_says_what_the_owner_says() {
    let gateway = hasty().await;
    let made = strangers_account(&gateway, EMAIL).await;
    // As some installations mark what is new.
    let id = made["Id"].as_str().unwrap();
    gateway.sandbox.salesforce().edit("Account", id, &json!({ "Portal_Status__c": "Not Yet" })).unwrap();
    let verification = verified(&gateway, EMAIL).await;
    let nothing = json!({
        "firstName": null, "lastName": null, "phone": null, "birthDate": null, "gender": null, "hasAddress": false,
    });
    let routing = &verification["routing"];
    assert_eq!((&routing["route"], &routing["prefill"]), (&json!("CRM_UNMAPPED"), &nothing));
    let done = complete_at_last(&gateway, &form(&verification["token"])).await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
    let account = assert_one_and_the_owners(&gateway, "the owner").await;
    assert_eq!((&account["Id"], &account["SF_Account_No__c"]), (&made["Id"], &made["SF_Account_No__c"]));
    // Who comes by later changes nothing.
    let mut another = stranger(EMAIL);
    another["address"]["room"] = json!("902");
    submit(&gateway, another).await;
    records::settled(&gateway.app).await;
    assert_owners(&availability::accounts(&gateway.app, EMAIL).await[0], "another guest");
}

#[tokio::test]
async fn what_was_there_before_a_guest_came_is_shown_to_its_owner_and_keeps_its_names() {
    let gateway = hasty().await;
    let (staffs, customers) = ("hana@example.jp", EMAIL);
    let org = gateway.sandbox.salesforce();
    let walkin = json!({ "FirstName": "Hana", "LastName": "Walkin", "PersonEmail": staffs });
    org.create("Account", &walkin).unwrap();
    submit(&gateway, stranger(staffs)).await;
    // Under a number of ours, of a customer who left.
    let left = strangers_account(&gateway, customers).await;
    let was = json!({ "FirstName": "Zelda", "LastName": "Former", "Portal_Status__c": "Closed" });
    org.edit("Account", left["Id"].as_str().unwrap(), &was).unwrap();
    records::settled(&gateway.app).await;
    for (email, first, last) in [(staffs, "Hana", "Walkin"), (customers, "Zelda", "Former")] {
        let verification = verified(&gateway, email).await;
        let prefill = &verification["routing"]["prefill"];
        assert_eq!((&prefill["firstName"], &prefill["lastName"]), (&json!(first), &json!(last)));
        let done = complete_at_last(&gateway, &form(&verification["token"])).await;
        assert_eq!(done["status"], "COMPLETE", "{done}");
        let all = accounts(&gateway, email).await;
        assert_eq!((all.len(), &all[0]["LastName"]), (1, &json!(last)), "{all:?}");
    }
}

#[tokio::test]
async fn an_account_that_has_another_address_by_now_is_passed_over() {
    let gateway = hasty().await;
    let moved = strangers_account(&gateway, EMAIL).await;
    let id = moved["Id"].as_str().unwrap();
    let other = "somebody.else@example.jp";
    gateway.sandbox.salesforce().edit("Account", id, &json!({ "PersonEmail": other })).unwrap();
    let verification = verified(&gateway, EMAIL).await;
    assert_eq!(verification["routing"]["route"], "NEW_CUSTOMER");
    let done = complete_at_last(&gateway, &form(&verification["token"])).await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
    let (mine, theirs) = (accounts(&gateway, EMAIL).await, accounts(&gateway, other).await);
    assert_eq!((mine.len(), theirs.len()), (1, 1));
    assert_eq!((&theirs[0]["LastName"], &mine[0]["LastName"]), (&json!("Stranger"), &json!("O'Brien")));
    assert_ne!(theirs[0]["SF_Account_No__c"], mine[0]["SF_Account_No__c"]);
}

#[tokio::test]
async fn a_client_of_billing_who_is_linked_is_not_given_the_names_or_the_address_of_a_guest() {
    let gateway = hasty().await;
    let email = "owen.tenant@example.jp";
    let client = [
        ("firstname", "Owen"),
        ("lastname", "Tenant"),
        ("email", email),
        ("password2", "a long password"),
        ("skipvalidation", "true"),
    ];
    let added = gateway.sandbox.billing().staff("AddClient", &client).await;
    assert_eq!(added["result"], "success", "{added}");
    let made = strangers_account(&gateway, email).await;
    let verification = verified(&gateway, email).await;
    let routing = &verification["routing"];
    assert_eq!(
        (&routing["route"], &routing["prefill"]["firstName"]),
        (&json!("BILLING_UNMAPPED"), &json!("Owen"))
    );
    let done = link(&gateway, &verification["token"], json!({})).await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
    let account = accounts(&gateway, email).await.remove(0);
    assert_eq!((&account["Id"], &account["LastName"]), (&made["Id"], &json!("Tenant")), "{account}");
    for part in ["BillingStreet", "BillingCity", "BillingState", "BillingPostalCode", "BillingCountry"] {
        assert!(account[part].is_null(), "{part}: {account}");
    }
}

#[tokio::test]
async fn a_client_whom_staff_made_for_a_guest_is_linked_and_not_taken_for_one_of_ours() {
    let gateway = hasty().await;
    let made = strangers_account(&gateway, EMAIL).await;
    let number = made["SF_Account_No__c"].as_str().unwrap();
    let fields = format!("a:1:{{i:198;s:{}:\"{number}\";}}", number.len());
    let fields = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, fields);
    let client = [
        ("firstname", "Owen"),
        ("lastname", "Tenant"),
        ("email", EMAIL),
        ("password2", "a long password"),
        ("skipvalidation", "true"),
        ("customfields", &fields),
    ];
    let added = gateway.sandbox.billing().staff("AddClient", &client).await;
    assert_eq!(added["result"], "success", "{added}");
    let verification = verified(&gateway, EMAIL).await;
    for _ in 0..2 {
        let refused = complete_at_last(&gateway, &form(&verification["token"])).await;
        assert_eq!(refused["userErrors"][0]["code"], "ACCOUNT_LINK_REQUIRED", "{refused}");
    }
    assert_eq!(clients(&gateway, EMAIL).await.len(), 1);
    // Staff took the account for the client's, so it says more than a guest did: what is there is kept.
    let verification = verified(&gateway, EMAIL).await;
    let done = link(&gateway, &verification["token"], json!({})).await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
    let account = accounts(&gateway, EMAIL).await.remove(0);
    for part in ["Id", "LastName", "BillingStreet", "BillingPostalCode"] {
        assert_eq!((&account[part], account[part].is_null()), (&made[part], false), "{part}: {account}");
    }
}

/// Whose process is killed, in the creation of the account.
#[derive(Clone, Copy, Debug)]
enum First {
    Guest,
    Owner,
}

/// Whoever comes first is killed in the middle; the other one comes to the process behind it, which goes on with both.
async fn killed(first: First, moment: Moment) {
    let case = format!("{first:?} {moment:?}");
    let stage = Stage::new().await;
    let app = stage.app().await;
    let one = stage.serve();
    let door = one.door.clone();
    let newcomer = Newcomer::verified(&stage.sandbox, &door, Path::New).await;
    let operation = match first {
        First::Guest => "create",
        First::Owner => "upsert",
    };
    stage.lie_in_wait(crm(operation), moment);
    let ask = (availability::DOCUMENT, "AvailabilityRequest", stranger(EMAIL));
    let killing = async {
        stage.caught(moment, "workflows").await;
        one.kill().await;
    };
    match first {
        First::Guest => {
            door.ask(None, ask.0, ask.1, ask.2.clone()).await;
            killing.await;
        }
        First::Owner => drop(tokio::join!(newcomer.try_finish(&door), killing)),
    }

    let other = stage.serve();
    if matches!(first, First::Owner) {
        other.ready().await;
        other.ask(None, ask.0, ask.1, ask.2).await;
    }
    let ended = newcomer.finish(&other).await;
    newcomer.assert_ended(&ended, &stage.sandbox, &app, &case).await;
    let account = availability::accounts(&app, EMAIL).await.remove(0);
    assert_owners(&account, &case);
    assert_eq!(checks(&app, &account).await.len(), 1, "{case}");
    other.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_making_the_account_a_guest_and_the_owner_have_one() {
    let cases =
        [(First::Guest, Sent), (First::Guest, Applied), (First::Owner, Sent), (First::Owner, Applied)];
    join_all(cases.map(|(first, moment)| Box::pin(killed(first, moment)))).await;
}
