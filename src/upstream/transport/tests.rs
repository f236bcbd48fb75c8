#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::atomic::{AtomicU32, Ordering};

use futures::{FutureExt, future::join_all};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

use super::*;
use crate::deadline::Lane;

const HOUR: Duration = Duration::from_secs(3600);

/// An upstream that answers all calls in one way, and a transport to it.
struct Bench {
    server: MockServer,
    transport: Transport,
}

impl Bench {
    async fn new(answer: impl Respond + 'static, settings: Settings) -> Self {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(answer).mount(&server).await;
        Self { server, transport: transport(settings) }
    }

    async fn answer(&self, answer: impl Respond + 'static) {
        self.server.reset().await;
        Mock::given(any()).respond_with(answer).mount(&self.server).await;
    }

    async fn ask(&self, class: Class) -> Result<String, Kind> {
        self.ask_within(class, Duration::from_secs(5)).await
    }

    async fn ask_within(&self, class: Class, within: Duration) -> Result<String, Kind> {
        ask(&self.transport, &self.server.uri(), class, within).await
    }

    async fn seen(&self) -> usize {
        self.server.received_requests().await.unwrap().len()
    }
}

async fn ask(transport: &Transport, url: &str, class: Class, within: Duration) -> Result<String, Kind> {
    let call = Call { operation: "Ask", class, budget: Budget::new(within, Lane::Interactive) };
    let judge = |answer: Answer| match answer.status {
        StatusCode::OK => answer.json::<String>(),
        _ => Err(answer.status_kind()),
    };
    transport.send(call, |client| client.post(url), judge).await.map_err(|error| error.kind)
}

fn transport(settings: Settings) -> Transport {
    Transport::new(Service::Billing, "test", settings).unwrap()
}

/// Quick retries, and a breaker that stays open once it is.
fn settings() -> Settings {
    Settings {
        retry: RetrySettings { base: Duration::from_millis(1), ..RetrySettings::default() },
        breaker: BreakerSettings { open: HOUR, open_max: HOUR, ..BreakerSettings::default() },
        calls_per_minute: None,
        ..Settings::whmcs()
    }
}

fn ok() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json("fine")
}

fn hang() -> ResponseTemplate {
    ok().set_delay(HOUR)
}

/// Tells of each call, then hangs.
struct Tell(mpsc::UnboundedSender<()>);

impl Respond for Tell {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        self.0.send(()).unwrap();
        hang()
    }
}

/// The given statuses in turn, then 200.
struct Turns(Vec<u16>, AtomicU32);

impl Respond for Turns {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let turn = self.1.fetch_add(1, Ordering::Relaxed) as usize;
        self.0.get(turn).map_or_else(ok, |status| ResponseTemplate::new(*status))
    }
}

#[tokio::test]
async fn a_read_is_asked_again_and_a_write_is_not() {
    let bench = Bench::new(Turns(vec![500, 503], AtomicU32::new(0)), settings()).await;
    assert_eq!(bench.ask(Class::Read).await.unwrap(), "fine");
    assert_eq!(bench.seen().await, 3);

    let bench = Bench::new(ResponseTemplate::new(500), settings()).await;
    assert_eq!(bench.ask(Class::Write).await, Err(Kind::Status(500)));
    assert_eq!(bench.seen().await, 1);
    assert_eq!(bench.ask(Class::Read).await, Err(Kind::Status(500)));
    assert_eq!(bench.seen().await, 4);
}

#[tokio::test]
async fn the_vendors_limit_is_respected() {
    let limited = ResponseTemplate::new(429).insert_header("retry-after", "30");
    let bench = Bench::new(limited, settings()).await;
    let retry_after = Duration::from_secs(30);
    assert_eq!(bench.ask(Class::Read).await, Err(Kind::RateLimited { retry_after }));
    assert_eq!(bench.seen().await, 1, "thirty seconds do not fit the deadline");
}

#[tokio::test]
async fn what_is_no_answer_of_the_vendor_is_told_apart() {
    let bench = Bench::new(ResponseTemplate::new(200).set_body_string("<html>"), settings()).await;
    assert_eq!(bench.ask(Class::Read).await, Err(Kind::Garbage));
    bench.answer(ResponseTemplate::new(200).set_body_string("")).await;
    assert_eq!(bench.ask(Class::Write).await, Err(Kind::Garbage));
    bench.answer(ResponseTemplate::new(200).set_body_string("[1]")).await;
    assert_eq!(bench.ask(Class::Read).await, Err(Kind::Decode { path: ".".to_owned() }));
    bench.answer(ResponseTemplate::new(302).insert_header("location", "/elsewhere")).await;
    assert_eq!(bench.ask(Class::Read).await, Err(Kind::Status(302)));
    assert_eq!(bench.seen().await, 1, "redirects are not followed");
}

