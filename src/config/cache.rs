//! Where state is kept, and for how long an answer counts as fresh.

use std::{path::PathBuf, time::Duration};

use crate::{
    billing,
    config::reader::Reader,
    crm,
    freshness::{self, Lifetime},
    postal,
    secret::{ExposeSecret, SecretString},
    sim, store,
};

/// How long Redis may take to answer a check.
const PATIENCE: Duration = Duration::from_secs(2);

/// The gateway's own database, and the folder of what it makes itself.
pub(super) fn store(env: &mut Reader<'_>) -> (store::Settings, PathBuf) {
    env.section("State");
    let url = env
        .get("DATABASE_URL", "address", "The gateway's own database: sqlite:<file>, or postgres:// for production and for more than one replica.")
        .example("postgres://portal:password@127.0.0.1:5432/portal")
        .secret()
        .parse_or("sqlite:data/portal.db", |text| {
            if ["sqlite:", "postgres://", "postgresql://"].iter().any(|start| text.starts_with(start)) {
                Ok(SecretString::from(text))
            } else {
                Err("must begin with sqlite: or postgres://".to_owned())
            }
        });
    let settings = store::Settings {
        url,
        max_connections: env
            .get("DATABASE_MAX_CONNECTIONS", "connections", "Connections at most; on SQLite, of readers.")
            .number(10, 1..=1_000),
        acquire_timeout: env
            .get("DATABASE_ACQUIRE_TIMEOUT", "duration", "How long a request waits for a free connection.")
            .duration("1s", "100ms", "1m"),
    };
    let data_dir = env
        .get("DATA_DIR", "folder", "Where keys are kept that the gateway makes itself in development.")
        .path_or("data");
    (settings, data_dir)
}

/// What the replicas share: versions, entries and messages.
#[derive(Clone)]
pub struct Redis(freshness::redis::Settings);

impl Redis {
    pub(super) fn read(env: &mut Reader<'_>) -> Option<Self> {
        let url = env
            .get("REDIS_URL", "address", "Shared by all replicas: entries of the cache, and who must know what changed. Needed for more than one.")
            .example("redis://127.0.0.1:6379")
            .secret()
            .parse(|text| {
                redis::Client::open(text)
                    .map(|_| SecretString::from(text))
                    .map_err(|_| "must be an address that begins with redis:// or rediss://".to_owned())
            });
        let prefix = env
            .get("REDIS_PREFIX", "text", "Every key in Redis begins with it; gateways that share a Redis but no data need different ones.")
            .parse_or("portal", |text| {
                let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
                if is_plain && (1..=64).contains(&text.len()) {
                    Ok(text.to_owned())
                } else {
                    Err("must be 1 to 64 letters, digits, `-`, `_` or `.`".to_owned())
                }
            });
        url.map(|url| Self(freshness::redis::Settings { url, prefix }))
    }

    /// Address and prefix.
    pub fn settings(&self) -> freshness::redis::Settings {
        self.0.clone()
    }

    /// Whether Redis answers within 2 seconds.
    ///
    /// # Errors
    /// Why it does not, in one line.
    pub async fn ping(&self) -> Result<(), String> {
        let asked = async {
            let client = redis::Client::open(self.0.url.expose_secret())?;
            let mut connection = client.get_multiplexed_async_connection().await?;
            redis::cmd("PING").query_async::<String>(&mut connection).await
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("Redis cannot be reached: {error}")),
            Err(_) => Err(format!("Redis did not answer within {} s", PATIENCE.as_secs())),
        }
    }
}

