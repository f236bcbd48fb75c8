//! A process that is killed between a proof and its commit: nothing was proved, nothing is used up, and the same proof is good
//! once more (requirement A12).

use std::time::Duration;

use portal_gateway::sandbox::credentials::DEMO_PASSWORD;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    linking,
    newcomer::{Newcomer, Path},
    sign_up::{DOCUMENT, PASSWORD},
    stage::{Door, Moment, Process, Stage, billing, until},
};

const SIGN_IN: &str = include_str!("../../../examples/queries/session.graphql");
/// The customer of the sandbox who has no portal user yet.
const CUSTOMER: u64 = 20;

/// Rows of a table.
async fn rows(stage: &Stage, table: &str) -> usize {
    stage.store.dump().await.iter().filter(|(name, _)| name == table).count()
}

/// Takes a proof, and gives the verification that came of it.
async fn prove(door: &Door, document: &str, operation: &str, field: &str, proof: &Value) -> Option<Value> {
    let answer = door.try_ask(None, document, operation, proof).await?;
    let token = answer["data"][field]["verification"]["token"].clone();
    token.is_string().then_some(token)
}

/// Links under a verification, and sees that all is as it should be.
async fn link(stage: &Stage, second: Process, email: String, verification: Value) {
    let app = stage.app().await;
    let newcomer = Newcomer { path: Path::Linked, email, verification };
    let ended = newcomer.finish(&second).await;
    newcomer.assert_ended(&ended, &stage.sandbox, &app, "proved again").await;
    // The password of the portal is another than that of billing.
    let signed_in = async |password: &str| {
        let input = json!({ "input": { "email": newcomer.email, "password": password } });
        second.ask(None, SIGN_IN, "", input).await["data"]["sessionCreate"].clone()
    };
    assert!(signed_in(PASSWORD).await["challenge"]["id"].is_string());
    assert_eq!(signed_in(DEMO_PASSWORD).await["userErrors"][0]["code"], "AUTH_INVALID_CREDENTIALS");
    second.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_behind_the_check_of_a_billing_password_has_proved_nothing_yet() {
    let stage = Stage::new().await;
    let email = stage.sandbox.core().world.customer(CUSTOMER).email.clone();
    let first = stage.serve();
    first.ready().await;
    stage.lie_in_wait(billing("GetUsers"), Moment::Answered);
    let (door, proof) = (first.door.clone(), json!({ "email": email, "password": DEMO_PASSWORD }));
    let asking = prove(&door, linking::DOCUMENT, "VerifyByBilling", "signUpVerifyByBilling", &proof);
    let killing = async {
        let held = stage.caught(Moment::Answered, "verifications").await;
        first.kill().await;
        held.unwrap().commit().await.unwrap();
    };
    let (lost, ()) = tokio::join!(asking, killing);
    assert_eq!((lost, rows(&stage, "verifications").await), (None, 0), "nothing was committed");

    let second = stage.serve();
    let again =
        async || prove(&second, linking::DOCUMENT, "VerifyByBilling", "signUpVerifyByBilling", &proof).await;
    let verification = until("it is proved again", again).await;
    link(&stage, second, email, verification).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_before_a_code_is_used_up_can_use_it_again() {
    let stage = Stage::new().await;
    let email = stage.sandbox.core().world.customer(CUSTOMER).email.clone();
    let first = stage.serve();
    first.ready().await;
    let begun = first.ask(None, DOCUMENT, "SignUpBegin", json!({ "email": email })).await;
    let challenge = &begun["data"]["signUpBegin"]["challenge"]["id"];
    let proof = json!({ "challengeId": challenge, "code": stage.code(&email).await });
    let door = first.door.clone();
    let held = stage.store.hold("verifications").await;
    let killing = async {
        sleep(Duration::from_millis(800)).await;
        first.kill().await;
        held.commit().await.unwrap();
    };
    let (lost, ()) = tokio::join!(prove(&door, DOCUMENT, "SignUpVerify", "signUpVerify", &proof), killing);
    assert_eq!((lost, rows(&stage, "verifications").await), (None, 0), "nothing was committed");

    let second = stage.serve();
    let again = async || prove(&second, DOCUMENT, "SignUpVerify", "signUpVerify", &proof).await;
    let verification = until("it is proved again", again).await;
    link(&stage, second, email, verification).await;
}
