//! Authenticator apps (TOTP, RFC 6238) and recovery codes: the second step of a sign-in without a mail.
//!
//! An app and we share a secret, from which both make six digits of the time. Whoever has enrolled one is asked for its code
//! at each sign-in and is mailed none: the mailbox is a way in no longer. Ten recovery codes stand in for a lost app, each
//! once. `totp-rs` reckons the codes and writes the address that an app reads; what it leaves to us stands here and in the
//! store: that a code counts once, that a try is counted, and what an app may replace.
//!
//! The secret lies sealed, since codes cannot be made of a hash; of recovery codes only keyed hashes are kept. The key is
//! the store's own and not that of the configuration, so replacing a secret there makes no recovery code void.

mod code;
mod proof;
#[cfg(test)]
mod tests;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Identity, Inner, rejected};
use crate::{
    error::{Error, Result, UserError},
    identity::{Viewer, challenge::TOTP_TRIES},
    mail::{Language, Mail, Message, SecondFactor},
    seal::Place,
    secret::SecretString,
    store::{NewEnrolment, Tx, User},
};

/// How long an enrolment waits for its first code.
const ENROLLED_WITHIN: TimeDelta = TimeDelta::minutes(10);
/// Recovery codes of one person.
const RECOVERY_CODES: usize = 10;

const CODE_INVALID: UserError = UserError {
    code: "TOTP_CODE_INVALID",
    field: Vec::new(),
    message: "This is not the code that your app shows. Please check the time of your device.",
};
const ENROLMENT_VOID: UserError = UserError {
    code: "TOTP_ENROLMENT_VOID",
    field: Vec::new(),
    message: "This took too long, or too many codes were wrong. Please begin again.",
};
const NOT_ENROLLED: UserError = UserError {
    code: "TOTP_NOT_ENROLLED",
    field: Vec::new(),
    message: "There is no authenticator app in your account.",
};

/// What asks for a second step, besides mails.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SecondFactors {
    /// The authenticator app; `None` when none is enrolled.
    pub totp: Option<TotpStatus>,
    /// Recovery codes that were not used.
    pub recovery_codes_left: u32,
}

/// An authenticator app, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TotpStatus {
    /// When it was enrolled.
    pub enrolled_at: DateTime<Utc>,
    /// When a code of it was last used; `None` when none ever was.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// An app that is to be enrolled. What it shows is shown once.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// What an app reads: `otpauth://totp/…`.
    pub uri: SecretString,
    /// The secret in base32, for people who type it.
    pub secret: SecretString,
    /// `uri` as a picture, an SVG element.
    pub qr: SecretString,
    /// It is to be finished before.
    pub expires_at: DateTime<Utc>,
}

impl Identity {
    /// The second factors of a person, but for passkeys: see [`Identity::passkeys`].
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    pub async fn second_factors(&self, viewer: &Viewer) -> Result<SecondFactors> {
        viewer.reader().keep_not();
        let this = &*self.0;
        let totp = this.store.totp(viewer.user()).await?;
        Ok(SecondFactors {
            totp: totp.map(|row| TotpStatus { enrolled_at: row.enrolled_at, last_used_at: row.last_used_at }),
            recovery_codes_left: this.store.recovery_codes_left(viewer.user()).await?,
        })
    }

    /// Begins to enrol an app, to be finished within 10 minutes by the same session. Until then nothing changes; one that is
    /// enrolled already stays until another replaces it.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `STEP_UP_REQUIRED`.
    pub async fn begin_totp(&self, viewer: &Viewer) -> Result<Enrolment> {
        let this = &*self.0;
        self.require_fresh(viewer, "totp.begin").await?;
        let (_, email) = this.store.user(viewer.user()).await?.ok_or(Error::Unauthenticated)?;
        let (id, secret, now) = (Uuid::now_v7(), code::fresh(), this.now());
        let app = code::App::new(&secret, &this.totp_issuer, &email)?;
        let sealed = this.seals.seal(pending(&id), &secret).map_err(Error::internal)?;
        let expires_at = now + ENROLLED_WITHIN;
        let new = NewEnrolment {
            id,
            user: viewer.user(),
            session: viewer.session(),
            secret: &sealed,
            tries: TOTP_TRIES,
            expires_at,
        };
        let mut tx = this.store.begin().await?;
        tx.put_enrolment(&new).await?;
        tx.audit(viewer.event("totp.begin", now).with("factor", id));
        tx.commit().await?;
        Ok(Enrolment { uri: app.uri()?, secret: app.base32(), qr: app.qr()?, expires_at })
    }

