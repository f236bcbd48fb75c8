//! Replacing a forgotten password.

use async_graphql::{Context, InputObject, Object, SimpleObject};

use super::{context::Ask, refusal::parted, session::UserErrorNode};
use crate::{error::Result, secret::SecretString};

/// Whose password was forgotten.
#[derive(InputObject)]
pub(super) struct PasswordResetRequestInput {
    /// The address that the customer signs in with, in any spelling.
    email: String,
    /// What the widget gave: see `Query.captcha`. Asked for where `isAlwaysOn`, with the error `AUTH_CAPTCHA_REQUIRED`.
    #[graphql(secret)]
    captcha_token: Option<String>,
}

/// The answer to asking for a link.
#[derive(SimpleObject)]
pub(super) struct PasswordResetRequestPayload {
    /// True unless it was refused, whether or not somebody is registered with the address. If so, a mail is on its way.
    accepted: bool,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The link that was mailed, and the password that shall be.
#[derive(InputObject)]
pub(super) struct PasswordResetInput {
    /// What stands behind `#token=` in the link.
    #[graphql(secret)]
    token: String,
    /// The password from now on: 12 to 128 characters, not easily guessed. Nothing else is asked of it.
    #[graphql(secret)]
    new_password: String,
}

/// The answer to setting a new password by a link.
#[derive(SimpleObject)]
pub(super) struct PasswordResetPayload {
    /// Whether it was set. All sessions are ended then, and the customer signs in as always.
    changed: bool,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// What people can do who forgot their password.
#[derive(Default)]
pub struct PasswordResetMutation;

/// What people can do who forgot their password.
#[Object]
impl PasswordResetMutation {
    /// Mails a link by which a new password is set. It works once, for half an hour. At most once per operation.
    async fn password_reset_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose password was forgotten.")] input: PasswordResetRequestInput,
    ) -> Option<Result<PasswordResetRequestPayload>> {
        let act = async {
            let from = ctx.origin().solved(input.captcha_token);
            let asked = ctx.app()?.identity.request_password_reset(&input.email, &from).await;
            let (asked, user_errors) = parted(ctx, "password.request-reset", asked).await?;
            Ok(PasswordResetRequestPayload { accepted: asked.is_some(), user_errors })
        };
        Some(act.await)
    }

    /// Sets a new password by a link that was mailed, ends all sessions, and signs nobody in. At most once per operation.
    async fn password_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The link and the new password.")] input: PasswordResetInput,
    ) -> Option<Result<PasswordResetPayload>> {
        let act = async {
            let (token, new) = (SecretString::from(input.token), SecretString::from(input.new_password));
            let changed = ctx.app()?.identity.reset_password(&token, &new, &ctx.origin()).await;
            let (changed, user_errors) = parted(ctx, "password.reset", changed).await?;
            Ok(PasswordResetPayload { changed: changed.is_some(), user_errors })
        };
        Some(act.await)
    }
}
