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

/// The cookies of one request and its answer. Copies share what is written.
#[derive(Clone, Debug, Default)]
pub struct Cookies {
    refresh: Option<SecretString>,
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
    /// user in: no foreign page shall sign a browser in as somebody else.
    #[must_use]
    pub fn receive(&self, refresh: Option<SecretString>, is_meant: bool) -> Self {
        Self { refresh, is_unwritable: !is_meant, writes: Arc::clone(&self.writes) }
    }

    /// The refresh token that the browser sent. Given only to requests that no foreign page can make.
    pub const fn refresh(&self) -> Option<&SecretString> {
        self.refresh.as_ref()
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
