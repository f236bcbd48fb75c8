//! The example documents: every one runs for the demo customer and answers without an error.
//!
//! Their answers are kept as snapshots, on either store the same.

use std::{collections::BTreeMap, fs};

use portal_gateway::{
    notify::{Hint, Subject, Topic},
    sandbox::credentials,
};
use serde_json::{Value, json};

use crate::{gateway::Gateway, socket::Socket};

/// Documents of flows, where a step needs what the one before gave: tested where their flow is.
const FLOWS: [&str; 20] = [
    "account-erase",
    "account-link",
    "availability",
    "captcha",
    "data-export",
    "email-change",
    "grant-create",
    "grant-revoke",
    "partner",
    "partner-consent",
    "password-change",
    "password-reset",
    "password-reset-request",
    "profile-update",
    "session-end",
    "session-refresh",
    "session-revoke",
    "sign-in-hand-off",
    "sign-up",
    "sign-up-resume",
];

/// The id of a challenge that never was.
const NEVER: &str = "Q2hhbGxlbmdlOjAwMDAwMDAwLTAwMDAtNDAwMC04MDAwLTAwMDAwMDAwMDAwMA";

/// The documents in `examples/queries` by name: those that are asked once.
fn documents() -> BTreeMap<String, String> {
    let is_one = |name: &str, document: &str| !is_subscription(document) && !FLOWS.contains(&name);
    all().into_iter().filter(|(name, document)| is_one(name, document)).collect()
}

fn is_subscription(document: &str) -> bool {
    document.lines().any(|line| line.starts_with("subscription"))
}

fn all() -> BTreeMap<String, String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/queries");
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

#[tokio::test]
async fn every_example_document_answers_as_it_did() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    let ids = customer
        .ask(
            "{ viewer {
               subscriptions(filter: { kind: [SIM], status: [ACTIVE] }, first: 1) { nodes { id } }
               invoices(filter: { status: [PAID] }, first: 1) { nodes { id } }
               orders(filter: { status: [ACTIVE] }, first: 1) { nodes { id } }
               cases(filter: { status: [AWAITING_CUSTOMER] }, first: 1) { nodes { id } }
             } }",
            json!({}),
        )
        .await
        .data();
    let first = |list: &str| json!({ "id": ids["viewer"][list]["nodes"][0]["id"] });

    let (resent, verified) = (challenge(&gateway).await, challenge(&gateway).await);
    for (name, document) in documents() {
        let variables = match name.as_str() {
            "session" => json!({ "input": {
                "email": gateway.sandbox.core().world.customer(1).email,
                "password": credentials::DEMO_PASSWORD,
                "deviceToken": credentials::DEMO_DEVICE,
            } }),
            "session-verify" => json!({ "input": { "challengeId": verified.0, "code": verified.1 } }),
            "session-code-resend" => json!({ "input": { "challengeId": resent.0 } }),
            "device-revoke" => json!({ "input": { "id": "RGV2aWNlOm5vbmU" } }),
            "step-up" => json!({ "password": credentials::DEMO_PASSWORD }),
            // No app is enrolled here: flows with one are tested where apps are.
            "step-up-totp" | "totp-enrol-finish" => json!({ "code": "000000" }),
            "session-verify-totp" => json!({ "input": { "challengeId": NEVER, "code": "000000" } }),
            // What authenticators answer is tested where passkeys are.
            "passkey-sign-in-finish" => json!({ "credential": {} }),
            "passkey-register-finish" => json!({ "credential": {}, "name": "Phone" }),
            "passkey-remove" => json!({ "id": "UGFzc2tleTo" }),
            "subscription" => first("subscriptions"),
            "invoice" => first("invoices"),
            "order" => first("orders"),
            "case" => first("cases"),
            _ => json!({}),
        };
        let data = customer.ask(&document, variables).await.data();
        for (root, answer) in data.as_object().unwrap() {
            assert!(!answer.is_null(), "{name}: {root} is null");
        }
        // What differs from run to run: the user that is made anew, and everything about a session.
        insta::assert_json_snapshot!(name, data, {
            ".viewer.id" => "[user]",
            ".passkeyRegistrationBegin.options" => "[options]",
            ".passkeySignInBegin.options" => "[options]",
            ".stepUp.freshUntil" => "[instant]",
            ".stepUpCodeSend.challengeId" => "[challenge]",
            ".stepUpCodeSend.expiresAt" => "[instant]",
            ".totpEnrolBegin.enrolment.otpauthUri" => "[address]",
            ".totpEnrolBegin.enrolment.secret" => "[secret]",
            ".totpEnrolBegin.enrolment.qrSvg" => "[picture]",
            ".totpEnrolBegin.enrolment.expiresAt" => "[instant]",
            ".sessionCreate.viewer.id" => "[user]",
            ".sessionCreate.session.accessToken" => "[token]",
            ".sessionCreate.session.accessTokenExpiresAt" => "[instant]",
            ".sessionCreate.session.refreshToken" => "[token]",
            ".sessionCreate.session.refreshTokenExpiresAt" => "[instant]",
            ".sessionVerify.viewer.id" => "[user]",
            ".sessionVerify.session.accessToken" => "[token]",
            ".sessionVerify.session.accessTokenExpiresAt" => "[instant]",
            ".sessionVerify.session.refreshToken" => "[token]",
            ".sessionVerify.session.refreshTokenExpiresAt" => "[instant]",
            ".sessionVerify.deviceToken" => "[token]",
            ".sessionCodeResend.challenge.id" => "[challenge]",
            ".sessionCodeResend.challenge.expiresAt" => "[instant]",
            ".viewer.sessions[].id" => "[session]",
            ".viewer.sessions[].createdAt" => "[instant]",
            ".viewer.sessions[].lastUsedAt" => "[instant]",
            ".viewer.sessions[].expiresAt" => "[instant]",
            ".viewer.devices[].id" => "[device]",
            ".viewer.devices[].createdAt" => "[instant]",
            ".viewer.devices[].lastSeenAt" => "[instant]",
            ".viewer.devices[].trustedUntil" => "[instant]",
        });
    }
}

