//! Compares what is served of an account with what the CRM says when asked anew.

use std::time::Duration;

use super::{Case, Crm, Order};
use crate::{
    deadline::Budget,
    error::Result,
    freshness::{Kind, Owner, Read, Value},
    id::AccountId,
};

/// Which of an account's lists are served otherwise than the CRM says, although no change was reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// The list of orders.
    pub orders: bool,
    /// The list of cases.
    pub cases: bool,
}

impl Crm {
    /// Reads the lists of an account from the CRM, as far as the cache holds them, and compares: calls are what the CRM
    /// counts, so nothing is asked for that is not served. A difference counts when it is still there after `settle`:
    /// a report of it may be on its way.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`] when the CRM does not answer, [`crate::error::Error::RateLimited`] when the
    /// allowance is nearly used.
    pub async fn compare(
        &self,
        owner: Owner,
        account: AccountId,
        budget: Budget,
        settle: Duration,
    ) -> Result<Drift> {
        let orders = self.served::<Order>(&self.kinds.orders, owner).await;
        let cases = self.served::<Case>(&self.kinds.cases, owner).await;
        let (now_orders, now_cases) = tokio::join!(
            async {
                match &orders {
                    Some(_) => self.ask_orders(account, budget).await.map(Some),
                    None => Ok(None),
                }
            },
            async {
                match &cases {
                    Some(_) => self.ask_cases(account, budget).await.map(Some),
                    None => Ok(None),
                }
            },
        );
        let (now_orders, now_cases) = (now_orders?, now_cases?);
        let mut drift = Drift::default();
        for pause in [Duration::ZERO, settle] {
            tokio::time::sleep(pause).await;
            drift = Drift {
                orders: self.differs(&self.kinds.orders, owner, orders.as_ref(), now_orders.as_ref()).await,
                cases: self.differs(&self.kinds.cases, owner, cases.as_ref(), now_cases.as_ref()).await,
            };
            if drift == Drift::default() {
                break;
            }
        }
        Ok(drift)
    }

    async fn served<T>(&self, kind: &Kind, owner: Owner) -> Option<Read<Vec<T>>>
    where
        Vec<T>: Value,
    {
        self.cache.peek(kind, &owner.key(kind, "")).await
    }

    async fn differs<T>(
        &self,
        kind: &Kind,
        owner: Owner,
        before: Option<&Read<Vec<T>>>,
        now: Option<&Vec<T>>,
    ) -> bool
    where
        Vec<T>: Value,
    {
        match (before, now) {
            (Some(before), Some(now)) => {
                self.cache.still_differs(kind, &owner.key(kind, ""), before, now).await
            }
            _ => false,
        }
    }
}
