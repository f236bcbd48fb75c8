//! Every setting is documented, every fault is told at once.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::HashMap, net::IpAddr, time::Duration};

use super::*;
use crate::secret::ExposeSecret;

type Env = HashMap<&'static str, String>;

const RSA_KEY: &str = include_str!("../sandbox/keys/salesforce.private.pem");

fn development(folder: &tempfile::TempDir) -> Env {
    let key = folder.path().join("salesforce.pem");
    std::fs::write(&key, RSA_KEY).unwrap();
    HashMap::from([
        ("WHMCS_BASE_URL", "http://127.0.0.1:4101/".to_owned()),
        ("WHMCS_API_IDENTIFIER", "identifier".to_owned()),
        ("WHMCS_API_SECRET", "secret".to_owned()),
        ("SF_LOGIN_URL", "http://127.0.0.1:4102".to_owned()),
        ("SF_CLIENT_ID", "3MVG9".to_owned()),
        ("SF_USERNAME", "gateway@portal.sandbox".to_owned()),
        ("SF_PRIVATE_KEY_PATH", key.display().to_string()),
        ("FREEBIT_BASE_URL", "http://127.0.0.1:4103".to_owned()),
        ("FREEBIT_OEM_ID", "SBXOEM01".to_owned()),
        ("FREEBIT_OEM_KEY", "key".to_owned()),
        ("SMTP_URL", "smtp://127.0.0.1:4105".to_owned()),
        ("MAIL_FROM", "no-reply@portal.example.jp".to_owned()),
    ])
}

fn production(folder: &tempfile::TempDir) -> Env {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use ed25519_dalek::pkcs8::{EncodePrivateKey, spki::der::pem::LineEnding};

    let key = folder.path().join("signing.pem");
    let pem = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).to_pkcs8_pem(LineEnding::LF).unwrap();
    std::fs::write(&key, pem.as_bytes()).unwrap();
    let mut env = development(folder);
    env.extend([
        ("ENVIRONMENT", "production".to_owned()),
        ("PUBLIC_URL", "https://api.example.jp".to_owned()),
        ("WHMCS_BASE_URL", "https://billing.example.jp/whmcs".to_owned()),
        ("SF_LOGIN_URL", "https://login.salesforce.com".to_owned()),
        ("FREEBIT_BASE_URL", "https://i1.mvno.net".to_owned()),
        ("AUTH_SIGNING_KEY_PATH", key.display().to_string()),
        ("AUTH_SECRET", "0123456789abcdef0123456789abcdef".to_owned()),
        ("DATA_KEYS", format!("2:{0},1:{0}", BASE64_STANDARD.encode([7; 32]))),
    ]);
    env
}

fn read(env: &Env) -> Result<Config, Vec<Fault>> {
    Config::from_env(|name| env.get(name).cloned())
}

fn faults(env: &Env) -> Vec<String> {
    read(env).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn the_example_shows_every_setting_and_no_others() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example");
    if std::env::var_os("UPDATE_ENV_EXAMPLE").is_some() {
        std::fs::write(file, Config::example()).unwrap();
    }
    let committed = std::fs::read_to_string(file).unwrap();
    let named: Vec<_> = committed
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('=').map(|(name, _)| name))
        .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .filter(|name| !name.is_empty())
        .collect();
    let settings: Vec<_> = Config::settings().into_iter().map(|setting| setting.name).collect();
    assert_eq!(named, settings);
    assert_eq!(committed, Config::example(), "write it anew: UPDATE_ENV_EXAMPLE=1 cargo test --lib config");
}

#[test]
fn every_setting_is_described_and_named_once() {
    let settings = Config::settings();
    let mut names = std::collections::HashSet::new();
    for setting in &settings {
        assert!(names.insert(&setting.name), "{}", setting.name);
        assert!(setting.about.ends_with('.') && !setting.unit.is_empty(), "{}", setting.name);
        assert!(setting.default.is_some() || !setting.example.is_empty(), "{} has no example", setting.name);
        assert!(!(setting.is_required && setting.default.is_some()), "{}", setting.name);
    }
}

