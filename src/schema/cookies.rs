//! The cookies of a browser's session, between a resolver that signs in or out and the HTTP door that
//! carries them. Tokens are written here and nowhere into a document's answer by the door.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::secret::{ExposeSecret, SecretString};

/// The cookie of the access token.
pub const ACCESS: &str = "__Host-access";
/// The cookie of the refresh token.
pub const REFRESH: &str = "__Host-refresh";

/// The cookie by which a device is known at its next sign-in.
pub const DEVICE: &str = "__Host-device";
/// The cookie that spares the second step once, after the address was proved at sign-up.
pub const HAND_OFF: &str = "__Host-hand-off";

/// What a browser sent beside its access token.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// The refresh token.
    pub refresh: Option<SecretString>,
    /// By which its device is known.
    pub device: Option<SecretString>,
    /// What spares the second step once.
    pub hand_off: Option<SecretString>,
}

/// The cookies of one request and its answer. Copies share what is written.
#[derive(Clone, Debug, Default)]
pub struct Cookies {
    received: Received,
    is_unwritable: bool,
    writes: Arc<Mutex<Vec<Write>>>,
}

/// One cookie to set; an empty value forgets it.
#[derive(Debug)]
struct Write {
    name: &'static str,
    value: SecretString,
    lasts: Duration,
}

impl Cookies {
    /// The jar of a request whose answer sets no cookies: on a connection that is open already, or from a page that
    /// is not known to mean it.
    pub fn unwritable() -> Self {
        Self { is_unwritable: true, ..Self::default() }
    }

    /// Whether what is written reaches the browser.
    pub const fn are_writable(&self) -> bool {
        !self.is_unwritable
    }

    /// The same jar with what the browser sent. `is_meant` says that the request comes from a page that may sign its
    /// user in: no foreign page shall sign a browser in as somebody else, nor use what it is known by.
    #[must_use]
    pub fn receive(&self, received: Received, is_meant: bool) -> Self {
        let received =
            if is_meant { received } else { Received { refresh: received.refresh, ..Received::default() } };
        Self { received, is_unwritable: !is_meant, writes: Arc::clone(&self.writes) }
    }

    /// The refresh token that the browser sent. Given only to requests that no foreign page can make.
    pub const fn refresh(&self) -> Option<&SecretString> {
        self.received.refresh.as_ref()
    }

    /// By which the browser is known.
    pub const fn device(&self) -> Option<&SecretString> {
        self.received.device.as_ref()
    }

    /// What spares the second step once.
    pub const fn hand_off(&self) -> Option<&SecretString> {
        self.received.hand_off.as_ref()
    }

    /// Lets the browser be known at its next sign-in.
    pub fn know_device(&self, token: SecretString, lasts: Duration) {
        self.write(DEVICE, token, lasts);
    }

    /// Lets the browser sign in without a second step once.
    pub fn keep_hand_off(&self, token: SecretString, lasts: Duration) {
        self.write(HAND_OFF, token, lasts);
    }

    /// Signs the browser in: both tokens, each as long as it is valid.
    pub fn sign_in(
        &self,
        access: SecretString,
        access_lasts: Duration,
        refresh: SecretString,
        refresh_lasts: Duration,
    ) {
        self.write(ACCESS, access, access_lasts);
        self.write(REFRESH, refresh, refresh_lasts);
    }

    /// Signs the browser out.
    pub fn sign_out(&self) {
        self.forget(ACCESS);
        self.forget(REFRESH);
    }

    /// Makes the browser forget one cookie.
    pub fn forget(&self, name: &'static str) {
        self.write(name, SecretString::default(), Duration::ZERO);
    }

    fn write(&self, name: &'static str, value: SecretString, lasts: Duration) {
        let mut writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        writes.retain(|write| write.name != name);
        writes.push(Write { name, value, lasts });
    }

    /// The `Set-Cookie` values: host-only, HTTPS (or loopback) only, out of reach of scripts.
    pub fn headers(&self) -> Vec<String> {
        let writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        let attributes = "Path=/; Secure; HttpOnly; SameSite=Lax";
        writes
            .iter()
            .map(|Write { name, value, lasts }| {
                format!("{name}={}; Max-Age={}; {attributes}", value.expose_secret(), lasts.as_secs())
            })
            .collect()
    }
}
