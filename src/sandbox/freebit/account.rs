//! Authentication, account detail, registration and cancellation.

use chrono::TimeDelta;
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq;

use crate::{
    clock::TOKYO,
    sandbox::{
        core::System,
        credentials::{FREEBIT_OEM_ID, FREEBIT_OEM_KEY},
        freebit::{
            Answer,
            codes::{self, Refusal},
            line::{Change, Kind, Line},
            params::Params,
            state::State,
        },
        world::Casing,
    },
};

/// PA01-01.
pub(super) fn authenticate(state: &State, params: &Params) -> Answer {
    let (id, key) = (params.required("oemId")?, params.required("oemKey")?);
    let is_known =
        id.as_bytes().ct_eq(FREEBIT_OEM_ID.as_bytes()) & key.as_bytes().ct_eq(FREEBIT_OEM_KEY.as_bytes());
    if !bool::from(is_known) {
        return Err(codes::CREDENTIALS.into());
    }
    Ok(Map::from_iter([("authKey".to_owned(), json!(state.issue_key()))]))
}

/// PA03-02. There is no User Management Service here, so no master account exists.
pub(super) fn detail(state: &State, params: &Params) -> Answer {
    params.text("version")?;
    params.flag("displayPass")?;
    let wanted = params.first("requestDatas")?;
    let kind = wanted.one_of("kind", &["MVNO", "MASTER"])?.ok_or(codes::MISSING.of("kind"))?;
    let account = wanted.required("account")?;
    if kind == "MASTER" {
        return Err(codes::NO_ACCOUNT.of("account"));
    }
    let line = state.line(&account)?;
    let remaining = line.remaining_kb(state.core.world.today, state.today());
    Ok(Map::from_iter([("responseDatas".to_owned(), json!([describe(&line, remaining)]))]))
}

fn flag(is_on: bool) -> &'static str {
    if is_on { "10" } else { "20" }
}

fn describe(line: &Line, remaining_kb: u64) -> Value {
    let mut data = json!({
        "kind": "MVNO",
        "account": line.account,
        "msisdn": line.account,
        "state": line.state,
        "iccid": line.iccid,
        "imsi": line.imsi,
        "size": line.size,
        "talk": flag(line.has_voice()),
        "sms": flag(line.sim_kind != "E2"),
        "quota": remaining_kb.to_string(),
        "ipv4": "",
        "ipv6": "",
    });
    let mut put = |name: &str, value: Value| {
        if let Some(data) = data.as_object_mut() {
            data.insert(name.to_owned(), value);
        }
    };
    let [mail, waiting, wing] = match line.casing {
        Casing::Lower => ["voicemail", "callwaiting", "worldwing"],
        Casing::Camel => ["voiceMail", "callWaiting", "worldWing"],
        Casing::Mixed => ["voicemail", "callWaiting", "worldwing"],
    };
    put(mail, json!(flag(line.voice_mail)));
    put(waiting, json!(flag(line.call_waiting)));
    put(wing, json!(flag(line.world_wing)));
    // The same accounts that differ in casing also name the line's generation otherwise.
    let generation = if line.casing == Casing::Camel { "networkType" } else { "contractLine" };
    put(generation, json!(line.contract_line));
    if let Some(plan) = &line.plan_code {
        put("planCode", json!(plan));
    }
    if let Some(eid) = &line.eid {
        put("eid", json!(eid));
    }
    if let Some(day) = line.start_date {
        put("startDate", json!(day.format("%Y%m%d").to_string()));
    }
    let pending = line.running.as_ref().map(|running| (running.function, running.done_at));
    let planned = line.plan_change.as_ref().map(|(at, _)| ("changePlan", *at));
    let ending = line.cancels_at.filter(|_| line.state != "obsolete").map(|at| ("cnclAcnt", at));
    if let Some((function, at)) = pending.or(planned).or(ending) {
        let date = at.with_timezone(&TOKYO).format("%Y%m%d").to_string();
        put("async", json!({ "func": function, "date": date }));
    }
    data
}

/// PA02-01: a line whose card is known begins to serve. Seeded waiting lines are known (`provisioned`); any other number
/// is absent.
pub(super) fn register(state: &State, params: &Params) -> Answer {
    match params.one_of("createType", &["new", "add"])? {
        None => return Err(codes::MISSING.of("createType")),
        Some("add") => return Err(codes::VALUE.of("createType")),
        Some(_) => {}
    }
    let wanted = params.first("requestDatas")?;
    if wanted.one_of("kind", &["MVNO"])?.is_none() {
        return Err(codes::MISSING.of("kind"));
    }
    let account = wanted.required("account")?;
    let plan_code = super::change::plan_code(&wanted)?;
    let start_date = params.date("startDate")?;
    let request_id = state.request_id();
    let now = state.now();
    let begin = |line: &mut Line| {
        if line.state != "waiting" {
            return Err(codes::STATE.into());
        }
        line.admit(Kind::Activation, now)?;
        line.plan_code = plan_code.or(line.plan_code.take());
        let from = start_date.map_or(now, |day| super::line::midnight(day).max(now));
        line.begin("addAcnt", from, 2, Change::Begin { eid: None, add_kind: "N", request_id });
        Ok(())
    };
    state.change(&account, begin).map_err(|refusal: Refusal| {
        if refusal.code == codes::NO_ACCOUNT { codes::ABSENT.into() } else { refusal }
    })?;
    state.core.journal.effect(System::Freebit, "line.registration.accepted", json!({ "account": account }));
    Ok(Map::new())
}

/// PA02-04: now (some minutes), or at the end of a day.
pub(super) fn cancel(state: &State, params: &Params) -> Answer {
    match params.one_of("kind", &["MVNO", "MASTER"])? {
        None => return Err(codes::MISSING.of("kind")),
        Some("MASTER") => return Err(codes::VALUE.of("kind")),
        Some(_) => {}
    }
    let account = params.required("account")?;
    let run_date = params.date_in("runDate", &["%Y%m%d", "%Y/%m/%d", "%Y-%m-%d"])?;
    let (now, today) = (state.now(), state.today());
    if run_date.is_some_and(|day| day < today) {
        return Err(codes::VALUE.of("runDate"));
    }
    state.change(&account, |line| {
        if line.cancels_at.is_some() {
            return Err(codes::CANCELLING.into());
        }
        if line.state == "obsolete" {
            return Err(codes::STATE.into());
        }
        line.cancels_at = Some(match run_date {
            Some(day) if day > today => Line::end_of(day),
            _ => now + TimeDelta::minutes(2),
        });
        Ok(())
    })?;
    state.core.journal.effect(System::Freebit, "line.cancellation.accepted", json!({ "account": account }));
    Ok(Map::new())
}
