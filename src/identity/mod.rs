//! Who is asking: sign-in, sessions, tokens, and the mapping to the billing client and the CRM account.
//!
//! A person signs in with e-mail and password and gets two tokens. The access token (minutes) is signed
//! and says which session it belongs to; its signature is checked once, then the token is known by its
//! hash. The refresh token (days) is random, stored as a hash, and exchanged for a successor at each use.
//! Every request also asks whether the session still stands, from a memory of a few seconds, so that
//! signing out reaches every replica within 5 seconds and this one at once.
//!
//! Figures are those of the security requirements A1 to A8.

mod account;
mod audit;
pub mod challenge;
mod email;
mod keys;
mod limits;
mod passkeys;
mod passwords;
mod policy;
mod recall;
mod registration;
mod sessions;
mod step_up;
#[cfg(test)]
mod tests;
mod throttle;
mod tokens;
mod viewer;

use std::{collections::HashSet, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

pub use account::ActiveSession;
pub use limits::{Limits, Purpose, Rate, network_of};
pub use passkeys::{Passkey, Settings as PasskeySettings};
pub use passwords::Settings as PasswordSettings;
pub use registration::{Credential, Registration};
pub use step_up::{StepUp, StepUpMethod};
pub use viewer::{Principal, Viewer};

use crate::{
    clock::Clock,
    error::{Error, Result, UserError},
    id::UserId,
    identity::{
        challenge::Challenges,
        email::Email,
        keys::Keys,
        limits::Gate,
        passkeys::Site,
        passwords::{Passwords, Verdict},
        recall::Recall,
        sessions::{BELIEF, Issued, Sessions},
        throttle::Throttle,
        tokens::{SKEW, Tokens},
    },
    jobs::Queue,
    seal::Keyring,
    secret::{ExposeSecret, SecretString},
    store::{
        Store, User,
        audit::{Actor, Event},
    },
};

/// How people sign in and stay signed in.
#[derive(Clone)]
pub struct Settings {
    /// The Ed25519 key that signs access tokens, PKCS #8 in PEM. Without it, one is made and kept in `data_dir`.
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
    /// How long a refused sign-in takes at least: longer than any hash, so that nobody learns from the time whether an
    /// account is there, and of which kind (requirement A3).
    pub failure_floor: Duration,
    /// How long the audit log is kept.
    pub audit_keep: Duration,
    /// The cost of password hashes.
    pub passwords: PasswordSettings,
    /// One-time codes.
    pub codes: challenge::Settings,
    /// How often what may be tried.
    pub limits: Limits,
    /// Passkeys.
    pub passkeys: PasskeySettings,
    /// How long a proof of who is there counts, before an act that asks for one.
    pub fresh_within: Duration,
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
    /// The time.
    pub clock: Clock,
}

/// Whether a text is an Ed25519 key, PKCS #8 in PEM, so that a configuration can be checked.
pub fn is_signing_key(pem: &SecretString) -> bool {
    keys::read_signing_key(pem).is_ok()
}

/// Whether a text is an Ed25519 public key, SPKI in PEM.
pub fn is_verification_key(pem: &str) -> bool {
    keys::read_verification_key(pem).is_ok()
}

/// Where a request comes from.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The client's address, as the trusted proxy or the socket says.
    pub address: Option<IpAddr>,
    /// The `User-Agent` header; only its class is kept.
    pub user_agent: Option<String>,
    /// The id of the request, for the audit log.
    pub request_id: Option<String>,
}

/// What a sign-in or a refresh gives.
#[derive(Clone, Debug)]
pub struct Grant {
    /// For the `Authorization` header or the cookie.
    pub access_token: SecretString,
    /// From then on it is refused.
    pub access_expires_at: DateTime<Utc>,
    /// To be exchanged once for the next grant.
    pub refresh_token: SecretString,
    /// From then on it is refused.
    pub refresh_expires_at: DateTime<Utc>,
    /// Who signed in.
    pub user: UserId,
    /// The session.
    pub session: Uuid,
}

/// Accounts, sessions and tokens. Clones share one state.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    passwords: Passwords,
    tokens: Tokens,
    sessions: Sessions,
    recall: Recall,
    gate: Arc<Gate>,
    challenges: Challenges,
    failure_floor: Duration,
    audit_keep: Duration,
    site: Site,
    fresh_within: TimeDelta,
    jobs: Queue,
    keys: Keyring,
}