#[tokio::test]
async fn a_wrong_shape_is_told_by_its_path() {
    #[derive(Debug, serde::Deserialize)]
    struct List {
        #[expect(dead_code, reason = "only its shape matters")]
        rows: Vec<Row>,
    }
    #[derive(Debug, serde::Deserialize)]
    struct Row {
        #[expect(dead_code, reason = "only its shape matters")]
        id: u64,
    }
    let error = decode::<List>(br#"{"rows":[{"id":1},{"id":"taro"}]}"#).unwrap_err();
    assert_eq!(error, Kind::Decode { path: "rows[1].id".to_owned() });
    assert_eq!(decode::<u64>(b"1 2").unwrap_err(), Kind::Garbage);
}

#[tokio::test]
async fn an_answer_has_a_size() {
    let bench = Bench::new(
        ResponseTemplate::new(200).set_body_string("x".repeat(1000)),
        Settings { answer_limit: 999, ..settings() },
    )
    .await;
    assert_eq!(bench.ask(Class::Read).await, Err(Kind::TooLarge { limit: 999 }));
    assert_eq!(bench.seen().await, 1);
}

#[tokio::test]
async fn nobody_listening_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let error = ask(&transport(settings()), &url, Class::Read, HOUR).await.unwrap_err();
    assert!(matches!(&error, Kind::Connect(cause) if cause.contains("refused")), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_midway_is_broken() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let cut = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        _ = socket.read(&mut [0; 1024]).await.unwrap();
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc").await.unwrap();
    });
    let outcome = ask(&transport(settings()), &url, Class::Write, HOUR).await;
    assert_eq!(outcome, Err(Kind::Broken));
    cut.await.unwrap();
}

#[tokio::test]
async fn the_deadline_ends_a_hanging_call_and_the_wait_for_a_place() {
    let (send, mut arrived) = mpsc::unbounded_channel();
    let bench = Bench::new(Tell(send), Settings { concurrency: 1, ..settings() }).await;
    let first = bench.ask_within(Class::Read, Duration::from_millis(300));
    let queued = async {
        arrived.recv().await.unwrap();
        let began = Instant::now();
        let outcome = bench.ask_within(Class::Read, Duration::from_millis(50)).await;
        (outcome, began.elapsed())
    };
    let (first, (queued, elapsed)) = tokio::join!(first, queued);
    assert_eq!((first, queued), (Err(Kind::Deadline), Err(Kind::Deadline)));
    assert!(elapsed < Duration::from_millis(250), "{elapsed:?}");
    assert_eq!(bench.seen().await, 1, "the queued call was never sent");
}

#[tokio::test]
async fn whoever_was_stopped_beyond_the_deadline_sends_nothing_any_more() {
    let bench = Bench::new(ok(), settings()).await;
    assert_eq!(bench.ask(Class::Write).await.unwrap(), "fine", "a connection is open");
    let budget = Budget::new(Duration::from_millis(50), Lane::Interactive);
    let call = Call { operation: "Ask", class: Class::Write, budget };
    let stopped = |client: &Client| {
        std::thread::sleep(Duration::from_millis(100));
        client.post(bench.server.uri())
    };
    let sent = bench.transport.send(call, stopped, |_| Ok(())).await;
    assert_eq!(sent.map_err(|error| error.kind), Err(Kind::Deadline));
    assert_eq!(bench.ask(Class::Write).await.unwrap(), "fine");
    assert_eq!(bench.seen().await, 2);
}

#[tokio::test]
async fn the_calls_own_time_ends_it_when_the_request_has_more() {
    let bench = Bench::new(hang(), Settings { call_timeout: Duration::from_millis(50), ..settings() }).await;
    assert_eq!(bench.ask_within(Class::Read, HOUR).await, Err(Kind::Deadline));
}

#[tokio::test]
async fn a_dropped_call_frees_its_place() {
    let (send, mut arrived) = mpsc::unbounded_channel();
    let bench = Bench::new(Tell(send), Settings { concurrency: 1, ..settings() }).await;
    select! {
        _ = bench.ask(Class::Read) => panic!("it hangs"),
        _ = arrived.recv() => {}
    }
    bench.answer(ok()).await;
    assert_eq!(bench.ask(Class::Read).await.unwrap(), "fine");
}

#[tokio::test]
async fn an_outage_opens_the_breaker_for_its_class_alone() {
    let bench = Bench::new(ResponseTemplate::new(500), settings()).await;
    for _ in 0..5 {
        assert_eq!(bench.ask(Class::Write).await, Err(Kind::Status(500)));
    }
    let began = Instant::now();
    assert_eq!(bench.ask(Class::Write).await, Err(Kind::Open));
    assert!(began.elapsed() < Duration::from_millis(20));
    assert_eq!(bench.seen().await, 5);
    bench.answer(ok()).await;
    assert_eq!(bench.ask(Class::Read).await.unwrap(), "fine");
}

