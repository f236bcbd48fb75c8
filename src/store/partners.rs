//! Rows of `partners`, `partner_secrets` and `partner_usage`: programs of others, what they prove themselves with, and what
//! they used.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    id::PartnerId,
    store::{Result, Store, Tx, sql},
};

/// A partner as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PartnerRow {
    /// Our id, a version 7 uuid.
    pub partner_id: Uuid,
    /// What it calls itself at the token endpoint.
    pub client_id: String,
    /// What people call it.
    pub name: String,
    /// What it may be allowed at most: names with spaces between.
    pub scopes: String,
    /// Whether it is of the house, and acts for every customer.
    pub is_first_party: bool,
    /// Requests in a second.
    pub requests_per_second: i64,
    /// Points of cost at most.
    pub cost_maximum: i64,
    /// Points of cost that come back in a second.
    pub cost_restore: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A secret that is active.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PartnerSecretRow {
    /// Its id, which says nothing of it.
    pub secret_id: Uuid,
    /// SHA-256 of it.
    pub secret_hash: Vec<u8>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// What a partner used on a day.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PartnerUsageRow {
    /// The day of UTC, `2026-11-28`.
    pub day: String,
    /// Requests, those that were refused among them.
    pub requests: i64,
    /// Points of cost.
    pub cost: i64,
    /// Requests that were refused.
    pub refusals: i64,
}

impl Store {
    /// The partner that calls itself so.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn partner_by_client_id(&self, client_id: &str) -> Result<Option<PartnerRow>> {
        Ok(sql!(
            self.read(),
            "SELECT partner_id, client_id, name, scopes, is_first_party, requests_per_second, cost_maximum,
                cost_restore, created_at, revoked_at
             FROM partners WHERE client_id = $1",
            [client_id],
            fetch_optional as PartnerRow
        )?)
    }

    /// A partner.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn partner(&self, partner: PartnerId) -> Result<Option<PartnerRow>> {
        Ok(sql!(
            self.read(),
            "SELECT partner_id, client_id, name, scopes, is_first_party, requests_per_second, cost_maximum,
                cost_restore, created_at, revoked_at
             FROM partners WHERE partner_id = $1",
            [partner.0],
            fetch_optional as PartnerRow
        )?)
    }

    /// All partners, those that were revoked among them, in the order in which they were created.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn partners(&self) -> Result<Vec<PartnerRow>> {
        Ok(sql!(
            self.read(),
            "SELECT partner_id, client_id, name, scopes, is_first_party, requests_per_second, cost_maximum,
                cost_restore, created_at, revoked_at
             FROM partners ORDER BY partner_id",
            [],
            fetch_all as PartnerRow
        )?)
    }

    /// The active secrets of a partner, the newest first.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn partner_secrets(&self, partner: PartnerId) -> Result<Vec<PartnerSecretRow>> {
        Ok(sql!(
            self.read(),
            "SELECT secret_id, secret_hash, created_at FROM partner_secrets
             WHERE partner_id = $1 AND retired_at IS NULL ORDER BY secret_id DESC",
            [partner.0],
            fetch_all as PartnerSecretRow
        )?)
    }

    /// Adds to what a partner used on a day.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn add_partner_usage(&self, partner: PartnerId, used: &PartnerUsageRow) -> Result<()> {
        sql!(
            self.write(),
            "INSERT INTO partner_usage (partner_id, day, requests, cost, refusals) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (partner_id, day) DO UPDATE SET requests = partner_usage.requests + excluded.requests,
                cost = partner_usage.cost + excluded.cost, refusals = partner_usage.refusals + excluded.refusals",
            [partner.0, used.day.as_str(), used.requests, used.cost, used.refusals]
        )?;
        Ok(())
    }

    /// What a partner used, the latest day first.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn partner_usage(&self, partner: PartnerId, days: u32) -> Result<Vec<PartnerUsageRow>> {
        Ok(sql!(
            self.read(),
            "SELECT day, requests, cost, refusals FROM partner_usage WHERE partner_id = $1
             ORDER BY day DESC LIMIT $2",
            [partner.0, i64::from(days)],
            fetch_all as PartnerUsageRow
        )?)
    }
}

impl Tx {
    /// Stores a partner.
    ///
    /// # Errors
    /// [`crate::store::Error::Taken`] when its client id is another's.
    pub async fn insert_partner(&mut self, partner: &PartnerRow) -> Result<()> {
        sql!(
            self.on(),
            "INSERT INTO partners (partner_id, client_id, name, scopes, is_first_party, requests_per_second,
                cost_maximum, cost_restore, created_at, revoked_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            [
                partner.partner_id,
                &partner.client_id,
                &partner.name,
                &partner.scopes,
                partner.is_first_party,
                partner.requests_per_second,
                partner.cost_maximum,
                partner.cost_restore,
                partner.created_at,
                partner.revoked_at
            ]
        )?;
        Ok(())
    }

    /// Takes a partner for this transaction, and gives it as it is then; `None` when there is none, or it was revoked.
    ///
    /// The write is the lock, as in [`Tx::lock_family`].
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn lock_partner(&mut self, client_id: &str) -> Result<Option<PartnerId>> {
        let found = sql!(
            self.on(),
            "UPDATE partners SET name = name WHERE client_id = $1 AND revoked_at IS NULL RETURNING partner_id",
            [client_id],
            fetch_optional as (Uuid,)
        )?;
        Ok(found.map(|(id,)| PartnerId(id)))
    }

    /// Stores a secret of a partner.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn insert_partner_secret(
        &mut self,
        partner: PartnerId,
        secret: &PartnerSecretRow,
    ) -> Result<()> {
        sql!(
            self.on(),
            "INSERT INTO partner_secrets (secret_id, partner_id, secret_hash, created_at) VALUES ($1, $2, $3, $4)",
            [secret.secret_id, partner.0, &secret.secret_hash[..], secret.created_at]
        )?;
        Ok(())
    }

    /// How many secrets of a partner are active.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn count_partner_secrets(&mut self, partner: PartnerId) -> Result<u64> {
        let (count,) = sql!(
            self.on(),
            "SELECT count(*) FROM partner_secrets WHERE partner_id = $1 AND retired_at IS NULL",
            [partner.0],
            fetch_one as (i64,)
        )?;
        Ok(count.unsigned_abs())
    }

    /// Retires all secrets of a partner but the newest `kept`. Gives their number.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn retire_partner_secrets(
        &mut self,
        partner: PartnerId,
        kept: u32,
        at: DateTime<Utc>,
    ) -> Result<u64> {
        Ok(sql!(
            self.on(),
            "UPDATE partner_secrets SET retired_at = $2
             WHERE partner_id = $1 AND retired_at IS NULL AND secret_id NOT IN (
                SELECT secret_id FROM partner_secrets WHERE partner_id = $1 AND retired_at IS NULL
                ORDER BY secret_id DESC LIMIT $3)",
            [partner.0, at, i64::from(kept)]
        )?)
    }

    /// Revokes a partner.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn revoke_partner(&mut self, partner: PartnerId, at: DateTime<Utc>) -> Result<()> {
        sql!(self.on(), "UPDATE partners SET revoked_at = $2 WHERE partner_id = $1", [partner.0, at])?;
        Ok(())
    }
}
