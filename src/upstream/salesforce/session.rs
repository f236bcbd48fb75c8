//! The session that all calls share.
//!
//! A signed assertion buys an access token; the vendor does not say how long it lives. It is replaced a minute
//! before our own limit while calls go on with the old one, and at once when the vendor refuses it. However many
//! callers wait, one exchange runs: in a task of its own, so that a caller who leaves fails nobody.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use tokio::time::timeout_at;
use tracing::warn;
use url::Url;

use crate::{
    clock::Clock,
    deadline::{Budget, Lane},
    secret::{ExposeSecret, SecretString},
    upstream::{
        Error, Kind,
        salesforce::settings::{Misconfigured, Settings},
        transport::{Answer, Call, Class, Transport, decode},
    },
};

const OPERATION: &str = "token";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long an assertion is good for.
const ASSERTION_LIVES: TimeDelta = TimeDelta::minutes(3);
/// How long before our limit a token is replaced.
const EARLY: TimeDelta = TimeDelta::minutes(1);
/// How long one exchange may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a refused token is not replaced again after its replacement was refused too: some refusals are a policy's,
/// and logins are rationed.
const BARRED: TimeDelta = TimeDelta::seconds(30);
/// What the vendor's ration of logins, 3,600 an hour, is taken to mean.
const RATIONED: Duration = Duration::from_secs(60);

/// A token and where to use it.
pub(super) struct Token {
    access: SecretString,
    instance: String,
    organisation: Option<String>,
    issued_at: DateTime<Utc>,
}

impl Token {
    /// For the `Authorization` header only.
    pub(super) fn access(&self) -> &str {
        self.access.expose_secret()
    }

    /// Scheme and host of the organisation, without a slash at the end.
    pub(super) fn instance(&self) -> &str {
        &self.instance
    }

    /// The id of the organisation, if the vendor gave it.
    pub(super) fn organisation(&self) -> Option<&str> {
        self.organisation.as_deref()
    }
}

type Exchange = Shared<BoxFuture<'static, Result<Arc<Token>, Error>>>;

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    exchange: Option<Exchange>,
    barred_until: Option<DateTime<Utc>>,
}

pub(super) struct Session {
    login: Url,
    audience: String,
    client_id: String,
    username: String,
    key: EncodingKey,
    ttl: TimeDelta,
    clock: Clock,
    transport: Transport,
    state: Mutex<State>,
}

