//! The calls of the bus.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::Stream;
use moka::future::Cache;
use tokio::{sync::mpsc, time::timeout};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use super::{
    Error, Remedy, Replay, Schema, Settings, Subscription,
    eventbus::{SchemaRequest, TopicRequest, pub_sub_client::PubSubClient},
    subscription,
};
use crate::{
    deadline::{Budget, Lane},
    upstream::salesforce::{
        self,
        session::{Session, Token},
        settings::Misconfigured,
    },
};

/// The largest event.
const EVENT_BYTES: usize = 1 << 20;
/// Schemas that are kept. An organisation has a few dozen.
const SCHEMAS: u64 = 1_000;
/// How long a login for the bus may take.
const LOGIN: Duration = Duration::from_secs(10);
/// How long a probe of the connection may stay unanswered.
const PROBE: Duration = Duration::from_secs(20);

/// What the bus says of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Whether we may subscribe.
    pub can_subscribe: bool,
    /// The schema of what is published now.
    pub schema: String,
}

/// The client of the bus. Clones share the connection and the schemas.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    settings: Settings,
    session: Arc<Session>,
    channel: Channel,
    schemas: Cache<String, Arc<Schema>>,
    /// Whether the last that we heard is that the session is refused.
    is_refused: AtomicBool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("pubsub::Client").field("endpoint", &self.0.settings.endpoint).finish_non_exhaustive()
    }
}

