//! The calls of the API: who may, injected faults, and the answers.

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt};
use serde_json::{Value, json};
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};
use uuid::Uuid;

use crate::sandbox::{
    core::{FaultKind, System},
    salesforce::{
        org::Org,
        pubsub::{
            bus::Event,
            errors::{self, refused},
            generated::{
                Error, ErrorCode, FetchRequest, FetchResponse, PublishRequest, PublishResponse,
                PublishResult, SchemaInfo, SchemaRequest, TopicInfo, TopicRequest, pub_sub_server::PubSub,
            },
            subscribe::subscribe,
            topic::Source,
        },
        store::shared::organization_id,
    },
};

/// Bytes that an event may have.
const LARGEST_EVENT: usize = 1024 * 1024;

/// The API of an organisation.
#[derive(Clone)]
pub struct Service {
    org: Arc<Org>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    /// The API of an organisation.
    pub fn new(org: Arc<Org>) -> Self {
        Self { org }
    }

    /// Journals a call, checks who makes it, and acts out the fault that was injected for it.
    ///
    /// Calls cost no API request; they are journalled as effects, so that counts of calls are those of requests. Only
    /// a fault that names the operation strikes: this is another host than that of REST.
    async fn enter(&self, operation: &str, metadata: &MetadataMap, detail: Value) -> Result<(), Status> {
        let core = &self.org.core;
        core.journal.effect(System::Salesforce, operation, detail);
        let (wait, fault) = core.faults.take_named(System::Salesforce, operation);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        match fault.map(|fault| fault.kind) {
            None => {}
            Some(FaultKind::Hang) => std::future::pending().await,
            Some(FaultKind::Business { code, message }) => return Err(refused(&code, &message)),
            Some(FaultKind::Expire) => {
                self.org.sessions().revoke(text(metadata, "accesstoken").unwrap_or_default());
            }
            Some(_) => return Err(errors::reset()),
        }
        self.authorise(metadata)
    }

    /// The three pieces of metadata: a token that lives, the instance, the organisation.
    fn authorise(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let [token, instance, tenant] =
            ["accesstoken", "instanceurl", "tenantid"].map(|name| text(metadata, name).unwrap_or_default());
        if token.is_empty()
            || tenant.is_empty()
            || !(instance.starts_with("https://") || instance.trim_end_matches('/') == self.org.public_url)
        {
            return Err(refused(
                "service.auth.headers.invalid",
                "The authentication headers accesstoken, instanceurl and tenantid are required.",
            ));
        }
        let (now, lifetime) = (self.org.core.clock.now(), self.org.lifetime());
        let session = self.org.sessions().enter(token, now, lifetime);
        let organization = organization_id();
        if session.is_none() || ![organization.as_str(), &organization[..15]].contains(&tenant) {
            return Err(refused("service.auth.error", "An authentication exception occurred."));
        }
        Ok(())
    }

    /// Publishes the events of one request.
    fn publish_all(&self, request: &PublishRequest) -> Result<PublishResponse, Status> {
        let name = request.topic_name.as_str();
        if name.is_empty() {
            return Err(refused("publish.topic.validation.empty", "The topic name is empty."));
        }
        let Some(topic) = self.org.bus.topic(name) else { return Err(unknown_topic(name)) };
        if !matches!(topic.source, Source::Platform(_)) {
            return Err(refused("topic.meta.permission", "Change events cannot be published."));
        }
        if request.events.is_empty() {
            return Err(refused("publish.event.count.invalid", "There are no events to publish."));
        }
        let results = request.events.iter().map(|event| {
            let definition = self.org.bus.definition(&event.schema_id);
            let fault = if event.payload.len() > LARGEST_EVENT {
                Some("The event is larger than 1 MB.")
            } else if !definition.is_some_and(|definition| definition.reads(&event.payload)) {
                Some("The payload does not match the schema.")
            } else {
                None
            };
            let (replay_id, error) = match fault {
                Some(msg) => {
                    (Vec::new(), Some(Error { code: ErrorCode::Publish.into(), msg: msg.to_owned() }))
                }
                None => {
                    let id = if event.id.is_empty() { Uuid::new_v4().to_string() } else { event.id.clone() };
                    let (schema_id, payload) = (event.schema_id.clone(), event.payload.clone());
                    let event = Arc::new(Event { id, schema_id, payload });
                    (
                        self.org.bus.publish(name, &event, self.org.core.clock.now()).to_be_bytes().to_vec(),
                        None,
                    )
                }
            };
            PublishResult { replay_id, error, correlation_key: event.id.clone() }
        });
        Ok(PublishResponse {
            results: results.collect(),
            schema_id: topic.definition.schema_id.clone(),
            rpc_id: errors::rpc_id(),
        })
    }
}

