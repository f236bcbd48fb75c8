//! Rows of `passkeys`, and of the ceremonies by which they are registered and used.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    id::UserId,
    store::{Result, Store, Tx, audit::Event, sql},
};

/// A passkey as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PasskeyRow {
    /// Our id, a version 7 uuid.
    pub passkey_id: Uuid,
    /// What its authenticator calls it.
    pub credential_id: Vec<u8>,
    /// What changes with its use.
    pub state: Vec<u8>,
    /// How its authenticator can be reached, as bits.
    pub transports: i64,
    /// What its owner calls it, sealed.
    pub name: Vec<u8>,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// When it was last used.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A passkey to be stored.
#[derive(Clone, Debug)]
pub struct NewPasskey<'a> {
    /// A version 7 uuid.
    pub id: Uuid,
    /// Whose it is.
    pub user: UserId,
    /// What its authenticator calls it.
    pub credential_id: &'a [u8],
    /// The public key, with what else never changes.
    pub public_key: &'a [u8],
    /// What changes with its use.
    pub state: &'a [u8],
    /// How its authenticator can be reached, as bits.
    pub transports: u8,
    /// What its owner calls it, sealed.
    pub name: &'a [u8],
    /// Now.
    pub created_at: DateTime<Utc>,
}

/// A passkey while it is being used.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PasskeyKey {
    /// Our id.
    pub passkey_id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// The name under which authenticators know that person.
    pub handle: Vec<u8>,
    /// The public key, with what else never changes.
    pub public_key: Vec<u8>,
    /// What changes with its use.
    pub state: Vec<u8>,
    /// When the person was disabled.
    pub disabled_at: Option<DateTime<Utc>>,
}

/// A ceremony to be stored.
#[derive(Clone, Debug)]
pub struct NewCeremony<'a> {
    /// SHA-256 of its challenge.
    pub challenge_hash: &'a [u8],
    /// What it is for: the answer to one of another purpose is none.
    pub purpose: &'static str,
    /// The session that began it; `None` when nobody is signed in.
    pub session: Option<Uuid>,
    /// What the answer is compared with.
    pub state: &'a [u8],
    /// From then on it counts no more.
    pub expires_at: DateTime<Utc>,
}

impl Store {
    /// The passkeys of a user, in the order in which they were registered.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn passkeys_of_user(&self, user: UserId) -> Result<Vec<PasskeyRow>> {
        Ok(sql!(
            self.read(),
            "SELECT passkey_id, credential_id, state, transports, name, created_at, last_used_at
             FROM passkeys WHERE user_id = $1 ORDER BY passkey_id",
            [user.0],
            fetch_all as PasskeyRow
        )?)
    }

    /// Whether a user has a passkey.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn has_passkey(&self, user: UserId) -> Result<bool> {
        let found = sql!(
            self.read(),
            "SELECT passkey_id FROM passkeys WHERE user_id = $1 LIMIT 1",
            [user.0],
            fetch_optional as (Uuid,)
        )?;
        Ok(found.is_some())
    }

    /// The passkey that an authenticator calls so.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn passkey_by_credential(&self, credential_id: &[u8]) -> Result<Option<PasskeyKey>> {
        Ok(sql!(
            self.read(),
            "SELECT p.passkey_id, p.user_id, h.handle, p.public_key, p.state, u.disabled_at
             FROM passkeys p JOIN passkey_users h ON h.user_id = p.user_id JOIN users u ON u.user_id = p.user_id
             WHERE p.credential_id = $1",
            [credential_id],
            fetch_optional as PasskeyKey
        )?)
    }

    /// Gives a passkey of a user another name; `None` when they have none of this id. The event is written when it was done.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn rename_passkey(
        &self,
        user: UserId,
        id: Uuid,
        name: &[u8],
        event: Event,
    ) -> Result<Option<PasskeyRow>> {
        let mut tx = self.begin().await?;
        let renamed = sql!(
            tx.on(),
            "UPDATE passkeys SET name = $3 WHERE passkey_id = $1 AND user_id = $2
             RETURNING passkey_id, credential_id, state, transports, name, created_at, last_used_at",
            [id, user.0, name],
            fetch_optional as PasskeyRow
        )?;
        if renamed.is_some() {
            tx.audit(event);
            tx.commit().await?;
        }
        Ok(renamed)
    }

    /// Takes a ceremony away, so that of many answers at once one finds it. `None` when there is none of this purpose and
    /// session, or it ran out.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn take_ceremony(
        &self,
        challenge_hash: &[u8],
        purpose: &str,
        session: Option<Uuid>,
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<u8>>> {
        let taken = sql!(
            self.write(),
            "DELETE FROM passkey_ceremonies
             WHERE challenge_hash = $1 AND purpose = $2 AND session_id IS NOT DISTINCT FROM $3 AND expires_at > $4
             RETURNING state",
            [challenge_hash, purpose, session, now],
            fetch_optional as (Vec<u8>,)
        )?;
        Ok(taken.map(|(state,)| state))
    }
}

