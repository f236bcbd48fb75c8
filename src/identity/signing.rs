//! Which key signs access tokens, and which verify them.
//!
//! A configured key signs always. Otherwise keys lie in the store, sealed; the first is made when it is first needed. A
//! rotation adds a key that signs later: until then every replica learns of it by a look at the store once a minute, and
//! others by the published set, so that it is known before its first token is. What signed before verifies until its
//! last token has run out, and is deleted then. No row is ever changed: the rows and the time say what each key is for, so
//! replicas need not agree on anything, and none of them has to do the switching.
//!
//! A token of a key that is not known makes a replica look at the store, at most once a second: a rotation without notice
//! signs nobody out, and made-up names cost one question a second at most.

use std::{
    iter,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::{
    error::{Error, Result},
    identity::{
        Settings,
        keys::{self, PrivateKey, PublicKey},
    },
    store::{
        self, SigningKeyRow, Store,
        audit::{Actor, Event},
    },
};

/// How often the store is looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long after a look the next one comes at the earliest, for tokens of unknown keys.
const PAUSE: TimeDelta = TimeDelta::seconds(1);
/// How long a key verifies after its successor began to sign: the 10 minutes of a token, a minute of a replica that looked
/// last just before, and what clocks may be apart.
const OVERLAP: TimeDelta = TimeDelta::minutes(15);

/// What a key is for at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It will sign; its tokens are accepted already.
    Next,
    /// It signs.
    Active,
    /// It signed; its last tokens are still accepted.
    Retired,
}

/// A signing key of the store, without its private part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name.
    pub kid: String,
    /// What it is for now.
    pub state: KeyState,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// It signs from then on.
    pub signs_from: DateTime<Utc>,
    /// Its tokens are accepted until then; `None` while it has no successor.
    pub verifies_until: Option<DateTime<Utc>>,
}

/// Why a key cannot be replaced.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// A rotation is under way: another one would make a third key before the second has signed.
    #[error("the key {kid} is to sign from {} on: wait until it does", signs_from.to_rfc3339_opts(SecondsFormat::Secs, true))]
    Pending {
        /// The key.
        kid: String,
        /// When it begins.
        signs_from: DateTime<Utc>,
    },
    /// The store fails.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What lies in the store is no key.
    #[error("a signing key of the database is not an Ed25519 key")]
    Malformed,
}

/// A key of the store, ready for use.
struct Stored {
    key: Arc<PrivateKey>,
    signs_from: DateTime<Utc>,
    /// `None` while it has no successor.
    until: Option<DateTime<Utc>>,
}

impl Stored {
    fn verifies_at(&self, now: DateTime<Utc>) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// The keys of this process.
pub(super) struct Ring {
    store: Store,
    configured: Option<Arc<PrivateKey>>,
    /// Public keys of the configuration.
    listed: Vec<PublicKey>,
    stored: RwLock<Arc<[Stored]>>,
    looked_at: Mutex<Option<DateTime<Utc>>>,
}

impl Ring {
    /// Reads what is configured. The store is asked when it is needed.
    pub(super) fn new(store: Store, settings: &Settings) -> Result<Self, keys::Error> {
        let configured = settings.signing_key.as_ref().map(PrivateKey::read).transpose()?.map(Arc::new);
        let listed = settings.verification_keys.iter().map(|pem| PublicKey::read(pem));
        Ok(Self {
            store,
            configured,
            listed: listed.collect::<Result<_, _>>()?,
            stored: RwLock::new(Arc::from([])),
            looked_at: Mutex::default(),
        })
    }

