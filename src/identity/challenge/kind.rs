//! What challenges prove, and who asks for them.

use chrono::{DateTime, Utc};

use super::{Settings, TOTP_TRIES};
use crate::{
    id::UserId,
    identity::limits::Purpose,
    mail::{Message, Proof},
};

/// What a challenge proves. The code of one kind is worth nothing for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The second step of a sign-in, with a code that is mailed.
    SignIn,
    /// The second step of a sign-in, with a code of an authenticator app. Nothing is mailed.
    Totp,
    /// Who is there, before an act that asks for it.
    StepUp,
    /// The address of a person who signs up, or who is a customer already and wants to manage that here.
    SignUp,
    /// The address that is to come.
    NewEmail,
    /// The address that is in force, before it changes.
    PresentEmail,
    /// Who is there, before the account is erased.
    Erasure,
}

impl Kind {
    /// Under which limits its codes are mailed, to the address of an account or to anybody's, and how keyed hashes of the address
    /// say so.
    pub(super) const fn limits(self) -> (Purpose, &'static str) {
        match self {
            Self::SignUp | Self::NewEmail => (Purpose::CodeSend, "anybody"),
            Self::SignIn | Self::Totp | Self::StepUp | Self::PresentEmail | Self::Erasure => {
                (Purpose::KnownCodeSend, "known")
            }
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Totp => "totp",
            Self::StepUp => "step-up",
            Self::SignUp => "sign-up",
            Self::NewEmail => "new-email",
            Self::PresentEmail => "present-email",
            Self::Erasure => "erasure",
        }
    }

    /// The mail that brings a code; `None` where none is mailed.
    pub(super) fn message(self, code: String, expires_at: DateTime<Utc>) -> Option<Message> {
        Some(match self {
            Self::SignIn => Message::SignInCode { code, expires_at },
            Self::Totp => return None,
            Self::StepUp => Message::StepUpCode { code, expires_at },
            Self::SignUp => Message::SignUpCode { code, expires_at },
            Self::NewEmail => Message::EmailChangeCode { proves: Proof::NewAddress, code, expires_at },
            Self::PresentEmail => {
                Message::EmailChangeCode { proves: Proof::PresentAddress, code, expires_at }
            }
            Self::Erasure => Message::ErasureCode { code, expires_at },
        })
    }

    /// How many tries it has.
    pub(super) fn tries(self, settings: &Settings) -> u32 {
        if self == Self::Totp { TOTP_TRIES } else { settings.tries }
    }
}

/// Who asks for a challenge.
#[derive(Clone, Copy, Debug)]
pub enum Asker {
    /// Whoever typed the address.
    Anybody,
    /// Somebody who knows the password of an account. The challenge goes with the account.
    Stranger(UserId),
    /// The same in a session, or on a device where the account signed in before: what is mailed to the account and tried there
    /// counts apart from what strangers do, and nobody waits for neighbours.
    AtHome(UserId),
}

impl Asker {
    pub(super) const fn user(self) -> Option<UserId> {
        match self {
            Self::Anybody => None,
            Self::Stranger(user) | Self::AtHome(user) => Some(user),
        }
    }

    pub(super) const fn is_at_home(self) -> bool {
        matches!(self, Self::AtHome(_))
    }
}
