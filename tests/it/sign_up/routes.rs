//! Where somebody who proves an address is sent, and what the proof is good for.

use chrono::{DateTime, TimeDelta, Utc};
use portal_gateway::sandbox::credentials::DEMO_PASSWORD;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{EMAIL, PATIENCE, accounts, challenge, clients, complete, form, hasty, step, verified};

const SESSION: &str = include_str!("../../../examples/queries/session.graphql");

#[tokio::test]
async fn an_address_that_is_known_is_answered_like_any_other_until_it_is_proved() {
    let gateway = hasty().await;
    let world = &gateway.sandbox.core().world;
    let (user, client) = (world.customer(1), world.customer(20));
    let org = gateway.sandbox.salesforce();
    let staff_made = json!({
        "FirstName": "Hana", "LastName": "Walkin", "PersonEmail": "hana@example.jp", "PersonBirthdate": "1980-02-03",
        "PersonMobilePhone": "080-1111-2222", "Sex__pc": "女性", "SF_Account_No__c": "W777",
    });
    org.create("Account", &staff_made).unwrap();
    let mut shapes = Vec::new();
    for email in [EMAIL, &user.email, &client.email, "hana@example.jp"] {
        let answer = step(&gateway, "SignUpBegin", json!({ "email": email })).await.data();
        let challenge = &answer["signUpBegin"]["challenge"];
        shapes.push((answer["signUpBegin"]["userErrors"].clone(), challenge["triesLeft"].clone()));
    }
    assert!(shapes.iter().all(|shape| *shape == shapes[0]), "{shapes:?}");
    // Their codes are not those of the challenges that follow.
    for email in [EMAIL, &user.email, &client.email, "hana@example.jp"] {
        timeout(PATIENCE, gateway.sandbox.mail().next(email, 0)).await.expect("it arrives");
    }

    let routing = verified(&gateway, &user.email).await["routing"].clone();
    assert_eq!(routing["route"], "PORTAL_EXISTS");
    assert!(routing["handOff"]["token"].is_string());
    let routing = verified(&gateway, &client.email).await["routing"].clone();
    assert_eq!(routing["route"], "BILLING_UNMAPPED");
    assert_eq!(routing["prefill"]["lastName"], client.family);
    assert_eq!((&routing["prefill"]["hasAddress"], &routing["handOff"]), (&json!(true), &Value::Null));

    // Whom staff know: the account is taken over, with its number.
    let verification = verified(&gateway, "hana@example.jp").await;
    assert_eq!(verification["routing"]["route"], "CRM_UNMAPPED");
    let prefill = &verification["routing"]["prefill"];
    assert_eq!((&prefill["firstName"], &prefill["gender"]), (&json!("Hana"), &json!("FEMALE")));
    assert_eq!((&prefill["phone"], &prefill["birthDate"]), (&json!("080-1111-2222"), &json!("1980-02-03")));
    let done = complete(&gateway, form(&verification["token"])).await;
    assert_eq!(done["viewer"]["profile"]["customerNumber"], "W777", "{done}");
    let all = accounts(&gateway, "hana@example.jp").await;
    assert_eq!((all.len(), &all[0]["FirstName"]), (1, &json!("Hana")), "names are staff's to change");
    // Who is a client must link.
    let refused = complete(&gateway, form(&verified(&gateway, &client.email).await["token"])).await;
    assert_eq!(refused["userErrors"][0]["code"], "ACCOUNT_LINK_REQUIRED");
}

#[tokio::test]
async fn the_code_is_spared_for_five_minutes_after_the_proof_however_late_it_is_asked_for() {
    let gateway = hasty().await;
    let email = gateway.sandbox.core().world.customer(1).email.clone();
    let verification = verified(&gateway, &email).await;
    let proved_at = gateway.app.clock.now();
    let until = |routing: &Value| -> DateTime<Utc> {
        routing["handOff"]["expiresAt"].as_str().unwrap().parse().unwrap()
    };
    assert!(until(&verification["routing"]) <= proved_at + TimeDelta::minutes(5));
    let resume = async || {
        let variables = json!({ "verification": verification["token"] });
        let resumed = step(&gateway, "SignUpResume", variables).await.data();
        resumed["signUpResume"]["verification"]["routing"].clone()
    };
    let enter = async |token: &Value| {
        let input = json!({ "email": email, "password": DEMO_PASSWORD, "handOffToken": token });
        gateway.nobody().ask(SESSION, json!({ "input": input })).await.data()["sessionCreate"].clone()
    };
    gateway.app.clock.advance(TimeDelta::minutes(4));
    let again = resume().await;
    assert_eq!(until(&again), until(&verification["routing"]), "the time goes on from the proof");
    assert!(enter(&again["handOff"]["token"]).await["session"]["accessToken"].is_string());
    let last = resume().await["handOff"]["token"].clone();
    gateway.app.clock.advance(TimeDelta::minutes(1));
    assert!(enter(&last).await["challenge"]["id"].is_string(), "it has run out");
    let late = resume().await;
    assert_eq!((&late["route"], &late["handOff"]), (&json!("PORTAL_EXISTS"), &Value::Null));
}

#[tokio::test]
async fn three_wrong_codes_are_the_end_and_a_verification_ends_with_its_time() {
    let gateway = hasty().await;
    let (challenge, code) = challenge(&gateway, EMAIL).await;
    let wrong = if code == "000000" { "000001" } else { "000000" };
    for left in [2, 1, 0] {
        let variables = json!({ "challengeId": challenge["id"], "code": wrong });
        let answer = step(&gateway, "SignUpVerify", variables).await.data();
        assert_eq!(answer["signUpVerify"]["triesLeft"], left, "{answer}");
    }
    let variables = json!({ "challengeId": challenge["id"], "code": code });
    let late = step(&gateway, "SignUpVerify", variables).await.data();
    assert_eq!(late["signUpVerify"]["userErrors"][0]["code"], "AUTH_OTP_EXPIRED");
    let verification = verified(&gateway, EMAIL).await;
    for token in [json!("bm90aGluZw"), json!("§")] {
        let refused = complete(&gateway, form(&token)).await;
        assert_eq!(refused["userErrors"][0]["code"], "VERIFICATION_EXPIRED");
    }
    gateway.app.clock.advance(TimeDelta::minutes(31));
    let refused = complete(&gateway, form(&verification["token"])).await;
    assert_eq!(refused["userErrors"][0]["code"], "VERIFICATION_EXPIRED");
    assert_eq!(clients(&gateway, EMAIL).await.len(), 0);
}
