//! Passkeys: made, used, misused, removed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::TimeDelta;
use portal_gateway::store::Store;
use serde_json::{Value, json};

use crate::{
    gateway::{Customer, Gateway, Wishes},
    phone::{DOMAIN, ORIGIN, Phone},
    wire::ask,
};

pub const REGISTER: &str = include_str!("../../examples/queries/passkey-register-begin.graphql");
pub const REGISTERED: &str = include_str!("../../examples/queries/passkey-register-finish.graphql");
const REMOVE: &str = include_str!("../../examples/queries/passkey-remove.graphql");
const SIGN_IN: &str = include_str!("../../examples/queries/passkey-sign-in-begin.graphql");
pub const SIGNED_IN: &str = include_str!("../../examples/queries/passkey-sign-in-finish.graphql");
const PASSKEYS: &str = include_str!("../../examples/queries/passkeys.graphql");
const RENAME: &str = "mutation($id: ID!, $name: String!) { passkeyRename(input: { id: $id, name: $name }) {
    passkey { name } userErrors { code field } } }";

/// Longer than any mail may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway that lets anything be tried as often as wanted.
async fn roomy() -> Gateway {
    let env = HashMap::from([
        ("LOGIN_RATE_LIMIT_LIMIT", "1000000".to_owned()),
        ("LOGIN_FAILURES_RATE_LIMIT_LIMIT", "1000000".to_owned()),
    ]);
    Gateway::with(Wishes { env, ..Wishes::default() }).await
}

async fn begin(customer: &Customer<'_>) -> Value {
    let begun = customer.ask(REGISTER, json!({})).await.data()["passkeyRegistrationBegin"].clone();
    assert_eq!(begun["userErrors"], json!([]), "{begun}");
    begun["options"].clone()
}

async fn finish(customer: &Customer<'_>, credential: &Value, name: &str) -> Value {
    let variables = json!({ "credential": credential, "name": name });
    customer.ask(REGISTERED, variables).await.data()["passkeyRegistrationFinish"].clone()
}

/// Makes a passkey of a customer on a phone.
pub async fn register(customer: &Customer<'_>, phone: &mut Phone) -> Value {
    let credential = phone.create(ORIGIN, &begin(customer).await).await.unwrap();
    let registered = finish(customer, &credential, "Phone").await;
    assert_eq!(registered["userErrors"], json!([]), "{registered}");
    registered["passkey"].clone()
}

/// What an authenticator is to be asked to sign in.
pub async fn challenge(gateway: &Gateway) -> Value {
    gateway.nobody().ask(SIGN_IN, json!({})).await.data()["passkeySignInBegin"]["options"].clone()
}

pub async fn sign_in(gateway: &Gateway, credential: &Value) -> Value {
    let answer = gateway.nobody().ask(SIGNED_IN, json!({ "credential": credential })).await;
    answer.data()["passkeySignInFinish"].clone()
}

fn assert_refused(answer: &Value, what: &str) {
    assert!(answer["session"].is_null() && answer["passkey"].is_null(), "{what}: {answer}");
    assert_eq!(answer["userErrors"].as_array().unwrap().len(), 1, "{what}: {answer}");
    assert_eq!(answer["userErrors"][0]["code"], "PASSKEY_REFUSED", "{what}: {answer}");
}

