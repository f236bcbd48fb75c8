//! What can be changed, domain by domain.

use async_graphql::MergedObject;

use super::{
    account::AccountMutation, device::DeviceMutation, grant::GrantMutation,
    notification::NotificationMutation, passkey::PasskeyMutation, password_reset::PasswordResetMutation,
    profile::ProfileMutation, session::SessionMutation, sign_up::SignUpMutation, step_up::StepUpMutation,
};

/// What can be changed.
#[derive(Default, MergedObject)]
pub struct Mutation(
    SessionMutation,
    SignUpMutation,
    AccountMutation,
    ProfileMutation,
    PasswordResetMutation,
    PasskeyMutation,
    StepUpMutation,
    DeviceMutation,
    GrantMutation,
    NotificationMutation,
);
