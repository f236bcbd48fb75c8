#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use futures::future::join_all;
use http::{HeaderMap, StatusCode};
use insta::assert_debug_snapshot;
use proptest::prelude::*;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::method};

use super::*;
use crate::deadline::Lane;

const LINE: &str = "07000001234";

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/freebit/", $name, ".json"))
    };
}

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.into().into(),
    }
}

fn record(body: &str) -> Record {
    envelope(&answer(200, body), &Codes::default()).unwrap()
}

fn failure(result: &str, status: &str) -> String {
    json!({ "resultCode": result, "status": { "message": "番号 07000001234", "statusCode": status } })
        .to_string()
}

#[test]
fn the_known_answers_decode() {
    assert_debug_snapshot!("detail", detail::decode(&record(fixture!("get_detail")), LINE));
    assert_debug_snapshot!("traffic", traffic::decode(&record(fixture!("get_traffic_info")), LINE));
    assert_debug_snapshot!("quota_history", quota::decode(&record(fixture!("get_quota_history")), LINE));
}

#[test]
fn casing_numbers_and_other_names_do_not_matter() {
    assert_debug_snapshot!(
        "detail_other_casing",
        detail::decode(&record(fixture!("get_detail_other_casing")), LINE)
    );
    for days in [json!([3, "2", 1]), json!("3,2,1"), json!("3, 2, 1")] {
        let body =
            json!({ "resultCode": 100, "traffic": { "Today": 5, "inrecentdays": days, "blacklist": 10 } });
        let traffic = traffic::decode(&record(&body.to_string()), LINE).unwrap();
        assert_eq!(traffic, Traffic { today_kb: 5, recent_days_kb: vec![3, 2, 1], restricted: true });
    }
}

#[test]
fn another_line_is_never_handed_up() {
    let other = "07000009999";
    assert_eq!(detail::decode(&record(fixture!("get_detail")), other), Ok(None));
    assert_eq!(traffic::decode(&record(fixture!("get_traffic_info")), other), Err(wrong("account")));
    assert_eq!(quota::decode(&record(fixture!("get_quota_history")), other), Err(wrong("account")));
}

#[test]
fn failures_are_judged_by_the_class_of_their_code() {
    for (status, body, kind) in [
        (200, failure("400", "911"), Kind::Session),
        (200, failure("400", "960"), Kind::RateLimited { retry_after: Duration::from_secs(1) }),
        (200, failure("500", "999"), Kind::Unavailable { code: "500-999".to_owned() }),
        (200, failure("500", "5"), Kind::Unavailable { code: "500-5".to_owned() }),
        (200, failure("400", "356"), Kind::refused("400-356", "番号 07000001234")),
        (200, r#"{"resultCode":210}"#.to_owned(), Kind::refused("210-", "")),
        (200, "{}".to_owned(), wrong("resultCode")),
        (200, "<html>".to_owned(), Kind::Garbage),
        (200, String::new(), Kind::Garbage),
        (404, "<html>".to_owned(), Kind::Status(404)),
        (503, "{}".to_owned(), Kind::Status(503)),
        (429, String::new(), Kind::RateLimited { retry_after: Duration::from_secs(1) }),
    ] {
        let outcome = envelope(&answer(status, body.clone()), &Codes::default());
        let error = outcome.unwrap_err();
        assert_eq!(error, kind, "{status} {body}");
        assert!(!error.to_string().contains("0700"), "{error}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200), status in 100..600u16) {
        decode_all(&answer(status, body));
    }

    #[test]
    fn no_damage_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), which in 0..4usize) {
        let fixtures = [
            fixture!("get_detail"),
            fixture!("get_detail_other_casing"),
            fixture!("get_traffic_info"),
            fixture!("get_quota_history"),
        ];
        let mut body = fixtures[which].as_bytes().to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        decode_all(&answer(200, body));
    }
}

fn decode_all(answer: &Answer) {
    if let Ok(record) = envelope(answer, &Codes::default()) {
        _ = detail::decode(&record, LINE);
        _ = traffic::decode(&record, LINE);
        _ = quota::decode(&record, LINE);
    }
}

/// A carrier that gives out keys `key-1`, `key-2`, … and honours those from `honoured` on.
#[derive(Clone, Default)]
struct Carrier {
    given: Arc<AtomicU64>,
    honoured: Arc<AtomicU64>,
    questions: Arc<Mutex<Vec<Value>>>,
}

impl Carrier {
    fn given(&self) -> u64 {
        self.given.load(Ordering::SeqCst)
    }

    /// How often lines were asked about.
    fn asked(&self) -> usize {
        self.questions.lock().unwrap().len()
    }
}

