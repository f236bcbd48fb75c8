#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_string, header, method, path},
};

use super::*;
use crate::deadline::Lane;

fn judged(status: u16, body: &str) -> Result<Verdict, Kind> {
    let status = StatusCode::from_u16(status).unwrap();
    judge(&Answer { status, headers: HeaderMap::new(), body: body.to_owned().into() })
}

/// The answers that the vendors' references show.
#[test]
fn the_known_answers_decode() {
    let turnstile = r#"{ "success": true, "challenge_ts": "2022-02-28T15:14:30.096Z", "hostname": "example.com",
        "error-codes": [], "action": "login", "cdata": "sessionid-123456789" }"#;
    let hcaptcha = r#"{ "success": true, "challenge_ts": "2026-11-28T15:14:30Z", "hostname": "example.com",
        "credit": false }"#;
    let recaptcha =
        r#"{ "success": true, "challenge_ts": "2026-11-28T15:14:30Z", "hostname": "example.com" }"#;
    for known in [turnstile, hcaptcha, recaptcha] {
        let verdict = Verdict { is_person: true, hostname: Some("example.com".to_owned()) };
        assert_eq!(judged(200, known), Ok(verdict), "{known}");
    }
    let refused = r#"{ "success": false, "error-codes": ["timeout-or-duplicate"] }"#;
    assert_eq!(judged(200, refused), Ok(Verdict::default()));
    // Of the widget of another site.
    let foreign = r#"{ "success": false, "error-codes": ["sitekey-secret-mismatch"] }"#;
    assert_eq!(judged(200, foreign), Ok(Verdict::default()));
    // As it is said with another status.
    let malformed = r#"{ "success": false, "error-codes": ["invalid-input-response"], "messages": [] }"#;
    assert_eq!(judged(400, malformed), Ok(Verdict::default()));
}

#[test]
fn a_fault_of_ours_or_of_theirs_says_nothing_of_the_person() {
    for (status, body, kind) in [
        (200, r#"{"success":false,"error-codes":["invalid-input-secret"]}"#, Kind::Session),
        (400, r#"{"success":false,"error-codes":["missing-input-secret"]}"#, Kind::Session),
        (
            200,
            r#"{"success":false,"error-codes":["internal-error"]}"#,
            Kind::Unavailable { code: "internal-error".to_owned() },
        ),
        (200, "<html>", Kind::Garbage),
        (200, r#"{"error-codes":[]}"#, Kind::Garbage),
        (404, "<html>", Kind::Status(404)),
        (429, "", Kind::RateLimited { retry_after: Duration::from_secs(1) }),
        (503, "", Kind::Status(503)),
    ] {
        assert_eq!(judged(status, body), Err(kind), "{status} {body}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_and_none_are_a_person(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let answer = Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: body.into() };
        let verdict = judge(&answer);
        prop_assert!(verdict.is_err(), "{verdict:?}");
    }
}

#[tokio::test]
async fn a_token_is_shown_once_as_a_form_and_never_in_an_address() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/siteverify"))
        .and(header("content-type", "application/x-www-form-urlencoded"))
        .and(body_string("secret=s3cret&response=a%2Bb%26c&remoteip=192.0.2.7"))
        .respond_with(ResponseTemplate::new(200).set_body_string(r#"{"success":true}"#))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(body_string("secret=s3cret&response=lost"))
        .respond_with(ResponseTemplate::new(503))
        .expect(1)
        .mount(&server)
        .await;
    let settings = Settings {
        verify_url: format!("{}/siteverify", server.uri()).parse().unwrap(),
        secret: "s3cret".into(),
        transport: transport::Settings::captcha(),
    };
    let client = Client::new(settings).unwrap();
    let budget = Budget::new(Duration::from_secs(5), Lane::Interactive);
    let address = "::ffff:192.0.2.7".parse().unwrap();
    let verdict = client.verify(budget, &"a+b&c".into(), Some(address)).await.unwrap();
    assert_eq!(verdict, Verdict { is_person: true, hostname: None });
    // What was lost may have been used up: it is not shown again.
    let lost = client.verify(budget, &"lost".into(), None).await.unwrap_err();
    assert_eq!(lost.kind, Kind::Status(503));
}
