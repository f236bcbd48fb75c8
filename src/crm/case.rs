//! Support cases.

use async_graphql::{Enum, SimpleObject};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{FieldMap, subscription_of};
use crate::{
    error::{Error, Result},
    id::{AccountId, CaseId, SubscriptionId},
    upstream::{
        self,
        salesforce::{
            Record,
            soql::{Direction, Filter, Select, Soql, Value},
        },
    },
};

/// A support case.
#[derive(Clone, Debug, Deserialize, Serialize, SimpleObject)]
#[graphql(complex)]
pub struct Case {
    /// Its record.
    #[graphql(skip)]
    pub key: CaseId,
    /// The number that staff and mails quote.
    pub number: String,
    /// What it is about, in a line.
    pub subject: String,
    /// What the customer wrote when it was opened. Null when they wrote nothing.
    pub description: Option<String>,
    /// Where it stands.
    pub status: CaseStatus,
    /// How urgent it is.
    pub priority: CasePriority,
    /// The kind of matter, such as `Billing`. Null when it was not chosen.
    pub category: Option<String>,
    /// When it was opened.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When it was closed. Null while it is open.
    pub closed_at: Option<DateTime<Utc>>,
    /// The subscription that it is about.
    #[graphql(skip)]
    pub subscription: Option<SubscriptionId>,
}

/// The status of a case, as the customer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum CaseStatus {
    /// Not yet looked at.
    New,
    /// Support is working on it.
    InProgress,
    /// Support waits for the customer.
    AwaitingCustomer,
    /// Done.
    Closed,
}

/// How urgent a case is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum CasePriority {
    /// It can wait.
    Low,
    /// As usual.
    Medium,
    /// Soon.
    High,
}

impl CaseStatus {
    /// The staff's own statuses fold into four; one that is not known is work in progress
    /// (domain reference §24).
    fn read(status: &str, closed: bool) -> Self {
        match status {
            _ if closed => Self::Closed,
            "New" => Self::New,
            "Awaiting Customer" | "Waiting on Customer" => Self::AwaitingCustomer,
            "Closed" => Self::Closed,
            _ => Self::InProgress,
        }
    }
}

/// How many cases there are of each sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SimpleObject)]
pub struct CaseCounts {
    /// All.
    pub total: i32,
    /// Those that are not closed.
    pub open: i32,
    /// Open ones of high priority.
    pub high_priority: i32,
    /// Closed ones.
    pub closed: i32,
}

impl CaseCounts {
    /// Counts a list.
    pub fn of(cases: &[Case]) -> Self {
        let count = |test: &dyn Fn(&Case) -> bool| {
            i32::try_from(cases.iter().filter(|case| test(case)).count()).unwrap_or(i32::MAX)
        };
        let open = |case: &Case| case.status != CaseStatus::Closed;
        Self {
            total: count(&|_| true),
            open: count(&open),
            high_priority: count(&|case| open(case) && case.priority == CasePriority::High),
            closed: count(&|case| !open(case)),
        }
    }
}

/// The query for all cases of an account with one of the origins.
pub(super) fn select(fields: &FieldMap, account: AccountId, origins: &[String]) -> Result<Soql> {
    Select::from("Case")
        .fields(["Id", "CaseNumber", "Subject", "Description", "Status", "IsClosed", "Priority", "Type"])
        .fields(["CreatedDate", "LastModifiedDate", "ClosedDate"])
        .fields([&fields.case_service])
        .filter(
            Filter::eq("AccountId", Value::Id(account.0))
                .and(Filter::one_of("Origin", origins.iter().map(String::as_str))),
        )
        .order_by("LastModifiedDate", Direction::Descending)
        .order_by("Id", Direction::Descending)
        .build()
        .map_err(Error::internal)
}

impl Case {
    /// From a record.
    ///
    /// # Errors
    /// When the record lacks what was asked for, with the path.
    pub(super) fn new(row: &Record, fields: &FieldMap) -> Result<Self, upstream::Error> {
        let owned = |path| Ok(row.text(path)?.unwrap_or_default().to_owned());
        Ok(Self {
            key: CaseId(row.required("Id", Record::id)?),
            number: owned("CaseNumber")?,
            subject: owned("Subject")?,
            description: row.text("Description")?.map(str::to_owned),
            status: CaseStatus::read(row.text("Status")?.unwrap_or_default(), row.flag("IsClosed")?),
            priority: match row.text("Priority")? {
                Some("High") => CasePriority::High,
                Some("Low") => CasePriority::Low,
                _ => CasePriority::Medium,
            },
            category: row.text("Type")?.map(str::to_owned),
            created_at: row.required("CreatedDate", Record::instant)?,
            updated_at: row.required("LastModifiedDate", Record::instant)?,
            closed_at: row.instant("ClosedDate")?,
            subscription: subscription_of(row, &fields.case_service),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staff_statuses_fold_into_four() {
        for (status, closed, seen) in [
            ("New", false, CaseStatus::New),
            ("Escalated to NTT", false, CaseStatus::InProgress),
            ("Awaiting Customer", false, CaseStatus::AwaitingCustomer),
            ("Resolved", true, CaseStatus::Closed),
            ("Closed", false, CaseStatus::Closed),
        ] {
            assert_eq!(CaseStatus::read(status, closed), seen, "{status}");
        }
    }
}
