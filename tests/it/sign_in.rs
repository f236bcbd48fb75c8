//! Signing in: the password, the mailed code, devices, limits, and what people see of it afterwards.

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;
use portal_gateway::{identity::Context, sandbox::credentials::DEMO_PASSWORD, secret::ExposeSecret};
use serde_json::{Value, json};
use tokio::time::{Duration, timeout};

use crate::{
    gateway::{Customer, Gateway, Wishes},
    wire::{Reply, ask},
};

const CREATE: &str = include_str!("../../examples/queries/session.graphql");
const VERIFY: &str = include_str!("../../examples/queries/session-verify.graphql");
const RESEND: &str = include_str!("../../examples/queries/session-code-resend.graphql");
const SECURITY: &str = include_str!("../../examples/queries/security.graphql");
const REVOKE: &str = include_str!("../../examples/queries/device-revoke.graphql");

/// The origin of the gateway's own pages.
const OWN: (&str, &str) = ("origin", "http://localhost:4000");
const CUSTOM: (&str, &str) = ("x-portal-csrf", "1");
const CHROME: (&str, &str) = ("user-agent", "Mozilla/5.0 (Windows NT 10.0) Chrome/143.0 Safari/537.36");

/// Longer than any mail may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn email(gateway: &Gateway, n: u64) -> String {
    gateway.sandbox.core().world.customer(n).email.clone()
}

