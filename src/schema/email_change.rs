//! Another e-mail address: both addresses are proved, then it is changed everywhere.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::{
    context::Ask,
    node::{key_of, opaque},
    refusal::{parted, refused},
    session::UserErrorNode,
};
use crate::{
    billing::Profile,
    error::Result,
    identity::challenge::Opened,
    workflows::email_change::{Asked, Finished, Which},
};

const CHALLENGE: &str = "EmailChange";

/// The address that is to be.
#[derive(InputObject)]
pub(super) struct EmailChangeBeginInput {
    /// The e-mail address, in any spelling.
    new_email: String,
}

/// The code that did not arrive.
#[derive(InputObject)]
pub(super) struct EmailChangeResendInput {
    /// The `id` that `emailChangeBegin` gave.
    challenge_id: ID,
    /// Which of both codes.
    address: Which,
}

/// The codes that arrived.
#[derive(InputObject)]
pub(super) struct EmailChangeFinishInput {
    /// The `id` that `emailChangeBegin` gave.
    challenge_id: ID,
    /// Six digits, from the mail to the new address.
    #[graphql(secret)]
    new_code: String,
    /// Six digits, from the mail to the present address.
    #[graphql(secret)]
    present_code: String,
}

/// A code that was mailed to one of both addresses.
#[derive(SimpleObject)]
pub(super) struct EmailChangeCode {
    /// Where it went, masked: `t***@example.jp`.
    sent_to: String,
    /// It is good until then.
    expires_at: DateTime<Utc>,
    /// Wrong tries until it is void.
    tries_left: i32,
}

impl From<Opened> for EmailChangeCode {
    fn from(opened: Opened) -> Self {
        Self {
            sent_to: opened.masked_address,
            expires_at: opened.expires_at,
            tries_left: count(opened.tries_left),
        }
    }
}

/// A change that waits for both codes.
#[derive(SimpleObject)]
pub(super) struct EmailChangeChallenge {
    /// For `emailChangeFinish` and `emailChangeResend`, in the session that began it. Opaque.
    id: ID,
    /// The code at the new address. It looks the same when that is somebody's already, who then got a notice without a code.
    new_address: EmailChangeCode,
    /// The code at the present address.
    present_address: EmailChangeCode,
}

impl From<Asked> for EmailChangeChallenge {
    fn from(asked: Asked) -> Self {
        Self {
            id: opaque(CHALLENGE, asked.id),
            new_address: asked.new.into(),
            present_address: asked.present.into(),
        }
    }
}

/// The answer to the wish for another address.
#[derive(SimpleObject)]
pub(super) struct EmailChangeBeginPayload {
    /// What waits for both codes. Null when it was refused.
    challenge: Option<EmailChangeChallenge>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to the wish for another code.
#[derive(SimpleObject)]
pub(super) struct EmailChangeResendPayload {
    /// The code that was mailed; the one before is void. Null when it was refused.
    code: Option<EmailChangeCode>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// How far the change of an address came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum EmailChangeStatus {
    /// The new address is in force.
    Complete,
    /// It goes on: say the same again.
    InProgress,
    /// Nothing was changed.
    Refused,
}

/// The answer to both codes.
#[derive(SimpleObject)]
pub(super) struct EmailChangeFinishPayload {
    /// How far it came.
    status: EmailChangeStatus,
    /// The profile as it is now. Null unless it is complete, and while billing does not answer.
    profile: Option<Profile>,
    /// Wrong tries until the code at the new address is void. Null unless that code was wrong.
    new_tries_left: Option<i32>,
    /// Wrong tries until the code at the present address is void. Null unless that code was wrong.
    present_tries_left: Option<i32>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// How customers change their e-mail address.
#[derive(Default)]
pub struct EmailChangeMutation;

/// How customers change their e-mail address.
#[Object]
impl EmailChangeMutation {
    /// Mails a code to the new and one to the present address. Needs a proof of who is there that is not older than 5 minutes:
    /// see `stepUp`. The answer is the same whether or not the new address is somebody's.
    async fn email_change_begin(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The address that is to be.")] input: EmailChangeBeginInput,
    ) -> Option<Result<EmailChangeBeginPayload>> {
        let act = async {
            let begun = ctx.app()?.email_changes.begin(ctx.viewer()?, &input.new_email).await;
            let (asked, user_errors) = parted(ctx, "email.change-begin", begun).await?;
            Ok(EmailChangeBeginPayload { challenge: asked.map(Into::into), user_errors })
        };
        Some(act.await)
    }

    /// Mails another code to one of both addresses. Its tries are those that were left.
    async fn email_change_resend(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which code.")] input: EmailChangeResendInput,
    ) -> Option<Result<EmailChangeResendPayload>> {
        let act = async {
            // An id of something else is one that was never given out.
            let challenge = key_of("input.challengeId", CHALLENGE, &input.challenge_id).unwrap_or_default();
            let sent = ctx.app()?.email_changes.resend(ctx.viewer()?, challenge, input.address).await?;
            Ok(match sent {
                Ok(opened) => EmailChangeResendPayload { code: Some(opened.into()), user_errors: Vec::new() },
                Err(refusal) => {
                    let user_errors = refused(ctx, "code.send", vec![refusal.error]).await?;
                    EmailChangeResendPayload { code: None, user_errors }
                }
            })
        };
        Some(act.await)
    }

    /// Takes both codes and changes the address in the portal, in billing and in the CRM. Other sessions end, and devices are
    /// trusted no longer. Saying it again makes no second change.
    async fn email_change_finish(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Both codes.")] input: EmailChangeFinishInput,
    ) -> Option<Result<EmailChangeFinishPayload>> {
        let act = async {
            let (app, viewer) = (ctx.app()?, ctx.viewer()?);
            let challenge = key_of("input.challengeId", CHALLENGE, &input.challenge_id).unwrap_or_default();
            let (new, present) = (input.new_code.into(), input.present_code.into());
            let finished = app.email_changes.finish(viewer, challenge, &new, &present).await;
            let (finished, user_errors) = parted(ctx, "email.change", finished).await?;
            let mut payload = EmailChangeFinishPayload {
                status: EmailChangeStatus::Refused,
                profile: None,
                new_tries_left: None,
                present_tries_left: None,
                user_errors,
            };
            match finished {
                None => {}
                Some(Finished::InProgress) => payload.status = EmailChangeStatus::InProgress,
                Some(Finished::Changed) => {
                    payload.status = EmailChangeStatus::Complete;
                    // The change stands, whether or not it can be read back right now.
                    let read = app.billing.profile(viewer).await;
                    payload.profile = read.ok().map(|read| (*ctx.see(read)).clone());
                }
                Some(Finished::Refused(why)) => {
                    payload.new_tries_left = why.new_tries_left.map(count);
                    payload.present_tries_left = why.present_tries_left.map(count);
                    payload.user_errors = refused(ctx, "email.prove", why.errors).await?;
                }
            }
            Ok(payload)
        };
        Some(act.await)
    }
}

fn count(tries: u32) -> i32 {
    i32::try_from(tries).unwrap_or(i32::MAX)
}
