//! What is refused leaves a trace, too; and no flood of it fills the log.

use chrono::TimeDelta;
use portal_gateway::{
    identity::{NewPartner, PartnerDesk, Scopes, Terms},
    secret::ExposeSecret,
    store::audit::EventRow,
};
use serde_json::json;

use super::{rows, story};
use crate::{
    gateway::{Gateway, Wishes},
    roots::roots,
    socket::Socket,
    wire::{Reply, ask},
};

const SIGN_IN: &str = include_str!("../../../examples/queries/session.graphql");

/// The events of a request.
async fn of(gateway: &Gateway, id: &str) -> Vec<EventRow> {
    rows(gateway).await.into_iter().filter(|row| row.request_id.as_deref() == Some(id)).collect()
}

/// A partner's token.
async fn partner(gateway: &Gateway) -> String {
    let terms = Terms { requests_per_second: 1_000, cost_maximum: 1_000_000, cost_restore: 100_000 };
    let scopes = Scopes::parse("orders:read").unwrap();
    let new = NewPartner { name: "Household Books".to_owned(), scopes, is_first_party: true, terms };
    let desk = PartnerDesk::new(gateway.app.store.clone(), gateway.app.clock.clone());
    let (id, secret) = desk.create(new).await.unwrap();
    let form = gateway.request("POST", "/oauth/token").form(&[("grant_type", "client_credentials")]);
    let reply = Reply::to(form.basic_auth(id, Some(secret.expose_secret()))).await;
    reply.json()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_mutation_that_a_policy_refuses_is_on_record_with_who_was_refused() {
    let gateway = story::gateway(Wishes::default()).await;
    let bearer = format!("Bearer {}", partner(&gateway).await);
    let viewer = gateway.sign_in(1).await.ask("{ viewer { id } }", json!({})).await.data();
    let customer = viewer["viewer"]["id"].as_str().unwrap();
    for (n, root) in roots().iter().filter(|root| root.is_mutation()).enumerate() {
        let document = root.document("__typename");
        // No mutation is for partners, whether they act for somebody or not.
        for headers in [vec![], vec![("portal-customer", customer)]] {
            let id = format!("partner.{}.{}", headers.len(), root.field());
            let known = [("x-request-id", id.as_str()), ("authorization", &bearer)];
            let reply =
                ask(&gateway, &[&headers[..], &known].concat(), &document, root.variables.clone()).await;
            assert_eq!(reply.code(), "FORBIDDEN", "{}: {reply:?}", root.name);
            let [event] = &of(&gateway, &id).await[..] else { panic!("{} left no event", root.name) };
            assert_eq!(
                (event.act.as_str(), event.actor_kind.as_str()),
                ("access", "partner"),
                "{}",
                root.name
            );
            assert_eq!(event.reason.as_deref(), Some("FORBIDDEN"));
            assert_eq!(event.subject_id.is_some(), !headers.is_empty(), "about whom: {event:?}");
            assert!(event.actor_id.is_some() && event.details.contains(&root.name), "{event:?}");
        }
        // Nobody is noted once a network: so each comes from another.
        let (id, address) = (format!("nobody.{}", root.field()), format!("198.51.100.{n}"));
        let headers = [("x-request-id", id.as_str()), ("x-forwarded-for", &address)];
        let reply = ask(&gateway, &headers, &document, root.variables.clone()).await;
        let is_policy = reply.json()["errors"][0]["extensions"]["field"] == root.name.as_str();
        if is_policy {
            assert_eq!(reply.code(), "UNAUTHENTICATED", "{reply:?}");
            let [event] = &of(&gateway, &id).await[..] else { panic!("{} left no event", root.name) };
            assert_eq!(
                (event.act.as_str(), event.actor_kind.as_str()),
                ("access", "nobody"),
                "{}",
                root.name
            );
            assert!(event.network.is_some() && event.details.contains(&root.name), "{event:?}");
        }
    }
}

#[tokio::test]
async fn a_subscription_that_is_refused_and_an_act_without_a_proof_are_on_record() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    gateway.app.clock.advance(TimeDelta::minutes(6));
    let begin = "mutation { passkeyRegistrationBegin { userErrors { code } } }";
    let answer = customer.ask(begin, json!({})).await.data();
    assert_eq!(answer["passkeyRegistrationBegin"]["userErrors"][0]["code"], "STEP_UP_REQUIRED", "{answer}");
    let mut socket = Socket::open(&gateway).await;
    let bearer = format!("Bearer {}", partner(&gateway).await);
    socket.say(json!({ "type": "connection_init", "payload": { "authorization": bearer } })).await;
    assert_eq!(socket.hear().await["type"], "connection_ack");
    socket.subscribe("1", "subscription { accountChanged { __typename } }").await;
    let refused = socket.hear().await;
    assert!(refused.to_string().contains("FORBIDDEN"), "{refused}");

    let rows = rows(&gateway).await;
    for (act, reason, actor) in
        [("passkey.begin", "STEP_UP_REQUIRED", "user"), ("access", "FORBIDDEN", "partner")]
    {
        let row = rows.iter().find(|row| row.act == act && row.outcome == "refused");
        let row = row.unwrap_or_else(|| panic!("{act} left no trace"));
        assert_eq!((row.reason.as_deref(), row.actor_kind.as_str()), (Some(reason), actor), "{row:?}");
        assert!(row.request_id.is_some(), "{row:?}");
    }
}

