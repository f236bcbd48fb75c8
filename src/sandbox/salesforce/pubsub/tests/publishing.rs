//! Platform events from outside.

use super::*;
use crate::sandbox::salesforce::pubsub::{
    definition::to_avro,
    generated::{ProducerEvent, PublishRequest, PublishResponse},
    platform::platform_event,
};
use crate::sandbox::salesforce::schema::field::Kind;

const FULFILMENT: &str = "/event/Order_Fulfilment_Requested__e";

/// An event as a publisher writes it.
fn produced(bench: &Bench, id: &str) -> ProducerEvent {
    let definition = bench.org().bus.topic(FULFILMENT).unwrap().definition;
    let body = json!({"OrderId__c": order(1)});
    let mut fields = vec![
        ("CreatedDate".to_owned(), apache_avro::types::Value::Long(1)),
        ("CreatedById".to_owned(), to_avro(Kind::Text, &json!(integration_user())).unwrap()),
    ];
    let event = platform_event("Order_Fulfilment_Requested__e").unwrap();
    fields.extend(event.read(body.as_object().unwrap()).unwrap());
    ProducerEvent {
        id: id.to_owned(),
        schema_id: definition.schema_id.clone(),
        payload: definition.encode(fields).unwrap(),
        headers: Vec::new(),
    }
}

fn request(topic: &str, events: Vec<ProducerEvent>) -> PublishRequest {
    PublishRequest { topic_name: topic.to_owned(), events, auth_refresh: String::new() }
}

#[tokio::test]
async fn each_published_event_has_its_own_result() {
    let bench = Bench::start().await;
    let mut subscriber = bench.latest(FULFILMENT, 10).await;
    let broken = ProducerEvent { payload: vec![1], ..produced(&bench, "b") };
    let publish = async |request| -> Result<PublishResponse, Status> {
        Ok(bench.client.clone().publish(bench.authorised(request)).await?.into_inner())
    };
    let events = vec![produced(&bench, "a"), broken, produced(&bench, "c")];
    let results = publish(request(FULFILMENT, events)).await.unwrap().results;
    let keys: Vec<_> = results.iter().map(|result| result.correlation_key.as_str()).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    assert!(results[1].error.is_some() && results[1].replay_id.is_empty());
    let delivered = subscriber.events(2).await;
    assert_eq!(delivered[0].replay_id, results[0].replay_id);
    assert_eq!(delivered[1].event.as_ref().unwrap().id, "c");
    assert_eq!(bench.decode(&delivered[0]).await["OrderId__c"], order(1));
    for (topic, events, expected) in [
        (CASES, vec![produced(&bench, "x")], "topic.meta.permission"),
        ("/event/Nope__e", vec![produced(&bench, "x")], "topic.not.found"),
        ("", vec![], "publish.topic.validation.empty"),
        (FULFILMENT, vec![], "publish.event.count.invalid"),
    ] {
        assert_eq!(code(&publish(request(topic, events)).await.unwrap_err()), expected);
    }
}

#[tokio::test]
async fn a_stream_of_requests_is_answered_in_order_and_keeps_to_one_topic() {
    let bench = Bench::start().await;
    let requests = [
        request(FULFILMENT, vec![produced(&bench, "1")]),
        request("", vec![produced(&bench, "2")]),
        request("/event/Account_Internet_Eligibility_Update__e", vec![produced(&bench, "3")]),
    ];
    let stream = bench.authorised(futures::stream::iter(requests));
    let mut answers = bench.client.clone().publish_stream(stream).await.unwrap().into_inner();
    for id in ["1", "2"] {
        assert_eq!(soon(answers.message()).await.unwrap().unwrap().results[0].correlation_key, id);
    }
    assert_eq!(code(&soon(answers.message()).await.unwrap_err()), "publish.topic.mismatch");
}

#[tokio::test]
async fn rest_publishes_an_event_and_shows_its_schema() {
    let bench = Bench::start().await;
    let mut subscriber = bench.latest(FULFILMENT, 10).await;
    let data = format!("{}/services/data/v68.0", bench.sandbox.salesforce_url());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |body: Value| -> (u16, Value) {
        let url = format!("{data}/sobjects/Order_Fulfilment_Requested__e");
        let response = client.post(url).bearer_auth(&bench.token).json(&body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    };
    let (status, answer) = post(json!({"OrderId__c": order(2)})).await;
    assert_eq!((status, &answer["errors"][0]["statusCode"]), (201, &json!("OPERATION_ENQUEUED")));
    assert!(answer["id"].as_str().unwrap().starts_with("e00"));
    for (body, expected) in [
        (json!({}), "REQUIRED_FIELD_MISSING"),
        (json!({"OrderId__c": order(2), "Nope__c": 1}), "INVALID_FIELD"),
        (json!({"OrderId__c": "x".repeat(19)}), "STRING_TOO_LONG"),
    ] {
        let (status, answer) = post(body).await;
        assert_eq!((status, &answer[0]["errorCode"]), (400, &json!(expected)));
    }
    let event = &subscriber.events(1).await[0];
    assert_eq!(event.event.as_ref().unwrap().id, answer["errors"][0]["message"].as_str().unwrap());
    let schema_id = &event.event.as_ref().unwrap().schema_id;
    for path in [
        "sobjects/Order_Fulfilment_Requested__e/eventSchema".to_owned(),
        format!("event/eventSchema/{schema_id}"),
    ] {
        let response = client.get(format!("{data}/{path}")).bearer_auth(&bench.token).send().await.unwrap();
        assert_eq!(response.json::<Value>().await.unwrap()["uuid"], json!(schema_id));
    }
}