impl Respond for Carrier {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let (_, text) = url::form_urlencoded::parse(&request.body).next().unwrap();
        let question: Value = serde_json::from_str(&text).unwrap();
        let ok = |body: &str| ResponseTemplate::new(200).set_body_string(body);
        if request.url.path() == "/emptool/api/authOem/" {
            if question["oemKey"] != "oem-secret" {
                return ok(&failure("400", "910"));
            }
            let number = self.given.fetch_add(1, Ordering::SeqCst) + 1;
            return ok(&json!({ "resultCode": "100", "authKey": format!("key-{number}") }).to_string());
        }
        let key = question["authKey"].as_str().unwrap().trim_start_matches("key-").parse::<u64>().unwrap();
        self.questions.lock().unwrap().push(question);
        if key < self.honoured.load(Ordering::SeqCst) {
            return ok(&failure("400", "911"));
        }
        match request.url.path() {
            "/emptool/api/mvno/getDetail/" => ok(fixture!("get_detail")),
            "/emptool/api/mvno/getTrafficInfo/" => ok(fixture!("get_traffic_info")),
            "/emptool/api/mvno/getQuotaHistory/" => ok(fixture!("get_quota_history")),
            _ => ResponseTemplate::new(404),
        }
    }
}

async fn client(carrier: &Carrier, oem_key: &str) -> (Client, MockServer) {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(carrier.clone()).mount(&server).await;
    let settings = Settings::new(server.uri().parse().unwrap(), "SBXOEM01".to_owned(), oem_key.into());
    (Client::new(settings).unwrap(), server)
}

fn budget() -> Budget {
    Budget::new(Duration::from_secs(5), Lane::Interactive)
}

#[tokio::test]
async fn one_key_serves_all_who_ask_at_once() {
    let carrier = Carrier::default();
    let (client, _server) = client(&carrier, "oem-secret").await;
    for outcome in join_all((0..20).map(|_| client.get_traffic_info(budget(), LINE))).await {
        assert_eq!(outcome.unwrap().today_kb, 51_200);
    }
    assert_eq!((carrier.given(), carrier.asked()), (1, 20));
}

#[tokio::test]
async fn a_refused_key_is_replaced_once_for_all() {
    let carrier = Carrier::default();
    let (client, _server) = client(&carrier, "oem-secret").await;
    client.warm_up(budget()).await.unwrap();
    carrier.honoured.store(2, Ordering::SeqCst);
    for outcome in join_all((0..5).map(|_| client.get_detail(budget(), LINE))).await {
        assert!(outcome.unwrap().is_some());
    }
    assert_eq!((carrier.given(), carrier.asked()), (2, 10));
}

#[tokio::test]
async fn a_second_refusal_is_final() {
    let carrier = Carrier::default();
    carrier.honoured.store(u64::MAX, Ordering::SeqCst);
    let (client, _server) = client(&carrier, "oem-secret").await;
    assert_eq!(client.get_detail(budget(), LINE).await.unwrap_err().kind, Kind::Session);
    assert_eq!((carrier.given(), carrier.asked()), (2, 2));
}

#[tokio::test]
async fn wrong_credentials_are_tried_once_for_all() {
    let carrier = Carrier::default();
    let (client, server) = client(&carrier, "wrong").await;
    assert!(!format!("{client:?}").contains("wrong"));
    for outcome in join_all((0..20).map(|_| client.get_detail(budget(), LINE))).await {
        assert_eq!(outcome.unwrap_err().kind, Kind::Session);
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn questions_carry_what_the_carrier_asks_for() {
    let carrier = Carrier::default();
    let (client, _server) = client(&carrier, "oem-secret").await;
    client.get_detail(budget(), LINE).await.unwrap();
    let (from, to) = ("2026-07-01".parse().unwrap(), "2026-07-31".parse().unwrap());
    client.get_quota_history(budget(), LINE, from, to).await.unwrap();
    let questions = carrier.questions.lock().unwrap().clone();
    assert_eq!(
        questions,
        [
            json!({ "authKey": "key-1", "version": "2", "requestDatas": [{ "kind": "MVNO", "account": LINE }] }),
            json!({ "authKey": "key-1", "account": LINE, "fromDate": "20260701", "toDate": "20260731" }),
        ]
    );
}

#[tokio::test]
async fn an_unknown_account_is_none() {
    let server = MockServer::start().await;
    let auth = ResponseTemplate::new(200).set_body_string(fixture!("auth_oem"));
    Mock::given(wiremock::matchers::path("/emptool/api/authOem/")).respond_with(auth).mount(&server).await;
    let unknown = ResponseTemplate::new(200).set_body_string(failure("400", "920"));
    Mock::given(method("POST")).respond_with(unknown).mount(&server).await;
    let settings = Settings::new(server.uri().parse().unwrap(), "SBXOEM01".to_owned(), "x".into());
    let client = Client::new(settings).unwrap();
    assert_eq!(client.get_detail(budget(), LINE).await.unwrap(), None);
    let error = client.get_traffic_info(budget(), LINE).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Refused { .. }), "{error}");
}
