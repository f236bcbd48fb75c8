//! `/graphql`: one request of GraphQL over HTTP.

use std::{net::SocketAddr, panic::AssertUnwindSafe, sync::Arc};

use async_graphql::parser::types::OperationType;
use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State as Extract},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
        header::{ALLOW, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE},
        request::Parts,
    },
};
use futures::FutureExt;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::{
    deadline::{Budget, Lane},
    error::Error,
    freshness::{Found, Reader},
    http::{
        Asker, Executed, Presented, RequestId, State,
        accept::Media,
        answer::{self, Fault, Written},
        cookies::Credentials,
        entry::{self, Entry, Record},
        finished,
        guard::Admitted,
        operation::Operation,
        params::{self, Params},
        questions::{Form, Question},
        responses::Outcome,
        sse, ws,
    },
    schema::cookies::{ACCESS, Cookies},
};

/// With `1`, whoever may is told what each path of the answer cost.
const X_EXPLAIN: &str = "x-explain";

/// The customer for whom a partner asks.
pub(super) const PORTAL_CUSTOMER: &str = "portal-customer";

/// How long after its deadline a request is given up, so that fields that met the deadline themselves
/// can still be answered.
pub(super) const SLACK: std::time::Duration = std::time::Duration::from_millis(250);

/// Through the router: a method that we do not know, a connection that is to become a socket.
pub(super) async fn handle<V: Clone + Send + Sync + 'static>(
    Extract(state): Extract<Arc<State<V>>>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let (id, peer) = (entry::request_id(&parts), entry::peer(&parts));
    if ws::is_handshake(&parts.method, &parts.headers) {
        return ws::open(&state, parts, &id).await.unwrap_or_else(|fault| fault.answer(Media::Json, &id));
    }
    let mut record = Record::default();
    let mut answer = converse(&state, &parts, body, peer, &id, &mut record).await;
    answer.extensions_mut().insert(record);
    answer
}

/// Past the router, straight from the connection.
pub(super) async fn answer<V: Send + Sync + 'static>(
    state: Arc<State<V>>,
    request: Request,
    peer: SocketAddr,
) -> Response<Body> {
    let entry = Entry::begin(&request);
    let (parts, body) = request.into_parts();
    let mut record = Record::default();
    let mut answer = converse(&state, &parts, body, Some(peer), &entry.id, &mut record).await;
    entry.leave(&mut answer, &record);
    answer
}

async fn converse<V: Send + Sync + 'static>(
    state: &Arc<State<V>>,
    parts: &Parts,
    body: Body,
    peer: Option<SocketAddr>,
    id: &RequestId,
    record: &mut Record,
) -> Response<Body> {
    let media = Media::negotiate(&parts.headers);
    let cookies = Cookies::default();
    let asked = ask(state, parts, body, media, peer, id, &cookies, record);
    // A panic of a resolver costs its own request only.
    let mut answer = match AssertUnwindSafe(asked).catch_unwind().await {
        Ok(Ok(answer)) => answer,
        Ok(Err(fault)) => {
            record.code = Some(fault.code);
            fault.answer(media.unwrap_or(Media::Json), id)
        }
        Err(_) => {
            record.code = Some("INTERNAL");
            tracing::error!(request_id = id.as_str(), "a request panicked");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            let message = "something went wrong on our side";
            answer::refused(status, media.unwrap_or(Media::Json), "INTERNAL", message, id)
        }
    };
    for cookie in cookies.headers() {
        // A token that cannot stand in a header is none of ours.
        if let Ok(mut value) = HeaderValue::try_from(cookie) {
            value.set_sensitive(true);
            answer.headers_mut().append(SET_COOKIE, value);
        }
    }
    if parts.method == Method::OPTIONS {
        state.origins.preflight(&parts.headers, answer.headers_mut());
    } else {
        state.origins.grant(&parts.headers, answer.headers_mut());
    }
    answer
}

