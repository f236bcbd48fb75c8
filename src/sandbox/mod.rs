//! Emulators of the three systems, for development and tests.

pub mod core;
pub mod credentials;
pub mod faults;
pub mod freebit;
pub mod journal;
pub mod world;
