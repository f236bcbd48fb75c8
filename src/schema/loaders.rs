//! Request-scoped loaders: each edge between objects gathers the keys of one request and drops
//! duplicates.
//!
//! The batching delay is a yield of the scheduler, not a timer: a timer would cost a millisecond on
//! every edge.

use std::{collections::HashMap, time::Duration};

use async_graphql::{
    dataloader::{DataLoader, HashMapCache, Loader},
    runtime::{Timer, TokioSpawner},
};
use futures::future::{BoxFuture, join_all};

use crate::{
    app::App,
    billing::{InvoiceDetails, Subscription},
    crm::{CaseMessage, Order},
    error::{Error, Result},
    freshness::Read,
    id::{CaseId, InvoiceId, SubscriptionId},
    identity::Viewer,
    sim::{LineState, QuotaAddition, Usage},
};

/// The loaders of one request.
pub(super) struct Loaders(DataLoader<Reader, HashMapCache>);

impl Loaders {
    /// Loaders for one request of a viewer, or of nobody.
    pub(super) fn new(app: App, viewer: Option<Viewer>) -> Self {
        let reader = Reader { app, viewer };
        Self(DataLoader::with_cache(reader, TokioSpawner::current(), Yield, HashMapCache::default()))
    }

    /// Loads one value; the values of keys asked in the same tick are loaded together.
    pub(super) async fn one<K, V>(&self, key: K) -> Result<Option<Read<V>>>
    where
        K: Send + Sync + std::hash::Hash + Eq + Clone + 'static,
        V: Send + Sync + 'static,
        Reader: Loader<K, Value = Result<Read<V>>, Error = Error>,
    {
        self.0.load_one(key).await?.transpose()
    }
}

/// Lets everything that is ready run before a batch leaves.
struct Yield;

impl Timer for Yield {
    fn delay(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::task::yield_now())
    }
}

/// Reads for the viewer of the request.
pub(super) struct Reader {
    app: App,
    viewer: Option<Viewer>,
}

impl Reader {
    fn viewer(&self) -> Result<&Viewer> {
        self.viewer.as_ref().ok_or(Error::Unauthenticated)
    }
}

/// The state of the line with this number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct StateOf(pub(super) String);
/// The usage of the line with this number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct UsageOf(pub(super) String);
/// The data added to the line with this number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct AdditionsTo(pub(super) String);
/// The order from which this subscription came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct OrderOf(pub(super) SubscriptionId);

/// Each key by a read of its own, side by side; one that fails does not touch the others.
async fn each<K, V, F>(keys: &[K], read: impl Fn(K) -> F) -> HashMap<K, Result<V>>
where
    K: Clone + Eq + std::hash::Hash,
    F: Future<Output = Result<V>>,
{
    let values = join_all(keys.iter().cloned().map(read)).await;
    keys.iter().cloned().zip(values).collect()
}

impl Loader<StateOf> for Reader {
    type Value = Result<Read<Option<LineState>>>;
    type Error = Error;

    async fn load(&self, keys: &[StateOf]) -> Result<HashMap<StateOf, Self::Value>> {
        let viewer = self.viewer()?;
        Ok(each(keys, |key| async move { self.app.sim.state(viewer, &key.0).await }).await)
    }
}

impl Loader<UsageOf> for Reader {
    type Value = Result<Read<Usage>>;
    type Error = Error;

    async fn load(&self, keys: &[UsageOf]) -> Result<HashMap<UsageOf, Self::Value>> {
        let viewer = self.viewer()?;
        Ok(each(keys, |key| async move { self.app.sim.usage(viewer, &key.0).await }).await)
    }
}

impl Loader<AdditionsTo> for Reader {
    type Value = Result<Read<Vec<QuotaAddition>>>;
    type Error = Error;

    async fn load(&self, keys: &[AdditionsTo]) -> Result<HashMap<AdditionsTo, Self::Value>> {
        let viewer = self.viewer()?;
        Ok(each(keys, |key| async move { self.app.sim.additions(viewer, &key.0).await }).await)
    }
}

impl Loader<InvoiceId> for Reader {
    type Value = Result<Read<InvoiceDetails>>;
    type Error = Error;

    async fn load(&self, keys: &[InvoiceId]) -> Result<HashMap<InvoiceId, Self::Value>> {
        let viewer = self.viewer()?;
        let found =
            each(keys, |key| async move { self.app.billing.invoice_details(viewer, key).await }).await;
        Ok(found.into_iter().filter_map(|(key, details)| Some((key, details.transpose()?))).collect())
    }
}

impl Loader<SubscriptionId> for Reader {
    type Value = Result<Read<Subscription>>;
    type Error = Error;

    async fn load(&self, keys: &[SubscriptionId]) -> Result<HashMap<SubscriptionId, Self::Value>> {
        let all = self.app.billing.subscriptions(self.viewer()?).await?;
        let wanted = all.iter().filter(|subscription| keys.contains(&subscription.key));
        Ok(wanted.map(|subscription| (subscription.key, Ok(all.part(subscription.clone())))).collect())
    }
}

impl Loader<OrderOf> for Reader {
    type Value = Result<Read<Order>>;
    type Error = Error;

    async fn load(&self, keys: &[OrderOf]) -> Result<HashMap<OrderOf, Self::Value>> {
        let orders = self.app.crm.orders(self.viewer()?).await?;
        let lines = orders.iter().flat_map(|order| order.lines.iter().map(move |line| (order, line)));
        Ok(lines
            .filter_map(|(order, line)| {
                let key = OrderOf(line.subscription?);
                keys.contains(&key).then(|| (key, Ok(orders.part(order.clone()))))
            })
            .collect())
    }
}

impl Loader<CaseId> for Reader {
    type Value = Result<Read<Vec<CaseMessage>>>;
    type Error = Error;

    async fn load(&self, keys: &[CaseId]) -> Result<HashMap<CaseId, Self::Value>> {
        let found = self.app.crm.conversations(self.viewer()?, keys).await?;
        Ok(found.into_iter().map(|(case, messages)| (case, Ok(messages))).collect())
    }
}
