//! What may be said on a socket, and when.

use std::time::Duration;

use portal_gateway::notify::{Hint, Subject, Topic};
use serde_json::json;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::{CHANGED, INVOICES, PROTOCOL};
use crate::{gateway::Gateway, socket::Socket, wire::ask};

#[tokio::test]
async fn a_page_that_is_not_on_the_list_opens_no_socket() {
    let gateway = Gateway::start().await;
    let cookie = "__Host-access=abc";
    for (headers, refused) in [
        (vec![("origin", "https://evil.example")], true),
        (vec![("origin", "null")], true),
        (vec![("origin", "http://localhost:4000.evil.example")], true),
        (vec![("cookie", cookie)], true),
        (vec![("cookie", cookie), ("origin", "https://evil.example")], true),
        (vec![("cookie", cookie), ("sec-fetch-site", "cross-site")], true),
        (vec![("origin", "http://localhost:4000")], false),
        (vec![("origin", "http://localhost:4000"), ("cookie", cookie)], false),
        (vec![("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")], false),
        (vec![], false),
    ] {
        let all: Vec<_> = headers.iter().copied().chain([PROTOCOL]).collect();
        let opened = Socket::with(&gateway, &all).await;
        assert_eq!(opened.err(), refused.then_some(403), "{headers:?}");
    }
}

#[tokio::test]
async fn a_socket_without_our_protocol_is_closed() {
    let gateway = Gateway::start().await;
    let mut socket = Socket::with(&gateway, &[]).await.unwrap();
    assert_eq!(socket.closed().await.0, 4406);
}

#[tokio::test]
async fn a_socket_that_does_not_begin_in_time_is_closed() {
    let gateway = Gateway::start().await;
    let began = Instant::now();
    let mut socket = Socket::open(&gateway).await;
    assert_eq!(socket.closed().await.0, 4408);
    assert!((Duration::from_secs(3)..Duration::from_secs(5)).contains(&began.elapsed()));
}

#[tokio::test]
async fn what_may_not_be_said_before_the_beginning_closes() {
    let gateway = Gateway::start().await;
    let subscribe = json!({ "id": "1", "type": "subscribe", "payload": { "query": CHANGED } });
    for (message, code) in [
        (subscribe.to_string(), 4401),
        ("hello".to_owned(), 4400),
        (json!({ "type": "hello" }).to_string(), 4400),
        (json!({ "type": "connection_init" }).to_string(), 4403),
        (json!({ "type": "connection_init", "payload": { "authorization": "Bearer x" } }).to_string(), 4403),
        (json!({ "type": "connection_init", "payload": { "authorization": "x" } }).to_string(), 4403),
    ] {
        let mut socket = Socket::open(&gateway).await;
        // A sign of life is no beginning.
        socket.settle().await;
        socket.send(Message::text(message.clone())).await;
        assert_eq!(socket.closed().await.0, code, "{message}");
    }
}

