//! What leaves a trace in the audit log, and with what (requirement P3).

mod refusals;
mod refused;
mod role;
pub mod story;

use std::collections::BTreeSet;

use portal_gateway::store::audit::{EventRow, Filter};
use serde_json::json;

use self::story::{Hindrance, request_id};
use crate::{
    gateway::{Gateway, Wishes},
    roots::roots,
    sign_in, sign_up,
};

/// Every mutation, with the event that it leaves and who is on record for it.
const LEFT: &[(&str, &str, &str)] = &[
    ("sessionCreate", "session.challenge", "nobody"),
    ("sessionVerify", "session.create", "user"),
    ("sessionCodeResend", "code.send", "nobody"),
    ("sessionRefresh", "session.refresh", "user"),
    ("sessionEnd", "session.end", "user"),
    ("sessionRevoke", "session.end", "user"),
    ("sessionRevokeOthers", "session.end-others", "user"),
    ("deviceRevoke", "device.revoke", "user"),
    ("availabilityRequest", "availability.request", "nobody"),
    ("signUpBegin", "sign-up.begin", "nobody"),
    ("signUpResend", "code.send", "nobody"),
    ("signUpVerify", "verification.create", "nobody"),
    ("signUpVerifyByBilling", "verification.create", "nobody"),
    ("signUpComplete", "user.register", "user"),
    ("accountLink", "user.register", "user"),
    ("accountEraseBegin", "account.erase-begin", "user"),
    ("accountErase", "account.erase", "user"),
    ("passwordChange", "password.change", "user"),
    ("passwordResetRequest", "password.request-reset", "nobody"),
    ("passwordReset", "password.reset", "user"),
    ("passkeyRegistrationBegin", "passkey.begin", "user"),
    ("passkeyRegistrationFinish", "passkey.create", "user"),
    ("passkeyRename", "passkey.rename", "user"),
    ("passkeyRemove", "passkey.remove", "user"),
    ("passkeySignInFinish", "session.create", "user"),
    ("stepUpBegin", "session.step-up-begin", "user"),
    ("stepUpCodeSend", "code.send", "user"),
    ("stepUp", "session.step-up", "user"),
    ("totpEnrolBegin", "totp.begin", "user"),
    ("totpEnrolFinish", "totp.enrol", "user"),
    ("totpRemove", "totp.remove", "user"),
    ("recoveryCodesRegenerate", "recovery-codes.create", "user"),
    ("profileUpdate", "profile.begin-change", "user"),
    ("addressUpdate", "address.begin-change", "user"),
    ("emailChangeBegin", "email.change-begin", "user"),
    ("emailChangeResend", "code.send", "user"),
    ("emailChangeFinish", "email.change", "user"),
    ("dataExportRequest", "export.request", "user"),
    ("grantCreate", "grant.create", "user"),
    ("grantRevoke", "grant.revoke", "user"),
    ("notificationMarkRead", "notification.read", "user"),
    ("notificationMarkAllRead", "notification.read-all", "user"),
    ("notificationDismiss", "notification.dismiss", "user"),
];

/// Mutations that leave no event, with the reason.
const UNTRACED: &[(&str, &str)] = &[
    ("signUpResume", "it reads what was proved; the sign-in by a hand-off that it gives says so"),
    (
        "passkeySignInBegin",
        "it asks a question, of anybody as often as they like; the answer leaves an event",
    ),
];

