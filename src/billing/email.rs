//! A client's address for mail, and the address of the login that owns it.
//!
//! Billing keeps two: one at the client, where invoices go, and one at the login there. A person who changes their address
//! means both, as far as both were theirs. Source: domain reference §8.

use serde::{Deserialize, Serialize};

use super::{Billing, client::of_write};
use crate::{
    deadline::Budget,
    error::{Error, Result, UserError},
    id::ClientId,
    upstream::{
        self,
        whmcs::{EmailChanged, LoginUser},
    },
};

/// Somebody else has the address.
pub const EMAIL_TAKEN: UserError = UserError {
    code: "EMAIL_TAKEN",
    field: Vec::new(),
    message: "This e-mail address is used for another account. Please choose another one, or contact support.",
};

/// A login of billing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginId(u64);

/// The addresses that billing has of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emails {
    /// Where invoices and notices go.
    pub client: String,
    /// The login that owns the client and the address that it signs in with; `None` where there is none.
    pub login: Option<(LoginId, String)>,
}

impl Billing {
    /// The addresses of a client, asked of billing now.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when billing does not answer.
    pub async fn emails(&self, budget: Budget, client: ClientId) -> Result<Emails> {
        let known = self.whmcs.client_emails(budget, client.0).await?;
        let login = known.owner.map(|LoginUser { id, email }| (LoginId(id), email));
        Ok(Emails { client: known.email, login })
    }

    /// Gives a client another address, and makes old what is kept of it, on every replica. Again is harmless.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `EMAIL_TAKEN`, or with `BILLING_REFUSED`; [`Error::Uncertain`] when it may have happened;
    /// [`Error::Unavailable`] when it surely has not.
    pub async fn change_email(&self, budget: Budget, client: ClientId, email: &str) -> Result<()> {
        let written = judged(self.whmcs.update_client_email(budget, client.0, email).await);
        // Whatever became of it: what was read before may be old.
        if !matches!(written, Err(Error::Unavailable { .. } | Error::RateLimited { .. })) {
            self.forget(client).await;
        }
        written
    }

    /// Gives a login another address. Again is harmless.
    ///
    /// # Errors
    /// As [`Billing::change_email`].
    pub async fn change_login_email(&self, budget: Budget, login: LoginId, email: &str) -> Result<()> {
        judged(self.whmcs.update_user_email(budget, login.0, email).await)
    }
}

fn judged(written: Result<EmailChanged, upstream::Error>) -> Result<()> {
    match written.map_err(of_write)? {
        EmailChanged::Done => Ok(()),
        EmailChanged::Taken => Err(Error::Rejected(vec![EMAIL_TAKEN])),
    }
}
