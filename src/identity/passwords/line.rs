//! When those come back who found no room: one behind the other, as fast as hashes are made.
//!
//! Were all told the same time, a crowd would come back as a crowd, and all but a few would be told again. Nobody's place is
//! kept: whoever comes earlier and finds room is let in, and whoever never comes back leaves room to the others.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The soonest that anybody is told: about what those take who wait already.
const SOONEST: Duration = Duration::from_millis(500);
/// The latest. Beyond it nobody waits before a browser: whoever would have to is told some time before.
const LATEST: Duration = Duration::from_secs(30);
/// What a hash is thought to take before one was made.
const USUAL: Duration = Duration::from_millis(50);

/// The line before the door.
pub(super) struct Line {
    /// Hashes that are made at once.
    at_once: u32,
    state: Mutex<State>,
}

struct State {
    /// What a hash takes: a mean in which the last ones count most; `None` before one was made.
    hash: Option<Duration>,
    /// When the last one was told to come back.
    last: Option<Instant>,
}

impl Line {
    pub(super) fn new(at_once: usize) -> Self {
        let at_once = u32::try_from(at_once).unwrap_or(u32::MAX).max(1);
        Self { at_once, state: Mutex::new(State { hash: None, last: None }) }
    }

    /// Takes note of what a hash took.
    pub(super) fn took(&self, hash: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.hash = Some(state.hash.map_or(hash, |mean| (mean + hash) / 2));
    }

    /// How long the next one is to stay away.
    pub(super) fn next(&self) -> Duration {
        self.next_at(Instant::now())
    }

    fn next_at(&self, now: Instant) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let apart = state.hash.unwrap_or(USUAL) / self.at_once;
        let behind = state.last.map_or(now, |last| last + apart).max(now + SOONEST);
        if behind > now + LATEST {
            return LATEST.mul_f64(rand::random_range(0.5..1.0));
        }
        state.last = Some(behind);
        behind - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_comes_behind_the_other_as_fast_as_hashes_are_made() {
        let (line, now) = (Line::new(2), Instant::now());
        // The first says at once what a hash takes here.
        line.took(Duration::from_millis(80));
        let told: Vec<_> = (0..500).map(|_| line.next_at(now).as_millis()).collect();
        assert_eq!(told[0], 500);
        for pair in told.windows(2) {
            assert!((39..=40).contains(&(pair[1] - pair[0])), "{pair:?}");
        }
        // Half a second later the line is as much shorter.
        let later = line.next_at(now + Duration::from_millis(500)).as_millis();
        assert!((39..=40).contains(&(later + 500 - told[499])), "{later}");
    }

    #[test]
    fn nobody_is_told_more_than_half_a_minute_and_a_line_that_is_over_is_forgotten() {
        let (line, now) = (Line::new(1), Instant::now());
        let told: Vec<_> = (0..100_000).map(|_| line.next_at(now)).collect();
        assert!(told.iter().all(|told| (SOONEST..=LATEST).contains(told)));
        // Those who would have to wait longer do not come back as one.
        let last: std::collections::HashSet<_> = told[50_000..].iter().map(Duration::as_millis).collect();
        assert!(last.len() > 10_000, "{}", last.len());
        assert_eq!(line.next_at(now + LATEST + LATEST), SOONEST);
    }
}
