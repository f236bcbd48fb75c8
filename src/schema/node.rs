//! Global ids: opaque, base64url of `Type:key`, made and read only here.

use async_graphql::{ID, Interface};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::{
    billing::{Invoice, PaymentMethod, Subscription},
    crm::{Case, Order},
    error::{Error, Result},
    id::{CaseId, InvoiceId, NotificationId, OrderId, PaymentMethodId, SubscriptionId, UserId},
    identity::Scope,
    notify::Notification,
};

/// Something with an id of its own, which `node(id:)` finds again.
#[derive(Interface)]
#[graphql(field(
    name = "id",
    ty = "ID",
    desc = "Names the object everywhere and for good. Opaque: give it back as it is."
))]
pub enum Node {
    /// A service of the customer.
    Subscription(Subscription),
    /// An invoice.
    Invoice(Invoice),
    /// A stored payment method.
    PaymentMethod(PaymentMethod),
    /// An order.
    Order(Order),
    /// A support case.
    Case(Case),
    /// A notification of the bell.
    Notification(Notification),
}

const VIEWER: &str = "Viewer";

/// What a global id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum NodeId {
    Subscription(SubscriptionId),
    Invoice(InvoiceId),
    PaymentMethod(PaymentMethodId),
    Order(OrderId),
    Case(CaseId),
    Notification(NotificationId),
}

impl NodeId {
    /// What a partner needs to see what it names.
    pub(super) const fn scope(self) -> Scope {
        match self {
            Self::Subscription(_) => Scope::ServicesRead,
            Self::Invoice(_) | Self::PaymentMethod(_) => Scope::BillingRead,
            Self::Order(_) => Scope::OrdersRead,
            Self::Case(_) => Scope::CasesRead,
            Self::Notification(_) => Scope::NotificationsRead,
        }
    }

    /// The opaque text.
    pub(super) fn encode(self) -> ID {
        match self {
            Self::Subscription(key) => opaque("Subscription", key),
            Self::Invoice(key) => opaque("Invoice", key),
            Self::PaymentMethod(key) => opaque("PaymentMethod", key),
            Self::Order(key) => opaque("Order", key),
            Self::Case(key) => opaque("Case", key),
            Self::Notification(key) => opaque("Notification", key),
        }
    }

    /// Reads what [`NodeId::encode`] wrote.
    ///
    /// # Errors
    /// [`Error::BadInput`] for anything else. An id of the right form that names nothing, or nothing of
    /// the viewer's, is no error: the two must look the same.
    pub(super) fn decode(argument: &'static str, id: &str) -> Result<Self> {
        Self::read(id).ok_or(Error::BadInput { argument, reason: "is not an id of this graph" })
    }

    fn read(id: &str) -> Option<Self> {
        (id.len() <= 128).then_some(())?;
        let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
        let (kind, key) = text.split_once(':')?;
        // One id, one text: `007` and `+7` are no numbers of ours.
        let number = || key.parse::<u64>().ok().filter(|number| number.to_string() == key);
        match kind {
            "Subscription" => number().map(SubscriptionId).map(Self::Subscription),
            "Invoice" => number().map(InvoiceId).map(Self::Invoice),
            "PaymentMethod" => number().map(PaymentMethodId).map(Self::PaymentMethod),
            "Order" => OrderId::parse(key).map(Self::Order),
            "Case" => CaseId::parse(key).map(Self::Case),
            "Notification" => {
                let id = Uuid::try_parse(key).ok().filter(|id| id.to_string() == key)?;
                Some(Self::Notification(NotificationId(id)))
            }
            _ => None,
        }
    }
}

/// The key behind an id that [`opaque`] made of a uuid. The id of something else names nothing of this kind: then it is one
/// that nothing has.
///
/// # Errors
/// [`Error::BadInput`] for what is no id of this graph.
pub(super) fn key_of(argument: &'static str, kind: &str, id: &ID) -> Result<Uuid> {
    let bad = || Error::BadInput { argument, reason: "is not an id of this graph" };
    let bytes = (id.len() <= 128).then(|| BASE64_URL_SAFE_NO_PAD.decode(id.as_str()).ok()).flatten();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(bad)?;
    let (found, key) = text.split_once(':').ok_or_else(bad)?;
    let key = Uuid::try_parse(key).ok().filter(|_| found == kind);
    Ok(key.unwrap_or_default())
}

/// The customer whom a partner names, by the `id` of their `viewer`. For any other text it is a customer that does not exist.
pub fn customer_of(id: &str) -> UserId {
    UserId(key_of("portal-customer", VIEWER, &ID(id.to_owned())).unwrap_or_default())
}

/// The `id` of a `viewer`.
pub(super) fn viewer_id(user: UserId) -> ID {
    opaque(VIEWER, user)
}

/// An id of an object that `node` does not find: it only tells siblings apart.
pub(super) fn opaque(kind: &str, key: impl std::fmt::Display) -> ID {
    ID(BASE64_URL_SAFE_NO_PAD.encode(format!("{kind}:{key}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_survives_its_encoding(key: u64) {
            for id in [
                NodeId::Subscription(SubscriptionId(key)),
                NodeId::Invoice(InvoiceId(key)),
                NodeId::PaymentMethod(PaymentMethodId(key)),
            ] {
                prop_assert_eq!(NodeId::read(&id.encode()), Some(id));
            }
        }

        #[test]
        fn no_text_makes_decoding_panic(text in "\\PC*") {
            let _ = NodeId::read(&text);
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "!", "SW52b2ljZTow MQ", "SW52b2ljZTowMQ", "SW52b2ljZTorMQ", "VXNlcjox"] {
            assert_eq!(NodeId::read(text), None, "{text}");
        }
    }
}
