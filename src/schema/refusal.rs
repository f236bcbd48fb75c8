//! What a mutation says when it is refused, and what the audit log is told of it.
//!
//! Whatever the person can put right goes through here on its way out, with the name of the act as the audit log has it: no
//! refusal leaves a mutation without a trace, and one that the act has put on record itself leaves no second one.

use async_graphql::Context;

use super::{context::Ask, session::UserErrorNode};
use crate::{
    error::{Error, Result, UserError},
    identity::Viewer,
};

/// What an act gave, and what the person can put right.
pub(super) async fn parted<T>(
    ctx: &Context<'_>,
    act: &'static str,
    result: Result<T>,
) -> Result<(Option<T>, Vec<UserErrorNode>)> {
    match result {
        Ok(value) => Ok((Some(value), Vec::new())),
        Err(Error::Rejected(errors)) => Ok((None, refused(ctx, act, errors).await?)),
        Err(error) => Err(error),
    }
}

/// What was wrong, as the graph shows it; on record from now on.
pub(super) async fn refused(
    ctx: &Context<'_>,
    act: &'static str,
    errors: Vec<UserError>,
) -> Result<Vec<UserErrorNode>> {
    let viewer = ctx.data_opt::<Option<Viewer>>().and_then(Option::as_ref);
    // The viewer's own: it knows who is signed in, and what is on record.
    let origin = ctx.origin();
    let from = viewer.map_or(&origin, Viewer::context);
    ctx.app()?.identity.note_rejection(viewer, from, act, &errors).await?;
    Ok(errors.into_iter().map(UserErrorNode::from).collect())
}

impl From<UserError> for UserErrorNode {
    fn from(error: UserError) -> Self {
        Self {
            code: error.code.to_owned(),
            field: error.field.into_iter().map(str::to_owned).collect(),
            message: error.message.to_owned(),
        }
    }
}
