//! The keys of access tokens: published, and replaced by command.

use std::collections::HashMap;

use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use portal_gateway::{identity, secret::ExposeSecret};
use serde_json::{Value, json};

use crate::{
    commands::{sandbox, settings},
    gateway::{Customer, Gateway, database},
    process::run,
};

const JWKS: &str = "/.well-known/jwks.json";
const WHO: &str = "{ viewer { id } }";

/// Verifies a token as another service would, which has nothing but the published keys.
fn verify(set: &JwkSet, token: &str) -> Value {
    let kid = decode_header(token).unwrap().kid.unwrap();
    let key = DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["portal"]);
    // The clock of the test is not that of the library.
    validation.validate_exp = false;
    decode::<Value>(token, &key, &validation).unwrap().claims
}

#[tokio::test]
async fn others_verify_tokens_by_the_published_keys() {
    let gateway = Gateway::start().await;
    let token = gateway.sign_in(1).await.token.unwrap();
    let response = gateway.request("GET", JWKS).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], "application/jwk-set+json");
    assert_eq!(headers["cache-control"], "public, max-age=300");
    assert_eq!(headers["access-control-allow-origin"], "*");
    let text = response.text().await.unwrap();
    assert!(!text.contains("\"d\""), "no private part: {text}");
    let set: JwkSet = serde_json::from_str(&text).unwrap();
    assert_eq!((set.keys.len(), verify(&set, &token)["aud"].as_str()), (1, Some("portal")));

    let known = gateway.request("GET", JWKS).header("if-none-match", &headers["etag"]);
    let known = known.send().await.unwrap();
    assert_eq!(known.status(), 304);
    assert_eq!(known.headers()["etag"], headers["etag"]);
    assert_eq!(known.headers()["cache-control"], "public, max-age=300");
    assert!(known.bytes().await.unwrap().is_empty());
    let refused = gateway.request("POST", JWKS).send().await.unwrap();
    assert_eq!(refused.status(), 405);

    // A new key without notice: the old token stays good, a new one is signed by the new key, and the tag is another.
    let store = &gateway.app.store;
    let (kid, _) =
        identity::rotate_signing_key(store, gateway.app.clock.now(), TimeDelta::zero()).await.unwrap();
    gateway.app.identity.open_keys().await.unwrap();
    let new = gateway.sign_in(1).await.token.unwrap();
    assert_eq!(decode_header(&new).unwrap().kid.unwrap(), kid);
    for token in [&token, &new] {
        let answer = Customer::with(&gateway, token.clone()).ask(WHO, json!({})).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.data()["viewer"]["id"].is_null());
    }
    let changed =
        gateway.request("GET", JWKS).header("if-none-match", &headers["etag"]).send().await.unwrap();
    assert_eq!(changed.status(), 200);
    let set: JwkSet = changed.json().await.unwrap();
    assert_eq!(set.keys.len(), 2);
    verify(&set, &token);
    verify(&set, &new);
}

#[tokio::test]
async fn commands_replace_keys_and_list_them() {
    let (sandbox, folder, store) = (sandbox().await, tempfile::tempdir().unwrap(), database().await);
    let mut env: HashMap<_, _> = settings(&sandbox, &folder);
    env.insert("DATABASE_URL", store.settings().url.expose_secret().to_owned());
    env.insert("DATA_KEYS", format!("1:{}=", "A".repeat(43)));
    let listed = run(&["keys", "list"], &env).await;
    assert_eq!((listed.code, listed.out.as_str()), (Some(0), ""), "{listed:?}");
    for (options, code) in [(&["--lead", "0"][..], 0), (&[][..], 0), (&[][..], 1)] {
        let ended = run(&[&["keys", "rotate", "signing"][..], options].concat(), &env).await;
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert_eq!(ended.err.contains("Z on: wait until it does"), code == 1, "{ended:?}");
        assert!(!ended.err.contains('.'), "whole seconds: {ended:?}");
    }
    let listed = run(&["keys", "list"], &env).await;
    let states: Vec<_> = listed.out.lines().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(states, ["active", "next"], "{listed:?}");

    let pem = folder.path().join("key.pem");
    std::fs::write(&pem, PEM).unwrap();
    env.insert("AUTH_SIGNING_KEY_PATH", pem.display().to_string());
    let refused = run(&["keys", "rotate", "signing"], &env).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("AUTH_SIGNING_KEY_PATH"), "{refused:?}");

    env.remove("AUTH_SIGNING_KEY_PATH");
    let (old, new) = (env["DATA_KEYS"].clone(), format!("2:{}=", "C".repeat(42) + "A"));
    env.insert("DATA_KEYS", format!("{new},{old}"));
    let ended = run(&["keys", "rotate", "data"], &env).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // Two keys for access tokens, and those of the store itself.
    assert!(ended.out.contains("4 values were sealed anew."), "{ended:?}");
    assert!(ended.out.contains("can be taken out of DATA_KEYS: 1."), "{ended:?}");
    assert!(ended.err.contains("4 of 4 values"), "it says how far it is: {ended:?}");
    env.insert("DATA_KEYS", new.clone());
    assert_eq!(run(&["keys", "list"], &env).await.out, listed.out, "all opens with the new key alone");
    env.insert("DATA_KEYS", old);
    let missing = run(&["serve"], &env).await;
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.err.contains("the database was written with the data key 2"), "{missing:?}");

    env.insert("DATA_KEYS", format!("2:{}=", "B".repeat(42) + "A"));
    let wrong = run(&["serve"], &env).await;
    assert_eq!(wrong.code, Some(1), "another key of the number: {wrong:?}");
    assert!(wrong.err.contains("the database was written with the data key 2"), "{wrong:?}");
}

#[tokio::test]
async fn a_command_without_the_key_of_its_database_writes_nothing_and_says_what_to_set() {
    let (sandbox, folder, store) = (sandbox().await, tempfile::tempdir().unwrap(), database().await);
    let mut env: HashMap<_, _> = settings(&sandbox, &folder);
    env.insert("DATABASE_URL", store.settings().url.expose_secret().to_owned());
    let commands =
        [&["partner", "list"][..], &["migrate"], &["account", "reset-factors", "--email", "a@b.jp"]];
    let other = format!("1:{}=", "C".repeat(42) + "A");
    for (keys, why) in
        [("", "is not configured"), (other.as_str(), "is not the configured one of that number")]
    {
        env.insert("DATA_KEYS", keys.to_owned());
        for command in commands.into_iter().chain([&["serve"][..], &["check"]]) {
            let ended = run(command, &env).await;
            assert_eq!(ended.code, Some(1), "{ended:?}");
            let told = format!("{}{}", ended.out, ended.err);
            let fault = format!(
                "the database was written with the data key 1, which {why}: set DATA_KEYS to the keys"
            );
            assert!(told.contains(&fault), "{ended:?}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{command:?}");
        }
    }

    // Where nothing was written yet a key is made, and found again.
    env.insert("DATA_KEYS", String::new());
    env.insert("DATABASE_URL", format!("sqlite:{}", folder.path().join("new.db").display()));
    for _ in 0..2 {
        let ended = run(&["partner", "list"], &env).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(folder.path().join("data/data-key").exists());
    }
}

/// Made for this test (RFC 8410, section 10.3).
const PEM: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
