//! What Prometheus is told of the cache, of changes and of the systems, by the running program.

use std::{collections::HashMap, fs, time::Duration};

use portal_gateway::sandbox::credentials::{DEMO_DEVICE, DEMO_PASSWORD, WHMCS_IDENTIFIER, WHMCS_SECRET};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    commands::dev_on_free_ports, fleet::redis::Redis, process::Running, sessions::SIGN_IN, stage::free_port,
};

/// One line of the exposition: its name with the labels, and its value.
struct Exposed(String);

impl Exposed {
    /// The sum of all lines with a name whose labels contain these.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let is_it = |line: &&str| {
            line.split(['{', ' ']).next() == Some(name)
                && labels.iter().all(|(label, value)| line.contains(&format!("{label}=\"{value}\"")))
        };
        let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        self.0.lines().filter(is_it).map(value).sum()
    }
}

/// A program under way, with the sandbox in it.
struct Dev {
    process: Running,
    greeting: String,
    http: reqwest::Client,
}

impl Dev {
    async fn start(data: &str, redis: &Redis) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let env = HashMap::from([("REDIS_URL", format!("redis://{}", redis.address()))]);
        let mut process = Running::start(&dev_on_free_ports(data), &env);
        let greeting = process.lines_until("Ctrl-C").await;
        Self { process, greeting, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// Another replica beside it, by the settings that it leaves for a shell.
    async fn beside(&self, data: &str, redis: &Redis) -> Self {
        let settings = fs::read_to_string(format!("{data}/dev.env")).unwrap();
        let settings = settings.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        let mut env: HashMap<&'static str, String> = settings
            .map(|(name, value)| (&*name.to_owned().leak(), value.trim_matches('\'').to_owned()))
            .collect();
        let port = free_port();
        env.insert("REDIS_URL", format!("redis://{}", redis.address()));
        env.insert("BFF_PORT", port.to_string());
        let url = format!("http://127.0.0.1:{port}");
        let greeting = format!("API {url}/graphql\nHealth {url}/health/ready\nMetrics {url}/metrics");
        let replica = Self { process: Running::start(&["serve"], &env), greeting, http: self.http.clone() };
        let is_there = async |replica: &Self| replica.http.get(replica.link("Health")).send().await.is_ok();
        replica.until("the other replica", is_there).await;
        replica.until_shared().await;
        replica
    }

    fn link(&self, name: &str) -> String {
        let line = self.greeting.lines().find_map(|line| line.trim_start().strip_prefix(name));
        let line = line.unwrap_or_else(|| panic!("{name}: {}", self.greeting));
        line.split_whitespace()
            .find(|word| word.starts_with("http://"))
            .unwrap()
            .trim_end_matches('/')
            .to_owned()
    }

    async fn post(&self, url: String, body: Value, bearer: &str) -> Value {
        let request = self.http.post(url).json(&body);
        let request = if bearer.is_empty() { request } else { request.bearer_auth(bearer) };
        let text = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    async fn ask(&self, query: &str, token: &str) -> Value {
        let answer = self.post(self.link("API"), json!({ "query": query }), token).await;
        assert!(answer["errors"].is_null(), "{answer}");
        answer
    }

    async fn sign_in(&self) -> String {
        let email = self.greeting.split_whitespace().find(|word| word.contains('@')).unwrap();
        let input = json!({ "email": email, "password": DEMO_PASSWORD, "deviceToken": DEMO_DEVICE });
        let body = json!({ "query": SIGN_IN, "variables": { "input": input } });
        let answer = self.post(self.link("API"), body, "").await;
        let token = answer["data"]["sessionCreate"]["session"]["accessToken"].as_str();
        token.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    async fn scrape(&self) -> Exposed {
        Exposed(self.http.get(self.link("Metrics")).send().await.unwrap().text().await.unwrap())
    }

    /// Waits until Redis is connected, or something else is so.
    async fn until(&self, what: &str, is_so: impl AsyncFn(&Self) -> bool) {
        let waited = async {
            while !is_so(self).await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(30), waited).await.unwrap_or_else(|_| panic!("{what}: not in time"));
    }

    async fn until_shared(&self) {
        let health = format!("{}/cache", self.link("Health").trim_end_matches("/ready"));
        self.until("Redis", async |dev| {
            let told: Value = dev.http.get(&health).send().await.unwrap().json().await.unwrap();
            told["versionsLive"] == true
        })
        .await;
    }
}

#[tokio::test]
async fn every_figure_that_an_operator_needs_is_exposed() {
    let (redis, folder) = (Redis::start().await, tempfile::tempdir().unwrap());
    let data = folder.path().join("dev").display().to_string();
    let dev = Dev::start(&data, &redis).await;
    dev.until_shared().await;
    let token = dev.sign_in().await;
    let profile = "{ viewer { profile { fullName } } }";
    for _ in 0..2 {
        dev.ask(profile, &token).await;
    }
    dev.ask("{ viewer { profile { fullName phone } } }", &token).await;
    // Two who meet.
    let admin = dev.link("Admin");
    dev.post(format!("{admin}/delays"), json!({ "system": "whmcs", "delay_ms": 300 }), "").await;
    tokio::join!(
        dev.ask("{ viewer { invoices(first: 1) { totalCount } } }", &token),
        dev.ask("{ viewer { invoices(first: 2) { totalCount } } }", &token),
    );
    dev.post(format!("{admin}/delays"), json!({ "system": "whmcs", "delay_ms": 0 }), "").await;
    dev.ask("{ viewer { orders(first: 1) { totalCount } } }", &token).await;
    let told = dev.scrape().await;
    let reads = |told: &Exposed, kind, outcome| {
        told.sum("cache_reads_total", &[("kind", kind), ("outcome", outcome)])
    };
    assert_eq!(reads(&told, "profile", "load"), 1.0, "{}", told.0);
    assert_eq!(reads(&told, "profile", "memory"), 1.0, "{}", told.0);
    assert_eq!(
        (reads(&told, "invoices", "load"), reads(&told, "invoices", "joined")),
        (1.0, 1.0),
        "{}",
        told.0
    );
    let responses = |told: &Exposed, outcome| told.sum("cache_responses_total", &[("outcome", outcome)]);
    assert_eq!(responses(&told, "hit"), 1.0, "{}", told.0);
    assert!(responses(&told, "miss") >= 4.0 && responses(&told, "bypass") >= 1.0, "{}", told.0);
    assert!(
        told.sum("salesforce_api_calls_used", &[]) >= 1.0
            && told.sum("salesforce_api_calls_limit", &[]) > 1.0
    );
    assert!(
        told.sum("upstream_calls_total", &[("service", "whmcs"), ("outcome", "ok")]) >= 2.0,
        "{}",
        told.0
    );

    // A change that billing reports.
    let form = [
        ("identifier", WHMCS_IDENTIFIER),
        ("secret", WHMCS_SECRET),
        ("action", "UpdateClient"),
        ("responsetype", "json"),
        ("clientid", "1001"),
        ("phonenumber", "0312345678"),
    ];
    let api = format!("{}/includes/api.php", dev.link("Billing"));
    let changed: Value = dev.http.post(api).form(&form).send().await.unwrap().json().await.unwrap();
    assert_eq!(changed["result"], "success", "{changed}");
    dev.until("the lag", async |dev| {
        dev.scrape().await.sum("invalidation_lag_seconds_count", &[("source", "billing")]) >= 1.0
    })
    .await;
    let told = dev.scrape().await;
    assert!(told.sum("cache_invalidation_seconds_count", &[]) >= 1.0, "{}", told.0);
    assert!(told.sum("invalidation_lag_seconds_sum", &[("source", "billing")]) < 30.0, "{}", told.0);
    assert!(told.sum("events_total", &[("source", "billing")]) >= 1.0, "{}", told.0);
    // Billing goes away before anybody has read it anew.
    dev.post(format!("{admin}/faults"), json!({ "system": "whmcs", "operation": "*", "kind": "drop" }), "")
        .await;
    let stale = dev.ask(profile, &token).await;
    assert_eq!(stale["extensions"]["stale"], true, "{stale}");
    let told = dev.scrape().await;
    assert!(reads(&told, "profile", "stale") >= 1.0, "{}", told.0);
    assert!(told.sum("cache_responses_total", &[("outcome", "bypass"), ("reason", "uncovered")]) >= 1.0);

    // Another process finds in Redis what this one has read.
    let replica = dev.beside(&data, &redis).await;
    replica.ask("{ viewer { orders(first: 1) { totalCount } } }", &token).await;
    let told = replica.scrape().await;
    assert_eq!((reads(&told, "orders", "redis"), reads(&told, "orders", "load")), (1.0, 0.0), "{}", told.0);
    replica.process.kill().await;
    dev.process.kill().await;
}
