//! The devices in which a customer signed in, and the history of sign-ins.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    account::{DeviceKind, named},
    context::Ask,
    node::{key_of, opaque},
    session::UserErrorNode,
};
use crate::{
    error::Result,
    identity::{Device, Method, Outcome, SignInRecord},
};

/// A browser or app in which the customer signed in.
#[derive(SimpleObject)]
#[graphql(name = "Device")]
pub(super) struct DeviceNode {
    /// For `deviceRevoke`. Opaque.
    id: ID,
    /// What it is.
    kind: DeviceKind,
    /// Browser and system, such as `Firefox, Windows`. Null when unknown.
    name: Option<String>,
    /// The network from which it first signed in. Null when unknown.
    network: Option<String>,
    /// When it first signed in.
    created_at: DateTime<Utc>,
    /// When it last signed in.
    last_seen_at: DateTime<Utc>,
    /// Until then the password is enough on it. Null when a code is asked for.
    trusted_until: Option<DateTime<Utc>>,
    /// Whether the session that asks began in it.
    is_current: bool,
}

impl DeviceNode {
    pub(super) fn new(device: Device, current: Option<Uuid>) -> Self {
        Self {
            id: opaque("Device", device.id),
            kind: DeviceKind::of(&device.kind),
            name: named(device.name),
            network: device.network,
            created_at: device.created_at,
            last_seen_at: device.seen_at,
            trusted_until: device.trusted_until,
            is_current: current == Some(device.id),
        }
    }
}

/// How a sign-in went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum SignInOutcome {
    /// A session began.
    SignedIn,
    /// The password was wrong.
    WrongPassword,
    /// The password was right, the code was not.
    WrongCode,
}

/// What a sign-in was asked for besides the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum SignInMethod {
    /// A code that was mailed.
    MailedCode,
    /// A code of the authenticator app.
    Totp,
    /// A recovery code, instead of the app's.
    RecoveryCode,
    /// Nothing: the device is trusted.
    TrustedDevice,
    /// Nothing: the address was proved a moment before, at sign-up.
    HandOff,
    /// A passkey, instead of the password.
    Passkey,
}

/// A sign-in, or a try that failed.
#[derive(SimpleObject)]
#[graphql(name = "SignIn")]
pub struct SignInNode {
    /// Tells it apart from others. Opaque.
    pub(super) id: ID,
    /// When.
    at: DateTime<Utc>,
    /// How it went.
    outcome: SignInOutcome,
    /// What was asked for besides the password. Null when it failed.
    method: Option<SignInMethod>,
    /// What asked.
    device: DeviceKind,
    /// Browser and system, such as `Firefox, Windows`. Null when unknown.
    device_name: Option<String>,
    /// The network from which it came. Null when unknown.
    network: Option<String>,
}

impl From<SignInRecord> for SignInNode {
    fn from(record: SignInRecord) -> Self {
        Self {
            id: opaque("SignIn", record.id),
            at: record.at,
            outcome: match record.outcome {
                Outcome::SignedIn => SignInOutcome::SignedIn,
                Outcome::WrongPassword => SignInOutcome::WrongPassword,
                Outcome::WrongCode => SignInOutcome::WrongCode,
            },
            method: record.method.map(|method| match method {
                Method::Code => SignInMethod::MailedCode,
                Method::Totp => SignInMethod::Totp,
                Method::RecoveryCode => SignInMethod::RecoveryCode,
                Method::Device => SignInMethod::TrustedDevice,
                Method::HandOff => SignInMethod::HandOff,
                Method::Passkey => SignInMethod::Passkey,
            }),
            device: DeviceKind::of(&record.device),
            device_name: named(record.device_name),
            network: record.network,
        }
    }
}

/// The device to be forgotten.
#[derive(InputObject)]
pub(super) struct DeviceRevokeInput {
    /// Its id.
    id: ID,
}

/// The answer to forgetting a device.
#[derive(SimpleObject)]
pub(super) struct DeviceRevokePayload {
    /// Whether it was known until now. Its sessions are refused within 5 seconds everywhere.
    revoked: bool,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// What people can change of their devices.
#[derive(Default)]
pub struct DeviceMutation;

/// What people can change of their devices.
#[Object]
impl DeviceMutation {
    /// Forgets one of one's own devices, such as a lost one: its sessions end, and a code is asked for again on it.
    async fn device_revoke(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: DeviceRevokeInput,
    ) -> Option<Result<DeviceRevokePayload>> {
        let act = async {
            let device = key_of("input.id", "Device", &input.id)?;
            let revoked = ctx.app()?.identity.revoke_device(ctx.viewer()?, device).await?;
            Ok(DeviceRevokePayload { revoked, user_errors: Vec::new() })
        };
        Some(act.await)
    }
}
