//! Which columns lie sealed, and how they get under a new data key (requirement P2).
//!
//! [`COLUMNS`] names every column whose values lie sealed, whoever seals them: a value is bound to its table, column and
//! row ([`crate::seal`]), and the row is told by its key as [`row`] writes it. A new sealed column is a line there; the
//! tests look for sealed columns that are missing in it.
//!
//! A data key is replaced while everything runs: first every replica gets the new key in front of the old one, so that all
//! seal with it; then [`Store::reseal`] walks all rows in the order of their keys and writes anew what another key had
//! sealed. A row is replaced only if it is still what was read, so a writer in between wins; and since whatever has the new
//! key is passed over, a walk that was stopped begins anew and soon is where it was.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, ColumnIndex, Database, Decode, Encode, QueryBuilder, Row, Type};
use uuid::Uuid;

use crate::{
    seal::{Keyring, Place},
    store::{
        On, Result, Store,
        audit::{Actor, Event},
        sql,
    },
};

/// Rows that are read at once.
const PAGE: usize = 500;

/// A part of the key of a row.
#[derive(Clone, Copy)]
enum Kind {
    Uuid,
    Integer,
    Text,
}

/// A column whose values lie sealed.
struct Column {
    table: &'static str,
    column: &'static str,
    key: &'static [(&'static str, Kind)],
}

const fn by_uuid(
    table: &'static str,
    column: &'static str,
    key: &'static [(&'static str, Kind); 1],
) -> Column {
    Column { table, column, key }
}

/// Every sealed column, but the proofs of the data keys themselves.
const COLUMNS: &[Column] = &[
    by_uuid("challenges", "address", &[("challenge_id", Kind::Uuid)]),
    by_uuid("challenges", "payload", &[("challenge_id", Kind::Uuid)]),
    by_uuid("data_exports", "content", &[("export_id", Kind::Uuid)]),
    by_uuid("devices", "network", &[("device_id", Kind::Uuid)]),
    Column {
        table: "invoices_mirror",
        column: "sealed",
        key: &[("client_id", Kind::Integer), ("invoice_id", Kind::Integer)],
    },
    by_uuid("jobs", "payload", &[("job_id", Kind::Uuid)]),
    by_uuid("notifications", "sealed", &[("notification_id", Kind::Uuid)]),
    by_uuid("passkeys", "name", &[("passkey_id", Kind::Uuid)]),
    by_uuid("sessions", "network", &[("session_id", Kind::Uuid)]),
    by_uuid("sign_ins", "network", &[("sign_in_id", Kind::Uuid)]),
    Column { table: "signing_keys", column: "private_key", key: &[("generation", Kind::Integer)] },
    Column { table: "stored_keys", column: "sealed", key: &[("key_name", Kind::Text)] },
    Column {
        table: "subscriptions_mirror",
        column: "sealed",
        key: &[("client_id", Kind::Integer), ("subscription_id", Kind::Integer)],
    },
    Column {
        table: "undecoded_events",
        column: "payload",
        key: &[("channel", Kind::Text), ("event_id", Kind::Text)],
    },
    by_uuid("totp_enrolments", "secret", &[("factor_id", Kind::Uuid)]),
    by_uuid("totp_factors", "secret", &[("factor_id", Kind::Uuid)]),
    by_uuid("users", "email_sealed", &[("user_id", Kind::Uuid)]),
    by_uuid("verifications", "proved", &[("verification_id", Kind::Uuid)]),
    by_uuid("workflows", "state", &[("workflow_id", Kind::Uuid)]),
];

/// A row in a place, of a key of several texts or numbers: each with its length, so that no two keys read alike.
pub(super) fn row(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// What a walk over the sealed values came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Values that lie under the newest key now.
    pub done: u64,
    /// Values that a writer changed meanwhile; they lie under the key of that writer.
    pub overtaken: u64,
    /// Values that do not open, by table and column.
    pub failed: BTreeMap<String, u64>,
}

/// A part of a key, as it was read.
enum Part {
    Uuid(Uuid),
    Integer(i64),
    Text(String),
}

impl Part {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Uuid(id) => id.as_bytes().to_vec(),
            Self::Integer(number) => number.to_be_bytes().to_vec(),
            Self::Text(text) => text.clone().into_bytes(),
        }
    }

    fn bind<DB: Database>(&self, text: &mut QueryBuilder<DB>)
    where
        Uuid: for<'q> Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
        String: for<'q> Encode<'q, DB> + Type<DB>,
    {
        match self {
            Self::Uuid(id) => text.push_bind(*id),
            Self::Integer(number) => text.push_bind(*number),
            Self::Text(part) => text.push_bind(part.clone()),
        };
    }
}

/// A sealed value and the key of its row.
struct Found {
    key: Vec<Part>,
    sealed: Vec<u8>,
}

