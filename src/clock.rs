//! The time, injected: production reads the system clock, a test moves its own.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, FixedOffset, NaiveDate, TimeDelta, Utc};

/// Japan Standard Time, in which every business day, month end and cut-off is judged
/// (domain reference §1). Japan keeps no daylight saving, so the offset is fixed.
pub const TOKYO: FixedOffset = match FixedOffset::east_opt(9 * 3600) {
    Some(offset) => offset,
    None => panic!("nine hours is a valid offset"),
};

/// A clock that can be moved forward. Clones share the shift.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    shift_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The system clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that shows `instant` now and goes on from there.
    pub fn starting_at(instant: DateTime<Utc>) -> Self {
        let clock = Self::default();
        clock.advance(instant - Utc::now());
        clock
    }

    /// Now, in UTC.
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::milliseconds(self.shift_ms.load(Ordering::Relaxed))
    }

    /// Today in Tokyo.
    pub fn today(&self) -> NaiveDate {
        self.now().with_timezone(&TOKYO).date_naive()
    }

    /// Moves the clock, and all its clones, forward (or back, when negative).
    pub fn advance(&self, by: TimeDelta) {
        self.shift_ms.fetch_add(by.num_milliseconds(), Ordering::Relaxed);
    }
}
