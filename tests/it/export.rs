//! All that is known of a person, for themselves: whole, honest about what could not be had, and for nobody else.

use std::{collections::HashMap, time::Duration};

use chrono::TimeDelta;
use portal_gateway::{
    identity::{NewPartner, PartnerDesk, Scopes, Terms},
    sandbox::core::{Rule, RuleKind, System},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    gateway::{Customer, Gateway, Wishes},
    passkeys::register,
    phone::Phone,
    sign_up::{hasty, until},
    totp::enrol,
};

const DOCUMENT: &str = include_str!("../../examples/queries/data-export.graphql");
const GRANT: &str = include_str!("../../examples/queries/grant-create.graphql");
const REVOKE: &str = include_str!("../../examples/queries/grant-revoke.graphql");
/// Longer than any mail may take.
const PATIENCE: Duration = Duration::from_secs(60);

async fn request(customer: &Customer<'_>) -> Value {
    let answer = customer.operate(DOCUMENT, "DataExportRequest", json!({})).await.data();
    answer["dataExportRequest"]["export"].clone()
}

async fn list(customer: &Customer<'_>) -> Value {
    let answer = customer.operate(DOCUMENT, "DataExports", json!({})).await.data();
    answer["viewer"]["dataExports"].clone()
}

async fn ready(customer: &Customer<'_>) -> Value {
    until("it is ready", async || {
        let newest = list(customer).await[0].clone();
        newest["readyAt"].is_string().then_some(newest)
    })
    .await
}

/// What a GET of a path gives: status, the headers that matter, body.
async fn get(gateway: &Gateway, customer: &Customer<'_>, path: &str) -> (u16, [Option<String>; 3], Vec<u8>) {
    let mut request = gateway.request("GET", path).header("x-request-id", "the-same-each-time");
    if let Some(token) = &customer.token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.unwrap();
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let headers = ["content-type", "cache-control", "content-disposition"].map(header);
    (answer.status().as_u16(), headers, answer.bytes().await.unwrap().to_vec())
}

/// Allows a partner something, and takes it back. Gives what the partner calls itself.
async fn grant_and_take_back(gateway: &Gateway, customer: &Customer<'_>) -> String {
    let desk = PartnerDesk::new(gateway.app.store.clone(), gateway.app.clock.clone());
    let new = NewPartner {
        name: "Books".to_owned(),
        scopes: Scopes::parse("billing:read").unwrap(),
        is_first_party: false,
        terms: Terms { requests_per_second: 1, cost_maximum: 1, cost_restore: 1 },
    };
    let (client_id, _) = desk.create(new).await.unwrap();
    let input = json!({ "clientId": client_id, "scopes": ["billing:read"] });
    let made = customer.ask(GRANT, json!({ "input": input })).await.data();
    let id = made["grantCreate"]["grant"]["id"].clone();
    let taken = customer.ask(REVOKE, json!({ "input": { "id": id } })).await.data();
    assert_eq!(taken["grantRevoke"]["revoked"], true, "{made}");
    client_id
}

fn part<'a>(document: &'a Value, name: &str) -> &'a Value {
    assert_eq!(document["parts"][name]["status"], "COMPLETE", "{name}: {}", document["parts"][name]);
    &document["parts"][name]["data"]
}

