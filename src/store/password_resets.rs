//! Rows of `password_resets`: links by which a forgotten password is replaced.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    id::UserId,
    secret::{ExposeSecret, SecretString},
    store::{Result, Store, Tx, sql},
};

/// What makes a link good: it is unused, it has not run out, and the password is the one it was asked for.
macro_rules! good {
    ($head:literal, $tail:literal) => {
        concat!(
            $head,
            " token_hash = $1 AND used_at IS NULL AND expires_at > $2 AND EXISTS (SELECT 1 FROM users u
                WHERE u.user_id = password_resets.user_id AND u.disabled_at IS NULL
                  AND u.password_version = password_resets.password_version)",
            $tail
        )
    };
}

impl Store {
    /// Whose link this is; `None` when it is not good.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn user_of_password_reset(
        &self,
        token_hash: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Option<UserId>> {
        let row = sql!(
            self.read(),
            good!("SELECT user_id FROM password_resets WHERE", ""),
            [token_hash, now],
            fetch_optional as (Uuid,)
        )?;
        Ok(row.map(|(user,)| UserId(user)))
    }

    /// Deletes the links that ran out before an instant. Gives their number.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn purge_password_resets(&self, before: DateTime<Utc>) -> Result<u64> {
        Ok(sql!(self.write(), "DELETE FROM password_resets WHERE expires_at < $1", [before])?)
    }
}

impl Tx {
    /// Stores a link for the password that the user has now.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn insert_password_reset(
        &mut self,
        token_hash: &[u8],
        user: UserId,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<()> {
        sql!(
            self.on(),
            "INSERT INTO password_resets (token_hash, user_id, password_version, created_at, expires_at)
             SELECT $1, user_id, password_version, $3, $4 FROM users WHERE user_id = $2",
            [token_hash, user.0, now, expires_at]
        )?;
        Ok(())
    }

    /// Uses a link up and gives its user a new password. `None` when the link is not good, and then nothing is done; of
    /// many at once, and of several links of one user, one is.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn reset_password(
        &mut self,
        token_hash: &[u8],
        password_hash: &SecretString,
        now: DateTime<Utc>,
    ) -> Result<Option<UserId>> {
        // The user before the link, as whoever changes the address or erases the account takes them; the write is the lock.
        sql!(
            self.on(),
            "UPDATE users SET updated_at = updated_at
             WHERE user_id = (SELECT user_id FROM password_resets WHERE token_hash = $1)",
            [token_hash]
        )?;
        let used = sql!(
            self.on(),
            good!("UPDATE password_resets SET used_at = $2 WHERE", " RETURNING user_id, password_version"),
            [token_hash, now],
            fetch_optional as (Uuid, i64)
        )?;
        let Some((user, version)) = used else { return Ok(None) };
        let changed = sql!(
            self.on(),
            "UPDATE users SET password_hash = $3, password_version = password_version + 1, updated_at = $4
             WHERE user_id = $1 AND password_version = $2",
            [user, version, password_hash.expose_secret(), now]
        )?;
        Ok((changed == 1).then_some(UserId(user)))
    }

    /// Ends all sessions of a user. Gives their number.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn revoke_sessions(&mut self, user: UserId, reason: &str, at: DateTime<Utc>) -> Result<u64> {
        // No session has the nil uuid.
        self.revoke_other_sessions(user, Uuid::nil(), reason, at).await
    }
}