async fn with(env: &[(&'static str, &str)]) -> Gateway {
    let env = env.iter().map(|(name, value)| (*name, (*value).to_owned())).collect::<HashMap<_, _>>();
    Gateway::with(Wishes { env, ..Wishes::default() }).await
}

/// The first step.
async fn create(gateway: &Gateway, headers: &[(&str, &str)], input: Value) -> Reply {
    ask(gateway, headers, CREATE, json!({ "input": input })).await
}

fn credentials(email: &str, password: &str) -> Value {
    json!({ "email": email, "password": password })
}

/// A challenge and the code that was mailed for it.
pub async fn challenge(gateway: &Gateway, email: &str) -> (Value, String) {
    challenge_of(gateway, email, DEMO_PASSWORD).await
}

async fn challenge_of(gateway: &Gateway, email: &str, password: &str) -> (Value, String) {
    let since = gateway.mailed_so_far().await;
    let reply = create(gateway, &[CHROME], credentials(email, password)).await.json();
    let created = reply["data"]["sessionCreate"].clone();
    assert!(created["session"].is_null() && created["viewer"].is_null() && created["deviceToken"].is_null());
    assert_eq!(created["userErrors"], json!([]), "{reply}");
    (created["challenge"].clone(), mailed(gateway, email, since).await)
}

async fn mailed(gateway: &Gateway, email: &str, since: u64) -> String {
    let mail = timeout(PATIENCE, gateway.sandbox.mail().next(email, since)).await.expect("the mail arrives");
    mail.code.clone().unwrap()
}

/// Both steps of somebody's sign-in.
pub async fn enter(gateway: &Gateway, email: &str, password: &str) -> Value {
    let (challenge, code) = challenge_of(gateway, email, password).await;
    verify(gateway, json!({ "challengeId": challenge["id"], "code": code })).await
}

pub async fn verify(gateway: &Gateway, input: Value) -> Value {
    let reply = ask(gateway, &[CHROME], VERIFY, json!({ "input": input })).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["data"]["sessionVerify"].clone()
}

/// A whole sign-in. Gives what the second step gave.
async fn sign_in(gateway: &Gateway, email: &str, remember: bool) -> Value {
    let (challenge, code) = challenge(gateway, email).await;
    let input = json!({ "challengeId": challenge["id"], "code": code, "rememberDevice": remember });
    let verified = verify(gateway, input).await;
    assert!(verified["session"]["accessToken"].is_string(), "{verified}");
    verified
}

/// Another code than the right one.
fn wrong(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

async fn security(gateway: &Gateway, verified: &Value) -> Value {
    let token = verified["session"]["accessToken"].as_str().unwrap();
    let bearer = format!("Bearer {token}");
    let reply = ask(gateway, &[("authorization", &bearer)], SECURITY, json!({})).await;
    assert!(reply.json()["errors"].is_null(), "{reply:?}");
    reply.json()["data"]["viewer"].clone()
}

#[tokio::test]
async fn a_password_gives_a_challenge_and_the_mailed_code_the_session() {
    let gateway = Gateway::start().await;
    let email = email(&gateway, 1);
    let (challenge, code) = challenge(&gateway, &email.to_uppercase().to_lowercase()).await;
    let masked = challenge["maskedEmail"].as_str().unwrap();
    assert!(masked.starts_with(&email[..1]) && masked.contains("***@") && masked != email, "{masked}");
    assert_eq!((&challenge["methods"], &challenge["attemptsLeft"]), (&json!(["MAILED_CODE"]), &json!(3)));
    let verified = verify(&gateway, json!({ "challengeId": challenge["id"], "code": code })).await;
    assert!(verified["viewer"]["id"].is_string() && verified["attemptsLeft"].is_null());
    assert_eq!(verified["userErrors"], json!([]));
    assert_eq!(verified["deviceToken"].as_str().unwrap().len(), 43);

    let shown = security(&gateway, &verified).await;
    let session = &shown["sessions"][0];
    assert_eq!(
        (&session["device"], &session["deviceName"], &session["network"], &session["isCurrent"]),
        (&json!("BROWSER"), &json!("Chrome, Windows"), &json!("127.0.0.0/24"), &json!(true))
    );
    let history = shown["signIns"]["nodes"].as_array().unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!((&history[0]["outcome"], &history[0]["method"]), (&json!("SIGNED_IN"), &json!("MAILED_CODE")));
    let own = shown["devices"].as_array().unwrap().iter().find(|one| one["isCurrent"] == true).unwrap();
    assert_eq!((&own["name"], &own["trustedUntil"]), (&json!("Chrome, Windows"), &Value::Null));

    // It was used up.
    let again = verify(&gateway, json!({ "challengeId": challenge["id"], "code": code })).await;
    assert_eq!(again["userErrors"][0]["code"], "AUTH_OTP_EXPIRED");
    assert!(again["session"].is_null());
}

#[tokio::test]
async fn a_wrong_code_says_how_many_tries_remain_and_the_third_voids_it() {
    let gateway = Gateway::start().await;
    let email = email(&gateway, 1);
    let (challenge, code) = challenge(&gateway, &email).await;
    let input = |code: &str| json!({ "challengeId": challenge["id"], "code": code });
    for left in [2, 1, 0] {
        let refused = verify(&gateway, input(&wrong(&code))).await;
        assert_eq!(refused["attemptsLeft"], left);
        assert_eq!(refused["userErrors"][0]["code"], "AUTH_OTP_INVALID");
        assert_eq!(refused["userErrors"][0]["field"], json!(["code"]));
    }
    let late = verify(&gateway, input(&code)).await;
    assert_eq!(
        (&late["attemptsLeft"], &late["userErrors"][0]["code"]),
        (&json!(0), &json!("AUTH_OTP_EXPIRED"))
    );
    // What never was is told the same.
    let never = json!({ "challengeId": "Q2hhbGxlbmdlOjAwMDAwMDAwLTAwMDAtNDAwMC04MDAwLTAwMDAwMDAwMDAwMA", "code": code });
    assert_eq!(verify(&gateway, never).await, late);

    let verified = sign_in(&gateway, &email, false).await;
    let history = security(&gateway, &verified).await["signIns"].clone();
    let outcomes: Vec<_> =
        history["nodes"].as_array().unwrap().iter().map(|one| one["outcome"].clone()).collect();
    assert_eq!(outcomes, ["SIGNED_IN", "WRONG_CODE", "WRONG_CODE", "WRONG_CODE"]);
}

#[tokio::test]
async fn another_code_replaces_the_first() {
    let gateway = Gateway::start().await;
    let email = email(&gateway, 1);
    let (challenge, first) = challenge(&gateway, &email).await;
    let since = gateway.mailed_so_far().await;
    let reply =
        ask(&gateway, &[], RESEND, json!({ "input": { "challengeId": challenge["id"] } })).await.json();
    assert_eq!(reply["data"]["sessionCodeResend"]["challenge"]["id"], challenge["id"], "{reply}");
    let second = mailed(&gateway, &email, since).await;
    if first != second {
        let old = verify(&gateway, json!({ "challengeId": challenge["id"], "code": first })).await;
        assert_eq!(old["userErrors"][0]["code"], "AUTH_OTP_INVALID");
    }
    let new = verify(&gateway, json!({ "challengeId": challenge["id"], "code": second })).await;
    assert!(new["session"]["accessToken"].is_string(), "{new}");
}

#[tokio::test]
async fn a_challenge_belongs_to_its_attempt() {
    let gateway = Gateway::start().await;
    let (one, other) = (email(&gateway, 1), email(&gateway, 2));
    let (of_one, code_of_one) = challenge(&gateway, &one).await;
    let (of_other, code_of_other) = challenge(&gateway, &other).await;
    if code_of_one != code_of_other {
        let crossed = verify(&gateway, json!({ "challengeId": of_one["id"], "code": code_of_other })).await;
        assert_eq!(crossed["userErrors"][0]["code"], "AUTH_OTP_INVALID");
    }
    // The session goes where the first step said.
    let input = json!({ "challengeId": of_one["id"], "code": code_of_one, "delivery": "COOKIES" });
    let moved = ask(&gateway, &[CUSTOM, OWN], VERIFY, json!({ "input": input })).await;
    assert_eq!((moved.code().as_str(), moved.cookies().len()), ("BAD_USER_INPUT", 0), "{moved:?}");
    // Who changes the password meanwhile ends what was begun with the old one.
    let owner = gateway.sign_in(2).await;
    let change = "mutation($input: PasswordChangeInput!) { passwordChange(input: $input) { changed } }";
    let input = json!({ "currentPassword": DEMO_PASSWORD, "newPassword": "an entirely different staple" });
    assert_eq!(owner.ask(change, json!({ "input": input })).await.data()["passwordChange"]["changed"], true);
    let late = verify(&gateway, json!({ "challengeId": of_other["id"], "code": code_of_other })).await;
    assert_eq!(late["userErrors"][0]["code"], "AUTH_OTP_EXPIRED");
    let right = verify(&gateway, json!({ "challengeId": of_one["id"], "code": code_of_one })).await;
    assert!(right["session"]["accessToken"].is_string(), "{right}");
}

#[tokio::test]
async fn a_remembered_device_is_spared_the_code_for_a_week_until_it_is_revoked() {
    let gateway = Gateway::start().await;
    let email = email(&gateway, 1);
    let first = sign_in(&gateway, &email, true).await;
    let device = first["deviceToken"].clone();
    let again = async |device: &Value| {
        let mut input = credentials(&email, DEMO_PASSWORD);
        input["deviceToken"] = device.clone();
        create(&gateway, &[CHROME], input).await.json()["data"]["sessionCreate"].clone()
    };
    let spared = again(&device).await;
    assert!(spared["session"]["accessToken"].is_string() && spared["challenge"].is_null(), "{spared}");
    assert_eq!(spared["deviceToken"], device, "it stays the same device");
    let shown = security(&gateway, &spared).await;
    assert_eq!(shown["signIns"]["nodes"][0]["method"], "TRUSTED_DEVICE");
    let own =
        shown["devices"].as_array().unwrap().iter().find(|one| one["isCurrent"] == true).unwrap().clone();
    assert!(own["trustedUntil"].is_string());
    // Nobody else's account, and no other token.
    for (email, device) in
        [(self::email(&gateway, 2), device.clone()), (email.clone(), json!("x".repeat(43)))]
    {
        let mut input = credentials(&email, DEMO_PASSWORD);
        input["deviceToken"] = device;
        let asked = create(&gateway, &[], input).await.json()["data"]["sessionCreate"].clone();
        assert!(asked["session"].is_null() && asked["challenge"]["id"].is_string(), "{asked}");
    }

    let token = spared["session"]["accessToken"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let stranger = gateway.sign_in(2).await;
    let foreign = stranger.ask(REVOKE, json!({ "input": { "id": own["id"] } })).await.data();
    assert_eq!(foreign["deviceRevoke"]["revoked"], false);
    let revoked =
        ask(&gateway, &[("authorization", &bearer)], REVOKE, json!({ "input": { "id": own["id"] } })).await;
    assert_eq!(revoked.json()["data"]["deviceRevoke"]["revoked"], true, "{revoked:?}");
    let ended = ask(&gateway, &[("authorization", &bearer)], SECURITY, json!({})).await;
    assert_eq!(ended.status, 401, "its sessions have ended");
    assert!(again(&device).await["challenge"]["id"].is_string());

    // A mail on its way when its lease is over would be sent a second time.
    gateway.mailed_so_far().await;
    // And one that is not revoked is trusted for seven days.
    gateway.app.clock.advance(TimeDelta::minutes(10));
    let device = sign_in(&gateway, &email, true).await["deviceToken"].clone();
    gateway.app.clock.advance(TimeDelta::days(7) - TimeDelta::minutes(1));
    assert!(again(&device).await["session"]["accessToken"].is_string());
    gateway.app.clock.advance(TimeDelta::minutes(2));
    assert!(again(&device).await["challenge"]["id"].is_string());
}

#[tokio::test]
async fn a_browser_is_known_by_a_cookie() {
    let gateway = Gateway::start().await;
    let email = email(&gateway, 1);
    let since = gateway.mailed_so_far().await;
    let mut input = credentials(&email, DEMO_PASSWORD);
    input["delivery"] = json!("COOKIES");
    let page = [CUSTOM, OWN, CHROME];
    let first = create(&gateway, &page, input.clone()).await;
    assert_eq!(first.cookies().len(), 0, "nobody is signed in yet");
    let challenge = first.json()["data"]["sessionCreate"]["challenge"]["id"].clone();
    let code = mailed(&gateway, &email, since).await;
    let verify =
        json!({ "challengeId": challenge, "code": code, "rememberDevice": true, "delivery": "COOKIES" });
    let second = ask(&gateway, &page, VERIFY, json!({ "input": verify })).await;
    let verified = &second.json()["data"]["sessionVerify"];
    assert!(verified["session"]["accessToken"].is_null() && verified["deviceToken"].is_null(), "{verified}");
    let cookies = second.cookies();
    assert_eq!(cookies.len(), 3, "{cookies:?}");
    let device = cookies.iter().find(|cookie| cookie.starts_with("__Host-device=")).unwrap();
    for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
        assert!(device.contains(attribute), "{device}");
    }
    let cookie = device.split(';').next().unwrap();
    // The cookie alone spares the code, and only on a page that may sign its user in.
    let known = [CUSTOM, OWN, CHROME, ("cookie", cookie)];
    let spared = create(&gateway, &known, input.clone()).await;
    assert!(spared.json()["data"]["sessionCreate"]["viewer"]["id"].is_string(), "{spared:?}");
    assert_eq!(spared.cookies().len(), 3);
    let foreign = [("origin", "http://evil.example"), ("cookie", cookie)];
    let asked = create(&gateway, &foreign, credentials(&email, DEMO_PASSWORD)).await;
    assert!(asked.json()["data"]["sessionCreate"]["session"].is_null(), "{asked:?}");
}

#[tokio::test]
async fn people_who_share_a_browser_do_not_make_it_forget_each_other() {
    let gateway = Gateway::start().await;
    let (one, other) = (email(&gateway, 1), email(&gateway, 2));
    let on = async |email: &str, device: &Value, remember: bool| {
        let (challenge, code) = challenge(&gateway, email).await;
        let id = &challenge["id"];
        let input =
            json!({ "challengeId": id, "code": code, "rememberDevice": remember, "deviceToken": device });
        verify(&gateway, input).await
    };
    let mine = on(&one, &Value::Null, true).await["deviceToken"].clone();
    assert_eq!(on(&other, &mine, false).await["deviceToken"], mine, "it stays the same browser");
    let again = async |email: &str, device: &Value| {
        let mut input = credentials(email, DEMO_PASSWORD);
        input["deviceToken"] = device.clone();
        create(&gateway, &[], input).await.json()["data"]["sessionCreate"]["session"].is_object()
    };
    assert!(again(&one, &mine).await, "the first one's trust stands");
    assert!(!again(&other, &mine).await, "it is not the other's");
    // Trust rests on a token that nobody else has read.
    let theirs = on(&other, &mine, true).await["deviceToken"].clone();
    assert!(theirs != mine && again(&other, &theirs).await && !again(&one, &theirs).await);
}

#[tokio::test]
async fn a_sign_in_on_a_device_that_was_never_seen_is_mailed_about() {
    let gateway = Gateway::start().await;
    let email = email(&gateway, 1);
    // The demonstration's own device was seen before.
    let since = gateway.mailed_so_far().await;
    let verified = sign_in(&gateway, &email, false).await;
    let notice = async |since: u64| {
        let mut since = since;
        loop {
            let next = timeout(PATIENCE, gateway.sandbox.mail().next(&email, since)).await;
            let mail = next.expect("the mail arrives");
            if mail.code.is_none() {
                break mail;
            }
            since = mail.id;
        }
    };
    let mail = notice(since).await;
    assert!(mail.text.as_deref().unwrap().contains("Chrome, Windows"), "{mail:?}");
    // On the same device there is none.
    let since = gateway.mailed_so_far().await;
    let (challenge, code) = challenge(&gateway, &email).await;
    let input =
        json!({ "challengeId": challenge["id"], "code": code, "deviceToken": verified["deviceToken"] });
    assert!(verify(&gateway, input).await["session"]["accessToken"].is_string());
    let other = sign_in(&gateway, &email, false).await;
    assert_ne!(other["deviceToken"], verified["deviceToken"]);
    notice(since).await;
    let to = gateway.sandbox.mail().to(&email);
    assert_eq!(to.iter().filter(|mail| mail.code.is_none()).count(), 2);
}

#[tokio::test]
async fn the_owner_signs_in_on_a_known_device_while_two_hundred_addresses_guess() {
    let gateway = with(&[("TRUST_PROXY", "127.0.0.1")]).await;
    let email = email(&gateway, 1);
    let device = sign_in(&gateway, &email, true).await["deviceToken"].clone();
    let mut wrong = 0;
    for n in 0..200 {
        let address = format!("198.51.{}.{}", n / 100, n % 100 + 1);
        let headers = [("x-forwarded-for", address.as_str())];
        let reply = create(&gateway, &headers, credentials(&email, "wrong horse battery")).await;
        match reply.code().as_str() {
            "RATE_LIMITED" => {}
            _ => wrong += u32::from(reply.text.contains("AUTH_INVALID_CREDENTIALS")),
        }
    }
    // Five are free, and each further second may bring one more.
    assert!((5..=12).contains(&wrong), "{wrong} guesses of two hundred were tried");
    let stranger =
        create(&gateway, &[("x-forwarded-for", "203.0.113.9")], credentials(&email, DEMO_PASSWORD)).await;
    assert_eq!(stranger.code(), "RATE_LIMITED");
    let mut input = credentials(&email, DEMO_PASSWORD);
    input["deviceToken"] = device;
    let owner = create(&gateway, &[], input.clone()).await.json();
    assert!(owner["data"]["sessionCreate"]["session"]["accessToken"].is_string(), "{owner}");
    // Whoever stole the device's token guesses no faster.
    input["password"] = json!("wrong horse battery");
    for _ in 0..5 {
        create(&gateway, &[], input.clone()).await;
    }
    assert_eq!(create(&gateway, &[], input).await.code(), "RATE_LIMITED");
}

#[tokio::test]
async fn of_a_crowd_whoever_has_no_room_is_told_when_to_come_back() {
    const CROWD: usize = 100;
    let gateway =
        with(&[("LOGIN_RATE_LIMIT_LIMIT", "10000"), ("LOGIN_FAILURES_RATE_LIMIT_LIMIT", "10000")]).await;
    let crowd = (0..CROWD).map(async |n| {
        let email = format!("nobody.{n}@example.jp");
        create(&gateway, &[], credentials(&email, "wrong horse battery")).await
    });
    let (mut turned_away, mut told) = (0, HashSet::new());
    for reply in futures::future::join_all(crowd).await {
        let json = reply.json();
        if reply.status == 200 {
            assert_eq!(
                json["data"]["sessionCreate"]["userErrors"][0]["code"], "AUTH_INVALID_CREDENTIALS",
                "{json}"
            );
            continue;
        }
        turned_away += 1;
        assert_eq!((reply.status, reply.code().as_str()), (429, "RATE_LIMITED"), "{reply:?}");
        // One behind the other, not all at once.
        let after = json["errors"][0]["extensions"]["retryAfterMs"].as_u64().unwrap();
        assert!((500..=30_000).contains(&after), "{json}");
        assert_eq!(reply.headers["retry-after"], after.div_ceil(1_000).to_string().as_str());
        told.insert(after);
        assert!(json.get("data").is_none(), "{json}");
    }
    assert!((1..CROWD).contains(&turned_away), "{turned_away}");
    assert!(told.len() > turned_away / 2, "{turned_away} are told {told:?}");
    // Afterwards there is room again.
    let reply = create(&gateway, &[], credentials(&email(&gateway, 1), DEMO_PASSWORD)).await;
    assert!(reply.json()["data"]["sessionCreate"]["challenge"]["id"].is_string(), "{reply:?}");
}

#[tokio::test]
async fn a_forged_address_changes_nothing() {
    let gateway = with(&[("AUTH_PEOPLE_PER_ADDRESS", "1")]).await;
    let mut limited = 0;
    for n in 0..12 {
        let address = format!("198.51.100.{n}");
        let headers = [("x-forwarded-for", address.as_str()), ("x-real-ip", address.as_str())];
        let email = format!("nobody.{n}@example.jp");
        let reply = create(&gateway, &headers, credentials(&email, "wrong horse battery")).await;
        limited += u32::from(reply.code() == "RATE_LIMITED");
    }
    assert!(limited >= 5, "{limited} of twelve were held, though all came from one address");
}

#[tokio::test]
async fn while_closed_nobody_signs_in_and_sessions_go_on() {
    let words = "Back at noon.";
    let gateway = with(&[("AUTH_MAINTENANCE_MODE", "true"), ("AUTH_MAINTENANCE_MESSAGE", words)]).await;
    let reply = create(&gateway, &[], credentials(&email(&gateway, 1), DEMO_PASSWORD)).await;
    let error = &reply.json()["errors"][0];
    assert_eq!(error["message"], words);
    assert_eq!(error["extensions"]["code"], "AUTH_MAINTENANCE");
    assert_eq!(error["extensions"]["retryable"], true);
    let verify = json!({ "challengeId": "Q2hhbGxlbmdlOng", "code": "000000" });
    assert_eq!(ask(&gateway, &[], VERIFY, json!({ "input": verify })).await.code(), "AUTH_MAINTENANCE");
    // Nor does anybody sign up or link.
    let token = json!("bm90aGluZw");
    let link =
        json!({ "verification": token, "password": "an entirely different staple", "termsVersion": "1" });
    let closed = [
        ("SignUpBegin", json!({ "email": "zoe.obrien@example.jp" })),
        (
            "SignUpVerify",
            json!({ "challengeId": "U2lnblVwQ2hhbGxlbmdlOjAwMDAwMDAwLTAwMDAtNDAwMC04MDAwLTAwMDAwMDAwMDAwMA", "code": "000000" }),
        ),
        ("SignUpComplete", crate::sign_up::form(&token)),
    ];
    let known = email(&gateway, 20);
    let by_billing = json!({ "email": known, "password": DEMO_PASSWORD });
    let linking = include_str!("../../examples/queries/account-link.graphql");
    gateway.forget_calls();
    for (document, operation, variables) in closed
        .into_iter()
        .map(|(operation, variables)| (crate::sign_up::DOCUMENT, operation, variables))
        .chain([(linking, "VerifyByBilling", by_billing), (linking, "AccountLink", link)])
    {
        let answer = gateway.nobody().operate(document, operation, variables).await.body;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "AUTH_MAINTENANCE", "{operation}: {answer}");
    }
    let resend = "mutation { signUpResend(input: { challengeId: \"U2lnblVwQ2hhbGxlbmdlOjAwMDAwMDAwLTAwMDAtNDAwMC04MDAwLTAwMDAwMDAwMDAwMA\" }) { userErrors { code } } }";
    let answer = gateway.nobody().ask(resend, json!({})).await.body;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "AUTH_MAINTENANCE", "{answer}");
    assert_eq!(gateway.calls(), []);
    let here: Customer<'_> = gateway.sign_in(1).await;
    assert!(here.ask("{ viewer { id } }", json!({})).await.data()["viewer"]["id"].is_string());
}

#[tokio::test]
async fn the_eleventh_session_ends_the_first() {
    let gateway = Gateway::start().await;
    let first = gateway.sign_in(1).await;
    let mut others = Vec::new();
    for _ in 0..9 {
        others.push(gateway.sign_in(1).await);
    }
    assert_eq!(first.ask("{ viewer { id } }", json!({})).await.status, 200);
    others.push(gateway.sign_in(1).await);
    assert_eq!(first.ask("{ viewer { id } }", json!({})).await.status, 401, "at once");
    for other in &others {
        assert_eq!(other.ask("{ viewer { id } }", json!({})).await.status, 200);
    }
}

#[tokio::test]
async fn who_proved_the_address_at_sign_up_needs_the_password_alone_once() {
    let gateway = Gateway::start().await;
    let (email, other) = (email(&gateway, 1), email(&gateway, 2));
    let hand_off = async |email: &str| {
        let user = gateway.app.store.user_by_email(email).await.unwrap().unwrap();
        let mut tx = gateway.app.store.begin().await.unwrap();
        let hand_off = gateway
            .app
            .identity
            .hand_off(&mut tx, user.id, email, gateway.app.clock.now())
            .await
            .unwrap()
            .unwrap();
        tx.commit().await.unwrap();
        hand_off
    };
    let given = hand_off(&email).await;
    let attempt = async |email: &str, password: &str, token: &str| {
        let mut input = credentials(email, password);
        input["handOffToken"] = json!(token);
        create(&gateway, &[], input).await.json()["data"]["sessionCreate"].clone()
    };
    let token = given.token.expose_secret();
    // A typo does not use it up, nor does another account.
    let typo = attempt(&email, "wrong horse battery", token).await;
    assert_eq!(typo["userErrors"][0]["code"], "AUTH_INVALID_CREDENTIALS");
    assert!(attempt(&other, DEMO_PASSWORD, token).await["challenge"]["id"].is_string());
    let state = "{ signInHandOff { maskedEmail } }";
    let cookie = format!("__Host-hand-off={token}");
    let page = [CUSTOM, OWN, ("cookie", cookie.as_str())];
    let shown = ask(&gateway, &page, state, json!({})).await.json();
    assert_eq!(shown["data"]["signInHandOff"]["maskedEmail"], given.masked_address, "{shown}");
    let entered = attempt(&email, DEMO_PASSWORD, token).await;
    assert!(entered["session"]["accessToken"].is_string(), "{entered}");
    assert!(attempt(&email, DEMO_PASSWORD, token).await["challenge"]["id"].is_string(), "only once");
    assert!(ask(&gateway, &page, state, json!({})).await.json()["data"]["signInHandOff"].is_null());

    let late = hand_off(&email).await;
    gateway.app.clock.advance(TimeDelta::minutes(5));
    let asked = attempt(&email, DEMO_PASSWORD, late.token.expose_secret()).await;
    assert!(asked["challenge"]["id"].is_string(), "{asked}");

    // The browser's cookie does the same, and goes.
    let third = hand_off(&email).await;
    let cookie = format!("__Host-hand-off={}", third.token.expose_secret());
    let page = [CUSTOM, OWN, ("cookie", cookie.as_str())];
    let mut input = credentials(&email, DEMO_PASSWORD);
    input["delivery"] = json!("COOKIES");
    let entered = create(&gateway, &page, input).await;
    assert!(entered.json()["data"]["sessionCreate"]["viewer"]["id"].is_string(), "{entered:?}");
    assert!(entered.cookies().iter().any(|cookie| cookie.starts_with("__Host-hand-off=;")));
}

#[tokio::test]
async fn codes_and_refreshes_are_limited_by_address() {
    let gateway = with(&[
        ("AUTH_PEOPLE_PER_ADDRESS", "1"),
        ("AUTH_REFRESH_RATE_LIMIT_LIMIT", "3"),
        ("OTP_VERIFY_RATE_LIMIT_LIMIT", "3"),
    ])
    .await;
    let refresh = "mutation { sessionRefresh(input: { refreshToken: \"x\" }) { userErrors { code } } }";
    for code in ["UNAUTHENTICATED", "UNAUTHENTICATED", "UNAUTHENTICATED", "RATE_LIMITED"] {
        assert_eq!(ask(&gateway, &[], refresh, json!({})).await.code(), code);
    }
    let never = json!({ "challengeId": "Q2hhbGxlbmdlOjAwMDAwMDAwLTAwMDAtNDAwMC04MDAwLTAwMDAwMDAwMDAwMA", "code": "000000" });
    for code in ["", "", "", "RATE_LIMITED"] {
        assert_eq!(ask(&gateway, &[], VERIFY, json!({ "input": never })).await.code(), code);
    }
    let elsewhere = Context { address: Some("198.51.100.1".parse().unwrap()), ..Context::default() };
    gateway.app.identity.pass(portal_gateway::identity::Purpose::CodeTry, None, &elsewhere).await.unwrap();
}
