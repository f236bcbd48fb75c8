//! One-time codes: a person proves an address by typing what was mailed to it.
//!
//! A challenge is one row: what it proves, for whom, a keyed hash of its code, how many tries are left, and what is to
//! happen once it is proved. It is opened within the transaction of its cause, and the mail leaves exactly when that is
//! committed:
//!
//! ```ignore
//! // Counts for the limits; nothing is stored.
//! let draft = identity.challenges().draft(Kind::SignUp, email, language, Asker::Anybody, &from).await?;
//! let mut tx = store.begin().await?;
//! let opened = identity.challenges().open(&mut tx, draft, &payload).await?;
//! tx.commit().await?;
//! identity.challenges().wake();
//!
//! match identity.challenges().prove::<Payload>(Kind::SignUp, id, &code, &from).await? {
//!     Answer::Proved(proved) => {
//!         let mut tx = store.begin().await?;
//!         if !identity.challenges().consume(&mut tx, &proved).await? { /* used meanwhile: undo, `refused()` */ }
//!         // everything that the proof allows, in the same transaction
//!         tx.commit().await?;
//!     }
//!     Answer::Refused(refusal) => /* refusal.error, refusal.tries_left */
//! }
//! ```
//!
//! A challenge of [`Kind::Totp`] mails nothing: an authenticator app has its code, or a recovery code stands in for it, and
//! who opened it judges what is typed. So no mailed code is an answer to it, and none can be asked for.
//!
//! A try is counted before the code is compared, so that any number of tries at once get no more than the three
//! (domain reference §6.1). Tries are never refilled, not even by another code; only a right one of which nothing came, since
//! a system was away, gives back the try that it took. A challenge that never was, ran out, was used or has no try left is
//! refused in the same words.
//!
//! Anybody may ask for a code that proves an address at a sign-up; one for a sign-in or a step-up asks for a password or a
//! session first. Each of both has limits of its own, so that whoever proved nothing keeps nobody from getting in; so have an
//! account's sessions and known devices, all together, so that whoever knows the password alone uses up no codes there. A
//! challenge gets so many codes at most and ends some time after its beginning, however often it is renewed.

mod kind;

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Serialize, de::DeserializeOwned};
use subtle::ConstantTimeEq;
use uuid::Uuid;

pub use self::kind::{Asker, Kind};
use crate::{
    clock::Clock,
    error::{Error, Result, UserError},
    id::UserId,
    identity::{
        Context, derive,
        email::read_email,
        limits::{Gate, Purpose},
    },
    jobs::Queue,
    mail::{Language, Mail, Message},
    seal::{Keyring, Place},
    secret::{ExposeSecret, SecretString, mask_email},
    store::{ChallengeRow, NewChallenge, Store, Tx},
};

/// Codes of one challenge at most.
const MOST_SENDS: i64 = 5;
/// A challenge ends this many lifetimes of a code after its beginning.
const LONGEST: i32 = 3;

const CODE_INVALID: UserError =
    UserError { code: "AUTH_OTP_INVALID", field: Vec::new(), message: "This is not the right code." };
const CODE_EXPIRED: UserError = UserError {
    code: "AUTH_OTP_EXPIRED",
    field: Vec::new(),
    message: "This code is good no more. Please begin again.",
};

/// Tries of a code of an app or a recovery code, until its challenge is void (requirement A10).
pub(super) const TOTP_TRIES: u32 = 5;

/// How codes are made.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a code is good.
    pub lifetime: Duration,
    /// How many tries it has.
    pub tries: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lifetime: Duration::from_secs(10 * 60), tries: 3 }
    }
}

/// A challenge that may be opened: its limits have been counted.
#[must_use]
pub struct Draft {
    kind: Kind,
    user: Option<UserId>,
    address: String,
    subject: [u8; 32],
    client: [u8; 32],
    language: Language,
}

/// A challenge that waits to be proved, as its person may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Names it. Whoever knows it may try.
    pub id: Uuid,
    /// Where the code went: `t***@example.jp`.
    pub masked_address: String,
    /// It is void from then on.
    pub expires_at: DateTime<Utc>,
    /// Tries until it is void.
    pub tries_left: u32,
}

/// A code that was right. It proves nothing any more once it was consumed.
#[derive(Clone)]
pub struct Proved<P> {
    id: Uuid,
    /// The normalised address that it proves.
    pub address: String,
    /// The language of its mails.
    pub language: Language,
    /// What was put in when it was opened.
    pub payload: P,
}

/// Why a code does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `AUTH_OTP_INVALID`, or `AUTH_OTP_EXPIRED` when the challenge never was, ran out, was used, or has no try left.
    pub error: UserError,
    /// Tries until the challenge is void; 0 when it is.
    pub tries_left: u32,
}

