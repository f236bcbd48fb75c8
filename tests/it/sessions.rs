//! Signing in, staying signed in, signing out; and the web pages that may use a browser's session.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use portal_gateway::sandbox::credentials::{DEMO_DEVICE, DEMO_PASSWORD};
use serde_json::{Value, json};

use crate::{
    gateway::Gateway,
    wire::{Reply, ask, get, post},
};

pub const SIGN_IN: &str = "mutation SignIn($input: SessionCreateInput!) { sessionCreate(input: $input) {
    session { accessToken accessTokenExpiresAt refreshToken refreshTokenExpiresAt }
    viewer { id } userErrors { code field message } } }";
pub const REFRESH: &str = "mutation Refresh($input: SessionRefreshInput) { sessionRefresh(input: $input) {
    session { accessToken refreshToken } userErrors { code } } }";
pub const SIGN_OUT: &str = include_str!("../../examples/queries/session-end.graphql");
const WHO: &str = "query Who { viewer { id } }";
/// A question that cannot be answered without the upstream systems.
const PROFILE: &str = "query Profile { viewer { profile { email } orders(first: 1) { totalCount } } }";

/// The origin of the gateway's own pages.
const OWN: (&str, &str) = ("origin", "http://localhost:4000");
const CUSTOM: (&str, &str) = ("x-portal-csrf", "1");

fn email(gateway: &Gateway) -> String {
    gateway.sandbox.core().world.customer(1).email.clone()
}

/// Signs in on a device that everybody trusts; the second step has tests of its own.
async fn sign_in(gateway: &Gateway, email: &str, password: &str, delivery: &str) -> Reply {
    let input =
        json!({ "email": email, "password": password, "delivery": delivery, "deviceToken": DEMO_DEVICE });
    // As a page of ours would.
    ask(gateway, &[CUSTOM, OWN], SIGN_IN, json!({ "input": input })).await
}

async fn refresh(gateway: &Gateway, token: &str) -> Reply {
    ask(gateway, &[], REFRESH, json!({ "input": { "refreshToken": token } })).await
}

async fn with_token(gateway: &Gateway, token: &str, query: &str) -> Reply {
    ask(gateway, &[("authorization", &format!("Bearer {token}"))], query, json!({})).await
}

