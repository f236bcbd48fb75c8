//! What changes together for one client: the domain's reads carry these tags, and a change raises them.

use crate::{
    freshness::Tag,
    id::{ClientId, InvoiceId},
};

/// The profile, the address and the currency.
pub fn profile(client: ClientId) -> Tag {
    tag(client, "profile")
}

/// The list of subscriptions, and each of them.
pub fn subscriptions(client: ClientId) -> Tag {
    tag(client, "subscriptions")
}

/// The list of invoices, and each of them.
pub fn invoices(client: ClientId) -> Tag {
    tag(client, "invoices")
}

/// One invoice with its lines, when only that can have changed.
pub fn invoice(client: ClientId, invoice: InvoiceId) -> Tag {
    tag(client, &format!("invoice:{invoice}"))
}

/// The stored payment methods.
pub fn payment_methods(client: ClientId) -> Tag {
    tag(client, "payment_methods")
}

/// Everything that billing knows of a client.
pub fn everything(client: ClientId) -> Vec<Tag> {
    vec![profile(client), subscriptions(client), invoices(client), payment_methods(client)]
}

fn tag(client: ClientId, what: &str) -> Tag {
    Tag::new(format!("client:{client}:{what}"))
}
