//! Support cases and their edges.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, SimpleObject};

use super::{
    context::load,
    node::{NodeId, opaque},
};
use crate::{
    billing::Subscription,
    crm::{Case, CaseCounts, CaseMessage, CasePriority, CaseStatus},
    error::Result,
};

/// Which cases to show. What is left out does not restrict.
#[derive(Default, InputObject)]
pub(super) struct CaseFilter {
    /// Those with one of these statuses.
    status: Option<Vec<CaseStatus>>,
    /// Those of one of these priorities.
    priority: Option<Vec<CasePriority>>,
    /// Those of this category.
    category: Option<String>,
    /// Those whose number or subject contains this text, in upper or lower case.
    search: Option<String>,
}

impl CaseFilter {
    pub(super) fn admits(&self, case: &Case) -> bool {
        self.status.as_ref().is_none_or(|list| list.contains(&case.status))
            && self.priority.as_ref().is_none_or(|list| list.contains(&case.priority))
            && self.category.as_ref().is_none_or(|wanted| case.category.as_ref() == Some(wanted))
            && self.search.as_ref().is_none_or(|text| {
                let text = text.trim().to_lowercase();
                case.number.contains(&text) || case.subject.to_lowercase().contains(&text)
            })
    }
}

/// The order of a list of cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
pub(super) enum CaseSort {
    /// Last changed first.
    #[default]
    UpdatedLatest,
    /// Last opened first.
    CreatedLatest,
    /// High priority first, then last changed.
    PriorityHighest,
}

impl CaseSort {
    pub(super) fn apply(self, list: &mut [Case]) {
        match self {
            // The list is kept in this order.
            Self::UpdatedLatest => {}
            Self::CreatedLatest => list.sort_by_key(|c| std::cmp::Reverse((c.created_at, c.key))),
            Self::PriorityHighest => list.sort_by_key(|c| match c.priority {
                CasePriority::High => 0,
                CasePriority::Medium => 1,
                CasePriority::Low => 2,
            }),
        }
    }
}

/// What a list of cases says of the whole list.
#[derive(SimpleObject)]
pub struct CaseList {
    /// How many items the whole list has, filters applied.
    pub total_count: i32,
    /// How many cases of each sort the viewer has, filters not applied.
    pub counts: CaseCounts,
}

#[ComplexObject]
impl Case {
    /// Names the object everywhere and for good. Opaque: give it back as it is.
    pub(super) async fn id(&self) -> ID {
        NodeId::Case(self.key).encode()
    }

    /// What was said, oldest first: public comments and e-mails. Null while support is not answering.
    async fn conversation(&self, ctx: &Context<'_>) -> Option<Result<Vec<CaseMessage>>> {
        let read = async {
            let messages = load(ctx, self.key).await?;
            Ok(messages.map(|messages| (*messages).clone()).unwrap_or_default())
        };
        Some(read.await)
    }

    /// The subscription that it is about. Null when it is about none, or while billing does not answer.
    #[graphql(name = "subscription")]
    async fn about(&self, ctx: &Context<'_>) -> Option<Result<Subscription>> {
        let key = self.subscription?;
        let read = async { Ok(load(ctx, key).await?.map(Arc::unwrap_or_clone)) };
        read.await.transpose()
    }
}

#[ComplexObject]
impl CaseMessage {
    /// Tells the messages of a case apart. Opaque, and not found by `node`.
    pub(super) async fn id(&self) -> ID {
        opaque("CaseMessage", self.key)
    }
}