#[expect(clippy::too_many_arguments, reason = "what is known of one request")]
async fn ask<V: Send + Sync + 'static>(
    state: &Arc<State<V>>,
    parts: &Parts,
    body: Body,
    media: Option<Media>,
    peer: Option<SocketAddr>,
    id: &RequestId,
    cookies: &Cookies,
    record: &mut Record,
) -> Result<Response<Body>, Fault> {
    let form = match parts.method {
        Method::GET => Form::Address,
        Method::POST => Form::Body,
        Method::OPTIONS => return Ok(options()),
        _ => return Err(wrong_method("send GET or POST", "GET, POST, OPTIONS")),
    };
    let wants_events = sse::is_wanted(&parts.headers);
    let media = media.or(wants_events.then_some(Media::Json)).ok_or_else(|| {
        let message = "we answer application/json, application/graphql-response+json or text/event-stream";
        Fault::new(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", message)
    })?;
    if form == Form::Body {
        params::check_media(&parts.headers)?;
    }
    let credentials = Credentials::read(&parts.headers);
    let is_meant = state.origins.proves_intent(&parts.headers);
    if credentials.are_ambient && !is_meant {
        (state.note_page)(entry::whence(parts, peer, &state.proxies, *id), "/graphql").await;
        let message = "a request with cookies needs the header x-portal-csrf and an allowed origin";
        return Err(Fault::new(StatusCode::FORBIDDEN, "FORBIDDEN", message));
    }
    let cookies = cookies.receive(credentials.cookies, is_meant);
    record.caller = match (credentials.access, credentials.are_ambient) {
        (None, _) => "anonymous",
        (Some(_), true) => "cookie",
        (Some(_), false) => "bearer",
    };
    if credentials.are_malformed {
        if credentials.are_ambient {
            cookies.forget(ACCESS);
        }
        return Err(unauthenticated(&Error::Unauthenticated));
    }
    let viewer = match credentials.access {
        None => None,
        Some(token) => Some(match (state.recall)(token, customer(&parts.headers)) {
            Some(viewer) => viewer,
            None => (state.authenticate)(presented(token, &parts.headers)).await.map_err(|error| {
                // Else the browser would send it again, and could not even sign in.
                if credentials.are_ambient && matches!(error, Error::Unauthenticated) {
                    cookies.forget(ACCESS);
                }
                unauthenticated(&error)
            })?,
        }),
    };

    record.partner = viewer.as_ref().and_then(state.partner);
    let is_partner = record.partner.is_some();
    let bytes;
    let words = match form {
        Form::Address => parts.uri.query().unwrap_or_default().as_bytes(),
        Form::Body => {
            bytes = read(state, body).await?;
            &bytes
        }
    };
    let question = match state.questions.get(form, words) {
        Some(known) => known,
        None => Box::pin(admit(state, form, words)).await?.0,
    };
    record.question = Some(Arc::clone(&question));
    let is_allowed_by_get = match question.kind {
        OperationType::Query => true,
        OperationType::Subscription => wants_events,
        OperationType::Mutation => false,
    };
    if form == Form::Address && !is_allowed_by_get {
        return Err(wrong_method("a GET only queries", "POST"));
    }
    let explain = state.explains && parts.headers.get(X_EXPLAIN).is_some_and(|value| value == "1");
    let mut is_old = false;
    if let (Some(answers), Some(viewer), false) =
        (&state.answers, &viewer, wants_events || explain || is_partner)
    {
        match answers.get(viewer, &question) {
            Found::Standing(kept) => {
                record.note(Outcome::Hit);
                let body = kept.answer.body(&kept.basis.seen, state.clock.now(), id);
                let answer = answer::whole(body, media);
                return Ok(match kept.answer.tag() {
                    Some(tag) if form == Form::Address => {
                        answer::validated(answer, tag.clone(), &parts.headers, true)
                    }
                    _ => answer,
                });
            }
            Found::Old => is_old = true,
            Found::Nothing => {}
        }
    }
    let asker = |admitted: &Admitted| Asker {
        viewer,
        origin: entry::whence(parts, peer, &state.proxies, *id),
        budget: Budget::new(state.answer_within, if is_partner { Lane::Partner } else { Lane::Interactive }),
        cookies,
        cost: admitted.cost,
        hashes: admitted.hashes,
        explain,
    };
    // Boxed, so that the future of a hit stays small.
    Box::pin(async move {
        let admitted = match question.admitted() {
            Some(admitted) => admitted,
            None => admit(state, form, words).await?.1,
        };
        let asker = asker(&admitted);
        let operation = Operation::new(admitted, question.variables.clone());
        if wants_events {
            return sse::answer(state, operation, asker);
        }
        let is_personal = asker.viewer.is_some();
        let owner = state.answers.as_ref().zip(asker.viewer.as_ref());
        let owner = owner.map(|(answers, viewer)| answers.owner(viewer));
        let answered = timeout(state.answer_within + SLACK, (state.execute)(operation.request, asker)).await;
        let Executed { response, reader } = answered.map_err(|_| {
            let status = StatusCode::GATEWAY_TIMEOUT;
            Fault::new(status, "DEADLINE_EXCEEDED", "the request took too long")
        })?;
        let seen = reader.as_ref().map(Reader::seen).unwrap_or_default();
        let Written { answer, data } = answer::executed(response, &seen, state.clock.now(), media, id);
        let tag = match form {
            Form::Address => data.as_deref().and_then(finished::entity_tag),
            Form::Body => None,
        };
        if is_partner {
            record.note(Outcome::Partner);
        } else if let Some(answers) = &state.answers {
            record.note(match answers.keep(owner, &question, data, reader.as_ref()) {
                Outcome::Miss if is_old => Outcome::Old,
                outcome => outcome,
            });
        }
        Ok(match tag {
            Some(tag) => answer::validated(answer, tag, &parts.headers, is_personal),
            None => answer,
        })
    })
    .await
}

/// The customer whom a request names. Named twice, it is nobody.
pub(super) fn customer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(PORTAL_CUSTOMER).iter();
    let first = values.next()?;
    Some(first.to_str().ok().filter(|_| values.next().is_none()).unwrap_or_default())
}