#[tokio::test]
async fn a_person_is_given_all_that_is_known_of_them_and_nobody_else_is() {
    let gateway = hasty().await;
    let email = gateway.sandbox.core().world.customer(1).email.clone();
    let (customer, other) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let person = gateway.sandbox.core().world.customer(1);
    // What staff wrote there differs from billing's.
    let account = portal_gateway::sandbox::world::ids::sf_id("001", 1, 0);
    let written =
        json!({ "PersonEmail": "of.staff@example.jp", "Internet_Eligibility_Status__c": "Pending" });
    gateway.sandbox.salesforce().edit("Account", &account, &written).unwrap();
    register(&customer, &mut Phone::new()).await;
    let (_, codes) = enrol(&gateway, &customer).await;
    let client_id = grant_and_take_back(&gateway, &customer).await;
    let since = gateway.mailed_so_far().await;
    let (asked, again) = (request(&customer).await, request(&customer).await);
    assert_eq!(asked["id"], again["id"], "whoever asks again gets the same");
    let export = ready(&customer).await;
    assert_eq!((&export["id"], &export["missing"]), (&asked["id"], &json!([])));
    let mail = timeout(PATIENCE, gateway.sandbox.mail().next(&email, since)).await.unwrap();
    assert_eq!(mail.subject, "Your data are ready");

    let path = export["path"].as_str().unwrap();
    let (status, [kind, cache, disposition], body) = get(&gateway, &customer, path).await;
    assert_eq!(
        (status, kind.as_deref(), cache.as_deref()),
        (200, Some("application/json"), Some("no-store"))
    );
    assert!(disposition.unwrap().starts_with("attachment"));
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(document["isComplete"], true);
    assert_eq!(document["parts"].as_object().unwrap().len(), 20);
    assert_eq!(
        (&part(&document, "account")["email"], &part(&document, "profile")["email"]),
        (&json!(email), &json!(email))
    );
    assert_eq!(part(&document, "passkeys").as_array().unwrap().len(), 1);
    let factors = part(&document, "secondFactors");
    assert!(factors["totp"]["enrolled_at"].is_string(), "{factors}");
    assert_eq!(factors["recovery_codes_left"], 10);
    let grants = part(&document, "grants").as_array().unwrap();
    assert_eq!((grants.len(), &grants[0]["clientId"]), (1, &json!(client_id)));
    assert_eq!((&grants[0]["partner"], &grants[0]["scopes"]), (&json!("Books"), &json!(["billing:read"])));
    assert!(grants[0]["takenBackAt"].is_string(), "those that stand no more, too: {grants:?}");
    let acts = part(&document, "auditLog").as_array().unwrap();
    assert!(acts.iter().any(|event| event["act"] == "passkey.create"), "{acts:?}");
    assert_eq!(part(&document, "sessions").as_array().unwrap().len(), 1);

    let known = part(&document, "customerRegister");
    for (name, value) in [
        ("email", "of.staff@example.jp"),
        ("first_name", person.given),
        ("last_name", person.family),
        ("mobile_phone", &person.phone),
        ("customer_number", &person.customer_number),
        ("birth_date", &person.birth_date.to_string()),
        ("sex", "女性"),
    ] {
        assert_eq!(known[name], value, "{name}: {known}");
    }
    assert_eq!(
        (&known["portal"]["status"], &known["eligibility"]["status"]),
        (&json!("Active"), &json!("Pending"))
    );
    let opportunities = known["opportunities"].as_array().unwrap();
    assert!(!opportunities.is_empty() && opportunities.len() == person.opportunities.len(), "{known}");
    assert!(opportunities.iter().all(|one| one["stage"].is_string() && one["about"].is_string()), "{known}");

    // As much of each as the graph shows.
    let counts = customer
        .ask(
            "{ viewer {
                invoices(first: 1) { totalCount } subscriptions(first: 1) { totalCount }
                orders(first: 1) { totalCount } cases(first: 1) { totalCount }
                paymentMethods { id }
            } }",
            json!({}),
        )
        .await
        .data();
    for list in ["invoices", "subscriptions", "orders", "cases"] {
        let held = part(&document, list).as_array().unwrap().len();
        assert_eq!(json!(held), counts["viewer"][list]["totalCount"], "{list}");
        assert!(held > 0, "{list}");
    }
    let methods = counts["viewer"]["paymentMethods"].as_array().unwrap().len();
    assert_eq!(part(&document, "paymentMethods").as_array().unwrap().len(), methods);
    let invoices = part(&document, "invoices").as_array().unwrap();
    assert!(invoices.iter().all(|invoice| invoice["details"].is_object()), "with their lines");
    let cases = part(&document, "cases").as_array().unwrap();
    assert!(cases.iter().any(|case| !case["conversation"].as_array().unwrap().is_empty()));
    let lines = part(&document, "lines").as_array().unwrap();
    assert!(lines.iter().any(|line| line["usage"].is_object()), "{lines:?}");
    let text = String::from_utf8(body).unwrap();
    for secret in ["password", "$argon2", "token", "otpauth", codes[0].as_str()] {
        assert!(!text.contains(secret), "{secret}");
    }

    // It lies sealed.
    let rows = gateway.app.store.dump().await;
    let stored: Vec<_> = rows.iter().filter(|(table, _)| table == "data_exports").collect();
    let address = hex::encode(&email);
    assert!(stored.len() == 1 && !stored[0].1.contains(&address) && !stored[0].1.contains(&email));

    // Somebody else's is as one that never was.
    let random = "/exports/0190b1f0-0000-4000-8000-000000000000";
    let (theirs, none) = (get(&gateway, &other, path).await, get(&gateway, &other, random).await);
    assert_eq!((theirs.0, &theirs), (404, &none));
    assert_eq!(get(&gateway, &customer, "/exports/nonsense").await, none);
    assert_eq!(get(&gateway, &gateway.nobody(), path).await.0, 401);
    assert_eq!(list(&other).await, json!([]));
    gateway.app.clock.advance(TimeDelta::minutes(5));
    let (status, _, body) = get(&gateway, &customer, path).await;
    let refused: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &refused["errors"][0]["extensions"]["code"]), (403, &json!("STEP_UP_REQUIRED")));
    gateway.app.clock.advance(TimeDelta::days(7));
    let late = gateway.sign_in(1).await;
    assert_eq!((list(&late).await, get(&gateway, &late, path).await.0), (json!([]), 404), "it is gone");
}

