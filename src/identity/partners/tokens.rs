//! Access tokens of partners: signed as those of people are, and of another type and audience, so that neither passes for the
//! other.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, Validation};
use moka::future::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Scopes;
use crate::{
    error::Result,
    id::PartnerId,
    identity::{
        Settings,
        tokens::{SKEW, Tokens},
    },
    secret::SecretString,
};

/// The type of the token.
pub(super) const TYPE: &str = "partner+jwt";
/// No token is good for longer.
const LONGEST: TimeDelta = TimeDelta::minutes(10);
/// Tokens known by hash at most: about 100 bytes each.
const CAPACITY: u64 = 20_000;

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The partner.
    sub: Uuid,
    /// The secret that it was got with: it ends with that.
    key: Uuid,
    scope: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// What a verified token says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verified {
    pub(super) partner: PartnerId,
    pub(super) secret: Uuid,
    pub(super) scopes: Scopes,
    not_before: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
}

/// Makes and verifies the tokens of partners.
pub(super) struct PartnerTokens {
    issuer: String,
    audience: String,
    lifetime: TimeDelta,
    validation: Validation,
    verified: Cache<[u8; 32], Verified>,
}

impl PartnerTokens {
    pub(super) fn new(settings: &Settings) -> Self {
        let audience = format!("{}/partners", settings.audience);
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Judged below by our clock, which a test can move.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let lifetime =
            TimeDelta::from_std(settings.access_lifetime).map_or(LONGEST, |time| time.min(LONGEST));
        let verified = Cache::builder()
            .max_capacity(CAPACITY)
            .time_to_live(Duration::from_secs(LONGEST.num_seconds().unsigned_abs()))
            .build();
        Self { issuer: settings.issuer.clone(), audience, lifetime, validation, verified }
    }

    /// A token, and how long it is good.
    pub(super) fn issue(
        &self,
        tokens: &Tokens,
        partner: PartnerId,
        secret: Uuid,
        scopes: Scopes,
        now: DateTime<Utc>,
    ) -> Result<(SecretString, TimeDelta)> {
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: partner.0,
            key: secret,
            scope: scopes.to_string(),
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp: (now + self.lifetime).timestamp(),
        };
        Ok((tokens.sign(TYPE, &claims)?, self.lifetime))
    }

    /// What a token says; `None` when it is none of a partner's, or not valid now.
    pub(super) async fn verify(&self, tokens: &Tokens, token: &str, now: DateTime<Utc>) -> Option<Verified> {
        let hash = Sha256::digest(token).into();
        let verified = match self.verified.get(&hash).await {
            Some(known) => known,
            None => {
                let claims: Claims = tokens.open(token, TYPE, &self.validation)?;
                let not_before = DateTime::from_timestamp(claims.nbf, 0)?;
                let expires_at = DateTime::from_timestamp(claims.exp, 0)?;
                (expires_at - not_before <= LONGEST).then_some(())?;
                let read = Verified {
                    partner: PartnerId(claims.sub),
                    secret: claims.key,
                    scopes: Scopes::stored(&claims.scope),
                    not_before,
                    expires_at,
                };
                self.verified.insert(hash, read).await;
                read
            }
        };
        (verified.not_before - SKEW..verified.expires_at + SKEW).contains(&now).then_some(verified)
    }
}
