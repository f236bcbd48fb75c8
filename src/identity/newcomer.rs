//! Persons who have no account yet: what they proved about themselves, and how they become users.
//!
//! A verification is a random token of which only a hash is kept. It is good for one purpose and a short time, and may be
//! shown more than once: a lost answer must not cost the person the way to it.

use std::{fmt, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    error::{Error, Result, UserError},
    id::{AccountId, ClientId, UserId},
    identity::{
        Context, Entrance, Entry, INVALID_CREDENTIALS, Identity,
        challenge::Kind,
        derive,
        email::read_email,
        history::{Method, Outcome},
        limits::Secret,
        policy, rejected,
        sign_in::Known,
    },
    seal::Place,
    secret::{ExposeSecret, SecretString},
    store::{self, Mapping, NewUser, Tx, VerificationRow, audit::Actor},
};

/// How long after its end whoever completed a sign-up may ask again for the session: answers get lost.
const WELCOME_WITHIN: TimeDelta = TimeDelta::minutes(5);

const SIGN_IN_REQUIRED: UserError = UserError {
    code: "SIGN_IN_REQUIRED",
    field: Vec::new(),
    message: "Your account is there, and asks for the code of your app. Please sign in.",
};

/// What a verification is good for: to sign up, or to link an existing customer.
const PURPOSE: &str = "sign-up";

/// What somebody proved. It prints nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The normalised address.
    pub email: String,
    /// The language of mails: `en` or `ja`.
    pub locale: String,
    /// The client in billing that the person proved to be; `None` when the address alone was proved.
    pub client: Option<ClientId>,
    /// Whether billing refused, or seemed to refuse, the client of a sign-up that was begun with it: then it may have made one.
    #[serde(default)]
    pub was_refused_by_billing: bool,
}

impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence").finish_non_exhaustive()
    }
}

/// A verification that is good now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Its key, under which what is begun with it is known.
    pub id: Uuid,
    /// What was proved.
    pub evidence: Evidence,
    /// When it was proved.
    pub proved_at: DateTime<Utc>,
    /// It is good until then.
    pub expires_at: DateTime<Utc>,
}

/// A person who becomes a user.
#[derive(Clone, Debug)]
pub struct Newcomer<'a> {
    /// The user that is to be.
    pub user: UserId,
    /// The normalised address.
    pub email: &'a str,
    /// A PHC string, as [`Identity::new_password`] gives it.
    pub password_hash: &'a SecretString,
    /// The language of mails: `en` or `ja`.
    pub locale: &'a str,
    /// The billing client.
    pub client: ClientId,
    /// The CRM account.
    pub account: AccountId,
    /// The request in which it began, for the audit log.
    pub request_id: Option<&'a str>,
}

impl Identity {
    /// An address in the form in which addresses are compared.
    ///
    /// # Errors
    /// [`Error::BadInput`] for what is none.
    pub fn normalised(&self, email: &str) -> Result<String> {
        Ok(read_email(email)?.into_string())
    }

    /// A name for something that says nothing without our key. `purpose` keeps the names of one use from those of another.
    pub fn keyed(&self, purpose: &str, text: &str) -> [u8; 32] {
        derive(&self.0.name_key, format!("{purpose}:{text}").as_bytes())
    }

    /// Issues a verification, within the transaction that uses its proof up. `from` is whoever proved it.
    ///
    /// # Errors
    /// [`Error::StoreAway`], [`Error::Internal`].
    pub async fn attest(
        &self,
        tx: &mut Tx,
        evidence: Evidence,
        lifetime: Duration,
        from: &Context,
    ) -> Result<(SecretString, Verification)> {
        let (id, now) = (Uuid::now_v7(), self.0.now());
        let token: [u8; 32] = rand::random();
        let proved = self.seal_evidence(id, &evidence)?;
        let row = VerificationRow {
            verification_id: id,
            token_hash: Sha256::digest(token).to_vec(),
            purpose: PURPOSE.to_owned(),
            proved,
            created_at: now,
            expires_at: now + TimeDelta::from_std(lifetime).unwrap_or(TimeDelta::minutes(30)),
        };
        let subject = self.0.challenges.subject(Kind::SignUp, &evidence.email, false);
        tx.insert_verification(&row, &subject).await?;
        let event = from.event("verification.create", Actor::Nobody, now);
        tx.audit(event.with("verification", id));
        let token = SecretString::from(BASE64_URL_SAFE_NO_PAD.encode(token));
        Ok((token, Verification { id, evidence, proved_at: now, expires_at: row.expires_at }))
    }

