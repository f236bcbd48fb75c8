//! Authenticator apps and recovery codes: enrolling, keeping and removing them.

use async_graphql::{Context, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::{context::Ask, refusal::parted, session::UserErrorNode};
use crate::{
    error::Result,
    identity::{Enrolment, SecondFactors, TotpStatus},
    secret::{ExposeSecret, SecretString},
};

/// What a customer has enrolled for the second step of a sign-in. Without anything it is a mailed code.
#[derive(SimpleObject)]
#[graphql(name = "SecondFactors")]
pub(super) struct SecondFactorsNode {
    /// The authenticator app. Null when none is enrolled.
    totp: Option<TotpNode>,
    /// Recovery codes that were not used; 0 without an app.
    recovery_codes_left: u32,
}

/// An authenticator app that is enrolled.
#[derive(SimpleObject)]
#[graphql(name = "Totp")]
pub(super) struct TotpNode {
    /// When it was enrolled.
    enrolled_at: DateTime<Utc>,
    /// When a code of it was last used. Null when none was since then.
    last_used_at: Option<DateTime<Utc>>,
}

impl From<SecondFactors> for SecondFactorsNode {
    fn from(factors: SecondFactors) -> Self {
        let SecondFactors { totp, recovery_codes_left } = factors;
        let totp =
            totp.map(|TotpStatus { enrolled_at, last_used_at }| TotpNode { enrolled_at, last_used_at });
        Self { totp, recovery_codes_left }
    }
}

/// An authenticator app that waits for its first code. All of it is secret, and shown this once.
#[derive(SimpleObject)]
pub(super) struct TotpEnrolment {
    /// What an app reads: a link on the device that has it.
    otpauth_uri: String,
    /// The secret in base32, for customers who type it.
    secret: String,
    /// `otpauthUri` as a QR code: an SVG element, to be put into a page as it is.
    qr_svg: String,
    /// It is to be finished before.
    expires_at: DateTime<Utc>,
}

impl From<Enrolment> for TotpEnrolment {
    fn from(Enrolment { uri, secret, qr, expires_at }: Enrolment) -> Self {
        let [otpauth_uri, secret, qr_svg] = [uri, secret, qr].map(|text| text.expose_secret().to_owned());
        Self { otpauth_uri, secret, qr_svg, expires_at }
    }
}

/// The first code of an authenticator app.
#[derive(InputObject)]
pub(super) struct TotpEnrolFinishInput {
    /// The six digits that it shows; spaces do not matter.
    #[graphql(secret)]
    code: String,
}

/// The answer to a beginning.
#[derive(SimpleObject)]
pub(super) struct TotpEnrolBeginPayload {
    /// What the app is to be told. Null when it was refused.
    enrolment: Option<TotpEnrolment>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to the first code.
#[derive(SimpleObject)]
pub(super) struct TotpEnrolFinishPayload {
    /// Ten codes for the customer to keep in a safe place: each stands in for a lost app once. They are shown this once. Null
    /// when it was refused.
    recovery_codes: Option<Vec<String>>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to removing the app.
#[derive(SimpleObject)]
pub(super) struct TotpRemovePayload {
    /// Whether there was one until now. A sign-in asks for a mailed code from now on.
    removed: bool,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to asking for new recovery codes.
#[derive(SimpleObject)]
pub(super) struct RecoveryCodesRegeneratePayload {
    /// Ten new codes, shown this once; those before are void. Null when it was refused.
    recovery_codes: Option<Vec<String>>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// What can be done with authenticator apps and recovery codes.
#[derive(Default)]
pub struct TotpMutation;

/// What can be done with authenticator apps and recovery codes.
#[Object]
impl TotpMutation {
    /// Begins to enrol an authenticator app; until it is finished, nothing changes. Needs a proof of who is there that is not
    /// older than 5 minutes: see `stepUp`.
    async fn totp_enrol_begin(&self, ctx: &Context<'_>) -> Option<Result<TotpEnrolBeginPayload>> {
        let act = async {
            let begun = ctx.app()?.identity.begin_totp(ctx.viewer()?).await;
            let (begun, user_errors) = parted(ctx, "totp.begin", begun).await?;
            Ok(TotpEnrolBeginPayload { enrolment: begun.map(TotpEnrolment::from), user_errors })
        };
        Some(act.await)
    }

    /// Enrols the app whose first code this is, in the session that began it: from now on sign-ins ask for its code and mail
    /// none, and no device is trusted until its owner wants that again. Five tries; then it is to be begun anew. At most once
    /// per operation.
    async fn totp_enrol_finish(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The code.")] input: TotpEnrolFinishInput,
    ) -> Option<Result<TotpEnrolFinishPayload>> {
        let act = async {
            let code = SecretString::from(input.code);
            let finished = ctx.app()?.identity.finish_totp(ctx.viewer()?, &code).await;
            let (codes, user_errors) = parted(ctx, "totp.enrol", finished).await?;
            Ok(TotpEnrolFinishPayload { recovery_codes: codes.map(told), user_errors })
        };
        Some(act.await)
    }

    /// Removes the authenticator app and the recovery codes. Needs a proof of who is there that is not older than 5 minutes:
    /// see `stepUp`.
    async fn totp_remove(&self, ctx: &Context<'_>) -> Option<Result<TotpRemovePayload>> {
        let act = async {
            let removed = ctx.app()?.identity.remove_totp(ctx.viewer()?).await;
            let (removed, user_errors) = parted(ctx, "totp.remove", removed).await?;
            Ok(TotpRemovePayload { removed: removed.unwrap_or_default(), user_errors })
        };
        Some(act.await)
    }

    /// Makes new recovery codes for a customer who has an authenticator app. Needs a proof of who is there that is not older
    /// than 5 minutes: see `stepUp`.
    async fn recovery_codes_regenerate(
        &self,
        ctx: &Context<'_>,
    ) -> Option<Result<RecoveryCodesRegeneratePayload>> {
        let act = async {
            let made = ctx.app()?.identity.regenerate_recovery_codes(ctx.viewer()?).await;
            let (codes, user_errors) = parted(ctx, "recovery-codes.create", made).await?;
            Ok(RecoveryCodesRegeneratePayload { recovery_codes: codes.map(told), user_errors })
        };
        Some(act.await)
    }
}

/// Secrets as their owner is told them.
fn told(secrets: Vec<SecretString>) -> Vec<String> {
    secrets.iter().map(|secret| secret.expose_secret().to_owned()).collect()
}
