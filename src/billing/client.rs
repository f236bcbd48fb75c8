//! Clients as sign-up, linking and the person's own changes write them.
//!
//! A write is sent once. One whose outcome is unknown is told as [`Error::Uncertain`]: whoever wrote looks it up, by the
//! address and by the customer number that the client would carry. Source: domain reference §6.4 to §6.6, §8, §9.

use async_graphql::Enum;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::{Address, Billing, Profile, tags};
use crate::{
    deadline::Budget,
    error::{Error, Result, Service, UserError},
    id::ClientId,
    secret::SecretString,
    upstream::{
        self, Kind,
        whmcs::{self, Added},
    },
};

const REFUSED: UserError = UserError {
    code: "BILLING_REFUSED",
    field: Vec::new(),
    message: "Billing does not take these data. Please check them, or contact support.",
};

/// A person's gender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum Gender {
    /// Male.
    Male,
    /// Female.
    Female,
    /// Neither, or not said.
    Other,
}

impl Gender {
    /// The word in billing's custom field.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Male => "Male",
            Self::Female => "Female",
            Self::Other => "Other",
        }
    }

    /// Reads that word; staff may have written any other.
    pub(super) fn read(word: &str) -> Option<Self> {
        [Self::Male, Self::Female, Self::Other]
            .into_iter()
            .find(|gender| gender.word().eq_ignore_ascii_case(word.trim()))
    }
}

/// A client who is to be created.
#[derive(Clone, Debug)]
pub struct NewClient<'a> {
    /// Given name.
    pub first_name: &'a str,
    /// Family name.
    pub last_name: &'a str,
    /// Company.
    pub company: Option<&'a str>,
    /// The normalised address.
    pub email: &'a str,
    /// Telephone number.
    pub phone: &'a str,
    /// Romanised.
    pub address: &'a Address,
    /// Whether mails and invoices are in Japanese; else in English.
    pub is_japanese: bool,
    /// For the login there, which the person does not get to know: portal passwords are the portal's own.
    pub password: &'a SecretString,
    /// The customer number: our reference, by which the client is found again.
    pub customer_number: &'a str,
    /// Birth date.
    pub birth_date: Option<NaiveDate>,
    /// Gender.
    pub gender: Option<Gender>,
    /// Nationality.
    pub nationality: Option<&'a str>,
    /// Whether advertising is welcome.
    pub marketing: bool,
}

/// What changes about a client; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct ClientChanges<'a> {
    /// Telephone number.
    pub phone: Option<&'a str>,
    /// Romanised.
    pub address: Option<&'a Address>,
    /// The customer number.
    pub customer_number: Option<&'a str>,
    /// Birth date.
    pub birth_date: Option<NaiveDate>,
    /// Gender.
    pub gender: Option<Gender>,
    /// Nationality.
    pub nationality: Option<&'a str>,
    /// Whether advertising is welcome.
    pub marketing: Option<bool>,
    /// Whether the client is served.
    pub is_active: Option<bool>,
}

/// A client whom billing has.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its id.
    pub id: ClientId,
    /// What billing knows.
    pub profile: Profile,
    /// Whether advertising is welcome.
    pub marketing: bool,
}

/// The clients with one address.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Those that are open.
    pub open: Vec<Client>,
    /// Whether there is one that was closed.
    pub has_closed: bool,
}

/// What a billing password proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// That the person is this client.
    Proven(ClientId),
    /// Nothing by itself: there is a second factor, which cannot be asked for here.
    SecondFactor,
    /// Nothing.
    Wrong,
}

impl Billing {
    /// Every client with an address, asked of billing now.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when billing does not answer.
    pub async fn clients_of_email(&self, budget: Budget, email: &str) -> Result<Clients> {
        self.clients_of(budget, None, email).await
    }

    /// The one client that was proved; without one, every client with an address. Asked of billing now.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when billing does not answer.
    pub async fn clients_of(&self, budget: Budget, proved: Option<ClientId>, email: &str) -> Result<Clients> {
        let ids = match proved {
            Some(client) => vec![client.0],
            None => self.whmcs.clients_of_email(budget, email).await?,
        };
        let mut clients = Clients { open: Vec::new(), has_closed: false };
        for id in ids {
            match self.client(budget, ClientId(id)).await? {
                Some(client) => clients.open.push(client),
                None => clients.has_closed = true,
            }
        }
        Ok(clients)
    }

    /// A client, asked of billing now; `None` when it is closed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when billing does not answer.
    pub async fn client(&self, budget: Budget, client: ClientId) -> Result<Option<Client>> {
        let details = self.whmcs.get_clients_details(budget, client.0).await?;
        let is_closed = details.status.eq_ignore_ascii_case("closed");
        let marketing = details.marketing_emails_opt_in;
        let profile = Profile::new(details, &self.fields);
        Ok((!is_closed).then_some(Client { id: client, profile, marketing }))
    }

