//! Rows of `challenges`: one-time codes that wait to be proved. The rules stand in [`crate::identity`].

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    id::UserId,
    store::{Result, Store, Tx, sql},
};

/// A challenge to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewChallenge<'a> {
    /// A version 4 uuid: whoever knows it may try.
    pub id: Uuid,
    /// What it proves.
    pub kind: &'static str,
    /// Whose account asked for it.
    pub user: Option<UserId>,
    /// Keyed hash of the address, and of where it was asked for.
    pub subject: &'a [u8],
    /// The address, sealed.
    pub address: &'a [u8],
    /// The language of its mails: `en` or `ja`.
    pub language: &'static str,
    /// What is to happen once it is proved, sealed.
    pub payload: &'a [u8],
    /// Keyed hash of the code.
    pub code_hash: &'a [u8],
    /// Keyed hash of what asked for it.
    pub client_hash: &'a [u8],
    /// Tries until it is void.
    pub tries: u32,
    /// Now.
    pub created_at: DateTime<Utc>,
    /// It is void from then on.
    pub expires_at: DateTime<Utc>,
}

/// A challenge that is not void.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ChallengeRow {
    /// Keyed hash of the address, and of where it was asked for.
    pub subject: Vec<u8>,
    /// The address, sealed.
    pub address: Vec<u8>,
    /// The language of its mails.
    pub language: String,
    /// What is to happen once it is proved, sealed.
    pub payload: Vec<u8>,
    /// Keyed hash of the code.
    pub code_hash: Vec<u8>,
    /// Keyed hash of what asked for it.
    pub client_hash: Vec<u8>,
    /// Tries until it is void.
    pub tries_left: i64,
    /// Codes that were made for it.
    pub sends: i64,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// It is void from then on.
    pub expires_at: DateTime<Utc>,
}

impl Store {
    /// A challenge of a kind; `None` when there is none, or it is void.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn challenge(
        &self,
        id: Uuid,
        kind: &'static str,
        now: DateTime<Utc>,
    ) -> Result<Option<ChallengeRow>> {
        Ok(sql!(
            self.read(),
            "SELECT subject, address, language, payload, code_hash, client_hash, tries_left, sends, created_at, expires_at
             FROM challenges WHERE challenge_id = $1 AND kind = $2 AND tries_left > 0 AND expires_at > $3",
            [id, kind, now],
            fetch_optional as ChallengeRow
        )?)
    }

    /// Takes one try from a challenge of a kind, and gives it as it is then. `None` when there is none, or it is void.
    /// Tries are taken one after the other, however many are made at once.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn try_challenge(
        &self,
        id: Uuid,
        kind: &'static str,
        now: DateTime<Utc>,
    ) -> Result<Option<ChallengeRow>> {
        Ok(sql!(
            self.write(),
            "UPDATE challenges SET tries_left = tries_left - 1
             WHERE challenge_id = $1 AND kind = $2 AND tries_left > 0 AND expires_at > $3
             RETURNING subject, address, language, payload, code_hash, client_hash, tries_left, sends, created_at, expires_at",
            [id, kind, now],
            fetch_optional as ChallengeRow
        )?)
    }

    /// Gives a challenge one try back, if it is still there.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn return_try(&self, id: Uuid) -> Result<()> {
        sql!(
            self.write(),
            "UPDATE challenges SET tries_left = tries_left + 1 WHERE challenge_id = $1",
            [id]
        )?;
        Ok(())
    }

    /// Gives a challenge its tries back: for tests of what counts besides them.
    #[cfg(test)]
    pub(crate) async fn refill_challenge(&self, id: Uuid) -> Result<()> {
        sql!(self.write(), "UPDATE challenges SET tries_left = 3 WHERE challenge_id = $1", [id])?;
        Ok(())
    }

    /// Deletes the challenges that ran out before an instant. Gives their number.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn purge_challenges(&self, before: DateTime<Utc>) -> Result<u64> {
        Ok(sql!(self.write(), "DELETE FROM challenges WHERE expires_at < $1", [before])?)
    }
}

impl Tx {
    /// Stores a challenge.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn insert_challenge(&mut self, challenge: &NewChallenge<'_>) -> Result<()> {
        sql!(
            self.on(),
            "INSERT INTO challenges (challenge_id, kind, subject, address, language, payload, code_hash, client_hash,
                tries_left, sends, created_at, expires_at, user_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $11, $12)",
            [
                challenge.id,
                challenge.kind,
                challenge.subject,
                challenge.address,
                challenge.language,
                challenge.payload,
                challenge.code_hash,
                challenge.client_hash,
                i64::from(challenge.tries),
                challenge.created_at,
                challenge.expires_at,
                challenge.user.map(|user| user.0)
            ]
        )?;
        Ok(())
    }

    /// Gives a challenge another code, unless it is void or was given one meanwhile. The tries stay as they are.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn renew_challenge(
        &mut self,
        id: Uuid,
        sends: i64,
        code_hash: &[u8],
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<bool> {
        let changed = sql!(
            self.on(),
            "UPDATE challenges SET code_hash = $3, expires_at = $5, sends = sends + 1
             WHERE challenge_id = $1 AND sends = $2 AND tries_left > 0 AND expires_at > $4",
            [id, sends, code_hash, now, expires_at]
        )?;
        Ok(changed == 1)
    }

    /// Uses a challenge up, with everything else that the transaction does. False when it is gone: then somebody else
    /// used it, and the transaction is to be undone.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn consume_challenge(&mut self, id: Uuid) -> Result<bool> {
        Ok(sql!(self.on(), "DELETE FROM challenges WHERE challenge_id = $1", [id])? == 1)
    }
}
