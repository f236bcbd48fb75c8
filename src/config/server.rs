//! The HTTP door, logs, and what a document may cost.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::config::reader::{Reader, bare};

/// Whether real customers are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// A developer's machine, or a test installation.
    Development,
    /// Real customers, real systems.
    Production,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a person's eyes.
    Text,
}

/// An address with the length of its network: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32` or a single address; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address.parse().ok()?, Some(prefix.parse().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let longest = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        let prefix = prefix.unwrap_or(longest);
        (prefix <= longest).then_some(Self { address, prefix })
    }

    /// Whether an address lies in it. An IPv4 address in IPv6 clothes counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let prefix = u32::from(self.prefix);
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (ours.to_bits() ^ theirs.to_bits()).checked_shr(32 - prefix).unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                (ours.to_bits() ^ theirs.to_bits()).checked_shr(128 - prefix).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// The HTTP door.
#[derive(Clone, Debug)]
pub struct Server {
    /// Whether real customers are served.
    pub environment: Environment,
    /// Where the API listens.
    pub listen: SocketAddr,
    /// The address under which browsers know us, without a slash at its end.
    pub public_url: String,
    /// Origins of the web pages that may call us with a person's cookies.
    pub cors_origins: Vec<String>,
    /// Proxies whose word on a client's address is believed.
    pub trusted_proxies: Vec<Network>,
    /// Which log lines are written, as `tracing` filters them.
    pub log_level: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Whether `__schema` is answered.
    pub introspection: bool,
    /// Whether a request with `x-explain: 1` is told what each path of its answer cost.
    pub explain: bool,
    /// Whether GraphiQL is served.
    pub graphiql: bool,
    /// A request's whole time.
    pub request_timeout: Duration,
    /// How long accepted requests may finish after the signal to stop.
    pub shutdown_grace: Duration,
}

impl Server {
    pub(super) fn read(env: &mut Reader<'_>) -> Self {
        env.section("Server");
        let environment = env
            .get("ENVIRONMENT", "development or production", "Whether real customers are served. Production refuses test endpoints, and development refuses the production CRM.")
            .choice(
                "development",
                &[("development", Environment::Development), ("production", Environment::Production)],
            );
        let is_production = environment == Environment::Production;
        let port: u16 = env.get("BFF_PORT", "port", "Where the API listens.").number(4000, 0..=u16::MAX);
        let address: IpAddr = env
            .get("BIND", "address", "The network interface on which the API listens; 0.0.0.0 for all.")
            .parse_or("127.0.0.1", |text| text.parse().map_err(|_| "must be an IP address".to_owned()));
        let public_url = env
            .get("PUBLIC_URL", "address", "The address under which browsers and partners know the gateway.")
            .example("https://api.example.jp")
            .address("http://localhost:4000");
        if is_production && public_url.scheme() != "https" {
            env.refuse("PUBLIC_URL", "must be an https address in production");
        }
        let cors_origins = env
            .get("CORS_ORIGIN", "list of origins", "Web pages that may call the API with a person's cookies. None but the gateway's own when it is empty.")
            .example("https://portal.example.jp")
            .list("", |text| origin(text, is_production));
        let trusted_proxies = env
            .get(
                "TRUST_PROXY",
                "list of addresses or networks",
                "Proxies whose X-Forwarded-For is believed. None when it is empty.",
            )
            .example("10.0.0.0/8")
            .list("", |text| Network::parse(text).ok_or_else(|| "must be addresses or networks".to_owned()));
        let log_level = env
            .get("LOG_LEVEL", "tracing filter", "Which log lines are written: a level, or levels by module.")
            .example("info,portal_gateway=debug")
            .parse_or("info", |text| {
                tracing_subscriber::EnvFilter::try_new(text)
                    .map(|_| text.to_owned())
                    .map_err(|_| "is not a filter of log lines".to_owned())
            });
        let log_format = env
            .get("LOG_FORMAT", "text or json", "How log lines look. In production the default is json.")
            .choice("text", &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
        let introspection = env
            .get(
                "INTROSPECTION",
                "true or false",
                "Whether the schema can be asked for. In production the default is false.",
            )
            .flag(true);
        let explain = env
            .get(
                "EXPLAIN",
                "true or false",
                "Whether a request with the header x-explain: 1 is told what its answer cost. In production the default is false.",
            )
            .flag(true);
        let graphiql = env
            .get(
                "GRAPHIQL",
                "true or false",
                "Whether GraphiQL is served. In production the default is false.",
            )
            .flag(true);
        let request_timeout = env
            .get("REQUEST_TIMEOUT", "duration", "A request's whole time; no upstream call outlives it.")
            .duration("10s", "1s", "2m");
        let shutdown_grace = env
            .get(
                "SHUTDOWN_GRACE",
                "duration",
                "How long accepted requests may finish after the signal to stop.",
            )
            .duration("20s", "0s", "5m");
        let unless_set = |name: &str, here: bool| if is_production { env.is_set(name) && here } else { here };
        Self {
            environment,
            listen: SocketAddr::new(address, port),
            cors_origins,
            trusted_proxies,
            log_level,
            log_format: if is_production && !env.is_set("LOG_FORMAT") { LogFormat::Json } else { log_format },
            introspection: unless_set("INTROSPECTION", introspection),
            explain: unless_set("EXPLAIN", explain),
            graphiql: unless_set("GRAPHIQL", graphiql),
            // Whoever moves the port of a development gateway means its address, too.
            public_url: if env.is_set("PUBLIC_URL") {
                bare(&public_url).to_owned()
            } else {
                format!("http://localhost:{port}")
            },
            request_timeout,
            shutdown_grace,
        }
    }
}

/// An origin as a browser sends it: scheme, host and port, no path.
fn origin(text: &str, is_production: bool) -> Result<String, String> {
    let origin = url::Url::parse(text).map(|url| url.origin().ascii_serialization());
    if origin.as_deref() != Ok(text) || !text.starts_with("http") {
        return Err("must be origins as browsers send them: scheme and host, no slash at the end".to_owned());
    }
    if is_production && !text.starts_with("https://") {
        return Err("must be https origins in production".to_owned());
    }
    Ok(text.to_owned())
}
