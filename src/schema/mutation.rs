//! What can be changed, domain by domain.

use async_graphql::MergedObject;

use super::{
    account::AccountMutation, availability::AvailabilityMutation, device::DeviceMutation,
    email_change::EmailChangeMutation, erasure::ErasureMutation, export::ExportMutation,
    grant::GrantMutation, notification::NotificationMutation, passkey::PasskeyMutation,
    password_reset::PasswordResetMutation, profile::ProfileMutation, session::SessionMutation,
    sign_up::SignUpMutation, step_up::StepUpMutation, totp::TotpMutation,
};

/// What can be changed.
#[derive(Default, MergedObject)]
pub struct Mutation(
    SessionMutation,
    SignUpMutation,
    AvailabilityMutation,
    AccountMutation,
    ProfileMutation,
    EmailChangeMutation,
    ErasureMutation,
    ExportMutation,
    PasswordResetMutation,
    PasskeyMutation,
    StepUpMutation,
    TotpMutation,
    DeviceMutation,
    GrantMutation,
    NotificationMutation,
);