/// A try that was counted, of something that its caller judges.
pub(super) struct Tried<P> {
    /// What to consume, if it is right.
    pub(super) proved: Proved<P>,
    /// What to say, if it is wrong.
    pub(super) refusal: Refusal,
}

/// What came of a try.
#[derive(Clone)]
pub enum Answer<P> {
    /// The code was right; it is to be consumed.
    Proved(Proved<P>),
    /// It does not count.
    Refused(Refusal),
}

/// A challenge that is void, whatever the cause: the refusal that is always the same.
pub fn refused() -> Refusal {
    Refusal { error: CODE_EXPIRED, tries_left: 0 }
}

/// One-time codes.
pub struct Challenges {
    pub(super) store: Store,
    pub(super) jobs: Queue,
    pub(super) keys: Keyring,
    pub(super) gate: std::sync::Arc<Gate>,
    pub(super) key: [u8; 32],
    pub(super) settings: Settings,
    pub(super) clock: Clock,
}

impl Challenges {
    /// Counts a code that is to be mailed to an address.
    ///
    /// # Errors
    /// [`Error::BadInput`] for an address that is none; [`Error::RateLimited`].
    pub async fn draft(
        &self,
        kind: Kind,
        address: &str,
        language: Language,
        asker: Asker,
        from: &Context,
    ) -> Result<Draft> {
        let address = read_email(address)?.as_str().to_owned();
        let subject = self.subject(kind, &address, asker.is_at_home());
        self.count_send(kind, &subject, from, asker.is_at_home()).await?;
        Ok(Draft { kind, user: asker.user(), subject, client: self.client(from), address, language })
    }

    async fn count_send(&self, kind: Kind, subject: &[u8], from: &Context, is_known: bool) -> Result<()> {
        let ((purpose, _), now) = (kind.limits(), self.clock.now());
        if is_known {
            return self.gate.pass_account(purpose, subject, from, now).await;
        }
        self.gate.pass(purpose, Some(subject), from, now).await
    }

    /// Opens a challenge and puts its mail in, if it has one, both within the transaction; [`Challenges::wake`] is to be
    /// called after the commit. `payload` comes back when the code was right, and lies sealed until then.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when the account that asks is gone; [`Error::Internal`], [`Error::StoreAway`]. Then the
    /// transaction is to be undone.
    pub async fn open<P: Serialize>(&self, tx: &mut Tx, draft: Draft, payload: &P) -> Result<Opened> {
        self.open_saying(tx, draft, payload, None).await
    }

    /// Opens a challenge that looks like any other and that nobody can prove: its mail says something else, and no code. For
    /// addresses of which the asker must not learn what is known here.
    ///
    /// # Errors
    /// As [`Challenges::open`].
    pub async fn open_decoy<P: Serialize>(
        &self,
        tx: &mut Tx,
        draft: Draft,
        payload: &P,
        said: Message,
    ) -> Result<Opened> {
        self.open_saying(tx, draft, payload, Some(said)).await
    }

    async fn open_saying<P: Serialize>(
        &self,
        tx: &mut Tx,
        draft: Draft,
        payload: &P,
        said: Option<Message>,
    ) -> Result<Opened> {
        // An erasure that is under way takes the challenge with it, or there is nobody any more who asks.
        if let Some(user) = draft.user
            && tx.lock_user(user).await?.is_none()
        {
            return Err(Error::Unauthenticated);
        }
        let (id, now) = (Uuid::new_v4(), self.now());
        let expires_at = now + self.lifetime();
        let code = fresh();
        let payload =
            serde_json::to_vec(payload).map_err(|_| Error::internal("a payload cannot be written"))?;
        let seal = |column, plain: &[u8]| self.keys.seal(place(column, &id), plain).map_err(Error::internal);
        let row = NewChallenge {
            id,
            kind: draft.kind.as_str(),
            user: draft.user,
            subject: &draft.subject,
            address: &seal("address", draft.address.as_bytes())?,
            language: draft.language.tag(),
            payload: &seal("payload", &payload)?,
            code_hash: &self.hash(draft.kind, id, &code),
            client_hash: &draft.client,
            tries: draft.kind.tries(&self.settings),
            created_at: now,
            expires_at,
        };
        tx.insert_challenge(&row).await?;
        let message = said.or_else(|| draft.kind.message(code, expires_at));
        self.mail(tx, draft.kind, id, 1, &draft.address, draft.language, message).await?;
        Ok(Opened {
            id,
            masked_address: mask_email(&draft.address),
            expires_at,
            tries_left: draft.kind.tries(&self.settings),
        })
    }

