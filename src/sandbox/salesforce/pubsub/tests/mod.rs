//! The API over its own port, with the client that the same interface gives.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod changes;
mod faults;
mod places;
mod publishing;

use std::{sync::Arc, time::Duration};

use apache_avro::{Schema, reader::datum::GenericDatumReader};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tonic::{Code, Request, Status, Streaming, transport::Channel};

use crate::sandbox::{
    Listen, Options, Sandbox,
    credentials::SALESFORCE_CLIENT_ID,
    salesforce::{
        Org,
        pubsub::generated::{
            ConsumerEvent, FetchRequest, FetchResponse, ReplayPreset, SchemaRequest, TopicInfo, TopicRequest,
            pub_sub_client::PubSubClient,
        },
        settings::Settings,
        store::{seed::integration_user, shared::organization_id},
    },
    world::ids::{prefix, sf_id},
};

const ORDERS: &str = "/data/OrderChangeEvent";
const CASES: &str = "/data/CaseChangeEvent";

fn order(n: u64) -> String {
    sf_id(prefix::ORDER, n, 1)
}

fn account(n: u64) -> String {
    sf_id(prefix::ACCOUNT, n, 0)
}

fn case(n: u64) -> String {
    sf_id(prefix::CASE, n, 1)
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), work).await.unwrap()
}

/// The vendor's code in the trailers.
fn code(status: &Status) -> &str {
    let code = status.metadata().get("error-code").unwrap().to_str().unwrap();
    code.strip_prefix("sfdc.platform.eventbus.grpc.").unwrap()
}

/// A sandbox with a caller who has signed in.
struct Bench {
    sandbox: Sandbox,
    client: PubSubClient<Channel>,
    token: String,
}

impl Bench {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = Options {
            customers: 20,
            delay: false,
            listen: Listen::loopback(0),
            pubsub_tls: false,
            ..Options::default()
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        let channel = Channel::from_shared(sandbox.pubsub_url()).unwrap().connect().await.unwrap();
        let client = PubSubClient::new(channel);
        let org = sandbox.salesforce();
        let token = org.sessions().open(integration_user(), SALESFORCE_CLIENT_ID, sandbox.core().clock.now());
        Self { client, token, sandbox }
    }

    fn org(&self) -> &Arc<Org> {
        self.sandbox.salesforce()
    }

    fn set(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.org().settings();
        change(&mut settings);
        self.org().set(settings);
    }

    fn authorised<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("accesstoken", self.token.parse().unwrap());
        metadata.insert("instanceurl", self.sandbox.salesforce_url().parse().unwrap());
        metadata.insert("tenantid", organization_id().parse().unwrap());
        request
    }

    async fn topic(&self, name: &str) -> Result<TopicInfo, Status> {
        let request = self.authorised(TopicRequest { topic_name: name.to_owned() });
        Ok(self.client.clone().get_topic(request).await?.into_inner())
    }

    async fn subscribe(&self, first: FetchRequest) -> Subscriber {
        let (requests, receiver) = mpsc::channel(4);
        requests.send(first).await.unwrap();
        let requests_of = futures::stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|request| (request, receiver))
        });
        let request = self.authorised(Box::pin(requests_of));
        let answers = soon(self.client.clone().subscribe(request)).await.unwrap().into_inner();
        Subscriber { requests, answers }
    }

    /// A subscription to what comes next, which has taken its place.
    async fn latest(&self, topic: &str, asked: i32) -> Subscriber {
        let subscriber = self.subscribe(first(topic, ReplayPreset::Latest, &[], asked)).await;
        soon(self.org().bus.until_subscribed(1)).await;
        subscriber
    }

    /// An event as JSON, read with the schema that it names.
    async fn decode(&self, event: &ConsumerEvent) -> Value {
        let event = event.event.as_ref().unwrap();
        let request = self.authorised(SchemaRequest { schema_id: event.schema_id.clone() });
        let info = self.client.clone().get_schema(request).await.unwrap().into_inner();
        let schema = Schema::parse_str(&info.schema_json).unwrap();
        let mut rest = event.payload.as_slice();
        let value = GenericDatumReader::builder(&schema).build().unwrap().read_value(&mut rest).unwrap();
        assert!(rest.is_empty());
        value.try_into().unwrap()
    }

    /// The names of the fields that a bitmap marks.
    async fn marked(&self, event: &ConsumerEvent, bitmap: &Value) -> Vec<String> {
        let request =
            self.authorised(SchemaRequest { schema_id: event.event.as_ref().unwrap().schema_id.clone() });
        let info = self.client.clone().get_schema(request).await.unwrap().into_inner();
        let schema: Value = serde_json::from_str(&info.schema_json).unwrap();
        let bits = |hex: &str| {
            let value = u128::from_str_radix(hex.strip_prefix("0x").unwrap(), 16).unwrap();
            (0..128).filter(move |bit| value >> bit & 1 == 1)
        };
        let mut names = Vec::new();
        for element in bitmap.as_array().unwrap() {
            match element.as_str().unwrap().split_once('-') {
                None => names.extend(
                    bits(element.as_str().unwrap())
                        .map(|bit| schema["fields"][bit]["name"].as_str().unwrap().to_owned()),
                ),
                Some((parent, hex)) => {
                    let field = &schema["fields"][parent.parse::<usize>().unwrap()];
                    let kinds = field["type"].as_array().unwrap();
                    let members = &kinds.last().unwrap()["fields"];
                    names.extend(bits(hex).map(|bit| {
                        let member = &members[bit]["name"];
                        format!("{}.{}", field["name"].as_str().unwrap(), member.as_str().unwrap())
                    }));
                }
            }
        }
        names
    }
}