async fn passkeys(customer: &Customer<'_>) -> Vec<Value> {
    customer.ask(PASSKEYS, json!({})).await.data()["viewer"]["passkeys"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_passkey_signs_in_without_a_password_or_a_code() {
    let gateway = Gateway::start().await;
    let (customer, mut phone) = (gateway.sign_in(1).await, Phone::new());
    let email = gateway.sandbox.core().world.customer(1).email.clone();
    let since = gateway.mailed_so_far().await;
    let made = register(&customer, &mut phone).await;
    assert_eq!((&made["name"], &made["isBackedUp"]), (&json!("Phone"), &json!(true)));
    let mail = gateway.sandbox.mail().next(&email, since);
    let mail = tokio::time::timeout(PATIENCE, mail).await.expect("the owner is told");
    let text = mail.text.as_deref().unwrap();
    assert!(text.contains("passkey") || text.contains("パスキー"), "{text}");

    let listed = passkeys(&customer).await;
    assert_eq!((listed.len(), &listed[0]["lastUsedAt"]), (1, &Value::Null));
    assert_eq!((&listed[0]["id"], &listed[0]["createdAt"]), (&made["id"], &made["createdAt"]));
    for _ in 0..2 {
        let credential = phone.get(ORIGIN, &challenge(&gateway).await).await;
        let entered = sign_in(&gateway, &credential).await;
        assert_eq!(entered["userErrors"], json!([]), "{entered}");
        let token = entered["session"]["accessToken"].as_str().unwrap().to_owned();
        let entered_as = Customer::with(&gateway, token);
        let own = entered_as.ask("{ viewer { id } }", json!({})).await.data()["viewer"]["id"].clone();
        assert_eq!((&own, &own), (&entered["viewer"]["id"], &viewer(&customer).await));
    }
    assert!(passkeys(&customer).await[0]["lastUsedAt"].is_string());
}

async fn viewer(customer: &Customer<'_>) -> Value {
    customer.ask("{ viewer { id } }", json!({})).await.data()["viewer"]["id"].clone()
}

#[tokio::test]
async fn a_browser_gets_its_session_as_cookies() {
    let gateway = Gateway::start().await;
    let (customer, mut phone) = (gateway.sign_in(1).await, Phone::new());
    register(&customer, &mut phone).await;
    let credential = phone.get(ORIGIN, &challenge(&gateway).await).await;
    let document = SIGNED_IN.replace("credential: $credential", "credential: $credential, delivery: COOKIES");
    // A page that may not sign its user in is told so before the passkey is used up.
    let foreign = ask(&gateway, &[], &document, json!({ "credential": credential })).await;
    assert_eq!((foreign.code().as_str(), foreign.cookies().len()), ("BAD_USER_INPUT", 0));
    let own = [("origin", ORIGIN), ("x-portal-csrf", "1")];
    let reply = ask(&gateway, &own, &document, json!({ "credential": credential })).await;
    assert_eq!(reply.cookies().len(), 3, "{reply:?}");
    assert!(reply.json()["data"]["passkeySignInFinish"]["session"]["accessToken"].is_null());
}

#[tokio::test]
async fn what_is_asked_of_an_authenticator_names_nobody_and_verifies_its_owner() {
    let gateway = Gateway::start().await;
    let mut asked = [challenge(&gateway).await, challenge(&gateway).await];
    assert_ne!(asked[0]["challenge"], asked[1]["challenge"]);
    for options in &mut asked {
        options["challenge"] = Value::Null;
        assert_eq!((&options["rpId"], &options["userVerification"]), (&json!(DOMAIN), &json!("required")));
        assert_eq!(options["allowCredentials"], json!([]));
    }
    assert_eq!(asked[0], asked[1], "the same for everybody");

    let customer = gateway.sign_in(1).await;
    let options = begin(&customer).await;
    assert_eq!(options["rp"]["id"], DOMAIN);
    let selection = &options["authenticatorSelection"];
    assert_eq!(
        (&selection["residentKey"], &selection["userVerification"]),
        (&json!("required"), &json!("required"))
    );
    let email = &gateway.sandbox.core().world.customer(1).email;
    let handle = options["user"]["id"].as_str().unwrap();
    assert_eq!((handle.len(), options["user"]["name"].as_str()), (86, Some(email.as_str())));
    assert_eq!(begin(&customer).await["user"]["id"], handle, "one person, one name");
    assert_ne!(begin(&gateway.sign_in(2).await).await["user"]["id"], handle);
}

#[tokio::test]
async fn an_authenticator_that_holds_a_passkey_makes_no_second_one() {
    let gateway = Gateway::start().await;
    let (customer, mut phone) = (gateway.sign_in(1).await, Phone::new());
    register(&customer, &mut phone).await;
    let options = begin(&customer).await;
    assert_eq!(options["excludeCredentials"].as_array().unwrap().len(), 1);
    assert!(phone.create(ORIGIN, &options).await.is_err());
    assert!(Phone::new().create(ORIGIN, &options).await.is_ok());
}

#[tokio::test]
async fn a_foreign_page_a_foreign_domain_and_an_unseen_owner_are_refused() {
    let gateway = roomy().await;
    let (customer, mut phone) = (gateway.sign_in(1).await, Phone::new());
    // The browser lets any page of the domain make one, so the gateway looks at the origin.
    let credential = Phone::new().create("http://localhost:5000", &begin(&customer).await).await.unwrap();
    assert_refused(&finish(&customer, &credential, "Phone").await, "made on a foreign page");
    register(&customer, &mut phone).await;
    let credential = phone.get("http://localhost:5000", &challenge(&gateway).await).await;
    assert_refused(&sign_in(&gateway, &credential).await, "used on a foreign page");

    let data = |options: &Value, origin: &str, kind: &str| json!({ "type": kind, "challenge": options["challenge"], "origin": origin, "crossOrigin": false });
    // The control: the same without a fault.
    let own = data(&challenge(&gateway).await, ORIGIN, "webauthn.get");
    let entered = sign_in(&gateway, &phone.get_unchecked(&own, DOMAIN, true).await).await;
    assert!(entered["session"].is_object(), "{entered}");
    for (what, origin, kind, rp_id, verifies) in [
        ("another origin", "https://localhost:4000", "webauthn.get", DOMAIN, true),
        ("another type", ORIGIN, "webauthn.create", DOMAIN, true),
        ("another domain", ORIGIN, "webauthn.get", "example.com", true),
        ("nobody verified", ORIGIN, "webauthn.get", DOMAIN, false),
    ] {
        let own = data(&challenge(&gateway).await, origin, kind);
        let credential = phone.get_unchecked(&own, rp_id, verifies).await;
        assert_refused(&sign_in(&gateway, &credential).await, what);
    }
    let mut framed = data(&challenge(&gateway).await, ORIGIN, "webauthn.get");
    framed["crossOrigin"] = json!(true);
    let credential = phone.get_unchecked(&framed, DOMAIN, true).await;
    assert_refused(&sign_in(&gateway, &credential).await, "in a frame of another site");
    let mut broken = phone.get(ORIGIN, &challenge(&gateway).await).await;
    broken["response"]["signature"] = json!("MEUCIQ");
    assert_refused(&sign_in(&gateway, &broken).await, "no signature");
    assert_refused(&sign_in(&gateway, &json!({})).await, "nothing");
    assert_refused(&sign_in(&gateway, &json!(["§"])).await, "no object");
}

#[tokio::test]
async fn a_ceremony_counts_once_for_whom_began_it_and_for_five_minutes() {
    let gateway = roomy().await;
    let (customer, other, mut phone) = (gateway.sign_in(1).await, gateway.sign_in(2).await, Phone::new());
    let credential = phone.create(ORIGIN, &begin(&customer).await).await.unwrap();
    assert_refused(&finish(&other, &credential, "Phone").await, "another's");
    let again = gateway.sign_in(1).await;
    assert_refused(&finish(&again, &credential, "Phone").await, "another session of the same person");
    let nameless = finish(&customer, &credential, " \t ").await;
    assert_eq!(
        (&nameless["userErrors"][0]["code"], &nameless["userErrors"][0]["field"]),
        (&json!("PASSKEY_NAME"), &json!(["name"]))
    );
    assert!(finish(&customer, &credential, "Phone").await["passkey"].is_object(), "none of these used it up");
    assert_refused(&finish(&customer, &credential, "Phone").await, "a second time");

    let used = phone.get(ORIGIN, &challenge(&gateway).await).await;
    assert!(sign_in(&gateway, &used).await["session"].is_object());
    assert_refused(&sign_in(&gateway, &used).await, "replayed");
    let options = begin(&customer).await;
    let used = phone.get(ORIGIN, &json!({ "challenge": options["challenge"], "rpId": DOMAIN })).await;
    assert_refused(&sign_in(&gateway, &used).await, "of another purpose");
    let invented = json!({ "challenge": "AAAAAAAAAAAAAAAAAAAAAA", "rpId": DOMAIN });
    let used = phone.get(ORIGIN, &invented).await;
    assert_refused(&sign_in(&gateway, &used).await, "of nobody");

    let (late, options) = (challenge(&gateway).await, begin(&customer).await);
    gateway.app.clock.advance(TimeDelta::minutes(5));
    let used = phone.get(ORIGIN, &late).await;
    assert_refused(&sign_in(&gateway, &used).await, "after five minutes");
    let made = Phone::new().create(ORIGIN, &options).await.unwrap();
    assert_refused(&finish(&customer, &made, "Phone").await, "after five minutes");
}

#[tokio::test]
async fn a_counter_that_does_not_rise_is_refused() {
    let gateway = roomy().await;
    let (customer, mut key) = (gateway.sign_in(1).await, Phone::counting());
    register(&customer, &mut key).await;
    let mut copy = key.clone();
    for _ in 0..3 {
        let credential = key.get(ORIGIN, &challenge(&gateway).await).await;
        assert!(sign_in(&gateway, &credential).await["session"].is_object());
    }
    for _ in 0..3 {
        let credential = copy.get(ORIGIN, &challenge(&gateway).await).await;
        assert_refused(&sign_in(&gateway, &credential).await, "a copy that is behind");
    }
    let credential = key.get(ORIGIN, &challenge(&gateway).await).await;
    assert!(sign_in(&gateway, &credential).await["session"].is_object());
}

#[tokio::test]
async fn of_fifty_answers_at_once_to_one_challenge_one_gets_a_session() {
    let gateway = Arc::new(roomy().await);
    let mut phone = Phone::new();
    let customer = gateway.sign_in(1).await;
    register(&customer, &mut phone).await;
    let credential = phone.get(ORIGIN, &challenge(&gateway).await).await;
    let tries = (0..50).map(|_| sign_in(&gateway, &credential));
    let answers = futures::future::join_all(tries).await;
    let (entered, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer["session"].is_object());
    assert_eq!((entered.len(), refused.len()), (1, 49));
    refused.iter().for_each(|answer| assert_refused(answer, "a later one"));
    let sessions = customer.ask("{ viewer { sessions { id } } }", json!({})).await.data();
    assert_eq!(sessions["viewer"]["sessions"].as_array().unwrap().len(), 2);

    // As many at once cannot make two of one registration, either.
    let credential = Phone::new().create(ORIGIN, &begin(&customer).await).await.unwrap();
    let tries = (0..20).map(|_| finish(&customer, &credential, "Twin"));
    let answers = futures::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer["passkey"].is_object()).count(), 1);
    assert_eq!(passkeys(&customer).await.len(), 2);
}

