//! A forgotten password is replaced by a link that is mailed (requirement A9).
//!
//! The link works once, for half an hour, for the password that it was asked for, and is known by its hash alone. It signs
//! nobody in and is no way round a second factor: whoever follows it sets a password, and signs in as always.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Context, Identity, audit::code_of, email::Email, limits::Purpose, policy, rejected};
use crate::{
    error::{Error, Result, UserError},
    mail::{Language, Mail, Message},
    secret::{ExposeSecret, SecretString},
    store::audit::Actor,
};

const LINK_VOID: UserError = UserError {
    code: "RESET_LINK_VOID",
    field: Vec::new(),
    message: "This link is not good any more. Please ask for a new one.",
};

impl Identity {
    /// Mails a link by which a new password is set, if somebody is registered with the address. Nobody learns from the
    /// answer, nor from its time, whether there is.
    ///
    /// # Errors
    /// [`crate::error::Error::Rejected`] with `AUTH_CAPTCHA_REQUIRED`; [`crate::error::Error::RateLimited`] when it was asked
    /// for too often; [`crate::error::Error::StoreAway`].
    pub async fn request_password_reset(&self, email: &str, context: &Context) -> Result<()> {
        let this = &*self.0;
        self.check_person(context).await?;
        let began = Instant::now();
        let known_as = Email::parse(email);
        let text = known_as.as_ref().map_or(email, Email::as_str);
        this.gate.pass(Purpose::PasswordReset, Some(text.as_bytes()), context, this.now()).await?;
        let mailed = match &known_as {
            Some(email) => self.mail_reset_link(email, context).await,
            None => Ok(()),
        };
        this.hold(began).await;
        mailed
    }

    async fn mail_reset_link(&self, email: &Email, context: &Context) -> Result<()> {
        let this = &*self.0;
        let now = this.now();
        let found = this.store.user_by_email(email.as_str()).await?.filter(|user| !user.is_disabled);
        let Some(user) = found else {
            let event = context.event("password.request-reset", Actor::Nobody, now);
            return Ok(this.store.audit(event.refused("UNKNOWN")).await?);
        };
        let token: [u8; 32] = rand::random();
        let expires_at = now + this.reset_lifetime;
        let message = Message::PasswordReset { link: link(&this.reset_page, &token), expires_at };
        let mail = Mail { to: email.as_str().to_owned(), language: Language::of(&user.locale), message };
        let mut tx = this.store.begin().await?;
        // Whoever changes the address voids the links that were mailed to it: before this one or after it.
        if tx.lock_user_of_email(email.as_str()).await? != Some(user.id) {
            return Ok(());
        }
        tx.insert_password_reset(&hash(&token), user.id, now, expires_at).await?;
        this.jobs.put(&mut tx, &format!("password-reset:{}", Uuid::now_v7()), &mail).await?;
        tx.audit(context.event("password.request-reset", Actor::Nobody, now).about(user.id));
        tx.commit().await?;
        this.jobs.wake();
        Ok(())
    }

    /// Sets a new password by a link: all sessions end, within 5 seconds everywhere, trusted devices are forgotten, and the
    /// owner is told by mail. Nobody is signed in.
    ///
    /// # Errors
    /// [`crate::error::Error::Rejected`] with `RESET_LINK_VOID` (field `token`), or with `PASSWORD_LENGTH` or
    /// `PASSWORD_GUESSABLE` (field `newPassword`), after which the link is still good;
    /// [`crate::error::Error::RateLimited`] while too many passwords are hashed, or after too many tries with one link.
    pub async fn reset_password(
        &self,
        token: &SecretString,
        new: &SecretString,
        context: &Context,
    ) -> Result<()> {
        let this = &*self.0;
        let now = this.now();
        let void = || rejected(UserError { field: vec!["token"], ..LINK_VOID });
        let refused = |code| context.event("password.reset", Actor::Nobody, now).refused(code);
        let hash = read(token.expose_secret()).map(|token| hash(&token));
        // Before the costly part, which nobody without a link may cause.
        let user = match &hash {
            Some(hash) => this.store.user_of_password_reset(hash, now).await?,
            None => None,
        };
        let (Some(hash), Some(user)) = (hash, user) else {
            // No limit counts these: there is nothing to guess.
            this.gate.note_stranger(refused(LINK_VOID.code), context, now).await;
            return Err(void());
        };
        // Whoever has a link may be refused with it so often, and no more.
        this.gate.pass_account(Purpose::CodeTry, &hash, context, now).await?;
        let (found, email) = this.store.user(user).await?.ok_or_else(void)?;
        let checked = policy::check(new.clone(), vec![email.clone()], "newPassword").await;
        if let Err(Error::Rejected(errors)) = &checked {
            this.store.audit(refused(code_of(errors)).about(user)).await?;
        }
        checked?;
        let password = this.passwords.hash(new.clone()).await?;
        let message = Message::PasswordChanged { at: now };
        let mail = Mail { to: email, language: Language::of(&found.locale), message };
        let mut tx = this.store.begin().await?;
        if tx.reset_password(&hash, &password, now).await?.is_none() {
            drop(tx);
            this.store.audit(refused(LINK_VOID.code).about(user)).await?;
            return Err(void());
        }
        let ended = tx.revoke_sessions(user, "password reset", now).await?;
        tx.distrust_devices(user).await?;
        tx.audit(context.event("password.reset", Actor::User(user), now).with("sessionsEnded", ended));
        this.jobs.put(&mut tx, &format!("password-changed:{}", Uuid::now_v7()), &mail).await?;
        tx.commit().await?;
        this.jobs.wake();
        this.sessions.recheck(user);
        Ok(())
    }
}

/// The page with the token behind the `#`, where no server sees it and no log keeps it.
fn link(page: &str, token: &[u8; 32]) -> String {
    format!("{page}#token={}", BASE64_URL_SAFE_NO_PAD.encode(token))
}

fn read(token: &str) -> Option<[u8; 32]> {
    BASE64_URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()
}

fn hash(token: &[u8; 32]) -> [u8; 32] {
    Sha256::digest(token).into()
}
