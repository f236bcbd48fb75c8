//! Queries, pages, rows, composites that read.

use super::*;
use crate::sandbox::core::System;

#[tokio::test]
async fn a_dashboard_is_one_composite() {
    let sandbox = Sandbox::start().await;
    let id = account(1);
    let item = |name: &str, statement: String| json!({"method": "GET", "referenceId": name, "url": query_url(&statement)});
    let before = sandbox.core.journal.count(System::Salesforce, None);
    let reply = sandbox
        .call(
            "POST",
            "composite",
            json!({"allOrNone": false, "compositeRequest": [
                item("orders", format!(
                    "SELECT Id, OrderNumber, Status, TotalAmount, BillingAddress, (SELECT Id, UnitPrice, Product2.Name, \
                     PricebookEntry.Product2.StockKeepingUnit FROM OrderItems) FROM Order WHERE AccountId = '{id}' \
                     ORDER BY CreatedDate DESC, Id LIMIT 5"
                )),
                item("cases", format!(
                    "SELECT Id, CaseNumber, (SELECT CommentBody, CreatedBy.Name FROM CaseComments WHERE IsPublished = true) \
                     FROM Case WHERE AccountId = '{id}' AND (Origin = 'Portal Support' OR Origin = 'x') ORDER BY CreatedDate DESC"
                )),
                item("open", format!("SELECT COUNT() FROM Case WHERE AccountId = '{id}' AND IsClosed = false")),
            ]}),
        )
        .await;
    assert_eq!(sandbox.core.journal.count(System::Salesforce, None), before + 1);
    assert_eq!(reply.headers["sforce-limit-info"], "api-usage=1/100000");
    let parts = reply.body["compositeResponse"].as_array().unwrap();
    assert_eq!(parts[0]["httpStatusCode"], 200, "{}", parts[0]);
    let orders = parts[0]["body"]["records"].as_array().unwrap();
    assert_eq!(orders.len(), 5);
    let (order, line) = (&orders[0], &orders[0]["OrderItems"]["records"][0]);
    assert_eq!(order["attributes"]["type"], "Order");
    assert_eq!(line["Product2"]["attributes"]["type"], "Product2");
    assert!(line["PricebookEntry"]["Product2"]["StockKeepingUnit"].is_string());
    assert!(order["BillingAddress"]["postalCode"].is_string() && order["TotalAmount"].is_number());
    assert!(parts[1]["body"]["records"].as_array().unwrap().len() == 6, "{}", parts[1]);
    assert!(parts[2]["body"]["totalSize"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn conditions_mean_what_soql_means() {
    let sandbox = Sandbox::start().await;
    let count = async |condition: &str| {
        let reply = sandbox
            .query(&format!("SELECT COUNT() FROM Case WHERE AccountId = '{}' AND ({condition})", account(1)))
            .await;
        assert_eq!(reply.status, 200, "{condition}: {}", reply.body);
        reply.body["totalSize"].as_u64().unwrap()
    };
    for (condition, expected) in [
        ("Status = 'closed'", 2),
        ("Status IN ('CLOSED', 'New')", 3),
        ("Status != 'Closed'", 5),
        ("NOT Status = 'Closed'", 5),
        ("ClosedDate = null", 5),
        ("ClosedDate != 2020-01-01T00:00:00Z", 7),
        ("ClosedDate < 2099-01-01T00:00:00Z", 2),
        ("Reason NOT IN ('Other')", 7),
        ("Reason != 'Other'", 7),
        ("Reason = 'Other'", 0),
        ("Status LIKE 'escalated%'", 1),
        ("Status LIKE '%_ NTT'", 1),
        ("Status LIKE '\\\\%'", 0),
        ("IsClosed = FALSE", 5),
        ("CreatedDate = LAST_N_DAYS:7", 3),
        ("CreatedDate > LAST_N_DAYS:7", 0),
        ("CreatedDate = TODAY OR CreatedDate < TODAY", 7),
        ("Account.PersonEmail LIKE '%@example.jp'", 7),
        ("Parent.Subject = null", 7),
        ("(Status = 'New' AND Priority = 'High') OR (Status = 'Closed' AND Priority = 'Low')", 2),
    ] {
        assert_eq!(count(condition).await, expected, "{condition}");
    }
}

#[tokio::test]
async fn records_are_found_by_every_key() {
    let sandbox = Sandbox::with_customers(1_000_000).await;
    let n = 765_432;
    let customer = sandbox.core.world.customer(n);
    let email = customer.email.clone();
    for statement in [
        format!("SELECT Id FROM Account WHERE Id = '{}'", &account(n)[..15]),
        format!("SELECT Id FROM Account WHERE SF_Account_No__c = 'C{n:07}'"),
        format!("SELECT Id FROM Account WHERE WH_Account__c LIKE '#{} - %'", n + 1_000),
        format!("SELECT Id FROM Account WHERE PersonEmail IN ('{email}')"),
        format!("SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact WHERE Email = '{email}')"),
        format!("SELECT Id FROM Contact WHERE Account.SF_Account_No__c = 'C{n:07}'"),
        format!(
            "SELECT AccountId FROM Contact WHERE (AccountId = '{}' OR Email = '{email}') AND IsDeleted = false",
            account(n)
        ),
    ] {
        let reply = sandbox.query(&statement).await;
        assert_eq!(reply.records().len(), 1, "{statement}");
    }
    let items = sandbox
        .query(&format!("SELECT Id FROM OrderItem WHERE Order.Account.SF_Account_No__c = 'C{n:07}'"))
        .await;
    let lines: usize = customer.orders.iter().map(|order| order.lines.len()).sum();
    assert_eq!(items.records().len(), lines);
    let all = sandbox.query("SELECT Id FROM Account LIMIT 3").await;
    assert_eq!(all.records().len(), 3);
}

#[tokio::test]
async fn aggregates_group_and_filter() {
    let sandbox = Sandbox::start().await;
    let reply = sandbox
        .query(&format!(
            "SELECT Status, COUNT(Id) n, MIN(CreatedDate) FROM Case WHERE AccountId = '{}' GROUP BY Status \
             HAVING COUNT(Id) > 0 ORDER BY COUNT(Id) DESC, Status",
            account(1)
        ))
        .await;
    let first = &reply.records()[0];
    assert_eq!((&first["Status"], &first["n"]), (&json!("Closed"), &json!(2)));
    assert!(first["expr0"].is_string() && first["attributes"] == json!({"type": "AggregateResult"}));
    let reply = sandbox
        .query("SELECT SUM(UnitPrice), AVG(UnitPrice) a, COUNT_DISTINCT(Product2Id) FROM PricebookEntry")
        .await;
    assert_eq!(reply.records()[0]["expr1"], 30);
}

#[tokio::test]
async fn pages_follow_each_other() {
    let sandbox = Sandbox::start().await;
    sandbox.set(json!({"page_size": 8})).await;
    let first =
        sandbox.query("SELECT Id, SF_Account_No__c FROM Account ORDER BY SF_Account_No__c DESC").await;
    assert_eq!(
        (first.records().len(), &first.body["totalSize"], &first.body["done"]),
        (8, &json!(20), &json!(false))
    );
    let mut next = first.body["nextRecordsUrl"].as_str().map(str::to_owned);
    let mut seen: Vec<Value> = first.records().clone();
    while let Some(url) = next {
        let page = sandbox.get(&url).await;
        seen.extend(page.records().iter().cloned());
        next = page.body["nextRecordsUrl"].as_str().map(str::to_owned);
    }
    assert_eq!(seen.len(), 20);
    assert_eq!(seen[19]["SF_Account_No__c"], "C0000001");
    let reply = sandbox.get("query/01gRO0000016PIAYA2-500").await;
    assert_eq!((reply.status, reply.code()), (400, "INVALID_QUERY_LOCATOR"));
}

#[tokio::test]
async fn statements_are_refused_as_the_vendor_does() {
    let sandbox = Sandbox::start().await;
    sandbox.set(json!({"slow_query_text": "slow-marker"})).await;
    for (statement, code) in [
        ("SELECT Id FROM", "MALFORMED_QUERY"),
        ("SELECT Nope FROM Account", "INVALID_FIELD"),
        ("SELECT Nope.Name FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
        ("SELECT Id, (SELECT Id FROM Nopes) FROM Account", "INVALID_TYPE"),
        ("SELECT Id FROM Case WHERE Description = 'x'", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Name = 5", "INVALID_FIELD"),
        ("SELECT Id FROM Case WHERE CreatedDate = '2026-01-01'", "INVALID_FIELD"),
        ("SELECT Id FROM Case WHERE CreatedDate = 2026-01-01", "INVALID_FIELD"),
        ("SELECT Id FROM Order WHERE EffectiveDate = 2026-01-01T00:00:00Z", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Id, Id FROM Account", "INVALID_FIELD"),
        ("SELECT Name, COUNT(Id) FROM Account", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE"),
        ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY"),
        ("SELECT Id FROM ContentDocumentLink", "MALFORMED_QUERY"),
        ("SELECT Id FROM Case WHERE A = 1 AND B = 2 OR C = 3", "MALFORMED_QUERY"),
        ("SELECT Id FROM Case WHERE Subject = 'slow-marker'", "QUERY_TIMEOUT"),
        (
            "SELECT Id FROM Case WHERE AccountId IN (SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact))",
            "MALFORMED_QUERY",
        ),
        (
            "SELECT Id FROM Case WHERE IsClosed = true OR AccountId IN (SELECT Id FROM Account)",
            "MALFORMED_QUERY",
        ),
    ] {
        let reply = sandbox.query(statement).await;
        assert_eq!((reply.status, reply.code()), (400, code), "{statement}: {}", reply.body);
    }
}

#[tokio::test]
async fn rows_are_read_by_id_and_key() {
    let sandbox = Sandbox::start().await;
    let row = sandbox.get(&format!("sobjects/account/{}?fields=name,WH_ACCOUNT__c", account(2))).await;
    assert!(
        row.body["Name"].is_string() && row.body["WH_Account__c"].as_str().unwrap().starts_with("#1002 - ")
    );
    assert!(
        String::from_utf8_lossy(&row.bytes).starts_with("{\"attributes\":{\"type\":\"Account\",\"url\":")
    );
    assert_eq!(
        sandbox.get("sobjects/Account/SF_Account_No__c/C0000002").await.body["Id"],
        account(2).as_str()
    );
    for (path, code) in [
        (format!("sobjects/Nope/{}", account(2)), "NOT_FOUND"),
        (format!("sobjects/Account/{}", account(999)), "NOT_FOUND"),
        ("sobjects/Account/SF_Account_No__c/C9999999".to_owned(), "NOT_FOUND"),
        ("sobjects/Account/Phone/1".to_owned(), "NOT_FOUND"),
        ("nowhere".to_owned(), "NOT_FOUND"),
    ] {
        let reply = sandbox.get(&path).await;
        assert_eq!((reply.status, reply.code()), (404, code), "{path}");
    }
    let reply = sandbox.get(&format!("sobjects/Account/{}?fields=Nope", account(2))).await;
    assert_eq!((reply.status, reply.code()), (400, "INVALID_FIELD"));
    assert_eq!(sandbox.get("/services/data/v25.0/limits").await.status, 410);
    assert_eq!(sandbox.get("/services/data/v99.0/limits").await.status, 404);
    assert_eq!(sandbox.call("PUT", "limits", Value::Null).await.status, 200);
}

#[tokio::test]
async fn every_seeded_field_is_in_the_schema() {
    use crate::sandbox::salesforce::{
        schema::objects,
        store::{seed, shared},
    };
    let core = Core::new(7, 20, false);
    let shared = shared::make(&core.world).into_values().flatten().map(|record| (*record).clone());
    let seeded = (1..=20).flat_map(|n| {
        let customer = core.world.customer(n);
        objects().iter().flat_map(move |object| seed::records(&customer, object)).collect::<Vec<_>>()
    });
    for record in shared.chain(seeded) {
        for (name, value) in &record.fields {
            let field = record.object.field(name).unwrap_or_else(|| panic!("{}.{name}", record.object));
            assert_eq!(field.name, *name);
            if field.kind == crate::sandbox::salesforce::schema::field::Kind::Picklist {
                assert!(field.values.contains(&value.as_str().unwrap()), "{}.{name}: {value}", record.object);
            }
        }
    }
}
