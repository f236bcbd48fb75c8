//! One operation over a connection that stays open: a query, a mutation, or a subscription with its deliveries.
//!
//! The document passes the same guard as a request of its own.

use std::{panic::AssertUnwindSafe, sync::Arc};

use async_graphql::{Request, Response, Value, Variables, parser::types::OperationType};
use futures::{
    StreamExt,
    future::ready,
    stream::{self, BoxStream},
};
use tokio::time::timeout;

use crate::freshness::Reader;
use crate::http::{
    Asker, Executed, State, Streams,
    answer::{self, Fault},
    finished,
    graphql::SLACK,
    guard::Admitted,
    params::Params,
};
use crate::schema::policy::DocumentName;

/// What an open connection has to say about an operation.
#[derive(Debug)]
pub(super) enum Said {
    /// An answer, as JSON.
    Next(String),
    /// Nothing was executed: the errors, as JSON. Nothing follows.
    Refused(String),
    /// It is done.
    Complete,
    /// The reader was too slow for it.
    Lagged,
}

/// An operation that was admitted.
pub(super) struct Operation {
    pub request: Request,
    pub admitted: Admitted,
}

impl Operation {
    /// Holds what is asked against the limits.
    pub(super) async fn admit<V>(state: &State<V>, params: Params<'_>) -> Result<Self, Fault> {
        let name = params.operation_name.as_deref();
        let admitted = state.guard.admit(&params.query, &params.variables, name).await?;
        Ok(Self::new(admitted, params.variables))
    }

    /// An operation of a document that was admitted, which stands for its text.
    pub(super) fn new(admitted: Admitted, variables: Variables) -> Self {
        let name = DocumentName(admitted.document.hash);
        let mut request = Request::new("").variables(variables).data(name);
        request.operation_name.clone_from(&admitted.operation_name);
        request.set_parsed_query(admitted.document.parsed.clone());
        Self { request, admitted }
    }

    /// Runs it, and says each answer.
    pub(super) fn run<V: Send + 'static>(
        self,
        state: Arc<State<V>>,
        streams: &Streams<V>,
        asker: Asker<V>,
    ) -> BoxStream<'static, Said> {
        let id = asker.origin.request_id;
        let is_subscription = self.admitted.kind == OperationType::Subscription;
        let answers = if is_subscription {
            (streams.subscribe)(self.request, asker)
        } else {
            stream::once(execute(state, self.request, asker)).boxed()
        };
        let mut has_failed = false;
        // A panic of a resolver costs its own operation only.
        let answers = AssertUnwindSafe(answers).catch_unwind().map(Some).chain(stream::once(ready(None)));
        let said = answers.scan(false, move |is_over, answer| {
            if *is_over {
                return ready(None);
            }
            let said = match answer {
                Some(Ok(answer)) => {
                    has_failed |= answer.data == Value::Null;
                    match answer::message(answer, &id) {
                        Ok(next) => Said::Next(next),
                        Err(errors) => Said::Refused(errors),
                    }
                }
                Some(Err(_)) => {
                    tracing::error!(request_id = id.as_str(), "an operation panicked");
                    Said::Refused(answer::errors("INTERNAL", "something went wrong on our side"))
                }
                // Only a reader that is too slow ends a subscription that had begun.
                None if is_subscription && !has_failed => Said::Lagged,
                None => Said::Complete,
            };
            *is_over = matches!(said, Said::Refused(_));
            ready(Some(said))
        });
        said.boxed()
    }
}

async fn execute<V>(state: Arc<State<V>>, request: Request, asker: Asker<V>) -> Response {
    let answered = timeout(state.answer_within + SLACK, (state.execute)(request, asker));
    match answered.await {
        Ok(Executed { mut response, reader }) => {
            let seen = reader.as_ref().map(Reader::seen).unwrap_or_default();
            finished::tell(&mut response, &seen, state.clock.now());
            response
        }
        Err(_) => answer::too_late(),
    }
}
