//! Rows of `mirrored_lists`, `invoices_mirror` and `subscriptions_mirror`: copies of what billing holds of each client.
//!
//! A list is replaced whole, in one transaction, and only by one that was read later. When it was read stands once
//! beside its rows, so that an empty list is a list, too. The rows lie sealed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::{Database, QueryBuilder};

use crate::{
    id::{ClientId, InvoiceId},
    seal::{self, Place},
    store::{Error, On, Result, Store, Tx, mappings::number, sealed, sql},
};

/// Rows of one insert: far below the 32,766 values that SQLite binds at most.
const BATCH: usize = 1_000;

/// How old the reading of a list that did not change grows before it is written again.
const RECONFIRM: Duration = Duration::from_secs(10 * 60);

/// A list that is mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MirroredList {
    /// The invoices of a client, without their lines.
    Invoices,
    /// The subscriptions of a client.
    Subscriptions,
}

impl MirroredList {
    /// Every list.
    pub const ALL: [Self; 2] = [Self::Invoices, Self::Subscriptions];

    /// Its name in `mirrored_lists`, and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invoices => "invoices",
            Self::Subscriptions => "subscriptions",
        }
    }

    fn place(self, row: &[u8]) -> Place<'_> {
        let table = match self {
            Self::Invoices => "invoices_mirror",
            Self::Subscriptions => "subscriptions_mirror",
        };
        Place { table, column: "sealed", row }
    }
}

/// A row of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorRow {
    /// Its number in billing.
    pub id: u64,
    /// JSON, as the domain writes it.
    pub record: String,
}

/// A list as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirroredRows {
    /// When billing was asked for it.
    pub loaded_at: DateTime<Utc>,
    /// When a change of it was reported last; `None` when none was since it is mirrored.
    pub changed_at: Option<DateTime<Utc>>,
    /// JSON of each row, in the order of the list.
    pub records: Vec<String>,
}

