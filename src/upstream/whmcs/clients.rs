//! `GetClientsDetails`.

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
    /// Company; empty for a private person.
    #[serde(default, deserialize_with = "dialect::text")]
    pub companyname: String,
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
    /// Language of mails, such as `japanese`; empty means the installation's.
    #[serde(default, deserialize_with = "dialect::text")]
    pub language: String,
    /// Whether the client takes advertising.
    #[serde(default, deserialize_with = "dialect::boolean")]
    pub marketing_emails_opt_in: bool,
    /// Fields of this installation: id and value, which is empty when unset.
    #[serde(default, deserialize_with = "customfields")]
    pub customfields: Vec<(u64, String)>,
}

fn customfields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(u64, String)>, D::Error> {
    #[derive(Deserialize)]
    struct Field {
        #[serde(deserialize_with = "dialect::number")]
        id: u64,
        #[serde(default, deserialize_with = "dialect::text")]
        value: String,
    }
    let fields: Vec<Field> = dialect::list(deserializer)?;
    Ok(fields.into_iter().map(|field| (field.id, field.value)).collect())
}

impl Client {
    /// One client.
    ///
    /// # Errors
    /// [`Kind::Refused`] when there is no such client; else as
    /// [`Transport::send`](crate::upstream::transport::Transport::send).
    ///
    /// Source: WHMCS API reference, `GetClientsDetails`.
    pub async fn get_clients_details(&self, budget: Budget, client: u64) -> Result<ClientDetails, Error> {
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
