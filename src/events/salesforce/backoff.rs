//! Waits between tries.

use std::time::Duration;

/// Grows with every wait up to a cap; each wait is drawn from zero to it, so that many do not come back together.
#[derive(Debug)]
pub(super) struct Backoff {
    base: Duration,
    cap: Duration,
    tries: u32,
}

impl Backoff {
    pub(super) fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, tries: 0 }
    }

    /// It went well: the next wait is short again.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }

    /// The longest that the next wait can be.
    fn bound(&self) -> Duration {
        self.base.saturating_mul(2_u32.saturating_pow(self.tries)).min(self.cap)
    }

    /// How long to wait now.
    fn next(&mut self) -> Duration {
        let wait = self.bound().mul_f64(rand::random());
        self.tries = self.tries.saturating_add(1);
        wait
    }

    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.next()).await;
    }

    /// A wait of up to the cap, however often it went well before.
    pub(super) async fn wait_long(&mut self) {
        tokio::time::sleep(self.cap.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        let mut bounds = Vec::new();
        for _ in 0..8 {
            bounds.push(backoff.bound().as_secs());
            let bound = backoff.bound();
            assert!(backoff.next() <= bound);
        }
        assert_eq!(bounds, [1, 2, 4, 8, 16, 32, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.bound(), Duration::from_secs(1));
    }
}
