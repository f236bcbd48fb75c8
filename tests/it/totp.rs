//! Authenticator apps and recovery codes: enrolled, asked for, misused, removed.

use std::{collections::HashMap, time::Duration};

use chrono::TimeDelta;
use futures::future::join_all;
use portal_gateway::{
    sandbox::credentials::{DEMO_DEVICE, DEMO_PASSWORD},
    secret::ExposeSecret,
};
use serde_json::{Value, json};
use totp_rs::Totp;

use crate::{
    gateway::{Customer, Gateway, Wishes},
    wire::ask,
};

const BEGIN: &str = include_str!("../../examples/queries/totp-enrol-begin.graphql");
const FINISH: &str = include_str!("../../examples/queries/totp-enrol-finish.graphql");
const REMOVE: &str = include_str!("../../examples/queries/totp-remove.graphql");
const REGENERATE: &str = include_str!("../../examples/queries/recovery-codes-regenerate.graphql");
const FACTORS: &str = include_str!("../../examples/queries/second-factors.graphql");
const CREATE: &str = include_str!("../../examples/queries/session.graphql");
const VERIFY: &str = include_str!("../../examples/queries/session-verify-totp.graphql");
const RESEND: &str = include_str!("../../examples/queries/session-code-resend.graphql");
const SECURITY: &str = include_str!("../../examples/queries/security.graphql");
const STEP_UP: &str = include_str!("../../examples/queries/step-up-totp.graphql");
const STEP_UP_BEGIN: &str = include_str!("../../examples/queries/step-up-begin.graphql");
const STEP_UP_CODE: &str = include_str!("../../examples/queries/step-up-code.graphql");
const RESET: &str = include_str!("../../examples/queries/password-reset.graphql");
const RESET_REQUEST: &str = include_str!("../../examples/queries/password-reset-request.graphql");

/// Longer than any mail may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An app on somebody's phone.
pub struct App(Totp);

impl App {
    fn of(enrolment: &Value) -> Self {
        Self(Totp::from_url(enrolment["otpauthUri"].as_str().unwrap()).unwrap())
    }

    /// What it shows now.
    fn code(&self, gateway: &Gateway) -> String {
        self.0.generate(u64::try_from(gateway.app.clock.now().timestamp()).unwrap()).to_string()
    }

    /// What it shows after what it shows now.
    pub fn next(&self, gateway: &Gateway) -> String {
        gateway.app.clock.advance(TimeDelta::seconds(30));
        self.code(gateway)
    }
}

