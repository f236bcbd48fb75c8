//! The way of hints between replicas: one Redis channel, which every replica publishes to and listens to.
//!
//! A replica hears a few hundred bytes for each change of the fleet and drops what nobody here listens to; that is
//! cheaper than telling Redis about every subscription that comes and goes. Redis keeps nothing for a replica
//! that is away, so whoever was cut off says to its own listeners that anything may have changed, and
//! whoever could not publish says it to all, as soon as there is a connection.

use std::{
    convert::Infallible,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use redis::{
    AsyncCommands, Client, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use serde::{Deserialize, Serialize};
use tokio::time::{interval, sleep, timeout};
use tokio_util::{sync::CancellationToken, sync::DropGuard};
use uuid::Uuid;

use crate::{
    freshness,
    notify::{Hint, live::Hub},
    secret::ExposeSecret,
};

/// How long Redis may take to connect or to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a connection that says nothing is asked whether it lives.
const LOOK: Duration = Duration::from_secs(2);
/// The shortest and the longest wait before connecting again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A hint on its way.
#[derive(Serialize, Deserialize)]
struct Letter<H> {
    /// The replica that published it and told its own listeners already.
    from: Uuid,
    hint: H,
}

/// The connection to the other replicas. Clones share it.
#[derive(Clone)]
pub(super) struct Bus {
    shared: Arc<Shared>,
    _listening: Arc<DropGuard>,
}

struct Shared {
    replica: Uuid,
    channel: String,
    client: Client,
    publisher: ConnectionManager,
    /// Whether a hint could not be published.
    owes: AtomicBool,
}

impl Bus {
    /// Begins to listen for a hub.
    pub(super) fn start(settings: &freshness::redis::Settings, hub: &Arc<Hub>) -> Result<Self, RedisError> {
        let client = Client::open(settings.url.expose_secret())?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            // The next hint tries again.
            .set_number_of_retries(1)
            .set_max_delay(BACKOFF.1);
        let publisher = client.get_connection_manager_lazy(config)?;
        let shared = Arc::new(Shared {
            replica: Uuid::new_v4(),
            channel: format!("{}:live", settings.prefix),
            client,
            publisher,
            owes: AtomicBool::new(false),
        });
        let stop = CancellationToken::new();
        let listen = listen(Arc::clone(&shared), Arc::downgrade(hub));
        tokio::spawn(stop.clone().run_until_cancelled_owned(listen));
        Ok(Self { shared, _listening: Arc::new(stop.drop_guard()) })
    }

    /// Tells the other replicas.
    pub(super) async fn publish(&self, hint: &Hint) {
        if self.shared.send(hint).await {
            self.shared.settle().await;
        } else if !self.shared.owes.swap(true, Ordering::Relaxed) {
            tracing::warn!("hints cannot be published: other replicas learn later that they missed some");
        }
    }
}

impl Shared {
    async fn send(&self, hint: &Hint) -> bool {
        let letter = Letter { from: self.replica, hint };
        // Ids and words are always JSON.
        let Ok(text) = serde_json::to_vec(&letter) else { return false };
        let mut publisher = self.publisher.clone();
        let sent = publisher.publish::<_, _, u64>(&self.channel, text);
        matches!(timeout(PATIENCE * 2, sent).await, Ok(Ok(_)))
    }

    /// Makes up for what could not be published.
    async fn settle(&self) {
        if self.owes.load(Ordering::Relaxed) && self.send(&Hint::everything()).await {
            self.owes.store(false, Ordering::Relaxed);
        }
    }
}

/// Hears the other replicas, and connects again whenever the connection is lost, for as long as there is a hub.
async fn listen(shared: Arc<Shared>, hub: Weak<Hub>) {
    let mut wait = BACKOFF.0;
    let mut is_first = true;
    loop {
        let heard = hear(&shared, &hub, &mut is_first, &mut wait).await;
        if hub.strong_count() == 0 {
            return;
        }
        let Err(error) = heard;
        tracing::warn!(%error, "the other replicas cannot be heard; connecting again");
        sleep(wait).await;
        wait = (wait * 2).min(BACKOFF.1);
    }
}

/// Hears one connection to its end.
async fn hear(
    shared: &Shared,
    hub: &Weak<Hub>,
    is_first: &mut bool,
    wait: &mut Duration,
) -> Result<Infallible, Lost> {
    let mut pubsub = timeout(PATIENCE, shared.client.get_async_pubsub()).await??;
    timeout(PATIENCE, pubsub.subscribe(&shared.channel)).await??;
    *wait = BACKOFF.0;
    if !std::mem::take(is_first) {
        deliver(hub, Hint::everything());
    }
    let (mut sink, mut messages) = pubsub.split();
    let mut looks = interval(LOOK);
    loop {
        tokio::select! {
            message = messages.next() => {
                let message = message.ok_or(Lost::Closed)?;
                let letter = serde_json::from_slice::<Letter<Hint>>(message.get_payload_bytes());
                // A newer release may say what this one does not know.
                let Ok(letter) = letter else { deliver(hub, Hint::everything()); continue };
                if letter.from != shared.replica {
                    deliver(hub, letter.hint);
                }
            }
            _ = looks.tick() => {
                timeout(PATIENCE, sink.ping::<()>()).await??;
                shared.settle().await;
            }
        }
    }
}

fn deliver(hub: &Weak<Hub>, hint: Hint) {
    if let Some(hub) = hub.upgrade() {
        hub.deliver(&Arc::new(hint));
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("no answer in time")]
    Silent(#[from] tokio::time::error::Elapsed),
    #[error("the connection was closed")]
    Closed,
}
