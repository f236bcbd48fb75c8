//! The coordinator, on both databases, with a workflow of its own.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    path::Path,
    sync::{Mutex, MutexGuard},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::FutureExt;

use super::*;
use crate::{
    error::{Service, SourceError, UserError},
    seal::DataKey,
    store::{
        audit::{Actor, Filter},
        testing::on_both_stores,
    },
};

const SECRET: &str = "canary-of-the-state";
/// How long a call takes, when it takes long.
const CALL: TimeDelta = TimeDelta::seconds(5);

/// What the steps saw, and what they are to do.
#[derive(Clone, Default)]
struct Desk(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    seen: Vec<String>,
    /// What the second step, when it is told to look, has surely not done.
    is_absent: bool,
    /// Since when the second step was said to be under way.
    since: Vec<DateTime<Utc>>,
    /// The clock that its calls move.
    slow: Option<Clock>,
    /// How the next calls go, the next first.
    failures: Vec<Result<()>>,
}

impl Desk {
    fn note(&self, what: String) -> Result<()> {
        let mut log = self.log();
        log.seen.push(what);
        if log.failures.is_empty() { Ok(()) } else { log.failures.remove(0) }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap()
    }

    fn fail(&self, failures: impl IntoIterator<Item = Error>) {
        self.log().failures.extend(failures.into_iter().map(Err));
    }

    /// Lets the call behind the next one fail.
    fn fail_second(&self, failure: Error) {
        self.log().failures.extend([Ok(()), Err(failure)]);
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.log().seen)
    }
}

#[derive(Serialize, Deserialize)]
struct Parcel {
    text: String,
    packed: u32,
}

impl Workflow for Parcel {
    const KIND: &'static str = "test-parcel";
    const STEPS: &'static [Step<Self>] = &[
        Step { name: "pack", act: Act::Ask(pack), otherwise: None, gives_up: true },
        Step { name: "send", act: Act::Ask(send), otherwise: Some("unpack"), gives_up: false },
        Step { name: "book", act: Act::Store(book), otherwise: Some("unpack"), gives_up: false },
        Step { name: "unpack", act: Act::Ask(unpack), otherwise: None, gives_up: false },
    ];
    type Tools = Desk;

    fn refusal(&self, at: DateTime<Utc>) -> Event {
        Event::done("parcel.send", Actor::System, at)
    }

    fn event(&self, step: &'static str, at: DateTime<Utc>) -> Option<Event> {
        (step == "unpack").then(|| Event::done("parcel.unpack", Actor::System, at))
    }
}

fn pack<'a>(parcel: &'a mut Parcel, desk: &'a Desk, turn: Turn) -> BoxFuture<'a, Result<Next>> {
    async move {
        desk.note(format!("pack {}", turn.again))?;
        parcel.packed += 1;
        Ok(Next::On)
    }
    .boxed()
}

fn send<'a>(parcel: &'a mut Parcel, desk: &'a Desk, turn: Turn) -> BoxFuture<'a, Result<Next>> {
    async move {
        desk.log().since.push(turn.since);
        if let Some(clock) = &desk.log().slow {
            clock.advance(CALL);
        }
        desk.note(format!("send {} {}", parcel.packed, turn.again))?;
        let is_absent = turn.again && desk.log().is_absent;
        Ok(if is_absent { Next::Anew } else { Next::On })
    }
    .boxed()
}

fn book<'a>(_: &'a mut Parcel, desk: &'a Desk, tx: &'a mut Tx) -> BoxFuture<'a, Result<Next>> {
    async move {
        // Undone with everything else when the step fails.
        let new = NewWorkflow {
            id: Uuid::now_v7(),
            kind: "booked",
            key: b"booked",
            state: b"-",
            step: "-",
            at: Utc::now(),
        };
        assert!(tx.insert_workflow(&new).await?);
        desk.note("book".to_owned())?;
        Ok(Next::Done("booked".to_owned()))
    }
    .boxed()
}

fn unpack<'a>(_: &'a mut Parcel, desk: &'a Desk, turn: Turn) -> BoxFuture<'a, Result<Next>> {
    async move {
        desk.note(format!("unpack {}", turn.again))?;
        Ok(Next::Refused)
    }
    .boxed()
}

fn rejected(code: &'static str) -> Error {
    Error::Rejected(vec![UserError { code, field: Vec::new(), message: "no" }])
}

fn away() -> Error {
    Error::Unavailable { service: Service::Crm, source: SourceError::new("away") }
}

fn uncertain() -> Error {
    Error::Uncertain { service: Service::Crm, source: SourceError::new("cut") }
}

