//! Whose a row is, whoever asks. Source: WHMCS API reference, `GetInvoice`, `GetClientsProducts`, `GetOrders`.

use serde::Deserialize;

use crate::{
    deadline::Budget,
    upstream::{
        error::{Error, Kind},
        transport::Answer,
        whmcs::{Client, dialect, products::Products, read},
    },
};

/// A row of `GetOrders`, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Order {
    #[serde(deserialize_with = "dialect::number")]
    id: u64,
    #[serde(deserialize_with = "dialect::number")]
    userid: u64,
}

#[derive(Debug, Deserialize)]
struct Orders {
    #[serde(default, deserialize_with = "dialect::nested")]
    orders: Vec<Order>,
}

impl Client {
    /// The client whose invoice this is; `None` when there is none of that id.
    ///
    /// # Errors
    /// As [`Transport::send`](crate::upstream::transport::Transport::send).
    pub async fn owner_of_invoice(&self, budget: Budget, invoice: u64) -> Result<Option<u64>, Error> {
        Ok(self.get_invoice(budget, invoice).await?.map(|details| details.userid))
    }

    /// The client whose service this is; `None` when there is none of that id.
    ///
    /// # Errors
    /// As [`Transport::send`](crate::upstream::transport::Transport::send).
    pub async fn owner_of_service(&self, budget: Budget, service: u64) -> Result<Option<u64>, Error> {
        let parameters = [("serviceid", &*service.to_string()), ("limitnum", "1")];
        self.read("GetClientsProducts", budget, &parameters, |answer| decode_service(answer, service)).await
    }

    /// The client whose order in billing this is; `None` when there is none of that id.
    ///
    /// # Errors
    /// As [`Transport::send`](crate::upstream::transport::Transport::send).
    pub async fn owner_of_order(&self, budget: Budget, order: u64) -> Result<Option<u64>, Error> {
        let parameters = [("id", &*order.to_string()), ("limitnum", "1")];
        self.read("GetOrders", budget, &parameters, |answer| decode_order(answer, order)).await
    }
}

/// A filter that the vendor does not know is ignored: rows of another id are none of ours.
pub(super) fn decode_service(answer: &Answer, service: u64) -> Result<Option<u64>, Kind> {
    let page: Products = read(answer)?;
    Ok(page.products.iter().find(|product| product.id == service).map(|product| product.clientid))
}

pub(super) fn decode_order(answer: &Answer, order: u64) -> Result<Option<u64>, Kind> {
    let page: Orders = read(answer)?;
    Ok(page.orders.iter().find(|row| row.id == order).map(|row| row.userid))
}
