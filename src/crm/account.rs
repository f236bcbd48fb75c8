//! Accounts as sign-up, linking and the person's own changes find and write them.
//!
//! An account is created by its customer number, which is a key of the CRM: to send that twice makes one account. A case of
//! ours carries a key as well. Source: domain reference §4, §6.4 to §6.6, §9.2.

use async_graphql::SimpleObject;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::{Crm, FieldMap, opportunity::is_taken, tags};
use crate::{
    deadline::Budget,
    error::{Error, Result, UserError},
    freshness::Read,
    id::{AccountId, ClientId},
    identity::Viewer,
    upstream::{
        self, Kind,
        salesforce::{
            Record,
            soql::{Direction, Filter, Select, Soql, Value},
        },
    },
};

const REFUSED: UserError = UserError {
    code: "CRM_REFUSED",
    field: Vec::new(),
    message: "The customer register does not take these data. Please check them, or contact support.",
};

/// The portal status that staff's own flows may give to a new account.
const NO_ACCESS_YET: &str = "Not Yet";

/// Whose account it is: persons, one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sex {
    /// Male.
    Male,
    /// Female.
    Female,
    /// Neither, or not said.
    Other,
}

impl Sex {
    const ALL: [Self; 3] = [Self::Male, Self::Female, Self::Other];

    const fn word(self) -> &'static str {
        match self {
            Self::Male => "男性",
            Self::Female => "女性",
            Self::Other => "Other",
        }
    }

    fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sex| sex.word() == word)
    }
}

/// An address in Japanese writing, as couriers and the fibre carrier read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SimpleObject)]
pub struct JapaneseAddress {
    /// Town, block numbers, building and room: `神南1-19-11 サニーハイツ203号室`.
    pub street: String,
    /// City or ward: `渋谷区`.
    pub city: String,
    /// Prefecture: `東京都`.
    pub prefecture: String,
    /// Postal code, `150-0041`.
    pub postal_code: String,
}

/// An account of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its record.
    pub id: AccountId,
    /// The customer number; `None` until staff or sign-up give one.
    pub customer_number: Option<String>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// The contact's address, as staff wrote it.
    pub email: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
    /// Birth date.
    pub birth_date: Option<NaiveDate>,
    /// Sex.
    pub sex: Option<Sex>,
    /// The address in Japanese; `None` while it is incomplete.
    pub address: Option<JapaneseAddress>,
    /// Whether it is or was that of a customer: of billing, or of the portal.
    pub is_customers: bool,
}

/// An account that is to be created.
#[derive(Clone, Debug)]
pub struct NewAccount<'a> {
    /// Given name.
    pub first_name: &'a str,
    /// Family name.
    pub last_name: &'a str,
    /// The normalised address.
    pub email: &'a str,
    /// The rest.
    pub details: AccountChanges<'a>,
}

/// What changes about an account; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct AccountChanges<'a> {
    /// The customer number, of an account without one.
    pub customer_number: Option<&'a str>,
    /// The contact's address.
    pub email: Option<&'a str>,
    /// Telephone number.
    pub phone: Option<&'a str>,
    /// Birth date.
    pub birth_date: Option<NaiveDate>,
    /// Sex.
    pub sex: Option<Sex>,
    /// The address in Japanese.
    pub address: Option<&'a JapaneseAddress>,
}

/// How a person came to the portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// They signed up.
    NewSignup,
    /// They were a customer before.
    Migrated,
}

/// What the CRM is told of somebody's access to the portal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The client in billing.
    pub client: ClientId,
    /// The customer's name, as the mark `#<client> - <name>` says it.
    pub name: String,
    /// How they came.
    pub source: Source,
    /// When they first signed in.
    pub at: DateTime<Utc>,
}

/// A case for staff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaffCase {
    /// Our key: one case has it, however often it is sent.
    pub key: String,
    /// Whose it is.
    pub account: AccountId,
    /// One line.
    pub subject: String,
    /// What staff must know.
    pub description: String,
}

impl Crm {
    /// Every account with an address, in the order of their creation, asked of the CRM now.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the CRM does not answer.
    pub async fn accounts_of_email(&self, budget: Budget, email: &str) -> Result<Vec<Account>> {
        self.ask_accounts(budget, select(&self.fields, Filter::eq("PersonEmail", email))?).await
    }

    /// The account with a customer number.
    ///
    /// # Errors
    /// As [`Crm::accounts_of_email`].
    pub async fn account_of_number(&self, budget: Budget, number: &str) -> Result<Option<Account>> {
        let filter = Filter::eq(&self.fields.account_customer_number, number);
        Ok(self.ask_accounts(budget, select(&self.fields, filter)?).await?.into_iter().next())
    }

    /// An account as the CRM says now; `None` when it is gone.
    ///
    /// # Errors
    /// As [`Crm::accounts_of_email`].
    pub async fn account(&self, budget: Budget, account: AccountId) -> Result<Option<Account>> {
        let soql = select(&self.fields, Filter::eq("Id", Value::Id(account.0)))?;
        Ok(self.ask_accounts(budget, soql).await?.into_iter().next())
    }

