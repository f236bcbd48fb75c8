//! Rows of `partner_grants`: what customers allowed partners.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::{Database, Postgres, QueryBuilder, Sqlite};
use uuid::Uuid;

use crate::{
    id::{PartnerId, UserId},
    store::{Mapping, On, Result, Store, Tx, sql},
};

/// Ids of one question.
const BATCH: usize = 500;

/// A grant to be stored.
#[derive(Clone, Debug)]
pub struct NewGrant<'a> {
    /// A version 7 uuid.
    pub id: Uuid,
    /// To whom.
    pub partner: PartnerId,
    /// By whom.
    pub user: UserId,
    /// What: names with spaces between.
    pub scopes: &'a str,
    /// Now.
    pub created_at: DateTime<Utc>,
}

/// A grant that stands, as its customer sees it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct GrantRow {
    /// Its id.
    pub grant_id: Uuid,
    /// What the partner calls itself.
    pub client_id: String,
    /// What people call it.
    pub name: String,
    /// What was allowed: names with spaces between.
    pub scopes: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// A grant, whether it stands or not.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PastGrantRow {
    /// What the partner calls itself.
    pub client_id: String,
    /// What people call it.
    pub name: String,
    /// What was allowed: names with spaces between.
    pub scopes: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When it was taken back, or replaced.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When the partner itself was revoked.
    pub partner_revoked_at: Option<DateTime<Utc>>,
}

/// A grant that stands, as its partner sees it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct GrantedRow {
    /// Who allowed it.
    pub user_id: Uuid,
    /// What was allowed: names with spaces between.
    pub scopes: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// What a partner may do for a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The grant; `None` where none is needed.
    pub grant: Option<Uuid>,
    /// What was allowed: names with spaces between. `None` where none is needed: then it is all that the partner may have.
    pub scopes: Option<String>,
    /// The customer.
    pub customer: Mapping,
}

impl Store {
    /// What a partner may do for a customer by a grant that stands; `None` when there is no such grant, or no such
    /// customer, or one who is disabled.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn granted(&self, partner: PartnerId, user: UserId) -> Result<Option<Allowed>> {
        let row = sql!(
            self.read(),
            "SELECT g.grant_id, g.scopes, m.client_id, m.account_id
             FROM partner_grants g JOIN users u ON u.user_id = g.user_id JOIN id_mappings m ON m.user_id = g.user_id
             WHERE g.partner_id = $1 AND g.user_id = $2 AND g.revoked_at IS NULL AND u.disabled_at IS NULL",
            [partner.0, user.0],
            fetch_optional as (Uuid, String, i64, String)
        )?;
        row.map(|(grant, scopes, client, account)| {
            let customer = Mapping::read(user.0, client, &account)?;
            Ok(Allowed { grant: Some(grant), scopes: Some(scopes), customer })
        })
        .transpose()
    }

    /// The same for a partner of the house, which needs no grant.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn represented(&self, user: UserId) -> Result<Option<Allowed>> {
        let row = sql!(
            self.read(),
            "SELECT m.client_id, m.account_id FROM users u JOIN id_mappings m ON m.user_id = u.user_id
             WHERE u.user_id = $1 AND u.disabled_at IS NULL",
            [user.0],
            fetch_optional as (i64, String)
        )?;
        row.map(|(client, account)| {
            let customer = Mapping::read(user.0, client, &account)?;
            Ok(Allowed { grant: None, scopes: None, customer })
        })
        .transpose()
    }

    /// The grants of a customer that stand, the latest first.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn grants_of_user(&self, user: UserId) -> Result<Vec<GrantRow>> {
        Ok(sql!(
            self.read(),
            "SELECT g.grant_id, p.client_id, p.name, g.scopes, g.created_at
             FROM partner_grants g JOIN partners p ON p.partner_id = g.partner_id
             WHERE g.user_id = $1 AND g.revoked_at IS NULL AND p.revoked_at IS NULL
             ORDER BY g.grant_id DESC",
            [user.0],
            fetch_all as GrantRow
        )?)
    }

    /// Every grant that a customer ever gave, the latest first.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn all_grants_of_user(&self, user: UserId) -> Result<Vec<PastGrantRow>> {
        Ok(sql!(
            self.read(),
            "SELECT p.client_id, p.name, g.scopes, g.created_at, g.revoked_at, p.revoked_at AS partner_revoked_at
             FROM partner_grants g JOIN partners p ON p.partner_id = g.partner_id
             WHERE g.user_id = $1 ORDER BY g.grant_id DESC",
            [user.0],
            fetch_all as PastGrantRow
        )?)
    }

    /// The grants to a partner that stand, from behind a customer on, at most `limit`, and the number of all.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn grants_of_partner(
        &self,
        partner: PartnerId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<(Vec<GrantedRow>, i64)> {
        let rows = sql!(
            self.read(),
            "SELECT g.user_id, g.scopes, g.created_at FROM partner_grants g JOIN users u ON u.user_id = g.user_id
             WHERE g.partner_id = $1 AND g.revoked_at IS NULL AND u.disabled_at IS NULL AND g.user_id > $2
             ORDER BY g.user_id LIMIT $3",
            [partner.0, after.map_or(Uuid::nil(), |user| user.0), i64::from(limit)],
            fetch_all as GrantedRow
        )?;
        let (count,) = sql!(
            self.read(),
            "SELECT count(*) FROM partner_grants g JOIN users u ON u.user_id = g.user_id
             WHERE g.partner_id = $1 AND g.revoked_at IS NULL AND u.disabled_at IS NULL",
            [partner.0],
            fetch_one as (i64,)
        )?;
        Ok((rows, count))
    }

    /// Those of some ids that are of a grant that stands, of an active secret of a partner that does, or of a user who is not
    /// disabled.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn standing_of_partners(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>> {
        let mut standing = HashSet::new();
        for batch in ids.chunks(BATCH) {
            let rows: Vec<(Uuid,)> = match self.read() {
                On::Sqlite(db) => standing_of::<Sqlite>(batch).build_query_as().fetch_all(db).await?,
                On::Postgres(db) => standing_of::<Postgres>(batch).build_query_as().fetch_all(db).await?,
            };
            standing.extend(rows.into_iter().map(|(id,)| id));
        }
        Ok(standing)
    }
}

