//! OAuth and sessions.

use chrono::TimeDelta;

use super::*;
use crate::sandbox::{
    core::{Rule, RuleKind, System},
    salesforce::oauth::token::{CLIENT_SECRET, PASSWORD},
};

/// A key that the connected app does not know.
const FOREIGN_KEY: &str = include_str!("foreign.pem");

#[tokio::test]
async fn an_assertion_gives_a_token_that_works() {
    let sandbox = Sandbox::start().await;
    let now = chrono::Utc::now().timestamp();
    for claims in
        [json!({"exp": (now + 180).to_string()}), json!({"aud": URL}), json!({"exp": now + 300, "jti": "1"})]
    {
        let reply = sandbox.token(&assertion(claims, SALESFORCE_PRIVATE_KEY)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.body["instance_url"], URL);
        assert!(
            reply.body.get("expires_in").is_none()
                && reply.body["access_token"].as_str().unwrap().contains('!')
        );
    }
    let me = sandbox.get("/services/oauth2/userinfo").await;
    assert_eq!(me.body["preferred_username"], SALESFORCE_USERNAME);
    let id = me.body["id"].as_str().unwrap().strip_prefix(URL).unwrap().to_owned();
    assert_eq!(
        sandbox.get(&format!("{id}?format=json")).await.body["organization_id"],
        me.body["organization_id"]
    );
}

#[tokio::test]
async fn bad_assertions_are_refused_in_the_documented_words() {
    let sandbox = Sandbox::start().await;
    let now = chrono::Utc::now().timestamp();
    for (claims, key, error, description) in [
        (json!({}), FOREIGN_KEY, "invalid_grant", "invalid assertion"),
        (
            json!({"aud": "https://example.com"}),
            SALESFORCE_PRIVATE_KEY,
            "invalid_grant",
            "audience is invalid",
        ),
        (json!({"exp": now - 120}), SALESFORCE_PRIVATE_KEY, "invalid_grant", "expired authorization code"),
        (json!({"exp": now + 3_600}), SALESFORCE_PRIVATE_KEY, "invalid_grant", "invalid assertion"),
        (json!({"iss": "nobody"}), SALESFORCE_PRIVATE_KEY, "invalid_client_id", "client identifier invalid"),
        (
            json!({"sub": "x@y.z"}),
            SALESFORCE_PRIVATE_KEY,
            "invalid_grant",
            "user hasn't approved this consumer",
        ),
    ] {
        let reply = sandbox.token(&assertion(claims, key)).await;
        assert_eq!(reply.status, 400);
        assert_eq!(reply.body, json!({"error": error, "error_description": description}));
        assert_eq!(reply.headers["cache-control"], "no-store");
    }
    assert_eq!(sandbox.token("not a token").await.body["error_description"], "invalid assertion");
    let once = assertion(json!({"jti": "once"}), SALESFORCE_PRIVATE_KEY);
    assert_eq!(sandbox.token(&once).await.status, 200);
    assert_eq!(sandbox.token(&once).await.status, 400);
}

#[tokio::test]
async fn the_other_flows_work_too() {
    let sandbox = Sandbox::start().await;
    let app = [("client_id", SALESFORCE_CLIENT_ID), ("client_secret", CLIENT_SECRET)];
    let grant = |kind| [&[("grant_type", kind)], &app[..]].concat();
    let reply = sandbox.form("/services/oauth2/token", &grant("client_credentials")).await;
    assert!(
        reply.status == 200 && reply.body["signature"].is_string() && reply.body["issued_at"].is_string()
    );
    let user = [("username", SALESFORCE_USERNAME), ("password", PASSWORD)];
    let reply = sandbox.form("/services/oauth2/token", &[&grant("password")[..], &user].concat()).await;
    assert_eq!(reply.status, 200);
    let reply = sandbox.form("/services/oauth2/token", &[("grant_type", "carrier_pigeon")]).await;
    assert_eq!(reply.body["error"], "unsupported_grant_type");
    let wrong = [("grant_type", "client_credentials"), app[0], ("client_secret", "no")];
    assert_eq!(sandbox.form("/services/oauth2/token", &wrong).await.body["error"], "invalid_client");
}

#[tokio::test]
async fn a_token_ends_by_disuse_revocation_and_fault() {
    let mut sandbox = Sandbox::start().await;
    sandbox.core.clock.advance(TimeDelta::hours(1));
    assert_eq!(sandbox.get("limits").await.status, 200);
    sandbox.core.clock.advance(TimeDelta::minutes(90));
    assert_eq!(sandbox.get("limits").await.status, 200, "use keeps it alive");
    sandbox.core.clock.advance(TimeDelta::hours(3));
    let reply = sandbox.get("limits").await;
    assert_eq!((reply.status, reply.code()), (401, "INVALID_SESSION_ID"));
    assert!(reply.headers["content-type"].to_str().unwrap().starts_with("application/json;charset=UTF-8"));

    let exp = sandbox.core.clock.now().timestamp() + 100;
    let again = sandbox.token(&assertion(json!({"exp": exp}), SALESFORCE_PRIVATE_KEY)).await;
    sandbox.token = again.body["access_token"].as_str().unwrap().to_owned();
    sandbox.core.faults.add(Rule { times: Some(1), ..Rule::every(System::Salesforce, RuleKind::Expire) });
    assert_eq!(sandbox.get("limits").await.status, 401);
    assert_eq!(sandbox.get("limits").await.status, 401, "the token that was refused stays refused");

    let again = sandbox.token(&assertion(json!({"exp": exp}), SALESFORCE_PRIVATE_KEY)).await;
    sandbox.token = again.body["access_token"].as_str().unwrap().to_owned();
    assert_eq!(sandbox.form("/services/oauth2/revoke", &[("token", &sandbox.token)]).await.status, 200);
    assert_eq!(sandbox.get("limits").await.code(), "INVALID_SESSION_ID");
}

#[tokio::test]
async fn a_header_of_another_kind_is_refused() {
    let sandbox = Sandbox::start().await;
    let request = Request::get(format!("{DATA}/limits")).header("authorization", "Basic eDp5");
    let reply = sandbox.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!((reply.status, reply.code()), (401, "INVALID_AUTH_HEADER"));
    assert_eq!(sandbox.get("/services/data").await.status, 200, "the list of versions is open");
}