impl Tx {
    /// The name under which authenticators know a user: the one that is stored, or else the one offered. Whoever else
    /// wants to add a passkey for this user waits for the transaction: the write is the lock.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn passkey_handle(&mut self, user: UserId, offered: &[u8]) -> Result<Vec<u8>> {
        let (handle,) = sql!(
            self.on(),
            "INSERT INTO passkey_users (user_id, handle) VALUES ($1, $2)
             ON CONFLICT (user_id) DO UPDATE SET handle = passkey_users.handle RETURNING handle",
            [user.0, offered],
            fetch_one as (Vec<u8>,)
        )?;
        Ok(handle)
    }

    /// Stores a ceremony, and forgets those that ran out.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn insert_ceremony(&mut self, ceremony: &NewCeremony<'_>, now: DateTime<Utc>) -> Result<()> {
        sql!(self.on(), "DELETE FROM passkey_ceremonies WHERE expires_at <= $1", [now])?;
        sql!(
            self.on(),
            "INSERT INTO passkey_ceremonies (challenge_hash, purpose, session_id, state, expires_at)
             VALUES ($1, $2, $3, $4, $5)",
            [
                ceremony.challenge_hash,
                ceremony.purpose,
                ceremony.session,
                ceremony.state,
                ceremony.expires_at
            ]
        )?;
        Ok(())
    }

    /// Stores a passkey, unless its user has `most` already: then it gives false.
    ///
    /// # Errors
    /// [`crate::store::Error::Taken`] when another one has its credential id.
    pub async fn insert_passkey(&mut self, passkey: &NewPasskey<'_>, most: u32) -> Result<bool> {
        let added = sql!(
            self.on(),
            "INSERT INTO passkeys
                (passkey_id, user_id, credential_id, public_key, state, transports, name, created_at)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8
             WHERE (SELECT count(*) FROM passkeys WHERE user_id = $2) < $9",
            [
                passkey.id,
                passkey.user.0,
                passkey.credential_id,
                passkey.public_key,
                passkey.state,
                i64::from(passkey.transports),
                passkey.name,
                passkey.created_at,
                i64::from(most)
            ]
        )?;
        Ok(added == 1)
    }

    /// Notes that a passkey was used, unless it was removed or used since `old` was read: then nothing is done, and it
    /// gives false. So of two answers that count alike one is refused.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn use_passkey(&mut self, id: Uuid, old: &[u8], new: &[u8], at: DateTime<Utc>) -> Result<bool> {
        let changed = sql!(
            self.on(),
            "UPDATE passkeys SET state = $3, last_used_at = $4 WHERE passkey_id = $1 AND state = $2",
            [id, old, new, at]
        )?;
        Ok(changed == 1)
    }

    /// Removes all passkeys of a user. Gives their number.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn delete_passkeys(&mut self, user: UserId) -> Result<u64> {
        Ok(sql!(self.on(), "DELETE FROM passkeys WHERE user_id = $1", [user.0])?)
    }

    /// Removes a passkey of a user; false when they have none of this id.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn delete_passkey(&mut self, user: UserId, id: Uuid) -> Result<bool> {
        let gone =
            sql!(self.on(), "DELETE FROM passkeys WHERE passkey_id = $1 AND user_id = $2", [id, user.0])?;
        Ok(gone == 1)
    }
}