/// How often a limit turned somebody away, as far as it is on record.
async fn turned_away(gateway: &Gateway) -> usize {
    let rows = rows(gateway).await;
    let turned: Vec<_> = rows.iter().filter(|row| row.act == "attempt").collect();
    for row in &turned {
        assert_eq!(
            (row.outcome.as_str(), row.reason.as_deref()),
            ("refused", Some("RATE_LIMITED")),
            "{row:?}"
        );
        assert!(row.request_id.is_some() && row.network.is_some(), "{row:?}");
    }
    turned.len()
}

async fn guess(gateway: &Gateway, email: &str, address: &str) -> String {
    let variables = json!({ "input": { "email": email, "password": "wrong horse battery" } });
    ask(gateway, &[("x-forwarded-for", address)], SIGN_IN, variables).await.code()
}

#[tokio::test]
async fn a_flood_of_guesses_is_one_event_an_account_and_a_network_in_a_window() {
    let env = [("TRUST_PROXY", "127.0.0.1".to_owned())].into();
    let gateway = Gateway::with(Wishes { env, ..Wishes::default() }).await;
    let email = gateway.sandbox.core().world.customer(1).email.clone();
    let mut limited = 0;
    for n in 0..60 {
        limited += usize::from(guess(&gateway, &email, &format!("198.51.100.{n}")).await == "RATE_LIMITED");
    }
    assert!(limited > 40, "{limited}");
    assert_eq!(turned_away(&gateway).await, 1, "one account, many networks");
    for n in 0..120 {
        guess(&gateway, &format!("nobody-{n}@example.jp"), "203.0.113.9").await;
    }
    assert_eq!(turned_away(&gateway).await, 2, "many accounts, one network");
    gateway.app.clock.advance(TimeDelta::minutes(16));
    for _ in 0..10 {
        guess(&gateway, &email, "198.51.100.7").await;
    }
    assert_eq!(turned_away(&gateway).await, 3, "the next window");
}

#[tokio::test]
async fn codes_step_ups_tokens_and_refreshes_that_a_limit_turns_away_are_on_record() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(2).await;
    let step_up = "mutation { stepUp(input: { password: \"wrong horse battery\" }) { userErrors { code } } }";
    let code = "mutation { stepUp(input: { mailedCode: { challengeId: \"Q2hhbGxlbmdlOjAwMDAwMDAwLTAwMDAtNDAwMC04MDAwLTAwMDAwMDAwMDAwMA\", code: \"000000\" } }) { userErrors { code } } }";
    let refresh = "mutation { sessionRefresh(input: { refreshToken: \"nothing\" }) { userErrors { code } } }";
    for _ in 0..120 {
        customer.ask(step_up, json!({})).await;
        customer.ask(code, json!({})).await;
        gateway.nobody().ask(refresh, json!({})).await;
        let form = [("grant_type", "client_credentials"), ("client_id", "pc_nobody"), ("client_secret", "x")];
        Reply::to(gateway.request("POST", "/oauth/token").form(&form)).await;
    }
    turned_away(&gateway).await;
    let rows = rows(&gateway).await;
    for of in ["sign-in", "code-try", "refresh", "partner-token"] {
        let noted =
            rows.iter().filter(|row| row.act == "attempt" && row.details.contains(&format!("\"{of}\"")));
        assert!((1..=2).contains(&noted.count()), "{of}");
    }
    let known = rows.iter().find(|row| row.act == "attempt" && row.details.contains("\"sign-in\"")).unwrap();
    assert_eq!(known.actor_kind, "user", "who is signed in is named: {known:?}");
}

#[tokio::test]
async fn what_a_foreign_page_sends_is_on_record_once_a_network_and_a_few_minutes() {
    let gateway = Gateway::start().await;
    let token = gateway.sign_in(1).await.token.unwrap();
    let cookie = format!("__Host-access={token}");
    let foreign = [("cookie", cookie.as_str()), ("origin", "http://evil.example")];
    let noted = async || {
        let rows = rows(&gateway).await;
        let noted: Vec<_> = rows.into_iter().filter(|row| row.act == "access").collect();
        for row in &noted {
            assert_eq!(
                (row.reason.as_deref(), row.actor_kind.as_str()),
                (Some("FORBIDDEN"), "nobody"),
                "{row:?}"
            );
            assert!(row.request_id.is_some() && row.network.is_some() && row.details.contains("/graphql"));
        }
        noted.len()
    };
    for _ in 0..20 {
        let reply = ask(&gateway, &foreign, "mutation { sessionEnd { ended } }", json!({})).await;
        assert_eq!((reply.status, reply.code().as_str()), (403, "FORBIDDEN"), "{reply:?}");
    }
    assert_eq!(noted().await, 1);
    assert_eq!(Socket::with(&gateway, &foreign).await.err(), Some(403));
    assert_eq!(noted().await, 1, "the same network");
    gateway.app.clock.advance(TimeDelta::minutes(6));
    ask(&gateway, &foreign, "mutation { sessionEnd { ended } }", json!({})).await;
    assert_eq!(noted().await, 2);
}
