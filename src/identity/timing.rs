//! That nobody learns from the time of a refusal whether an account is there, and of which kind (requirement A3).
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Instant;

use futures::{StreamExt, stream};

use super::{
    tests::{password, registration},
    *,
};

/// Samples of each class.
const SAMPLES: usize = 500;
/// Of so many rounds one has a sample of the planted class, too: what it shows needs fewer.
const PLANTED_EVERY: usize = 5;
/// Tries under way at once: sleeping out the floor costs nothing.
const AT_ONCE: usize = 4;
/// Tries by which it is found out how long the work takes on this machine as it is now.
const PROBES: usize = 40;

/// How probable it is that a sample of one class takes longer than one of another: 0.5 tells nothing.
fn auc(one: &[f64], other: &[f64]) -> f64 {
    let mut all: Vec<_> = one.iter().map(|time| (*time, true)).collect();
    all.extend(other.iter().map(|time| (*time, false)));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ranks = all.iter().enumerate().filter(|(_, (_, is_one))| *is_one);
    let sum: usize = ranks.map(|(rank, _)| rank + 1).sum();
    let (n, m) = (one.len() as f64, other.len() as f64);
    (sum as f64 - n * (n + 1.0) / 2.0) / (n * m)
}

/// Tries a wrong password.
async fn refuse(identity: &Identity, email: &str) -> Error {
    let entry = Entry { delivery: Delivery::Tokens, device: None, from: &Context::default() };
    identity.sign_in(email, &"wrong horse battery".into(), None, &entry).await.err().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_of_a_refusal_tells_nothing() {
    let store = crate::store::testing::sqlite().await;
    let replica = super::tests::replica(&store);
    let roomy = Rate { limit: 1_000_000, window: Duration::from_secs(1) };
    let identity = |failure_floor| {
        let settings = Settings {
            failure_floor,
            data_dir: replica.folder.path().to_owned(),
            limits: Limits { sign_in: roomy, failures: roomy, ..Limits::default() },
            ..super::tests::settings()
        };
        Identity::new(super::tests::ground(&store, &replica.clock), &settings).unwrap()
    };
    // The floor has to be longer than the work, which an operator sees to. A busy machine needs a longer one.
    let hasty = identity(Duration::ZERO);
    let probes = stream::iter(0..PROBES).map(|_| async {
        let began = Instant::now();
        refuse(&hasty, "nobody@example.jp").await;
        began.elapsed()
    });
    let slowest = probes.buffered(AT_ONCE).collect::<Vec<_>>().await.into_iter().max().unwrap_or_default();
    let identity = identity((slowest * 2).max(Duration::from_millis(100)));
    let modern = Credential::Password(password());
    identity.register(&registration(1, "known@example.jp"), modern.clone()).await.unwrap();
    let disabled = identity.register(&registration(2, "disabled@example.jp"), modern).await.unwrap();
    identity.disable(disabled).await.unwrap();
    // Of the lowest cost, so that it is the fastest of all.
    let legacy = Credential::Phc(bcrypt::hash("Correct1horse", 4).unwrap().into());
    identity.register(&registration(3, "legacy@example.jp"), legacy).await.unwrap();
    // With an authenticator app: only the right password may tell of it.
    identity
        .register(&registration(4, "enrolled@example.jp"), Credential::Password(password()))
        .await
        .unwrap();
    super::tests::enrol_app(&identity, "enrolled@example.jp").await;
    let classes = ["known", "nobody", "disabled", "legacy", "enrolled", "planted"];

    let before = identity.0.passwords.performed();
    let planted = classes.len() - 1;
    let attempts = (0..SAMPLES).flat_map(|round| 0..planted + usize::from(round % PLANTED_EVERY == 0));
    let samples: Vec<_> = stream::iter(attempts)
        .map(|class| {
            let identity = identity.clone();
            async move {
                let email = format!("{}@example.jp", classes[class]);
                let began = Instant::now();
                let refused = refuse(&identity, &email).await;
                if classes[class] == "planted" {
                    // What would tell an account apart, if there were such a fault.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                let took = began.elapsed().as_secs_f64();
                (class, took, format!("{refused:?}"))
            }
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    assert_eq!(identity.0.passwords.performed() - before, samples.len() as u64, "one hash each");
    assert!(samples.iter().all(|(_, _, told)| *told == samples[0].2), "they are told the same");

    let times = |class: usize| -> Vec<f64> {
        samples.iter().filter(|sample| sample.0 == class).map(|sample| sample.1).collect()
    };
    for one in 0..planted {
        for other in one + 1..planted {
            let auc = auc(&times(one), &times(other));
            assert!((0.44..=0.56).contains(&auc), "{} and {}: {auc:.3}", classes[one], classes[other]);
        }
        let found = auc(&times(planted), &times(one));
        assert!(found > 0.56, "5 ms more than {} were not seen: {found:.3}", classes[one]);
    }
}
