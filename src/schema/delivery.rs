//! What one delivery of a subscription finds in its context.
//!
//! The engine resolves every event of a subscription with the data of the request that began it. Loaders remember what
//! they loaded and a budget ends after seconds, so each delivery gets its own, through the one door that
//! the engine has for that: an extension. It stands in a second build of the schema, since an
//! extension costs every field of every query something.

use std::{sync::Arc, time::Duration};

use async_graphql::{
    Data, Response,
    async_trait::async_trait,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute},
};

use super::loaders::Loaders;
use crate::{
    app::App,
    deadline::{Budget, Lane},
    identity::{Caller, Viewer},
};

/// For whom a subscription delivers, and how long one delivery may take.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Who subscribed.
    pub caller: Caller,
    /// The whole time of one delivery.
    pub within: Duration,
}

impl Delivery {
    /// The viewer of one delivery, which begins now; `None` for a partner that acts for nobody.
    pub(super) fn viewer(&self) -> Option<Viewer> {
        let lane = if self.caller.partner().is_some() { Lane::Partner } else { Lane::Interactive };
        Viewer::of(&self.caller, Budget::new(self.within, lane))
    }
}

/// Gives each delivery its own viewer, loaders and budget.
pub(super) struct Anew;

impl ExtensionFactory for Anew {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait]
impl Extension for Anew {
    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        let (Some(delivery), Some(app)) = (ctx.data_opt::<Delivery>(), ctx.data_opt::<App>()) else {
            return next.run(ctx, operation_name).await;
        };
        let Some(viewer) = delivery.viewer() else { return next.run(ctx, operation_name).await };
        let mut data = Data::default();
        data.insert(viewer.budget());
        data.insert(Loaders::new(app.clone(), Some(viewer.clone())));
        data.insert(Some(viewer));
        next.run_with_data(ctx, operation_name, data).await
    }
}
