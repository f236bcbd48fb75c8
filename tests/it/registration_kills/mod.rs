//! Signing up and linking while processes are killed and stopped (requirements A12, G1 to G4, G6, I3): whatever comes, another
//! process goes on, and each of the systems has one of each, or what was made is undone.

mod pauses;
mod proofs;
mod schedules;

use std::time::Duration;

use futures::{StreamExt, stream};
use portal_gateway::app::App;
use tokio::time::sleep;

use crate::{
    newcomer::{
        Newcomer,
        Path::{self, Linked, New, Undone},
    },
    records,
    stage::{
        Call,
        Moment::{self, Answered, Applied, Sent},
        Stage, billing, crm, until,
    },
};

/// Where a process is killed: in which call, how far that has come, and in which step the workflow is then; `None` behind its end.
struct Case(Path, Call, Moment, Option<&'static str>);

/// Stages that are set up at one moment: most of the time each waits for a lease to end.
const AT_ONCE: usize = 9;

/// Every step at every moment. Reads have no effect that could be lost; behind the commit of a step the next one is not yet sent.
const CASES: [Case; 26] = [
    Case(New, crm("query"), Sent, Some("look")),
    Case(New, crm("query").behind(1), Answered, Some("look")),
    Case(New, crm("upsert"), Sent, Some("account")),
    Case(New, crm("upsert"), Applied, Some("account")),
    Case(New, crm("upsert"), Answered, Some("account")),
    Case(New, billing("AddClient"), Sent, Some("client")),
    Case(New, billing("AddClient"), Applied, Some("client")),
    Case(New, billing("AddClient"), Answered, Some("client")),
    Case(New, crm("update"), Sent, None),
    Case(New, crm("update"), Applied, None),
    Case(Linked, billing("GetClientsDetails"), Sent, Some("look")),
    Case(Linked, crm("query"), Answered, Some("look")),
    Case(Linked, crm("update"), Sent, Some("account")),
    Case(Linked, crm("update"), Applied, Some("account")),
    Case(Linked, crm("update"), Answered, Some("account")),
    Case(Linked, billing("UpdateClient"), Sent, Some("client")),
    Case(Linked, billing("UpdateClient"), Applied, Some("client")),
    Case(Linked, billing("UpdateClient"), Answered, Some("client")),
    Case(Linked, crm("update").behind(1), Sent, None),
    Case(Linked, crm("update").behind(1), Applied, None),
    Case(Undone, billing("UpdateClient"), Sent, Some("deactivate")),
    Case(Undone, billing("UpdateClient"), Applied, Some("deactivate")),
    Case(Undone, billing("UpdateClient"), Answered, Some("deactivate")),
    Case(Undone, crm("upsert"), Sent, Some("report")),
    Case(Undone, crm("upsert"), Applied, Some("report")),
    Case(Undone, crm("upsert"), Answered, Some("report")),
];

/// In which step a workflow was left, and whether that had been begun; `None` when it has ended. To be asked when nobody runs it.
async fn left_at(app: &App, newcomer: &Newcomer) -> Option<(String, bool)> {
    let token = newcomer.verification.as_str().unwrap();
    let id = app.sign_up.resume(token.into()).await.unwrap().verification.id;
    app.store.take_workflow(id).await.unwrap().map(|left| (left.step, left.is_sending))
}

async fn killed_while(Case(path, call, moment, step): &Case) {
    let (path, case) = (*path, format!("{path:?} {call:?} {moment:?}"));
    let stage = Stage::new().await;
    let app = stage.app().await;
    let first = stage.serve();
    let door = first.door.clone();
    let newcomer = Newcomer::verified(&stage.sandbox, &door, path).await;
    stage.lie_in_wait(*call, *moment);
    let killing = async {
        let held = stage.caught(*moment, "workflows").await;
        first.kill().await;
        if let Some(held) = held {
            held.commit().await.unwrap();
        }
    };
    tokio::join!(newcomer.try_finish(&door), newcomer.meet_fate(&stage.sandbox, &app), killing);
    let left = left_at(&app, &newcomer).await;
    assert_eq!(left, step.map(|step| (step.to_owned(), true)), "{case}: where it was killed");

    let second = stage.serve();
    let ended = newcomer.finish(&second).await;
    newcomer.assert_ended(&ended, &stage.sandbox, &app, &case).await;
    second.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_in_a_step_another_finishes_it_once_or_undoes_it() {
    stream::iter(&CASES).map(killed_while).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_before_the_user_is_stored_another_stores_it() {
    let stage = Stage::new().await;
    let app = stage.app().await;
    let first = stage.serve();
    let door = first.door.clone();
    let newcomer = Newcomer::verified(&stage.sandbox, &door, New).await;
    stage.store.refuse("users").await;
    let killing = async {
        let made = async || {
            Some(records::clients(&stage.sandbox, &newcomer.email).await).filter(|made| !made.is_empty())
        };
        until("the client is made", made).await;
        // Its commit comes right behind, and then only refusals of the database.
        sleep(Duration::from_millis(500)).await;
        first.kill().await;
    };
    tokio::join!(newcomer.try_finish(&door), killing);
    stage.store.allow("users").await;
    let left = left_at(&app, &newcomer).await;
    assert_eq!(
        left,
        Some(("user".to_owned(), false)),
        "behind the commit of the client, before that of the user"
    );

    let second = stage.serve();
    let ended = newcomer.finish(&second).await;
    newcomer.assert_ended(&ended, &stage.sandbox, &app, "before the user").await;
    second.kill().await;
}
