//! Devices that are known, and the hand-off that spares a second step once.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    error::Result,
    id::UserId,
    identity::{Identity, Viewer, sign_in::hash},
    secret::{SecretString, mask_email},
    store::Tx,
};

/// A device in which a person signed in, as they see it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Device {
    /// Its key.
    pub id: Uuid,
    /// What kind of program: `browser`, `app` or `other`.
    pub kind: String,
    /// Browser and system; empty when unknown.
    pub name: String,
    /// The network from which it first signed in.
    pub network: Option<String>,
    /// When it first signed in.
    pub created_at: DateTime<Utc>,
    /// When it last signed in.
    pub seen_at: DateTime<Utc>,
    /// The password is enough on it until then; `None` when a code is asked for.
    pub trusted_until: Option<DateTime<Utc>>,
}

/// That an address was proved a moment ago: the next sign-in with the account's password needs no code.
#[derive(Clone, Debug)]
pub struct HandOff {
    /// For that sign-in, once.
    pub token: SecretString,
    /// Whose account: `t***@example.jp`.
    pub masked_address: String,
    /// It is worthless from then on.
    pub expires_at: DateTime<Utc>,
}

impl Identity {
    /// The devices of a person, the one that was last seen first.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the store fails.
    pub async fn devices(&self, viewer: &Viewer) -> Result<Vec<Device>> {
        viewer.reader().keep_not();
        let this = &*self.0;
        let now = this.now();
        let rows = this.store.devices_of_user(viewer.user(), now - this.device_lifetime).await?;
        rows.into_iter()
            .map(|row| {
                Ok(Device {
                    id: row.device_id,
                    network: this.open_network("devices", row.device_id, row.network.as_deref())?,
                    kind: row.kind,
                    name: row.name,
                    created_at: row.created_at,
                    seen_at: row.seen_at,
                    trusted_until: row.trusted_until.filter(|until| now < *until),
                })
            })
            .collect()
    }

    /// Forgets a device of a person and ends the sessions that began in it; false when it is none of theirs.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the store fails.
    pub async fn revoke_device(&self, viewer: &Viewer, device: Uuid) -> Result<bool> {
        let this = &*self.0;
        let now = this.now();
        let event = viewer.event("device.revoke", now).with("device", device);
        let is_own = this.store.delete_device(viewer.user(), device, now, event).await?;
        if is_own {
            this.sessions.recheck(viewer.user());
        }
        Ok(is_own)
    }

    /// Lets a user who proved their address at `proved_at` sign in with the password alone, once and within minutes of that
    /// proof (domain reference §7.3), however late it is given; `None` when those are over. It asks nothing but what the
    /// transaction does: whoever holds one must not wait for a second connection.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn hand_off(
        &self,
        tx: &mut Tx,
        user: UserId,
        email: &str,
        proved_at: DateTime<Utc>,
    ) -> Result<Option<HandOff>> {
        let this = &*self.0;
        let expires_at = proved_at + this.hand_off_lifetime;
        if expires_at <= this.now() {
            return Ok(None);
        }
        let token = SecretString::from(BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
        tx.insert_hand_off(&hash(&token), user, expires_at).await?;
        Ok(Some(HandOff { token, masked_address: mask_email(email), expires_at }))
    }

    /// Whose account a hand-off is for, masked; `None` when it is good no more.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the store fails.
    pub async fn hand_off_of(&self, token: &SecretString) -> Result<Option<String>> {
        let found = self.0.store.hand_off(&hash(token), self.0.now()).await?;
        Ok(found.map(|(_, email)| mask_email(&email)))
    }

    /// Lets everybody who is registered trust one device for a year: for demonstrations, whose people read no mail. Not in
    /// a production build.
    ///
    /// # Errors
    /// [`crate::error::Error::Internal`] when the store fails.
    #[cfg(feature = "sandbox")]
    pub async fn trust_everywhere(&self, device: &SecretString) -> Result<()> {
        let now = self.0.now();
        self.0.store.trust_everywhere(&hash(device), now, now + chrono::TimeDelta::days(365)).await?;
        Ok(())
    }
}