impl Store {
    /// The mirrored list of a client; `None` when it was never read.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn mirrored_list(&self, list: MirroredList, client: ClientId) -> Result<Option<MirroredRows>> {
        type Row = (DateTime<Utc>, Option<DateTime<Utc>>, Option<i64>, Option<Vec<u8>>);
        // One statement sees one state, however often the list is replaced meanwhile.
        let text = match list {
            MirroredList::Invoices => {
                "SELECT l.loaded_at, l.changed_at, r.invoice_id, r.sealed FROM mirrored_lists l
                 LEFT JOIN invoices_mirror r ON r.client_id = l.client_id
                 WHERE l.client_id = $1 AND l.list = $2 ORDER BY r.place"
            }
            MirroredList::Subscriptions => {
                "SELECT l.loaded_at, l.changed_at, r.subscription_id, r.sealed FROM mirrored_lists l
                 LEFT JOIN subscriptions_mirror r ON r.client_id = l.client_id
                 WHERE l.client_id = $1 AND l.list = $2 ORDER BY r.place"
            }
        };
        let rows: Vec<Row> = sql!(self.read(), text, [number(client), list.as_str()], fetch_all as Row)?;
        let Some((loaded_at, changed_at, ..)) = rows.first() else { return Ok(None) };
        let (loaded_at, changed_at) = (*loaded_at, *changed_at);
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            match row {
                (.., Some(id), Some(sealed)) => records.push(self.open_record(list, client, id, &sealed)?),
                // A replica of an earlier release wrote it plain.
                (.., Some(_), None) => return Ok(None),
                (.., None, _) => {}
            }
        }
        Ok(Some(MirroredRows { loaded_at, changed_at, records }))
    }

    fn seal_record(&self, list: MirroredList, client: ClientId, row: &MirrorRow) -> Result<Vec<u8>> {
        let key = row_key(client, row_number(row));
        Ok(self.vault()?.keys().seal(list.place(&key), row.record.as_bytes())?)
    }

    fn open_record(&self, list: MirroredList, client: ClientId, id: i64, sealed: &[u8]) -> Result<String> {
        let plain = self.vault()?.keys().open(list.place(&row_key(client, id)), sealed)?;
        String::from_utf8(plain).map_err(|_| Error::Sealed(seal::Error::Malformed))
    }

    /// Replaces the mirrored list of a client. False when there was nothing to do: the same list was written a short
    /// while ago, or one that was read later.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`]; then the old list stands.
    pub async fn mirror_list(
        &self,
        list: MirroredList,
        client: ClientId,
        rows: &[MirrorRow],
        loaded_at: DateTime<Utc>,
    ) -> Result<bool> {
        type Known = (Vec<u8>, DateTime<Utc>, Option<DateTime<Utc>>);
        // Keyed: what is easily guessed must not be recognised.
        let digest = self.vault()?.index("mirrored_lists.digest", &digest(rows)).to_vec();
        let known: Option<Known> = sql!(
            self.read(),
            "SELECT digest, loaded_at, changed_at FROM mirrored_lists WHERE client_id = $1 AND list = $2",
            [number(client), list.as_str()],
            fetch_optional as Known
        )?;
        if let Some((same, at, changed_at)) = known
            && same == digest
            && loaded_at < at + RECONFIRM
            && changed_at.is_none_or(|changed_at| changed_at < at)
        {
            return Ok(false);
        }
        let mut tx = self.begin().await?;
        // The row of the list is locked from here on, so two that replace one list do it one after the other.
        let is_later = sql!(
            tx.on(),
            "INSERT INTO mirrored_lists (client_id, list, digest, loaded_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (client_id, list) DO UPDATE SET digest = excluded.digest, loaded_at = excluded.loaded_at
                WHERE mirrored_lists.loaded_at < excluded.loaded_at",
            [number(client), list.as_str(), digest.as_slice(), loaded_at]
        )?;
        if is_later == 0 {
            return Ok(false);
        }
        tx.delete_mirror_rows(list, client).await?;
        for (at, batch) in rows.chunks(BATCH).enumerate() {
            let first = at * BATCH;
            let records = batch.iter().map(|row| self.seal_record(list, client, row));
            let records = records.collect::<Result<Vec<_>>>()?;
            match tx.on() {
                On::Sqlite(db) => {
                    insert(list, client, first, batch, &records).build().execute(db).await?.rows_affected()
                }
                On::Postgres(db) => {
                    insert(list, client, first, batch, &records).build().execute(db).await?.rows_affected()
                }
            };
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Whether every list of a client was read at an instant or later.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn is_mirrored_since(&self, client: ClientId, since: DateTime<Utc>) -> Result<bool> {
        let (lists,) = sql!(
            self.read(),
            "SELECT COUNT(*) FROM mirrored_lists WHERE client_id = $1 AND loaded_at >= $2",
            [number(client), since],
            fetch_one as (i64,)
        )?;
        Ok(usize::try_from(lists) == Ok(MirroredList::ALL.len()))
    }

    /// The client in whose mirrored list an invoice stands; `None` when it stands in none.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn owner_of_mirrored_invoice(&self, invoice: InvoiceId) -> Result<Option<ClientId>> {
        let Ok(invoice) = i64::try_from(invoice.0) else { return Ok(None) };
        let row = sql!(
            self.read(),
            "SELECT client_id FROM invoices_mirror WHERE invoice_id = $1",
            [invoice],
            fetch_optional as (i64,)
        )?;
        Ok(row.and_then(|(client,)| u64::try_from(client).ok()).map(ClientId))
    }

    /// Empties the mirrors. Gives how many lists were there.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`]; then nothing was deleted.
    pub async fn drop_mirrors(&self) -> Result<u64> {
        let mut tx = self.begin().await?;
        let lists = sql!(tx.on(), "DELETE FROM mirrored_lists", [])?;
        sql!(tx.on(), "DELETE FROM invoices_mirror", [])?;
        sql!(tx.on(), "DELETE FROM subscriptions_mirror", [])?;
        tx.commit().await?;
        Ok(lists)
    }
}

