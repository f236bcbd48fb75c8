//! Who is asking: sign-in, sessions, tokens, and the mapping to the billing client and the CRM account.
//!
//! A person signs in with e-mail, password and a code, mailed or of an app, and gets two tokens. The access token (minutes) is signed
//! and says which session it belongs to; its signature is checked once, then the token is known by its
//! hash. The refresh token (days) is random, stored as a hash, and exchanged for a successor at each use.
//! Every request also asks whether the session still stands, from a memory of a few seconds, so that
//! signing out reaches every replica within 5 seconds and this one at once.
//!
//! Figures are those of the security requirements A1 to A8.

mod account;
mod account_desk;
mod audit;
mod captcha;
pub mod challenge;
mod devices;
mod email;
mod email_change;
mod erasure;
mod floor;
mod history;
mod keys;
mod limits;
mod newcomer;
mod origin;
mod partners;
mod passkeys;
mod passwords;
mod policy;
mod purge;
mod recall;
mod registration;
mod reset;
mod sessions;
mod settings;
mod sign_in;
mod signing;
mod step_up;
#[cfg(test)]
mod tests;
mod throttle;
#[cfg(test)]
mod timing;
mod tokens;
mod totp;
mod viewer;

use std::{collections::HashSet, net::IpAddr, sync::Arc, time::Duration};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tokio::time::Instant;
use uuid::Uuid;

/// A partner as it is kept; what it used on a day.
pub use crate::store::{PartnerRow as PartnerAccount, PartnerUsageRow as PartnerUsage};
pub use account::ActiveSession;
pub use account_desk::{AccountDesk, FactorsReset};
pub use captcha::CaptchaSettings;
pub use devices::{Device, HandOff};
pub use email_change::{EmailSwap, Swapped};
pub use history::{Method, Outcome, SignInRecord};
pub use limits::{Limits, Purpose, Rate, network_of};
pub use newcomer::{Evidence, Newcomer, Verification};
pub use partners::{
    Balance, Consent, Customers, Granted, NewPartner, PartnerDesk, PartnerGrant, PartnerToken, Scope, Scopes,
    SecretError, Terms, TokenRefusal, TokenRequest, Unpaid,
};
pub use passkeys::{Passkey, Settings as PasskeySettings};
pub use passwords::Settings as PasswordSettings;
pub use registration::{Credential, Registration};
pub use settings::{Ground, Settings};
pub use sign_in::{Delivery, DeviceToken, Entrance, Entry, SecondStep, SignIn, Verified};
pub use signing::{KeyInfo, KeyState, RotationError, rotate_signing_key, signing_keys};
pub use step_up::{StepUp, StepUpMethod};
pub use totp::{Enrolment, SecondFactors, TotpStatus};
pub use viewer::{Caller, Principal, Representative, Represented, Viewer};

use crate::{
    clock::Clock,
    error::{Error, Result, UserError},
    id::UserId,
    identity::{
        captcha::Captcha,
        challenge::Challenges,
        email::Email,
        limits::{Gate, Guess},
        partners::Partners,
        passkeys::Site,
        passwords::{Admission, Passwords},
        recall::Recall,
        sessions::{BELIEF, Issued, Sessions},
        sign_in::delta,
        signing::Ring,
        throttle::Throttle,
        tokens::{SKEW, Tokens},
    },
    jobs::Queue,
    seal::Keyring,
    secret::{ExposeSecret, SecretString},
    store::{
        Store, User,
        audit::{Actor, OnRecord},
    },
};

/// What is remembered of sessions and of their tokens weighs this much at most, in bytes: a part of what the cache may.
pub const REMEMBERED_BYTES: u64 = recall::BYTES + sessions::BYTES + tokens::BYTES;

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
    /// The customer who is signed in: see [`Viewer::from`].
    pub user: Option<UserId>,
    /// What of the request was refused and is on record.
    pub on_record: OnRecord,
    /// What shows that a person asks: see [`Context::solved`].
    pub captcha: Option<SecretString>,
}

impl Context {
    /// The same with the token of a widget that a person solved, if they did.
    #[must_use]
    pub fn solved(self, captcha: Option<String>) -> Self {
        Self { captcha: captcha.map(SecretString::from), ..self }
    }
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
    partners: Partners,
    sessions: Sessions,
    recall: Recall,
    gate: Arc<Gate>,
    captcha: Option<Captcha>,
    challenges: Challenges,
    jobs: Queue,
    seals: Keyring,
    /// For names that say nothing of what they name.
    name_key: [u8; 32],
    failure_floor: Duration,
    reset_page: String,
    reset_lifetime: Duration,
    audit_keep: Duration,
    trusted_for: TimeDelta,
    device_lifetime: TimeDelta,
    sessions_per_user: u32,
    history_for: TimeDelta,
    hand_off_lifetime: TimeDelta,
    maintenance: Option<Arc<str>>,
    site: Site,
    totp_issuer: String,
    fresh_within: TimeDelta,
}

