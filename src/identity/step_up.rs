//! Proving again who is there, before what would hurt most if somebody else sat at the screen.
//!
//! A session remembers when its person last proved who they are: at the sign-in, or later by a step-up. An act that asks for
//! it begins with [`Identity::require_fresh`], and is refused with `STEP_UP_REQUIRED` when that was too long ago. An act that
//! asks for the password itself, as its change does, needs no more.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{
    INVALID_CREDENTIALS, Identity, WRONG_PASSWORD,
    challenge::{Answer, Asker, Kind, Opened, refused},
    limits::Secret,
    passkeys::Purpose,
    rejected,
};
use crate::{
    error::{Error, Result, UserError},
    identity::Viewer,
    mail::Language,
    secret::SecretString,
    store::{Tx, audit::Event},
};

const REQUIRED: UserError = UserError {
    code: "STEP_UP_REQUIRED",
    field: Vec::new(),
    message: "Please prove again that it is you: `stepUpBegin` says how you can.",
};
const PASSKEY_REFUSED: UserError = UserError {
    code: "PASSKEY_REFUSED",
    field: Vec::new(),
    message: "This passkey could not be used. Please begin again.",
};

const TOTP_REFUSED: UserError =
    UserError { code: "AUTH_OTP_INVALID", field: Vec::new(), message: "This is not the right code." };
const NOT_BY_MAIL: UserError = UserError {
    code: "STEP_UP_METHOD",
    field: Vec::new(),
    message: "Please use the code of your authenticator app.",
};

/// How a person can prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepUpMethod {
    /// By the password.
    Password,
    /// By a code that is mailed, as long as no app is enrolled.
    MailedCode,
    /// By a code of the authenticator app, or a recovery code.
    Totp,
    /// By a passkey.
    Passkey,
}

impl StepUpMethod {
    /// As it is stored.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::MailedCode => "mailed-code",
            Self::Totp => "totp",
            Self::Passkey => "passkey",
        }
    }
}

/// A step-up that may be done.
#[derive(Clone, Debug)]
pub struct StepUp {
    /// The ways that this person has.
    pub methods: Vec<StepUpMethod>,
    /// What `PublicKeyCredential.parseRequestOptionsFromJSON` takes; `None` without a passkey.
    pub passkey_options: Option<Value>,
}

impl Identity {
    /// Lets pass who proved within the time of the settings who they are. `act` is what they want to do, as the audit log
    /// calls it.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `STEP_UP_REQUIRED`; [`Error::Unauthenticated`] when the session has ended.
    pub async fn require_fresh(&self, viewer: &Viewer, act: &'static str) -> Result<()> {
        let this = &*self.0;
        let proved_at = this.store.proved_at(viewer.session()).await?.ok_or(Error::Unauthenticated)?;
        let now = this.now();
        if now < proved_at + this.fresh_within {
            return Ok(());
        }
        this.store.audit(viewer.event(act, now).refused(REQUIRED.code)).await?;
        Err(rejected(REQUIRED))
    }

    /// The ways in which a person can prove who they are, and what is to be asked of a passkey.
    ///
    /// # Errors
    /// [`Error::Internal`], [`Error::StoreAway`].
    pub async fn begin_step_up(&self, viewer: &Viewer) -> Result<StepUp> {
        let this = &*self.0;
        let code = match this.store.totp(viewer.user()).await? {
            Some(_) => StepUpMethod::Totp,
            None => StepUpMethod::MailedCode,
        };
        let mut step_up = StepUp { methods: vec![StepUpMethod::Password, code], passkey_options: None };
        if this.store.has_passkey(viewer.user()).await? {
            step_up.methods.push(StepUpMethod::Passkey);
            let event = viewer.event("session.step-up-begin", this.now());
            let options = this.ask_for_passkey(Purpose::StepUp, Some(viewer.session()), Some(event)).await?;
            step_up.passkey_options = Some(options);
        }
        Ok(step_up)
    }

    /// Proves by the password who is there. Gives until when that counts.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `AUTH_INVALID_CREDENTIALS` (field `password`); [`Error::RateLimited`] after failures, or while
    /// too many sign in.
    pub async fn step_up_by_password(
        &self,
        viewer: &Viewer,
        password: &SecretString,
    ) -> Result<DateTime<Utc>> {
        let this = &*self.0;
        let now = this.now();
        let (user, email) = this.store.user(viewer.user()).await?.ok_or(Error::Unauthenticated)?;
        // A stolen session is no way round the limit on guesses; nor do those who guess without one get in its owner's way.
        let session = viewer.session();
        let admission = this.passwords.admit()?;
        let from = viewer.context();
        let (secret, account) = (Secret::Password, email.as_bytes());
        let guess = this.gate.guess_on_device(secret, account, session.as_bytes(), from, now).await?;
        if !this.is_password(admission, guess, password, &user).await? {
            this.store.audit(refused_event(viewer, StepUpMethod::Password, INVALID_CREDENTIALS, now)).await?;
            return Err(rejected(UserError { field: vec!["password"], ..WRONG_PASSWORD }));
        }
        self.renew(this.store.begin().await?, viewer, StepUpMethod::Password, now).await
    }

    /// Proves by a passkey who is there, with what it answered to [`Identity::begin_step_up`]. Gives until when that counts.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `PASSKEY_REFUSED` (field `passkey`), whatever is wrong.
    pub async fn step_up_by_passkey(&self, viewer: &Viewer, credential: &Value) -> Result<DateTime<Utc>> {
        let this = &*self.0;
        let now = this.now();
        let (session, from) = (Some(viewer.session()), viewer.context());
        let owner = this.passkey_owner(credential, Purpose::StepUp, session, from, now).await?;
        // Somebody else's passkey proves that somebody else is there.
        if owner != Some(viewer.user()) {
            this.store.audit(refused_event(viewer, StepUpMethod::Passkey, PASSKEY_REFUSED, now)).await?;
            return Err(rejected(UserError { field: vec!["passkey"], ..PASSKEY_REFUSED }));
        }
        self.renew(this.store.begin().await?, viewer, StepUpMethod::Passkey, now).await
    }

