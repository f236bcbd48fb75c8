//! Rows of `sign_ins`: the history of an account.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    id::UserId,
    store::{Result, Store, Tx, sql},
};

/// A sign-in, or a try, to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewSignIn<'a> {
    /// A version 7 uuid.
    pub id: Uuid,
    /// Whose account.
    pub user: UserId,
    /// Now.
    pub at: DateTime<Utc>,
    /// How it went.
    pub outcome: &'static str,
    /// What was asked for besides the password; `None` when it failed before that.
    pub method: Option<&'static str>,
    /// What kind of program.
    pub kind: &'static str,
    /// Browser and system.
    pub name: &'a str,
    /// Its network, sealed.
    pub network: Option<&'a [u8]>,
}

/// A sign-in, or a try.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct SignInRow {
    /// Its id.
    pub sign_in_id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// How it went.
    pub outcome: String,
    /// What was asked for besides the password.
    pub method: Option<String>,
    /// What kind of program.
    pub kind: String,
    /// Browser and system.
    pub name: String,
    /// Its network, sealed.
    pub network: Option<Vec<u8>>,
}

impl Store {
    /// The last sign-ins and tries of a user, newest first.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn sign_ins_of_user(
        &self,
        user: UserId,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<SignInRow>> {
        Ok(sql!(
            self.read(),
            "SELECT sign_in_id, at, outcome, method, kind, name, network FROM sign_ins
             WHERE user_id = $1 AND at > $2 ORDER BY at DESC, sign_in_id DESC LIMIT $3",
            [user.0, since, i64::from(limit)],
            fetch_all as SignInRow
        )?)
    }

    /// Deletes what is older than an instant. Gives the number.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn purge_sign_ins(&self, before: DateTime<Utc>) -> Result<u64> {
        Ok(sql!(self.write(), "DELETE FROM sign_ins WHERE at < $1", [before])?)
    }
}

impl Tx {
    /// Stores a sign-in, or a try.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn insert_sign_in(&mut self, sign_in: &NewSignIn<'_>) -> Result<()> {
        sql!(
            self.on(),
            "INSERT INTO sign_ins (sign_in_id, user_id, at, outcome, method, kind, name, network)
             SELECT $1, user_id, $3, $4, $5, $6, $7, $8 FROM users WHERE user_id = $2",
            [
                sign_in.id,
                sign_in.user.0,
                sign_in.at,
                sign_in.outcome,
                sign_in.method,
                sign_in.kind,
                sign_in.name,
                sign_in.network
            ]
        )?;
        Ok(())
    }
}
