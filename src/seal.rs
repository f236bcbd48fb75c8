//! What lies at rest sealed: XChaCha20-Poly1305 under a numbered key, bound to its place (requirement P2).
//!
//! A sealed value is the key's number (4 bytes), a random nonce (24 bytes) and the ciphertext with its tag. The place
//! (table, column, row) and the number are authenticated with it, so a value that was moved to another row or column
//! does not open. The nonce is long enough to be drawn at random without counting; of the kept AEADs only this one's is.
//!
//! New values are sealed with the first key; all of them open. So a key is replaced by putting the new one first.

use std::{collections::BTreeMap, fmt, io, path::Path, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};

use crate::secret::{self, ExposeSecret, SecretString};

const NUMBER: usize = 4;
const NONCE: usize = 24;
const KEY: usize = 32;

/// The file of the key that development makes.
const KEPT: &str = "data-key";

/// Why something cannot be sealed or opened. It never shows what was to be hidden.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No keys, or two of one number.
    #[error("data keys must be there, each with a number of its own")]
    Keys,
    /// What was read is too short to be sealed.
    #[error("it was never sealed")]
    Malformed,
    /// The key is not among ours.
    #[error("it is sealed with the data key {0}, which is not configured")]
    UnknownKey(u32),
    /// It was changed, or moved from its place, or the key of its number is another.
    #[error("it does not open: it was changed or moved, or its key was")]
    Refused,
    /// The key that development makes cannot be kept.
    #[error("the data key cannot be kept: {0}")]
    File(#[from] io::Error),
}

/// A numbered key of 32 bytes. It does not print.
#[derive(Clone)]
pub struct DataKey {
    number: u32,
    key: SecretString,
}

impl DataKey {
    /// Reads `2:<32 bytes in base64>`.
    ///
    /// # Errors
    /// What the text must be, as a sentence without the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let key = text.split_once(':').and_then(|(number, key)| {
            let bytes = BASE64_STANDARD.decode(key).ok()?;
            (bytes.len() == KEY).then_some(Self { number: number.parse().ok()?, key: key.into() })
        });
        key.ok_or_else(|| "must be numbered keys of 32 bytes in base64".to_owned())
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whether there is a key of our own making in the data folder.
    pub fn is_kept(data_dir: &Path) -> bool {
        data_dir.join(KEPT).exists()
    }

    /// A key of our own making, number 1, kept in the data folder: for development.
    fn kept(data_dir: &Path) -> Result<Self, Error> {
        let text = secret::keep(&data_dir.join(KEPT), || {
            format!("1:{}", BASE64_STANDARD.encode(rand::random::<[u8; KEY]>()))
        })?;
        Self::parse(text.expose_secret()).map_err(|_| Error::Keys)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({})", self.number)
    }
}

/// Where a value lies.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The key of the row.
    pub row: &'a [u8],
}