/// Every mutation that can be refused, with the act and the reason that are on record then, and who is.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    ("sessionCreate", "session.create", "AUTH_INVALID_CREDENTIALS", "nobody"),
    ("sessionVerify", "session.create", "AUTH_OTP_EXPIRED", "nobody"),
    ("sessionCodeResend", "code.send", "AUTH_OTP_EXPIRED", "nobody"),
    ("sessionRefresh", "session.refresh", "UNAUTHENTICATED", "nobody"),
    ("availabilityRequest", "availability.request", "INVALID_EMAIL", "nobody"),
    ("signUpBegin", "sign-up.begin", "INVALID_EMAIL", "nobody"),
    ("signUpResend", "code.send", "AUTH_OTP_EXPIRED", "nobody"),
    ("signUpVerify", "verification.create", "AUTH_OTP_EXPIRED", "nobody"),
    ("signUpVerifyByBilling", "billing-login.check", "AUTH_INVALID_CREDENTIALS", "nobody"),
    ("signUpResume", "verification.resume", "VERIFICATION_EXPIRED", "nobody"),
    ("signUpComplete", "user.register", "VERIFICATION_EXPIRED", "nobody"),
    ("accountLink", "user.register", "VERIFICATION_EXPIRED", "nobody"),
    ("accountEraseBegin", "account.erase-begin", "STEP_UP_REQUIRED", "user"),
    ("accountErase", "account.erase", "AUTH_OTP_EXPIRED", "user"),
    ("passwordChange", "password.change", "PASSWORD_LENGTH", "user"),
    ("passwordResetRequest", "password.request-reset", "UNKNOWN", "nobody"),
    ("passwordReset", "password.reset", "RESET_LINK_VOID", "nobody"),
    ("passkeyRegistrationBegin", "passkey.begin", "STEP_UP_REQUIRED", "user"),
    ("passkeyRegistrationFinish", "passkey.create", "PASSKEY_REFUSED", "user"),
    ("passkeyRename", "passkey.rename", "PASSKEY_NAME", "user"),
    ("passkeyRemove", "passkey.remove", "STEP_UP_REQUIRED", "user"),
    ("passkeySignInFinish", "session.create", "PASSKEY_REFUSED", "nobody"),
    ("stepUpCodeSend", "code.send", "STEP_UP_METHOD", "user"),
    ("stepUp", "session.step-up", "AUTH_INVALID_CREDENTIALS", "user"),
    ("totpEnrolBegin", "totp.begin", "STEP_UP_REQUIRED", "user"),
    ("totpEnrolFinish", "totp.enrol", "TOTP_ENROLMENT_VOID", "user"),
    ("totpRemove", "totp.remove", "STEP_UP_REQUIRED", "user"),
    ("recoveryCodesRegenerate", "recovery-codes.create", "TOTP_NOT_ENROLLED", "user"),
    ("profileUpdate", "profile.change", "INVALID_PHONE", "user"),
    ("addressUpdate", "address.change", "INVALID_POSTAL_CODE", "user"),
    ("emailChangeBegin", "email.change-begin", "INVALID_EMAIL", "user"),
    ("emailChangeResend", "code.send", "AUTH_OTP_EXPIRED", "user"),
    ("emailChangeFinish", "email.prove", "AUTH_OTP_EXPIRED", "user"),
    ("grantCreate", "grant.create", "PARTNER_UNKNOWN", "user"),
    ("notificationMarkRead", "notification.read", "NOT_FOUND", "user"),
    ("notificationDismiss", "notification.dismiss", "NOT_FOUND", "user"),
];

/// Mutations that are refused by a policy or a limit alone, or not at all, with the reason.
const UNREFUSED: &[(&str, &str)] = &[
    ("sessionEnd", "without a session there is nothing to end"),
    ("sessionRevoke", "what is not one's own is not there: it ends nothing and says so"),
    ("sessionRevokeOthers", "it ends as many as there are"),
    ("deviceRevoke", "as `sessionRevoke`"),
    ("grantRevoke", "as `sessionRevoke`"),
    ("passkeySignInBegin", "it asks a question of anybody"),
    ("stepUpBegin", "it says which ways there are"),
    ("dataExportRequest", "whoever asks again gets the same export"),
    ("notificationMarkAllRead", "it marks as many as there are"),
];

pub async fn rows(gateway: &Gateway) -> Vec<EventRow> {
    gateway.app.store.audit_events(&Filter::default(), 0, 10_000).await.unwrap()
}

#[test]
fn every_mutation_of_the_schema_is_listed() {
    let roots = roots();
    let there: BTreeSet<_> =
        roots.iter().filter(|root| root.is_mutation()).map(|root| root.field()).collect();
    let listed: Vec<_> =
        LEFT.iter().map(|(name, ..)| *name).chain(UNTRACED.iter().map(|(name, _)| *name)).collect();
    assert_eq!(
        listed.iter().copied().collect::<BTreeSet<_>>(),
        there,
        "each says what it leaves, or why nothing"
    );
    assert_eq!(listed.len(), there.len(), "none is listed twice");
    let refused = REFUSED.iter().map(|(name, ..)| *name);
    let listed: Vec<_> = refused.chain(UNREFUSED.iter().map(|(name, _)| *name)).collect();
    assert_eq!(
        listed.iter().copied().collect::<BTreeSet<_>>(),
        there,
        "each says how it is refused, or why it cannot be"
    );
    assert_eq!(listed.len(), there.len(), "none is listed twice");
}

