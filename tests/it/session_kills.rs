//! A process that is killed between the commit of a refresh and its answer: the browser that asks again stays signed in
//! (requirement A7).

use std::{collections::HashMap, net::TcpListener, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use portal_gateway::{
    app::App,
    clock::Clock,
    config::Config,
    demo,
    sandbox::{Listen, Options, Sandbox},
    secret::ExposeSecret,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{gateway::database, process::Running};

const PATIENCE: Duration = Duration::from_secs(120);
const REFRESH: &str = "mutation($token: String!) { sessionRefresh(input: { refreshToken: $token }) {
    session { accessToken refreshToken } userErrors { code } } }";

async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("it happens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_lost_the_answer_to_a_refresh_with_the_process_stays_signed_in() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = Options { customers: 2, delay: false, listen: Listen::loopback(0), ..Options::default() };
    let sandbox = Sandbox::start(options).await.unwrap();
    let (store, data) = (database().await, tempfile::tempdir().unwrap());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let mut env: HashMap<&'static str, String> = demo::settings(&sandbox);
    env.extend([
        ("DATABASE_URL", store.settings().url.expose_secret().to_owned()),
        ("DATA_DIR", data.path().display().to_string()),
        ("BFF_PORT", port.to_string()),
        ("SF_EVENTS_ENABLED", "false".to_owned()),
    ]);
    let config = Config::from_env(|name| env.get(name).cloned()).unwrap();
    let app = App::build(&config, Clock::system()).await.unwrap();
    demo::register(&app.identity, &sandbox.core().world, 1).await.unwrap();
    let grant = app.identity.enter(&sandbox.core().world.customer(1).email).await.unwrap();
    let token = grant.refresh_token.expose_secret().to_owned();
    let hash = Sha256::digest(BASE64_URL_SAFE_NO_PAD.decode(&token).unwrap());

    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
    let refresh = async |token: &str| -> Option<Value> {
        let question = json!({ "query": REFRESH, "variables": { "token": token } });
        let answer = http.post(format!("{url}/graphql")).json(&question).send().await.ok()?;
        answer.json::<Value>().await.ok()
    };
    let first = Running::start(&["serve"], &env);
    until(async || http.get(format!("{url}/health")).send().await.ok()).await;
    // The answer is never read: what was committed is all that is left of it.
    let body = json!({ "query": REFRESH, "variables": { "token": token } }).to_string();
    let mut wire = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!(
        "POST /graphql HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    wire.write_all(request.as_bytes()).await.unwrap();
    until(async || {
        let mut tx = store.begin().await.unwrap();
        tx.refresh_token(&hash).await.unwrap().unwrap().used_at
    })
    .await;
    first.kill().await;
    drop(wire);

    let second = Running::start(&["serve"], &env);
    let again = until(async || refresh(&token).await).await;
    let next = again["data"]["sessionRefresh"]["session"]["refreshToken"].clone();
    assert!(next.is_string(), "asked again within ten seconds: {again}");
    // It is the one successor, and it goes on from there.
    let mut tx = store.begin().await.unwrap();
    let successor = Sha256::digest(BASE64_URL_SAFE_NO_PAD.decode(next.as_str().unwrap()).unwrap());
    let leaf = tx.refresh_token(&successor).await.unwrap().unwrap();
    assert_eq!((leaf.parent_hash.as_deref(), leaf.used_at), (Some(&hash[..]), None));
    drop(tx);
    let on = refresh(next.as_str().unwrap()).await.unwrap();
    assert!(on["data"]["sessionRefresh"]["session"]["accessToken"].is_string(), "{on}");
    second.kill().await;
}
