//! Compares what is served of a client with what billing says when asked anew.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Billing, PaymentMethod, Profile, mirror::Mirrored};
use crate::{
    deadline::Budget,
    error::{Error, Result},
    freshness::{Kind, Owner, Read, Value, is_same},
    id::ClientId,
};

/// What of a client is served otherwise than billing says, although no change was reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// The list of invoices.
    pub invoices: bool,
    /// The list of subscriptions.
    pub subscriptions: bool,
    /// The profile.
    pub profile: bool,
    /// The stored payment methods.
    pub payment_methods: bool,
}

/// A list as it is served before billing is asked.
struct Served<T> {
    cached: Option<Read<Vec<T>>>,
    /// When the mirror's list was read.
    mirrored_at: Option<DateTime<Utc>>,
}

impl Billing {
    /// Reads the profile and both lists of a client from billing, and the payment methods when they are cached, compares
    /// them with what the cache and the mirror hold, and writes the mirror anew. A difference counts when it is still
    /// there after `settle`: a report of it may be on its way.
    ///
    /// # Errors
    /// As [`Billing::mirror_anew`].
    pub async fn compare(
        &self,
        owner: Owner,
        client: ClientId,
        budget: Budget,
        settle: Duration,
    ) -> Result<Drift> {
        let asked_at = self.clock.now();
        let invoices = self.served(&self.kinds.invoices, owner, client).await?;
        let subscriptions = self.served(&self.kinds.subscriptions, owner, client).await?;
        let profile = self.cached::<Profile>(&self.kinds.profile, owner).await;
        let methods = self.cached::<Vec<PaymentMethod>>(&self.kinds.payment_methods, owner).await;
        let (now_invoices, now_subscriptions, now_methods) = tokio::join!(
            self.ask_invoices(client, budget),
            // The profile says in which currency they are.
            async {
                let now_profile = self.ask_profile(client, budget).await?;
                let currency = std::future::ready(Ok(now_profile.currency));
                Ok::<_, Error>((self.load_subscriptions(client, budget, currency).await?, now_profile))
            },
            async {
                match &methods {
                    Some(_) => self.ask_payment_methods(client, budget).await.map(Some),
                    None => Ok(None),
                }
            },
        );
        let (now_invoices, (now_subscriptions, now_profile)) = (now_invoices?, now_subscriptions?);
        let now_methods = now_methods?;
        let mut drift = Drift::default();
        for pause in [Duration::ZERO, settle] {
            tokio::time::sleep(pause).await;
            drift = Drift {
                invoices: self.differs(&self.kinds.invoices, owner, client, &invoices, &now_invoices).await?,
                subscriptions: self
                    .differs(&self.kinds.subscriptions, owner, client, &subscriptions, &now_subscriptions)
                    .await?,
                profile: self
                    .cached_differs(&self.kinds.profile, owner, profile.as_ref(), Some(&now_profile))
                    .await,
                payment_methods: self
                    .cached_differs(
                        &self.kinds.payment_methods,
                        owner,
                        methods.as_ref(),
                        now_methods.as_ref(),
                    )
                    .await,
            };
            if drift == Drift::default() {
                break;
            }
        }
        if let Some(mirrors) = &self.mirrors {
            mirrors.keep(client, &now_invoices, asked_at).await?;
            mirrors.keep(client, &now_subscriptions, asked_at).await?;
        }
        Ok(drift)
    }

    async fn cached<T: Value>(&self, kind: &Kind, owner: Owner) -> Option<Read<T>> {
        self.cache.peek(kind, &owner.key(kind, "")).await
    }

    async fn cached_differs<T: Value>(
        &self,
        kind: &Kind,
        owner: Owner,
        before: Option<&Read<T>>,
        now: Option<&T>,
    ) -> bool {
        match (before, now) {
            (Some(before), Some(now)) => {
                self.cache.still_differs(kind, &owner.key(kind, ""), before, now).await
            }
            _ => false,
        }
    }

    async fn served<T: Mirrored>(&self, kind: &Kind, owner: Owner, client: ClientId) -> Result<Served<T>> {
        let cached = self.cached(kind, owner).await;
        let remembered = match &self.mirrors {
            Some(mirrors) => mirrors.recall::<T>(client, self.clock.today()).await?,
            None => None,
        };
        Ok(Served { cached, mirrored_at: remembered.map(|list| list.loaded_at) })
    }

    /// Whether what was served before is served still, and is not what billing says.
    async fn differs<T: Mirrored>(
        &self,
        kind: &Kind,
        owner: Owner,
        client: ClientId,
        before: &Served<T>,
        now: &Vec<T>,
    ) -> Result<bool> {
        if let Some(before) = &before.cached
            && self.cache.still_differs(kind, &owner.key(kind, ""), before, now).await
        {
            return Ok(true);
        }
        let Some(mirrors) = &self.mirrors else { return Ok(false) };
        let remembered = mirrors.recall::<T>(client, self.clock.today()).await?;
        Ok(remembered.is_some_and(|list| {
            before.mirrored_at == Some(list.loaded_at) && !list.is_known_old && !is_same(&list.rows, now)
        }))
    }
}
