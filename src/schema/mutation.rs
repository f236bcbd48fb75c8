//! What can be changed, domain by domain.

use async_graphql::MergedObject;

use super::{
    account::AccountMutation, device::DeviceMutation, notification::NotificationMutation,
    password_reset::PasswordResetMutation,
    session::SessionMutation,
};

/// What can be changed.
#[derive(Default, MergedObject)]
pub struct Mutation(
    SessionMutation,
    AccountMutation,
    PasswordResetMutation,
    DeviceMutation,
    NotificationMutation,
);
