//! From getting started to the sign-in of somebody who has an account: the address was proved a moment ago, so no second
//! code is asked for. In a browser all of it travels in a cookie.

use std::collections::HashMap;

use chrono::TimeDelta;
use futures::future::join_all;
use portal_gateway::sandbox::credentials::DEMO_PASSWORD;
use serde_json::{Value, json};

use crate::{
    gateway::{Gateway, Wishes},
    sign_up::challenge,
    totp::enrol,
    wire::{Reply, ask, post},
};

const DOCUMENT: &str = include_str!("../../examples/queries/sign-in-hand-off.graphql");
const RESUME: &str = include_str!("../../examples/queries/sign-up-resume.graphql");
const VERIFY_TOTP: &str = include_str!("../../examples/queries/session-verify-totp.graphql");

/// What a page of the gateway's own origin sends.
const PAGE: [(&str, &str); 2] = [("origin", "http://localhost:4000"), ("x-portal-csrf", "1")];
const NAME: &str = "__Host-hand-off=";

/// A gateway that lets fifty sign in at once.
async fn roomy() -> Gateway {
    let room = [
        "LOGIN_RATE_LIMIT_LIMIT",
        "LOGIN_FAILURES_RATE_LIMIT_LIMIT",
        "OTP_SEND_RATE_LIMIT_LIMIT",
        "OTP_VERIFY_RATE_LIMIT_LIMIT",
        "AUTH_PASSWORD_QUEUE",
    ];
    let env = room.map(|name| (name, "10000".to_owned())).into_iter().collect::<HashMap<_, _>>();
    Gateway::with(Wishes { env, ..Wishes::default() }).await
}

fn email(gateway: &Gateway, n: u64) -> String {
    gateway.sandbox.core().world.customer(n).email.clone()
}

async fn operate(gateway: &Gateway, cookie: &str, operation: &str, variables: Value) -> Reply {
    let body = json!({ "query": DOCUMENT, "operationName": operation, "variables": variables });
    let [origin, meant] = PAGE;
    post(gateway, &[origin, meant, ("cookie", cookie)], body.to_string()).await
}

/// Proves an address in a browser. Gives what the browser sends from then on.
async fn proved(gateway: &Gateway, email: &str) -> (Reply, String) {
    let (challenge, code) = challenge(gateway, email).await;
    let variables = json!({ "challengeId": challenge["id"], "code": code });
    let reply = operate(gateway, "", "SignUpVerifyInBrowser", variables).await;
    let cookies = reply.cookies();
    assert_eq!(cookies.len(), 1, "{reply:?}");
    let cookie = cookies[0].split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with(NAME) && cookie.len() > NAME.len(), "{cookie}");
    (reply, cookie)
}

async fn state(gateway: &Gateway, cookie: &str) -> Value {
    operate(gateway, cookie, "SignInHandOff", json!({})).await.json()["data"]["signInHandOff"].clone()
}

async fn sign_in(gateway: &Gateway, cookie: &str, email: &str, password: &str) -> Reply {
    let variables = json!({ "email": email, "password": password });
    operate(gateway, cookie, "SignInAfterHandOff", variables).await
}

fn created(reply: &Reply) -> Value {
    reply.json()["data"]["sessionCreate"].clone()
}

/// How the answer leaves the browser's hand-off.
fn left(reply: &Reply) -> Option<String> {
    reply.cookies().into_iter().find(|cookie| cookie.starts_with(NAME)).map(str::to_owned)
}