    async fn ask_accounts(&self, budget: Budget, soql: Soql) -> Result<Vec<Account>> {
        let rows: Vec<Record> = self.salesforce.query(budget, soql).await?;
        rows.iter().map(|row| Account::new(row, &self.fields)).collect()
    }

    /// Creates the account with a customer number; if there is one, it becomes this: an address that is not said is taken from
    /// it. Again is harmless.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `CRM_REFUSED`; [`Error::Uncertain`] when it may have happened;
    /// [`Error::Unavailable`] when it surely has not.
    pub async fn put_account(
        &self,
        budget: Budget,
        customer_number: &str,
        new: &NewAccount<'_>,
    ) -> Result<AccountId> {
        let key = &self.fields.account_customer_number;
        let record = self.record_of(new);
        let put = || self.salesforce.upsert(budget, "Account", key, customer_number, &record);
        let put = match put().await {
            // Somebody made it at the same moment: now it is there to become this.
            Err(error) if is_taken(&error) => put().await,
            put => put,
        };
        match put.map_err(of_write)?.id {
            Some(id) => Ok(AccountId(id)),
            // Old versions of the interface do not say which one they changed.
            None => self
                .account_of_number(budget, customer_number)
                .await?
                .map(|account| account.id)
                .ok_or_else(|| Error::internal("an account is not there after it was put")),
        }
    }

    /// Creates the account with a customer number, unless there is one: that stays as it is. Gives the account, and whether it
    /// is new. Again is harmless. With `looks_first` the number is looked up before anything is sent.
    ///
    /// # Errors
    /// As [`Crm::put_account`].
    pub async fn create_account(
        &self,
        budget: Budget,
        looks_first: bool,
        customer_number: &str,
        new: &NewAccount<'_>,
    ) -> Result<(AccountId, bool)> {
        let key = (&*self.fields.account_customer_number, customer_number);
        let record = Json::Object(self.record_of(new));
        let (id, is_new) = self.create_once(budget, looks_first, "Account", key, record).await?;
        Ok((AccountId(id), is_new))
    }

    /// Changes an account, and makes old what is kept of it, on every replica. Again is harmless.
    ///
    /// # Errors
    /// As [`Crm::put_account`].
    pub async fn change_account(
        &self,
        budget: Budget,
        account: AccountId,
        changes: &AccountChanges<'_>,
    ) -> Result<()> {
        self.write_account(budget, account, &self.changes(changes)).await
    }

    /// Marks an account as one whose customer uses the portal. Again is harmless.
    ///
    /// # Errors
    /// As [`Crm::put_account`].
    pub async fn grant_access(&self, budget: Budget, account: AccountId, access: &Access) -> Result<()> {
        let fields = &*self.fields;
        let source = match access.source {
            Source::NewSignup => "New Signup",
            Source::Migrated => "Migrated",
        };
        let mut record = Map::new();
        record.insert(fields.account_portal_status.clone(), "Active".into());
        record.insert(fields.account_portal_source.clone(), source.into());
        record.insert(
            fields.account_portal_last_sign_in.clone(),
            access.at.to_rfc3339_opts(SecondsFormat::Millis, true).into(),
        );
        let mark = format!("#{} - {}", access.client, access.name);
        record.insert(fields.account_billing_client.clone(), mark.into());
        self.write_account(budget, account, &record).await
    }

    /// Marks an account as one whose customer uses the portal no longer. Again is harmless.
    ///
    /// # Errors
    /// As [`Crm::put_account`].
    pub async fn end_access(&self, budget: Budget, account: AccountId) -> Result<()> {
        let mut record = Map::new();
        record.insert(self.fields.account_portal_status.clone(), "Closed".into());
        self.write_account(budget, account, &record).await
    }

    pub(super) async fn write_account(
        &self,
        budget: Budget,
        account: AccountId,
        record: &Map<String, Json>,
    ) -> Result<()> {
        if record.is_empty() {
            return Ok(());
        }
        let written = self.salesforce.update(budget, "Account", account.0, record).await.map_err(of_write);
        if self.cache.invalidate(&[tags::account(account)]).await.is_err() {
            tracing::warn!("a change of an account was not confirmed by every replica");
        }
        written
    }

    /// Opens a case for staff, which the customer does not see. Again is harmless.
    ///
    /// # Errors
    /// As [`Crm::put_account`].
    pub async fn open_staff_case(&self, budget: Budget, case: &StaffCase) -> Result<()> {
        let record = json!({
            "AccountId": case.account.as_str(),
            "Subject": case.subject,
            "Description": case.description,
            "Origin": &*self.words.staff_origin,
        });
        let put = self.salesforce.upsert(budget, "Case", &self.fields.case_key, &case.key, &record).await;
        put.map(drop).map_err(of_write)
    }

