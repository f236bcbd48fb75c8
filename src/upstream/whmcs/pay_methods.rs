//! `GetPayMethods`.

use serde::Deserialize;

use crate::{
    deadline::Budget,
    upstream::{
        error::{Error, Kind},
        transport::Answer,
        whmcs::{Client, dialect, ensure_owner, read},
    },
};

/// A stored way to pay. Which one is the default is not told; the gateway's token is never read.
#[derive(Clone, Debug, Deserialize)]
pub struct PayMethod {
    /// The pay method id.
    #[serde(deserialize_with = "dialect::number")]
    pub id: u64,
    /// `CreditCard`, `RemoteCreditCard`, `BankAccount` or `RemoteBankAccount`.
    #[serde(default, rename = "type", deserialize_with = "dialect::text")]
    pub kind: String,
    /// The client's own name for it; `None` when it has none.
    #[serde(default, deserialize_with = "dialect::opt_text")]
    pub description: Option<String>,
    /// The gateway that holds it; `None` when it is stored locally.
    #[serde(default, deserialize_with = "dialect::opt_text")]
    pub gateway_name: Option<String>,
    /// The last four digits; cards only.
    #[serde(default, deserialize_with = "dialect::opt_text")]
    pub card_last_four: Option<String>,
    /// `MM/YY`; cards only.
    #[serde(default, deserialize_with = "dialect::opt_text")]
    pub expiry_date: Option<String>,
    /// The brand, such as `Visa`; cards only.
    #[serde(default, deserialize_with = "dialect::opt_text")]
    pub card_type: Option<String>,
    /// The bank; accounts only.
    #[serde(default, deserialize_with = "dialect::opt_text")]
    pub bank_name: Option<String>,
}

impl Client {
    /// All stored ways to pay of a client; the vendor does not page them.
    ///
    /// # Errors
    /// As [`Transport::send`](crate::upstream::transport::Transport::send).
    ///
    /// Source: WHMCS API reference, `GetPayMethods`.
    pub async fn get_pay_methods(&self, budget: Budget, client: u64) -> Result<Vec<PayMethod>, Error> {
        let parameters = [("clientid", &*client.to_string())];
        self.read("GetPayMethods", budget, &parameters, |answer| decode(answer, client)).await
    }
}

pub(super) fn decode(answer: &Answer, client: u64) -> Result<Vec<PayMethod>, Kind> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default, deserialize_with = "dialect::opt_number")]
        clientid: Option<u64>,
        #[serde(default, deserialize_with = "dialect::list")]
        paymethods: Vec<PayMethod>,
    }
    let body: Body = read(answer)?;
    ensure_owner(client, body.clientid, "clientid")?;
    Ok(body.paymethods)
}
