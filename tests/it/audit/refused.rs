//! Every mutation that can be refused, refused once, each under the request id `refused.<name>` and from a network of its own.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use portal_gateway::{sandbox::credentials::DEMO_PASSWORD, store::audit::EventRow};
use serde_json::{Value, json};
use totp_rs::Totp;
use uuid::Uuid;

use super::{REFUSED, rows, story};
use crate::{
    gateway::{Customer, Gateway, Wishes},
    roots::{Root, roots},
    sign_in, sign_up,
    wire::{Reply, ask},
};

const PASSWORD: &str = "an entirely different staple";

/// The request id of a mutation.
pub fn request_id(mutation: &str) -> String {
    format!("refused.{mutation}")
}

/// An id of something that is not there.
fn nothing(kind: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{kind}:{}", Uuid::nil()))
}

/// What is asked for, and must be refused.
fn input(mutation: &str) -> Value {
    let code = |kind| json!({ "challengeId": nothing(kind), "code": "000000" });
    let password = json!({ "email": "nobody@example.jp", "password": "wrong horse battery" });
    match mutation {
        "sessionCreate" | "signUpVerifyByBilling" => password,
        "sessionVerify" => code("Challenge"),
        "sessionCodeResend" => json!({ "challengeId": nothing("Challenge") }),
        "sessionRefresh" => json!({ "refreshToken": "nothing" }),
        "availabilityRequest" => json!({
            "firstName": "Zoë", "lastName": "O'Brien", "email": "nothing", "address": sign_up::address(),
        }),
        "signUpBegin" => json!({ "email": "nothing" }),
        "signUpResend" => json!({ "challengeId": nothing("SignUpChallenge") }),
        "signUpVerify" => code("SignUpChallenge"),
        "signUpResume" => json!({ "verification": "nothing" }),
        "signUpComplete" => sign_up::form(&json!("nothing")),
        "accountLink" => json!({ "verification": "nothing", "password": PASSWORD, "termsVersion": "1" }),
        "accountErase" => code("Erasure"),
        "passwordChange" => json!({ "currentPassword": DEMO_PASSWORD, "newPassword": "short" }),
        "passwordResetRequest" => json!({ "email": "nobody@example.jp" }),
        "passwordReset" => json!({ "token": "nothing", "newPassword": PASSWORD }),
        "passkeyRegistrationFinish" => json!({ "credential": {}, "name": "Phone" }),
        "passkeyRename" => json!({ "id": nothing("Passkey"), "name": "" }),
        "passkeyRemove" => json!({ "id": nothing("Passkey") }),
        "passkeySignInFinish" => json!({ "credential": {} }),
        "stepUp" => json!({ "password": "wrong horse battery" }),
        "totpEnrolFinish" => json!({ "code": "000000" }),
        "profileUpdate" => json!({ "phone": "nothing" }),
        "addressUpdate" => {
            let mut address = sign_up::address();
            address["postalCode"] = json!("150");
            json!({ "address": address })
        }
        "emailChangeBegin" => json!({ "newEmail": "nothing" }),
        "emailChangeResend" => json!({ "challengeId": nothing("EmailChange"), "address": "NEW" }),
        "emailChangeFinish" => {
            json!({ "challengeId": nothing("EmailChange"), "newCode": "000000", "presentCode": "000000" })
        }
        "grantCreate" => json!({ "clientId": "pc_nobody", "scopes": ["orders:read"] }),
        "notificationMarkRead" | "notificationDismiss" => json!({ "id": nothing("Notification") }),
        _ => Value::Null,
    }
}

