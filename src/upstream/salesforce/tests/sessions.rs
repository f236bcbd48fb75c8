use std::collections::HashMap;

use chrono::TimeDelta;
use futures::future::join_all;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use wiremock::ResponseTemplate;

use super::*;
use crate::secret::SecretString;

#[tokio::test]
async fn the_assertion_says_who_we_are_and_is_signed() {
    let vendor = Vendor::start().await;
    vendor.client.warm_up(budget()).await.unwrap();
    let request = vendor.last().await;
    let form: HashMap<_, _> = url::form_urlencoded::parse(&request.body).into_owned().collect();
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let key = DecodingKey::from_rsa_pem(fixture("assertion.public.pem").as_bytes()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[vendor.server.uri()]);
    validation.set_issuer(&["consumer-key"]);
    let token = jsonwebtoken::decode::<serde_json::Value>(&form["assertion"], &key, &validation).unwrap();
    assert_eq!(token.claims["sub"], "gateway@example.jp");
    let left = token.claims["exp"].as_i64().unwrap() - vendor.clock.now().timestamp();
    assert!((170..=180).contains(&left), "{left}");
}

#[tokio::test]
async fn fifty_callers_need_one_login() {
    let vendor = Vendor::start().await;
    let echoes = join_all((0..50).map(|n| echo(&vendor.client, statement(n)))).await;
    assert!(echoes.iter().all(Result::is_ok));
    assert_eq!(vendor.logins(), 1);
}

#[tokio::test]
async fn a_refused_session_is_replaced_once_for_everyone() {
    let vendor = Vendor::start().await;
    vendor.client.warm_up(budget()).await.unwrap();
    vendor.expire();
    let echoes = join_all((0..50).map(|n| echo(&vendor.client, statement(n)))).await;
    assert!(echoes.iter().all(Result::is_ok));
    assert_eq!(vendor.logins(), 2);
    assert_eq!(vendor.calls().await.len(), 20, "each of ten composites twice");
}

#[tokio::test]
async fn a_session_refused_twice_is_not_asked_for_again_and_again() {
    let vendor = Vendor::start().await;
    vendor.client.warm_up(budget()).await.unwrap();
    vendor.script.good_from.store(usize::MAX, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(echo(&vendor.client, statement(1)).await, Err(Kind::Session));
    assert_eq!((vendor.logins(), vendor.calls().await.len()), (2, 2));
    assert_eq!(echo(&vendor.client, statement(1)).await, Err(Kind::Session));
    assert_eq!((vendor.logins(), vendor.calls().await.len()), (2, 3));
    // Later it is worth another try.
    vendor.clock.advance(TimeDelta::seconds(31));
    vendor.expire();
    assert!(echo(&vendor.client, statement(1)).await.is_ok());
    assert_eq!(vendor.logins(), 3);
}

#[tokio::test]
async fn a_refusal_that_no_login_mends_costs_none() {
    let vendor = Vendor::start().await;
    let body = |message| json!([{ "errorCode": "REQUEST_LIMIT_EXCEEDED", "message": message }]);
    vendor.answer_all(ResponseTemplate::new(403).set_body_json(body("TotalRequests Limit exceeded.")));
    let outcome = echo(&vendor.client, statement(1)).await;
    assert_eq!(outcome, Err(Kind::RateLimited { retry_after: Duration::from_secs(300) }));
    assert_eq!((vendor.logins(), vendor.calls().await.len()), (1, 1));
}

#[tokio::test]
async fn a_session_is_replaced_before_it_grows_old() {
    let vendor = Vendor::start().await;
    echo(&vendor.client, statement(1)).await.unwrap();
    vendor.clock.advance(TimeDelta::minutes(10));
    echo(&vendor.client, statement(1)).await.unwrap();
    assert_eq!(vendor.logins(), 1);
    // In its last minute it still serves while the next one is fetched.
    vendor.clock.advance(TimeDelta::seconds(61));
    echo(&vendor.client, statement(1)).await.unwrap();
    // Past its time nobody calls with it, whether the next one is there yet or not.
    vendor.clock.advance(TimeDelta::minutes(1));
    vendor.script.good_from.store(2, std::sync::atomic::Ordering::SeqCst);
    echo(&vendor.client, statement(1)).await.unwrap();
    assert_eq!(vendor.logins(), 2);
    assert_eq!(vendor.calls().await.len(), 4);
}

#[tokio::test]
async fn a_refused_login_is_told_apart_from_an_outage() {
    let vendor = Vendor::start().await;
    vendor.answer("login", 400, r#"{"error":"invalid_grant","error_description":"audience is invalid"}"#);
    assert_eq!(vendor.client.warm_up(budget()).await.unwrap_err().kind, Kind::Session);
    vendor.answer(
        "login",
        400,
        r#"{"error":"rate_limit_exceeded","error_description":"login rate exceeded"}"#,
    );
    let kind = vendor.client.warm_up(budget()).await.unwrap_err().kind;
    assert_eq!(kind, Kind::RateLimited { retry_after: Duration::from_secs(60) });
    vendor.answer("login", 503, "<html>");
    assert_eq!(vendor.client.warm_up(budget()).await.unwrap_err().kind, Kind::Status(503));
    for elsewhere in ["", "ftp://a.b", "https://u:p@a.b", "https://a.b/c"] {
        let body = json!({ "access_token": "t", "instance_url": elsewhere });
        vendor.answer("login", 200, body.to_string());
        let kind = vendor.client.warm_up(budget()).await.unwrap_err().kind;
        assert_eq!(kind, Kind::Decode { path: "instance_url".into() });
    }
}

#[tokio::test]
async fn a_caller_waits_for_a_login_only_as_long_as_its_deadline() {
    let vendor = Vendor::start().await;
    let hasty = Budget::new(Duration::ZERO, Lane::Interactive);
    let error = vendor.client.query::<Echo>(hasty, statement(1)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Deadline);
}

#[test]
fn settings_that_cannot_work_are_told_apart() {
    let build = |change: fn(&mut Settings)| {
        let key = SecretString::from(vendor::PRIVATE_KEY);
        let mut settings = Settings::new("https://login.salesforce.com/", "key", "user", key);
        change(&mut settings);
        Client::new(settings, Default::default()).map(drop)
    };
    assert_eq!(build(|_| {}), Ok(()));
    assert_eq!(build(|s| s.login_url = "login.salesforce.com".into()), Err(Misconfigured::LoginUrl));
    assert_eq!(build(|s| s.private_key_pem = "nonsense".into()), Err(Misconfigured::PrivateKey));
    for version in ["", "67", "v67.0", "67.0/../..", "."] {
        let key = SecretString::from(vendor::PRIVATE_KEY);
        let mut settings = Settings::new("https://login.salesforce.com", "key", "user", key);
        settings.api_version = version.into();
        assert_eq!(Client::new(settings, Default::default()).err(), Some(Misconfigured::ApiVersion));
    }
}
