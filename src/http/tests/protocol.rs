//! GraphQL over HTTP: methods, media types, statuses, limits, errors.

use std::time::Duration;

use crate::http::tests::{door, door_with, with_introspection};

const NEW: (&str, &str) = ("accept", "application/graphql-response+json");
const OLD: (&str, &str) = ("accept", "application/json");

#[tokio::test]
async fn a_query_is_answered_in_the_media_type_asked_for() {
    let door = door();
    for (headers, media) in [
        (vec![], "application/json; charset=utf-8"),
        (vec![("accept", "*/*")], "application/json; charset=utf-8"),
        (vec![OLD], "application/json; charset=utf-8"),
        (vec![NEW], "application/graphql-response+json; charset=utf-8"),
    ] {
        let post = door.query(&headers, "{ hello }").await;
        let get = door.call("GET", "/graphql?query=%7B+hello+%7D", &headers).await;
        for answer in [post, get] {
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("content-type"), media);
            assert_eq!(answer.json()["data"]["hello"], "hello");
            assert_eq!(answer.json()["extensions"]["requestId"], answer.header("x-request-id"));
        }
    }
}

#[tokio::test]
async fn variables_and_operation_names_come_both_ways() {
    let door = door();
    let body = r#"{"query":"query A{a:hello} query B($n:Int){b:hello(times:$n)}","operationName":"B","variables":{"n":2}}"#;
    assert_eq!(door.post(&[], body).await.json()["data"]["b"], "hellohello");
    let path = "/graphql?query=query($n:Int)%7Bb:hello(times:$n)%7D&variables=%7B%22n%22:2%7D&operationName=";
    assert_eq!(door.call("GET", path, &[]).await.json()["data"]["b"], "hellohello");
    let nulls = r#"{"query":"{hello}","operationName":null,"variables":null,"extensions":null,"more":[1]}"#;
    assert_eq!(door.post(&[], nulls).await.json()["data"]["hello"], "hello");
}

