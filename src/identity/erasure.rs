//! An account goes: what this room knows of a person is erased.

use super::challenge::{Asker, Kind};
use crate::{
    error::{Error, Result},
    identity::{Identity, Viewer, challenge::Opened},
    mail::Language,
    store::{self, Tx},
};

impl Identity {
    /// Mails the code that confirms an erasure. It is good in this session alone.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `STEP_UP_REQUIRED`; [`Error::RateLimited`].
    pub async fn begin_erasure(&self, viewer: &Viewer) -> Result<Opened> {
        let this = &*self.0;
        self.require_fresh(viewer, "account.erase-begin").await?;
        let (user, email) = this.store.user(viewer.user()).await?.ok_or(Error::Unauthenticated)?;
        let language = Language::of(&user.locale);
        let asker = Asker::AtHome(viewer.user());
        let draft = this.challenges.draft(Kind::Erasure, &email, language, asker, viewer.context()).await?;
        let mut tx = this.store.begin().await?;
        let opened = this.challenges.open(&mut tx, draft, &viewer.session()).await?;
        tx.audit(viewer.event("account.erase-begin", this.now()));
        tx.commit().await?;
        this.challenges.wake();
        Ok(opened)
    }

    /// Erases an account, with everything else that the transaction does. `email` is the normalised address to which the code
    /// was mailed. False when that is not the account's any more, or the account is gone: then the transaction is to be undone.
    ///
    /// What the audit log says of it stays: it knows a random id, and what led from that to a person is erased.
    ///
    /// # Errors
    /// [`store::Error::Database`].
    pub async fn erase(&self, tx: &mut Tx, viewer: &Viewer, email: &str) -> Result<bool, store::Error> {
        let this = &*self.0;
        // The user first, then what hangs on them, as everybody takes them.
        if tx.lock_user_of_email(email).await? != Some(viewer.user()) {
            return Ok(false);
        }
        let subjects = this.challenges.subjects(email);
        if !tx.erase_user(viewer.user(), viewer.client(), &subjects).await? {
            return Ok(false);
        }
        tx.audit(viewer.event("account.erase", this.now()));
        Ok(true)
    }
}
