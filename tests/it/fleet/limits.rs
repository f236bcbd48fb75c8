//! Limits on guesses hold over all replicas, and go on to hold when Redis dies in the middle (requirement A4).

use portal_gateway::sandbox::credentials;
use serde_json::{Value, json};

use super::{Fleet, Wishes};

const SIGN_IN: &str = "mutation($input: SessionCreateInput!) {
    sessionCreate(input: $input) { session { accessToken } challenge { id } userErrors { code } } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_are_counted_over_replicas_and_go_on_to_be_when_redis_dies() {
    let env = [("AUTH_FAILURE_FLOOR", "0ms".to_owned())].into();
    let fleet = Fleet::with(Wishes { replicas: 2, env, ..Wishes::default() }).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let email = fleet.sandbox.core().world.customer(1).email.clone();
    let guess = async |replica: usize, password: &str, device: Option<&str>| -> Value {
        let url = format!("http://{}/graphql", fleet.replicas[replica].address);
        let input = json!({ "email": email, "password": password, "deviceToken": device });
        let body = json!({ "query": SIGN_IN, "variables": { "input": input } });
        http.post(url).json(&body).send().await.unwrap().json().await.unwrap()
    };
    let is_limited = |answer: &Value| answer["errors"][0]["extensions"]["code"] == "RATE_LIMITED";
    for n in 0..5 {
        let answer = guess(n % 2, "wrong horse battery", None).await;
        let code = &answer["data"]["sessionCreate"]["userErrors"][0]["code"];
        assert_eq!(code, "AUTH_INVALID_CREDENTIALS", "{answer}");
    }
    for replica in 0..2 {
        let answer = guess(replica, "wrong horse battery", None).await;
        assert!(is_limited(&answer), "replica {replica}: {answer}");
    }
    // From here on each goes by what it was told last. Guesses wait longer and longer all the same.
    fleet.redis.lock().await.kill().await;
    let (mut tried, mut held) = (0, 0);
    for n in 0..60 {
        match is_limited(&guess(n % 2, "wrong horse battery", None).await) {
            true => held += 1,
            false => tried += 1,
        }
    }
    assert!(tried <= 12 && held >= 48, "{tried} of 60 guesses were tried while Redis was away");
    let owner = guess(0, credentials::DEMO_PASSWORD, Some(credentials::DEMO_DEVICE)).await;
    assert!(owner["data"]["sessionCreate"]["session"]["accessToken"].is_string(), "{owner}");
}
