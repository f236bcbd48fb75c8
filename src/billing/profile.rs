//! Who the customer is to billing, and the authoritative address.

use async_graphql::SimpleObject;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::{CustomFields, Gender};
use crate::{money::Currency, upstream::whmcs};

/// The customer as billing knows them.
#[derive(Clone, Debug, Deserialize, Serialize, SimpleObject)]
#[graphql(complex)]
pub struct Profile {
    /// Given name. Empty for a company without a contact person.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// Given and family name in the order of the customer's language.
    pub full_name: String,
    /// Company name. Null for a private person.
    pub company_name: Option<String>,
    /// E-mail address for invoices and notices; it may differ from the one used to sign in.
    pub email: String,
    /// Phone number as the customer wrote it. Null when there is none.
    pub phone: Option<String>,
    /// Language of mails and invoices, as an English word in lower case: `japanese`. Null when it is the default.
    pub language: Option<String>,
    /// The customer number that staff ask for. Null until it is assigned.
    pub customer_number: Option<String>,
    /// Birth date. Null when it is not known.
    #[serde(default)]
    pub birth_date: Option<NaiveDate>,
    /// Gender. Null when it is not known.
    #[serde(default)]
    pub gender: Option<Gender>,
    /// Nationality, as the customer wrote it. Null when it is not known.
    #[serde(default)]
    pub nationality: Option<String>,
    /// Currency of every price and invoice of this customer.
    pub currency: Currency,
    /// The current address. Null while it is incomplete.
    pub address: Option<Address>,
}

/// A postal address, romanised.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, SimpleObject)]
pub struct Address {
    /// Building and room, or block numbers.
    pub line1: String,
    /// Town and block numbers. Null when line 1 says all.
    pub line2: Option<String>,
    /// City or ward.
    pub city: String,
    /// Prefecture.
    pub state: String,
    /// Postal code, `150-0001`.
    pub postal_code: String,
    /// Country, ISO 3166 alpha-2.
    pub country: String,
}

fn filled(text: String) -> Option<String> {
    (!text.trim().is_empty()).then_some(text)
}

impl Profile {
    /// From the client record.
    pub(super) fn new(details: whmcs::ClientDetails, fields: &CustomFields) -> Self {
        let custom = |id: u64| {
            let field = details.customfields.iter().find(|(known, _)| *known == id);
            field.and_then(|(_, value)| filled(value.trim().to_owned()))
        };
        let customer_number = custom(fields.customer_number);
        let birth_date = custom(fields.birth_date).and_then(|day| day.parse().ok());
        let gender = custom(fields.gender).and_then(|word| Gender::read(&word));
        let nationality = custom(fields.nationality);
        let japanese = details.language.eq_ignore_ascii_case("japanese");
        let (first, second) = if japanese {
            (&details.lastname, &details.firstname)
        } else {
            (&details.firstname, &details.lastname)
        };
        let address = Address {
            line1: details.address1,
            line2: filled(details.address2),
            city: details.city,
            state: details.state,
            postal_code: details.postcode,
            country: details.country,
        };
        // Line 2 is optional, the others are not (domain reference §9.1).
        let complete =
            [&address.line1, &address.city, &address.state, &address.postal_code, &address.country]
                .iter()
                .all(|part| !part.trim().is_empty());
        Self {
            full_name: format!("{first} {second}").trim().to_owned(),
            first_name: details.firstname,
            last_name: details.lastname,
            company_name: filled(details.companyname),
            email: details.email,
            phone: filled(details.phonenumber),
            language: filled(details.language),
            customer_number,
            birth_date,
            gender,
            nationality,
            currency: Currency::parse(&details.currency_code).unwrap_or(Currency::JPY),
            address: complete.then_some(address),
        }
    }
}
