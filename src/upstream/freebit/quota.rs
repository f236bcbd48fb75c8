//! PA05-02, quota history.

use chrono::NaiveDate;
use serde_json::json;

use crate::{
    deadline::Budget,
    upstream::{
        error::{Error, Kind},
        freebit::{
            Client, is_same,
            record::{Record, wrong},
        },
    },
};

/// Data added to a line within a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaHistory {
    /// The sum, in MB.
    pub total_mb: u64,
    /// The additions, in the carrier's order.
    pub entries: Vec<Quota>,
}

/// One addition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How much, in MB as it was ordered.
    pub quota_mb: u64,
    /// The day of the addition, Tokyo.
    pub date: Option<NaiveDate>,
    /// The last day on which it can be used, Tokyo.
    pub expire: Option<NaiveDate>,
    /// Our reference, given when it was ordered.
    pub quota_code: Option<String>,
}

impl Client {
    /// What was added to a line from one day to another, both included.
    ///
    /// # Errors
    /// As [`get_traffic_info`](Self::get_traffic_info).
    ///
    /// Source: Freebit reference §2.7.
    pub async fn get_quota_history(
        &self,
        budget: Budget,
        account: &str,
        from: NaiveDate,
        to: NaiveDate,
    ) -> Result<QuotaHistory, Error> {
        let path = &self.0.settings.paths.get_quota_history;
        let day = |day: NaiveDate| day.format("%Y%m%d").to_string();
        let question = json!({ "account": account, "fromDate": day(from), "toDate": day(to) });
        self.read("getQuotaHistory", budget, path, question, |answer| decode(answer, account)).await
    }
}

pub(super) fn decode(answer: &Record, account: &str) -> Result<QuotaHistory, Kind> {
    if !is_same(answer, account) {
        return Err(wrong("account"));
    }
    let entries = answer.records("quotaHistory")?.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let total_mb =
        answer.number("total")?.unwrap_or_else(|| entries.iter().map(|entry| entry.quota_mb).sum());
    Ok(QuotaHistory { total_mb, entries })
}

fn entry(record: &Record) -> Result<Quota, Kind> {
    Ok(Quota {
        quota_mb: record.number("quota")?.ok_or_else(|| wrong("quota"))?,
        date: record.date("date")?,
        expire: record.date("expire")?,
        quota_code: record.text(&["quotaCode"]),
    })
}
