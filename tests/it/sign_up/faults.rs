//! Systems that fail on the way: what was done is found again or undone, and nothing is made twice.

use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use portal_gateway::sandbox::core::{Rule, RuleKind, System};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    EMAIL, accounts, assert_one_of_each, complete, complete_at_last, fail, form, hasty, hasty_of,
    staff_cases, step, verified,
};
use crate::{
    audit,
    newcomer::{Newcomer, Path, fail_behind},
    records,
};

#[tokio::test]
async fn what_billing_refuses_leaves_nothing_in_the_portal_and_can_be_put_right() {
    let gateway = hasty().await;
    let verification = verified(&gateway, EMAIL).await;
    fail(&gateway, System::Whmcs, "AddClient", RuleKind::Business, false);
    let refused = complete(&gateway, form(&verification["token"])).await;
    assert_eq!(refused["status"], "REFUSED");
    assert_eq!(refused["userErrors"][0]["code"], "BILLING_CREATE_FAILED");
    let rows = audit::rows(&gateway).await;
    let told: Vec<_> =
        rows.iter().filter(|row| row.act == "user.register" && row.outcome == "refused").collect();
    let [event] = told[..] else { panic!("once: {told:?}") };
    assert_eq!(event.reason.as_deref(), Some("BILLING_CREATE_FAILED"));
    assert!(event.request_id.is_some(), "{event:?}");
    assert!(gateway.app.store.user_by_email(EMAIL).await.unwrap().is_none());
    let done = complete(&gateway, form(&verification["token"])).await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
    assert_one_of_each(&gateway, EMAIL).await;
}

#[tokio::test]
async fn a_client_that_billing_made_although_it_refused_is_the_next_trys() {
    let gateway = hasty().await;
    let verification = verified(&gateway, EMAIL).await;
    fail(&gateway, System::Whmcs, "AddClient", RuleKind::Business, true);
    let refused = complete(&gateway, form(&verification["token"])).await;
    assert_eq!(refused["userErrors"][0]["code"], "BILLING_CREATE_FAILED", "{refused}");
    let done = complete(&gateway, form(&verification["token"])).await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
    assert_one_of_each(&gateway, EMAIL).await;
}

