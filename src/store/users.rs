//! Rows of `users`: who may sign in.
//!
//! The address lies sealed, and is found by its index: a keyed hash, which says nothing without the key.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    id::UserId,
    seal::{self, Place},
    secret::{ExposeSecret, SecretString},
    store::{Error, Result, Store, Tx, audit::Event, sql},
};

/// A user as the sign-in needs it.
#[derive(Clone, Debug)]
pub struct User {
    /// Our id, a version 7 uuid.
    pub id: UserId,
    /// The stored hash, a PHC string.
    pub password_hash: SecretString,
    /// A user who is disabled cannot sign in.
    pub is_disabled: bool,
    /// The language of mails and messages: `en` or `ja`.
    pub locale: String,
}

/// A user to be stored.
#[derive(Clone, Debug)]
pub struct NewUser<'a> {
    /// A version 7 uuid.
    pub id: UserId,
    /// The address in the form that is compared: see [`crate::identity`].
    pub email: &'a str,
    /// A PHC string.
    pub password_hash: &'a SecretString,
    /// The language of mails and messages: `en` or `ja`.
    pub locale: &'a str,
    /// Now.
    pub at: DateTime<Utc>,
}

impl Store {
    /// The user with this normalised address.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>> {
        let row = sql!(
            self.read(),
            "SELECT user_id, password_hash, disabled_at, locale FROM users WHERE email_index = $1",
            [self.email_index(email)?],
            fetch_optional as (Uuid, String, Option<DateTime<Utc>>, String)
        )?;
        Ok(row.map(|(id, hash, disabled_at, locale)| User {
            id: UserId(id),
            password_hash: hash.into(),
            is_disabled: disabled_at.is_some(),
            locale,
        }))
    }

    /// A user with their normalised address; `None` when there is no such user.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn user(&self, user: UserId) -> Result<Option<(User, String)>> {
        let row = sql!(
            self.read(),
            "SELECT email_sealed, password_hash, disabled_at, locale FROM users WHERE user_id = $1",
            [user.0],
            fetch_optional as (Option<Vec<u8>>, String, Option<DateTime<Utc>>, String)
        )?;
        let Some((sealed, hash, disabled_at, locale)) = row else { return Ok(None) };
        let email = self.open_email(user.0, sealed.as_deref())?;
        let is_disabled = disabled_at.is_some();
        Ok(Some((User { id: user, password_hash: hash.into(), is_disabled, locale }, email)))
    }

    /// The name under which a normalised address is found.
    pub(super) fn email_index(&self, email: &str) -> Result<Vec<u8>> {
        Ok(self.vault()?.index("users.email", email.as_bytes()).to_vec())
    }

    /// Index and sealed value of a user's normalised address.
    pub(super) fn seal_email(&self, user: Uuid, email: &str) -> Result<(Vec<u8>, Vec<u8>)> {
        let sealed = self.vault()?.keys().seal(email_place(user.as_bytes()), email.as_bytes())?;
        Ok((self.email_index(email)?, sealed))
    }

    /// The normalised address of a user.
    pub(super) fn open_email(&self, user: Uuid, sealed: Option<&[u8]>) -> Result<String> {
        // A replica of an earlier release may write one plain until it is gone; the next start seals it.
        let sealed = sealed.ok_or(Error::Sealed(seal::Error::Malformed))?;
        let plain = self.vault()?.keys().open(email_place(user.as_bytes()), sealed)?;
        String::from_utf8(plain).map_err(|_| Error::Sealed(seal::Error::Malformed))
    }

    /// When somebody became a user; `None` when there is no such user.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn user_created_at(&self, user: UserId) -> Result<Option<DateTime<Utc>>> {
        let row = sql!(
            self.read(),
            "SELECT created_at FROM users WHERE user_id = $1",
            [user.0],
            fetch_optional as (DateTime<Utc>,)
        )?;
        Ok(row.map(|(at,)| at))
    }

    /// Replaces a password hash, unless it was changed since `old` was read. The event is written when it was done.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn upgrade_password(
        &self,
        user: UserId,
        old: &SecretString,
        new: &SecretString,
        at: DateTime<Utc>,
        event: Event,
    ) -> Result<bool> {
        let mut tx = self.begin().await?;
        let changed = sql!(
            tx.on(),
            "UPDATE users SET password_hash = $3, updated_at = $4 WHERE user_id = $1 AND password_hash = $2",
            [user.0, old.expose_secret(), new.expose_secret(), at]
        )?;
        if changed == 0 {
            return Ok(false);
        }
        tx.audit(event);
        tx.commit().await?;
        Ok(true)
    }

    /// Disables a user and ends all sessions; false when there is none, or it is disabled already.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn disable_user(&self, user: UserId, at: DateTime<Utc>, event: Event) -> Result<bool> {
        let mut tx = self.begin().await?;
        let changed = sql!(
            tx.on(),
            "UPDATE users SET disabled_at = $2, updated_at = $2 WHERE user_id = $1 AND disabled_at IS NULL",
            [user.0, at]
        )?;
        sql!(
            tx.on(),
            "UPDATE sessions SET revoked_at = $2, revoked_reason = 'disabled'
             WHERE user_id = $1 AND revoked_at IS NULL",
            [user.0, at]
        )?;
        if changed == 1 {
            tx.audit(event);
        }
        tx.commit().await?;
        Ok(changed == 1)
    }

    /// Undoes [`Store::disable_user`], but for the sessions; false when there is no such user, or it is not disabled.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn enable_user(&self, user: UserId, at: DateTime<Utc>, event: Event) -> Result<bool> {
        let mut tx = self.begin().await?;
        let changed = sql!(
            tx.on(),
            "UPDATE users SET disabled_at = NULL, updated_at = $2
             WHERE user_id = $1 AND disabled_at IS NOT NULL",
            [user.0, at]
        )?;
        if changed == 1 {
            tx.audit(event);
        }
        tx.commit().await?;
        Ok(changed == 1)
    }
}

