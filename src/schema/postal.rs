//! Postal look-up, the part of the graph for people who fill in a form.

use async_graphql::Context;

use super::context::Ask;
use crate::{error::Result, postal::PostalAddress};

/// The addresses that a code stands for, counted against the client that asks.
pub(super) async fn look_up(ctx: &Context<'_>, code: &str) -> Result<Vec<PostalAddress>> {
    let read = ctx.app()?.postal.look_up(ctx.reader()?, ctx.origin().address, code).await?;
    Ok((*ctx.see(read)).clone())
}
