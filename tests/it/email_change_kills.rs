//! A whole process that is killed in the middle of a change of an address: another one finishes it, or puts everything back.

use std::time::Duration;

use futures::future::join_all;
use portal_gateway::{
    deadline::{Budget, Lane},
    sandbox::core::{Rule, RuleKind, System},
};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    email_change::{DOCUMENT, NEW},
    registration_kills::{PATIENCE, until},
    stage::Stage,
};

/// Where the process is killed: in which call after how many of its kind, whether that has had its effect, and whether
/// somebody has the address, so that everything is put back.
struct Case {
    system: System,
    operation: &'static str,
    behind: u32,
    applied: bool,
    is_taken: bool,
}

const fn case(system: System, operation: &'static str, applied: bool) -> Case {
    Case { system, operation, behind: 0, applied, is_taken: false }
}

const CASES: [Case; 7] = [
    case(System::Whmcs, "UpdateClient", false),
    case(System::Whmcs, "UpdateClient", true),
    case(System::Whmcs, "UpdateUser", false),
    case(System::Whmcs, "UpdateUser", true),
    case(System::Salesforce, "update", false),
    // The login is refused, and what was done is undone: the login first, then the client.
    Case { system: System::Whmcs, operation: "UpdateUser", behind: 1, applied: false, is_taken: true },
    Case { system: System::Whmcs, operation: "UpdateClient", behind: 1, applied: true, is_taken: true },
];

async fn killed_while(case: Case) {
    let Case { system, operation, behind, applied, is_taken } = case;
    let stage = Stage::new().await;
    if is_taken {
        let staff = [("firstname", "A"), ("lastname", "B"), ("email", NEW), ("password2", "correct horse")];
        stage.sandbox.billing().staff("AddUser", &staff).await;
    }
    let first = stage.serve();
    let wanted = json!({ "newEmail": NEW });
    let begun = until(async || stage.ask(DOCUMENT, "EmailChangeBegin", wanted.clone()).await).await;
    let codes = json!({
        "challengeId": begun["data"]["emailChangeBegin"]["challenge"]["id"],
        "newCode": stage.code(NEW).await,
        "presentCode": stage.code(&stage.email).await,
    });
    let faults = &stage.sandbox.core().faults;
    let rule = |kind, applied, times| Rule {
        operation: operation.to_owned(),
        applied,
        times: Some(times),
        ..Rule::every(system, kind)
    };
    if behind > 0 {
        faults.add(rule(RuleKind::Delay, false, behind));
    }
    faults.add(rule(RuleKind::Hang, applied, 1));
    let killing = async {
        until(async || faults.list().is_empty().then_some(())).await;
        if applied {
            // The effect comes right behind the fault that was drawn.
            sleep(Duration::from_millis(200)).await;
        }
        first.kill().await;
    };
    tokio::join!(stage.ask(DOCUMENT, "EmailChangeFinish", codes.clone()), killing);

    let second = stage.serve();
    let done = until(async || {
        let answer = stage.ask(DOCUMENT, "EmailChangeFinish", codes.clone()).await?;
        let done = answer["data"]["emailChangeFinish"].clone();
        (done.is_object() && done["status"] != "IN_PROGRESS").then_some(done)
    })
    .await;
    let what = format!("{operation} {behind} {applied} {is_taken}");
    let (status, address) = if is_taken { ("REFUSED", stage.email.as_str()) } else { ("COMPLETE", NEW) };
    assert_eq!(done["status"], status, "{what}: {done}");
    let (budget, person) = (Budget::new(PATIENCE, Lane::Interactive), stage.person);
    let emails = stage.app.billing.emails(budget, person.client).await.unwrap();
    assert_eq!((emails.client.as_str(), emails.login.unwrap().1.as_str()), (address, address), "{what}");
    assert_eq!(stage.store.user(person.user).await.unwrap().unwrap().1, address, "{what}");
    until(async || {
        let accounts = stage.app.crm.accounts_of_email(budget, address).await.ok()?;
        (accounts.len() == 1 && accounts[0].id == person.account).then_some(())
    })
    .await;
    second.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_in_a_change_of_an_address_another_finishes_it_or_puts_it_back() {
    // Most of the time is the wait for a lease to end.
    join_all(CASES.map(killed_while)).await;
}
