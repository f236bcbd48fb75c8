//! When and how the person behind a session last proved who they are: columns of `sessions`.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::store::{Result, Store, Tx, sql};

impl Store {
    /// When the person behind a session last proved who they are: at the sign-in, or later. `None` when the session has
    /// ended or never was.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn proved_at(&self, session: Uuid) -> Result<Option<DateTime<Utc>>> {
        let found = sql!(
            self.read(),
            "SELECT COALESCE(proved_at, created_at) FROM sessions
             WHERE session_id = $1 AND revoked_at IS NULL",
            [session],
            fetch_optional as (DateTime<Utc>,)
        )?;
        Ok(found.map(|(at,)| at))
    }
}

impl Tx {
    /// Notes that the person behind a session proved who they are; false when the session has ended or never was.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn prove_session(&mut self, session: Uuid, by: &str, at: DateTime<Utc>) -> Result<bool> {
        let changed = sql!(
            self.on(),
            "UPDATE sessions SET proved_at = $2, proved_by = $3 WHERE session_id = $1 AND revoked_at IS NULL",
            [session, at, by]
        )?;
        Ok(changed == 1)
    }
}
