//! Signing in, in two steps (domain reference §7.1): the password, and a code that is mailed to the account's address.
//!
//! The second step is spared on a device that its owner trusts, and once after the address was proved a moment ago. Every
//! sign-in leaves a random token on its device, of which only a hash is stored: it says that the device is known. A known
//! device has limits of its own, so nobody who guesses elsewhere can keep its owner out (requirement A4).
//!
//! An unknown address, a wrong password and a disabled account cost one hash each, take at least the same time, and are
//! told the same (requirement A3). A right password for which the code is missing is told by the challenge alone.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use super::{INVALID_CREDENTIALS, Inner, missing_mapping, rejected};
use crate::{
    error::{Error, Result, UserError},
    id::UserId,
    identity::{
        Context, Grant, Identity,
        challenge::{self, Answer, Asker, Kind, Opened, Refusal},
        derive,
        email::Email,
        history::{Method, Outcome},
        limits::Secret,
        origin::Origin,
    },
    mail::{Language, Mail, Message},
    secret::{ExposeSecret, SecretString},
    store::{DeviceRow, NewDevice, NewSession, Tx, User, audit::Actor},
};

/// The longest token of a device that is looked at, in bytes.
const LONGEST: usize = 64;

/// How a session reaches its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// As tokens in the answer.
    Tokens,
    /// As cookies.
    Cookies,
}

/// What a program brings to a sign-in besides the proof.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// How the session is to reach it.
    pub delivery: Delivery,
    /// What an earlier sign-in left on its device.
    pub device: Option<&'a SecretString>,
    /// Where it asks from.
    pub from: &'a Context,
}

/// What is left on a device.
#[derive(Clone, Debug)]
pub struct DeviceToken {
    /// The token.
    pub token: SecretString,
    /// It is forgotten then, unless the device is seen again before.
    pub expires_at: DateTime<Utc>,
}

/// A sign-in that succeeded.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// The session.
    pub grant: Grant,
    /// For the next sign-in of the same device.
    pub device: DeviceToken,
}

/// What a right password gives.
pub enum SignIn {
    /// A session, where the second step is spared.
    Entered(Box<Entrance>),
    /// The second step, and how it is taken.
    Challenged(Opened, SecondStep),
}

/// How a second step is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondStep {
    /// With a code that was mailed.
    MailedCode,
    /// With a code of the authenticator app, or with a recovery code.
    Totp,
}

/// What a code gives.
pub enum Verified {
    /// A session.
    Entered(Box<Entrance>),
    /// The code does not count.
    Refused(Refusal),
}

/// What a challenge of this kind holds: the attempt to which it is bound.
#[derive(Serialize, Deserialize)]
struct Attempt {
    user: Uuid,
    delivery: Delivery,
    /// Names the password that was right.
    password: String,
}

/// A device that signed in before, with its token.
pub(super) struct Known<'a> {
    token: &'a SecretString,
    /// `None` when others signed in on it, but not this account: then it spares and forgives nothing.
    row: Option<DeviceRow>,
    /// Others signed in on it, too.
    is_shared: bool,
}

