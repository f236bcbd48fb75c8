//! The token endpoint's side of partners (RFC 6749, client credentials).

use std::time::Duration;

use chrono::TimeDelta;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::Scopes;
use crate::{
    error::{Error, Result},
    id::PartnerId,
    identity::{Context, Identity, Purpose},
    secret::{ExposeSecret, SecretString},
    store::audit::Actor,
};

/// What a partner asks with.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// What it calls itself.
    pub client_id: String,
    /// One of its secrets.
    pub secret: SecretString,
    /// What it wants: names with spaces between. All that it may have when it is left out.
    pub scope: Option<String>,
}

/// What it gets.
#[derive(Clone, Debug)]
pub struct PartnerToken {
    /// For the `Authorization` header.
    pub access_token: SecretString,
    /// How long it is good.
    pub lifetime: TimeDelta,
    /// What it allows.
    pub scopes: Scopes,
}

/// Why it gets none.
#[derive(Clone, Debug)]
pub enum TokenRefusal {
    /// The client is unknown or revoked, or the secret is none of its own.
    InvalidClient,
    /// A scope is none, or more than the partner may have.
    InvalidScope,
    /// It asked too often.
    TooOften(Duration),
    /// It cannot be found out now.
    Away(Error),
}

impl From<Error> for TokenRefusal {
    fn from(error: Error) -> Self {
        match error {
            Error::RateLimited { retry_after, .. } => Self::TooOften(retry_after),
            other => Self::Away(other),
        }
    }
}

impl Identity {
    /// Gives a partner an access token. What is wrong with its credentials does not show.
    ///
    /// # Errors
    /// [`TokenRefusal`].
    pub async fn partner_token(
        &self,
        request: &TokenRequest,
        from: &Context,
    ) -> std::result::Result<PartnerToken, TokenRefusal> {
        let this = &*self.0;
        let now = this.now();
        // Whoever knows a client id from elsewhere does not use up its tries: the network is part of the name.
        let network = from.address.map(super::super::network_of).unwrap_or_default();
        let name = [network.as_slice(), b"/", request.client_id.as_bytes()].concat();
        this.gate.pass(Purpose::PartnerToken, Some(&name), from, now).await?;

        let found = self.prove_partner(request).await?;
        let Some((partner, secret, allowed)) = found else {
            let event = from.event("partner.token", Actor::Nobody, now).refused("INVALID_CLIENT");
            this.store.audit(event).await.map_err(Error::from)?;
            return Err(TokenRefusal::InvalidClient);
        };
        let event =
            from.event("partner.token", Actor::Partner(partner.to_string()), now).with("secret", secret);
        let wanted = request.scope.as_deref().map_or(Ok(allowed), Scopes::parse);
        let scopes = match wanted {
            Ok(scopes) if scopes.is_within(allowed) && !scopes.is_empty() => scopes,
            _ => {
                this.store.audit(event.refused("INVALID_SCOPE")).await.map_err(Error::from)?;
                return Err(TokenRefusal::InvalidScope);
            }
        };
        let (access_token, lifetime) =
            this.partners.tokens.issue(&this.tokens, partner, secret, scopes, now)?;
        this.store.audit(event.with("scopes", scopes)).await.map_err(Error::from)?;
        Ok(PartnerToken { access_token, lifetime, scopes })
    }

    /// The partner whose secret this is, with the secret's id and all that it may have. The database is asked, not what is
    /// believed: it is rare, and a new secret counts at once.
    async fn prove_partner(&self, request: &TokenRequest) -> Result<Option<(PartnerId, uuid::Uuid, Scopes)>> {
        let store = &self.0.store;
        let row = store.partner_by_client_id(&request.client_id).await?;
        let (is_known, row) = match row.filter(|row| row.revoked_at.is_none()) {
            Some(row) => (Choice::from(1), Some(row)),
            None => (Choice::from(0), None),
        };
        let id = PartnerId(row.as_ref().map(|row| row.partner_id).unwrap_or_default());
        let presented = Sha256::digest(request.secret.expose_secret().as_bytes());
        let mut found = None;
        for secret in store.partner_secrets(id).await? {
            if bool::from(is_known & secret.secret_hash.as_slice().ct_eq(&presented[..])) {
                found = Some(secret.secret_id);
            }
        }
        Ok(row.zip(found).map(|(row, secret)| (id, secret, Scopes::stored(&row.scopes))))
    }
}