    /// Lets the mails of opened challenges leave at once. To be called after the commit.
    pub fn wake(&self) {
        self.jobs.wake();
    }

    /// Mails another code, which replaces the one before and is good as long as a first one, but not beyond the end of the
    /// challenge. The tries stay.
    ///
    /// # Errors
    /// [`Error::RateLimited`], [`Error::Internal`], [`Error::StoreAway`].
    pub async fn resend(&self, kind: Kind, id: Uuid, from: &Context) -> Result<Result<Opened, Refusal>> {
        self.resend_saying(kind, id, from, None).await
    }

    /// The same of a decoy: see [`Challenges::open_decoy`].
    ///
    /// # Errors
    /// As [`Challenges::resend`].
    pub async fn resend_decoy(
        &self,
        kind: Kind,
        id: Uuid,
        from: &Context,
        said: Message,
    ) -> Result<Result<Opened, Refusal>> {
        self.resend_saying(kind, id, from, Some(said)).await
    }

    async fn resend_saying(
        &self,
        kind: Kind,
        id: Uuid,
        from: &Context,
        said: Option<Message>,
    ) -> Result<Result<Opened, Refusal>> {
        let now = self.now();
        let Some(row) = self.store.challenge(id, kind.as_str(), now).await? else {
            return Ok(Err(refused()));
        };
        if row.sends >= MOST_SENDS {
            return Ok(Err(refused()));
        }
        // Whoever has a challenge of another kind proved something for it.
        self.count_send(kind, &row.subject, from, kind != Kind::SignUp).await?;
        let address = self.address(id, &row.address)?;
        let end = row.created_at + self.lifetime() * LONGEST;
        let (code, expires_at) = (fresh(), (now + self.lifetime()).min(end));
        let mut tx = self.store.begin().await?;
        let hash = self.hash(kind, id, &code);
        if !tx.renew_challenge(id, row.sends, &hash, now, expires_at).await? {
            return Ok(Err(refused()));
        }
        let language = Language::of(&row.language);
        let message = said.or_else(|| kind.message(code, expires_at));
        self.mail(&mut tx, kind, id, row.sends + 1, &address, language, message).await?;
        tx.audit(from.event("code.send", from.actor(), now).with("challenge", id));
        tx.commit().await?;
        self.wake();
        let tries_left = count(row.tries_left);
        Ok(Ok(Opened { id, masked_address: mask_email(&address), expires_at, tries_left }))
    }

    /// Tries a code: six digits, with any spaces between them.
    ///
    /// # Errors
    /// [`Error::RateLimited`], [`Error::Internal`], [`Error::StoreAway`].
    pub async fn prove<P: DeserializeOwned>(
        &self,
        kind: Kind,
        id: Uuid,
        code: &SecretString,
        from: &Context,
    ) -> Result<Answer<P>> {
        let Some(row) = self.take_try(kind, id, from).await? else {
            return Ok(Answer::Refused(refused()));
        };
        let typed: String = code.expose_secret().chars().filter(|c| !c.is_whitespace()).collect();
        if !bool::from(self.hash(kind, id, &typed).ct_eq(&row.code_hash)) {
            return Ok(Answer::Refused(Refusal { error: CODE_INVALID, tries_left: count(row.tries_left) }));
        }
        if !bool::from(self.client(from).ct_eq(&row.client_hash)) {
            tracing::warn!(kind = kind.as_str(), "a code was typed by another program than asked for it");
        }
        Ok(Answer::Proved(self.proved(id, &row)?))
    }

    /// Counts a try of something that the caller judges. `Err` when the challenge is void.
    pub(super) async fn attempt<P: DeserializeOwned>(
        &self,
        kind: Kind,
        id: Uuid,
        from: &Context,
    ) -> Result<Result<Tried<P>, Refusal>> {
        let Some(row) = self.take_try(kind, id, from).await? else { return Ok(Err(refused())) };
        let refusal = Refusal { error: CODE_INVALID, tries_left: count(row.tries_left) };
        Ok(Ok(Tried { proved: self.proved(id, &row)?, refusal }))
    }

    /// Counts a try under the limits, and takes it from the challenge; `None` when that is void.
    async fn take_try(&self, kind: Kind, id: Uuid, from: &Context) -> Result<Option<ChallengeRow>> {
        let now = self.now();
        let known = self.store.challenge(id, kind.as_str(), now).await?;
        match &known {
            Some(row) => self.gate.pass_account(Purpose::CodeTry, &row.subject, from, now).await?,
            // Anybody can make one up: that counts for where they sit, and is in nobody's way who has one.
            None => self.gate.pass(Purpose::CodeTry, None, from, now).await?,
        }
        Ok(self.store.try_challenge(id, kind.as_str(), now).await?)
    }

