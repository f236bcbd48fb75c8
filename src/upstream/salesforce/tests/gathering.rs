use futures::{FutureExt, future::join_all};
use wiremock::ResponseTemplate;

use super::*;

/// Asks so many statements side by side, as the resolvers of one request do, and gives the calls.
async fn side_by_side(count: usize) -> Vec<String> {
    let vendor = Vendor::start().await;
    vendor.client.warm_up(budget()).await.unwrap();
    let statements: Vec<_> = (0..count).map(statement).collect();
    let echoes = join_all(statements.iter().map(|soql| echo(&vendor.client, soql.clone()))).await;
    for (echo, statement) in echoes.into_iter().zip(&statements) {
        assert_eq!(echo.unwrap(), statement.to_string());
    }
    vendor.calls().await
}

#[tokio::test]
async fn one_statement_is_a_plain_query() {
    assert_eq!(side_by_side(1).await, ["GET query"]);
}

#[tokio::test]
async fn up_to_five_statements_are_one_call() {
    assert_eq!(side_by_side(2).await, ["POST composite"]);
    assert_eq!(side_by_side(5).await, ["POST composite"]);
}

#[tokio::test]
async fn the_sixth_goes_by_itself() {
    let mut calls = side_by_side(6).await;
    calls.sort();
    assert_eq!(calls, ["GET query", "POST composite"]);
}

#[tokio::test]
async fn fifty_statements_are_ten_calls() {
    assert_eq!(side_by_side(50).await, ["POST composite"; 10]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_on_several_threads_share_a_call() {
    let vendor = Vendor::start().await;
    vendor.client.warm_up(budget()).await.unwrap();
    for round in 0..20 {
        let tasks = (0..5).map(|n| {
            let client = vendor.client.clone();
            tokio::spawn(async move { echo(&client, statement(round * 5 + n)).await })
        });
        let tasks: Vec<_> = tasks.collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    }
    let calls = vendor.calls().await;
    // A thread that the system takes off its core misses the tick, so 20 is the rule and not the law.
    assert!(calls.len() <= 50, "100 statements took {} calls", calls.len());
}

#[tokio::test]
async fn the_same_statement_is_asked_once_for_all() {
    let vendor = Vendor::start().await;
    let echoes = join_all((0..50).map(|_| echo(&vendor.client, statement(1)))).await;
    assert!(echoes.into_iter().all(|echo| echo == Ok(statement(1).to_string())));
    assert_eq!(vendor.calls().await, ["GET query"]);
}

#[tokio::test]
async fn a_refused_statement_fails_alone() {
    let vendor = Vendor::start().await;
    let (one, bad, two) = futures::join!(
        echo(&vendor.client, statement(1)),
        echo(&vendor.client, from("Nope", 1)),
        echo(&vendor.client, statement(2)),
    );
    assert_eq!(one.unwrap(), statement(1).to_string());
    assert_eq!(two.unwrap(), statement(2).to_string());
    assert_eq!(
        bad.unwrap_err(),
        Kind::Refused { code: "INVALID_TYPE".into(), message: "sObject type 'Nope' is not supported".into() }
    );
    assert_eq!(vendor.calls().await, ["POST composite"]);
}

#[tokio::test]
async fn a_failed_request_fails_everyone_in_it() {
    let vendor = Vendor::start().await;
    vendor.answer_all(ResponseTemplate::new(200).set_body_string("{\"compositeResponse\":[{\"bo"));
    let (one, two) = futures::join!(echo(&vendor.client, statement(1)), echo(&vendor.client, statement(2)));
    assert_eq!([one, two], [Err(Kind::Garbage), Err(Kind::Garbage)]);
    vendor.answer_all(ResponseTemplate::new(200).set_body_string("{\"compositeResponse\":[]}"));
    let (one, two) = futures::join!(echo(&vendor.client, statement(1)), echo(&vendor.client, statement(2)));
    let cut = Err(Kind::Decode { path: "compositeResponse".into() });
    assert_eq!([one, two], [cut.clone(), cut]);
}

#[tokio::test]
async fn whoever_leaves_fails_nobody() {
    let vendor = Vendor::start().await;
    vendor.client.warm_up(budget()).await.unwrap();
    let mut heard = vendor.hear();
    vendor.delay(Duration::from_millis(50));
    // Before it is sent: the first to ask is gone, and nobody wants its statement any more.
    let mut gone = Box::pin(echo(&vendor.client, statement(0)));
    assert!(gone.as_mut().now_or_never().is_none());
    drop(gone);
    // Under way: the vendor has the request when one of two leaves.
    let tasks = [1, 2].map(|n| {
        let client = vendor.client.clone();
        tokio::spawn(async move { echo(&client, statement(n)).await })
    });
    heard.recv().await.unwrap();
    let [gone, stays] = tasks;
    gone.abort();
    assert_eq!(stays.await.unwrap().unwrap(), statement(2).to_string());
    assert_eq!(vendor.calls().await, ["POST composite"]);
    let body = String::from_utf8(vendor.last().await.body).unwrap();
    assert_eq!(body.matches("referenceId").count(), 2);
}

#[tokio::test]
async fn everyone_waits_only_as_long_as_its_own_deadline() {
    let vendor = Vendor::start().await;
    vendor.client.warm_up(budget()).await.unwrap();
    vendor.delay(Duration::from_millis(300));
    let hasty = Budget::new(Duration::from_millis(50), Lane::Background);
    let (hasty, patient) = futures::join!(
        vendor.client.query::<Echo>(hasty, statement(1)),
        vendor.client.query::<Echo>(budget(), statement(2)),
    );
    assert_eq!(hasty.unwrap_err().kind, Kind::Deadline);
    assert_eq!(patient.unwrap().len(), 1);
    assert_eq!(vendor.calls().await, ["POST composite"]);
}

#[tokio::test]
async fn a_statement_too_long_for_an_address_travels_in_a_body() {
    let vendor = Vendor::start().await;
    let ids = (0..1_000).map(|n| RecordId::parse(&format!("801{n:012}")).unwrap());
    let long = Select::from("Order").fields(["Id"]).filter(Filter::one_of("Id", ids)).build().unwrap();
    assert_eq!(echo(&vendor.client, long.clone()).await.unwrap(), long.to_string());
    assert_eq!(vendor.calls().await, ["POST composite"]);
}

#[tokio::test]
async fn a_statement_that_nothing_can_answer_is_not_asked() {
    let vendor = Vendor::start().await;
    let nobody = Filter::one_of::<RecordId>("Id", []);
    let soql = Select::from("Order").fields(["Id"]).filter(nobody).build().unwrap();
    assert!(vendor.client.query::<Echo>(budget(), soql).await.unwrap().is_empty());
    assert_eq!(vendor.logins(), 0);
}

#[tokio::test]
async fn the_allowance_is_kept_for_the_more_urgent() {
    let vendor = Vendor::start().await;
    vendor.usage("api-usage=960/1000");
    assert_eq!(vendor.client.usage(), None);
    vendor.client.query::<Echo>(lane(Lane::Background), statement(1)).await.unwrap();
    assert_eq!(vendor.client.usage(), Some(Usage { used: 960, limit: 1000 }));
    for lesser in [Lane::Background, Lane::Partner] {
        let error = vendor.client.query::<Echo>(lane(lesser), statement(2)).await.unwrap_err();
        assert!(matches!(error.kind, Kind::Shed { .. }));
    }
    vendor.client.query::<Echo>(budget(), statement(3)).await.unwrap();
    assert_eq!(vendor.calls().await.len(), 2);
}