impl Tx {
    /// Takes a user for this transaction: whoever else wants it waits. Gives the user as they are then.
    ///
    /// The write is the lock, as in [`Tx::lock_family`].
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn lock_user(&mut self, user: UserId) -> Result<Option<User>> {
        let row = sql!(
            self.on(),
            "UPDATE users SET updated_at = updated_at WHERE user_id = $1
             RETURNING password_hash, disabled_at, locale",
            [user.0],
            fetch_optional as (String, Option<DateTime<Utc>>, String)
        )?;
        Ok(row.map(|(hash, disabled_at, locale)| User {
            id: user,
            password_hash: hash.into(),
            is_disabled: disabled_at.is_some(),
            locale,
        }))
    }

    /// The same for whoever has this normalised address in this transaction.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn lock_user_of_email(&mut self, email: &str) -> Result<Option<UserId>> {
        let index = self.store.email_index(email)?;
        let row = sql!(
            self.on(),
            "UPDATE users SET updated_at = updated_at WHERE email_index = $1 RETURNING user_id",
            [index],
            fetch_optional as (Uuid,)
        )?;
        Ok(row.map(|(user,)| UserId(user)))
    }

    /// Gives a user another normalised address and voids what was mailed to the one before: links for a new password and
    /// hand-offs. False when the user has another address than `old`, is disabled or gone; then nothing is done.
    ///
    /// # Errors
    /// [`crate::store::Error::Taken`] when somebody else has the address.
    pub async fn change_email(
        &mut self,
        user: UserId,
        old: &str,
        new: &str,
        at: DateTime<Utc>,
    ) -> Result<bool> {
        let before = self.store.email_index(old)?;
        let (index, sealed) = self.store.seal_email(user.0, new)?;
        let changed = sql!(
            self.on(),
            "UPDATE users SET email_index = $3, email_sealed = $4, updated_at = $5
             WHERE user_id = $1 AND email_index = $2 AND disabled_at IS NULL",
            [user.0, before, index, sealed, at]
        )?;
        if changed == 0 {
            return Ok(false);
        }
        sql!(self.on(), "DELETE FROM password_resets WHERE user_id = $1", [user.0])?;
        sql!(self.on(), "DELETE FROM hand_offs WHERE user_id = $1", [user.0])?;
        Ok(true)
    }

    /// Replaces a password hash by that of another password, unless it was changed since `old` was read: then nothing is
    /// done, and it gives false.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn replace_password(
        &mut self,
        user: UserId,
        old: &SecretString,
        new: &SecretString,
        at: DateTime<Utc>,
    ) -> Result<bool> {
        let changed = sql!(
            self.on(),
            "UPDATE users SET password_hash = $3, password_version = password_version + 1, updated_at = $4
             WHERE user_id = $1 AND password_hash = $2",
            [user.0, old.expose_secret(), new.expose_secret(), at]
        )?;
        Ok(changed == 1)
    }

    /// Stores a user.
    ///
    /// # Errors
    /// [`crate::store::Error::Taken`] when the address is known.
    pub async fn insert_user(&mut self, user: &NewUser<'_>) -> Result<()> {
        let (index, sealed) = self.store.seal_email(user.id.0, user.email)?;
        sql!(
            self.on(),
            "INSERT INTO users (user_id, email_normalised, email_index, email_sealed, password_hash, locale,
                created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
            [
                user.id.0,
                no_email(user.id.0),
                index,
                sealed,
                user.password_hash.expose_secret(),
                user.locale,
                user.at
            ]
        )?;
        Ok(())
    }
}

/// What stands in the column in which an earlier release kept the address.
pub(super) fn no_email(user: Uuid) -> String {
    user.to_string()
}

fn email_place(row: &[u8]) -> Place<'_> {
    Place { table: "users", column: "email_sealed", row }
}