#[tokio::test]
async fn while_reads_find_a_system_away_a_write_is_refused_at_once() {
    let bench = Bench::new(hang(), settings()).await;
    let read = || bench.ask_within(Class::Read, Duration::from_secs(2));
    join_all((0..5).map(|_| read())).await;
    assert_eq!(read().await, Err(Kind::Open));
    let (seen, began) = (bench.seen().await, Instant::now());
    assert_eq!(bench.ask(Class::Write).await, Err(Kind::Open));
    assert!(began.elapsed() < Duration::from_millis(500));
    assert_eq!(bench.seen().await, seen);
}

#[tokio::test]
async fn what_the_client_calls_unavailable_opens_the_breaker_and_a_refusal_does_not() {
    let bench = Bench::new(ok(), settings()).await;
    let url = bench.server.uri();
    let call = Call { operation: "Ask", class: Class::Write, budget: Budget::new(HOUR, Lane::Interactive) };
    for (kind, last) in [
        (Kind::refused("920", "no such account"), None),
        (Kind::Unavailable { code: "500-5".to_owned() }, Some(Kind::Open)),
    ] {
        for _ in 0..5 {
            let outcome: Result<(), _> =
                bench.transport.send(call, |client| client.post(&url), |_| Err(kind.clone())).await;
            assert_eq!(outcome.unwrap_err().kind, kind);
        }
        assert_eq!(bench.ask(Class::Write).await.err(), last);
    }
}

#[tokio::test]
async fn one_probe_finds_out_that_the_system_is_back() {
    // Open for no time at all: every call after the opening is a probe.
    let breaker = BreakerSettings { open: Duration::ZERO, ..BreakerSettings::default() };
    let (send, mut arrived) = mpsc::unbounded_channel();
    let bench = Bench::new(ResponseTemplate::new(500), Settings { breaker, ..settings() }).await;
    for _ in 0..5 {
        assert_eq!(bench.ask(Class::Write).await, Err(Kind::Status(500)));
    }
    bench.answer(Tell(send)).await;
    {
        let probe = bench.ask(Class::Write);
        pin!(probe);
        select! {
            _ = &mut probe => panic!("it hangs"),
            _ = arrived.recv() => {}
        }
        assert_eq!(bench.ask(Class::Write).await, Err(Kind::Open), "the probe is out");
    }
    // Cancelled above, so the next call is the probe.
    bench.answer(ok()).await;
    assert_eq!(bench.ask(Class::Write).await.unwrap(), "fine");
    for outcome in join_all((0..10).map(|_| bench.ask(Class::Write))).await {
        assert_eq!(outcome.unwrap(), "fine");
    }
}

#[tokio::test]
async fn a_hanging_system_is_known_before_its_calls_time_out() {
    let breaker =
        BreakerSettings { slow: Duration::from_millis(50), open: HOUR, ..BreakerSettings::default() };
    let bench = Bench::new(hang(), Settings { breaker, concurrency: 5, ..settings() }).await;
    let hanging = join_all((0..5).map(|_| bench.ask_within(Class::Read, HOUR)));
    let mut queued = Box::pin(bench.ask_within(Class::Read, HOUR));
    let opened = async {
        assert_eq!(queued.as_mut().await, Err(Kind::Open), "those who queue are told at once");
        bench.ask_within(Class::Read, HOUR).now_or_never()
    };
    select! {
        biased;
        _ = hanging => panic!("it hangs"),
        outcome = opened => assert_eq!(outcome, Some(Err(Kind::Open))),
    }
}

#[tokio::test]
async fn an_outage_is_met_with_few_repeats() {
    // Without a breaker, so that only the budget holds.
    let breaker = BreakerSettings { consecutive: u32::MAX, calls: u32::MAX, ..BreakerSettings::default() };
    let retry = RetrySettings { reserve: 0, ..settings().retry };
    let bench = Bench::new(ResponseTemplate::new(500), Settings { breaker, retry, ..settings() }).await;
    join_all((0..200).map(|_| bench.ask(Class::Read))).await;
    let seen = bench.seen().await;
    assert!(seen > 200 && seen <= 220, "{seen}");
}

#[test]
fn each_call_is_counted_once() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = Bench::new(Turns(vec![500, 404], AtomicU32::new(0)), settings()).await;
            assert_eq!(bench.ask(Class::Read).await, Err(Kind::Status(404)));
            assert_eq!(bench.ask(Class::Read).await.unwrap(), "fine");
        });
    });
    let text = handle.render();
    for line in [
        r#"upstream_calls_total{service="test",operation="Ask",outcome="status"} 1"#,
        r#"upstream_calls_total{service="test",operation="Ask",outcome="ok"} 1"#,
        r#"upstream_call_seconds_count{service="test",operation="Ask"} 2"#,
    ] {
        assert!(text.contains(line), "{text}");
    }
}
