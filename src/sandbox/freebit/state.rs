//! What the emulator remembers: tokens, the lines that calls have changed, and the notices of finished activations.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::sandbox::{
    core::{Core, System},
    freebit::{
        codes::{self, Refusal},
        line::{Line, Notice},
    },
};

/// Life of a token, in the sandbox's time (Freebit reference §5).
const KEY_LIFE: TimeDelta = TimeDelta::minutes(60);

#[derive(Debug)]
pub(super) struct State {
    pub(super) core: Arc<Core>,
    keys: Mutex<HashMap<String, DateTime<Utc>>>,
    changed: Mutex<Changed>,
}

/// The lines that differ from the seeded ones, and what was given out.
#[derive(Debug, Default)]
struct Changed {
    lines: HashMap<String, Line>,
    notices: Vec<Notice>,
    serial: u64,
}

impl Changed {
    /// The line as it is now. A seeded line that nobody has written to is not kept.
    fn line(&mut self, core: &Core, account: &str) -> Result<Line, Refusal> {
        if let Some(line) = self.lines.get_mut(account) {
            let (effects, notices) = line.settle(core.clock.now());
            for (effect, detail) in effects {
                core.journal.effect(System::Freebit, effect, detail);
            }
            self.notices.extend(notices);
            return Ok(line.clone());
        }
        let (customer, k) = core.world.by_line(account).ok_or(codes::NO_ACCOUNT)?;
        let seed = customer.service(k).and_then(|service| service.line.as_ref()).ok_or(codes::NO_ACCOUNT)?;
        Ok(Line::from(seed))
    }
}

impl State {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, keys: Mutex::default(), changed: Mutex::default() }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.core.clock.now()
    }

    pub(super) fn today(&self) -> NaiveDate {
        self.core.clock.today()
    }

    /// A new token. Several are valid side by side.
    pub(super) fn issue_key(&self) -> String {
        let key = format!("sbx_{}", uuid::Uuid::new_v4().simple());
        let now = self.now();
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|_, ends| *ends > now);
        keys.insert(key.clone(), now + KEY_LIFE);
        key
    }

    pub(super) fn knows_key(&self, key: &str) -> bool {
        let now = self.now();
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(key).is_some_and(|ends| *ends > now)
    }

    /// Forgets a token, as when it expires early.
    pub(super) fn forget_key(&self, key: &str) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// The line of a phone number, as it is now.
    pub(super) fn line(&self, account: &str) -> Result<Line, Refusal> {
        self.changed().line(&self.core, account)
    }

    /// Changes a line; a refusal leaves it as it was.
    pub(super) fn change<T>(
        &self,
        account: &str,
        change: impl FnOnce(&mut Line) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut changed = self.changed();
        let mut line = changed.line(&self.core, account)?;
        let outcome = change(&mut line)?;
        changed.lines.insert(account.to_owned(), line);
        Ok(outcome)
    }

    /// Adds a line whose number Freebit gives (`None`) or the partner names. Refused when it is in use.
    pub(super) fn add(
        &self,
        account: Option<String>,
        make: impl FnOnce(String, u64) -> Result<Line, Refusal>,
    ) -> Result<(), Refusal> {
        let mut changed = self.changed();
        changed.serial += 1;
        let serial = changed.serial;
        let account = account.unwrap_or_else(|| format!("0809{serial:07}"));
        let seeded = changed.line(&self.core, &account);
        let mut line = make(account.clone(), serial)?;
        if let Ok(seeded) = seeded {
            if seeded.state != "waiting" || seeded.running.is_some() {
                return Err(codes::STATE.into());
            }
            line.plan_code = line.plan_code.or(seeded.plan_code);
        }
        changed.lines.insert(account, line);
        Ok(())
    }

    /// The number of the next accepted request.
    pub(super) fn request_id(&self) -> u64 {
        let mut changed = self.changed();
        changed.serial += 1;
        changed.serial
    }

    /// The notices of all activations that are finished by now.
    pub(super) fn notices(&self) -> Vec<Notice> {
        let mut changed = self.changed();
        let accounts: Vec<String> = changed.lines.keys().cloned().collect();
        for account in accounts {
            let _ = changed.line(&self.core, &account);
        }
        changed.notices.sort_by_key(|notice| (notice.completed_at, notice.request_id));
        changed.notices.clone()
    }

    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