#[test]
fn the_least_that_must_be_set_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let config = read(&development(&folder)).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert_eq!(config.server.listen, "127.0.0.1:4000".parse().unwrap());
    assert_eq!(config.server.public_url, "http://localhost:4000");
    assert_eq!(config.identity.issuer, "http://localhost:4000");
    assert!(config.server.introspection && config.server.graphiql);
    assert_eq!(config.server.log_format, LogFormat::Text);
    assert_eq!(config.server.request_timeout, Duration::from_secs(10));
    assert_eq!(config.limits.body_bytes, 128 * 1024);
    assert_eq!(config.store.url.expose_secret(), "sqlite:data/portal.db");
    assert_eq!(config.whmcs.base_url.as_str(), "http://127.0.0.1:4101/");
    assert_eq!(config.salesforce.login_url, "http://127.0.0.1:4102");
    assert_eq!(
        (config.whmcs.transport.concurrency, config.whmcs.transport.calls_per_minute),
        (15, Some(300))
    );
    assert_eq!((config.freebit.transport.concurrency, config.freebit.transport.calls_per_minute), (5, None));
    assert_eq!(config.salesforce.private_key_pem.expose_secret(), RSA_KEY);
    assert_eq!(config.cache.memory_bytes, 256 << 20);
    assert_eq!(config.case_origins, ["Portal Support"]);
    assert!(config.redis.is_none());
    assert!(config.japan_post.is_none());
}

#[test]
fn the_rooms_own_defaults_are_the_documented_ones() {
    let folder = tempfile::tempdir().unwrap();
    let config = read(&development(&folder)).ok().unwrap();
    let same = |ours: &dyn std::fmt::Debug, theirs: &dyn std::fmt::Debug| {
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    };
    same(&config.billing_times, &billing::Times::default());
    same(&config.crm_times, &crm::Times::default());
    same(&config.sim_times, &sim::Times::default());
    same(&config.postal_times, &postal::Times::default());
    same(&config.cache, &freshness::Settings::default());
    same(&config.events, &events::Settings::default());
    same(&config.jobs, &crate::jobs::Settings::default());
    same(&config.crm_fields, &crm::FieldMap::default());
    same(&config.billing_fields, &billing::CustomFields::default());
    same(&config.whmcs.transport, &crate::upstream::transport::Settings::whmcs());
    same(&config.salesforce.transport, &crate::upstream::transport::Settings::salesforce());
    let freebit = crate::upstream::freebit::Settings::new(
        config.freebit.base_url.clone(),
        config.freebit.oem_id.clone(),
        config.freebit.oem_key.clone(),
    );
    same(&config.freebit, &freebit);
}

#[test]
fn how_old_an_answer_may_be_is_said_for_all_kinds_or_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut env = development(&folder);
    env.insert("CACHE_STALE_WITHIN", "2h".to_owned());
    env.insert("CACHE_USAGE_STALE", "10m".to_owned());
    let config = read(&env).ok().unwrap();
    assert_eq!(config.sim_times.usage.stale, Duration::from_secs(600));
    assert_eq!(config.sim_times.line.stale, Duration::from_secs(7200));
    assert_eq!(config.crm_times.cases.stale, Duration::from_secs(7200));
    env.insert("CACHE_USAGE_STALE", "8d".to_owned());
    let told = faults(&env);
    assert!(told.len() == 1 && told[0].contains("CACHE_USAGE_STALE"), "{told:?}");
}

