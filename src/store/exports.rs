//! Rows of `data_exports`: what people asked to be given of all that is known of them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    id::UserId,
    store::{Result, Store, Tx, sql},
};

/// An export without its content.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ExportRow {
    /// A version 4 uuid.
    pub export_id: Uuid,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it was gathered; `None` while it is.
    pub ready_at: Option<DateTime<Utc>>,
    /// It is gone from then on.
    pub expires_at: Option<DateTime<Utc>>,
    /// The parts that could not be had, with spaces between them.
    pub missing: String,
}

/// What was gathered.
#[derive(Clone, Copy, Debug)]
pub struct Gathered<'a> {
    /// The content, sealed.
    pub content: &'a [u8],
    /// The parts that could not be had, with spaces between them.
    pub missing: &'a str,
    /// Now.
    pub at: DateTime<Utc>,
    /// It is gone from then on.
    pub expires_at: DateTime<Utc>,
}

impl Store {
    /// The exports of a user that are not gone, newest first.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn exports_of_user(&self, user: UserId, now: DateTime<Utc>) -> Result<Vec<ExportRow>> {
        Ok(sql!(
            self.read(),
            "SELECT export_id, requested_at, ready_at, expires_at, missing FROM data_exports
             WHERE user_id = $1 AND (expires_at IS NULL OR expires_at > $2)
             ORDER BY requested_at DESC, export_id",
            [user.0, now],
            fetch_all as ExportRow
        )?)
    }

    /// Whose an export is that is to be gathered; `None` when it was, or is gone.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn export_to_gather(&self, id: Uuid) -> Result<Option<UserId>> {
        let row = sql!(
            self.read(),
            "SELECT user_id FROM data_exports WHERE export_id = $1 AND ready_at IS NULL",
            [id],
            fetch_optional as (Uuid,)
        )?;
        Ok(row.map(|(user,)| UserId(user)))
    }

    /// What was gathered for a user, sealed; `None` when there is none of theirs that is ready and not gone.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn export_content(
        &self,
        user: UserId,
        id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<u8>>> {
        let row = sql!(
            self.read(),
            "SELECT content FROM data_exports
             WHERE export_id = $1 AND user_id = $2 AND content IS NOT NULL AND expires_at > $3",
            [id, user.0, now],
            fetch_optional as (Vec<u8>,)
        )?;
        Ok(row.map(|(content,)| content))
    }

    /// When a user was stored, and when a password was last set or the user otherwise changed.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn user_times(&self, user: UserId) -> Result<Option<(DateTime<Utc>, DateTime<Utc>)>> {
        Ok(sql!(
            self.read(),
            "SELECT created_at, updated_at FROM users WHERE user_id = $1",
            [user.0],
            fetch_optional as (DateTime<Utc>, DateTime<Utc>)
        )?)
    }

    /// Every version of the terms that a user accepted, whether advertising was welcome, and when.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn consents(&self, user: UserId) -> Result<Vec<(String, bool, DateTime<Utc>)>> {
        Ok(sql!(
            self.read(),
            "SELECT terms_version, marketing, accepted_at FROM consents WHERE user_id = $1 ORDER BY accepted_at",
            [user.0],
            fetch_all as (String, bool, DateTime<Utc>)
        )?)
    }

    /// Deletes the exports that ran out before an instant. Gives their number.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn purge_exports(&self, before: DateTime<Utc>) -> Result<u64> {
        Ok(sql!(self.write(), "DELETE FROM data_exports WHERE expires_at < $1", [before])?)
    }
}

impl Tx {
    /// Stores the wish for an export. False when one of the user is gathered already, that was asked for after `since`; older
    /// ones give way, since whatever gathered them is dead.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn insert_export(
        &mut self,
        id: Uuid,
        user: UserId,
        since: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        sql!(
            self.on(),
            "DELETE FROM data_exports WHERE user_id = $1 AND ready_at IS NULL AND requested_at < $2",
            [user.0, since]
        )?;
        let stored = sql!(
            self.on(),
            "INSERT INTO data_exports (export_id, user_id, requested_at, missing) VALUES ($1, $2, $3, '')
             ON CONFLICT DO NOTHING",
            [id, user.0, now]
        )?;
        Ok(stored == 1)
    }

    /// Stores what was gathered. False when that was done before, or the export is gone.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn finish_export(&mut self, id: Uuid, gathered: &Gathered<'_>) -> Result<bool> {
        let changed = sql!(
            self.on(),
            "UPDATE data_exports SET content = $2, missing = $3, ready_at = $4, expires_at = $5
             WHERE export_id = $1 AND ready_at IS NULL",
            [id, gathered.content, gathered.missing, gathered.at, gathered.expires_at]
        )?;
        Ok(changed == 1)
    }
}