impl Identity {
    /// The first step: the password.
    ///
    /// `hand_off` is what [`Identity::hand_off`] gave; it is used up only when everything else is right.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `AUTH_INVALID_CREDENTIALS`, with `AUTH_CAPTCHA_REQUIRED`, or with `MAPPING_MISSING` for an
    /// account whose data cannot be found; [`Error::RateLimited`] after failures, or while too many sign in;
    /// [`Error::Maintenance`].
    pub async fn sign_in(
        &self,
        email: &str,
        password: &SecretString,
        hand_off: Option<&SecretString>,
        entry: &Entry<'_>,
    ) -> Result<SignIn> {
        let this = &*self.0;
        this.check_open()?;
        let mut place = Some(this.passwords.admit()?);
        let (began, now) = (Instant::now(), this.now());
        let known_as = Email::parse(email);
        let text = known_as.as_ref().map_or(email, Email::as_str);
        let known = this.known(text, entry.device, now).await?;
        let (secret, account) = (Secret::Password, text.as_bytes());
        let device = known.as_ref().and_then(Known::own);
        let device = device.as_ref().map(<[u8; 32]>::as_slice);
        let guess = this.guess(secret, account, device, &mut place, entry.from, now).await?;
        let admission = match place.map_or_else(|| this.passwords.admit(), Ok) {
            Ok(admission) => admission,
            Err(full) => {
                this.gate.untried(guess).await;
                return Err(full);
            }
        };
        let compared = this.compare(admission, known_as.as_ref(), password).await;
        match &compared {
            Ok(compared) if compared.is_right => this.gate.right(guess).await,
            // A failure stays counted.
            Ok(_) => {}
            Err(_) => this.gate.untried(guess).await,
        }
        let compared = compared?;
        let Some(mut user) = compared.user.filter(|_| compared.is_right) else {
            let code = INVALID_CREDENTIALS.code;
            this.note_failure(compared.whose, Outcome::WrongPassword, code, entry.from, now).await?;
            this.hold(began).await;
            return Err(rejected(INVALID_CREDENTIALS));
        };
        if compared.is_outdated
            && let Some(hash) = this.upgrade(&user, password, entry.from, now).await
        {
            user.password_hash = hash;
        }
        if this.store.mapping_of_user(user.id).await?.is_none() {
            return Err(match this.store.user(user.id).await? {
                Some(_) => missing_mapping(user.id),
                None => this.erased(entry.from, now).await?,
            });
        }
        let is_trusted = known.as_ref().and_then(Known::trusted_until).is_some_and(|until| now < until);
        if is_trusted {
            let tx = this.store.begin().await?;
            let entrance = this.enter(tx, &user, text, Method::Device, known, false, entry.from).await?;
            return Ok(SignIn::Entered(Box::new(entrance)));
        }
        // Whoever enrolled an app is asked for its code, whatever was proved by mail before.
        let step = match this.store.totp(user.id).await? {
            Some(_) => SecondStep::Totp,
            None => SecondStep::MailedCode,
        };
        if let Some(token) = hand_off.filter(|_| step == SecondStep::MailedCode) {
            let mut tx = this.store.begin().await?;
            // The user before the hand-off, as a change of the address takes them.
            tx.lock_user(user.id).await?;
            if tx.consume_hand_off(&hash(token), user.id, now).await? {
                let entrance = this.enter(tx, &user, text, Method::HandOff, known, false, entry.from).await?;
                return Ok(SignIn::Entered(Box::new(entrance)));
            }
        }
        let language = Language::of(&user.locale);
        let kind = match step {
            SecondStep::MailedCode => Kind::SignIn,
            SecondStep::Totp => Kind::Totp,
        };
        let asker = if device.is_some() { Asker::AtHome(user.id) } else { Asker::Stranger(user.id) };
        let draft = this.challenges.draft(kind, text, language, asker, entry.from).await?;
        let attempt =
            Attempt { user: user.id.0, delivery: entry.delivery, password: this.name_of_password(&user) };
        let mut tx = this.store.begin().await?;
        let opened = match this.challenges.open(&mut tx, draft, &attempt).await {
            Err(Error::Unauthenticated) => {
                drop(tx);
                return Err(this.erased(entry.from, now).await?);
            }
            opened => opened?,
        };
        // Whoever has a stolen password leaves a trace, too.
        let event = entry.from.event("session.challenge", Actor::Nobody, now).about(user.id);
        tx.audit(event.with("challenge", opened.id));
        tx.commit().await?;
        this.challenges.wake();
        Ok(SignIn::Challenged(opened, step))
    }

