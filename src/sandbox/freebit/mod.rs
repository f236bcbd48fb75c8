//! Freebit, emulated: the MVNO's interface to its mobile lines.
//!
//! Source: Freebit reference; where that file leaves a choice, its section 5 makes it. Every failure is HTTP 200 with an
//! envelope; operations that the carrier takes minutes for are accepted at once and done when the virtual clock has
//! moved that far. Left out, as nothing asks for it: semi-black and white cards, OTA cards, plan release, dated quotas.

mod account;
mod change;
mod codes;
mod esim;
mod line;
mod params;
mod quota;
mod state;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State as Shared},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Map, Value, json};

use crate::sandbox::core::{Core, Fault, FaultKind, System};

use codes::Refusal;
use params::{Params, Unreadable};
use state::State;

/// An operation's own fields, or why it is refused.
type Answer = Result<Map<String, Value>, Refusal>;

/// One call of the interface.
#[derive(Clone, Copy)]
struct Operation {
    /// Its name in the journal and in faults.
    name: &'static str,
    path: &'static str,
    run: fn(&State, &Params) -> Answer,
}

const fn operation(name: &'static str, path: &'static str, run: fn(&State, &Params) -> Answer) -> Operation {
    Operation { name, path, run }
}

/// Paths end in a slash; without it they are served too.
static OPERATIONS: &[Operation] = &[
    operation("authOem", "/emptool/api/authOem", account::authenticate),
    operation("addAcnt", "/emptool/api/master/addAcnt", account::register),
    operation("cnclAcnt", "/emptool/api/master/cnclAcnt", account::cancel),
    operation("getDetail", "/emptool/api/mvno/getDetail", account::detail),
    operation("getDetail", "/emptool/api/master/getAcnt", account::detail),
    operation("addSpec", "/emptool/api/master/addSpec", quota::add),
    operation("getTrafficInfo", "/emptool/api/mvno/getTrafficInfo", quota::traffic),
    operation("getQuotaHistory", "/emptool/api/mvno/getQuotaHistory", quota::history),
    operation("addOrder", "/emptool/api/mvno/talkoption/addOrder", change::voice_registration),
    operation("changeOrder", "/emptool/api/mvno/talkoption/changeOrder", change::voice_change),
    operation("changePlan", "/emptool/api/mvno/changePlan", change::plan),
    operation("changeContractLine", "/emptool/api/mvno/contractline/change", change::contract_line),
    operation("addEsimAcnt", "/emptool/api/mvno/esim/addAcnt", esim::activate),
    operation("reissueProfile", "/emptool/api/esim/reissueProfile", esim::reissue_profile),
];

/// The emulator. Beside the interface it offers the carrier's completion file at `/notices.csv`.
pub fn router(core: Arc<Core>) -> Router {
    let state = Arc::new(State::new(core));
    let mut router = Router::new();
    for operation in OPERATIONS {
        let answer =
            move |Shared(state): Shared<Arc<State>>, request: Request| answer(state, *operation, request);
        router =
            router.route(operation.path, post(answer)).route(&format!("{}/", operation.path), post(answer));
    }
    let notices =
        async |Shared(state): Shared<Arc<State>>| ([("content-type", "text/csv")], esim::notices(&state));
    router.route("/notices.csv", get(notices)).with_state(state)
}

async fn answer(state: Arc<State>, operation: Operation, request: Request) -> Response {
    let params = match Params::read(request).await {
        Ok(params) => params,
        Err(Unreadable::Status(status)) => return status.into_response(),
        Err(Unreadable::Json) => {
            state.core.journal.call(System::Freebit, operation.name, Value::Null);
            return Json(Refusal::from(codes::UNREADABLE).envelope()).into_response();
        }
    };
    let detail = params.subject().map_or(Value::Null, |account| json!({ "account": account }));
    let Some(Fault { kind, applied }) = state.core.enter(System::Freebit, operation.name, detail).await
    else {
        return Json(run(&state, operation, &params)).into_response();
    };
    if applied {
        run(&state, operation, &params);
    }
    match kind {
        FaultKind::Business { code, message } => Json(injected(&code, &message)).into_response(),
        FaultKind::Expire => Json(expire(&state, operation, &params)).into_response(),
        other => other.act_out().await,
    }
}

fn run(state: &State, operation: Operation, params: &Params) -> Value {
    let authenticated = || {
        let key = params.required("authKey")?;
        if state.knows_key(&key) { Ok(()) } else { Err(Refusal::from(codes::TOKEN)) }
    };
    let checked = if operation.name == "authOem" { Ok(()) } else { authenticated() };
    match checked.and_then(|()| (operation.run)(state, params)) {
        Ok(fields) => codes::success(fields),
        Err(refusal) => refusal.envelope(),
    }
}

/// An injected failure: `400-356` gives both codes, one alone stands for both, none is 500-999.
fn injected(code: &str, message: &str) -> Value {
    match code.split_once('-') {
        _ if code.is_empty() => codes::envelope("500", "999", message),
        Some((result, status)) => codes::envelope(result, status, message),
        None => codes::envelope(code, code, message),
    }
}

/// The token is refused, and is gone: the caller must authenticate anew.
fn expire(state: &State, operation: Operation, params: &Params) -> Value {
    if operation.name == "authOem" {
        return Refusal::from(codes::CREDENTIALS).envelope();
    }
    if let Ok(Some(key)) = params.text("authKey") {
        state.forget_key(&key);
    }
    Refusal::from(codes::TOKEN).envelope()
}
