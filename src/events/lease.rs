//! Work that one replica at a time does.

use std::{future::Future, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    store::{Store, leases::Lease},
};

/// The turn of one replica at some work: a lease that is waited for, and renewed while the work goes on.
#[derive(Clone)]
pub(super) struct Turn {
    store: Store,
    clock: Clock,
    name: &'static str,
    lasting: Duration,
}

impl Turn {
    /// Turns at the work with that name. `lasting` is how long another replica waits before it takes over from one that
    /// is gone.
    pub(super) fn new(store: Store, clock: Clock, name: &'static str, lasting: Duration) -> Self {
        Self { store, clock, name, lasting }
    }

    /// Waits for the lease, works while it lasts, and so on until told to stop; then it gives the lease back. Work that
    /// must not be done twice asks in its own transactions whether the lease still [holds](crate::store::Tx::holds).
    pub(super) async fn run<W>(&self, stopping: &CancellationToken, work: impl Fn(Lease) -> W)
    where
        W: Future<Output = ()>,
    {
        while let Some(lease) = stopping.run_until_cancelled(self.acquire()).await {
            let fence = lease.fence();
            tracing::info!(lease = self.name, fence, "it is this replica's turn");
            let turn = async {
                tokio::select! {
                    () = self.renew(&lease) => {}
                    () = work(lease) => {}
                }
            };
            if stopping.run_until_cancelled(turn).await.is_some() {
                tracing::warn!(lease = self.name, fence, "it is another replica's turn");
                continue;
            }
            if let Err(error) = self.store.release_lease(&lease, self.clock.now()).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(lease = self.name, error, "the lease runs out by itself");
            }
            return;
        }
    }

    async fn acquire(&self) -> Lease {
        loop {
            match self.store.acquire_lease(self.name, self.clock.now(), self.lasting).await {
                Ok(Some(lease)) => return lease,
                Ok(None) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(lease = self.name, error, "the lease cannot be asked for");
                }
            }
            // A tenth shorter or longer, so that replicas do not ask together.
            sleep((self.lasting / 3).mul_f64(rand::random_range(0.9..=1.1))).await;
        }
    }

    /// Renews the lease until it is another's. While the database does not answer it may still be ours.
    async fn renew(&self, lease: &Lease) {
        loop {
            sleep(self.lasting / 3).await;
            match self.store.renew_lease(lease, self.clock.now(), self.lasting).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(lease = self.name, error, "the lease cannot be renewed");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::{future::pending, sync::Arc};

    use chrono::TimeDelta;
    use tokio::{sync::Mutex, task::JoinHandle, time::timeout};

    use super::*;
    use crate::store::testing::{self, TestStore};

    /// Longer than anything here may take.
    const PATIENCE: Duration = Duration::from_secs(20);
    const LASTING: Duration = Duration::from_millis(60);

    /// A replica that works when it may, and holds `desk` while it does.
    struct Replica {
        stop: CancellationToken,
        task: JoinHandle<()>,
        desk: Arc<Mutex<()>>,
    }

    impl Replica {
        fn start(store: &TestStore, clock: &Clock) -> Self {
            let (stop, desk) = (CancellationToken::new(), Arc::new(Mutex::new(())));
            let turn = Turn::new((*store).clone(), clock.clone(), "a test", LASTING);
            let task = tokio::spawn({
                let (stop, desk) = (stop.clone(), Arc::clone(&desk));
                async move {
                    let desk = &desk;
                    let work = |_| async move {
                        let _working = desk.lock().await;
                        pending().await
                    };
                    turn.run(&stop, work).await;
                }
            });
            Self { stop, task, desk }
        }

        fn works(&self) -> bool {
            self.desk.try_lock().is_err()
        }

        async fn until(&self, works: bool) {
            let changed = async {
                while self.works() != works {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(PATIENCE, changed).await.unwrap();
        }
    }

    #[tokio::test]
    async fn one_works_and_another_takes_over_when_it_stops_or_is_late() {
        let (store, clock) = (testing::sqlite().await, Clock::starting_at(chrono::Utc::now()));
        let first = Replica::start(&store, &clock);
        first.until(true).await;
        let second = Replica::start(&store, &clock);
        first.stop.cancel();
        timeout(PATIENCE, first.task).await.unwrap().unwrap();
        second.until(true).await;
        // Its lease has run out before it was renewed, and a third was quicker.
        let third = store.acquire_lease("a test", clock.now() + TimeDelta::days(1), LASTING).await.unwrap();
        second.until(false).await;
        store.release_lease(&third.unwrap(), clock.now()).await.unwrap();
        second.until(true).await;
        second.stop.cancel();
        timeout(PATIENCE, second.task).await.unwrap().unwrap();
        let now = clock.now();
        assert!(store.acquire_lease("a test", now, LASTING).await.unwrap().is_some(), "it was given back");
    }
}
