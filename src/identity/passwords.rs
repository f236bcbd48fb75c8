//! Passwords: Argon2id, off the async threads, and one core fewer than there are. Hashes of the earlier portal (bcrypt) are
//! still understood.
//!
//! A hash is meant to cost tens of milliseconds and 19 MiB, so a crowd of sign-ins could starve everything else. Few run at
//! once, few more wait, and the rest are told to come back (requirement A2): before anything is looked up for them. Hashes
//! have threads of their own, for two reasons: where the system allows it these give way to everybody else's, and each
//! thread's allocator keeps what a hash has used, so few threads mean little memory.

mod line;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version,
    password_hash::{Output, SaltString, rand_core::OsRng},
};
use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use self::line::Line;
use crate::{
    error::{Error, Result},
    secret::{ExposeSecret, SecretString},
};

/// By how much the threads that hash are nicer than the others.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// The cost of a hash. Stored hashes of a lower cost are made anew at the next sign-in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Memory in KiB; at least 19,456 (19 MiB).
    pub memory_kib: u32,
    /// Passes over the memory; at least 2.
    pub passes: u32,
    /// Lanes; at least 1.
    pub lanes: u32,
    /// How many may wait for their turn.
    pub queue: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, lanes: 1, queue: 16 }
    }
}

/// What the comparison of a password with a stored hash says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The password is right.
    pub(super) is_match: bool,
    /// The hash was made at a lower cost than today's.
    pub(super) is_outdated: bool,
}

/// Hashes and compares.
pub(super) struct Passwords {
    argon2: Argon2<'static>,
    /// A hash of nothing: it is compared where there is no account, so that this costs the same.
    dummy: SecretString,
    /// Whoever may run or wait.
    places: Arc<Semaphore>,
    /// Whoever found no room.
    line: Arc<Line>,
    threads: ThreadPool,
    performed: Arc<AtomicU64>,
}

/// The right to have one password compared or hashed, now or when its turn comes.
pub(super) struct Admission {
    _place: OwnedSemaphorePermit,
}

impl Passwords {
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        let least = Settings::default();
        let params = Params::new(
            settings.memory_kib.max(least.memory_kib),
            settings.passes.max(least.passes),
            settings.lanes.max(least.lanes),
            None,
        )
        .map_err(Error::internal)?;
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let at_once = (cores - 1).max(1);
        let threads = ThreadPoolBuilder::new()
            .num_threads(at_once)
            .thread_name(|n| format!("hash-{n}"))
            .start_handler(|_| give_way())
            // Whoever waits for the outcome learns of it.
            .panic_handler(|_| {});
        Ok(Self {
            dummy: dummy(&params).map_err(Error::internal)?.into(),
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            places: Arc::new(Semaphore::new(at_once + settings.queue)),
            line: Arc::new(Line::new(at_once)),
            threads: threads.build().map_err(Error::internal)?,
            performed: Arc::default(),
        })
    }

    /// Admits one password. To be asked for before anything else is done for it.
    ///
    /// # Errors
    /// [`Error::RateLimited`] while too many wait.
    pub(super) fn admit(&self) -> Result<Admission> {
        let place = self.places.clone().try_acquire_owned();
        place.map(|place| Admission { _place: place }).map_err(|_| self.come_back())
    }

    /// Whether one could be admitted now.
    ///
    /// # Errors
    /// As [`Passwords::admit`].
    pub(super) fn check_room(&self) -> Result<()> {
        if self.places.available_permits() == 0 { Err(self.come_back()) } else { Ok(()) }
    }

    fn come_back(&self) -> Error {
        Error::RateLimited { retry_after: self.line.next(), service: None }
    }

    /// The PHC string of a password.
    ///
    /// # Errors
    /// [`Error::RateLimited`] while too many wait.
    pub(super) async fn hash(&self, password: SecretString) -> Result<SecretString> {
        let argon2 = self.argon2.clone();
        self.run(self.admit()?, move || {
            let salt = SaltString::generate(&mut OsRng);
            argon2
                .hash_password(password.expose_secret().as_bytes(), &salt)
                .map(|hash| SecretString::from(hash.to_string()))
                .map_err(|error| Error::internal(error.to_string()))
        })
        .await?
    }

    /// Compares a password with what is stored; without anything stored it costs the same and never fits.
    pub(super) async fn verify(
        &self,
        admission: Admission,
        password: SecretString,
        stored: Option<SecretString>,
    ) -> Result<Verdict> {
        let (argon2, is_known) = (self.argon2.clone(), stored.is_some());
        let stored = stored.unwrap_or_else(|| self.dummy.clone());
        self.run(admission, move || {
            if stored.expose_secret().starts_with("$2") {
                // Of an earlier portal; made anew with the next sign-in (domain reference §7.5).
                let fits = bcrypt::verify(password.expose_secret(), stored.expose_secret());
                let is_match = fits.map_err(|_| Error::internal("a stored password hash is broken"))?;
                return Ok(Verdict { is_match, is_outdated: true });
            }
            let hash = PasswordHash::new(stored.expose_secret())
                .map_err(|_| Error::internal("a stored password hash is not a PHC string"))?;
            let fits = argon2.verify_password(password.expose_secret().as_bytes(), &hash).is_ok();
            Ok(Verdict { is_match: fits && is_known, is_outdated: is_outdated(&hash, argon2.params()) })
        })
        .await?
    }

    /// Hashes that cost next to nothing, for tests of what stands around them.
    #[cfg(test)]
    #[expect(clippy::unwrap_used, reason = "a test may panic")]
    pub(super) fn cheap() -> Self {
        let params = Params::new(Params::MIN_M_COST, 1, 1, None).unwrap();
        Self {
            dummy: dummy(&params).unwrap().into(),
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            ..Self::new(&Settings::default()).unwrap()
        }
    }

    /// How many hashes were computed.
    #[cfg(test)]
    pub(super) fn performed(&self) -> u64 {
        self.performed.load(Ordering::Relaxed)
    }

    /// Runs a hash. Its admission is held until it is done, also when nobody waits for it any more.
    async fn run<T: Send + 'static>(
        &self,
        admission: Admission,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let (done, outcome) = oneshot::channel();
        let (performed, line) = (self.performed.clone(), self.line.clone());
        self.threads.spawn_fifo(move || {
            performed.fetch_add(1, Ordering::Relaxed);
            let began = Instant::now();
            let worked = work();
            line.took(began.elapsed());
            drop(admission);
            // Nobody may wait for it any more.
            let _ = done.send(worked);
        });
        outcome.await.map_err(Error::internal)
    }
}