#[tokio::test]
async fn what_a_system_did_not_tell_is_asked_again_and_at_last_named_as_missing() {
    let env = HashMap::from([
        ("QUEUE_BACKOFF_DELAY", "50ms".to_owned()),
        ("QUEUE_BACKOFF_MOST", "100ms".to_owned()),
        ("QUEUE_POLL", "50ms".to_owned()),
        ("WORKFLOW_ATTEMPTS", "3".to_owned()),
    ]);
    let gateway = Gateway::with(Wishes { env, ..Wishes::default() }).await;
    let faults = &gateway.sandbox.core().faults;
    let document = async |customer: &Customer<'_>, export: &Value| {
        let (status, _, body) = get(&gateway, customer, export["path"].as_str().unwrap()).await;
        assert_eq!(status, 200);
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    // One refusal of each is outlived.
    let customer = gateway.sign_in(1).await;
    faults.add(Rule { times: Some(1), ..Rule::every(System::Salesforce, RuleKind::Drop) });
    request(&customer).await;
    let export = ready(&customer).await;
    assert_eq!(export["missing"], json!([]));
    assert_eq!(document(&customer, &export).await["isComplete"], true);

    let customer = gateway.sign_in(2).await;
    faults.add(Rule::every(System::Salesforce, RuleKind::Status));
    request(&customer).await;
    let export = ready(&customer).await;
    assert_eq!(export["missing"], json!(["CUSTOMER_REGISTER", "JAPANESE_ADDRESS", "ORDERS", "CASES"]));
    let document = document(&customer, &export).await;
    assert_eq!(document["isComplete"], false);
    for name in ["customerRegister", "japaneseAddress", "orders", "cases"] {
        assert_eq!(document["parts"][name], json!({ "status": "UNAVAILABLE", "data": null }));
    }
    assert!(!part(&document, "invoices").as_array().unwrap().is_empty(), "the others are whole");
}
