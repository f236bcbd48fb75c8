//! Whatever opens a session leaves on its device what makes it known at the next sign-in (requirement A4).

use chrono::TimeDelta;
use portal_gateway::sandbox::credentials::DEMO_PASSWORD;
use serde_json::{Value, json};

use crate::{
    gateway::{Customer, Gateway},
    linking::{self, by_billing, link},
    passkeys::{self, register},
    phone::{ORIGIN, Phone},
    sign_up::{self, EMAIL, PASSWORD, complete, form, hasty, verified},
    wire::ask,
};

const SIGN_IN: &str = include_str!("../../examples/queries/session.graphql");
const SECURITY: &str = include_str!("../../examples/queries/security.graphql");
/// What a page of the gateway's own origin sends.
const PAGE: [(&str, &str); 2] = [("origin", ORIGIN), ("x-portal-csrf", "1")];

async fn create(gateway: &Gateway, email: &str, password: &str, device: &Value) -> Value {
    let input = json!({ "email": email, "password": password, "deviceToken": device });
    gateway.nobody().ask(SIGN_IN, json!({ "input": input })).await.body
}

/// Somebody guesses elsewhere until every stranger has to wait: the owner waits on a device that is not known, and does not
/// on this one.
async fn assert_known(gateway: &Gateway, email: &str, password: &str, device: &Value) {
    assert_eq!(device.as_str().unwrap().len(), 43, "a random token: {device}");
    for wait in [0, 0, 0, 0, 0, 2, 3, 5, 9] {
        gateway.app.clock.advance(TimeDelta::seconds(wait));
        let wrong = create(gateway, email, "wrong horse battery", &Value::Null).await;
        assert_eq!(wrong["data"]["sessionCreate"]["userErrors"][0]["code"], "AUTH_INVALID_CREDENTIALS");
    }
    let stranger = create(gateway, email, password, &Value::Null).await;
    assert_eq!(stranger["errors"][0]["extensions"]["code"], "RATE_LIMITED", "{stranger}");
    let known = create(gateway, email, password, device).await;
    // A known device is not a trusted one.
    assert!(known["data"]["sessionCreate"]["challenge"]["id"].is_string(), "{known}");
}

/// The devices of whoever has a session, as they see them.
async fn devices(gateway: &Gateway, session: &Value) -> Vec<Value> {
    let customer = Customer::with(gateway, session["accessToken"].as_str().unwrap().to_owned());
    customer.ask(SECURITY, json!({})).await.data()["viewer"]["devices"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_passkey_makes_its_device_known() {
    let gateway = Gateway::start().await;
    let email = gateway.sandbox.core().world.customer(1).email.clone();
    let mut phone = Phone::new();
    register(&gateway.sign_in(1).await, &mut phone).await;
    let credential = phone.get(ORIGIN, &passkeys::challenge(&gateway).await).await;
    let since = gateway.mailed_so_far().await;
    let entered = passkeys::sign_in(&gateway, &credential).await;
    let mail = gateway.sandbox.mail().next(&email, since).await;
    assert!(mail.code.is_none(), "the owner is told of the new device: {}", mail.subject);
    let shown = devices(&gateway, &entered["session"]).await;
    let current = shown.iter().filter(|one| one["isCurrent"] == true).count();
    assert_eq!(current, 1, "{shown:?}");
    assert_known(&gateway, &email, DEMO_PASSWORD, &entered["deviceToken"]).await;

    // The next one on it is on the same device, of which nobody has to be told.
    let credential = phone.get(ORIGIN, &passkeys::challenge(&gateway).await).await;
    let document = passkeys::SIGNED_IN
        .replace("credential: $credential", "credential: $credential, deviceToken: $device")
        .replace("$credential: JSON!", "$credential: JSON!, $device: String");
    let since = gateway.mailed_so_far().await;
    let variables = json!({ "credential": credential, "device": entered["deviceToken"] });
    let again = gateway.nobody().ask(&document, variables).await.data()["passkeySignInFinish"].clone();
    assert_eq!(again["deviceToken"], entered["deviceToken"], "{again}");
    assert_eq!(devices(&gateway, &again["session"]).await.len(), shown.len());
    assert_eq!(gateway.mailed_so_far().await, since);
}

#[tokio::test]
async fn a_sign_up_makes_its_device_known_however_often_it_is_said() {
    let gateway = hasty().await;
    let verification = verified(&gateway, EMAIL).await;
    let form = form(&verification["token"]);
    let since = gateway.mailed_so_far().await;
    let (first, again) = tokio::join!(complete(&gateway, form.clone()), complete(&gateway, form.clone()));
    assert_eq!((&first["status"], &again["status"]), (&json!("COMPLETE"), &json!("COMPLETE")), "{first}");
    assert_eq!(first["deviceToken"], again["deviceToken"]);
    let shown = devices(&gateway, &first["session"]).await;
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert_eq!((&shown[0]["isCurrent"], &shown[0]["trustedUntil"]), (&json!(true), &Value::Null));
    assert_eq!(gateway.mailed_so_far().await, since, "one's own first device is no news");

    // A browser keeps it in a cookie.
    let document = "mutation($input: SignUpCompleteInput!) { signUpComplete(input: $input) {
        status session { accessToken } deviceToken } }";
    let mut cookies = form.clone();
    cookies["delivery"] = json!("COOKIES");
    let reply = ask(&gateway, &PAGE, document, json!({ "input": cookies })).await;
    let completed = &reply.json()["data"]["signUpComplete"];
    assert_eq!((&completed["status"], &completed["deviceToken"]), (&json!("COMPLETE"), &Value::Null));
    let kept = format!("__Host-device={};", first["deviceToken"].as_str().unwrap());
    assert!(reply.cookies().iter().any(|cookie| cookie.starts_with(&kept)), "{reply:?}");
    assert_eq!(reply.cookies().len(), 3);
    assert_known(&gateway, EMAIL, PASSWORD, &first["deviceToken"]).await;

    // Somebody else's first device has another token.
    let verification = verified(&gateway, "another.person@example.jp").await;
    let other = complete(&gateway, sign_up::form(&verification["token"])).await;
    assert_eq!(other["status"], "COMPLETE", "{other}");
    assert_ne!(other["deviceToken"], first["deviceToken"]);
}

#[tokio::test]
async fn a_linking_makes_its_device_known() {
    let gateway = hasty().await;
    let email = gateway.sandbox.core().world.customer(linking::N).email.clone();
    let right = by_billing(&gateway, &email, DEMO_PASSWORD).await.data();
    let token = right["signUpVerifyByBilling"]["verification"]["token"].clone();
    let done = link(&gateway, &token, json!({})).await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
    assert_eq!(devices(&gateway, &done["session"]).await.len(), 1);
    assert_known(&gateway, &email, PASSWORD, &done["deviceToken"]).await;
}
