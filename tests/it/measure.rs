//! Whether times tell one kind of thing from another (requirement A3).

use std::time::Duration;

/// Samples of each class.
pub const SAMPLES: usize = 500;
/// Of so many rounds one has a sample of the planted class, too: what it shows needs fewer.
pub const PLANTED_EVERY: usize = 5;
/// What tells the planted class apart.
pub const PLANTED: Duration = Duration::from_millis(5);

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
