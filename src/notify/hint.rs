//! A hint: what changed, and for whom.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, CaseId, ClientId, InvoiceId, NotificationId, OrderId, SubscriptionId, UserId};

/// Whom a change concerns. Whoever listens to a topic hears its hints and no others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// A user here.
    User(UserId),
    /// A client in billing.
    Client(ClientId),
    /// An account in the CRM.
    Account(AccountId),
    /// A mobile line, by its number.
    Line(Arc<str>),
    /// Every subscription.
    Everyone,
}

/// What changed. An id that is missing means one or more, not known which.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Name, address or contact data.
    Profile,
    /// A service.
    Subscription(Option<SubscriptionId>),
    /// An invoice.
    Invoice(Option<InvoiceId>),
    /// The stored payment methods.
    PaymentMethods,
    /// An order.
    Order(Option<OrderId>),
    /// A support case, or what was said in it.
    Case(Option<CaseId>),
    /// State, usage or options of the line that is the topic.
    Line,
    /// Whether the address can have the service.
    Eligibility,
    /// Whether the identity document was accepted.
    Verification,
    /// A notification that is new.
    Notification(NotificationId),
    /// Notifications that were read or dismissed.
    Notifications,
    /// What is sold.
    Catalogue,
    /// Anything: hints may have been missed.
    Everything,
}

/// Something changed. Ids and kinds only, never a person's data.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hint {
    /// Whom it concerns.
    pub topic: Topic,
    /// What it was.
    pub subject: Subject,
}

impl Hint {
    /// A hint.
    pub const fn new(topic: Topic, subject: Subject) -> Self {
        Self { topic, subject }
    }

    /// What is said when nobody knows what was missed.
    pub(super) const fn everything() -> Self {
        Self::new(Topic::Everyone, Subject::Everything)
    }
}

impl Subject {
    /// Its name in metrics.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Subscription(_) => "subscription",
            Self::Invoice(_) => "invoice",
            Self::PaymentMethods => "payment_methods",
            Self::Order(_) => "order",
            Self::Case(_) => "case",
            Self::Line => "line",
            Self::Eligibility => "eligibility",
            Self::Verification => "verification",
            Self::Notification(_) => "notification",
            Self::Notifications => "notifications",
            Self::Catalogue => "catalogue",
            Self::Everything => "everything",
        }
    }
}
