//! Mobile lines, as Freebit keeps them.

use chrono::{Datelike, Days, NaiveDate};

use crate::sandbox::world::{Dice, Product, ids, months_before};

/// How the account detail spells a line's voice fields: the real service is not consistent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Casing {
    /// `voicemail`, `callwaiting`, `worldwing`.
    Lower,
    /// `voiceMail`, `callWaiting`, `worldWing`.
    Camel,
    /// `voicemail`, `callWaiting`, `worldwing`.
    Mixed,
}

/// A quota that was added to a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaSeed {
    /// MB.
    pub mb: u64,
    /// The day it was added.
    pub date: NaiveDate,
    /// Its last day.
    pub expire: NaiveDate,
    /// Free label.
    pub code: String,
}

/// A mobile line.
#[derive(Clone, Debug)]
pub struct LineSeed {
    /// 11-digit phone number; see [`ids::line_number`].
    pub account: String,
    /// Freebit plan code.
    pub plan_code: &'static str,
    /// `E0` voice, `E2` data without SMS, `E3` data with SMS.
    pub sim_kind: &'static str,
    /// `nano`, `esim`.
    pub size: &'static str,
    /// `4G`, `5G`.
    pub contract_line: &'static str,
    /// `waiting`, `active`, `suspended`, `temporary`, `obsolete`.
    pub state: &'static str,
    /// 19 digits, the last a Luhn check.
    pub iccid: String,
    /// 15 digits.
    pub imsi: String,
    /// 32 digits, modulo 97 equal to 1; eSIM only.
    pub eid: Option<String>,
    /// Printed on the card: `AX` and 13 digits; empty for an eSIM.
    pub product_number: String,
    /// Voicemail is on.
    pub voicemail: bool,
    /// Call waiting is on.
    pub callwaiting: bool,
    /// International roaming is on.
    pub worldwing: bool,
    /// The day it became active.
    pub start_date: NaiveDate,
    /// How the detail spells its voice fields.
    pub casing: Casing,
    /// Used today, KB.
    pub used_today_kb: u64,
    /// Used on the 30 days before today, newest first, KB.
    pub recent_days_kb: Vec<u64>,
    /// Monthly quota of the plan, MB.
    pub quota_mb: u64,
    /// Quotas added, oldest first.
    pub quota_history: Vec<QuotaSeed>,
}

impl LineSeed {
    /// Whether the plan has voice.
    pub fn has_voice(&self) -> bool {
        self.sim_kind == "E0"
    }
}

/// The line of service `k`; `None` when the product is no SIM plan.
pub(super) fn make(
    (n, k): (u64, u32),
    product: &'static Product,
    status: &str,
    start_date: NaiveDate,
    today: NaiveDate,
    is_esim: bool,
    dice: &mut Dice,
) -> Option<LineSeed> {
    let (plan_code, quota_mb) = (product.plan_code()?, product.quota_mb()?);
    let is_voice = product.plan_type == Some("DataSmsVoice");
    let state = match status {
        "Pending" => "waiting",
        "Suspended" => "suspended",
        "Cancelled" | "Terminated" => "obsolete",
        _ => "active",
    };
    let days_old = u64::try_from((today - start_date).num_days()).unwrap_or(0).min(30);
    // A day's use is around a 45th of the month's quota: most customers keep within it.
    let usual_kb = quota_mb * 1024 / 45;
    let mut day_kb = || if state == "active" { usual_kb / 2 + dice.below(usual_kb) } else { 0 };
    let used_today_kb = day_kb() / 2;
    let recent_days_kb = (0..days_old).map(|_| day_kb()).collect();
    let account = ids::line_number(n, k);
    let quota_history = quotas(&account, n, k, start_date, today, dice);
    Some(LineSeed {
        plan_code,
        sim_kind: match (is_voice, dice.chance(30)) {
            (true, _) => "E0",
            (false, true) => "E3",
            (false, false) => "E2",
        },
        size: if is_esim { "esim" } else { "nano" },
        contract_line: if dice.chance(70) { "5G" } else { "4G" },
        state,
        iccid: iccid(&dice.digits(11)),
        imsi: format!("44010{}", dice.digits(10)),
        eid: is_esim.then(|| eid(&dice.digits(22))),
        product_number: if is_esim { String::new() } else { format!("AX{}", dice.digits(13)) },
        voicemail: is_voice && dice.chance(60),
        callwaiting: is_voice && dice.chance(40),
        worldwing: is_voice && dice.chance(25),
        start_date,
        casing: *dice.pick(&[Casing::Mixed, Casing::Lower, Casing::Camel, Casing::Mixed]),
        used_today_kb,
        recent_days_kb,
        quota_mb,
        quota_history,
        account,
    })
}

fn quotas(
    account: &str,
    n: u64,
    k: u32,
    start: NaiveDate,
    today: NaiveDate,
    dice: &mut Dice,
) -> Vec<QuotaSeed> {
    let count = if n == 1 { 2 } else { dice.small(3) };
    let quota = |i: u32| {
        let date = today - Days::new(u64::from(i) * 37 + 12 + u64::from(k));
        (date >= start).then(|| QuotaSeed {
            mb: 1000 * (1 + u64::from(i)),
            date,
            expire: quota_expiry(date),
            code: format!("topup-{}-{}", &account[7..], count - i),
        })
    };
    (0..count).rev().filter_map(quota).collect()
}

/// The last day of a quota added on a day without one: the end of the month after next.
pub fn quota_expiry(added_on: NaiveDate) -> NaiveDate {
    let first = months_before(added_on, 0).with_day(1).unwrap_or(added_on);
    first + chrono::Months::new(3) - Days::new(1)
}

/// ICCID of docomo's range: `8981100`, a serial of 11 digits and the Luhn check digit.
fn iccid(serial: &str) -> String {
    let body = format!("8981100{serial}");
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, digit)| {
            let digit = u32::from(digit - b'0');
            if i % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { digit }
        })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

/// EID: `89049032`, a serial of 22 digits and two check digits that make the whole 1 modulo 97.
pub fn eid(serial: &str) -> String {
    let body = format!("89049032{serial}");
    let rest = body.bytes().chain(*b"00").fold(0, |rest, digit| (rest * 10 + u32::from(digit - b'0')) % 97);
    format!("{body}{:02}", 98 - rest)
}
