//! The keys: one signs access tokens, several may verify them; and the secret of the refresh tokens.
//!
//! In production both are given. In development they are made once and kept in the data folder, so that
//! a restart signs nobody out.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::{
    SigningKey, VerifyingKey,
    pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, spki::der::pem::LineEnding},
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
    #[error("{0} cannot be kept: {1}")]
    File(PathBuf, io::Error),
}

/// The keys of the access tokens.
pub(super) struct Keys {
    /// The name of the signing key.
    pub(super) kid: String,
    pub(super) signing: EncodingKey,
    /// By name; the signing key's own among them.
    pub(super) verifying: HashMap<String, DecodingKey>,
}

impl Keys {
    pub(super) fn open(settings: &Settings) -> Result<Self, Error> {
        let pem = match &settings.signing_key {
            Some(pem) => pem.clone(),
            None => keep(&settings.data_dir.join("access-token-key.pem"), || {
                let key = SigningKey::from_bytes(&rand::random());
                key.to_pkcs8_pem(LineEnding::LF).map_or_else(|_| String::new(), |pem| pem.to_string())
            })?,
        };
        let key = read_signing_key(&pem)?;
        let der = key.to_pkcs8_der().map_err(|_| Error::SigningKey)?;
        let mut verifying = HashMap::new();
        for pem in &settings.verification_keys {
            let key = read_verification_key(pem)?;
            verifying.insert(thumbprint(&key), DecodingKey::from_ed_der(key.as_bytes()));
        }
        let public = key.verifying_key();
        let kid = thumbprint(&public);
        verifying.insert(kid.clone(), DecodingKey::from_ed_der(public.as_bytes()));
        Ok(Self { kid, signing: EncodingKey::from_ed_der(der.as_bytes()), verifying })
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
fn thumbprint(key: &VerifyingKey) -> String {
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
        let (first, second) = (Keys::open(&settings).unwrap(), Keys::open(&settings).unwrap());
        assert_eq!(first.kid, second.kid);
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
        assert_eq!(files, 2);
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        let settings = Settings { signing_key: Some("hunter2".into()), ..crate::identity::tests::settings() };
        let error = Keys::open(&settings).err().unwrap().to_string();
        assert_eq!(error, "the signing key is not an Ed25519 key (PKCS #8, PEM)");
    }

    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        // RFC 8037, appendix A.3.
        let x = BASE64_URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let key = VerifyingKey::from_bytes(&x.try_into().unwrap()).unwrap();
        assert_eq!(thumbprint(&key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
