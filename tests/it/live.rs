//! Live updates: sockets and event streams as strangers speak them, and who hears what.

use std::{collections::HashMap, time::Duration};

use chrono::TimeDelta;
use portal_gateway::{
    id::{AccountId, ClientId, InvoiceId},
    notify::{Hint, Subject, Topic},
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::{
    gateway::{Customer, Gateway, Wishes},
    socket::Socket,
    wire::{Reply, ask, post},
};

const CHANGED: &str = "subscription { accountChanged { kind id } }";
const INVOICES: &str = "{ viewer { invoices(first: 2) { nodes { id number } } } }";
const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

async fn with(env: &[(&'static str, &str)]) -> Gateway {
    let env = env.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Gateway::with(Wishes { env, ..Wishes::default() }).await
}

/// The ids of a customer.
async fn ids(gateway: &Gateway, customer: &Customer<'_>) -> (ClientId, AccountId) {
    let principal = gateway.app.identity.authenticate(customer.token.as_ref().unwrap()).await.unwrap();
    (principal.client, principal.account)
}

/// The ids and numbers of a customer's newest invoices.
async fn invoices(customer: &Customer<'_>) -> Vec<(String, InvoiceId)> {
    let data = customer.ask(INVOICES, json!({})).await.data();
    let nodes = data["viewer"]["invoices"]["nodes"].as_array().unwrap().clone();
    let key = |id: &str| {
        use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
        let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(id).unwrap()).unwrap();
        InvoiceId(text.strip_prefix("Invoice:").unwrap().parse().unwrap())
    };
    nodes.iter().map(|node| node["id"].as_str().unwrap()).map(|id| (id.to_owned(), key(id))).collect()
}

fn invoice_of(client: ClientId, invoice: InvoiceId) -> Hint {
    Hint::new(Topic::Client(client), Subject::Invoice(Some(invoice)))
}

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

#[tokio::test]
async fn an_update_brings_the_object_as_it_is_now_and_only_to_its_owner() {
    let gateway = Gateway::start().await;
    let (taro, hanako) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let (mine, theirs) = (invoices(&taro).await, invoices(&hanako).await);
    let document = "subscription($id: ID) { invoiceUpdated(id: $id) { id invoice { id number } } }";
    let mut at_taro = Socket::of(&gateway, &taro).await;
    at_taro.subscribe("all", document).await;
    at_taro.subscribe_with("one", document, json!({ "id": mine[0].0 })).await;
    let mut at_hanako = Socket::of(&gateway, &hanako).await;
    at_hanako.subscribe("all", document).await;
    at_hanako.subscribe("changed", CHANGED).await;
    // Another's id is refused like one that does not exist.
    let mut refused = Vec::new();
    for id in [theirs[0].0.as_str(), "SW52b2ljZTo5OTk5OTk5OTk5"] {
        at_taro.subscribe_with("foreign", document, json!({ "id": id })).await;
        let mut answer = at_taro.hear().await;
        assert_eq!(answer["payload"]["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{answer}");
        answer["payload"]["extensions"].take();
        refused.push(answer);
        assert_eq!(at_taro.hear().await, json!({ "id": "foreign", "type": "complete" }));
    }
    assert_eq!(refused[0], refused[1]);
    at_hanako.settle().await;
    at_taro.settle().await;

    let (client, _) = ids(&gateway, &taro).await;
    gateway.app.live.publish(invoice_of(client, mine[1].1)).await;
    let update = at_taro.update("all").await["invoiceUpdated"].clone();
    assert_eq!(update["id"], mine[1].0);
    assert_eq!(update["invoice"]["id"], mine[1].0);
    gateway.app.live.publish(invoice_of(client, mine[0].1)).await;
    let mut heard = HashMap::new();
    for _ in 0..2 {
        let message = at_taro.hear().await;
        heard.insert(message["id"].to_string(), message["payload"]["data"]["invoiceUpdated"]["id"].clone());
    }
    assert_eq!(heard, HashMap::from(["\"all\"", "\"one\""].map(|id| (id.to_owned(), json!(mine[0].0)))));
    // Even a hint that names another's object in one's own topic shows nothing of it.
    gateway.app.live.publish(invoice_of(client, theirs[0].1)).await;
    assert_eq!(at_taro.update("all").await["invoiceUpdated"]["invoice"], Value::Null);
    // Nothing of all that came to the other.
    at_hanako.settle().await;
}

#[tokio::test]
async fn each_kind_of_update_comes_by_its_own_field() {
    let gateway = Gateway::start().await;
    let taro = gateway.sign_in(1).await;
    let data = taro
        .ask(
            "{ viewer { orders(first: 1) { nodes { id } } cases(first: 1) { nodes { id } }
               subscriptions(first: 100) { nodes { line { phoneNumber } } } } }",
            json!({}),
        )
        .await
        .data();
    let viewer = &data["viewer"];
    let (_, account) = ids(&gateway, &taro).await;
    let mut socket = Socket::of(&gateway, &taro).await;
    for (id, query) in [
        ("order", "subscription { orderUpdated { id order { id } } }"),
        ("case", "subscription { caseUpdated { id case { id } } }"),
        ("line", "subscription { lineUpdated { line { phoneNumber } } }"),
    ] {
        socket.subscribe(id, query).await;
        socket.settle().await;
    }
    socket.subscribe("last", CHANGED).await;
    socket.settle().await;
    // Subscribing asks the systems; a query behind it shows that it is done.
    socket.subscribe("done", "{ viewer { orders { totalCount } cases { totalCount } } }").await;
    socket.update("done").await;
    assert_eq!(socket.hear().await["type"], "complete");

    let publish = |topic, subject| gateway.app.live.publish(Hint::new(topic, subject));
    publish(Topic::Account(account), Subject::Order(None)).await;
    let mut heard = HashMap::new();
    let mut next = async |socket: &mut Socket, count: usize| {
        heard.clear();
        for _ in 0..count {
            let message = socket.hear().await;
            heard.insert(message["id"].as_str().unwrap().to_owned(), message["payload"]["data"].clone());
        }
        heard.clone()
    };
    let order = next(&mut socket, 2).await;
    assert_eq!(order["order"], json!({ "orderUpdated": { "id": null, "order": null } }));
    assert_eq!(order["last"], json!({ "accountChanged": { "kind": "ORDER", "id": null } }));

    if let Some(id) = viewer["cases"]["nodes"][0]["id"].as_str() {
        publish(Topic::Account(account), Subject::Case(case_of(id))).await;
        let case = next(&mut socket, 2).await;
        assert_eq!(case["case"], json!({ "caseUpdated": { "id": id, "case": { "id": id } } }));
        assert_eq!(case["last"], json!({ "accountChanged": { "kind": "CASE", "id": id } }));
    }
    let lines = viewer["subscriptions"]["nodes"].as_array().unwrap();
    let line = lines.iter().find_map(|node| node["line"]["phoneNumber"].as_str()).expect("a mobile line");
    publish(Topic::Line(line.into()), Subject::Line).await;
    publish(Topic::Line("09000000000".into()), Subject::Line).await;
    assert_eq!(socket.update("line").await, json!({ "lineUpdated": { "line": { "phoneNumber": line } } }));
    socket.settle().await;
}

fn case_of(id: &str) -> Option<portal_gateway::id::CaseId> {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(id).unwrap()).unwrap();
    portal_gateway::id::CaseId::parse(text.strip_prefix("Case:")?)
}