impl Identity {
    /// Reads or makes the keys.
    ///
    /// # Errors
    /// [`Error::Internal`] when a key cannot be read or kept.
    pub fn new(ground: Ground, settings: &Settings) -> Result<Self> {
        let Ground { store, jobs, keys: seals, redis, clock, captcha } = ground;
        let keys = Ring::new(store.clone(), settings).map_err(Error::internal)?;
        let secret = keys::secret(settings).map_err(Error::internal)?;
        let throttle = Throttle::new(redis.as_ref())?;
        let gate =
            Arc::new(Gate::new(throttle, derive(&secret, b"throttle"), settings.limits, store.clone()));
        Ok(Self(Arc::new(Inner {
            passwords: Passwords::new(&settings.passwords)?,
            tokens: Tokens::new(keys, settings),
            partners: Partners::new(settings, redis.as_ref())?,
            sessions: Sessions::new(
                store.clone(),
                jobs.clone(),
                settings,
                derive(&secret, b"refresh tokens"),
            ),
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
            captcha: settings.captcha.clone().zip(captcha).map(|(rule, client)| Captcha::new(rule, client)),
            jobs,
            seals,
            name_key: derive(&secret, b"names"),
            failure_floor: settings.failure_floor,
            reset_page: settings.reset_page.clone(),
            reset_lifetime: settings.reset_lifetime,
            audit_keep: settings.audit_keep,
            trusted_for: delta(settings.trusted_for),
            device_lifetime: delta(settings.device_lifetime),
            sessions_per_user: settings.sessions_per_user,
            history_for: delta(settings.history_for),
            hand_off_lifetime: delta(settings.hand_off_lifetime),
            maintenance: settings.maintenance.as_deref().map(Arc::from),
            site: Site::new(&settings.passkeys)?,
            totp_issuer: settings.totp_issuer.clone(),
            fresh_within: step_up::within(settings.fresh_within),
            store,
            clock,
        })))
    }

    /// Whether people may sign in and sign up now.
    ///
    /// # Errors
    /// [`Error::Maintenance`] with what the operator has to say, when they may not.
    pub fn check_open(&self) -> Result<()> {
        self.0.check_open()
    }

    /// Whether another password can be hashed now, or too many wait for that (requirement A2).
    ///
    /// # Errors
    /// [`Error::RateLimited`] when they do.
    pub fn check_room_for_password(&self) -> Result<()> {
        self.0.passwords.check_room()
    }

    /// Opens the keys of the access tokens in the store; the first one is made. It is done when one is needed, too; at the
    /// start it shows early what is wrong with them.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails or what lies there does not open.
    pub async fn open_keys(&self) -> Result<()> {
        let now = self.0.now();
        self.0.tokens.keys().look(now).await?;
        self.0.tokens.keys().signing(now).await.map(drop)
    }

    /// The public keys by which access tokens can be verified, as a JWK set (RFC 7517) in JSON.
    pub fn published_keys(&self) -> String {
        self.0.tokens.keys().published(self.0.now())
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
    /// same successor is given again (a lost answer, several tabs). [`Error::RateLimited`] for too many of one session, or too
    /// many of no session from one network.
    pub async fn refresh(&self, refresh_token: &SecretString, context: &Context) -> Result<Grant> {
        let this = &*self.0;
        let (token, now) = (refresh_token.expose_secret(), this.now());
        this.gate.pass_refresh(this.sessions.of_token(token).await?, context, now).await?;
        let issued = this.sessions.refresh(token, context, now).await?;
        this.grant(issued, now).await
    }

    /// Ends the session with which somebody asks: its tokens are refused here at once, on other replicas within 5 seconds.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    pub async fn sign_out(&self, viewer: &Viewer) -> Result<()> {
        let now = self.0.now();
        self.0.sessions.end(viewer.session(), "sign-out", viewer.event("session.end", now), now).await
    }

