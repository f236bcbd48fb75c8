//! What the client must be told.

use std::time::Duration;

use crate::{secret::SecretString, upstream::transport};

/// The settings of one organisation.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where we log in, without a path: `https://login.salesforce.com`, the sandbox's, or the organisation's own
    /// host. Also the audience of our assertion.
    pub login_url: String,
    /// The consumer key of the external client app.
    pub client_id: String,
    /// The user as whom the gateway acts.
    pub username: String,
    /// The RSA key whose certificate the app holds, in PEM (PKCS #1 or #8).
    pub private_key_pem: SecretString,
    /// The version of the interface. Default `67.0`.
    pub api_version: String,
    /// Limits of the transport.
    pub transport: transport::Settings,
    /// How long a session is used before a new one is made. Default 12 minutes: the shortest that an organisation
    /// can set is 15.
    pub token_ttl: Duration,
    /// How long a query waits for others to travel with. Default none: those of one tick travel together anyway.
    pub gather_within: Duration,
    /// The percentage of the daily allowance from which background calls are shed. Default 80.
    pub shed_background_at: u8,
    /// The percentage of the daily allowance from which partners' calls are shed. Default 95.
    pub shed_partner_at: u8,
}

impl Settings {
    /// Settings with every default.
    pub fn new(
        login_url: impl Into<String>,
        client_id: impl Into<String>,
        username: impl Into<String>,
        private_key_pem: SecretString,
    ) -> Self {
        Self {
            login_url: login_url.into(),
            client_id: client_id.into(),
            username: username.into(),
            private_key_pem,
            api_version: "67.0".to_owned(),
            transport: transport::Settings::salesforce(),
            token_ttl: Duration::from_secs(12 * 60),
            gather_within: Duration::ZERO,
            shed_background_at: 80,
            shed_partner_at: 95,
        }
    }
}

/// A setting that no client can be built with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misconfigured {
    /// Not an absolute `http` or `https` address without path, query and password.
    #[error("the login address must look like https://login.salesforce.com")]
    LoginUrl,
    /// Not a version.
    #[error("the version of the interface must look like 67.0")]
    ApiVersion,
    /// Not an RSA private key.
    #[error("the private key is not an RSA key in PEM")]
    PrivateKey,
    /// Not an absolute `http` or `https` address.
    #[error("the address of the event bus must look like https://api.pubsub.salesforce.com:7443")]
    BusEndpoint,
    /// Not certificates in PEM.
    #[error("the event bus's authorities are not certificates in PEM")]
    BusAuthority,
    /// TLS could not be set up.
    #[error(transparent)]
    Transport(#[from] crate::upstream::Error),
}