    /// Remembers with a verification, as long as it is there, that billing refused a client.
    ///
    /// # Errors
    /// [`Error::StoreAway`], [`Error::Internal`].
    pub async fn was_refused_by_billing(&self, verification: &mut Verification) -> Result<()> {
        verification.evidence.was_refused_by_billing = true;
        let proved = self.seal_evidence(verification.id, &verification.evidence)?;
        Ok(self.0.store.change_verification(verification.id, &proved).await?)
    }

    fn seal_evidence(&self, id: Uuid, evidence: &Evidence) -> Result<Vec<u8>> {
        let plain =
            serde_json::to_vec(evidence).map_err(|_| Error::internal("what was proved cannot be written"))?;
        self.0.challenges.keys.seal(place(&id), &plain).map_err(Error::internal)
    }

    /// The verification of a token, while it is good.
    ///
    /// # Errors
    /// [`Error::StoreAway`], [`Error::Internal`].
    pub async fn verification(&self, token: &SecretString) -> Result<Option<Verification>> {
        let Ok(token) = BASE64_URL_SAFE_NO_PAD.decode(token.expose_secret()) else { return Ok(None) };
        let hash = Sha256::digest(token);
        let Some(row) = self.0.store.verification(&hash, PURPOSE, self.0.now()).await? else {
            return Ok(None);
        };
        let id = row.verification_id;
        let plain = self.0.challenges.keys.open(place(&id), &row.proved).map_err(Error::internal)?;
        // The cause would quote what was proved.
        let evidence =
            serde_json::from_slice(&plain).map_err(|_| Error::internal("what was proved cannot be read"))?;
        Ok(Some(Verification { id, evidence, proved_at: row.created_at, expires_at: row.expires_at }))
    }

    /// Whether a password may be chosen. `words` are those that somebody who knows its owner would try.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `PASSWORD_LENGTH` or `PASSWORD_GUESSABLE` for `field`.
    pub async fn may_choose(
        &self,
        password: &SecretString,
        words: Vec<String>,
        field: &'static str,
    ) -> Result<()> {
        policy::check(password.clone(), words, field).await
    }

    /// The PHC string of a password that may be chosen.
    ///
    /// # Errors
    /// [`Error::RateLimited`] while too many are hashed.
    pub async fn new_password(&self, password: &SecretString) -> Result<SecretString> {
        self.0.passwords.hash(password.clone()).await
    }

    /// Makes somebody a user, with everything else that the transaction does.
    ///
    /// # Errors
    /// [`store::Error::Taken`] when the address, the client or the account is another's.
    pub async fn admit(&self, tx: &mut Tx, newcomer: &Newcomer<'_>) -> Result<(), store::Error> {
        let now = self.0.now();
        let user = NewUser {
            id: newcomer.user,
            email: newcomer.email,
            password_hash: newcomer.password_hash,
            locale: newcomer.locale,
            at: now,
        };
        tx.insert_user(&user).await?;
        let mapping = Mapping { user: newcomer.user, client: newcomer.client, account: newcomer.account };
        tx.insert_mapping(&mapping, now).await?;
        let from = Context { request_id: newcomer.request_id.map(str::to_owned), ..Context::default() };
        let event = from.event("user.register", Actor::User(newcomer.user), now);
        // Which client and account, the mapping says, as long as it is there: the log outlives an erasure.
        tx.audit(event);
        Ok(())
    }

