#![expect(clippy::unwrap_used, reason = "a test may panic")]

use axum::{body::Body, http::Request};
use chrono::TimeDelta;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::sandbox::{
    core::RuleKind,
    credentials::{JAPAN_POST_CLIENT_ID, JAPAN_POST_SECRET_KEY},
    faults::Rule,
    journal::Filter,
};

struct Post {
    core: Arc<Core>,
    router: Router,
}

impl Post {
    fn new() -> Self {
        let core = Arc::new(Core::new(42, 300, false));
        Self { router: router(Arc::clone(&core)), core }
    }

    async fn send(&self, request: Request<Body>) -> (u16, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn grant(&self, source: Option<&str>, media: &str, body: String) -> (u16, Value) {
        let mut request = Request::post("/api/v1/j/token").header("content-type", media);
        if let Some(source) = source {
            request = request.header("x-forwarded-for", source);
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    async fn token(&self) -> String {
        let (status, answer) = self.grant(Some("192.0.2.1"), "application/json", credentials()).await;
        assert_eq!((status, &answer["expires_in"]), (200, &json!(3600)), "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    }

    async fn search(&self, token: &str, code: &str) -> (u16, Value) {
        let request = Request::get(format!("/api/v1/searchcode/{code}"));
        self.send(request.header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap())
            .await
    }
}

fn credentials() -> String {
    json!({
        "grant_type": "client_credentials",
        "client_id": JAPAN_POST_CLIENT_ID,
        "secret_key": JAPAN_POST_SECRET_KEY,
    })
    .to_string()
}

#[tokio::test]
async fn a_token_needs_credentials_and_the_callers_address() {
    let post = Post::new();
    post.token().await;
    let form = format!(
        "grant_type=client_credentials&client_id={JAPAN_POST_CLIENT_ID}&secret_key={JAPAN_POST_SECRET_KEY}"
    );
    let source = Some("192.0.2.1");
    assert_eq!(post.grant(source, "application/x-www-form-urlencoded", form).await.0, 200);
    for (source, body, code) in [
        (None, credentials(), "400-1002-0001"),
        (Some("gateway"), credentials(), "400-1002-0001"),
        (source, "{}".to_owned(), "400-1028-0001"),
        (source, credentials().replace("client_credentials", "password"), "400-1028-0001"),
        (source, credentials().replace(JAPAN_POST_SECRET_KEY, "wrong"), "401-1001-0001"),
    ] {
        let (status, answer) = post.grant(source, "application/json", body).await;
        assert_eq!(answer["error_code"], code, "{answer}");
        assert!(code.starts_with(&status.to_string()) && answer["request_id"].is_string(), "{answer}");
    }
}

#[tokio::test]
async fn a_token_expires() {
    let post = Post::new();
    let token = post.token().await;
    post.core.clock.advance(TimeDelta::minutes(59));
    assert_eq!(post.search(&token, "1500041").await.0, 200);
    post.core.clock.advance(TimeDelta::minutes(1));
    let (status, answer) = post.search(&token, "1500041").await;
    assert_eq!((status, &answer["error_code"]), (401, &json!("401-1002-0001")));
    assert_eq!(post.search("none", "1500041").await.0, 401);
}

#[tokio::test]
async fn every_customer_lives_where_the_post_says() {
    let post = Post::new();
    let token = post.token().await;
    for n in 1..=300 {
        let home = post.core.world.customer(n).address.clone();
        let (status, answer) = post.search(&token, home.postal_code).await;
        assert_eq!((status, &answer["count"]), (200, &json!(1)), "{home:?}");
        let found = &answer["addresses"][0];
        assert_eq!(found["zip_code"], home.postal_code.replace('-', ""));
        let japanese = [home.prefecture_ja, home.city_ja, home.town_ja];
        assert_eq!(
            ["pref_name", "city_name", "town_name"].map(|name| found[name].as_str().unwrap()),
            japanese
        );
        let roman = [home.prefecture, home.city, home.town].map(str::to_uppercase);
        assert_eq!(["pref_roma", "city_roma", "town_roma"].map(|name| found[name].as_str().unwrap()), roman);
    }
}

#[tokio::test]
async fn a_code_has_one_place_or_several_or_none_or_an_organisation() {
    let post = Post::new();
    let token = post.token().await;
    let (_, shared) = post.search(&token, "4980000").await;
    let prefectures: Vec<_> = shared["addresses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|place| place["pref_name"].as_str().unwrap())
        .collect();
    assert_eq!(prefectures, ["愛知県", "三重県"]);
    assert_eq!(shared["addresses"][0]["town_name"], "");

    let (_, organisation) = post.search(&token, "100-8111").await;
    assert_eq!((&organisation["searchtype"], &organisation["count"]), (&json!("bizzipcode"), &json!(1)));
    assert_eq!(organisation["addresses"][0]["biz_name"], "宮内庁");
    assert_eq!(post.search(&token, "1008111?searchtype=2").await.0, 404);

    let (status, nothing) = post.search(&token, "9999999").await;
    assert_eq!((status, &nothing["error_code"]), (404, &json!("404-1029-0001")));
    for malformed in ["15", "15000411", "150004a1", "%E6%9D%B1", "1500041?page=0", "1500041?limit=1001"] {
        let (status, answer) = post.search(&token, malformed).await;
        assert_eq!((status, &answer["error_code"]), (400, &json!("400-1028-0001")), "{malformed}");
    }
}

#[tokio::test]
async fn a_shorter_code_finds_all_that_begin_so_page_by_page() {
    let post = Post::new();
    let token = post.token().await;
    let (_, all) = post.search(&token, "150").await;
    let count = all["count"].as_u64().unwrap();
    assert!(count > 15, "{count}");
    let mut seen = Vec::new();
    for page in 1..=3 {
        let (_, part) = post.search(&token, &format!("150?limit=10&page={page}")).await;
        assert_eq!(part["count"], count);
        seen.extend(part["addresses"].as_array().unwrap().clone());
    }
    assert_eq!(Value::from(seen), all["addresses"]);
}

#[tokio::test]
async fn a_digital_address_is_somebodys_and_not_journalled() {
    let post = Post::new();
    let token = post.token().await;
    for code in ["A7E2FK2", "a7e-2fk2"] {
        let (_, answer) = post.search(&token, code).await;
        assert_eq!(answer["searchtype"], "dgacode");
        let found = &answer["addresses"][0];
        assert_eq!((&found["dgacode"], &found["zip_code"]), (&json!("A7E2FK2"), &json!("1000005")));
        assert_eq!(
            (&found["block_name"], &found["other_name"]),
            (&json!("２丁目７－２"), &json!("サンプル１"))
        );
    }
    assert_eq!(post.search(&token, "ZZZZZZZ").await.0, 404);
    let journal = serde_json::to_string(&post.core.journal.entries(&Filter::default())).unwrap();
    assert!(!journal.to_uppercase().contains("A7E") && !journal.contains(&token), "{journal}");
}

#[tokio::test]
async fn faults_speak_the_vendors_tongue() {
    let post = Post::new();
    let token = post.token().await;
    let fail = |kind, code: Option<&str>| {
        let rule = Rule::every(System::JapanPost, kind);
        post.core.faults.add(Rule { times: Some(1), code: code.map(str::to_owned), ..rule });
    };
    fail(RuleKind::Business, Some("429-1001-0001"));
    let request = Request::get("/api/v1/searchcode/1500041").body(Body::empty()).unwrap();
    let throttled = post.router.clone().oneshot(request).await.unwrap();
    assert_eq!(throttled.status().as_u16(), 429);
    assert_eq!(throttled.headers()["retry-after"], "1");
    fail(RuleKind::Business, None);
    assert_eq!(post.search(&token, "1500041").await.0, 500);
    fail(RuleKind::Expire, None);
    assert_eq!(post.search(&token, "1500041").await.0, 401);
    assert_eq!(post.search(&token, "1500041").await.0, 401, "the token is gone");
}
