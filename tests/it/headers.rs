//! What every answer says of itself, whatever was asked and however it went (requirement P4).

use std::{collections::HashMap, fs, path::Path};

use portal_gateway::sandbox::credentials::{DEMO_DEVICE, DEMO_PASSWORD};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{commands::dev_on_free_ports, process::Running, sessions::SIGN_IN};

/// Every route, and some that are none.
const PATHS: [&str; 17] = [
    "/graphql",
    "/graphiql",
    "/graphiql/",
    "/graphiql/examples.json",
    "/graphiql/session.json",
    "/graphiql/assets/{name}",
    "/health/live",
    "/health/ready",
    "/health/sf-events",
    "/health/cache",
    "/metrics",
    "/.well-known/jwks.json",
    "/webhooks/whmcs",
    "/oauth/token",
    "/exports/{id}",
    "/nothing/here",
    "/",
];
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"];
const PERSONAL: &str = "{viewer{profile{email}}}";

/// The routes that the source declares.
fn declared() -> Vec<String> {
    let (mut folders, mut found) = (vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http")], Vec::new());
    while let Some(path) = folders.pop() {
        if path.is_dir() {
            folders.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let is_source = path.extension().is_some_and(|end| end == "rs");
        if !is_source || path.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        let text: String = fs::read_to_string(&path).unwrap().split_whitespace().collect();
        for route in text.split(".route(").skip(1) {
            let end = route.find(',').unwrap();
            found.push(match &route[..end] {
                "jwks::PATH" => "/.well-known/jwks.json".to_owned(),
                text => text.trim_matches('"').to_owned(),
            });
        }
    }
    found
}

/// What is wrong with an answer.
fn wrong(headers: &HeaderMap, text: &str, is_public: bool) -> Option<String> {
    let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
    let control = header("cache-control");
    let is_personal = text.contains("@example.jp") || headers.contains_key("set-cookie");
    if !control.contains("no-store") && (is_personal || !is_public) {
        return Some(format!("cache-control: {control:?}"));
    }
    if header("x-content-type-options") != "nosniff" {
        return Some("it may be taken for another type".to_owned());
    }
    if !header("strict-transport-security").starts_with("max-age=31536000") {
        return Some("no HSTS".to_owned());
    }
    if header("x-request-id").len() < 8 {
        return Some("no id".to_owned());
    }
    for banner in ["server", "x-powered-by", "via", "x-aspnet-version"] {
        if let Some(value) = headers.get(banner) {
            return Some(format!("{banner}: {value:?}"));
        }
    }
    let has_version = |text: &str| {
        let text = text.to_lowercase();
        ["hyper/", "axum/", "portal-gateway/", concat!("portal-gateway ", env!("CARGO_PKG_VERSION"))]
            .iter()
            .any(|banner| text.contains(banner))
    };
    let told = headers.values().filter_map(|value| value.to_str().ok()).find(|value| has_version(value));
    told.map(str::to_owned).or_else(|| has_version(text).then(|| text.to_owned()))
}

#[tokio::test]
async fn every_route_and_every_failure_has_the_safe_headers() {
    for route in declared() {
        assert!(PATHS.contains(&&*route), "{route} is not in the table");
    }
    assert!(declared().len() >= 12);

    let _ = rustls::crypto::ring::default_provider().install_default();
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().display().to_string();
    let mut process = Running::start(&dev_on_free_ports(&folder), &HashMap::<_, String>::new());
    let told = process.lines_until("  API  ").await;
    let url = told
        .lines()
        .last()
        .unwrap()
        .split_whitespace()
        .last()
        .unwrap()
        .strip_suffix("/graphql")
        .unwrap()
        .to_owned();
    process.lines_until("The log follows").await;
    let http = reqwest::Client::builder()
        .pool_max_idle_per_host(0)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let demo: Value =
        http.get(format!("{url}/graphiql/session.json")).send().await.unwrap().json().await.unwrap();
    let email = demo["customers"][0]["email"].as_str().unwrap();
    let sign_in = async |delivery: &str| {
        let input = json!({ "email": email, "password": DEMO_PASSWORD, "deviceToken": DEMO_DEVICE, "delivery": delivery });
        let question = json!({ "query": SIGN_IN, "variables": { "input": input } });
        let request = http.post(format!("{url}/graphql")).json(&question);
        request.header("origin", &url).header("x-portal-csrf", "1").send().await.unwrap()
    };
    let entered = sign_in("TOKENS").await;
    assert_eq!(wrong(entered.headers(), "", false), None);
    let entered: Value = entered.json().await.unwrap();
    let token = entered["data"]["sessionCreate"]["session"]["accessToken"].as_str().unwrap();
    let with_cookies = sign_in("COOKIES").await;
    assert!(with_cookies.headers().contains_key("set-cookie"));
    assert_eq!(wrong(with_cookies.headers(), "", false), None);

    let bearer = format!("Bearer {token}");
    let query = "/graphql?query=%7Bviewer%7Bprofile%7Bemail%7D%7D%7D";
    let callers: [&[(&str, &str)]; 5] = [
        &[],
        &[("authorization", &bearer)],
        &[("authorization", "Bearer x")],
        &[("cookie", "__Host-access=x")],
        &[("accept", "text/html"), ("authorization", &bearer)],
    ];
    let json_body = json!({ "query": PERSONAL }).to_string();
    let large = format!("/graphql?query={}", "x".repeat(20_000));
    let mut seen = HashMap::<u16, u32>::new();
    let mut personal = 0;
    for path in PATHS.iter().copied().chain([query, &*large]) {
        for method in METHODS {
            for caller in callers {
                for (media, body) in [
                    (None, String::new()),
                    (Some("application/json"), json_body.clone()),
                    (Some("application/json"), "{".to_owned()),
                    (Some("text/plain"), json_body.clone()),
                    (Some("application/json"), " ".repeat(128 * 1024 + 1)),
                ] {
                    if matches!(method, "GET" | "HEAD" | "OPTIONS") && media.is_some() {
                        continue;
                    }
                    // Elsewhere the connection may end before all of it is sent.
                    if body.len() > 1_000 && (path, method, caller.len()) != ("/graphql", "POST", 0) {
                        continue;
                    }
                    let mut request = http.request(method.parse().unwrap(), format!("{url}{path}"));
                    for (name, value) in caller {
                        request = request.header(*name, *value);
                    }
                    if let Some(media) = media {
                        request = request.header("content-type", media);
                    }
                    let response = request.body(body).send().await.unwrap();
                    let (status, headers) = (response.status().as_u16(), response.headers().clone());
                    let text = response.text().await.unwrap();
                    *seen.entry(status).or_default() += 1;
                    personal += u32::from(text.contains(email) && path.starts_with("/graphql"));
                    // Only these may be kept, and only when they are what was asked for.
                    let may_be_kept =
                        status < 400 && (path.starts_with("/graphiql/") || path.starts_with("/.well-known"));
                    let is_anonymous_question = status == 200 && path == query && caller != callers[1];
                    let is_demo = path == "/graphiql/session.json";
                    let fault = wrong(&headers, &text, (may_be_kept && !is_demo) || is_anonymous_question);
                    assert_eq!(
                        fault, None,
                        "{method} {path} {caller:?} {media:?}: {status} {headers:?} {text}"
                    );
                }
            }
        }
    }
    assert!(personal >= 2, "personal data was among it");
    for status in [200, 204, 308, 400, 401, 403, 404, 405, 406, 413, 415] {
        assert!(seen.contains_key(&status), "no answer was {status}: {seen:?}");
    }

    // Before there is a request: no headers of ours, and nothing that tells of us either.
    let address = url.strip_prefix("http://").unwrap().replace("localhost", "127.0.0.1");
    for raw in [
        "BREW /\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        &format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(1 << 20)),
    ] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let _ = stream.write_all(raw.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(!answer.contains("server:") && !answer.contains("hyper") && answer.len() < 256, "{answer}");
    }
    process.kill().await;
}

#[test]
fn a_planted_fault_is_found() {
    let good = [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains"),
        ("x-request-id", "0123456789"),
    ];
    let headers = |changed: &[(&'static str, &'static str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in good.iter().chain(changed) {
            headers.insert(*name, value.parse().unwrap());
        }
        headers
    };
    assert_eq!(wrong(&headers(&[]), "", false), None);
    assert_eq!(wrong(&headers(&[("cache-control", "no-cache")]), "", true), None);
    for (changed, text) in [
        (("cache-control", "no-cache"), "taro@example.jp"),
        (("x-content-type-options", ""), ""),
        (("strict-transport-security", "max-age=0"), ""),
        (("x-request-id", ""), ""),
        (("server", "x"), ""),
        (("x-engine", "hyper/1.0"), ""),
    ] {
        assert!(wrong(&headers(&[changed]), text, true).is_some(), "{changed:?}");
    }
}
