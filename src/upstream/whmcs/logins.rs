//! `ValidateLogin` and `GetUsers`: who a person is to billing. Source: WHMCS reference §3.

use serde::Deserialize;

use crate::{
    deadline::Budget,
    secret::{ExposeSecret, SecretString},
    upstream::{
        error::{Error, Kind},
        transport::Answer,
        whmcs::{Client, dialect, message_of, read, says},
    },
};

/// What a password proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// That somebody knows the address and the password of a user.
    Proven,
    /// Nothing yet: the user has a second factor, which no call can ask for.
    SecondFactor,
    /// Nothing: address or password is wrong.
    Wrong,
}

/// A row of `GetClients`.
#[derive(Debug, Deserialize)]
struct Row {
    #[serde(deserialize_with = "dialect::number")]
    id: u64,
    #[serde(default, deserialize_with = "dialect::text")]
    email: String,
}

#[derive(Debug, Deserialize)]
struct Clients {
    #[serde(default, deserialize_with = "dialect::nested")]
    clients: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Users {
    #[serde(default, deserialize_with = "dialect::list")]
    users: Vec<User>,
}

#[derive(Debug, Deserialize)]
struct User {
    #[serde(default, deserialize_with = "dialect::text")]
    email: String,
    #[serde(default, deserialize_with = "dialect::list")]
    clients: Vec<Membership>,
}

#[derive(Debug, Deserialize)]
struct Membership {
    #[serde(deserialize_with = "dialect::number")]
    id: u64,
    #[serde(default, rename = "isOwner", deserialize_with = "dialect::boolean")]
    is_owner: bool,
}

impl Client {
    /// The clients with an address, whatever its case. The vendor's search is for beginnings, in several columns.
    ///
    /// # Errors
    /// As [`Transport::send`](crate::upstream::transport::Transport::send).
    pub async fn clients_of_email(&self, budget: Budget, email: &str) -> Result<Vec<u64>, Error> {
        let parameters = [("search", email), ("limitnum", "100")];
        self.read("GetClients", budget, &parameters, |answer| {
            let rows = read::<Clients>(answer)?.clients;
            Ok(rows.into_iter().filter(|row| is_same(&row.email, email)).map(|row| row.id).collect())
        })
        .await
    }

    /// The clients that the user with an address owns.
    ///
    /// # Errors
    /// As [`Transport::send`](crate::upstream::transport::Transport::send).
    pub async fn clients_of_user(&self, budget: Budget, email: &str) -> Result<Vec<u64>, Error> {
        let parameters = [("search", email), ("limitnum", "100")];
        self.read("GetUsers", budget, &parameters, |answer| {
            let users = read::<Users>(answer)?.users.into_iter().filter(|user| is_same(&user.email, email));
            let owned = users.flat_map(|user| user.clients).filter(|client| client.is_owner);
            Ok(owned.map(|client| client.id).collect())
        })
        .await
    }

    /// Checks a user's password. The session that comes with it is dropped. The vendor has no limit on guesses here.
    ///
    /// # Errors
    /// As [`Transport::send`](crate::upstream::transport::Transport::send).
    ///
    /// Source: WHMCS API reference, `ValidateLogin`.
    pub async fn validate_login(
        &self,
        budget: Budget,
        email: &str,
        password: &SecretString,
    ) -> Result<Login, Error> {
        let parameters = [("email", email), ("password2", password.expose_secret())];
        self.write("ValidateLogin", budget, &parameters, validated).await
    }
}

fn is_same(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

pub(super) fn validated(answer: &Answer) -> Result<Login, Kind> {
    #[derive(Deserialize)]
    struct Body {
        /// Without it nothing says that there is no second factor.
        #[serde(rename = "twoFactorEnabled", deserialize_with = "dialect::boolean")]
        two_factor: bool,
    }
    match read::<Body>(answer) {
        Ok(Body { two_factor: true }) => Ok(Login::SecondFactor),
        Ok(Body { two_factor: false }) => Ok(Login::Proven),
        Err(Kind::Refused { .. }) if says(&message_of(answer), "Email or Password Invalid") => {
            Ok(Login::Wrong)
        }
        Err(kind) => Err(kind),
    }
}
