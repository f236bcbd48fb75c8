//! Versions of tags.

use std::{
    collections::HashMap,
    sync::{
        RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use super::Tag;

/// How many tags are remembered one by one before all are forgotten together.
const MAX_TAGS: usize = 1_000_000;

/// The tags of an entry, each with its version when the load began.
pub(super) type Stamps = Box<[(Tag, u64)]>;

/// The version of every tag.
///
/// A tag that was never bumped stands at the floor. When too many are remembered the floor rises
/// above all of them and they are forgotten: every entry grows old once, and memory stays bounded.
#[derive(Default)]
pub(super) struct Versions {
    next: AtomicU64,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    floor: u64,
    tags: HashMap<Tag, u64>,
}

impl Known {
    fn version(&self, tag: &Tag) -> u64 {
        self.tags.get(tag).copied().unwrap_or(self.floor)
    }
}

impl Versions {
    /// The versions as they are now.
    pub(super) fn capture(&self, tags: &[Tag]) -> Stamps {
        let known = self.read();
        tags.iter().map(|tag| (tag.clone(), known.version(tag))).collect()
    }

    /// Whether nothing was bumped since the stamps were taken.
    pub(super) fn are_current(&self, stamps: &Stamps) -> bool {
        let known = self.read();
        stamps.iter().all(|(tag, version)| known.version(tag) == *version)
    }

    /// Raises the version of each tag.
    pub(super) fn bump(&self, tags: &[Tag]) {
        let version = 1 + self.next.fetch_add(1, Ordering::Relaxed);
        let mut known = self.write();
        if known.tags.len() + tags.len() > MAX_TAGS {
            known.tags.clear();
            known.floor = version;
        }
        known.tags.extend(tags.iter().map(|tag| (tag.clone(), version)));
    }

    /// A poisoned lock still guards whole values: no write can stop half way.
    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
