//! `dev`, as a newcomer runs it: started again, and with other commands beside it.

use std::{fs, os::unix::fs::PermissionsExt};

use portal_gateway::sandbox::credentials::{DEMO_DEVICE, DEMO_PASSWORD};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    commands::{Env, dev_on_free_ports},
    process::{Ended, Running, run},
    sessions::SIGN_IN,
};

/// What follows a name in the greeting, up to its explanation.
fn told<'a>(greeting: &'a str, name: &str) -> &'a str {
    let line = greeting.lines().find_map(|line| line.trim_start().strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name}: {greeting}")).trim().split("    ").next().unwrap()
}

/// The address of the last demo customer; the first is the same whatever the seed.
fn last_customer(greeting: &str) -> String {
    greeting.split_whitespace().rfind(|word| word.ends_with("@example.jp")).unwrap().to_owned()
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

async fn sign_in(greeting: &str, email: &str) -> Value {
    let input = json!({ "email": email, "password": DEMO_PASSWORD, "deviceToken": DEMO_DEVICE });
    let body = json!({ "query": SIGN_IN, "variables": { "input": input } });
    let answer = client().post(told(greeting, "API")).json(&body).send().await.unwrap();
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    answer["data"]["sessionCreate"].clone()
}

/// Runs a line in a shell that knows nothing.
async fn shell(line: &str) -> Ended {
    let output = Command::new("/bin/sh").args(["-c", line]).env_clear().output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[tokio::test]
async fn a_dev_that_is_started_again_mixes_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("dev").display().to_string();
    let mut known: Vec<String> = Vec::new();
    for seed in ["1", "2", "2"] {
        let arguments = [dev_on_free_ports(&data), vec!["--seed", seed]].concat();
        let mut dev = Running::start(&arguments, &Env::new());
        let greeting = dev.lines_until("Ctrl-C").await;
        assert_eq!(greeting.contains("The sandbox begins anew"), !known.is_empty(), "{greeting}");
        let email = last_customer(&greeting);
        let entered = sign_in(&greeting, &email).await;
        assert!(entered["session"]["accessToken"].is_string(), "{entered}");
        for earlier in known.iter().filter(|earlier| *earlier != &email) {
            let refused = sign_in(&greeting, earlier).await;
            assert_eq!(refused["userErrors"][0]["code"], "AUTH_INVALID_CREDENTIALS", "{earlier}: {refused}");
        }
        let partners = told(&greeting, "Commands");
        assert_eq!(shell(partners).await.out, "", "those of an earlier run are gone");
        let create = partners.replace("partner list", "partner create --name Books");
        assert_eq!(shell(&create).await.code, Some(0));
        known.push(email);
        assert_eq!(dev.stop().await.code, Some(0));
    }
    assert_ne!(known[0], known[1], "the seeds draw different people");
}

#[tokio::test]
async fn commands_run_against_dev_by_the_line_that_it_prints() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("a newcomer's").display().to_string();
    let mut dev = Running::start(&dev_on_free_ports(&data), &Env::new());
    let greeting = dev.lines_until("Ctrl-C").await;
    let line = told(&greeting, "Commands");
    assert!(line.ends_with(" partner list)"), "{line}");
    let command = |text: &str| line.replace("partner list", text);

    let created = shell(&command("partner create --name Books --scopes billing:read")).await;
    let word = |name: &str| {
        let line = created.out.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name}: {created:?}")).trim()
    };
    let (id, secret) = (word("client_id"), word("client_secret"));
    let listed = shell(line).await;
    assert!(listed.code == Some(0) && listed.out.contains(id), "{listed:?}");
    let token = told(&greeting, "API").replace("/graphql", "/oauth/token");
    let form = [("grant_type", "client_credentials")];
    let answer = client().post(token).basic_auth(id, Some(secret)).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 200, "the running gateway knows it");
    for text in ["health", "check", "keys list", "audit verify", "jobs list"] {
        let ended = shell(&command(text)).await;
        assert_eq!(ended.code, Some(0), "{text}: {ended:?}");
    }

    let mode = fs::metadata(folder.path().join("a newcomer's/dev.env")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    let second = run(&dev_on_free_ports(&data), &Env::new()).await;
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.err.contains("is used by another `dev`: choose another --data-dir"), "{second:?}");
    assert!(shell(line).await.out.contains(id), "the second took nothing away");
    assert_eq!(dev.stop().await.code, Some(0));
    assert!(!folder.path().join("a newcomer's/dev.env").exists(), "what it names is gone");
}
