//! One's own account: the password, and the sessions that stand.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    context::Ask,
    node::{key_of, opaque},
    refusal::parted,
    session::UserErrorNode,
};
use crate::{error::Result, identity::ActiveSession, secret::SecretString};

/// What a program is that signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum DeviceKind {
    /// A web browser.
    Browser,
    /// An app of a phone or tablet.
    App,
    /// Another program.
    Other,
}

impl DeviceKind {
    pub(super) fn of(kind: &str) -> Self {
        match kind {
            "browser" => Self::Browser,
            "app" => Self::App,
            _ => Self::Other,
        }
    }
}

/// A name, when there is one.
pub(super) fn named(name: String) -> Option<String> {
    Some(name).filter(|name| !name.is_empty())
}

/// A sign-in that stands: as long as it does, its device stays signed in.
#[derive(SimpleObject)]
#[graphql(name = "ActiveSession")]
pub(super) struct ActiveSessionNode {
    /// For `sessionRevoke`. Opaque.
    id: ID,
    /// What signed in.
    device: DeviceKind,
    /// Browser and system, such as `Firefox, Windows`. Null when unknown.
    device_name: Option<String>,
    /// The network from which it signed in: the first three numbers of an IPv4 address, or the first three groups of an
    /// IPv6 address. Null when unknown.
    network: Option<String>,
    /// When it signed in.
    created_at: DateTime<Utc>,
    /// When it was last seen: its tokens were exchanged then.
    last_used_at: DateTime<Utc>,
    /// It ends then at the latest.
    expires_at: DateTime<Utc>,
    /// Whether it is the one that asks.
    is_current: bool,
}

impl ActiveSessionNode {
    pub(super) fn new(session: ActiveSession, current: Uuid) -> Self {
        Self {
            id: opaque("Session", session.id),
            device: DeviceKind::of(&session.device),
            device_name: named(session.device_name),
            network: session.network,
            created_at: session.created_at,
            last_used_at: session.refreshed_at,
            expires_at: session.expires_at,
            is_current: session.id == current,
        }
    }
}

/// The session to be ended.
#[derive(InputObject)]
pub(super) struct SessionRevokeInput {
    /// Its id.
    id: ID,
}

/// The answer to ending a session.
#[derive(SimpleObject)]
pub(super) struct SessionRevokePayload {
    /// Whether it stood until now. It is refused within 5 seconds everywhere.
    revoked: bool,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to ending all other sessions.
#[derive(SimpleObject)]
pub(super) struct SessionRevokeOthersPayload {
    /// How many stood until now.
    revoked_count: i32,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The password that is, and the one that shall be.
#[derive(InputObject)]
pub(super) struct PasswordChangeInput {
    /// The password until now.
    #[graphql(secret)]
    current_password: String,
    /// The password from now on: 12 to 128 characters, not easily guessed. Nothing else is asked of it.
    #[graphql(secret)]
    new_password: String,
}

/// The answer to changing the password.
#[derive(SimpleObject)]
pub(super) struct PasswordChangePayload {
    /// Whether it was changed. The other sessions are ended then.
    changed: bool,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// What people can change of their own account.
#[derive(Default)]
pub struct AccountMutation;

/// What people can change of their own account.
#[Object]
impl AccountMutation {
    /// Changes the password, ends all other sessions, and asks for a code again on every device. At most once per operation.
    async fn password_change(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Both passwords.")] input: PasswordChangeInput,
    ) -> Option<Result<PasswordChangePayload>> {
        let act = async {
            let (current, new) =
                (SecretString::from(input.current_password), SecretString::from(input.new_password));
            let changed = ctx.app()?.identity.change_password(ctx.viewer()?, &current, &new).await;
            let (changed, user_errors) = parted(ctx, "password.change", changed).await?;
            Ok(PasswordChangePayload { changed: changed.is_some(), user_errors })
        };
        Some(act.await)
    }

    /// Ends one of one's own sessions, such as that of a lost device.
    async fn session_revoke(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: SessionRevokeInput,
    ) -> Option<Result<SessionRevokePayload>> {
        let act = async {
            let session = key_of("input.id", "Session", &input.id)?;
            let revoked = ctx.app()?.identity.end_session(ctx.viewer()?, session).await?;
            Ok(SessionRevokePayload { revoked, user_errors: Vec::new() })
        };
        Some(act.await)
    }

    /// Ends all sessions but the one that asks.
    async fn session_revoke_others(&self, ctx: &Context<'_>) -> Option<Result<SessionRevokeOthersPayload>> {
        let act = async {
            let ended = ctx.app()?.identity.end_other_sessions(ctx.viewer()?).await?;
            let revoked_count = i32::try_from(ended).unwrap_or(i32::MAX);
            Ok(SessionRevokeOthersPayload { revoked_count, user_errors: Vec::new() })
        };
        Some(act.await)
    }
}
