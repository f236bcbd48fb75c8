//! `check`: reads the configuration and tries every system.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use portal_gateway::{
    app::{self, BuildError, Upstreams},
    clock::Clock,
    config::Config,
    deadline::{Budget, Lane},
    identity::{Ground, Identity},
    jobs::Queue,
    mail::Mailer,
    store::Store,
    upstream::{Kind, salesforce::pubsub},
};
use tokio::time::timeout;

/// How long each system may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lists every fault; the exit code tells whether there is any.
pub async fn run() -> anyhow::Result<ExitCode> {
    let config = match super::configuration() {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    super::install_tls()?;
    println!("ok     configuration");
    let upstreams = Upstreams::new(&config, &Clock::system())?;
    let budget = Budget::new(PATIENCE, Lane::Background);
    let (database, redis, billing, crm, bus, sim, postal, captcha, mail) = tokio::join!(
        database(&config),
        redis(&config),
        async { upstreams.whmcs.whmcs_details(budget).await.map_err(|error| error.to_string()) },
        crm(&config, &upstreams, budget),
        bus(&config, &upstreams),
        async { upstreams.freebit.warm_up(budget).await.map_err(|error| error.to_string()) },
        postal(&upstreams, budget),
        captcha(&upstreams, budget),
        mail(&config),
    );
    let mut faults = 0;
    let mut report = |what: &str, outcome: Result<String, String>| match outcome {
        Ok(detail) => println!("ok     {what}{detail}"),
        Err(reason) => {
            faults += 1;
            println!("FAULT  {what}: {reason}");
        }
    };
    report("database and keys", database.map(|()| String::new()));
    report("redis", redis);
    report("billing (WHMCS)", billing.map(|version| format!(" {version}")));
    report("CRM (Salesforce)", crm);
    report("events of the CRM (Pub/Sub)", bus);
    report("mobile network (Freebit)", sim.map(|()| String::new()));
    report("postal look-up (Japan Post)", postal);
    report("CAPTCHA", captcha);
    report("mail server", mail.map(|()| String::new()));
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn database(config: &Config) -> Result<(), String> {
    let store = Store::connect(&config.store).await.map_err(|error| error.to_string())?;
    let tried = try_keys(config, &store).await.map_err(|error| error.to_string());
    store.close().await;
    tried
}

/// Reads the keys of the database and of the sessions, or makes them where the gateway would.
async fn try_keys(config: &Config, store: &Store) -> Result<(), BuildError> {
    store.ping().await?;
    let keys = app::data_keys(config, store).await?;
    let clock = Clock::system();
    let jobs = Queue::new(store.clone(), keys.clone(), clock.clone());
    let ground = Ground { store: store.clone(), jobs, keys, redis: None, clock, captcha: None };
    Identity::new(ground, &config.identity).map(drop).map_err(BuildError::keys)
}

async fn mail(config: &Config) -> Result<(), String> {
    let mailer = Mailer::new(config.mail.clone(), Clock::system()).map_err(|error| error.to_string())?;
    mailer.reach().await
}

async fn postal(upstreams: &Upstreams, budget: Budget) -> Result<String, String> {
    match &upstreams.japan_post {
        Some(client) => {
            client.warm_up(budget).await.map(|()| String::new()).map_err(|error| error.to_string())
        }
        None => Ok(" (not configured)".to_owned()),
    }
}

async fn captcha(upstreams: &Upstreams, budget: Budget) -> Result<String, String> {
    match &upstreams.captcha {
        Some(client) => {
            client.warm_up(budget).await.map(|()| String::new()).map_err(|error| match error.kind {
                Kind::Session => "the service refuses CAPTCHA_SECRET".to_owned(),
                _ => format!("CAPTCHA_VERIFY_URL: {}", error.kind),
            })
        }
        None => Ok(" (not configured)".to_owned()),
    }
}

async fn redis(config: &Config) -> Result<String, String> {
    match &config.redis {
        Some(redis) => redis.ping().await.map(|()| String::new()),
        None => Ok(" (not configured)".to_owned()),
    }
}

/// Logs in, and holds the field map against the objects as the CRM describes them.
async fn crm(config: &Config, upstreams: &Upstreams, budget: Budget) -> Result<String, String> {
    let mut used: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (object, field) in config.crm_fields.used() {
        used.entry(object).or_default().push(field);
    }
    let mut missing = Vec::new();
    for (object, fields) in used {
        let description =
            upstreams.salesforce.describe(budget, object).await.map_err(|error| error.to_string())?;
        let has = |name: &str| description.fields.iter().any(|field| field.name == name);
        missing.extend(fields.into_iter().filter(|name| !has(name)).map(|name| format!("{object}.{name}")));
    }
    if missing.is_empty() {
        Ok(String::new())
    } else {
        Err(format!("fields that it does not have: {}", missing.join(", ")))
    }
}

/// Asks the event bus for every channel that is to be read.
async fn bus(config: &Config, upstreams: &Upstreams) -> Result<String, String> {
    let Some(settings) = &config.crm_events else { return Ok(" (not configured)".to_owned()) };
    let bus = pubsub::Client::new(settings.bus.clone(), &upstreams.salesforce)
        .map_err(|misconfigured| misconfigured.to_string())?;
    for channel in &settings.channels {
        let topic = timeout(PATIENCE, bus.topic(channel)).await;
        let topic = topic.map_err(|_| format!("it did not answer within {} s", PATIENCE.as_secs()))?;
        if !topic.map_err(|error| format!("{channel}: {error}"))?.can_subscribe {
            return Err(format!("{channel}: this user may not subscribe to it"));
        }
    }
    Ok(format!(" {} channels", settings.channels.len()))
}
