//! Keys, tokens and passwords.

use std::path::PathBuf;

use crate::{
    config::{
        passkeys,
        reader::{Reader, read_file},
        server::{Environment, Server},
    },
    identity::{self, Limits, PasswordSettings, Rate, challenge},
    secret::SecretString,
};

/// Characters of the server's secret at least.
const SECRET_LENGTH: usize = 32;

pub(super) fn read(env: &mut Reader<'_>, server: &Server, data_dir: PathBuf) -> identity::Settings {
    env.section("Signing in");
    let signing_key = env
        .get("AUTH_SIGNING_KEY_PATH", "file", "The Ed25519 key that signs access tokens: PKCS #8, PEM. Without it, keys are made and kept in the database, sealed, and replaced by `keys rotate signing`.")
        .example("/run/secrets/access-token-key.pem")
        .parse(|path| {
            let pem = SecretString::from(read_file(path)?);
            if identity::is_signing_key(&pem) { Ok(pem) } else { Err("is not an Ed25519 key (PKCS #8, PEM)".to_owned()) }
        });
    let verification_keys = env
        .get(
            "AUTH_VERIFICATION_KEY_PATHS",
            "list of files",
            "Public keys (SPKI, PEM) of signing keys that were configured earlier or on other replicas, whose tokens are accepted, too.",
        )
        .example("/run/secrets/last-years-key.pub.pem")
        .list("", |path| {
            let pem = read_file(path)?;
            if identity::is_verification_key(&pem) {
                Ok(pem)
            } else {
                Err(format!("the file {path:?} is not an Ed25519 public key (SPKI, PEM)"))
            }
        });
    let secret = env
        .get("AUTH_SECRET", "32 characters or more", "From this the successors of refresh tokens are derived; the same on all replicas. Required in production; otherwise one is made and kept in DATA_DIR.")
        .example("$(openssl rand -base64 32)")
        .secret()
        .parse(|text| {
            if text.chars().count() < SECRET_LENGTH {
                return Err(format!("must have at least {SECRET_LENGTH} characters"));
            }
            Ok(SecretString::from(text))
        });
    if server.environment == Environment::Production && !env.is_set("AUTH_SECRET") {
        env.refuse("AUTH_SECRET", "is missing, and production does not make its own");
    }
    let issuer = env
        .get("AUTH_ISSUER", "text", "The issuer that access tokens name; PUBLIC_URL when it is not set.")
        .example("https://api.example.jp")
        .optional()
        .unwrap_or_else(|| server.public_url.clone());
    let refresh_idle = env
        .get("AUTH_REFRESH_IDLE", "duration", "How long a session lives without being refreshed.")
        .duration("14d", "10m", "14d");
    let refresh_absolute = env
        .get("AUTH_REFRESH_ABSOLUTE", "duration", "How long a session lives at most.")
        .duration("30d", "10m", "30d");
    if refresh_absolute < refresh_idle {
        env.refuse("AUTH_REFRESH_ABSOLUTE", "must not be shorter than AUTH_REFRESH_IDLE");
    }
    let reset_page = env
        .get(
            "AUTH_RESET_PAGE",
            "address",
            "The page of the portal that sets a new password, to which the mailed link leads; PUBLIC_URL/reset-password when it is not set.",
        )
        .example("https://portal.example.jp/reset-password")
        .optional_address();
    if server.environment == Environment::Production
        && reset_page.as_ref().is_some_and(|page| page.scheme() != "https")
    {
        env.refuse("AUTH_RESET_PAGE", "must be an https address in production");
    }
    let passkeys = passkeys::read(env, server);
    let totp_issuer = env
        .get(
            "AUTH_TOTP_ISSUER",
            "text",
            "What authenticator apps call the service, beside the address of the account.",
        )
        .text_or("Customer Portal");
    let least = PasswordSettings::default();
    identity::Settings {
        signing_key,
        verification_keys,
        secret,
        data_dir,
        issuer,
        audience: env.get("AUTH_AUDIENCE", "text", "The audience that access tokens name.").text_or("portal"),
        access_lifetime: env
            .get("AUTH_ACCESS_LIFETIME", "duration", "How long an access token is good.")
            .duration("10m", "30s", "10m"),
        refresh_idle,
        refresh_absolute,
        failure_floor: env
            .get("AUTH_FAILURE_FLOOR", "duration", "How long a refused sign-in takes, or a multiple of it; longer than a password hash takes. Those of an earlier portal (bcrypt of cost 14) may take more than a second; 400ms will do where none is left.")
            .duration("1500ms", "0ms", "5s"),
        reset_page: reset_page
            .map_or_else(|| format!("{}/reset-password", server.public_url), |page| page.into()),
        reset_lifetime: env
            .get("AUTH_RESET_LIFETIME", "duration", "How long the link of a mail sets a new password.")
            .duration("30m", "1m", "30m"),
        audit_keep: env
            .get("AUDIT_KEEP", "duration", "How long the audit log is kept.")
            .duration("365d", "30d", "3650d"),
        fresh_within: env
            .get("AUTH_STEP_UP_WITHIN", "duration", "How long a proof of who is there counts, before an act that asks for one.")
            .duration("5m", "1m", "1h"),
        passkeys,
        totp_issuer,
        passwords: PasswordSettings {
            memory_kib: env
                .get(
                    "AUTH_ARGON2_MEMORY_KIB",
                    "KiB",
                    "Memory of a password hash. Raising it upgrades stored hashes at the next sign-in.",
                )
                .number(least.memory_kib, least.memory_kib..=1_048_576),
            passes: env
                .get("AUTH_ARGON2_PASSES", "passes", "Passes of a password hash over its memory.")
                .number(least.passes, least.passes..=100),
            lanes: env
                .get("AUTH_ARGON2_LANES", "lanes", "Lanes of a password hash.")
                .number(least.lanes, least.lanes..=64),
            queue: env
                .get(
                    "AUTH_PASSWORD_QUEUE",
                    "sign-ins",
                    "How many may wait for a free core; more are told to come back.",
                )
                .number(least.queue, 0..=10_000),
        },
        codes: codes(env),
        limits: limits(env),
        trusted_for: env
            .get("AUTH_TRUSTED_DEVICE_LIFETIME", "duration", "How long the password is enough on a device that its owner wants remembered.")
            .duration("7d", "1h", "90d"),
        device_lifetime: env
            .get("AUTH_DEVICE_LIFETIME", "duration", "How long a device is known after its last sign-in: it has limits of its own, and its sign-ins are not mailed about.")
            .duration("365d", "1d", "730d"),
        sessions_per_user: env
            .get("AUTH_SESSIONS_PER_USER", "sessions", "Sessions of one person at once; one more ends the oldest.")
            .number(10, 1..=1_000),
        history_for: env
            .get("AUTH_HISTORY", "duration", "How long sign-ins are remembered and shown to their person.")
            .duration("365d", "1d", "3650d"),
        hand_off_lifetime: env
            .get("AUTH_HAND_OFF_LIFETIME", "duration", "How long after proving the address at sign-up an existing customer signs in without a code.")
            .duration("5m", "1m", "1h"),
        maintenance: maintenance(env),
        // Of a section of its own.
        captcha: None,
    }
}

