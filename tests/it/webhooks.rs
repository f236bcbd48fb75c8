//! What billing reports: who is believed, what is durable, and how soon it shows (requirements W1 to W5).

use std::{collections::HashSet, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::future::join_all;
use hmac::{Hmac, Mac};
use http_body_util::StreamBody;
use hyper::body::Frame;
use portal_gateway::{
    clock::Clock,
    sandbox::credentials,
    store::inbox::{NewEvent, Received, Source},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    gateway::{ACCOUNTS, Customer, Gateway, Wishes},
    stage::{Door, Stage},
};

const SECRET: &str = credentials::WHMCS_WEBHOOK_SECRET;
const OTHER: &str = "another-secret-of-32-characters!";

/// Longer than any event takes to be applied, shorter than any answer stays fresh.
const SOON: Duration = Duration::from_secs(20);

fn sign(secret: &str, id: &str, timestamp: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

fn paid(id: &str, invoice: u64, client: u64) -> String {
    let ids = json!({ "invoice": invoice, "client": client });
    let event = json!({ "id": id, "event": "InvoicePaid", "occurred_at": 1_741_000_000, "source": "test", "ids": ids });
    event.to_string()
}

/// The status of a post with these headers.
async fn post(gateway: &Gateway, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> u16 {
    let mut request = gateway.request("POST", "/webhooks/whmcs").body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().status().as_u16()
}

/// The status of an event that is signed now.
async fn send(gateway: &Gateway, id: &str, body: &str) -> u16 {
    let now = gateway.app.clock.now().timestamp();
    let signature = sign(SECRET, id, now, body);
    let now = now.to_string();
    let headers =
        [("x-portal-event-id", id), ("x-portal-timestamp", &now), ("x-portal-signature", &signature)];
    post(gateway, &headers, body.to_owned()).await
}

async fn with_env(env: &[(&'static str, &str)]) -> Gateway {
    let env = env.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Gateway::with(Wishes { env, ..Wishes::default() }).await
}

#[tokio::test]
async fn only_a_signature_over_id_time_and_raw_bytes_is_believed() {
    let gateway = with_env(&[("WHMCS_WEBHOOK_SECRETS", &format!("{OTHER}, {SECRET}"))]).await;
    let now = gateway.app.clock.now().timestamp();
    let time = now.to_string();
    let good = |secret: &str, id: &str| sign(secret, id, now, &paid(id, 1, 1));
    let bad = "0".repeat(64);
    let changed = |id: &str| {
        let mut signature = good(SECRET, id);
        let last = if signature.pop() == Some('0') { '1' } else { '0' };
        signature.push(last);
        signature
    };
    let spaced = |id: &str| paid(id, 1, 1).replace(':', ": ");
    let one_byte = |id: &str| paid(id, 1, 1).replace("\"client\":1", "\"client\":2");
    // what, id, signature, body, status
    let table: Vec<(&str, &str, String, String, u16)> = vec![
        ("right", "a1", good(SECRET, "a1"), paid("a1", 1, 1), 202),
        ("the other active secret", "a2", good(OTHER, "a2"), paid("a2", 1, 1), 202),
        ("one of two, comma", "a3", format!("{bad},{}", good(SECRET, "a3")), paid("a3", 1, 1), 202),
        ("one of two, space", "a4", format!("{} {bad}", good(SECRET, "a4")), paid("a4", 1, 1), 202),
        ("upper case", "a5", good(SECRET, "a5").to_uppercase(), paid("a5", 1, 1), 202),
        ("one changed byte of the signature", "b1", changed("b1"), paid("b1", 1, 1), 401),
        ("one changed byte of the body", "b2", good(SECRET, "b2"), one_byte("b2"), 401),
        ("the same JSON written anew", "b3", good(SECRET, "b3"), spaced("b3"), 401),
        (
            "a secret that was rotated out",
            "b4",
            good("a-secret-that-was-rotated-out!!!", "b4"),
            paid("b4", 1, 1),
            401,
        ),
        ("another id in the header", "b5", good(SECRET, "b6"), paid("b6", 1, 1), 401),
        ("two bad ones", "b7", format!("{bad},{bad}"), paid("b7", 1, 1), 401),
        ("no hexadecimal", "b8", "sha256=xyz".to_owned(), paid("b8", 1, 1), 401),
        ("an empty one", "b9", String::new(), paid("b9", 1, 1), 401),
        (
            "the signature of another time",
            "c1",
            sign(SECRET, "c1", now - 1, &paid("c1", 1, 1)),
            paid("c1", 1, 1),
            401,
        ),
        ("nobody's JSON", "c2", sign(SECRET, "c2", now, "{}"), "{}".to_owned(), 400),
        ("the body names another id", "c3", sign(SECRET, "c3", now, &paid("x", 1, 1)), paid("x", 1, 1), 400),
    ];
    for (what, id, signature, body, status) in table {
        let headers =
            [("x-portal-event-id", id), ("x-portal-timestamp", &time), ("x-portal-signature", &signature)];
        assert_eq!(post(&gateway, &headers, body).await, status, "{what}");
    }

    let signature = good(SECRET, "d1");
    let all =
        [("x-portal-event-id", "d1"), ("x-portal-timestamp", &*time), ("x-portal-signature", &*signature)];
    for (missing, status) in [(0, 400), (1, 400), (2, 401)] {
        let mut headers = all.to_vec();
        headers.remove(missing);
        assert_eq!(post(&gateway, &headers, paid("d1", 1, 1)).await, status, "without {}", all[missing].0);
        // Twice is as unclear as never; several signatures may stand in several headers.
        let mut headers = all.to_vec();
        headers.push(all[missing]);
        let expected = if missing == 2 { 202 } else { 400 };
        assert_eq!(post(&gateway, &headers, paid("d1", 1, 1)).await, expected, "two of {}", all[missing].0);
    }
    assert_eq!(gateway.request("GET", "/webhooks/whmcs").send().await.unwrap().status(), 405);
    let off = with_env(&[("WHMCS_WEBHOOK_SECRETS", "")]).await;
    assert_eq!(send(&off, "a1", &paid("a1", 1, 1)).await, 404);
}

#[tokio::test]
async fn a_time_too_far_from_now_is_refused_either_way() {
    let gateway = Gateway::start().await;
    for (n, (offset, status)) in [(-301, 401), (-299, 202), (299, 202), (301, 401)].into_iter().enumerate() {
        // The second must not change between signing and checking.
        let answered = loop {
            let now = gateway.app.clock.now().timestamp();
            let id = format!("{n}-{now}");
            let (body, time) = (paid(&id, 1, 1), now + offset);
            let signature = sign(SECRET, &id, time, &body);
            let time = time.to_string();
            let headers = [
                ("x-portal-event-id", &*id),
                ("x-portal-timestamp", &*time),
                ("x-portal-signature", &*signature),
            ];
            let answered = post(&gateway, &headers, body).await;
            if gateway.app.clock.now().timestamp() == now {
                break answered;
            }
        };
        assert_eq!(answered, status, "{offset} s");
    }
}

#[tokio::test]
async fn a_hundred_copies_at_once_are_one_event_and_another_body_under_its_id_is_refused() {
    let gateway = Gateway::start().await;
    let body = paid("copy", 1, 1);
    let copy = async || loop {
        // A busy database makes some come again, as an honest sender does.
        match send(&gateway, "copy", &body).await {
            503 => tokio::time::sleep(Duration::from_millis(50)).await,
            status => break status,
        }
    };
    let mut statuses = join_all((0..100).map(|_| copy())).await;
    statuses.sort_unstable();
    assert_eq!(statuses[..99], [200; 99]);
    assert!([200, 202].contains(&statuses[99]), "one at most is new: {statuses:?}");
    assert_eq!(send(&gateway, "copy", &paid("copy", 2, 1)).await, 409);
    assert_eq!(send(&gateway, "copy", &body).await, 200, "the first stays as it was");
    for event in ["NoSuchHook", "LogActivity"] {
        let body = json!({ "id": "odd", "event": event, "occurred_at": 1 }).to_string();
        assert_eq!(send(&gateway, "odd", &body).await, 200, "{event}");
    }
}

#[tokio::test]
async fn bodies_and_rates_are_bounded_before_anything_is_computed() {
    const MOST: usize = 256 * 1024;
    let gateway = with_env(&[("WHMCS_WEBHOOK_RATE", "1")]).await;
    let mut body = paid("large", 1, 1);
    body.push_str(&" ".repeat(MOST - body.len()));
    assert_eq!(send(&gateway, "large", &body).await, 202);
    body.push(' ');
    assert_eq!(send(&gateway, "larger", &body).await, 413);
    // Without a length in front.
    let parts = [Ok::<_, std::convert::Infallible>(Frame::data(bytes::Bytes::from(body)))];
    let streamed = reqwest::Body::wrap(StreamBody::new(futures::stream::iter(parts)));
    let now = gateway.app.clock.now().timestamp().to_string();
    let signature = "0".repeat(64);
    let headers =
        [("x-portal-event-id", "s"), ("x-portal-timestamp", &*now), ("x-portal-signature", &*signature)];
    assert_eq!(post(&gateway, &headers, streamed).await, 413, "however it is sent");

    // Five seconds' worth at once, and three are gone.
    let mut statuses = Vec::new();
    for n in 0..6 {
        statuses.push(post(&gateway, &[], n.to_string()).await);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    let refused = gateway.request("POST", "/webhooks/whmcs").body("x").send().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "5");
}

#[tokio::test]
async fn without_a_database_nothing_is_acknowledged() {
    let gateway = Gateway::start().await;
    assert_eq!(send(&gateway, "before", &paid("before", 1, 1)).await, 202);
    gateway.app.store.close().await;
    for id in ["before", "after"] {
        let body = paid(id, 1, 1);
        let now = gateway.app.clock.now().timestamp();
        let response = gateway
            .request("POST", "/webhooks/whmcs")
            .header("x-portal-event-id", id)
            .header("x-portal-timestamp", now)
            .header("x-portal-signature", sign(SECRET, id, now, &body))
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 503, "{id}");
        assert!(response.headers().contains_key("retry-after"));
    }
}

/// The number that billing knows behind an opaque id.
fn number(id: &Value) -> u64 {
    let text = BASE64_URL_SAFE_NO_PAD.decode(id.as_str().unwrap()).unwrap();
    String::from_utf8(text).unwrap().split_once(':').unwrap().1.parse().unwrap()
}

/// Numbers and statuses of a customer's invoices.
async fn invoices(customer: &Customer<'_>) -> Vec<(u64, String)> {
    let answer =
        customer.ask("{ viewer { invoices(first: 100) { nodes { id status } } } }", json!({})).await.data();
    let nodes = answer["viewer"]["invoices"]["nodes"].as_array().unwrap().clone();
    nodes.iter().map(|node| (number(&node["id"]), node["status"].as_str().unwrap().to_owned())).collect()
}

async fn status(customer: &Customer<'_>, invoice: u64) -> String {
    invoices(customer).await.into_iter().find(|(id, _)| *id == invoice).unwrap().1
}

/// A customer with an invoice that is not paid.
async fn debtor(gateway: &Gateway) -> (Customer<'_>, u64) {
    for n in 1..=crate::gateway::ACCOUNTS {
        let customer = gateway.sign_in(n).await;
        let owed = invoices(&customer).await;
        if let Some((id, _)) = owed.iter().find(|(_, status)| ["UNPAID", "OVERDUE"].contains(&&**status)) {
            return (customer, *id);
        }
    }
    panic!("nobody owes anything")
}

async fn until(customer: &Customer<'_>, invoice: u64, wanted: &str) {
    let seen = async {
        while status(customer, invoice).await != wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, seen).await.is_ok(), "{wanted} does not show");
}

/// Until every hook was taken and applied.
async fn until_applied(gateway: &Gateway) {
    let applied = async {
        while gateway.sandbox.billing().hooks_waiting() > 0
            || gateway.app.store.event_backlog(Source::Billing).await.unwrap().waiting > 0
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, applied).await.expect("hooks are applied");
}

#[tokio::test]
async fn an_invoice_that_is_paid_in_billing_is_seen_in_the_next_answer_after_its_events() {
    let gateway = Gateway::start().await;
    let (customer, invoice) = debtor(&gateway).await;
    let id = invoice.to_string();
    let paid =
        gateway.sandbox.billing().staff("AddInvoicePayment", &[("invoiceid", &id), ("transid", "t1")]).await;
    assert_eq!(paid["result"], "success", "{paid}");
    until_applied(&gateway).await;
    // Lists are fresh for 90 s: only the events can have told.
    assert_eq!(status(&customer, invoice).await, "PAID");
    let backlog = gateway.app.store.event_backlog(Source::Billing).await.unwrap();
    assert_eq!((backlog.waiting, backlog.dead), (0, 0));
}

#[tokio::test]
async fn a_suspended_service_is_seen_and_so_is_a_changed_name() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    let question = "{ viewer { profile { companyName } subscriptions(first: 50) { nodes { id status } } } }";
    let before = customer.ask(question, json!({})).await.data();
    let nodes = before["viewer"]["subscriptions"]["nodes"].as_array().unwrap().clone();
    let billing = gateway.sandbox.billing();
    // Not every product has a module that can suspend.
    let mut suspended = None;
    for node in nodes.iter().filter(|node| node["status"] == "ACTIVE") {
        let service = number(&node["id"]).to_string();
        if billing.staff("ModuleSuspend", &[("serviceid", &service)]).await["result"] == "success" {
            suspended = Some(node["id"].clone());
            break;
        }
    }
    let suspended = suspended.expect("an active service with a module");
    let client = portal_gateway::sandbox::world::ids::client_id(1).to_string();
    let name = [("clientid", &*client), ("companyname", "Kawaguchi Denki")];
    assert_eq!(billing.staff("UpdateClient", &name).await["result"], "success");
    until_applied(&gateway).await;
    let after = customer.ask(question, json!({})).await.data();
    assert_eq!(after["viewer"]["profile"]["companyName"], "Kawaguchi Denki");
    let nodes = after["viewer"]["subscriptions"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.iter().find(|node| node["id"] == suspended).unwrap()["status"], "SUSPENDED");
}

#[tokio::test]
async fn a_hook_that_comes_before_its_change_is_applied_again_after_it() {
    let gateway =
        with_env(&[("EVENTS_POLL", "50ms"), ("EVENTS_SECOND_PASS", "1500ms"), ("EVENTS_THIRD_PASS", "3s")])
            .await;
    let billing = gateway.sandbox.billing();
    let url = format!("{}/webhooks/whmcs", gateway.url);
    billing.send_hooks_to(url, Duration::from_millis(700), gateway.app.clock.clone());
    let (customer, invoice) = debtor(&gateway).await;
    let before = status(&customer, invoice).await;
    let id = invoice.to_string();
    let cancelling = async {
        let done = billing.staff("UpdateInvoice", &[("invoiceid", &id), ("status", "Cancelled")]).await;
        assert_eq!(done["result"], "success", "{done}");
    };
    let reading = async {
        // The hook is taken and applied while the change is not visible yet, and then somebody reads what was.
        until_sent(&gateway).await;
        until_applied(&gateway).await;
        assert_eq!(status(&customer, invoice).await, before);
    };
    tokio::join!(cancelling, reading);
    until(&customer, invoice, "CANCELLED").await;
}

/// Until a hook was sent.
async fn until_sent(gateway: &Gateway) {
    let sent = async {
        while gateway.sandbox.billing().hooks_waiting() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, sent).await.expect("a hook is sent");
}

#[tokio::test]
async fn after_billings_automation_everything_is_compared() {
    for event in ["DailyCronJob", "AfterCronJob"] {
        let gateway = with_env(&[("RECONCILE_PER_MINUTE", "6000"), ("RECONCILE_SETTLE", "0s")]).await;
        let body = json!({ "id": "cron", "event": event, "occurred_at": 1_741_000_000, "ids": {} });
        assert_eq!(send(&gateway, "cron", &body.to_string()).await, 202, "{event}");
        let compared = async {
            while gateway.app.reconciler.tally().checked < ACCOUNTS
                || !gateway.app.store.reconciliations().await.unwrap().is_empty()
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, compared).await.unwrap_or_else(|_| panic!("{event} is not heard"));
    }
}

#[tokio::test]
async fn old_events_that_come_late_move_nothing_back() {
    let gateway = Gateway::start().await;
    let (customer, invoice) = debtor(&gateway).await;
    let id = invoice.to_string();
    gateway.sandbox.billing().staff("AddInvoicePayment", &[("invoiceid", &id)]).await;
    until_applied(&gateway).await;
    for (n, event) in ["InvoiceUnpaid", "InvoiceCreated", "InvoiceCancelled"].into_iter().enumerate() {
        let event_id = format!("late{n}");
        let yesterday = gateway.app.clock.now().timestamp() - 86_400;
        let body = json!({ "id": event_id, "event": event, "occurred_at": yesterday, "ids": { "invoice": invoice } });
        assert_eq!(send(&gateway, &event_id, &body.to_string()).await, 202);
        until_applied(&gateway).await;
        assert_eq!(status(&customer, invoice).await, "PAID", "after {event}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let stage = Stage::with(&[("WHMCS_WEBHOOK_RATE", "100000")]).await;
    let (store, clock) = (&stage.store, Clock::system());
    let client = portal_gateway::sandbox::world::ids::client_id(1);

    let mut acknowledged = HashSet::new();
    for round in 0..3 {
        let running = stage.serve();
        running.ready().await;
        let door = running.door.clone();
        let send = |n: usize| {
            let (Door { url, http }, clock) = (&door, &clock);
            async move {
                let id = format!("r{round}n{n}");
                let body = paid(&id, n as u64, client);
                let now = clock.now().timestamp();
                let request = http
                    .post(format!("{url}/webhooks/whmcs"))
                    .header("x-portal-event-id", &id)
                    .header("x-portal-timestamp", now)
                    .header("x-portal-signature", sign(SECRET, &id, now, &body))
                    .body(body.clone());
                match request.send().await {
                    Ok(answer) if answer.status() == 202 => Some((id, body)),
                    _ => None,
                }
            }
        };
        // Killed in the midst of a stream of events; the moment differs from round to round.
        let (sent, ()) = tokio::join!(join_all((0..400).map(send)), async {
            tokio::time::sleep(Duration::from_millis(20 + 35 * round)).await;
            running.kill().await;
        });
        acknowledged.extend(sent.into_iter().flatten());
    }
    assert!(!acknowledged.is_empty());
    for (id, body) in &acknowledged {
        let at = clock.now();
        let again = store
            .receive_event(&NewEvent {
                source: Source::Billing,
                event_id: id,
                fingerprint: &Sha256::digest(body),
                topic: "InvoicePaid",
                record: "test",
                payload: "{}",
                occurred_at: at,
                received_at: at,
            })
            .await
            .unwrap();
        assert_eq!(again, Received::Duplicate, "{id} was acknowledged and lost");
    }
    // And the next process applies what the killed ones left, once their leases end.
    let running = stage.serve();
    let applied = async {
        while store.event_backlog(Source::Billing).await.unwrap().waiting > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), applied).await.expect("everything is applied");
    assert_eq!(store.event_backlog(Source::Billing).await.unwrap().dead, 0);
    running.kill().await;
}

#[tokio::test]
async fn a_moved_clock_of_the_sandbox_does_not_cost_a_hook() {
    let gateway = Gateway::start().await;
    gateway.sandbox.core().clock.advance(chrono::TimeDelta::days(1));
    let customer = gateway.sign_in(1).await;
    let name = async || {
        customer.ask("{ viewer { profile { fullName } } }", json!({})).await.data()["viewer"]["profile"]["fullName"].clone()
    };
    let before = name().await;
    let client = portal_gateway::sandbox::world::ids::client_id(1).to_string();
    gateway.sandbox.billing().staff("UpdateClient", &[("clientid", &client), ("firstname", "Moved")]).await;
    until_applied(&gateway).await;
    assert_ne!(name().await, before);
}
