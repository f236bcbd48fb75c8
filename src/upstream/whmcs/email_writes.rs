//! E-mail addresses of a client and of its login user: `UpdateClient` and `UpdateUser`, each with the address alone. The
//! client's address is for mail, the user's is what signs in there; changing one leaves the other
//! (WHMCS reference, `UpdateClient`). To send either again does no harm.

use serde::Deserialize;

use crate::{
    deadline::Budget,
    upstream::{
        error::{Error, Kind},
        transport::Answer,
        whmcs::{Client, dialect, ensure_owner, message_of, read, says},
    },
};

/// What became of another address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailChanged {
    /// It is there now.
    Done,
    /// Somebody else has it; nothing was changed.
    Taken,
}

/// The login user who owns a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginUser {
    /// Its id.
    pub id: u64,
    /// The address that signs in.
    pub email: String,
}

/// The addresses of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientEmails {
    /// Where mail goes.
    pub email: String,
    /// Its owner's login; `None` before release 8.0, which had none apart from the client.
    pub owner: Option<LoginUser>,
}

impl Client {
    /// The addresses of a client.
    ///
    /// # Errors
    /// As [`Client::get_clients_details`].
    ///
    /// Source: WHMCS API reference, `GetClientsDetails`.
    pub async fn client_emails(&self, budget: Budget, client: u64) -> Result<ClientEmails, Error> {
        let parameters = [("clientid", &*client.to_string())];
        self.read("GetClientsDetails", budget, &parameters, |answer| emails(answer, client)).await
    }

    /// Gives a client another address.
    ///
    /// # Errors
    /// [`Kind::Refused`] when there is no such client, or the address is not to its liking; see also
    /// [`Kind::may_have_happened`].
    ///
    /// Source: WHMCS API reference, `UpdateClient`.
    pub async fn update_client_email(
        &self,
        budget: Budget,
        client: u64,
        email: &str,
    ) -> Result<EmailChanged, Error> {
        let parameters = [("clientid", &*client.to_string()), ("email", email)];
        let decode = |answer: &Answer| written(answer, "Duplicate Email Address");
        self.write("UpdateClient", budget, &parameters, decode).await
    }

    /// Gives a login user another address.
    ///
    /// # Errors
    /// As [`Client::update_client_email`].
    ///
    /// Source: WHMCS API reference, `UpdateUser`.
    pub async fn update_user_email(
        &self,
        budget: Budget,
        user: u64,
        email: &str,
    ) -> Result<EmailChanged, Error> {
        let parameters = [("user_id", &*user.to_string()), ("email", email)];
        let decode = |answer: &Answer| written(answer, "A user already exists with that email");
        self.write("UpdateUser", budget, &parameters, decode).await
    }
}

pub(super) fn emails(answer: &Answer, client: u64) -> Result<ClientEmails, Kind> {
    #[derive(Deserialize)]
    struct Body {
        client: Details,
    }
    #[derive(Deserialize)]
    struct Details {
        #[serde(deserialize_with = "dialect::number")]
        id: u64,
        #[serde(default, deserialize_with = "dialect::text")]
        email: String,
        #[serde(default, deserialize_with = "dialect::nested")]
        users: Vec<User>,
    }
    #[derive(Deserialize)]
    struct User {
        #[serde(deserialize_with = "dialect::number")]
        id: u64,
        #[serde(default, deserialize_with = "dialect::text")]
        email: String,
        #[serde(default, deserialize_with = "dialect::boolean")]
        is_owner: bool,
    }
    let details = read::<Body>(answer)?.client;
    ensure_owner(client, [details.id], "client.id")?;
    let owner = details.users.into_iter().find(|user| user.is_owner);
    let owner = owner.map(|user| LoginUser { id: user.id, email: user.email });
    Ok(ClientEmails { email: details.email, owner })
}

pub(super) fn written(answer: &Answer, taken: &str) -> Result<EmailChanged, Kind> {
    #[derive(Deserialize)]
    struct Body {}
    match read::<Body>(answer) {
        Ok(Body {}) => Ok(EmailChanged::Done),
        Err(Kind::Refused { .. }) if says(&message_of(answer), taken) => Ok(EmailChanged::Taken),
        Err(kind) => Err(kind),
    }
}