fn engine(store: &Store) -> (Engine<Parcel>, Desk) {
    let key = DataKey::parse(&format!("1:{}", BASE64_STANDARD.encode([7; 32]))).unwrap();
    let (keys, clock) = (Keyring::new(&[key], Path::new("/nowhere")).unwrap(), Clock::system());
    let queue = Queue::new(store.clone(), keys.clone(), clock.clone());
    let desk = Desk::default();
    (Engine::new(store.clone(), keys, clock, queue, desk.clone(), 3), desk)
}

async fn begin(engine: &Engine<Parcel>, id: Uuid, key: &[u8]) -> Begun {
    engine.begin(id, key, Parcel { text: SECRET.to_owned(), packed: 0 }).await.unwrap()
}

async fn visit(engine: &Engine<Parcel>, id: Uuid, number: u32) -> Result<(), Setback> {
    engine.visit(Visit { id, kind: PhantomData }, Try { job: Uuid::nil(), number }).await
}

async fn outcome(engine: &Engine<Parcel>, id: Uuid) -> Outcome {
    engine.outcome(id).await.unwrap().unwrap()
}

on_both_stores! {
    async fn the_steps_are_done_in_their_order_once(store: TestStore) {
        let ((engine, desk), id) = (engine(&store), Uuid::now_v7());
        assert_eq!(begin(&engine, id, b"a").await, Begun::Here);
        assert_eq!(begin(&engine, id, b"a").await, Begun::Here, "it is the same");
        assert_eq!(begin(&engine, Uuid::now_v7(), b"a").await, Begun::Busy);
        let waiting = store.claim_jobs(10, Utc::now(), Duration::ZERO).await.unwrap();
        assert_eq!(waiting.len(), 1, "one job for it");
        visit(&engine, id, 1).await.unwrap();
        assert_eq!(desk.seen(), ["pack false", "send 1 false", "book"]);
        assert_eq!(outcome(&engine, id).await, Outcome::Done("booked".to_owned()));
        visit(&engine, id, 2).await.unwrap();
        assert_eq!(desk.seen(), [""; 0], "it has ended");
        assert_eq!(engine.wait(id, Duration::from_secs(5)).await.unwrap(), Outcome::Done("booked".to_owned()));
    }

    async fn what_it_knows_is_sealed_and_goes_with_its_end(store: TestStore) {
        let ((engine, _), id) = (engine(&store), Uuid::now_v7());
        assert_eq!(begin(&engine, id, b"a").await, Begun::Here);
        let taken = store.take_workflow(id).await.unwrap().unwrap();
        assert!(!taken.state.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
        assert_eq!(engine.0.open(taken).unwrap().state.workflow.text, SECRET);
    }

    async fn an_unknown_outcome_is_looked_up_by_the_next_run(store: TestStore) {
        let ((engine, desk), id) = (engine(&store), Uuid::now_v7());
        assert_eq!(begin(&engine, id, b"a").await, Begun::Here);
        desk.fail([uncertain()]);
        assert!(visit(&engine, id, 1).await.is_err());
        assert_eq!(outcome(&engine, id).await, Outcome::Running);
        // Once it was begun, it never gives up because a system is away.
        desk.fail([away()]);
        assert!(visit(&engine, id, 2).await.is_err());
        visit(&engine, id, 3).await.unwrap();
        assert_eq!(desk.seen(), ["pack false", "pack true", "pack true", "send 1 false", "book"]);
    }

    async fn what_surely_did_not_happen_is_begun_anew_with_a_time_of_its_own(store: TestStore) {
        let ((engine, desk), id) = (engine(&store), Uuid::now_v7());
        assert_eq!(begin(&engine, id, b"a").await, Begun::Here);
        (desk.log().is_absent, desk.log().slow) = (true, Some(engine.0.clock.clone()));
        // Sent and cut; looked for, sent again and cut again; a look that fails; a look that finds it.
        desk.fail_second(uncertain());
        assert!(visit(&engine, id, 1).await.is_err());
        desk.fail_second(uncertain());
        assert!(visit(&engine, id, 2).await.is_err());
        desk.fail([away()]);
        assert!(visit(&engine, id, 2).await.is_err());
        desk.log().is_absent = false;
        visit(&engine, id, 2).await.unwrap();
        let looked = ["send 1 true", "send 1 false", "send 1 true", "send 1 true"];
        assert_eq!(desk.seen(), [&["pack false", "send 1 false"], &looked[..], &["book"]].concat());
        let since = std::mem::take(&mut desk.log().since);
        let step = CALL - TimeDelta::seconds(1);
        assert!(since[1] - since[0] > step, "the time to wait counts from the end of the call: {since:?}");
        assert!(since[2] - since[1] > step, "and what is sent again is begun anew: {since:?}");
        assert!(since[3] - since[2] > step, "{since:?}");
        assert_eq!(since[4], since[3], "a look does not put it off");
    }

    async fn what_was_refused_says_nothing_of_another_of_its_key_that_runs(store: TestStore) {
        let ((engine, desk), refused) = (engine(&store), Uuid::now_v7());
        assert_eq!(begin(&engine, refused, b"a").await, Begun::Here);
        desk.fail([away()]);
        visit(&engine, refused, 1).await.unwrap();
        assert_eq!(begin(&engine, Uuid::now_v7(), b"a").await, Begun::Here);
        assert_eq!(begin(&engine, refused, b"a").await, Begun::Busy);
    }

    async fn a_system_that_is_away_ends_it_only_while_nothing_was_done(store: TestStore) {
        let ((engine, desk), id) = (engine(&store), Uuid::now_v7());
        assert_eq!(begin(&engine, id, b"a").await, Begun::Here);
        desk.fail([away()]);
        visit(&engine, id, 1).await.unwrap();
        assert_eq!(outcome(&engine, id).await, Outcome::Refused(vec!["TRY_LATER:CRM".to_owned()]));
        assert_eq!(begin(&engine, id, b"a").await, Begun::Here, "it begins anew");
        desk.seen();
        visit(&engine, id, 1).await.unwrap();
        assert_eq!(desk.seen().len(), 3);
        let (engine, desk) = self::engine(&store);
        let other = Uuid::now_v7();
        assert_eq!(begin(&engine, other, b"b").await, Begun::Here);
        visit_failing_second(&engine, &desk, other).await;
        assert_eq!(outcome(&engine, other).await, Outcome::Running);
    }

    async fn a_refusal_undoes_what_was_done_however_often_that_fails(store: TestStore) {
        let ((engine, desk), id) = (engine(&store), Uuid::now_v7());
        assert_eq!(begin(&engine, id, b"a").await, Begun::Here);
        refuse_booking(&engine, &desk, id).await;
        assert_eq!(outcome(&engine, id).await, Outcome::Running);
        visit(&engine, id, 2).await.unwrap();
        assert_eq!(desk.seen(), ["unpack true"]);
        assert_eq!(outcome(&engine, id).await, Outcome::Refused(vec!["TAKEN".to_owned()]));
        let rows = store.audit_events(&Filter::default(), 0, 10).await.unwrap();
        let told: Vec<_> = rows.iter().map(|row| (row.act.as_str(), row.reason.as_deref())).collect();
        assert_eq!(told.len(), 2, "each once: {told:?}");
        assert!(told.contains(&("parcel.unpack", None)) && told.contains(&("parcel.send", Some("TAKEN"))));
        assert!(rows.iter().all(|row| row.details.contains(&id.to_string())), "{rows:?}");
        // What the refused step wrote was undone.
        let mut tx = store.begin().await.unwrap();
        let new = NewWorkflow {
            id: Uuid::now_v7(), kind: "booked", key: b"booked", state: b"-", step: "-", at: Utc::now(),
        };
        assert!(tx.insert_workflow(&new).await.unwrap());
    }

    async fn what_fails_too_often_is_left_to_people_and_can_go_on(store: TestStore) {
        let ((engine, desk), id) = (engine(&store), Uuid::now_v7());
        assert_eq!(begin(&engine, id, b"a").await, Begun::Here);
        for number in 1..=3 {
            desk.fail([uncertain()]);
            assert!(visit(&engine, id, number).await.is_err());
        }
        assert_eq!(outcome(&engine, id).await, Outcome::Running);
        assert_eq!(begin(&engine, Uuid::now_v7(), b"a").await, Begun::Busy, "its key stays taken");
        visit(&engine, id, 1).await.unwrap();
        assert_eq!(outcome(&engine, id).await, Outcome::Done("booked".to_owned()));
    }
}

/// Lets the first step be done and the second find its system away.
async fn visit_failing_second(engine: &Engine<Parcel>, desk: &Desk, id: Uuid) {
    let taken = engine.0.store.take_workflow(id).await.unwrap().unwrap();
    let mut run = engine.0.open(taken).unwrap();
    assert!(engine.0.step(&mut run).await.unwrap());
    desk.fail([away()]);
    assert!(visit(engine, id, 1).await.is_err());
    assert_eq!(desk.seen(), ["pack false", "send 1 false"]);
}

/// Lets the booking be refused, and the first try to undo it fail.
async fn refuse_booking(engine: &Engine<Parcel>, desk: &Desk, id: Uuid) {
    let taken = engine.0.store.take_workflow(id).await.unwrap().unwrap();
    let mut run = engine.0.open(taken).unwrap();
    assert!(engine.0.step(&mut run).await.unwrap());
    assert!(engine.0.step(&mut run).await.unwrap());
    desk.fail([rejected("TAKEN"), uncertain()]);
    assert!(visit(engine, id, 1).await.is_err());
    assert_eq!(desk.seen(), ["pack false", "send 1 false", "book", "unpack false"]);
}