    /// The key that signs now; the first one is made.
    pub(super) async fn signing(&self, now: DateTime<Utc>) -> Result<Arc<PrivateKey>> {
        if let Some(key) = &self.configured {
            return Ok(Arc::clone(key));
        }
        if let Some(key) = self.stored_signing(now) {
            return Ok(key);
        }
        self.look(now).await?;
        if let Some(key) = self.stored_signing(now) {
            return Ok(key);
        }
        match add(&self.store, 1, now, now, None).await {
            Ok(kid) => tracing::info!(kid, "the first key for access tokens was made"),
            // Another replica was quicker.
            Err(RotationError::Store(store::Error::Taken)) => {}
            Err(error) => return Err(Error::internal(error)),
        }
        self.look(now).await?;
        self.stored_signing(now).ok_or_else(|| Error::internal("there is no key for access tokens"))
    }

    /// What `read` makes of the key of this name, while tokens of it are accepted; an unknown one is looked for in the store, unless
    /// that was done within the last second.
    pub(super) async fn verify<T>(
        &self,
        kid: &str,
        now: DateTime<Utc>,
        read: impl Fn(&PublicKey) -> Option<T>,
    ) -> Option<T> {
        if let Some(found) = self.with(kid, now, &read) {
            return found;
        }
        let mut looked_at = self.looked_at.lock().await;
        if looked_at.is_none_or(|at| (now - at).abs() >= PAUSE)
            && let Err(error) = self.take_in(&mut looked_at, now).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "an unknown key cannot be looked for");
        }
        drop(looked_at);
        self.with(kid, now, &read).flatten()
    }

    fn with<T>(&self, kid: &str, now: DateTime<Utc>, read: impl Fn(&PublicKey) -> T) -> Option<T> {
        let given = self.configured.iter().map(|key| &key.public).chain(&self.listed);
        if let Some(key) = given.into_iter().find(|key| key.kid == kid) {
            return Some(read(key));
        }
        let stored = self.snapshot();
        let known = stored.iter().find(|one| one.key.public.kid == kid && one.verifies_at(now))?;
        Some(read(&known.key.public))
    }

    /// Looks at the store.
    pub(super) async fn look(&self, now: DateTime<Utc>) -> Result<()> {
        let mut looked_at = self.looked_at.lock().await;
        self.take_in(&mut looked_at, now).await
    }

    async fn take_in(&self, looked_at: &mut Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<()> {
        // A store that fails is not asked more often than one that answers.
        *looked_at = Some(now);
        let rows = self.store.signing_keys().await?;
        let stored = ready(&rows).map_err(Error::internal)?;
        *self.stored.write().unwrap_or_else(PoisonError::into_inner) = stored.into();
        Ok(())
    }

    /// Deletes keys that are of no use any more.
    pub(super) async fn purge(&self, now: DateTime<Utc>) -> Result<(), store::Error> {
        self.store.purge_signing_keys(now - OVERLAP).await.map(drop)
    }

    fn snapshot(&self) -> Arc<[Stored]> {
        Arc::clone(&self.stored.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn stored_signing(&self, now: DateTime<Utc>) -> Option<Arc<PrivateKey>> {
        let stored = self.snapshot();
        // The clock of whoever made the first may be ahead of ours.
        signing_at(stored.iter().map(|one| one.signs_from), now)
            .map(|position| Arc::clone(&stored[position].key))
    }

    /// The public keys by which tokens can be verified now, as a JWK set (RFC 7517).
    pub(super) fn published(&self, now: DateTime<Utc>) -> String {
        let stored = self.snapshot();
        let given = self.configured.iter().map(|key| &key.public).chain(&self.listed);
        let stored = stored.iter().filter(|one| one.verifies_at(now)).map(|one| &one.key.public);
        let keys = given.chain(stored).map(Jwk::of).collect();
        // It holds nothing but texts.
        serde_json::to_string(&JwkSet { keys }).unwrap_or_default()
    }
}

/// A set of public keys.
#[derive(Serialize)]
struct JwkSet<'a> {
    keys: Vec<Jwk<'a>>,
}

/// A public key (RFC 8037).
#[derive(Serialize)]
struct Jwk<'a> {
    kty: &'static str,
    crv: &'static str,
    r#use: &'static str,
    alg: &'static str,
    kid: &'a str,
    x: &'a str,
}

