//! Many records in one request: collections, composite, graph, tree, batch; limits; faults.

use super::*;
use crate::sandbox::core::{Rule, RuleKind, System};

fn create(reference: &str, object: &str, body: Value) -> Value {
    json!({"method": "POST", "url": format!("{DATA}/sobjects/{object}"), "referenceId": reference, "body": body})
}

async fn count(sandbox: &Sandbox, object: &str) -> u64 {
    sandbox.query(&format!("SELECT COUNT() FROM {object}")).await.body["totalSize"].as_u64().unwrap()
}

#[tokio::test]
async fn a_composite_has_at_most_25_subrequests_and_5_queries() {
    let sandbox = Sandbox::start().await;
    let limits = |count: usize| {
        let one =
            |n| json!({"method": "GET", "url": format!("{DATA}/limits"), "referenceId": format!("r{n}")});
        json!({"compositeRequest": (0..count).map(one).collect::<Vec<_>>()})
    };
    let queries = |count: usize| {
        let url = query_url("SELECT Id FROM Account LIMIT 1");
        let one = |n| json!({"method": "GET", "url": url, "referenceId": format!("r{n}")});
        json!({"compositeRequest": (0..count).map(one).collect::<Vec<_>>()})
    };
    for (body, status) in [(limits(25), 200), (limits(26), 400), (queries(5), 200), (queries(6), 400)] {
        assert_eq!(sandbox.call("POST", "composite", body).await.status, status);
    }
    let bad = |change: Value| {
        let mut item = json!({"method": "GET", "url": format!("{DATA}/limits"), "referenceId": "a"});
        for (key, value) in change.as_object().unwrap() {
            item[key.as_str()] = value.clone();
        }
        json!({"compositeRequest": [item]})
    };
    for change in [
        json!({"referenceId": "a-b"}),
        json!({"referenceId": "_a"}),
        json!({"method": "get"}),
        json!({"httpHeaders": {"authorization": "x"}}),
    ] {
        assert_eq!(sandbox.call("POST", "composite", bad(change)).await.status, 400);
    }
    let old =
        sandbox.call("POST", "/services/data/v51.0/composite", bad(json!({"referenceId": "a-b"}))).await;
    assert_eq!(old.status, 200);
}

#[tokio::test]
async fn an_order_with_its_lines_is_all_or_none() {
    let sandbox = Sandbox::start().await;
    let before =
        (count(&sandbox, "Order").await, sandbox.core.journal.count(System::Salesforce, Some("create")));
    let order = |entry: u32, all_or_none: bool| {
        json!({"allOrNone": all_or_none, "compositeRequest": [
            create("ord", "Order", json!({
                "AccountId": account(2), "EffectiveDate": "2026-11-20", "Status": "Draft", "Pricebook2Id": sf_id("01s", 0, 1)
            })),
            create("l1", "OrderItem", json!({
                "OrderId": "@{ord.id}", "PricebookEntryId": sf_id("01u", 0, entry), "Quantity": 1, "UnitPrice": 5
            })),
            {"method": "GET", "url": format!("{DATA}/sobjects/OrderItem/@{{l1.id}}"), "referenceId": "read"},
            create("c", "Case", json!({"Subject": "about @{ord.id}"})),
        ]})
    };
    let statuses = |reply: &Reply| -> Vec<u64> {
        reply.body["compositeResponse"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| part["httpStatusCode"].as_u64().unwrap())
            .collect()
    };
    let reply = sandbox.call("POST", "composite", order(1_001, true)).await;
    assert_eq!((reply.status, statuses(&reply)), (200, vec![400; 4]));
    let codes: Vec<&Value> = reply.body["compositeResponse"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| &part["body"][0]["errorCode"])
        .collect();
    assert_eq!(
        codes,
        ["PROCESSING_HALTED", "FIELD_INTEGRITY_EXCEPTION", "PROCESSING_HALTED", "PROCESSING_HALTED"]
    );
    assert_eq!(count(&sandbox, "Order").await, before.0);
    assert_eq!(
        sandbox
            .core
            .journal
            .entries(&crate::sandbox::journal::Filter {
                kind: Some(crate::sandbox::journal::Kind::Effect),
                ..Default::default()
            })
            .len(),
        0,
        "nothing happened"
    );

    let reply = sandbox.call("POST", "composite", order(1_001, false)).await;
    assert_eq!(statuses(&reply), [201, 400, 400, 201], "only what refers to the failed one fails");
    let message = reply.body["compositeResponse"][2]["body"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("Invalid reference specified. No value for"), "{message}");
    let reply = sandbox.call("POST", "composite", order(1, true)).await;
    assert_eq!(statuses(&reply), [201, 201, 200, 201], "{}", reply.body);
    assert!(reply.body["compositeResponse"][0]["httpHeaders"]["Location"].is_string());
    assert_eq!(reply.headers["sforce-limit-info"].to_str().unwrap().split('/').next(), Some("api-usage=5"));
}

