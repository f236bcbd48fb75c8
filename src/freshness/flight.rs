//! Loads under way: at most one per key and version.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use futures::future::{BoxFuture, Shared};

use super::{
    Entry, Key,
    version::{Stamps, Versions},
};
use crate::error::Result;

/// The one load that the keys of a batch wait for.
pub(super) type Batch = Shared<BoxFuture<'static, Result<Arc<HashMap<Key, Arc<Entry>>>>>>;

/// The loads under way.
#[derive(Default)]
pub(super) struct Flights(Mutex<Table>);

#[derive(Default)]
struct Table {
    next: u64,
    flights: HashMap<Key, Flight>,
}

struct Flight {
    number: u64,
    stamps: Stamps,
    batch: Batch,
}

/// Where the value of a missing key comes from.
pub(super) enum Wait {
    /// It landed since the caller looked.
    Landed(Arc<Entry>),
    /// Somebody else's load.
    Joined(Batch),
    /// The load that this caller began.
    Led(Batch),
}

impl Flights {
    /// For each missing key what to wait for.
    ///
    /// A load is joined only while the versions it captured still stand: one that began before a bump
    /// may bring the older value. `begin` starts one load, with its number, for all the keys that
    /// nobody loads; `fresh` looks once more for an entry, since a load may have landed meanwhile.
    pub(super) fn join_or_begin(
        &self,
        missing: Vec<(Key, Stamps)>,
        versions: &Versions,
        fresh: impl Fn(&Key) -> Option<Arc<Entry>>,
        begin: impl FnOnce(u64, Vec<(Key, Stamps)>) -> Batch,
    ) -> Vec<(Key, Wait)> {
        let mut table = self.lock();
        let mut waits = Vec::with_capacity(missing.len());
        let mut leading = Vec::new();
        for (key, stamps) in missing {
            match table.flights.get(&key) {
                Some(flight) if versions.are_current(&flight.stamps) => {
                    waits.push((key, Wait::Joined(flight.batch.clone())));
                }
                _ => match fresh(&key) {
                    Some(entry) => waits.push((key, Wait::Landed(entry))),
                    None => leading.push((key, stamps)),
                },
            }
        }
        if !leading.is_empty() {
            let number = table.next;
            table.next += 1;
            let batch = begin(number, leading.clone());
            for (key, stamps) in leading {
                waits.push((key.clone(), Wait::Led(batch.clone())));
                table.flights.insert(key, Flight { number, stamps, batch: batch.clone() });
            }
        }
        waits
    }

    /// Forgets the loads of some keys when dropped, however the load ended.
    pub(super) fn landing(self: &Arc<Self>, number: u64, keys: Vec<Key>) -> Landing {
        Landing { flights: Arc::clone(self), number, keys }
    }

    /// A poisoned lock still guards whole values: no change to the map can stop half way.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Forgets a load when dropped; a newer one of the same key stays.
pub(super) struct Landing {
    flights: Arc<Flights>,
    number: u64,
    keys: Vec<Key>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut table = self.flights.lock();
        for key in &self.keys {
            if table.flights.get(key).is_some_and(|flight| flight.number == self.number) {
                table.flights.remove(key);
            }
        }
    }
}
