//! Salesforce's part of the admin endpoint: records as the staff writes them, and the event bus.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{patch, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::sandbox::salesforce::{org::Org, refusal::Refusal};

/// What befalls the event bus. The body of `POST /salesforce/events`.
#[derive(Debug, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
enum Act {
    /// Every stream ends, with a vendor's code or without one.
    DropStreams { code: Option<String> },
    /// Every connection is cut.
    DropConnections,
    /// A topic forgets its events and its positions.
    Reset { topic: String },
    /// The newest event of a topic comes once more.
    Repeat { topic: String },
    /// A topic's definition gets another field.
    ChangeSchema { topic: String },
    /// A change that tells no fields.
    Gap {
        object: String,
        kind: String,
        #[serde(default)]
        ids: Vec<String>,
    },
    /// A platform event.
    Publish { event: String, values: Value },
    /// An event that cannot be read.
    Garbage { topic: String },
}

/// The routes, under `/salesforce`.
pub fn router(org: Arc<Org>) -> Router {
    Router::new()
        .route("/salesforce/records/{object}", post(create))
        .route("/salesforce/records/{object}/{id}", patch(edit).delete(delete))
        .route("/salesforce/events", post(act))
        .with_state(org)
}

type Body<T> = Result<Json<T>, JsonRejection>;

async fn create(State(org): State<Arc<Org>>, Path(object): Path<String>, body: Body<Value>) -> Response {
    answer(body, |body| {
        let id = org.create(&object, &body)?;
        Ok((StatusCode::CREATED, Json(json!({ "id": id.as_str() }))).into_response())
    })
}

async fn edit(
    State(org): State<Arc<Org>>,
    Path((object, id)): Path<(String, String)>,
    body: Body<Value>,
) -> Response {
    answer(body, |body| {
        org.edit(&object, &id, &body)?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
}

async fn delete(State(org): State<Arc<Org>>, Path((object, id)): Path<(String, String)>) -> Response {
    answer(Ok(Json(())), |()| {
        org.delete(&object, &id)?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
}

async fn act(State(org): State<Arc<Org>>, act: Body<Act>) -> Response {
    answer(act, |act| {
        let there = |topic: &str| org.bus.topic(topic).map(drop).ok_or_else(Refusal::not_found);
        let result = match act {
            Act::DropStreams { code } => json!({ "streams": org.bus.drop_streams(code.as_deref()) }),
            Act::DropConnections => {
                org.bus.drop_connections();
                json!({})
            }
            Act::Reset { topic } => {
                there(&topic)?;
                org.bus.reset(&topic);
                json!({})
            }
            Act::Repeat { topic } => {
                there(&topic)?;
                json!({ "repeated": org.bus.repeat(&topic, org.core.clock.now()) })
            }
            Act::ChangeSchema { topic } => {
                json!({ "schema_id": org.bus.change_schema(&topic).ok_or_else(Refusal::not_found)? })
            }
            Act::Gap { object, kind, ids } => {
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                org.publish_gap(&object, &kind, &ids)?;
                json!({})
            }
            Act::Publish { event, values } => json!({ "event": org.publish_event(&event, &values)? }),
            Act::Garbage { topic } => {
                org.publish_garbage(&topic)?;
                json!({})
            }
        };
        Ok(Json(result).into_response())
    })
}

fn answer<T>(body: Body<T>, work: impl FnOnce(T) -> Result<Response, Refusal>) -> Response {
    let refuse = |status, error: String| (status, Json(json!({ "error": error }))).into_response();
    match body {
        Err(rejection) => refuse(StatusCode::BAD_REQUEST, rejection.body_text()),
        Ok(Json(body)) => work(body).unwrap_or_else(|refusal| {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
            refuse(status, format!("{}: {}", refusal.code, refusal.message))
        }),
    }
}
