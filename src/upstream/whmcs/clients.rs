//! `GetClientsDetails`.

use rust_decimal::Decimal;
use serde::Deserialize;

use crate::{
    deadline::Budget,
    upstream::{
        error::{Error, Kind},
        transport::Answer,
        whmcs::{Client, dialect, ensure_owner, read},
    },
};

/// A client. Texts are plain: entities are decoded.
#[derive(Clone, Debug, Deserialize)]
pub struct ClientDetails {
    /// The client id.
    #[serde(deserialize_with = "dialect::number")]
    pub id: u64,
    /// Given name.
    #[serde(default, deserialize_with = "dialect::text")]
    pub firstname: String,
    /// Family name.
    #[serde(default, deserialize_with = "dialect::text")]
    pub lastname: String,
    /// Company; `None` for a private person.
    #[serde(default, deserialize_with = "dialect::opt_text")]
    pub companyname: Option<String>,
    /// The client's address for mail, which may differ from the address used to sign in.
    #[serde(default, deserialize_with = "dialect::text")]
    pub email: String,
    /// First line of the address.
    #[serde(default, deserialize_with = "dialect::text")]
    pub address1: String,
    /// Second line of the address.
    #[serde(default, deserialize_with = "dialect::text")]
    pub address2: String,
    /// City.
    #[serde(default, deserialize_with = "dialect::text")]
    pub city: String,
    /// State or prefecture, as written by the client.
    #[serde(default, deserialize_with = "dialect::text")]
    pub state: String,
    /// Postal code.
    #[serde(default, deserialize_with = "dialect::text")]
    pub postcode: String,
    /// Country, two letters of ISO 3166.
    #[serde(default, deserialize_with = "dialect::text")]
    pub country: String,
    /// Telephone number as written by the client.
    #[serde(default, deserialize_with = "dialect::text")]
    pub phonenumber: String,
    /// The client's one currency, ISO 4217.
    #[serde(default, deserialize_with = "dialect::text")]
    pub currency_code: String,
    /// `Active`, `Inactive` or `Closed`.
    #[serde(default, deserialize_with = "dialect::text")]
    pub status: String,
    /// Credit balance in the client's currency.
    #[serde(deserialize_with = "dialect::decimal")]
    pub credit: Decimal,
    /// Language of mails, such as `japanese`; `None` means the installation's.
    #[serde(default, deserialize_with = "dialect::opt_text")]
    pub language: Option<String>,
    /// Fields of this installation, known by their ids.
    #[serde(default, deserialize_with = "dialect::list")]
    pub customfields: Vec<CustomField>,
}

/// A custom field of a client.
#[derive(Clone, Debug, Deserialize)]
pub struct CustomField {
    /// The field's id on this installation.
    #[serde(deserialize_with = "dialect::number")]
    pub id: u64,
    /// Its value, empty when unset.
    #[serde(default, deserialize_with = "dialect::text")]
    pub value: String,
}

impl Client {
    /// One client.
    ///
    /// # Errors
    /// [`Kind::Refused`] when there is no such client; else as
    /// [`Transport::send`](crate::upstream::transport::Transport::send).
    ///
    /// Source: WHMCS API reference, `GetClientsDetails`.
    pub async fn get_clients_details(&self, client: u64, budget: Budget) -> Result<ClientDetails, Error> {
        let parameters = [("clientid", &*client.to_string())];
        self.read("GetClientsDetails", budget, &parameters, |answer| decode(answer, client)).await
    }
}

pub(super) fn decode(answer: &Answer, client: u64) -> Result<ClientDetails, Kind> {
    #[derive(Deserialize)]
    struct Body {
        client: ClientDetails,
    }
    let details = read::<Body>(answer)?.client;
    ensure_owner(client, [details.id], "client.id")?;
    Ok(details)
}
