//! What somebody changes themselves is in their next answer, on whichever replica.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use portal_gateway::id::AccountId;
use serde_json::json;

use super::{Fleet, Wishes, client::Question};
use crate::sign_up::address;
use portal_gateway::sandbox::world::ids::sf_id;

/// Customers, each with so many changes of their own.
const CUSTOMERS: u64 = 6;
const CHANGES: usize = 15;

const BELL: &str = "{ viewer { profile { fullName } notifications { unreadCount nodes { id readAt } } } }";
const READ: &str = "mutation($id: ID!) { notificationMarkRead(input: { id: $id }) { userErrors { code } } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_own_change_is_in_the_next_answer_of_every_replica() {
    let fleet = Arc::new(Fleet::start().await);
    let replicas = fleet.replicas.len();
    let (stop, mut busy) = (Arc::<AtomicBool>::default(), tokio::task::JoinSet::new());
    let mut bells = Vec::new();
    for n in 1..=CUSTOMERS {
        let account = AccountId::parse(&sf_id("001", n, 0)).unwrap();
        let app = &fleet.replicas[0].app;
        for change in 0..CHANGES {
            let told = app.notifications.eligibility_changed(account, true, &format!("event-{change}")).await;
            assert!(told.unwrap());
        }
        let token = fleet.sign_in(n).await;
        let bell = Question::new(&token, BELL, json!({}));
        // Others keep asking, so that there is an answer to be old everywhere.
        for replica in 0..replicas {
            let (fleet, bell, stop) = (Arc::clone(&fleet), bell.clone(), Arc::clone(&stop));
            busy.spawn(async move {
                let mut connection = fleet.connect(replica).await;
                while !stop.load(Ordering::Relaxed) {
                    assert!(connection.ask(&bell).await.is_good());
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                }
            });
        }
        bells.push((token, bell));
    }
    let mut changes = tokio::task::JoinSet::new();
    for (token, bell) in bells {
        let fleet = Arc::clone(&fleet);
        changes.spawn(async move {
            let mut connections = Vec::new();
            for replica in 0..replicas {
                connections.push(fleet.connect(replica).await);
            }
            let mut left = CHANGES;
            while left > 0 {
                let at = left % replicas;
                let shown = connections[at].ask(&bell).await.data()["viewer"]["notifications"].clone();
                let new = shown["nodes"].as_array().unwrap().iter().find(|one| one["readAt"].is_null());
                let read = Question::new(&token, READ, json!({ "id": new.unwrap()["id"] }));
                connections[at].ask(&read).await.data();
                left -= 1;
                for next in 0..replicas {
                    let shown = connections[(at + next) % replicas].ask(&bell).await;
                    let unread = &shown.data()["viewer"]["notifications"]["unreadCount"];
                    assert_eq!(unread, left, "changed on replica {at}, asked {next} further on");
                }
            }
        });
    }
    while let Some(changed) = changes.join_next().await {
        changed.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(asked) = busy.join_next().await {
        asked.unwrap();
    }
}

const PROFILE: &str = "{ viewer { profile { phone address { line1 } japaneseAddress { street } } } }";
const CHANGE: &str = "mutation($phone: String!) {
    profileUpdate(input: { phone: $phone }) { profile { phone } userErrors { code } } }";
const MOVE: &str = "mutation($address: AddressInput!) {
    addressUpdate(input: { address: $address }) { profile { address { line1 } } userErrors { code } } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_profile_is_in_the_next_answer_of_every_replica() {
    // Nobody reports it but the gateway itself, and nothing grows old by time.
    let times = ["CACHE_PROFILE", "CACHE_ACCOUNT"].map(|name| (name, "1h".to_owned()));
    let fleet = Arc::new(Fleet::with(Wishes { env: times.into(), ..Wishes::default() }).await);
    fleet.sandbox.send_hooks_to("http://127.0.0.1:1", fleet.clock.clone());
    let replicas = fleet.replicas.len();
    let mut customers = tokio::task::JoinSet::new();
    for n in 1..=3_u64 {
        let (fleet, token) = (Arc::clone(&fleet), fleet.sign_in(n).await);
        customers.spawn(async move {
            let question = Question::new(&token, PROFILE, json!({}));
            let mut connections = Vec::new();
            for replica in 0..replicas {
                let mut connection = fleet.connect(replica).await;
                connection.ask(&question).await.data();
                connections.push(connection);
            }
            for change in 0..8 {
                let at = change % replicas;
                let phone = format!("090-{n:04}-{change:04}");
                let mut address = address();
                address["room"] = json!(format!("{n}{change:02}"));
                let (line1, street) = (
                    format!("Sunny Heights {n}{change:02}"),
                    format!("神南1-19-11 サニーハイツ{n}{change:02}号室"),
                );
                for mutation in [
                    Question::new(&token, CHANGE, json!({ "phone": phone })),
                    Question::new(&token, MOVE, json!({ "address": address })),
                ] {
                    let answer = connections[at].ask(&mutation).await;
                    assert!(!answer.data().to_string().contains("\"code\""), "{}", answer.body);
                }
                for next in 0..replicas {
                    let shown = connections[(at + next) % replicas].ask(&question).await;
                    let profile = &shown.data()["viewer"]["profile"];
                    let expected = json!({
                        "phone": phone, "address": { "line1": line1 }, "japaneseAddress": { "street": street },
                    });
                    assert_eq!(*profile, expected, "changed on replica {at}, asked {next} further on");
                }
            }
        });
    }
    while let Some(changed) = customers.join_next().await {
        changed.unwrap();
    }
}
