//! The whole gateway over HTTP, against the sandbox and real stores.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod dependencies;
mod layers;
