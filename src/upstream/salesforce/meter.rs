//! The daily allowance of calls: what is used of it, and who may still ask.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{deadline::Lane, upstream::Kind};
use http::HeaderMap;

/// How long a reading counts. The allowance is a rolling one: without traffic nobody would ever learn that it has
/// recovered, so after this time one caller finds out.
const READING_COUNTS: Duration = Duration::from_secs(300);
/// What is said to those who are shed.
const LATER: Duration = Duration::from_secs(60);

/// Calls of the whole organisation within the last 24 hours, and how many it may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Calls made.
    pub used: u64,
    /// Calls allowed.
    pub limit: u64,
}

impl Usage {
    /// Reads `Sforce-Limit-Info: api-usage=10018/100000; per-app-api-usage=17/250(appName=x)`.
    fn parse(header: &str) -> Option<Self> {
        let usage = header.split([';', ',']).find_map(|part| part.trim().strip_prefix("api-usage="))?;
        let (used, limit) = usage.split_once('/')?;
        let usage = Self { used: used.trim().parse().ok()?, limit: limit.trim().parse().ok()? };
        (usage.limit > 0).then_some(usage)
    }

    fn reaches(self, percent: u8) -> bool {
        u128::from(self.used) * 100 >= u128::from(self.limit) * u128::from(percent)
    }
}

/// The last reading.
#[derive(Debug)]
pub(super) struct Meter {
    background_at: u8,
    partner_at: u8,
    reading: Mutex<Option<(Usage, Instant)>>,
}

impl Meter {
    pub(super) fn new(background_at: u8, partner_at: u8) -> Self {
        Self { background_at, partner_at, reading: Mutex::new(None) }
    }

    /// Takes the reading from an answer, if it has one.
    pub(super) fn read(&self, headers: &HeaderMap) {
        let header = headers.get("sforce-limit-info").and_then(|value| value.to_str().ok());
        if let Some(usage) = header.and_then(Usage::parse) {
            *self.reading.lock().unwrap_or_else(PoisonError::into_inner) = Some((usage, Instant::now()));
            metrics::gauge!("salesforce_api_calls_used").set(usage.used as f64);
            metrics::gauge!("salesforce_api_calls_limit").set(usage.limit as f64);
        }
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner).map(|(usage, _)| usage)
    }

    /// Whether a caller of this lane may ask. A person always may.
    pub(super) fn admit(&self, lane: Lane, now: Instant) -> Result<(), Kind> {
        let percent = match lane {
            Lane::Interactive => return Ok(()),
            Lane::Partner => self.partner_at,
            Lane::Background => self.background_at,
        };
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((usage, at)) = &mut *reading
            && usage.reaches(percent)
        {
            if now.saturating_duration_since(*at) < READING_COUNTS {
                return Err(Kind::Shed { retry_after: LATER });
            }
            // This caller finds out; the others wait for what it reads.
            *at = now;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn meter(header: &str) -> Meter {
        let meter = Meter::new(80, 95);
        meter.read(&HeaderMap::from_iter([(
            http::HeaderName::from_static("sforce-limit-info"),
            header.parse().unwrap(),
        )]));
        meter
    }

    #[test]
    fn the_header_is_read_with_and_without_the_share_of_an_app() {
        let usage = Some(Usage { used: 10018, limit: 100_000 });
        assert_eq!(meter("api-usage=10018/100000").usage(), usage);
        assert_eq!(meter("api-usage=10018/100000; per-app-api-usage=17/250(appName=x)").usage(), usage);
        assert_eq!(meter("per-app-api-usage=17/250(appName=x), api-usage=10018/100000").usage(), usage);
        for header in
            ["", "api-usage=", "api-usage=1", "api-usage=a/b", "api-usage=1/0", "per-app-api-usage=1/2"]
        {
            assert_eq!(meter(header).usage(), None, "{header}");
        }
    }

    #[test]
    fn the_less_urgent_are_shed_first() {
        for (used, partner, background) in [(799, true, true), (800, true, false), (950, false, false)] {
            let meter = meter(&format!("api-usage={used}/1000"));
            assert!(meter.admit(Lane::Interactive, Instant::now()).is_ok());
            assert_eq!(meter.admit(Lane::Partner, Instant::now()).is_ok(), partner, "{used}");
            assert_eq!(meter.admit(Lane::Background, Instant::now()).is_ok(), background, "{used}");
        }
    }

    #[test]
    fn an_old_reading_lets_one_caller_find_out() {
        let meter = meter("api-usage=990/1000");
        assert!(meter.admit(Lane::Background, Instant::now()).is_err());
        let later = Instant::now() + READING_COUNTS;
        assert!(meter.admit(Lane::Background, later).is_ok());
        assert!(meter.admit(Lane::Background, later).is_err());
    }
}
