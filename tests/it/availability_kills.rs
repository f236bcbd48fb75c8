//! A whole process that is killed in the middle of a guest's request: another one finishes it, and makes nothing twice.
//!
//! Each case is killed while a call hangs: before it has had an effect, or after. What a killed process had claimed is
//! another's after the lease.

use futures::future::join_all;
use portal_gateway::app::App;
use serde_json::{Value, json};

use crate::{
    availability::{DOCUMENT, accounts, checks, created, guest, opportunities},
    stage::{Moment, Stage, crm, until},
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

/// Where the process is killed: in which call, and how far that had come.
const CASES: [(Scene, &str, Moment); 9] = [
    (Scene::Nothing, "query", Moment::Sent),
    (Scene::Nothing, "create", Moment::Sent),
    (Scene::Nothing, "create", Moment::Applied),
    (Scene::Account, "create", Moment::Sent),
    (Scene::Account, "create", Moment::Applied),
    (Scene::Opportunity, "create", Moment::Sent),
    (Scene::Opportunity, "create", Moment::Applied),
    (Scene::Nothing, "update", Moment::Sent),
    (Scene::Nothing, "update", Moment::Applied),
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

async fn killed_while(scene: Scene, operation: &'static str, moment: Moment) {
    let stage = Stage::new().await;
    let app = stage.app().await;
    set(&stage, scene);
    let before = ["Account", "Opportunity", "Case"].map(|object| created(&stage.sandbox, object));
    let first = stage.serve();
    first.ready().await;
    stage.lie_in_wait(crm(operation), moment);
    let asked = first.ask(None, DOCUMENT, "AvailabilityRequest", guest(EMAIL)).await;
    assert_eq!(asked["data"]["availabilityRequest"]["submitted"], true, "{asked}");
    stage.caught(moment, "workflows").await;
    first.kill().await;

    let second = stage.serve();
    let what = format!("{scene:?} {operation} {moment:?}");
    let done = until(&what, async || {
        let account = accounts(&app, EMAIL).await.first()?.clone();
        let is_marked = scene != Scene::Nothing || account["Internet_Eligibility_Status__c"] == "Pending";
        let checks = checks(&app, &account).await;
        (is_marked && !checks.is_empty()).then_some((account, checks))
    })
    .await;
    assert_one_of_each(&app, scene, &done, &what).await;
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

async fn assert_one_of_each(app: &App, scene: Scene, done: &(Value, Vec<Value>), what: &str) {
    let (account, checks) = done;
    assert_eq!(accounts(app, EMAIL).await.len(), 1, "{what}: one account");
    assert_eq!(opportunities(app, account).await.len(), 1, "{what}: one opportunity");
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
    let cases = CASES.map(|(scene, operation, moment)| Box::pin(killed_while(scene, operation, moment)));
    join_all(cases).await;
}
