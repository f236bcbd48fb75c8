//! One client per upstream system, over one transport.

pub mod salesforce;