/// The access and the refresh token of an answer.
fn tokens(reply: &Reply, mutation: &str) -> (String, String) {
    let answer = reply.json();
    let session = &answer["data"][mutation]["session"];
    let token = |name: &str| session[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    (token("accessToken"), token("refreshToken"))
}

/// A session by tokens.
async fn session(gateway: &Gateway) -> (String, String) {
    tokens(&sign_in(gateway, &email(gateway), DEMO_PASSWORD, "TOKENS").await, "sessionCreate")
}

/// The `Cookie` header of a session by cookies.
async fn browser(gateway: &Gateway) -> String {
    let reply = sign_in(gateway, &email(gateway), DEMO_PASSWORD, "COOKIES").await;
    let pairs = reply.cookies().into_iter().map(|cookie| cookie.split(';').next().unwrap().to_owned());
    pairs.collect::<Vec<_>>().join("; ")
}

fn assert_unauthenticated(reply: &Reply, what: &str) {
    assert_eq!((reply.status, reply.code().as_str()), (401, "UNAUTHENTICATED"), "{what}: {reply:?}");
    assert_eq!(reply.header("www-authenticate"), "Bearer", "{what}");
    assert!(reply.json().get("data").is_none(), "{what}");
}

#[tokio::test]
async fn a_customer_signs_in_by_tokens() {
    let gateway = Gateway::start().await;
    let spelled = format!("  {} ", email(&gateway).to_uppercase());
    let reply = sign_in(&gateway, &spelled, DEMO_PASSWORD, "TOKENS").await;
    assert_eq!((reply.status, reply.cookies().len()), (200, 0));
    let (access, refresh) = tokens(&reply, "sessionCreate");
    assert_ne!(access, refresh);
    let created = &reply.json()["data"]["sessionCreate"];
    assert_eq!(created["userErrors"], json!([]));
    let lasts = |name: &str| {
        let until: DateTime<Utc> = created["session"][name].as_str().unwrap().parse().unwrap();
        until - gateway.app.clock.now()
    };
    assert!((TimeDelta::minutes(9)..=TimeDelta::minutes(10)).contains(&lasts("accessTokenExpiresAt")));
    assert!((TimeDelta::days(13)..=TimeDelta::days(14)).contains(&lasts("refreshTokenExpiresAt")));

    let who = with_token(&gateway, &access, WHO).await.json();
    assert_eq!(who["data"]["viewer"]["id"], created["viewer"]["id"]);
    let profile = with_token(&gateway, &access, PROFILE).await.json();
    assert_eq!(profile["data"]["viewer"]["profile"]["email"], email(&gateway));
}

#[tokio::test]
async fn nobody_is_no_error_but_null() {
    let gateway = Gateway::start().await;
    for reply in [ask(&gateway, &[], WHO, json!({})).await, get(&gateway, &[], WHO).await] {
        assert_eq!(reply.status, 200);
        assert!(reply.json()["data"]["viewer"].is_null() && reply.json()["errors"].is_null(), "{reply:?}");
    }
    let ended = ask(&gateway, &[], SIGN_OUT, json!({})).await.json();
    assert_eq!(ended["data"]["sessionEnd"]["ended"], false);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_told_the_same() {
    let gateway = Gateway::start().await;
    let known = email(&gateway);
    let mut told = Vec::new();
    for (email, password) in [
        (known.as_str(), "wrong horse battery"),
        ("nobody@example.jp", DEMO_PASSWORD),
        ("no address", "short"),
    ] {
        for delivery in ["TOKENS", "COOKIES"] {
            let reply = sign_in(&gateway, email, password, delivery).await;
            assert_eq!((reply.status, reply.cookies().len()), (200, 0));
            let mut headers: Vec<_> = reply.headers.keys().map(ToString::to_string).collect();
            headers.sort();
            let id = reply.header("x-request-id").to_owned();
            told.push((reply.text.replace(&id, ""), headers));
        }
    }
    let answer: Value = serde_json::from_str(&told[0].0).unwrap();
    let created = &answer["data"]["sessionCreate"];
    assert_eq!(created["userErrors"][0]["code"], "AUTH_INVALID_CREDENTIALS", "{answer}");
    assert!(created["session"].is_null() && created["viewer"].is_null() && answer["errors"].is_null());
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    // The right one is let in.
    session(&gateway).await;
}

#[tokio::test]
async fn after_five_failures_an_address_waits_known_or_not_and_then_may_try_again() {
    let gateway = Gateway::start().await;
    for email in [email(&gateway).as_str(), "nobody@example.jp"] {
        for _ in 0..5 {
            let reply = sign_in(&gateway, email, "wrong horse battery", "TOKENS").await;
            assert!(reply.text.contains("AUTH_INVALID_CREDENTIALS"), "{reply:?}");
        }
        let reply = sign_in(&gateway, email, DEMO_PASSWORD, "TOKENS").await;
        assert_eq!(reply.code(), "RATE_LIMITED", "{reply:?}");
        let wait = reply.json()["errors"][0]["extensions"]["retryAfterMs"].as_u64().unwrap();
        assert!((1..=1_000).contains(&wait), "{wait}");
    }
    gateway.app.clock.advance(TimeDelta::seconds(2));
    session(&gateway).await;
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_and_for_ten_seconds_gives_the_same_successor() {
    let gateway = Gateway::start().await;
    let (_, first) = session(&gateway).await;
    let (access, second) = tokens(&refresh(&gateway, &first).await, "sessionRefresh");
    assert_ne!(first, second);
    assert_eq!(with_token(&gateway, &access, WHO).await.status, 200);
    // As when the answer was lost.
    gateway.app.clock.advance(TimeDelta::seconds(9));
    let (_, again) = tokens(&refresh(&gateway, &first).await, "sessionRefresh");
    assert_eq!(again, second);
    tokens(&refresh(&gateway, &second).await, "sessionRefresh");
}

#[tokio::test]
async fn many_refreshes_at_once_give_one_successor() {
    let gateway = Gateway::start().await;
    let (_, first) = session(&gateway).await;
    let replies = futures::future::join_all((0..20).map(|_| refresh(&gateway, &first))).await;
    let successors: Vec<_> = replies.iter().map(|reply| tokens(reply, "sessionRefresh").1).collect();
    assert!(successors.iter().all(|one| *one == successors[0]));
    tokens(&refresh(&gateway, &successors[0]).await, "sessionRefresh");
}

#[tokio::test]
async fn a_refresh_token_that_comes_back_late_ends_the_session() {
    let gateway = Gateway::start().await;
    let (_, first) = session(&gateway).await;
    let (access, second) = tokens(&refresh(&gateway, &first).await, "sessionRefresh");
    let (_, bystander) = session(&gateway).await;
    gateway.app.clock.advance(TimeDelta::seconds(11));
    for token in [&first, &second, &first] {
        let reply = refresh(&gateway, token).await;
        assert_eq!(reply.code(), "UNAUTHENTICATED", "{reply:?}");
        assert!(reply.json()["data"]["sessionRefresh"].is_null());
    }
    assert_unauthenticated(&with_token(&gateway, &access, WHO).await, "its access token");
    tokens(&refresh(&gateway, &bystander).await, "sessionRefresh");
}

#[tokio::test]
async fn a_grandparent_ends_the_session_within_the_ten_seconds_too() {
    let gateway = Gateway::start().await;
    let (_, first) = session(&gateway).await;
    let (_, second) = tokens(&refresh(&gateway, &first).await, "sessionRefresh");
    let (access, third) = tokens(&refresh(&gateway, &second).await, "sessionRefresh");
    assert_eq!(refresh(&gateway, &first).await.code(), "UNAUTHENTICATED");
    assert_eq!(refresh(&gateway, &third).await.code(), "UNAUTHENTICATED");
    assert_unauthenticated(&with_token(&gateway, &access, WHO).await, "its access token");
}

#[tokio::test]
async fn signing_out_counts_at_once_and_for_this_session_only() {
    let gateway = Gateway::start().await;
    let ((access, token), (other, _)) = (session(&gateway).await, session(&gateway).await);
    // So that the token is remembered as a good one.
    assert_eq!(with_token(&gateway, &access, WHO).await.status, 200);
    let ended = with_token(&gateway, &access, SIGN_OUT).await.json();
    assert_eq!(ended["data"]["sessionEnd"], json!({ "ended": true, "userErrors": [] }));
    assert_unauthenticated(&with_token(&gateway, &access, WHO).await, "after signing out");
    assert_eq!(refresh(&gateway, &token).await.code(), "UNAUTHENTICATED");
    assert_eq!(with_token(&gateway, &other, WHO).await.status, 200);
}

#[tokio::test]
async fn an_access_token_runs_out_and_the_refresh_token_gives_the_next() {
    let gateway = Gateway::start().await;
    let (access, token) = session(&gateway).await;
    gateway.app.clock.advance(TimeDelta::minutes(9));
    assert_eq!(with_token(&gateway, &access, WHO).await.status, 200);
    // A minute to its end, and half a minute for clocks that differ.
    gateway.app.clock.advance(TimeDelta::seconds(91));
    assert_unauthenticated(&with_token(&gateway, &access, WHO).await, "after ten minutes");
    let (access, token) = tokens(&refresh(&gateway, &token).await, "sessionRefresh");
    assert_eq!(with_token(&gateway, &access, WHO).await.status, 200);
    gateway.app.clock.advance(TimeDelta::days(15));
    assert_eq!(refresh(&gateway, &token).await.code(), "UNAUTHENTICATED", "idle for too long");
}

#[tokio::test]
async fn a_token_that_is_none_of_ours_reaches_no_resolver() {
    let gateway = Gateway::start().await;
    let (access, token) = session(&gateway).await;
    let parts: Vec<_> = access.split('.').collect();
    let unsigned = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
    let mut claims: Value =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    claims["exp"] = json!(4_102_444_800_u64);
    let changed = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    gateway.forget_calls();
    for value in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer garbage".to_owned(),
        "Bearer a.b.c".to_owned(),
        format!("Basic {access}"),
        format!("Bearer {token}"),
        format!("Bearer {access} {access}"),
        format!("Bearer {access}, Bearer {access}"),
        format!("Bearer {}", &access[..access.len() - 4]),
        format!("Bearer {}.{}.", unsigned, parts[1]),
        format!("Bearer {}.{}.{}", unsigned, parts[1], parts[2]),
        format!("Bearer {}.{}.{}", parts[0], changed, parts[2]),
        format!("Bearer {}", "x".repeat(50 * 1024)),
    ] {
        for query in [PROFILE, SIGN_OUT] {
            let reply = ask(&gateway, &[("authorization", &value)], query, json!({})).await;
            assert_unauthenticated(&reply, &value[..value.len().min(80)]);
        }
    }
    assert_eq!(gateway.calls(), []);
    let profile = ask(&gateway, &[("authorization", &format!("bearer {access}"))], PROFILE, json!({})).await;
    assert_eq!(profile.json()["data"]["viewer"]["profile"]["email"], email(&gateway));
}

#[tokio::test]
async fn a_browser_gets_its_tokens_as_cookies_only() {
    let gateway = Gateway::start().await;
    let reply = sign_in(&gateway, &email(&gateway), DEMO_PASSWORD, "COOKIES").await;
    let created = &reply.json()["data"]["sessionCreate"];
    assert!(created["session"]["accessToken"].is_null() && created["session"]["refreshToken"].is_null());
    assert!(created["viewer"]["id"].is_string());
    let cookies = reply.cookies();
    assert_eq!(cookies.len(), 3);
    for (cookie, name) in cookies.iter().zip(["__Host-device", "__Host-access", "__Host-refresh"]) {
        let mut parts = cookie.split("; ");
        let (found, token) = parts.next().unwrap().split_once('=').unwrap();
        assert!(
            found == name && (token.len() > 40 || token == DEMO_DEVICE) && !reply.text.contains(token),
            "{name}"
        );
        let attributes: Vec<_> = parts.collect();
        for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
            assert!(attributes.contains(&attribute), "{name}: {attribute}");
        }
        assert!(!attributes.iter().any(|attribute| attribute.starts_with("Domain")));
    }

    // A foreign page cannot sign a browser in as whom it likes.
    let evil = ("origin", "http://evil.example");
    for headers in [&[][..], &[CUSTOM], &[OWN], &[CUSTOM, evil], &[CUSTOM, ("sec-fetch-site", "cross-site")]]
    {
        let input = json!({ "email": email(&gateway), "password": DEMO_PASSWORD, "delivery": "COOKIES" });
        let refused = ask(&gateway, headers, SIGN_IN, json!({ "input": input })).await;
        assert_eq!((refused.code().as_str(), refused.cookies().len()), ("BAD_USER_INPUT", 0), "{headers:?}");
    }

    let cookie = browser(&gateway).await;
    let headers = [("cookie", cookie.as_str()), CUSTOM, OWN];
    let next = ask(&gateway, &headers, REFRESH, json!({})).await;
    assert!(next.json()["data"]["sessionRefresh"]["session"]["refreshToken"].is_null(), "{}", next.text);
    assert_eq!(next.cookies().len(), 2);
    let out = ask(&gateway, &headers, SIGN_OUT, json!({})).await;
    assert_eq!(out.json()["data"]["sessionEnd"]["ended"], true);
    assert!(out.cookies().len() == 2 && out.cookies().iter().all(|cookie| cookie.contains("=; Max-Age=0;")));
    assert_unauthenticated(&ask(&gateway, &headers, WHO, json!({})).await, "the ended session");
}

#[tokio::test]
async fn what_a_browser_sends_by_itself_counts_only_from_our_own_pages() {
    let gateway = Gateway::start().await;
    let cookie = browser(&gateway).await;
    let cookie = ("cookie", cookie.as_str());
    let refresh_only = cookie.1.split("; ").find(|pair| pair.starts_with("__Host-refresh")).unwrap();
    gateway.forget_calls();

    let origin = |origin| [cookie, CUSTOM, ("origin", origin)].to_vec();
    let site = |site| [cookie, CUSTOM, ("sec-fetch-site", site)].to_vec();
    let mut refused = vec![
        vec![cookie],
        vec![cookie, CUSTOM],
        vec![cookie, OWN],
        vec![cookie, ("sec-fetch-site", "same-origin")],
        vec![("cookie", refresh_only)],
    ];
    refused.extend(["cross-site", "same-site", "none"].map(site));
    refused.extend(
        [
            "null",
            "",
            "http://localhost:4000.evil.example",
            "http://localhost:40000",
            "http://localhost",
            "https://localhost:4000",
            "http://evil.example#http://localhost:4000",
            "http://localhost:4000/",
            "HTTP://LOCALHOST:4000",
            "http://127.0.0.1:4000",
            "http://evil.example",
        ]
        .map(origin),
    );
    for headers in &refused {
        for query in [PROFILE, SIGN_OUT, REFRESH] {
            let reply = ask(&gateway, headers, query, json!({})).await;
            assert_eq!((reply.status, reply.code().as_str()), (403, "FORBIDDEN"), "{headers:?}: {reply:?}");
            assert!(reply.headers.get("access-control-allow-origin").is_none() || headers.contains(&OWN));
            assert_eq!(reply.cookies().len(), 0);
        }
    }
    // As an image, a link and the forms of a foreign page would ask.
    let foreign = [cookie, ("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")];
    assert_eq!(get(&gateway, &foreign, PROFILE).await.status, 403);
    let json = json!({ "query": SIGN_OUT }).to_string();
    for (media, body) in [
        ("text/plain", json.clone()),
        ("application/x-www-form-urlencoded", format!("query={SIGN_OUT}")),
        ("multipart/form-data; boundary=x", format!("--x\r\n\r\n{json}\r\n--x--")),
    ] {
        let headers = [&foreign[..], &[("content-type", media)]].concat();
        let reply = post(&gateway, &headers, body).await;
        assert_eq!((reply.status, reply.code().as_str()), (415, "UNSUPPORTED_MEDIA_TYPE"), "{media}");
    }
    assert_eq!(gateway.calls(), []);
    assert_eq!(gateway.effects(), 0);

    // None of that ended or moved on the session, which our own pages may use.
    for headers in [
        vec![cookie, CUSTOM, OWN],
        vec![cookie, CUSTOM, ("sec-fetch-site", "same-origin")],
        vec![cookie, ("graphql-preflight", "1"), OWN],
    ] {
        let reply = ask(&gateway, &headers, PROFILE, json!({})).await;
        assert_eq!(reply.json()["data"]["viewer"]["profile"]["email"], email(&gateway), "{headers:?}");
    }
    assert!(!gateway.calls().is_empty());
}

#[tokio::test]
async fn a_foreign_page_may_not_read_our_answers() {
    let gateway = Gateway::start().await;
    let preflight = async |origin: &str| {
        let request = gateway.request("OPTIONS", "/graphql").header("origin", origin);
        Reply::to(request.header("access-control-request-method", "POST")).await
    };
    for origin in ["http://evil.example", "null", "http://localhost:4000.evil.example"] {
        for reply in [preflight(origin).await, ask(&gateway, &[("origin", origin)], WHO, json!({})).await] {
            assert!(reply.headers.get("access-control-allow-origin").is_none(), "{origin}: {reply:?}");
            assert_eq!(reply.header("vary"), "Origin");
        }
    }
    for reply in [preflight(OWN.1).await, ask(&gateway, &[OWN], WHO, json!({})).await] {
        assert_eq!(reply.header("access-control-allow-origin"), OWN.1);
    }
}

#[tokio::test]
async fn a_document_signs_in_or_refreshes_once() {
    let gateway = Gateway::start().await;
    let input = format!(
        "{{ email: \"{}\", password: \"{DEMO_PASSWORD}\", deviceToken: \"{DEMO_DEVICE}\" }}",
        email(&gateway)
    );
    let once = format!("sessionCreate(input: {input}) {{ viewer {{ id }} }}");
    let refresh = "sessionRefresh(input: { refreshToken: \"x\" }) { session { refreshToken } }";
    let fifty: String = (0..50).map(|n| format!("a{n}: {once} ")).collect();
    for (document, code) in [
        (format!("mutation {{ a: {once} b: {once} }}"), "REPEATED_SIGN_IN"),
        (format!("mutation {{ {once} {refresh} }}"), "REPEATED_SIGN_IN"),
        (format!("mutation {{ a: {refresh} b: {refresh} }}"), "REPEATED_SIGN_IN"),
        (format!("mutation {{ {once} ...F }} fragment F on Mutation {{ b: {once} }}"), "REPEATED_SIGN_IN"),
        (format!("mutation {{ {fifty} }}"), "ALIAS_LIMIT"),
    ] {
        let reply = ask(&gateway, &[], &document, json!({})).await;
        assert_eq!(reply.code(), code, "{document}");
        assert!(reply.json().get("data").is_none());
    }
    let reply = ask(&gateway, &[], &format!("mutation {{ {once} }}"), json!({})).await;
    assert!(reply.json()["data"]["sessionCreate"]["viewer"]["id"].is_string(), "{reply:?}");
}

#[tokio::test]
async fn what_has_the_wrong_form_is_not_repeated() {
    let gateway = Gateway::start().await;
    let question =
        "mutation ($input: SessionCreateInput!) { sessionCreate(input: $input) { userErrors { code } } }";
    for input in [json!("hunter2-staple"), json!([{ "email": "a@b.jp", "password": "hunter2-staple" }])] {
        let body = gateway.nobody().ask(question, json!({ "input": input })).await.body;
        assert_eq!(body["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{body}");
        assert!(!body.to_string().contains("hunter2"), "{body}");
    }
}