    /// The second step: a code of the kind that the first step said. With `remember` its device is trusted from now on.
    ///
    /// # Errors
    /// As [`Identity::sign_in`]; [`Error::BadInput`] when the session is to reach its client otherwise than the first step
    /// said.
    pub async fn verify(
        &self,
        challenge: Uuid,
        code: &SecretString,
        remember: bool,
        entry: &Entry<'_>,
    ) -> Result<Verified> {
        let this = &*self.0;
        this.check_open()?;
        let now = this.now();
        // Looked at before, since a challenge whose last try fails tells nothing any more.
        let of_app = this.challenges.peek::<Attempt>(Kind::Totp, challenge).await?;
        let is_of_app = of_app.is_some();
        let whose = match of_app {
            Some(attempt) => Some(attempt),
            None => this.challenges.peek(Kind::SignIn, challenge).await?,
        };
        if whose.as_ref().is_some_and(|attempt| attempt.delivery != entry.delivery) {
            let reason = "is not what the first step said";
            return Err(Error::BadInput { argument: "input.delivery", reason });
        }
        if let Some(attempt) = whose.as_ref().filter(|_| is_of_app) {
            return this.verify_by_app(challenge, attempt, code, remember, entry).await;
        }
        let proved = match this.challenges.prove::<Attempt>(Kind::SignIn, challenge, code, entry.from).await?
        {
            Answer::Proved(proved) => proved,
            Answer::Refused(refusal) => {
                let user = whose.map(|attempt| UserId(attempt.user));
                let code = refusal.error.code;
                this.note_failure(user, Outcome::WrongCode, code, entry.from, now).await?;
                return Ok(Verified::Refused(refusal));
            }
        };
        let whose = UserId(proved.payload.user);
        let void = async |whose| {
            let refusal = challenge::refused();
            this.note_failure(whose, Outcome::WrongCode, refusal.error.code, entry.from, now).await?;
            Ok(Verified::Refused(refusal))
        };
        let Some((user, email)) = this.store.user(whose).await? else { return void(None).await };
        // Who changed the password or the address meanwhile may not have wanted this sign-in.
        if user.is_disabled
            || this.name_of_password(&user) != proved.payload.password
            || email != proved.address
        {
            return void(Some(whose)).await;
        }
        let known = this.known(&email, entry.device, now).await?;
        let mut tx = this.store.begin().await?;
        // The user before the code, as an erasure takes them.
        let locked = tx.lock_user_of_email(&proved.address).await?;
        if locked != Some(whose) || !this.challenges.consume(&mut tx, &proved).await? {
            drop(tx);
            // Whoever is gone has no history, and whoever has the address now did nothing.
            return void(locked.filter(|user| *user == whose)).await;
        }
        let entrance = this.enter(tx, &user, &email, Method::Code, known, remember, entry.from).await?;
        Ok(Verified::Entered(Box::new(entrance)))
    }

    /// Opens a session for an address that is registered, without asking for a proof: for tests and load, where signing
    /// in is not what is looked at. Not in a production build.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when nobody is registered with the address; [`Error::Internal`] when the store fails.
    #[cfg(feature = "sandbox")]
    pub async fn enter(&self, email: &str) -> Result<Grant> {
        let this = &*self.0;
        let email = super::email::read_email(email)?;
        let user = this.store.user_by_email(email.as_str()).await?.ok_or(Error::Unauthenticated)?;
        let now = this.now();
        let mut tx = this.store.begin().await?;
        let (issued, ended) =
            this.open_session(&mut tx, user.id, &Origin::of(&Context::default()), None, now).await?;
        let event = Context::default().event("session.create", Actor::User(user.id), now);
        tx.audit(event.with("session", issued.session));
        tx.commit().await?;
        this.sessions.note_ends(ended).await;
        this.grant(issued, now).await
    }
}