fn text<'a>(metadata: &'a MetadataMap, name: &str) -> Option<&'a str> {
    metadata.get(name)?.to_str().ok()
}

fn unknown_topic(name: &str) -> Status {
    refused("topic.not.found", &format!("The topic {name} does not exist."))
}

#[tonic::async_trait]
impl PubSub for Service {
    type SubscribeStream = Answers<FetchResponse>;
    type PublishStreamStream = Answers<PublishResponse>;

    async fn subscribe(
        &self,
        request: Request<Streaming<FetchRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        self.enter("pubsub.Subscribe", request.metadata(), json!({})).await?;
        Ok(Response::new(subscribe(Arc::clone(&self.org), request.into_inner()).boxed()))
    }

    async fn get_schema(&self, request: Request<SchemaRequest>) -> Result<Response<SchemaInfo>, Status> {
        let id = request.get_ref().schema_id.clone();
        self.enter("pubsub.GetSchema", request.metadata(), json!({"schema": id})).await?;
        let Some(definition) = self.org.bus.definition(&id) else {
            return Err(refused("schema.validation.failed", "The schema does not exist."));
        };
        let (schema_json, rpc_id) = (definition.schema_json.clone(), errors::rpc_id());
        Ok(Response::new(SchemaInfo { schema_json, schema_id: id, rpc_id }))
    }

    async fn get_topic(&self, request: Request<TopicRequest>) -> Result<Response<TopicInfo>, Status> {
        let name = request.get_ref().topic_name.clone();
        self.enter("pubsub.GetTopic", request.metadata(), json!({"topic": name})).await?;
        if name.is_empty() {
            return Err(refused("topic.validation.empty", "The topic name is empty."));
        }
        let Some(topic) = self.org.bus.topic(&name) else { return Err(unknown_topic(&name)) };
        Ok(Response::new(TopicInfo {
            topic_name: name,
            tenant_guid: format!("core/sandbox/{}", organization_id()),
            can_publish: matches!(topic.source, Source::Platform(_)),
            can_subscribe: true,
            schema_id: topic.definition.schema_id.clone(),
            rpc_id: errors::rpc_id(),
        }))
    }

    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<PublishResponse>, Status> {
        let detail = json!({"topic": request.get_ref().topic_name, "events": request.get_ref().events.len()});
        self.enter("pubsub.Publish", request.metadata(), detail).await?;
        self.publish_all(request.get_ref()).map(Response::new)
    }

    async fn publish_stream(
        &self,
        request: Request<Streaming<PublishRequest>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        self.enter("pubsub.PublishStream", request.metadata(), json!({})).await?;
        let service = self.clone();
        let mut topic = String::new();
        let answers = request.into_inner().map(move |request| {
            let mut request = request?;
            if topic.is_empty() {
                topic.clone_from(&request.topic_name);
            } else if request.topic_name.is_empty() {
                request.topic_name.clone_from(&topic);
            } else if request.topic_name != topic {
                return Err(refused(
                    "publish.topic.mismatch",
                    "The topic differs from that of the first request.",
                ));
            }
            service.publish_all(&request)
        });
        Ok(Response::new(answers.boxed()))
    }
}
