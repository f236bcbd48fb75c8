//! Partners: programs of others that act for customers who allowed it (requirement A11).
//!
//! A partner proves itself with a secret, of which two are active while one is being replaced, and gets an access token
//! for some minutes: no refresh token, since it can ask again. It acts for one customer a request, whom the request names; what it
//! may see then is what its token says, and the customer allowed, and the operator allows still. A partner of the house needs
//! no customer's word.
//!
//! What is known of a partner and of a grant is believed for 4 seconds, as the state of a session is: a revocation reaches
//! every replica within 5.

mod budget;
mod desk;
mod grants;
mod scope;
#[cfg(test)]
mod tests;
mod token;
mod tokens;
mod usage;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::decode_header;
use moka::future::Cache;
use uuid::Uuid;

use self::{
    budget::Budgets,
    tokens::{PartnerTokens, TYPE},
    usage::Usage,
};
pub use self::{
    budget::{Balance, Terms, Unpaid},
    desk::{NewPartner, PartnerDesk, SecretError},
    grants::{Consent, Customers, Granted, PartnerGrant},
    scope::{Scope, Scopes},
    token::{PartnerToken, TokenRefusal, TokenRequest},
};
use crate::{
    error::{Error, Result},
    freshness::redis,
    id::{PartnerId, UserId},
    identity::{Caller, Identity, Representative, Represented, Settings, sessions::BELIEF, tokens::SKEW},
    store::{Allowed, PartnerRow, PartnerUsageRow},
};

/// Partners, and grants, whose state is remembered at most.
const CAPACITY: u64 = 50_000;

/// What is known of a partner.
#[derive(Clone, Debug)]
struct Standing {
    row: PartnerRow,
    scopes: Scopes,
    /// The ids of its active secrets.
    secrets: Vec<Uuid>,
}

/// Something that was read a moment ago.
#[derive(Clone, Debug)]
struct Seen<T> {
    at: DateTime<Utc>,
    value: Option<T>,
}

/// All that is kept for partners.
pub(super) struct Partners {
    tokens: PartnerTokens,
    budgets: Budgets,
    usage: Usage,
    states: Cache<PartnerId, Seen<Standing>>,
    grants: Cache<(PartnerId, UserId), Seen<Allowed>>,
}

impl Partners {
    pub(super) fn new(settings: &Settings, redis: Option<&redis::Settings>) -> Result<Self> {
        Ok(Self {
            tokens: PartnerTokens::new(settings),
            budgets: Budgets::new(redis)?,
            usage: Usage::default(),
            states: table(),
            grants: table(),
        })
    }
}

fn table<K, V>() -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(CAPACITY).time_to_live(Duration::from_secs(60)).build()
}

/// What is in a table while it is believed, else what is read now.
async fn believed<K, V>(
    table: &Cache<K, Seen<V>>,
    key: K,
    now: DateTime<Utc>,
    read: impl AsyncFnOnce() -> Result<Option<V>>,
) -> Result<Seen<V>>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    if let Some(seen) = table.get(&key).await
        && (TimeDelta::zero()..BELIEF).contains(&(now - seen.at))
    {
        return Ok(seen);
    }
    let seen = Seen { at: now, value: read().await? };
    table.insert(key, seen.clone()).await;
    Ok(seen)
}

/// Whether a text claims to be the token of a partner. Nothing of it is verified.
fn is_of_partner(token: &str) -> bool {
    token.len() <= 4 * 1024 && decode_header(token).is_ok_and(|header| header.typ.as_deref() == Some(TYPE))
}

impl Identity {
    /// Who asks: a person with an access token, or a partner with one of its own, for the customer whom it names.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for any token that is not valid now; [`Error::NotGranted`] for a customer who does not exist, or
    /// did not allow it: the two look the same; [`Error::Forbidden`] when a person names a customer;
    /// [`Error::Rejected`] with `MAPPING_MISSING` when a person's data cannot be found.
    pub async fn caller(&self, access_token: &str, customer: Option<UserId>) -> Result<Caller> {
        if is_of_partner(access_token) {
            return self.representative(access_token, customer).await.map(Caller::Partner);
        }
        let principal = self.authenticate(access_token).await?;
        if customer.is_some() { Err(Error::Forbidden) } else { Ok(Caller::Customer(principal)) }
    }

    /// The same from memory alone, for who was admitted within the last 4 seconds.
    pub fn recall_caller(&self, access_token: &str, customer: Option<UserId>) -> Option<Caller> {
        let this = &*self.0;
        this.recall.get(access_token, customer, this.now(), this.sessions.ends())
    }

