//! What can be changed, domain by domain.

use async_graphql::MergedObject;

use super::{
    account::AccountMutation, notification::NotificationMutation, profile::ProfileMutation,
    session::SessionMutation, sign_up::SignUpMutation,
};

/// What can be changed.
#[derive(Default, MergedObject)]
pub struct Mutation(SessionMutation, AccountMutation, NotificationMutation, ProfileMutation, SignUpMutation);