    /// Does what [`AccountDesk::disable`] does, and sees it here at once: for tests. Not in a production build.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    #[cfg(any(test, feature = "sandbox"))]
    pub async fn disable(&self, user: UserId) -> Result<bool> {
        let now = self.0.now();
        let event = crate::store::audit::Event::done("user.disable", Actor::Operator, now).about(user);
        let changed = self.0.store.disable_user(user, now, event).await?;
        self.0.sessions.recheck(user);
        Ok(changed)
    }

    /// Which of the ids by which connections stand ([`Caller::badge`]) no longer do, asked of the store.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    pub async fn ended(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>> {
        let standing = self.0.store.standing_sessions(ids, self.0.now()).await?;
        let left: Vec<_> = ids.iter().filter(|session| !standing.contains(session)).copied().collect();
        let represented = self.0.store.standing_of_partners(&left).await?;
        Ok(left.into_iter().filter(|one| !represented.contains(one)).collect())
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
        this.recall.insert(access_token, None, Caller::Customer(principal), now..until, ends);
        Ok(principal)
    }
}

impl Inner {
    /// Now, as precise as both databases keep it.
    fn now(&self) -> DateTime<Utc> {
        self.clock.now().trunc_subsecs(6)
    }

    /// Waits until what began then has taken as long as a refusal takes: see [`floor`].
    async fn hold(&self, began: Instant) {
        floor::hold(began, self.failure_floor).await;
    }

    /// Compares a password with that of an address. An unknown address, a wrong password and a disabled account cost one
    /// hash each.
    async fn compare(
        &self,
        admission: Admission,
        email: Option<&Email>,
        password: &SecretString,
    ) -> Result<Compared> {
        let user = match email {
            Some(email) => self.store.user_by_email(email.as_str()).await?,
            None => None,
        };
        let stored = user.as_ref().map(|user| user.password_hash.clone());
        let verdict = self.passwords.verify(admission, password.clone(), stored).await?;
        let is_enabled = user.as_ref().is_some_and(|user| !user.is_disabled);
        Ok(Compared {
            whose: user.as_ref().map(|user| user.id),
            user,
            is_right: verdict.is_match && is_enabled,
            is_outdated: verdict.is_outdated,
        })
    }

    /// Whether a password is that of somebody who is known; a wrong one stays counted.
    async fn is_password(
        &self,
        admission: Admission,
        guess: Guess,
        password: &SecretString,
        user: &User,
    ) -> Result<bool> {
        let stored = Some(user.password_hash.clone());
        let verdict = self.passwords.verify(admission, password.clone(), stored).await;
        match &verdict {
            Ok(verdict) if verdict.is_match => self.gate.right(guess).await,
            Ok(_) => {}
            Err(_) => self.gate.untried(guess).await,
        }
        Ok(verdict?.is_match)
    }

    async fn grant(&self, issued: Issued, now: DateTime<Utc>) -> Result<Grant> {
        let (access_token, access_expires_at) =
            self.tokens.issue(issued.user, issued.session, now, issued.session_ends_at).await?;
        Ok(Grant {
            access_token,
            access_expires_at,
            refresh_token: issued.refresh_token,
            refresh_expires_at: issued.expires_at,
            user: issued.user,
            session: issued.session,
        })
    }

    /// Hashes a password anew with today's parameters. Gives the new hash; the sign-in does not depend on it.
    async fn upgrade(
        &self,
        user: &User,
        password: &SecretString,
        context: &Context,
        now: DateTime<Utc>,
    ) -> Option<SecretString> {
        let hash = self.passwords.hash(password.clone()).await.ok()?;
        let event = context.event("password.upgrade", Actor::System, now).about(user.id);
        match self.store.upgrade_password(user.id, &user.password_hash, &hash, now, event).await {
            Ok(is_upgraded) => is_upgraded.then_some(hash),
            Err(error) => {
                tracing::warn!(user = %user.id, %error, "a password hash could not be upgraded");
                None
            }
        }
    }
}

/// What the comparison of a password with an account says.
struct Compared {
    /// Whoever has the address.
    user: Option<User>,
    whose: Option<UserId>,
    /// The password is right, and its user may sign in.
    is_right: bool,
    /// It was hashed at a lower cost than today's.
    is_outdated: bool,
}

const INVALID_CREDENTIALS: UserError = UserError {
    code: "AUTH_INVALID_CREDENTIALS",
    field: Vec::new(),
    message: "The e-mail address or the password is not right.",
};
/// Of somebody who is known: there is no address to be wrong.
const WRONG_PASSWORD: UserError =
    UserError { code: "AUTH_INVALID_CREDENTIALS", field: Vec::new(), message: "The password is not right." };
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