    /// Proves by a code of the person's app, or by a recovery code, who is there. Gives until when that counts.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `AUTH_OTP_INVALID` (field `totp`), also for a code that was used before, and for whoever has no
    /// app; [`Error::RateLimited`] after failures.
    pub async fn step_up_by_totp(&self, viewer: &Viewer, code: &SecretString) -> Result<DateTime<Utc>> {
        let this = &*self.0;
        let (now, from) = (this.now(), viewer.context());
        let owner = this.store.user(viewer.user()).await?.ok_or(Error::Unauthenticated)?;
        let session = viewer.session();
        let guess = this.guess_factor(viewer.user(), Some(session.as_bytes()), from, now).await?;
        let judged = async {
            let Some(fit) = this.fit(viewer.user(), code, now).await? else { return Ok(None) };
            let mut tx = this.store.begin().await?;
            tx.lock_user(viewer.user()).await?;
            Ok::<_, Error>(this.use_fit(&mut tx, owner, &fit, from, now).await?.map(|_| tx))
        };
        let judged = judged.await;
        match &judged {
            Ok(Some(_)) => this.gate.right(guess).await,
            // A failure stays counted.
            Ok(None) => {}
            Err(_) => this.gate.untried(guess).await,
        }
        let Some(tx) = judged? else {
            this.store.audit(refused_event(viewer, StepUpMethod::Totp, TOTP_REFUSED, now)).await?;
            return Err(rejected(UserError { field: vec!["totp"], ..TOTP_REFUSED }));
        };
        let until = self.renew(tx, viewer, StepUpMethod::Totp, now).await?;
        this.jobs.wake();
        Ok(until)
    }

    /// Mails a code to the person who is signed in.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `STEP_UP_METHOD` for whoever enrolled an app; [`Error::RateLimited`] when too many were asked
    /// for.
    pub async fn mail_step_up_code(&self, viewer: &Viewer) -> Result<Opened> {
        let this = &*self.0;
        if this.store.totp(viewer.user()).await?.is_some() {
            return Err(rejected(NOT_BY_MAIL));
        }
        let (user, email) = this.store.user(viewer.user()).await?.ok_or(Error::Unauthenticated)?;
        let language = Language::of(&user.locale);
        let asker = Asker::AtHome(viewer.user());
        let draft = this.challenges.draft(Kind::StepUp, &email, language, asker, viewer.context()).await?;
        let mut tx = this.store.begin().await?;
        let opened = this.challenges.open(&mut tx, draft, &viewer.session()).await?;
        tx.audit(viewer.event("code.send", this.now()).with("challenge", opened.id));
        tx.commit().await?;
        this.challenges.wake();
        Ok(opened)
    }

    /// Proves by a mailed code who is there. Gives until when that counts.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `AUTH_OTP_INVALID` or `AUTH_OTP_EXPIRED` (field `mailedCode.code`), the latter also for a code
    /// that was mailed for another session; [`Error::RateLimited`].
    pub async fn step_up_by_code(
        &self,
        viewer: &Viewer,
        challenge: Uuid,
        code: &SecretString,
    ) -> Result<DateTime<Utc>> {
        let this = &*self.0;
        let (now, from) = (this.now(), viewer.context());
        // One of another session is none here: it is neither told nor tried.
        let whose = this.challenges.peek::<Uuid>(Kind::StepUp, challenge).await?;
        let asked = if whose == Some(viewer.session()) { challenge } else { Uuid::nil() };
        let refusal = match this.challenges.prove::<Uuid>(Kind::StepUp, asked, code, from).await? {
            Answer::Refused(refusal) => refusal,
            Answer::Proved(proved) => {
                let mut tx = this.store.begin().await?;
                if proved.payload == viewer.session()
                    // The user before the code, as an erasure takes them; and not by what was mailed to an address of before.
                    && tx.lock_user_of_email(&proved.address).await? == Some(viewer.user())
                    && this.challenges.consume(&mut tx, &proved).await?
                    // Not by what was mailed before an app was enrolled.
                    && !tx.has_totp(viewer.user()).await?
                {
                    return self.renew(tx, viewer, StepUpMethod::MailedCode, now).await;
                }
                refused()
            }
        };
        let event = refused_event(viewer, StepUpMethod::MailedCode, refusal.error.clone(), now);
        this.store.audit(event).await?;
        Err(rejected(UserError { field: vec!["mailedCode", "code"], ..refusal.error }))
    }

    /// Notes in the session that its person proved who they are, and commits.
    async fn renew(
        &self,
        mut tx: Tx,
        viewer: &Viewer,
        by: StepUpMethod,
        now: DateTime<Utc>,
    ) -> Result<DateTime<Utc>> {
        if !tx.prove_session(viewer.session(), by.as_str(), now).await? {
            return Err(Error::Unauthenticated);
        }
        tx.audit(viewer.event("session.step-up", now).with("by", by.as_str()));
        tx.commit().await?;
        Ok(now + self.0.fresh_within)
    }
}

fn refused_event(viewer: &Viewer, by: StepUpMethod, why: UserError, now: DateTime<Utc>) -> Event {
    viewer.event("session.step-up", now).refused(why.code).with("by", by.as_str())
}

/// How long a proof counts, as the store's times are reckoned.
pub(super) fn within(setting: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(setting).unwrap_or(TimeDelta::minutes(5))
}