/// Refuses every one: what asks for a fresh proof anyway while it is fresh, all others when it is so no more.
pub async fn play(gateway: &Gateway) {
    let roots = roots();
    let (customer, with_app) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    enrol(gateway, &with_app).await;
    let is_fresh =
        |name: &str| matches!(name, "recoveryCodesRegenerate" | "emailChangeBegin" | "grantCreate");
    for fresh in [true, false] {
        for (n, (name, _, reason, actor)) in REFUSED.iter().enumerate() {
            if is_fresh(name) != fresh {
                continue;
            }
            let who = if *name == "stepUpCodeSend" { &with_app } else { &customer };
            let token = who.token.as_deref().filter(|_| *actor == "user");
            let told = refuse(gateway, &roots, name, token, &format!("198.51.100.{n}")).await;
            assert_eq!(told.as_deref().unwrap_or(reason), *reason, "{name}");
            assert_eq!(told.is_none(), *name == "passwordResetRequest", "only that tells nothing: {name}");
        }
        gateway.app.clock.advance(TimeDelta::minutes(6));
    }
}

/// The code that somebody is told, if any.
async fn refuse(
    gateway: &Gateway,
    roots: &[Root],
    name: &str,
    token: Option<&str>,
    address: &str,
) -> Option<String> {
    let root = roots.iter().find(|root| root.field() == name && root.is_mutation()).unwrap();
    let (id, bearer) = (request_id(name), format!("Bearer {}", token.unwrap_or_default()));
    let mut headers = vec![("x-request-id", id.as_str()), ("x-forwarded-for", address)];
    if token.is_some() {
        headers.push(("authorization", &bearer));
    }
    let input = input(name);
    let variables = if input.is_null() { json!({}) } else { json!({ "input": input }) };
    let reply: Reply = ask(gateway, &headers, &root.document("userErrors { code }"), variables).await;
    let body = reply.json();
    let told = [&body["data"][name]["userErrors"][0]["code"], &body["errors"][0]["extensions"]["code"]];
    told.into_iter().find_map(|code| code.as_str().map(str::to_owned))
}

async fn enrol(gateway: &Gateway, customer: &Customer<'_>) {
    let begin = "mutation { totpEnrolBegin { enrolment { otpauthUri } } }";
    let begun = customer.ask(begin, json!({})).await.data();
    let app = Totp::from_url(begun["totpEnrolBegin"]["enrolment"]["otpauthUri"].as_str().unwrap()).unwrap();
    let now = u64::try_from(gateway.app.clock.now().timestamp()).unwrap();
    let finish =
        "mutation F($code: String!) { totpEnrolFinish(input: { code: $code }) { userErrors { code } } }";
    let code = json!({ "code": app.generate(now).to_string() });
    let finished = customer.ask(finish, code).await.data();
    assert_eq!(finished["totpEnrolFinish"]["userErrors"], json!([]), "{finished}");
}

async fn refusals(gateway: &Gateway, act: &str) -> Vec<EventRow> {
    let rows = rows(gateway).await;
    rows.into_iter().filter(|row| row.act == act && row.outcome == "refused").collect()
}

#[tokio::test]
async fn a_right_code_that_counts_no_more_is_on_record_and_in_the_history() {
    let gateway = Gateway::start().await;
    let world = &gateway.sandbox.core().world;
    // Their account is disabled; and another, whose password is changed.
    for n in [1, 2] {
        let email = world.customer(n).email.clone();
        let (challenge, code) = sign_in::challenge(&gateway, &email).await;
        let user = gateway.app.store.user_by_email(&email).await.unwrap().unwrap().id;
        if n == 1 {
            assert!(gateway.app.identity.disable(user).await.unwrap());
        } else {
            let change =
                "mutation C($input: PasswordChangeInput!) { passwordChange(input: $input) { changed } }";
            let input = json!({ "currentPassword": DEMO_PASSWORD, "newPassword": PASSWORD });
            let customer = gateway.sign_in(n).await;
            let changed = customer.ask(change, json!({ "input": input })).await.data();
            assert_eq!(changed["passwordChange"]["changed"], true, "{changed}");
        }
        let refused =
            sign_in::verify(&gateway, json!({ "challengeId": challenge["id"], "code": code })).await;
        assert_eq!(refused["userErrors"][0]["code"], "AUTH_OTP_EXPIRED", "{refused}");
        let events = refusals(&gateway, "session.create").await;
        let of: Vec<_> = events.iter().filter(|row| row.subject_id == Some(user.0)).collect();
        let [event] = of[..] else { panic!("{n}: {of:?}") };
        assert_eq!(event.reason.as_deref(), Some("AUTH_OTP_EXPIRED"));
        assert!(event.request_id.is_some() && event.network.is_some(), "{event:?}");
        let since = gateway.app.clock.now() - TimeDelta::days(1);
        let history = gateway.app.store.sign_ins_of_user(user, since, 10).await.unwrap();
        assert_eq!(history.iter().filter(|entry| entry.outcome == "wrong-code").count(), 1, "{n}");
        assert_eq!(events.len(), usize::try_from(n).unwrap(), "no refusal twice: {events:?}");
    }
}

