//! What was written, when it was acknowledged, and what was read: the record on which freshness is judged.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

/// A change that was made in a system.
#[derive(Clone, Copy, Debug)]
pub struct Write {
    /// Grows with every write of a register.
    pub value: u64,
    /// When the system was asked.
    pub began: DateTime<Utc>,
    /// When it had answered.
    pub ended: DateTime<Utc>,
}

/// A value that must be known from an instant on.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub value: u64,
    pub from: DateTime<Utc>,
}

/// What a reader was given.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    pub register: usize,
    pub replica: usize,
    pub value: u64,
    pub began: DateTime<Utc>,
    pub ended: DateTime<Utc>,
}

/// A read that began after a newer value had to be known, and returned an older one.
#[derive(Clone, Copy, Debug)]
pub struct Violation {
    pub read: Read,
    pub known: Known,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { read, known } = self;
        write!(
            f,
            "replica {} gave {} of register {} from {} to {} although {} was known from {}",
            read.replica, read.value, read.register, read.began, read.ended, known.value, known.from
        )
    }
}

/// How many there are, and the first ones.
pub fn tell(violations: &[Violation]) -> String {
    let first: Vec<_> = violations.iter().take(5).map(ToString::to_string).collect();
    format!("{} of them:\n{}", violations.len(), first.join("\n"))
}

/// Every read that returned an older value than it had to, by more than the bound. `known` holds for each register
/// the values and from when on they had to be known, in any order.
pub fn violations(reads: &[Read], known: &[Vec<Known>], bound: TimeDelta) -> Vec<Violation> {
    let newest: Vec<_> = known.iter().map(|all| newest_at_each_instant(all)).collect();
    let violation = |read: &Read| {
        let known = &newest[read.register];
        let before = known.partition_point(|known| known.from + bound < read.began);
        let known = *known[..before].last()?;
        (known.value > read.value).then_some(Violation { read: *read, known })
    };
    reads.iter().filter_map(violation).collect()
}

/// In the order of time, each with the newest value known by then.
fn newest_at_each_instant(all: &[Known]) -> Vec<Known> {
    let mut all = all.to_vec();
    all.sort_by_key(|known| known.from);
    let mut newest = 0;
    for known in &mut all {
        newest = newest.max(known.value);
        known.value = newest;
    }
    all
}

/// The value below which a share of all lies; `None` of nothing.
pub fn quantile(times: &mut [TimeDelta], share: f64) -> Option<TimeDelta> {
    times.sort();
    let index = (times.len().checked_sub(1)? as f64 * share).round() as usize;
    Some(times[index])
}

mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds(ms)
    }

    fn read(register: usize, value: u64, began: i64) -> Read {
        Read { register, replica: 0, value, began: at(began), ended: at(began + 1) }
    }

    #[test]
    fn a_read_that_begins_after_the_acknowledgement_must_be_new() {
        let known = [
            vec![Known { value: 7, from: at(100) }, Known { value: 8, from: at(90) }],
            vec![Known { value: 3, from: at(10) }],
        ];
        let strict = |read: Read| !violations(&[read], &known, TimeDelta::zero()).is_empty();
        assert!(!strict(read(0, 6, 90)), "it began before");
        assert!(strict(read(0, 6, 91)));
        assert!(strict(read(0, 7, 101)), "8 was known earlier than 7");
        assert!(!strict(read(0, 8, 101)) && !strict(read(0, 9, 101)));
        assert!(strict(read(1, 2, 11)) && !strict(read(1, 3, 11)));
    }

    #[test]
    fn a_bound_forgives_what_is_younger() {
        let known = [vec![Known { value: 1, from: at(0) }, Known { value: 2, from: at(100) }]];
        let bound = TimeDelta::milliseconds(50);
        assert!(violations(&[read(0, 1, 150)], &known, bound).is_empty());
        let found = violations(&[read(0, 1, 151), read(0, 0, 60)], &known, bound);
        assert_eq!(found.iter().map(|found| found.known.value).collect::<Vec<_>>(), [2, 1]);
    }
}
