//! Mobile lines.

use async_graphql::{Context, Object};

use super::{
    context::load,
    loaders::{AdditionsTo, StateOf, UsageOf},
};
use crate::{
    error::Result,
    sim::{LineState, QuotaAddition, Usage},
};

/// The mobile line of a subscription.
pub struct Line {
    number: String,
}

impl Line {
    /// The line with a number that billing names for one of the viewer's subscriptions.
    pub(super) fn new(number: String) -> Self {
        Self { number }
    }
}

/// The mobile line of a subscription.
#[Object]
impl Line {
    /// The phone number, digits only.
    async fn phone_number(&self) -> &str {
        &self.number
    }

    /// Its state, plan and options. Null while the network does not know the number yet, or does not answer.
    async fn state(&self, ctx: &Context<'_>) -> Option<Result<LineState>> {
        let read = async {
            let state = load(ctx, StateOf(self.number.clone())).await?;
            Ok(state.and_then(|state| (*state).clone()))
        };
        read.await.transpose()
    }

    /// Data used today and on recent days. Null while the network does not answer.
    async fn usage(&self, ctx: &Context<'_>) -> Option<Result<Usage>> {
        let read = async {
            let usage = load(ctx, UsageOf(self.number.clone())).await?;
            Ok(usage.map(|usage| (*usage).clone()))
        };
        read.await.transpose()
    }

    /// Data added in the last six months, newest first. Null while the network does not answer.
    async fn additions(&self, ctx: &Context<'_>) -> Option<Result<Vec<QuotaAddition>>> {
        let read = async {
            let additions = load(ctx, AdditionsTo(self.number.clone())).await?;
            Ok(additions.map(|additions| (*additions).clone()))
        };
        read.await.transpose()
    }
}
