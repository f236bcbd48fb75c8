//! The sandbox's own door: read the journal, inject faults, set delays, move the clock. On its own port, so that
//! it can never be taken for a vendor's.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Query, State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::sandbox::{
    core::{Core, Rule, System},
    journal::{Count, Entry, Filter, Kind},
};

/// Entries that one answer holds when no `limit` is given.
const PAGE: usize = 1_000;

/// The parameters of `GET /journal`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    system: Option<System>,
    operation: Option<String>,
    kind: Option<Kind>,
    since: Option<u64>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDelay {
    system: System,
    delay_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: i64,
}

type Shared = State<Arc<Core>>;

/// What is served at `/`, as text.
const ABOUT: &str = "\
The sandbox of portal-gateway: emulators of WHMCS, Salesforce, Freebit, Japan Post and
a CAPTCHA service, and a mail server.

GET    /health              200 while it runs
GET    /journal             calls and effects, oldest first: ?system= &operation= &kind=call|effect &since=<seq> &limit=
DELETE /journal             forget entries and counts
GET    /journal/counts      how often each operation was called and each effect happened
GET    /faults              the faults in force
POST   /faults              {system, operation|\"*\", kind, status?, code?, message?, applied?, delay_ms?, times?}
                            kind: status business garbage truncated empty hang drop expire delay
DELETE /faults              no more faults
GET    /delays              how long each system takes to answer, milliseconds
POST   /delays              {system, delay_ms}
GET    /clock               the sandbox's time
POST   /clock               {advance_ms}
POST   /salesforce/records/<object>         create a record as the staff does
PATCH  /salesforce/records/<object>/<id>    change one
DELETE /salesforce/records/<object>/<id>    delete one
POST   /salesforce/events   {act, ...}: drop_streams {code?} | drop_connections | reset {topic} | repeat {topic} |
                            change_schema {topic} | gap {object, kind, ids?} | publish {event, values} | garbage {topic}
GET    /mailbox             the mails that were taken, as a page
GET    /mail                the same as JSON, oldest first: ?to=<address> &since=<id> &limit=
GET    /mail/<id>           one of them
DELETE /mail                forget them

system: whmcs salesforce freebit japanpost captcha smtp (operations CONNECT EHLO AUTH MAIL RCPT DATA)
";

/// The admin endpoint.
pub fn router(core: Arc<Core>) -> Router {
    Router::new()
        .route("/", get(async || ABOUT))
        .route("/health", get(async || Json(json!({ "status": "ok" }))))
        .route("/journal", get(journal).delete(forget))
        .route("/journal/counts", get(counts))
        .route("/faults", get(faults).post(inject).delete(heal))
        .route("/delays", get(delays).post(delay))
        .route("/clock", get(clock).post(advance))
        .with_state(core)
}

async fn journal(State(core): Shared, Query(wanted): Query<Wanted>) -> Json<Vec<Entry>> {
    let Wanted { system, operation, kind, since, limit } = wanted;
    let mut entries = core.journal.entries(&Filter { system, operation, kind, since });
    entries.truncate(limit.unwrap_or(PAGE));
    Json(entries)
}

async fn forget(State(core): Shared) -> StatusCode {
    core.journal.clear();
    StatusCode::NO_CONTENT
}

async fn counts(State(core): Shared) -> Json<Vec<Count>> {
    Json(core.journal.counts())
}

async fn faults(State(core): Shared) -> Json<Vec<Rule>> {
    Json(core.faults.list())
}

async fn inject(State(core): Shared, rule: Result<Json<Rule>, JsonRejection>) -> Response {
    accept(rule, |rule| {
        core.faults.add(rule);
        (StatusCode::CREATED, Json(core.faults.list())).into_response()
    })
}

async fn heal(State(core): Shared) -> StatusCode {
    core.faults.clear();
    StatusCode::NO_CONTENT
}

fn delays_now(core: &Core) -> Json<Value> {
    let ms = |system: System| (system.as_str().to_owned(), json!(core.delays.get(system).as_millis() as u64));
    Json(System::ALL.map(ms).into_iter().collect())
}

async fn delays(State(core): Shared) -> Json<Value> {
    delays_now(&core)
}

async fn delay(State(core): Shared, delay: Result<Json<NewDelay>, JsonRejection>) -> Response {
    accept(delay, |delay| {
        core.delays.set(delay.system, Duration::from_millis(delay.delay_ms));
        delays_now(&core).into_response()
    })
}

fn time(core: &Core) -> Json<Value> {
    Json(json!({ "now": core.clock.now(), "today": core.clock.today() }))
}

async fn clock(State(core): Shared) -> Json<Value> {
    time(&core)
}

async fn advance(State(core): Shared, advance: Result<Json<Advance>, JsonRejection>) -> Response {
    // Ten years either way: beyond that dates lose their sense, and sums could overflow.
    const MOST: i64 = 10 * 366 * 24 * 3_600_000;
    accept(advance, |Advance { advance_ms }| {
        if !(-MOST..=MOST).contains(&advance_ms) {
            return refuse("advance_ms: at most ten years");
        }
        core.clock.advance(TimeDelta::milliseconds(advance_ms));
        time(&core).into_response()
    })
}

fn accept<T>(body: Result<Json<T>, JsonRejection>, act: impl FnOnce(T) -> Response) -> Response {
    match body {
        Ok(Json(body)) => act(body),
        Err(rejection) => refuse(&rejection.body_text()),
    }
}

fn refuse(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}
