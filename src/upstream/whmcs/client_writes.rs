//! `AddClient` and `UpdateClient`. Neither is ever sent twice by itself: the vendor knows no idempotency key
//! (WHMCS reference §1.11).

use serde::Deserialize;

use crate::{
    deadline::Budget,
    secret::{ExposeSecret, SecretString},
    upstream::{
        error::{Error, Kind},
        transport::Answer,
        whmcs::{Client, dialect, message_of, read, says, serialize::custom_fields},
    },
};

/// A client to be created, with its login user. Every text is plain.
#[derive(Clone, Debug)]
pub struct NewClient<'a> {
    /// Given name.
    pub firstname: &'a str,
    /// Family name.
    pub lastname: &'a str,
    /// Company; empty for a private person.
    pub companyname: &'a str,
    /// The client's address, and the user's.
    pub email: &'a str,
    /// First line of the address.
    pub address1: &'a str,
    /// Second line of the address; may be empty.
    pub address2: &'a str,
    /// City.
    pub city: &'a str,
    /// State or prefecture.
    pub state: &'a str,
    /// Postal code.
    pub postcode: &'a str,
    /// Country, two letters of ISO 3166.
    pub country: &'a str,
    /// Telephone number.
    pub phonenumber: &'a str,
    /// Language by its full English name: `japanese`.
    pub language: &'a str,
    /// Password of the login user.
    pub password: &'a SecretString,
    /// Fields of this installation: id and value.
    pub customfields: &'a [(u64, &'a str)],
    /// Whether the client takes advertising.
    pub marketingoptin: bool,
}

/// What became of a creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The new client's id.
    Client(u64),
    /// A user has this address already; nothing was created.
    EmailTaken,
}

/// What changes about a client; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct ClientChanges<'a> {
    /// First line of the address.
    pub address1: Option<&'a str>,
    /// Second line of the address; an empty text empties it.
    pub address2: Option<&'a str>,
    /// City.
    pub city: Option<&'a str>,
    /// State or prefecture.
    pub state: Option<&'a str>,
    /// Postal code.
    pub postcode: Option<&'a str>,
    /// Country, two letters of ISO 3166.
    pub country: Option<&'a str>,
    /// Telephone number.
    pub phonenumber: Option<&'a str>,
    /// `Active`, `Inactive` or `Closed`.
    pub status: Option<&'a str>,
    /// Whether the client takes advertising; read back as `marketing_emails_opt_in`.
    pub marketingoptin: Option<bool>,
    /// Fields of this installation, by id; the others stay.
    pub customfields: Vec<(u64, &'a str)>,
}

impl Client {
    /// Creates a client and its login user. The vendor sends no mail about it.
    ///
    /// # Errors
    /// [`Kind::Refused`] when a field is not to its liking; see also [`Kind::may_have_happened`].
    ///
    /// Source: WHMCS API reference, `AddClient`.
    pub async fn add_client(&self, budget: Budget, new: &NewClient<'_>) -> Result<Added, Error> {
        let fields = custom_fields(new.customfields);
        let parameters = [
            ("firstname", new.firstname),
            ("lastname", new.lastname),
            ("companyname", new.companyname),
            ("email", new.email),
            ("address1", new.address1),
            ("address2", new.address2),
            ("city", new.city),
            ("state", new.state),
            ("postcode", new.postcode),
            ("country", new.country),
            ("phonenumber", new.phonenumber),
            ("language", new.language),
            ("password2", new.password.expose_secret()),
            ("customfields", &fields),
            ("marketingoptin", flag(new.marketingoptin)),
            ("noemail", "1"),
        ];
        self.write("AddClient", budget, &parameters, added).await
    }

    /// Changes a client. To send it again does no harm.
    ///
    /// # Errors
    /// [`Kind::Refused`] when there is no such client, or a field is not to its liking; see also
    /// [`Kind::may_have_happened`].
    ///
    /// Source: WHMCS API reference, `UpdateClient`.
    pub async fn update_client(
        &self,
        budget: Budget,
        client: u64,
        changes: &ClientChanges<'_>,
    ) -> Result<(), Error> {
        let (id, fields) = (client.to_string(), custom_fields(&changes.customfields));
        let mut parameters = vec![("clientid", id.as_str())];
        let texts = [
            ("address1", changes.address1),
            ("address2", changes.address2),
            ("city", changes.city),
            ("state", changes.state),
            ("postcode", changes.postcode),
            ("country", changes.country),
            ("phonenumber", changes.phonenumber),
            ("status", changes.status),
            ("marketingoptin", changes.marketingoptin.map(flag)),
        ];
        parameters.extend(texts.into_iter().filter_map(|(name, text)| Some((name, text?))));
        if !changes.customfields.is_empty() {
            parameters.push(("customfields", &fields));
        }
        self.write("UpdateClient", budget, &parameters, |answer| updated(answer, client)).await
    }
}

const fn flag(is_on: bool) -> &'static str {
    if is_on { "1" } else { "0" }
}

pub(super) fn added(answer: &Answer) -> Result<Added, Kind> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(deserialize_with = "dialect::number")]
        clientid: u64,
    }
    match read::<Body>(answer) {
        Ok(body) => Ok(Added::Client(body.clientid)),
        Err(Kind::Refused { .. }) if says(&message_of(answer), "A user already exists with that email") => {
            Ok(Added::EmailTaken)
        }
        Err(kind) => Err(kind),
    }
}

fn updated(answer: &Answer, client: u64) -> Result<(), Kind> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(deserialize_with = "dialect::number")]
        clientid: u64,
    }
    let echoed = read::<Body>(answer)?.clientid;
    super::ensure_owner(client, [echoed], "clientid")
}
