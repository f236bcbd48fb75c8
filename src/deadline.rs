//! How long a request may still take, and in which lane its upstream calls queue.

use std::time::{Duration, Instant};

/// The queue in which an upstream call waits. Earlier lanes are served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// A person waits.
    Interactive,
    /// A partner's program waits.
    Partner,
    /// Nobody waits.
    Background,
}

/// What a request may spend upstream: time, and its place in the queue.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Nothing outlives this instant.
    pub deadline: Instant,
    /// The lane of every upstream call.
    pub lane: Lane,
}

impl Budget {
    /// A budget that ends `within` from now.
    pub fn new(within: Duration, lane: Lane) -> Self {
        Self { deadline: Instant::now() + within, lane }
    }

    /// Time left; zero when it has run out.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}
