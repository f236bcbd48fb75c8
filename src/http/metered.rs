//! What a partner's request costs: taken before it runs, given back as far as it was not needed, and told in
//! `extensions.cost`, as Shopify tells it.

use async_graphql::{Request, Response, ServerError, Value};
use futures::{FutureExt, StreamExt, future::ready, stream::BoxStream, stream::once};
use serde_json::json;

use crate::identity::{Balance, Identity, Representative, Unpaid};

/// A request that was paid for.
pub(super) struct Paid {
    caller: Representative,
    requested: u64,
}

/// Takes what a request may cost at most.
///
/// # Errors
/// The answer that refuses it.
pub(super) async fn pay(
    identity: &Identity,
    caller: &Representative,
    requested: u64,
) -> Result<Paid, Response> {
    match identity.charge(caller, requested).await {
        Ok(_) => Ok(Paid { caller: *caller, requested }),
        Err(unpaid) => Err(refusal(unpaid, requested)),
    }
}

impl Paid {
    /// Gives back what the answer did not need, and tells in it how the budget stands.
    pub(super) async fn settle(self, identity: &Identity, response: &mut Response) {
        // Without data nothing ran, or all of it failed.
        let is_refused = response.data == Value::Null && !response.errors.is_empty();
        let actual = if is_refused { 0 } else { fields(&response.data).clamp(1, self.requested.max(1)) };
        let balance = identity.settle(&self.caller, self.requested, actual, is_refused).await;
        response.extensions.insert("cost".to_owned(), told(self.requested, Some(actual), balance));
    }
}

/// Begins a subscription that was paid for: it costs what its document does, whatever it delivers.
pub(super) fn subscribe(
    identity: Identity,
    caller: Representative,
    requested: u64,
    request: Request,
    begin: impl FnOnce(Request) -> BoxStream<'static, Response> + Send + 'static,
) -> BoxStream<'static, Response> {
    let begun = async move {
        match pay(&identity, &caller, requested).await {
            Err(refused) => once(ready(refused)).boxed(),
            Ok(Paid { caller, requested }) => {
                identity.settle(&caller, requested, requested, false).await;
                begin(request)
            }
        }
    };
    begun.flatten_stream().boxed()
}

fn refusal(unpaid: Unpaid, requested: u64) -> Response {
    let (code, message, wait, balance) = match unpaid {
        Unpaid::Wait(wait, balance) => ("RATE_LIMITED", "too many requests", Some(wait), balance),
        Unpaid::TooDear(balance) => {
            ("COST_LIMIT", "this costs more than the whole budget of this partner", None, balance)
        }
    };
    let mut error = ServerError::new(message, None);
    let extensions = error.extensions.get_or_insert_default();
    extensions.set("code", code);
    extensions.set("retryable", wait.is_some());
    if let Some(wait) = wait {
        extensions.set("retryAfterMs", i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
    }
    Response::from_errors(vec![error]).extension("cost", told(requested, None, balance))
}

fn told(requested: u64, actual: Option<u64>, balance: Balance) -> Value {
    let told = json!({
        "requestedQueryCost": requested,
        "actualQueryCost": actual,
        "throttleStatus": {
            "maximumAvailable": balance.maximum,
            "currentlyAvailable": balance.available,
            "restoreRate": balance.restore_rate,
        },
    });
    async_graphql::to_value(told).unwrap_or_default()
}

/// The fields that an answer has.
fn fields(value: &Value) -> u64 {
    match value {
        Value::Object(object) => object.values().map(|value| 1 + fields(value)).sum(),
        Value::List(items) => items.iter().map(fields).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_costs_its_fields() {
        let count = |value| fields(&async_graphql::to_value(value).unwrap_or_default());
        assert_eq!(count(json!({ "viewer": null })), 1);
        assert_eq!(
            count(json!({ "viewer": { "id": "x", "list": [{ "a": 1, "b": 2 }, { "a": 1, "b": null }] } })),
            7
        );
    }
}
