//! A mobile line as the emulator holds it, and what passes on it while the virtual clock moves.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::{
    clock::TOKYO,
    sandbox::{
        freebit::codes::{self, Refusal},
        world::{Casing, LineSeed, QuotaSeed, catalogue},
    },
};

/// Voice features; `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Voice {
    pub(super) mail: Option<bool>,
    pub(super) waiting: Option<bool>,
    pub(super) transfer: Option<bool>,
    pub(super) world_call: Option<bool>,
    pub(super) world_wing: Option<bool>,
}

/// What an accepted operation does when it is done.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Voice(Voice),
    ContractLine(&'static str),
    /// The line begins to serve: registration, or an eSIM's first activation.
    Begin {
        eid: Option<String>,
        add_kind: &'static str,
        request_id: u64,
    },
    /// The eSIM profile moves to another device.
    Reissue {
        eid: String,
        request_id: u64,
    },
}

/// Operations that must lie half an hour apart from one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Voice,
    ContractLine,
    Plan,
    Activation,
}

/// An operation that was accepted and is not done yet. It locks the line.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) function: &'static str,
    pub(super) done_at: DateTime<Utc>,
    pub(super) change: Change,
}

/// The file line that tells of a finished activation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) request_id: u64,
    pub(super) account: String,
    pub(super) eid: String,
    pub(super) add_kind: &'static str,
    pub(super) completed_at: DateTime<Utc>,
}

#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) account: String,
    pub(super) plan_code: Option<String>,
    pub(super) sim_kind: &'static str,
    pub(super) size: &'static str,
    pub(super) contract_line: &'static str,
    pub(super) state: &'static str,
    pub(super) iccid: String,
    pub(super) imsi: String,
    pub(super) eid: Option<String>,
    pub(super) voice_mail: bool,
    pub(super) call_waiting: bool,
    pub(super) call_transfer: bool,
    pub(super) world_call: bool,
    pub(super) world_wing: bool,
    pub(super) start_date: Option<NaiveDate>,
    pub(super) casing: Casing,
    pub(super) quotas: Vec<QuotaSeed>,
    used_today_kb: u64,
    recent_days_kb: Vec<u64>,
    pub(super) running: Option<Running>,
    pub(super) plan_change: Option<(DateTime<Utc>, String)>,
    pub(super) cancels_at: Option<DateTime<Utc>>,
    last: Option<(Kind, DateTime<Utc>)>,
}

impl From<&LineSeed> for Line {
    fn from(seed: &LineSeed) -> Self {
        Self {
            account: seed.account.clone(),
            plan_code: Some(seed.plan_code.to_owned()),
            sim_kind: seed.sim_kind,
            size: seed.size,
            contract_line: seed.contract_line,
            state: seed.state,
            iccid: seed.iccid.clone(),
            imsi: seed.imsi.clone(),
            eid: seed.eid.clone(),
            voice_mail: seed.voicemail,
            call_waiting: seed.callwaiting,
            call_transfer: false,
            world_call: false,
            world_wing: seed.worldwing,
            start_date: Some(seed.start_date),
            casing: seed.casing,
            quotas: seed.quota_history.clone(),
            used_today_kb: seed.used_today_kb,
            recent_days_kb: seed.recent_days_kb.clone(),
            running: None,
            plan_change: None,
            cancels_at: None,
            last: None,
        }
    }
}

/// 00:00 in Tokyo of a day.
pub(super) fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc() - TimeDelta::hours(9)
}

impl Line {
    /// An eSIM line that waits for its activation.
    pub(super) fn waiting(
        account: String,
        sim_kind: &'static str,
        contract_line: &'static str,
        serial: u64,
    ) -> Self {
        Self {
            account,
            plan_code: None,
            sim_kind,
            size: "esim",
            contract_line,
            state: "waiting",
            iccid: format!("898110099{serial:010}"),
            imsi: format!("44010{:010}", 9_000_000_000 + serial),
            eid: None,
            voice_mail: false,
            call_waiting: false,
            call_transfer: false,
            world_call: false,
            world_wing: false,
            start_date: None,
            casing: Casing::Mixed,
            quotas: Vec::new(),
            used_today_kb: 0,
            recent_days_kb: Vec::new(),
            running: None,
            plan_change: None,
            cancels_at: None,
            last: None,
        }
    }

    /// Refuses what only a line in service may be asked for.
    pub(super) fn in_service(&self) -> Result<(), Refusal> {
        if self.state == "active" { Ok(()) } else { Err(codes::STATE.into()) }
    }

    pub(super) fn has_voice(&self) -> bool {
        self.sim_kind == "E0"
    }

