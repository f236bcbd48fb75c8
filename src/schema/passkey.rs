//! Passkeys: registering, keeping and using them.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    context::Ask,
    node::{key_of, opaque},
    refusal::parted,
    session::{Session, SessionDelivery, UserErrorNode, can_deliver, enter},
    viewer::ViewerNode,
};
use crate::{
    error::Result,
    identity::{Entry, Passkey},
    secret::SecretString,
};

const KIND: &str = "Passkey";

/// A passkey of the customer: what a device, a phone or a security key keeps to sign in without a password.
#[derive(SimpleObject)]
#[graphql(name = "Passkey")]
pub(super) struct PasskeyNode {
    /// For `passkeyRename` and `passkeyRemove`. Opaque.
    id: ID,
    /// What the customer calls it.
    name: String,
    /// When it was registered.
    created_at: DateTime<Utc>,
    /// When it was last used. Null when it never was.
    last_used_at: Option<DateTime<Utc>>,
    /// Whether it outlives the loss of one device, since its keeper copies it to others.
    is_backed_up: bool,
}

impl From<Passkey> for PasskeyNode {
    fn from(passkey: Passkey) -> Self {
        Self {
            id: opaque(KIND, passkey.id),
            name: passkey.name,
            created_at: passkey.created_at,
            last_used_at: passkey.last_used_at,
            is_backed_up: passkey.is_backed_up,
        }
    }
}

/// What an authenticator answered, and a name for the passkey.
#[derive(InputObject)]
pub(super) struct PasskeyRegistrationFinishInput {
    /// What `navigator.credentials.create` gave, as its `toJSON` writes it.
    credential: Value,
    /// What the customer calls it, 1 to 64 characters: the device, for example.
    name: String,
}

/// A passkey and its next name.
#[derive(InputObject)]
pub(super) struct PasskeyRenameInput {
    /// Its id.
    id: ID,
    /// The next name, 1 to 64 characters.
    name: String,
}

/// The passkey to be removed.
#[derive(InputObject)]
pub(super) struct PasskeyRemoveInput {
    /// Its id.
    id: ID,
}

/// What an authenticator answered.
#[derive(InputObject)]
pub(super) struct PasskeySignInFinishInput {
    /// What `navigator.credentials.get` gave, as its `toJSON` writes it.
    credential: Value,
    /// How the session is to reach the client.
    #[graphql(default)]
    delivery: SessionDelivery,
    /// What an earlier sign-in left on this device. Browsers leave it out: theirs is in the cookie.
    #[graphql(secret)]
    device_token: Option<String>,
}

