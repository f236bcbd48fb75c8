//! Opportunities: what may become a service, from interest to cancellation. Source: domain reference §12.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Crm, FieldMap};
use crate::{
    deadline::Budget,
    error::{Error, Result},
    id::{AccountId, RecordId},
    upstream::{
        self,
        salesforce::{
            Record,
            soql::{Direction, Filter, Select, Soql, Value},
        },
    },
};

/// What opportunities for an internet line are about.
const INTERNET: &str = "Internet";
/// Where those began that came of a request for a check.
const SOURCE: &str = "Portal - Internet Eligibility Request";
/// The first of the stages that staff keep for themselves.
const FIRST_STAGE: &str = "INTRO-1";

/// An opportunity of an account for an internet line, or what is to become one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interest {
    /// There is one in the first stage, of which no service came yet.
    Known(RecordId),
    /// There is none. The key is that of the next one: whoever asks at the same moment is given the same.
    New(String),
}

impl Crm {
    /// The interest of an account in an internet line.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the CRM does not answer.
    pub async fn internet_interest(&self, budget: Budget, account: AccountId) -> Result<Interest> {
        let rows: Vec<Record> = self.salesforce.query(budget, select(&self.fields, account)?).await?;
        let mut keys = Vec::new();
        for row in &rows {
            let stage = row.text("StageName")?;
            let service = row.text(&self.fields.opportunity_service)?;
            if stage == Some(&*self.words.introduction_stage) && service.is_none() {
                return Ok(Interest::Known(row.required("Id", Record::id)?));
            }
            keys.extend(row.text(&self.fields.opportunity_key)?);
        }
        Ok(Interest::New(next_key(account, &keys)))
    }

    /// Opens an opportunity for an internet line under a key, unless there is one of that key. Gives its record, and whether
    /// it is new. Again is harmless. With `looks_first` the key is looked up before anything is sent.
    ///
    /// # Errors
    /// As [`Crm::put_account`].
    pub async fn open_internet_opportunity(
        &self,
        budget: Budget,
        looks_first: bool,
        account: AccountId,
        key: &str,
        closes_on: chrono::NaiveDate,
    ) -> Result<(RecordId, bool)> {
        let fields = &*self.fields;
        let record = json!({
            "Name": "Internet, asked for in the portal",
            "AccountId": account.as_str(),
            "StageName": &*self.words.introduction_stage,
            "CloseDate": closes_on.to_string(),
            &*fields.opportunity_product: INTERNET,
            &*fields.opportunity_source: SOURCE,
            &*fields.opportunity_application_stage: FIRST_STAGE,
        });
        self.create_once(budget, looks_first, "Opportunity", (&fields.opportunity_key, key), record).await
    }
}

/// The first key that no opportunity of the account has.
fn next_key(account: AccountId, taken: &[&str]) -> String {
    let mut keys = (0_u32..).map(|n| format!("internet-{account}-{n}"));
    keys.find(|key| !taken.contains(&key.as_str())).unwrap_or_default()
}

fn select(fields: &FieldMap, account: AccountId) -> Result<Soql> {
    Select::from("Opportunity")
        .fields(["Id", "StageName"])
        .fields([&fields.opportunity_service, &fields.opportunity_key])
        .filter(
            Filter::eq("AccountId", Value::Id(account.0))
                .and(Filter::eq(&fields.opportunity_product, INTERNET)),
        )
        .order_by("CreatedDate", Direction::Descending)
        .build()
        .map_err(Error::internal)
}

impl Crm {
    /// Creates a record with a key that no other record may have, unless there is one that has it: that stays as it is. Gives
    /// the record, and whether it is new.
    pub(super) async fn create_once(
        &self,
        budget: Budget,
        looks_first: bool,
        object: &str,
        (key, value): (&str, &str),
        mut record: serde_json::Value,
    ) -> Result<(RecordId, bool)> {
        if looks_first && let Some(id) = self.record_of_key(budget, object, key, value).await? {
            return Ok((id, false));
        }
        record[key] = value.into();
        match self.salesforce.create(budget, object, &record).await {
            Ok(id) => Ok((id, true)),
            // Somebody made it a moment ago: a call of ours whose answer was lost, or another request.
            Err(error) if is_taken(&error) => match self.record_of_key(budget, object, key, value).await? {
                Some(id) => Ok((id, false)),
                None => Err(super::account::of_write(error)),
            },
            Err(error) => Err(super::account::of_write(error)),
        }
    }

    async fn record_of_key(
        &self,
        budget: Budget,
        object: &str,
        key: &str,
        value: &str,
    ) -> Result<Option<RecordId>> {
        let soql = Select::from(object).fields(["Id"]).filter(Filter::eq(key, value)).build();
        let rows: Vec<Record> = self.salesforce.query(budget, soql.map_err(Error::internal)?).await?;
        Ok(rows.first().map(|row| row.required("Id", Record::id)).transpose()?)
    }
}

/// Whether a record was refused since another one has its key.
pub(super) fn is_taken(error: &upstream::Error) -> bool {
    matches!(&error.kind, upstream::Kind::Refused { code, .. } if code == "DUPLICATE_VALUE")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_key_is_given_again_only_when_nothing_has_it() {
        let account = AccountId::parse("001000000000001").unwrap();
        let key = |n: u32| format!("internet-{account}-{n}");
        assert_eq!(next_key(account, &[]), key(0));
        assert_eq!(next_key(account, &[&key(0), "of somebody else"]), key(1));
        // One that staff deleted.
        assert_eq!(next_key(account, &[&key(1)]), key(0));
        assert_eq!(next_key(account, &[&key(1), &key(0)]), key(2));
    }
}
