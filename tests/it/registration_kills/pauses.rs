//! A process that is stopped longer than its lease lasts: another takes over, and what the first one brings late counts for
//! nothing. And what is said to two processes at once.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::{sleep, timeout};

use crate::{
    newcomer::{
        Newcomer,
        Path::{self, Linked, New, Undone},
    },
    stage::{
        Call,
        Moment::{self, Answered, Applied, Sent},
        Stage, billing, crm,
    },
};

/// Longer than the lease, and than PostgreSQL keeps a transaction in which nothing is said.
const STOPPED: Duration = Duration::from_secs(40);

/// In which call a process is stopped, and how far that has come.
struct Case(Path, Call, Moment);

const CASES: [Case; 7] = [
    Case(New, crm("upsert"), Applied),
    Case(New, billing("AddClient"), Sent),
    Case(New, billing("AddClient"), Applied),
    Case(New, billing("AddClient"), Answered),
    Case(Linked, billing("UpdateClient"), Answered),
    Case(Undone, billing("UpdateClient"), Applied),
    Case(Undone, crm("upsert"), Answered),
];

async fn stopped_while(Case(path, call, moment): &Case) {
    let case = format!("{path:?} {call:?} {moment:?}");
    let stage = Stage::new().await;
    let app = stage.app().await;
    let first = stage.serve();
    let newcomer = Newcomer::verified(&stage.sandbox, &first, *path).await;
    stage.lie_in_wait(*call, *moment);
    let going_on = async {
        let held = stage.caught(*moment, "workflows").await;
        stage.pause(&first, held).await;
        let second = stage.serve_beside();
        // Whoever is stopped in the middle of a transaction holds its row for a while.
        let ended = timeout(STOPPED, newcomer.finish(&second)).await;
        let ended = ended.unwrap_or_else(|_| panic!("{case}: the second did not take over"));
        first.resume().await;
        (second, ended)
    };
    let first_asked = async {
        // The answer may never come: whoever asked is not told by the first.
        let _ = timeout(Duration::from_secs(60), newcomer.try_finish(&first)).await;
    };
    let fate = newcomer.meet_fate(&stage.sandbox, &app);
    let ((second, ended), (), ()) = tokio::join!(going_on, first_asked, fate);
    newcomer.assert_ended(&ended, &stage.sandbox, &app, &case).await;
    // The first one answers again, and has changed nothing.
    first.ready().await;
    sleep(Duration::from_secs(1)).await;
    let again = newcomer.finish(&first).await;
    newcomer.assert_ended(&again, &stage.sandbox, &app, &case).await;
    let log = first.stop().await;
    let log = format!("{}{}", log.out, log.err);
    assert!(log.contains("a job's lease had ended before its try did"), "{case}: it was overtaken: {log}");
    second.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_stopped_beyond_the_lease_is_overtaken_and_stores_nothing_any_more() {
    join_all(CASES.iter().map(stopped_while)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_to_two_processes_at_once_is_done_once_though_one_of_them_is_killed() {
    for path in [New, Linked] {
        let stage = Stage::new().await;
        let app = stage.app().await;
        let (first, second) = (stage.serve(), stage.serve_beside());
        second.ready().await;
        let newcomer = Newcomer::verified(&stage.sandbox, &first, path).await;
        let doors = [first.door.clone(), second.door.clone()];
        let many = (0..12).map(|n| newcomer.try_finish(&doors[n % 2]));
        let killing = async {
            sleep(Duration::from_millis(300)).await;
            first.kill().await;
        };
        tokio::join!(join_all(many), killing);
        let ended = newcomer.finish(&second).await;
        newcomer.assert_ended(&ended, &stage.sandbox, &app, "two processes").await;
        second.kill().await;
    }
}
