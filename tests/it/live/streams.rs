//! Event streams: the same over one answer that does not end.

use std::time::Duration;

use portal_gateway::notify::{Hint, Subject, Topic};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{CHANGED, ids};
use crate::{
    gateway::{Customer, Gateway},
    wire::{Reply, post},
};

pub fn request(gateway: &Gateway, customer: &Customer<'_>, query: &str) -> reqwest::RequestBuilder {
    gateway
        .request("POST", "/graphql")
        .header("accept", "text/event-stream")
        .bearer_auth(customer.token.as_ref().unwrap())
        .json(&json!({ "query": query }))
}

/// An event stream under way.
pub struct Events {
    answer: reqwest::Response,
    text: String,
}

pub async fn events(gateway: &Gateway, customer: &Customer<'_>, query: &str) -> Events {
    let answer = request(gateway, customer, query).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
    Events { answer, text: String::new() }
}

impl Events {
    /// The next event, as its name and data.
    pub async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .unwrap_or_default()
                        .trim()
                        .to_owned()
                };
                if event.starts_with(':') {
                    continue;
                }
                return (field("event:"), serde_json::from_str(&field("data:")).unwrap_or_default());
            }
            let bytes =
                timeout(Duration::from_secs(30), self.answer.chunk()).await.expect("silence").unwrap();
            self.text += std::str::from_utf8(&bytes.expect("the end")).unwrap();
        }
    }

    /// What follows, to the end.
    pub async fn rest(&mut self) -> String {
        while let Ok(Some(bytes)) = timeout(Duration::from_secs(30), self.answer.chunk()).await.expect("open")
        {
            self.text += std::str::from_utf8(&bytes).unwrap();
        }
        std::mem::take(&mut self.text)
    }
}

#[tokio::test]
async fn an_event_stream_brings_updates_and_ends_a_query() {
    let gateway = Gateway::start().await;
    let taro = gateway.sign_in(1).await;
    let mut updates = events(&gateway, &taro, CHANGED).await;
    let (client, _) = ids(&gateway, &taro).await;
    gateway.app.live.publish(Hint::new(Topic::Client(client), Subject::Profile)).await;
    let (event, answer) = updates.next().await;
    assert_eq!(event, "next");
    assert_eq!(answer["data"]["accountChanged"], json!({ "kind": "PROFILE", "id": null }));

    let mut query = events(&gateway, &taro, "{ viewer { id } }").await;
    assert!(query.next().await.1["data"]["viewer"]["id"].is_string());
    assert_eq!(query.next().await.0, "complete");
    assert_eq!(query.rest().await, "");

    // By address, as an EventSource asks.
    let path = "/graphql?query=subscription%7BaccountChanged%7Bkind%7D%7D";
    let by_address = || gateway.request("GET", path).bearer_auth(taro.token.as_ref().unwrap());
    let answer = by_address().header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(by_address().send().await.unwrap().status(), 405, "without the wish for events");
    let mutation = "/graphql?query=mutation%7BsessionEnd%7Bended%7D%7D";
    let refused = gateway.request("GET", mutation).header("accept", "text/event-stream");
    assert_eq!(Reply::to(refused).await.status, 405);
}

#[tokio::test]
async fn event_streams_are_refused_as_any_request_is() {
    let gateway = Gateway::start().await;
    let events = ("accept", "text/event-stream");
    let body = json!({ "query": CHANGED }).to_string();
    let cookie = ("cookie", "__Host-access=abc");
    let own = ("origin", "http://localhost:4000");
    for (headers, body, status) in [
        (vec![events, cookie, own], body.as_str(), 403),
        (vec![events, cookie, ("x-portal-csrf", "1")], body.as_str(), 403),
        (vec![events, ("authorization", "Bearer x")], body.as_str(), 401),
        (vec![events], "[]", 400),
        (vec![events, ("content-type", "text/plain")], body.as_str(), 415),
    ] {
        let reply = post(&gateway, &headers, body).await;
        assert_eq!(reply.status, status, "{headers:?} {reply:?}");
    }
    // Nobody has nothing to listen to.
    let reply = post(&gateway, &[events], body).await;
    assert!(reply.text.contains("UNAUTHENTICATED") && reply.text.ends_with("event: complete\ndata:\n\n"));
}
