//! What the customer register says of a person, besides orders and cases: for the person, who asks what is known of them.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use super::{Crm, FieldMap};
use crate::{
    error::{Error, Result},
    id::AccountId,
    identity::Viewer,
    upstream::{
        self,
        salesforce::{
            Record,
            soql::{Direction, Filter, Select, Soql, Value},
        },
    },
};

/// An account, in the register's own words; what it does not say is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegisterEntry {
    customer_number: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    mobile_phone: Option<String>,
    birth_date: Option<NaiveDate>,
    sex: Option<String>,
    address: Address,
    /// The client in billing, as `#<client> - <name>`.
    billing_client: Option<String>,
    portal: Portal,
    eligibility: Eligibility,
    opportunities: Vec<Opportunity>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Address {
    street: Option<String>,
    city: Option<String>,
    prefecture: Option<String>,
    postal_code: Option<String>,
    country: Option<String>,
}

/// How the person uses the portal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Portal {
    status: Option<String>,
    source: Option<String>,
    last_sign_in: Option<DateTime<Utc>>,
}

/// Whether internet can be had at the address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Eligibility {
    status: Option<String>,
    offering: Option<String>,
    requested_at: Option<DateTime<Utc>>,
    case: Option<String>,
}

/// What may become a service, or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Opportunity {
    name: Option<String>,
    about: Option<String>,
    stage: Option<String>,
    application_stage: Option<String>,
    source: Option<String>,
    subscription: Option<String>,
    created_at: Option<DateTime<Utc>>,
    closes_on: Option<NaiveDate>,
}

impl Crm {
    /// What the register says of the viewer, asked of it now; `None` when the account is gone.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the CRM does not answer.
    pub async fn register_entry(&self, viewer: &Viewer) -> Result<Option<RegisterEntry>> {
        let (account, budget, fields) = (viewer.account(), viewer.budget(), &*self.fields);
        let (of_account, of_opportunities) =
            (select_account(fields, account)?, select_opportunities(fields, account)?);
        let (accounts, opportunities): (Vec<Record>, Vec<Record>) = tokio::try_join!(
            self.salesforce.query(budget, of_account),
            self.salesforce.query(budget, of_opportunities),
        )?;
        let Some(row) = accounts.first() else { return Ok(None) };
        let opportunities = opportunities.iter().map(|row| Opportunity::new(row, fields));
        let opportunities = opportunities.collect::<Result<_, upstream::Error>>()?;
        Ok(Some(RegisterEntry::new(row, opportunities, fields)?))
    }
}

impl RegisterEntry {
    fn new(
        row: &Record,
        opportunities: Vec<Opportunity>,
        fields: &FieldMap,
    ) -> Result<Self, upstream::Error> {
        Ok(Self {
            customer_number: text(row, &fields.account_customer_number)?,
            first_name: text(row, "FirstName")?,
            last_name: text(row, "LastName")?,
            email: text(row, "PersonEmail")?,
            phone: text(row, "Phone")?,
            mobile_phone: text(row, "PersonMobilePhone")?,
            birth_date: row.day("PersonBirthdate")?,
            sex: text(row, &fields.account_sex)?,
            address: Address {
                street: text(row, &fields.account_street)?,
                city: text(row, &fields.account_city)?,
                prefecture: text(row, &fields.account_state)?,
                postal_code: text(row, &fields.account_postal_code)?,
                country: text(row, &fields.account_country)?,
            },
            billing_client: text(row, &fields.account_billing_client)?,
            portal: Portal {
                status: text(row, &fields.account_portal_status)?,
                source: text(row, &fields.account_portal_source)?,
                last_sign_in: row.instant(&fields.account_portal_last_sign_in)?,
            },
            eligibility: Eligibility {
                status: text(row, &fields.account_eligibility_status)?,
                offering: text(row, &fields.account_eligibility)?,
                requested_at: row.instant(&fields.account_eligibility_requested_at)?,
                case: text(row, &fields.account_eligibility_case)?,
            },
            opportunities,
        })
    }
}

impl Opportunity {
    fn new(row: &Record, fields: &FieldMap) -> Result<Self, upstream::Error> {
        Ok(Self {
            name: text(row, "Name")?,
            about: text(row, &fields.opportunity_product)?,
            stage: text(row, "StageName")?,
            application_stage: text(row, &fields.opportunity_application_stage)?,
            source: text(row, &fields.opportunity_source)?,
            subscription: text(row, &fields.opportunity_service)?,
            created_at: row.instant("CreatedDate")?,
            closes_on: row.day("CloseDate")?,
        })
    }
}

fn text(row: &Record, name: &str) -> Result<Option<String>, upstream::Error> {
    Ok(row.text(name)?.map(str::to_owned))
}

fn select_account(fields: &FieldMap, account: AccountId) -> Result<Soql> {
    Select::from("Account")
        .fields([
            "FirstName",
            "LastName",
            "PersonEmail",
            "Phone",
            "PersonMobilePhone",
            "PersonBirthdate",
            &fields.account_customer_number,
            &fields.account_sex,
            &fields.account_street,
            &fields.account_city,
            &fields.account_state,
            &fields.account_postal_code,
            &fields.account_country,
            &fields.account_billing_client,
            &fields.account_portal_status,
            &fields.account_portal_source,
            &fields.account_portal_last_sign_in,
            &fields.account_eligibility_status,
            &fields.account_eligibility,
            &fields.account_eligibility_requested_at,
            &fields.account_eligibility_case,
        ])
        .filter(Filter::eq("Id", Value::Id(account.0)))
        .build()
        .map_err(Error::internal)
}

fn select_opportunities(fields: &FieldMap, account: AccountId) -> Result<Soql> {
    Select::from("Opportunity")
        .fields([
            "Name",
            "StageName",
            "CreatedDate",
            "CloseDate",
            &fields.opportunity_product,
            &fields.opportunity_application_stage,
            &fields.opportunity_source,
            &fields.opportunity_service,
        ])
        .filter(Filter::eq("AccountId", Value::Id(account.0)))
        .order_by("CreatedDate", Direction::Descending)
        .build()
        .map_err(Error::internal)
}