#[tokio::test]
async fn what_may_not_be_said_later_closes() {
    let gateway = Gateway::start().await;
    let taro = gateway.sign_in(1).await;
    let long = "あ".repeat(42);
    let subscribe = |id: &str| {
        Message::text(json!({ "id": id, "type": "subscribe", "payload": { "query": CHANGED } }).to_string())
    };
    for (messages, code) in [
        (vec![Message::text(r#"{"type":"connection_init"}"#)], 4429),
        (vec![subscribe("1"), subscribe("1")], 4409),
        (vec![subscribe(&long), subscribe(&long)], 4409),
        (vec![Message::text("{")], 4400),
        (vec![Message::text("")], 4400),
        (vec![Message::text(r#"{"type":"stop","id":"1"}"#)], 4400),
        (vec![Message::text(r#"{"type":"subscribe","id":"1","payload":{"query":1}}"#)], 4400),
        (vec![Message::text(r#"{"type":"subscribe","id":"1","payload":{}}"#)], 4400),
        (vec![Message::binary(vec![1, 2, 3])], 4400),
        (vec![Message::text("x".repeat(64 * 1024 + 1))], 1009),
    ] {
        let mut socket = Socket::of(&gateway, &taro).await;
        let what = format!("{messages:?}");
        for message in messages {
            socket.send(message).await;
        }
        let (closed, reason) = socket.closed().await;
        assert_eq!(closed, code, "{}", what.get(..200).unwrap_or(&what));
        assert!(reason.len() <= 123, "{reason}");
    }
}

#[tokio::test]
async fn a_message_of_the_largest_size_is_heard() {
    let gateway = Gateway::start().await;
    let taro = gateway.sign_in(1).await;
    let mut socket = Socket::of(&gateway, &taro).await;
    let empty = json!({ "type": "ping", "payload": { "x": "" } }).to_string().len();
    let ping = json!({ "type": "ping", "payload": { "x": "y".repeat(64 * 1024 - empty) } });
    assert_eq!(ping.to_string().len(), 64 * 1024);
    socket.say(ping).await;
    assert_eq!(socket.hear().await["type"], "pong");
}

#[tokio::test]
async fn a_socket_runs_twenty_operations_and_refuses_the_next() {
    let gateway = Gateway::start().await;
    let taro = gateway.sign_in(1).await;
    let mut socket = Socket::of(&gateway, &taro).await;
    for n in 0..20 {
        socket.subscribe(&n.to_string(), CHANGED).await;
    }
    socket.subscribe("20", CHANGED).await;
    let refused = socket.hear().await;
    assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("20")));
    assert_eq!(refused["payload"][0]["extensions"]["code"], "OPERATION_LIMIT");
    // One that is ended makes room, and its id may be used again.
    socket.say(json!({ "id": "7", "type": "complete" })).await;
    socket.subscribe("7", CHANGED).await;
    socket.settle().await;
    gateway.app.live.publish(Hint::new(Topic::Everyone, Subject::Catalogue)).await;
    let mut heard = Vec::new();
    for _ in 0..20 {
        let update = socket.hear().await;
        assert_eq!(update["payload"]["data"]["accountChanged"]["kind"], "CATALOGUE");
        heard.push(update["id"].as_str().unwrap().parse::<u32>().unwrap());
    }
    heard.sort_unstable();
    assert_eq!(heard, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn documents_over_a_socket_pass_the_guard() {
    let gateway = Gateway::start().await;
    let taro = gateway.sign_in(1).await;
    let mut socket = Socket::of(&gateway, &taro).await;
    let aliases: String = (0..31).map(|n| format!("a{n}: kind ")).collect();
    for (query, code) in [
        (format!("subscription {{ accountChanged {{ {aliases} }} }}"), "ALIAS_LIMIT"),
        ("subscription { accountChanged { nothing } }".to_owned(), "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { accountChanged { kind }".to_owned(), "GRAPHQL_PARSE_FAILED"),
        (format!("{{ viewer {{ id }} }} # {}", "x".repeat(16 * 1024)), "DOCUMENT_TOO_LARGE"),
        ("query($id: ID!) { node(id: $id) { id } }".to_owned(), "BAD_USER_INPUT"),
    ] {
        socket.subscribe("1", &query).await;
        let refused = socket.hear().await;
        assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("1")), "{refused}");
        assert_eq!(refused["payload"][0]["extensions"]["code"], code, "{refused}");
        assert!(refused.to_string().len() < 4096);
    }
}

#[tokio::test]
async fn queries_and_mutations_are_answered_too() {
    let gateway = Gateway::start().await;
    let taro = gateway.sign_in(1).await;
    let mut socket = Socket::of(&gateway, &taro).await;
    socket.subscribe("q", INVOICES).await;
    let over_post = taro.ask(INVOICES, json!({})).await.data();
    assert_eq!(socket.update("q").await, over_post);
    assert_eq!(socket.hear().await, json!({ "id": "q", "type": "complete" }));
    socket.subscribe("m", "mutation { notificationMarkAllRead { markedCount userErrors { code } } }").await;
    assert_eq!(
        socket.update("m").await,
        json!({ "notificationMarkAllRead": { "markedCount": 0, "userErrors": [] } })
    );
    assert_eq!(socket.hear().await["type"], "complete");
    // Cookies cannot be set here, so nobody is signed in by them.
    let input = json!({ "email": "x@example.jp", "password": "x", "delivery": "COOKIES" });
    let sign_in =
        "mutation($input: SessionCreateInput!) { sessionCreate(input: $input) { session { refreshToken } } }";
    socket.subscribe_with("s", sign_in, json!({ "input": input })).await;
    let answer = socket.hear().await;
    assert_eq!(answer["payload"]["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{answer}");
}

#[tokio::test]
async fn beside_cookies_a_mutation_needs_the_word_of_a_script() {
    let gateway = Gateway::start().await;
    let email = gateway.sandbox.core().world.customer(1).email.clone();
    let input = json!({
        "email": email,
        "password": portal_gateway::sandbox::credentials::DEMO_PASSWORD,
        "deviceToken": portal_gateway::sandbox::credentials::DEMO_DEVICE,
        "delivery": "COOKIES",
    });
    let page = [("origin", "http://localhost:4000"), ("x-portal-csrf", "1")];
    let signed_in = ask(&gateway, &page, crate::sessions::SIGN_IN, json!({ "input": input })).await;
    let cookies: Vec<_> =
        signed_in.cookies().iter().map(|cookie| cookie.split(';').next().unwrap().to_owned()).collect();
    let cookies = cookies.join("; ");
    let headers = [PROTOCOL, ("origin", "http://localhost:4000"), ("cookie", cookies.as_str())];
    for (payload, is_allowed) in [(json!({}), false), (json!({ "x-portal-csrf": "1" }), true)] {
        let mut socket = Socket::with(&gateway, &headers).await.unwrap();
        socket.say(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.hear().await["type"], "connection_ack");
        socket.subscribe("q", "{ viewer { id } }").await;
        assert!(socket.update("q").await["viewer"]["id"].is_string());
        assert_eq!(socket.hear().await["type"], "complete");
        socket.subscribe("m", "mutation { notificationMarkAllRead { markedCount } }").await;
        let answer = socket.hear().await;
        if is_allowed {
            assert_eq!(answer["type"], "next", "{answer}");
        } else {
            assert_eq!(answer["payload"][0]["extensions"]["code"], "FORBIDDEN", "{answer}");
        }
    }
}