impl Inner {
    /// The second step with a code of an app or a recovery code.
    async fn verify_by_app(
        &self,
        challenge: Uuid,
        attempt: &Attempt,
        code: &SecretString,
        remember: bool,
        entry: &Entry<'_>,
    ) -> Result<Verified> {
        let (id, now) = (UserId(attempt.user), self.now());
        let void = || Ok(Verified::Refused(challenge::refused()));
        let Some((user, email)) = self.store.user(id).await? else { return void() };
        let known = self.known(&email, entry.device, now).await?;
        let device = known.as_ref().and_then(Known::own);
        // Before a try is taken: who has to wait has lost none.
        let guess = self.guess_factor(id, device.as_ref().map(<[u8; 32]>::as_slice), entry.from, now).await?;
        let judged = async {
            let tried = match self.challenges.attempt::<Attempt>(Kind::Totp, challenge, entry.from).await? {
                Ok(tried) => tried,
                Err(refusal) => return Ok(Err(refusal)),
            };
            // Who changed the password meanwhile may not have wanted this sign-in.
            if user.is_disabled || self.name_of_password(&user) != tried.proved.payload.password {
                return Ok(Err(challenge::refused()));
            }
            let Some(fit) = self.fit(id, code, now).await? else { return Ok(Err(tried.refusal)) };
            let mut tx = self.store.begin().await?;
            // Before the rows of the app, as enrolling one does.
            tx.lock_user(id).await?;
            if !self.challenges.consume(&mut tx, &tried.proved).await? {
                return Ok(Err(challenge::refused()));
            }
            let owner = (user.clone(), email.clone());
            Ok::<_, Error>(match self.use_fit(&mut tx, owner, &fit, entry.from, now).await? {
                Some(method) => Ok((tx, method)),
                // The challenge stays, less the try.
                None => Err(tried.refusal),
            })
        };
        let judged = judged.await;
        match &judged {
            Ok(Ok(_)) => self.gate.right(guess).await,
            // A failure stays counted.
            Ok(Err(_)) => {}
            Err(_) => self.gate.untried(guess).await,
        }
        match judged? {
            Ok((tx, method)) => {
                let entrance = self.enter(tx, &user, &email, method, known, remember, entry.from).await?;
                if method == Method::RecoveryCode {
                    self.jobs.wake();
                }
                Ok(Verified::Entered(Box::new(entrance)))
            }
            Err(refusal) => {
                let why = refusal.error.code;
                self.note_failure(Some(id), Outcome::WrongCode, why, entry.from, now).await?;
                Ok(Verified::Refused(refusal))
            }
        }
    }

    /// What whoever signs in is told whose account was erased a moment ago.
    async fn erased(&self, from: &Context, now: DateTime<Utc>) -> Result<Error> {
        self.note_failure(None, Outcome::WrongPassword, INVALID_CREDENTIALS.code, from, now).await?;
        Ok(rejected(INVALID_CREDENTIALS))
    }

    /// Whether people may sign in and sign up now.
    pub(super) fn check_open(&self) -> Result<()> {
        self.maintenance.clone().map_or(Ok(()), |message| Err(Error::Maintenance(message)))
    }