impl Tx {
    /// Notes that a change of a client's list was reported: until it is read again, the mirror is known to be old.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn mirror_changed(
        &mut self,
        list: MirroredList,
        client: ClientId,
        at: DateTime<Utc>,
    ) -> Result<()> {
        sql!(
            self.on(),
            "UPDATE mirrored_lists SET changed_at = $3 WHERE client_id = $1 AND list = $2",
            [number(client), list.as_str(), at]
        )?;
        Ok(())
    }

    /// Deletes what is mirrored of a client.
    ///
    /// # Errors
    /// [`crate::store::Error::Database`].
    pub async fn forget_mirrors(&mut self, client: ClientId) -> Result<()> {
        sql!(self.on(), "DELETE FROM mirrored_lists WHERE client_id = $1", [number(client)])?;
        for list in MirroredList::ALL {
            self.delete_mirror_rows(list, client).await?;
        }
        Ok(())
    }

    async fn delete_mirror_rows(&mut self, list: MirroredList, client: ClientId) -> Result<()> {
        let text = match list {
            MirroredList::Invoices => "DELETE FROM invoices_mirror WHERE client_id = $1",
            MirroredList::Subscriptions => "DELETE FROM subscriptions_mirror WHERE client_id = $1",
        };
        sql!(self.on(), text, [number(client)])?;
        Ok(())
    }
}

/// The statement that inserts a batch of rows. A row that two pages of a moving list both held counts once.
fn insert<DB: Database>(
    list: MirroredList,
    client: ClientId,
    first: usize,
    batch: &[MirrorRow],
    records: &[Vec<u8>],
) -> QueryBuilder<DB>
where
    Vec<u8>: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    String: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    i64: for<'q> sqlx::Encode<'q, DB> + sqlx::Type<DB>,
{
    let mut insert = QueryBuilder::new(match list {
        MirroredList::Invoices => {
            "INSERT INTO invoices_mirror (client_id, invoice_id, place, record, sealed) "
        }
        MirroredList::Subscriptions => {
            "INSERT INTO subscriptions_mirror (client_id, subscription_id, place, record, sealed) "
        }
    });
    insert.push_values(batch.iter().zip(records).enumerate(), |mut values, (at, (row, sealed))| {
        values
            .push_bind(number(client))
            .push_bind(row_number(row))
            .push_bind(i64::try_from(first + at).unwrap_or(i64::MAX))
            .push_bind(String::new())
            .push_bind(sealed.clone());
    });
    insert.push(" ON CONFLICT DO NOTHING");
    insert
}

fn row_number(row: &MirrorRow) -> i64 {
    i64::try_from(row.id).unwrap_or(-1)
}

fn row_key(client: ClientId, id: i64) -> Vec<u8> {
    sealed::row(&[&number(client).to_be_bytes(), &id.to_be_bytes()])
}

