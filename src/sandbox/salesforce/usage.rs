//! Requests of the last 24 hours, by the minute.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

/// Counts requests over a rolling day.
#[derive(Debug, Default)]
pub struct Usage {
    minutes: VecDeque<(i64, u64)>,
    used: u64,
}

impl Usage {
    /// Requests of the last 24 hours.
    pub fn used(&mut self, now: DateTime<Utc>) -> u64 {
        let oldest = (now - TimeDelta::hours(24)).timestamp().div_euclid(60);
        while let Some((minute, count)) = self.minutes.front()
            && *minute <= oldest
        {
            self.used -= count;
            self.minutes.pop_front();
        }
        self.used
    }

    /// Counts one request more.
    pub fn count(&mut self, now: DateTime<Utc>) {
        let minute = now.timestamp().div_euclid(60);
        match self.minutes.back_mut() {
            Some((last, count)) if *last >= minute => *count += 1,
            _ => self.minutes.push_back((minute, 1)),
        }
        self.used += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_for_a_day() {
        let mut usage = Usage::default();
        let start = Utc::now();
        usage.count(start);
        usage.count(start + TimeDelta::hours(1));
        assert_eq!(usage.used(start + TimeDelta::hours(23)), 2);
        assert_eq!(usage.used(start + TimeDelta::hours(24) + TimeDelta::minutes(1)), 1);
        assert_eq!(usage.used(start + TimeDelta::hours(26)), 0);
    }
}
