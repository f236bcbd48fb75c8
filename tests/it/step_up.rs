//! Proving again who is there, before an act that asks for it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use portal_gateway::{sandbox::credentials::DEMO_PASSWORD, store::audit::Filter};
use serde_json::{Value, json};

use crate::{
    gateway::{Customer, Gateway},
    passkeys::{REGISTER, register},
    phone::{ORIGIN, Phone},
};

const BEGIN: &str = include_str!("../../examples/queries/step-up-begin.graphql");
const PASSWORD: &str = include_str!("../../examples/queries/step-up.graphql");
const PASSKEY: &str = "mutation($credential: JSON!) { stepUp(input: { passkey: $credential }) {
    freshUntil userErrors { code field } } }";

async fn begin(customer: &Customer<'_>) -> Value {
    customer.ask(BEGIN, json!({})).await.data()["stepUpBegin"].clone()
}

async fn by_password(customer: &Customer<'_>, password: &str) -> Value {
    customer.ask(PASSWORD, json!({ "password": password })).await.data()["stepUp"].clone()
}

async fn by_passkey(customer: &Customer<'_>, credential: &Value) -> Value {
    customer.ask(PASSKEY, json!({ "credential": credential })).await.data()["stepUp"].clone()
}

const CODE: &str = include_str!("../../examples/queries/step-up-code.graphql");
const BY_CODE: &str = "mutation($id: ID!, $code: String!) {
    stepUp(input: { mailedCode: { challengeId: $id, code: $code } }) { freshUntil userErrors { code field } } }";

/// Longer than any mail may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The code with which a sensitive act is refused; empty when it is not.
async fn refusal(customer: &Customer<'_>) -> String {
    let begun = customer.ask(REGISTER, json!({})).await.data()["passkeyRegistrationBegin"].clone();
    assert_eq!(begun["options"].is_null(), begun["userErrors"] != json!([]), "{begun}");
    begun["userErrors"][0]["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_sensitive_act_asks_for_a_proof_that_is_fresh() {
    let gateway = Gateway::start().await;
    let (customer, mut phone) = (gateway.sign_in(1).await, Phone::new());
    let passkey = register(&customer, &mut phone).await["id"].clone();
    assert_eq!(refusal(&customer).await, "", "a sign-in is a proof");
    gateway.app.clock.advance(TimeDelta::minutes(4));
    assert_eq!(refusal(&customer).await, "", "for less than five minutes");
    gateway.app.clock.advance(TimeDelta::minutes(1));
    assert_eq!(refusal(&customer).await, "STEP_UP_REQUIRED");
    let remove = "mutation($id: ID!) { passkeyRemove(input: { id: $id }) { removed userErrors { code } } }";
    let removed = customer.ask(remove, json!({ "id": passkey })).await.data()["passkeyRemove"].clone();
    assert_eq!(removed, json!({ "removed": false, "userErrors": [{ "code": "STEP_UP_REQUIRED" }] }));

    let wrong = by_password(&customer, "wrong horse battery").await;
    assert_eq!(
        (&wrong["freshUntil"], &wrong["userErrors"][0]["code"], &wrong["userErrors"][0]["field"]),
        (&Value::Null, &json!("AUTH_INVALID_CREDENTIALS"), &json!(["password"]))
    );
    assert_eq!(refusal(&customer).await, "STEP_UP_REQUIRED");
    let proved = by_password(&customer, DEMO_PASSWORD).await;
    let until: DateTime<Utc> = proved["freshUntil"].as_str().unwrap().parse().unwrap();
    let lasts = until - gateway.app.clock.now();
    assert!((TimeDelta::seconds(290)..=TimeDelta::minutes(5)).contains(&lasts), "{lasts}");
    assert_eq!(refusal(&customer).await, "");
    gateway.app.clock.advance(TimeDelta::minutes(5));
    assert_eq!(refusal(&customer).await, "STEP_UP_REQUIRED", "it runs out");
    // An access token's own time is longer than this.
    let other = gateway.sign_in(1).await;
    assert_eq!(refusal(&other).await, "");
    assert_eq!(refusal(&customer).await, "STEP_UP_REQUIRED", "another session's proof");
}

#[tokio::test]
async fn a_passkey_proves_who_is_there_and_only_its_owner() {
    let gateway = Gateway::start().await;
    let (customer, other) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let (mut phone, mut others) = (Phone::new(), Phone::new());
    let begun = begin(&customer).await;
    assert_eq!(
        (&begun["methods"], &begun["passkeyOptions"]),
        (&json!(["PASSWORD", "MAILED_CODE"]), &Value::Null)
    );
    register(&customer, &mut phone).await;
    register(&other, &mut others).await;
    gateway.app.clock.advance(TimeDelta::minutes(5));
    let begun = begin(&customer).await;
    assert_eq!(begun["methods"], json!(["PASSWORD", "MAILED_CODE", "PASSKEY"]));
    let refused = |answer: &Value, what: &str| {
        assert_eq!(
            answer["userErrors"],
            json!([{ "code": "PASSKEY_REFUSED", "field": ["passkey"] }]),
            "{what}"
        );
    };
    // Somebody else's passkey, in this person's session.
    let credential = others.get(ORIGIN, &begun["passkeyOptions"]).await;
    refused(&by_passkey(&customer, &credential).await, "another person's");
    assert_eq!(refusal(&customer).await, "STEP_UP_REQUIRED");
    // This person's passkey, in somebody else's session: not even by the answer to their challenge.
    let credential = phone.get(ORIGIN, &begin(&other).await["passkeyOptions"]).await;
    refused(&by_passkey(&other, &credential).await, "in another's session");
    let credential = phone.get(ORIGIN, &begin(&customer).await["passkeyOptions"]).await;
    refused(&by_passkey(&other, &credential).await, "for another session");
    assert_eq!(refusal(&other).await, "STEP_UP_REQUIRED");

    let proved = by_passkey(&customer, &credential).await;
    assert!(proved["freshUntil"].is_string(), "{proved}");
    assert_eq!(refusal(&customer).await, "");
    refused(&by_passkey(&customer, &credential).await, "a second time");
    // A sign-in is another purpose.
    let begun = gateway.nobody().ask("mutation { passkeySignInBegin { options } }", json!({})).await.data();
    let credential = phone.get(ORIGIN, &begun["passkeySignInBegin"]["options"]).await;
    refused(&by_passkey(&customer, &credential).await, "of a sign-in");
}

#[tokio::test]
async fn a_mailed_code_proves_who_is_there_once_and_in_its_own_session() {
    let gateway = Gateway::start().await;
    let (customer, twin) = (gateway.sign_in(1).await, gateway.sign_in(1).await);
    gateway.app.clock.advance(TimeDelta::minutes(5));
    let email = gateway.sandbox.core().world.customer(1).email.clone();
    let send = async || {
        let since = gateway.mailed_so_far().await;
        let sent = customer.ask(CODE, json!({})).await.data()["stepUpCodeSend"].clone();
        let mail = tokio::time::timeout(PATIENCE, gateway.sandbox.mail().next(&email, since)).await.unwrap();
        let is_code = |word: &&str| word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit());
        let text = mail.text.as_deref().unwrap();
        let code = text.split_whitespace().find(is_code).unwrap().to_owned();
        (sent["challengeId"].clone(), code)
    };
    let prove = async |who: &Customer<'_>, id: &Value, code: &str| {
        who.ask(BY_CODE, json!({ "id": id, "code": code })).await.data()["stepUp"].clone()
    };
    let refused = |answer: &Value, reason: &str| {
        let expected = json!([{ "code": reason, "field": ["mailedCode", "code"] }]);
        assert_eq!((&answer["freshUntil"], &answer["userErrors"]), (&Value::Null, &expected));
    };
    let (id, code) = send().await;
    let other = if code == "000000" { "000001" } else { "000000" };
    refused(&prove(&customer, &id, other).await, "AUTH_OTP_INVALID");
    refused(&prove(&twin, &id, &code).await, "AUTH_OTP_EXPIRED");
    refused(&prove(&customer, &json!("nothing"), &code).await, "AUTH_OTP_EXPIRED");
    assert_eq!(refusal(&twin).await, "STEP_UP_REQUIRED", "it was mailed for another session");
    assert!(prove(&customer, &id, &code).await["freshUntil"].is_string());
    assert_eq!(refusal(&customer).await, "");
    refused(&prove(&customer, &id, &code).await, "AUTH_OTP_EXPIRED");
    assert_eq!(refusal(&twin).await, "STEP_UP_REQUIRED");
}

