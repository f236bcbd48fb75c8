//! The calls.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Instant};

use bytes::Bytes;
use http::header::ACCEPT;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;

use crate::{
    clock::Clock,
    deadline::Budget,
    error::Service,
    upstream::{
        Error, Kind,
        salesforce::{
            errors::{kind_of, kind_of_part},
            gather::{Asked, Gather},
            meter::{Meter, Usage},
            session::Session,
            settings::{Misconfigured, Settings},
            soql::Soql,
            wire::{CompositeAnswer, CompositeRequest, Page, Subrequest},
        },
        transport::{Answer, Call, Class, Transport, decode},
    },
};

pub(super) const QUERY: &str = "query";

/// What needs no escape in one segment of a path or one value of a query.
pub(super) const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The longest statement, encoded, that travels in an address: the vendor refuses address and headers above 16,384
/// bytes. A longer one travels in the body of a composite, alone if need be.
const LONGEST_IN_ADDRESS: usize = 12_000;

/// The client of one organisation. Clones share the session, the allowance and the gathering of queries.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    transport: Transport,
    session: Arc<Session>,
    meter: Meter,
    gather: Gather,
    /// `/services/data/v67.0`
    base: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("salesforce::Client").field("base", &self.0.base).finish_non_exhaustive()
    }
}