    /// Creates a client; `None` when somebody has the address already: then nothing was created.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `BILLING_REFUSED`; [`Error::Uncertain`] when it may have happened: look it up;
    /// [`Error::Unavailable`] when it surely has not.
    pub async fn create_client(&self, budget: Budget, new: &NewClient<'_>) -> Result<Option<ClientId>> {
        let birth_date = new.birth_date.map(|day| day.to_string());
        let fields = [
            (self.fields.customer_number, Some(new.customer_number)),
            (self.fields.birth_date, birth_date.as_deref()),
            (self.fields.gender, new.gender.map(Gender::word)),
            (self.fields.nationality, new.nationality),
        ];
        let fields: Vec<_> = fields.into_iter().filter_map(|(id, text)| Some((id, text?))).collect();
        let added = self
            .whmcs
            .add_client(
                budget,
                &whmcs::NewClient {
                    firstname: new.first_name,
                    lastname: new.last_name,
                    companyname: new.company.unwrap_or_default(),
                    email: new.email,
                    address1: &new.address.line1,
                    address2: new.address.line2.as_deref().unwrap_or_default(),
                    city: &new.address.city,
                    state: &new.address.state,
                    postcode: &new.address.postal_code,
                    country: &new.address.country,
                    phonenumber: new.phone,
                    language: if new.is_japanese { "japanese" } else { "english" },
                    password: new.password,
                    customfields: &fields,
                    marketingoptin: new.marketing,
                },
            )
            .await
            .map_err(of_write)?;
        Ok(match added {
            Added::Client(id) => Some(ClientId(id)),
            Added::EmailTaken => None,
        })
    }

    /// Changes a client, and makes old what is kept of it, on every replica. Again is harmless.
    ///
    /// # Errors
    /// As [`Billing::create_client`].
    pub async fn change_client(
        &self,
        budget: Budget,
        client: ClientId,
        changes: &ClientChanges<'_>,
    ) -> Result<()> {
        let birth_date = changes.birth_date.map(|day| day.to_string());
        let fields = [
            (self.fields.customer_number, changes.customer_number),
            (self.fields.birth_date, birth_date.as_deref()),
            (self.fields.gender, changes.gender.map(Gender::word)),
            (self.fields.nationality, changes.nationality),
        ];
        let address = changes.address;
        let written = whmcs::ClientChanges {
            address1: address.map(|address| address.line1.as_str()),
            address2: address.map(|address| address.line2.as_deref().unwrap_or_default()),
            city: address.map(|address| address.city.as_str()),
            state: address.map(|address| address.state.as_str()),
            postcode: address.map(|address| address.postal_code.as_str()),
            country: address.map(|address| address.country.as_str()),
            phonenumber: changes.phone,
            marketingoptin: changes.marketing,
            status: changes.is_active.map(|is_active| if is_active { "Active" } else { "Inactive" }),
            customfields: fields.into_iter().filter_map(|(id, text)| Some((id, text?))).collect(),
        };
        let written = self.whmcs.update_client(budget, client.0, &written).await.map_err(of_write);
        // Whatever became of it: what was read before may be old.
        if !matches!(written, Err(Error::Unavailable { .. } | Error::RateLimited { .. })) {
            self.forget(client).await;
        }
        written
    }

    /// Makes everything old that is kept of a client. Without Redis' word the other replicas show nothing older than they
    /// may anyway, so a write does not fail for it.
    pub async fn forget(&self, client: ClientId) {
        if self.cache.invalidate(&tags::everything(client)).await.is_err() {
            tracing::warn!("a change of a client was not confirmed by every replica");
        }
    }

    /// Checks a billing password, once. Nothing about it is kept.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when billing does not answer; [`Error::Rejected`] when the login has not exactly one client.
    pub async fn check_login(&self, budget: Budget, email: &str, password: &SecretString) -> Result<Login> {
        match self.whmcs.validate_login(budget, email, password).await? {
            whmcs::Login::Wrong => Ok(Login::Wrong),
            whmcs::Login::SecondFactor => Ok(Login::SecondFactor),
            whmcs::Login::Proven => match self.whmcs.clients_of_user(budget, email).await?.as_slice() {
                [client] => Ok(Login::Proven(ClientId(*client))),
                clients => {
                    let count = clients.len();
                    tracing::warn!(count, "a login of billing has not exactly one client; staff must help");
                    Err(Error::Rejected(vec![REFUSED]))
                }
            },
        }
    }
}

pub(super) fn of_write(error: upstream::Error) -> Error {
    match &error.kind {
        Kind::Refused { .. } => {
            tracing::warn!(error = &error as &dyn std::error::Error, "billing refuses a write");
            Error::Rejected(vec![REFUSED])
        }
        _ => {
            debug_assert_eq!(error.service, Service::Billing);
            error.of_write()
        }
    }
}
