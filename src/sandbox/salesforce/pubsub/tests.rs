//! The API over its own port.
