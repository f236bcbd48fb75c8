//! Single records: create, change, delete, upsert, files; and every way in which a write is refused.

use super::*;
use crate::sandbox::{core::System, world::ids::customer_number};

/// A case of customer 2.
async fn case(sandbox: &Sandbox) -> String {
    let body = json!({"Subject": "Hello", "Description": "World", "AccountId": account(2), "Origin": "Portal Support"});
    let reply = sandbox.call("POST", "sobjects/Case", body).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.body["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_created_is_read_changed_and_deleted() {
    let sandbox = Sandbox::start().await;
    let body = json!({
        "subject": "Hello", "Description": "World", "Contact": {"Email": sandbox.core.world.customer(2).email},
        "Comments": "from a colleague", "Reason": ""
    });
    let reply = sandbox.call("POST", "sobjects/Case/", body.clone()).await;
    assert_eq!(reply.status, 400, "an e-mail address is no external id");
    let mut body = body;
    body.as_object_mut().unwrap().remove("Contact");
    body["Account"] = json!({"SF_Account_No__c": customer_number(2)});
    let reply = sandbox.call("POST", "sobjects/Case/", body).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    let id = reply.body["id"].as_str().unwrap();
    let path = format!("sobjects/Case/{id}");
    assert_eq!(reply.headers["location"], format!("{DATA}/{path}"));
    let row = sandbox.get(&path).await.body;
    assert_eq!(
        (&row["Status"], &row["Priority"], &row["AccountId"]),
        (&json!("New"), &json!("Medium"), &json!(account(2)))
    );
    assert_eq!(
        (&row["Reason"], &row["IsClosed"], row["CaseNumber"].is_string()),
        (&Value::Null, &json!(false), true)
    );
    let comments = sandbox
        .query(&format!("SELECT IsPublished, CreatorName FROM CaseComment WHERE ParentId = '{id}'"))
        .await;
    assert_eq!(comments.records()[0]["IsPublished"], false);
    assert_eq!(comments.records()[0]["CreatorName"], "Portal Gateway");

    let reply = sandbox.call("PATCH", &path, json!({"Status": "Closed"})).await;
    assert_eq!((reply.status, reply.bytes.len(), reply.headers.get("content-type")), (204, 0, None));
    let row = sandbox.get(&path).await.body;
    assert!(row["IsClosed"] == true && row["ClosedDate"].as_str().unwrap().ends_with("+0000"));

    assert_eq!(sandbox.call("DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(sandbox.get(&path).await.code(), "ENTITY_IS_DELETED");
    assert_eq!(sandbox.call("DELETE", &path, Value::Null).await.status, 404);
    assert_eq!(
        sandbox.query(&format!("SELECT Id FROM CaseComment WHERE ParentId = '{id}'")).await.records().len(),
        0
    );
    let q = query_url(&format!("SELECT Id, IsDeleted FROM Case WHERE Id = '{id}'"))
        .replace("query?", "queryAll?");
    assert_eq!(sandbox.get(&q).await.records()[0]["IsDeleted"], true);
    let effects = sandbox.core.journal.entries(&crate::sandbox::journal::Filter {
        system: Some(System::Salesforce),
        kind: Some(crate::sandbox::journal::Kind::Effect),
        ..Default::default()
    });
    let names: Vec<&str> = effects.iter().map(|entry| &*entry.operation).collect();
    assert_eq!(names, ["create", "create", "update", "delete"]);
}

#[tokio::test]
async fn a_seeded_record_changes_in_its_place() {
    let sandbox = Sandbox::start().await;
    let reply = sandbox
        .call("PATCH", &format!("sobjects/Account/{}", account(3)), json!({"Phone": "03-1234-5678"}))
        .await;
    assert_eq!(reply.status, 204);
    let all = sandbox.query("SELECT Id, Phone FROM Account").await;
    assert_eq!((all.records().len(), &all.records()[2]["Phone"]), (20, &json!("03-1234-5678")));
    // A case that moves to another customer is found there, and only there.
    let case =
        sandbox.query(&format!("SELECT Id FROM Case WHERE AccountId = '{}' LIMIT 1", account(1))).await;
    let case = case.records()[0]["Id"].as_str().unwrap().to_owned();
    sandbox.call("PATCH", &format!("sobjects/Case/{case}"), json!({"AccountId": account(9)})).await;
    for (n, expected) in [(9, 1), (1, 0)] {
        let found = sandbox
            .query(&format!("SELECT Id FROM Case WHERE AccountId = '{}' AND Id = '{case}'", account(n)))
            .await;
        assert_eq!(found.records().len(), expected);
        let by_parent = format!(
            "SELECT Id FROM Case WHERE Account.SF_Account_No__c = '{}' AND Id = '{case}'",
            customer_number(n)
        );
        assert_eq!(sandbox.query(&by_parent).await.records().len(), expected);
    }
}

#[tokio::test]
async fn an_upsert_creates_and_then_updates() {
    let sandbox = Sandbox::start().await;
    let path = "sobjects/Case/Portal_Case_Key__c/a%2Fb%20%E6%9D%B1+c";
    let first = sandbox.call("PATCH", path, json!({"Subject": "One"})).await;
    assert_eq!((first.status, &first.body["created"]), (201, &json!(true)), "{}", first.body);
    assert!(first.headers.contains_key("location"));
    let again = sandbox.call("PATCH", path, json!({"Subject": "Two"})).await;
    assert_eq!(
        (again.status, &again.body["created"], &again.body["id"]),
        (200, &json!(false), &first.body["id"])
    );
    let row = sandbox.get(path).await.body;
    assert_eq!((&row["Subject"], &row["Portal_Case_Key__c"]), (&json!("Two"), &json!("a/b 東+c")));
    let old =
        sandbox.call("PATCH", &format!("/services/data/v45.0/{path}"), json!({"Subject": "Three"})).await;
    assert_eq!((old.status, old.bytes.len()), (204, 0));

    let with_key = json!({"Portal_Case_Key__c": "x"});
    assert_eq!(sandbox.call("PATCH", path, with_key).await.code(), "INVALID_FIELD");
    let reply =
        sandbox.call("PATCH", "sobjects/Case/Portal_Case_Key__c/new?updateOnly=true", json!({})).await;
    assert_eq!(reply.status, 404);
    assert_eq!(sandbox.call("PATCH", "sobjects/Case/Subject/x", json!({})).await.code(), "NOT_FOUND");

    // A key that is not unique may match several.
    let line = |key: &str| json!({"Name": key, "StageName": "Ready", "CloseDate": "2026-12-01", "WHMCS_Service_ID__c": "77"});
    for name in ["one", "two"] {
        assert_eq!(sandbox.call("POST", "sobjects/Opportunity", line(name)).await.status, 201);
    }
    let several =
        sandbox.call("PATCH", "sobjects/Opportunity/WHMCS_Service_ID__c/77", json!({"Name": "x"})).await;
    assert_eq!((several.status, several.body.as_array().unwrap().len()), (300, 2));
}

#[tokio::test]
async fn a_write_is_refused_in_the_documented_words() {
    let sandbox = Sandbox::start().await;
    let id = case(&sandbox).await;
    let key = json!({"Portal_Case_Key__c": "k"});
    assert_eq!(sandbox.call("POST", "sobjects/Case", key.clone()).await.status, 201);
    let deleted = case(&sandbox).await;
    sandbox.call("DELETE", &format!("sobjects/Case/{deleted}"), Value::Null).await;
    let comment = |text: String| json!({"ParentId": id, "CommentBody": text});
    for (object, body, code, message) in [
        ("Case", json!({"Nope": 1}), "INVALID_FIELD", "No such column 'Nope' on sobject of type Case"),
        (
            "Opportunity",
            json!({"Name": "x"}),
            "REQUIRED_FIELD_MISSING",
            "Required fields are missing: [StageName, CloseDate]",
        ),
        ("Case", json!({"SuppliedName": "x".repeat(81)}), "STRING_TOO_LONG", "Name: data value too large: "),
        ("CaseComment", comment("東".repeat(1_334)), "STRING_TOO_LONG", "Body: data value too large: "),
        (
            "SIM_Inventory__c",
            json!({"Status__c": "x"}),
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            "Status: bad value for restricted picklist field: x",
        ),
        (
            "Case",
            json!({"SuppliedEmail": "no mail"}),
            "INVALID_EMAIL_ADDRESS",
            "Email Address: invalid email address: no mail",
        ),
        (
            "Order",
            json!({"EffectiveDate": "soon"}),
            "INVALID_TYPE_ON_FIELD_IN_RECORD",
            "Order Start Date: value not of required type: soon",
        ),
        (
            "Case",
            json!({"CaseNumber": "1"}),
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            "Unable to create/update fields: CaseNumber. Please check the security settings",
        ),
        ("Case", json!({"AccountId": "xyz"}), "MALFORMED_ID", "Account ID: id value of incorrect type: xyz"),
        ("Case", json!({"AccountId": id}), "MALFORMED_ID", "Account ID: id value of incorrect type: 500"),
        (
            "Case",
            json!({"AccountId": account(999)}),
            "INVALID_CROSS_REFERENCE_KEY",
            "invalid cross reference id",
        ),
        ("Case", json!({"ParentId": deleted}), "ENTITY_IS_DELETED", "entity is deleted"),
        (
            "Case",
            key,
            "DUPLICATE_VALUE",
            "duplicate value found: Portal_Case_Key__c duplicates value on record with id: 500",
        ),
        (
            "Account",
            json!({"LastName": "x", "SF_Account_No__c": "c0000004"}),
            "DUPLICATE_VALUE",
            "duplicate value found: SF_Account_No__c",
        ),
        ("User", json!({}), "INVALID_TYPE_FOR_OPERATION", "entity type User does not support create"),
    ] {
        let reply = sandbox.call("POST", &format!("sobjects/{object}"), body.clone()).await;
        let found = reply.body[0]["message"].as_str().unwrap_or_default();
        assert_eq!((reply.status, reply.code()), (400, code), "{body}: {}", reply.body);
        assert!(found.starts_with(message), "{found}");
    }
    assert_eq!(sandbox.call("POST", "sobjects/CaseComment", comment("東".repeat(1_333))).await.status, 201);
    let path = format!("{DATA}/sobjects/Case");
    let send = async |media: &str, body: &str| {
        let request = Request::post(&path).header("authorization", format!("Bearer {}", sandbox.token));
        sandbox.send(request.header("content-type", media).body(body.to_owned().into()).unwrap()).await
    };
    let broken = send("application/json", "{\"Subject\": }").await;
    assert_eq!((broken.status, broken.code()), (400, "JSON_PARSER_ERROR"));
    let text = send("text/plain", "Subject").await;
    assert_eq!((text.status, text.code()), (415, "UNSUPPORTED_MEDIA_TYPE"));
    let method = sandbox.call("PUT", &format!("sobjects/Case/{id}"), json!({})).await;
    assert_eq!((method.status, method.code()), (405, "METHOD_NOT_ALLOWED"));
    let request = Request::get(format!("{DATA}/query?q={}", "x".repeat(16_384))).body(Body::empty()).unwrap();
    assert_eq!(sandbox.send(request).await.status, 414);
    let nobody = sandbox.call("PATCH", &format!("sobjects/Account/{}", account(999)), json!({})).await;
    assert_eq!((nobody.status, nobody.code()), (404, "NOT_FOUND"));
    let wrong = sandbox.call("PATCH", "sobjects/Account/x", json!({})).await;
    assert_eq!((wrong.status, wrong.code()), (400, "MALFORMED_ID"));
}

#[tokio::test]
async fn rules_locks_and_duplicates_can_be_provoked() {
    let sandbox = Sandbox::start().await;
    let path = format!("sobjects/Account/{}", account(2));
    sandbox.set(json!({"locked_ids": [account(2)]})).await;
    for (method, path, body) in [
        ("PATCH", path.as_str(), json!({"Phone": "1"})),
        ("POST", "sobjects/Case", json!({"AccountId": account(2)})),
    ] {
        let reply = sandbox.call(method, path, body).await;
        assert_eq!((reply.status, reply.code()), (400, "UNABLE_TO_LOCK_ROW"));
    }
    sandbox.set(json!({"locked_ids": [], "validation_rules": {"Account": "Not on Fridays."}})).await;
    let reply = sandbox.call("PATCH", &path, json!({"Phone": "1"})).await;
    assert_eq!(reply.code(), "FIELD_CUSTOM_VALIDATION_EXCEPTION");
    assert_eq!(reply.body[0]["message"], "Not on Fridays.");

    sandbox.set(json!({"validation_rules": {}, "duplicate_rules": ["Account"]})).await;
    let twin = json!({"LastName": "Twin", "PersonEmail": sandbox.core.world.customer(4).email});
    let reply = sandbox.call("POST", "sobjects/Account", twin.clone()).await;
    assert_eq!(reply.code(), "DUPLICATES_DETECTED");
    let found = &reply.body[0]["duplicateResult"]["matchResults"][0]["matchRecords"][0]["record"]["Id"];
    assert_eq!(found, account(4).as_str());
    let request = Request::post(format!("{DATA}/sobjects/Account"))
        .header("authorization", format!("Bearer {}", sandbox.token))
        .header("content-type", "application/json")
        .header("sforce-duplicate-rule-header", "allowSave=true");
    assert_eq!(sandbox.send(request.body(twin.to_string().into()).unwrap()).await.status, 201);
    assert_eq!(sandbox.call("DELETE", "/control", Value::Null).await.status, 200);
}

#[tokio::test]
async fn an_order_keeps_to_its_price_book() {
    let sandbox = Sandbox::start().await;
    let entry = |k| sf_id(prefix::PRICEBOOK_ENTRY, 0, k);
    let body = json!({
        "AccountId": account(5), "EffectiveDate": "2026-11-20", "Status": "Pending Review", "Order_Type__c": "SIM",
        "Pricebook2Id": sf_id(prefix::PRICEBOOK, 0, 1)
    });
    let mut approved = body.clone();
    approved["Status"] = json!("Activated");
    assert_eq!(sandbox.call("POST", "sobjects/Order", approved).await.code(), "FAILED_ACTIVATION");
    let order = sandbox.call("POST", "sobjects/Order", body).await.body["id"].clone();
    let line = |k| json!({"OrderId": order, "PricebookEntryId": entry(k), "Quantity": 2, "UnitPrice": 1500});
    assert_eq!(
        sandbox.call("POST", "sobjects/OrderItem", line(1_025)).await.code(),
        "FIELD_INTEGRITY_EXCEPTION"
    );
    assert_eq!(sandbox.call("POST", "sobjects/OrderItem", line(25)).await.status, 201);
    let id = order.as_str().unwrap();
    let row = sandbox.query(&format!("SELECT TotalAmount, (SELECT Product2.StockKeepingUnit FROM OrderItems) FROM Order WHERE Id = '{id}'")).await;
    assert_eq!(row.records()[0]["TotalAmount"], 3000.0);
    assert_eq!(
        row.records()[0]["OrderItems"]["records"][0]["Product2"]["StockKeepingUnit"],
        "SIM-ACTIVATION-FEE"
    );
    let path = format!("sobjects/Order/{id}");
    let other_book = json!({"Pricebook2Id": sf_id(prefix::PRICEBOOK, 0, 2)});
    assert_eq!(sandbox.call("PATCH", &path, other_book).await.code(), "FIELD_INTEGRITY_EXCEPTION");
    assert_eq!(sandbox.call("PATCH", &path, json!({"Status": "Activated"})).await.status, 204);
    assert_eq!(sandbox.call("POST", "sobjects/OrderItem", line(25)).await.code(), "FAILED_ACTIVATION");
    let price = json!({"Pricebook2Id": sf_id(prefix::PRICEBOOK, 0, 1), "Product2Id": sf_id(prefix::PRODUCT, 0, 1), "UnitPrice": 1});
    assert_eq!(sandbox.call("POST", "sobjects/PricebookEntry", price).await.code(), "DUPLICATE_VALUE");
}

#[tokio::test]
async fn a_person_account_brings_its_contact() {
    let sandbox = Sandbox::start().await;
    let person = json!({"LastName": "O'Brien", "FirstName": "Áine", "PersonEmail": "aine@example.jp", "SF_Account_No__c": "C9000001"});
    let id = sandbox.call("POST", "sobjects/Account", person).await.body["id"].as_str().unwrap().to_owned();
    let row = sandbox.query("SELECT Id, Name, IsPersonAccount, PersonContact.Email FROM Account WHERE PersonEmail = 'AINE@example.jp'").await;
    let row = &row.records()[0];
    assert_eq!((&row["Id"], &row["Name"]), (&json!(id), &json!("Áine O'Brien")));
    assert_eq!(
        (&row["IsPersonAccount"], &row["PersonContact"]["Email"]),
        (&json!(true), &json!("aine@example.jp"))
    );
    let found = sandbox.query("SELECT COUNT() FROM Account WHERE Name = 'áine o\\'brien'").await;
    assert_eq!(found.body["totalSize"], 1);
    let reply = sandbox.call("PATCH", &format!("sobjects/Account/{id}"), json!({"Name": "x"})).await;
    assert_eq!(reply.code(), "INVALID_FIELD_FOR_INSERT_UPDATE");
}

#[tokio::test]
async fn files_come_as_base64_and_as_parts() {
    let sandbox = Sandbox::start().await;
    let id = case(&sandbox).await;
    let body = json!({"PathOnClient": "card.PNG", "VersionData": "AAEC/w==", "FirstPublishLocationId": id});
    let version =
        sandbox.call("POST", "sobjects/ContentVersion", body).await.body["id"].as_str().unwrap().to_owned();
    let links = sandbox
        .query(&format!("SELECT ContentDocumentId, ContentDocument.Title, ContentDocument.LatestPublishedVersionId FROM ContentDocumentLink WHERE LinkedEntityId = '{id}'"))
        .await;
    let link = &links.records()[0];
    assert_eq!(
        (&link["ContentDocument"]["Title"], &link["ContentDocument"]["LatestPublishedVersionId"]),
        (&json!("card"), &json!(version))
    );
    let blob = sandbox.get(&format!("sobjects/ContentVersion/{version}/VersionData")).await;
    assert_eq!(blob.bytes, [0, 1, 2, 255]);
    let row = sandbox
        .get(&format!("sobjects/ContentVersion/{version}?fields=VersionData,Checksum,ContentSize,FileType"))
        .await
        .body;
    assert_eq!(row["VersionData"], format!("{DATA}/sobjects/ContentVersion/{version}/VersionData"));
    assert_eq!(
        (&row["ContentSize"], &row["FileType"], row["Checksum"].as_str().unwrap().len()),
        (&json!(4), &json!("PNG"), 32)
    );

    // The binary part may come first, and the JSON part may be called anything.
    let parts = "--b\r\nContent-Disposition: form-data; name=\"Body\"; filename=\"a.bin\"\r\nContent-Type: application/json\r\n\r\n\u{1}\u{2}\r\n\
                 --b\r\nContent-Disposition: form-data; name=\"Attachment\"\r\nContent-Type: application/json\r\n\r\n{\"ParentId\":\"PARENT\",\"Name\":\"a.bin\"}\r\n--b--\r\n";
    let request = Request::post(format!("{DATA}/sobjects/Attachment"))
        .header("authorization", format!("Bearer {}", sandbox.token))
        .header("content-type", "multipart/form-data; boundary=b")
        .body(parts.replace("PARENT", &id).into());
    let reply = sandbox.send(request.unwrap()).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    let attachment = reply.body["id"].as_str().unwrap();
    assert_eq!(sandbox.get(&format!("sobjects/Attachment/{attachment}/Body")).await.bytes, [1, 2]);
    let missing = sandbox.call("POST", "sobjects/Attachment", json!({"ParentId": id, "Name": "x"})).await;
    assert_eq!(missing.code(), "REQUIRED_FIELD_MISSING");
    let again =
        json!({"ContentDocumentId": link["ContentDocumentId"], "LinkedEntityId": id, "ShareType": "V"});
    assert_eq!(sandbox.call("POST", "sobjects/ContentDocumentLink", again).await.code(), "DUPLICATE_VALUE");
}
