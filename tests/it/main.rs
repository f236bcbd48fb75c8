//! The whole gateway over HTTP, against the sandbox and real stores, and the rules of the house.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, reason = "some measure, and say what they found")]

mod account;
mod audit;
mod commands;
mod dashboard;
mod dependencies;
mod documents;
mod events;
mod examples;
mod fleet;
mod gateway;
mod hook_file;
mod isolation;
mod kills;
mod layers;
mod linking;
mod live;
mod mail;
mod mirrors;
mod notices;
mod outages;
mod partners;
mod passkeys;
mod password_reset;
mod phone;
mod postal;
mod process;
mod profile;
mod protocol;
mod registration_kills;
mod responses;
mod schema;
mod session_kills;
mod sessions;
mod sign_in;
mod sign_up;
mod socket;
mod step_up;
mod webhooks;
mod wire;
mod with_redis;
