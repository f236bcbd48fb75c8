//! Rows of `id_mappings`: which billing client and which CRM account a user is.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::{Database, QueryBuilder};
use uuid::Uuid;

use crate::{
    id::{AccountId, ClientId, UserId},
    secret::{ExposeSecret, SecretString},
    store::{Error, On, Result, Store, Tx, sql, users::no_email},
};

/// Rows of one insert of a batch: far below the 32,766 values that SQLite binds at most.
const BATCH: usize = 1_000;

/// The same person in the three systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The user here.
    pub user: UserId,
    /// The client in billing.
    pub client: ClientId,
    /// The account in the CRM.
    pub account: AccountId,
}

impl Mapping {
    /// Reads a row.
    pub(super) fn read(user: Uuid, client: i64, account: &str) -> Result<Self> {
        let corrupt = |what: &str| Error::Database(sqlx::Error::Decode(what.into()));
        Ok(Self {
            user: UserId(user),
            client: ClientId(u64::try_from(client).map_err(|_| corrupt("a negative client id"))?),
            account: AccountId::parse(account).ok_or_else(|| corrupt("an account id that is none"))?,
        })
    }
}

/// A customer of a batch.
#[derive(Clone, Debug)]
pub struct NewCustomer {
    /// The ids; the user's is new.
    pub mapping: Mapping,
    /// The normalised address.
    pub email: String,
    /// The language of mails and messages: `en` or `ja`.
    pub locale: &'static str,
}

/// The number as the databases know it.
///
/// Ids of billing are far smaller than 2⁶³; one that is not belongs to nobody, like −1.
pub(super) fn number(client: ClientId) -> i64 {
    i64::try_from(client.0).unwrap_or(-1)
}

impl Store {
    /// The mapping of a user.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn mapping_of_user(&self, user: UserId) -> Result<Option<Mapping>> {
        sql!(
            self.read(),
            "SELECT user_id, client_id, account_id FROM id_mappings WHERE user_id = $1",
            [user.0],
            fetch_optional as (Uuid, i64, String)
        )?
        .map(|(user, client, account)| Mapping::read(user, client, &account))
        .transpose()
    }

    /// The mapping of a billing client, for what billing reports by itself.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn mapping_of_client(&self, client: ClientId) -> Result<Option<Mapping>> {
        sql!(
            self.read(),
            "SELECT user_id, client_id, account_id FROM id_mappings WHERE client_id = $1",
            [number(client)],
            fetch_optional as (Uuid, i64, String)
        )?
        .map(|(user, client, account)| Mapping::read(user, client, &account))
        .transpose()
    }

    /// The mapping of a CRM account, for what the CRM reports by itself.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn mapping_of_account(&self, account: AccountId) -> Result<Option<Mapping>> {
        sql!(
            self.read(),
            "SELECT user_id, client_id, account_id FROM id_mappings WHERE account_id = $1",
            [account.as_str()],
            fetch_optional as (Uuid, i64, String)
        )?
        .map(|(user, client, account)| Mapping::read(user, client, &account))
        .transpose()
    }

    /// Mappings in the order of their users, from behind one of them on, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn mappings_after(&self, user: Option<UserId>, limit: u32) -> Result<Vec<Mapping>> {
        let user = user.map_or(Uuid::nil(), |user| user.0);
        sql!(
            self.read(),
            "SELECT user_id, client_id, account_id FROM id_mappings WHERE user_id > $1 ORDER BY user_id LIMIT $2",
            [user, i64::from(limit)],
            fetch_all as (Uuid, i64, String)
        )?
        .into_iter()
        .map(|(user, client, account)| Mapping::read(user, client, &account))
        .collect()
    }

    /// How many users are mapped.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn count_mappings(&self) -> Result<u64> {
        let (count,) = sql!(self.read(), "SELECT COUNT(*) FROM id_mappings", [], fetch_one as (i64,))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Stores many customers with one password, in one transaction, and skips those whose client is mapped
    /// already. Gives the number stored.
    ///
    /// # Errors
    /// [`Error::Taken`] when an address or account belongs to another; then none is stored.
    pub async fn insert_customers(
        &self,
        customers: &[NewCustomer],
        password_hash: &SecretString,
        at: DateTime<Utc>,
    ) -> Result<u64> {
        let mut tx = self.begin().await?;
        let clients = customers.iter().map(|customer| number(customer.mapping.client));
        let known: HashSet<i64> = sql!(
            tx.on(),
            "SELECT client_id FROM id_mappings WHERE client_id BETWEEN $1 AND $2",
            [clients.clone().min().unwrap_or(0), clients.max().unwrap_or(0)],
            fetch_all as (i64,)
        )?
        .into_iter()
        .map(|(client,)| client)
        .collect();
        let new: Vec<_> =
            customers.iter().filter(|customer| !known.contains(&number(customer.mapping.client))).collect();
        for batch in new.chunks(BATCH) {
            let addresses = batch.iter().map(|new| self.seal_email(new.mapping.user.0, &new.email));
            let addresses = addresses.collect::<Result<Vec<_>>>()?;
            match tx.on() {
                On::Sqlite(db) => {
                    users(batch, &addresses, password_hash, at).build().execute(&mut *db).await?;
                    mappings(batch, at).build().execute(db).await?;
                }
                On::Postgres(db) => {
                    users(batch, &addresses, password_hash, at).build().execute(&mut *db).await?;
                    mappings(batch, at).build().execute(db).await?;
                }
            }
        }
        tx.commit().await?;
        Ok(new.len() as u64)
    }
}