impl<'a> Jwk<'a> {
    fn of(key: &'a PublicKey) -> Self {
        Self { kty: "OKP", crv: "Ed25519", r#use: "sig", alg: "EdDSA", kid: &key.kid, x: &key.x }
    }
}

/// Which of the keys, in their order, signs at an instant; the first, when all are to begin later.
fn signing_at(signs_from: impl Iterator<Item = DateTime<Utc>>, now: DateTime<Utc>) -> Option<usize> {
    let mut signing = None;
    for (position, from) in signs_from.enumerate() {
        if position == 0 || from <= now {
            signing = Some(position);
        }
    }
    signing
}

/// Until when each key, in their order, verifies.
fn ends(rows: &[SigningKeyRow]) -> impl Iterator<Item = Option<DateTime<Utc>>> {
    rows.iter().skip(1).map(|next| Some(next.signs_from + OVERLAP)).chain(iter::once(None))
}

fn ready(rows: &[SigningKeyRow]) -> Result<Vec<Stored>, keys::Error> {
    let one = |(row, until): (&SigningKeyRow, _)| {
        let key = PrivateKey::new(&SigningKey::from_bytes(&row.private_key))?;
        if key.public.kid != row.kid {
            return Err(keys::Error::StoredKey);
        }
        Ok(Stored { key: Arc::new(key), signs_from: row.signs_from, until })
    };
    rows.iter().zip(ends(rows)).map(one).collect()
}

/// Makes a key and stores it. Gives its name.
async fn add(
    store: &Store,
    generation: i64,
    now: DateTime<Utc>,
    signs_from: DateTime<Utc>,
    event: Option<Event>,
) -> Result<String, RotationError> {
    let key = SigningKey::from_bytes(&rand::random());
    let kid = keys::thumbprint(&key.verifying_key());
    let row = SigningKeyRow {
        generation,
        kid: kid.clone(),
        public_key: key.verifying_key().as_bytes().to_vec(),
        private_key: key.to_bytes(),
        created_at: now,
        signs_from,
    };
    store.insert_signing_key(&row, event.map(|event| event.with("kid", &kid))).await?;
    Ok(kid)
}

/// Adds a key to the store that signs after a while; nobody is signed out. Gives its name, and when it begins to sign.
///
/// # Errors
/// [`RotationError::Pending`] when a key is waiting to sign already.
pub async fn rotate_signing_key(
    store: &Store,
    now: DateTime<Utc>,
    lead: TimeDelta,
) -> Result<(String, DateTime<Utc>), RotationError> {
    let rows = store.signing_keys().await?;
    let (generation, signs_from) = match rows.last() {
        Some(last) if last.signs_from > now => {
            return Err(RotationError::Pending { kid: last.kid.clone(), signs_from: last.signs_from });
        }
        Some(last) => (last.generation + 1, now + lead),
        // Nobody has signed yet.
        None => (1, now),
    };
    let event = Event::done("signing-key.rotate", Actor::Operator, now);
    Ok((add(store, generation, now, signs_from, Some(event)).await?, signs_from))
}

/// The keys of the store, in their order.
///
/// # Errors
/// [`store::Error`].
pub async fn signing_keys(store: &Store, now: DateTime<Utc>) -> Result<Vec<KeyInfo>, store::Error> {
    let rows = store.signing_keys().await?;
    let active = signing_at(rows.iter().map(|row| row.signs_from), now);
    let info = |(position, (row, verifies_until)): (usize, (&SigningKeyRow, _))| KeyInfo {
        kid: row.kid.clone(),
        state: match active {
            Some(active) if position < active => KeyState::Retired,
            Some(active) if position == active => KeyState::Active,
            _ => KeyState::Next,
        },
        created_at: row.created_at,
        signs_from: row.signs_from,
        verifies_until,
    };
    Ok(rows.iter().zip(ends(&rows)).enumerate().map(info).collect())
}

#[cfg(test)]
mod tests;
