//! Random schedules: several people sign up or are linked while calls fail in every manner and processes are killed and
//! stopped. In the end all systems agree about each of them.
//!
//! `REGISTRATION_SCHEDULES` sets how many: 12 unless it says otherwise; 300 is the full size. `REGISTRATION_SEED` runs those of
//! a seed again.

use std::{collections::VecDeque, time::Duration};

use futures::{StreamExt, future::join_all, stream};
use portal_gateway::sandbox::core::{Rule, RuleKind, System};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    newcomer::{Newcomer, Path},
    records::{End, disagreements, settled},
    stage::{Door, PATIENCE, Process, Stage},
};

/// Schedules at one moment: most of their time they wait.
const AT_ONCE: usize = 6;

/// How long a stopped process stays so: longer than its lease.
const STOPPED: Duration = Duration::from_secs(12);

/// What becomes of a process.
#[derive(Clone, Copy, Debug)]
enum Blow {
    Kill,
    Stop,
}

/// What happens to the people of one run.
#[derive(Debug)]
struct Schedule {
    faults: Vec<Rule>,
    /// Each so long after the one before.
    blows: Vec<(Duration, Blow)>,
}

impl Schedule {
    fn of(seed: u64) -> Self {
        const WRITES: [(System, &str); 4] = [
            (System::Whmcs, "AddClient"),
            (System::Whmcs, "UpdateClient"),
            (System::Salesforce, "upsert"),
            (System::Salesforce, "update"),
        ];
        const READS: [(System, &str); 3] = [
            (System::Whmcs, "GetClients"),
            (System::Whmcs, "GetClientsDetails"),
            (System::Salesforce, "query"),
        ];
        const KINDS: [RuleKind; 5] =
            [RuleKind::Drop, RuleKind::Hang, RuleKind::Status, RuleKind::Garbage, RuleKind::Truncated];
        let mut chance = StdRng::seed_from_u64(seed);
        let mut faults = Vec::new();
        for _ in 0..chance.random_range(2..=5) {
            let is_write = chance.random_bool(0.7);
            let calls: &[_] = if is_write { &WRITES } else { &READS };
            let (system, operation) = *calls.choose(&mut chance).unwrap();
            faults.push(Rule {
                operation: operation.to_owned(),
                status: Some(500),
                applied: is_write && chance.random_bool(0.5),
                delay_ms: chance.random_range(0..600),
                times: Some(chance.random_range(1..=2)),
                ..Rule::every(system, *KINDS.choose(&mut chance).unwrap())
            });
        }
        if chance.random_bool(0.2) {
            // Billing refuses one, who then puts it right.
            let refused = Rule::every(System::Whmcs, RuleKind::Business);
            faults.push(Rule { operation: "AddClient".to_owned(), times: Some(1), ..refused });
        }
        let blows = (0..chance.random_range(1..=2)).map(|_| {
            let after = Duration::from_millis(chance.random_range(50..1_500));
            (after, if chance.random_bool(0.7) { Blow::Kill } else { Blow::Stop })
        });
        let blows = blows.collect();
        Self { faults, blows }
    }
}

/// Says it, to whichever process is there, until it is done.
async fn persist(newcomer: &Newcomer, doors: watch::Receiver<Door>) -> Result<Value, String> {
    loop {
        let door = doors.borrow().clone();
        // One that was stopped does not answer.
        let ended = timeout(Duration::from_secs(12), newcomer.try_finish(&door)).await;
        match ended.ok().flatten() {
            Some(ended) if ended["status"] == "COMPLETE" => return Ok(ended),
            Some(ended) if ended["userErrors"][0]["code"] != "BILLING_CREATE_FAILED" => {
                return Err(format!("{}: {ended}", newcomer.email));
            }
            _ => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Strikes one process after the other. Gives those that are left.
async fn strike(
    stage: &Stage,
    first: Process,
    blows: &[(Duration, Blow)],
    doors: &watch::Sender<Door>,
) -> VecDeque<Process> {
    let mut left = VecDeque::from([first]);
    for (after, blow) in blows {
        sleep(*after).await;
        let Some(struck) = left.pop_back() else { break };
        match blow {
            Blow::Kill => struck.kill().await,
            Blow::Stop => {
                stage.pause(&struck, None).await;
                left.push_front(struck);
            }
        }
        let next = stage.serve_beside();
        doors.send_replace(next.door.clone());
        next.ready().await;
        left.push_back(next);
    }
    sleep(STOPPED).await;
    for process in &left {
        process.resume().await;
    }
    left
}

/// Runs what follows from a seed. Gives what is not as it should be.
async fn run(seed: u64) -> Vec<String> {
    let schedule = Schedule::of(seed);
    let stage = Stage::with(&[("WHMCS_TIMEOUT", "2s"), ("SF_TIMEOUT", "2s")]).await;
    let app = stage.app().await;
    let first = stage.serve();
    let (doors, at) = watch::channel(first.door.clone());
    let mut people = vec![Newcomer::verified(&stage.sandbox, &first, Path::Linked).await];
    for n in 0..2 {
        let email = format!("newcomer.{n}@example.jp");
        people.push(Newcomer::verified_as(&stage.sandbox, &first, Path::New, email).await);
    }
    for fault in &schedule.faults {
        stage.sandbox.core().faults.add(fault.clone());
    }
    let all = join_all(people.iter().map(|newcomer| persist(newcomer, at.clone())));
    let (ended, left) = tokio::join!(timeout(PATIENCE, all), strike(&stage, first, &schedule.blows, &doors));
    let mut found: Vec<_> = match ended {
        Ok(ended) => ended.into_iter().filter_map(Result::err).collect(),
        Err(_) => vec!["not everybody came in".to_owned()],
    };
    stage.sandbox.core().faults.clear();
    settled(&app).await;
    for newcomer in &people {
        found.extend(disagreements(&stage.sandbox, &app, &newcomer.email, End::Joined).await);
    }
    for process in left {
        process.kill().await;
    }
    if !found.is_empty() {
        found.insert(
            0,
            format!("REGISTRATION_SEED={seed} REGISTRATION_SCHEDULES=1 runs it again: {schedule:?}"),
        );
    }
    found
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_befalls_people_on_their_way_in_all_systems_agree_in_the_end() {
    let seed = setting("REGISTRATION_SEED").unwrap_or_else(|| rand::random::<u32>().into());
    let schedules = setting("REGISTRATION_SCHEDULES").unwrap_or(12);
    println!("REGISTRATION_SEED={seed} runs the same {schedules} schedules again");
    let all = stream::iter(seed..seed + schedules).map(run).buffer_unordered(AT_ONCE);
    let found: Vec<_> = all.collect::<Vec<_>>().await.concat();
    assert_eq!(found, [""; 0], "{}", found.join("\n"));
}
