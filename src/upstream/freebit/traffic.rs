//! PA05-01, traffic information.

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

/// Data used by a line. A kilobyte is 1,024 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Used today, Tokyo, in KB.
    pub today_kb: u64,
    /// Used on each recent day before today, newest first, in KB. Up to 30 days.
    pub recent_days_kb: Vec<u64>,
    /// Whether the carrier has slowed the line down.
    pub restricted: bool,
}

impl Client {
    /// The data used by one line. Not meant for sweeping a customer base, which the carrier forbids.
    ///
    /// # Errors
    /// [`Kind::Refused`] when the line has no plan, is a member of a share group, or is unknown. Else as
    /// [`Transport::send`](crate::upstream::transport::Transport::send).
    ///
    /// Source: Freebit reference §2.6.
    pub async fn get_traffic_info(&self, budget: Budget, account: &str) -> Result<Traffic, Error> {
        let path = &self.0.settings.paths.get_traffic_info;
        let question = json!({ "account": account });
        self.read("getTrafficInfo", budget, path, question, |answer| decode(answer, account)).await
    }
}

pub(super) fn decode(answer: &Record, account: &str) -> Result<Traffic, Kind> {
    if !is_same(answer, account) {
        return Err(wrong("account"));
    }
    let traffic = answer.record("traffic").ok_or_else(|| wrong("traffic"))?;
    Ok(Traffic {
        today_kb: traffic.number("today")?.ok_or_else(|| wrong("today"))?,
        recent_days_kb: traffic.numbers("inRecentDays")?,
        restricted: traffic.flag(&["blackList"]).unwrap_or(false),
    })
}
