//! Loads under way: at most one per key and version.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use futures::future::{BoxFuture, Shared, join_all};

use super::{Entry, Key, Tag, mirror::Mirror};
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
    tags: Arc<[Tag]>,
    epoch: u64,
    batch: Batch,
}

/// A key to load, with the tags that its value depends on.
pub(super) type Wanted = (Key, Arc<[Tag]>);

/// A load that begins: its number, and the epoch that its values are stamped with.
#[derive(Clone, Copy)]
pub(super) struct Departure {
    pub(super) number: u64,
    pub(super) epoch: u64,
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
    /// A load is joined only while no tag of its was raised since it began: it may bring the older value
    /// otherwise. `begin` starts one load for all the keys that nobody loads; `fresh` looks once more for
    /// an entry, since a load may have landed meanwhile.
    pub(super) fn join_or_begin(
        &self,
        missing: Vec<Wanted>,
        mirror: &Mirror,
        fresh: impl Fn(&Key) -> Option<Arc<Entry>>,
        begin: impl FnOnce(Departure, Vec<Wanted>) -> Batch,
    ) -> Vec<(Key, Wait)> {
        let mut table = self.lock();
        let mut waits = Vec::with_capacity(missing.len());
        let mut leading = Vec::new();
        for (key, tags) in missing {
            match table.flights.get(&key) {
                Some(flight) if !mirror.is_raised(&flight.tags, flight.epoch) => {
                    waits.push((key, Wait::Joined(flight.batch.clone())));
                }
                _ => match fresh(&key) {
                    Some(entry) => waits.push((key, Wait::Landed(entry))),
                    None => leading.push((key, tags)),
                },
            }
        }
        if !leading.is_empty() {
            let departure = Departure { number: table.next, epoch: mirror.epoch() };
            table.next += 1;
            let batch = begin(departure, leading.clone());
            for (key, tags) in leading {
                waits.push((key.clone(), Wait::Led(batch.clone())));
                let Departure { number, epoch } = departure;
                table.flights.insert(key, Flight { number, tags, epoch, batch: batch.clone() });
            }
        }
        waits
    }

    /// Waits until the loads of some keys that are under way have ended, at most until then. One that is under way
    /// afterwards began later than this.
    pub(super) async fn let_land(&self, wanted: &[Wanted], until: Instant) {
        let under_way: Vec<_> = {
            let table = self.lock();
            wanted.iter().filter_map(|(key, _)| Some(table.flights.get(key)?.batch.clone())).collect()
        };
        // How they end is not of interest, and who has no time left is told so by what follows.
        let _ = tokio::time::timeout_at(until.into(), join_all(under_way)).await;
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
