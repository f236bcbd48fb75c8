//! The history of sign-ins: when, with what, how it went. Tries that failed, too.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Inner;
use crate::{
    error::Result,
    id::UserId,
    identity::{Context, Identity, Viewer, origin::Origin},
    store::{NewSignIn, Tx, audit::Actor},
};

/// Entries that are shown at most.
const SHOWN: u32 = 1_000;

/// How a sign-in went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Outcome {
    /// A session began.
    SignedIn,
    /// The password was wrong, or the account is disabled.
    WrongPassword,
    /// The password was right, the second step was not.
    WrongCode,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::SignedIn, Self::WrongPassword, Self::WrongCode];

    const fn as_str(self) -> &'static str {
        match self {
            Self::SignedIn => "signed-in",
            Self::WrongPassword => "wrong-password",
            Self::WrongCode => "wrong-code",
        }
    }
}

/// What was asked for besides the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Method {
    /// A code that was mailed.
    Code,
    /// A code of an authenticator app.
    Totp,
    /// A recovery code, instead of the app's.
    RecoveryCode,
    /// Nothing: the device is trusted.
    Device,
    /// Nothing: the address was proved a moment before.
    HandOff,
    /// A passkey, instead of the password.
    Passkey,
}

impl Method {
    const ALL: [Self; 6] =
        [Self::Code, Self::Totp, Self::RecoveryCode, Self::Device, Self::HandOff, Self::Passkey];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Totp => "totp",
            Self::RecoveryCode => "recovery-code",
            Self::Device => "device",
            Self::HandOff => "hand-off",
            Self::Passkey => "passkey",
        }
    }
}

/// A sign-in, or a try, as the account's owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SignInRecord {
    /// Its key.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// How it went.
    pub outcome: Outcome,
    /// What was asked for besides the password; `None` when it failed before that.
    pub method: Option<Method>,
    /// What kind of program: `browser`, `app` or `other`.
    pub device: String,
    /// Browser and system; empty when unknown.
    pub device_name: String,
    /// Its network.
    pub network: Option<String>,
}

impl Identity {
    /// The history of a person, newest first: the last year, a thousand entries at most.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the store fails.
    pub async fn sign_ins(&self, viewer: &Viewer) -> Result<Vec<SignInRecord>> {
        viewer.reader().keep_not();
        let this = &*self.0;
        let rows = this.store.sign_ins_of_user(viewer.user(), this.now() - this.history_for, SHOWN).await?;
        rows.into_iter()
            .map(|row| {
                let outcome = Outcome::ALL.into_iter().find(|one| one.as_str() == row.outcome);
                let method = row.method.as_deref();
                Ok(SignInRecord {
                    id: row.sign_in_id,
                    at: row.at,
                    outcome: outcome.unwrap_or(Outcome::WrongCode),
                    method: Method::ALL.into_iter().find(|one| Some(one.as_str()) == method),
                    device: row.kind,
                    device_name: row.name,
                    network: this.open_network("sign_ins", row.sign_in_id, row.network.as_deref())?,
                })
            })
            .collect()
    }
}

impl Inner {
    /// Adds an entry with everything else that the transaction does.
    pub(super) async fn note(
        &self,
        tx: &mut Tx,
        user: UserId,
        outcome: Outcome,
        method: Option<Method>,
        origin: &Origin,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let id = Uuid::now_v7();
        let network = self.seal_network("sign_ins", id, origin)?;
        let entry = NewSignIn {
            id,
            user,
            at: now,
            outcome: outcome.as_str(),
            method: method.map(Method::as_str),
            kind: origin.kind,
            name: &origin.name,
            network: network.as_deref(),
        };
        Ok(tx.insert_sign_in(&entry).await?)
    }

    /// Adds a try that failed to the audit log, and to the history of the account, when there is one.
    pub(super) async fn note_failure(
        &self,
        user: Option<UserId>,
        outcome: Outcome,
        code: &'static str,
        from: &Context,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let mut tx = self.store.begin().await?;
        let event = from.event("session.create", Actor::Nobody, now).refused(code);
        match user {
            Some(user) => {
                self.note(&mut tx, user, outcome, None, &Origin::of(from), now).await?;
                tx.audit(event.about(user));
            }
            None => tx.audit(event),
        }
        Ok(tx.commit().await?)
    }
}
