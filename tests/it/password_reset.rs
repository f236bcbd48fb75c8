//! A forgotten password is replaced by a mailed link.

use chrono::TimeDelta;
use portal_gateway::sandbox::credentials::{DEMO_DEVICE, DEMO_PASSWORD};
use serde_json::{Value, json};

use crate::{
    gateway::Gateway,
    sign_in,
    wire::{Reply, post},
};

const REQUEST: &str = include_str!("../../examples/queries/password-reset-request.graphql");
const RESET: &str = include_str!("../../examples/queries/password-reset.graphql");
const WHO: &str = "{ viewer { id } }";
const NEW: &str = "an entirely different staple";

async fn ask(gateway: &Gateway, document: &str, variables: Value) -> Reply {
    let body = json!({ "query": document, "variables": variables });
    // Whoever asks may claim any host.
    post(gateway, &[("host", "evil.example"), ("x-forwarded-host", "evil.example")], body.to_string()).await
}

async fn request(gateway: &Gateway, email: &str) -> Reply {
    ask(gateway, REQUEST, json!({ "email": email })).await
}

pub async fn reset(gateway: &Gateway, token: &str, new: &str) -> Value {
    let reply = ask(gateway, RESET, json!({ "token": token, "newPassword": new })).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["data"]["passwordReset"].clone()
}

pub fn done() -> Value {
    json!({ "changed": true, "userErrors": [] })
}

fn code(answer: &Value) -> (&str, &Value) {
    assert_eq!(answer["changed"], false, "{answer}");
    (answer["userErrors"][0]["code"].as_str().unwrap(), &answer["userErrors"][0]["field"])
}

fn email(gateway: &Gateway, n: u64) -> String {
    gateway.sandbox.core().world.customer(n).email.clone()
}

/// Asks for a link and reads its token from the mail.
pub async fn token(gateway: &Gateway, email: &str) -> String {
    let mailbox = gateway.sandbox.mail();
    let since = gateway.mailed_so_far().await;
    let reply = request(gateway, email).await;
    assert_eq!(reply.json()["data"]["passwordResetRequest"]["accepted"], true, "{reply:?}");
    let mail = mailbox.next(email, since).await;
    let (page, token) = mail.links[0].split_once("#token=").unwrap();
    assert_eq!(page, "http://localhost:4000/reset-password", "the host is ours, whatever the request said");
    token.to_owned()
}

async fn signs_in(gateway: &Gateway, email: &str, password: &str) -> Value {
    let input = json!({ "input": { "email": email, "password": password } });
    gateway.nobody().ask(crate::sessions::SIGN_IN, input).await.data()["sessionCreate"].clone()
}

#[tokio::test]
async fn a_mailed_link_sets_a_new_password_once_ends_all_sessions_and_signs_nobody_in() {
    let gateway = Gateway::start().await;
    let email = email(&gateway, 1);
    let (one, two) = (gateway.sign_in(1).await, gateway.sign_in(1).await);
    let token = token(&gateway, &email).await;

    for (new, refused) in [("short", "PASSWORD_LENGTH"), (email.as_str(), "PASSWORD_GUESSABLE")] {
        assert_eq!(code(&reset(&gateway, &token, new).await), (refused, &json!(["newPassword"])));
    }
    assert_eq!(one.ask(WHO, json!({})).await.status, 200, "nothing has happened yet");
    let since = gateway.mailed_so_far().await;
    let reply = ask(&gateway, RESET, json!({ "token": token, "newPassword": NEW })).await;
    assert_eq!(reply.json()["data"]["passwordReset"], done());
    assert!(reply.cookies().is_empty(), "nobody is signed in");
    for session in [&one, &two] {
        assert_eq!(session.ask(WHO, json!({})).await.status, 401, "at once");
    }
    assert_eq!(code(&reset(&gateway, &token, NEW).await), ("RESET_LINK_VOID", &json!(["token"])));

    let told = gateway.sandbox.mail().next(&email, since).await;
    assert_eq!(told.subject, "Your password was changed");
    let refused = signs_in(&gateway, &email, DEMO_PASSWORD).await;
    assert_eq!(refused["userErrors"][0]["code"], "AUTH_INVALID_CREDENTIALS");
    assert_eq!(signs_in(&gateway, &email, NEW).await["userErrors"], json!([]));
}

