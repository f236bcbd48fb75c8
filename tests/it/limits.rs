//! What strangers and neighbours may do about somebody's sign-in: neither keep them out of it, nor help themselves to more
//! guesses (requirement A4).

use std::collections::HashMap;

use chrono::TimeDelta;
use portal_gateway::sandbox::credentials::{DEMO_DEVICE, DEMO_PASSWORD};
use serde_json::{Value, json};

use crate::{
    gateway::{Gateway, Wishes},
    passkeys,
    phone::{ORIGIN, Phone},
    sign_in::{challenge, enter, verify},
    totp::enrol,
    wire::{Reply, ask},
    with_redis,
};

const CREATE: &str = include_str!("../../examples/queries/session.graphql");
const VERIFY: &str = include_str!("../../examples/queries/session-verify-totp.graphql");
const REFRESH: &str = "mutation($token: String!) { sessionRefresh(input: { refreshToken: $token }) {
    session { refreshToken } userErrors { code } } }";
const SIGN_UP: &str =
    "mutation($email: String!) { signUpBegin(input: { email: $email }) { challenge { id } } }";
const SIGN_UP_VERIFY: &str =
    "mutation($id: ID!) { signUpVerify(input: { challengeId: $id, code: \"000000\" }) {
    userErrors { code } } }";
const SESSION_VERIFY: &str =
    "mutation($id: ID!) { sessionVerify(input: { challengeId: $id, code: \"000000\" }) {
    userErrors { code } } }";
const BY_PASSKEY: &str = "mutation($credential: JSON!, $device: String) {
    passkeySignInFinish(input: { credential: $credential, deviceToken: $device }) {
        session { accessToken } userErrors { code } } }";
const STEP_UP: &str = include_str!("../../examples/queries/step-up-totp.graphql");
/// Challenges that never were.
const NO_SIGN_UP: &str = "U2lnblVwQ2hhbGxlbmdlOjAwMDAwMDAwLTAwMDAtNDAwMC04MDAwLTAwMDAwMDAwMDAwMA";
const NO_SIGN_IN: &str = "Q2hhbGxlbmdlOjAwMDAwMDAwLTAwMDAtNDAwMC04MDAwLTAwMDAwMDAwMDAwMA";
const WRONG: &str = "wrong horse battery";