#[tokio::test]
async fn whoever_is_only_told_to_come_back_is_told_so_by_the_status() {
    let door = door();
    for (query, status, wait) in [
        ("{limited(wait:1)}", 429, Some("1")),
        ("{limited(wait:1000)}", 429, Some("1")),
        ("{a:limited(wait:2500) limited(wait:1)}", 429, Some("3")),
        // Something was answered.
        ("{hello limited(wait:1)}", 200, None),
        ("{limited(wait:1) fails}", 200, None),
        // It is no limit of ours.
        (r#"{limited(wait:1,system:\"CRM\")}"#, 200, None),
    ] {
        for accept in [NEW, OLD] {
            let answer = door.post(&[accept], format!(r#"{{"query":"{query}"}}"#)).await;
            assert_eq!(answer.status, status, "{query}: {}", answer.text);
            assert_eq!(
                answer.headers.get("retry-after").map(|value| value.to_str().unwrap()),
                wait,
                "{query}"
            );
            let json = answer.json();
            let first = &json["errors"][0];
            assert_eq!(json.get("data").is_none(), status == 429, "{query}: {json}");
            assert_eq!(first.get("path").is_none(), status == 429, "{query}: {json}");
            assert!(json["extensions"]["requestId"].is_string());
        }
    }
}

#[tokio::test]
async fn each_fault_has_its_status_in_both_media_types() {
    let door = door();
    // body, status and code with the newer type, status with the older one
    for (body, new, old, code) in [
        ("", 400, 400, "BAD_REQUEST"),
        ("{", 400, 400, "BAD_REQUEST"),
        ("1", 400, 400, "BAD_REQUEST"),
        ("\"{hello}\"", 400, 400, "BAD_REQUEST"),
        ("{}", 400, 400, "BAD_REQUEST"),
        (r#"{"query":null}"#, 400, 400, "BAD_REQUEST"),
        (r#"{"query":{}}"#, 400, 400, "BAD_REQUEST"),
        (r#"{"query":"{hello}","query":"{hello}"}"#, 400, 400, "BAD_REQUEST"),
        (r#"{"query":"{hello}","operationName":1}"#, 400, 400, "BAD_REQUEST"),
        (r#"{"query":"{hello}","variables":[]}"#, 400, 400, "BAD_REQUEST"),
        (r#"{"query":"{hello}","variables":"{}"}"#, 400, 400, "BAD_REQUEST"),
        (r#"{"query":"{hello}","extensions":0}"#, 400, 400, "BAD_REQUEST"),
        (r#"[{"query":"{hello}"}]"#, 400, 400, "BATCH_REFUSED"),
        (r#"{"query":"{hello"}"#, 400, 200, "GRAPHQL_PARSE_FAILED"),
        (r#"{"query":"{nothing}"}"#, 400, 200, "GRAPHQL_VALIDATION_FAILED"),
        (r#"{"query":"{hello}","operationName":"B"}"#, 400, 200, "GRAPHQL_VALIDATION_FAILED"),
        (r#"{"query":"query($n:Int!){hello(times:$n)}"}"#, 400, 200, "BAD_USER_INPUT"),
        (
            r#"{"query":"query($n:Int){hello(times:$n)}","variables":{"n":"x"}}"#,
            400,
            200,
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (r#"{"query":"{__schema{queryType{name}}}"}"#, 400, 200, "INTROSPECTION_DISABLED"),
        (r#"{"query":"subscription{hello}"}"#, 400, 200, "GRAPHQL_VALIDATION_FAILED"),
    ] {
        for (accept, status) in [(NEW, new), (OLD, old)] {
            let answer = door.post(&[accept], body).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{body}");
            assert!(answer.header("content-type").starts_with(accept.1), "{body}");
            assert!(answer.json().get("data").is_none(), "{body}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn an_execution_that_began_is_200_with_data() {
    let door = door();
    for accept in [NEW, OLD] {
        let answer = door.query(&[accept], "{ hello fails }").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["data"], serde_json::json!({"hello": "hello", "fails": null}));
        let answer = door.query(&[accept], "{ hello must }").await;
        assert_eq!(answer.status, 200);
        assert!(answer.json().as_object().unwrap()["data"].is_null(), "{}", answer.text);
    }
}

#[tokio::test]
async fn only_json_in_utf_8_is_read() {
    let door = door();
    let body = r#"{"query":"mutation{sessionCreate}"}"#;
    for media in [
        "",
        "text/plain",
        "text/plain; charset=utf-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "application/json; charset=utf-16",
        "application/jsonx",
    ] {
        let answer = door.post(&[("content-type", media)], body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (415, "UNSUPPORTED_MEDIA_TYPE"),
            "{media}"
        );
    }
    let answer = door.post(&[("content-encoding", "gzip")], body).await;
    assert_eq!(answer.status, 415);
    assert_eq!(door.effects(), 0);
    for media in ["application/json", "Application/JSON; Charset=\"UTF-8\"", "application/json;charset=utf-8"]
    {
        assert_eq!(door.post(&[("content-type", media)], body).await.status, 200, "{media}");
    }
    assert_eq!(door.effects(), 3);
    let answer = door.post(&[], vec![b'{', b'"', 0xFF, b'"', b'}']).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_get_only_queries_and_other_methods_are_refused() {
    let door = door();
    for query in
        ["mutation%7BsessionCreate%7D", "query+A%7Bhello%7D+mutation+B%7BsessionCreate%7D&operationName=B"]
    {
        let answer = door.call("GET", &format!("/graphql?query={query}"), &[]).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"));
    }
    assert_eq!(door.effects(), 0);
    for method in ["PUT", "PATCH", "DELETE", "HEAD"] {
        let answer = door.call(method, "/graphql?query=%7Bhello%7D", &[]).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET, POST, OPTIONS"), "{method}");
    }
    assert_eq!(door.call("GET", "/graphql", &[]).await.status, 400);
    assert_eq!(door.call("GET", "/graphql?query=%7Bhello%7D&query=%7Bhello%7D", &[]).await.status, 400);
    assert_eq!(door.call("GET", "/graphql?query=%7Bhello%7D&variables=%7B", &[]).await.status, 400);
}

#[tokio::test]
async fn an_accept_that_we_cannot_serve_is_406() {
    let door = door();
    for accept in ["text/html", "application/xml", "application/json;q=0"] {
        let answer = door.query(&[("accept", accept)], "mutation{sessionCreate}").await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (406, "NOT_ACCEPTABLE"), "{accept}");
    }
    assert_eq!(door.effects(), 0);
}

#[tokio::test]
async fn a_body_may_be_as_large_as_the_limit() {
    let door = door();
    let body = |size: usize| {
        let head = r#"{"query":"{hello}"}"#;
        format!("{head}{}", " ".repeat(size - head.len()))
    };
    assert_eq!(door.post(&[], body(128 * 1024)).await.status, 200);
    let answer = door.post(&[], body(128 * 1024 + 1)).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));
}

#[tokio::test]
async fn a_refused_document_has_few_short_errors_and_no_suggestions() {
    let door = door();
    let names: String = (0..19).map(|n| format!("x{n}{} ", "y".repeat(700))).collect();
    let answer = door.query(&[NEW], &format!("{{ helo {names} }}")).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text.len() <= 4 * 1024, "{}", answer.text.len());
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 10);
    assert!(!answer.text.contains("Did you mean"), "{}", answer.text);
}

#[tokio::test]
async fn introspection_is_answered_where_it_is_switched_on() {
    let door = door_with(with_introspection);
    let answer = door.query(&[], "{ __schema { queryType { name } } }").await;
    assert_eq!(answer.json()["data"]["__schema"]["queryType"]["name"], "Query");
}

#[tokio::test]
async fn a_panic_costs_its_own_request_and_tells_nothing() {
    let door = door();
    let answer = door.query(&[("x-request-id", "panicking-1")], "{ panics }").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "INTERNAL"));
    assert_eq!(answer.json()["extensions"]["requestId"], "panicking-1");
    assert!(!answer.text.contains("secret") && !answer.text.contains("InvalidDigit"), "{}", answer.text);
    assert_eq!(door.query(&[], "{ hello }").await.status, 200);
}

#[tokio::test]
async fn a_request_ends_at_its_deadline() {
    let door = door_with(|state| state.answer_within = Duration::ZERO);
    let answer = door.query(&[NEW], "{ hangs }").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (504, "DEADLINE_EXCEEDED"));
}

#[tokio::test]
async fn every_route_and_fault_has_the_safe_headers() {
    let door = door();
    for (method, path) in [
        ("GET", "/graphql?query=%7Bhello%7D"),
        ("GET", "/graphql"),
        ("PUT", "/graphql"),
        ("OPTIONS", "/graphql"),
        ("GET", "/health/live"),
        ("POST", "/health/live"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
        ("GET", "/nothing/here"),
    ] {
        let answer = door.call(method, path, &[]).await;
        // An answer to anybody's question may be kept, and is asked for again each time.
        let kept = if path.contains("query") { "no-cache" } else { "no-store" };
        assert_eq!(answer.header("cache-control"), kept, "{method} {path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{method} {path}");
        assert!(answer.header("strict-transport-security").starts_with("max-age="), "{method} {path}");
        assert!(answer.headers.get("server").is_none());
        assert_eq!(answer.header("x-request-id").len(), 32);
    }
    assert_eq!(door.call("GET", "/nothing/here", &[]).await.code(), "NOT_FOUND");
    let answer = door.call("POST", "/health/live", &[]).await;
    assert_eq!((answer.code().as_str(), answer.header("allow")), ("METHOD_NOT_ALLOWED", "GET,HEAD"));
}

#[tokio::test]
async fn a_well_formed_request_id_is_kept_and_another_is_replaced() {
    let door = door();
    for (given, is_kept) in [
        ("0123456789abcdef", true),
        ("job_7.step-2", true),
        ("short", false),
        ("with space in it", false),
        ("a\"quote-and-more", false),
        (&"x".repeat(65), false),
    ] {
        let answer = door.query(&[("x-request-id", given)], "{ hello }").await;
        assert_eq!(answer.header("x-request-id") == given, is_kept, "{given}");
        assert_eq!(answer.json()["extensions"]["requestId"], answer.header("x-request-id"));
    }
}
