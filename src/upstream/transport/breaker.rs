//! The circuit breaker of one class of calls.
//!
//! Written here because none of the crates looked at holds the rules: `recloser` and `failsafe` let every call
//! through while half open and judge only by full rings or runs, and a Tower layer judges before our decoding has
//! found out that a 200 is an outage. It costs these lines: a window of two buckets, a run of failures, one probe
//! whose ticket frees its place when it is dropped, and a mark for calls that hang. The time is handed in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{
    sync::{Notify, futures::Notified},
    time::{Duration, Instant},
};

use crate::upstream::transport::settings;

/// How long after a probe is due the last one's word is taken for it.
const DOUBT: Duration = Duration::from_secs(5);

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
    /// The next call is the probe.
    HalfOpen,
    /// One probe is out.
    Probing,
}

#[derive(Clone, Copy, Debug, Default)]
struct Half {
    calls: u32,
    failures: u32,
}

impl Breaker {
    pub(super) fn new(settings: settings::Breaker, now: Instant) -> Self {
        let state = State {
            phase: Phase::Closed,
            wait: settings.open,
            run: 0,
            halves: [Half::default(); 2],
            half_began: now,
            last_success: None,
        };
        Self { settings, state: Mutex::new(state), opened: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call would be let through now. Reserves nothing.
    pub(super) fn would_admit(&self, now: Instant) -> bool {
        match self.state().phase {
            Phase::Closed => true,
            Phase::Open { until } => until <= now,
            Phase::HalfOpen => true,
            Phase::Probing => false,
        }
    }

    /// Whether its calls have found the system away and none has found it back. Nobody may be asking, so this is
    /// believed for a short while only after the next call would be let through.
    pub(super) fn is_sure_of_outage(&self, now: Instant) -> bool {
        match self.state().phase {
            Phase::Closed | Phase::HalfOpen => false,
            Phase::Open { until } => now < until + DOUBT,
            Phase::Probing => true,
        }
    }

    /// Resolves when the breaker opens next. Take it before [`would_admit`](Self::would_admit).
    pub(super) fn opening(&self) -> Notified<'_> {
        self.opened.notified()
    }

    /// Lets one call through, or not. The ticket must be told the outcome; dropped without one, it counts nothing.
    pub(super) fn enter(self: &Arc<Self>, now: Instant) -> Option<Ticket> {
        let mut state = self.state();
        let probe = match state.phase {
            Phase::Closed => false,
            Phase::Open { until } if until > now => return None,
            Phase::Probing => return None,
            Phase::Open { .. } | Phase::HalfOpen => {
                state.phase = Phase::Probing;
                true
            }
        };
        drop(state);
        Some(Ticket { breaker: Arc::clone(self), began: now, probe, counted: false })
    }

    fn succeed(&self, probe: bool, now: Instant) {
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

    fn fail(&self, probe: bool, now: Instant) {
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
            Phase::Open { .. } | Phase::HalfOpen => false,
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
            state.phase = Phase::HalfOpen;
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
    /// When to call [`slow`](Self::slow) if there is no answer yet.
    pub(super) fn slow_at(&self) -> Instant {
        self.began + self.breaker.settings.slow
    }

    /// Whether it is too early to call the system slow.
    pub(super) fn is_patient(&self, now: Instant) -> bool {
        now < self.slow_at()
    }

    /// The call hangs. Counts as a failure if nothing has succeeded since it began; it may still succeed.
    pub(super) fn slow(&mut self, now: Instant) {
        let others_succeed = self.breaker.state().last_success.is_some_and(|at| at >= self.began);
        if self.probe || !others_succeed {
            self.counted = true;
            self.breaker.fail(self.probe, now);
        }
    }

    /// The system answered.
    pub(super) fn succeed(mut self, now: Instant) {
        self.counted = true;
        self.breaker.succeed(self.probe, now);
    }

    /// The system is at fault.
    pub(super) fn fail(mut self, now: Instant) {
        if !self.counted {
            self.counted = true;
            self.breaker.fail(self.probe, now);
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

    use super::*;

    /// A breaker and its time.
    struct Bench(Arc<Breaker>, Instant);

    impl Bench {
        fn new() -> Self {
            let now = Instant::now();
            Self(Arc::new(Breaker::new(settings::Breaker::default(), now)), now)
        }

        /// One that has just opened.
        fn opened() -> Self {
            let bench = Self::new();
            (0..5).for_each(|_| bench.fail());
            assert!(!bench.would_admit());
            bench
        }

        fn advance(&mut self, ms: u64) {
            self.1 += Duration::from_millis(ms);
        }

        fn enter(&self) -> Option<Ticket> {
            self.0.enter(self.1)
        }

        fn would_admit(&self) -> bool {
            self.0.would_admit(self.1)
        }

        fn succeed(&self) {
            self.enter().unwrap().succeed(self.1);
        }

        fn fail(&self) {
            self.enter().unwrap().fail(self.1);
        }
    }

    #[test]
    fn a_run_of_failures_opens_it_and_one_probe_closes_it() {
        let mut bench = Bench::opened();
        assert!(bench.enter().is_none());
        bench.advance(1100);
        let probe = bench.enter().unwrap();
        assert!(bench.enter().is_none(), "only one probe");
        probe.succeed(bench.1);
        assert!(bench.enter().is_some());
    }

    #[test]
    fn half_of_many_failing_opens_it_within_two_seconds() {
        let mut bench = Bench::new();
        for _ in 0..1000 {
            bench.succeed();
            bench.advance(5);
        }
        let outage = bench.1;
        // Two in three fail: never five in a row.
        for ok in [true, false, false].into_iter().cycle() {
            let Some(ticket) = bench.enter() else { break };
            if ok {
                ticket.succeed(bench.1)
            } else {
                ticket.fail(bench.1)
            }
            bench.advance(5);
        }
        assert!(bench.1 - outage <= Duration::from_secs(2), "{:?}", bench.1 - outage);
    }

    #[test]
    fn a_few_failures_among_many_calls_do_not_open_it() {
        let mut bench = Bench::new();
        for i in 0..10_000 {
            if i % 3 == 0 {
                bench.fail()
            } else {
                bench.succeed()
            }
            bench.advance(5);
        }
    }

    #[test]
    fn a_cancelled_probe_does_not_wedge_it() {
        let mut bench = Bench::opened();
        bench.advance(1100);
        drop(bench.enter().unwrap());
        bench.succeed();
        assert!(bench.would_admit());
    }

    #[test]
    fn failed_probes_wait_longer_but_never_too_long() {
        let mut bench = Bench::opened();
        for _ in 0..6 {
            let began = bench.1;
            while !bench.would_admit() {
                bench.advance(10);
            }
            assert!(bench.1 - began <= Duration::from_millis(5600));
            bench.fail();
        }
    }

    #[test]
    fn hanging_calls_open_it_before_they_time_out() {
        let mut bench = Bench::new();
        let mut hanging: Vec<_> = (0..5).map(|_| bench.enter().unwrap()).collect();
        bench.advance(1500);
        hanging.iter_mut().for_each(|ticket| ticket.slow(bench.1));
        assert!(!bench.would_admit());
    }

    #[test]
    fn slow_calls_beside_quick_ones_are_not_an_outage() {
        let mut bench = Bench::new();
        let mut slow: Vec<_> = (0..50).map(|_| bench.enter().unwrap()).collect();
        bench.advance(1000);
        bench.succeed();
        bench.advance(500);
        slow.iter_mut().for_each(|ticket| ticket.slow(bench.1));
        assert!(bench.would_admit());
    }

    #[test]
    fn a_probe_that_hangs_frees_the_way_and_closes_when_it_comes_late() {
        let mut bench = Bench::opened();
        bench.advance(1100);
        let mut probe = bench.enter().unwrap();
        bench.advance(1500);
        probe.slow(bench.1);
        assert!(!bench.would_admit());
        probe.succeed(bench.1);
        assert!(bench.would_admit());
    }
}