/// A gateway that counts in Redis, or by itself.
async fn with(redis: bool, env: &[(&'static str, &str)]) -> Gateway {
    let mut env = env.iter().map(|(name, value)| (*name, (*value).to_owned())).collect::<HashMap<_, _>>();
    if redis {
        env.extend(with_redis::settings());
    }
    Gateway::with(Wishes { env, ..Wishes::default() }).await
}

/// Writes each test twice: `<name>::alone` and `<name>::with_redis`.
macro_rules! with_and_without_redis {
    ($(async fn $name:ident($redis:ident: bool) $body:block)*) => { $(
        mod $name {
            use super::*;

            async fn run($redis: bool) $body

            #[tokio::test]
            async fn alone() {
                run(false).await;
            }

            #[tokio::test]
            async fn with_redis() {
                run(true).await;
            }
        }
    )* };
}

fn email(gateway: &Gateway, n: u64) -> String {
    gateway.sandbox.core().world.customer(n).email.clone()
}

/// The password of a sign-in, on a device or on none.
async fn password(gateway: &Gateway, email: &str, password: &str, device: Option<&str>) -> Reply {
    let input = json!({ "email": email, "password": password, "deviceToken": device });
    ask(gateway, &[], CREATE, json!({ "input": input })).await
}

/// Fills what one network may do wrong, of a gateway that takes it for one person's.
async fn quarrelsome_neighbours(gateway: &Gateway) {
    for n in 0..5 {
        password(gateway, &format!("neighbour.{n}@example.jp"), WRONG, None).await;
    }
    let next = password(gateway, "neighbour.6@example.jp", WRONG, None).await;
    assert_eq!(next.code(), "RATE_LIMITED", "{next:?}");
}

with_and_without_redis! {
    async fn whoever_knows_the_password_alone_uses_up_no_codes_of_its_owner(redis: bool) {
        let gateway = with(redis, &[("AUTH_PEOPLE_PER_ADDRESS", "100")]).await;
        let email = email(&gateway, 3);
        let known = enter(&gateway, &email, DEMO_PASSWORD).await["deviceToken"].as_str().unwrap().to_owned();
        let session = gateway.sign_in(3).await;
        let challenged = async |device: Option<&str>| {
            let reply = password(&gateway, &email, DEMO_PASSWORD, device).await;
            let is_mailed = reply.json()["data"]["sessionCreate"]["challenge"]["id"].is_string();
            if is_mailed { "mailed".to_owned() } else { reply.code() }
        };
        // One was the owner's own.
        for _ in 0..4 {
            assert_eq!(challenged(None).await, "mailed");
        }
        assert_eq!(challenged(None).await, "RATE_LIMITED");
        for _ in 0..2 {
            assert_eq!(challenged(Some(&known)).await, "mailed");
        }
        // Sessions and known devices share five.
        let step_up = "mutation { stepUpCodeSend { challengeId userErrors { code } } }";
        for _ in 0..3 {
            let sent = session.ask(step_up, json!({})).await.data();
            assert!(sent["stepUpCodeSend"]["challengeId"].is_string(), "{sent}");
        }
        assert_eq!(challenged(Some(&known)).await, "RATE_LIMITED");
        let late = session.ask(step_up, json!({})).await;
        assert_eq!(late.body["errors"][0]["extensions"]["code"], "RATE_LIMITED", "{}", late.body);
    }

    async fn what_somebody_calls_their_passkey_forgives_nobody_elses_guesses(redis: bool) {
        let gateway = with(redis, &[]).await;
        let victim = email(&gateway, 2);
        let mut phone = Phone::calling_its_passkey(victim.as_bytes());
        passkeys::register(&gateway.sign_in(1).await, &mut phone).await;
        for _ in 0..5 {
            let wrong = password(&gateway, &victim, WRONG, None).await;
            assert_eq!(
                wrong.json()["data"]["sessionCreate"]["userErrors"][0]["code"],
                "AUTH_INVALID_CREDENTIALS"
            );
        }
        let credential = phone.get(ORIGIN, &passkeys::challenge(&gateway).await).await;
        assert!(passkeys::sign_in(&gateway, &credential).await["session"].is_object());
        assert_eq!(password(&gateway, &victim, WRONG, None).await.code(), "RATE_LIMITED");
    }

    async fn devices_of_other_accounts_are_no_way_round_the_delay_of_codes(redis: bool) {
        let gateway = with(redis, &[]).await;
        enrol(&gateway, &gateway.sign_in(1).await).await;
        let mut devices = Vec::new();
        for _ in 0..2 {
            let entered = enter(&gateway, &email(&gateway, 2), DEMO_PASSWORD).await;
            devices.push(entered["deviceToken"].as_str().unwrap().to_owned());
        }
        let guess = async |challenge: &Value, device: &str| {
            let input = json!({ "challengeId": challenge, "code": "000000", "deviceToken": device });
            ask(&gateway, &[], VERIFY, json!({ "input": input })).await
        };
        let begin = async |device: &str| {
            let begun = password(&gateway, &email(&gateway, 1), DEMO_PASSWORD, Some(device)).await.json();
            begun["data"]["sessionCreate"]["challenge"]["id"].clone()
        };
        let one = begin(&devices[0]).await;
        for _ in 0..5 {
            assert_eq!(guess(&one, &devices[0]).await.code(), "");
        }
        let two = begin(&devices[1]).await;
        let sixth = guess(&two, &devices[1]).await;
        assert_eq!(sixth.code(), "RATE_LIMITED", "{sixth:?}");
    }

    async fn who_proved_nothing_keeps_no_neighbour_from_their_codes(redis: bool) {
        let gateway = with(redis, &[
            ("AUTH_PEOPLE_PER_ADDRESS", "2"),
            ("OTP_SEND_RATE_LIMIT_LIMIT", "1"),
            ("OTP_VERIFY_RATE_LIMIT_LIMIT", "1"),
        ])
        .await;
        let mut codes = Vec::new();
        for n in 0..3 {
            let variables = json!({ "email": format!("stranger.{n}@example.jp") });
            codes.push(ask(&gateway, &[], SIGN_UP, variables).await.code());
        }
        assert_eq!(codes, ["", "", "RATE_LIMITED"]);
        let mut codes = Vec::new();
        for (document, id) in
            [(SIGN_UP_VERIFY, NO_SIGN_UP), (SESSION_VERIFY, NO_SIGN_IN), (SIGN_UP_VERIFY, NO_SIGN_UP)]
        {
            codes.push(ask(&gateway, &[], document, json!({ "id": id })).await.code());
        }
        assert_eq!(codes, ["", "", "RATE_LIMITED"], "challenges that never were");
        let (challenge, code) = challenge(&gateway, &email(&gateway, 1)).await;
        let entered = verify(&gateway, json!({ "challengeId": challenge["id"], "code": code })).await;
        assert!(entered["session"]["accessToken"].is_string(), "{entered}");
    }

    async fn neighbours_are_in_nobodys_way_on_a_known_device_and_in_a_session(redis: bool) {
        let gateway = with(redis, &[("AUTH_PEOPLE_PER_ADDRESS", "1")]).await;
        let (customer, mut phone) = (gateway.sign_in(1).await, Phone::new());
        passkeys::register(&customer, &mut phone).await;
        let (app, _) = enrol(&gateway, &customer).await;
        quarrelsome_neighbours(&gateway).await;
        let mut by_passkey = async |device: Value| {
            let credential = phone.get(ORIGIN, &passkeys::challenge(&gateway).await).await;
            let variables = json!({ "credential": credential, "device": device });
            ask(&gateway, &[], BY_PASSKEY, variables).await
        };
        assert_eq!(by_passkey(Value::Null).await.code(), "RATE_LIMITED");
        let entered = by_passkey(json!(DEMO_DEVICE)).await.json();
        assert!(entered["data"]["passkeySignInFinish"]["session"]["accessToken"].is_string(), "{entered}");
        let stepped = customer.ask(STEP_UP, json!({ "code": app.next(&gateway) })).await.data();
        assert!(stepped["stepUp"]["freshUntil"].is_string(), "{stepped}");
    }

    async fn sign_ins_with_a_passkey_are_not_begun_without_end(redis: bool) {
        let gateway = with(redis, &[("AUTH_PEOPLE_PER_ADDRESS", "2"), ("PASSKEY_RATE_LIMIT_LIMIT", "2")]).await;
        let begin = "mutation { passkeySignInBegin { options } }";
        let mut codes = Vec::new();
        for _ in 0..5 {
            codes.push(ask(&gateway, &[], begin, json!({})).await.code());
        }
        assert_eq!(codes, ["", "", "", "", "RATE_LIMITED"]);
    }

    async fn right_refreshes_count_for_their_session_alone(redis: bool) {
        let gateway = with(redis, &[("AUTH_PEOPLE_PER_ADDRESS", "1"), ("AUTH_REFRESH_RATE_LIMIT_LIMIT", "1")]).await;
        let refresh = async |token: &str| ask(&gateway, &[], REFRESH, json!({ "token": token })).await;
        let nonsense = async || refresh("x").await.code();
        assert_eq!(nonsense().await, "UNAUTHENTICATED");
        assert_eq!(nonsense().await, "RATE_LIMITED", "what a neighbour makes up");
        let mut tokens = Vec::new();
        for n in 1..=3 {
            let entered = gateway.app.identity.enter(&email(&gateway, n)).await.unwrap();
            tokens.push(portal_gateway::secret::ExposeSecret::expose_secret(&entered.refresh_token).to_owned());
        }
        for _ in 0..10 {
            for token in &mut tokens {
                let next = refresh(token).await.json();
                let next = next["data"]["sessionRefresh"]["session"]["refreshToken"].as_str();
                *token = next.unwrap_or_else(|| panic!("neighbours refresh as well")).to_owned();
            }
        }
        assert_eq!(refresh(&tokens[0]).await.code(), "RATE_LIMITED", "an eleventh of one session");
        // It was not used up.
        gateway.app.clock.advance(TimeDelta::minutes(5));
        assert_eq!(refresh(&tokens[0]).await.code(), "");
    }

    async fn one_person_signs_in_so_often_at_most_and_nobody_else_waits_for_them(redis: bool) {
        let gateway = with(redis, &[("LOGIN_RATE_LIMIT_LIMIT", "1")]).await;
        let enter =
            async |n: u64| password(&gateway, &email(&gateway, n), DEMO_PASSWORD, Some(DEMO_DEVICE)).await;
        for _ in 0..10 {
            let entered = enter(1).await.json();
            assert!(entered["data"]["sessionCreate"]["session"]["accessToken"].is_string(), "{entered}");
        }
        assert_eq!(enter(1).await.code(), "RATE_LIMITED");
        assert_eq!(enter(2).await.code(), "");
    }
}