impl Client {
    /// Checks the settings and builds the pool. Nothing is asked yet: see [`Client::warm_up`].
    ///
    /// # Errors
    /// The first setting that no client can be built with.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, Misconfigured> {
        let version = settings.api_version.as_str();
        let shaped = version.split_once('.').is_some_and(|(major, minor)| {
            [major, minor].iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
        });
        if !shaped {
            return Err(Misconfigured::ApiVersion);
        }
        let transport = Transport::new(Service::Crm, "salesforce", settings.transport.clone())?;
        Ok(Self(Arc::new(Inner {
            session: Session::new(&settings, clock, transport.clone())?,
            transport,
            meter: Meter::new(settings.shed_background_at, settings.shed_partner_at),
            gather: Gather::new(settings.gather_within),
            base: format!("/services/data/v{version}"),
        })))
    }

    /// Logs in ahead of the first call.
    ///
    /// # Errors
    /// [`Kind::Session`] when the vendor refuses our credentials, and the transport's.
    pub async fn warm_up(&self, budget: Budget) -> Result<(), Error> {
        self.0.session.token(budget).await.map(drop)
    }

    /// The last reading of the daily allowance, from any answer; `None` before the first.
    pub fn usage(&self) -> Option<Usage> {
        self.0.meter.usage()
    }

    /// Every record that answers a statement, pages joined, children's too. Statements asked in the same tick
    /// travel in one request.
    ///
    /// # Errors
    /// [`Kind::Refused`] with the vendor's code when the statement is refused, [`Kind::Decode`] with the path in
    /// the answer, [`Kind::Shed`] when the allowance is kept for more urgent callers, and the transport's.
    ///
    /// Source: Salesforce reference §8 and §12.
    pub async fn query<T>(&self, budget: Budget, soql: Soql) -> Result<Vec<T>, Error>
    where
        T: DeserializeOwned + Send + 'static,
    {
        if soql.is_empty() {
            return Ok(Vec::new());
        }
        self.admit(QUERY, budget)?;
        let body = self.0.gather.ask(self, budget, soql).await?;
        if !std::str::from_utf8(&body).is_ok_and(|text| text.contains("\"nextRecordsUrl\"")) {
            let page: Page<T> = decode(&body).map_err(|kind| self.error(QUERY, kind))?;
            return if page.done { Ok(page.records) } else { Err(self.cut_short()) };
        }
        let records = self.joined(budget, &body).await?;
        let records = serde_json::Value::Array(records);
        serde_path_to_error::deserialize(records)
            .map_err(|error| self.error(QUERY, Kind::Decode { path: format!("records{}", error.path()) }))
    }

    /// All records of a query of which `body` is the first page. Lists of children are completed as well.
    async fn joined(&self, budget: Budget, body: &[u8]) -> Result<Vec<serde_json::Value>, Error> {
        let mut page: Page<serde_json::Value> = decode(body).map_err(|kind| self.error(QUERY, kind))?;
        let mut records = Vec::new();
        loop {
            for mut record in page.records {
                for field in record.as_object_mut().into_iter().flat_map(|fields| fields.values_mut()) {
                    let rest = field.get("nextRecordsUrl").and_then(|next| next.as_str().map(str::to_owned));
                    if let (Some(next), Some(list)) =
                        (rest, field.get_mut("records").and_then(serde_json::Value::as_array_mut))
                    {
                        let body = self.more(budget, &next).await?;
                        list.extend(Box::pin(self.joined(budget, &body)).await?);
                    }
                }
                records.push(record);
            }
            if page.done {
                return Ok(records);
            }
            let next = page.next_records_url.ok_or_else(|| self.cut_short())?;
            let body = self.more(budget, &next).await?;
            page = decode(&body).map_err(|kind| self.error(QUERY, kind))?;
        }
    }

    /// A list that goes on nobody knows where.
    fn cut_short(&self) -> Error {
        self.error(QUERY, Kind::Decode { path: "nextRecordsUrl".to_owned() })
    }

    /// A page that follows. The vendor gives its path.
    async fn more(&self, budget: Budget, next: &str) -> Result<Bytes, Error> {
        if !next.starts_with("/services/data/v") || next.contains(['?', '#', '\\']) {
            return Err(self.cut_short());
        }
        let get = |http: &reqwest::Client, instance: &str| http.get(format!("{instance}{next}"));
        self.call("queryMore", Class::Read, budget, get, body).await
    }

    /// Answers a group of gathered statements with one request.
    pub(super) async fn answer(&self, budget: Budget, group: Vec<Asked>) {
        let urls: Vec<String> = group
            .iter()
            .map(|asked| {
                let statement = utf8_percent_encode(asked.soql.as_str(), SEGMENT);
                format!("{}/query?q={statement}", self.0.base)
            })
            .collect();
        if let ([url], 1) = (urls.as_slice(), group.len())
            && url.len() <= LONGEST_IN_ADDRESS
        {
            let get = |http: &reqwest::Client, instance: &str| http.get(format!("{instance}{url}"));
            let answer = self.call(QUERY, Class::Read, budget, get, body).await;
            return group.into_iter().for_each(|asked| asked.answer(&answer));
        }
        match self.composite(budget, urls).await {
            Ok(parts) => group.into_iter().zip(parts).for_each(|(asked, part)| asked.answer(&part)),
            Err(error) => group.into_iter().for_each(|asked| asked.answer(&Err(error.clone()))),
        }
    }

    /// Several reads in one request, each with an answer of its own.
    async fn composite(&self, budget: Budget, urls: Vec<String>) -> Result<Vec<Result<Bytes, Error>>, Error> {
        let count = urls.len();
        let subrequests = urls.into_iter().enumerate().map(|(at, url)| Subrequest {
            method: "GET",
            url,
            reference_id: format!("q{at}"),
        });
        let request = CompositeRequest { all_or_none: false, composite_request: subrequests.collect() };
        let path = format!("{}/composite", self.0.base);
        let post =
            |http: &reqwest::Client, instance: &str| http.post(format!("{instance}{path}")).json(&request);
        let judge = |answer: Answer| {
            let answer: CompositeAnswer = success(&answer)?.json()?;
            let mut parts: BTreeMap<_, _> =
                answer.composite_response.into_iter().map(|part| (part.reference_id.clone(), part)).collect();
            (0..count)
                .map(|at| {
                    parts
                        .remove(&format!("q{at}"))
                        .ok_or_else(|| Kind::Decode { path: "compositeResponse".to_owned() })
                })
                .collect::<Result<Vec<_>, _>>()
        };
        let parts = self.call("composite", Class::Read, budget, post, judge).await?;
        let bodies = parts.into_iter().map(|part| {
            let body = Bytes::from(Box::<str>::from(part.body).into_string());
            match part.http_status_code {
                200..300 => Ok(body),
                status => Err(self.error(QUERY, kind_of_part(status, &body))),
            }
        });
        Ok(bodies.collect())
    }

    /// One call with the session, which is replaced once if the vendor refuses it.
    pub(super) async fn call<T>(
        &self,
        operation: &'static str,
        class: Class,
        budget: Budget,
        build: impl Fn(&reqwest::Client, &str) -> RequestBuilder + Send + Sync,
        judge: impl Fn(Answer) -> Result<T, Kind> + Send + Sync,
    ) -> Result<T, Error> {
        let Inner { transport, session, meter, .. } = &*self.0;
        let mut token = session.token(budget).await?;
        let mut renewed = false;
        loop {
            let request = |http: &reqwest::Client| {
                build(http, token.instance())
                    .bearer_auth(token.access())
                    .header(ACCEPT, "application/json")
                    .header("sforce-call-options", "client=portal-gateway")
            };
            let judge = |answer: Answer| {
                meter.read(&answer.headers);
                judge(answer)
            };
            let outcome = transport.send(Call { operation, class, budget }, request, judge).await;
            match outcome {
                Err(Error { kind: Kind::Session, .. }) if !renewed => {
                    token = session.renew(&token, budget).await?;
                    renewed = true;
                }
                Err(error) => {
                    if error.kind == Kind::Session {
                        session.bar();
                    }
                    return Err(error);
                }
                Ok(value) => return Ok(value),
            }
        }
    }

    /// The session, for the event bus.
    pub(super) fn session(&self) -> &Arc<Session> {
        &self.0.session
    }

    /// The path under which everything stands: `/services/data/v67.0`.
    pub(super) fn base(&self) -> &str {
        &self.0.base
    }

    /// An error of ours that has not been sent anywhere, or of a part.
    pub(super) fn error(&self, operation: &'static str, kind: Kind) -> Error {
        self.0.transport.error(operation, kind)
    }

    pub(super) fn admit(&self, operation: &'static str, budget: Budget) -> Result<(), Error> {
        self.0.meter.admit(budget.lane, Instant::now()).map_err(|kind| self.error(operation, kind))
    }
}

/// An answer that is a success, or what it means otherwise.
pub(super) fn success(answer: &Answer) -> Result<&Answer, Kind> {
    if answer.status.is_success() { Ok(answer) } else { Err(kind_of(answer)) }
}

fn body(answer: Answer) -> Result<Bytes, Kind> {
    success(&answer)?;
    // A body that is no JSON at all is an outage, and worth another try.
    serde_json::from_slice::<serde::de::IgnoredAny>(&answer.body).map_err(|_| Kind::Garbage)?;
    Ok(answer.body)
}