impl Place<'_> {
    /// The place and the key's number, each part with its length, so that no two places read alike.
    fn bytes(self, number: u32) -> Vec<u8> {
        let mut bytes = number.to_be_bytes().to_vec();
        for part in [self.table.as_bytes(), self.column.as_bytes(), self.row] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// The keys. Clones share them.
#[derive(Clone)]
pub struct Keyring {
    newest: u32,
    keys: Arc<BTreeMap<u32, XChaCha20Poly1305>>,
}

impl Keyring {
    /// Seals with the first key and opens with all of them; without any, with one that is made and kept in the data folder.
    ///
    /// # Errors
    /// [`Error::Keys`] when two have one number, [`Error::File`] when a made one cannot be kept.
    pub fn new(keys: &[DataKey], data_dir: &Path) -> Result<Self, Error> {
        let made;
        let keys = if keys.is_empty() {
            made = [DataKey::kept(data_dir)?];
            &made[..]
        } else {
            keys
        };
        let mut ciphers = BTreeMap::new();
        for key in keys {
            let bytes = BASE64_STANDARD.decode(key.key.expose_secret()).map_err(|_| Error::Keys)?;
            let cipher = XChaCha20Poly1305::new_from_slice(&bytes).map_err(|_| Error::Keys)?;
            if ciphers.insert(key.number, cipher).is_some() {
                return Err(Error::Keys);
            }
        }
        let newest = keys.first().ok_or(Error::Keys)?.number;
        Ok(Self { newest, keys: Arc::new(ciphers) })
    }

    /// Seals a value for its place.
    ///
    /// # Errors
    /// [`Error::Refused`] when the value is longer than the cipher can take (256 GiB).
    pub fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<Vec<u8>, Error> {
        self.seal_under(self.newest, place, plain)
    }

    /// As [`Keyring::seal`], under the key of this number.
    ///
    /// # Errors
    /// [`Error::UnknownKey`] when it is not among ours; otherwise as [`Keyring::seal`].
    pub fn seal_under(&self, number: u32, place: Place<'_>, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let cipher = self.keys.get(&number).ok_or(Error::UnknownKey(number))?;
        let nonce: [u8; NONCE] = rand::random();
        let payload = Payload { msg: plain, aad: &place.bytes(number) };
        let hidden = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| Error::Refused)?;
        Ok([&number.to_be_bytes()[..], &nonce, &hidden].concat())
    }

    /// The number of the key that seals.
    pub fn newest(&self) -> u32 {
        self.newest
    }

    /// Whether a value was sealed with the newest key.
    pub fn is_newest(&self, sealed: &[u8]) -> bool {
        sealed.starts_with(&self.newest.to_be_bytes())
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::UnknownKey`] and [`Error::Refused`].
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let (number, rest) = sealed.split_first_chunk::<NUMBER>().ok_or(Error::Malformed)?;
        let (nonce, hidden) = rest.split_first_chunk::<NONCE>().ok_or(Error::Malformed)?;
        let number = u32::from_be_bytes(*number);
        let cipher = self.keys.get(&number).ok_or(Error::UnknownKey(number))?;
        let payload = Payload { msg: hidden, aad: &place.bytes(number) };
        cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| Error::Refused)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    const PLACE: Place<'_> = Place { table: "jobs", column: "payload", row: b"1" };

    fn key(number: u32, byte: u8) -> DataKey {
        DataKey::parse(&format!("{number}:{}", BASE64_STANDARD.encode([byte; KEY]))).unwrap()
    }

    fn ring(keys: &[DataKey]) -> Keyring {
        Keyring::new(keys, Path::new("/nowhere")).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let ring = ring(&[key(1, 7)]);
        let sealed = ring.seal(PLACE, b"482913").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"482913"));
        assert_ne!(sealed, ring.seal(PLACE, b"482913").unwrap(), "the same value twice looks alike");
        assert_eq!(ring.open(PLACE, &sealed).unwrap(), b"482913");
        for place in [
            Place { table: "users", ..PLACE },
            Place { column: "reason", ..PLACE },
            Place { row: b"2", ..PLACE },
            // The same bytes, divided in another way.
            Place { table: "jobsp", column: "ayload", ..PLACE },
        ] {
            assert!(matches!(ring.open(place, &sealed), Err(Error::Refused)), "{place:?}");
        }
        for at in [NUMBER, NUMBER + NONCE, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(matches!(ring.open(PLACE, &changed), Err(Error::Refused)), "{at}");
        }
        assert!(matches!(ring.open(PLACE, &sealed[..NUMBER + NONCE - 1]), Err(Error::Malformed)));
    }

    #[test]
    fn an_older_key_still_opens_and_a_missing_one_is_named() {
        let old = ring(&[key(1, 7)]).seal(PLACE, b"x").unwrap();
        let both = ring(&[key(2, 8), key(1, 7)]);
        assert_eq!(both.open(PLACE, &old).unwrap(), b"x");
        let new = both.seal(PLACE, b"x").unwrap();
        assert!(matches!(ring(&[key(1, 7)]).open(PLACE, &new), Err(Error::UnknownKey(2))));
        assert!(
            matches!(ring(&[key(1, 9)]).open(PLACE, &old), Err(Error::Refused)),
            "another key of the number"
        );
        // A value cannot be made to name another key.
        let mut renamed = old;
        renamed[..NUMBER].copy_from_slice(&3_u32.to_be_bytes());
        assert!(matches!(ring(&[key(3, 7)]).open(PLACE, &renamed), Err(Error::Refused)));
    }

    #[test]
    fn a_key_of_our_own_making_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let sealed = Keyring::new(&[], folder.path()).unwrap().seal(PLACE, b"x").unwrap();
        assert_eq!(Keyring::new(&[], folder.path()).unwrap().open(PLACE, &sealed).unwrap(), b"x");
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for text in
            ["", "1", "1:", "1:hunter2", "x:AAAA", &format!("-1:{}", BASE64_STANDARD.encode([0; KEY]))]
        {
            assert_eq!(
                DataKey::parse(text).unwrap_err(),
                "must be numbered keys of 32 bytes in base64",
                "{text}"
            );
        }
        assert_eq!(format!("{:?}", key(3, 1)), "DataKey(3)");
        assert!(matches!(Keyring::new(&[key(1, 7), key(1, 8)], Path::new("/nowhere")), Err(Error::Keys)));
    }
}