#[test]
fn orders_stay_fresh_for_long_only_while_events_tell_of_their_changes() {
    let folder = tempfile::tempdir().unwrap();
    let orders = |changes: &[(&'static str, &str)]| {
        let mut env = development(&folder);
        env.extend(changes.iter().map(|(name, value)| (*name, (*value).to_owned())));
        read(&env).unwrap_or_else(|faults| panic!("{faults:?}")).crm_times.orders.fresh
    };
    let (short, long) = (Duration::from_secs(60), Duration::from_secs(12 * 60 * 60));
    assert_eq!(orders(&[]), short);
    assert_eq!(orders(&[("SF_EVENTS_ENABLED", "true")]), long);
    assert_eq!(orders(&[("SF_PUBSUB_ENDPOINT", "http://127.0.0.1:4104")]), long);
    for channel in ["SF_ORDER_CDC_CHANNEL", "SF_ORDER_ITEM_CDC_CHANNEL"] {
        assert_eq!(orders(&[("SF_EVENTS_ENABLED", "true"), (channel, "-")]), short, "nobody tells of them");
        assert_eq!(orders(&[("SF_EVENTS_ENABLED", "true"), (channel, "/data/Portal__chn")]), long);
    }
    assert_eq!(orders(&[("SF_EVENTS_ENABLED", "true"), ("SF_CASE_CDC_CHANNEL", "-")]), long);
    assert_eq!(orders(&[("SF_EVENTS_ENABLED", "true"), ("CACHE_ORDERS", "5m")]), Duration::from_secs(300));
}

#[test]
fn all_faults_are_told_at_once_each_in_one_line_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    let mut env = development(&folder);
    env.remove("WHMCS_API_SECRET");
    env.extend([
        ("BFF_PORT", "http".to_owned()),
        ("REQUEST_TIMEOUT", "10".to_owned()),
        ("CORS_ORIGIN", "https://portal.example.jp, https://portal.example.jp/".to_owned()),
        ("TRUST_PROXY", "10.0.0.0/33".to_owned()),
        ("LOG_FORMAT", "xml".to_owned()),
        ("AUTH_SECRET", "hunter2".to_owned()),
        ("AUTH_ACCESS_LIFETIME", "1h".to_owned()),
        ("DATABASE_URL", "mysql://portal:hunter2@db/portal".to_owned()),
        ("REDIS_URL", "http://:hunter2@redis".to_owned()),
        ("WHMCS_BASE_URL", "billing.example.jp".to_owned()),
        ("SF_PRIVATE_KEY_PATH", "/nowhere/key.pem".to_owned()),
        ("WHMCS_WEBHOOK_SECRETS", "hunter2-hunter2-hunter2-hunter2, hunter2".to_owned()),
        ("SF_FIELD_ORDER_TYPE", "Type' OR '1".to_owned()),
        ("FREEBIT_OEM_ID", "  ".to_owned()),
        ("DATA_KEYS", "1:hunter2".to_owned()),
        ("QUEUE_BACKOFF_MOST", "1s".to_owned()),
        ("SMTP_URL", "smtp://portal:hunter2@mail.example.jp?tls=maybe".to_owned()),
        ("MAIL_FROM", "Portal <no-reply@example.jp>".to_owned()),
    ]);
    let faults = faults(&env);
    assert_eq!(
        faults,
        [
            "BFF_PORT: must be a number from 0 to 65535; for example BFF_PORT=4000",
            "CORS_ORIGIN: must be origins as browsers send them: scheme and host, no slash at the end; \
             for example CORS_ORIGIN=https://portal.example.jp",
            "TRUST_PROXY: must be addresses or networks; for example TRUST_PROXY=10.0.0.0/8",
            "LOG_FORMAT: must be one of text, json; for example LOG_FORMAT=text",
            "REQUEST_TIMEOUT: must be a time from 1s to 2m, with its unit; for example REQUEST_TIMEOUT=10s",
            "DATABASE_URL: must begin with sqlite: or postgres://; \
             for example DATABASE_URL=postgres://portal:password@127.0.0.1:5432/portal",
            "DATA_KEYS: must be numbered keys of 32 bytes in base64; \
             for example DATA_KEYS=1:$(openssl rand -base64 32)",
            "REDIS_URL: must be an address that begins with redis:// or rediss://; \
             for example REDIS_URL=redis://127.0.0.1:6379",
            "AUTH_SECRET: must have at least 32 characters; for example AUTH_SECRET=$(openssl rand -base64 32)",
            "AUTH_ACCESS_LIFETIME: must be a time from 30s to 10m, with its unit; \
             for example AUTH_ACCESS_LIFETIME=10m",
            "WHMCS_BASE_URL: must be an http or https address without user, query and fragment; \
             for example WHMCS_BASE_URL=https://billing.example.jp",
            "WHMCS_API_SECRET: is missing; \
             for example WHMCS_API_SECRET=<the 32 characters shown beside the identifier>",
            "SF_PRIVATE_KEY_PATH: the file \"/nowhere/key.pem\" cannot be read: \
             No such file or directory (os error 2); \
             for example SF_PRIVATE_KEY_PATH=/run/secrets/salesforce.pem",
            "SF_FIELD_ORDER_TYPE: is not the API name of a field; for example SF_FIELD_ORDER_TYPE=Order_Type__c",
            "FREEBIT_OEM_ID: is missing; for example FREEBIT_OEM_ID=OEM00001",
            "WHMCS_WEBHOOK_SECRETS: must be secrets of at least 24 bytes; \
             for example WHMCS_WEBHOOK_SECRETS=$(openssl rand -hex 32)",
            "QUEUE_BACKOFF_MOST: must not be shorter than QUEUE_BACKOFF_DELAY; \
             for example QUEUE_BACKOFF_MOST=10m",
            "SMTP_URL: must be smtps://… or smtp://…?tls=required; \
             for example SMTP_URL=smtps://portal:password@mail.example.jp",
            "MAIL_FROM: must be one e-mail address, without a name; \
             for example MAIL_FROM=no-reply@portal.example.jp",
        ]
    );
    assert!(!faults.join("\n").contains("hunter2"));
}

