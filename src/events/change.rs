//! What changed, in the portal's words, and which answers that makes old.

use crate::{
    billing, crm,
    freshness::Tag,
    id::{AccountId, CaseId, ClientId, InvoiceId, OrderId, SubscriptionId},
    notify::{Hint, Subject, Topic},
    sim,
};

/// A change of something that the portal serves. Where an id is optional, `None` means any of the owner's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Name, address or contact data of a client.
    Profile {
        /// Whose.
        client: ClientId,
    },
    /// A subscription was added, changed or ended.
    Subscription {
        /// Whose.
        client: ClientId,
        /// Which.
        subscription: Option<SubscriptionId>,
    },
    /// An invoice was made, changed or paid.
    Invoice {
        /// Whose.
        client: ClientId,
        /// Which.
        invoice: Option<InvoiceId>,
    },
    /// Stored cards and accounts.
    PaymentMethods {
        /// Whose.
        client: ClientId,
    },
    /// Anything that billing knows of a client.
    Client {
        /// Which.
        client: ClientId,
    },
    /// An order was placed or moved on.
    Order {
        /// Whose.
        account: AccountId,
        /// Which.
        order: Option<OrderId>,
    },
    /// A support case was opened, changed or closed.
    Case {
        /// Whose.
        account: AccountId,
        /// Which.
        case: Option<CaseId>,
    },
    /// A message was added to a case.
    Conversation {
        /// Whose.
        account: AccountId,
        /// Which case.
        case: CaseId,
    },
    /// Anything that the CRM knows of an account.
    Account {
        /// Which.
        account: AccountId,
    },
    /// What an account may order at its address.
    Eligibility {
        /// Whose.
        account: AccountId,
    },
    /// State, plan or options of a mobile line.
    Line {
        /// Its telephone number, digits only.
        number: String,
    },
    /// The plans that are offered to everybody.
    Catalogue,
}

impl Change {
    /// The tags whose entries are old now.
    pub fn tags(&self) -> Vec<Tag> {
        match self {
            Self::Profile { client } => vec![billing::tags::profile(*client)],
            Self::Subscription { client, .. } => vec![billing::tags::subscriptions(*client)],
            Self::Invoice { client, invoice: None } => vec![billing::tags::invoices(*client)],
            // The list holds status and total of each.
            Self::Invoice { client, invoice: Some(invoice) } => {
                vec![billing::tags::invoices(*client), billing::tags::invoice(*client, *invoice)]
            }
            Self::PaymentMethods { client } => vec![billing::tags::payment_methods(*client)],
            Self::Client { client } => billing::tags::everything(*client),
            Self::Order { account, .. } => vec![crm::tags::orders(*account)],
            Self::Case { account, .. } => vec![crm::tags::cases(*account)],
            // The list shows when a case was last changed.
            Self::Conversation { account, case } => {
                vec![crm::tags::conversation(*case), crm::tags::cases(*account)]
            }
            Self::Account { account } => crm::tags::everything(*account),
            Self::Eligibility { account } => vec![crm::tags::eligibility(*account)],
            Self::Line { number } => sim::tags::everything(number),
            Self::Catalogue => vec![crm::tags::catalogue()],
        }
    }

    /// What open subscriptions are told.
    pub fn hint(&self) -> Hint {
        let (topic, subject) = match self {
            Self::Profile { client } => (Topic::Client(*client), Subject::Profile),
            Self::Subscription { client, subscription } => {
                (Topic::Client(*client), Subject::Subscription(*subscription))
            }
            Self::Invoice { client, invoice } => (Topic::Client(*client), Subject::Invoice(*invoice)),
            Self::PaymentMethods { client } => (Topic::Client(*client), Subject::PaymentMethods),
            Self::Client { client } => (Topic::Client(*client), Subject::Everything),
            Self::Order { account, order } => (Topic::Account(*account), Subject::Order(*order)),
            Self::Case { account, case } => (Topic::Account(*account), Subject::Case(*case)),
            Self::Conversation { account, case } => (Topic::Account(*account), Subject::Case(Some(*case))),
            Self::Account { account } => (Topic::Account(*account), Subject::Everything),
            Self::Eligibility { account } => (Topic::Account(*account), Subject::Eligibility),
            Self::Line { number } => (Topic::Line(number.as_str().into()), Subject::Line),
            Self::Catalogue => (Topic::Everyone, Subject::Catalogue),
        };
        Hint::new(topic, subject)
    }
}
