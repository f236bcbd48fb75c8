//! Another address for an account. Both addresses were proved before: see [`crate::workflows::email_change`].

use uuid::Uuid;

use crate::{
    error::Result,
    id::UserId,
    identity::{Context, Identity},
    mail::{Language, Mail, Message},
    secret::mask_email,
    store::{self, Tx, audit::Actor},
};

/// An address that takes the place of another.
#[derive(Clone, Copy, Debug)]
pub struct EmailSwap<'a> {
    /// Whose.
    pub user: UserId,
    /// The normalised address that is in force.
    pub old: &'a str,
    /// The normalised address that is to be.
    pub new: &'a str,
    /// The session that goes on.
    pub kept: Uuid,
    /// The language of mails.
    pub language: Language,
    /// The request in which it began, for the audit log.
    pub request_id: Option<&'a str>,
}

/// What became of a swap. Unless it is done, the transaction is to be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// The new address is in force.
    Done,
    /// Somebody else has it.
    Taken,
    /// The user has another address by now, is disabled or gone.
    Outdated,
}

impl Identity {
    /// Gives a user another address, with everything else that the transaction does: other sessions end, no device is trusted
    /// any more, what was mailed to the address before is void, and both addresses are told.
    ///
    /// # Errors
    /// [`crate::error::Error::StoreAway`], [`crate::error::Error::Internal`].
    pub async fn swap_email(&self, tx: &mut Tx, swap: &EmailSwap<'_>) -> Result<Swapped> {
        let (this, now) = (&*self.0, self.0.now());
        let EmailSwap { user, old, new, kept, language, request_id } = *swap;
        match tx.change_email(user, old, new, now).await {
            Ok(true) => {}
            Ok(false) => return Ok(Swapped::Outdated),
            Err(store::Error::Taken) => return Ok(Swapped::Taken),
            Err(error) => return Err(error.into()),
        }
        let ended = tx.revoke_other_sessions(user, kept, "e-mail changed", now).await?;
        tx.distrust_devices(user).await?;
        let told = Message::EmailChanged { masked: mask_email(new), at: now };
        for (to, message) in [(old, told), (new, Message::EmailAdopted { at: now })] {
            let key = format!("{}:{}", message.kind(), Uuid::now_v7());
            this.jobs.put(tx, &key, &Mail { to: to.to_owned(), language, message }).await?;
        }
        let from = Context { request_id: request_id.map(str::to_owned), ..Context::default() };
        let event = from.event("email.change", Actor::User(user), now).with("session", kept);
        tx.audit(event.with("sessionsEnded", ended));
        Ok(Swapped::Done)
    }

    /// Looks at a user's sessions anew: some may have ended without this process doing it.
    pub fn recheck(&self, user: UserId) {
        self.0.sessions.recheck(user);
    }
}