#[test]
fn production_refuses_test_endpoints_and_secrets_of_our_own_making() {
    let folder = tempfile::tempdir().unwrap();
    let good = read(&production(&folder)).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert!(!good.server.introspection && !good.server.graphiql);
    assert_eq!(good.server.log_format, LogFormat::Json);

    let mut env = development(&folder);
    env.insert("ENVIRONMENT", "production".to_owned());
    env.insert("CORS_ORIGIN", "http://localhost:5173".to_owned());
    env.remove("SF_LOGIN_URL");
    assert_eq!(
        faults(&env),
        [
            "PUBLIC_URL: must be an https address in production; for example PUBLIC_URL=https://api.example.jp",
            "CORS_ORIGIN: must be https origins in production; for example CORS_ORIGIN=https://portal.example.jp",
            "DATA_KEYS: is missing, and production does not make its own; \
             for example DATA_KEYS=1:$(openssl rand -base64 32)",
            "AUTH_SECRET: is missing, and production does not make its own; \
             for example AUTH_SECRET=$(openssl rand -base64 32)",
            "WHMCS_BASE_URL: must be an https address in production; \
             for example WHMCS_BASE_URL=https://billing.example.jp",
            "SF_LOGIN_URL: is a test endpoint, but ENVIRONMENT is production; \
             for example SF_LOGIN_URL=https://login.salesforce.com",
            "FREEBIT_BASE_URL: must be an https address in production; \
             for example FREEBIT_BASE_URL=https://i1.mvno.net",
        ]
    );

    for (name, value) in [
        ("SF_LOGIN_URL", "https://acme--uat.sandbox.my.salesforce.com"),
        ("WHMCS_BASE_URL", "https://localhost"),
        ("WHMCS_BASE_URL", "https://[::1]:4101"),
        ("FREEBIT_BASE_URL", "https://freebit.test"),
    ] {
        let mut env = production(&folder);
        env.insert(name, value.to_owned());
        let faults = faults(&env);
        assert!(faults.len() == 1 && faults[0].contains("is a test endpoint"), "{faults:?}");
    }
    let mut env = production(&folder);
    env.insert("INTROSPECTION", "true".to_owned());
    assert!(read(&env).ok().unwrap().server.introspection, "on by configuration");
}

