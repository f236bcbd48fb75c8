//! The worker, on both databases.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::HashSet,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::TimeDelta;
use futures::future::join_all;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{seal::DataKey, store::testing::on_both_stores};

const CODE: &str = "482913";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    text: String,
    expires_at: Option<DateTime<Utc>>,
}

impl Job for Note {
    const KIND: &'static str = "note";

    fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.expires_at
    }
}

fn note() -> Note {
    Note { text: CODE.to_owned(), expires_at: None }
}

fn queue(store: &Store) -> Queue {
    let key = DataKey::parse(&format!("1:{}", BASE64_STANDARD.encode([7; 32]))).unwrap();
    Queue::new(store.clone(), Keyring::new(&[key], Path::new("/nowhere")).unwrap(), Clock::system())
}

async fn put(queue: &Queue, key: &str, job: &Note) -> bool {
    let mut tx = queue.store.begin().await.unwrap();
    let is_new = queue.put(&mut tx, key, job).await.unwrap();
    tx.commit().await.unwrap();
    is_new
}

/// Does everything that is due now, as one look of a worker would.
async fn round(worker: &Worker, queue: &Queue) -> usize {
    let claimed = queue.store.claim_jobs(100, queue.clock.now(), Settings::default().lease).await.unwrap();
    let count = claimed.len();
    join_all(claimed.into_iter().map(|job| worker.perform(job, CancellationToken::new()))).await;
    count
}

/// What handlers were given: texts, with the number of the try.
type Seen = Arc<Mutex<Vec<(String, u32)>>>;

/// A worker that writes down what it was given, and answers what it is told to.
fn worker(queue: &Queue, answer: Result<(), Setback>) -> (Worker, Seen) {
    let seen = Seen::default();
    let worker = Worker::new(queue.clone(), Settings::default()).on(None, {
        let seen = Arc::clone(&seen);
        move |note: Note, this: Try| {
            seen.lock().unwrap().push((note.text, this.number));
            std::future::ready(answer.clone())
        }
    });
    (worker, seen)
}

fn later() -> Result<(), Setback> {
    Err(Setback::Later("away".to_owned()))
}

