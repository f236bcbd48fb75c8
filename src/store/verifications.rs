//! Rows of `verifications` and `consents`: what somebody proved before they had an account, and what they agreed to.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    id::UserId,
    store::{Result, Store, Tx, sql},
};

/// A verification to be stored, or as it was.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct VerificationRow {
    /// A version 7 uuid.
    pub verification_id: Uuid,
    /// Hash of the token.
    pub token_hash: Vec<u8>,
    /// What it is good for.
    pub purpose: String,
    /// What was proved, sealed.
    pub proved: Vec<u8>,
    /// When.
    pub created_at: DateTime<Utc>,
    /// It is good until then.
    pub expires_at: DateTime<Utc>,
}

impl Store {
    /// The verification of a token that is good now for a purpose.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn verification(
        &self,
        token_hash: &[u8],
        purpose: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<VerificationRow>> {
        Ok(sql!(
            self.read(),
            "SELECT verification_id, token_hash, purpose, proved, created_at, expires_at FROM verifications
             WHERE token_hash = $1 AND purpose = $2 AND expires_at > $3",
            [token_hash, purpose, now],
            fetch_optional as VerificationRow
        )?)
    }

    /// Replaces what a verification proves, if it is still there.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn change_verification(&self, id: Uuid, proved: &[u8]) -> Result<()> {
        sql!(self.write(), "UPDATE verifications SET proved = $2 WHERE verification_id = $1", [id, proved])?;
        Ok(())
    }

    /// Deletes the verifications that ran out before an instant. Gives their number.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn purge_verifications(&self, before: DateTime<Utc>) -> Result<u64> {
        Ok(sql!(self.write(), "DELETE FROM verifications WHERE expires_at < $1", [before])?)
    }
}

impl Tx {
    /// Stores a verification. `subject` is the keyed hash under which codes know its address.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn insert_verification(&mut self, row: &VerificationRow, subject: &[u8]) -> Result<()> {
        sql!(
            self.on(),
            "INSERT INTO verifications (verification_id, token_hash, purpose, proved, created_at, expires_at, subject)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            [
                row.verification_id,
                row.token_hash.as_slice(),
                row.purpose.as_str(),
                row.proved.as_slice(),
                row.created_at,
                row.expires_at,
                subject
            ]
        )?;
        Ok(())
    }

    /// Stores what a user agreed to. `marketing`: whether advertising was welcome then; whoever was linked and did not say has
    /// what billing had.
    ///
    /// # Errors
    /// [`crate::store::Error::Taken`] when the user has accepted these terms.
    pub async fn insert_consent(
        &mut self,
        user: UserId,
        terms_version: &str,
        marketing: bool,
        at: DateTime<Utc>,
    ) -> Result<()> {
        sql!(
            self.on(),
            "INSERT INTO consents (user_id, terms_version, marketing, accepted_at) VALUES ($1, $2, $3, $4)",
            [user.0, terms_version, marketing, at]
        )?;
        Ok(())
    }
}

impl Store {
    /// The terms that a user accepted last: their version, whether advertising was welcome, and when.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn consent(&self, user: UserId) -> Result<Option<(String, bool, DateTime<Utc>)>> {
        Ok(sql!(
            self.read(),
            "SELECT terms_version, marketing, accepted_at FROM consents WHERE user_id = $1
             ORDER BY accepted_at DESC LIMIT 1",
            [user.0],
            fetch_optional as (String, bool, DateTime<Utc>)
        )?)
    }
}
