//! What this replica knows of the versions of tags.

use std::{
    collections::HashMap,
    sync::{
        RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::Tag;

/// How many tags are remembered before those are forgotten that were raised before as many others.
const GENERATION: usize = 50_000;
/// What two generations weigh at most: a name, what stands around it, and a place in a table of which half is empty.
pub(super) const TAG_BYTES: u64 = 2 * GENERATION as u64 * 150;

/// What an entry depends on: its tags, none of which was raised beyond the epoch when it was loaded.
///
/// Versions come from one counter, so the highest one that the replica had seen when a load began
/// stands for the versions of all tags then. A check that succeeds raises the epoch: the next one only
/// looks at what came since.
#[derive(Debug)]
pub(super) struct Stamp {
    tags: Box<[Tag]>,
    epoch: AtomicU64,
}

impl Stamp {
    pub(super) fn new(tags: impl Into<Box<[Tag]>>, epoch: u64) -> Self {
        Self { tags: tags.into(), epoch: AtomicU64::new(epoch) }
    }

    pub(super) fn tags(&self) -> &[Tag] {
        &self.tags
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// After it was found current at that epoch.
    pub(super) fn raise(&self, epoch: u64) {
        self.epoch.fetch_max(epoch, Ordering::Relaxed);
    }
}

/// How a stamp stands against the mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// No tag was raised since.
    Current,
    /// A tag was raised since.
    Old,
    /// It is older than what the mirror reaches back to; the versions in Redis can tell.
    Unknown,
    /// It is older, and those versions are lost.
    Unknowable,
}

/// The versions of the tags that were raised lately, as far as this replica has seen.
///
/// Without Redis the mirror is the only truth, and always live. With Redis it follows the pushes of one
/// connection: it is live while that connection proves itself (see [`super::redis`]). It keeps what it
/// knows over a lost connection, and then reaches back only to the moment of the new one: `floor`.
pub(super) struct Mirror {
    born: Instant,
    /// Milliseconds after `born`; live before.
    live_until: AtomicU64,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    /// The highest version heard of: what a load that begins now will see.
    epoch: u64,
    /// Up to here every version has been seen. Below the epoch while pushes are on their way.
    complete: u64,
    /// Versions at or below it may be missing from `tags`.
    floor: u64,
    /// Versions at or below it are lost even in Redis.
    lost: u64,
    /// The tags that were raised last.
    tags: HashMap<Tag, u64>,
    /// The tags that were raised before these.
    before: HashMap<Tag, u64>,
    /// No version in `before` is higher.
    before_until: u64,
}

impl Mirror {
    /// A mirror that is the only truth.
    pub(super) fn alone() -> Self {
        Self { born: Instant::now(), live_until: AtomicU64::new(u64::MAX), known: RwLock::default() }
    }

    /// A mirror of Redis, not live yet.
    pub(super) fn following() -> Self {
        Self { live_until: AtomicU64::new(0), ..Self::alone() }
    }

    /// The epoch for a load that begins now.
    pub(super) fn epoch(&self) -> u64 {
        self.read().epoch
    }

    /// Whether every acknowledged change is known here.
    pub(super) fn is_live(&self) -> bool {
        let until = self.live_until.load(Ordering::Acquire);
        until == u64::MAX || u128::from(until) > self.born.elapsed().as_millis()
    }

    /// Judges a stamp; one that is current is raised to now.
    pub(super) fn judge(&self, stamp: &Stamp) -> Standing {
        let known = self.read();
        let epoch = stamp.epoch();
        if epoch == known.epoch && epoch >= known.floor {
            return Standing::Current;
        }
        if known.is_raised(&stamp.tags, epoch) {
            return Standing::Old;
        }
        if epoch < known.lost {
            return Standing::Unknowable;
        }
        if epoch < known.floor {
            return Standing::Unknown;
        }
        stamp.raise(known.complete);
        Standing::Current
    }

    /// Whether one of the tags was raised beyond an epoch.
    pub(super) fn is_raised(&self, tags: &[Tag], epoch: u64) -> bool {
        self.read().is_raised(tags, epoch)
    }

    /// The highest version that one of the tags was raised to, as far as it is known here; else zero.
    pub(super) fn version(&self, tags: &[Tag]) -> u64 {
        let known = self.read();
        tags.iter().filter_map(|tag| known.version(tag)).max().unwrap_or_default()
    }

    /// How far back the mirror reaches.
    pub(super) fn floor(&self) -> u64 {
        self.read().floor
    }

    /// Raises tags where nothing else gives out versions: without Redis, or while it is away.
    pub(super) fn raise_alone(&self, tags: &[Tag]) {
        let mut known = self.write();
        let version = known.epoch + 1;
        known.raise(tags.iter().cloned(), version);
    }

    /// Takes a version that Redis gave this replica for a change of its own. One that another replica was given before
    /// may still be on its way, and an entry must not be found current beyond it.
    pub(super) fn apply_own(&self, tags: &[Tag], version: u64) {
        self.write().note(tags.iter().cloned(), version);
    }

    /// Takes a version that Redis pushed, after all that it gave out before.
    pub(super) fn apply(&self, tags: impl IntoIterator<Item = Tag>, version: u64) {
        self.write().raise(tags, version);
    }

    /// A new connection, when the highest version was `epoch`: what was pushed meanwhile is missing.
    /// `is_lost` says that Redis forgot its versions.
    pub(super) fn begin(&self, epoch: u64, is_lost: bool) {
        let mut known = self.write();
        known.epoch = known.epoch.max(epoch);
        known.complete = known.epoch;
        known.floor = known.epoch;
        if is_lost {
            known.lost = known.epoch;
        }
    }

    /// The mirror may be believed for `lease` from `since`. It takes no version: Redis sends the pushes of a round behind
    /// the answers of the round, so an answer may know of one that was not seen yet.
    pub(super) fn confirm(&self, since: Instant, lease: Duration) {
        let until = (since + lease).saturating_duration_since(self.born).as_millis();
        self.live_until.store(u64::try_from(until).unwrap_or(u64::MAX - 1), Ordering::Release);
    }

    /// The connection is gone.
    pub(super) fn lose(&self) {
        self.live_until.store(0, Ordering::Release);
    }

    /// A poisoned lock still guards whole values: no write can stop half way.
    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Known {
    /// The version of a tag. Versions may come out of their order, so either generation may hold the higher one.
    fn version(&self, tag: &Tag) -> Option<u64> {
        self.tags.get(tag).max(self.before.get(tag)).copied()
    }

    fn is_raised(&self, tags: &[Tag], epoch: u64) -> bool {
        tags.iter().any(|tag| self.version(tag).is_some_and(|version| version > epoch))
    }

    fn raise(&mut self, tags: impl IntoIterator<Item = Tag>, version: u64) {
        self.complete = self.complete.max(version);
        self.note(tags, version);
    }

    fn note(&mut self, tags: impl IntoIterator<Item = Tag>, version: u64) {
        for tag in tags {
            let known = self.tags.entry(tag).or_default();
            *known = version.max(*known);
        }
        self.epoch = self.epoch.max(version);
        if self.tags.len() >= GENERATION {
            self.floor = self.floor.max(self.before_until);
            self.before = std::mem::take(&mut self.tags);
            self.before_until = self.epoch;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(name: &str) -> Tag {
        Tag::new(name)
    }

    #[test]
    fn a_stamp_is_old_once_a_tag_of_it_is_raised() {
        let mirror = Mirror::alone();
        let stamp = Stamp::new([tag("a"), tag("b")], mirror.epoch());
        assert_eq!(mirror.judge(&stamp), Standing::Current);
        mirror.raise_alone(&[tag("c")]);
        assert_eq!(mirror.judge(&stamp), Standing::Current);
        mirror.raise_alone(&[tag("b")]);
        assert_eq!(mirror.judge(&stamp), Standing::Old);
        assert_eq!(mirror.judge(&Stamp::new([tag("b")], mirror.epoch())), Standing::Current);
    }

    #[test]
    fn a_new_connection_leaves_older_stamps_unknown() {
        let mirror = Mirror::following();
        mirror.begin(100, true);
        let stamp = Stamp::new([tag("a")], mirror.epoch());
        assert_eq!(mirror.judge(&stamp), Standing::Current);
        mirror.begin(200, false);
        assert_eq!(mirror.judge(&stamp), Standing::Unknown);
        // What Redis says settles it.
        stamp.raise(mirror.floor());
        assert_eq!(mirror.judge(&stamp), Standing::Current);
        mirror.apply([tag("a")], 300);
        assert_eq!(mirror.judge(&stamp), Standing::Old);
        let other = Stamp::new([tag("z")], 250);
        mirror.begin(400, true);
        assert_eq!(mirror.judge(&other), Standing::Unknowable);
        // What was seen once is not forgotten.
        assert_eq!(mirror.judge(&stamp), Standing::Old);
    }

    #[test]
    fn a_change_of_its_own_does_not_hide_an_earlier_one_that_is_on_its_way() {
        let mirror = Mirror::following();
        mirror.begin(100, true);
        let (ours, theirs) = (Stamp::new([tag("ours")], 100), Stamp::new([tag("theirs")], 100));
        // Redis has given out 101 for another replica's change already; its push comes after our answer.
        mirror.apply_own(&[tag("ours")], 102);
        assert_eq!(mirror.judge(&ours), Standing::Old);
        assert_eq!(mirror.judge(&theirs), Standing::Current);
        mirror.apply([tag("theirs")], 101);
        assert_eq!(mirror.judge(&theirs), Standing::Old);
        // A load that began after the answer sees both.
        assert_eq!(
            mirror.judge(&Stamp::new([tag("ours"), tag("theirs")], mirror.epoch())),
            Standing::Current
        );
    }

    #[test]
    fn a_mirror_is_believed_for_its_lease_only() {
        let mirror = Mirror::following();
        assert!(!mirror.is_live());
        mirror.confirm(Instant::now(), Duration::from_secs(60));
        assert!(mirror.is_live());
        mirror.lose();
        assert!(!mirror.is_live());
        mirror.confirm(Instant::now() - Duration::from_millis(5), Duration::from_millis(5));
        assert!(!mirror.is_live());
        assert!(Mirror::alone().is_live());
    }

    #[test]
    fn of_very_many_tags_the_last_are_remembered_and_what_is_older_is_unknown() {
        let mirror = Mirror::alone();
        let (old, raised) =
            (Stamp::new([tag("kept")], mirror.epoch()), Stamp::new([tag("0")], mirror.epoch()));
        let looked_at = Stamp::new([tag("kept")], mirror.epoch());
        let raise = |numbers: std::ops::Range<usize>| {
            numbers.for_each(|n| mirror.raise_alone(&[tag(&n.to_string())]));
        };
        raise(0..2 * GENERATION - 1);
        assert_eq!((mirror.judge(&raised), mirror.judge(&looked_at)), (Standing::Old, Standing::Current));
        raise(2 * GENERATION - 1..2 * GENERATION);
        // The first half is forgotten, and with it whether a tag of what is as old was in it.
        assert_eq!((mirror.judge(&old), mirror.judge(&raised)), (Standing::Unknown, Standing::Unknown));
        // What was found current since need not be asked for again.
        assert_eq!(mirror.judge(&looked_at), Standing::Current);
        let later = Stamp::new([tag(&GENERATION.to_string())], GENERATION as u64);
        assert_eq!(mirror.judge(&later), Standing::Old);
        assert_eq!(mirror.judge(&Stamp::new([tag("new")], mirror.epoch())), Standing::Current);
        raise(0..5 * GENERATION);
        let known = mirror.read();
        assert!(known.tags.len() + known.before.len() <= 2 * GENERATION);
    }

    #[test]
    fn a_version_that_comes_late_does_not_hide_a_higher_one_of_the_generation_before() {
        let mirror = Mirror::following();
        mirror.begin(100, true);
        let stamp = Stamp::new([tag("a")], 101);
        mirror.apply_own(&[tag("a")], 102);
        let many: Vec<_> = (0..GENERATION).map(|n| tag(&n.to_string())).collect();
        mirror.apply_own(&many, 103);
        mirror.apply([tag("a")], 101);
        assert_eq!(mirror.judge(&stamp), Standing::Old);
    }
}
