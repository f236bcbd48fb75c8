//! Billing: the WHMCS API, in its own words.
//!
//! Each action has a method here and its wire structs beside it. Quirks of the vendor's JSON end in `dialect`;
//! a verdict is read from the body before the status, because business errors arrive as 200 and refused
//! credentials as a 403 whose body alone says why (WHMCS reference §1.4 and §1.5).
//!
//! The vendor ignores parameters that it does not know, and a list without a filter is everybody's; so rows that
//! belong to another client than the one asked for are taken for a fault, never handed up.

mod client_writes;
mod clients;
mod dialect;
mod email_writes;
mod invoices;
mod logins;
mod owners;
mod pay_methods;
mod products;
mod serialize;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

pub use crate::upstream::whmcs::{
    client_writes::{Added, ClientChanges, NewClient},
    clients::ClientDetails,
    email_writes::{ClientEmails, EmailChanged, LoginUser},
    invoices::{Invoice, InvoiceDetails, InvoiceItem, Invoices},
    logins::Login,
    pay_methods::PayMethod,
    products::{Product, Products},
};
use crate::{
    deadline::Budget,
    error::Service,
    upstream::{
        error::{Error, Kind},
        transport::{self, Answer, Call, Class, Transport},
    },
};

/// Where the installation is, and as whom we ask.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The system URL, with its path prefix when it has one: `https://example.jp/billing`.
    pub base_url: Url,
    /// The identifier of an API credential pair.
    pub identifier: String,
    /// Its secret.
    pub secret: SecretString,
    /// What the installation can bear.
    pub transport: transport::Settings,
}

/// A client of one installation. Clones share everything.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Transport,
    url: Url,
    identifier: String,
    secret: SecretString,
}

impl Client {
    /// Builds the client; asks nothing yet. Slashes at the end of the base address do no harm.
    ///
    /// # Errors
    /// As [`Transport::new`].
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let mut url = settings.base_url;
        url.set_path(&format!("{}/includes/api.php", url.path().trim_end_matches('/')));
        Ok(Self {
            transport: Transport::new(Service::Billing, "whmcs", settings.transport)?,
            url,
            identifier: settings.identifier,
            secret: settings.secret,
        })
    }

    /// The installation's version, such as `8.13.1-release.1`: the cheapest proof that address and credentials
    /// are right.
    ///
    /// # Errors
    /// [`Kind::Session`] when the credentials are refused; else as [`Transport::send`].
    pub async fn whmcs_details(&self, budget: Budget) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Body {
            whmcs: Details,
        }
        #[derive(Deserialize)]
        struct Details {
            #[serde(default, deserialize_with = "dialect::text")]
            version: String,
            #[serde(default, deserialize_with = "dialect::opt_text")]
            canonicalversion: Option<String>,
        }
        self.read("WhmcsDetails", budget, &[], |answer| {
            let Details { version, canonicalversion } = read::<Body>(answer)?.whmcs;
            Ok(canonicalversion.unwrap_or(version))
        })
        .await
    }

    /// Asks an action that changes nothing.
    async fn read<T>(
        &self,
        action: &'static str,
        budget: Budget,
        parameters: &[(&str, &str)],
        decode: impl Fn(&Answer) -> Result<T, Kind> + Send + Sync,
    ) -> Result<T, Error> {
        self.call(Call { operation: action, class: Class::Read, budget }, parameters, decode).await
    }

    /// Asks an action that changes something, once.
    async fn write<T>(
        &self,
        action: &'static str,
        budget: Budget,
        parameters: &[(&str, &str)],
        decode: impl Fn(&Answer) -> Result<T, Kind> + Send + Sync,
    ) -> Result<T, Error> {
        self.call(Call { operation: action, class: Class::Write, budget }, parameters, decode).await
    }

    async fn call<T>(
        &self,
        call: Call,
        parameters: &[(&str, &str)],
        decode: impl Fn(&Answer) -> Result<T, Kind> + Send + Sync,
    ) -> Result<T, Error> {
        let mut form = vec![
            ("identifier", self.identifier.as_str()),
            ("secret", self.secret.expose_secret()),
            ("action", call.operation),
            ("responsetype", "json"),
        ];
        form.extend_from_slice(parameters);
        let build = |http: &reqwest::Client| http.post(self.url.clone()).form(&form);
        self.transport.send(call, build, |answer| decode(&answer)).await
    }
}

/// Decodes an answer whose verdict is success.
fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, Kind> {
    let body = answer.body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&answer.body);
    verdict(answer, body)?;
    transport::decode(body)
}

/// `result` if present, else `status`; a `warning` without a verdict is a failure, anything else no answer.
fn verdict(answer: &Answer, body: &[u8]) -> Result<(), Kind> {
    #[derive(Deserialize)]
    struct Verdict {
        #[serde(default, deserialize_with = "dialect::opt_text")]
        result: Option<String>,
        #[serde(default, deserialize_with = "dialect::opt_text")]
        status: Option<String>,
        #[serde(default, deserialize_with = "dialect::opt_text")]
        message: Option<String>,
        #[serde(default, deserialize_with = "dialect::opt_text")]
        warning: Option<String>,
    }
    let status = answer.status;
    let verdict: Verdict = match transport::decode(body) {
        Ok(verdict) => verdict,
        Err(_) if !status.is_success() => return Err(answer.status_kind()),
        Err(kind) => return Err(kind),
    };
    let message = verdict.message.as_deref().or(verdict.warning.as_deref()).unwrap_or_default();
    match verdict.result.or(verdict.status).as_deref() {
        Some("success") => Ok(()),
        Some("error") if status.is_server_error() || status.as_u16() == 429 => Err(answer.status_kind()),
        Some("error") if status.as_u16() == 403 || is_access_failure(message) => Err(Kind::Session),
        Some("error") => Err(Kind::refused("", message)),
        None if verdict.warning.is_some() => Err(Kind::refused("warning", message)),
        _ if !status.is_success() => Err(answer.status_kind()),
        _ => Err(Kind::Decode { path: "result".to_owned() }),
    }
}

/// What a refusal says, in the vendor's words. It may quote what was sent: to be compared, never kept.
fn message_of(answer: &Answer) -> String {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default, deserialize_with = "dialect::text")]
        message: String,
    }
    answer.json::<Body>().map(|body| body.message).unwrap_or_default()
}

/// Older releases refuse access with 200. Source: WHMCS reference §1.5.
fn is_access_failure(message: &str) -> bool {
    [
        "invalid ip",
        "authentication failed",
        "invalid or missing credentials",
        "invalid permissions",
        "access denied",
        "administrator account disabled",
    ]
    .iter()
    .any(|text| says(message, text))
}

/// Whether a message begins so. Case is ignored: it differs between releases.
fn says(message: &str, beginning: &str) -> bool {
    message.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning))
}

/// A fault unless every row is of the client that was asked for.
fn ensure_owner(client: u64, owners: impl IntoIterator<Item = u64>, path: &str) -> Result<(), Kind> {
    if owners.into_iter().all(|owner| owner == client) {
        Ok(())
    } else {
        Err(Kind::Decode { path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests;
