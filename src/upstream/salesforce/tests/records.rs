use chrono::{DateTime, Utc};
use wiremock::ResponseTemplate;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Order {
    id: RecordId,
    order_number: String,
    #[serde(deserialize_with = "instant::deserialize")]
    created_date: DateTime<Utc>,
    order_items: Children<Item>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    quantity: f64,
}

fn order(id: &str, number: &str, day: u32, quantities: &[f64]) -> Order {
    Order {
        id: RecordId::parse(id).unwrap(),
        order_number: number.to_owned(),
        created_date: format!("2026-11-{day}T03:04:05Z").parse().unwrap(),
        order_items: Children(quantities.iter().map(|&quantity| Item { quantity }).collect()),
    }
}

#[tokio::test]
async fn records_arrive_with_their_children() {
    let vendor = Vendor::start().await;
    vendor.answer(statement(1).to_string(), 200, fixture("orders.json"));
    let orders: Vec<Order> = vendor.client.query(budget(), statement(1)).await.unwrap();
    let expected = [
        order("80190000001pPvH", "00000123", 20, &[1.0, 2.0]),
        order("80190000001pPvI", "00000124", 21, &[]),
    ];
    assert_eq!(orders, expected);
    let records: Vec<Record> = vendor.client.query(budget(), statement(1)).await.unwrap();
    assert_eq!(records[0].text("OrderNumber").unwrap(), Some("00000123"));
    assert_eq!(records[0].children("OrderItems").unwrap().len(), 2);
}

#[tokio::test]
async fn pages_are_joined_and_those_of_children_too() {
    let vendor = Vendor::start().await;
    vendor.answer(statement(1).to_string(), 200, fixture("orders_page_1.json"));
    let more = "/services/data/v67.0/query/01gRO0000016PI";
    vendor.answer(format!("{more}AYA2-2"), 200, fixture("orders_page_2.json"));
    vendor.answer(format!("{more}BYA2-1"), 200, fixture("items_page_2.json"));
    let orders: Vec<Order> = vendor.client.query(budget(), statement(1)).await.unwrap();
    let expected = [
        order("80190000001pPvH", "00000123", 20, &[1.0, 2.0]),
        order("80190000001pPvI", "00000124", 21, &[]),
        order("80190000001pPvJ", "00000125", 22, &[]),
    ];
    assert_eq!(orders, expected);
    assert_eq!(vendor.calls().await.len(), 3);
}

#[tokio::test]
async fn a_next_page_is_looked_for_only_where_pages_are() {
    let vendor = Vendor::start().await;
    for next in
        ["http://elsewhere.example/x", "@elsewhere.example/services/data/v67.0", "/services/apexrest/x"]
    {
        let page = json!({ "totalSize": 2, "done": false, "nextRecordsUrl": next, "records": [] });
        vendor.answer(statement(1).to_string(), 200, page.to_string());
        let error = vendor.client.query::<Echo>(budget(), statement(1)).await.unwrap_err();
        assert_eq!(error.kind, Kind::Decode { path: "nextRecordsUrl".into() });
    }
}

#[tokio::test]
async fn a_list_that_is_cut_short_is_not_taken_for_the_whole() {
    let vendor = Vendor::start().await;
    let page = json!({ "totalSize": 2, "done": false, "records": [{ "statement": "one" }] });
    vendor.answer(statement(1).to_string(), 200, page.to_string());
    let error = vendor.client.query::<Echo>(budget(), statement(1)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Decode { path: "nextRecordsUrl".into() });
}

