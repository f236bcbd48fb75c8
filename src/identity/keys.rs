//! The keys that come from the configuration, and the secret of the refresh tokens.
//!
//! In production the secret is given. In development it is made once and kept in the data folder, so that a restart signs
//! nobody out. Keys that nobody configured are made and kept in the store: see [`super::signing`].

use std::{
    io,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::{
    SigningKey, VerifyingKey,
    pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey},
};
use jsonwebtoken::{DecodingKey, EncodingKey};
use sha2::{Digest, Sha256};

use crate::{
    identity::Settings,
    secret::{self, ExposeSecret, SecretString},
};

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the signing key is not an Ed25519 key (PKCS #8, PEM)")]
    SigningKey,
    #[error("a verification key is not an Ed25519 public key (SPKI, PEM)")]
    VerificationKey,
    #[error("a signing key of the database is not an Ed25519 key")]
    StoredKey,
    #[error("{0} cannot be kept: {1}")]
    File(PathBuf, io::Error),
}

/// A public key, under its name.
pub(super) struct PublicKey {
    /// The JWK thumbprint (RFC 7638): the same key has the same name everywhere.
    pub(super) kid: String,
    /// The key as JWK has it: base64url.
    pub(super) x: String,
    pub(super) verifying: DecodingKey,
}

impl PublicKey {
    pub(super) fn new(key: &VerifyingKey) -> Self {
        Self {
            kid: thumbprint(key),
            x: BASE64_URL_SAFE_NO_PAD.encode(key.as_bytes()),
            verifying: DecodingKey::from_ed_der(key.as_bytes()),
        }
    }

    /// Reads SPKI, PEM.
    pub(super) fn read(pem: &str) -> Result<Self, Error> {
        Ok(Self::new(&read_verification_key(pem)?))
    }
}

/// A key that can sign.
pub(super) struct PrivateKey {
    pub(super) public: PublicKey,
    pub(super) signing: EncodingKey,
}

impl PrivateKey {
    pub(super) fn new(key: &SigningKey) -> Result<Self, Error> {
        let der = key.to_pkcs8_der().map_err(|_| Error::SigningKey)?;
        Ok(Self {
            public: PublicKey::new(&key.verifying_key()),
            signing: EncodingKey::from_ed_der(der.as_bytes()),
        })
    }

    /// Reads PKCS #8, PEM.
    pub(super) fn read(pem: &SecretString) -> Result<Self, Error> {
        Self::new(&read_signing_key(pem)?)
    }
}

/// The key of a PEM text.
pub(super) fn read_signing_key(pem: &SecretString) -> Result<SigningKey, Error> {
    SigningKey::from_pkcs8_pem(pem.expose_secret()).map_err(|_| Error::SigningKey)
}

/// The public key of a PEM text.
pub(super) fn read_verification_key(pem: &str) -> Result<VerifyingKey, Error> {
    VerifyingKey::from_public_key_pem(pem).map_err(|_| Error::VerificationKey)
}

/// The name of a key: its JWK thumbprint (RFC 7638), so the same key has the same name everywhere.
pub(super) fn thumbprint(key: &VerifyingKey) -> String {
    let x = BASE64_URL_SAFE_NO_PAD.encode(key.as_bytes());
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(jwk))
}

/// The server's secret, as bytes.
pub(super) fn secret(settings: &Settings) -> Result<Vec<u8>, Error> {
    let secret = match &settings.secret {
        Some(secret) => secret.clone(),
        None => keep(&settings.data_dir.join("server-secret"), || {
            BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
        })?,
    };
    Ok(secret.expose_secret().as_bytes().to_vec())
}

/// What the file holds, made first if it is not there.
fn keep(file: &Path, make: impl FnOnce() -> String) -> Result<SecretString, Error> {
    secret::keep(file, make).map_err(|error| Error::File(file.to_owned(), error))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::fs;

    use super::*;

    #[test]
    fn what_is_made_is_kept_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            secret: None,
            data_dir: folder.path().join("data"),
            ..crate::identity::tests::settings()
        };
        assert_eq!(secret(&settings).unwrap(), secret(&settings).unwrap());
        let mut files = 0;
        for file in fs::read_dir(&settings.data_dir).unwrap() {
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
            }
            files += 1;
        }
        assert_eq!(files, 1);
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        let error = PrivateKey::read(&"hunter2".into()).err().unwrap().to_string();
        assert_eq!(error, "the signing key is not an Ed25519 key (PKCS #8, PEM)");
        let error = PublicKey::read("hunter2").err().unwrap().to_string();
        assert_eq!(error, "a verification key is not an Ed25519 public key (SPKI, PEM)");
    }

    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        // RFC 8037, appendix A.3.
        let x = BASE64_URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let key = VerifyingKey::from_bytes(&x.try_into().unwrap()).unwrap();
        assert_eq!(thumbprint(&key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