impl Session {
    pub(super) fn new(
        settings: &Settings,
        clock: Clock,
        transport: Transport,
    ) -> Result<Arc<Self>, Misconfigured> {
        let audience = settings.login_url.trim_end_matches('/').to_owned();
        let login = origin(&audience).ok_or(Misconfigured::LoginUrl)?;
        let login = login.join("/services/oauth2/token").map_err(|_| Misconfigured::LoginUrl)?;
        let key = EncodingKey::from_rsa_pem(settings.private_key_pem.expose_secret().as_bytes())
            .map_err(|_| Misconfigured::PrivateKey)?;
        Ok(Arc::new(Self {
            login,
            audience,
            client_id: settings.client_id.clone(),
            username: settings.username.clone(),
            key,
            ttl: TimeDelta::from_std(settings.token_ttl).unwrap_or(TimeDelta::MAX),
            clock,
            transport,
            state: Mutex::default(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token to call with.
    pub(super) async fn token(self: &Arc<Self>, budget: Budget) -> Result<Arc<Token>, Error> {
        let exchange = {
            let mut state = self.state();
            let token = state.token.clone();
            let age = token.as_ref().map(|token| self.clock.now() - token.issued_at);
            match (token, age) {
                (Some(token), Some(age)) if age < self.ttl => {
                    if age >= self.ttl - EARLY {
                        // Runs by itself; its failure will show when the old token is no longer good.
                        drop(self.exchange(&mut state));
                    }
                    return Ok(token);
                }
                _ => self.exchange(&mut state),
            }
        };
        self.wait(exchange, budget).await
    }

    /// A token in place of one that the vendor refused.
    pub(super) async fn renew(
        self: &Arc<Self>,
        refused: &Arc<Token>,
        budget: Budget,
    ) -> Result<Arc<Token>, Error> {
        let exchange = {
            let mut state = self.state();
            match &state.token {
                Some(token) if !Arc::ptr_eq(token, refused) => return Ok(Arc::clone(token)),
                _ => {}
            }
            if state.barred_until.is_some_and(|until| self.clock.now() < until) {
                return Err(self.transport.error(OPERATION, Kind::Session));
            }
            state.token = None;
            self.exchange(&mut state)
        };
        self.wait(exchange, budget).await
    }

    /// Tells that a replacement was refused as well.
    pub(super) fn bar(&self) {
        self.state().barred_until = Some(self.clock.now() + BARRED);
    }

    async fn wait(&self, exchange: Exchange, budget: Budget) -> Result<Arc<Token>, Error> {
        timeout_at(budget.deadline.into(), exchange)
            .await
            .unwrap_or_else(|_| Err(self.transport.error(OPERATION, Kind::Deadline)))
    }

    /// The exchange that is running, or a new one.
    fn exchange(self: &Arc<Self>, state: &mut State) -> Exchange {
        if let Some(exchange) = &state.exchange {
            return exchange.clone();
        }
        let session = Arc::clone(self);
        // It ends by taking the lock that is held here, so it cannot end before it is noted below.
        let task = tokio::spawn(async move {
            let outcome = session.ask().await.map(Arc::new);
            let mut state = session.state();
            state.exchange = None;
            if let Ok(token) = &outcome {
                state.token = Some(Arc::clone(token));
            }
            outcome
        });
        let transport = self.transport.clone();
        let exchange =
            async move { task.await.unwrap_or_else(|_| Err(transport.error(OPERATION, Kind::Broken))) };
        let exchange = exchange.boxed().shared();
        state.exchange = Some(exchange.clone());
        exchange
    }

    async fn ask(&self) -> Result<Token, Error> {
        #[derive(Serialize)]
        struct Claims<'a> {
            iss: &'a str,
            sub: &'a str,
            aud: &'a str,
            exp: i64,
        }
        let now = self.clock.now();
        let claims = Claims {
            iss: &self.client_id,
            sub: &self.username,
            aud: &self.audience,
            exp: (now + ASSERTION_LIVES).timestamp(),
        };
        let assertion = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.key)
            .map_err(|_| self.transport.error(OPERATION, Kind::Request))?;
        // Changes nothing that a second one would change again.
        let call = Call {
            operation: OPERATION,
            class: Class::Read,
            budget: Budget::new(PATIENCE, Lane::Interactive),
        };
        let form = [("grant_type", GRANT), ("assertion", assertion.as_str())];
        self.transport
            .send(call, |http| http.post(self.login.clone()).form(&form), |answer| self.judge(&answer, now))
            .await
    }

    fn judge(&self, answer: &Answer, now: DateTime<Utc>) -> Result<Token, Kind> {
        #[derive(Deserialize)]
        struct Granted {
            access_token: SecretString,
            instance_url: String,
            /// An address that ends with the organisation and the user.
            id: Option<String>,
        }
        #[derive(Deserialize)]
        struct Refused {
            error: String,
            #[serde(default)]
            error_description: String,
        }
        if answer.status.is_success() {
            let granted: Granted = answer.json()?;
            let instance = granted.instance_url.trim_end_matches('/').to_owned();
            // A token that was bought in secret is not used in the open.
            origin(&instance)
                .filter(|url| url.scheme() == self.login.scheme() || url.scheme() == "https")
                .ok_or(Kind::Decode { path: "instance_url".to_owned() })?;
            let organisation = granted.id.as_deref().and_then(|id| id.rsplit('/').nth(1)).map(str::to_owned);
            return Ok(Token { access: granted.access_token, instance, organisation, issued_at: now });
        }
        let Ok(refused) = decode::<Refused>(&answer.body) else { return Err(answer.status_kind()) };
        if refused.error == "rate_limit_exceeded" {
            return Err(Kind::RateLimited { retry_after: RATIONED });
        }
        if answer.status.is_server_error() {
            return Err(Kind::Unavailable { code: refused.error });
        }
        // The description comes from the vendor's fixed list: it says what an operator must mend.
        warn!(error = refused.error, description = refused.error_description, "the CRM refused our login");
        Err(Kind::Session)
    }
}

/// Reads an address that is only scheme, host and port.
fn origin(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    plain.then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scheme_host_and_port_make_an_origin() {
        for text in ["https://login.salesforce.com", "http://127.0.0.1:8080"] {
            assert!(origin(text).is_some(), "{text}");
        }
        for text in [
            "",
            "login.salesforce.com",
            "ftp://a.b",
            "https://a.b/c",
            "https://u:p@a.b",
            "https://a.b?q",
            "file:///x",
        ] {
            assert!(origin(text).is_none(), "{text}");
        }
    }
}
