#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use futures::future::join_all;
use http::HeaderMap;
use insta::assert_debug_snapshot;
use proptest::prelude::*;
use serde_json::Value;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any as anything};

use super::*;
use crate::deadline::Lane;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/japan_post/", $name, ".json"))
    };
}

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.into().into(),
    }
}

fn found(answer: &Answer, asked: &str) -> Result<Vec<Address>, Kind> {
    wire::found(decode(answer)?, asked)
}

#[test]
fn the_known_answers_decode() {
    assert_debug_snapshot!("postal_code", found(&answer(200, fixture!("searchcode")), "1020082"));
    assert_debug_snapshot!("digital_address", found(&answer(200, fixture!("searchcode_digital")), "A7E2FK2"));
}

#[test]
fn a_code_may_be_a_number_and_a_town_may_be_missing() {
    let addresses = found(&answer(200, fixture!("searchcode_shared")), "0600000").unwrap();
    assert_eq!(addresses.len(), 2);
    for address in addresses {
        assert_eq!((address.zip_code.as_str(), address.town, address.pref.roma), ("0600000", None, None));
    }
    assert_eq!(found(&answer(200, r#"{"count":0,"addresses":[]}"#), "0600000"), Ok(Vec::new()));
}

#[test]
fn another_postal_code_is_never_handed_up() {
    let path = "addresses[0].zip_code".to_owned();
    assert_eq!(found(&answer(200, fixture!("searchcode")), "1020083"), Err(Kind::Decode { path }));
}

#[test]
fn failures_are_judged_by_status_and_body() {
    let absent = fixture!("refused").replace("400-1028", "404-1029");
    for (status, body, kind) in [
        (401, fixture!("refused"), Kind::Session),
        (401, "", Kind::Session),
        (403, "<html>", Kind::Session),
        (404, &absent, Kind::refused(ABSENT, "…")),
        (404, "<html>", Kind::Status(404)),
        (400, fixture!("refused"), Kind::refused("400-1028-0001", "…")),
        (400, "{}", Kind::Status(400)),
        (429, fixture!("refused"), Kind::RateLimited { retry_after: Duration::from_secs(1) }),
        (500, fixture!("refused"), Kind::Status(500)),
        (200, "<html>", Kind::Garbage),
        (200, "", Kind::Garbage),
        (200, r#"{"addresses":[{}]}"#, Kind::Decode { path: "addresses[0].zip_code".to_owned() }),
    ] {
        let error = found(&answer(status, body), "1020082").unwrap_err();
        assert_eq!(error, kind, "{status} {body}");
        assert!(!error.to_string().contains("1020082"), "{error}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200), status in 100..600u16) {
        _ = found(&answer(status, body), "1020082");
    }

    #[test]
    fn no_damage_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), which in 0..3usize) {
        let fixtures = [fixture!("searchcode"), fixture!("searchcode_digital"), fixture!("searchcode_shared")];
        let mut body = fixtures[which].as_bytes().to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        _ = found(&answer(200, body), "0600000");
    }
}

/// A service that gives out tokens `token-1`, `token-2`, … and honours those from `honoured` on.
#[derive(Clone, Default)]
struct Post {
    given: Arc<AtomicU64>,
    honoured: Arc<AtomicU64>,
    /// Seconds.
    expires_in: u64,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Post {
    fn new() -> Self {
        Self { expires_in: 3600, ..Self::default() }
    }

    fn given(&self) -> u64 {
        self.given.load(Ordering::SeqCst)
    }

    /// How often it was searched.
    fn searched(&self) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|request| request.url.path().starts_with("/api/v1/searchcode/")).count()
    }
}

impl Respond for Post {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        self.seen.lock().unwrap().push(request.clone());
        let refused = |status| ResponseTemplate::new(status).set_body_string(fixture!("refused"));
        if request.url.path() == "/api/v1/j/token" {
            let credentials: Value = serde_json::from_slice(&request.body).unwrap();
            if credentials["secret_key"] != "secret" {
                return refused(401);
            }
            let number = self.given.fetch_add(1, Ordering::SeqCst) + 1;
            let token = json!({ "token": format!("token-{number}"), "expires_in": self.expires_in });
            return ResponseTemplate::new(200).set_body_json(token);
        }
        let bearer = request.headers["authorization"].to_str().unwrap();
        let token: u64 = bearer.strip_prefix("Bearer token-").unwrap().parse().unwrap();
        if token < self.honoured.load(Ordering::SeqCst) {
            return refused(401);
        }
        match request.url.path() {
            "/api/v1/searchcode/1020082" => {
                ResponseTemplate::new(200).set_body_string(fixture!("searchcode"))
            }
            _ => refused(404),
        }
    }
}

async fn client(post: &Post, secret: &str) -> (Client, MockServer) {
    let server = MockServer::start().await;
    Mock::given(anything()).respond_with(post.clone()).mount(&server).await;
    let settings = Settings {
        base_url: server.uri().parse().unwrap(),
        client_id: "client".to_owned(),
        secret_key: secret.into(),
        source_address: "192.0.2.7".parse().unwrap(),
        transport: transport::Settings::japan_post(),
    };
    (Client::new(settings).unwrap(), server)
}

fn budget() -> Budget {
    Budget::new(Duration::from_secs(5), Lane::Interactive)
}

#[tokio::test]
async fn one_token_serves_all_who_ask_at_once() {
    let post = Post::new();
    let (client, _server) = client(&post, "secret").await;
    for outcome in join_all((0..20).map(|_| client.search_code(budget(), "1020082"))).await {
        assert_eq!(outcome.unwrap().len(), 1);
    }
    assert_eq!((post.given(), post.searched()), (1, 20));
    let seen = post.seen.lock().unwrap();
    assert_eq!(seen[0].headers["x-forwarded-for"], "192.0.2.7");
    let credentials: Value = serde_json::from_slice(&seen[0].body).unwrap();
    let expected =
        json!({ "grant_type": "client_credentials", "client_id": "client", "secret_key": "secret" });
    assert_eq!(credentials, expected);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_for_all() {
    let post = Post::new();
    let (client, _server) = client(&post, "secret").await;
    client.warm_up(budget()).await.unwrap();
    post.honoured.store(2, Ordering::SeqCst);
    for outcome in join_all((0..5).map(|_| client.search_code(budget(), "1020082"))).await {
        assert_eq!(outcome.unwrap().len(), 1);
    }
    assert_eq!((post.given(), post.searched()), (2, 10));
}

#[tokio::test]
async fn a_second_refusal_is_final() {
    let post = Post::new();
    post.honoured.store(u64::MAX, Ordering::SeqCst);
    let (client, _server) = client(&post, "secret").await;
    assert_eq!(client.search_code(budget(), "1020082").await.unwrap_err().kind, Kind::Session);
    assert_eq!((post.given(), post.searched()), (2, 2));
}

#[tokio::test]
async fn a_token_is_not_used_to_its_last_moment() {
    let post = Post { expires_in: 0, ..Post::new() };
    let (client, _server) = client(&post, "secret").await;
    for _ in 0..3 {
        client.search_code(budget(), "1020082").await.unwrap();
    }
    assert_eq!(post.given(), 3, "one that ends at once serves only its own search");
}

#[tokio::test]
async fn wrong_credentials_are_tried_once_for_all_and_never_shown() {
    let post = Post::new();
    let (client, server) = client(&post, "hunter2").await;
    assert!(!format!("{client:?}").contains("hunter2"));
    for outcome in join_all((0..20).map(|_| client.search_code(budget(), "1020082"))).await {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind, Kind::Session);
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_unknown_code_stands_for_nothing() {
    let post = Post::new();
    let (client, _server) = client(&post, "secret").await;
    assert_eq!(client.search_code(budget(), "9999999").await.unwrap(), []);
    assert_eq!(client.search_code(budget(), "../j/token").await.unwrap(), [], "it stays one segment");
    let seen = post.seen.lock().unwrap();
    assert_eq!(seen.last().unwrap().url.path(), "/api/v1/searchcode/..%2Fj%2Ftoken");
}