    /// Refuses an operation while another runs, or too soon after one of another kind (§5: one at a time per
    /// account, 30 minutes between kinds); otherwise notes that it was accepted.
    pub(super) fn admit(&mut self, kind: Kind, now: DateTime<Utc>) -> Result<(), Refusal> {
        if self.running.is_some() {
            return Err(codes::LOCKED.into());
        }
        if let Some((last, at)) = self.last
            && last != kind
            && now < at + TimeDelta::minutes(30)
        {
            return Err(codes::SPACING.into());
        }
        self.last = Some((kind, now));
        Ok(())
    }

    /// Accepts an operation that takes some minutes.
    pub(super) fn begin(&mut self, function: &'static str, now: DateTime<Utc>, minutes: i64, change: Change) {
        self.running = Some(Running { function, done_at: now + TimeDelta::minutes(minutes), change });
    }

    /// Lets everything happen that is due: the effects for the journal, the notices for the file.
    pub(super) fn settle(&mut self, now: DateTime<Utc>) -> (Vec<(&'static str, Value)>, Vec<Notice>) {
        let (mut effects, mut notices) = (Vec::new(), Vec::new());
        if let Some(running) = self.running.take_if(|running| running.done_at <= now) {
            effects.push((effect(&running.change), json!({ "account": self.account })));
            notices.extend(self.apply(running));
        }
        if let Some((_, plan_code)) = self.plan_change.take_if(|(at, _)| *at <= now) {
            effects.push(("plan.changed", json!({ "account": self.account, "planCode": plan_code })));
            self.plan_code = Some(plan_code);
        }
        if self.state != "obsolete" && self.cancels_at.is_some_and(|at| at <= now) {
            effects.push(("line.cancelled", json!({ "account": self.account })));
            self.state = "obsolete";
        }
        (effects, notices)
    }

    fn apply(&mut self, running: Running) -> Option<Notice> {
        let (eid, add_kind, request_id) = match running.change {
            Change::Voice(voice) => {
                let set = |feature: &mut bool, wanted: Option<bool>| *feature = wanted.unwrap_or(*feature);
                set(&mut self.voice_mail, voice.mail);
                set(&mut self.call_waiting, voice.waiting);
                set(&mut self.call_transfer, voice.transfer);
                set(&mut self.world_call, voice.world_call);
                set(&mut self.world_wing, voice.world_wing);
                return None;
            }
            Change::ContractLine(contract_line) => {
                self.contract_line = contract_line;
                return None;
            }
            Change::Begin { eid, add_kind, request_id } => {
                self.state = "active";
                self.start_date = Some(running.done_at.with_timezone(&TOKYO).date_naive());
                self.eid = eid.or(self.eid.take());
                (self.eid.clone()?, add_kind, request_id)
            }
            Change::Reissue { eid, request_id } => {
                self.eid = Some(eid.clone());
                (eid, "R", request_id)
            }
        };
        Some(Notice {
            request_id,
            account: self.account.clone(),
            eid,
            add_kind,
            completed_at: running.done_at,
        })
    }

    /// Use today and on the days before, newest first, KB. Days that the virtual clock added repeat today's.
    pub(super) fn traffic(&self, seeded_on: NaiveDate, today: NaiveDate) -> (u64, Vec<u64>) {
        let passed = usize::try_from((today - seeded_on).num_days()).unwrap_or(0);
        let days = std::iter::repeat_n(self.used_today_kb, passed.min(30))
            .chain(self.recent_days_kb.iter().copied());
        (self.used_today_kb, days.take(30).collect())
    }

    /// What is left of this month's quota and the additions still valid, KB.
    pub(super) fn remaining_kb(&self, seeded_on: NaiveDate, today: NaiveDate) -> u64 {
        let plan =
            catalogue::PRODUCTS.iter().find(|product| product.plan_code() == self.plan_code.as_deref());
        let plan_mb = plan.and_then(|product| product.quota_mb()).unwrap_or(0);
        let added_mb: u64 =
            self.quotas.iter().filter(|quota| today <= quota.expire).map(|quota| quota.mb).sum();
        let (used_today, days) = self.traffic(seeded_on, today);
        let this_month = today.day() as usize - 1;
        let used_kb = used_today + days.iter().take(this_month).sum::<u64>();
        ((plan_mb + added_mb) * 1024).saturating_sub(used_kb)
    }

    /// The instant at which the line ends when a cancellation day is given: the end of that day.
    pub(super) fn end_of(day: NaiveDate) -> DateTime<Utc> {
        midnight(day + Days::new(1))
    }
}

fn effect(change: &Change) -> &'static str {
    match change {
        Change::Voice(_) => "voice.changed",
        Change::ContractLine(_) => "contractline.changed",
        Change::Begin { .. } => "line.activated",
        Change::Reissue { .. } => "esim.reissued",
    }
}