/// The statement that stores the users of a batch; of each, index and sealed value of the address.
fn users<DB: Database>(
    batch: &[&NewCustomer],
    addresses: &[(Vec<u8>, Vec<u8>)],
    password_hash: &SecretString,
    at: DateTime<Utc>,
) -> QueryBuilder<DB>
where
    Uuid: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    String: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    Vec<u8>: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    DateTime<Utc>: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    let mut insert = QueryBuilder::new(
        "INSERT INTO users (user_id, email_normalised, email_index, email_sealed, password_hash, locale,
            created_at, updated_at) ",
    );
    insert.push_values(batch.iter().zip(addresses), |mut row, (customer, (index, sealed))| {
        row.push_bind(customer.mapping.user.0)
            .push_bind(no_email(customer.mapping.user.0))
            .push_bind(index.clone())
            .push_bind(sealed.clone())
            .push_bind(password_hash.expose_secret().to_owned())
            .push_bind(customer.locale.to_owned())
            .push_bind(at)
            .push_bind(at);
    });
    insert
}

/// The statement that stores the mappings of a batch.
fn mappings<DB: Database>(batch: &[&NewCustomer], at: DateTime<Utc>) -> QueryBuilder<DB>
where
    Uuid: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    i64: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    String: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    DateTime<Utc>: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    let mut insert =
        QueryBuilder::new("INSERT INTO id_mappings (user_id, client_id, account_id, created_at) ");
    insert.push_values(batch, |mut row, customer| {
        row.push_bind(customer.mapping.user.0)
            .push_bind(number(customer.mapping.client))
            .push_bind(customer.mapping.account.as_str().to_owned())
            .push_bind(at);
    });
    insert
}

impl Tx {
    /// Stores a mapping.
    ///
    /// # Errors
    /// [`Error::Taken`] when the user, client or account is mapped already.
    pub async fn insert_mapping(&mut self, mapping: &Mapping, at: DateTime<Utc>) -> Result<()> {
        sql!(
            self.on(),
            "INSERT INTO id_mappings (user_id, client_id, account_id, created_at) VALUES ($1, $2, $3, $4)",
            [mapping.user.0, number(mapping.client), mapping.account.as_str(), at]
        )?;
        Ok(())
    }
}
