//! Whether times tell one kind of thing from another (requirement A3). The unit tests of `identity` use it, too.

use std::time::Duration;

use rand::seq::SliceRandom;

/// Samples of each class.
pub const SAMPLES: usize = 500;
/// Of so many rounds one has a sample of the planted class, too: what it shows needs fewer.
pub const PLANTED_EVERY: usize = 5;
/// What tells the planted class apart.
pub const PLANTED: Duration = Duration::from_millis(5);
/// Measurements, whose samples are judged together.
const MEASURES: usize = 4;

/// How probable it is that a sample of one class takes longer than one of another: 0.5 tells nothing.
pub fn auc(one: &[f64], other: &[f64]) -> f64 {
    let mut all: Vec<_> = one.iter().map(|time| (*time, true)).collect();
    all.extend(other.iter().map(|time| (*time, false)));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ranks = all.iter().enumerate().filter(|(_, (_, is_one))| *is_one);
    let sum: usize = ranks.map(|(rank, _)| rank + 1).sum();
    let (n, m) = (one.len() as f64, other.len() as f64);
    (sum as f64 - n * (n + 1.0) / 2.0) / (n * m)
}

/// The order of the tries: rounds of all classes and, in some, of the planted one behind them, each in an order of its own, so
/// that neither place nor neighbour is always the same.
pub fn order(classes: usize, rounds: usize) -> Vec<usize> {
    let mut order = Vec::new();
    for round in 0..rounds {
        let mut all: Vec<_> = (0..classes + usize::from(round % PLANTED_EVERY == 0)).collect();
        all.shuffle(&mut rand::rng());
        order.extend(all);
    }
    order
}

/// A floor over what work took: twice what nine of ten take, so that what passes it is rare in every class, and one pause of a
/// busy machine does not make all of it slow.
pub fn floor_over(mut work: Vec<f64>, least: Duration) -> Duration {
    work.sort_by(f64::total_cmp);
    Duration::from_secs_f64(work[work.len() * 9 / 10] * 2.0).max(least)
}

/// That the classes take as long as each other, and that the planted one, which comes last, is seen. Chance or a busy machine
/// may make a difference, or hide what was planted: then more samples are taken, in which a difference that is there stays,
/// and one that is not goes.
pub async fn assert_alike<Names: AsRef<[Name]>, Name: AsRef<str>>(
    what: &str,
    names: Names,
    mut measure: impl AsyncFnMut() -> Vec<Vec<f64>>,
) {
    let (names, mut told) = (names.as_ref(), Vec::new());
    let mut all = vec![Vec::new(); names.len() + 1];
    for _ in 0..MEASURES {
        let times = measure().await;
        assert_eq!(times.len(), all.len());
        assert!(times[..names.len()].iter().all(|mine| mine.len() == SAMPLES));
        for (all, more) in all.iter_mut().zip(times) {
            all.extend(more);
        }
        match judge(names, &all) {
            Ok(()) => return,
            Err(difference) => told.push(difference),
        }
    }
    panic!("{what}: {}", told.join("; "));
}

/// What the times tell.
fn judge(names: &[impl AsRef<str>], times: &[Vec<f64>]) -> Result<(), String> {
    let (planted, classes) = times.split_last().unwrap();
    let name = |class: usize| names[class].as_ref();
    for (one, mine) in classes.iter().enumerate() {
        for (other, theirs) in classes.iter().enumerate().skip(one + 1) {
            let told = auc(mine, theirs);
            if !(0.44..=0.56).contains(&told) {
                return Err(format!("{} and {}: {told:.3}", name(one), name(other)));
            }
        }
        let found = auc(planted, mine);
        if found <= 0.56 {
            return Err(format!("5 ms more than {} were not seen: {found:.3}", name(one)));
        }
    }
    Ok(())
}
