//! Platform events over REST: publishing one, and the schemas. Source: Salesforce reference §18.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::sandbox::{
    salesforce::{
        answer::Answer,
        call::Call,
        node::Node,
        pubsub::{platform::platform_event, topic::of_event},
        refusal::Refusal,
        rest::{Desk, Held, allow},
    },
    world::ids::sf_id,
};

/// Key prefix of the id that a publisher is given.
const PREFIX: &str = "e00";

/// `/sobjects/{event}__e` and what is under it.
///
/// # Errors
/// Unknown event; values that do not fit.
pub fn events(desk: &mut Desk<'_>, call: &Call, name: &str, rest: &[&str]) -> Result<Answer, Refusal> {
    let event = platform_event(name).ok_or_else(Refusal::not_found)?;
    match rest {
        [] => {
            allow(call, &["POST"])?;
            let values = event.read(call.object()?)?;
            let Held::Write(overlay) = &mut desk.held else { return Err(Refusal::not_found()) };
            let uuid = Uuid::new_v4().to_string();
            let number = overlay.next_number();
            let id = sf_id(PREFIX, number / 4096, (number % 4096) as u32);
            overlay.announce((uuid.clone(), event, values));
            let enqueued = json!({"statusCode": "OPERATION_ENQUEUED", "message": uuid, "fields": []});
            let body = Node::object([
                ("id", Node::from(id.as_str())),
                ("success", true.into()),
                ("errors", Node::Value(json!([enqueued]))),
            ]);
            Ok(Answer::json(201, body))
        }
        ["eventSchema"] => {
            allow(call, &["GET"])?;
            let topic = desk.org.bus.topic(&of_event(event.name)).ok_or_else(Refusal::not_found)?;
            schema(&topic.definition.schema_json)
        }
        _ => Err(Refusal::not_found()),
    }
}

/// `/event/eventSchema/{id}`.
///
/// # Errors
/// 404.
pub fn schema_by_id(desk: &Desk<'_>, call: &Call, id: &str) -> Result<Answer, Refusal> {
    allow(call, &["GET"])?;
    schema(&desk.org.bus.definition(id).ok_or_else(Refusal::not_found)?.schema_json)
}

fn schema(json: &str) -> Result<Answer, Refusal> {
    let schema: Value = serde_json::from_str(json).map_err(|_| Refusal::not_found())?;
    Ok(Answer::ok(Node::Value(schema)))
}
