//! Traffic, quota additions and their history.

use serde_json::{Map, json};

use crate::sandbox::{
    core::System,
    freebit::{Answer, codes, line::Line, params::Params, state::State},
    world::{QuotaSeed, lines::quota_expiry},
};

fn has_plan(line: &Line) -> Result<(), codes::Refusal> {
    if line.plan_code.is_some() { Ok(()) } else { Err(codes::NO_PLAN.into()) }
}

/// PA05-01.
pub(super) fn traffic(state: &State, params: &Params) -> Answer {
    let line = state.line(&params.required("account")?)?;
    has_plan(&line)?;
    let (seeded_on, today) = (state.core.world.today, state.today());
    let (used_today, days) = line.traffic(seeded_on, today);
    let is_limited = line.state == "active" && line.remaining_kb(seeded_on, today) == 0;
    let days = days.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    let traffic = json!({
        "today": used_today.to_string(),
        "inRecentDays": days,
        "blackList": if is_limited { "10" } else { "20" },
    });
    Ok(Map::from_iter([("account".to_owned(), json!(line.account)), ("traffic".to_owned(), traffic)]))
}

/// PA04-04.
pub(super) fn add(state: &State, params: &Params) -> Answer {
    params.one_of("kind", &["MVNO"])?;
    let account = params.required("account")?;
    let quota = params.digits("quota", 1, 6)?.ok_or(codes::MISSING.of("quota"))?;
    let mb = quota.parse().ok().filter(|mb| (1..=512_000).contains(mb)).ok_or(codes::VALUE.of("quota"))?;
    let code = params.text("quotaCode")?.unwrap_or_default();
    if code.chars().count() > 512 {
        return Err(codes::FORMAT.of("quotaCode"));
    }
    let today = state.today();
    let expire = params.date("expire")?.unwrap_or_else(|| quota_expiry(today));
    if expire < today {
        return Err(codes::VALUE.of("expire"));
    }
    state.change(&account, |line| {
        line.in_service()?;
        has_plan(line)?;
        line.quotas.push(QuotaSeed { mb, date: today, expire, code });
        Ok(())
    })?;
    state.core.journal.effect(System::Freebit, "quota.added", json!({ "account": account, "mb": mb }));
    Ok(Map::new())
}

/// PA05-02: additions between two days, oldest first.
pub(super) fn history(state: &State, params: &Params) -> Answer {
    let line = state.line(&params.required("account")?)?;
    let (from, to) = (params.date("fromDate")?, params.date("toDate")?);
    if from.zip(to).is_some_and(|(from, to)| to < from) {
        return Err(codes::VALUE.of("toDate"));
    }
    let is_within = |quota: &&QuotaSeed| {
        from.is_none_or(|from| from <= quota.date) && to.is_none_or(|to| quota.date <= to)
    };
    let within: Vec<&QuotaSeed> = line.quotas.iter().filter(is_within).collect();
    let history: Vec<_> = within
        .iter()
        .map(|quota| {
            json!({
                "quota": quota.mb.to_string(),
                "date": quota.date.format("%Y%m%d").to_string(),
                "expire": quota.expire.format("%Y%m%d").to_string(),
                "quotaCode": quota.code,
            })
        })
        .collect();
    let total: u64 = within.iter().map(|quota| quota.mb).sum();
    Ok(Map::from_iter([
        ("account".to_owned(), json!(line.account)),
        ("total".to_owned(), json!(total.to_string())),
        ("count".to_owned(), json!(history.len().to_string())),
        ("quotaHistory".to_owned(), json!(history)),
    ]))
}
