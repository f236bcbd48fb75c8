//! What a resolver finds in its request.

use std::sync::Arc;

use async_graphql::{Context, dataloader::Loader};

use super::{
    cookies::Cookies,
    loaders::{self, Loaders},
};
use crate::{
    app::App,
    deadline::Budget,
    error::{Error, Result},
    freshness::{Read, Reader},
    identity::{self, Caller, Representative, Viewer},
};

/// Short names for what every request carries.
pub(super) trait Ask {
    /// The application.
    fn app(&self) -> Result<&App>;
    /// Who is asking.
    fn viewer(&self) -> Result<&Viewer>;
    /// The partner that is asking.
    fn partner(&self) -> Result<&Representative>;
    /// What this request reads with, and what it read.
    fn reader(&self) -> Result<&Reader>;
    /// Notes where the value behind this field came from.
    fn see<T>(&self, read: Read<T>) -> Arc<T>;
    /// The loaders of this request.
    fn loaders(&self) -> Result<&Loaders>;
    /// The cookies of the request and its answer.
    fn cookies(&self) -> Result<&Cookies>;
    /// What the request may spend upstream.
    fn budget(&self) -> Result<Budget>;
    /// Where the request comes from.
    fn origin(&self) -> identity::Context;
}

impl Ask for Context<'_> {
    fn app(&self) -> Result<&App> {
        self.data_opt().ok_or_else(|| Error::internal("the schema was built without an application"))
    }

    fn viewer(&self) -> Result<&Viewer> {
        self.data_opt::<Option<Viewer>>().and_then(Option::as_ref).ok_or(Error::Unauthenticated)
    }

    fn partner(&self) -> Result<&Representative> {
        let caller = self.data_opt::<Option<Caller>>().and_then(Option::as_ref);
        caller.and_then(Caller::partner).ok_or(Error::Forbidden)
    }

    fn reader(&self) -> Result<&Reader> {
        match self.viewer() {
            Ok(viewer) => Ok(viewer.reader()),
            Err(_) => self.data_opt().ok_or_else(|| Error::internal("the request was made without a reader")),
        }
    }

    fn see<T>(&self, read: Read<T>) -> Arc<T> {
        if let Ok(reader) = self.reader()
            && let Some(path) = self.path_node
        {
            reader.see(path.to_string(), &read);
        }
        read.into_value()
    }

    fn loaders(&self) -> Result<&Loaders> {
        self.data_opt().ok_or_else(|| Error::internal("the request was made without loaders"))
    }

    fn cookies(&self) -> Result<&Cookies> {
        self.data_opt().ok_or_else(|| Error::internal("the request was made without cookies"))
    }

    fn budget(&self) -> Result<Budget> {
        self.data_opt().copied().ok_or_else(|| Error::internal("the request was made without a budget"))
    }

    fn origin(&self) -> identity::Context {
        self.data_opt::<identity::Context>().cloned().unwrap_or_default()
    }
}

/// Loads one value through the loaders of the request, and notes where it came from.
pub(super) async fn load<K, V>(ctx: &Context<'_>, key: K) -> Result<Option<Arc<V>>>
where
    K: Send + Sync + std::hash::Hash + Eq + Clone + 'static,
    V: Send + Sync + 'static,
    loaders::Reader: Loader<K, Value = Result<Read<V>>, Error = Error>,
{
    Ok(ctx.loaders()?.one(key).await?.map(|read| ctx.see(read)))
}