#[tokio::test]
async fn every_mutation_leaves_who_did_what_with_the_id_of_the_request() {
    let gateway = story::gateway(Wishes::default()).await;
    story::play(&gateway).await;
    let rows = rows(&gateway).await;
    let of = |name: &str| {
        let id = request_id(name);
        rows.iter().filter(move |row| row.request_id.as_ref() == Some(&id))
    };
    for (name, act, actor) in LEFT {
        let row = of(name).find(|row| row.act == *act);
        let row = row.unwrap_or_else(|| panic!("{name} left no {act}: {:?}", of(name).collect::<Vec<_>>()));
        assert_eq!((row.outcome.as_str(), row.actor_kind.as_str()), ("done", *actor), "{name}");
        assert_eq!(row.actor_id.is_some(), *actor == "user", "{name}: {row:?}");
    }
    for (name, why) in UNTRACED {
        assert_eq!(of(name).count(), 0, "{name} leaves an event, though {why}");
    }
    assert_eq!(gateway.app.store.verify_audit(None, |_, _| ()).await.unwrap().faults, []);
}

#[tokio::test]
async fn every_mutation_that_is_refused_says_so_once_with_the_id_of_the_request() {
    let gateway = story::gateway(Wishes::default()).await;
    refused::play(&gateway).await;
    let rows = rows(&gateway).await;
    for (name, act, reason, actor) in REFUSED {
        let id = refused::request_id(name);
        let of: Vec<_> = rows.iter().filter(|row| row.request_id.as_ref() == Some(&id)).collect();
        let [row] = of[..] else { panic!("{name} left {of:?}") };
        assert_eq!((row.act.as_str(), row.outcome.as_str()), (*act, "refused"), "{name}");
        assert_eq!((row.reason.as_deref(), row.actor_kind.as_str()), (Some(*reason), *actor), "{name}");
        assert_eq!(row.actor_id.is_some(), *actor == "user", "{name}: {row:?}");
        assert!(row.network.is_some(), "{name}: {row:?}");
    }
    assert_eq!(gateway.app.store.verify_audit(None, |_, _| ()).await.unwrap().faults, []);
}

#[tokio::test]
async fn nothing_is_done_when_its_event_cannot_be_written() {
    let hindrance = Hindrance {
        begin: "ALTER TABLE audit_events RENAME TO audit_events_away",
        end: "ALTER TABLE audit_events_away RENAME TO audit_events",
        spared: &[
            // They leave none.
            "signUpResume",
            "passkeySignInBegin",
            // What the device answered counts once, whatever becomes of it.
            "passkeyRegistrationFinish",
            "passkeySignInFinish",
            // Their step that writes is tried again by itself, until it is done with its event.
            "signUpComplete",
            "accountLink",
            "emailChangeFinish",
        ],
    };
    let gateway = story::gateway(Wishes::default()).await;
    story::play_with(&gateway, Some(&hindrance)).await;
    assert_eq!(gateway.app.store.verify_audit(None, |_, _| ()).await.unwrap().faults, []);
}

#[tokio::test]
async fn whoever_begins_or_fails_leaves_a_trace_with_the_id_of_the_request() {
    let gateway = Gateway::start().await;
    let email = gateway.sandbox.core().world.customer(1).email.clone();
    sign_in::challenge(&gateway, &email).await;
    let (challenge, code) = sign_up::challenge(&gateway, sign_up::EMAIL).await;
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let answer = json!({ "challengeId": challenge["id"], "code": wrong });
    sign_up::step(&gateway, "SignUpVerify", answer).await.data();
    let reset = include_str!("../../../examples/queries/password-reset.graphql");
    let link = json!({ "token": "nothing", "newPassword": "an entirely different staple" });
    gateway.nobody().ask(reset, link).await.data();
    let refresh = include_str!("../../../examples/queries/session-refresh.graphql");
    let refused = gateway.nobody().ask(refresh, json!({ "refreshToken": "nothing" })).await.body;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{refused}");

    let rows = rows(&gateway).await;
    for (act, reason) in [
        ("session.challenge", None),
        ("sign-up.begin", None),
        ("verification.create", Some("AUTH_OTP_INVALID")),
        ("password.reset", Some("RESET_LINK_VOID")),
        ("session.refresh", Some("UNAUTHENTICATED")),
    ] {
        let row = rows.iter().find(|row| row.act == act).unwrap_or_else(|| panic!("{act} left no trace"));
        assert_eq!((row.reason.as_deref(), row.actor_kind.as_str()), (reason, "nobody"), "{act}");
        assert!(row.request_id.is_some() && row.network.is_some(), "{act}: {row:?}");
    }
    assert_eq!(gateway.app.store.verify_audit(None, |_, _| ()).await.unwrap().faults, []);
}