#[tokio::test]
async fn a_browser_that_proved_the_address_signs_in_with_the_password_alone_once() {
    let gateway = Gateway::start().await;
    let (email, other) = (email(&gateway, 1), email(&gateway, 2));
    let (reply, cookie) = proved(&gateway, &email).await;
    let set = left(&reply).unwrap();
    for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
        assert!(set.contains(attribute), "{set}");
    }
    let lasts = set.split("Max-Age=").nth(1).unwrap().split(';').next().unwrap().parse::<u32>().unwrap();
    assert!((200..=300).contains(&lasts), "five minutes from the proof: {set}");
    let routing = &reply.json()["data"]["signUpVerify"]["verification"]["routing"];
    assert_eq!((&routing["route"], &routing["handOff"]["token"]), (&json!("PORTAL_EXISTS"), &Value::Null));
    assert!(routing["handOff"]["expiresAt"].is_string());
    assert!(!reply.text.contains(&cookie[NAME.len()..]), "no script sees it");

    // The page is told the masked address, and nothing else.
    let shown = state(&gateway, &cookie).await;
    let masked = format!("{}***@{}", &email[..1], email.split('@').nth(1).unwrap());
    assert_eq!(shown, json!({ "maskedEmail": masked }));
    let foreign = [("origin", "https://evil.example"), ("cookie", cookie.as_str())];
    let body = json!({ "query": DOCUMENT, "operationName": "SignInHandOff" }).to_string();
    assert!(!post(&gateway, &foreign, body).await.text.contains("***"), "nor is a page of another site");

    // Neither a typo nor somebody else's account uses it up.
    let typo = sign_in(&gateway, &cookie, &email, "wrong horse battery").await;
    assert_eq!(created(&typo)["userErrors"][0]["code"], "AUTH_INVALID_CREDENTIALS");
    assert_eq!(left(&typo), None);
    let others = sign_in(&gateway, &cookie, &other, DEMO_PASSWORD).await;
    assert!(created(&others)["challenge"]["id"].is_string(), "{others:?}");
    assert_eq!(left(&others), None);
    assert_eq!(state(&gateway, &cookie).await, shown);

    let entered = sign_in(&gateway, &cookie, &email, DEMO_PASSWORD).await;
    assert!(created(&entered)["viewer"]["id"].is_string(), "{entered:?}");
    assert!(created(&entered)["challenge"].is_null());
    let gone = left(&entered).unwrap();
    assert!(gone.starts_with("__Host-hand-off=; Max-Age=0;"), "{gone}");
    assert_eq!(state(&gateway, &cookie).await, Value::Null);
    let again = sign_in(&gateway, &cookie, &email, DEMO_PASSWORD).await;
    assert!(created(&again)["challenge"]["id"].is_string(), "only once: {again:?}");
}

#[tokio::test]
async fn a_page_that_may_not_keep_it_uses_no_code_up() {
    let gateway = Gateway::start().await;
    let email = email(&gateway, 1);
    let (challenge, code) = challenge(&gateway, &email).await;
    let variables = json!({ "challengeId": challenge["id"], "code": code });
    let body = json!({ "query": DOCUMENT, "operationName": "SignUpVerifyInBrowser", "variables": variables });
    for headers in [&[][..], &[("origin", "https://evil.example"), ("x-portal-csrf", "1")]] {
        let refused = post(&gateway, headers, body.to_string()).await;
        assert_eq!(refused.cookies().len(), 0, "{refused:?}");
        assert!(!refused.text.contains("PORTAL_EXISTS"), "{refused:?}");
    }
    let reply = operate(&gateway, "", "SignUpVerifyInBrowser", variables).await;
    assert!(left(&reply).is_some(), "the code is good still: {reply:?}");
    // Somebody new has nothing to be handed off to.
    let (challenge, code) = crate::sign_up::challenge(&gateway, "new.person@example.jp").await;
    let variables = json!({ "challengeId": challenge["id"], "code": code });
    let reply = operate(&gateway, "", "SignUpVerifyInBrowser", variables).await;
    let routing = &reply.json()["data"]["signUpVerify"]["verification"]["routing"];
    assert_eq!((&routing["route"], &routing["handOff"]), (&json!("NEW_CUSTOMER"), &Value::Null));
    assert_eq!(reply.cookies().len(), 0);
}