impl Column {
    fn place<'a>(&self, row: &'a [u8]) -> Place<'a> {
        Place { table: self.table, column: self.column, row }
    }

    fn row(&self, key: &[Part]) -> Vec<u8> {
        let parts: Vec<_> = key.iter().map(Part::bytes).collect();
        match &parts[..] {
            [only] => only.clone(),
            parts => row(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>()),
        }
    }

    fn names(&self) -> String {
        self.key.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// The statement that reads a page behind a key.
    fn page<DB: Database>(&self, after: &[Part]) -> QueryBuilder<DB>
    where
        Uuid: for<'q> Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
        String: for<'q> Encode<'q, DB> + Type<DB>,
    {
        let (table, column, names) = (self.table, self.column, self.names());
        let mut text =
            QueryBuilder::new(format!("SELECT {column}, {names} FROM {table} WHERE {column} IS NOT NULL"));
        if !after.is_empty() {
            text.push(format!(" AND ({names}) > "));
            bind_all(&mut text, after);
        }
        text.push(format!(" ORDER BY {names} LIMIT {PAGE}"));
        text
    }

    /// The statement that replaces a value, unless it was changed.
    fn replace<DB: Database>(&self, found: &Found, sealed: Vec<u8>) -> QueryBuilder<DB>
    where
        Uuid: for<'q> Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
        String: for<'q> Encode<'q, DB> + Type<DB>,
        Vec<u8>: for<'q> Encode<'q, DB> + Type<DB>,
    {
        let mut text = QueryBuilder::new(format!("UPDATE {} SET {} = ", self.table, self.column));
        text.push_bind(sealed).push(format!(" WHERE ({}) = ", self.names()));
        bind_all(&mut text, &found.key);
        text.push(format!(" AND {} = ", self.column)).push_bind(found.sealed.clone());
        text
    }

    fn read<R: Row>(&self, row: &R) -> Result<Found, sqlx::Error>
    where
        usize: ColumnIndex<R>,
        Uuid: for<'r> Decode<'r, R::Database> + Type<R::Database>,
        i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
        String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
        Vec<u8>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    {
        let part = |(at, (_, kind)): (usize, &(&str, Kind))| -> Result<Part, sqlx::Error> {
            Ok(match kind {
                Kind::Uuid => Part::Uuid(row.try_get(at + 1)?),
                Kind::Integer => Part::Integer(row.try_get(at + 1)?),
                Kind::Text => Part::Text(row.try_get(at + 1)?),
            })
        };
        Ok(Found {
            key: self.key.iter().enumerate().map(part).collect::<Result<_, sqlx::Error>>()?,
            sealed: row.try_get(0)?,
        })
    }
}

fn bind_all<DB: Database>(text: &mut QueryBuilder<DB>, parts: &[Part])
where
    Uuid: for<'q> Encode<'q, DB> + Type<DB>,
    i64: for<'q> Encode<'q, DB> + Type<DB>,
    String: for<'q> Encode<'q, DB> + Type<DB>,
{
    for (at, part) in parts.iter().enumerate() {
        text.push(if at == 0 { "(" } else { ", " });
        part.bind(text);
    }
    text.push(")");
}

impl Store {
    /// How many values lie sealed.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn count_sealed(&self) -> Result<u64> {
        let mut all = 0;
        for Column { table, column, .. } in COLUMNS {
            let text = format!("SELECT count({column}) FROM {table}");
            let (count,) = sql!(self.read(), AssertSqlSafe(text), [], fetch_one as (i64,))?;
            all += u64::try_from(count).unwrap_or_default();
        }
        Ok(all)
    }

    /// Seals with the newest data key what lies under another. `step` is told how many values were looked at since it was told
    /// before. It may be stopped and begun again at any time, and goes on while everybody writes.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`]; what was done until then stays done.
    pub async fn reseal(&self, mut step: impl FnMut(u64)) -> Result<Resealed> {
        let keys = self.vault()?.keys();
        let mut all = Resealed::default();
        for column in COLUMNS {
            let mut after = Vec::new();
            loop {
                let mut page = self.page(column, &after).await?;
                for found in &page {
                    self.reseal_one(keys, column, found, &mut all).await?;
                }
                step(page.len() as u64);
                match page.pop() {
                    Some(last) if page.len() + 1 == PAGE => after = last.key,
                    _ => break,
                }
            }
        }
        Ok(all)
    }

    async fn reseal_one(
        &self,
        keys: &Keyring,
        column: &Column,
        found: &Found,
        all: &mut Resealed,
    ) -> Result<()> {
        if keys.is_newest(&found.sealed) {
            return Ok(());
        }
        let row = column.row(&found.key);
        let Ok(plain) = keys.open(column.place(&row), &found.sealed) else {
            *all.failed.entry(format!("{}.{}", column.table, column.column)).or_default() += 1;
            return Ok(());
        };
        let sealed = keys.seal(column.place(&row), &plain)?;
        // Each by itself: several in one transaction could wait for somebody who waits for them.
        let replaced = match self.write() {
            On::Sqlite(db) => column.replace(found, sealed).build().execute(db).await?.rows_affected(),
            On::Postgres(db) => column.replace(found, sealed).build().execute(db).await?.rows_affected(),
        };
        if replaced == 1 {
            all.done += 1;
        } else {
            all.overtaken += 1;
        }
        Ok(())
    }

    async fn page(&self, column: &Column, after: &[Part]) -> Result<Vec<Found>> {
        let found: Result<Vec<_>, sqlx::Error> = match self.read() {
            On::Sqlite(db) => {
                let rows = column.page(after).build().fetch_all(db).await?;
                rows.iter().map(|row| column.read(row)).collect()
            }
            On::Postgres(db) => {
                let rows = column.page(after).build().fetch_all(db).await?;
                rows.iter().map(|row| column.read(row)).collect()
            }
        };
        Ok(found?)
    }

    /// Lets data keys be taken away under which nothing lies any more: all but the newest. Gives their numbers.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn forget_data_keys(&self, now: DateTime<Utc>) -> Result<Vec<i64>> {
        let newest = i64::from(self.vault()?.keys().newest());
        let mut tx = self.begin().await?;
        let gone = sql!(
            tx.on(),
            "DELETE FROM data_keys WHERE key_number <> $1 RETURNING key_number",
            [newest],
            fetch_all as (i64,)
        )?;
        if !gone.is_empty() {
            tx.audit(Event::done("data-key.rotate", Actor::Operator, now).with("key", newest));
        }
        tx.commit().await?;
        Ok(gone.into_iter().map(|(number,)| number).collect())
    }
}

#[cfg(test)]
mod tests;
