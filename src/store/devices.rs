//! Rows of `devices`: browsers and apps in which somebody signed in, and of `hand_offs`, which spare a second step once.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    id::UserId,
    store::{Result, Store, Tx, audit::Event, sql},
};

/// A device that signed in just now.
#[derive(Clone, Copy, Debug)]
pub struct NewDevice<'a> {
    /// A version 7 uuid; of no use when the device is known.
    pub id: Uuid,
    /// Who signed in.
    pub user: UserId,
    /// SHA-256 of its token.
    pub token_hash: &'a [u8],
    /// What kind of program: `browser`, `app`, `other`.
    pub kind: &'static str,
    /// Browser and system, such as `Firefox, Windows`.
    pub name: &'a str,
    /// Its network, sealed.
    pub network: Option<&'a [u8]>,
    /// Now.
    pub at: DateTime<Utc>,
    /// The password is enough on it until then; `None` leaves that as it is.
    pub trusted_until: Option<DateTime<Utc>>,
}

/// A device in which a user signed in.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct DeviceRow {
    /// Its id.
    pub device_id: Uuid,
    /// What kind of program.
    pub kind: String,
    /// Browser and system.
    pub name: String,
    /// Its network, sealed.
    pub network: Option<Vec<u8>>,
    /// When it first signed in.
    pub created_at: DateTime<Utc>,
    /// When it last signed in.
    pub seen_at: DateTime<Utc>,
    /// The password is enough on it until then.
    pub trusted_until: Option<DateTime<Utc>>,
}

impl Store {
    /// The device with this token in which the user of a normalised address signed in since an instant.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn device_of_email(
        &self,
        email: &str,
        token_hash: &[u8],
        since: DateTime<Utc>,
    ) -> Result<Option<DeviceRow>> {
        Ok(sql!(
            self.read(),
            "SELECT d.device_id, d.kind, d.name, d.network, d.created_at, d.seen_at, d.trusted_until
             FROM devices d JOIN users u ON u.user_id = d.user_id
             WHERE u.email_index = $1 AND d.token_hash = $2 AND d.seen_at > $3",
            [self.email_index(email)?, token_hash, since],
            fetch_optional as DeviceRow
        )?)
    }

    /// How many accounts signed in with a device of this token since an instant.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn accounts_of_device(&self, token_hash: &[u8], since: DateTime<Utc>) -> Result<i64> {
        let (count,) = sql!(
            self.read(),
            "SELECT count(*) FROM devices WHERE token_hash = $1 AND seen_at > $2",
            [token_hash, since],
            fetch_one as (i64,)
        )?;
        Ok(count)
    }

    /// The devices in which a user signed in since an instant, the one that was last seen first.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn devices_of_user(&self, user: UserId, since: DateTime<Utc>) -> Result<Vec<DeviceRow>> {
        Ok(sql!(
            self.read(),
            "SELECT device_id, kind, name, network, created_at, seen_at, trusted_until FROM devices
             WHERE user_id = $1 AND seen_at > $2 ORDER BY seen_at DESC, device_id DESC",
            [user.0, since],
            fetch_all as DeviceRow
        )?)
    }

    /// Forgets a device of a user and ends the sessions that began in it; false when it is none of theirs.
    /// The event is written when it was done.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn delete_device(
        &self,
        user: UserId,
        device: Uuid,
        at: DateTime<Utc>,
        event: Event,
    ) -> Result<bool> {
        let mut tx = self.begin().await?;
        // Whoever changes the password of the same person locks the user, then sessions, then devices.
        tx.lock_user(user).await?;
        let deleted =
            sql!(tx.on(), "DELETE FROM devices WHERE user_id = $1 AND device_id = $2", [user.0, device])?;
        if deleted == 0 {
            return Ok(false);
        }
        let ended = sql!(
            tx.on(),
            "UPDATE sessions SET revoked_at = $3, revoked_reason = 'device revoked'
             WHERE user_id = $1 AND device_id = $2 AND revoked_at IS NULL",
            [user.0, device, at]
        )?;
        tx.audit(event.with("sessionsEnded", ended));
        tx.commit().await?;
        Ok(true)
    }

    /// Deletes the devices that were not seen since an instant. Gives their number.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn purge_devices(&self, before: DateTime<Utc>) -> Result<u64> {
        Ok(sql!(self.write(), "DELETE FROM devices WHERE seen_at < $1", [before])?)
    }

    /// Deletes the hand-offs that ran out before an instant. Gives their number.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn purge_hand_offs(&self, before: DateTime<Utc>) -> Result<u64> {
        Ok(sql!(self.write(), "DELETE FROM hand_offs WHERE expires_at < $1", [before])?)
    }

    /// The masked owner of a hand-off is read from this: the normalised address of its user, while it is good.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn hand_off(&self, token_hash: &[u8], now: DateTime<Utc>) -> Result<Option<(UserId, String)>> {
        let row = sql!(
            self.read(),
            "SELECT u.user_id, u.email_sealed FROM hand_offs h JOIN users u ON u.user_id = h.user_id
             WHERE h.token_hash = $1 AND h.expires_at > $2",
            [token_hash, now],
            fetch_optional as (Uuid, Option<Vec<u8>>)
        )?;
        let email = |(user, sealed): (Uuid, Option<Vec<u8>>)| {
            Ok((UserId(user), self.open_email(user, sealed.as_deref())?))
        };
        row.map(email).transpose()
    }

    /// Lets every user trust one device, for demonstrations.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    #[cfg(feature = "sandbox")]
    pub async fn trust_everywhere(
        &self,
        token_hash: &[u8],
        at: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<u64> {
        // One device a user, so the user's key will do for it, too.
        Ok(sql!(
            self.write(),
            "INSERT INTO devices (device_id, user_id, token_hash, kind, name, created_at, seen_at, trusted_until)
             SELECT user_id, user_id, $1, 'other', 'Demonstration', $2, $2, $3 FROM users WHERE true
             ON CONFLICT (user_id, token_hash) DO UPDATE SET seen_at = $2, trusted_until = $3",
            [token_hash, at, until]
        )?)
    }
}

