//! Subscriptions and their edges.

use std::{collections::VecDeque, sync::Arc};

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject};
use futures::future::try_join_all;

use super::{
    context::{Ask, load},
    line::Line,
    loaders::OrderOf,
    node::NodeId,
};
use crate::{
    billing::{Invoice, Subscription, SubscriptionKind, SubscriptionStatus},
    crm::Order,
    error::Result,
    page::Page,
};

/// Invoices that are searched for one subscription at most, newest first. Billing has no such search,
/// so each costs a look at its lines.
const SEARCHED_INVOICES: usize = 60;
/// Invoices whose lines are looked at side by side.
const SEARCHED_AT_ONCE: usize = 10;

/// Which subscriptions to show. What is left out does not restrict.
#[derive(Default, InputObject)]
pub(super) struct SubscriptionFilter {
    /// Those with one of these statuses.
    status: Option<Vec<SubscriptionStatus>>,
    /// Those of one of these kinds.
    kind: Option<Vec<SubscriptionKind>>,
}

impl SubscriptionFilter {
    pub(super) fn admits(&self, subscription: &Subscription) -> bool {
        self.status.as_ref().is_none_or(|list| list.contains(&subscription.status))
            && self.kind.as_ref().is_none_or(|list| list.contains(&subscription.kind))
    }
}

/// The order of a list of subscriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
pub(super) enum SubscriptionSort {
    /// Last registered first.
    #[default]
    RegisteredLatest,
    /// The next payment first; those without one last.
    NextDueEarliest,
    /// By name.
    Name,
}

impl SubscriptionSort {
    pub(super) fn apply(self, list: &mut [Subscription]) {
        match self {
            // The list is kept in this order.
            Self::RegisteredLatest => {}
            Self::NextDueEarliest => list.sort_by_key(|s| (s.next_due_on.is_none(), s.next_due_on, s.key)),
            Self::Name => list.sort_by(|a, b| a.name.cmp(&b.name).then(a.key.cmp(&b.key))),
        }
    }
}

#[ComplexObject]
impl Subscription {
    /// Names the object everywhere and for good. Opaque: give it back as it is.
    pub(super) async fn id(&self) -> ID {
        NodeId::Subscription(self.key).encode()
    }

    /// The mobile line behind it. Null for everything that is not one.
    #[graphql(name = "line")]
    async fn mobile_line(&self) -> Option<Line> {
        self.line.clone().map(Line::new)
    }

    /// The order from which it came. Null when it was not ordered in the portal, or orders are not answering.
    async fn order(&self, ctx: &Context<'_>) -> Option<Result<Order>> {
        let read = async { Ok(load(ctx, OrderOf(self.key)).await?.map(Arc::unwrap_or_clone)) };
        read.await.transpose()
    }

    /// The newest invoices that charge it, newest first. The newest 60 invoices of the account are searched.
    /// Null while billing does not answer.
    async fn invoices(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many at most, 1 to 100.", default = 5)] first: i32,
    ) -> Option<Result<Vec<Invoice>>> {
        Some(invoices_of(ctx, self, first).await)
    }
}

/// Looks through the newest invoices, some at a time, until enough are found.
async fn invoices_of(ctx: &Context<'_>, subscription: &Subscription, first: i32) -> Result<Vec<Invoice>> {
    let wanted = Page::read(Some(first), None)?.first;
    let (app, viewer) = (ctx.app()?, ctx.viewer()?);
    let all = ctx.see(app.billing.invoices(viewer).await?);
    let mut left: VecDeque<_> = all.iter().take(SEARCHED_INVOICES).collect();
    let mut found = Vec::new();
    while found.len() < wanted && !left.is_empty() {
        let some: Vec<_> = left.drain(..left.len().min(SEARCHED_AT_ONCE)).collect();
        let details = try_join_all(some.iter().map(|invoice| load(ctx, invoice.key))).await?;
        found.extend(some.into_iter().zip(details).filter_map(|(invoice, details)| {
            let charges = details?.lines.iter().any(|line| line.subscription == Some(subscription.key));
            charges.then(|| invoice.clone())
        }));
    }
    found.truncate(wanted);
    Ok(found)
}
