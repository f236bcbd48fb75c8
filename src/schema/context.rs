//! What a resolver finds in its request.

use async_graphql::Context;

use super::{cookies::Cookies, loaders::Loaders};
use crate::{
    app::App,
    deadline::Budget,
    error::{Error, Result},
    identity::{self, Viewer},
};

/// Short names for what every request carries.
pub(super) trait Ask {
    /// The application.
    fn app(&self) -> Result<&App>;
    /// Who is asking.
    fn viewer(&self) -> Result<&Viewer>;
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
