//! The profile: what the CRM adds to it, and what its customer may change.

use async_graphql::{ComplexObject, Context, InputObject, Object, SimpleObject};

use super::{context::Ask, refusal::parted, session::UserErrorNode};
use crate::{
    billing::Profile,
    crm::JapaneseAddress,
    error::{Error, Result},
    workflows::form::{AddressInput, ProfileChange},
};

#[ComplexObject]
impl Profile {
    /// The current address in Japanese writing, as couriers and the fibre carrier get it. Null when it is not known, and
    /// while the order desk is not answering.
    async fn japanese_address(&self, ctx: &Context<'_>) -> Option<Result<JapaneseAddress>> {
        let read = async {
            let read = ctx.app()?.crm.address(ctx.viewer()?).await?;
            Ok::<_, Error>((*ctx.see(read)).clone())
        };
        read.await.transpose()
    }
}

/// What customers change about themselves.
#[derive(Default)]
pub struct ProfileMutation;

/// The address that is to be.
#[derive(InputObject)]
pub(super) struct AddressUpdateInput {
    /// The whole address.
    address: AddressInput,
}

/// The answer to a change of the profile.
#[derive(SimpleObject)]
pub(super) struct ProfileUpdatePayload {
    /// The profile as it is now. Null when the change was refused, and while billing does not answer.
    profile: Option<Profile>,
    /// Why it was refused, everything at once; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// What customers change about themselves.
#[Object]
impl ProfileMutation {
    /// Changes telephone number, birth date, gender or nationality. The next read of anybody shows it. Names are changed by
    /// support.
    async fn profile_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change; what is left out stays.")] input: ProfileChange,
    ) -> Option<Result<ProfileUpdatePayload>> {
        let changed = async { ctx.app()?.profiles.change(ctx.viewer()?, &input).await };
        Some(payload(ctx, "profile.change", changed.await).await)
    }

    /// Changes the address. Orders that were placed keep theirs.
    async fn address_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The address that is to be.")] input: AddressUpdateInput,
    ) -> Option<Result<ProfileUpdatePayload>> {
        let changed = async { ctx.app()?.profiles.change_address(ctx.viewer()?, &input.address).await };
        Some(payload(ctx, "address.change", changed.await).await)
    }
}

async fn payload(ctx: &Context<'_>, act: &'static str, changed: Result<()>) -> Result<ProfileUpdatePayload> {
    let (changed, user_errors) = parted(ctx, act, changed).await?;
    if changed.is_none() {
        return Ok(ProfileUpdatePayload { profile: None, user_errors });
    }
    // The change stands, whether or not it can be read back right now.
    let read = ctx.app()?.billing.profile(ctx.viewer()?).await;
    let profile = read.ok().map(|read| (*ctx.see(read)).clone());
    Ok(ProfileUpdatePayload { profile, user_errors })
}
