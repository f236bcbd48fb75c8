//! The circuit breaker of one class of calls.
//!
//! Written here because none of the crates looked at holds the rules: `recloser` and `failsafe` let every call
//! through while half open and judge only by full rings or runs, and a Tower layer judges before our decoding has
//! found out that a 200 is an outage. It costs these lines: a window of two buckets, a run of failures, one probe
//! whose ticket frees its place when it is dropped, and a mark for calls that hang.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{
    sync::{Notify, futures::Notified},
    time::{Duration, Instant},
};

use crate::upstream::transport::settings;

/// Counts outcomes and says whether to ask.
#[derive(Debug)]
pub(super) struct Breaker {
    settings: settings::Breaker,
    state: Mutex<State>,
    /// Told when it opens, so that nobody queues for a system that will not be asked.
    opened: Notify,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// How long to stay open next time.
    wait: Duration,
    /// Failures since the last success.
    run: u32,
    /// The current half of the window and the one before it.
    halves: [Half; 2],
    half_began: Instant,
    last_success: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Closed,
    Open {
        until: Instant,
    },
    /// One probe is out.
    Probing,
}

#[derive(Clone, Copy, Debug, Default)]
struct Half {
    calls: u32,
    failures: u32,
}

impl Breaker {
    pub(super) fn new(settings: settings::Breaker) -> Self {
        let state = State {
            phase: Phase::Closed,
            wait: settings.open,
            run: 0,
            halves: [Half::default(); 2],
            half_began: Instant::now(),
            last_success: None,
        };
        Self { settings, state: Mutex::new(state), opened: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call would be let through now. Reserves nothing.
    pub(super) fn would_admit(&self) -> bool {
        match self.state().phase {
            Phase::Closed => true,
            Phase::Open { until } => until <= Instant::now(),
            Phase::Probing => false,
        }
    }

    /// Resolves when the breaker opens next. Take it before [`would_admit`](Self::would_admit).
    pub(super) fn opening(&self) -> Notified<'_> {
        self.opened.notified()
    }

    /// Lets one call through, or not. The ticket must be told the outcome; dropped without one, it counts nothing.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Ticket> {
        let mut state = self.state();
        let probe = match state.phase {
            Phase::Closed => false,
            Phase::Open { until } if until <= Instant::now() => {
                state.phase = Phase::Probing;
                true
            }
            Phase::Open { .. } | Phase::Probing => return None,
        };
        drop(state);
        Some(Ticket { breaker: Arc::clone(self), began: Instant::now(), probe, counted: false })
    }

    fn succeed(&self, probe: bool) {
        let now = Instant::now();
        let mut state = self.state();
        // A call from before the opening says nothing about now; a probe does, even one that came late.
        if state.phase == Phase::Closed {
            state.count(now, &self.settings, false);
        } else if probe {
            state.phase = Phase::Closed;
            state.wait = self.settings.open;
            state.halves = [Half::default(); 2];
            state.half_began = now;
        } else {
            return;
        }
        state.run = 0;
        state.last_success = Some(now);
    }

    fn fail(&self, probe: bool) {
        let now = Instant::now();
        let mut state = self.state();
        let opens = match state.phase {
            Phase::Closed => {
                state.run += 1;
                let window = state.count(now, &self.settings, true);
                let share = f64::from(window.failures) / f64::from(window.calls);
                state.run >= self.settings.consecutive
                    || window.calls >= self.settings.calls && share >= self.settings.ratio
            }
            Phase::Probing => probe,
            Phase::Open { .. } => false,
        };
        if opens {
            // Up to a tenth longer, so that replicas do not probe in step.
            let until = now + state.wait.mul_f64(rand::random_range(1.0..1.1));
            state.phase = Phase::Open { until };
            state.wait = (state.wait * 2).min(self.settings.open_max);
            drop(state);
            self.opened.notify_waiters();
        }
    }

    fn abandon_probe(&self) {
        let mut state = self.state();
        if state.phase == Phase::Probing {
            state.phase = Phase::Open { until: Instant::now() };
        }
    }
}

impl State {
    /// Counts one outcome and gives the sum over the window.
    fn count(&mut self, now: Instant, settings: &settings::Breaker, failed: bool) -> Half {
        let half = settings.window / 2;
        let age = now.saturating_duration_since(self.half_began);
        if age >= settings.window {
            self.halves = [Half::default(); 2];
            self.half_began = now;
        } else if age >= half {
            self.halves = [Half::default(), self.halves[0]];
            self.half_began += half;
        }
        self.halves[0].calls += 1;
        self.halves[0].failures += u32::from(failed);
        let [now, before] = self.halves;
        Half { calls: now.calls + before.calls, failures: now.failures + before.failures }
    }
}