    /// The device that a token names, if anybody signed in with it before.
    pub(super) async fn known<'a>(
        &self,
        email: &str,
        token: Option<&'a SecretString>,
        now: DateTime<Utc>,
    ) -> Result<Option<Known<'a>>> {
        let Some(token) = token.filter(readable) else { return Ok(None) };
        let since = now - self.device_lifetime;
        let row = self.store.device_of_email(email, &hash(token), since).await?;
        let others = self.store.accounts_of_device(&hash(token), since).await? - i64::from(row.is_some());
        if row.is_none() && others == 0 {
            return Ok(None);
        }
        Ok(Some(Known { token, row, is_shared: others > 0 }))
    }

    /// The name of the device of a token, if anybody signed in on it before.
    pub(super) async fn known_device(
        &self,
        token: Option<&SecretString>,
        now: DateTime<Utc>,
    ) -> Result<Option<[u8; 32]>> {
        let Some(name) = token.filter(readable).map(hash) else { return Ok(None) };
        let accounts = self.store.accounts_of_device(&name, now - self.device_lifetime).await?;
        Ok((accounts > 0).then_some(name))
    }

    /// Ends a sign-in that was proved: the device, the session, the history and the mail about a device that is new, in the
    /// transaction that used the proof up.
    #[expect(clippy::too_many_arguments, reason = "a sign-in has that many parts")]
    pub(super) async fn enter(
        &self,
        mut tx: Tx,
        user: &User,
        email: &str,
        method: Method,
        known: Option<Known<'_>>,
        remember: bool,
        from: &Context,
    ) -> Result<Entrance> {
        let (now, origin) = (self.now(), Origin::of(from));
        // One after the other; and nobody enters with a password that was replaced meanwhile.
        let locked = tx.lock_user(user.id).await?;
        let stands = |locked: &User| {
            let is_same = locked.password_hash.expose_secret() == user.password_hash.expose_secret();
            !locked.is_disabled && (is_same || method == Method::Passkey)
        };
        // An erased user has no history.
        let whose = locked.as_ref().map(|locked| locked.id);
        let refused = async |tx: Tx, outcome, why: UserError| {
            drop(tx);
            self.note_failure(whose, outcome, why.code, from, now).await?;
            Err(rejected(why))
        };
        if !locked.as_ref().is_some_and(stands) {
            return refused(tx, Outcome::WrongPassword, INVALID_CREDENTIALS).await;
        }
        // Nor with what was mailed, by whoever enrolled an app meanwhile.
        if matches!(method, Method::Code | Method::HandOff) && tx.has_totp(user.id).await? {
            return refused(tx, Outcome::WrongCode, challenge::refused().error).await;
        }
        let id = Uuid::now_v7();
        // A browser that several people share keeps its token, so that none of them is forgotten; but nobody's trust rests on
        // a token that another person may have read.
        let kept = known.filter(|known| !(remember && known.is_shared));
        let token = match kept {
            Some(known) => known.token.clone(),
            None => BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()).into(),
        };
        let (token_hash, network) = (hash(&token), self.seal_network("devices", id, &origin)?);
        let device = NewDevice {
            id,
            user: user.id,
            token_hash: &token_hash,
            kind: origin.kind,
            name: &origin.name,
            network: network.as_deref(),
            at: now,
            trusted_until: remember.then_some(now + self.trusted_for),
        };
        let (device, is_new) = tx.see_device(&device).await?;
        let (issued, ended) = self.open_session(&mut tx, user.id, &origin, Some(device), now).await?;
        self.note(&mut tx, user.id, Outcome::SignedIn, Some(method), &origin, now).await?;
        let event = from.event("session.create", Actor::User(user.id), now).with("session", issued.session);
        tx.audit(event.with("device", device).with("method", method.as_str()).with("ended", ended.len()));
        if is_new {
            let message = Message::NewDevice { device: origin.name.clone(), place: None, at: now };
            let mail = Mail { to: email.to_owned(), language: Language::of(&user.locale), message };
            self.jobs.put(&mut tx, &format!("new-device:{device}"), &mail).await?;
        }
        tx.commit().await?;
        self.sessions.note_ends(ended).await;
        if is_new {
            self.jobs.wake();
        }
        let device = DeviceToken { token, expires_at: now + self.device_lifetime };
        Ok(Entrance { grant: self.grant(issued, now).await?, device })
    }

    /// Begins a session and ends the oldest beyond the cap; gives which.
    pub(super) async fn open_session(
        &self,
        tx: &mut Tx,
        user: UserId,
        origin: &Origin,
        device: Option<Uuid>,
        now: DateTime<Utc>,
    ) -> Result<(super::Issued, Vec<Uuid>)> {
        let id = Uuid::now_v7();
        let session = NewSession {
            id,
            user,
            user_agent_class: origin.kind,
            device_name: origin.name.clone(),
            network: self.seal_network("sessions", id, origin)?,
            device,
            created_at: now,
            expires_at: self.sessions.ends_at(now),
        };
        let issued = self.sessions.open(tx, &session).await?;
        let idle_since = self.sessions.idle_since(now);
        let ended = tx.cap_sessions(user, self.sessions_per_user, now, idle_since).await?;
        Ok((issued, ended))
    }

    /// A name of a user's password that says nothing of it.
    fn name_of_password(&self, user: &User) -> String {
        hex::encode(&derive(&self.name_key, user.password_hash.expose_secret().as_bytes())[..16])
    }
}

impl<'a> Known<'a> {
    /// A device that is to have this token, which nobody else has.
    pub(super) fn with(token: &'a SecretString) -> Self {
        Self { token, row: None, is_shared: false }
    }

    /// Its name, if this account signed in on it.
    fn own(&self) -> Option<[u8; 32]> {
        self.row.is_some().then(|| hash(self.token))
    }

    /// The account's password is enough on it until then.
    fn trusted_until(&self) -> Option<DateTime<Utc>> {
        self.row.as_ref().and_then(|row| row.trusted_until)
    }
}

fn readable(token: &&SecretString) -> bool {
    (1..=LONGEST).contains(&token.expose_secret().len())
}

/// The hash under which a token is stored.
pub(super) fn hash(token: &SecretString) -> [u8; 32] {
    Sha256::digest(token.expose_secret().as_bytes()).into()
}

/// A time as the databases reckon with it.
pub(super) fn delta(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::days(1))
}
