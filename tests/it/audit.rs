//! What leaves a trace before anybody is signed in, and with what (requirement P3).

use portal_gateway::store::audit::Filter;
use serde_json::json;

use crate::{gateway::Gateway, sign_in, sign_up};

#[tokio::test]
async fn whoever_begins_or_fails_leaves_a_trace_with_the_id_of_the_request() {
    let gateway = Gateway::start().await;
    let email = gateway.sandbox.core().world.customer(1).email.clone();
    sign_in::challenge(&gateway, &email).await;
    let (challenge, code) = sign_up::challenge(&gateway, sign_up::EMAIL).await;
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let answer = json!({ "challengeId": challenge["id"], "code": wrong });
    sign_up::step(&gateway, "SignUpVerify", answer).await.data();
    let reset = include_str!("../../examples/queries/password-reset.graphql");
    let link = json!({ "token": "nothing", "newPassword": "an entirely different staple" });
    gateway.nobody().ask(reset, link).await.data();

    let rows = gateway.app.store.audit_events(&Filter::default(), 0, 1_000).await.unwrap();
    for (act, reason) in [
        ("session.challenge", None),
        ("sign-up.begin", None),
        ("verification.create", Some("AUTH_OTP_INVALID")),
        ("password.reset", Some("RESET_LINK_VOID")),
    ] {
        let row = rows.iter().find(|row| row.act == act).unwrap_or_else(|| panic!("{act} left no trace"));
        assert_eq!((row.reason.as_deref(), row.actor_kind.as_str()), (reason, "nobody"), "{act}");
        assert!(row.request_id.is_some() && row.network.is_some(), "{act}: {row:?}");
    }
    assert_eq!(gateway.app.store.verify_audit(None, |_, _| ()).await.unwrap().faults, []);
}
