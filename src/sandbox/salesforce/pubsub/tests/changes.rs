//! What an event tells of a change.

use super::*;

async fn rest(bench: &Bench, method: &str, path: &str, body: Value) -> (u16, Value) {
    let url = format!("{}/services/data/v68.0/{path}", bench.sandbox.salesforce_url());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client
        .request(method.parse().unwrap(), url)
        .bearer_auth(&bench.token)
        .header("Sforce-Call-Options", "client=portal-gateway");
    let request = if body.is_null() { request } else { request.json(&body) };
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

#[tokio::test]
async fn a_created_record_comes_whole_with_who_made_it_through_what() {
    let bench = Bench::start().await;
    let mut cases = bench.latest(CASES, 10).await;
    let body = json!({"Subject": "Slow line", "AccountId": account(1), "Origin": "Web"});
    let (status, created) = rest(&bench, "POST", "sobjects/Case", body).await;
    assert_eq!(status, 201);
    let event = bench.decode(&cases.events(1).await[0]).await;
    let header = &event["ChangeEventHeader"];
    assert_eq!(
        (&header["entityName"], &header["changeType"], &header["recordIds"]),
        (&json!("Case"), &json!("CREATE"), &json!([created["id"]]))
    );
    assert_eq!(header["changeOrigin"], "com/salesforce/api/rest/68.0;client=portal-gateway");
    assert_eq!((&header["sequenceNumber"], &header["changedFields"]), (&json!(1), &json!([])));
    assert_eq!(header["commitUser"], integration_user());
    assert!(header["commitNumber"].as_i64().unwrap() > 1 << 53);
    let committed = header["commitTimestamp"].as_i64().unwrap();
    assert!((bench.sandbox.core().clock.now().timestamp_millis() - committed).abs() < 10_000);
    assert_eq!((&event["Subject"], &event["Status"]), (&json!("Slow line"), &json!("New")));
    assert_eq!((&event["IsClosed"], &event["Description"]), (&json!(false), &Value::Null));
    assert!(event["CreatedDate"].is_i64());
}

#[tokio::test]
async fn a_changed_record_tells_only_what_changed() {
    let bench = Bench::start().await;
    let mut orders = bench.latest(ORDERS, 10).await;
    let body = json!({"Activation_Error_Code__c": "X", "Weekend_Install__c": true});
    bench.org().edit("Order", &order(1), &body).unwrap();
    let body = json!({"Activation_Error_Code__c": null, "BillingCity": "Nagoya"});
    bench.org().edit("Order", &order(1), &body).unwrap();
    let events = orders.events(2).await;
    let event = bench.decode(&events[0]).await;
    let header = &event["ChangeEventHeader"];
    assert_eq!((&header["changeType"], &header["changeOrigin"]), (&json!("UPDATE"), &json!("")));
    let names = bench.marked(&events[0], &header["changedFields"]).await;
    for name in ["Weekend_Install__c", "Activation_Error_Code__c", "LastModifiedDate"] {
        assert!(names.iter().any(|other| other == name), "{names:?}");
    }
    assert_eq!((&event["Weekend_Install__c"], &event["AccountId"]), (&json!(true), &Value::Null));
    assert_eq!(header["nulledFields"], json!([]));

    let event = bench.decode(&events[1]).await;
    let header = &event["ChangeEventHeader"];
    assert_eq!(event["BillingAddress"]["City"], "Nagoya");
    assert_eq!(event["BillingAddress"]["Street"], Value::Null);
    let names = bench.marked(&events[1], &header["changedFields"]).await;
    assert_eq!(names, ["Activation_Error_Code__c", "LastModifiedDate", "BillingAddress.City"]);
    assert_eq!(bench.marked(&events[1], &header["nulledFields"]).await, ["Activation_Error_Code__c"]);
}

#[tokio::test]
async fn a_persons_name_changes_in_parts() {
    let bench = Bench::start().await;
    let mut accounts = bench.latest("/data/AccountChangeEvent", 10).await;
    bench.org().edit("Account", &account(2), &json!({"LastName": "Sato"})).unwrap();
    let events = accounts.events(1).await;
    let event = bench.decode(&events[0]).await;
    assert_eq!(event["Name"], json!({"Salutation": null, "FirstName": null, "LastName": "Sato"}));
    let bitmap = event["ChangeEventHeader"]["changedFields"].as_array().unwrap();
    assert!(bitmap[1].as_str().unwrap().ends_with("-0x04"), "{bitmap:?}");
}

#[tokio::test]
async fn a_deleted_record_leaves_its_id_and_comments_leave_nothing() {
    let bench = Bench::start().await;
    let mut all = bench.latest("/data/ChangeEvents", 10).await;
    let comment = json!({"ParentId": case(1), "CommentBody": "We are on it.", "IsPublished": true});
    bench.org().create("CaseComment", &comment).unwrap();
    bench.org().delete("Case", &case(1)).unwrap();
    let events = all.events(2).await;
    let (email, event) = (bench.decode(&events[0]).await, bench.decode(&events[1]).await);
    let (mail, header) = (&email["ChangeEventHeader"], &event["ChangeEventHeader"]);
    assert_eq!((&mail["changeType"], &mail["entityName"]), (&json!("DELETE"), &json!("EmailMessage")));
    assert_eq!((&header["changeType"], &header["recordIds"]), (&json!("DELETE"), &json!([case(1)])));
    assert_eq!(mail["transactionKey"], header["transactionKey"]);
    assert_eq!(event["Subject"], Value::Null);
}

#[tokio::test]
async fn the_events_of_one_request_share_its_key_in_their_order() {
    let bench = Bench::start().await;
    let mut all = bench.latest("/data/ChangeEvents", 20).await;
    let item = |n: u32| {
        json!({"method": "POST", "url": "/services/data/v68.0/sobjects/OrderItem", "referenceId": format!("i{n}"), "body": {
            "OrderId": "@{ord.id}", "PricebookEntryId": sf_id("01u", 0, n), "Quantity": 1, "UnitPrice": 5
        }})
    };
    let order = json!({"method": "POST", "url": "/services/data/v68.0/sobjects/Order", "referenceId": "ord", "body": {
        "AccountId": account(2), "EffectiveDate": "2026-11-20", "Status": "Draft", "Pricebook2Id": sf_id("01s", 0, 1)
    }});
    let composite = json!({"allOrNone": true, "compositeRequest": [order, item(1), item(2)]});
    let refused = json!({"allOrNone": true, "compositeRequest": [order, item(1), item(1_001)]});
    rest(&bench, "POST", "composite", refused).await;
    rest(&bench, "POST", "composite", composite).await;
    let mut headers = Vec::new();
    for event in all.events(3).await {
        headers.push(bench.decode(&event).await["ChangeEventHeader"].clone());
    }
    let told: Vec<_> = headers
        .iter()
        .map(|header| (header["entityName"].as_str().unwrap(), &header["sequenceNumber"]))
        .collect();
    assert_eq!(told, [("Order", &json!(1)), ("OrderItem", &json!(2)), ("OrderItem", &json!(3))]);
    assert!(headers.iter().all(|header| header["transactionKey"] == headers[0]["transactionKey"]));

    let same =
        |n| json!({"attributes": {"type": "Case"}, "id": case(n), "Priority": "High", "Reason": "Other"});
    let records = json!({"records": [same(1), same(2)]});
    rest(&bench, "PATCH", "composite/sobjects", records).await;
    let merged = bench.decode(&all.events(1).await[0]).await;
    assert_eq!(merged["ChangeEventHeader"]["recordIds"], json!([case(1), case(2)]));
}

#[tokio::test]
async fn the_parts_of_a_batch_are_transactions_of_their_own() {
    let bench = Bench::start().await;
    let mut cases = bench.latest(CASES, 20).await;
    let part = |n: u64| {
        let url = format!("v68.0/sobjects/Case/{}", case(n));
        json!({"method": "PATCH", "url": url, "richInput": {"Subject": "the same"}})
    };
    let batch = json!({"batchRequests": [part(1), part(2)]});
    rest(&bench, "POST", "composite/batch", batch).await;
    let events = cases.events(2).await;
    let (one, other) = (bench.decode(&events[0]).await, bench.decode(&events[1]).await);
    let key = |event: &Value| event["ChangeEventHeader"]["transactionKey"].clone();
    assert_ne!(key(&one), key(&other));
    assert_eq!(other["ChangeEventHeader"]["sequenceNumber"], 1);
}

#[tokio::test]
async fn an_approved_order_is_set_to_activating_and_its_fulfilment_is_requested() {
    let bench = Bench::start().await;
    let created = json!({"AccountId": account(2), "EffectiveDate": "2026-11-20", "Status": "Pending Review"});
    let id = bench.org().create("Order", &created).unwrap();
    let mut requested = bench.latest("/event/Order_Fulfilment_Requested__e", 10).await;
    bench.org().edit("Order", id.as_str(), &json!({"Status": "Approved"})).unwrap();
    bench.org().edit("Order", id.as_str(), &json!({"Description": "no second request"})).unwrap();
    bench.org().edit("Order", id.as_str(), &json!({"Status": "Reactivate"})).unwrap();
    let events = requested.events(2).await;
    let event = bench.decode(&events[0]).await;
    assert_eq!(event["OrderId__c"], id.as_str());
    assert_eq!(event["Version__c"], 1.0);
    assert_ne!(event["IdemKey__c"], bench.decode(&events[1]).await["IdemKey__c"]);
    let overlay = bench.org().read();
    assert_eq!(overlay.get(id).unwrap().text("Activation_Status__c"), Some("Activating"));
}

#[tokio::test]
async fn a_decided_eligibility_is_published() {
    let bench = Bench::start().await;
    let mut updates = bench.latest("/event/Account_Internet_Eligibility_Update__e", 10).await;
    bench.org().edit("Account", &account(3), &json!({"Phone": "0312345678"})).unwrap();
    let decided =
        json!({"Internet_Eligibility__c": "Home 10G", "Internet_Eligibility_Status__c": "Eligible"});
    bench.org().edit("Account", &account(3), &decided).unwrap();
    let event = bench.decode(&updates.events(1).await[0]).await;
    assert_eq!(event["AccountId__c"], account(3));
    assert_eq!(event["Internet_Eligibility__c"], "Home 10G");
}