#[test]
fn development_refuses_the_production_crm() {
    let folder = tempfile::tempdir().unwrap();
    for (address, is_good) in [
        ("https://login.salesforce.com", false),
        ("https://acme.my.salesforce.com", false),
        ("https://test.salesforce.com", true),
        ("https://acme--uat.sandbox.my.salesforce.com", true),
    ] {
        let mut env = development(&folder);
        env.insert("SF_LOGIN_URL", address.to_owned());
        assert_eq!(faults(&env).is_empty(), is_good, "{address}");
    }
}

#[test]
fn the_crm_key_may_be_given_as_text_but_not_twice() {
    use base64::{Engine, prelude::BASE64_STANDARD};

    let folder = tempfile::tempdir().unwrap();
    let mut env = development(&folder);
    env.insert("SF_PRIVATE_KEY_BASE64", BASE64_STANDARD.encode(RSA_KEY));
    assert!(faults(&env)[0].contains("choose one"));
    env.remove("SF_PRIVATE_KEY_PATH");
    let config = read(&env).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert_eq!(config.salesforce.private_key_pem.expose_secret(), RSA_KEY);
    env.remove("SF_PRIVATE_KEY_BASE64");
    assert!(faults(&env)[0].starts_with("SF_PRIVATE_KEY_PATH: is missing, and so is SF_PRIVATE_KEY_BASE64"));
}