#[tokio::test]
async fn a_wrong_shape_is_told_by_its_path_and_never_by_its_value() {
    let vendor = Vendor::start().await;
    let page = |next: &str| {
        let records = json!([{ "statement": "fine" }, { "statement": ["Taro Yamada"] }]);
        json!({ "totalSize": 2, "done": true, "records": records, next: "/services/data/v67.0/query/x" })
    };
    for next in ["other", "nextRecordsUrl"] {
        vendor.answer(statement(1).to_string(), 200, page(next).to_string());
        let error = vendor.client.query::<Echo>(budget(), statement(1)).await.unwrap_err();
        assert_eq!(error.to_string(), "CRM query: unexpected shape at records[1].statement");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_answer_is_an_outage() {
    for body in ["<html>maintenance</html>", "", "{\"totalSize\":1,\"done\":tr"] {
        let vendor = Vendor::start().await;
        vendor.answer_all(ResponseTemplate::new(200).set_body_string(body));
        assert_eq!(echo(&vendor.client, statement(1)).await, Err(Kind::Garbage), "{body}");
    }
    let vendor = Vendor::start().await;
    vendor.answer_all(ResponseTemplate::new(503).set_body_string("<html>"));
    assert_eq!(echo(&vendor.client, statement(1)).await, Err(Kind::Status(503)));
}

#[tokio::test]
async fn a_record_is_found_or_is_not_there() {
    let vendor = Vendor::start().await;
    let path = format!("/services/data/v67.0/sobjects/Order/{}", some_id());
    vendor.answer(path.as_str(), 200, r#"{"attributes":{"type":"Order"},"statement":"x"}"#);
    let found = vendor.client.retrieve::<Echo>(budget(), "Order", some_id(), &["Id", "statement"]).await;
    assert_eq!(found.unwrap(), Some(Echo { statement: "x".into() }));
    assert_eq!(vendor.last().await.url.query(), Some("fields=Id,statement"));
    let missing = r#"[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]"#;
    vendor.answer(path.as_str(), 404, missing);
    let found = vendor.client.retrieve::<Echo>(budget(), "Order", some_id(), &["Id"]).await;
    assert_eq!(found.unwrap(), None);
    for (object, field) in [("Order/../User", "Id"), ("Order", "Id&x=y"), ("", "Id")] {
        let outcome = vendor.client.retrieve::<Echo>(budget(), object, some_id(), &[field]).await;
        assert_eq!(outcome.unwrap_err().kind, Kind::Request);
    }
}

#[tokio::test]
async fn a_create_is_sent_once_whatever_happens() {
    let vendor = Vendor::start().await;
    let path = "/services/data/v67.0/sobjects/Case";
    vendor.answer(path, 201, json!({ "id": some_id(), "success": true, "errors": [] }).to_string());
    let record = json!({ "Subject": "Help" });
    assert_eq!(vendor.client.create(budget(), "Case", &record).await.unwrap(), some_id());
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&vendor.last().await.body).unwrap(), record);
    vendor.answer(path, 500, r#"[{"errorCode":"UNKNOWN_EXCEPTION","message":"ErrorId: 1"}]"#);
    let kind = vendor.client.create(budget(), "Case", &record).await.unwrap_err().kind;
    assert_eq!(kind, Kind::Unavailable { code: "UNKNOWN_EXCEPTION".into() });
    assert!(kind.may_have_happened());
    let refusal = json!([{
        "errorCode": "STRING_TOO_LONG", "message": "Subject: data value too large: Help", "fields": ["Subject"]
    }]);
    vendor.answer(path, 400, refusal.to_string());
    let kind = vendor.client.create(budget(), "Case", &record).await.unwrap_err().kind;
    let expected = Kind::Refused { code: "STRING_TOO_LONG".into(), message: "[Subject] Subject".into() };
    assert_eq!(kind, expected);
    assert_eq!(vendor.calls().await.len(), 3);
}

#[tokio::test]
async fn an_update_has_no_body_to_read() {
    let vendor = Vendor::start().await;
    vendor.answer(format!("/services/data/v67.0/sobjects/Case/{}", some_id()), 204, "");
    vendor.client.update(budget(), "Case", some_id(), &json!({ "Status": "Closed" })).await.unwrap();
    assert_eq!(vendor.calls().await, [format!("PATCH {}", some_id())]);
}

#[tokio::test]
async fn an_upsert_knows_all_four_answers() {
    let vendor = Vendor::start().await;
    let key = "a/b c?#%+日";
    let path = "/services/data/v67.0/sobjects/Order/Key__c/a%2Fb%20c%3F%23%25%2B%E6%97%A5";
    let draft = json!({ "Status": "Draft" });
    let upsert = || vendor.client.upsert(budget(), "Order", "Key__c", key, &draft);
    let body = |created: Option<bool>| {
        let mut body = json!({ "id": some_id(), "success": true, "errors": [] });
        if let Some(created) = created {
            body["created"] = created.into();
        }
        body.to_string()
    };
    for (status, body, expected) in [
        (201, body(Some(true)), Upserted { id: Some(some_id()), created: true }),
        (201, body(None), Upserted { id: Some(some_id()), created: true }),
        (200, body(Some(false)), Upserted { id: Some(some_id()), created: false }),
        (204, String::new(), Upserted { id: None, created: false }),
    ] {
        vendor.answer(path, status, body);
        assert_eq!(upsert().await.unwrap(), expected);
    }
    vendor.answer(path, 300, r#"["/services/data/v67.0/sobjects/Order/80190000001pPvHAAU"]"#);
    let kind = upsert().await.unwrap_err().kind;
    assert!(matches!(kind, Kind::Refused { code, .. } if code == "MULTIPLE_CHOICES"));
    let outcome = vendor.client.upsert(budget(), "Order", "Key__c", "..", &json!({})).await;
    assert_eq!(outcome.unwrap_err().kind, Kind::Request);
}

#[tokio::test]
async fn an_object_tells_its_fields_and_the_organisation_its_limits() {
    let vendor = Vendor::start().await;
    vendor.answer("/services/data/v67.0/sobjects/Order/describe", 200, fixture("describe.json"));
    let describe = vendor.client.describe(budget(), "Order").await.unwrap();
    insta::assert_debug_snapshot!(describe);
    vendor.answer("/services/data/v67.0/limits", 200, fixture("limits.json"));
    let limits = vendor.client.limits(budget()).await.unwrap();
    assert_eq!(limits["DailyApiRequests"], Allowance { max: 115_000, remaining: 114_998 });
    assert!(!limits.contains_key("SomethingNew"));
}