/// The statement that asks for a batch of grants, secrets and users.
fn standing_of<DB: Database>(ids: &[Uuid]) -> QueryBuilder<DB>
where
    Uuid: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    let mut select = QueryBuilder::new(
        "SELECT g.grant_id FROM partner_grants g JOIN partners p ON p.partner_id = g.partner_id
         JOIN users u ON u.user_id = g.user_id
         WHERE g.revoked_at IS NULL AND p.revoked_at IS NULL AND u.disabled_at IS NULL AND g.grant_id IN (",
    );
    list(&mut select, ids);
    select.push(
        ") UNION ALL SELECT s.secret_id FROM partner_secrets s JOIN partners p ON p.partner_id = s.partner_id
         WHERE s.retired_at IS NULL AND p.revoked_at IS NULL AND s.secret_id IN (",
    );
    list(&mut select, ids);
    select.push(") UNION ALL SELECT user_id FROM users WHERE disabled_at IS NULL AND user_id IN (");
    list(&mut select, ids);
    select.push(")");
    select
}

fn list<DB: Database>(select: &mut QueryBuilder<DB>, ids: &[Uuid])
where
    Uuid: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    let mut list = select.separated(", ");
    for id in ids {
        list.push_bind(*id);
    }
}

impl Tx {
    /// Stores a grant. What stood of the same customer and partner stands no more.
    ///
    /// # Errors
    /// [`crate::store::Error::Taken`] when another one was stored at the same time.
    pub async fn insert_grant(&mut self, grant: &NewGrant<'_>) -> Result<()> {
        sql!(
            self.on(),
            "UPDATE partner_grants SET revoked_at = $3
             WHERE partner_id = $1 AND user_id = $2 AND revoked_at IS NULL",
            [grant.partner.0, grant.user.0, grant.created_at]
        )?;
        sql!(
            self.on(),
            "INSERT INTO partner_grants (grant_id, partner_id, user_id, scopes, created_at)
             VALUES ($1, $2, $3, $4, $5)",
            [grant.id, grant.partner.0, grant.user.0, grant.scopes, grant.created_at]
        )?;
        Ok(())
    }

    /// Revokes a grant of a customer. Gives to whom it was, with what people call them; `None` when the customer has none of
    /// this id that stands.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn revoke_grant(
        &mut self,
        user: UserId,
        id: Uuid,
        at: DateTime<Utc>,
    ) -> Result<Option<(PartnerId, String)>> {
        let found = sql!(
            self.on(),
            "UPDATE partner_grants SET revoked_at = $3
             WHERE grant_id = $1 AND user_id = $2 AND revoked_at IS NULL
             RETURNING partner_id,
                (SELECT p.name FROM partners p WHERE p.partner_id = partner_grants.partner_id) AS name",
            [id, user.0, at],
            fetch_optional as (Uuid, String)
        )?;
        Ok(found.map(|(partner, name)| (PartnerId(partner), name)))
    }
}