fn maintenance(env: &mut Reader<'_>) -> Option<String> {
    let is_closed = env
        .get(
            "AUTH_MAINTENANCE_MODE",
            "true or false",
            "Whether signing in and up is closed for a while. Sessions go on.",
        )
        .flag(false);
    let message = env
        .get("AUTH_MAINTENANCE_MESSAGE", "text", "What people are told then.")
        .text_or("Signing in is closed for maintenance. Please try again later.");
    is_closed.then_some(message)
}

fn codes(env: &mut Reader<'_>) -> challenge::Settings {
    let usual = challenge::Settings::default();
    challenge::Settings {
        lifetime: env
            .get("AUTH_CODE_LIFETIME", "duration", "How long a mailed code is good.")
            .duration("10m", "1m", "1h"),
        tries: env
            .get("AUTH_CODE_TRIES", "tries", "Tries of a mailed code; then it is void.")
            .number(usual.tries, 1..=10),
    }
}

fn limits(env: &mut Reader<'_>) -> Limits {
    let usual = Limits::default();
    Limits {
        sign_in: rate(env, "LOGIN", usual.sign_in, "Wrong passwords of an account before each further try waits: a second, then twice as long each time", "The longest of these waits."),
        sign_up: rate(env, "SIGNUP", usual.sign_up, "Sign-ups that may be begun with an address", WINDOW),
        availability: rate(env, "AVAILABILITY", usual.availability, "Checks of an address that a guest may ask for with an e-mail address", WINDOW),
        password_reset: rate(env, "PASSWORD_RESET", usual.password_reset, "Links to replace a password that an account may ask for", WINDOW),
        refresh: rate(env, "AUTH_REFRESH", usual.refresh, "Refresh tokens of no session that are shown from where one person sits; those of a session may be exchanged ten times as often", WINDOW),
        code_sends: rate(env, "OTP_SEND", usual.code_sends, "Codes that are mailed to an address", WINDOW),
        code_tries: rate(env, "OTP_VERIFY", usual.code_tries, "Codes that are tried for an address", WINDOW),
        passkeys: rate(env, "PASSKEY", usual.passkeys, "Sign-ins with a passkey that a person may begin", WINDOW),
        captchas: rate(env, "CAPTCHA", usual.captchas, "Solved CAPTCHAs that a person may show", WINDOW),
        partner_tokens: rate(env, "PARTNER_TOKEN", usual.partner_tokens, "Tokens that a partner may ask for from one network address", WINDOW),
        people_per_address: env
            .get("AUTH_PEOPLE_PER_ADDRESS", "people", "For how many people one network address (of IPv6: a /64) may stand: it may do so many times as much as one account.")
            .number(usual.people_per_address, 1..=10_000),
        failures: rate(env, "LOGIN_FAILURES", usual.failures, "Wrong passwords of everybody together; beyond that, only known devices sign in", WINDOW),
    }
}

const WINDOW: &str = "The time in which that many are allowed.";

/// So many in a window (domain reference §7.2).
fn rate(env: &mut Reader<'_>, name: &str, usual: Rate, about: &str, window: &str) -> Rate {
    let minutes = format!("{}m", usual.window.as_secs() / 60);
    Rate {
        limit: env
            .get(format!("{name}_RATE_LIMIT_LIMIT"), "times", format!("{about}."))
            .number(usual.limit, 1..=1_000_000),
        window: env.get(format!("{name}_RATE_LIMIT_TTL"), "duration", window).duration(&minutes, "1s", "24h"),
    }
}
