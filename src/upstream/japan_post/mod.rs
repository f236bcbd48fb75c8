//! Postal codes and digital addresses: Japan Post's Digital Address API, in its own words.
//!
//! Every search carries a token that all calls share, obtained for client credentials and kept until shortly before its
//! end. A refused token is replaced once and the search repeated once. Source: domain reference §9.3, and the field
//! names of the vendor's public reference.

mod wire;

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::Instant;
use url::Url;

pub use crate::upstream::japan_post::wire::{Address, Name};
use crate::{
    deadline::Budget,
    error::Service,
    upstream::{
        error::{Error, Kind},
        session::{Key, Session},
        transport::{self, Answer, Call, Class, Transport},
    },
};

/// The token is replaced this long before it ends, or at half of its life if that is shorter.
const MARGIN: Duration = Duration::from_secs(60);

/// The code of [`Kind::Refused`] when nothing has the code that was asked for, whatever the vendor's.
const ABSENT: &str = "absent";

/// Where the service is, and as whom we ask.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The host: `https://api.da.pf.japanpost.jp`.
    pub base_url: Url,
    /// The client's identifier.
    pub client_id: String,
    /// The client's secret.
    pub secret_key: SecretString,
    /// The address from which the gateway calls, as it was registered with the client. The service demands to be told it.
    pub source_address: IpAddr,
    /// What the service can bear.
    pub transport: transport::Settings,
}

/// A client of the service. Clones share the token and everything else.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    transport: Transport,
    session: Session,
    settings: Settings,
}

impl Client {
    /// Builds the client; asks nothing yet.
    ///
    /// # Errors
    /// As [`Transport::new`].
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let transport = Transport::new(Service::Postal, "japan_post", settings.transport.clone())?;
        Ok(Self(Arc::new(Inner { transport, session: Session::default(), settings })))
    }

    /// Obtains a token: the proof that address and credentials are right.
    ///
    /// # Errors
    /// [`Kind::Session`] when the credentials are refused, [`Kind::Refused`] with the vendor's code when anything else
    /// about the request is; else as [`Transport::send`].
    pub async fn warm_up(&self, budget: Budget) -> Result<(), Error> {
        self.key(budget, None).await.map(drop)
    }

    /// The addresses that a code stands for: a postal code or an organisation's own (seven digits, without hyphen), or a
    /// digital address (seven letters and digits). Empty when nothing has it. At most 1,000, which is more than
    /// any whole code has.
    ///
    /// # Errors
    /// [`Kind::Refused`] when the service finds the code malformed; else as [`Transport::send`].
    pub async fn search_code(&self, budget: Budget, code: &str) -> Result<Vec<Address>, Error> {
        let key = self.key(budget, None).await?;
        let outcome = match self.search(budget, &key, code).await {
            Err(Error { kind: Kind::Session, .. }) => {
                let key = self.key(budget, Some(&key)).await?;
                self.search(budget, &key, code).await
            }
            outcome => outcome,
        };
        match outcome {
            Err(Error { kind: Kind::Refused { code, .. }, .. }) if code == ABSENT => Ok(Vec::new()),
            outcome => outcome,
        }
    }

    async fn search(&self, budget: Budget, key: &Key, code: &str) -> Result<Vec<Address>, Error> {
        let mut url = self.url("searchcode", "/api/v1/searchcode/")?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(code);
        }
        let call = Call { operation: "searchcode", class: Class::Read, budget };
        let build = |http: &reqwest::Client| http.get(url.clone()).bearer_auth(key.value.expose_secret());
        let judge = |answer: Answer| wire::found(decode(&answer)?, code);
        self.0.transport.send(call, build, judge).await
    }

    /// The shared token, or a new one in place of `refused`.
    async fn key(&self, budget: Budget, refused: Option<&Key>) -> Result<Key, Error> {
        let Inner { transport, session, settings } = &*self.0;
        let late = transport.error("token", Kind::Deadline);
        let authenticate = async {
            let url = self.url("token", "/api/v1/j/token")?;
            let credentials = json!({
                "grant_type": "client_credentials",
                "client_id": settings.client_id,
                "secret_key": settings.secret_key.expose_secret(),
            });
            let source = settings.source_address.to_string();
            let call = Call { operation: "token", class: Class::Read, budget };
            let build = |http: &reqwest::Client| {
                http.post(url.clone()).header("x-forwarded-for", &source).json(&credentials)
            };
            let judge = |answer: Answer| decode::<wire::Token>(&answer);
            let wire::Token { token, expires_in } = transport.send(call, build, judge).await?;
            let life = Duration::from_secs(expires_in);
            Ok((token, life.saturating_sub(MARGIN).max(life / 2)))
        };
        session.key(Instant::from_std(budget.deadline), refused, late, authenticate).await
    }

    fn url(&self, operation: &'static str, path: &str) -> Result<Url, Error> {
        let Inner { transport, settings, .. } = &*self.0;
        settings.base_url.join(path).map_err(|_| transport.error(operation, Kind::Request))
    }
}

/// The content of an answer, or what its refusal means.
fn decode<T: DeserializeOwned>(answer: &Answer) -> Result<T, Kind> {
    if answer.status.is_success() {
        return answer.json();
    }
    let refusal = answer.json::<wire::Refusal>();
    Err(match (answer.status, refusal) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => Kind::Session,
        // Without the vendor's own body it is another server's 404.
        (StatusCode::NOT_FOUND, Ok(refusal)) => Kind::refused(ABSENT, &refusal.message),
        (StatusCode::BAD_REQUEST, Ok(refusal)) => Kind::refused(refusal.error_code, &refusal.message),
        _ => answer.status_kind(),
    })
}

#[cfg(test)]
mod tests;