impl Tx {
    /// Notes that a user signed in with a device. Gives its id, and whether it was never seen while others were.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn see_device(&mut self, device: &NewDevice<'_>) -> Result<(Uuid, bool)> {
        let (known,) = sql!(
            self.on(),
            "SELECT count(*) FROM devices WHERE user_id = $1",
            [device.user.0],
            fetch_one as (i64,)
        )?;
        let (id,) = sql!(
            self.on(),
            "INSERT INTO devices (device_id, user_id, token_hash, kind, name, network, created_at, seen_at, trusted_until)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)
             ON CONFLICT (user_id, token_hash) DO UPDATE
                SET seen_at = $7, trusted_until = coalesce($8, devices.trusted_until)
             RETURNING device_id",
            [
                device.id,
                device.user.0,
                device.token_hash,
                device.kind,
                device.name,
                device.network,
                device.at,
                device.trusted_until
            ],
            fetch_one as (Uuid,)
        )?;
        Ok((id, id == device.id && known > 0))
    }

    /// No device of a user is trusted from now on; they stay known. Gives their number.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn distrust_devices(&mut self, user: UserId) -> Result<u64> {
        Ok(sql!(
            self.on(),
            "UPDATE devices SET trusted_until = NULL WHERE user_id = $1 AND trusted_until IS NOT NULL",
            [user.0]
        )?)
    }

    /// Stores a hand-off.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn insert_hand_off(
        &mut self,
        token_hash: &[u8],
        user: UserId,
        expires_at: DateTime<Utc>,
    ) -> Result<()> {
        sql!(
            self.on(),
            "INSERT INTO hand_offs (token_hash, user_id, expires_at) VALUES ($1, $2, $3)",
            [token_hash, user.0, expires_at]
        )?;
        Ok(())
    }

    /// Uses a hand-off up; false when there is none of the user, or it ran out or was used before.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn consume_hand_off(
        &mut self,
        token_hash: &[u8],
        user: UserId,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let deleted = sql!(
            self.on(),
            "DELETE FROM hand_offs WHERE token_hash = $1 AND user_id = $2 AND expires_at > $3",
            [token_hash, user.0, now]
        )?;
        Ok(deleted == 1)
    }
}
