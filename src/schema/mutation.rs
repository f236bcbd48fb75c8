//! What can be changed, domain by domain.

use async_graphql::MergedObject;

use super::{
    account::AccountMutation, device::DeviceMutation, notification::NotificationMutation,
    password_reset::PasswordResetMutation, profile::ProfileMutation, session::SessionMutation,
    sign_up::SignUpMutation,
};

/// What can be changed.
#[derive(Default, MergedObject)]
pub struct Mutation(
    SessionMutation,
    SignUpMutation,
    AccountMutation,
    ProfileMutation,
    PasswordResetMutation,
    DeviceMutation,
    NotificationMutation,
);