/// The cache of answers, in memory and in Redis, and how old its answers may be, unless more is said of their kind.
pub(super) fn tiers(env: &mut Reader<'_>, redis: Option<&Redis>) -> (freshness::Settings, Duration) {
    env.section("Cache");
    let megabytes: u64 = env
        .get(
            "CACHE_MEMORY_MB",
            "MB",
            "Memory for answers of the three systems, and for what is remembered of changes and of sessions.",
        )
        .number(256, 1..=1_048_576);
    let refresh_within = env
        .get("CACHE_REFRESH_WITHIN", "duration", "How long after its fresh time an answer is shown at once, marked as stale, while it is read anew.")
        .duration("1m", "0s", "1h");
    let stale_within = env
        .get(
            "CACHE_STALE_WITHIN",
            "duration",
            "How old an answer may be, marked as stale, while its system does not answer, unless more is said of its kind.",
        )
        .duration("1d", "0s", "7d");
    let unconfirmed_within = env
        .get(
            "CACHE_UNCONFIRMED_WITHIN",
            "duration",
            "How old an answer may be while Redis is away and this replica cannot know what changed.",
        )
        .duration("5s", "0s", "1m");
    let settings = freshness::Settings {
        memory_bytes: megabytes << 20,
        refresh_within,
        unconfirmed_within,
        redis: redis.map(Redis::settings),
        #[cfg(any(test, feature = "sandbox"))]
        plant_late_capture: false,
        #[cfg(any(test, feature = "sandbox"))]
        plant_lost_owner: false,
    };
    (settings, stale_within)
}

/// How old a mirrored list may be.
pub(super) fn mirror_within(env: &mut Reader<'_>) -> Duration {
    env.get(
        "CACHE_MIRROR_WITHIN",
        "duration",
        "How old the database's copy of invoices and subscriptions may be, marked as stale, while billing does not answer and no cache knows them; 0s to show none.",
    )
    .duration("7d", "0s", "90d")
}

/// Finished answers.
pub(super) fn responses(env: &mut Reader<'_>) -> u64 {
    let megabytes: u64 = env
        .get(
            "CACHE_RESPONSES_MB",
            "MB",
            "Memory for finished answers, which are sent again while nothing in them has changed.",
        )
        .number(64, 1..=1_048_576);
    megabytes << 20
}

/// Times by kind of data (domain reference §27); `stale_within` is for kinds of which nothing is said. Orders whose every
/// change is told need a safety time only.
pub(super) fn times(
    env: &mut Reader<'_>,
    stale_within: Duration,
    tell_orders: bool,
) -> (billing::Times, crm::Times, sim::Times, postal::Times) {
    let orders =
        "the orders of a customer (12h when this is not set and events of the CRM tell of their changes)";
    // What is never shown old, or kept for a short time only, has no second time.
    let invoice = fresh(env, "INVOICE", "the lines of an invoice", "5m");
    let digital = "the addresses behind digital addresses, which their owners may change,";
    let digital = fresh(env, "DIGITAL_ADDRESS", digital, "1m");
    let unknown = fresh(env, "POSTAL_UNKNOWN", "codes that nothing has", "5m");
    let mut time = |name: &str, about: &str, default: &str| {
        Lifetime {
        fresh: fresh(env, name, about, default),
        stale: env
            .get(
                format!("CACHE_{name}_STALE"),
                "duration",
                "How old these may be, marked as stale, while their system does not answer; CACHE_STALE_WITHIN when this is not set.",
            )
            .example("1d")
            .optional_duration("0s", "7d")
            .unwrap_or(stale_within),
    }
    };
    let billing = billing::Times {
        profile: time("PROFILE", "profile and address", "5m"),
        subscriptions: time("SUBSCRIPTIONS", "the subscriptions of a customer", "5m"),
        invoices: time("INVOICES", "the invoices of a customer", "90s"),
        invoice,
        payment_methods: time("PAYMENT_METHODS", "the payment methods of a customer", "15m"),
    };
    let crm = crm::Times {
        orders: time("ORDERS", orders, if tell_orders { "12h" } else { "60s" }),
        cases: time("CASES", "the cases of a customer", "60s"),
        conversation: time("CONVERSATION", "the messages of a case", "30s"),
        account: time("ACCOUNT", "the addresses of customers in Japanese", "5m"),
    };
    let sim = sim::Times {
        line: time("LINE", "state, plan and options of a line", "5m"),
        usage: time("USAGE", "the figures of data used", "60s"),
        quota: time("QUOTA", "the figures of data added", "5m"),
    };
    let code = time("POSTAL", "the places of a postal code", "1d");
    (billing, crm, sim, postal::Times { code, digital, unknown })
}

/// How long a kind counts as fresh.
fn fresh(env: &mut Reader<'_>, name: &str, about: &str, default: &str) -> Duration {
    env.get(format!("CACHE_{name}"), "duration", format!("How long {about} count as fresh."))
        .duration(default, "0s", "1d")
}
