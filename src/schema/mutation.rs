//! What can be changed, domain by domain.

use async_graphql::MergedObject;

use super::{
    account::AccountMutation, notification::NotificationMutation, passkey::PasskeyMutation,
    session::SessionMutation, step_up::StepUpMutation,
};

/// What can be changed.
#[derive(Default, MergedObject)]
pub struct Mutation(SessionMutation, AccountMutation, NotificationMutation, PasskeyMutation, StepUpMutation);
