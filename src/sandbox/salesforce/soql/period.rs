//! Date literals: `TODAY`, `LAST_N_DAYS:30` and their kin, as ranges of whole days.

use chrono::{Datelike, Days, Months, NaiveDate};

/// A date literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    unit: Unit,
    /// First and last unit, counted from the present one (0).
    first: i64,
    last: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// Units that a literal may go back or forward; the vendor's calendar ends too.
const FARTHEST: i64 = 9_999;

impl Period {
    /// Reads a date literal; `None` for any other word. Fiscal years are calendar years in this organisation.
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.to_ascii_uppercase();
        let (name, n) = match word.split_once(':') {
            Some((name, n)) => (name, Some(n.parse::<i64>().ok().filter(|n| *n <= FARTHEST)?)),
            None => (word.as_str(), None),
        };
        let name = name.replace("FISCAL_", "");
        let (unit, first, last) = match (name.as_str(), n) {
            ("YESTERDAY", None) => (Unit::Day, -1, -1),
            ("TODAY", None) => (Unit::Day, 0, 0),
            ("TOMORROW", None) => (Unit::Day, 1, 1),
            ("LAST_90_DAYS", None) => (Unit::Day, -90, 0),
            ("NEXT_90_DAYS", None) => (Unit::Day, 1, 90),
            ("LAST_N_DAYS", Some(n)) => (Unit::Day, -n, 0),
            ("NEXT_N_DAYS", Some(n)) => (Unit::Day, 1, n),
            (_, None) => {
                let (which, unit) = name.split_once('_')?;
                let at = match which {
                    "LAST" => -1,
                    "THIS" => 0,
                    "NEXT" => 1,
                    _ => return None,
                };
                (Unit::parse(unit)?, at, at)
            }
            (_, Some(n)) => {
                if let Some(units) = name.strip_prefix("LAST_N_") {
                    (Unit::parse(units.strip_suffix('S')?)?, -n, -1)
                } else if let Some(units) = name.strip_prefix("NEXT_N_") {
                    (Unit::parse(units.strip_suffix('S')?)?, 1, n)
                } else {
                    let units = name.strip_prefix("N_")?.strip_suffix("S_AGO")?;
                    (Unit::parse_with_day(units)?, -n, -n)
                }
            }
        };
        Some(Self { unit, first, last })
    }

    /// The first day of the range and the first day after it. Weeks begin on Sunday.
    pub fn days(&self, today: NaiveDate) -> (NaiveDate, NaiveDate) {
        (self.unit.start(today, self.first), self.unit.start(today, self.last + 1))
    }
}

impl Unit {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "WEEK" => Self::Week,
            "MONTH" => Self::Month,
            "QUARTER" => Self::Quarter,
            "YEAR" => Self::Year,
            _ => return None,
        })
    }

    fn parse_with_day(name: &str) -> Option<Self> {
        if name == "DAY" { Some(Self::Day) } else { Self::parse(name) }
    }

    /// The first day of the unit that is `by` units away from the one with `today`.
    fn start(self, today: NaiveDate, by: i64) -> NaiveDate {
        let month = |date: NaiveDate| date.with_day(1).unwrap_or(date);
        let months = |date: NaiveDate, by: i64| {
            let count = Months::new(u32::try_from(by.unsigned_abs()).unwrap_or(u32::MAX));
            if by < 0 { date.checked_sub_months(count) } else { date.checked_add_months(count) }
        };
        let days = |date: NaiveDate, by: i64| {
            let count = Days::new(by.unsigned_abs());
            if by < 0 { date.checked_sub_days(count) } else { date.checked_add_days(count) }
        };
        let edge = if by < 0 { NaiveDate::MIN } else { NaiveDate::MAX };
        match self {
            Self::Day => days(today, by),
            Self::Week => days(today, 7 * by - i64::from(today.weekday().num_days_from_sunday())),
            Self::Month => months(month(today), by),
            Self::Quarter => months(month(today), 3 * by - i64::from(today.month0() % 3)),
            Self::Year => months(month(today), 12 * by - i64::from(today.month0())),
        }
        .unwrap_or(edge)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn literals_cover_whole_units() {
        let today = "2026-11-20".parse().unwrap(); // a Friday
        for (word, first, after) in [
            ("TODAY", "2026-11-20", "2026-11-21"),
            ("yesterday", "2026-11-19", "2026-11-20"),
            ("LAST_WEEK", "2026-11-08", "2026-11-15"),
            ("THIS_MONTH", "2026-11-01", "2026-12-01"),
            ("NEXT_QUARTER", "2027-01-01", "2027-04-01"),
            ("LAST_FISCAL_YEAR", "2025-01-01", "2026-01-01"),
            ("LAST_N_DAYS:7", "2026-11-13", "2026-11-21"),
            ("NEXT_N_DAYS:2", "2026-11-21", "2026-11-23"),
            ("N_DAYS_AGO:3", "2026-11-17", "2026-11-18"),
            ("LAST_N_MONTHS:2", "2026-09-01", "2026-11-01"),
            ("N_MONTHS_AGO:1", "2026-10-01", "2026-11-01"),
            ("LAST_N_QUARTERS:1", "2026-07-01", "2026-10-01"),
            ("LAST_90_DAYS", "2026-08-22", "2026-11-21"),
        ] {
            let days = Period::parse(word).unwrap().days(today);
            assert_eq!(days, (first.parse().unwrap(), after.parse().unwrap()), "{word}");
        }
        for word in ["LAST_N_DAYS", "TODAY:3", "SOMEDAY", "N_AGO:1", "LAST_N_DAYS:99999999999"] {
            assert_eq!(Period::parse(word), None, "{word}");
        }
    }
}
