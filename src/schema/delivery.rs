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
    identity::{Principal, Viewer},
};

/// For whom a subscription delivers, and how long one delivery may take.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Who subscribed.
    pub principal: Principal,
    /// The whole time of one delivery.
    pub within: Duration,
}

impl Delivery {
    /// The viewer of one delivery, which begins now.
    pub(super) fn viewer(&self) -> Viewer {
        Viewer::new(self.principal, Budget::new(self.within, Lane::Interactive))
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
        let viewer = delivery.viewer();
        let mut data = Data::default();
        data.insert(viewer.budget());
        data.insert(Loaders::new(app.clone(), Some(viewer.clone())));
        data.insert(Some(viewer));
        next.run_with_data(ctx, operation_name, data).await
    }
}
