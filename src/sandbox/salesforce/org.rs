//! The organisation: everything that the emulator keeps.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use chrono::TimeDelta;

use crate::sandbox::{
    core::{Core, System},
    salesforce::{
        oauth::Sessions,
        pubsub::{
            bus::Bus,
            capture::{self, Origin, Transaction},
        },
        rest::cursor::Cursors,
        settings::Settings,
        store::{
            Overlay,
            shared::{self, Shared},
        },
        usage::Usage,
    },
};

/// The state behind the router.
pub struct Org {
    /// World, clock, journal, faults.
    pub core: Arc<Core>,
    /// Scheme, host and port under which the emulator is reached.
    pub public_url: String,
    /// Records of nobody.
    pub shared: Shared,
    /// Where change events and platform events are published.
    pub bus: Bus,
    overlay: RwLock<Overlay>,
    sessions: Mutex<Sessions>,
    usage: Mutex<Usage>,
    cursors: Mutex<Cursors>,
    settings: RwLock<Settings>,
}

impl fmt::Debug for Org {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Org").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Org {
    /// A fresh organisation over the core's world.
    pub fn new(core: Arc<Core>, public_url: String) -> Self {
        let shared = shared::make(&core.world);
        Self {
            bus: Bus::new(core.clock.now()),
            core,
            public_url: public_url.trim_end_matches('/').to_owned(),
            shared,
            overlay: RwLock::default(),
            sessions: Mutex::default(),
            usage: Mutex::default(),
            cursors: Mutex::default(),
            settings: RwLock::default(),
        }
    }

    /// What was written, to read.
    pub fn read(&self) -> RwLockReadGuard<'_, Overlay> {
        self.overlay.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was written, to write.
    pub fn write(&self) -> RwLockWriteGuard<'_, Overlay> {
        self.overlay.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tokens.
    pub fn sessions(&self) -> MutexGuard<'_, Sessions> {
        lock(&self.sessions)
    }

    /// The requests of the last day.
    pub fn usage(&self) -> MutexGuard<'_, Usage> {
        lock(&self.usage)
    }

    /// The open queries.
    pub fn cursors(&self) -> MutexGuard<'_, Cursors> {
        lock(&self.cursors)
    }

    /// The knobs, a copy.
    pub fn settings(&self) -> Settings {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Turns the knobs.
    pub fn set(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// How long a token lives without use.
    pub fn lifetime(&self) -> TimeDelta {
        TimeDelta::seconds(self.settings().token_lifetime_s)
    }

    /// Keeps what a transaction wrote, journals its effects and publishes its events.
    pub fn commit(&self, overlay: &mut Overlay, origin: Origin) {
        let committed = overlay.commit();
        for (effect, detail) in committed.effects {
            self.core.journal.effect(System::Salesforce, &effect, detail);
        }
        if committed.before.is_empty() && committed.events.is_empty() {
            return;
        }
        let transaction = Transaction::new(self, origin);
        capture::publish(self, overlay, committed.before, &transaction);
        for (id, event, values) in committed.events {
            transaction.publish_event(self, id, event, values);
        }
    }
}
