//! The systems: where they are, how the gateway proves itself, and what they can bear.

use std::{net::IpAddr, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use url::Url;

use crate::{
    billing,
    config::{
        reader::{Reader, bare, read_file},
        server::Environment,
    },
    crm, postal,
    secret::SecretString,
    upstream::{freebit, japan_post, salesforce, transport, whmcs},
};

/// The billing system, and what it calls things in this installation.
pub(super) fn whmcs(
    env: &mut Reader<'_>,
    environment: Environment,
) -> (whmcs::Settings, billing::CustomFields) {
    env.section("Billing (WHMCS)");
    let base_url = env
        .get(
            "WHMCS_BASE_URL",
            "address",
            "Where the billing system is; the folder that holds includes/api.php.",
        )
        .required("https://billing.example.jp")
        .required_address();
    refuse_foreign(env, "WHMCS_BASE_URL", &base_url, environment);
    let settings = whmcs::Settings {
        base_url,
        identifier: env
            .get("WHMCS_API_IDENTIFIER", "text", "The identifier of the API credential.")
            .required("D4j1dKYE3g40VROOPCGyJ9zRwP0ADJIv")
            .text(),
        secret: env
            .get("WHMCS_API_SECRET", "text", "The secret of the API credential.")
            .required("<the 32 characters shown beside the identifier>")
            .secret_text(),
        transport: bearable(env, "WHMCS", transport::Settings::whmcs()),
    };
    let fields = billing::CustomFields {
        customer_number: env
            .get(
                "WHMCS_FIELD_CUSTOMER_NUMBER",
                "id",
                "The custom client field that holds the customer number.",
            )
            .number(198, 1..=u64::from(u32::MAX)),
        birth_date: env
            .get("WHMCS_FIELD_BIRTH_DATE", "id", "The custom client field that holds the birth date.")
            .number(201, 1..=u64::from(u32::MAX)),
        gender: env
            .get("WHMCS_FIELD_GENDER", "id", "The custom client field that holds the gender.")
            .number(202, 1..=u64::from(u32::MAX)),
        nationality: env
            .get("WHMCS_FIELD_NATIONALITY", "id", "The custom client field that holds the nationality.")
            .number(203, 1..=u64::from(u32::MAX)),
    };
    (settings, fields)
}

/// The CRM.
pub(super) fn salesforce(env: &mut Reader<'_>, environment: Environment) -> salesforce::Settings {
    env.section("CRM (Salesforce)");
    let login_url = env
        .get(
            "SF_LOGIN_URL",
            "address",
            "Where the gateway logs in. The default is the test login; production must be named.",
        )
        .example("https://login.salesforce.com")
        .address("https://test.salesforce.com");
    refuse_foreign(env, "SF_LOGIN_URL", &login_url, environment);
    let client_id = env
        .get("SF_CLIENT_ID", "text", "The consumer key of the connected app.")
        .required("3MVG9<and so on>")
        .text();
    let username = env
        .get("SF_USERNAME", "text", "The user as whom the gateway acts.")
        .required("gateway@example.jp")
        .text();
    let from_file = env
            .get("SF_PRIVATE_KEY_PATH", "file", "The RSA key whose certificate the connected app holds, in PEM. This or SF_PRIVATE_KEY_BASE64 is required.")
            .example("/run/secrets/salesforce.pem")
            .parse(|path| rsa_key(read_file(path)?));
    let from_text = env
        .get("SF_PRIVATE_KEY_BASE64", "base64", "The same key, its PEM text encoded in base64.")
        .example("$(base64 --wrap=0 salesforce.pem)")
        .secret()
        .parse(|text| {
            let pem = BASE64_STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            rsa_key(pem.ok_or_else(|| "is not base64 of a PEM text".to_owned())?)
        });
    match (env.is_set("SF_PRIVATE_KEY_PATH"), env.is_set("SF_PRIVATE_KEY_BASE64")) {
        (false, false) => {
            env.refuse("SF_PRIVATE_KEY_PATH", "is missing, and so is SF_PRIVATE_KEY_BASE64");
        }
        (true, true) => env.refuse("SF_PRIVATE_KEY_BASE64", "is set beside SF_PRIVATE_KEY_PATH: choose one"),
        _ => {}
    }
    // Whoever asks the CRM has asked Redis before, each for itself.
    let gather_within = if env.is_set("REDIS_URL") { "1ms" } else { "0ms" };
    salesforce::Settings {
        login_url: bare(&login_url).to_owned(),
        client_id,
        username,
        private_key_pem: from_file.or(from_text).unwrap_or_default(),
        api_version: env.get("SF_API_VERSION", "version", "The version of the interface.").parse_or(
            "67.0",
            |text| {
                let parts = text.split_once('.').map(|(major, minor)| (major.parse::<u16>(), minor));
                match parts {
                    Some((Ok(_), "0")) => Ok(text.to_owned()),
                    _ => Err("must be a version such as 67.0".to_owned()),
                }
            },
        ),
        token_ttl: Duration::from_millis(
            env.get(
                "SF_TOKEN_TTL_MS",
                "milliseconds",
                "How long a session is used before a new one is made.",
            )
            .number(720_000, 60_000..=43_200_000),
        ),
        gather_within: env
            .get(
                "SF_GATHER_WITHIN",
                "duration",
                "How long a query waits for others to travel with in one call; 1ms when REDIS_URL is set, since what is asked together then comes a little apart.",
            )
            .duration(gather_within, "0ms", "50ms"),
        shed_background_at: env
            .get(
                "SF_SHED_BACKGROUND_AT",
                "percent",
                "The share of the daily allowance from which background calls are shed.",
            )
            .number(80, 1..=100),
        shed_partner_at: env
            .get(
                "SF_SHED_PARTNER_AT",
                "percent",
                "The share of the daily allowance from which partners' calls are shed.",
            )
            .number(95, 1..=100),
        transport: bearable(env, "SF", transport::Settings::salesforce()),
    }
}

/// The mobile network.
pub(super) fn freebit(env: &mut Reader<'_>, environment: Environment) -> freebit::Settings {
    env.section("Mobile network (Freebit)");
    let base_url = env
        .get(
            "FREEBIT_BASE_URL",
            "address",
            "Where the mobile network's interface is: the host that came with the contract.",
        )
        .required("https://i1.mvno.net")
        .required_address();
    refuse_foreign(env, "FREEBIT_BASE_URL", &base_url, environment);
    let oem_id = env.get("FREEBIT_OEM_ID", "text", "The partner's identifier.").required("OEM00001").text();
    let oem_key = env
        .get("FREEBIT_OEM_KEY", "text", "The partner's secret.")
        .required("<the key that came with the contract>")
        .secret_text();
    let default = freebit::Settings::new(base_url, oem_id, oem_key);
    let mut path = |name: &str, call: &str, default: &str| {
        env.get(format!("FREEBIT_PATH_{name}"), "path", format!("The path of the call {call}.")).parse_or(
            default,
            |text| {
                let is_path = text.starts_with('/') && !text.contains(['?', '#', ' ']);
                if is_path {
                    Ok(text.to_owned())
                } else {
                    Err("must be a path that begins with /".to_owned())
                }
            },
        )
    };
    let paths = freebit::Paths {
        auth_oem: path("AUTH", "that gives a key", &default.paths.auth_oem),
        get_detail: path("DETAIL", "that tells the state of a line", &default.paths.get_detail),
        get_traffic_info: path("TRAFFIC", "that tells the data used", &default.paths.get_traffic_info),
        get_quota_history: path(
            "QUOTA_HISTORY",
            "that tells the data added",
            &default.paths.get_quota_history,
        ),
    };
    let mut codes = |name: &str, meaning: &str, default: &[String]| {
        env.get(
            format!("FREEBIT_CODES_{name}"),
            "list of codes",
            format!("Failure codes that mean: {meaning}."),
        )
        .list(&default.join(","), |text| {
            let is_code = text.chars().all(|c| c.is_ascii_alphanumeric());
            if is_code { Ok(text.to_owned()) } else { Err("must be codes of letters and digits".to_owned()) }
        })
    };
    let codes = freebit::Codes {
        session: codes("SESSION", "the key or the credentials are refused", &default.codes.session),
        absent: codes("ABSENT", "there is no such line", &default.codes.absent),
        busy: codes("BUSY", "too many requests", &default.codes.busy),
        transient: codes("TRANSIENT", "the carrier fails for the moment", &default.codes.transient),
    };
    freebit::Settings {
        auth_ttl: env
            .get("FREEBIT_AUTH_TTL", "duration", "How long a key is used before a new one is asked for.")
            .duration("50m", "1m", "1d"),
        detail_version: Some(
            env.get(
                "FREEBIT_DETAIL_VERSION",
                "text",
                "The version that the carrier assigned to the account detail; - to leave it out.",
            )
            .text_or("2"),
        )
        .filter(|version| version != "-"),
        paths,
        codes,
        transport: bearable(env, "FREEBIT", transport::Settings::freebit()),
        ..default
    }
}

/// Postal look-up, and how often one client may ask for it; without settings when it is not set up.
pub(super) fn japan_post(
    env: &mut Reader<'_>,
    environment: Environment,
) -> (Option<japan_post::Settings>, u32) {
    env.section("Postal look-up (Japan Post)");
    let base_url = env
        .get(
            "JAPAN_POST_BASE_URL",
            "address",
            "Where the Digital Address API is. Without it postal look-up answers NOT_CONFIGURED; with it the next three are required.",
        )
        .example("https://api.da.pf.japanpost.jp")
        .optional_address();
    if let Some(base_url) = &base_url {
        refuse_foreign(env, "JAPAN_POST_BASE_URL", base_url, environment);
    }
    let client_id = env
        .get("JAPAN_POST_CLIENT_ID", "text", "The identifier of the client.")
        .example("<the identifier shown for the system>")
        .optional();
    let secret_key = env
        .get("JAPAN_POST_SECRET_KEY", "text", "The secret of the client.")
        .example("<the secret shown beside the identifier>")
        .secret()
        .optional();
    let source_address = env
        .get(
            "JAPAN_POST_SOURCE_ADDRESS",
            "IP address",
            "The address from which the gateway calls, as it was registered for the client.",
        )
        .example("203.0.113.10")
        .parse(|text| text.parse::<IpAddr>().map_err(|_| "must be an IP address".to_owned()));
    for name in ["JAPAN_POST_CLIENT_ID", "JAPAN_POST_SECRET_KEY", "JAPAN_POST_SOURCE_ADDRESS"] {
        match (env.is_set("JAPAN_POST_BASE_URL"), env.is_set(name)) {
            (true, false) => env.refuse(name, "is missing, but JAPAN_POST_BASE_URL is set"),
            (false, true) => env.refuse("JAPAN_POST_BASE_URL", format!("is missing, but {name} is set")),
            _ => {}
        }
    }
    let transport = bearable(env, "JAPAN_POST", transport::Settings::japan_post());
    let per_minute = env
        .get(
            "POSTAL_LOOKUPS_PER_MINUTE",
            "look-ups a minute",
            "Postal look-ups of one client address, on one replica; a third of them may come at once.",
        )
        .number(postal::LOOKUPS_PER_MINUTE, 1..=1_000_000);
    let settings = base_url.zip(client_id).zip(secret_key).zip(source_address);
    let settings = settings.map(|(((base_url, client_id), secret_key), source_address)| {
        japan_post::Settings { base_url, client_id, secret_key: secret_key.into(), source_address, transport }
    });
    (settings, per_minute)
}

/// What the CRM calls things in this installation.
pub(super) fn crm(env: &mut Reader<'_>) -> (crm::FieldMap, Vec<String>, crm::Words) {
    let origins = env
        .get("SF_CASE_ORIGINS", "list of texts", "Origins of the cases that customers may see.")
        .list("Portal Support", |text| Ok(text.to_owned()));
    let usual = crm::Words::default();
    let words = crm::Words {
        staff_origin: env
            .get("SF_STAFF_CASE_ORIGIN", "text", "The origin of the cases that the gateway opens for staff.")
            .text_or(&usual.staff_origin),
        check_origin: env
            .get(
                "SF_CHECK_CASE_ORIGIN",
                "text",
                "The origin of the cases in which staff check what internet can be had at an address.",
            )
            .text_or(&usual.check_origin),
        introduction_stage: env
            .get("SF_STAGE_INTRODUCTION", "text", "The first stage of an opportunity.")
            .text_or(&usual.introduction_stage),
    };
    env.section("Field map of the CRM");
    let mut fields = crm::FieldMap::default();
    for (logical, object, default) in crm::FieldMap::FIELDS {
        let name = env
            .get(
                format!("SF_FIELD_{}", logical.to_uppercase()),
                "field name",
                format!("The field of {object} that means {}.", logical.replace('_', " ")),
            )
            .parse_or(default, |text| {
                let is_name = text.len() <= 80
                    && text.starts_with(|c: char| c.is_ascii_alphabetic())
                    && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                if is_name { Ok(text.to_owned()) } else { Err("is not the API name of a field".to_owned()) }
            });
        fields.set(logical, name);
    }
    (fields, origins, words)
}

/// What a system can bear; the thresholds of breaker and retries are not for operators.
pub(super) fn bearable(
    env: &mut Reader<'_>,
    system: &str,
    default: transport::Settings,
) -> transport::Settings {
    let mut get = |name: &str, unit, about: &str| -> u32 {
        let known = match name {
            "CONCURRENCY" => u32::try_from(default.concurrency).unwrap_or(5),
            "CALLS_PER_MINUTE" => default.calls_per_minute.unwrap_or(0),
            _ => u32::try_from(default.queue).unwrap_or(200),
        };
        let least = u32::from(name == "CONCURRENCY");
        env.get(format!("{system}_{name}"), unit, about).number(known, least..=1_000_000)
    };
    let concurrency = get("CONCURRENCY", "calls", "Calls in flight at once.");
    let per_minute = get("CALLS_PER_MINUTE", "calls a minute", "Calls in a minute; 0 for no limit.");
    let queue = get("QUEUE", "calls", "Calls that may wait for their turn.");
    transport::Settings {
        concurrency: concurrency as usize,
        calls_per_minute: (per_minute > 0).then_some(per_minute),
        queue: queue as usize,
        call_timeout: env
            .get(
                format!("{system}_TIMEOUT"),
                "duration",
                "The longest that one call may take, queue and retries included.",
            )
            .duration(&format!("{}s", default.call_timeout.as_secs()), "100ms", "10m"),
        connect_timeout: env
            .get(format!("{system}_CONNECT_TIMEOUT"), "duration", "The longest wait for a connection.")
            .duration("2s", "50ms", "1m"),
        ..default
    }
}

fn rsa_key(pem: String) -> Result<SecretString, String> {
    match jsonwebtoken::EncodingKey::from_rsa_pem(pem.as_bytes()) {
        Ok(_) => Ok(pem.into()),
        Err(_) => Err("is not an RSA key (PKCS #1 or #8, PEM)".to_owned()),
    }
}

/// Refuses a test endpoint in production, and the production CRM in development.
pub(super) fn refuse_foreign(env: &mut Reader<'_>, name: &str, url: &Url, environment: Environment) {
    let host = url.host_str().unwrap_or_default();
    let is_production_crm = host == "login.salesforce.com"
        || (host.ends_with(".my.salesforce.com") && !host.contains(".sandbox.") && !host.contains("--"));
    match environment {
        Environment::Production if url.scheme() != "https" => {
            env.refuse(name, "must be an https address in production");
        }
        Environment::Production if is_test(host) => {
            env.refuse(name, "is a test endpoint, but ENVIRONMENT is production")
        }
        Environment::Development if is_production_crm => {
            env.refuse(name, "is the production CRM, but ENVIRONMENT is development");
        }
        _ => {}
    }
}

/// Whether a host serves tests only.
fn is_test(host: &str) -> bool {
    let is_loopback = host
        .trim_matches(['[', ']'])
        .parse::<std::net::IpAddr>()
        .is_ok_and(|address| address.is_loopback() || address.is_unspecified());
    is_loopback
        || host == "test.salesforce.com"
        || (host.starts_with("stub-") && host.ends_with(".japanpost.jp"))
        || host.contains(".sandbox.")
        || (host.ends_with(".my.salesforce.com") && host.contains("--"))
        || ["localhost", "test", "invalid"]
            .iter()
            .any(|end| host == *end || host.strip_suffix(end).is_some_and(|start| start.ends_with('.')))
}
