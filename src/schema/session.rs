//! Signing in and out.

use std::time::Duration;

use async_graphql::{Context, Enum, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::{context::Ask, viewer::ViewerNode};
use crate::{
    error::{Error, Result, UserError},
    identity::{Grant, Viewer},
    secret::{ExposeSecret, SecretString},
};

/// What a session can change.
#[derive(Default)]
pub struct SessionMutation;

/// How a session reaches the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
pub(super) enum SessionDelivery {
    /// As tokens in the answer, for apps and programs, which send `Authorization: Bearer`.
    #[default]
    Tokens,
    /// As cookies that no script can read, for browsers.
    Cookies,
}

/// An e-mail address and its password.
#[derive(InputObject)]
pub(super) struct SessionCreateInput {
    /// The address that the customer signs in with, in any spelling.
    email: String,
    /// The portal password, 12 to 128 characters.
    password: String,
    /// How the session is to reach the client.
    #[graphql(default)]
    delivery: SessionDelivery,
}

/// The token to be exchanged.
#[derive(Default, InputObject)]
pub(super) struct SessionRefreshInput {
    /// The refresh token. Browsers leave it out: theirs is in the cookie, and so will the next be.
    refresh_token: Option<String>,
}

/// A session. With cookies the tokens are null here.
#[derive(SimpleObject)]
pub(super) struct Session {
    /// For the header `Authorization: Bearer`. Null when it went into a cookie.
    access_token: Option<String>,
    /// The access token is refused from then on.
    access_token_expires_at: DateTime<Utc>,
    /// Gives the next session once. Null when it went into a cookie.
    refresh_token: Option<String>,
    /// The refresh token is refused from then on.
    refresh_token_expires_at: DateTime<Utc>,
}

/// Something that the person can put right.
#[derive(SimpleObject)]
pub(super) struct UserErrorNode {
    /// A stable code.
    pub(super) code: String,
    /// Path of the input field at fault; empty when it is the whole input.
    pub(super) field: Vec<String>,
    /// A sentence for the person.
    pub(super) message: String,
}

/// The answer to a sign-in.
#[derive(Default, SimpleObject)]
pub(super) struct SessionCreatePayload {
    /// The new session. Null when it was refused.
    session: Option<Session>,
    /// The customer who signed in. Null when it was refused.
    viewer: Option<ViewerNode>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to a refresh.
#[derive(Default, SimpleObject)]
pub(super) struct SessionRefreshPayload {
    /// The next session. Null when the token was refused.
    session: Option<Session>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to a sign-out.
#[derive(SimpleObject)]
pub(super) struct SessionEndPayload {
    /// Whether a session was ended; false when nobody was signed in.
    ended: bool,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// What a session can change.
#[Object]
impl SessionMutation {
    /// Signs a customer in. At most once per document.
    async fn session_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who signs in.")] input: SessionCreateInput,
    ) -> Option<Result<SessionCreatePayload>> {
        let read = async {
            let app = ctx.app()?;
            writable(ctx, input.delivery)?;
            let password = SecretString::from(input.password);
            let grant = app.identity.sign_in(&input.email, &password, &ctx.origin()).await;
            let grant = match grant {
                Ok(grant) => grant,
                Err(Error::Rejected(errors)) => {
                    return Ok(SessionCreatePayload { user_errors: shown(errors), ..Default::default() });
                }
                Err(error) => return Err(error),
            };
            let principal = app.identity.authenticate(grant.access_token.expose_secret()).await?;
            let viewer = Viewer::new(principal, ctx.budget()?).from(ctx.origin());
            Ok(SessionCreatePayload {
                session: Some(deliver(ctx, grant, input.delivery)?),
                viewer: Some(ViewerNode(viewer)),
                user_errors: Vec::new(),
            })
        };
        Some(read.await)
    }

    /// Exchanges a refresh token for the next session. At most once per document.
    async fn session_refresh(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token to be exchanged; left out by browsers.")] input: Option<
            SessionRefreshInput,
        >,
    ) -> Option<Result<SessionRefreshPayload>> {
        let read = async {
            let (token, delivery) = match input.unwrap_or_default().refresh_token {
                Some(token) => (SecretString::from(token), SessionDelivery::Tokens),
                None => match ctx.cookies()?.refresh() {
                    Some(token) => (token.clone(), SessionDelivery::Cookies),
                    None => return Err(Error::Unauthenticated),
                },
            };
            match ctx.app()?.identity.refresh(&token, &ctx.origin()).await {
                Ok(grant) => Ok(SessionRefreshPayload {
                    session: Some(deliver(ctx, grant, delivery)?),
                    user_errors: Vec::new(),
                }),
                Err(Error::Rejected(errors)) => {
                    Ok(SessionRefreshPayload { session: None, user_errors: shown(errors) })
                }
                Err(Error::Unauthenticated) => {
                    ctx.cookies()?.sign_out();
                    Err(Error::Unauthenticated)
                }
                Err(error) => Err(error),
            }
        };
        Some(read.await)
    }

    /// Ends the session with which this is asked, on every device that shares it.
    async fn session_end(&self, ctx: &Context<'_>) -> Option<Result<SessionEndPayload>> {
        let read = async {
            ctx.cookies()?.sign_out();
            let ended = match ctx.viewer() {
                Ok(viewer) => {
                    ctx.app()?.identity.sign_out(viewer).await?;
                    true
                }
                Err(_) => false,
            };
            Ok(SessionEndPayload { ended, user_errors: Vec::new() })
        };
        Some(read.await)
    }
}

/// Whether tokens can be put where the client wants them: to be asked before anybody is signed in.
pub(super) fn writable(ctx: &Context<'_>, delivery: SessionDelivery) -> Result<()> {
    if delivery == SessionDelivery::Cookies && !ctx.cookies()?.are_writable() {
        let reason = "COOKIES needs a POST with the header x-portal-csrf from an allowed origin";
        return Err(Error::BadInput { argument: "input.delivery", reason });
    }
    Ok(())
}

/// Puts the tokens where the client wants them.
pub(super) fn deliver(ctx: &Context<'_>, grant: Grant, delivery: SessionDelivery) -> Result<Session> {
    let (access_token, refresh_token) = match delivery {
        SessionDelivery::Tokens => (
            Some(grant.access_token.expose_secret().to_owned()),
            Some(grant.refresh_token.expose_secret().to_owned()),
        ),
        SessionDelivery::Cookies => {
            let now = ctx.app()?.clock.now();
            let lasts = |until: DateTime<Utc>| (until - now).to_std().unwrap_or(Duration::ZERO);
            ctx.cookies()?.sign_in(
                grant.access_token,
                lasts(grant.access_expires_at),
                grant.refresh_token,
                lasts(grant.refresh_expires_at),
            );
            (None, None)
        }
    };
    Ok(Session {
        access_token,
        access_token_expires_at: grant.access_expires_at,
        refresh_token,
        refresh_token_expires_at: grant.refresh_expires_at,
    })
}

/// Errors as the graph shows them.
pub(super) fn shown(errors: Vec<UserError>) -> Vec<UserErrorNode> {
    errors
        .into_iter()
        .map(|error| UserErrorNode {
            code: error.code.to_owned(),
            field: error.field.into_iter().map(str::to_owned).collect(),
            message: error.message.to_owned(),
        })
        .collect()
}
