//! What a signed-in person does with their own account: a new password, and which sessions stand.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{INVALID_CREDENTIALS, Identity, WRONG_PASSWORD, policy, rejected};
use crate::{
    error::{Error, Result, UserError},
    identity::{Viewer, limits::Secret},
    mail::{Language, Mail, Message},
    secret::{ExposeSecret, SecretString},
};

const UNCHANGED: UserError = UserError {
    code: "PASSWORD_UNCHANGED",
    field: Vec::new(),
    message: "This is the password that you have.",
};

/// A session that stands, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ActiveSession {
    /// Its key.
    pub id: Uuid,
    /// What kind of program signed in: `browser`, `app` or `other`.
    pub device: String,
    /// Browser and system; empty when unknown.
    pub device_name: String,
    /// The network from which it signed in.
    pub network: Option<String>,
    /// The known device in which it began.
    pub known_device: Option<Uuid>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When its tokens were last exchanged.
    pub refreshed_at: DateTime<Utc>,
    /// It ends then, however often it is refreshed.
    pub expires_at: DateTime<Utc>,
}

impl Identity {
    /// Gives a signed-in person a new password, and ends their other sessions, within 5 seconds everywhere. No device of
    /// theirs is trusted any more, and a mail tells them.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `AUTH_INVALID_CREDENTIALS` (field `currentPassword`), or with `PASSWORD_LENGTH`,
    /// `PASSWORD_GUESSABLE` or `PASSWORD_UNCHANGED` (field `newPassword`); [`Error::RateLimited`] after failures, or while
    /// too many sign in.
    pub async fn change_password(
        &self,
        viewer: &Viewer,
        current: &SecretString,
        new: &SecretString,
    ) -> Result<()> {
        let this = &*self.0;
        let now = this.now();
        let (user, email) = this.store.user(viewer.user()).await?.ok_or(Error::Unauthenticated)?;
        policy::check(new.clone(), vec![email.clone()], "newPassword").await?;
        if current.expose_secret() == new.expose_secret() {
            return Err(rejected(UserError { field: vec!["newPassword"], ..UNCHANGED }));
        }
        // A stolen session is no way round the limit on guesses; nor do those who guess without one get in its owner's way.
        let kept = viewer.session();
        let admission = this.passwords.admit()?;
        let (secret, account) = (Secret::Password, email.as_bytes());
        let guess =
            this.gate.guess_on_device(secret, account, kept.as_bytes(), viewer.context(), now).await?;
        let is_right = this.is_password(admission, guess, current, &user).await?;
        let wrong = || rejected(UserError { field: vec!["currentPassword"], ..WRONG_PASSWORD });
        let event = viewer.event("password.change", now);
        if !is_right {
            this.store.audit(event.refused(INVALID_CREDENTIALS.code)).await?;
            return Err(wrong());
        }
        let hash = this.passwords.hash(new.clone()).await?;
        let message = Message::PasswordChanged { at: now };
        let mail = Mail { to: email, language: Language::of(&user.locale), message };
        let mut tx = this.store.begin().await?;
        // Somebody else may have changed it meanwhile: then the current one was not the current one.
        if !tx.replace_password(user.id, &user.password_hash, &hash, now).await? {
            return Err(wrong());
        }
        let ended = tx.revoke_other_sessions(user.id, kept, "password changed", now).await?;
        tx.distrust_devices(user.id).await?;
        tx.audit(event.with("sessionsEnded", ended));
        this.jobs.put(&mut tx, &format!("password-changed:{}", Uuid::now_v7()), &mail).await?;
        tx.commit().await?;
        this.jobs.wake();
        this.sessions.recheck(user.id);
        Ok(())
    }

    /// The sessions of a person that stand, the latest first.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    pub async fn sessions(&self, viewer: &Viewer) -> Result<Vec<ActiveSession>> {
        // It differs from session to session which of them is the current one.
        viewer.reader().keep_not();
        let now = self.0.now();
        let rows = self.0.store.sessions_of_user(viewer.user(), now, self.0.sessions.idle_since(now)).await?;
        rows.into_iter()
            .map(|row| {
                Ok(ActiveSession {
                    id: row.session_id,
                    network: self.0.open_network("sessions", row.session_id, row.network.as_deref())?,
                    device: row.user_agent_class,
                    device_name: row.device_name,
                    known_device: row.device_id,
                    created_at: row.created_at,
                    refreshed_at: row.refreshed_at,
                    expires_at: row.expires_at,
                })
            })
            .collect()
    }

    /// Ends one session of a person; false when it is none of theirs, or has ended.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    pub async fn end_session(&self, viewer: &Viewer, session: Uuid) -> Result<bool> {
        let is_own = self.sessions(viewer).await?.iter().any(|one| one.id == session);
        if is_own {
            let now = self.0.now();
            self.0.sessions.end(session, "revoked", viewer.event("session.end", now), now).await?;
        }
        Ok(is_own)
    }

    /// Ends all sessions of a person but the one that asks. Gives their number.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    pub async fn end_other_sessions(&self, viewer: &Viewer) -> Result<u64> {
        let now = self.0.now();
        let mut tx = self.0.store.begin().await?;
        let ended = tx.revoke_other_sessions(viewer.user(), viewer.session(), "revoked", now).await?;
        tx.audit(viewer.event("session.end-others", now).with("sessionsEnded", ended));
        tx.commit().await?;
        self.0.sessions.recheck(viewer.user());
        Ok(ended)
    }
}
