//! Who asks next: a concurrency limit and a rate limit with one queue in three lanes.
//!
//! A semaphore knows no lanes and a rate limiter no queue, so they are joined here: a call goes when a place is
//! free *and* the rate allows, and it is always the oldest of the most urgent lane. Nobody holds a place while
//! waiting for the rate, so a background call can never stand before a person.

use std::{
    collections::VecDeque,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use governor::{
    Quota, RateLimiter,
    clock::MonotonicClock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use tokio::{
    runtime::Handle,
    sync::oneshot,
    time::{Duration, Instant, sleep_until},
};

use crate::deadline::Lane;

/// What is said to those who are shed while nothing better is known.
const LATER: Duration = Duration::from_secs(1);

type Limiter = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<std::time::Instant>>;

/// Admits calls in order of their lane.
#[derive(Debug)]
pub(super) struct Gate {
    limiter: Option<Limiter>,
    /// The rate limit's distance between two calls.
    period: Duration,
    queue: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    lanes: [VecDeque<oneshot::Sender<Pass>>; 3],
    /// When the rate allows the next call, while someone waits for that.
    next_at: Option<Instant>,
}

/// A place in flight, freed when dropped.
#[derive(Debug)]
pub(super) struct Pass(Arc<Gate>);

/// No room, or not in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shed {
    pub(super) retry_after: Duration,
}

impl Gate {
    pub(super) fn new(concurrency: usize, calls_per_minute: Option<u32>, queue: usize) -> Arc<Self> {
        let rate = calls_per_minute.and_then(NonZeroU32::new);
        Arc::new(Self {
            limiter: rate.map(|n| RateLimiter::direct_with_clock(Quota::per_minute(n), MonotonicClock)),
            period: rate.map_or(Duration::ZERO, |n| Duration::from_secs(60) / n.get()),
            queue,
            state: Mutex::new(State { free: concurrency.max(1), lanes: Default::default(), next_at: None }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place. Sheds at once when the queue is full of calls that are as urgent, or when the rate
    /// cannot allow this call before `deadline`; may shed later in favour of a more urgent one. Dropping the
    /// future leaves the queue.
    pub(super) async fn enter(self: &Arc<Self>, lane: Lane, deadline: Instant) -> Result<Pass, Shed> {
        let turn = {
            let mut state = self.state();
            state.lanes.iter_mut().for_each(|lane| lane.retain(|waiter| !waiter.is_closed()));
            let ahead: usize = state.lanes[..=lane as usize].iter().map(VecDeque::len).sum();
            if let Some(next_at) = state.next_at {
                let turn = next_at + self.period * u32::try_from(ahead).unwrap_or(u32::MAX);
                if turn > deadline {
                    return Err(Shed { retry_after: turn.saturating_duration_since(Instant::now()) });
                }
            }
            let waits = state.free == 0 || state.next_at.is_some() || ahead > 0;
            if waits && state.lanes.iter().map(VecDeque::len).sum::<usize>() >= self.queue {
                // The newest of the least urgent gives way, if it is less urgent than this one.
                let last = state.lanes[lane as usize + 1..].iter_mut().rev().find_map(VecDeque::pop_back);
                if last.is_none() {
                    return Err(Shed { retry_after: LATER });
                }
            }
            let (give, turn) = oneshot::channel();
            state.lanes[lane as usize].push_back(give);
            turn
        };
        self.admit();
        turn.await.map_err(|_| Shed { retry_after: LATER })
    }

    /// Gives free places to those who wait, as far as the rate allows.
    fn admit(self: &Arc<Self>) {
        loop {
            let mut state = self.state();
            if state.free == 0 || state.next_at.is_some() {
                return;
            }
            let Some(lane) = state.lanes.iter_mut().find_map(|lane| {
                while lane.front().is_some_and(oneshot::Sender::is_closed) {
                    lane.pop_front();
                }
                (!lane.is_empty()).then_some(lane)
            }) else {
                return;
            };
            if let Some(Err(until)) = self.limiter.as_ref().map(Limiter::check) {
                state.next_at = self.wake_at(Instant::from_std(until.earliest_possible()));
                return;
            }
            let waiter = lane.pop_front();
            state.free -= 1;
            drop(state);
            // Whoever has just gone leaves the pass in the answer, and its drop frees the place.
            drop(waiter.map(|waiter| waiter.send(Pass(Arc::clone(self)))));
        }
    }

    /// Admits again at an instant. `None` when the runtime is gone, and with it everyone who waits.
    fn wake_at(self: &Arc<Self>, at: Instant) -> Option<Instant> {
        let gate = Arc::clone(self);
        Handle::try_current().ok()?.spawn(async move {
            sleep_until(at).await;
            gate.state().next_at = None;
            gate.admit();
        });
        Some(at)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.state().free += 1;
        self.0.admit();
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use futures::{FutureExt, future::join_all};
    use tokio::{sync::mpsc, task::yield_now};

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    /// Starts a call and lets it reach the queue.
    async fn queue(
        gate: &Arc<Gate>,
        lane: Lane,
        done: &mpsc::UnboundedSender<&'static str>,
        name: &'static str,
    ) {
        let (gate, done) = (Arc::clone(gate), done.clone());
        tokio::spawn(async move {
            let outcome = gate.enter(lane, soon()).await;
            done.send(if outcome.is_ok() { name } else { "shed" }).unwrap();
        });
        yield_now().await;
    }

    #[tokio::test]
    async fn the_most_urgent_goes_first() {
        let gate = Gate::new(1, None, 10);
        let (send, mut done) = mpsc::unbounded_channel();
        let first = gate.enter(Lane::Background, soon()).await.unwrap();
        queue(&gate, Lane::Background, &send, "background").await;
        queue(&gate, Lane::Partner, &send, "partner").await;
        queue(&gate, Lane::Interactive, &send, "interactive").await;
        drop(first);
        for name in ["interactive", "partner", "background"] {
            assert_eq!(done.recv().await.unwrap(), name);
        }
    }

    #[tokio::test]
    async fn a_full_queue_sheds_the_least_urgent_at_once() {
        let gate = Gate::new(1, None, 2);
        let (send, mut done) = mpsc::unbounded_channel();
        let first = gate.enter(Lane::Interactive, soon()).await.unwrap();
        queue(&gate, Lane::Background, &send, "background").await;
        queue(&gate, Lane::Interactive, &send, "interactive").await;
        let late = gate.enter(Lane::Background, soon()).now_or_never().unwrap();
        assert_eq!(late.unwrap_err().retry_after, LATER);
        queue(&gate, Lane::Partner, &send, "partner").await;
        assert_eq!(done.recv().await.unwrap(), "shed", "the queued background call gave way");
        drop(first);
        assert_eq!(done.recv().await.unwrap(), "interactive");
        assert_eq!(done.recv().await.unwrap(), "partner");
    }

    #[tokio::test]
    async fn the_rate_holds() {
        let gate = Gate::new(3, Some(1200), 2000);
        let began = Instant::now();
        join_all((0..1202).map(|_| gate.enter(Lane::Partner, soon()).map(|pass| drop(pass.unwrap())))).await;
        assert!(began.elapsed() >= Duration::from_millis(100));
    }

    #[tokio::test]
    async fn what_the_rate_cannot_serve_in_time_is_told_when_to_come_back() {
        let gate = Gate::new(200, Some(60), 100);
        let _passes = join_all((0..60).map(|_| gate.enter(Lane::Partner, soon()))).await;
        let mut waiting = Box::pin(gate.enter(Lane::Interactive, soon()));
        assert!(waiting.as_mut().now_or_never().is_none());
        let hasty = Instant::now() + Duration::from_millis(1500);
        let shed = gate.enter(Lane::Interactive, hasty).now_or_never().unwrap().unwrap_err();
        assert!(shed.retry_after > Duration::from_millis(1000) && shed.retry_after <= Duration::from_secs(2));
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn a_person_overtakes_those_who_wait_for_the_rate() {
        let gate = Gate::new(1000, Some(600), 100);
        let _passes = join_all((0..600).map(|_| gate.enter(Lane::Partner, soon()))).await;
        let (send, mut done) = mpsc::unbounded_channel();
        queue(&gate, Lane::Background, &send, "background").await;
        queue(&gate, Lane::Interactive, &send, "interactive").await;
        assert_eq!(done.recv().await.unwrap(), "interactive");
        assert_eq!(done.recv().await.unwrap(), "background");
    }

    #[tokio::test]
    async fn whoever_leaves_the_queue_takes_no_place() {
        let gate = Gate::new(1, None, 10);
        let first = gate.enter(Lane::Interactive, soon()).await.unwrap();
        let mut gone = Box::pin(gate.enter(Lane::Interactive, soon()));
        assert!(gone.as_mut().now_or_never().is_none());
        drop(gone);
        drop(first);
        gate.enter(Lane::Background, soon()).now_or_never().unwrap().unwrap();
        // Left after being given the place, before taking it.
        let second = gate.enter(Lane::Interactive, soon()).await.unwrap();
        let mut gone = Box::pin(gate.enter(Lane::Interactive, soon()));
        assert!(gone.as_mut().now_or_never().is_none());
        drop(second);
        drop(gone);
        gate.enter(Lane::Background, soon()).now_or_never().unwrap().unwrap();
    }
}
