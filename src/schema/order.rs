//! Orders and their edges.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, ID, InputObject};
use futures::future::try_join_all;

use super::{context::load, node::NodeId};
use crate::{
    billing::Subscription,
    crm::{Order, OrderKind, OrderLine, OrderStatus},
    error::Result,
};

/// Which orders to show. What is left out does not restrict.
#[derive(Default, InputObject)]
pub(super) struct OrderFilter {
    /// Those with one of these statuses.
    status: Option<Vec<OrderStatus>>,
    /// Those of one of these kinds.
    kind: Option<Vec<OrderKind>>,
}

impl OrderFilter {
    pub(super) fn admits(&self, order: &Order) -> bool {
        self.status.as_ref().is_none_or(|list| list.contains(&order.status))
            && self.kind.as_ref().is_none_or(|list| list.contains(&order.kind))
    }
}

#[ComplexObject]
impl Order {
    /// Names the object everywhere and for good. Opaque: give it back as it is.
    pub(super) async fn id(&self) -> ID {
        NodeId::Order(self.key).encode()
    }

    /// The subscriptions that came of it; empty until it is carried out. Null while billing does not answer.
    async fn subscriptions(&self, ctx: &Context<'_>) -> Option<Result<Vec<Subscription>>> {
        let read = async {
            let keys = self.lines.iter().filter_map(|line| line.subscription);
            let found = try_join_all(keys.map(|key| load(ctx, key))).await?;
            Ok(found.into_iter().flatten().map(Arc::unwrap_or_clone).collect())
        };
        Some(read.await)
    }
}

#[ComplexObject]
impl OrderLine {
    /// The subscription that the line became. Null until then, or while billing does not answer.
    #[graphql(name = "subscription")]
    async fn became(&self, ctx: &Context<'_>) -> Option<Result<Subscription>> {
        let key = self.subscription?;
        let read = async { Ok(load(ctx, key).await?.map(Arc::unwrap_or_clone)) };
        read.await.transpose()
    }
}
