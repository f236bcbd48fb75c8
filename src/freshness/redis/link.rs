//! The connection: versions that are raised, pushed and confirmed.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, FromRedisValue, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    RedisResult, Value, aio::MultiplexedConnection,
};
use secrecy::ExposeSecret;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    Settings, Unconfirmed,
    confirmations::{Taken, Told},
    lock,
    names::Names,
    scripts::Scripts,
};
use crate::{
    freshness::{Tag, mirror::Mirror},
    seal::Keyring,
};

/// How long a replica believes its mirror after it asked for a lease.
const LEASE: Duration = Duration::from_secs(2);
/// How much longer the lease stands in Redis.
const LEASE_MARGIN: Duration = Duration::from_millis(500);
/// How often the lease is renewed.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How long a command may take.
const COMMAND_WITHIN: Duration = Duration::from_millis(1_000);
/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Versions outlive every entry that they could make old.
const VERSION_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// The link to Redis.
pub(in crate::freshness) struct Link {
    client: redis::Client,
    pub(super) replica: String,
    pub(super) names: Names,
    /// Seal the entries.
    pub(super) keys: Keyring,
    mirror: Arc<Mirror>,
    data: Mutex<Option<MultiplexedConnection>>,
    told: Told,
    tell: mpsc::UnboundedSender<Taken>,
    /// Tags that could not be raised.
    owed: Mutex<HashSet<Tag>>,
    era: Mutex<Option<String>>,
    pub(super) scripts: Scripts,
}

impl Link {
    /// Makes the link and keeps it up until `stop`.
    ///
    /// # Errors
    /// When the address cannot be read.
    pub(in crate::freshness) fn open(
        settings: &Settings,
        keys: Keyring,
        mirror: Arc<Mirror>,
        stop: CancellationToken,
    ) -> RedisResult<Arc<Self>> {
        let info = settings.url.expose_secret().into_connection_info()?;
        let resp3 = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = redis::Client::open(info.set_redis_settings(resp3))?;
        let (tell, taken) = mpsc::unbounded_channel();
        let link = Arc::new(Self {
            client,
            replica: format!("{:016x}", rand::random::<u64>()),
            names: Names::new(&settings.prefix),
            keys,
            mirror,
            data: Mutex::default(),
            told: Told::default(),
            tell,
            owed: Mutex::default(),
            era: Mutex::default(),
            scripts: Scripts::default(),
        });
        tokio::spawn(stop.clone().run_until_cancelled_owned(Arc::clone(&link).tell_raisers(taken)));
        tokio::spawn(stop.run_until_cancelled_owned(Arc::clone(&link).keep_up()));
        Ok(link)
    }

    /// Connects again and again.
    async fn keep_up(self: Arc<Self>) {
        let mut failures = 0_u32;
        loop {
            let began = Instant::now();
            let ended = self.session().await;
            self.mirror.lose();
            *lock(&self.data) = None;
            if began.elapsed() > Duration::from_secs(5) {
                failures = 0;
            }
            if failures == 0 {
                let error = ended.err().map(|error| error.to_string());
                tracing::warn!(error, "Redis is away: entries count as fresh for a short time only");
            }
            failures = failures.saturating_add(1);
            let most = Duration::from_millis(50) * 2_u32.saturating_pow(failures.min(5));
            tokio::time::sleep(most.mul_f64(rand::random_range(0.5..=1.0))).await;
        }
    }

    /// One connection, from its first command to its loss.
    async fn session(self: &Arc<Self>) -> RedisResult<()> {
        let gone = Arc::new(Notify::new());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(COMMAND_WITHIN));
        let pushed = {
            let (link, gone) = (Arc::downgrade(self), Arc::clone(&gone));
            move |push: PushInfo| {
                // Runs where the connection is read: a push is taken before any later answer is given out.
                if let Some(link) = link.upgrade() {
                    link.take(push, &gone);
                }
                Ok::<(), ()>(())
            }
        };
        let tracking = config.clone().set_push_sender(pushed);
        let mut tracking = self.client.get_multiplexed_async_connection_with_config(&tracking).await?;
        let data = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        redis::cmd("CLIENT")
            .arg("TRACKING")
            .arg("ON")
            .arg("BCAST")
            .arg("PREFIX")
            .arg(&self.names.tags)
            .exec_async(&mut tracking)
            .await?;
        tracking.subscribe(self.names.told(&self.replica)).await?;