#[tokio::test]
async fn a_session_that_is_ended_and_a_token_that_runs_out_close_within_five_seconds() {
    let gateway = Gateway::start().await;
    let (taro, hanako) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let mut revoked = Socket::of(&gateway, &taro).await;
    let mut standing = Socket::of(&gateway, &hanako).await;
    standing.subscribe("1", CHANGED).await;
    taro.ask("mutation { sessionEnd { ended } }", json!({})).await.data();
    let began = Instant::now();
    assert_eq!(revoked.closed().await, (4403, "The session has ended".to_owned()));
    assert!(began.elapsed() < Duration::from_secs(5));
    standing.settle().await;

    gateway.app.clock.advance(TimeDelta::minutes(10));
    let began = Instant::now();
    assert_eq!(standing.closed().await, (4403, "The token has expired".to_owned()));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_user_has_three_connections_of_either_sort() {
    let gateway = Gateway::start().await;
    let (taro, hanako) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let first = Socket::of(&gateway, &taro).await;
    let _second = Socket::of(&gateway, &taro).await;
    let _stream = events(&gateway, &taro, CHANGED).await;
    let mut fourth = Socket::open(&gateway).await;
    fourth.init(&taro).await;
    assert_eq!(fourth.closed().await.0, 1013);
    let refused = request(&gateway, &taro, CHANGED).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    Socket::of(&gateway, &hanako).await;
    drop(first);
    // It is noticed when the connection is gone.
    let again = async {
        loop {
            let mut socket = Socket::open(&gateway).await;
            socket.init(&taro).await;
            if timeout(Duration::from_millis(200), socket.hear_or_end()).await == Ok(true) {
                break;
            }
        }
    };
    timeout(Duration::from_secs(20), again).await.expect("the seat is free again");
}

#[tokio::test]
async fn a_stop_says_goodbye() {
    let gateway = Gateway::start().await;
    let taro = gateway.sign_in(1).await;
    let mut socket = Socket::of(&gateway, &taro).await;
    let mut stream = events(&gateway, &taro, CHANGED).await;
    gateway.stop();
    assert_eq!(socket.closed().await.0, 1001);
    assert_eq!(stream.rest().await, "", "an event stream ends without `complete`, so the client comes again");
}

#[tokio::test]
async fn a_reader_that_falls_behind_is_closed() {
    let gateway = with(&[("LIVE_QUEUE", "3")]).await;
    let taro = gateway.sign_in(1).await;
    let mut socket = Socket::of(&gateway, &taro).await;
    socket.subscribe("1", CHANGED).await;
    socket.settle().await;
    let (client, _) = ids(&gateway, &taro).await;
    // Publishing does not wait, so on this one thread nobody reads in between.
    for n in 0..10 {
        gateway.app.live.publish(invoice_of(client, InvoiceId(n))).await;
    }
    assert_eq!(socket.closed().await, (1013, "Updates are read too slowly".to_owned()));
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_dropped() {
    let gateway = with(&[("LIVE_SEND_TIMEOUT", "300ms"), ("LIVE_CONNECTIONS_PER_USER", "1")]).await;
    let taro = gateway.sign_in(1).await;
    let mut deaf = Socket::of(&gateway, &taro).await;
    let large = "{ __schema { types { name description fields { name description type { name } args { name description } } } } }";
    // More than the kernel's buffers hold.
    for n in 0..400 {
        deaf.subscribe(&n.to_string(), large).await;
        tokio::task::yield_now().await;
    }
    let again = async {
        loop {
            let mut socket = Socket::open(&gateway).await;
            socket.init(&taro).await;
            if timeout(Duration::from_millis(200), socket.hear_or_end()).await == Ok(true) {
                break;
            }
        }
    };
    timeout(Duration::from_secs(20), again).await.expect("the seat of the deaf one is free again");
}

fn request(gateway: &Gateway, customer: &Customer<'_>, query: &str) -> reqwest::RequestBuilder {
    gateway
        .request("POST", "/graphql")
        .header("accept", "text/event-stream")
        .bearer_auth(customer.token.as_ref().unwrap())
        .json(&json!({ "query": query }))
}

/// An event stream under way.
struct Events {
    answer: reqwest::Response,
    text: String,
}

async fn events(gateway: &Gateway, customer: &Customer<'_>, query: &str) -> Events {
    let answer = request(gateway, customer, query).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
    Events { answer, text: String::new() }
}

impl Events {
    /// The next event, as its name and data.
    async fn next(&mut self) -> (String, Value) {
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
    async fn rest(&mut self) -> String {
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

#[tokio::test]
async fn the_bell_rings_once_for_each_decision_and_for_nobody_else() {
    let gateway = Gateway::start().await;
    let (taro, hanako) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let (_, account) = ids(&gateway, &taro).await;
    let bell =
        "subscription { notificationReceived { id notification { id kind title message link readAt } } }";
    let (mut mine, mut theirs) = (Socket::of(&gateway, &taro).await, Socket::of(&gateway, &hanako).await);
    mine.subscribe("bell", bell).await;
    theirs.subscribe("bell", bell).await;
    mine.settle().await;
    theirs.settle().await;
    let notifications = &gateway.app.notifications;
    assert!(notifications.eligibility_changed(account, true, "event-1").await.unwrap());
    assert!(!notifications.eligibility_changed(account, true, "event-1").await.unwrap(), "a replay");
    let received = mine.update("bell").await["notificationReceived"].clone();
    assert_eq!(received["notification"]["kind"], "ELIGIBILITY_ELIGIBLE");
    mine.settle().await;
    theirs.settle().await;
    assert!(notifications.eligibility_changed(account, false, "event-2").await.unwrap());
    let second = mine.update("bell").await["notificationReceived"]["id"].clone();

    let list = "{ viewer { notifications(first: 10) { totalCount unreadCount nodes { id kind readAt } } } }";
    let shown = async |customer: &Customer<'_>| {
        customer.ask(list, json!({})).await.data()["viewer"]["notifications"].clone()
    };
    let all = shown(&taro).await;
    assert_eq!((&all["totalCount"], &all["unreadCount"]), (&json!(2), &json!(2)), "{all}");
    assert_eq!(all["nodes"][0]["id"], second, "newest first");
    assert_eq!(shown(&hanako).await["totalCount"], 0);

    let read = "mutation($id: ID!) { notificationMarkRead(input: { id: $id }) {
        notification { id readAt } userErrors { code field } } }";
    let dismiss = "mutation($id: ID!) { notificationDismiss(input: { id: $id }) {
        notification { id } userErrors { code } } }";
    let first = &received["id"];
    for foreign in [read, dismiss] {
        let refused = hanako.ask(foreign, json!({ "id": first })).await.data();
        assert!(refused.to_string().contains("NOT_FOUND"), "{refused}");
    }
    let marked = taro.ask(read, json!({ "id": first })).await.data();
    assert!(marked["notificationMarkRead"]["notification"]["readAt"].is_string(), "{marked}");
    assert_eq!(shown(&taro).await["unreadCount"], 1);
    let dismissed = taro.ask(dismiss, json!({ "id": first })).await.data();
    assert_eq!(dismissed["notificationDismiss"]["notification"]["id"], *first);
    let marked = taro.ask("mutation { notificationMarkAllRead { markedCount } }", json!({})).await.data();
    assert_eq!(marked["notificationMarkAllRead"]["markedCount"], 1);
    let left = shown(&taro).await;
    assert_eq!((&left["totalCount"], &left["unreadCount"]), (&json!(1), &json!(0)));
    let node = "query($id: ID!) { node(id: $id) { id } }";
    assert_eq!(taro.ask(node, json!({ "id": second })).await.data()["node"]["id"], second);
    assert_eq!(hanako.ask(node, json!({ "id": second })).await.data()["node"], Value::Null);

    // After thirty days it is gone, and its place with the next one's.
    gateway.app.clock.advance(TimeDelta::days(31));
    let later = gateway.sign_in(1).await;
    assert_eq!(shown(&later).await["totalCount"], 0);
}

#[tokio::test]
async fn an_update_reaches_the_sockets_of_another_replica() {
    let url = std::env::var("TEST_REDIS_URL").expect("TEST_REDIS_URL: run with scripts/services");
    let prefix = Uuid::new_v4().to_string();
    let env = [("REDIS_URL", url.as_str()), ("REDIS_PREFIX", prefix.as_str())];
    let (here, there) = (with(&env).await, with(&env).await);
    let taro = there.sign_in(1).await;
    let mut socket = Socket::of(&there, &taro).await;
    socket.subscribe("1", CHANGED).await;
    socket.settle().await;
    let profile = Hint::new(Topic::Client(ids(&there, &taro).await.0), Subject::Profile);
    let heard = async {
        loop {
            // The other replica begins to listen in the background.
            here.app.live.publish(profile.clone()).await;
            if let Ok(update) = timeout(Duration::from_millis(200), socket.update("1")).await {
                break update;
            }
        }
    };
    let update = timeout(Duration::from_secs(20), heard).await.expect("the other replica hears nothing");
    assert_eq!(update["accountChanged"]["kind"], "PROFILE");
}
