//! A process that is killed between the commit of a refresh and its answer: the browser that asks again stays signed in
//! (requirement A7).

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use portal_gateway::secret::ExposeSecret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::stage::{Door, Stage, until};

const REFRESH: &str = "mutation($token: String!) { sessionRefresh(input: { refreshToken: $token }) {
    session { accessToken refreshToken } userErrors { code } } }";

fn hash(token: &str) -> impl AsRef<[u8]> {
    Sha256::digest(BASE64_URL_SAFE_NO_PAD.decode(token).unwrap())
}

async fn refresh(door: &Door, token: &str) -> Option<Value> {
    door.try_ask(None, REFRESH, "", &json!({ "token": token })).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_lost_the_answer_to_a_refresh_with_the_process_stays_signed_in() {
    let stage = Stage::new().await;
    let person = stage.sign_in(&stage.app().await).await;
    let token = person.grant.refresh_token.expose_secret();
    let first = stage.serve();
    first.ready().await;
    // The answer is never read: what was committed is all that is left of it.
    let body = json!({ "query": REFRESH, "variables": { "token": token } }).to_string();
    let address = first.url.trim_start_matches("http://").to_owned();
    let mut wire = TcpStream::connect(&address).await.unwrap();
    let request = format!(
        "POST /graphql HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    wire.write_all(request.as_bytes()).await.unwrap();
    until("the refresh is committed", async || {
        let mut tx = stage.store.begin().await.unwrap();
        tx.refresh_token(hash(token).as_ref()).await.unwrap().unwrap().used_at
    })
    .await;
    first.kill().await;
    drop(wire);

    let second = stage.serve();
    let again = until("it answers", async || refresh(&second, token).await).await;
    let next = again["data"]["sessionRefresh"]["session"]["refreshToken"].clone();
    assert!(next.is_string(), "asked again within ten seconds: {again}");
    // It is the one successor, and it goes on from there.
    let mut tx = stage.store.begin().await.unwrap();
    let leaf = tx.refresh_token(hash(next.as_str().unwrap()).as_ref()).await.unwrap().unwrap();
    assert_eq!((leaf.parent_hash.as_deref(), leaf.used_at), (Some(hash(token).as_ref()), None));
    drop(tx);
    let on = refresh(&second, next.as_str().unwrap()).await.unwrap();
    assert!(on["data"]["sessionRefresh"]["session"]["accessToken"].is_string(), "{on}");
    second.kill().await;
}
