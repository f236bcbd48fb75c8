//! Erasing the account.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::{
    context::Ask,
    node::{key_of, opaque},
    refusal::{parted, refused},
    session::UserErrorNode,
};
use crate::{
    error::{Result, UserError},
    workflows::erasure::Part,
};

const CHALLENGE: &str = "Erasure";

/// The confirmation of an erasure.
#[derive(InputObject)]
pub(super) struct AccountEraseInput {
    /// The `challengeId` of `accountEraseBegin`.
    challenge_id: ID,
    /// Six digits, from the mail.
    #[graphql(secret)]
    code: String,
}

/// An erasure that waits for its code.
#[derive(SimpleObject)]
pub(super) struct AccountEraseBeginPayload {
    /// For `accountErase`, in this session. Null when it was refused.
    challenge_id: Option<ID>,
    /// Where the code went, masked. Null when it was refused.
    sent_to: Option<String>,
    /// The code is good until then. Null when it was refused.
    expires_at: Option<DateTime<Utc>>,
    /// What will become of each part of what is known of the customer.
    parts: Vec<Part>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to an erasure.
#[derive(SimpleObject)]
pub(super) struct AccountErasePayload {
    /// Whether the account is erased. Nobody is signed in to it any more.
    erased: bool,
    /// What became of each part of what was known of the customer. Empty when it was refused.
    parts: Vec<Part>,
    /// Wrong tries until the code is void. Null unless the code was wrong.
    tries_left: Option<i32>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// How customers leave.
#[derive(Default)]
pub struct ErasureMutation;

/// How customers leave.
#[Object]
impl ErasureMutation {
    /// Mails the code that confirms the erasure of the account, and says what will become of what. Needs a proof of who is
    /// there that is not older than 5 minutes: see `stepUp`.
    async fn account_erase_begin(&self, ctx: &Context<'_>) -> Option<Result<AccountEraseBeginPayload>> {
        let act = async {
            let erasures = &ctx.app()?.erasures;
            let begun = erasures.begin(ctx.viewer()?).await;
            let (opened, user_errors) = parted(ctx, "account.erase-begin", begun).await?;
            Ok(AccountEraseBeginPayload {
                challenge_id: opened.as_ref().map(|opened| opaque(CHALLENGE, opened.id)),
                sent_to: opened.as_ref().map(|opened| opened.masked_address.clone()),
                expires_at: opened.map(|opened| opened.expires_at),
                parts: erasures.parts(),
                user_errors,
            })
        };
        Some(act.await)
    }

    /// Erases the account for good: whoever comes back signs up anew. Contracts go on. A mail confirms it.
    async fn account_erase(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The confirmation.")] input: AccountEraseInput,
    ) -> Option<Result<AccountErasePayload>> {
        let act = async {
            // An id of something else is one that was never given out.
            let challenge = key_of("input.challengeId", CHALLENGE, &input.challenge_id).unwrap_or_default();
            let erased = ctx.app()?.erasures.finish(ctx.viewer()?, challenge, &input.code.into()).await?;
            Ok(match erased {
                Ok(parts) => {
                    ctx.cookies()?.sign_out();
                    AccountErasePayload { erased: true, parts, tries_left: None, user_errors: Vec::new() }
                }
                Err(refusal) => {
                    let errors = vec![UserError { field: vec!["code"], ..refusal.error }];
                    AccountErasePayload {
                        erased: false,
                        parts: Vec::new(),
                        tries_left: Some(i32::try_from(refusal.tries_left).unwrap_or(i32::MAX)),
                        user_errors: refused(ctx, "account.erase", errors).await?,
                    }
                }
            })
        };
        Some(act.await)
    }
}