#[tokio::test]
async fn a_client_that_billing_made_although_it_refused_waits_for_a_try_that_gets_as_far() {
    let gateway = hasty().await;
    let verification = verified(&gateway, EMAIL).await;
    fail(&gateway, System::Whmcs, "AddClient", RuleKind::Business, true);
    let refused = complete(&gateway, form(&verification["token"])).await;
    assert_eq!(refused["userErrors"][0]["code"], "BILLING_CREATE_FAILED", "{refused}");
    // The next one ends for a reason of its own, of which it is told.
    let rule = Rule { operation: "query".to_owned(), ..Rule::every(System::Salesforce, RuleKind::Status) };
    gateway.sandbox.core().faults.add(rule);
    let away = step(&gateway, "SignUpComplete", form(&verification["token"])).await;
    assert_eq!(away.body["errors"][0]["extensions"]["service"], "CRM", "{:?}", away.body);
    gateway.sandbox.core().faults.clear();
    // The breaker has to see that the system is back.
    sleep(Duration::from_millis(1_500)).await;
    let done = complete_at_last(&gateway, &form(&verification["token"])).await;
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

/// A write of the way in, by how many others of its name come before it. Where all is undone, the account's has a fate of its
/// own.
struct Write {
    path: Path,
    system: System,
    operation: &'static str,
    behind: u32,
}

const fn write(path: Path, system: System, operation: &'static str, behind: u32) -> Write {
    Write { path, system, operation, behind }
}

/// Every one.
const WRITES: [Write; 8] = [
    write(Path::New, System::Salesforce, "upsert", 0),
    write(Path::New, System::Whmcs, "AddClient", 0),
    write(Path::New, System::Salesforce, "update", 0),
    write(Path::Linked, System::Salesforce, "update", 0),
    write(Path::Linked, System::Whmcs, "UpdateClient", 0),
    write(Path::Linked, System::Salesforce, "update", 1),
    write(Path::Undone, System::Whmcs, "UpdateClient", 0),
    write(Path::Undone, System::Salesforce, "upsert", 0),
];

/// The answer to a write is lost in one manner.
async fn lost(write: &Write, kind: RuleKind, applied: bool) {
    let Write { path, system, operation, behind } = *write;
    let case = format!("{path:?} {operation} {behind} {kind:?}, applied: {applied}");
    let gateway = hasty().await;
    let (sandbox, app, door) = (&gateway.sandbox, &gateway.app, gateway.door());
    let newcomer = Newcomer::verified(sandbox, &door, path).await;
    let operation = operation.to_owned();
    fail_behind(sandbox, behind, Rule { operation, applied, status: Some(500), ..Rule::every(system, kind) });
    let (ended, ()) = tokio::join!(newcomer.finish(&door), newcomer.meet_fate(sandbox, app));
    newcomer.assert_ended(&ended, sandbox, app, &case).await;
    assert!(sandbox.core().faults.list().is_empty(), "{case}: it struck");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_is_lost_is_looked_up_and_never_repeated() {
    let cases = WRITES.iter().flat_map(|write| {
        // Time-out, 500 and a connection that is reset; what is not the vendor's protocol is the same to all of them.
        let mut kinds = vec![RuleKind::Drop, RuleKind::Status, RuleKind::Hang];
        if write.operation == "AddClient" {
            kinds.push(RuleKind::Garbage);
        }
        kinds
            .into_iter()
            .flat_map(move |kind| [true, false].map(|applied| lost(write, kind, applied).boxed_local()))
    });
    stream::iter(cases).buffer_unordered(8).collect::<Vec<_>>().await;
}

#[tokio::test]
async fn a_client_that_is_created_again_without_a_look_is_noticed() {
    let gateway = hasty_of(&[], true).await;
    let verification = verified(&gateway, EMAIL).await;
    fail(&gateway, System::Whmcs, "AddClient", RuleKind::Drop, true);
    let done = complete_at_last(&gateway, &form(&verification["token"])).await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
    let found = async || {
        records::settled(&gateway.app).await;
        records::disagreements(&gateway.sandbox, &gateway.app, EMAIL, records::End::Joined).await
    };
    let blind = format!("{EMAIL}: a client was sent again without a look, 1 times");
    assert_eq!(found().await, std::slice::from_ref(&blind), "the planted fault was not seen");
    // And a second client would be, too.
    let client = super::clients(&gateway, EMAIL).await.remove(0);
    let owner = client["owner_user_id"].to_string();
    let second = [
        ("owner_user_id", owner.trim_matches('"')),
        ("email", EMAIL),
        ("firstname", "A"),
        ("lastname", "B"),
        ("skipvalidation", "true"),
    ];
    gateway.sandbox.billing().staff("AddClient", &second).await;
    assert_eq!(found().await, [format!("{EMAIL}: 2 clients of billing"), blind]);
}

/// Ends undone. Gives what staff are told.
async fn undone(case: &str, more: impl FnOnce(&crate::gateway::Gateway)) -> (Value, String) {
    let gateway = hasty().await;
    let (sandbox, app, door) = (&gateway.sandbox, &gateway.app, gateway.door());
    let newcomer = Newcomer::verified(sandbox, &door, Path::Undone).await;
    more(&gateway);
    let (refused, ()) = tokio::join!(newcomer.finish(&door), newcomer.meet_fate(sandbox, app));
    assert_eq!(refused["status"], "REFUSED", "{case}: {refused}");
    assert_eq!(refused["userErrors"][0]["code"], "ACCOUNT_EXISTS", "{case}: {refused}");
    let clients = super::clients(&gateway, EMAIL).await;
    assert_eq!(clients.len(), 1, "{case}");
    let account = accounts(&gateway, EMAIL).await.remove(0);
    let cases = staff_cases(&gateway, account["Id"].as_str().unwrap()).await;
    assert_eq!(cases.len(), 1, "{case}");
    let rows = audit::rows(&gateway).await;
    let told = |act| {
        let of: Vec<_> =
            rows.iter().filter(|row| row.act == act && row.details.contains("workflow")).collect();
        let [row] = of[..] else { panic!("{case}: {act}: {of:?}") };
        assert!(row.request_id.is_some() && !row.details.contains(EMAIL), "{case}: {row:?}");
        (row.actor_kind.as_str(), row.reason.as_deref())
    };
    let (actor, reasons) = told("user.register");
    let first = reasons.and_then(|reasons| reasons.split(' ').next());
    assert_eq!((actor, first), ("nobody", Some("ACCOUNT_EXISTS")), "{case}: {reasons:?}");
    assert_eq!(told("staff.tell"), ("system", None), "{case}");
    let (actor, reason) = told("client.deactivate");
    assert_eq!((actor, reason.is_some()), ("system", clients[0]["status"] == "Active"), "{case}: {reason:?}");
    (clients[0]["status"].clone(), cases[0]["Description"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_user_that_cannot_be_stored_leaves_an_inactive_client_and_a_task_for_staff() {
    let (status, told) = undone("undone", |_| {}).await;
    assert_eq!(status, "Inactive");
    assert!(told.contains("was made inactive") && !told.contains(EMAIL), "{told}");
    // And where billing refuses that, staff are asked to do it.
    let refuses = |gateway: &crate::gateway::Gateway| {
        fail(gateway, System::Whmcs, "UpdateClient", RuleKind::Business, false);
    };
    let (status, told) = undone("billing refuses", refuses).await;
    assert_eq!(status, "Active");
    assert!(told.contains("could not be made inactive") && !told.contains(EMAIL), "{told}");
}

#[tokio::test]
async fn a_database_that_does_not_take_the_user_is_tried_again_and_makes_no_second_client() {
    let gateway = hasty().await;
    let (sandbox, app, door) = (&gateway.sandbox, &gateway.app, gateway.door());
    let newcomer = Newcomer::verified(sandbox, &door, Path::New).await;
    app.store.refuse("users").await;
    let mending = async {
        let made = async || Some(super::clients(&gateway, EMAIL).await).filter(|clients| !clients.is_empty());
        super::until("the client is made", made).await;
        sleep(Duration::from_millis(500)).await;
        app.store.allow("users").await;
    };
    let (ended, ()) = tokio::join!(newcomer.finish(&door), mending);
    newcomer.assert_ended(&ended, sandbox, app, "refused by the database").await;
}
