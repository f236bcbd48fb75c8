//! One client per upstream system, over one transport.
//!
//! The clients speak their vendor's words and hand up decoded values; above this floor there are only the
//! portal's words. Everything that keeps one sick system from harming the others (deadline, queue, breaker,
//! retries) is in [`transport`], once.

pub mod captcha;
pub mod error;
pub mod freebit;
pub mod japan_post;
pub mod salesforce;
mod session;
pub mod transport;
pub mod whmcs;

pub use error::{Error, Kind};