impl Identity {
    /// Reads or makes the keys.
    ///
    /// # Errors
    /// [`Error::Internal`] when a key cannot be read or kept.
    pub fn new(ground: Ground, settings: &Settings) -> Result<Self> {
        let Ground { store, jobs, keys: seals, clock } = ground;
        let keys = Keys::open(settings).map_err(Error::internal)?;
        let secret = keys::secret(settings).map_err(Error::internal)?;
        let gate = Arc::new(Gate::new(Throttle::new(), derive(&secret, b"throttle"), settings.limits));
        Ok(Self(Arc::new(Inner {
            passwords: Passwords::new(&settings.passwords).map_err(Error::internal)?,
            tokens: Tokens::new(keys, settings),
            sessions: Sessions::new(store.clone(), settings, derive(&secret, b"refresh tokens")),
            recall: Recall::new(),
            challenges: Challenges {
                store: store.clone(),
                jobs: jobs.clone(),
                keys: seals.clone(),
                gate: Arc::clone(&gate),
                key: derive(&secret, b"challenges"),
                settings: settings.codes,
                clock: clock.clone(),
            },
            gate,
            failure_floor: settings.failure_floor,
            audit_keep: settings.audit_keep,
            site: Site::new(&settings.passkeys)?,
            fresh_within: step_up::within(settings.fresh_within),
            jobs,
            keys: seals,
            store,
            clock,
        })))
    }

    /// Opens a session.
    ///
    /// An unknown address, a wrong password and a disabled account cost the same and are told the same.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `AUTH_INVALID_CREDENTIALS`, or with `MAPPING_MISSING` for an account
    /// whose data cannot be found; [`Error::RateLimited`] after failures, or while too many sign in.
    pub async fn sign_in(&self, email: &str, password: &SecretString, context: &Context) -> Result<Grant> {
        let this = &*self.0;
        let (began, now) = (Instant::now(), this.now());
        let known_as = Email::parse(email);
        let text = known_as.as_ref().map_or(email, Email::as_str);
        let guess = this.gate.guess(text.as_bytes(), context, now).await?;
        let compared = this.compare(known_as.as_ref(), password).await;
        match compared {
            Ok(Some(_)) => this.gate.right(guess).await,
            // A failure stays counted.
            Ok(None) => {}
            Err(_) => this.gate.untried(guess).await,
        }
        let Some((user, verdict)) = compared? else {
            this.store
                .audit(context.event("session.create", Actor::Nobody, now).refused(INVALID_CREDENTIALS.code))
                .await?;
            sleep_until(began + this.failure_floor).await;
            return Err(rejected(INVALID_CREDENTIALS));
        };
        if verdict.is_outdated {
            this.upgrade(&user, password, context, now).await;
        }
        if this.store.mapping_of_user(user.id).await?.is_none() {
            return Err(missing_mapping(user.id));
        }
        let issued = this.sessions.open(user.id, context, now).await?;
        this.grant(issued, now)
    }

    /// One-time codes: see [`challenge`].
    pub fn challenges(&self) -> &Challenges {
        &self.0.challenges
    }

    /// Counts something for an account (its address, known or not) and for where it comes from.
    ///
    /// # Errors
    /// [`Error::RateLimited`] when there was too much of it.
    pub async fn pass(&self, purpose: Purpose, email: Option<&str>, from: &Context) -> Result<()> {
        let known_as =
            email.map(|email| Email::parse(email).map_or_else(|| email.to_owned(), Email::into_string));
        self.0.gate.pass(purpose, known_as.as_deref().map(str::as_bytes), from, self.0.now()).await
    }

    /// Exchanges a refresh token for the next grant of its session.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when the token is unknown, run out, or was exchanged before; the last ends
    /// the session, unless its successor is unused and the exchange was less than 10 seconds ago: then the
    /// same successor is given again (a lost answer, several tabs).
    pub async fn refresh(&self, refresh_token: &SecretString, context: &Context) -> Result<Grant> {
        let now = self.0.now();
        let issued = self.0.sessions.refresh(refresh_token.expose_secret(), context, now).await?;
        self.0.grant(issued, now)
    }

