//! Invoices and their edges.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, SimpleObject};

use super::{context::load, node::NodeId};
use crate::{
    billing::{Invoice, InvoiceDetails, InvoiceLine, InvoiceStatus, InvoiceTotals, Subscription},
    error::Result,
    money::Money,
};

/// Which invoices to show. What is left out does not restrict.
#[derive(Default, InputObject)]
pub(super) struct InvoiceFilter {
    /// Those with one of these statuses.
    status: Option<Vec<InvoiceStatus>>,
    /// Those whose number contains this text.
    search: Option<String>,
}

impl InvoiceFilter {
    pub(super) fn admits(&self, invoice: &Invoice) -> bool {
        self.status.as_ref().is_none_or(|list| list.contains(&invoice.status))
            && self.search.as_ref().is_none_or(|text| invoice.number.contains(text.trim()))
    }
}

/// The order of a list of invoices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
pub(super) enum InvoiceSort {
    /// Last issued first.
    #[default]
    IssuedLatest,
    /// First issued first.
    IssuedEarliest,
    /// First due first.
    DueEarliest,
    /// Highest total first.
    TotalHighest,
}

impl InvoiceSort {
    pub(super) fn apply(self, list: &mut [Invoice]) {
        match self {
            // The list is kept in this order.
            Self::IssuedLatest => {}
            Self::IssuedEarliest => list.reverse(),
            Self::DueEarliest => list.sort_by_key(|i| (i.due_on.is_none(), i.due_on, i.key)),
            Self::TotalHighest => {
                list.sort_by(|a, b| b.total.amount.cmp(&a.total.amount).then(a.key.cmp(&b.key)));
            }
        }
    }
}

/// What a list of invoices says of the whole list.
#[derive(SimpleObject)]
pub struct InvoiceList {
    /// How many items the whole list has, filters applied.
    pub total_count: i32,
    /// What the whole list comes to, filters applied.
    pub totals: InvoiceTotals,
}

async fn details(ctx: &Context<'_>, invoice: &Invoice) -> Result<Option<Arc<InvoiceDetails>>> {
    load(ctx, invoice.key).await
}

#[ComplexObject]
impl Invoice {
    /// Names the object everywhere and for good. Opaque: give it back as it is.
    pub(super) async fn id(&self) -> ID {
        NodeId::Invoice(self.key).encode()
    }

    /// What is to be paid by the status: the total while the invoice is due, else zero.
    #[graphql(name = "amountDue")]
    async fn due(&self) -> Money {
        self.amount_due()
    }

    /// What is still to be paid, part payments taken off; negative after an overpayment. Null while billing does not answer.
    async fn balance(&self, ctx: &Context<'_>) -> Option<Result<Money>> {
        Some(details(ctx, self).await.transpose()?.map(|details| details.balance))
    }

    /// The lines, in print order. Null while billing does not answer.
    async fn lines(&self, ctx: &Context<'_>) -> Option<Result<Vec<InvoiceLine>>> {
        Some(details(ctx, self).await.transpose()?.map(|details| details.lines.clone()))
    }
}

#[ComplexObject]
impl InvoiceLine {
    /// The subscription that the line charges. Null for a line without one, or while billing does not answer.
    #[graphql(name = "subscription")]
    async fn charged(&self, ctx: &Context<'_>) -> Option<Result<Subscription>> {
        let key = self.subscription?;
        let read = async { Ok(load(ctx, key).await?.map(Arc::unwrap_or_clone)) };
        read.await.transpose()
    }
}
