//! How accounts behave, and what they stand on.

use std::{path::PathBuf, time::Duration};

use super::{CaptchaSettings, Limits, PasskeySettings, PasswordSettings, challenge};
use crate::{
    clock::Clock, freshness::redis, jobs::Queue, seal::Keyring, secret::SecretString, store::Store,
    upstream::captcha::Client,
};

/// How people sign in and stay signed in.
#[derive(Clone)]
pub struct Settings {
    /// The Ed25519 key that signs access tokens, PKCS #8 in PEM. Without it, keys are made and kept in the store.
    pub signing_key: Option<SecretString>,
    /// Public keys of earlier or later signing keys, SPKI in PEM: their tokens are accepted, too.
    pub verification_keys: Vec<String>,
    /// From this secret the successors of refresh tokens are derived. Without it, one is made and kept in `data_dir`.
    pub secret: Option<SecretString>,
    /// Where what was made is kept, readable by the owner only.
    pub data_dir: PathBuf,
    /// The `iss` of access tokens.
    pub issuer: String,
    /// The `aud` of access tokens.
    pub audience: String,
    /// How long an access token is good; at most 10 minutes.
    pub access_lifetime: Duration,
    /// How long a session lives without being refreshed.
    pub refresh_idle: Duration,
    /// How long a session lives at most.
    pub refresh_absolute: Duration,
    /// How long a refused sign-in takes at least, or a multiple of it: longer than any hash, so that nobody learns from the
    /// time whether an account is there, and of which kind (requirement A3).
    pub failure_floor: Duration,
    /// The page of the portal that sets a new password; the token is put behind its `#`.
    pub reset_page: String,
    /// How long a mailed link sets a new password; at most 30 minutes (requirement A9).
    pub reset_lifetime: Duration,
    /// How long the audit log is kept.
    pub audit_keep: Duration,
    /// The cost of password hashes.
    pub passwords: PasswordSettings,
    /// One-time codes.
    pub codes: challenge::Settings,
    /// How often what may be tried.
    pub limits: Limits,
    /// How long a device is trusted that its owner wants remembered.
    pub trusted_for: Duration,
    /// How long a device is known after it was last seen.
    pub device_lifetime: Duration,
    /// Sessions of one person at once; the oldest ends.
    pub sessions_per_user: u32,
    /// How long the history of sign-ins is kept.
    pub history_for: Duration,
    /// How long after its proof an address spares the second step.
    pub hand_off_lifetime: Duration,
    /// What people are told who want to sign in or up while that is closed; `None` when it is open.
    pub maintenance: Option<String>,
    /// Passkeys.
    pub passkeys: PasskeySettings,
    /// What authenticator apps call the service.
    pub totp_issuer: String,
    /// How long a proof of who is there counts, before an act that asks for one.
    pub fresh_within: Duration,
    /// When people are to show that they are; never without it, or without [`Ground::captcha`].
    pub captcha: Option<CaptchaSettings>,
}

/// What the accounts stand on.
#[derive(Clone)]
pub struct Ground {
    /// The gateway's own database.
    pub store: Store,
    /// Where mails are put in.
    pub jobs: Queue,
    /// The keys of what lies sealed.
    pub keys: Keyring,
    /// Where replicas share what they count; `None` for one replica.
    pub redis: Option<redis::Settings>,
    /// The time.
    pub clock: Clock,
    /// Who tells people from programs; `None` where nobody is asked.
    pub captcha: Option<Client>,
}
