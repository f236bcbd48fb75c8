//! What operators do with one person's account: they close it and open it again, and take second factors away that are lost.

use chrono::SubsecRound;
use uuid::Uuid;

use super::email::read_email;
use crate::{
    clock::Clock,
    error::Result,
    jobs::Queue,
    mail::{Language, Mail, Message, SecondFactor},
    store::{
        Store,
        audit::{Actor, Event},
    },
};

/// What was taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FactorsReset {
    /// Whether there was an authenticator app; its recovery codes went with it.
    pub had_app: bool,
    /// How many passkeys there were.
    pub passkeys: u64,
    /// How many sessions ended.
    pub sessions_ended: u64,
}

/// Where operators act on an account. Who it is that asks for that, they have found out before.
#[derive(Clone)]
pub struct AccountDesk {
    store: Store,
    jobs: Queue,
    clock: Clock,
}

impl AccountDesk {
    /// A desk over the database. The mails of `jobs` leave from a gateway that runs.
    pub fn new(store: Store, jobs: Queue, clock: Clock) -> Self {
        Self { store, jobs, clock }
    }

    /// Disables an account: its sessions end, within 5 seconds everywhere, what partners may see of it as well, and nobody signs in
    /// any more. False when it is disabled already; `None` when nobody has the address.
    ///
    /// # Errors
    /// [`crate::error::Error::BadInput`] for an address that is none; [`crate::error::Error::Internal`] when the store fails.
    pub async fn disable(&self, email: &str) -> Result<Option<bool>> {
        let Some(user) = self.store.user_by_email(read_email(email)?.as_str()).await? else {
            return Ok(None);
        };
        let now = self.clock.now().trunc_subsecs(6);
        let event = Event::done("user.disable", Actor::Operator, now).about(user.id);
        Ok(Some(self.store.disable_user(user.id, now, event).await?))
    }

    /// Opens an account again that was disabled: its owner signs in as before. False when it is not disabled; `None` when nobody
    /// has the address.
    ///
    /// # Errors
    /// As [`AccountDesk::disable`].
    pub async fn enable(&self, email: &str) -> Result<Option<bool>> {
        let Some(user) = self.store.user_by_email(read_email(email)?.as_str()).await? else {
            return Ok(None);
        };
        let now = self.clock.now().trunc_subsecs(6);
        let event = Event::done("user.enable", Actor::Operator, now).about(user.id);
        Ok(Some(self.store.enable_user(user.id, now, event).await?))
    }

    /// Takes app, recovery codes and passkeys of a person away: a sign-in asks for the password and a mailed code from then
    /// on. All sessions end, within 5 seconds everywhere, no device is trusted any more, and a mail tells the owner. Where
    /// there is neither app nor passkey, nothing is done. `None` when nobody has the address.
    ///
    /// # Errors
    /// [`crate::error::Error::BadInput`] for an address that is none; [`crate::error::Error::Internal`] when the store fails.
    pub async fn reset_factors(&self, email: &str) -> Result<Option<FactorsReset>> {
        let email = read_email(email)?;
        let now = self.clock.now().trunc_subsecs(6);
        let mut tx = self.store.begin().await?;
        let Some(user) = tx.lock_user_of_email(email.as_str()).await? else { return Ok(None) };
        let Some(owner) = tx.lock_user(user).await? else { return Ok(None) };
        let had_app = tx.delete_totp(user).await?;
        let passkeys = tx.delete_passkeys(user).await?;
        if !had_app && passkeys == 0 {
            return Ok(Some(FactorsReset::default()));
        }
        let sessions_ended = tx.revoke_sessions(user, "factors reset", now).await?;
        tx.distrust_devices(user).await?;
        let event = Event::done("factors.reset", Actor::Operator, now).about(user);
        let event = event.with("app", had_app).with("passkeys", passkeys);
        tx.audit(event.with("sessionsEnded", sessions_ended));
        let message = Message::SecondFactorChanged { change: SecondFactor::ResetBySupport, at: now };
        let mail = Mail { to: email.into_string(), language: Language::of(&owner.locale), message };
        self.jobs.put(&mut tx, &format!("factors-reset:{}", Uuid::now_v7()), &mail).await?;
        tx.commit().await?;
        Ok(Some(FactorsReset { had_app, passkeys, sessions_ended }))
    }
}