fn presented(token: &str, headers: &HeaderMap) -> Presented {
    Presented { token: token.to_owned(), customer: customer(headers).map(str::to_owned) }
}

/// Reads and judges what was not asked before.
async fn admit<V>(state: &State<V>, form: Form, words: &[u8]) -> Result<(Arc<Question>, Admitted), Fault> {
    let params = match form {
        // An address is text.
        Form::Address => Params::from_address(std::str::from_utf8(words).unwrap_or_default(), &state.guard)?,
        Form::Body => Params::from_body(words, &state.guard)?,
    };
    let operation_name = params.operation_name.as_deref();
    let admitted = state.guard.admit(&params.query, &params.variables, operation_name).await?;
    let question = Arc::new(Question::new(&admitted, params.variables));
    state.questions.insert(form, words, &question);
    Ok((question, admitted))
}

async fn read<V>(state: &State<V>, body: Body) -> Result<Bytes, Fault> {
    let too_large =
        || Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", "the body is too large");
    // A body that says so itself is not waited for.
    if body.size_hint().lower() > state.body_bytes as u64 {
        return Err(too_large());
    }
    let limited = Limited::new(body, state.body_bytes).collect();
    match timeout(state.body_within, limited).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Fault::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", "the body broke off")),
        Err(_) => Err(Fault::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "the body took too long")),
    }
}

fn options() -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST, OPTIONS"));
    answer
}

fn wrong_method(message: &'static str, allowed: &'static str) -> Fault {
    Fault::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
        .with(ALLOW, HeaderValue::from_static(allowed))
}

/// A token that cannot be verified, because it is bad or because we cannot tell now.
pub(super) fn unauthenticated(error: &Error) -> Fault {
    let header = |name: HeaderName, value| (name, HeaderValue::from_static(value));
    let (status, message, (name, value)) = match error {
        Error::Unauthenticated => {
            (StatusCode::UNAUTHORIZED, "sign in to continue", header(WWW_AUTHENTICATE, "Bearer"))
        }
        Error::Forbidden => {
            (StatusCode::FORBIDDEN, "this account may not do that", header(WWW_AUTHENTICATE, "Bearer"))
        }
        Error::NotGranted => (
            StatusCode::FORBIDDEN,
            "no customer of this id has granted this partner access",
            header(WWW_AUTHENTICATE, "Bearer"),
        ),
        Error::RateLimited { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "too many requests", header(RETRY_AFTER, "1"))
        }
        _ => (StatusCode::SERVICE_UNAVAILABLE, "sessions cannot be checked now", header(RETRY_AFTER, "1")),
    };
    Fault::new(status, error.code(), message).with(name, value)
}
