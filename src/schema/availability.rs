//! What internet can be had at an address: asked by somebody who is not signed in.

use async_graphql::{Context, InputObject, Object, SimpleObject};

use super::{context::Ask, refusal::parted, session::UserErrorNode};
use crate::{
    error::Result,
    workflows::{availability::GuestForm, form::AddressInput},
};

/// What a guest can ask.
#[derive(Default)]
pub struct AvailabilityMutation;

/// Who asks, and for which address.
#[derive(InputObject)]
pub(super) struct AvailabilityRequestInput {
    /// Given name, at most 40 characters.
    first_name: String,
    /// Family name, at most 80 characters.
    last_name: String,
    /// Where the answer goes. It is not proved.
    email: String,
    /// Where internet is wanted: the whole address.
    address: AddressInput,
    /// What the widget gave: see `Query.captcha`. Asked for where `isAlwaysOn`, with the error `AUTH_CAPTCHA_REQUIRED`.
    #[graphql(secret)]
    captcha_token: Option<String>,
}

/// The answer to a request; the same whether or not anything is known of the e-mail address.
#[derive(SimpleObject)]
pub(super) struct AvailabilityRequestPayload {
    /// Whether staff will look at it, and answer by e-mail in one or two business days.
    submitted: bool,
    /// Why it was refused, everything at once; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// What a guest can ask.
#[Object]
impl AvailabilityMutation {
    /// Asks staff what internet can be had at an address, without an account. The same form again within a week is the same
    /// request. Whoever wants an account as well signs up with `availability`. At most once per operation.
    async fn availability_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who asks, and where.")] input: AvailabilityRequestInput,
    ) -> Option<Result<AvailabilityRequestPayload>> {
        let asked = async {
            let AvailabilityRequestInput { first_name, last_name, email, address, captcha_token } = input;
            let form = GuestForm { first_name, last_name, email, address };
            let asked = ctx.app()?.availability.request(form, &ctx.origin().solved(captcha_token)).await;
            let (submitted, user_errors) = parted(ctx, "availability.request", asked).await?;
            Ok(AvailabilityRequestPayload { submitted: submitted.is_some(), user_errors })
        };
        Some(asked.await)
    }
}
