//! Change that begins outside: what the other systems report makes answers old.
//!
//! An event is stored in the inbox before its sender hears that it was received. A worker of any replica then says what
//! it means in the portal's words ([`Change`]), makes the answers that depend on it old on every replica, settles the
//! row, and tells the listeners. An event is a hint, never data: what it says is thrown away, and the next read asks.

pub mod change;
pub mod salesforce;

pub use change::Change;