/// Another code than this one.
fn wrong(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

/// A gateway that lets codes be tried as often as wanted: how they are limited has a test of its own.
async fn roomy() -> Gateway {
    let limits = [
        "LOGIN_RATE_LIMIT_LIMIT",
        "LOGIN_FAILURES_RATE_LIMIT_LIMIT",
        "OTP_SEND_RATE_LIMIT_LIMIT",
        "OTP_VERIFY_RATE_LIMIT_LIMIT",
    ];
    let env = limits.map(|limit| (limit, "100000".to_owned())).into_iter().collect::<HashMap<_, _>>();
    Gateway::with(Wishes { env, ..Wishes::default() }).await
}

fn email(gateway: &Gateway, n: u64) -> String {
    gateway.sandbox.core().world.customer(n).email.clone()
}

async fn begin(customer: &Customer<'_>) -> Value {
    let begun = customer.ask(BEGIN, json!({})).await.data()["totpEnrolBegin"].clone();
    assert_eq!(begun["userErrors"], json!([]), "{begun}");
    begun["enrolment"].clone()
}

async fn finish(customer: &Customer<'_>, code: &str) -> Value {
    customer.ask(FINISH, json!({ "code": code })).await.data()["totpEnrolFinish"].clone()
}

/// Enrols an app of a customer; gives it with the recovery codes.
pub async fn enrol(gateway: &Gateway, customer: &Customer<'_>) -> (App, Vec<String>) {
    let app = App::of(&begin(customer).await);
    let finished = finish(customer, &app.code(gateway)).await;
    assert_eq!(finished["userErrors"], json!([]), "{finished}");
    let codes = finished["recoveryCodes"].as_array().unwrap();
    (app, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
}

async fn factors(customer: &Customer<'_>) -> Value {
    customer.ask(FACTORS, json!({})).await.data()["viewer"]["secondFactors"].clone()
}

/// The first step of a sign-in.
pub async fn create(gateway: &Gateway, input: Value) -> Value {
    gateway.nobody().ask(CREATE, json!({ "input": input })).await.data()["sessionCreate"].clone()
}

/// A challenge that asks for an app.
async fn challenge(gateway: &Gateway, email: &str, password: &str) -> Value {
    let created = create(gateway, json!({ "email": email, "password": password })).await;
    assert!(created["session"].is_null() && created["viewer"].is_null(), "{created}");
    let challenge = &created["challenge"];
    assert_eq!(challenge["methods"], json!(["TOTP", "RECOVERY_CODE"]), "{created}");
    challenge["id"].clone()
}

async fn verify(gateway: &Gateway, challenge: &Value, code: &str) -> Value {
    let input = json!({ "challengeId": challenge, "code": code });
    gateway.nobody().ask(VERIFY, json!({ "input": input })).await.data()["sessionVerify"].clone()
}

fn is_in(verified: &Value) -> bool {
    verified["session"]["accessToken"].is_string()
}

/// With what code it was refused, and how many tries remain.
fn refusal(verified: &Value) -> (&str, i64) {
    assert!(verified["session"].is_null() && verified["viewer"].is_null(), "{verified}");
    (
        verified["userErrors"][0]["code"].as_str().unwrap(),
        verified["attemptsLeft"].as_i64().unwrap_or_else(|| panic!("{verified}")),
    )
}

/// Waits for the next notice to an address that holds one of some words.
async fn notice(gateway: &Gateway, email: &str, mut since: u64, words: [&str; 2]) {
    let found = async {
        loop {
            let mail = gateway.sandbox.mail().next(email, since).await;
            let text = mail.text.as_deref().unwrap_or_default();
            if words.iter().any(|word| text.contains(word)) {
                return;
            }
            since = mail.id;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("the owner is told");
}

#[tokio::test]
async fn an_app_is_enrolled_and_asked_for_instead_of_a_mailed_code() {
    let gateway = roomy().await;
    let (customer, email) = (gateway.sign_in(1).await, email(&gateway, 1));
    assert_eq!(factors(&customer).await, json!({ "totp": null, "recoveryCodesLeft": 0 }));
    let since = gateway.mailed_so_far().await;
    let enrolment = begin(&customer).await;
    assert!(enrolment["qrSvg"].as_str().unwrap().starts_with("<svg "));
    let uri = enrolment["otpauthUri"].as_str().unwrap();
    assert!(uri.starts_with("otpauth://totp/Customer%20Portal"), "{uri}");
    assert!(uri.contains(&format!("secret={}", enrolment["secret"].as_str().unwrap())), "{uri}");
    assert_eq!(factors(&customer).await["totp"], Value::Null, "nothing has changed yet");
    let created = create(&gateway, json!({ "email": email, "password": DEMO_PASSWORD })).await;
    assert_eq!(created["challenge"]["methods"], json!(["MAILED_CODE"]));

    let app = App::of(&enrolment);
    let refused = finish(&customer, &wrong(&app.code(&gateway))).await;
    assert_eq!(refused["userErrors"][0]["code"], "TOTP_CODE_INVALID");
    assert!(refused["recoveryCodes"].is_null());
    let used = app.code(&gateway);
    let finished = finish(&customer, &used).await;
    let codes = finished["recoveryCodes"].as_array().unwrap();
    assert_eq!(codes.len(), 10, "{finished}");
    notice(&gateway, &email, since, ["authenticator app was added", "認証アプリが追加"]).await;
    let factors = self::factors(&customer).await;
    assert!(factors["totp"]["enrolledAt"].is_string() && factors["totp"]["lastUsedAt"].is_null());
    assert_eq!(factors["recoveryCodesLeft"], 10);

    // The second step: nothing is mailed, nothing can be.
    let since = gateway.mailed_so_far().await;
    let created = create(&gateway, json!({ "email": email, "password": DEMO_PASSWORD })).await;
    let challenge = &created["challenge"];
    assert_eq!(
        (&challenge["methods"], &challenge["attemptsLeft"]),
        (&json!(["TOTP", "RECOVERY_CODE"]), &json!(5))
    );
    let id = &challenge["id"];
    let resent = gateway.nobody().ask(RESEND, json!({ "input": { "challengeId": id } })).await.data();
    assert_eq!(resent["sessionCodeResend"]["userErrors"][0]["code"], "AUTH_OTP_EXPIRED");
    assert_eq!(gateway.mailed_so_far().await, since, "a mail was sent");
    // The code that enrolled it is used up.
    assert_eq!(refusal(&verify(&gateway, id, &used).await), ("AUTH_OTP_INVALID", 4));
    let code = app.next(&gateway);
    assert!(is_in(&verify(&gateway, id, &code).await));
    assert_eq!(
        refusal(&verify(&gateway, id, &code).await),
        ("AUTH_OTP_EXPIRED", 0),
        "the challenge is used up"
    );
    // The same code twice, in another sign-in.
    let id = self::challenge(&gateway, &email, DEMO_PASSWORD).await;
    assert_eq!(refusal(&verify(&gateway, &id, &code).await), ("AUTH_OTP_INVALID", 4));
    let spaced = {
        let code = app.next(&gateway);
        format!("{} {}", &code[..3], &code[3..])
    };
    let verified = verify(&gateway, &id, &spaced).await;
    let entered = Customer::with(&gateway, verified["session"]["accessToken"].as_str().unwrap().to_owned());
    let shown = entered.ask(SECURITY, json!({})).await.data();
    let last = &shown["viewer"]["signIns"]["nodes"];
    assert_eq!((&last[0]["outcome"], &last[0]["method"]), (&json!("SIGNED_IN"), &json!("TOTP")));
    assert_eq!((&last[1]["outcome"], &last[1]["method"]), (&json!("WRONG_CODE"), &Value::Null));
    assert!(self::factors(&entered).await["totp"]["lastUsedAt"].is_string());
}

#[tokio::test]
async fn a_device_is_trusted_anew_and_spared_the_app_then() {
    let gateway = roomy().await;
    let (customer, email) = (gateway.sign_in(1).await, email(&gateway, 1));
    let on = |device: &str| json!({ "email": email, "password": DEMO_PASSWORD, "deviceToken": device });
    assert!(create(&gateway, on(DEMO_DEVICE)).await["viewer"]["id"].is_string(), "it is trusted");
    let (app, _) = enrol(&gateway, &customer).await;
    let created = create(&gateway, on(DEMO_DEVICE)).await;
    let challenge = &created["challenge"];
    assert_eq!(challenge["methods"], json!(["TOTP", "RECOVERY_CODE"]), "{created}");
    let input = json!({
        "challengeId": challenge["id"], "code": app.next(&gateway), "rememberDevice": true, "deviceToken": DEMO_DEVICE,
    });
    let verified = gateway.nobody().ask(VERIFY, json!({ "input": input })).await.data();
    // The demo's token is everybody's: trust is given to one of the device's own.
    let token = verified["sessionVerify"]["deviceToken"].as_str().unwrap();
    assert!(create(&gateway, on(token)).await["viewer"]["id"].is_string());
    self::challenge(&gateway, &email, DEMO_PASSWORD).await;
}

#[tokio::test]
async fn of_fifty_uses_at_once_one_counts() {
    let gateway = roomy().await;
    let (customer, email) = (gateway.sign_in(1).await, email(&gateway, 1));
    let (app, codes) = enrol(&gateway, &customer).await;
    let mut challenges = Vec::new();
    for _ in 0..50 {
        challenges.push(challenge(&gateway, &email, DEMO_PASSWORD).await);
    }
    // An app's code and a recovery code; then each of fifty challenges is used up, or has lost its tries.
    for code in [app.next(&gateway), codes[0].clone()] {
        let all = challenges.iter().map(|challenge| verify(&gateway, challenge, &code));
        let entered = join_all(all).await.iter().filter(|verified| is_in(verified)).count();
        assert_eq!(entered, 1, "{code:.3}");
    }
    // One challenge: no more than its five tries are looked at.
    let one = challenge(&gateway, &email, DEMO_PASSWORD).await;
    let bad = wrong(&app.next(&gateway));
    let answers = join_all((0..50).map(|_| verify(&gateway, &one, &bad))).await;
    let tried = answers.iter().filter(|answer| refusal(answer).0 == "AUTH_OTP_INVALID").count();
    assert_eq!(tried, 5);
    assert_eq!(refusal(&verify(&gateway, &one, &app.code(&gateway)).await), ("AUTH_OTP_EXPIRED", 0));
}

#[tokio::test]
async fn five_wrong_codes_are_the_end_of_a_challenge_and_slow_further_ones_down() {
    let gateway = Gateway::start().await;
    let (customer, email) = (gateway.sign_in(1).await, email(&gateway, 1));
    let (app, _) = enrol(&gateway, &customer).await;
    let id = challenge(&gateway, &email, DEMO_PASSWORD).await;
    for left in [4, 3, 2, 1, 0] {
        let bad = wrong(&app.next(&gateway));
        assert_eq!(refusal(&verify(&gateway, &id, &bad).await), ("AUTH_OTP_INVALID", left));
    }
    let again = challenge(&gateway, &email, DEMO_PASSWORD).await;
    let input = json!({ "input": { "challengeId": again, "code": app.code(&gateway) } });
    let waiting = ask(&gateway, &[], VERIFY, input.clone()).await;
    assert_eq!(waiting.code(), "RATE_LIMITED", "{waiting:?}");
    gateway.app.clock.advance(TimeDelta::seconds(2));
    let void = verify(&gateway, &id, &app.code(&gateway)).await;
    assert_eq!(refusal(&void), ("AUTH_OTP_EXPIRED", 0), "the right code of a void challenge");
    gateway.app.clock.advance(TimeDelta::seconds(30));
    // Who had to wait lost no try, and the right code forgives.
    assert!(is_in(&verify(&gateway, &again, &app.next(&gateway)).await));
}

#[tokio::test]
async fn a_challenge_takes_the_codes_of_its_own_customer_only() {
    let gateway = roomy().await;
    let (one, two) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let (app, codes) = enrol(&gateway, &one).await;
    let (other, others) = enrol(&gateway, &two).await;
    let id = challenge(&gateway, &email(&gateway, 1), DEMO_PASSWORD).await;
    gateway.app.clock.advance(TimeDelta::seconds(30));
    assert_ne!(app.code(&gateway), other.code(&gateway), "one in a million");
    for (foreign, left) in [(other.code(&gateway), 4), (others[0].clone(), 3)] {
        assert_eq!(refusal(&verify(&gateway, &id, &foreign).await), ("AUTH_OTP_INVALID", left));
    }
    let stepped = two.ask(STEP_UP, json!({ "code": codes[1] })).await.data()["stepUp"].clone();
    assert_eq!(stepped["userErrors"][0]["code"], "AUTH_OTP_INVALID");
    assert!(is_in(&verify(&gateway, &id, &app.code(&gateway)).await));
    // Theirs are still theirs.
    let id = challenge(&gateway, &email(&gateway, 2), DEMO_PASSWORD).await;
    assert!(is_in(&verify(&gateway, &id, &others[0].to_lowercase()).await));
}

#[tokio::test]
async fn a_recovery_code_stands_in_once_and_its_owner_is_told() {
    let gateway = roomy().await;
    let (customer, email) = (gateway.sign_in(1).await, email(&gateway, 1));
    let (_, codes) = enrol(&gateway, &customer).await;
    let since = gateway.mailed_so_far().await;
    let id = challenge(&gateway, &email, DEMO_PASSWORD).await;
    let verified = verify(&gateway, &id, &codes[3]).await;
    let entered = Customer::with(&gateway, verified["session"]["accessToken"].as_str().unwrap().to_owned());
    notice(&gateway, &email, since, ["recovery code of your account was used", "リカバリーコードが使用"])
        .await;
    assert_eq!(factors(&entered).await["recoveryCodesLeft"], 9);
    let shown = entered.ask(SECURITY, json!({})).await.data();
    assert_eq!(shown["viewer"]["signIns"]["nodes"][0]["method"], "RECOVERY_CODE");
    let id = challenge(&gateway, &email, DEMO_PASSWORD).await;
    assert_eq!(refusal(&verify(&gateway, &id, &codes[3]).await), ("AUTH_OTP_INVALID", 4));

    let since = gateway.mailed_so_far().await;
    let made = entered.ask(REGENERATE, json!({})).await.data()["recoveryCodesRegenerate"].clone();
    assert_eq!(made["recoveryCodes"].as_array().unwrap().len(), 10, "{made}");
    notice(&gateway, &email, since, ["New recovery codes", "新しいリカバリーコード"]).await;
    assert_eq!(factors(&entered).await["recoveryCodesLeft"], 10);
    assert_eq!(
        refusal(&verify(&gateway, &id, &codes[4]).await),
        ("AUTH_OTP_INVALID", 3),
        "those before are void"
    );
    assert!(is_in(&verify(&gateway, &id, made["recoveryCodes"][0].as_str().unwrap()).await));
    let nobodys = gateway.sign_in(2).await.ask(REGENERATE, json!({})).await.data();
    assert_eq!(nobodys["recoveryCodesRegenerate"]["userErrors"][0]["code"], "TOTP_NOT_ENROLLED");
}

#[tokio::test]
async fn nothing_that_is_mailed_is_a_way_around_the_app() {
    let gateway = roomy().await;
    let (customer, email) = (gateway.sign_in(1).await, email(&gateway, 1));
    // Begun before: a sign-in, a step-up, and the hand-off of whoever proved the address.
    let since = gateway.mailed_so_far().await;
    let mailed = create(&gateway, json!({ "email": email, "password": DEMO_PASSWORD })).await;
    let sign_in_code = gateway.sandbox.mail().next(&email, since).await.code.clone().unwrap();
    let since = gateway.mailed_so_far().await;
    let sent = customer.ask(STEP_UP_CODE, json!({})).await.data()["stepUpCodeSend"].clone();
    let step_up_code = gateway.sandbox.mail().next(&email, since).await.code.clone().unwrap();
    let mut tx = gateway.app.store.begin().await.unwrap();
    let now = gateway.app.clock.now();
    let user = gateway.app.store.user_by_email(&email).await.unwrap().unwrap().id;
    let given = gateway.app.identity.hand_off(&mut tx, user, &email, now).await.unwrap().unwrap();
    tx.commit().await.unwrap();

    let (app, _) = enrol(&gateway, &customer).await;
    let late = verify(&gateway, &mailed["challenge"]["id"], &sign_in_code).await;
    assert_eq!(late["userErrors"][0]["code"], "AUTH_OTP_EXPIRED", "{late}");
    assert!(late["session"].is_null());
    let by_mail = "mutation($id: ID!, $code: String!) {
        stepUp(input: { mailedCode: { challengeId: $id, code: $code } }) { freshUntil userErrors { code } } }";
    let late = customer.ask(by_mail, json!({ "id": sent["challengeId"], "code": step_up_code })).await.data();
    assert_eq!(late["stepUp"]["userErrors"][0]["code"], "AUTH_OTP_EXPIRED");
    let token = given.token.expose_secret();
    let input = json!({ "email": email, "password": DEMO_PASSWORD, "handOffToken": token });
    let handed = create(&gateway, input).await;
    assert_eq!(handed["challenge"]["methods"], json!(["TOTP", "RECOVERY_CODE"]), "{handed}");

    // A forgotten password.
    let since = gateway.mailed_so_far().await;
    gateway.nobody().ask(RESET_REQUEST, json!({ "email": email })).await.data();
    let mail = gateway.sandbox.mail().next(&email, since).await;
    let (_, token) = mail.links[0].split_once("#token=").unwrap();
    let new = "an entirely different staple";
    let reset = gateway.nobody().ask(RESET, json!({ "token": token, "newPassword": new })).await.data();
    assert_eq!(reset["passwordReset"]["changed"], true, "{reset}");
    let id = challenge(&gateway, &email, new).await;
    assert!(is_in(&verify(&gateway, &id, &app.next(&gateway)).await));
    // And the challenge of the old password is void.
    let old = verify(&gateway, &handed["challenge"]["id"], &app.next(&gateway)).await;
    assert_eq!(refusal(&old), ("AUTH_OTP_EXPIRED", 0));
}

#[tokio::test]
async fn an_app_proves_who_is_there_in_place_of_the_mailed_code() {
    let gateway = roomy().await;
    let (customer, other) = (gateway.sign_in(1).await, gateway.sign_in(1).await);
    let (app, codes) = enrol(&gateway, &customer).await;
    let begun = customer.ask(STEP_UP_BEGIN, json!({})).await.data();
    assert_eq!(begun["stepUpBegin"]["methods"], json!(["PASSWORD", "TOTP"]));
    let sent = customer.ask(STEP_UP_CODE, json!({})).await.data();
    assert_eq!(sent["stepUpCodeSend"]["userErrors"][0]["code"], "STEP_UP_METHOD");

    gateway.app.clock.advance(TimeDelta::minutes(5));
    let required = json!("STEP_UP_REQUIRED");
    for (document, root) in
        [(BEGIN, "totpEnrolBegin"), (REMOVE, "totpRemove"), (REGENERATE, "recoveryCodesRegenerate")]
    {
        let refused = customer.ask(document, json!({})).await.data();
        assert_eq!(refused[root]["userErrors"][0]["code"], required, "{root}");
    }
    let prove =
        async |code: &str| customer.ask(STEP_UP, json!({ "code": code })).await.data()["stepUp"].clone();
    let code = app.code(&gateway);
    let refused = prove(&wrong(&code)).await;
    assert_eq!(
        (&refused["userErrors"][0]["code"], &refused["userErrors"][0]["field"]),
        (&json!("AUTH_OTP_INVALID"), &json!(["totp"]))
    );
    assert!(prove(&code).await["freshUntil"].is_string());
    assert!(prove(&code).await["freshUntil"].is_null(), "the same code twice");
    let id = challenge(&gateway, &email(&gateway, 1), DEMO_PASSWORD).await;
    assert_eq!(
        refusal(&verify(&gateway, &id, &code).await),
        ("AUTH_OTP_INVALID", 4),
        "not at a sign-in either"
    );
    // Another session's proof is none here; a recovery code is one, too.
    let refused = other.ask(REMOVE, json!({})).await.data();
    assert_eq!(refused["totpRemove"]["userErrors"][0]["code"], required);
    let proved = other.ask(STEP_UP, json!({ "code": codes[0] })).await.data();
    assert!(proved["stepUp"]["freshUntil"].is_string(), "{proved}");

    let since = gateway.mailed_so_far().await;
    let removed = other.ask(REMOVE, json!({})).await.data();
    assert_eq!(removed["totpRemove"], json!({ "removed": true, "userErrors": [] }));
    notice(&gateway, &email(&gateway, 1), since, ["authenticator app was removed", "認証アプリが削除"]).await;
    assert_eq!(factors(&customer).await, json!({ "totp": null, "recoveryCodesLeft": 0 }));
    // What was begun with the app ends with it; the mailed code is asked for again.
    assert_eq!(refusal(&verify(&gateway, &id, &app.next(&gateway)).await), ("AUTH_OTP_INVALID", 3));
    assert_eq!(refusal(&verify(&gateway, &id, &codes[1]).await), ("AUTH_OTP_INVALID", 2));
    let created = create(&gateway, json!({ "email": email(&gateway, 1), "password": DEMO_PASSWORD })).await;
    assert_eq!(created["challenge"]["methods"], json!(["MAILED_CODE"]));
    assert_eq!(customer.ask(REMOVE, json!({})).await.data()["totpRemove"]["removed"], false);
}

#[tokio::test]
async fn an_enrolment_is_finished_in_time_by_its_own_session_and_replaces_the_app_before() {
    let gateway = roomy().await;
    let (customer, email) = (gateway.sign_in(1).await, email(&gateway, 1));
    let code_of = |answer: &Value| answer["userErrors"][0]["code"].as_str().unwrap().to_owned();
    let first = App::of(&begin(&customer).await);
    let elsewhere = gateway.sign_in(1).await;
    assert_eq!(code_of(&finish(&elsewhere, &first.code(&gateway)).await), "TOTP_ENROLMENT_VOID");
    // The second beginning makes the first void.
    let second = App::of(&begin(&customer).await);
    assert_eq!(code_of(&finish(&customer, &first.code(&gateway)).await), "TOTP_CODE_INVALID");
    for code in ["TOTP_CODE_INVALID", "TOTP_CODE_INVALID", "TOTP_CODE_INVALID", "TOTP_ENROLMENT_VOID"] {
        assert_eq!(code_of(&finish(&customer, &wrong(&second.code(&gateway))).await), code);
    }
    assert_eq!(
        code_of(&finish(&customer, &second.code(&gateway)).await),
        "TOTP_ENROLMENT_VOID",
        "five tries"
    );
    let late = App::of(&begin(&customer).await);
    gateway.app.clock.advance(TimeDelta::minutes(10));
    assert_eq!(code_of(&finish(&customer, &late.code(&gateway)).await), "TOTP_ENROLMENT_VOID");

    let customer = gateway.sign_in(1).await;
    let (old, codes) = enrol(&gateway, &customer).await;
    gateway.app.clock.advance(TimeDelta::seconds(60));
    let (new, _) = enrol(&gateway, &customer).await;
    let id = challenge(&gateway, &email, DEMO_PASSWORD).await;
    assert_eq!(refusal(&verify(&gateway, &id, &old.next(&gateway)).await), ("AUTH_OTP_INVALID", 4));
    assert_eq!(refusal(&verify(&gateway, &id, &codes[0]).await), ("AUTH_OTP_INVALID", 3));
    assert!(is_in(&verify(&gateway, &id, &new.code(&gateway)).await));
}

#[tokio::test]
async fn before_the_right_password_nobody_learns_of_an_app() {
    let gateway = Gateway::start().await;
    enrol(&gateway, &gateway.sign_in(1).await).await;
    let mut answers = Vec::new();
    for email in [email(&gateway, 1), email(&gateway, 2), "nobody@example.jp".to_owned()] {
        let input = json!({ "email": email, "password": "wrong horse battery" });
        let reply = ask(&gateway, &[], CREATE, json!({ "input": input })).await;
        let id = reply.json()["extensions"]["requestId"].as_str().unwrap().to_owned();
        let mut names: Vec<_> = reply.headers.keys().map(ToString::to_string).collect();
        names.sort();
        answers.push((reply.status, reply.text.replace(&id, "[id]"), names));
    }
    assert!(answers[0].1.contains("AUTH_INVALID_CREDENTIALS"));
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}
