//! What operators do with partners, at the commands.

use chrono::SubsecRound;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::{Scopes, Terms};
use crate::{
    clock::Clock,
    error::Result,
    id::PartnerId,
    secret::{ExposeSecret, SecretString},
    store::{
        self, PartnerRow, PartnerSecretRow, PartnerUsageRow, Store,
        audit::{Actor, Event},
    },
};

/// Secrets that are active at once, while one is being replaced.
const SECRETS: u64 = 2;

/// Why a partner gets no other secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// As many are active as may be: a third would end one with which the partner may still come.
    #[error("two secrets of this partner are active")]
    Full,
    /// The store fails.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// A partner to be created.
#[derive(Clone, Debug)]
pub struct NewPartner {
    /// What people call it: customers read it when they are asked.
    pub name: String,
    /// What it may be allowed at most.
    pub scopes: Scopes,
    /// Whether it is of the house, and acts for every customer.
    pub is_first_party: bool,
    /// How much it may ask.
    pub terms: Terms,
}

/// Creates, changes and shows partners.
#[derive(Clone)]
pub struct PartnerDesk {
    store: Store,
    clock: Clock,
}

impl PartnerDesk {
    /// A desk over the database.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Creates a partner. Gives what it calls itself, and its secret, which is shown nowhere again.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the store fails.
    pub async fn create(&self, new: NewPartner) -> Result<(String, SecretString)> {
        let now = self.clock.now().trunc_subsecs(6);
        let (id, secret) = (PartnerId(Uuid::now_v7()), Secret::make());
        let row = PartnerRow {
            partner_id: id.0,
            client_id: format!("pc_{}", hex::encode(rand::random::<[u8; 12]>())),
            name: new.name,
            scopes: new.scopes.to_string(),
            is_first_party: new.is_first_party,
            requests_per_second: new.terms.requests_per_second.into(),
            cost_maximum: new.terms.cost_maximum.into(),
            cost_restore: new.terms.cost_restore.into(),
            created_at: now,
            revoked_at: None,
        };
        let mut tx = self.store.begin().await?;
        tx.insert_partner(&row).await?;
        tx.insert_partner_secret(id, &secret.row(now)).await?;
        let event = Event::done("partner.create", Actor::Operator, now);
        tx.audit(event.with("partner", id).with("scopes", new.scopes).with("firstParty", new.is_first_party));
        tx.commit().await?;
        Ok((row.client_id, secret.text))
    }

    /// Gives a partner another secret; the one of before stays active until it is retired. `None` when there is no such
    /// partner.
    ///
    /// # Errors
    /// [`SecretError::Full`] when two are active; then nothing was done.
    pub async fn rotate(&self, client_id: &str) -> Result<Option<SecretString>, SecretError> {
        let now = self.clock.now().trunc_subsecs(6);
        let mut tx = self.store.begin().await?;
        let Some(id) = tx.lock_partner(client_id).await? else { return Ok(None) };
        if tx.count_partner_secrets(id).await? >= SECRETS {
            return Err(SecretError::Full);
        }
        let secret = Secret::make();
        tx.insert_partner_secret(id, &secret.row(now)).await?;
        let event = Event::done("partner.rotate", Actor::Operator, now).with("partner", id);
        tx.audit(event.with("secret", secret.id));
        tx.commit().await?;
        Ok(Some(secret.text))
    }

    /// Retires all secrets of a partner but the newest: tokens that were got with them end within 5 seconds. Gives their number;
    /// `None` when there is no such partner.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the store fails.
    pub async fn retire(&self, client_id: &str) -> Result<Option<u64>> {
        let now = self.clock.now().trunc_subsecs(6);
        let mut tx = self.store.begin().await?;
        let Some(id) = tx.lock_partner(client_id).await? else { return Ok(None) };
        let retired = tx.retire_partner_secrets(id, 1, now).await?;
        let event = Event::done("partner.retire-secrets", Actor::Operator, now);
        tx.audit(event.with("partner", id).with("retired", retired));
        tx.commit().await?;
        Ok(Some(retired))
    }

    /// Revokes a partner for good: its tokens end within 5 seconds everywhere. False when there is none, or it was revoked.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the store fails.
    pub async fn revoke(&self, client_id: &str) -> Result<bool> {
        let now = self.clock.now().trunc_subsecs(6);
        let mut tx = self.store.begin().await?;
        let Some(id) = tx.lock_partner(client_id).await? else { return Ok(false) };
        tx.revoke_partner(id, now).await?;
        tx.retire_partner_secrets(id, 0, now).await?;
        tx.audit(Event::done("partner.revoke", Actor::Operator, now).with("partner", id));
        tx.commit().await?;
        Ok(true)
    }

    /// All partners, in the order in which they were created.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the store fails.
    pub async fn list(&self) -> Result<Vec<PartnerRow>> {
        Ok(self.store.partners().await?)
    }

    /// A partner, which may have been revoked, and what it used, the latest day first; `None` when there never was one.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the store fails.
    pub async fn usage(
        &self,
        client_id: &str,
        days: u32,
    ) -> Result<Option<(PartnerRow, Vec<PartnerUsageRow>)>> {
        let Some(row) = self.store.partner_by_client_id(client_id).await? else { return Ok(None) };
        let used = self.store.partner_usage(PartnerId(row.partner_id), days).await?;
        Ok(Some((row, used)))
    }
}

/// A secret that was just made.
struct Secret {
    id: Uuid,
    text: SecretString,
}

impl Secret {
    /// 256 random bits. Nobody guesses among so many, so what is stored is a plain hash.
    fn make() -> Self {
        let text = format!("ps_{}", BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
        Self { id: Uuid::now_v7(), text: text.into() }
    }

    fn row(&self, now: chrono::DateTime<chrono::Utc>) -> PartnerSecretRow {
        let secret_hash = Sha256::digest(self.text.expose_secret().as_bytes()).to_vec();
        PartnerSecretRow { secret_id: self.id, secret_hash, created_at: now }
    }
}
