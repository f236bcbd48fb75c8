//! The keys under which personal data lies in the database.

use std::path::PathBuf;

use crate::{
    config::{reader::Reader, server::Environment},
    seal::DataKey,
};

/// The keys, and the folder in which development keeps one of its own.
#[derive(Clone, Debug)]
pub struct DataKeys {
    /// The first seals, all open. Empty in development: one is made.
    pub keys: Vec<DataKey>,
    /// Where a made one is kept.
    pub data_dir: PathBuf,
}

pub(super) fn read(env: &mut Reader<'_>, environment: Environment, data_dir: PathBuf) -> DataKeys {
    let keys = env
        .get(
            "DATA_KEYS",
            "list of number:base64 of 32 bytes",
            "Keys under which personal data lies in the database; the same on all replicas. The first seals, all open; docs/operating.md says how one is replaced. Required in production; otherwise one is made and kept in DATA_DIR.",
        )
        .example("1:$(openssl rand -base64 32)")
        .secret()
        .list("", DataKey::parse);
    if environment == Environment::Production && !env.is_set("DATA_KEYS") {
        env.refuse("DATA_KEYS", "is missing, and production does not make its own");
    }
    let is_twice = |key: &DataKey| keys.iter().filter(|other| other.number() == key.number()).count() > 1;
    if keys.iter().any(is_twice) {
        env.refuse("DATA_KEYS", "has two keys of one number");
    }
    DataKeys { keys, data_dir }
}
