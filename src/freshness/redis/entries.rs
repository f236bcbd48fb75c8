//! The tier of entries behind memory, and the leases on loads.
//!
//! Entries are sealed: whoever reads Redis or a copy of it learns nothing about anybody (requirement P2), and whoever writes
//! to it cannot make the gateway say anything. What does not open counts as not there.

use std::time::Duration;

use redis::RedisResult;

use super::Link;
use crate::{freshness::Key, seal::Place};

/// How long a load may hold its lease over the fleet; a dead leaseholder costs at most this.
const LOAD_LEASE: Duration = Duration::from_secs(5);

impl Link {
    /// The name of an entry in Redis.
    #[cfg(test)]
    pub(in crate::freshness) fn entry_name(&self, key: &Key) -> String {
        self.names.entry(key)
    }

    /// Entries under some keys, as they were given.
    pub(in crate::freshness) async fn get(&self, keys: &[Key]) -> Option<Vec<Option<Vec<u8>>>> {
        let mut data = self.data()?;
        let names: Vec<_> = keys.iter().map(|key| self.names.entry(key)).collect();
        let got = redis::cmd("MGET").arg(&names).query_async(&mut data).await;
        let sealed = got.inspect_err(|error| tracing::debug!(%error, "entries could not be read")).ok()?;
        Some(self.open_all(&names, sealed))
    }

    /// Takes the lease on a load, if nobody has it, and then reads the entries under its keys: whoever
    /// had it last has stored them. `None` when Redis does not answer: then everybody loads.
    pub(in crate::freshness) async fn lease(
        &self,
        load: &str,
        keys: &[Key],
    ) -> Option<(bool, Vec<Option<Vec<u8>>>)> {
        let mut data = self.data()?;
        let names: Vec<_> = keys.iter().map(|key| self.names.entry(key)).collect();
        let mut pipe = redis::pipe();
        pipe.cmd("SET")
            .arg(self.names.lease(load))
            .arg(&self.replica)
            .arg("NX")
            .arg("PX")
            .arg(u64::try_from(LOAD_LEASE.as_millis()).unwrap_or(u64::MAX));
        pipe.cmd("MGET").arg(&names);
        let (taken, stored): (Option<String>, _) = pipe.query_async(&mut data).await.ok()?;
        Some((taken.is_some(), self.open_all(&names, stored)))
    }

    /// Stores entries for some time.
    pub(in crate::freshness) async fn put(&self, entries: Vec<(Key, Vec<u8>)>, keep: Duration) {
        let Some(mut data) = self.data() else { return };
        let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut pipe = redis::pipe();
        for (key, bytes) in entries {
            let name = self.names.entry(&key);
            match self.keys.seal(place(&name), &bytes) {
                Ok(sealed) => pipe.pset_ex(name, sealed, keep).ignore(),
                Err(error) => return tracing::warn!(%error, "entries could not be stored"),
            };
        }
        if let Err(error) = pipe.exec_async(&mut data).await {
            tracing::debug!(%error, "entries could not be stored");
        }
    }

    fn open_all(&self, names: &[String], sealed: Vec<Option<Vec<u8>>>) -> Vec<Option<Vec<u8>>> {
        let open = |(name, sealed): (&String, Option<Vec<u8>>)| {
            let opened = self.keys.open(place(name), &sealed?);
            opened.inspect_err(|error| tracing::debug!(%error, "an entry does not count")).ok()
        };
        names.iter().zip(sealed).map(open).collect()
    }

    /// Gives the lease on a load back.
    pub(in crate::freshness) async fn release(&self, load: &str) {
        let Some(mut data) = self.data() else { return };
        let mut call = self.scripts.release.prepare_invoke();
        call.key(self.names.lease(load)).arg(&self.replica);
        // A lease that stays runs out by itself.
        let _: RedisResult<i64> = call.invoke_async(&mut data).await;
    }
}

/// An entry opens under its own name alone.
fn place(name: &str) -> Place<'_> {
    Place { table: "redis", column: "entry", row: name.as_bytes() }
}
