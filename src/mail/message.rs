//! What mails say.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Which address a code proves when an e-mail address is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The one that is to come.
    NewAddress,
    /// The one that is still in force.
    PresentAddress,
}

/// What became of a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondFactor {
    /// An authenticator app is asked for from now on.
    AppAdded,
    /// It is asked for no longer.
    AppRemoved,
    /// A passkey can be used from now on.
    PasskeyAdded,
    /// It can be used no longer.
    PasskeyRemoved,
    /// There are new recovery codes; the old ones are void.
    RecoveryCodesMade,
    /// A recovery code was used up.
    RecoveryCodeUsed,
    /// Support took all of them away, for a person who had lost them.
    ResetBySupport,
}

/// What a mail says. It prints its kind alone: codes and links open an account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Message {
    /// The code that proves an address at sign-up, and before an existing customer is linked.
    SignUpCode {
        /// Six digits.
        code: String,
        /// It is good until then.
        expires_at: DateTime<Utc>,
    },
    /// The code after the password.
    SignInCode {
        /// Six digits.
        code: String,
        /// It is good until then.
        expires_at: DateTime<Utc>,
    },
    /// The code that proves who is there, before an act that asks for it.
    StepUpCode {
        /// Six digits.
        code: String,
        /// It is good until then.
        expires_at: DateTime<Utc>,
    },
    /// The link by which a forgotten password is replaced.
    PasswordReset {
        /// The link, whole; its host comes from the configuration.
        link: String,
        /// It is good until then.
        expires_at: DateTime<Utc>,
    },
    /// The password was changed or replaced.
    PasswordChanged {
        /// When.
        at: DateTime<Utc>,
    },
    /// The code that proves an address when it is changed.
    EmailChangeCode {
        /// Which address it proves: that to which it goes.
        proves: Proof,
        /// Six digits.
        code: String,
        /// It is good until then.
        expires_at: DateTime<Utc>,
    },
    /// To the old address: another is in force.
    EmailChanged {
        /// The new address, masked: `t***@example.jp`.
        masked: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// To the new address: it is in force.
    EmailAdopted {
        /// When.
        at: DateTime<Utc>,
    },
    /// To an address that has an account: somebody wanted to use it for another one.
    EmailInUse {
        /// When.
        at: DateTime<Utc>,
    },
    /// The code that confirms the erasure of an account.
    ErasureCode {
        /// Six digits.
        code: String,
        /// It is good until then.
        expires_at: DateTime<Utc>,
    },
    /// The account is erased.
    AccountErased {
        /// When.
        at: DateTime<Utc>,
    },
    /// What a person asked to be given of all that is known of them is ready.
    ExportReady {
        /// When.
        at: DateTime<Utc>,
        /// It can be had until then.
        until: DateTime<Utc>,
    },
    /// Somebody signed in on a device that was not seen before.
    NewDevice {
        /// Browser and system, such as `Firefox, Windows`.
        device: String,
        /// Country or city; `None` when unknown.
        place: Option<String>,
        /// When.
        at: DateTime<Utc>,
    },
    /// A customer of billing can be managed in the portal.
    AccountLinked {
        /// When.
        at: DateTime<Utc>,
    },
    /// Something about the second factors changed.
    SecondFactorChanged {
        /// What.
        change: SecondFactor,
        /// When.
        at: DateTime<Utc>,
    },
    /// The customer allowed a partner something.
    GrantGiven {
        /// What people call the partner.
        partner: String,
        /// What it may do, in the language of the mail.
        allowed: Vec<String>,
        /// When.
        at: DateTime<Utc>,
    },
    /// The partner is allowed nothing any more.
    GrantTakenBack {
        /// What people call the partner.
        partner: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// A session's token was presented twice, so the session was ended.
    SessionRevoked {
        /// Browser and system of the session; `None` when unknown.
        device: Option<String>,
        /// When.
        at: DateTime<Utc>,
    },
}

impl Message {
    /// Its kind, as the metrics name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SignUpCode { .. } => "sign_up_code",
            Self::SignInCode { .. } => "sign_in_code",
            Self::StepUpCode { .. } => "step_up_code",
            Self::PasswordReset { .. } => "password_reset",
            Self::PasswordChanged { .. } => "password_changed",
            Self::EmailChangeCode { .. } => "email_change_code",
            Self::EmailChanged { .. } => "email_changed",
            Self::EmailAdopted { .. } => "email_adopted",
            Self::EmailInUse { .. } => "email_in_use",
            Self::ErasureCode { .. } => "erasure_code",
            Self::AccountErased { .. } => "account_erased",
            Self::ExportReady { .. } => "export_ready",
            Self::NewDevice { .. } => "new_device",
            Self::AccountLinked { .. } => "account_linked",
            Self::SecondFactorChanged { .. } => "second_factor_changed",
            Self::GrantGiven { .. } => "grant_given",
            Self::GrantTakenBack { .. } => "grant_taken_back",
            Self::SessionRevoked { .. } => "session_revoked",
        }
    }

    /// From then on it is worthless. A notice never is.
    pub(super) fn expires_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::SignUpCode { expires_at, .. }
            | Self::SignInCode { expires_at, .. }
            | Self::StepUpCode { expires_at, .. }
            | Self::PasswordReset { expires_at, .. }
            | Self::EmailChangeCode { expires_at, .. }
            | Self::ErasureCode { expires_at, .. } => Some(*expires_at),
            Self::PasswordChanged { .. }
            | Self::EmailChanged { .. }
            | Self::EmailAdopted { .. }
            | Self::EmailInUse { .. }
            | Self::AccountErased { .. }
            | Self::ExportReady { .. }
            | Self::NewDevice { .. }
            | Self::AccountLinked { .. }
            | Self::SecondFactorChanged { .. }
            | Self::GrantGiven { .. }
            | Self::GrantTakenBack { .. }
            | Self::SessionRevoked { .. } => None,
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}
