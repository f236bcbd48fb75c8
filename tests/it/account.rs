//! One's own account: the password, and the sessions that stand.

use portal_gateway::sandbox::credentials::DEMO_PASSWORD;
use serde_json::{Value, json};

use crate::gateway::{Customer, Gateway};

const SESSIONS: &str =
    "{ viewer { sessions { id device createdAt lastUsedAt expiresAt isCurrent } profile { fullName } } }";
const CHANGE: &str = include_str!("../../examples/queries/password-change.graphql");
const REVOKE: &str = include_str!("../../examples/queries/session-revoke.graphql");
const NEW: &str = "an entirely different staple";

async fn sessions(customer: &Customer<'_>) -> Vec<Value> {
    customer.ask(SESSIONS, json!({})).await.data()["viewer"]["sessions"].as_array().unwrap().clone()
}

async fn change(customer: &Customer<'_>, current: &str, new: &str) -> Value {
    let input = json!({ "currentPassword": current, "newPassword": new });
    let mut changed = customer.ask(CHANGE, json!({ "input": input })).await.data()["passwordChange"].clone();
    for error in changed["userErrors"].as_array_mut().unwrap() {
        assert!(error.as_object_mut().unwrap().remove("message").is_some());
    }
    changed
}

#[tokio::test]
async fn a_customer_sees_their_sessions_and_ends_those_of_other_devices() {
    let gateway = Gateway::start().await;
    let (here, lost, third) = (gateway.sign_in(1).await, gateway.sign_in(1).await, gateway.sign_in(1).await);
    let stranger = gateway.sign_in(2).await;
    let shown = sessions(&here).await;
    assert_eq!(shown.len(), 3);
    assert_eq!(shown.iter().filter(|one| one["isCurrent"] == true).count(), 1);
    assert!(shown.iter().all(|one| one["device"] == "OTHER"));
    let own = |shown: &[Value]| -> Value {
        shown.iter().find(|one| one["isCurrent"] == true).unwrap()["id"].clone()
    };
    // Each sees itself as the current one, however often they ask the same.
    let of_lost = own(&sessions(&lost).await);
    assert_ne!(own(&sessions(&here).await), of_lost);

    let ask = async |who: &Customer<'_>, id: &Value| {
        who.operate(REVOKE, "SessionRevoke", json!({ "id": id })).await.data()["sessionRevoke"]["revoked"]
            .clone()
    };
    assert_eq!(ask(&stranger, &of_lost).await, false, "it is none of theirs");
    assert_eq!(sessions(&here).await.len(), 3);
    assert_eq!(ask(&here, &of_lost).await, true);
    assert_eq!(lost.ask(SESSIONS, json!({})).await.status, 401);
    assert_eq!(ask(&here, &of_lost).await, false, "it has ended");
    let nonsense = here.operate(REVOKE, "SessionRevoke", json!({ "id": "§" })).await;
    assert_eq!(nonsense.body["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");

    let ended = here.operate(REVOKE, "SessionRevokeOthers", json!({})).await;
    assert_eq!(ended.data()["sessionRevokeOthers"]["revokedCount"], 1);
    assert_eq!(third.ask(SESSIONS, json!({})).await.status, 401);
    assert_eq!(sessions(&here).await.len(), 1);
    assert_eq!(sessions(&stranger).await.len(), 1);
    for (document, mutation) in [(REVOKE, "SessionRevokeOthers"), (CHANGE, "PasswordChange")] {
        let input = json!({ "input": { "currentPassword": "x", "newPassword": "y" } });
        let nobody = gateway.nobody().operate(document, mutation, input).await;
        assert_eq!(nobody.body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    }
}

#[tokio::test]
async fn a_new_password_needs_the_old_one_and_ends_the_other_sessions() {
    let gateway = Gateway::start().await;
    let (here, other) = (gateway.sign_in(1).await, gateway.sign_in(1).await);
    let email = gateway.sandbox.core().world.customer(1).email.clone();
    for (current, new, code, field) in [
        (DEMO_PASSWORD, "short", "PASSWORD_LENGTH", "newPassword"),
        (DEMO_PASSWORD, "password1234", "PASSWORD_GUESSABLE", "newPassword"),
        (DEMO_PASSWORD, email.as_str(), "PASSWORD_GUESSABLE", "newPassword"),
        (DEMO_PASSWORD, DEMO_PASSWORD, "PASSWORD_UNCHANGED", "newPassword"),
        ("wrong horse battery staple", NEW, "AUTH_INVALID_CREDENTIALS", "currentPassword"),
    ] {
        let refused = change(&here, current, new).await;
        assert_eq!(refused["changed"], false);
        assert_eq!(refused["userErrors"], json!([{ "code": code, "field": [field] }]));
    }
    assert_eq!(sessions(&other).await.len(), 2, "nothing has ended");
    assert_eq!(change(&here, DEMO_PASSWORD, NEW).await, json!({ "changed": true, "userErrors": [] }));
    assert_eq!(other.ask(SESSIONS, json!({})).await.status, 401, "at once");
    assert_eq!(sessions(&here).await.len(), 1, "the session that changed it stands");

    let sign_in = async |password: &str| {
        let input = json!({ "input": { "email": email, "password": password } });
        let answer = gateway.nobody().ask(crate::sessions::SIGN_IN, input).await;
        answer.data()["sessionCreate"]["userErrors"].as_array().unwrap().len()
    };
    assert_eq!((sign_in(DEMO_PASSWORD).await, sign_in(NEW).await), (1, 0));
}

#[tokio::test]
async fn guessing_from_outside_keeps_no_owner_from_changing_the_password_who_is_told_by_mail() {
    let gateway = Gateway::start().await;
    let email = gateway.sandbox.core().world.customer(1).email.clone();
    let owner = gateway.sign_in(1).await;
    let guess = json!({ "input": { "email": email, "password": "wrong horse battery" } });
    loop {
        let answer = gateway.nobody().ask(crate::sessions::SIGN_IN, guess.clone()).await;
        if answer.body["errors"][0]["extensions"]["code"] == "RATE_LIMITED" {
            break;
        }
    }
    let step_up = "mutation($password: String!) { stepUp(input: { password: $password }) { freshUntil userErrors { code } } }";
    let proved = owner.ask(step_up, json!({ "password": DEMO_PASSWORD })).await.data();
    assert!(proved["stepUp"]["freshUntil"].is_string(), "{proved}");
    let since = gateway.mailed_so_far().await;
    assert_eq!(change(&owner, DEMO_PASSWORD, NEW).await["changed"], true);
    let told = gateway.sandbox.mail().next(&email, since).await;
    assert_eq!(told.subject, "Your password was changed");
}

#[tokio::test]
async fn a_stolen_session_is_no_way_round_the_limit_on_guesses() {
    let gateway = Gateway::start().await;
    let thief = gateway.sign_in(1).await;
    for _ in 0..5 {
        let refused = change(&thief, "wrong horse battery staple", NEW).await;
        assert_eq!(refused["userErrors"][0]["code"], "AUTH_INVALID_CREDENTIALS");
    }
    let input = json!({ "input": { "currentPassword": DEMO_PASSWORD, "newPassword": NEW } });
    let limited = thief.ask(CHANGE, input).await;
    assert_eq!(limited.body["errors"][0]["extensions"]["code"], "RATE_LIMITED", "{}", limited.body);
}