#[tokio::test]
async fn a_reset_is_no_way_round_the_second_step() {
    let gateway = Gateway::start().await;
    let email = email(&gateway, 1);
    let on_device = async |password: &str| {
        let input = json!({ "email": email, "password": password, "deviceToken": DEMO_DEVICE });
        let document = include_str!("../../examples/queries/session.graphql");
        gateway.nobody().ask(document, json!({ "input": input })).await.data()["sessionCreate"].clone()
    };
    assert!(on_device(DEMO_PASSWORD).await["session"].is_object(), "the device is trusted");
    let (before, code) = sign_in::challenge(&gateway, &email).await;
    // The longest password there may be, in letters of three bytes each.
    let long: String = (0..128_u32).map(|n| char::from_u32(0x3042 + n * 37 % 80).unwrap()).collect();
    let token = token(&gateway, &email).await;
    assert_eq!(reset(&gateway, &token, &long).await, done());
    let now = on_device(&long).await;
    assert!(now["session"].is_null() && now["challenge"]["id"].is_string(), "trust has ended: {now}");
    let late = sign_in::verify(&gateway, json!({ "challengeId": before["id"], "code": code })).await;
    assert_eq!(late["userErrors"][0]["code"], "AUTH_OTP_EXPIRED", "so has what was begun before: {late}");
    let shorter: String = long.chars().take(127).collect();
    assert_eq!(on_device(&shorter).await["userErrors"][0]["code"], "AUTH_INVALID_CREDENTIALS");
    assert!(sign_in::enter(&gateway, &email, &long).await["session"].is_object());
}

#[tokio::test]
async fn of_fifty_who_use_one_link_and_of_two_links_one_wins() {
    let gateway = Gateway::start().await;
    let email = email(&gateway, 1);
    let (first, second) = (token(&gateway, &email).await, token(&gateway, &email).await);
    let all = (0..50).map(|n| {
        let token = if n % 10 == 0 { &second } else { &first };
        ask(&gateway, RESET, json!({ "token": token, "newPassword": NEW }))
    });
    let mut changed = 0;
    for reply in futures::future::join_all(all).await {
        match reply.code().as_str() {
            // More than may be hashed at once were told to come back.
            "RATE_LIMITED" => {}
            "" => changed += usize::from(reply.json()["data"]["passwordReset"] == done()),
            other => panic!("{other}: {reply:?}"),
        }
    }
    assert_eq!(changed, 1);
    for token in [first, second] {
        assert_eq!(code(&reset(&gateway, &token, NEW).await).0, "RESET_LINK_VOID");
    }
}

#[tokio::test]
async fn whoever_has_a_link_fills_no_log_with_it() {
    let gateway = Gateway::start().await;
    let token = token(&gateway, &email(&gateway, 1)).await;
    let mut told = Vec::new();
    for _ in 0..15 {
        told.push(ask(&gateway, RESET, json!({ "token": token, "newPassword": "short" })).await.code());
    }
    assert_eq!(told.iter().filter(|code| *code == "RATE_LIMITED").count(), 5, "{told:?}");
    let rows = gateway.app.store.dump().await;
    assert_eq!(rows.iter().filter(|(_, row)| row.contains("password_length")).count(), 10);
    // The link is still good.
    gateway.app.clock.advance(chrono::TimeDelta::minutes(5));
    assert_eq!(reset(&gateway, &token, NEW).await, done());
}

#[tokio::test]
async fn a_link_is_for_half_an_hour_and_for_the_password_that_was() {
    let gateway = Gateway::start().await;
    let email = email(&gateway, 1);
    let late = token(&gateway, &email).await;
    gateway.app.clock.advance(TimeDelta::minutes(30));
    assert_eq!(code(&reset(&gateway, &late, NEW).await).0, "RESET_LINK_VOID");

    let (in_time, void) = (token(&gateway, &email).await, token(&gateway, &email).await);
    gateway.app.clock.advance(TimeDelta::minutes(29));
    assert_eq!(reset(&gateway, &in_time, NEW).await, done());
    assert_eq!(code(&reset(&gateway, &void, DEMO_PASSWORD).await).0, "RESET_LINK_VOID");
    for nonsense in ["", "x", &"A".repeat(43), &"A".repeat(10_000), "../../etc/passwd", "\r\nSet-Cookie: a=b"]
    {
        assert_eq!(code(&reset(&gateway, nonsense, NEW).await).0, "RESET_LINK_VOID", "{nonsense:?}");
    }
}

#[tokio::test]
async fn nobody_learns_who_is_registered() {
    let gateway = Gateway::start().await;
    let known = email(&gateway, 1);
    let disabled = email(&gateway, 2);
    let token = gateway.sign_in(2).await.token.unwrap();
    let user = gateway.app.identity.authenticate(&token).await.unwrap().user;
    assert!(gateway.app.identity.disable(user).await.unwrap());
    let answers = [
        request(&gateway, &known).await,
        request(&gateway, &disabled).await,
        request(&gateway, "nobody@example.jp").await,
        request(&gateway, "no address at all").await,
    ];
    for answer in &answers {
        assert_eq!(
            (answer.status, answer.json()["data"].to_string()),
            (200, answers[0].json()["data"].to_string())
        );
        let mut names: Vec<_> = answer.headers.keys().map(|name| name.as_str().to_owned()).collect();
        let mut expected: Vec<_> = answers[0].headers.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        expected.sort();
        assert_eq!(names, expected);
    }
    gateway.sandbox.mail().next(&known, 0).await;
    for other in [disabled.as_str(), "nobody@example.jp"] {
        assert!(gateway.sandbox.mail().to(other).is_empty());
    }
}
