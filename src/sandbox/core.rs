//! What the emulators share: the world, the clock, the journal, faults and delays.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Clock;

pub use crate::sandbox::{
    faults::{Fault, FaultKind, Faults, Rule, RuleKind},
    journal::Journal,
    world::World,
};

/// One of the emulated systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// Billing.
    Whmcs,
    /// CRM.
    Salesforce,
    /// Mobile lines.
    Freebit,
    /// Postal codes.
    JapanPost,
    /// The mail server.
    Smtp,
    /// What tells people from programs.
    Captcha,
}

impl System {
    /// Those that answers are made of.
    pub const UPSTREAMS: [Self; 4] = [Self::Whmcs, Self::Salesforce, Self::Freebit, Self::JapanPost];

    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Whmcs, Self::Salesforce, Self::Freebit, Self::JapanPost, Self::Smtp, Self::Captcha];

    /// Its name in the admin endpoint and the journal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Whmcs => "whmcs",
            Self::Salesforce => "salesforce",
            Self::Freebit => "freebit",
            Self::JapanPost => "japanpost",
            Self::Smtp => "smtp",
            Self::Captcha => "captcha",
        }
    }

    /// What an ordinary call of the real system takes, milliseconds.
    const fn usual_delay_ms(self) -> u64 {
        match self {
            Self::Whmcs => 80,
            Self::Salesforce => 120,
            Self::Freebit => 200,
            Self::JapanPost | Self::Captcha => 100,
            // One command of several.
            Self::Smtp => 10,
        }
    }
}

/// How long each system takes to answer.
#[derive(Debug, Default)]
pub struct Delays([AtomicU64; System::ALL.len()]);

impl Delays {
    /// As long as the real systems usually take.
    pub fn usual() -> Self {
        Self(System::ALL.map(|system| AtomicU64::new(system.usual_delay_ms())))
    }

    /// The delay of a system now.
    pub fn get(&self, system: System) -> Duration {
        Duration::from_millis(self.0[system as usize].load(Ordering::Relaxed))
    }

    /// Sets the delay of a system.
    pub fn set(&self, system: System, delay: Duration) {
        let ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.0[system as usize].store(ms, Ordering::Relaxed);
    }
}

/// What the emulators share. One per sandbox.
#[derive(Debug)]
pub struct Core {
    /// The seeded customers and the catalogue.
    pub world: World,
    /// The virtual clock; the admin endpoint moves it.
    pub clock: Clock,
    /// What happened.
    pub journal: Journal,
    /// Injected faults.
    pub faults: Faults,
    /// Ordinary delays.
    pub delays: Delays,
}

impl Core {
    /// A fresh core. `delay`: answer as slowly as the real systems usually do.
    pub fn new(seed: u64, customers: u64, delay: bool) -> Self {
        Self::on_day(None, seed, customers, delay)
    }

    /// A fresh core whose seeded world stands on a day of its own, in Tokyo; on today without one.
    pub fn on_day(day: Option<NaiveDate>, seed: u64, customers: u64, delay: bool) -> Self {
        let clock = Clock::system();
        Self {
            world: World::new(seed, customers, day.unwrap_or_else(|| clock.today())),
            journal: Journal::new(clock.clone()),
            faults: Faults::default(),
            delays: if delay { Delays::usual() } else { Delays::default() },
            clock,
        }
    }

    /// Every emulator calls this once per call that arrives, before answering: journals it, waits the
    /// system's delay and an injected one, and returns the fault to act out. `None`: answer normally.
    ///
    /// `detail` is for the journal: arguments without secrets and without personal data.
    pub async fn enter(&self, system: System, operation: &str, detail: Value) -> Option<Fault> {
        self.journal.call(system, operation, detail);
        let (injected, fault) = self.faults.take(system, operation);
        let wait = self.delays.get(system) + injected;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        fault
    }
}
