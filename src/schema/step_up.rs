//! Proving again who is there, before an act that asks for it.

use async_graphql::{Context, Enum, ID, InputObject, Object, OneofObject, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    context::Ask,
    node::{key_of, opaque},
    refusal::parted,
    session::UserErrorNode,
};
use crate::{
    error::Result,
    identity::{self, StepUp},
    secret::SecretString,
};

const CHALLENGE: &str = "StepUpCode";

/// How a customer can prove who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "identity::StepUpMethod")]
pub(super) enum StepUpMethod {
    /// By the password.
    Password,
    /// By a code that `stepUpCodeSend` mails, as long as no authenticator app is enrolled.
    MailedCode,
    /// By a code of the authenticator app, or by a recovery code.
    Totp,
    /// By a passkey.
    Passkey,
}

/// A code that was mailed.
#[derive(InputObject)]
pub(super) struct MailedCodeInput {
    /// The `challengeId` of `stepUpCodeSend`.
    challenge_id: ID,
    /// The six digits.
    #[graphql(secret)]
    code: String,
}

/// One proof of who is there.
#[derive(OneofObject)]
pub(super) enum StepUpInput {
    /// The password.
    #[graphql(secret)]
    Password(String),
    /// A code that `stepUpCodeSend` mailed.
    MailedCode(MailedCodeInput),
    /// The six digits that the authenticator app shows, or a recovery code.
    #[graphql(secret)]
    Totp(String),
    /// What `navigator.credentials.get` gave for the options of `stepUpBegin`, as its `toJSON` writes it.
    Passkey(Value),
}

/// The ways to prove who is there.
#[derive(SimpleObject)]
pub(super) struct StepUpBeginPayload {
    /// The ways that this customer has.
    methods: Vec<StepUpMethod>,
    /// For `PublicKeyCredential.parseRequestOptionsFromJSON`, within 5 minutes. Null without a passkey.
    passkey_options: Option<Value>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// A code that was mailed to the customer.
#[derive(SimpleObject)]
pub(super) struct StepUpCodeSendPayload {
    /// For `stepUp`. Null when it was refused.
    challenge_id: Option<ID>,
    /// The customer's address, masked. Null when it was refused.
    sent_to: Option<String>,
    /// The code is good until then. Null when it was refused.
    expires_at: Option<DateTime<Utc>>,
    /// How often a code may be tried. Null when it was refused.
    tries_left: Option<i32>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to a proof.
#[derive(SimpleObject)]
pub(super) struct StepUpPayload {
    /// Until then, acts that ask for a proof are open to this session. Null when the proof was refused.
    fresh_until: Option<DateTime<Utc>>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// How a session proves again who is there.
#[derive(Default)]
pub struct StepUpMutation;

/// How a session proves again who is there.
#[Object]
impl StepUpMutation {
    /// Says how this customer can prove who is there: for an act that was refused with `STEP_UP_REQUIRED`.
    async fn step_up_begin(&self, ctx: &Context<'_>) -> Option<Result<StepUpBeginPayload>> {
        let act = async {
            let StepUp { methods, passkey_options } =
                ctx.app()?.identity.begin_step_up(ctx.viewer()?).await?;
            let methods = methods.into_iter().map(StepUpMethod::from).collect();
            Ok(StepUpBeginPayload { methods, passkey_options, user_errors: Vec::new() })
        };
        Some(act.await)
    }

    /// Mails a code by which this customer can prove who is there; not for whoever enrolled an authenticator app. At most
    /// once per operation.
    async fn step_up_code_send(&self, ctx: &Context<'_>) -> Option<Result<StepUpCodeSendPayload>> {
        let act = async {
            let identity = &ctx.app()?.identity;
            let sent = identity.mail_step_up_code(ctx.viewer()?).await;
            let (sent, user_errors) = parted(ctx, "code.send", sent).await?;
            Ok(StepUpCodeSendPayload {
                challenge_id: sent.as_ref().map(|sent| opaque(CHALLENGE, sent.id)),
                sent_to: sent.as_ref().map(|sent| sent.masked_address.clone()),
                expires_at: sent.as_ref().map(|sent| sent.expires_at),
                tries_left: sent.map(|sent| i32::try_from(sent.tries_left).unwrap_or(i32::MAX)),
                user_errors,
            })
        };
        Some(act.await)
    }

    /// Proves who is there, for this session and some minutes; a sign-in does so, too. At most once per operation.
    async fn step_up(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The proof.")] input: StepUpInput,
    ) -> Option<Result<StepUpPayload>> {
        let act = async {
            let (identity, viewer) = (&ctx.app()?.identity, ctx.viewer()?);
            let proved = match input {
                StepUpInput::Password(password) => {
                    identity.step_up_by_password(viewer, &SecretString::from(password)).await
                }
                StepUpInput::MailedCode(MailedCodeInput { challenge_id, code }) => {
                    // An id of something else is one that was never given out.
                    let challenge = key_of("input.challengeId", CHALLENGE, &challenge_id).unwrap_or_default();
                    identity.step_up_by_code(viewer, challenge, &code.into()).await
                }
                StepUpInput::Totp(code) => identity.step_up_by_totp(viewer, &code.into()).await,
                StepUpInput::Passkey(credential) => identity.step_up_by_passkey(viewer, &credential).await,
            };
            let (fresh_until, user_errors) = parted(ctx, "session.step-up", proved).await?;
            Ok(StepUpPayload { fresh_until, user_errors })
        };
        Some(act.await)
    }
}
