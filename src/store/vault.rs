//! The keys of the store: what seals personal data in its columns, what names sealed values so that they can be looked
//! up, and what chains the audit log.
//!
//! The data keys come from the configuration and are replaced from time to time. The other two must last as long as the
//! data, so they are made once and lie in the database itself, sealed with the data keys: replacing a data key seals
//! two short rows anew and changes no name and no hash.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{
    seal::{self, Keyring, Place},
    store::{Error, Result, Store, sql},
};

/// What is sealed to prove that a data key is the one of its number.
const PROOF: &[u8] = b"portal-gateway";

/// The names of the keys that lie in the database.
const INDEX: &str = "index";
const AUDIT: &str = "audit";

/// The keys, once they are open.
pub(super) struct Vault {
    keys: Keyring,
    index: [u8; 32],
    audit: [u8; 32],
}

impl Vault {
    /// The data keys, for what the store seals itself.
    pub(super) fn keys(&self) -> &Keyring {
        &self.keys
    }

    /// The name under which a sealed value is looked up: it says nothing without the key. `purpose` keeps names of
    /// different columns apart.
    pub(super) fn index(&self, purpose: &str, value: &[u8]) -> [u8; 32] {
        mac(&self.index, [purpose.as_bytes(), value])
    }

    /// The authentication code of parts of the audit log, each counted with its length.
    pub(super) fn chain<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
        mac(&self.audit, parts)
    }
}

/// HMAC-SHA-256 over parts, each with its length before it, so that no two lists of parts read alike.
#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn mac<'a>(key: &[u8], parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("any length is a key");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

impl Store {
    /// The open keys.
    pub(super) fn vault(&self) -> Result<&Vault> {
        self.vault.get().ok_or(Error::Locked)
    }

    /// Checks the data keys against those that were used here, and opens or makes the keys of the store.
    pub(super) async fn unlock(&self, keys: &Keyring) -> Result<()> {
        self.check_data_keys(Some(keys)).await?;
        // The others only open: whatever they sealed was sealed while they were the newest.
        let newest = i64::from(keys.newest());
        if self.known_data_keys().await?.iter().all(|(known, _)| *known != newest) {
            self.note_data_key(keys, newest).await?;
        }
        let vault = Vault {
            keys: keys.clone(),
            index: self.stored_key(keys, INDEX).await?,
            audit: self.stored_key(keys, AUDIT).await?,
        };
        // A second time changes nothing: the keys are the same.
        let _ = self.vault.set(vault);
        Ok(())
    }

    /// Fails unless every data key under which something may lie here is among these; without any, if there is one. Writes
    /// nothing, and may be asked before the tables are there.
    ///
    /// # Errors
    /// [`Error::DataKey`].
    pub async fn check_data_keys(&self, keys: Option<&Keyring>) -> Result<()> {
        for (number, proof) in self.known_data_keys().await? {
            let unknown = || seal::Error::UnknownKey(u32::try_from(number).unwrap_or_default());
            let opened = keys
                .ok_or_else(unknown)
                .and_then(|keys| keys.open(proof_place(&number.to_be_bytes()), &proof));
            opened.map_err(|reason| Error::DataKey { number, reason })?;
        }
        Ok(())
    }

    /// The data keys under which something may lie here, with their proofs.
    async fn known_data_keys(&self) -> Result<Vec<(i64, Vec<u8>)>> {
        type Row = (i64, Vec<u8>);
        match sql!(self.read(), "SELECT key_number, proof FROM data_keys", [], fetch_all as Row) {
            Err(sqlx::Error::Database(cause)) if is_missing_table(&*cause) => Ok(Vec::new()),
            rows => Ok(rows?),
        }
    }

    /// Notes that something may lie here under a data key. Two replicas that start together may both come here with
    /// different keys of one number: the first wins, and the other refuses to start.
    async fn note_data_key(&self, keys: &Keyring, number: i64) -> Result<()> {
        let row = number.to_be_bytes();
        let under = u32::try_from(number).unwrap_or_default();
        let failed = |reason| Error::DataKey { number, reason };
        let proof = keys.seal_under(under, proof_place(&row), PROOF).map_err(failed)?;
        sql!(
            self.write(),
            "INSERT INTO data_keys (key_number, proof) VALUES ($1, $2) ON CONFLICT (key_number) DO NOTHING",
            [number, proof.as_slice()]
        )?;
        let (proof,) = sql!(
            self.write(),
            "SELECT proof FROM data_keys WHERE key_number = $1",
            [number],
            fetch_one as (Vec<u8>,)
        )?;
        keys.open(proof_place(&row), &proof).map(drop).map_err(failed)
    }

    /// A key that lies in the database. Of several that make it at once one wins, and all use that.
    async fn stored_key(&self, keys: &Keyring, name: &'static str) -> Result<[u8; 32]> {
        let place = Place { table: "stored_keys", column: "sealed", row: name.as_bytes() };
        let find = async || {
            Ok::<_, Error>(sql!(
                self.write(),
                "SELECT sealed FROM stored_keys WHERE key_name = $1",
                [name],
                fetch_optional as (Vec<u8>,)
            )?)
        };
        let sealed = match find().await? {
            Some((sealed,)) => sealed,
            None => {
                self.make_key(keys, name, place).await?;
                find().await?.ok_or(Error::Locked)?.0
            }
        };
        keys.open(place, &sealed)?.try_into().map_err(|_| Error::Locked)
    }

    async fn make_key(&self, keys: &Keyring, name: &'static str, place: Place<'_>) -> Result<()> {
        let made = rand::random::<[u8; 32]>();
        let sealed = keys.seal(place, &made)?;
        let mut tx = self.begin().await?;
        let stored = sql!(
            tx.on(),
            "INSERT INTO stored_keys (key_name, sealed) VALUES ($1, $2) ON CONFLICT (key_name) DO NOTHING",
            [name, sealed.as_slice()]
        )?;
        if stored == 1 && name == AUDIT {
            let vault = Vault { keys: keys.clone(), index: made, audit: made };
            tx.begin_audit(&vault).await?;
        }
        tx.commit().await
    }
}

fn proof_place(row: &[u8]) -> Place<'_> {
    Place { table: "data_keys", column: "proof", row }
}
/// Whether a statement failed since its table is not there yet.
fn is_missing_table(cause: &dyn sqlx::error::DatabaseError) -> bool {
    // PostgreSQL has a code for it, SQLite only words.
    cause.code().as_deref() == Some("42P01") || cause.message().starts_with("no such table")
}