        let (asked, version, era) = self.renew(&mut tracking).await?;
        let is_lost = lock(&self.era).replace(era.clone()).is_some_and(|before| before != era);
        self.mirror.begin(version, is_lost);
        *lock(&self.data) = Some(data);
        let owed: Vec<_> = std::mem::take(&mut *lock(&self.owed)).into_iter().collect();
        if !owed.is_empty() && self.raise(&owed).await.is_err() {
            lock(&self.owed).extend(owed);
            return Ok(());
        }
        let mut before = asked;
        self.mirror.confirm(before, LEASE);
        tracing::info!("Redis is connected");
        loop {
            tokio::select! {
                () = gone.notified() => return Ok(()),
                () = tokio::time::sleep(HEARTBEAT) => {}
            }
            let (asked, _, now_era) = self.renew(&mut tracking).await?;
            if now_era != era {
                return Ok(());
            }
            self.mirror.confirm(before, LEASE);
            before = asked;
        }
    }

    /// Renews the lease: when it was asked for, the highest version then, and the era of the versions.
    async fn renew(&self, tracking: &mut MultiplexedConnection) -> RedisResult<(Instant, u64, String)> {
        let asked = Instant::now();
        let lease = (LEASE + LEASE_MARGIN).as_micros();
        let (version, era): (String, String) = self
            .scripts
            .renew
            .key(&self.names.counter)
            .key(&self.names.replicas)
            .key(&self.names.era)
            .arg(&self.replica)
            .arg(u64::try_from(lease).unwrap_or(u64::MAX))
            .arg(format!("{:032x}", rand::random::<u128>()))
            .invoke_async(tracking)
            .await?;
        Ok((asked, version.parse().unwrap_or_default(), era))
    }

    /// Takes one push.
    fn take(&self, push: PushInfo, gone: &Notify) {
        match push.kind {
            PushKind::Invalidate => match push.data.into_iter().next() {
                Some(Value::Array(names)) => self.take_versions(&names),
                // Redis was emptied.
                _ => {
                    self.mirror.lose();
                    gone.notify_one();
                }
            },
            PushKind::Message => {
                let told = push.data.get(1).and_then(|data| String::from_redis_value(data.clone()).ok());
                let told = told.as_deref().and_then(|text| text.split_once(' '));
                if let Some((replica, version)) = told
                    && let Ok(version) = version.parse()
                {
                    self.told.note(replica, version);
                }
            }
            PushKind::Disconnection => {
                self.mirror.lose();
                gone.notify_one();
            }
            _ => {}
        }
    }

    fn take_versions(&self, names: &[Value]) {
        let mut tags = Vec::with_capacity(names.len());
        let mut taken = Vec::new();
        for name in names {
            let Value::BulkString(name) = name else { continue };
            let Some(name) =
                std::str::from_utf8(name).ok().and_then(|name| name.strip_prefix(&self.names.tags))
            else {
                continue;
            };
            match name.strip_prefix('#').and_then(|marker| marker.split_once(':')) {
                Some((version, raiser)) => {
                    let Ok(version) = version.parse() else { continue };
                    taken.push(Taken { raiser: raiser.to_owned(), version });
                }
                None => tags.push(Tag::new(name)),
            }
        }
        // Without a marker nothing was raised: versions that nobody needs any more went away.
        let Some(version) = taken.iter().map(|taken| taken.version).max() else { return };
        self.mirror.apply(tags, version);
        for taken in taken {
            if taken.raiser == self.replica {
                self.told.note(&self.replica, taken.version);
            } else {
                // Fails only when the link is being dropped.
                let _ = self.tell.send(taken);
            }
        }
    }

    /// Tells other replicas what was taken; many at once when they come fast.
    async fn tell_raisers(self: Arc<Self>, mut taken: mpsc::UnboundedReceiver<Taken>) {
        while let Some(first) = taken.recv().await {
            let mut highest = HashMap::from([(first.raiser, first.version)]);
            while let Ok(next) = taken.try_recv() {
                let known = highest.entry(next.raiser).or_default();
                *known = next.version.max(*known);
            }
            let Some(mut data) = self.data() else { continue };
            let mut pipe = redis::pipe();
            for (raiser, version) in highest {
                pipe.publish(self.names.told(&raiser), format!("{} {version}", self.replica)).ignore();
            }
            if let Err(error) = pipe.exec_async(&mut data).await {
                // Whoever raised waits for our lease to run out.
                tracing::debug!(%error, "a version could not be confirmed");
            }
        }
    }

    /// Raises tags and waits until every replica with a lease has taken them.
    pub(in crate::freshness) async fn invalidate(&self, tags: &[Tag]) -> Result<(), Unconfirmed> {
        if self.raise(tags).await.is_err() {
            self.mirror.raise_alone(tags);
            lock(&self.owed).extend(tags.iter().cloned());
            return Err(Unconfirmed);
        }
        Ok(())
    }

    async fn raise(&self, tags: &[Tag]) -> Result<(), Unconfirmed> {
        let mut data = self.data().ok_or(Unconfirmed)?;
        let mut call = self.scripts.raise.prepare_invoke();
        call.key(&self.names.counter)
            .key(&self.names.replicas)
            .arg(&self.names.tags)
            .arg(&self.replica)
            .arg(VERSION_LIFETIME.as_secs());
        for tag in tags {
            call.arg(tag.as_str());
        }
        let reply: Vec<String> = call.invoke_async(&mut data).await.map_err(|error| {
            tracing::warn!(%error, "versions could not be raised in Redis");
            Unconfirmed
        })?;
        let raised = Instant::now();
        let version: u64 = reply.first().and_then(|text| text.parse().ok()).ok_or(Unconfirmed)?;
        self.mirror.apply_own(tags, version);
        for live in reply[1..].chunks_exact(2) {
            let left = Duration::from_micros(live[1].parse().unwrap_or_default());
            self.told.wait(&live[0], version, raised + left).await;
        }
        Ok(())
    }

    /// Whether there is a connection now.
    pub(in crate::freshness) fn is_connected(&self) -> bool {
        lock(&self.data).is_some()
    }

    /// The highest version of some tags; zero when none was ever raised.
    pub(in crate::freshness) async fn version(&self, tags: &[Tag]) -> Option<u64> {
        let mut data = self.data()?;
        let names: Vec<_> = tags.iter().map(|tag| format!("{}{}", self.names.tags, tag.as_str())).collect();
        let got: Vec<Option<u64>> = redis::cmd("MGET").arg(&names).query_async(&mut data).await.ok()?;
        Some(got.into_iter().flatten().max().unwrap_or_default())
    }

    pub(super) fn data(&self) -> Option<MultiplexedConnection> {
        lock(&self.data).clone()
    }
}
