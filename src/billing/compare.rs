//! Compares what is served of a client with what billing says when asked anew.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Billing, mirror::Mirrored};
use crate::{
    deadline::Budget,
    error::Result,
    freshness::{Kind, Owner, Read, is_same},
    id::ClientId,
};

/// Which of a client's lists are served otherwise than billing says, although no change was reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// The list of invoices.
    pub invoices: bool,
    /// The list of subscriptions.
    pub subscriptions: bool,
}

/// A list as it is served before billing is asked.
struct Served<T> {
    cached: Option<Read<Vec<T>>>,
    /// When the mirror's list was read.
    mirrored_at: Option<DateTime<Utc>>,
}

impl Billing {
    /// Reads both lists of a client from billing, compares them with what the cache and the mirror hold, and writes the
    /// mirror anew. A difference counts when it is still there after `settle`: a report of it may be on its way.
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
        let (now_invoices, now_subscriptions) =
            tokio::join!(self.ask_invoices(client, budget), self.ask_subscriptions(client, budget));
        let (now_invoices, now_subscriptions) = (now_invoices?, now_subscriptions?);
        let mut drift = Drift::default();
        for pause in [Duration::ZERO, settle] {
            tokio::time::sleep(pause).await;
            drift = Drift {
                invoices: self.differs(&self.kinds.invoices, owner, client, &invoices, &now_invoices).await?,
                subscriptions: self
                    .differs(&self.kinds.subscriptions, owner, client, &subscriptions, &now_subscriptions)
                    .await?,
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

    async fn served<T: Mirrored>(&self, kind: &Kind, owner: Owner, client: ClientId) -> Result<Served<T>> {
        let cached = self.cache.peek(kind, &owner.key(kind, "")).await;
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
