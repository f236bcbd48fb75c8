//! Live updates: sockets and event streams as strangers speak them, and who hears what.

mod bus;
mod connections;
mod sockets;
mod streams;
mod updates;

use portal_gateway::{
    id::{AccountId, ClientId, InvoiceId},
    notify::{Hint, Subject, Topic},
};
use serde_json::json;

use crate::gateway::{Customer, Gateway, Wishes};

pub const CHANGED: &str = "subscription { accountChanged { kind id } }";
pub const INVOICES: &str = "{ viewer { invoices(first: 2) { nodes { id number } } } }";
pub const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

pub async fn with(env: &[(&'static str, &str)]) -> Gateway {
    let env = env.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Gateway::with(Wishes { env, ..Wishes::default() }).await
}

/// The ids of a customer.
pub async fn ids(gateway: &Gateway, customer: &Customer<'_>) -> (ClientId, AccountId) {
    let principal = gateway.app.identity.authenticate(customer.token.as_ref().unwrap()).await.unwrap();
    (principal.client, principal.account)
}

/// The ids and numbers of a customer's newest invoices.
pub async fn invoices(customer: &Customer<'_>) -> Vec<(String, InvoiceId)> {
    let data = customer.ask(INVOICES, json!({})).await.data();
    let nodes = data["viewer"]["invoices"]["nodes"].as_array().unwrap().clone();
    let key = |id: &str| {
        use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
        let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(id).unwrap()).unwrap();
        InvoiceId(text.strip_prefix("Invoice:").unwrap().parse().unwrap())
    };
    nodes.iter().map(|node| node["id"].as_str().unwrap()).map(|id| (id.to_owned(), key(id))).collect()
}

pub fn invoice_of(client: ClientId, invoice: InvoiceId) -> Hint {
    Hint::new(Topic::Client(client), Subject::Invoice(Some(invoice)))
}
