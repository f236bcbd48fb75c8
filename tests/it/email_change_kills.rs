//! A whole process that is killed in the middle of a change of an address: another one finishes it, or puts everything back.

use futures::future::join_all;
use portal_gateway::{
    deadline::{Budget, Lane},
    secret::ExposeSecret,
};
use serde_json::json;

use crate::{
    email_change::{DOCUMENT, NEW},
    stage::{
        Call,
        Moment::{self, Answered, Applied, Sent},
        PATIENCE, Stage, billing, crm, until,
    },
};

/// Where the process is killed, how far that call has come, and whether somebody has the address, so that everything is put
/// back.
struct Case(Call, Moment, bool);

const CASES: [Case; 9] = [
    Case(billing("UpdateClient"), Sent, false),
    Case(billing("UpdateClient"), Applied, false),
    Case(billing("UpdateClient"), Answered, false),
    Case(billing("UpdateUser"), Sent, false),
    Case(billing("UpdateUser"), Applied, false),
    Case(billing("UpdateUser"), Answered, false),
    Case(crm("update"), Sent, false),
    // The login is refused, and what was done is undone: the login first, then the client.
    Case(billing("UpdateUser").behind(1), Sent, true),
    Case(billing("UpdateClient").behind(1), Applied, true),
];

async fn killed_while(Case(call, moment, is_taken): &Case) {
    let case = format!("{call:?} {moment:?} {is_taken}");
    let stage = Stage::new().await;
    let app = stage.app().await;
    let person = stage.sign_in(&app).await;
    let token = Some(person.grant.access_token.expose_secret());
    if *is_taken {
        let staff = [("firstname", "A"), ("lastname", "B"), ("email", NEW), ("password2", "correct horse")];
        stage.sandbox.billing().staff("AddUser", &staff).await;
    }
    let first = stage.serve();
    first.ready().await;
    let begun = first.ask(token, DOCUMENT, "EmailChangeBegin", json!({ "newEmail": NEW })).await;
    let codes = json!({
        "challengeId": begun["data"]["emailChangeBegin"]["challenge"]["id"],
        "newCode": stage.code(NEW).await,
        "presentCode": stage.code(&person.email).await,
    });
    stage.lie_in_wait(*call, *moment);
    let door = first.door.clone();
    let killing = async {
        let held = stage.caught(*moment, "workflows").await;
        first.kill().await;
        if let Some(held) = held {
            held.commit().await.unwrap();
        }
    };
    tokio::join!(door.try_ask(token, DOCUMENT, "EmailChangeFinish", &codes), killing);

    let second = stage.serve();
    let done = until("it ends", async || {
        let answer = second.try_ask(token, DOCUMENT, "EmailChangeFinish", &codes).await?;
        let done = answer["data"]["emailChangeFinish"].clone();
        (done.is_object() && done["status"] != "IN_PROGRESS").then_some(done)
    })
    .await;
    let (status, address) = if *is_taken { ("REFUSED", person.email.as_str()) } else { ("COMPLETE", NEW) };
    assert_eq!(done["status"], status, "{case}: {done}");
    let (budget, ids) = (Budget::new(PATIENCE, Lane::Interactive), person.ids);
    let emails = app.billing.emails(budget, ids.client).await.unwrap();
    assert_eq!((emails.client.as_str(), emails.login.unwrap().1.as_str()), (address, address), "{case}");
    assert_eq!(stage.store.user(ids.user).await.unwrap().unwrap().1, address, "{case}");
    until("the CRM is told", async || {
        let accounts = app.crm.accounts_of_email(budget, address).await.ok()?;
        (accounts.len() == 1 && accounts[0].id == ids.account).then_some(())
    })
    .await;
    second.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_in_a_change_of_an_address_another_finishes_it_or_puts_it_back() {
    // Most of the time is the wait for a lease to end.
    join_all(CASES.iter().map(killed_while)).await;
}