impl Client {
    /// Checks the settings. Nothing is asked yet; the connection is made with the first call, and again whenever it
    /// breaks. The session is the REST client's.
    ///
    /// # Errors
    /// When the address or an authority cannot be used.
    pub fn new(settings: Settings, crm: &salesforce::Client) -> Result<Self, Misconfigured> {
        let mut endpoint = Endpoint::from_shared(settings.endpoint.clone())
            .map_err(|_| Misconfigured::BusEndpoint)?
            .connect_timeout(settings.connect_timeout)
            .http2_keep_alive_interval(settings.keep_alive)
            .keep_alive_timeout(PROBE)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        match endpoint.uri().scheme_str() {
            Some("https") => {
                let mut tls = ClientTlsConfig::new().with_webpki_roots();
                if let Some(authorities) = &settings.ca_pem {
                    tls = tls.ca_certificate(Certificate::from_pem(authorities));
                }
                endpoint = endpoint.tls_config(tls).map_err(|_| Misconfigured::BusAuthority)?;
            }
            Some("http") => {}
            _ => return Err(Misconfigured::BusEndpoint),
        }
        Ok(Self(Arc::new(Inner {
            channel: endpoint.connect_lazy(),
            session: Arc::clone(crm.session()),
            schemas: Cache::new(SCHEMAS),
            is_refused: AtomicBool::new(false),
            settings,
        })))
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// What the bus says of a topic.
    ///
    /// # Errors
    /// [`Remedy::Stop`] when there is no such topic, or it is not ours to see.
    pub async fn topic(&self, name: &str) -> Result<Topic, Error> {
        const OPERATION: &str = "GetTopic";
        let answer = self
            .unary(
                OPERATION,
                || TopicRequest { topic_name: name.to_owned() },
                async |mut bus, request| bus.get_topic(request).await,
            )
            .await?;
        Ok(Topic { can_subscribe: answer.can_subscribe, schema: answer.schema_id })
    }

    /// The schema with an id, which never changes. However many ask at once, one call is made.
    ///
    /// # Errors
    /// [`Remedy::Stop`] when there is none, or it cannot be parsed.
    pub async fn schema(&self, id: &str) -> Result<Arc<Schema>, Error> {
        const OPERATION: &str = "GetSchema";
        let fetch = async {
            let request = || SchemaRequest { schema_id: id.to_owned() };
            let answer = self
                .unary(OPERATION, request, async |mut bus, request| bus.get_schema(request).await)
                .await?;
            let schema = Schema::parse(&answer.schema_json)
                .map_err(|_| Error::new(OPERATION, Remedy::Stop, "schema.unreadable"))?;
            Ok(Arc::new(schema))
        };
        self.0.schemas.try_get_with_by_ref(id, fetch).await.map_err(|error: Arc<Error>| (*error).clone())
    }

    /// Begins a stream; the first [`Settings::num_requested`] events are asked for.
    ///
    /// # Errors
    /// With the [`Remedy`].
    pub async fn subscribe(&self, topic: &str, from: &Replay) -> Result<Subscription, Error> {
        const OPERATION: &str = subscription::OPERATION;
        let Settings { num_requested, silence, .. } = self.0.settings;
        let token = self.token(OPERATION).await?;
        let (requests, waiting) = mpsc::channel(2);
        // There is room for it.
        let _ = requests.try_send(from.request(topic, num_requested));
        let request = self.prove(OPERATION, &token, stream(waiting))?;
        // The vendor may send its first word only with its first answer.
        match timeout(silence, self.bus().subscribe(request)).await {
            Ok(Ok(answers)) => {
                let answers = answers.into_inner();
                Ok(Subscription::new(self.clone(), token, topic.to_owned(), requests, answers))
            }
            Ok(Err(status)) => Err(self.refused(OPERATION, &token, &status).await),
            Err(_) => Err(Error::new(OPERATION, Remedy::Retry, "silent")),
        }
    }

    /// What a refusal means. When it is the session that was refused, it is replaced first.
    pub(super) async fn refused(
        &self,
        operation: &'static str,
        token: &Arc<Token>,
        status: &Status,
    ) -> Error {
        let error = Error::refused(operation, status);
        if error.remedy == Remedy::Renew {
            // Twice in a row, and another session would not help: logins are rationed.
            if self.0.is_refused.swap(true, Ordering::Relaxed) {
                self.0.session.bar();
            }
            let budget = Budget::new(LOGIN, Lane::Background);
            if let Err(failed) = self.0.session.renew(token, budget).await {
                tracing::warn!(error = &failed as &dyn std::error::Error, "no new session for the event bus");
            }
        }
        error
    }

    /// The session is good.
    pub(super) fn accepted(&self) {
        self.0.is_refused.store(false, Ordering::Relaxed);
    }

    /// One question, asked again with another session when the first is refused.
    async fn unary<Q, A>(
        &self,
        operation: &'static str,
        question: impl Fn() -> Q,
        ask: impl AsyncFn(PubSubClient<Channel>, Request<Q>) -> Result<tonic::Response<A>, Status>,
    ) -> Result<A, Error> {
        let mut is_second = false;
        loop {
            let token = self.token(operation).await?;
            let request = self.prove(operation, &token, question())?;
            let status = match timeout(self.0.settings.call_timeout, ask(self.bus(), request)).await {
                Ok(Ok(answer)) => {
                    self.accepted();
                    return Ok(answer.into_inner());
                }
                Ok(Err(status)) => status,
                Err(_) => return Err(Error::new(operation, Remedy::Retry, "deadline")),
            };
            let error = self.refused(operation, &token, &status).await;
            if error.remedy != Remedy::Renew || is_second {
                return Err(error);
            }
            is_second = true;
        }
    }

    fn bus(&self) -> PubSubClient<Channel> {
        // A batch of the largest events.
        let most = (self.0.settings.num_requested.max(1) as usize + 1) * EVENT_BYTES;
        PubSubClient::new(self.0.channel.clone()).max_decoding_message_size(most)
    }

    async fn token(&self, operation: &'static str) -> Result<Arc<Token>, Error> {
        let budget = Budget::new(LOGIN, Lane::Background);
        self.0.session.token(budget).await.map_err(|error| Error::session(operation, &error))
    }

    /// The headers that every call carries.
    fn prove<M>(&self, operation: &'static str, token: &Token, message: M) -> Result<Request<M>, Error> {
        let organisation = token
            .organisation()
            .ok_or_else(|| Error::new(operation, Remedy::Stop, "login.organisation.unknown"))?;
        let mut request = Request::new(message);
        for (name, value) in
            [("accesstoken", token.access()), ("instanceurl", token.instance()), ("tenantid", organisation)]
        {
            let mut value = MetadataValue::<Ascii>::try_from(value)
                .map_err(|_| Error::new(operation, Remedy::Stop, "login.headers"))?;
            value.set_sensitive(name == "accesstoken");
            request.metadata_mut().insert(name, value);
        }
        Ok(request)
    }
}

/// What is sent while somebody holds the other end.
fn stream<T: Send + 'static>(waiting: mpsc::Receiver<T>) -> impl Stream<Item = T> + Send + 'static {
    futures::stream::unfold(waiting, |mut waiting| async { Some((waiting.recv().await?, waiting)) })
}
