//! PA03-02, account detail.

use chrono::NaiveDate;
use serde_json::json;

use crate::{
    deadline::Budget,
    upstream::{
        error::{Error, Kind},
        freebit::{Client, codes::ABSENT, is_same, record::Record},
    },
};

/// The detail of a line. Every field but the account may be missing from an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// The phone number, without hyphens.
    pub account: String,
    /// `waiting`, `active`, `suspended`, `temporary`, `obsolete` or another word; absent is read as pending.
    pub state: Option<String>,
    /// The current plan.
    pub plan_code: Option<String>,
    /// `4G` or `5G`; absent is read as `4G`.
    pub contract_line: Option<String>,
    /// Voice mail.
    pub voice_mail: Option<bool>,
    /// Call waiting.
    pub call_waiting: Option<bool>,
    /// International roaming.
    pub world_wing: Option<bool>,
    /// Whether the line can speak.
    pub talk: Option<bool>,
    /// Whether the line can send SMS.
    pub sms: Option<bool>,
    /// The card's number.
    pub iccid: Option<String>,
    /// The subscriber's number in the network.
    pub imsi: Option<String>,
    /// The eSIM chip's number, 32 digits.
    pub eid: Option<String>,
    /// `standard`, `micro`, `nano` or `esim`.
    pub size: Option<String>,
    /// The day since which the line exists, Tokyo.
    pub start_date: Option<NaiveDate>,
    /// An operation that is under way.
    pub pending: Option<Pending>,
}

/// An operation that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The carrier's word for it.
    pub func: String,
    /// The day on which it is to be done, Tokyo.
    pub date: Option<NaiveDate>,
}

impl Client {
    /// The detail of a line; `None` when the carrier knows no such account.
    ///
    /// # Errors
    /// [`Kind::Refused`] for a failure code that is not known: it is final. Else as
    /// [`Transport::send`](crate::upstream::transport::Transport::send).
    ///
    /// Source: Freebit reference §2.4.
    pub async fn get_detail(&self, budget: Budget, account: &str) -> Result<Option<Detail>, Error> {
        let mut question = json!({ "requestDatas": [{ "kind": "MVNO", "account": account }] });
        if let Some(version) = &self.0.settings.detail_version {
            question["version"] = version.as_str().into();
        }
        let path = &self.0.settings.paths.get_detail;
        match self.read("getDetail", budget, path, question, |answer| decode(answer, account)).await {
            Err(Error { kind: Kind::Refused { code, .. }, .. }) if code == ABSENT => Ok(None),
            outcome => outcome,
        }
    }
}

/// A line's answer may hold its master account beside it: the element of the line itself is taken.
pub(super) fn decode(answer: &Record, account: &str) -> Result<Option<Detail>, Kind> {
    let records = answer.records("responseDatas")?;
    let Some(record) = records.iter().find(|record| is_same(record, account)) else { return Ok(None) };
    let pending = match record.record("async") {
        Some(pending) => match pending.text(&["func"]) {
            Some(func) => Some(Pending { func, date: pending.date("date")? }),
            None => None,
        },
        None => None,
    };
    Ok(Some(Detail {
        account: account.to_owned(),
        state: record.text(&["state", "status"]),
        plan_code: record.text(&["planCode"]),
        contract_line: record.text(&["contractLine", "networkType"]),
        voice_mail: record.flag(&["voiceMail"]),
        call_waiting: record.flag(&["callWaiting"]),
        world_wing: record.flag(&["worldWing"]),
        talk: record.flag(&["talk"]),
        sms: record.flag(&["sms"]),
        iccid: record.text(&["iccid"]),
        imsi: record.text(&["imsi"]),
        eid: record.text(&["eid"]),
        size: record.text(&["size", "simSize"]),
        start_date: record.date("startDate")?,
        pending,
    }))
}