#[tokio::test]
async fn collections_take_200_records_and_report_each() {
    let sandbox = Sandbox::start().await;
    let records = |count: usize| -> Vec<Value> {
        (0..count).map(|n| json!({"attributes": {"type": "Case"}, "Subject": format!("case {n}")})).collect()
    };
    let over = sandbox.call("POST", "composite/sobjects", json!({"records": records(201)})).await;
    assert_eq!((over.status, over.code()), (400, "EXCEEDED_ID_LIMIT"));
    let full = sandbox.call("POST", "composite/sobjects", json!({"records": records(200)})).await;
    assert!(full.status == 200 && full.body.as_array().unwrap().iter().all(|item| item["success"] == true));

    let mut mixed = records(2);
    mixed[1]["SuppliedEmail"] = json!("bad");
    let before = count(&sandbox, "Case").await;
    let reply =
        sandbox.call("POST", "composite/sobjects", json!({"allOrNone": true, "records": mixed})).await;
    assert_eq!(reply.body[0]["errors"][0]["statusCode"], "ALL_OR_NONE_OPERATION_ROLLED_BACK");
    assert_eq!(reply.body[1]["errors"][0]["statusCode"], "INVALID_EMAIL_ADDRESS");
    assert_eq!(count(&sandbox, "Case").await, before);
    let reply = sandbox.call("POST", "composite/sobjects", json!({"records": mixed})).await;
    let (good, bad) = (&reply.body[0], &reply.body[1]);
    assert_eq!((&good["success"], &bad["success"]), (&json!(true), &json!(false)));

    let id = good["id"].as_str().unwrap();
    let body = json!({"records": [{"attributes": {"type": "Case"}, "id": id, "Subject": "new"}]});
    assert_eq!(sandbox.call("PATCH", "composite/sobjects", body).await.body[0]["success"], true);
    let keyed =
        json!({"records": [{"attributes": {"type": "Case"}, "Portal_Case_Key__c": "k", "Subject": "new"}]});
    for created in [true, false] {
        let reply = sandbox.call("PATCH", "composite/sobjects/Case/Portal_Case_Key__c", keyed.clone()).await;
        assert_eq!(reply.body[0]["created"], created, "{}", reply.body);
    }
    let read = json!({"ids": [id, sf_id("500", 999, 1)], "fields": ["Subject"]});
    let rows = sandbox.call("POST", "composite/sobjects/Case", read).await.body;
    assert_eq!((&rows[0]["Subject"], &rows[1]), (&json!("new"), &Value::Null));
    let gone = sandbox
        .call("DELETE", &format!("composite/sobjects?ids={id},{id}&allOrNone=false"), Value::Null)
        .await
        .body;
    assert_eq!((&gone[0]["success"], &gone[1]["success"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn graphs_are_atomic_each_and_trees_whole() {
    let sandbox = Sandbox::start().await;
    let before = count(&sandbox, "Case").await;
    let graph = |id: &str, email: &str| {
        json!({"graphId": id, "compositeRequest": [
            create("a", "Case", json!({"Subject": "one"})),
            create("b", "Case", json!({"ParentId": "@{a.id}", "SuppliedEmail": email})),
        ]})
    };
    let body = json!({"graphs": [graph("good", "a@b.jp"), graph("bad", "nothing")]});
    let reply = sandbox.call("POST", "composite/graph", body).await;
    let graphs = &reply.body["graphs"];
    assert_eq!((&graphs[0]["isSuccessful"], &graphs[1]["isSuccessful"]), (&json!(true), &json!(false)));
    assert_eq!(
        graphs[1]["graphResponse"]["compositeResponse"][0]["body"][0]["errorCode"],
        "PROCESSING_HALTED"
    );
    assert_eq!(count(&sandbox, "Case").await, before + 2);
    let query = json!({"graphs": [{"graphId": "q", "compositeRequest": [
        {"method": "GET", "url": query_url("SELECT Id FROM Account"), "referenceId": "q"}
    ]}]});
    assert_eq!(sandbox.call("POST", "composite/graph", query).await.status, 400);

    let record = |reference: &str, email: &str| {
        json!({
            "attributes": {"type": "Case", "referenceId": reference}, "SuppliedEmail": email
        })
    };
    let tree = |email: &str| {
        let mut root = record("root", "a@b.jp");
        root["Cases"] = json!({"records": [record("leaf", email)]});
        json!({"records": [root]})
    };
    let reply = sandbox.call("POST", "composite/tree/Case", tree("nothing")).await;
    assert_eq!((reply.status, &reply.body["hasErrors"]), (400, &json!(true)));
    assert_eq!(reply.body["results"][0]["referenceId"], "leaf");
    let reply = sandbox.call("POST", "composite/tree/Case", tree("c@d.jp")).await;
    assert_eq!((reply.status, reply.body["results"].as_array().unwrap().len()), (201, 2));
    assert_eq!(count(&sandbox, "Case").await, before + 4);
    let batch = json!({"batchRequests": [{"method": "GET", "url": "v68.0/limits"}, {"method": "GET", "url": "v68.0/nowhere"}]});
    let reply = sandbox.call("POST", "composite/batch", batch).await;
    assert_eq!(
        (&reply.body["hasErrors"], &reply.body["results"][1]["statusCode"]),
        (&json!(true), &json!(404))
    );
}

#[tokio::test]
async fn the_daily_limit_is_counted_and_kept() {
    let sandbox = Sandbox::start().await;
    sandbox.set(json!({"daily_limit": 2})).await;
    let first = sandbox.get("limits").await;
    assert_eq!(first.body["DailyApiRequests"], json!({"Max": 2, "Remaining": 1}));
    assert_eq!(first.headers["sforce-limit-info"], "api-usage=1/2");
    assert_eq!(sandbox.get("limits").await.status, 200);
    let over = sandbox.get("limits").await;
    assert_eq!((over.status, over.code()), (403, "REQUEST_LIMIT_EXCEEDED"));
    assert_eq!(over.body[0]["message"], "TotalRequests Limit exceeded.");
    assert!(!sandbox.get("/services/data").await.headers.contains_key("sforce-limit-info"));
}

#[tokio::test]
async fn faults_are_acted_out_before_or_after_the_work() {
    let sandbox = Sandbox::start().await;
    let fault = |operation: &str, kind| Rule {
        operation: operation.to_owned(),
        times: Some(1),
        ..Rule::every(System::Salesforce, kind)
    };
    sandbox.core.faults.add(Rule {
        code: Some("REQUEST_LIMIT_EXCEEDED".to_owned()),
        message: Some("ConcurrentRequests (Concurrent API Requests) Limit exceeded.".to_owned()),
        ..fault("query", RuleKind::Business)
    });
    let reply = sandbox.query("SELECT Id FROM Account LIMIT 1").await;
    assert_eq!((reply.status, reply.code()), (403, "REQUEST_LIMIT_EXCEEDED"));
    let before = count(&sandbox, "Case").await;
    for (applied, added) in [(true, 1), (false, 1)] {
        sandbox.core.faults.add(Rule { applied, ..fault("create", RuleKind::Status) });
        assert_eq!(sandbox.call("POST", "sobjects/Case", json!({"Subject": "x"})).await.status, 503);
        assert_eq!(count(&sandbox, "Case").await, before + added);
    }
    sandbox.core.faults.add(fault("token", RuleKind::Business));
    assert_eq!(sandbox.token("x").await.status, 400);
}

#[tokio::test]
async fn objects_are_described() {
    let sandbox = Sandbox::start().await;
    let all = sandbox.get("sobjects").await;
    assert!(
        all.body["sobjects"].as_array().unwrap().iter().any(|object| object["name"] == "SIM_Inventory__c")
    );
    let order = sandbox.get("sobjects/order/describe/").await;
    let field = |name: &str| {
        order.body["fields"].as_array().unwrap().iter().find(|field| field["name"] == name).unwrap().clone()
    };
    assert_eq!(
        (&field("MNP_Phone_Number__c")["length"], &field("Status")["nillable"]),
        (&json!(11), &json!(false))
    );
    assert_eq!(field("AccountId")["referenceTo"], json!(["Account"]));
    assert!(
        order.body["childRelationships"]
            .as_array()
            .unwrap()
            .iter()
            .any(|child| child["relationshipName"] == "OrderItems")
    );
    let known = order.headers["last-modified"].to_str().unwrap().to_owned();
    let request = Request::get(format!("{DATA}/sobjects/Order/describe"))
        .header("authorization", format!("Bearer {}", sandbox.token))
        .header("if-modified-since", known);
    assert_eq!(sandbox.send(request.body(Body::empty()).unwrap()).await.status, 304);
    let recent = sandbox.get("recent").await;
    assert_eq!((recent.status, recent.body), (200, json!([])));
}
