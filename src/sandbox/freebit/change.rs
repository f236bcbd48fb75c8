//! Plan, voice options and contract line: operations that occupy a line and must keep their distance.

use serde_json::{Map, json};

use crate::sandbox::{
    core::System,
    freebit::{
        Answer,
        codes::{self, Refusal},
        line::{Change, Kind, Line, Voice, midnight},
        params::Params,
        state::State,
    },
    world::catalogue,
};

/// How long an accepted voice order takes, minutes.
const VOICE_MINUTES: i64 = 10;
/// How long an accepted contract line change takes, minutes.
const CONTRACT_LINE_MINUTES: i64 = 30;

/// A plan code that the contract knows.
pub(super) fn plan_code(params: &Params) -> Result<Option<String>, Refusal> {
    let Some(code) = params.text("planCode")? else { return Ok(None) };
    let is_well_formed =
        code.len() <= 32 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if !is_well_formed {
        return Err(codes::FORMAT.of("planCode"));
    }
    let is_known = catalogue::PRODUCTS.iter().any(|product| product.plan_code() == Some(code.as_str()));
    if is_known { Ok(Some(code)) } else { Err(codes::VALUE.of("planCode")) }
}

fn accepted(state: &State, effect: &str, account: &str) {
    state.core.journal.effect(System::Freebit, effect, json!({ "account": account }));
}

/// PA05-21: at once, or at 00:00 of a day; a later request replaces a pending one.
pub(super) fn plan(state: &State, params: &Params) -> Answer {
    let account = params.required("account")?;
    let plan_code = plan_code(params)?.ok_or(codes::MISSING.of("planCode"))?;
    params.flag("globalIp")?;
    let run_time = params.date("runTime")?;
    let (now, today) = (state.now(), state.today());
    if run_time.is_some_and(|day| day < today) {
        return Err(codes::VALUE.of("runTime"));
    }
    state.change(&account, |line| {
        line.in_service()?;
        if line.cancels_at.is_some() {
            return Err(codes::CANCELLING.into());
        }
        line.admit(Kind::Plan, now)?;
        match run_time.filter(|day| *day > today) {
            Some(day) => line.plan_change = Some((midnight(day), plan_code)),
            None => {
                line.plan_change = None;
                line.plan_code = Some(plan_code);
            }
        }
        Ok(())
    })?;
    accepted(state, "plan.change.accepted", &account);
    Ok(Map::from_iter([("ipv4".to_owned(), json!(""))]))
}

/// PA05-05: voice options together with the subscriber's identity. What is left out is off.
pub(super) fn voice_registration(state: &State, params: &Params) -> Answer {
    consent(params)?;
    let identity = params.object("identificationData")?.ok_or(codes::MISSING.of("identificationData"))?;
    identification(&identity)?;
    let wanted = options(&params.object("talkOption")?.unwrap_or_default())?;
    let off = |feature: Option<bool>| Some(feature.unwrap_or(false));
    let all = Voice {
        mail: off(wanted.mail),
        waiting: off(wanted.waiting),
        transfer: off(wanted.transfer),
        world_call: off(wanted.world_call),
        world_wing: off(wanted.world_wing),
    };
    order_voice(state, params, "talkoption/addOrder", all)
}

/// PA05-06: what is left out stays as it is; nothing at all is an error.
pub(super) fn voice_change(state: &State, params: &Params) -> Answer {
    consent(params)?;
    let wanted =
        params.object("talkOption")?.filter(|options| !options.is_empty()).ok_or(codes::NO_OPTION)?;
    order_voice(state, params, "talkoption/changeOrder", options(&wanted)?)
}

fn order_voice(state: &State, params: &Params, function: &'static str, voice: Voice) -> Answer {
    params.flag("aladinOperated")?;
    let account = params.required("account")?;
    let now = state.now();
    state.change(&account, |line| {
        line.in_service()?;
        if !line.has_voice() {
            return Err(codes::STATE.into());
        }
        line.admit(Kind::Voice, now)?;
        line.begin(function, now, VOICE_MINUTES, Change::Voice(voice));
        Ok(())
    })?;
    accepted(state, "voice.change.accepted", &account);
    Ok(Map::new())
}

fn consent(params: &Params) -> Result<(), Refusal> {
    match params.text("userConfirmed")?.as_deref() {
        None => Err(codes::MISSING.of("userConfirmed")),
        Some("10") => Ok(()),
        Some(_) => Err(codes::CONSENT.into()),
    }
}

fn options(options: &Params) -> Result<Voice, Refusal> {
    options.digits("worldCallCreditLimit", 1, 9)?;
    options.digits("worldWingCreditLimit", 1, 9)?;
    Ok(Voice {
        mail: options.flag("voiceMail")?,
        waiting: options.flag("callWaiting")?,
        transfer: options.flag("callTransfer")?,
        world_call: options.flag("worldCall")?,
        world_wing: options.flag("worldWing")?,
    })
}

/// Names, gender and birthday of a subscriber (Freebit reference §4.5). A corporation has no given name and no
/// birthday.
pub(super) fn identification(identity: &Params) -> Result<(), Refusal> {
    let gender = identity.one_of("gender", &["M", "W", "C"])?.ok_or(codes::MISSING.of("gender"))?;
    let names: &[&'static str] = if gender == "C" {
        &["lastnameKanji", "lastnameZenKana"]
    } else {
        &["lastnameKanji", "firstnameKanji", "lastnameZenKana", "firstnameZenKana"]
    };
    for name in names {
        let text = identity.required(name)?;
        let is_kana = |c: char| matches!(c, 'ァ'..='ヺ' | 'ー' | '・' | '\u{3000}');
        if text.chars().count() > 50 || (name.ends_with("Kana") && !text.chars().all(is_kana)) {
            return Err(codes::FORMAT.of(name));
        }
    }
    if gender != "C" && identity.date("birthday")?.is_none() {
        return Err(codes::MISSING.of("birthday"));
    }
    Ok(())
}

/// PA05-38: about half an hour, during which the line is locked.
pub(super) fn contract_line(state: &State, params: &Params) -> Answer {
    let account = params.required("account")?;
    let wanted = params.one_of("contractLine", &["4G", "5G"])?.ok_or(codes::MISSING.of("contractLine"))?;
    params.digits("eid", 32, 32)?;
    let now = state.now();
    let begin = |line: &mut Line| {
        line.in_service()?;
        line.admit(Kind::ContractLine, now)?;
        line.begin("contractline/change", now, CONTRACT_LINE_MINUTES, Change::ContractLine(wanted));
        Ok(())
    };
    state.change(&account, begin)?;
    accepted(state, "contractline.change.accepted", &account);
    Ok(Map::new())
}
