//! Mobile lines: the Freebit API, in its own words.
//!
//! Every call is a form with one field, `json`, and carries a key that all calls share. A refused key is replaced
//! once and the call repeated once, which is safe because the refusal came before any effect. What the carrier has
//! not documented (paths, failure codes) is configuration. Source: Freebit reference §1 to §3 and §5.

mod codes;
mod detail;
mod quota;
mod record;
mod traffic;

use std::{sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

pub use crate::upstream::freebit::{
    codes::Codes,
    detail::{Detail, Pending},
    quota::{Quota, QuotaHistory},
    traffic::Traffic,
};
use crate::{
    deadline::Budget,
    error::Service,
    upstream::{
        error::{Error, Kind},
        freebit::record::{Record, wrong},
        session::{Key, Session},
        transport::{self, Answer, Call, Class, Transport},
    },
};

/// Where the carrier is, and as whom we ask.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The host, given with the contract. There is no default.
    pub base_url: Url,
    /// The partner's identifier.
    pub oem_id: String,
    /// The partner's secret.
    pub oem_key: SecretString,
    /// How long a key is used. The carrier tells no lifetime; about an hour is assumed. Default 50 minutes.
    pub auth_ttl: Duration,
    /// The value of `version` in the account detail, assigned by the carrier; `None` leaves it out. Default `2`.
    pub detail_version: Option<String>,
    /// The paths of the calls.
    pub paths: Paths,
    /// What failure codes mean.
    pub codes: Codes,
    /// What the carrier can bear.
    pub transport: transport::Settings,
}

/// Paths after the host. Those of the detail and of the quota history are not documented.
#[derive(Clone, Debug)]
pub struct Paths {
    /// PA01-01. Default `/emptool/api/authOem/`.
    pub auth_oem: String,
    /// PA03-02. Default `/emptool/api/mvno/getDetail/`; `/emptool/api/master/getAcnt/` is met too.
    pub get_detail: String,
    /// PA05-01. Default `/emptool/api/mvno/getTrafficInfo/`.
    pub get_traffic_info: String,
    /// PA05-02. Default `/emptool/api/mvno/getQuotaHistory/`.
    pub get_quota_history: String,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            auth_oem: "/emptool/api/authOem/".to_owned(),
            get_detail: "/emptool/api/mvno/getDetail/".to_owned(),
            get_traffic_info: "/emptool/api/mvno/getTrafficInfo/".to_owned(),
            get_quota_history: "/emptool/api/mvno/getQuotaHistory/".to_owned(),
        }
    }
}

impl Settings {
    /// Settings with every default.
    pub fn new(base_url: Url, oem_id: String, oem_key: SecretString) -> Self {
        Self {
            base_url,
            oem_id,
            oem_key,
            auth_ttl: Duration::from_secs(50 * 60),
            detail_version: Some("2".to_owned()),
            paths: Paths::default(),
            codes: Codes::default(),
            transport: transport::Settings::freebit(),
        }
    }
}

/// A client of the carrier. Clones share the key and everything else.
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
        let transport = Transport::new(Service::Sim, "freebit", settings.transport.clone())?;
        Ok(Self(Arc::new(Inner { transport, session: Session::default(), settings })))
    }

    /// Obtains the key, so that the first customer need not wait for it. Also the proof that address and
    /// credentials are right.
    ///
    /// # Errors
    /// [`Kind::Session`] when the credentials are refused; else as [`Transport::send`].
    pub async fn warm_up(&self, budget: Budget) -> Result<(), Error> {
        self.key(budget, None).await.map(drop)
    }

    /// The shared key, or a new one in place of `refused`.
    async fn key(&self, budget: Budget, refused: Option<&Key>) -> Result<Key, Error> {
        let Inner { transport, session, settings } = &*self.0;
        let late = transport.error("authOem", Kind::Deadline);
        let authenticate = async {
            let question = json!({ "oemId": settings.oem_id, "oemKey": settings.oem_key.expose_secret() });
            self.send("authOem", budget, &settings.paths.auth_oem, &question, |answer| {
                let key = answer.text(&["authKey"]).ok_or_else(|| wrong("authKey"))?;
                Ok((SecretString::from(key), settings.auth_ttl))
            })
            .await
        };
        session.key(Instant::from_std(budget.deadline), refused, late, authenticate).await
    }

    /// Asks with the shared key; once more with a new one when it is refused.
    async fn read<T>(
        &self,
        operation: &'static str,
        budget: Budget,
        path: &str,
        mut question: Value,
        decode: impl Fn(&Record) -> Result<T, Kind> + Send + Sync,
    ) -> Result<T, Error> {
        let key = self.key(budget, None).await?;
        question["authKey"] = key.value.expose_secret().into();
        let outcome = self.send(operation, budget, path, &question, &decode).await;
        if !matches!(&outcome, Err(error) if error.kind == Kind::Session) {
            return outcome;
        }
        let key = self.key(budget, Some(&key)).await?;
        question["authKey"] = key.value.expose_secret().into();
        self.send(operation, budget, path, &question, &decode).await
    }

    async fn send<T>(
        &self,
        operation: &'static str,
        budget: Budget,
        path: &str,
        question: &Value,
        decode: impl Fn(&Record) -> Result<T, Kind> + Send + Sync,
    ) -> Result<T, Error> {
        let Inner { transport, settings, .. } = &*self.0;
        let url = settings.base_url.join(path).map_err(|_| transport.error(operation, Kind::Request))?;
        let form = [("json", question.to_string())];
        let call = Call { operation, class: Class::Read, budget };
        transport
            .send(
                call,
                |http| http.post(url.clone()).form(&form),
                |answer| decode(&envelope(&answer, &settings.codes)?),
            )
            .await
    }
}

/// The content of an answer whose result code is success. Both codes may be text or number, and `status` may be
/// missing.
fn envelope(answer: &Answer, codes: &Codes) -> Result<Record, Kind> {
    let record: Record = match answer.json() {
        Ok(record) => record,
        Err(_) if !answer.status.is_success() => return Err(answer.status_kind()),
        Err(kind) => return Err(kind),
    };
    let Some(result) = record.text(&["resultCode"]) else {
        return Err(if answer.status.is_success() { wrong("resultCode") } else { answer.status_kind() });
    };
    if result == "100" {
        return Ok(record);
    }
    let status = record.record("status").unwrap_or_default();
    let code = status.text(&["statusCode"]).unwrap_or_default();
    Err(codes.kind(&result, &code, &status.text(&["message"]).unwrap_or_default()))
}

/// Whether an echoed account is the one that was asked for; hyphens do not matter. No echo is no contradiction.
fn is_same(record: &Record, account: &str) -> bool {
    record.text(&["account"]).is_none_or(|echo| echo.replace('-', "") == account.replace('-', ""))
}

#[cfg(test)]
mod tests;