/// Lets a thread have what the others leave: a tenth of a core at least, while they want all of it.
#[cfg(target_os = "linux")]
fn give_way() {
    // Of this thread alone. Elsewhere it would be that of the process, which must not give way to others.
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::warn!(%error, "hashes are not slower than other work");
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

/// A PHC string of random bytes with today's parameters: comparing with it takes as long as with a real one.
fn dummy(params: &Params) -> Result<String, argon2::Error> {
    let salt = SaltString::generate(&mut OsRng);
    let output = Output::new(&rand::random::<[u8; 32]>()).map_err(|_| argon2::Error::OutputTooLong)?;
    let (m, t, p) = (params.m_cost(), params.t_cost(), params.p_cost());
    Ok(format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${output}"))
}

fn is_outdated(hash: &PasswordHash<'_>, today: &Params) -> bool {
    let Ok(params) = Params::try_from(hash) else { return true };
    hash.algorithm != Algorithm::Argon2id.ident()
        || params.m_cost() < today.m_cost()
        || params.t_cost() < today.t_cost()
        || params.p_cost() < today.p_cost()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn passwords() -> Passwords {
        Passwords::new(&Settings::default()).unwrap()
    }

    async fn verify(
        passwords: &Passwords,
        password: SecretString,
        stored: Option<SecretString>,
    ) -> Result<Verdict> {
        passwords.verify(passwords.admit()?, password, stored).await
    }

    #[tokio::test]
    async fn a_stored_string_says_the_required_cost_and_fits_only_its_password() {
        let passwords = passwords();
        let long = SecretString::from("あ".repeat(128));
        let hash = passwords.hash(long.clone()).await.unwrap();
        assert!(hash.expose_secret().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let verdict = verify(&passwords, long, Some(hash.clone())).await.unwrap();
        assert_eq!(verdict, Verdict { is_match: true, is_outdated: false });
        let verdict = verify(&passwords, "あ".repeat(127).into(), Some(hash)).await.unwrap();
        assert!(!verdict.is_match);
    }

    #[tokio::test]
    async fn nothing_fits_an_unknown_account_and_it_costs_one_hash() {
        let passwords = passwords();
        let verdict = verify(&passwords, "correct horse battery".into(), None).await.unwrap();
        assert_eq!(verdict, Verdict { is_match: false, is_outdated: false });
        assert_eq!(passwords.performed(), 1);
    }

    #[tokio::test]
    async fn a_hash_of_a_lower_cost_is_outdated_and_settings_below_the_least_are_raised() {
        let weak = Settings { memory_kib: 8, passes: 1, lanes: 1, queue: 1 };
        let hash = Passwords::new(&weak).unwrap().hash("correct horse battery".into()).await.unwrap();
        assert!(hash.expose_secret().contains("m=19456,t=2,p=1"));
        let strong = Passwords::new(&Settings { passes: 3, ..Settings::default() }).unwrap();
        let verdict = verify(&strong, "correct horse battery".into(), Some(hash)).await.unwrap();
        assert_eq!(verdict, Verdict { is_match: true, is_outdated: true });
    }

    #[tokio::test]
    async fn a_hash_of_the_earlier_portal_fits_and_is_outdated() {
        let passwords = passwords();
        let hash = SecretString::from(bcrypt::hash("Correct1horse", 4).unwrap());
        for (password, is_match) in [("Correct1horse", true), ("correct1horse", false), ("", false)] {
            let verdict = verify(&passwords, password.into(), Some(hash.clone())).await.unwrap();
            assert_eq!(verdict, Verdict { is_match, is_outdated: true }, "{password}");
        }
        assert!(verify(&passwords, "x".into(), Some("$2b$04$broken".into())).await.is_err());
    }

    #[tokio::test]
    async fn a_crowd_is_turned_away_at_once() {
        let passwords = Arc::new(passwords());
        let places = passwords.places.available_permits();
        let tries: Vec<_> = (0..places + 10)
            .map(|_| {
                let passwords = passwords.clone();
                tokio::spawn(async move { verify(&passwords, "wrong password".into(), None).await })
            })
            .collect();
        let mut refused = 0;
        for one in tries {
            refused += usize::from(matches!(one.await.unwrap(), Err(Error::RateLimited { .. })));
        }
        assert_eq!(refused, 10);
        assert_eq!(passwords.performed(), places as u64);
        assert_eq!(passwords.places.available_permits(), places);
        let all: Vec<_> = (0..places).map(|_| passwords.admit().ok().unwrap()).collect();
        assert!(matches!(passwords.check_room(), Err(Error::RateLimited { .. })));
        drop(all);
        assert!(passwords.check_room().is_ok());
    }
}