on_both_stores! {
    async fn a_job_is_done_once_and_only_after_its_cause_was_committed(store: TestStore) {
        let queue = queue(&store);
        let (worker, seen) = worker(&queue, Ok(()));
        let mut tx = store.begin().await.unwrap();
        assert!(queue.put(&mut tx, "sign-up:1", &note()).await.unwrap());
        drop(tx);
        assert_eq!(round(&worker, &queue).await, 0);
        assert!(put(&queue, "sign-up:1", &note()).await);
        assert!(!put(&queue, "sign-up:1", &note()).await);
        assert_eq!(round(&worker, &queue).await, 1);
        assert_eq!(round(&worker, &queue).await, 0);
        assert!(!put(&queue, "sign-up:1", &note()).await, "its key is remembered");
        assert_eq!(*seen.lock().unwrap(), [(CODE.to_owned(), 1)]);
    }

    async fn what_a_job_holds_cannot_be_read_at_rest(store: TestStore) {
        let queue = queue(&store);
        assert!(put(&queue, "a", &note()).await);
        let mut claimed = store.claim_jobs(1, queue.clock.now(), Duration::ZERO).await.unwrap().remove(0);
        assert!(!claimed.payload.windows(CODE.len()).any(|part| part == CODE.as_bytes()));
        assert_eq!(queue.read::<Note>(&claimed).unwrap(), note());
        // Nor does it open as another job's.
        claimed.id = Uuid::now_v7();
        assert!(matches!(queue.read::<Note>(&claimed), Err(Error::Seal(_))));
    }

    async fn what_fails_is_tried_again_after_growing_waits_and_then_kept(store: TestStore) {
        let queue = queue(&store);
        let (worker, seen) = worker(&queue, later());
        assert!(put(&queue, "a", &note()).await);
        for (attempt, wait) in [(1, 5_i64), (2, 10)] {
            assert_eq!(round(&worker, &queue).await, 1, "{attempt}");
            let due = store.job_backlog().await.unwrap()[0].first_due.unwrap();
            let waits = due - queue.clock.now();
            let bounds = (TimeDelta::milliseconds(wait * 750 - 2_000), TimeDelta::seconds(wait));
            assert!(waits > bounds.0 && waits <= bounds.1, "{waits}");
            assert_eq!(round(&worker, &queue).await, 0);
            queue.clock.advance(waits + TimeDelta::milliseconds(1));
        }
        assert_eq!(round(&worker, &queue).await, 1);
        queue.clock.advance(TimeDelta::days(1));
        assert_eq!(round(&worker, &queue).await, 0);
        assert_eq!(seen.lock().unwrap().iter().map(|(_, number)| *number).collect::<Vec<_>>(), [1, 2, 3]);
        let dead = store.dead_jobs(10).await.unwrap();
        assert_eq!((dead.len(), dead[0].reason.as_str(), dead[0].attempts), (1, "away", 3));

        store.revive_jobs(None, queue.clock.now()).await.unwrap();
        let (healthy, seen) = super::worker(&queue, Ok(()));
        assert_eq!(round(&healthy, &queue).await, 1);
        assert_eq!(*seen.lock().unwrap(), [(CODE.to_owned(), 1)], "it still holds what was to be done");
    }

    async fn what_is_hopeless_is_given_up_at_once_and_a_panic_is_a_failure(store: TestStore) {
        let queue = queue(&store);
        let (worker, _) = worker(&queue, Err(Setback::Hopeless("no such mailbox".to_owned())));
        assert!(put(&queue, "a", &note()).await);
        assert_eq!(round(&worker, &queue).await, 1);
        assert_eq!(store.dead_jobs(10).await.unwrap()[0].reason, "no such mailbox");

        let panics = Worker::new(queue.clone(), Settings::default())
            .on(Some(1), |_: Note, _| async { panic!("a planted panic") });
        assert!(put(&queue, "b", &note()).await);
        assert_eq!(round(&panics, &queue).await, 1);
        let reasons: Vec<_> = store.dead_jobs(10).await.unwrap().into_iter().map(|job| job.reason).collect();
        assert!(reasons.contains(&"it panicked".to_owned()), "{reasons:?}");
    }

    async fn a_job_that_became_worthless_is_dropped_untried(store: TestStore) {
        let queue = queue(&store);
        let (worker, seen) = worker(&queue, Ok(()));
        let expires_at = Some(queue.clock.now() + TimeDelta::minutes(10));
        assert!(put(&queue, "a", &Note { expires_at, ..note() }).await);
        queue.clock.advance(TimeDelta::minutes(10));
        assert_eq!(round(&worker, &queue).await, 1);
        assert!(seen.lock().unwrap().is_empty());
        assert!(store.job_backlog().await.unwrap().is_empty(), "and not kept as dead");
    }

    async fn a_job_that_takes_its_worker_with_it_is_given_up(store: TestStore) {
        let queue = queue(&store);
        let (worker, seen) = worker(&queue, Ok(()));
        assert!(put(&queue, "a", &note()).await);
        for _ in 0..3 {
            // Claimed, and never heard of again.
            assert_eq!(store.claim_jobs(1, queue.clock.now(), Settings::default().lease).await.unwrap().len(), 1);
            queue.clock.advance(TimeDelta::seconds(60));
        }
        assert_eq!(round(&worker, &queue).await, 1);
        assert!(seen.lock().unwrap().is_empty());
        assert_eq!(store.dead_jobs(1).await.unwrap()[0].reason, "no try came to its end");
    }

    async fn a_paused_worker_cannot_finish_what_went_over_to_another(store: TestStore) {
        let queue = queue(&store);
        let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let paused = Worker::new(queue.clone(), Settings::default()).on(None, {
            let (gate, begun) = (Arc::clone(&gate), Arc::clone(&begun));
            move |_: Note, _| {
                let (gate, begun) = (Arc::clone(&gate), Arc::clone(&begun));
                async move {
                    begun.add_permits(1);
                    gate.acquire().await.unwrap().forget();
                    Ok(())
                }
            }
        });
        assert!(put(&queue, "a", &note()).await);
        let held = tokio::spawn({
            let queue = queue.clone();
            async move { round(&paused, &queue).await }
        });
        begun.acquire().await.unwrap().forget();
        queue.clock.advance(TimeDelta::seconds(61));
        let (other, seen) = worker(&queue, later());
        assert_eq!(round(&other, &queue).await, 1);
        assert_eq!(*seen.lock().unwrap(), [(CODE.to_owned(), 2)]);
        gate.add_permits(1);
        assert_eq!(held.await.unwrap(), 1);
        let backlog = store.job_backlog().await.unwrap();
        assert_eq!((backlog[0].waiting, backlog[0].dead), (1, 0), "what the other said stands");
    }

    async fn a_kind_that_this_release_does_not_know_waits_for_another(store: TestStore) {
        let queue = queue(&store);
        let ignorant = Worker::new(queue.clone(), Settings::default());
        assert!(put(&queue, "a", &note()).await);
        assert_eq!(round(&ignorant, &queue).await, 1);
        queue.clock.advance(TimeDelta::seconds(30));
        let (worker, seen) = worker(&queue, Ok(()));
        assert_eq!(round(&worker, &queue).await, 1);
        assert_eq!(*seen.lock().unwrap(), [(CODE.to_owned(), 1)], "it counts as not tried");
    }

    async fn two_running_workers_do_each_job_once_within_their_bounds_and_stop(store: TestStore) {
        const JOBS: usize = 40;
        let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let done = Arc::new(Semaphore::new(0));
        let seen = Arc::<Mutex<Vec<Uuid>>>::default();
        let stopping = CancellationToken::new();
        let queue = queue(&store);
        let settings = Settings { concurrency: 3, poll: Duration::from_millis(20), ..Settings::default() };
        let running: Vec<_> = (0..2)
            .map(|_| {
                let (now, most, done) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&done));
                let seen = Arc::clone(&seen);
                let worker = Worker::new(queue.clone(), settings.clone()).on(None, move |_: Note, this| {
                    let (now, most, done) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&done));
                    let seen = Arc::clone(&seen);
                    async move {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        tokio::task::yield_now().await;
                        seen.lock().unwrap().push(this.job);
                        now.fetch_sub(1, Ordering::SeqCst);
                        done.add_permits(1);
                        Ok(())
                    }
                });
                tokio::spawn(worker.run(stopping.clone()))
            })
            .collect();
        for n in 0..JOBS {
            assert!(put(&queue, &n.to_string(), &note()).await);
        }
        queue.wake();
        done.acquire_many(u32::try_from(JOBS).unwrap()).await.unwrap().forget();
        stopping.cancel();
        for worker in running {
            worker.await.unwrap();
        }
        let seen = seen.lock().unwrap().clone();
        assert_eq!(seen.len(), JOBS);
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), JOBS);
        assert!(most.load(Ordering::SeqCst) <= 6, "{most:?}");
        assert!(store.job_backlog().await.unwrap().is_empty(), "all were finished before they stopped");
    }

    async fn a_worker_that_stops_gives_back_what_does_not_end(store: TestStore) {
        let queue = queue(&store);
        let begun = Arc::new(Semaphore::new(0));
        let settings = Settings { grace: Duration::ZERO, ..Settings::default() };
        let endless = Worker::new(queue.clone(), settings).on(None, {
            let begun = Arc::clone(&begun);
            move |_: Note, _| {
                begun.add_permits(1);
                std::future::pending()
            }
        });
        assert!(put(&queue, "a", &note()).await);
        let stopping = CancellationToken::new();
        let running = tokio::spawn(endless.run(stopping.clone()));
        begun.acquire().await.unwrap().forget();
        stopping.cancel();
        running.await.unwrap();
        let (other, seen) = worker(&queue, Ok(()));
        assert_eq!(round(&other, &queue).await, 1, "nobody waits for the end of its lease");
        assert_eq!(*seen.lock().unwrap(), [(CODE.to_owned(), 1)]);
    }
}
