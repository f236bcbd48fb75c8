//! What is said again, or by many at once, makes nothing twice, and opens a session for nobody who may not have one.

use chrono::TimeDelta;
use futures::future::join_all;
use portal_gateway::store::workflows::Standing;
use serde_json::{Value, json};

use super::{
    EMAIL, PASSWORD, assert_one_of_each, complete, complete_at_last, form, hasty, hasty_with, verified,
};
use crate::{gateway::Customer, totp};

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

#[tokio::test]
async fn whoever_enrolled_an_app_meanwhile_is_let_in_by_it_and_not_by_saying_the_sign_up_again() {
    let gateway = hasty().await;
    let verification = verified(&gateway, EMAIL).await;
    let form = form(&verification["token"]);
    let done = complete(&gateway, form.clone()).await;
    let owner = Customer::with(&gateway, done["session"]["accessToken"].as_str().unwrap().to_owned());
    totp::enrol(&gateway, &owner).await;
    // Whoever has the verification and the password has not the app.
    for _ in 0..2 {
        let again = complete(&gateway, form.clone()).await;
        assert_eq!((&again["status"], &again["session"]), (&json!("REFUSED"), &Value::Null), "{again}");
        assert_eq!(again["viewer"], Value::Null);
        assert_eq!(again["userErrors"][0]["code"], "SIGN_IN_REQUIRED", "{again}");
    }
    let created = totp::create(&gateway, json!({ "email": EMAIL, "password": PASSWORD })).await;
    assert_eq!(created["challenge"]["methods"], json!(["TOTP", "RECOVERY_CODE"]), "{created}");
    assert_one_of_each(&gateway, EMAIL).await;
}