#[tokio::test]
async fn guessing_is_delayed_and_the_right_passkey_waits_for_nobody_elses() {
    let gateway = Gateway::start().await;
    let (customer, mut phone) = (gateway.sign_in(1).await, Phone::new());
    register(&customer, &mut phone).await;
    let mut limited = 0;
    for _ in 0..10 {
        let answer = gateway.nobody().ask(SIGNED_IN, json!({ "credential": {} })).await;
        limited += usize::from(answer.body["errors"][0]["extensions"]["code"] == "RATE_LIMITED");
    }
    assert_eq!(limited, 5);
    let credential = phone.get(ORIGIN, &challenge(&gateway).await).await;
    assert!(sign_in(&gateway, &credential).await["session"].is_object());
}

#[tokio::test]
async fn a_passkey_is_renamed_and_removed_by_its_owner_only() {
    let gateway = roomy().await;
    let (customer, other, mut phone) = (gateway.sign_in(1).await, gateway.sign_in(2).await, Phone::new());
    let id = register(&customer, &mut phone).await["id"].clone();
    let name = "会社の鍵 🔑";
    let rename = async |who: &Customer<'_>| {
        let variables = json!({ "id": id, "name": format!(" {name} ") });
        who.ask(RENAME, variables).await.data()["passkeyRename"].clone()
    };
    assert_eq!(rename(&other).await, json!({ "passkey": null, "userErrors": [] }));
    assert_eq!(passkeys(&customer).await[0]["name"], "Phone");
    assert_eq!(rename(&customer).await["passkey"]["name"], name);
    assert_eq!(passkeys(&customer).await[0]["name"], name);

    let remove =
        async |who: &Customer<'_>| who.ask(REMOVE, json!({ "id": id })).await.data()["passkeyRemove"].clone();
    assert_eq!(remove(&other).await["removed"], false);
    let begun = challenge(&gateway).await;
    assert_eq!(remove(&customer).await, json!({ "removed": true, "userErrors": [] }));
    assert_eq!(remove(&customer).await["removed"], false);
    assert_eq!(passkeys(&customer).await, Vec::<Value>::new());
    let credential = phone.get(ORIGIN, &begun).await;
    assert_refused(&sign_in(&gateway, &credential).await, "a removed passkey");
    // What it could be told apart by, a stranger's never was here.
    let mut stranger = Phone::new();
    stranger.create(ORIGIN, &begin(&customer).await).await.unwrap();
    let credential = stranger.get(ORIGIN, &challenge(&gateway).await).await;
    assert_refused(&sign_in(&gateway, &credential).await, "an unknown passkey");
}

