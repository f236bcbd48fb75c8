//! That nobody learns from the time of an answer whether an account is there, and of which kind (requirement A3): at a sign-in
//! and where a forgotten password is replaced. Beginning a sign-up and proving oneself by billing is timed over HTTP, in
//! `tests/it/enumeration`, since other rooms do it.
//!
//! What hides the work of a refusal is the floor; so the work is made cheap here, by a hash that costs next to nothing, but
//! for the oldest kind of account, and the floor is as short as the slowest work of this machine at this moment allows. That
//! the work does differ, and would tell, is seen first without a floor.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../tests/it/measure.rs"]
mod measure;

use std::time::Instant;

use futures::{StreamExt, stream};

use self::measure::{PLANTED, SAMPLES, assert_alike, auc, floor_over, order};
use super::{
    tests::{password, registration},
    *,
};
use crate::store::testing::{self, TestStore};

/// Tries under way at once: sleeping out the floor costs nothing.
const AT_ONCE: usize = 16;
/// Rounds by which it is found out how long the work takes on this machine as it is now.
const PROBES: usize = 25;
/// The shortest floor.
const LEAST: Duration = Duration::from_millis(40);
/// Which account somebody has, by its address.
const CLASSES: [&str; 5] = ["known", "nobody", "disabled", "legacy", "enrolled"];

/// One try: what it was told.
async fn wrong_password(identity: Identity, email: String) -> String {
    let entry = Entry { delivery: Delivery::Tokens, device: None, from: &Context::default() };
    let tried = identity.sign_in(&email, &"wrong horse battery".into(), None, &entry).await;
    match tried.err().unwrap() {
        // Until when, is another each time.
        Error::RateLimited { .. } => "RATE_LIMITED".to_owned(),
        error => format!("{error:?}"),
    }
}

async fn forgotten(identity: Identity, email: String) -> String {
    format!("{:?}", identity.request_password_reset(&email, &Context::default()).await)
}

/// The times of each class and of the planted one behind them, so many at once, in rounds of which each has its own order: neither place nor
/// neighbour is always the same. Everybody is told the same.
async fn times<F: Future<Output = String>>(
    identity: &Identity,
    at_once: usize,
    rounds: usize,
    act: impl Fn(Identity, String) -> F,
) -> Vec<Vec<f64>> {
    let planted = CLASSES.len();
    let tries = order(planted, rounds).into_iter().map(|class| {
        let email = format!("{}@example.jp", CLASSES[class % planted]);
        let tried = act(identity.clone(), email);
        async move {
            let began = Instant::now();
            let told = tried.await;
            if class == planted {
                // What would tell an account apart, if there were such a fault.
                tokio::time::sleep(PLANTED).await;
            }
            (class, began.elapsed().as_secs_f64(), told)
        }
    });
    let samples: Vec<_> = stream::iter(tries.collect::<Vec<_>>()).buffer_unordered(at_once).collect().await;
    assert!(samples.iter().all(|(.., told)| *told == samples[0].2), "they are told the same");
    let of = |class| samples.iter().filter(|sample| sample.0 == class).map(|sample| sample.1).collect();
    (0..=planted).map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_of_an_answer_tells_nothing_of_an_account_on_sqlite() {
    tells_nothing(testing::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_of_an_answer_tells_nothing_of_an_account_on_postgresql() {
    tells_nothing(testing::postgres().await).await;
}

async fn tells_nothing(store: TestStore) {
    let replica = super::tests::replica(&store);
    let roomy = Rate { limit: 1_000_000, window: Duration::from_secs(1) };
    let limited = |failure_floor, sign_in| {
        let settings = Settings {
            failure_floor,
            data_dir: replica.folder.path().to_owned(),
            limits: Limits { sign_in, failures: roomy, password_reset: roomy, ..Limits::default() },
            ..super::tests::settings()
        };
        let mut identity = Identity::new(super::tests::ground(&store, &replica.clock), &settings).unwrap();
        Arc::get_mut(&mut identity.0).unwrap().passwords = Passwords::cheap();
        identity
    };
    let identity = |failure_floor| limited(failure_floor, roomy);
    let hasty = identity(Duration::ZERO);
    let modern = Credential::Password(password());
    hasty.register(&registration(1, "known@example.jp"), modern.clone()).await.unwrap();
    let disabled = hasty.register(&registration(2, "disabled@example.jp"), modern.clone()).await.unwrap();
    hasty.disable(disabled).await.unwrap();
    let legacy = Credential::Phc(bcrypt::hash("Correct1horse", 5).unwrap().into());
    hasty.register(&registration(3, "legacy@example.jp"), legacy).await.unwrap();
    // With an authenticator app: only the right password may tell of it.
    hasty.register(&registration(4, "enrolled@example.jp"), modern).await.unwrap();
    super::tests::enrol_app(&hasty, "enrolled@example.jp").await;

    // One by one: of many at once each waits for the hashes of all.
    let alone = times(&hasty, 1, PROBES, wrong_password).await;
    let told = auc(&alone[3], &alone[0]);
    assert!(told > 0.56, "without a floor the work would tell: {told:.3}");
    // The floor has to be longer than the work, which an operator sees to. A busy machine needs a longer one.
    let unhurried = async || {
        let tried = times(&hasty, AT_ONCE, PROBES, wrong_password).await;
        let asked = times(&hasty, AT_ONCE, PROBES, forgotten).await;
        identity(floor_over([tried, asked].concat().concat(), LEAST))
    };
    assert_alike("sign-in", CLASSES, async || {
        let identity = unhurried().await;
        let before = identity.0.passwords.performed();
        let times = times(&identity, AT_ONCE, SAMPLES, wrong_password).await;
        let tries: usize = times.iter().map(Vec::len).sum();
        assert_eq!(identity.0.passwords.performed() - before, tries as u64, "one hash each");
        times
    })
    .await;
    assert_alike("reset", CLASSES, async || {
        let identity = unhurried().await;
        let before = identity.0.passwords.performed();
        let times = times(&identity, AT_ONCE, SAMPLES, forgotten).await;
        assert_eq!(identity.0.passwords.performed(), before, "a reset hashes nothing");
        times
    })
    .await;
    // Whoever has to wait is told so without any work, and so without a floor.
    let slow = limited(Duration::ZERO, Rate { limit: 1, window: Duration::from_secs(900) });
    for _ in 0..9 {
        // Longer than each wait before it.
        replica.clock.advance(TimeDelta::minutes(10));
        for class in CLASSES {
            let told = wrong_password(slow.clone(), format!("{class}@example.jp")).await;
            assert!(told.contains("AUTH_INVALID_CREDENTIALS"), "{told}");
        }
    }
    assert_alike("waiting", CLASSES, async || {
        let before = slow.0.passwords.performed();
        let times = times(&slow, 1, SAMPLES, wrong_password).await;
        assert_eq!(slow.0.passwords.performed(), before, "nothing is hashed");
        times
    })
    .await;
}
