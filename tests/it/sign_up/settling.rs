//! What a call of unknown outcome may have made is waited for, for the settling time, before it is made again (requirement G2).

use chrono::TimeDelta;
use portal_gateway::sandbox::{
    core::{Rule, RuleKind, System},
    journal::{Filter, Kind},
};
use serde_json::json;

use super::{EMAIL, fail, hasty_with};
use crate::{
    gateway::Gateway,
    newcomer::{Newcomer, Path},
};

/// The settling time; a call takes as long at most.
const SETTLE: TimeDelta = TimeDelta::seconds(2);

async fn settling() -> Gateway {
    hasty_with(&[("SIGN_UP_SETTLE", "2s")]).await
}

/// The times between the tries to create a client, and how often it was looked for after the first.
fn tries(gateway: &Gateway) -> (Vec<TimeDelta>, usize) {
    let filter = Filter { system: Some(System::Whmcs), kind: Some(Kind::Call), ..Filter::default() };
    let calls = gateway.sandbox.core().journal.entries(&filter);
    let tries: Vec<_> = calls.iter().filter(|call| &*call.operation == "AddClient").collect();
    let looks = calls.iter().filter(|call| &*call.operation == "GetClients" && call.seq > tries[0].seq);
    (tries.windows(2).map(|pair| pair[1].at - pair[0].at).collect(), looks.count())
}

#[tokio::test]
async fn a_client_that_appears_late_is_adopted() {
    let gateway = settling().await;
    let (sandbox, app, door) = (&gateway.sandbox, &gateway.app, gateway.door());
    let newcomer = Newcomer::verified(sandbox, &door, Path::New).await;
    fail(&gateway, System::Whmcs, "AddClient", RuleKind::Drop, true);
    // Billing shows the client only after some looks: behind the one before it is created.
    let faults = &sandbox.core().faults;
    let looks = Rule { operation: "GetClients".to_owned(), ..Rule::every(System::Whmcs, RuleKind::Delay) };
    faults.add(Rule { times: Some(1), ..looks.clone() });
    let nobody =
        json!({ "result": "success", "totalresults": 0, "startnumber": 0, "numreturned": 0, "clients": "" });
    faults.add(Rule {
        kind: RuleKind::Status,
        status: Some(200),
        message: Some(nobody.to_string()),
        content_type: Some("application/json".to_owned()),
        times: Some(3),
        ..looks
    });
    let ended = newcomer.finish(&door).await;
    newcomer.assert_ended(&ended, sandbox, app, "it appears late").await;
    assert!(faults.list().is_empty(), "it was hidden");
    let (again, looks) = tries(&gateway);
    assert_eq!((again, looks), (Vec::new(), 4), "it was not sent again");
}

#[tokio::test]
async fn a_client_that_is_surely_absent_is_created_again_after_each_time_to_settle() {
    let gateway = settling().await;
    let (sandbox, app, door) = (&gateway.sandbox, &gateway.app, gateway.door());
    let newcomer = Newcomer::verified(sandbox, &door, Path::New).await;
    // The first call is given up after its two seconds, the second is cut at once.
    fail(&gateway, System::Whmcs, "AddClient", RuleKind::Hang, false);
    fail(&gateway, System::Whmcs, "AddClient", RuleKind::Drop, false);
    let ended = newcomer.finish(&door).await;
    newcomer.assert_ended(&ended, sandbox, app, "it is absent").await;
    let (between, looks) = tries(&gateway);
    assert_eq!(between.len(), 2, "{between:?}");
    // A call is on its way for a moment before it is seen to arrive.
    let call = TimeDelta::milliseconds(1_800);
    assert!(between[0] >= call + SETTLE, "it settles from the end of the call: {between:?}");
    assert!(between[1] >= SETTLE, "and after the second call anew: {between:?}");
    assert!(looks >= 4, "it was looked for all the while: {looks}");
    assert!(app.store.user_by_email(EMAIL).await.unwrap().is_some());
}
