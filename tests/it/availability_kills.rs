//! A whole process that is killed in the middle of a guest's request: another one finishes it, and makes nothing twice.
//!
//! Each case is killed while a call hangs: before it has had an effect, or after. What a killed process had claimed is
//! another's after the lease.

use std::time::Duration;

use futures::future::join_all;
use portal_gateway::sandbox::core::{Rule, RuleKind, System};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    availability::{DOCUMENT, accounts, checks, created, guest, opportunities},
    registration_kills::until,
    stage::Stage,
};

/// What is there before, so that a creation is the first one of the request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scene {
    /// Nobody knows the guest: the account is created first.
    Nothing,
    /// There is an account: the opportunity is created first.
    Account,
    /// And an opportunity in its first stage: the case is created first.
    Opportunity,
}

/// Where the process is killed: in which call, and whether that has had its effect.
const CASES: [(Scene, &str, bool); 9] = [
    (Scene::Nothing, "query", false),
    (Scene::Nothing, "create", false),
    (Scene::Nothing, "create", true),
    (Scene::Account, "create", false),
    (Scene::Account, "create", true),
    (Scene::Opportunity, "create", false),
    (Scene::Opportunity, "create", true),
    (Scene::Nothing, "update", false),
    (Scene::Nothing, "update", true),
];

const EMAIL: &str = "zoe.obrien@example.jp";

fn set(stage: &Stage, scene: Scene) {
    let org = stage.sandbox.salesforce();
    if scene == Scene::Nothing {
        return;
    }
    let account = org.create("Account", &json!({ "LastName": "Walkin", "PersonEmail": EMAIL })).unwrap();
    if scene == Scene::Opportunity {
        let fields = json!({
            "Name": "Walk-in", "AccountId": account.as_str(), "StageName": "Introduction",
            "CloseDate": "2026-12-01", "CommodityType__c": "Internet",
        });
        org.create("Opportunity", &fields).unwrap();
    }
}

async fn killed_while(scene: Scene, operation: &str, applied: bool) {
    let stage = Stage::new().await;
    set(&stage, scene);
    let before = ["Account", "Opportunity", "Case"].map(|object| created(&stage.sandbox, object));
    let first = stage.serve();
    until(async || stage.ask("{ __typename }", "", json!({})).await).await;
    let rule = Rule {
        operation: operation.to_owned(),
        applied,
        times: Some(1),
        ..Rule::every(System::Salesforce, RuleKind::Hang)
    };
    stage.sandbox.core().faults.add(rule);
    let asked = stage.ask(DOCUMENT, "AvailabilityRequest", guest(EMAIL)).await.unwrap();
    assert_eq!(asked["data"]["availabilityRequest"]["submitted"], true, "{asked}");
    until(async || stage.sandbox.core().faults.list().is_empty().then_some(())).await;
    if applied {
        // The effect comes right behind the fault that was drawn.
        sleep(Duration::from_millis(200)).await;
    }
    first.kill().await;

    let second = stage.serve();
    let what = format!("{scene:?} {operation} {applied}");
    let done = until(async || {
        let account = accounts(&stage.app, EMAIL).await.first()?.clone();
        let is_marked = scene != Scene::Nothing || account["Internet_Eligibility_Status__c"] == "Pending";
        let checks = checks(&stage.app, &account).await;
        (is_marked && !checks.is_empty()).then_some((account, checks))
    })
    .await;
    assert_one_of_each(&stage, scene, &done, &what).await;
    let made = ["Account", "Opportunity", "Case"].map(|object| created(&stage.sandbox, object));
    let new = [made[0] - before[0], made[1] - before[1], made[2] - before[2]];
    let expected = match scene {
        Scene::Nothing => [1, 1, 1],
        Scene::Account => [0, 1, 1],
        Scene::Opportunity => [0, 0, 1],
    };
    assert_eq!(new, expected, "{what}: accounts, opportunities and cases that were created");
    second.kill().await;
}

async fn assert_one_of_each(stage: &Stage, scene: Scene, done: &(Value, Vec<Value>), what: &str) {
    let (account, checks) = done;
    assert_eq!(accounts(&stage.app, EMAIL).await.len(), 1, "{what}: one account");
    assert_eq!(opportunities(&stage.app, account).await.len(), 1, "{what}: one opportunity");
    assert_eq!(checks.len(), 1, "{what}: one case");
    let told = checks[0]["Description"].as_str().unwrap();
    let state = if scene == Scene::Opportunity { "matched" } else { "newly created" };
    assert!(told.contains(&format!("Opportunity: {state}")), "{what}: {told}");
    let marked = if scene == Scene::Nothing { json!("Pending") } else { Value::Null };
    assert_eq!(account["Internet_Eligibility_Status__c"], marked, "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_in_a_guests_request_another_finishes_it_once() {
    // Most of the time is the wait for a lease to end.
    let cases = CASES.map(|(scene, operation, applied)| Box::pin(killed_while(scene, operation, applied)));
    join_all(cases).await;
}
