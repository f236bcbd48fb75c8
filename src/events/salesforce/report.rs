//! What a row of the inbox says of an event of the CRM.

use serde::{Deserialize, Serialize};

use crate::{
    id::{AccountId, CaseId, OrderId, RecordId},
    upstream::salesforce::pubsub::ChangeType,
};

/// The objects whose changes touch what the portal serves, by the vendor's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the vendor's and say it all")]
pub enum Entity {
    Product2,
    PricebookEntry,
    Order,
    OrderItem,
    Account,
    Opportunity,
    Case,
    EmailMessage,
}

impl Entity {
    /// The object with a name; `None` for one that the portal does not serve.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "Product2" => Self::Product2,
            "PricebookEntry" => Self::PricebookEntry,
            "Order" => Self::Order,
            "OrderItem" => Self::OrderItem,
            "Account" => Self::Account,
            "Opportunity" => Self::Opportunity,
            "Case" => Self::Case,
            "EmailMessage" => Self::EmailMessage,
            _ => return None,
        })
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Product2 => "Product2",
            Self::PricebookEntry => "PricebookEntry",
            Self::Order => "Order",
            Self::OrderItem => "OrderItem",
            Self::Account => "Account",
            Self::Opportunity => "Opportunity",
            Self::Case => "Case",
            Self::EmailMessage => "EmailMessage",
        }
    }

    /// The field that names the record to which one belongs, besides its account.
    pub(super) fn parent_field(self) -> Option<&'static str> {
        match self {
            Self::OrderItem => Some("OrderId"),
            Self::EmailMessage => Some("ParentId"),
            _ => None,
        }
    }
}

/// An event without what it says: ids and kinds, no personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// One record changed.
    Record {
        /// Its object.
        entity: Entity,
        /// Its id.
        id: RecordId,
        /// Whether it is gone.
        is_deleted: bool,
        /// Whether only fields changed that nobody is shown.
        is_internal: bool,
        /// Its account, when the event says so.
        account: Option<AccountId>,
        /// The record to which it belongs, when the event says so: the order of a line, the case of a mail.
        parent: Option<RecordId>,
    },
    /// More records of an object changed than the bus tells.
    Whole {
        /// The object.
        entity: Entity,
    },
    /// An order is to be fulfilled.
    Fulfilment {
        /// Which.
        order: OrderId,
        /// The sender's key; one request has one.
        idempotency_key: Option<String>,
        /// For the logs.
        correlation: Option<String>,
    },
    /// What an account may order at its address was decided.
    Eligibility {
        /// Whose.
        account: AccountId,
    },
    /// A comment was added to a case, or changed.
    Comment {
        /// Which case.
        case: CaseId,
        /// Its account; cases of nobody have none.
        account: Option<AccountId>,
    },
}

impl Report {
    /// Events of one record are applied in order.
    pub(super) fn record(&self) -> String {
        match self {
            Self::Record { entity, id, .. } => format!("{}:{id}", entity.as_str()),
            Self::Whole { entity } => format!("{}:*", entity.as_str()),
            Self::Fulfilment { order, .. } => format!("Order:{order}"),
            Self::Eligibility { account } => format!("Account:{account}"),
            Self::Comment { case, .. } => format!("Case:{case}"),
        }
    }
}

/// Whether a record is gone after a change.
pub(super) fn deletes(change: ChangeType) -> bool {
    matches!(change, ChangeType::Delete | ChangeType::GapDelete)
}
