//! Redis: versions that all replicas share, the tier of entries behind memory, and leases on loads.
//!
//! **Versions.** Raising tags is one script: it takes the next number of a counter that never falls
//! behind the server's clock (so a Redis that was emptied goes on upwards), writes it under each tag, and
//! touches a marker key whose name holds the number and the replica that raised. All of these begin with
//! one prefix that every replica's connection tracks in broadcast mode, so each replica is pushed the
//! names of the tags together with the number, in the order in which they were raised.
//!
//! **Confirmation.** A replica that has taken a push tells the one that raised. The script also returns
//! the replicas that hold a lease on their mirror; whoever raised waits until each of them has told, or
//! its lease has run out. A replica renews its lease on the tracking connection itself. Redis sends the
//! pushes of one round of its loop behind the answers of that round, so an answer proves only that the
//! pushes of earlier rounds were taken: it extends the belief in the mirror from the time of the renewal
//! before. Without a lease a replica does not believe its mirror.
//!
//! **Failure.** Every command has a short time limit, nothing here fails a read, and what could not be
//! raised is raised first thing after the next connection.

mod confirmations;
mod entries;
mod link;
mod names;
mod scripts;

use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;

pub(super) use self::link::Link;

/// Where Redis is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `redis://` or `rediss://`. A secret: it may hold a password.
    pub url: SecretString,
    /// Every key begins with it. Gateways that share a Redis but not their data need different ones.
    pub prefix: String,
}

/// Versions could not be raised in Redis, or not be confirmed: other replicas may not know yet.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not every replica has confirmed the change")]
pub struct Unconfirmed;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every value behind these locks is whole at any time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
