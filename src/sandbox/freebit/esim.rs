//! eSIM activation: new, port-in, reissue.

use serde_json::{Map, json};

use crate::sandbox::{
    core::System,
    freebit::{
        Answer,
        change::{identification, plan_code},
        codes::{self, Refusal},
        line::{Change, Kind, Line},
        params::Params,
        state::State,
    },
};

/// PA05-41.
pub(super) fn activate(state: &State, params: &Params) -> Answer {
    let add_kind = params.one_of("addKind", &["N", "M", "R"])?.ok_or(codes::MISSING.of("addKind"))?;
    let is_operated = params.flag("aladinOperated")?.unwrap_or(false);
    if is_operated && add_kind != "N" {
        return Err(codes::PATTERN.into());
    }
    let eid = params.digits("eid", 32, 32)?.ok_or(codes::MISSING.of("eid"))?;
    let account = params.digits("account", 11, 14)?;
    if add_kind == "R" {
        let account = account.ok_or(codes::MISSING.of("account"))?;
        let old_eid = params.object("reissue")?.unwrap_or_default().digits("oldEid", 32, 32)?;
        return reissue(state, "esim/addAcnt", &account, eid, old_eid);
    }
    if account.is_none() && (add_kind == "M" || is_operated) {
        return Err(codes::MISSING.of("account"));
    }
    if is_operated && params.date("shipDate")?.is_none() {
        return Err(codes::MISSING.of("shipDate"));
    }
    let sim_kind = params.one_of("simKind", &["E0", "E2", "E3"])?.ok_or(codes::MISSING.of("simKind"))?;
    let contract_line = params.one_of("contractLine", &["4G", "5G"])?.unwrap_or("4G");
    let plan_code = plan_code(params)?;
    if add_kind == "M" {
        port_in(state, &params.object("mnp")?.ok_or(codes::MISSING.of("mnp"))?)?;
    }
    let (now, minutes) = (state.now(), if add_kind == "M" { 60 } else { 15 });
    let mut number = String::new();
    state.add(account, |account, serial| {
        number.clone_from(&account);
        let mut line = Line::waiting(account, sim_kind, contract_line, serial);
        line.plan_code = plan_code;
        line.admit(Kind::Activation, now)?;
        let change = Change::Begin { eid: Some(eid), add_kind, request_id: serial };
        line.begin("esim/addAcnt", now, minutes, change);
        Ok(line)
    })?;
    accepted(state, &number, add_kind);
    Ok(Map::new())
}

/// PA05-42, in the shape that is in circulation.
pub(super) fn reissue_profile(state: &State, params: &Params) -> Answer {
    let wanted = params.first("requestDatas")?;
    let account = wanted.required("account")?;
    let eid = wanted.digits("newEid", 32, 32)?.ok_or(codes::MISSING.of("newEid"))?;
    reissue(state, "esim/reissueProfile", &account, eid, wanted.digits("oldEid", 32, 32)?)
}

fn reissue(
    state: &State,
    function: &'static str,
    account: &str,
    eid: String,
    old_eid: Option<String>,
) -> Answer {
    let (now, request_id) = (state.now(), state.request_id());
    state.change(account, |line| {
        line.in_service()?;
        if line.size != "esim" || (old_eid.is_some() && old_eid != line.eid) {
            return Err(codes::CARD.into());
        }
        line.admit(Kind::Activation, now)?;
        line.begin(function, now, 10, Change::Reissue { eid, request_id });
        Ok(())
    })?;
    accepted(state, account, "R");
    Ok(Map::new())
}

fn accepted(state: &State, account: &str, add_kind: &str) {
    let detail = json!({ "account": account, "addKind": add_kind });
    state.core.journal.effect(System::Freebit, "esim.activation.accepted", detail);
}

/// Port-in data: a reservation that is still valid, and the identity as the donor has it.
fn port_in(state: &State, mnp: &Params) -> Result<(), Refusal> {
    mnp.digits("reserveNumber", 10, 10)?.ok_or(codes::MISSING.of("reserveNumber"))?;
    identification(mnp)?;
    if mnp.date("reserveExpireDate")?.is_some_and(|day| day < state.today()) {
        return Err(codes::PORT_IN.of("reserveExpireDate"));
    }
    Ok(())
}

/// The completion file: one line per finished activation. Its columns are the sandbox's own.
pub(super) fn notices(state: &State) -> String {
    let mut file = "requestId,account,eid,addKind,result,completedAt\n".to_owned();
    for notice in state.notices() {
        let at = notice.completed_at.with_timezone(&crate::clock::TOKYO).format("%Y%m%d%H%M%S");
        let row = [
            notice.request_id.to_string(),
            notice.account,
            notice.eid,
            notice.add_kind.to_owned(),
            "OK".to_owned(),
            at.to_string(),
        ];
        file.push_str(&row.join(","));
        file.push('\n');
    }
    file
}
