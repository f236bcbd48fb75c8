//! Access tokens. They end by disuse, by revocation, and by injected faults.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};

use crate::sandbox::salesforce::store::shared::organization_id;

/// What a token stands for.
#[derive(Clone, Debug)]
pub struct Session {
    /// Record id of the user.
    pub user: String,
    /// Consumer key of the app.
    pub client: String,
    /// When it was given.
    pub issued_at: DateTime<Utc>,
    /// When it was last used.
    pub used_at: DateTime<Utc>,
}

/// The tokens that live, and the assertions that were used.
#[derive(Debug, Default)]
pub struct Sessions {
    live: HashMap<String, Session>,
    assertions: HashMap<String, i64>,
}

impl Sessions {
    /// Gives a token: the 15 characters of the organisation, `!`, and what nobody guesses.
    pub fn open(&mut self, user: String, client: &str, now: DateTime<Utc>) -> String {
        let secret: [u8; 48] = rand::random();
        let token = format!("{}!{}", &organization_id()[..15], URL_SAFE_NO_PAD.encode(secret));
        let session = Session { user, client: client.to_owned(), issued_at: now, used_at: now };
        self.live.insert(token.clone(), session);
        token
    }

    /// The session of a token, used now; `None` when there is none or it has ended.
    pub fn enter(&mut self, token: &str, now: DateTime<Utc>, lifetime: TimeDelta) -> Option<Session> {
        let session = self.live.get_mut(token)?;
        if now - session.used_at > lifetime {
            self.live.remove(token);
            return None;
        }
        session.used_at = now;
        Some(session.clone())
    }

    /// Ends a token.
    pub fn revoke(&mut self, token: &str) {
        self.live.remove(token);
    }

    /// Notes an assertion's `jti`; `false` when it was used before.
    pub fn is_first_use(&mut self, jti: &str, expires: i64, now: i64) -> bool {
        self.assertions.retain(|_, expires| *expires + 600 > now);
        self.assertions.insert(jti.to_owned(), expires).is_none()
    }
}
