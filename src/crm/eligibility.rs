//! Whether internet can be had at the address of an account, as staff decided (domain reference §10).

use std::collections::HashMap;

use super::{Crm, FieldMap};
use crate::{
    deadline::Budget,
    error::{Error, Result},
    id::AccountId,
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

impl Crm {
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