#[tokio::test]
async fn a_password_that_a_link_may_not_set_is_on_record_with_whose_it_is() {
    let gateway = Gateway::start().await;
    let email = gateway.sandbox.core().world.customer(1).email.clone();
    let since = gateway.mailed_so_far().await;
    let request = include_str!("../../../examples/queries/password-reset-request.graphql");
    gateway.nobody().ask(request, json!({ "email": email })).await.data();
    let mail = gateway.sandbox.mail().next(&email, since).await;
    let (_, token) = mail.links[0].split_once("#token=").unwrap();
    let reset = include_str!("../../../examples/queries/password-reset.graphql");
    for n in 1..=2 {
        let answer = gateway.nobody().ask(reset, json!({ "token": token, "newPassword": "short" })).await;
        let answer = answer.data();
        assert_eq!(answer["passwordReset"]["userErrors"][0]["code"], "PASSWORD_LENGTH", "{answer}");
        let events = refusals(&gateway, "password.reset").await;
        assert_eq!(events.len(), n, "each, since its holder is known: {events:?}");
        assert_eq!(events[0].reason.as_deref(), Some("PASSWORD_LENGTH"));
        assert!(events[0].subject_id.is_some() && events[0].actor_kind == "nobody", "{events:?}");
    }
}

#[tokio::test]
async fn several_acts_of_one_request_that_are_refused_leave_one_event_each() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    gateway.app.clock.advance(TimeDelta::minutes(6));
    let acts = "mutation {
        a: totpRemove { userErrors { code } }
        b: totpRemove { userErrors { code } }
        c: profileUpdate(input: { phone: \"nothing\" }) { userErrors { code } }
        d: profileUpdate(input: { phone: \"nothing\" }) { userErrors { code } }
    }";
    let answer = customer.ask(acts, json!({})).await.data();
    assert_eq!(answer["d"]["userErrors"][0]["code"], "INVALID_PHONE", "{answer}");
    assert_eq!(refusals(&gateway, "totp.remove").await.len(), 2, "the act's own");
    assert_eq!(refusals(&gateway, "profile.change").await.len(), 2, "and those that it leaves to others");
}

#[tokio::test]
async fn whoever_repeats_what_anybody_can_cause_is_on_record_once_a_network_and_a_few_minutes() {
    let gateway = story::gateway(Wishes::default()).await;
    let roots = roots();
    for n in 0..20 {
        let address = format!("198.51.100.{}", n % 2);
        let told = refuse(&gateway, &roots, "signUpComplete", None, &address).await;
        assert_eq!(told.as_deref(), Some("VERIFICATION_EXPIRED"));
    }
    assert_eq!(refusals(&gateway, "user.register").await.len(), 2, "a network each");
    gateway.app.clock.advance(TimeDelta::minutes(6));
    refuse(&gateway, &roots, "signUpComplete", None, "198.51.100.0").await;
    assert_eq!(refusals(&gateway, "user.register").await.len(), 3);
}
