//! What the bus's client must be told.

use std::time::Duration;

/// The settings of the bus of one organisation.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the bus is: `https://api.pubsub.salesforce.com:7443`. With `http` the connection is not encrypted,
    /// which only an emulator on this machine offers.
    pub endpoint: String,
    /// Authorities in PEM that are trusted besides the public ones.
    pub ca_pem: Option<String>,
    /// How many events may be under way at once, 1 to 100: the vendor owes no more. Default 100.
    pub num_requested: i32,
    /// A stream that brings nothing for so long is dead. The vendor sends something at least every 270 s.
    /// Default 300 s.
    pub silence: Duration,
    /// The longest wait for a connection. Default 5 s.
    pub connect_timeout: Duration,
    /// How long a topic or a schema may take. Default 10 s.
    pub call_timeout: Duration,
    /// How often an idle connection is probed. Default 60 s.
    pub keep_alive: Duration,
}

impl Settings {
    /// Settings with every default.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            ca_pem: None,
            num_requested: 100,
            silence: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(60),
        }
    }
}