#[tokio::test]
async fn who_is_disabled_does_not_get_in_by_a_passkey() {
    let gateway = roomy().await;
    let (customer, mut phone) = (gateway.sign_in(1).await, Phone::new());
    register(&customer, &mut phone).await;
    let user = user(&gateway.app.store, &gateway.sandbox.core().world.customer(1).email).await;
    assert!(gateway.app.identity.disable(user).await.unwrap());
    let credential = phone.get(ORIGIN, &challenge(&gateway).await).await;
    assert_refused(&sign_in(&gateway, &credential).await, "a disabled person");
}

async fn user(store: &Store, email: &str) -> portal_gateway::id::UserId {
    store.user_by_email(email).await.unwrap().unwrap().id
}

#[tokio::test]
async fn a_person_has_so_many_passkeys_at_most() {
    let env = HashMap::from([("AUTH_PASSKEYS_MOST", "2".to_owned())]);
    let gateway = Gateway::with(Wishes { env, ..Wishes::default() }).await;
    let customer = gateway.sign_in(1).await;
    register(&customer, &mut Phone::new()).await;
    // Both begin while there is room for one.
    let (first, second) = (begin(&customer).await, begin(&customer).await);
    let made = Phone::new().create(ORIGIN, &first).await.unwrap();
    assert!(finish(&customer, &made, "Second").await["passkey"].is_object());
    let made = Phone::new().create(ORIGIN, &second).await.unwrap();
    assert_eq!(finish(&customer, &made, "Third").await["userErrors"][0]["code"], "PASSKEY_LIMIT");
    let begun = customer.ask(REGISTER, json!({})).await.data()["passkeyRegistrationBegin"].clone();
    assert_eq!((&begun["options"], &begun["userErrors"][0]["code"]), (&Value::Null, &json!("PASSKEY_LIMIT")));
}

#[tokio::test]
async fn what_a_person_calls_a_passkey_lies_sealed() {
    let gateway = Gateway::start().await;
    let (customer, mut phone) = (gateway.sign_in(1).await, Phone::new());
    register(&customer, &mut phone).await;
    let user = user(&gateway.app.store, &gateway.sandbox.core().world.customer(1).email).await;
    let rows = gateway.app.store.passkeys_of_user(user).await.unwrap();
    assert!(!rows[0].name.windows(5).any(|part| part == b"Phone"));
}