    async fn representative(&self, access_token: &str, customer: Option<UserId>) -> Result<Representative> {
        let this = &*self.0;
        let (now, ends) = (this.now(), this.sessions.ends());
        let token = this.partners.tokens.verify(&this.tokens, access_token, now).await;
        let token = token.ok_or(Error::Unauthenticated)?;
        let standing = self.standing(token.partner, now).await?;
        let partner = standing.value.filter(|partner| partner.secrets.contains(&token.secret));
        let partner = partner.ok_or(Error::Unauthenticated)?;
        let mut until = (standing.at + BELIEF).min(token.expires_at + SKEW);
        let mut scopes = token.scopes.and(partner.scopes);
        let mut represented = None;
        if let Some(user) = customer {
            let read = async || -> Result<Option<Allowed>> {
                Ok(if partner.row.is_first_party {
                    this.store.represented(user).await?
                } else {
                    this.store.granted(token.partner, user).await?
                })
            };
            let seen = believed(&this.partners.grants, (token.partner, user), now, read).await?;
            let allowed = seen.value.ok_or(Error::NotGranted)?;
            if let Some(granted) = &allowed.scopes {
                scopes = scopes.and(Scopes::stored(granted));
            }
            until = until.min(seen.at + BELIEF);
            represented = Some(Represented {
                user: allowed.customer.user,
                client: allowed.customer.client,
                account: allowed.customer.account,
                stands_by: allowed.grant.unwrap_or(user.0),
            });
        }
        let caller = Representative {
            partner: token.partner,
            secret: token.secret,
            scopes,
            customer: represented,
            terms: terms(&partner.row),
            expires_at: token.expires_at,
        };
        this.recall.insert(access_token, customer, Caller::Partner(caller), now..until, ends);
        Ok(caller)
    }

    /// What is known of a partner, at most 4 seconds old.
    async fn standing(&self, partner: PartnerId, now: DateTime<Utc>) -> Result<Seen<Standing>> {
        let this = &*self.0;
        believed(&this.partners.states, partner, now, async || {
            let row = this.store.partner(partner).await?.filter(|row| row.revoked_at.is_none());
            let Some(row) = row else { return Ok(None) };
            let secrets = this.store.partner_secrets(partner).await?;
            let secrets = secrets.into_iter().map(|secret| secret.secret_id).collect();
            Ok(Some(Standing { scopes: Scopes::stored(&row.scopes), secrets, row }))
        })
        .await
    }

    /// What people call a partner, and whether it is of the house.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when it was revoked meanwhile.
    pub async fn partner(&self, partner: PartnerId) -> Result<PartnerRow> {
        let seen = self.standing(partner, self.0.now()).await?;
        Ok(seen.value.ok_or(Error::Unauthenticated)?.row)
    }

    /// Takes what a request of a partner may cost at most from its budget.
    ///
    /// # Errors
    /// [`Unpaid`]; the refusal is counted.
    pub async fn charge(&self, caller: &Representative, cost: u64) -> std::result::Result<Balance, Unpaid> {
        let this = &*self.0;
        let now = this.now();
        let paid = this.partners.budgets.charge(caller.partner, caller.terms, cost, now).await;
        if paid.is_err() {
            this.partners.usage.count(caller.partner, 0, true, now);
        }
        paid
    }

    /// Ends what [`Identity::charge`] began: gives back what was not needed, and counts.
    pub async fn settle(&self, caller: &Representative, paid: u64, needed: u64, is_refused: bool) -> Balance {
        let this = &*self.0;
        let now = this.now();
        this.partners.usage.count(caller.partner, needed, is_refused, now);
        let rest = paid.saturating_sub(needed);
        this.partners.budgets.give_back(caller.partner, caller.terms, rest, now).await
    }

    /// How a partner's budget stands.
    pub async fn balance(&self, caller: &Representative) -> Balance {
        let this = &*self.0;
        this.partners.budgets.give_back(caller.partner, caller.terms, 0, this.now()).await
    }

    /// What a partner used, the latest day first.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    pub async fn usage(&self, partner: PartnerId, days: u32) -> Result<Vec<PartnerUsageRow>> {
        let this = &*self.0;
        this.partners.usage.write(&this.store).await?;
        Ok(this.store.partner_usage(partner, days).await?)
    }
}

fn terms(row: &PartnerRow) -> Terms {
    let number = |number: i64| u32::try_from(number).unwrap_or(1).max(1);
    Terms {
        requests_per_second: number(row.requests_per_second),
        cost_maximum: number(row.cost_maximum),
        cost_restore: number(row.cost_restore),
    }
}
