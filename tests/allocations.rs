//! An answer that is kept is sent again without an allocation that grows with it.
//!
//! A binary of its own, since it counts what every thread of its process allocates.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, reason = "it says what it found")]

use std::{
    alloc::System,
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use metrics_exporter_prometheus::PrometheusBuilder;
use portal_gateway::{
    app::App,
    clock::Clock,
    config::{Config, LogFormat},
    demo,
    http::{self, gateway},
    log,
    sandbox::{self, Listen, Sandbox},
    schema,
    secret::ExposeSecret,
};
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::{net::TcpListener, runtime::Builder};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Two questions of nearly one length, whose answers differ much.
const SMALL: &str = "{ viewer { invoices(first: 1) { nodes { id } } } }";
const LARGE: &str =
    "{ viewer { invoices(first: 9) { nodes { ...I a: total { ...M } b: tax { ...M } c: credit { ...M }
    d: amountDue { ...M } } } } } fragment I on Invoice { id number status issuedOn dueOn paidAt }
    fragment M on Money { amount currency }";

/// How often each is asked in one measurement.
const TIMES: usize = 200;

#[test]
fn a_kept_answer_is_sent_without_an_allocation_that_grows_with_it() {
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let data = tempfile::tempdir().unwrap();
    PrometheusBuilder::new().install_recorder().unwrap();
    let file = fs::File::create(data.path().join("log")).unwrap();
    let _log = log::start("info", LogFormat::Json, false, file).unwrap();
    let sandbox = runtime.block_on(Sandbox::start(sandbox::Options {
        customers: 1,
        delay: false,
        listen: Listen::loopback(0),
        ..sandbox::Options::default()
    }));
    let sandbox = sandbox.unwrap();
    let (mut connection, token) = runtime.block_on(serve(&sandbox, data.path()));

    let [small, large] = [SMALL, LARGE].map(|query| {
        let request = request(&token, query);
        let mut buffer = vec![0; 1 << 20];
        // The first is executed and kept; the lists of the second are in place.
        for _ in 0..3 {
            ask(&mut connection, &request, &mut buffer);
        }
        // The ages are written once a second, so one measurement of three may meet a new second.
        let spent = (0..3).map(|_| {
            let region = Region::new(ALLOCATOR);
            let mut length = 0;
            for _ in 0..TIMES {
                length = ask(&mut connection, &request, &mut buffer);
            }
            (region.change().bytes_allocated / TIMES, length)
        });
        spent.min().unwrap()
    });
    println!(
        "{} bytes allocated for an answer of {} bytes, {} for one of {}",
        small.0, small.1, large.0, large.1
    );
    assert!(large.1 > 3 * small.1, "the second answer is the larger one: {} and {}", small.1, large.1);
    // The questions themselves differ by some bytes, and the buffers of a connection grow in steps.
    let more = large.0.saturating_sub(small.0);
    assert!(more * 8 < large.1 - small.1, "{more} bytes more for the larger answer");
    runtime.shutdown_background();
}

/// A gateway with every layer on. Gives a connection to it and the token of its only customer.
async fn serve(sandbox: &Sandbox, data: &std::path::Path) -> (TcpStream, String) {
    let mut settings = demo::settings(sandbox);
    settings.insert("DATABASE_URL", format!("sqlite:{}", data.join("portal.db").display()));
    settings.insert("DATA_DIR", data.display().to_string());
    settings.extend(["CACHE_INVOICES", "CACHE_INVOICE"].map(|name| (name, "1h".to_owned())));
    let config = Config::from_env(|name| settings.get(name).cloned()).unwrap();
    let app = App::build(&config, Clock::system()).await.unwrap();
    let world = &sandbox.core().world;
    demo::register(&app.identity, world, 1).await.unwrap();
    let grant = app.identity.enter(&world.customer(1).email).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stopping = CancellationToken::new();
    let state = gateway::state(&config, &app, schema::build(app.clone()), stopping.clone());
    let door = http::Door::new(Arc::new(state));
    tokio::spawn(http::serve(listener, door, stopping, http::Timeouts::default()));
    (TcpStream::connect(address).unwrap(), grant.access_token.expose_secret().to_owned())
}

fn request(token: &str, query: &str) -> Vec<u8> {
    let body = json!({ "query": query }).to_string();
    format!(
        "POST /graphql HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n\
         authorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Asks, and gives the length of the answer with its head. Allocates nothing.
fn ask(connection: &mut TcpStream, request: &[u8], buffer: &mut [u8]) -> usize {
    connection.write_all(request).unwrap();
    let mut length = 0;
    // Every answer ends with the id of its request.
    while !buffer[..length].ends_with(b"\"}}") {
        let read = connection.read(&mut buffer[length..]).unwrap();
        assert!(read > 0, "closed: {}", String::from_utf8_lossy(&buffer[..length]));
        length += read;
    }
    assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..length]));
    length
}
