//! Why a workflow is refused, in words for the person.

pub use crate::billing::EMAIL_TAKEN;
use crate::error::{Error, Result, Service, SourceError, UserError};

const fn whole(code: &'static str, message: &'static str) -> UserError {
    UserError { code, field: Vec::new(), message }
}

/// There is a user with this address.
pub const ACCOUNT_EXISTS: UserError = whole("ACCOUNT_EXISTS", "You have an account already. Please sign in.");
/// Billing has a client with this address.
pub const ACCOUNT_LINK_REQUIRED: UserError = whole(
    "ACCOUNT_LINK_REQUIRED",
    "You are a customer already. Please link your contracts instead of signing up anew.",
);
/// What was given as an address is none.
pub const INVALID_EMAIL: UserError = whole("INVALID_EMAIL", "This is not an e-mail address.");
/// The password that proves the login of billing is to be the portal's as well.
pub const BILLINGS_PASSWORD: UserError =
    whole("PASSWORD_UNCHANGED", "Please choose another password than the one of billing.");
/// Billing has no client with this address.
pub const NOTHING_TO_LINK: UserError =
    whole("NOTHING_TO_LINK", "There are no contracts under this address. Please sign up.");
/// Only people can sort it out.
pub const SUPPORT_NEEDED: UserError =
    whole("SUPPORT_NEEDED", "We could not tell your data apart. Please contact support.");
/// Billing refused the client.
pub const BILLING_CREATE_FAILED: UserError =
    whole("BILLING_CREATE_FAILED", "We could not create your billing account. Please check your data.");
/// The CRM refused the account.
pub const CRM_REFUSED: UserError = whole(
    "CRM_REFUSED",
    "The customer register does not take these data. Please check them, or contact support.",
);
/// A billing login with a second factor.
pub const SECOND_FACTOR: UserError = whole(
    "BILLING_SECOND_FACTOR",
    "Your billing login asks for a second factor. Please verify your e-mail address instead.",
);
/// A billing login that is wrong.
pub const INVALID_CREDENTIALS: UserError =
    whole("AUTH_INVALID_CREDENTIALS", "The e-mail address or the password is not right.");
/// A verification that is good no more.
pub const VERIFICATION_EXPIRED: UserError = UserError {
    code: "VERIFICATION_EXPIRED",
    field: Vec::new(),
    message: "This took too long. Please verify your address again.",
};

/// Billing does not take an address.
pub const EMAIL_REFUSED: UserError =
    whole("EMAIL_REFUSED", "Billing does not take this e-mail address. Please choose another one.");
/// What was proved about an account is so no more.
pub const ACCOUNT_CHANGED: UserError =
    whole("ACCOUNT_CHANGED", "Your account has changed meanwhile. Please begin again.");

const ALL: [UserError; 9] = [
    EMAIL_TAKEN,
    EMAIL_REFUSED,
    ACCOUNT_CHANGED,
    ACCOUNT_EXISTS,
    ACCOUNT_LINK_REQUIRED,
    NOTHING_TO_LINK,
    SUPPORT_NEEDED,
    BILLING_CREATE_FAILED,
    CRM_REFUSED,
];

/// A refusal.
///
/// # Errors
/// Always [`Error::Rejected`].
pub(super) fn refused<T>(error: UserError) -> Result<T> {
    Err(Error::Rejected(vec![error]))
}

/// What the codes of an ended workflow mean.
pub(super) fn of_codes(codes: &[String]) -> Error {
    let away = codes.iter().find_map(|code| {
        let service = code.strip_prefix(super::engine::TRY_LATER)?.trim_start_matches(':');
        Service::ALL.into_iter().find(|known| known.as_str() == service)
    });
    if let Some(service) = away {
        let source = SourceError::new("a workflow gave up, since the system did not answer");
        return Error::Unavailable { service, source };
    }
    let known: Vec<_> = ALL.into_iter().filter(|known| codes.iter().any(|code| code == known.code)).collect();
    Error::Rejected(if known.is_empty() { vec![SUPPORT_NEEDED] } else { known })
}
