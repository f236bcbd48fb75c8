//! How long a refusal takes (requirement A3): the least time of the settings, or a multiple of it.
//!
//! What takes longer than the least time, since the machine is busy or a hash old and slow, ends at the next multiple, and not
//! when its own work is done: the time still says nothing of what that work was.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Waits until what began then has taken a multiple of the floor.
pub(super) async fn hold(began: Instant, floor: Duration) {
    sleep_until(began + takes(began.elapsed(), floor)).await;
}

/// How long a refusal takes in all whose work took so long.
fn takes(work: Duration, floor: Duration) -> Duration {
    if floor.is_zero() {
        return work;
    }
    let times = work.as_nanos() / floor.as_nanos() + 1;
    floor.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_takes_a_multiple_of_the_floor_however_long_its_work_took() {
        let ms = Duration::from_millis;
        for (work, taken) in [(0, 400), (150, 400), (399, 400), (401, 800), (650, 800), (1_500, 1_600)] {
            assert_eq!(takes(ms(work), ms(400)), ms(taken), "after {work} ms of work");
        }
        assert_eq!(takes(ms(20), Duration::ZERO), ms(20));
    }
}
