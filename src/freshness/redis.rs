//! Redis: versions that all replicas share, the tier of entries behind memory, and leases on loads.
//!
//! **Versions.** Raising tags is one script: it takes the next number of a counter that never falls
//! behind the server's clock (so a Redis that was emptied goes on upwards), writes it under each tag, and
//! touches a marker key whose name holds the number and the replica that raised. All of these begin with
//! one prefix that every replica's connection tracks in broadcast mode, so each replica is pushed the
//! names of the tags together with the number, in the order in which they were raised.
//!
//! **Confirmation.** A replica that has taken a push tells the one that raised. The script also returns
//! the replicas that hold a lease on their mirror; whoever raised waits until each of them has told, or
//! its lease has run out. A replica renews its lease on the tracking connection itself. Redis sends the
//! pushes of one round of its loop behind the answers of that round, so an answer proves only that the
//! pushes of earlier rounds were taken: it extends the belief in the mirror from the time of the renewal
//! before. Without a lease a replica does not believe its mirror.
//!
//! **Failure.** Every command has a short time limit, nothing here fails a read, and what could not be
//! raised is raised first thing after the next connection.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, FromRedisValue, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    RedisResult, Script, Value, aio::MultiplexedConnection,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::{Key, Tag, mirror::Mirror};

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
/// How long a load may hold its lease over the fleet; a dead leaseholder costs at most this.
const LOAD_LEASE: Duration = Duration::from_secs(5);
/// Versions outlive every entry that they could make old.
const VERSION_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

const RAISE: &str = r"
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local version = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') + 1, now)
local text = string.format('%.0f', version)
redis.call('SET', KEYS[1], text)
for i = 4, #ARGV do redis.call('SET', ARGV[1] .. ARGV[i], text, 'EX', ARGV[3]) end
local marker = ARGV[1] .. '#' .. text .. ':' .. ARGV[2]
redis.call('SET', marker, '', 'PX', 1000)
redis.call('DEL', marker)
local out = { text }
local live = redis.call('ZRANGEBYSCORE', KEYS[2], now, '+inf', 'WITHSCORES')
for i = 1, #live, 2 do
  out[#out + 1] = live[i]
  out[#out + 1] = string.format('%.0f', tonumber(live[i + 1]) - now)
end
return out";

const RENEW: &str = r"
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local version = redis.call('GET', KEYS[1])
if not version then
  version = string.format('%.0f', now)
  redis.call('SET', KEYS[1], version)
end
local era = redis.call('GET', KEYS[3])
if not era then
  era = ARGV[3]
  redis.call('SET', KEYS[3], era)
end
redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - 60000000)
return { version, era }";

const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// Where Redis is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `redis://` or `rediss://`. A secret: it may hold a password.
    pub url: SecretString,
    /// Every key begins with it. Gateways that share a Redis but not their data need different ones.
    pub prefix: String,
}

/// Versions could not be raised in Redis, or not be confirmed: other replicas may not know yet.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not every replica has confirmed the change")]
pub struct Unconfirmed;

/// The link to Redis.
pub(super) struct Link {
    client: redis::Client,
    replica: String,
    names: Names,
    mirror: Arc<Mirror>,
    data: Mutex<Option<MultiplexedConnection>>,
    told: Told,
    tell: mpsc::UnboundedSender<Taken>,
    /// Tags that could not be raised.
    owed: Mutex<Vec<Tag>>,
    era: Mutex<Option<String>>,
    scripts: Scripts,
}

struct Names {
    prefix: String,
    tags: String,
    counter: String,
    replicas: String,
    era: String,
}

struct Scripts {
    raise: Script,
    renew: Script,
    release: Script,
}

/// A version that this replica has taken, and the replica that raised it.
struct Taken {
    raiser: String,
    version: u64,
}