    /// Finishes an enrolment with the code that the app shows. From then on a sign-in asks for one, on every device anew; the
    /// owner is told by mail. Gives the recovery codes, which are shown this once.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `TOTP_CODE_INVALID` (field `code`), after which there are four more tries, or with
    /// `TOTP_ENROLMENT_VOID`.
    pub async fn finish_totp(&self, viewer: &Viewer, typed: &SecretString) -> Result<Vec<SecretString>> {
        let this = &*self.0;
        let (user, now) = (viewer.user(), this.now());
        let owner = this.store.user(user).await?.ok_or(Error::Unauthenticated)?;
        let refused = async |why: UserError| {
            this.store.audit(viewer.event("totp.enrol", now).refused(why.code)).await?;
            Err(rejected(UserError { field: vec!["code"], ..why }))
        };
        let Some((id, sealed, left)) = this.store.try_enrolment(user, viewer.session(), now).await? else {
            return refused(ENROLMENT_VOID).await;
        };
        let secret = this.seals.open(pending(&id), &sealed).map_err(Error::internal)?;
        let app = code::App::new(&secret, &this.totp_issuer, &owner.1)?;
        let step = match code::read(typed) {
            Some(code::Typed::App(digits)) => app.step(&digits, 0, now),
            _ => None,
        };
        let Some(step) = step else {
            return refused(if left > 0 { CODE_INVALID } else { ENROLMENT_VOID }).await;
        };
        let sealed = this.seals.seal(enrolled(&id), &secret).map_err(Error::internal)?;
        let codes = code::recovery_codes(RECOVERY_CODES);
        let names = this.store.recovery_codes(user, &codes)?;
        let mut tx = this.store.begin().await?;
        // Who signs in meanwhile either waits and is asked for a code of this app, or is in before.
        if tx.lock_user(user).await?.is_none_or(|user| user.is_disabled) {
            return Err(Error::Unauthenticated);
        }
        if !tx.consume_enrolment(user, id).await? {
            drop(tx);
            return refused(ENROLMENT_VOID).await;
        }
        tx.put_totp(user, id, &sealed, step, now).await?;
        tx.put_recovery_codes(user, &names).await?;
        // That trust was given for a weaker proof.
        let distrusted = tx.distrust_devices(user).await?;
        tx.audit(viewer.event("totp.enrol", now).with("factor", id).with("devicesDistrusted", distrusted));
        this.tell_of_factor(&mut tx, owner, SecondFactor::AppAdded, now).await?;
        tx.commit().await?;
        this.jobs.wake();
        Ok(codes.iter().map(code::shown).collect())
    }

    /// Removes the app and the recovery codes: a sign-in asks for a mailed code again. False when there is none. The owner is
    /// told by mail.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `STEP_UP_REQUIRED`.
    pub async fn remove_totp(&self, viewer: &Viewer) -> Result<bool> {
        let this = &*self.0;
        self.require_fresh(viewer, "totp.remove").await?;
        let (user, now) = (viewer.user(), this.now());
        let owner = this.store.user(user).await?.ok_or(Error::Unauthenticated)?;
        let mut tx = this.store.begin().await?;
        tx.lock_user(user).await?;
        if !tx.delete_totp(user).await? {
            return Ok(false);
        }
        tx.audit(viewer.event("totp.remove", now));
        this.tell_of_factor(&mut tx, owner, SecondFactor::AppRemoved, now).await?;
        tx.commit().await?;
        this.jobs.wake();
        Ok(true)
    }

    /// Makes new recovery codes, which are shown this once; those before are void. The owner is told by mail.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `STEP_UP_REQUIRED`, or with `TOTP_NOT_ENROLLED` without an app.
    pub async fn regenerate_recovery_codes(&self, viewer: &Viewer) -> Result<Vec<SecretString>> {
        let this = &*self.0;
        self.require_fresh(viewer, "recovery-codes.create").await?;
        let (user, now) = (viewer.user(), this.now());
        let owner = this.store.user(user).await?.ok_or(Error::Unauthenticated)?;
        let codes = code::recovery_codes(RECOVERY_CODES);
        let names = this.store.recovery_codes(user, &codes)?;
        let mut tx = this.store.begin().await?;
        tx.lock_user(user).await?;
        if !tx.has_totp(user).await? {
            return Err(rejected(NOT_ENROLLED));
        }
        tx.put_recovery_codes(user, &names).await?;
        tx.audit(viewer.event("recovery-codes.create", now));
        this.tell_of_factor(&mut tx, owner, SecondFactor::RecoveryCodesMade, now).await?;
        tx.commit().await?;
        this.jobs.wake();
        Ok(codes.iter().map(code::shown).collect())
    }
}

impl Inner {
    /// Puts a mail in about what became of the app or of a recovery code.
    async fn tell_of_factor(
        &self,
        tx: &mut Tx,
        (user, to): (User, String),
        change: SecondFactor,
        at: DateTime<Utc>,
    ) -> Result<()> {
        let message = Message::SecondFactorChanged { change, at };
        let mail = Mail { to, language: Language::of(&user.locale), message };
        self.jobs.put(tx, &format!("second-factor:{}", Uuid::now_v7()), &mail).await?;
        Ok(())
    }
}

fn pending(id: &Uuid) -> Place<'_> {
    Place { table: "totp_enrolments", column: "secret", row: id.as_bytes() }
}

fn enrolled(id: &Uuid) -> Place<'_> {
    Place { table: "totp_factors", column: "secret", row: id.as_bytes() }
}
