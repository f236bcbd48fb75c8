//! The one error of the gateway above `upstream` and `store`: a stable code, a safe message, a retryable flag.
//!
//! Lower layers have their own enums and turn into this one once, at their border. `Display` is the
//! public sentence; causes travel in `source` to the log and never to a client.

use std::{error::Error as StdError, sync::Arc, time::Duration};

/// The result of everything above `upstream` and `store`.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The role of an upstream system. No vendor's name reaches a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Billing: profile, services, invoices, payment methods.
    Billing,
    /// CRM: orders, cases, catalogue.
    Crm,
    /// Mobile lines: usage and options.
    Sim,
    /// Postal look-up.
    Postal,
    /// The check that a person asks, and no program.
    Captcha,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Billing, Self::Crm, Self::Sim, Self::Postal, Self::Captcha];

    /// The value of `extensions.service`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Billing => "BILLING",
            Self::Crm => "CRM",
            Self::Sim => "SIM",
            Self::Postal => "POSTAL",
            Self::Captcha => "CAPTCHA",
        }
    }

    /// The word used in the public sentence.
    const fn noun(self) -> &'static str {
        match self {
            Self::Billing => "billing",
            Self::Crm => "the order and support desk",
            Self::Sim => "the mobile network",
            Self::Postal => "postal look-up",
            Self::Captcha => "the check for programs",
        }
    }
}

/// One thing that the person can put right: shown by a mutation among its `userErrors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserError {
    /// Stable code, such as `AUTH_INVALID_CREDENTIALS`.
    pub code: &'static str,
    /// Path of the input field at fault, empty when it is the whole input.
    pub field: Vec<&'static str>,
    /// A sentence for the person.
    pub message: &'static str,
}

/// An error as a client sees it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Nobody is signed in, or the session has ended.
    #[error("sign in to continue")]
    Unauthenticated,
    /// The principal may not do this.
    #[error("this account may not do that")]
    Forbidden,
    /// A partner names a customer who does not exist, or did not allow it anything: the two look the same.
    #[error("no customer of this id has granted this partner access")]
    NotGranted,
    /// A malformed id, cursor, page size or filter.
    #[error("{argument}: {reason}")]
    BadInput {
        /// The argument at fault.
        argument: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The person can put it right.
    #[error("refused")]
    Rejected(Vec<UserError>),
    /// Our limit, or a vendor's.
    #[error("too many requests")]
    RateLimited {
        /// When another try may succeed.
        retry_after: Duration,
        /// The system whose limit it is; `None` when it is ours.
        service: Option<Service>,
    },
    /// An upstream timed out, refused, or answered garbage.
    #[error("{} is not answering", service.noun())]
    Unavailable {
        /// Which one.
        service: Service,
        /// The cause, for the log.
        #[source]
        source: SourceError,
    },
    /// A system did not say whether it did what it was told: it may have.
    #[error("{} did not say whether it was done", service.noun())]
    Uncertain {
        /// Which one.
        service: Service,
        /// The cause, for the log.
        #[source]
        source: SourceError,
    },
    /// Our own database does not answer.
    #[error("the gateway cannot answer now")]
    StoreAway(#[source] SourceError),
    /// The operator has not set a system up: asking again does not help.
    #[error("{} is not set up here", service.noun())]
    NotConfigured {
        /// Which one.
        service: Service,
    },
    /// Signing in and up is closed for a while; the operator's own words.
    #[error("{0}")]
    Maintenance(Arc<str>),
    /// Everything else.
    #[error("something went wrong on our side")]
    Internal(#[source] SourceError),
}

/// A shared cause. It exists because an error may be handed to many waiters.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(Arc<dyn StdError + Send + Sync>);

impl SourceError {
    /// Wraps any cause.
    pub fn new(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(Arc::from(cause.into()))
    }
}

impl Error {
    /// A failure of ours with its cause.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Internal(SourceError::new(cause))
    }

    /// The stable code of `extensions.code`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotGranted => "CUSTOMER_NOT_GRANTED",
            Self::BadInput { .. } | Self::Rejected(_) => "BAD_USER_INPUT",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::Unavailable { .. } | Self::StoreAway(_) => "SERVICE_UNAVAILABLE",
            Self::Uncertain { .. } => "OUTCOME_UNKNOWN",
            Self::NotConfigured { .. } => "NOT_CONFIGURED",
            Self::Maintenance(_) => "AUTH_MAINTENANCE",
            Self::Internal(_) => "INTERNAL",
        }
    }

    /// The system that failed, when one did.
    pub const fn service(&self) -> Option<Service> {
        match self {
            Self::Unavailable { service, .. }
            | Self::Uncertain { service, .. }
            | Self::NotConfigured { service } => Some(*service),
            Self::RateLimited { service, .. } => *service,
            _ => None,
        }
    }

    /// Whether the same request may succeed later.
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. } | Self::Unavailable { .. } | Self::StoreAway(_) | Self::Maintenance(_)
        )
    }
}