#[test]
fn postal_look_up_is_set_up_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let whole = [
        ("JAPAN_POST_BASE_URL", "http://127.0.0.1:4106"),
        ("JAPAN_POST_CLIENT_ID", "client"),
        ("JAPAN_POST_SECRET_KEY", "hunter2"),
        ("JAPAN_POST_SOURCE_ADDRESS", "192.0.2.7"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    let mut env = development(&folder);
    env.extend(whole.clone());
    let settings = read(&env).ok().unwrap().japan_post.unwrap();
    assert_eq!(format!("{:?}", settings.transport), {
        format!("{:?}", crate::upstream::transport::Settings::japan_post())
    });
    for (name, _) in &whole {
        let mut env = env.clone();
        env.remove(name);
        let faults = faults(&env);
        assert!(
            faults.len() == 1 && faults[0].starts_with(&format!("{name}: is missing, but ")),
            "{faults:?}"
        );
    }
    env.insert("JAPAN_POST_SOURCE_ADDRESS", "gateway.example.jp".to_owned());
    assert_eq!(
        faults(&env),
        [
            "JAPAN_POST_SOURCE_ADDRESS: must be an IP address; for example JAPAN_POST_SOURCE_ADDRESS=203.0.113.10"
        ]
    );
    let mut env = production(&folder);
    env.extend(whole);
    env.insert("JAPAN_POST_BASE_URL", "https://stub-qz73x.da.pf.japanpost.jp".to_owned());
    assert!(faults(&env)[0].contains("is a test endpoint"));
}

#[test]
fn a_captcha_is_set_up_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    assert!(read(&development(&folder)).ok().unwrap().captcha.is_none());
    let whole = [
        ("CAPTCHA_VERIFY_URL", "https://captcha.example.jp/siteverify"),
        ("CAPTCHA_SECRET", "hunter2"),
        ("CAPTCHA_SITE_KEY", "key"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    let mut env = development(&folder);
    env.extend(whole.clone());
    env.insert("CAPTCHA_HOSTNAMES", "Portal.example.jp, www.example.jp".to_owned());
    let config = read(&env).ok().unwrap();
    let rule = config.identity.captcha.unwrap();
    assert_eq!((rule.after, rule.is_always_on, rule.site_key.as_str()), (3, false, "key"));
    assert_eq!(rule.hostnames, ["portal.example.jp", "www.example.jp"]);
    assert_eq!(config.captcha.unwrap().verify_url.as_str(), "https://captcha.example.jp/siteverify");
    for (name, _) in &whole {
        let mut env = env.clone();
        env.remove(name);
        let faults = faults(&env);
        assert!(
            faults.iter().all(|fault| fault.starts_with(&format!("{name}: is missing, but "))),
            "{faults:?}"
        );
        assert!(!faults.is_empty());
    }
    for odd in
        ["https://portal.example.jp", "portal.example.jp:4400", "portal.example.jp,x y", "portal.example.jp/"]
    {
        let mut env = env.clone();
        env.insert("CAPTCHA_HOSTNAMES", odd.to_owned());
        assert!(faults(&env)[0].starts_with("CAPTCHA_HOSTNAMES: "), "{odd}");
    }
    let mut alone = development(&folder);
    alone.insert("AUTH_CAPTCHA_ALWAYS_ON", "true".to_owned());
    assert_eq!(
        faults(&alone),
        ["CAPTCHA_VERIFY_URL: is missing, but AUTH_CAPTCHA_ALWAYS_ON is true; for example \
         CAPTCHA_VERIFY_URL=https://hcaptcha.com/siteverify"]
    );

    let mut env = production(&folder);
    env.extend(whole);
    assert!(read(&env).is_ok());
    env.insert("CAPTCHA_VERIFY_URL", "http://captcha.example.jp/siteverify".to_owned());
    assert!(faults(&env)[0].contains("https"));
    env.insert("CAPTCHA_VERIFY_URL", "https://captcha.example.jp/siteverify".to_owned());
    env.insert("CAPTCHA_SECRET", "1x0000000000000000000000000000000AA".to_owned());
    let faults = faults(&env);
    assert!(faults[0].contains("for tests") && !faults[0].contains("1x0000"), "{faults:?}");
}

#[test]
fn an_address_is_in_its_network() {
    let holds = |network: &str, address: &str| {
        Network::parse(network).unwrap().contains(address.parse::<IpAddr>().unwrap())
    };
    assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
    assert!(holds("10.1.2.3", "10.1.2.3") && !holds("10.1.2.3", "10.1.2.4"));
    assert!(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "2001:db8::1"));
    assert!(holds("2001:db8::/32", "2001:db8:ffff::1") && !holds("2001:db8::/32", "2001:db9::1"));
    assert!(holds("10.0.0.0/8", "::ffff:10.0.0.1") && holds("::/0", "2001:db8::1"));
    for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "proxy", "10.0.0.0/-1"] {
        assert_eq!(Network::parse(text), None, "{text}");
    }
}

#[test]
fn mails_leave_in_plaintext_only_in_development_or_to_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    for (url, in_production) in [
        ("smtps://portal:password@mail.example.jp", true),
        ("smtp://mail.example.jp:587?tls=required", true),
        ("smtp://127.0.0.1:25", true),
        ("smtp://localhost", true),
        ("smtp://mail.example.jp", false),
    ] {
        for (mut env, is_good) in [(development(&folder), true), (production(&folder), in_production)] {
            env.insert("SMTP_URL", url.to_owned());
            assert_eq!(faults(&env).is_empty(), is_good, "{url}");
        }
    }
}

#[test]
fn two_data_keys_of_one_number_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut env = production(&folder);
    let twice = env["DATA_KEYS"].replace("2:", "1:");
    env.insert("DATA_KEYS", twice);
    assert_eq!(
        faults(&env),
        ["DATA_KEYS: has two keys of one number; for example DATA_KEYS=1:$(openssl rand -base64 32)"]
    );
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_one_line_without_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let mut env = development(&folder);
    env.insert("REDIS_URL", "redis://:hunter2@127.0.0.1:1".to_owned());
    let line = read(&env).ok().unwrap().redis.unwrap().ping().await.unwrap_err();
    assert!(line.starts_with("Redis cannot be reached: ") && !line.contains("hunter2"), "{line}");
}