    fn proved<P: DeserializeOwned>(&self, id: Uuid, row: &ChallengeRow) -> Result<Proved<P>> {
        let payload = self.payload(id, &row.payload)?;
        let address = self.address(id, &row.address)?;
        Ok(Proved { id, address, language: Language::of(&row.language), payload })
    }

    /// What was put in, as long as the challenge is not void; no try is counted.
    ///
    /// # Errors
    /// [`Error::Internal`], [`Error::StoreAway`].
    pub async fn peek<P: DeserializeOwned>(&self, kind: Kind, id: Uuid) -> Result<Option<P>> {
        let Some(row) = self.store.challenge(id, kind.as_str(), self.now()).await? else { return Ok(None) };
        self.payload(id, &row.payload).map(Some)
    }

    /// Gives back the try that a right code took, of which nothing came. Not for a proof that was consumed.
    ///
    /// # Errors
    /// [`Error::Internal`], [`Error::StoreAway`].
    pub async fn give_back<P>(&self, proved: &Proved<P>) -> Result<()> {
        Ok(self.store.return_try(proved.id).await?)
    }

    /// Uses a proof up, with everything else that the transaction does. False when somebody used it meanwhile: then the
    /// transaction is to be undone, and the person is told [`refused`].
    ///
    /// # Errors
    /// [`Error::Internal`], [`Error::StoreAway`].
    pub async fn consume<P>(&self, tx: &mut Tx, proved: &Proved<P>) -> Result<bool> {
        Ok(tx.consume_challenge(proved.id).await?)
    }

    #[expect(clippy::too_many_arguments, reason = "a mail has that many parts")]
    async fn mail(
        &self,
        tx: &mut Tx,
        kind: Kind,
        id: Uuid,
        send: i64,
        address: &str,
        language: Language,
        message: Option<Message>,
    ) -> Result<()> {
        let Some(message) = message else { return Ok(()) };
        let mail = Mail { to: address.to_owned(), language, message };
        self.jobs.put(tx, &format!("{}:{id}:{send}", kind.as_str()), &mail).await?;
        Ok(())
    }

    fn payload<P: DeserializeOwned>(&self, id: Uuid, sealed: &[u8]) -> Result<P> {
        let plain = self.keys.open(place("payload", &id), sealed).map_err(Error::internal)?;
        // The cause would quote what it holds.
        serde_json::from_slice(&plain).map_err(|_| Error::internal("a payload cannot be read"))
    }

    fn address(&self, id: Uuid, sealed: &[u8]) -> Result<String> {
        let plain = self.keys.open(place("address", &id), sealed).map_err(Error::internal)?;
        String::from_utf8(plain).map_err(|_| Error::internal("a sealed address is none"))
    }

    /// The keyed hash of a code, for one challenge of one kind.
    fn hash(&self, kind: Kind, id: Uuid, code: &str) -> [u8; 32] {
        derive(&self.key, format!("code:{}:{id}:{code}", kind.as_str()).as_bytes())
    }

    /// The keyed hash under which limits and challenges of such a kind know an address: that of an account at home and
    /// elsewhere, that of anybody the same wherever it is typed.
    pub(super) fn subject(&self, kind: Kind, address: &str, is_at_home: bool) -> [u8; 32] {
        let name = match kind.limits() {
            (Purpose::KnownCodeSend, _) if is_at_home => "at home",
            (_, name) => name,
        };
        derive(&self.key, format!("subject:{name}:{address}").as_bytes())
    }

    /// All under which an address is known.
    pub(super) fn subjects(&self, address: &str) -> [[u8; 32]; 3] {
        [(Kind::SignIn, false), (Kind::SignIn, true), (Kind::SignUp, false)]
            .map(|(kind, is_at_home)| self.subject(kind, address, is_at_home))
    }

    fn client(&self, from: &Context) -> [u8; 32] {
        derive(&self.key, format!("client:{}", from.user_agent.as_deref().unwrap_or_default()).as_bytes())
    }

    fn lifetime(&self) -> TimeDelta {
        TimeDelta::from_std(self.settings.lifetime).unwrap_or(TimeDelta::minutes(10))
    }

    /// Now, as precise as both databases keep it.
    fn now(&self) -> DateTime<Utc> {
        self.clock.now().trunc_subsecs(6)
    }
}

fn place<'a>(column: &'static str, id: &'a Uuid) -> Place<'a> {
    Place { table: "challenges", column, row: id.as_bytes() }
}

/// Six digits that nobody can foresee.
fn fresh() -> String {
    format!("{:06}", rand::random_range(0..1_000_000_u32))
}

fn count(tries: i64) -> u32 {
    u32::try_from(tries).unwrap_or(0)
}

#[cfg(test)]
mod tests;
