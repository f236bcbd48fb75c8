//! `GetClientsProducts`.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer};

use crate::{
    deadline::Budget,
    upstream::{
        error::{Error, Kind},
        transport::Answer,
        whmcs::{Client, dialect, ensure_owner, read},
    },
};

/// One page of a client's services.
#[derive(Clone, Debug, Deserialize)]
pub struct Products {
    /// Services before paging.
    #[serde(rename = "totalresults", deserialize_with = "dialect::number")]
    pub total: u64,
    /// The page.
    #[serde(default, deserialize_with = "dialect::nested")]
    pub products: Vec<Product>,
}

/// A product instance that a client owns. Its password, which the vendor sends in clear, is never read.
#[derive(Clone, Debug, Deserialize)]
pub struct Product {
    /// The service id.
    #[serde(deserialize_with = "dialect::number")]
    pub id: u64,
    /// The owner.
    #[serde(deserialize_with = "dialect::number")]
    pub clientid: u64,
    /// The order it came with; `None` when there was none.
    #[serde(default, deserialize_with = "dialect::opt_number")]
    pub orderid: Option<u64>,
    /// The catalogue's product.
    #[serde(deserialize_with = "dialect::number")]
    pub pid: u64,
    /// The day it was registered.
    #[serde(default, deserialize_with = "dialect::date")]
    pub regdate: Option<NaiveDate>,
    /// The product's name.
    #[serde(default, deserialize_with = "dialect::text")]
    pub name: String,
    /// The product group's name.
    #[serde(default, deserialize_with = "dialect::text")]
    pub groupname: String,
    /// Host name or another label; `None` when unset.
    #[serde(default, deserialize_with = "dialect::opt_text")]
    pub domain: Option<String>,
    /// The first payment, in the client's currency.
    #[serde(deserialize_with = "dialect::decimal")]
    pub firstpaymentamount: Decimal,
    /// The price of one billing cycle, in the client's currency.
    #[serde(deserialize_with = "dialect::decimal")]
    pub recurringamount: Decimal,
    /// `Free Account`, `One Time`, `Monthly` and so on; spelling varies.
    #[serde(default, deserialize_with = "dialect::text")]
    pub billingcycle: String,
    /// The next due day; `None` for what is free or paid once.
    #[serde(default, deserialize_with = "dialect::date")]
    pub nextduedate: Option<NaiveDate>,
    /// `Pending`, `Active`, `Suspended`, `Terminated`, `Cancelled`, `Fraud` or `Completed`.
    #[serde(default, deserialize_with = "dialect::text")]
    pub status: String,
    /// Fields of this product: name and value, which is empty when unset.
    #[serde(default, deserialize_with = "customfields")]
    pub customfields: Vec<(String, String)>,
}

fn customfields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    #[derive(Deserialize)]
    struct Field {
        #[serde(default, deserialize_with = "dialect::text")]
        name: String,
        #[serde(default, deserialize_with = "dialect::text")]
        value: String,
    }
    let fields: Vec<Field> = dialect::nested(deserializer)?;
    Ok(fields.into_iter().map(|field| (field.name, field.value)).collect())
}

impl Client {
    /// One page of a client's services, in the vendor's order. `offset` counts services.
    ///
    /// # Errors
    /// As [`Transport::send`](crate::upstream::transport::Transport::send).
    ///
    /// Source: WHMCS API reference, `GetClientsProducts`.
    pub async fn get_clients_products(
        &self,
        budget: Budget,
        client: u64,
        offset: u64,
        limit: u64,
    ) -> Result<Products, Error> {
        let parameters = [
            ("clientid", &*client.to_string()),
            ("limitstart", &*offset.to_string()),
            ("limitnum", &*limit.to_string()),
        ];
        self.read("GetClientsProducts", budget, &parameters, |answer| decode(answer, client)).await
    }
}

pub(super) fn decode(answer: &Answer, client: u64) -> Result<Products, Kind> {
    let page: Products = read(answer)?;
    ensure_owner(client, page.products.iter().map(|product| product.clientid), "products.product.clientid")?;
    Ok(page)
}
