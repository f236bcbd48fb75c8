//! How many connections there may be, and what ends them.

use std::time::Duration;

use chrono::TimeDelta;
use portal_gateway::id::InvoiceId;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::{
    CHANGED, ids, invoice_of,
    streams::{events, request},
    with,
};
use crate::{
    gateway::{Customer, Gateway, Wishes},
    socket::Socket,
};

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
async fn an_event_stream_ends_with_its_session_and_with_its_token() {
    let gateway = Gateway::start().await;
    let (taro, hanako) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let mut revoked = events(&gateway, &taro, CHANGED).await;
    let mut standing = events(&gateway, &hanako, CHANGED).await;
    taro.ask("mutation { sessionEnd { ended } }", json!({})).await.data();
    let began = Instant::now();
    assert!(!revoked.rest().await.contains("event: complete"), "the client comes again, and is refused");
    assert!(began.elapsed() < Duration::from_secs(5));
    // The other one goes on.
    let (client, _) = ids(&gateway, &hanako).await;
    gateway.app.live.publish(invoice_of(client, InvoiceId(1))).await;
    assert_eq!(standing.next().await.0, "next");
    gateway.app.clock.advance(TimeDelta::minutes(10));
    let began = Instant::now();
    standing.rest().await;
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_event_stream_that_falls_behind_ends() {
    let gateway = with(&[("LIVE_QUEUE", "3")]).await;
    let taro = gateway.sign_in(1).await;
    let mut stream = events(&gateway, &taro, CHANGED).await;
    let (client, _) = ids(&gateway, &taro).await;
    for n in 0..10 {
        gateway.app.live.publish(invoice_of(client, InvoiceId(n))).await;
    }
    stream.rest().await;
}

#[tokio::test]
async fn a_session_that_is_ended_on_one_replica_closes_what_is_open_on_another() {
    let here = Gateway::start().await;
    // The same database and keys; nothing else tells them of each other.
    let there = Gateway::with(Wishes { env: here.state(), ..Wishes::default() }).await;
    let taro = here.sign_in(1).await;
    let elsewhere = Customer::with(&there, taro.token.clone().unwrap());
    let mut socket = Socket::of(&there, &elsewhere).await;
    let mut stream = events(&there, &elsewhere, CHANGED).await;
    socket.subscribe("1", CHANGED).await;
    socket.settle().await;
    taro.ask("mutation { sessionEnd { ended } }", json!({})).await.data();
    let began = Instant::now();
    assert_eq!(socket.closed().await, (4403, "The session has ended".to_owned()));
    stream.rest().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
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