#[tokio::test]
async fn five_minutes_after_the_proof_it_is_worth_nothing_and_is_not_given_again() {
    let gateway = Gateway::start().await;
    let email = email(&gateway, 1);
    let (_, cookie) = proved(&gateway, &email).await;
    let (challenge, code) = challenge(&gateway, &email).await;
    let verify = include_str!("../../examples/queries/sign-up.graphql");
    let variables = json!({ "challengeId": challenge["id"], "code": code });
    let verified = gateway.nobody().operate(verify, "SignUpVerify", variables).await.data();
    let verification = &verified["signUpVerify"]["verification"];
    assert!(verification["routing"]["handOff"]["token"].is_string(), "a program gets it in the answer");

    // Whoever comes back within the five minutes gets it in a cookie as well.
    let resume =
        RESUME.replace("verification: $verification", "verification: $verification, delivery: COOKIES");
    let variables = json!({ "verification": verification["token"] });
    let resumed = ask(&gateway, &PAGE, &resume, variables.clone()).await;
    assert!(left(&resumed).is_some(), "{resumed:?}");

    gateway.app.clock.advance(TimeDelta::minutes(5));
    assert_eq!(state(&gateway, &cookie).await, Value::Null);
    let late = sign_in(&gateway, &cookie, &email, DEMO_PASSWORD).await;
    assert!(created(&late)["challenge"]["id"].is_string() && created(&late)["viewer"].is_null(), "{late:?}");
    let resumed = ask(&gateway, &PAGE, &resume, variables).await;
    let routing = &resumed.json()["data"]["signUpResume"]["verification"]["routing"];
    assert_eq!((&routing["route"], &routing["handOff"]), (&json!("PORTAL_EXISTS"), &Value::Null));
    assert_eq!(left(&resumed), None);
}

#[tokio::test]
async fn of_fifty_sign_ins_at_once_with_one_hand_off_one_needs_no_code() {
    let gateway = roomy().await;
    let email = email(&gateway, 1);
    let (_, cookie) = proved(&gateway, &email).await;
    let tries = (0..50).map(|_| sign_in(&gateway, &cookie, &email, DEMO_PASSWORD));
    let replies = join_all(tries).await;
    let entered = replies.iter().filter(|reply| created(reply)["viewer"]["id"].is_string()).count();
    let signed_in = replies
        .iter()
        .filter(|reply| reply.cookies().iter().any(|c| c.starts_with("__Host-access=")))
        .count();
    assert_eq!((entered, signed_in), (1, 1));
    let challenged = replies.iter().filter(|reply| created(reply)["challenge"]["id"].is_string()).count();
    // A busy database may turn somebody away; nobody else may be let in.
    assert!(challenged >= 25, "{challenged} of 49 were asked for a code");
}

#[tokio::test]
async fn it_is_no_way_around_an_authenticator_app() {
    let gateway = roomy().await;
    let email = email(&gateway, 1);
    let (app, _) = enrol(&gateway, &gateway.sign_in(1).await).await;
    let (_, cookie) = proved(&gateway, &email).await;
    let since = gateway.mailed_so_far().await;
    let asked = sign_in(&gateway, &cookie, &email, DEMO_PASSWORD).await;
    let challenge = created(&asked)["challenge"].clone();
    assert_eq!(challenge["methods"], json!(["TOTP", "RECOVERY_CODE"]), "{asked:?}");
    assert!(created(&asked)["viewer"].is_null() && asked.cookies().is_empty(), "{asked:?}");
    assert_eq!(gateway.mailed_so_far().await, since, "nothing is mailed");
    let input = json!({ "challengeId": challenge["id"], "code": app.next(&gateway), "delivery": "COOKIES" });
    let [origin, meant] = PAGE;
    let page = [origin, meant, ("cookie", cookie.as_str())];
    let entered = ask(&gateway, &page, VERIFY_TOTP, json!({ "input": input })).await;
    assert!(entered.json()["data"]["sessionVerify"]["viewer"]["id"].is_string(), "{entered:?}");
    assert!(left(&entered).unwrap().starts_with("__Host-hand-off=; Max-Age=0;"), "{entered:?}");
}
