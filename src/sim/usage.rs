//! Data used and data added.

use async_graphql::SimpleObject;
use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::{big_int::BigInt, upstream::freebit};

/// The carrier counts in kilobytes of 1,024 bytes (Freebit reference §4.1).
fn bytes(kilobytes: u64) -> BigInt {
    BigInt(kilobytes.saturating_mul(1024))
}

/// Data used on a line.
#[derive(Clone, Debug, Deserialize, Serialize, SimpleObject)]
pub struct Usage {
    /// Bytes used today, Tokyo.
    pub today_bytes: BigInt,
    /// Bytes used on each recent day, newest first.
    pub days: Vec<DayUsage>,
    /// Whether the carrier has slowed the line down.
    pub is_restricted: bool,
}

/// Data used on one day.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, SimpleObject)]
pub struct DayUsage {
    /// The day, Tokyo.
    pub day: NaiveDate,
    /// Bytes used.
    pub bytes: BigInt,
}

impl Usage {
    /// From the traffic answer; its list of recent days begins with yesterday.
    pub(super) fn new(traffic: freebit::Traffic, today: NaiveDate) -> Self {
        let days = traffic
            .recent_days_kb
            .iter()
            .zip(1..)
            .filter_map(|(kb, back)| {
                let day = today.checked_sub_days(Days::new(back))?;
                Some(DayUsage { day, bytes: bytes(*kb) })
            })
            .collect();
        Self { today_bytes: bytes(traffic.today_kb), days, is_restricted: traffic.restricted }
    }
}

/// Data that was added to a line.
#[derive(Clone, Debug, Deserialize, Serialize, SimpleObject)]
pub struct QuotaAddition {
    /// How much, in MB as the carrier bills it.
    pub megabytes: i32,
    /// Day on which it was added, Tokyo. Null when it was not recorded.
    pub added_on: Option<NaiveDate>,
    /// Last day on which it can be used, Tokyo. Null when it does not expire.
    pub expires_on: Option<NaiveDate>,
}

impl QuotaAddition {
    /// From the quota history, newest first.
    pub(super) fn list(history: freebit::QuotaHistory) -> Vec<Self> {
        let mut list: Vec<_> = history
            .entries
            .into_iter()
            .map(|entry| Self {
                megabytes: i32::try_from(entry.quota_mb).unwrap_or(i32::MAX),
                added_on: entry.date,
                expires_on: entry.expire,
            })
            .collect();
        list.sort_by_key(|addition| std::cmp::Reverse(addition.added_on));
        list
    }
}
