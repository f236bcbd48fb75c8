//! Rows of `totp_factors`, `totp_enrolments` and `recovery_codes`: authenticator apps, and what stands in for a lost one.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    id::UserId,
    secret::{ExposeSecret, SecretString},
    store::{Result, Store, Tx, sql},
};

/// An app as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct TotpRow {
    /// Names this enrolment: another one of the same user has another.
    pub factor_id: Uuid,
    /// What the app and we share, sealed.
    pub secret: Vec<u8>,
    /// The newest step whose code was used.
    pub last_step: i64,
    /// When it was enrolled.
    pub enrolled_at: DateTime<Utc>,
    /// When a code of it was last used; `None` when none ever was.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// An app that is to be enrolled.
#[derive(Clone, Copy, Debug)]
pub struct NewEnrolment<'a> {
    /// Names this enrolment.
    pub id: Uuid,
    /// Whose it is.
    pub user: UserId,
    /// The session that began it, which alone may finish it.
    pub session: Uuid,
    /// What the app and we share, sealed.
    pub secret: &'a [u8],
    /// Tries until it is void.
    pub tries: u32,
    /// It is void from then on.
    pub expires_at: DateTime<Utc>,
}

impl Store {
    /// The app of a user; `None` when they have none.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn totp(&self, user: UserId) -> Result<Option<TotpRow>> {
        Ok(sql!(
            self.read(),
            "SELECT factor_id, secret, last_step, enrolled_at, last_used_at FROM totp_factors WHERE user_id = $1",
            [user.0],
            fetch_optional as TotpRow
        )?)
    }

    /// How many recovery codes of a user are unused.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn recovery_codes_left(&self, user: UserId) -> Result<u32> {
        let (left,) = sql!(
            self.read(),
            "SELECT count(*) FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL",
            [user.0],
            fetch_one as (i64,)
        )?;
        Ok(u32::try_from(left).unwrap_or(u32::MAX))
    }

    /// Takes one try from an enrolment that a session began, and gives its id, the sealed secret and the tries that are
    /// left. `None` when there is none, or it is void. Tries are taken one after the other, however many are made at once.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn try_enrolment(
        &self,
        user: UserId,
        session: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Option<(Uuid, Vec<u8>, i64)>> {
        Ok(sql!(
            self.write(),
            "UPDATE totp_enrolments SET tries_left = tries_left - 1
             WHERE user_id = $1 AND session_id = $2 AND tries_left > 0 AND expires_at > $3
             RETURNING factor_id, secret, tries_left",
            [user.0, session, now],
            fetch_optional as (Uuid, Vec<u8>, i64)
        )?)
    }

    /// Deletes the enrolments that ran out before an instant. Gives their number.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn purge_enrolments(&self, before: DateTime<Utc>) -> Result<u64> {
        Ok(sql!(self.write(), "DELETE FROM totp_enrolments WHERE expires_at < $1", [before])?)
    }

    /// The name of a recovery code, which says nothing of it without the store's key.
    fn recovery_code(&self, user: UserId, code: &SecretString) -> Result<[u8; 32]> {
        let whose = [user.0.as_bytes(), code.expose_secret().as_bytes()].concat();
        Ok(self.vault()?.index("recovery-code", &whose))
    }

    /// The names under which recovery codes of a user are stored.
    ///
    /// # Errors
    /// [`crate::store::Error::Locked`].
    pub fn recovery_codes(&self, user: UserId, codes: &[SecretString]) -> Result<Vec<[u8; 32]>> {
        codes.iter().map(|code| self.recovery_code(user, code)).collect()
    }
}

impl Tx {
    /// Whether a user has an app. What was read before a lock on the user may be old.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn has_totp(&mut self, user: UserId) -> Result<bool> {
        let found = sql!(
            self.on(),
            "SELECT factor_id FROM totp_factors WHERE user_id = $1",
            [user.0],
            fetch_optional as (Uuid,)
        )?;
        Ok(found.is_some())
    }

    /// Stores an enrolment, in place of one that the same user began before.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn put_enrolment(&mut self, new: &NewEnrolment<'_>) -> Result<()> {
        sql!(
            self.on(),
            "INSERT INTO totp_enrolments (user_id, factor_id, session_id, secret, tries_left, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (user_id) DO UPDATE
                SET factor_id = $2, session_id = $3, secret = $4, tries_left = $5, expires_at = $6",
            [new.user.0, new.id, new.session, new.secret, i64::from(new.tries), new.expires_at]
        )?;
        Ok(())
    }

    /// Uses an enrolment up; false when it is gone, or another was begun meanwhile.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn consume_enrolment(&mut self, user: UserId, id: Uuid) -> Result<bool> {
        let gone = sql!(
            self.on(),
            "DELETE FROM totp_enrolments WHERE user_id = $1 AND factor_id = $2",
            [user.0, id]
        )?;
        Ok(gone == 1)
    }

    /// Stores the app of a user, in place of the one before. `step` is that of the code which it has shown.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn put_totp(
        &mut self,
        user: UserId,
        id: Uuid,
        secret: &[u8],
        step: i64,
        now: DateTime<Utc>,
    ) -> Result<()> {
        sql!(
            self.on(),
            "INSERT INTO totp_factors (user_id, factor_id, secret, last_step, enrolled_at)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (user_id) DO UPDATE
                SET factor_id = $2, secret = $3, last_step = $4, enrolled_at = $5, last_used_at = NULL",
            [user.0, id, secret, step, now]
        )?;
        Ok(())
    }

    /// Uses the code of a step up, with all before it; false when a code of this step or of a later one was used before, or
    /// the app is gone. Of many uses at once one counts.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn use_totp(&mut self, factor: Uuid, step: i64, now: DateTime<Utc>) -> Result<bool> {
        let used = sql!(
            self.on(),
            "UPDATE totp_factors SET last_step = $2, last_used_at = $3 WHERE factor_id = $1 AND last_step < $2",
            [factor, step, now]
        )?;
        Ok(used == 1)
    }

    /// Removes the app of a user with the recovery codes; false when there is none.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn delete_totp(&mut self, user: UserId) -> Result<bool> {
        Ok(sql!(self.on(), "DELETE FROM totp_factors WHERE user_id = $1", [user.0])? == 1)
    }

    /// Stores recovery codes of a user who has an app, by the names that [`Store::recovery_codes`] gave, in place of those
    /// before.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn put_recovery_codes(&mut self, user: UserId, names: &[[u8; 32]]) -> Result<()> {
        sql!(self.on(), "DELETE FROM recovery_codes WHERE user_id = $1", [user.0])?;
        for name in names {
            sql!(
                self.on(),
                "INSERT INTO recovery_codes (code_hash, user_id) VALUES ($1, $2)",
                [name.as_slice(), user.0]
            )?;
        }
        Ok(())
    }

    /// Uses a recovery code up; false when the user has none of this name, or it was used before. Of many uses at once one
    /// counts.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn use_recovery_code(
        &mut self,
        user: UserId,
        name: &[u8; 32],
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let used = sql!(
            self.on(),
            "UPDATE recovery_codes SET used_at = $3
             WHERE code_hash = $1 AND user_id = $2 AND used_at IS NULL",
            [name.as_slice(), user.0, now]
        )?;
        Ok(used == 1)
    }
}