/// What an authenticator is to be asked.
#[derive(SimpleObject)]
pub(super) struct PasskeyRegistrationBeginPayload {
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON`, within 5 minutes. Null when it was refused.
    options: Option<Value>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to a registration.
#[derive(SimpleObject)]
pub(super) struct PasskeyRegistrationFinishPayload {
    /// The new passkey. Null when it was refused.
    passkey: Option<PasskeyNode>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to another name.
#[derive(SimpleObject)]
pub(super) struct PasskeyRenamePayload {
    /// The passkey. Null when it was refused, or is none of the customer's.
    passkey: Option<PasskeyNode>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to removing a passkey.
#[derive(SimpleObject)]
pub(super) struct PasskeyRemovePayload {
    /// Whether it was there until now. It signs nobody in any more.
    removed: bool,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// What an authenticator is to be asked.
#[derive(SimpleObject)]
pub(super) struct PasskeySignInBeginPayload {
    /// For `PublicKeyCredential.parseRequestOptionsFromJSON`, within 5 minutes. Null when it was refused.
    options: Option<Value>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to a sign-in with a passkey.
#[derive(Default, SimpleObject)]
pub(super) struct PasskeySignInFinishPayload {
    /// The new session. Null when it was refused.
    session: Option<Session>,
    /// The customer who signed in. Null when it was refused.
    viewer: Option<ViewerNode>,
    /// For the next sign-in of this device. Null without a session, and when it went into a cookie.
    device_token: Option<String>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// What can be done with passkeys.
#[derive(Default)]
pub struct PasskeyMutation;

/// What can be done with passkeys.
#[Object]
impl PasskeyMutation {
    /// Begins to register a passkey. Needs a proof of who is there that is not older than 5 minutes: see `stepUp`.
    async fn passkey_registration_begin(
        &self,
        ctx: &Context<'_>,
    ) -> Option<Result<PasskeyRegistrationBeginPayload>> {
        let act = async {
            let begun = ctx.app()?.identity.begin_passkey(ctx.viewer()?).await;
            let (options, user_errors) = parted(ctx, "passkey.begin", begun).await?;
            Ok(PasskeyRegistrationBeginPayload { options, user_errors })
        };
        Some(act.await)
    }

    /// Registers the passkey that an authenticator made, in the session that began it.
    async fn passkey_registration_finish(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The answer and a name.")] input: PasskeyRegistrationFinishInput,
    ) -> Option<Result<PasskeyRegistrationFinishPayload>> {
        let act = async {
            let made =
                ctx.app()?.identity.finish_passkey(ctx.viewer()?, &input.credential, &input.name).await;
            let (passkey, user_errors) = parted(ctx, "passkey.create", made).await?;
            Ok(PasskeyRegistrationFinishPayload { passkey: passkey.map(PasskeyNode::from), user_errors })
        };
        Some(act.await)
    }

    /// Gives a passkey another name.
    async fn passkey_rename(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one, and the name.")] input: PasskeyRenameInput,
    ) -> Option<Result<PasskeyRenamePayload>> {
        let act = async {
            let id = key_of("input.id", KIND, &input.id)?;
            let renamed = ctx.app()?.identity.rename_passkey(ctx.viewer()?, id, &input.name).await;
            let (passkey, user_errors) = parted(ctx, "passkey.rename", renamed).await?;
            Ok(PasskeyRenamePayload { passkey: passkey.flatten().map(PasskeyNode::from), user_errors })
        };
        Some(act.await)
    }

    /// Removes a passkey. Needs a proof of who is there that is not older than 5 minutes: see `stepUp`.
    async fn passkey_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: PasskeyRemoveInput,
    ) -> Option<Result<PasskeyRemovePayload>> {
        let act = async {
            let id = key_of("input.id", KIND, &input.id)?;
            let removed = ctx.app()?.identity.remove_passkey(ctx.viewer()?, id).await;
            let (removed, user_errors) = parted(ctx, "passkey.remove", removed).await?;
            Ok(PasskeyRemovePayload { removed: removed.unwrap_or_default(), user_errors })
        };
        Some(act.await)
    }

    /// Begins a sign-in with a passkey. No name is asked for: the device shows those that it has.
    async fn passkey_sign_in_begin(&self, ctx: &Context<'_>) -> Option<Result<PasskeySignInBeginPayload>> {
        let act = async {
            let begun = ctx.app()?.identity.begin_passkey_sign_in(&ctx.origin()).await;
            let (options, user_errors) = parted(ctx, "session.challenge", begun).await?;
            Ok(PasskeySignInBeginPayload { options, user_errors })
        };
        Some(act.await)
    }

    /// Signs the customer in whose passkey answered. No code is asked for. At most once per operation.
    async fn passkey_sign_in_finish(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The answer.")] input: PasskeySignInFinishInput,
    ) -> Option<Result<PasskeySignInFinishPayload>> {
        let act = async {
            let from = ctx.origin();
            can_deliver(ctx, input.delivery)?;
            let device = input.device_token.map(SecretString::from);
            let device = device.as_ref().or(ctx.cookies()?.device());
            let entry = Entry { delivery: input.delivery.into(), device, from: &from };
            let opened = ctx.app()?.identity.sign_in_with_passkey(&input.credential, &entry).await;
            let (entrance, user_errors) = parted(ctx, "session.create", opened).await?;
            let Some(entrance) = entrance else {
                return Ok(PasskeySignInFinishPayload { user_errors, ..Default::default() });
            };
            let (session, viewer, device_token) = enter(ctx, entrance, input.delivery).await?;
            Ok(PasskeySignInFinishPayload {
                session: Some(session),
                viewer: Some(viewer),
                device_token,
                user_errors,
            })
        };
        Some(act.await)
    }
}