#[tokio::test]
async fn a_stolen_session_guesses_no_password_this_way_and_nobody_proves_nothing() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    for _ in 0..5 {
        by_password(&customer, "wrong horse battery").await;
    }
    let limited = customer.ask(PASSWORD, json!({ "password": DEMO_PASSWORD })).await;
    assert_eq!(limited.body["errors"][0]["extensions"]["code"], "RATE_LIMITED", "{}", limited.body);
    for (document, variables) in [(BEGIN, json!({})), (PASSWORD, json!({ "password": DEMO_PASSWORD }))] {
        let nobody = gateway.nobody().ask(document, variables).await;
        assert_eq!(nobody.body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    }
    let both = "mutation { stepUp(input: { password: \"x\", passkey: {} }) { freshUntil } }";
    assert!(customer.ask(both, json!({})).await.body["errors"].is_array(), "one proof, not two");
}

#[tokio::test]
async fn what_is_done_about_proofs_and_passkeys_stands_in_the_audit_log() {
    let gateway = Gateway::start().await;
    let (customer, mut phone) = (gateway.sign_in(1).await, Phone::new());
    let id = register(&customer, &mut phone).await["id"].clone();
    by_password(&customer, "wrong horse battery").await;
    by_password(&customer, DEMO_PASSWORD).await;
    let credential = phone.get(ORIGIN, &begin(&customer).await["passkeyOptions"]).await;
    by_passkey(&customer, &credential).await;
    by_passkey(&customer, &credential).await;
    let document = include_str!("../../examples/queries/passkey-remove.graphql");
    customer.ask(document, json!({ "id": id })).await.data();
    let events = gateway.app.store.audit_events(&Filter::default(), 0, 100).await.unwrap();
    let told: Vec<_> = events
        .iter()
        .filter(|event| event.act != "session.create" && event.actor_kind == "user")
        .map(|event| (event.act.as_str(), event.reason.as_deref().unwrap_or("done")))
        .collect();
    assert_eq!(
        told,
        [
            ("passkey.begin", "done"),
            ("passkey.create", "done"),
            ("session.step-up", "AUTH_INVALID_CREDENTIALS"),
            ("session.step-up", "done"),
            ("session.step-up-begin", "done"),
            ("passkey.use", "done"),
            ("session.step-up", "done"),
            ("session.step-up", "PASSKEY_REFUSED"),
            ("passkey.remove", "done"),
        ]
    );
}