/// The right to ask once.
#[derive(Debug)]
pub(super) struct Ticket {
    breaker: Arc<Breaker>,
    began: Instant,
    probe: bool,
    counted: bool,
}

impl Ticket {
    /// How long to wait for an answer before calling [`slow`](Self::slow).
    pub(super) fn patience(&self) -> Duration {
        self.breaker.settings.slow
    }

    /// The call hangs. Counts as a failure if nothing has succeeded since it began; it may still succeed.
    pub(super) fn slow(&mut self) {
        let others_succeed = self.breaker.state().last_success.is_some_and(|at| at >= self.began);
        if self.probe || !others_succeed {
            self.counted = true;
            self.breaker.fail(self.probe);
        }
    }

    /// The system answered.
    pub(super) fn succeed(mut self) {
        self.counted = true;
        self.breaker.succeed(self.probe);
    }

    /// The system is at fault.
    pub(super) fn fail(mut self) {
        if !self.counted {
            self.counted = true;
            self.breaker.fail(self.probe);
        }
    }
}

impl Drop for Ticket {
    /// A cancelled probe gives its place to the next call.
    fn drop(&mut self) {
        if self.probe && !self.counted {
            self.breaker.abandon_probe();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use tokio::time::advance;

    use super::*;

    fn breaker() -> Arc<Breaker> {
        Arc::new(Breaker::new(settings::Breaker::default()))
    }

    fn open(breaker: &Arc<Breaker>) {
        for _ in 0..5 {
            breaker.enter().unwrap().fail();
        }
        assert!(!breaker.would_admit());
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_of_failures_opens_it_and_one_probe_closes_it() {
        let breaker = breaker();
        open(&breaker);
        assert!(breaker.enter().is_none());
        advance(Duration::from_millis(1100)).await;
        let probe = breaker.enter().unwrap();
        assert!(breaker.enter().is_none(), "only one probe");
        probe.succeed();
        assert!(breaker.enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_many_failing_opens_it_within_two_seconds() {
        let breaker = breaker();
        for _ in 0..1000 {
            breaker.enter().unwrap().succeed();
            advance(Duration::from_millis(5)).await;
        }
        let outage = Instant::now();
        // Two in three fail: never five in a row.
        while breaker.would_admit() {
            for ok in [true, false, false] {
                if let Some(ticket) = breaker.enter() {
                    if ok { ticket.succeed() } else { ticket.fail() }
                }
                advance(Duration::from_millis(5)).await;
            }
        }
        assert!(outage.elapsed() <= Duration::from_secs(2), "{:?}", outage.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_probe_does_not_wedge_it() {
        let breaker = breaker();
        open(&breaker);
        advance(Duration::from_millis(1100)).await;
        drop(breaker.enter().unwrap());
        breaker.enter().unwrap().succeed();
        assert!(breaker.would_admit());
    }

    #[tokio::test(start_paused = true)]
    async fn failed_probes_wait_longer_but_never_too_long() {
        let breaker = breaker();
        open(&breaker);
        for _ in 0..6 {
            let began = Instant::now();
            while !breaker.would_admit() {
                advance(Duration::from_millis(100)).await;
            }
            assert!(began.elapsed() <= Duration::from_millis(5600));
            breaker.enter().unwrap().fail();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn hanging_calls_open_it_before_they_time_out() {
        let breaker = breaker();
        let mut hanging: Vec<_> = (0..5).map(|_| breaker.enter().unwrap()).collect();
        advance(Duration::from_millis(1500)).await;
        hanging.iter_mut().for_each(Ticket::slow);
        assert!(!breaker.would_admit());
    }

    #[tokio::test(start_paused = true)]
    async fn slow_calls_beside_quick_ones_are_not_an_outage() {
        let breaker = breaker();
        let mut slow: Vec<_> = (0..50).map(|_| breaker.enter().unwrap()).collect();
        advance(Duration::from_millis(1000)).await;
        breaker.enter().unwrap().succeed();
        advance(Duration::from_millis(500)).await;
        slow.iter_mut().for_each(Ticket::slow);
        assert!(breaker.would_admit());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_hangs_frees_the_way_and_closes_when_it_comes_late() {
        let breaker = breaker();
        open(&breaker);
        advance(Duration::from_millis(1100)).await;
        let mut probe = breaker.enter().unwrap();
        advance(probe.patience()).await;
        probe.slow();
        assert!(!breaker.would_admit());
        probe.succeed();
        assert!(breaker.would_admit());
    }
}
