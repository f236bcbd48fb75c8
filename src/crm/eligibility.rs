//! Whether internet can be had at the address of an account, as staff decided (domain reference §10).

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, json};

use super::{Crm, FieldMap, tags};
use crate::{
    deadline::Budget,
    error::{Error, Result},
    id::{AccountId, CaseId, RecordId},
    upstream::{
        self,
        salesforce::{
            Record,
            soql::{Filter, Select, Soql, Value},
        },
    },
};

/// Where the check of an account's address stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EligibilityStatus {
    /// Nobody has asked for it.
    NotRequested,
    /// Staff are at it.
    Pending,
    /// The service can be had.
    Eligible,
    /// The service cannot be had.
    Ineligible,
}

impl EligibilityStatus {
    /// From the word of the status and the offering that was granted. Where the word says only that it was checked, the
    /// offering decides; a word that is not known is no decision.
    fn read(status: Option<&str>, offering: Option<&str>) -> Self {
        match (status, offering) {
            (None, _) => Self::NotRequested,
            (Some("Eligible"), _) | (Some("Checked"), Some(_)) => Self::Eligible,
            (Some("Ineligible" | "Checked"), _) => Self::Ineligible,
            (Some(_), _) => Self::Pending,
        }
    }
}

/// A request of somebody who wants to know what internet can be had at an address.
#[derive(Clone, Debug)]
pub struct CheckRequest<'a> {
    /// Our key: one case has it, however often it is sent.
    pub key: &'a str,
    /// Whose it is.
    pub account: AccountId,
    /// What may become of it.
    pub opportunity: RecordId,
    /// What staff must know.
    pub description: &'a str,
}

impl Crm {
    /// Opens the case in which staff check an address, unless there is one of its key. Again is harmless. With `looks_first`
    /// the key is looked up before anything is sent.
    ///
    /// # Errors
    /// As [`Crm::put_account`].
    pub async fn open_check(
        &self,
        budget: Budget,
        looks_first: bool,
        request: &CheckRequest<'_>,
    ) -> Result<CaseId> {
        let fields = &*self.fields;
        let record = json!({
            "AccountId": request.account.as_str(),
            "Subject": "Internet availability check",
            "Description": request.description,
            "Origin": &*self.words.check_origin,
            "Type": "Internet",
            &*fields.case_opportunity: request.opportunity.as_str(),
        });
        let key = (&*fields.case_key, request.key);
        let (id, _) = self.create_once(budget, looks_first, "Case", key, record).await?;
        Ok(CaseId(id))
    }

    /// Notes at an account that its address is being checked, since when, and in which case. Again is harmless. With
    /// `looks_first` nothing is written where the case is noted already: staff may have decided since.
    ///
    /// # Errors
    /// As [`Crm::put_account`].
    pub async fn mark_check_pending(
        &self,
        budget: Budget,
        looks_first: bool,
        account: AccountId,
        case: CaseId,
        at: DateTime<Utc>,
    ) -> Result<()> {
        let fields = &*self.fields;
        if looks_first {
            let soql = Select::from("Account")
                .fields(["Id", &fields.account_eligibility_case])
                .filter(Filter::eq("Id", Value::Id(account.0)))
                .build();
            let rows: Vec<Record> = self.salesforce.query(budget, soql.map_err(Error::internal)?).await?;
            let noted = rows.first().map(|row| row.text(&fields.account_eligibility_case)).transpose()?;
            if noted.flatten().is_some_and(|noted| CaseId::parse(noted) == Some(case)) {
                return Ok(());
            }
        }
        let record = Map::from_iter([
            (fields.account_eligibility_status.clone(), "Pending".into()),
            (
                fields.account_eligibility_requested_at.clone(),
                at.to_rfc3339_opts(SecondsFormat::Millis, true).into(),
            ),
            (fields.account_eligibility_case.clone(), case.as_str().into()),
        ]);
        let written = self.write_account(budget, account, &record).await;
        if self.cache.invalidate(&[tags::eligibility(account)]).await.is_err() {
            tracing::warn!("a change of an account was not confirmed by every replica");
        }
        written
    }

    /// Where the checks of some accounts stand, as the CRM says now. Accounts that are gone are absent.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the CRM does not answer, [`Error::RateLimited`] when the allowance is kept for more
    /// urgent callers.
    pub async fn ask_eligibility(
        &self,
        accounts: &[AccountId],
        budget: Budget,
    ) -> Result<HashMap<AccountId, EligibilityStatus>> {
        let rows: Vec<Record> = self.salesforce.query(budget, select(&self.fields, accounts)?).await?;
        let read = |row: &Record| {
            let account = AccountId(row.required("Id", Record::id)?);
            let status = row.text(&self.fields.account_eligibility_status)?;
            let offering = row.text(&self.fields.account_eligibility)?;
            Ok((account, EligibilityStatus::read(status, offering)))
        };
        Ok(rows.iter().map(read).collect::<Result<_, upstream::Error>>()?)
    }
}

fn select(fields: &FieldMap, accounts: &[AccountId]) -> Result<Soql> {
    Select::from("Account")
        .fields(["Id", &fields.account_eligibility_status, &fields.account_eligibility])
        .filter(Filter::one_of("Id", accounts.iter().map(|account| Value::Id(account.0))))
        .build()
        .map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_decision_is_read_as_one() {
        for (status, offering, read) in [
            (None, None, EligibilityStatus::NotRequested),
            (Some("Pending"), None, EligibilityStatus::Pending),
            (Some("Pending"), Some("Home 1G"), EligibilityStatus::Pending),
            (Some("Eligible"), Some("Home 1G"), EligibilityStatus::Eligible),
            (Some("Ineligible"), None, EligibilityStatus::Ineligible),
            (Some("Checked"), Some("Home 1G"), EligibilityStatus::Eligible),
            (Some("Checked"), None, EligibilityStatus::Ineligible),
            (Some("Escalated"), Some("Home 1G"), EligibilityStatus::Pending),
        ] {
            assert_eq!(EligibilityStatus::read(status, offering), read, "{status:?} {offering:?}");
        }
    }
}
