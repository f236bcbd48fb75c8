//! The vendor, as little of it as the client's tests need.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use url::Url;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

use crate::{
    clock::Clock,
    secret::SecretString,
    upstream::{
        salesforce::{Client, Settings},
        transport,
    },
};

pub(super) const PRIVATE_KEY: &str =
    include_str!("../../../../tests/fixtures/salesforce/assertion.private.pem");
const EXPIRED: &str = r#"[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]"#;

/// A recorded body.
pub(super) fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/salesforce/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// What happens, and what has happened.
#[derive(Default)]
pub(super) struct Script {
    pub(super) logins: AtomicUsize,
    /// Tokens below this number are refused.
    pub(super) good_from: AtomicUsize,
    /// What is answered to each path (statements as themselves) in place of the ordinary.
    answers: Mutex<HashMap<String, (u16, String)>>,
    /// Status, body and usage of every answer but a login's.
    all: Mutex<Option<ResponseTemplate>>,
    usage: Mutex<Option<String>>,
    delay: Mutex<Duration>,
    /// Told of each call but logins, before it is answered.
    heard: Mutex<Option<mpsc::UnboundedSender<()>>>,
    uri: Mutex<String>,
}

impl Script {
    fn answer(&self, path: &str, otherwise: impl FnOnce() -> (u16, Value)) -> (u16, Value) {
        match self.answers.lock().unwrap().get(path) {
            Some((status, body)) => (*status, serde_json::from_str(body).unwrap_or(Value::Null)),
            None => otherwise(),
        }
    }

    fn query(&self, url: &Url) -> (u16, Value) {
        let (_, statement) = url.query_pairs().find(|(name, _)| name == "q").unwrap();
        self.answer(&statement, || {
            if statement.contains("FROM Nope") {
                return (400, json!([{ "errorCode": "INVALID_TYPE", "message": "sObject type 'Nope' is not supported" }]));
            }
            let record = json!({ "attributes": { "type": "Order" }, "statement": statement });
            (200, json!({ "totalSize": 1, "done": true, "records": [record] }))
        })
    }

    fn composite(&self, body: &Value) -> (u16, Value) {
        let requests = body["compositeRequest"].as_array().unwrap();
        if requests.len() > 5 {
            return (400, json!([{ "errorCode": "LIMIT", "message": "too many queries" }]));
        }
        // Each part is found by its reference, so their order is nobody's business.
        let parts = requests.iter().rev().map(|request| {
            let url = Url::parse("http://host").unwrap().join(request["url"].as_str().unwrap()).unwrap();
            assert_eq!(url.path(), "/services/data/v67.0/query");
            let (status, body) = self.query(&url);
            json!({
                "body": body, "httpHeaders": {}, "httpStatusCode": status, "referenceId": request["referenceId"]
            })
        });
        (200, json!({ "compositeResponse": parts.collect::<Vec<_>>() }))
    }
}

struct Answers(Arc<Script>);

impl Respond for Answers {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let script = &self.0;
        if request.url.path() == "/services/oauth2/token" {
            let n = script.logins.fetch_add(1, Ordering::SeqCst) + 1;
            if let Some((status, body)) = script.answers.lock().unwrap().get("login") {
                return ResponseTemplate::new(*status).set_body_string(body.clone());
            }
            let mut body: Value = serde_json::from_str(&fixture("token.json")).unwrap();
            body["access_token"] = format!("00D000000000001!{n}").into();
            body["instance_url"] = script.uri.lock().unwrap().as_str().into();
            return ResponseTemplate::new(200).set_body_json(body);
        }
        if let Some(heard) = &*script.heard.lock().unwrap() {
            heard.send(()).unwrap();
        }
        assert_eq!(request.headers["sforce-call-options"], "client=portal-gateway");
        let token = request.headers["authorization"].to_str().unwrap();
        let n: usize = token.strip_prefix("Bearer 00D000000000001!").unwrap().parse().unwrap();
        let answer = if n < script.good_from.load(Ordering::SeqCst) {
            ResponseTemplate::new(401).set_body_raw(EXPIRED, "application/json")
        } else if let Some(all) = &*script.all.lock().unwrap() {
            all.clone()
        } else {
            let (status, body) = match request.url.path() {
                "/services/data/v67.0/query" => script.query(&request.url),
                "/services/data/v67.0/composite" => {
                    script.composite(&serde_json::from_slice(&request.body).unwrap())
                }
                path => script.answer(path, || panic!("unexpected {path}")),
            };
            let answer = ResponseTemplate::new(status);
            if status == 204 { answer } else { answer.set_body_json(body) }
        };
        let answer = match &*script.usage.lock().unwrap() {
            Some(usage) => answer.insert_header("Sforce-Limit-Info", usage.as_str()),
            None => answer,
        };
        answer.set_delay(*script.delay.lock().unwrap())
    }
}

/// The vendor and a client of it.
pub(super) struct Vendor {
    pub(super) server: MockServer,
    pub(super) script: Arc<Script>,
    pub(super) client: Client,
    pub(super) clock: Clock,
}

impl Vendor {
    pub(super) async fn start() -> Self {
        let server = MockServer::start().await;
        let script = Arc::new(Script::default());
        *script.uri.lock().unwrap() = server.uri();
        Mock::given(any()).respond_with(Answers(Arc::clone(&script))).mount(&server).await;
        let clock = Clock::system();
        let mut settings = Settings::new(
            server.uri(),
            "consumer-key",
            "gateway@example.jp",
            SecretString::from(PRIVATE_KEY),
        );
        settings.transport = transport::Settings {
            retry: transport::RetrySettings { base: Duration::from_millis(1), ..Default::default() },
            ..transport::Settings::salesforce()
        };
        let client = Client::new(settings, clock.clone()).unwrap();
        Self { server, script, client, clock }
    }

    pub(super) fn logins(&self) -> usize {
        self.script.logins.load(Ordering::SeqCst)
    }

    /// Refuses every token that has been given so far.
    pub(super) fn expire(&self) {
        self.script.good_from.store(self.logins() + 1, Ordering::SeqCst);
    }

    /// Answers a path, a statement, or `login` in this way from now on.
    pub(super) fn answer(&self, path: impl Into<String>, status: u16, body: impl Into<String>) {
        self.script.answers.lock().unwrap().insert(path.into(), (status, body.into()));
    }

    /// Answers everything but logins in this way from now on.
    pub(super) fn answer_all(&self, answer: ResponseTemplate) {
        *self.script.all.lock().unwrap() = Some(answer);
    }

    pub(super) fn usage(&self, header: &str) {
        *self.script.usage.lock().unwrap() = Some(header.to_owned());
    }

    pub(super) fn delay(&self, delay: Duration) {
        *self.script.delay.lock().unwrap() = delay;
    }

    pub(super) fn hear(&self) -> mpsc::UnboundedReceiver<()> {
        let (tell, hear) = mpsc::unbounded_channel();
        *self.script.heard.lock().unwrap() = Some(tell);
        hear
    }

    /// Method and last segment of the path of every call but logins, in the order they came.
    pub(super) async fn calls(&self) -> Vec<String> {
        let requests = self.server.received_requests().await.unwrap();
        let calls = requests.iter().filter(|request| !request.url.path().starts_with("/services/oauth2"));
        calls
            .map(|request| format!("{} {}", request.method, request.url.path().rsplit('/').next().unwrap()))
            .collect()
    }

    /// The last call.
    pub(super) async fn last(&self) -> Request {
        self.server.received_requests().await.unwrap().pop().unwrap()
    }
}
