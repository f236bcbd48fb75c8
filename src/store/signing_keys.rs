//! Rows of `signing_keys`: what signs access tokens.
//!
//! A row is written once and never changed: [`crate::identity`] reads from the rows and the time which key signs and which
//! verify. The private part is sealed; it is gone when the row is, some time after the key ceased to sign.

use chrono::{DateTime, Utc};

use crate::{
    seal::Place,
    store::{Error, Result, Store, audit::Event, sql},
};

/// A key that signs, signed or will sign.
pub struct SigningKeyRow {
    /// Its place in the order of the keys, from 1.
    pub generation: i64,
    /// Its name: the thumbprint of the public key.
    pub kid: String,
    /// 32 bytes.
    pub public_key: Vec<u8>,
    /// 32 bytes.
    pub private_key: [u8; 32],
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// It signs from then on, until the next one does.
    pub signs_from: DateTime<Utc>,
}

impl Store {
    /// All keys, in their order.
    ///
    /// # Errors
    /// [`Error::Database`]; [`Error::Sealed`] when a private part does not open.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKeyRow>> {
        type Row = (i64, String, Vec<u8>, Vec<u8>, DateTime<Utc>, DateTime<Utc>);
        let rows = sql!(
            self.read(),
            "SELECT generation, kid, public_key, private_key, created_at, signs_from FROM signing_keys
             ORDER BY generation",
            [],
            fetch_all as Row
        )?;
        let open = |(generation, kid, public_key, sealed, created_at, signs_from): Row| {
            let opened = self.vault()?.keys().open(place(&generation.to_be_bytes()), &sealed)?;
            let private_key = opened.try_into().map_err(|_| Error::Locked)?;
            Ok(SigningKeyRow { generation, kid, public_key, private_key, created_at, signs_from })
        };
        rows.into_iter().map(open).collect()
    }

    /// Stores a key, with what the audit log is to say of it.
    ///
    /// # Errors
    /// [`Error::Taken`] when there is a key of this generation, or this name.
    pub async fn insert_signing_key(&self, key: &SigningKeyRow, event: Option<Event>) -> Result<()> {
        let sealed = self.vault()?.keys().seal(place(&key.generation.to_be_bytes()), &key.private_key)?;
        let mut tx = self.begin().await?;
        sql!(
            tx.on(),
            "INSERT INTO signing_keys (generation, kid, public_key, private_key, created_at, signs_from)
             VALUES ($1, $2, $3, $4, $5, $6)",
            [key.generation, &key.kid, &key.public_key, sealed, key.created_at, key.signs_from]
        )?;
        if let Some(event) = event {
            tx.audit(event);
        }
        tx.commit().await
    }

    /// Deletes the keys whose successor signs since before an instant. Gives their number.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn purge_signing_keys(&self, before: DateTime<Utc>) -> Result<u64> {
        Ok(sql!(
            self.write(),
            "DELETE FROM signing_keys WHERE generation <
                (SELECT max(generation) FROM signing_keys WHERE signs_from < $1)",
            [before]
        )?)
    }
}

fn place(row: &[u8]) -> Place<'_> {
    Place { table: "signing_keys", column: "private_key", row }
}
