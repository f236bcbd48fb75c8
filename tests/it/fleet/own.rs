//! What somebody changes themselves is in their next answer, on whichever replica.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use portal_gateway::id::AccountId;
use serde_json::json;

use super::{Fleet, client::Question};
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
