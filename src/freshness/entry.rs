//! A cached value, in memory and as it travels to Redis.

use std::{any::Any, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Tag,
    mirror::Stamp,
    reader::{Origin, Source, Stale},
};
use crate::spending::Spending;

/// What is cached: it travels to Redis and back.
pub trait Value: Serialize + DeserializeOwned + Send + Sync + 'static {}
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Value for T {}

/// A cached value. The type behind `value` is fixed by the kind of its key.
pub(super) struct Entry {
    pub(super) value: Arc<dyn Any + Send + Sync>,
    pub(super) stamp: Stamp,
    pub(super) loaded_at: DateTime<Utc>,
    pub(super) fresh_until: DateTime<Utc>,
    /// From Redis, or loaded here.
    pub(super) source: Source,
    pub(super) weight: u32,
    /// The calls that its load made; of an entry that was found, none.
    pub(super) spent: Arc<[Spending]>,
}

impl Entry {
    /// A value that was just loaded.
    pub(super) fn loaded<T: Value>(
        value: T,
        stamp: Stamp,
        now: DateTime<Utc>,
        fresh: TimeDelta,
        spent: Arc<[Spending]>,
    ) -> (Arc<Self>, Packed) {
        let json = Json {
            epoch: stamp.epoch(),
            tags: stamp.tags().into(),
            loaded_at: now.timestamp_micros(),
            fresh_us: fresh.num_microseconds().unwrap_or(i64::MAX),
            value: &value,
        };
        // A value that cannot be written stays in memory, at the weight of an empty one.
        let json = serde_json::to_vec(&json).unwrap_or_default();
        let entry = Self {
            weight: weigh(json.len()),
            value: Arc::new(value),
            stamp,
            loaded_at: now,
            fresh_until: now + fresh,
            source: Source::Live,
            spent,
        };
        (Arc::new(entry), Packed(json))
    }

    /// A value as Redis keeps it; `None` when it cannot be read, such as one of another release.
    pub(super) fn unpack<T: Value>(bytes: &[u8]) -> Option<Arc<Self>> {
        let json = lz4_flex::decompress_size_prepended(bytes).ok()?;
        let read: Json<T> = serde_json::from_slice(&json).ok()?;
        let loaded_at = DateTime::from_timestamp_micros(read.loaded_at)?;
        Some(Arc::new(Self {
            weight: weigh(json.len()),
            value: Arc::new(read.value),
            stamp: Stamp::new(read.tags, read.epoch),
            loaded_at,
            fresh_until: loaded_at + TimeDelta::microseconds(read.fresh_us),
            source: Source::Redis,
            spent: Arc::default(),
        }))
    }

    /// Its origin when it is found in memory.
    pub(super) fn remembered(&self, stale: Option<Stale>) -> Origin {
        Origin { source: Source::Memory, loaded_at: self.loaded_at, stale }
    }

    /// Its origin for the reader who waited for it.
    pub(super) fn landed(&self) -> Origin {
        Origin { source: self.source, loaded_at: self.loaded_at, stale: None }
    }
}

/// An entry on its way to Redis, not compressed yet.
pub(super) struct Packed(Vec<u8>);

impl Packed {
    /// As Redis keeps it; `None` when there is nothing to keep.
    pub(super) fn compress(self) -> Option<Vec<u8>> {
        (!self.0.is_empty()).then(|| lz4_flex::compress_prepend_size(&self.0))
    }
}

#[derive(Serialize, Deserialize)]
struct Json<T> {
    #[serde(rename = "e")]
    epoch: u64,
    #[serde(rename = "t")]
    tags: Box<[Tag]>,
    #[serde(rename = "l")]
    loaded_at: i64,
    #[serde(rename = "f")]
    fresh_us: i64,
    #[serde(rename = "v")]
    value: T,
}

/// The weight of an entry in bytes: its JSON length stands for its strings, doubled for the structs
/// around them, and a constant for the key, the stamp and the table.
fn weigh(json: usize) -> u32 {
    u32::try_from(512 + 2 * json).unwrap_or(u32::MAX)
}
