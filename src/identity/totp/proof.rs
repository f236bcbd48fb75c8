//! Proving with a code of an app, or with a recovery code: at a sign-in, and before an act that asks for a proof.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    code::{App, Typed, read},
    enrolled,
};
use crate::{
    error::{Error, Result},
    id::UserId,
    identity::{
        Context, Inner,
        history::Method,
        limits::{Guess, Secret},
    },
    mail::SecondFactor,
    secret::SecretString,
    store::{Tx, User, audit::Actor},
};

/// A code that fits. It proves nothing until it is used up.
pub(in crate::identity) enum Fit {
    /// The code of a step of an app.
    App { factor: Uuid, step: i64 },
    /// What has the form of a recovery code, by its name in the store.
    Recovery([u8; 32]),
}

impl Inner {
    /// Counts a code as wrong until it turns out right: after some, each further one of this account waits, twice as long each
    /// time. The device on which a person signed in before, or a session of theirs, has a bucket of its own, as for passwords.
    pub(in crate::identity) async fn guess_factor(
        &self,
        user: UserId,
        device: Option<&[u8]>,
        from: &Context,
        now: DateTime<Utc>,
    ) -> Result<Guess> {
        self.gate.guess_at(Secret::SecondFactor, user.0.as_bytes(), device, from, now).await
    }

    /// What a user typed, as far as it fits; `None` when it does not, or they have no app.
    pub(in crate::identity) async fn fit(
        &self,
        user: UserId,
        typed: &SecretString,
        now: DateTime<Utc>,
    ) -> Result<Option<Fit>> {
        let Some(row) = self.store.totp(user).await? else { return Ok(None) };
        Ok(match read(typed) {
            Some(Typed::App(digits)) => {
                let secret =
                    self.seals.open(enrolled(&row.factor_id), &row.secret).map_err(Error::internal)?;
                // Names matter to apps alone.
                let step = App::new(&secret, "-", "-")?.step(&digits, row.last_step, now);
                step.map(|step| Fit::App { factor: row.factor_id, step })
            }
            Some(Typed::Recovery(code)) => {
                self.store.recovery_codes(user, &[code])?.first().copied().map(Fit::Recovery)
            }
            None => None,
        })
    }

    /// Uses a code up, with everything else that the transaction does, and says with what it was proved. `None` when it was
    /// used before, however little before: then the transaction is to be undone. The owner is mailed about a recovery code;
    /// the queue is to be woken after the commit.
    pub(in crate::identity) async fn use_fit(
        &self,
        tx: &mut Tx,
        owner: (User, String),
        fit: &Fit,
        from: &Context,
        now: DateTime<Utc>,
    ) -> Result<Option<Method>> {
        let user = owner.0.id;
        match fit {
            Fit::App { factor, step } => Ok(tx.use_totp(*factor, *step, now).await?.then_some(Method::Totp)),
            Fit::Recovery(name) => {
                if !tx.use_recovery_code(user, name, now).await? {
                    return Ok(None);
                }
                tx.audit(from.event("recovery-code.use", Actor::User(user), now));
                self.tell_of_factor(tx, owner, SecondFactor::RecoveryCodeUsed, now).await?;
                Ok(Some(Method::RecoveryCode))
            }
        }
    }
}