fn first(topic: &str, preset: ReplayPreset, replay_id: &[u8], asked: i32) -> FetchRequest {
    FetchRequest {
        topic_name: topic.to_owned(),
        replay_preset: preset.into(),
        replay_id: replay_id.to_vec(),
        num_requested: asked,
        auth_refresh: String::new(),
    }
}

struct Subscriber {
    requests: mpsc::Sender<FetchRequest>,
    answers: Streaming<FetchResponse>,
}

impl Subscriber {
    async fn next(&mut self) -> Result<Option<FetchResponse>, Status> {
        soon(self.answers.message()).await
    }

    async fn answer(&mut self) -> FetchResponse {
        self.next().await.unwrap().unwrap()
    }

    async fn refusal(&mut self) -> Status {
        self.next().await.unwrap_err()
    }

    /// So many events, in however many answers.
    async fn events(&mut self, count: usize) -> Vec<ConsumerEvent> {
        let mut events = Vec::new();
        while events.len() < count {
            events.extend(self.answer().await.events);
        }
        assert_eq!(events.len(), count);
        events
    }

    async fn ask(&self, more: i32) {
        self.requests.send(first("", ReplayPreset::Latest, &[], more)).await.unwrap();
    }
}

#[tokio::test]
async fn a_topic_names_a_schema_that_can_be_had() {
    let bench = Bench::start().await;
    let topic = bench.topic(ORDERS).await.unwrap();
    assert!(topic.can_subscribe && !topic.can_publish && topic.schema_id.len() == 22);
    let events = bench.topic("/event/Order_Fulfilment_Requested__e").await.unwrap();
    assert!(events.can_subscribe && events.can_publish);
    let request = bench.authorised(SchemaRequest { schema_id: topic.schema_id.clone() });
    let schema = bench.client.clone().get_schema(request).await.unwrap().into_inner();
    let json: Value = serde_json::from_str(&schema.schema_json).unwrap();
    assert_eq!((&json["name"], &json["uuid"]), (&json!("OrderChangeEvent"), &json!(topic.schema_id)));
    for (name, refusal) in [
        ("/data/CaseCommentChangeEvent", "topic.not.found"),
        ("/data/orderchangeevent", "topic.not.found"),
        ("", "topic.validation.empty"),
    ] {
        assert_eq!(code(&bench.topic(name).await.unwrap_err()), refusal);
    }
    let request = bench.authorised(SchemaRequest { schema_id: "K98aAtiNFBjA-PJlcvaQ2g".to_owned() });
    assert_eq!(
        code(&bench.client.clone().get_schema(request).await.unwrap_err()),
        "schema.validation.failed"
    );
}

#[tokio::test]
async fn only_a_living_token_of_the_organisation_is_let_in() {
    let bench = Bench::start().await;
    let call = async |change: &dyn Fn(&mut tonic::metadata::MetadataMap)| {
        let mut request = bench.authorised(TopicRequest { topic_name: ORDERS.to_owned() });
        change(request.metadata_mut());
        bench.client.clone().get_topic(request).await.map(drop)
    };
    let short: String = organization_id().chars().take(15).collect();
    call(&|metadata| drop(metadata.insert("tenantid", short.parse().unwrap()))).await.unwrap();
    for name in ["accesstoken", "instanceurl", "tenantid"] {
        let refusal = call(&|metadata| drop(metadata.remove(name))).await.unwrap_err();
        assert_eq!(code(&refusal), "service.auth.headers.invalid");
    }
    for (name, value) in [("accesstoken", "00D!wrong"), ("tenantid", "00D000000000009AAA")] {
        let refusal =
            call(&|metadata| drop(metadata.insert(name, value.parse().unwrap()))).await.unwrap_err();
        assert_eq!((code(&refusal), refusal.code()), ("service.auth.error", Code::Unauthenticated));
        let rpc = refusal.metadata().get("rpc-id").unwrap().to_str().unwrap();
        assert!(refusal.message().ends_with(rpc));
    }
    bench.org().sessions().revoke(&bench.token);
    assert_eq!(code(&call(&|_| {}).await.unwrap_err()), "service.auth.error");
}

#[tokio::test]
async fn over_tls_only_who_trusts_the_authority_gets_through() {
    use tonic::transport::{Certificate, ClientTlsConfig};

    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = Options { customers: 1, delay: false, listen: Listen::loopback(0), ..Options::default() };
    let sandbox = Sandbox::start(options).await.unwrap();
    let url = sandbox.pubsub_url();
    assert!(url.starts_with("https://"));
    let file = sandbox.ca_file().unwrap().to_owned();
    let pem = std::fs::read_to_string(&file).unwrap();
    assert_eq!(Some(pem.as_str()), sandbox.ca_pem());
    let connect =
        async |tls| Channel::from_shared(url.clone()).unwrap().tls_config(tls).unwrap().connect().await;
    for name in ["127.0.0.1", "localhost", "api.pubsub.salesforce.com"] {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&pem)).domain_name(name);
        let channel = connect(tls).await.unwrap();
        let refusal = PubSubClient::new(channel).get_topic(TopicRequest::default()).await.unwrap_err();
        assert_eq!(code(&refusal), "service.auth.headers.invalid");
    }
    assert!(connect(ClientTlsConfig::new().with_webpki_roots()).await.is_err());
    sandbox.stop().await;
    assert!(!file.exists());
}