    /// The viewer's address in Japanese; `None` when the account has none that is complete.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the CRM does not answer.
    pub async fn address(&self, viewer: &Viewer) -> Result<Read<Option<JapaneseAddress>>> {
        let (account, budget) = (viewer.account(), viewer.budget());
        self.cache
            .read(
                viewer.reader(),
                &self.kinds.account,
                viewer.owner().key(&self.kinds.account, ""),
                vec![tags::account(account)],
                || {
                    let crm = self.clone();
                    async move { Ok(crm.account(budget, account).await?.and_then(|account| account.address)) }
                },
            )
            .await
    }

    /// A new account without its number, which is its key.
    fn record_of(&self, new: &NewAccount<'_>) -> Map<String, Json> {
        let details = AccountChanges { customer_number: None, ..new.details.clone() };
        let mut record = self.changes(&details);
        record.insert("FirstName".to_owned(), new.first_name.into());
        record.insert("LastName".to_owned(), new.last_name.into());
        record.insert("PersonEmail".to_owned(), new.email.into());
        if new.details.address.is_none() {
            let fields = &*self.fields;
            let parts = [
                &fields.account_street,
                &fields.account_city,
                &fields.account_state,
                &fields.account_postal_code,
                &fields.account_country,
            ];
            record.extend(parts.map(|name| (name.clone(), Json::Null)));
        }
        record
    }

    fn changes(&self, changes: &AccountChanges<'_>) -> Map<String, Json> {
        let fields = &*self.fields;
        let mut record = Map::new();
        let mut put = |name: &str, value: Json| record.insert(name.to_owned(), value);
        if let Some(number) = changes.customer_number {
            put(&fields.account_customer_number, number.into());
        }
        if let Some(email) = changes.email {
            put("PersonEmail", email.into());
        }
        if let Some(phone) = changes.phone {
            put("Phone", phone.into());
            put("PersonMobilePhone", phone.into());
        }
        if let Some(day) = changes.birth_date {
            put("PersonBirthdate", day.to_string().into());
        }
        if let Some(sex) = changes.sex {
            put(&fields.account_sex, sex.word().into());
        }
        if let Some(address) = changes.address {
            put(&fields.account_street, address.street.as_str().into());
            put(&fields.account_city, address.city.as_str().into());
            put(&fields.account_state, address.prefecture.as_str().into());
            put(&fields.account_postal_code, address.postal_code.as_str().into());
            put(&fields.account_country, "日本".into());
        }
        record
    }
}

impl Account {
    fn new(row: &Record, fields: &FieldMap) -> Result<Self> {
        let text = |name: &str| row.text(name).map(|text| text.map(str::to_owned));
        let parts = [
            &fields.account_street,
            &fields.account_city,
            &fields.account_state,
            &fields.account_postal_code,
        ];
        let parts = parts.into_iter().map(|name| text(name)).collect::<Result<Option<Vec<_>>, _>>()?;
        let address = parts.and_then(|parts| <[String; 4]>::try_from(parts).ok());
        let address = address.map(|[street, city, prefecture, postal_code]| JapaneseAddress {
            street,
            city,
            prefecture,
            postal_code,
        });
        Ok(Self {
            id: AccountId(row.required("Id", Record::id)?),
            customer_number: text(&fields.account_customer_number)?,
            first_name: text("FirstName")?,
            last_name: text("LastName")?,
            email: text("PersonEmail")?,
            phone: match text("PersonMobilePhone")? {
                Some(phone) => Some(phone),
                None => text("Phone")?,
            },
            birth_date: row.day("PersonBirthdate")?,
            sex: row.text(&fields.account_sex)?.and_then(Sex::read),
            address,
            is_customers: row.text(&fields.account_billing_client)?.is_some()
                || row.text(&fields.account_portal_status)?.is_some_and(|status| status != NO_ACCESS_YET),
        })
    }

    /// Whether its contact has a normalised address, in whatever spelling.
    pub fn has_email(&self, email: &str) -> bool {
        self.email.as_deref().is_some_and(|own| own.trim().to_lowercase() == email)
    }

    /// Whether it says no more than who somebody is and where, as accounts of guests do.
    pub const fn is_bare(&self) -> bool {
        self.phone.is_none() && self.birth_date.is_none() && self.sex.is_none()
    }
}

fn select(fields: &FieldMap, filter: Filter) -> Result<Soql> {
    Select::from("Account")
        .fields([
            "Id",
            "FirstName",
            "LastName",
            "PersonEmail",
            "PersonMobilePhone",
            "Phone",
            "PersonBirthdate",
        ])
        .fields([
            &fields.account_customer_number,
            &fields.account_sex,
            &fields.account_street,
            &fields.account_city,
            &fields.account_state,
            &fields.account_postal_code,
            &fields.account_billing_client,
            &fields.account_portal_status,
        ])
        .filter(filter)
        .order_by("CreatedDate", Direction::Ascending)
        .build()
        .map_err(Error::internal)
}

pub(super) fn of_write(error: upstream::Error) -> Error {
    match &error.kind {
        Kind::Refused { .. } => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the CRM refuses a write");
            Error::Rejected(vec![REFUSED])
        }
        _ => error.of_write(),
    }
}
