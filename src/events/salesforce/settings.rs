//! What is read, and how.

use std::time::Duration;

use crate::upstream::salesforce::pubsub;

/// Where a channel begins that was never read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With what comes from now on.
    Latest,
    /// With everything that the bus still keeps.
    Earliest,
}

/// The settings of reading the CRM's events.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bus.
    pub bus: pubsub::Settings,
    /// The channels, such as `/data/OrderChangeEvent`.
    pub channels: Vec<String>,
    /// Where a channel begins that was never read. Default: with what comes.
    pub start: Start,
    /// How long another replica waits before it takes over from one that is gone. Default 30 s.
    pub lease: Duration,
    /// The longest wait before a broken stream is opened again. Default 60 s.
    pub reconnect_max: Duration,
    /// How often comments on cases are asked for; `None` for never. Default 30 s.
    pub comments_every: Option<Duration>,
    /// Fields of orders that nobody is shown: an update of nothing else changes no answer.
    pub internal_order_fields: Vec<String>,
}

impl Settings {
    /// Channels that are read unless configured otherwise (domain reference §10, §17.1, §27).
    pub const CHANNELS: [&'static str; 10] = [
        "/event/Order_Fulfilment_Requested__e",
        "/event/Account_Internet_Eligibility_Update__e",
        "/data/Product2ChangeEvent",
        "/data/PricebookEntryChangeEvent",
        "/data/OrderChangeEvent",
        "/data/OrderItemChangeEvent",
        "/data/AccountChangeEvent",
        "/data/OpportunityChangeEvent",
        "/data/CaseChangeEvent",
        "/data/EmailMessageChangeEvent",
    ];

    /// Settings with every default.
    pub fn new(bus: pubsub::Settings) -> Self {
        Self {
            bus,
            channels: Self::CHANNELS.map(str::to_owned).to_vec(),
            start: Start::Latest,
            lease: Duration::from_secs(30),
            reconnect_max: Duration::from_secs(60),
            comments_every: Some(Duration::from_secs(30)),
            internal_order_fields: ["Activation_Error_Message__c", "WHMCS_Order_ID__c"]
                .map(str::to_owned)
                .to_vec(),
        }
    }
}