/// A sign-in of the demo customer that has begun: its challenge, and the code that was mailed.
async fn challenge(gateway: &Gateway) -> (Value, String) {
    let email = &gateway.sandbox.core().world.customer(1).email;
    let since = gateway.mailed_so_far().await;
    let input = json!({ "email": email, "password": credentials::DEMO_PASSWORD });
    let answer = gateway.nobody().ask(&all()["session"], json!({ "input": input })).await.data();
    let mail = gateway.sandbox.mail().next(email, since).await;
    (answer["sessionCreate"]["challenge"]["id"].clone(), mail.code.clone().unwrap())
}

#[tokio::test]
async fn every_example_subscription_brings_updates() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    let mut socket = Socket::of(&gateway, &customer).await;
    let documents: Vec<_> = all().into_iter().filter(|(_, document)| is_subscription(document)).collect();
    assert!(!documents.is_empty());
    for (name, document) in &documents {
        socket.subscribe(name, document).await;
        socket.settle().await;
        gateway.app.live.publish(Hint::new(Topic::Everyone, Subject::Everything)).await;
        assert!(socket.update(name).await.is_object());
        socket.say(json!({ "id": name, "type": "complete" })).await;
    }
}

#[tokio::test]
async fn without_a_session_every_example_document_answers_null_or_refuses() {
    let gateway = Gateway::start().await;
    let somebody = gateway.sign_in(1).await;
    let ids = somebody.ask("{ viewer { invoices(first: 1) { nodes { id } } } }", json!({})).await.data();
    let id = &ids["viewer"]["invoices"]["nodes"][0]["id"];
    gateway.forget_calls();
    // A sign-in needs none, and postal look-up is for everybody.
    let is_personal = |name: &str| {
        !(name.starts_with("session") || name == "postal" || name.starts_with("passkey-sign-in"))
    };
    for (name, document) in documents().into_iter().filter(|(name, _)| is_personal(name)) {
        let answer = gateway.nobody().ask(&document, json!({ "id": id })).await;
        let shown: Vec<_> =
            answer.body["data"].as_object().into_iter().flat_map(|data| data.values()).collect();
        assert!(shown.iter().all(|value| **value == Value::Null), "{name}: {}", answer.body);
    }
    assert_eq!(gateway.calls(), [], "nobody's question reaches a system");
}