fn digest(rows: &[MirrorRow]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for row in rows {
        hash.update(row.id.to_le_bytes());
        hash.update((row.record.len() as u64).to_le_bytes());
        hash.update(&row.record);
    }
    hash.finalize().to_vec()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use chrono::{SubsecRound, TimeDelta};

    use super::*;
    use crate::store::testing::on_both_stores;

    const TARO: ClientId = ClientId(1001);
    const HANAKO: ClientId = ClientId(1002);

    fn rows(ids: &[u64]) -> Vec<MirrorRow> {
        ids.iter().map(|id| MirrorRow { id: *id, record: format!("{{\"key\":{id}}}") }).collect()
    }

    async fn records(store: &Store, list: MirroredList, client: ClientId) -> Option<Vec<String>> {
        store.mirrored_list(list, client).await.unwrap().map(|found| found.records)
    }

    fn json(ids: &[u64]) -> Option<Vec<String>> {
        Some(rows(ids).into_iter().map(|row| row.record).collect())
    }

    on_both_stores! {
        async fn a_list_is_replaced_whole_and_an_empty_one_is_a_list(store: TestStore) {
            use MirroredList::{Invoices, Subscriptions};
            let now = Utc::now().trunc_subsecs(6);
            let later = now + TimeDelta::seconds(1);
            assert_eq!(store.mirrored_list(Invoices, TARO).await.unwrap(), None);
            // More than one insert, and not in the order of the ids.
            let many: Vec<u64> = (1..=2_500).rev().collect();
            assert!(store.mirror_list(Invoices, TARO, &rows(&many), now).await.unwrap());
            assert!(store.mirror_list(Subscriptions, TARO, &rows(&[7, 3]), now).await.unwrap());
            assert!(store.mirror_list(Invoices, HANAKO, &rows(&[9]), now).await.unwrap());
            assert_eq!(records(&store, Invoices, TARO).await, json(&many));
            assert!(store.mirror_list(Invoices, TARO, &rows(&[5, 6]), later).await.unwrap());
            assert_eq!(records(&store, Invoices, TARO).await, json(&[5, 6]));
            assert_eq!(records(&store, Subscriptions, TARO).await, json(&[7, 3]));
            assert!(store.mirror_list(Subscriptions, TARO, &[], later).await.unwrap());
            let empty = MirroredRows { loaded_at: later, changed_at: None, records: Vec::new() };
            assert_eq!(store.mirrored_list(Subscriptions, TARO).await.unwrap(), Some(empty));
            assert_eq!(records(&store, Invoices, HANAKO).await, json(&[9]));
            assert!(store.is_mirrored_since(TARO, later).await.unwrap());
            assert!(!store.is_mirrored_since(TARO, later + TimeDelta::seconds(1)).await.unwrap());
            assert!(!store.is_mirrored_since(HANAKO, now).await.unwrap(), "one of two lists");
        }

        async fn a_list_that_was_read_earlier_never_replaces_a_later_one(store: TestStore) {
            let now = Utc::now().trunc_subsecs(6);
            let list = MirroredList::Invoices;
            assert!(store.mirror_list(list, TARO, &rows(&[1]), now).await.unwrap());
            let earlier = now - TimeDelta::milliseconds(1);
            assert!(!store.mirror_list(list, TARO, &rows(&[2]), earlier).await.unwrap());
            assert_eq!(records(&store, list, TARO).await, json(&[1]));
        }

        async fn a_list_that_did_not_change_is_written_again_only_after_a_while(store: TestStore) {
            let now = Utc::now().trunc_subsecs(6);
            let list = MirroredList::Invoices;
            let read_at = async || store.mirrored_list(list, TARO).await.unwrap().unwrap().loaded_at;
            assert!(store.mirror_list(list, TARO, &rows(&[1]), now).await.unwrap());
            let soon = now + TimeDelta::minutes(5);
            assert!(!store.mirror_list(list, TARO, &rows(&[1]), soon).await.unwrap());
            assert_eq!(read_at().await, now);
            // A change was reported: that it made no difference is news.
            let mut tx = store.begin().await.unwrap();
            tx.mirror_changed(list, TARO, now + TimeDelta::minutes(1)).await.unwrap();
            tx.commit().await.unwrap();
            assert!(store.mirror_list(list, TARO, &rows(&[1]), soon).await.unwrap());
            assert_eq!(read_at().await, soon);
            let late = soon + TimeDelta::minutes(11);
            assert!(store.mirror_list(list, TARO, &rows(&[1]), late).await.unwrap());
            assert_eq!(read_at().await, late);
        }

        async fn an_invoice_tells_its_client_until_that_is_forgotten(store: TestStore) {
            let now = Utc::now().trunc_subsecs(6);
            for (client, invoice) in [(TARO, 31), (HANAKO, 32)] {
                for list in MirroredList::ALL {
                    assert!(store.mirror_list(list, client, &rows(&[invoice]), now).await.unwrap());
                }
            }
            let owner = async |id| store.owner_of_mirrored_invoice(InvoiceId(id)).await.unwrap();
            assert_eq!((owner(31).await, owner(32).await, owner(33).await), (Some(TARO), Some(HANAKO), None));
            let mut tx = store.begin().await.unwrap();
            tx.forget_mirrors(TARO).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!((owner(31).await, owner(32).await), (None, Some(HANAKO)));
            assert_eq!(records(&store, MirroredList::Subscriptions, TARO).await, None);
            assert_eq!(store.drop_mirrors().await.unwrap(), 2);
            assert_eq!(owner(32).await, None);
            assert_eq!(store.drop_mirrors().await.unwrap(), 0);
        }
    }
}