    /// Opens a session for somebody who has just become a user, with the password that they chose; `hashed` is its PHC
    /// string, where it is known. `None` when this is not their password, or not any more, or when they became a user longer
    /// ago than an answer takes to be asked for again: then they sign in as everybody does, second factor included.
    ///
    /// Their device is known from then on. However often this is asked for, it is one device, unless an earlier sign-in left
    /// another token on it: whoever asks again lost the answer, the token with it.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `SIGN_IN_REQUIRED` for whoever enrolled an app meanwhile;
    /// [`Error::RateLimited`] after wrong passwords, which count with those of sign-ins, or while too many are hashed;
    /// [`Error::StoreAway`], [`Error::Internal`].
    pub async fn welcome(
        &self,
        user: UserId,
        password: &SecretString,
        hashed: Option<&SecretString>,
        entry: &Entry<'_>,
    ) -> Result<Option<Entrance>> {
        let this = &*self.0;
        let (now, context) = (this.now(), entry.from);
        let Some((found, email)) = this.store.user(user).await? else { return Ok(None) };
        let registered_at = this.store.user_created_at(user).await?;
        if found.is_disabled || registered_at.is_none_or(|at| at + WELCOME_WITHIN <= now) {
            return Ok(None);
        }
        let is_theirs = |hash: &&SecretString| hash.expose_secret() == found.password_hash.expose_secret();
        if hashed.filter(is_theirs).is_none() {
            let admission = this.passwords.admit()?;
            let guess = this.gate.guess(Secret::Password, email.as_bytes(), context, now).await?;
            if !this.is_password(admission, guess, password, &found).await? {
                this.note_failure(Some(user), Outcome::WrongPassword, INVALID_CREDENTIALS.code, context, now)
                    .await?;
                return Ok(None);
            }
        }
        let first = first_device(&this.name_key, user);
        let known = this.known(&email, entry.device, now).await?.unwrap_or_else(|| Known::with(&first));
        let mut tx = this.store.begin().await?;
        // Before the row of the app, as enrolling one does.
        tx.lock_user(user).await?;
        if tx.has_totp(user).await? {
            return Err(rejected(SIGN_IN_REQUIRED));
        }
        this.enter(tx, &found, &email, Method::Code, Some(known), false, context).await.map(Some)
    }

    /// Counts a try of a password that another system judges, under the limits of sign-ins. `judge` says whether it was right;
    /// a failure of its own counts for nothing. A wrong one takes as long as at a sign-in at least.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `AUTH_CAPTCHA_REQUIRED`; [`Error::RateLimited`] after too many wrong ones; what `judge`
    /// says.
    pub async fn guarded<T>(
        &self,
        email: &str,
        context: &Context,
        judge: impl Future<Output = Result<Option<T>>>,
    ) -> Result<Option<T>> {
        let this = &*self.0;
        let began = Instant::now();
        let guess = this
            .guess(Secret::BillingPassword, email.as_bytes(), None, &mut None, context, this.now())
            .await?;
        let judged = judge.await;
        match &judged {
            // It forgives nothing: whoever is right once needs no further try.
            Ok(Some(_)) => this.gate.untried(guess).await,
            // A failure stays counted.
            Ok(None) => {
                let event = context.event("billing-login.check", Actor::Nobody, this.now());
                this.store.audit(event.refused("AUTH_INVALID_CREDENTIALS")).await?;
                this.hold(began).await;
            }
            Err(_) => this.gate.untried(guess).await,
        }
        judged
    }
}

/// The token that is left on the device of a sign-up.
fn first_device(key: &[u8; 32], user: UserId) -> SecretString {
    let name = derive(key, format!("device of a sign-up:{user}").as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(name).into()
}

fn place(id: &Uuid) -> Place<'_> {
    Place { table: "verifications", column: "proved", row: id.as_bytes() }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::{identity::tests::replica, store::testing::on_both_stores};

    on_both_stores! {
        async fn a_verification_is_forgotten_when_it_has_run_out(store: TestStore) {
            let replica = replica(&store);
            for (email, seconds) in [("taro@example.jp", 60), ("hanako@example.jp", 600)] {
                let evidence = Evidence {
                    email: email.to_owned(),
                    locale: "ja".to_owned(),
                    client: None,
                    was_refused_by_billing: false,
                };
                let (mut tx, lasts) = (store.begin().await.unwrap(), Duration::from_secs(seconds));
                replica.attest(&mut tx, evidence, lasts, &Context::default()).await.unwrap();
                tx.commit().await.unwrap();
            }
            let left = async || {
                replica.0.purge().await;
                store.dump().await.iter().filter(|(table, _)| table == "verifications").count()
            };
            assert_eq!(left().await, 2);
            replica.clock.advance(TimeDelta::minutes(2));
            assert_eq!(left().await, 1);
        }
    }
}