    /// Ends the session with which somebody asks: its tokens are refused here at once, on other replicas within 5 seconds.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    pub async fn sign_out(&self, viewer: &Viewer) -> Result<()> {
        let now = self.0.now();
        self.0.sessions.end(viewer.session(), "sign-out", viewer.event("session.end", now), now).await
    }

    /// Disables an account and ends its sessions, within 5 seconds. False when it is unknown or disabled already.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    pub async fn disable(&self, user: UserId) -> Result<bool> {
        let now = self.0.now();
        let event = Event::done("user.disable", Actor::Operator, now).about(user);
        let changed = self.0.store.disable_user(user, now, event).await?;
        self.0.sessions.recheck(user);
        Ok(changed)
    }

    /// Which of some sessions no longer stand, asked of the store.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    pub async fn ended(&self, sessions: &[Uuid]) -> Result<HashSet<Uuid>> {
        let standing = self.0.store.standing_sessions(sessions, self.0.now()).await?;
        Ok(sessions.iter().filter(|session| !standing.contains(session)).copied().collect())
    }

    /// Who an access token speaks for.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for any token that is not valid now; [`Error::Rejected`] with
    /// `MAPPING_MISSING` when the account's data cannot be found.
    pub async fn authenticate(&self, access_token: &str) -> Result<Principal> {
        let this = &*self.0;
        let now = this.now();
        let ends = this.sessions.ends();
        let token = this.tokens.verify(access_token, now).await.ok_or(Error::Unauthenticated)?;
        let seen = this.sessions.state(token.session, now).await?;
        let Some(state) =
            seen.state.filter(|state| !state.is_ended && now < state.expires_at && state.user == token.user)
        else {
            this.tokens.forget(access_token).await;
            return Err(Error::Unauthenticated);
        };
        let mapping = state.mapping.ok_or_else(|| missing_mapping(state.user))?;
        let principal = Principal {
            user: mapping.user,
            client: mapping.client,
            account: mapping.account,
            session: token.session,
            expires_at: token.expires_at,
        };
        let until = (seen.at + BELIEF).min(state.expires_at).min(token.expires_at + SKEW);
        this.recall.insert(access_token, principal, now..until, ends);
        Ok(principal)
    }

    /// The same from memory alone, for a token that was verified within the last 4 seconds; `None` when
    /// that has to be found out anew, or something ended here since.
    pub fn recall(&self, access_token: &str) -> Option<Principal> {
        let this = &*self.0;
        this.recall.get(access_token, this.now(), this.sessions.ends())
    }
}

impl Inner {
    /// Now, as precise as both databases keep it.
    fn now(&self) -> DateTime<Utc> {
        self.clock.now().trunc_subsecs(6)
    }

    /// The user whose password this is; `None` for an unknown address, a wrong password or a disabled
    /// account, each after one hash.
    async fn compare(
        &self,
        email: Option<&Email>,
        password: &SecretString,
    ) -> Result<Option<(User, Verdict)>> {
        let user = match email {
            Some(email) => self.store.user_by_email(email.as_str()).await?,
            None => None,
        };
        let stored = user.as_ref().map(|user| user.password_hash.clone());
        let verdict = self.passwords.verify(password.clone(), stored).await?;
        Ok(user.filter(|user| verdict.is_match && !user.is_disabled).map(|user| (user, verdict)))
    }

    fn grant(&self, issued: Issued, now: DateTime<Utc>) -> Result<Grant> {
        let (access_token, access_expires_at) =
            self.tokens.issue(issued.user, issued.session, now, issued.session_ends_at)?;
        Ok(Grant {
            access_token,
            access_expires_at,
            refresh_token: issued.refresh_token,
            refresh_expires_at: issued.expires_at,
            user: issued.user,
            session: issued.session,
        })
    }

    /// Hashes a password anew with today's parameters. The sign-in does not depend on it.
    async fn upgrade(&self, user: &User, password: &SecretString, context: &Context, now: DateTime<Utc>) {
        let Ok(hash) = self.passwords.hash(password.clone()).await else { return };
        let event = context.event("password.upgrade", Actor::System, now).about(user.id);
        if let Err(error) = self.store.upgrade_password(user.id, &user.password_hash, &hash, now, event).await
        {
            tracing::warn!(user = %user.id, %error, "a password hash could not be upgraded");
        }
    }
}

const INVALID_CREDENTIALS: UserError = UserError {
    code: "AUTH_INVALID_CREDENTIALS",
    field: Vec::new(),
    message: "The e-mail address or the password is not right.",
};
const MAPPING_MISSING: UserError = UserError {
    code: "MAPPING_MISSING",
    field: Vec::new(),
    message: "Your account is not linked to your contracts. Please contact support.",
};

fn rejected(reason: UserError) -> Error {
    Error::Rejected(vec![reason])
}

/// A user without a mapping is a fault of the data, which staff must repair (domain reference §6.2).
fn missing_mapping(user: UserId) -> Error {
    tracing::error!(%user, "a user has no mapping to a client and an account");
    rejected(MAPPING_MISSING)
}

/// HMAC-SHA-256 of a text: a key for one purpose, or a name that says nothing without the key.
#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn derive(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("any length is a key");
    mac.update(text);
    mac.finalize().into_bytes().into()
}
