//! The whole gateway over HTTP, against the sandbox and real stores.

mod gateway;