/// What other replicas have told this one: the highest version of ours that each has taken.
#[derive(Default)]
struct Told {
    versions: Mutex<HashMap<String, u64>>,
    changed: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every value behind these locks is whole at any time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// Makes the link and keeps it up until `stop`.
    ///
    /// # Errors
    /// When the address cannot be read.
    pub(super) fn open(
        settings: &Settings,
        mirror: Arc<Mirror>,
        stop: CancellationToken,
    ) -> RedisResult<Arc<Self>> {
        let info = settings.url.expose_secret().into_connection_info()?;
        let resp3 = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = redis::Client::open(info.set_redis_settings(resp3))?;
        // The braces keep all versions on one node of a cluster.
        let prefix = format!("{{{}}}:", settings.prefix);
        let names = Names {
            tags: format!("{prefix}t:"),
            counter: format!("{prefix}version"),
            replicas: format!("{prefix}replicas"),
            era: format!("{prefix}era"),
            prefix,
        };
        let (tell, taken) = mpsc::unbounded_channel();
        let link = Arc::new(Self {
            client,
            replica: format!("{:016x}", rand::random::<u64>()),
            names,
            mirror,
            data: Mutex::default(),
            told: Told::default(),
            tell,
            owed: Mutex::default(),
            era: Mutex::default(),
            scripts: Scripts {
                raise: Script::new(RAISE),
                renew: Script::new(RENEW),
                release: Script::new(RELEASE),
            },
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
        let owed = std::mem::take(&mut *lock(&self.owed));
        if !owed.is_empty() && self.raise(&owed).await.is_err() {
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
    pub(super) async fn invalidate(&self, tags: &[Tag]) -> Result<(), Unconfirmed> {
        if self.raise(tags).await.is_err() {
            self.mirror.raise_alone(tags);
            lock(&self.owed).extend_from_slice(tags);
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
    pub(super) fn is_connected(&self) -> bool {
        lock(&self.data).is_some()
    }

    /// Entries under some keys, as they were stored.
    pub(super) async fn get(&self, keys: &[Key]) -> Option<Vec<Option<Vec<u8>>>> {
        let mut data = self.data()?;
        let names: Vec<_> = keys.iter().map(|key| self.names.entry(key)).collect();
        let got = redis::cmd("MGET").arg(&names).query_async(&mut data).await;
        got.inspect_err(|error| tracing::debug!(%error, "entries could not be read")).ok()
    }

    /// Takes the lease on a load, if nobody has it, and then reads the entries under its keys: whoever
    /// had it last has stored them. `None` when Redis does not answer: then everybody loads.
    pub(super) async fn lease(&self, load: &str, keys: &[Key]) -> Option<(bool, Vec<Option<Vec<u8>>>)> {
        let mut data = self.data()?;
        let names: Vec<_> = keys.iter().map(|key| self.names.entry(key)).collect();
        let mut pipe = redis::pipe();
        pipe.cmd("SET")
            .arg(self.names.lease(load))
            .arg(&self.replica)
            .arg("NX")
            .arg("PX")
            .arg(u64::try_from(LOAD_LEASE.as_millis()).unwrap_or(u64::MAX));
        pipe.cmd("MGET").arg(&names);
        let (taken, stored): (Option<String>, _) = pipe.query_async(&mut data).await.ok()?;
        Some((taken.is_some(), stored))
    }

    /// Stores entries for some time.
    pub(super) async fn put(&self, entries: Vec<(Key, Vec<u8>)>, keep: Duration) {
        let Some(mut data) = self.data() else { return };
        let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut pipe = redis::pipe();
        for (key, bytes) in entries {
            pipe.pset_ex(self.names.entry(&key), bytes, keep).ignore();
        }
        if let Err(error) = pipe.exec_async(&mut data).await {
            tracing::debug!(%error, "entries could not be stored");
        }
    }

    /// The highest version of some tags; zero when none was ever raised.
    pub(super) async fn version(&self, tags: &[Tag]) -> Option<u64> {
        let mut data = self.data()?;
        let names: Vec<_> = tags.iter().map(|tag| format!("{}{}", self.names.tags, tag.as_str())).collect();
        let got: Vec<Option<u64>> = redis::cmd("MGET").arg(&names).query_async(&mut data).await.ok()?;
        Some(got.into_iter().flatten().max().unwrap_or_default())
    }

    /// Gives the lease on a load back.
    pub(super) async fn release(&self, load: &str) {
        let Some(mut data) = self.data() else { return };
        let mut call = self.scripts.release.prepare_invoke();
        call.key(self.names.lease(load)).arg(&self.replica);
        // A lease that stays runs out by itself.
        let _: RedisResult<i64> = call.invoke_async(&mut data).await;
    }

    fn data(&self) -> Option<MultiplexedConnection> {
        lock(&self.data).clone()
    }
}

impl Told {
    fn note(&self, replica: &str, version: u64) {
        {
            let mut versions = lock(&self.versions);
            match versions.get_mut(replica) {
                Some(known) => *known = version.max(*known),
                None => {
                    versions.insert(replica.to_owned(), version);
                }
            }
        }
        self.changed.notify_waiters();
    }

    /// Waits until a replica has told that version, or its lease has run out.
    async fn wait(&self, replica: &str, version: u64, lease_ends: Instant) {
        let told = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if lock(&self.versions).get(replica).is_some_and(|told| *told >= version) {
                    return;
                }
                changed.await;
            }
        };
        let _ = tokio::time::timeout_at(lease_ends.into(), told).await;
    }
}

impl Names {
    fn entry(&self, key: &Key) -> String {
        format!("{}e:{}", self.prefix, key.digest())
    }

    fn lease(&self, load: &str) -> String {
        format!("{}l:{load}", self.prefix)
    }

    fn told(&self, replica: &str) -> String {
        format!("{}told:{replica}", self.prefix)
    }
}
