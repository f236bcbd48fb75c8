//! GraphQL over HTTP as strangers speak it: methods, media types, statuses, limits, errors, headers.

use serde_json::{Value, json};

use crate::{
    gateway::{Gateway, Wishes},
    wire::{Reply, ask, get, post},
};

#[expect(dead_code, reason = "the guard's own tests and bench use the rest")]
#[path = "../../benches/documents/mod.rs"]
mod documents;

const NEW: &str = "application/graphql-response+json";
const OLD: &str = "application/json";

/// A body and how it is answered: status in the newer media type, in the older one, and the code.
type Fault = (&'static str, u16, u16, &'static str);

const FAULTS: [Fault; 19] = [
    (r#"{"query":"{viewer{id}}"}"#, 200, 200, ""),
    (r#"{"query":"query A{viewer{id}} query B{__typename}","operationName":"B"}"#, 200, 200, ""),
    (r#"{"query":"mutation{sessionEnd{ended}}"}"#, 200, 200, ""),
    // Execution began, and a field failed.
    (r#"{"query":"mutation{sessionRefresh{session{refreshToken}}}"}"#, 200, 200, "UNAUTHENTICATED"),
    ("", 400, 400, "BAD_REQUEST"),
    ("{\"query\":", 400, 400, "BAD_REQUEST"),
    ("null", 400, 400, "BAD_REQUEST"),
    ("{}", 400, 400, "BAD_REQUEST"),
    (r#"{"query":1}"#, 400, 400, "BAD_REQUEST"),
    (r#"{"query":"{viewer{id}}","variables":[]}"#, 400, 400, "BAD_REQUEST"),
    (r#"{"query":"{viewer{id}}","operationName":{}}"#, 400, 400, "BAD_REQUEST"),
    (r#"[{"query":"{viewer{id}}"}]"#, 400, 400, "BATCH_REFUSED"),
    (r#"[]"#, 400, 400, "BATCH_REFUSED"),
    (r#"{"query":"{viewer{id}"}"#, 400, 200, "GRAPHQL_PARSE_FAILED"),
    (r#"{"query":""}"#, 400, 200, "GRAPHQL_PARSE_FAILED"),
    (r#"{"query":"{viewer}"}"#, 400, 200, "GRAPHQL_VALIDATION_FAILED"),
    (r#"{"query":"{viewer{id}}","operationName":"B"}"#, 400, 200, "GRAPHQL_VALIDATION_FAILED"),
    (r#"{"query":"query($id:ID!){node(id:$id){id}}"}"#, 400, 200, "BAD_USER_INPUT"),
    (r#"{"query":"subscription{viewer{id}}"}"#, 400, 200, "GRAPHQL_VALIDATION_FAILED"),
];

/// An `Accept` and the media type of what it gets; `None` when we have nothing for it.
const ACCEPTS: [(Option<&str>, Option<&str>); 6] = [
    (None, Some(OLD)),
    (Some("*/*"), Some(OLD)),
    (Some(OLD), Some(OLD)),
    (Some(NEW), Some(NEW)),
    (Some("application/graphql-response+json, application/json;q=0.9"), Some(NEW)),
    (Some("text/html"), None),
];

fn check(reply: &Reply, status: u16, code: &str, media: &str, what: &str) {
    assert_eq!((reply.status, reply.code().as_str()), (status, code), "{what}: {reply:?}");
    assert_eq!(reply.header("content-type"), format!("{media}; charset=utf-8"), "{what}");
    let answer = reply.json();
    let began = code.is_empty() || code == "UNAUTHENTICATED";
    assert_eq!(answer.get("data").is_some(), began, "{what}: {answer}");
    assert_eq!(answer["extensions"]["requestId"], reply.header("x-request-id"), "{what}");
}

#[tokio::test]
async fn a_post_is_answered_by_its_media_types_and_its_fault() {
    let gateway = Gateway::start().await;
    let content_types = [
        ("application/json", true),
        ("application/json; charset=utf-8", true),
        ("application/json; charset=shift_jis", false),
        ("text/plain", false),
        ("application/x-www-form-urlencoded", false),
        ("multipart/form-data; boundary=x", false),
        ("application/graphql", false),
        ("", false),
    ];
    for (content_type, is_read) in content_types {
        for (accept, media) in ACCEPTS {
            for (body, new, old, code) in FAULTS {
                let mut headers = vec![("content-type", content_type)];
                headers.extend(accept.map(|accept| ("accept", accept)));
                let reply = post(&gateway, &headers, body).await;
                let what = format!("{headers:?} {body}");
                match (media, is_read) {
                    (None, _) => check(&reply, 406, "NOT_ACCEPTABLE", OLD, &what),
                    (Some(media), false) => check(&reply, 415, "UNSUPPORTED_MEDIA_TYPE", media, &what),
                    (Some(NEW), true) => check(&reply, new, code, NEW, &what),
                    (Some(_), true) => check(&reply, old, code, OLD, &what),
                }
            }
        }
    }
    let untyped = Reply::to(gateway.request("POST", "/graphql").body(FAULTS[0].0)).await;
    check(&untyped, 415, "UNSUPPORTED_MEDIA_TYPE", OLD, "no content type");
}

#[tokio::test]
async fn a_get_is_answered_by_its_media_type_and_its_fault() {
    let gateway = Gateway::start().await;
    let faults = [
        ("query=%7Bviewer%7Bid%7D%7D", 200, 200, ""),
        (
            "query=query($b:Boolean!)%7Bviewer%7Bid+@skip(if:$b)%7D%7D&variables=%7B%22b%22:true%7D",
            200,
            200,
            "",
        ),
        ("", 400, 400, "BAD_REQUEST"),
        ("query=%7Bviewer%7Bid%7D%7D&variables=%7B", 400, 400, "BAD_REQUEST"),
        ("query=%7Bviewer%7Bid%7D%7D&variables=[]", 400, 400, "BAD_REQUEST"),
        ("query=%7Bviewer%7Bid%7D%7D&query=%7Bviewer%7Bid%7D%7D", 400, 400, "BAD_REQUEST"),
        ("query=%7Bviewer%7Bid%7D", 400, 200, "GRAPHQL_PARSE_FAILED"),
        ("query=%7Bviewer%7D", 400, 200, "GRAPHQL_VALIDATION_FAILED"),
        ("query=mutation%7BsessionEnd%7Bended%7D%7D", 405, 405, "METHOD_NOT_ALLOWED"),
        (
            "query=query+A%7Bviewer%7Bid%7D%7D+mutation+B%7BsessionEnd%7Bended%7D%7D&operationName=B",
            405,
            405,
            "METHOD_NOT_ALLOWED",
        ),
    ];
    for (accept, media) in ACCEPTS {
        for (query, new, old, code) in faults {
            let request = gateway.request("GET", &format!("/graphql?{query}"));
            let request =
                accept.into_iter().fold(request, |request, accept| request.header("accept", accept));
            let reply = Reply::to(request).await;
            match media {
                None => check(&reply, 406, "NOT_ACCEPTABLE", OLD, query),
                Some(NEW) => check(&reply, new, code, NEW, query),
                Some(_) => check(&reply, old, code, OLD, query),
            }
            if reply.status == 405 {
                assert_eq!(reply.header("allow"), "POST");
            }
        }
    }
}

#[tokio::test]
async fn a_mutation_in_an_address_changes_nothing() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    let bearer = format!("Bearer {}", customer.token.clone().unwrap());
    let headers = [("authorization", bearer.as_str())];
    assert_eq!(get(&gateway, &headers, "mutation { sessionEnd { ended } }").await.status, 405);
    let reply = get(&gateway, &headers, "{ viewer { id profile { email } } }").await;
    assert!(reply.json()["data"]["viewer"]["profile"]["email"].is_string(), "{reply:?}");
}

#[tokio::test]
async fn other_methods_are_refused() {
    let gateway = Gateway::start().await;
    for method in ["PUT", "PATCH", "DELETE", "TRACE", "QUERY", "HEAD"] {
        let reply = Reply::to(gateway.request(method, "/graphql?query=%7Bviewer%7Bid%7D%7D")).await;
        assert_eq!((reply.status, reply.header("allow")), (405, "GET, POST, OPTIONS"), "{method}");
    }
    assert_eq!(Reply::to(gateway.request("OPTIONS", "/graphql")).await.status, 204);
}

fn times(count: usize, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect()
}

/// A document that goes so deep in the real graph: an order's lines lead to a subscription, that to its order.
fn deep(levels: usize) -> String {
    let path = ["viewer", "orders(first:1)", "nodes"].into_iter();
    let path = path.chain(["lines", "subscription", "order"].into_iter().cycle()).take(levels - 1);
    let open: String = path.map(|field| format!("{field}{{")).collect();
    format!("{{{open}__typename{}}}", "}".repeat(levels - 1))
}

/// The code of a limit, a document that has so much of it, and the limit.
type Limit = (&'static str, Box<dyn Fn(usize) -> String>, usize);

#[tokio::test]
async fn each_limit_of_a_document_passes_at_n_and_fails_at_n_plus_one() {
    let gateway = Gateway::start().await;
    let limits: Vec<Limit> = vec![
        ("DOCUMENT_TOO_LARGE", Box::new(|n| format!("{{viewer{{id}}}}{}", " ".repeat(n - 12))), 16 * 1024),
        (
            "TOO_MANY_TOKENS",
            Box::new(|n| {
                let many = "PAID ".repeat(n - 19);
                format!("{{viewer{{invoices(filter:{{status:[{many}]}}){{totalCount}}}}}}")
            }),
            2_000,
        ),
        (
            "NESTING_LIMIT",
            Box::new(|n| format!("{{{}viewer{{id}}{}}}", "...{".repeat(n - 2), "}".repeat(n - 2))),
            40,
        ),
        ("DEPTH_LIMIT", Box::new(deep), 12),
        (
            "DEPTH_LIMIT",
            Box::new(|n| {
                let more = n - 5;
                let types = format!("{}name{}", "ofType{".repeat(more), "}".repeat(more));
                format!("{{__schema{{types{{fields{{type{{{types}}}}}}}}}}}")
            }),
            16,
        ),
        ("ALIAS_LIMIT", Box::new(|n| format!("{{viewer{{{}}}}}", times(n, |i| format!("a{i}:id ")))), 30),
        ("ROOT_FIELD_LIMIT", Box::new(|n| format!("{{{}}}", "__typename ".repeat(n))), 20),
        ("DIRECTIVE_LIMIT", Box::new(|n| format!("{{viewer{{{}}}}}", "id @skip(if:false) ".repeat(n))), 50),
        (
            "FRAGMENT_LIMIT",
            Box::new(|n| {
                let spreads = times(n, |i| format!("...F{i} "));
                format!("{{viewer{{{spreads}}}}}{}", times(n, |i| format!("fragment F{i} on Viewer{{id}}")))
            }),
            100,
        ),
        ("SELECTION_LIMIT", Box::new(|n| format!("{{viewer{{{}}}}}", "id ".repeat(n - 1))), 500),
        (
            "SELECTION_LIMIT",
            Box::new(|n| {
                let (ids, more) = ("id ".repeat((n - 3) / 2), "__typename ".repeat((n - 3) % 2));
                format!("{{viewer{{...F ...F}} {more}}} fragment F on Viewer{{{ids}}}")
            }),
            500,
        ),
        ("PAGE_SIZE_LIMIT", Box::new(|n| format!("{{viewer{{invoices(first:{n}){{totalCount}}}}}}")), 100),
        (
            "COST_LIMIT",
            Box::new(|n| {
                let (page, own) = ("id ".repeat(98), "id ".repeat(n - 9_902));
                format!("{{viewer{{{own} invoices(first:100){{nodes{{{page}}}}}}}}}")
            }),
            10_000,
        ),
    ];
    for (code, document, n) in limits {
        let reply = ask(&gateway, &[("accept", NEW)], &document(n), json!({})).await;
        assert_eq!((reply.status, reply.code().as_str()), (200, ""), "{code} at {n}: {}", document(n));
        let reply = ask(&gateway, &[("accept", NEW)], &document(n + 1), json!({})).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, code), "at {}: {}", n + 1, document(n + 1));
    }
    // The schema has no directive that may stand at one place more than once.
    for (n, code) in [(5, "GRAPHQL_VALIDATION_FAILED"), (6, "DIRECTIVE_LIMIT")] {
        let document = format!("{{viewer{{id {}}}}}", "@skip(if:false) ".repeat(n));
        assert_eq!(ask(&gateway, &[("accept", NEW)], &document, json!({})).await.code(), code);
    }
}

/// The code and status of a refusal, what makes a body of a size, and the largest size that passes.
type BodyLimit<'a> = (&'a str, u16, &'a dyn Fn(usize) -> String, usize);

#[tokio::test]
async fn each_limit_of_a_body_passes_at_n_and_fails_at_n_plus_one() {
    let gateway = Gateway::start().await;
    let with = |variables: &str| format!(r#"{{"query":"{{viewer{{id}}}}","variables":{variables}}}"#);
    let padded = |n: usize| format!("{}{}", FAULTS[0].0, " ".repeat(n - FAULTS[0].0.len()));
    let nested = |n: usize| with(&format!("{}{}{}", "{\"a\":".repeat(n - 1), "{}", "}".repeat(n - 1)));
    let long = |n: usize| with(&format!("{{\"a\":\"{}\"}}", "x".repeat(n - 8)));
    let page = |n: usize| {
        let query = "query($n:Int){viewer{invoices(first:$n){totalCount}}}";
        json!({ "query": query, "variables": { "n": n } }).to_string()
    };
    let limits: [BodyLimit<'_>; 4] = [
        ("PAYLOAD_TOO_LARGE", 413, &padded, 128 * 1024),
        ("VARIABLES_TOO_DEEP", 400, &nested, 32),
        ("VARIABLES_TOO_LARGE", 400, &long, 64 * 1024),
        ("PAGE_SIZE_LIMIT", 400, &page, 100),
    ];
    for (code, status, body, n) in limits {
        let reply = post(&gateway, &[("accept", NEW)], body(n)).await;
        assert_eq!((reply.status, reply.code().as_str()), (200, ""), "{code} at {n}: {reply:?}");
        let reply = post(&gateway, &[("accept", NEW)], body(n + 1)).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "at {}", n + 1);
    }
}

#[tokio::test]
async fn hostile_documents_get_few_short_errors_and_nothing_of_theirs_back() {
    let gateway = Gateway::start().await;
    let marked = |text: &str| format!("{{ viewer {{ id(secretWord: {text}) }} }}");
    let mut hostile = documents::hostile();
    hostile.extend([
        ("a syntax error", marked("\"secretWord\" !")),
        ("an unclosed string", marked("\"secretWord")),
        ("unknown arguments", times(19, |n| format!("a{n}: viewer {{ x{} }} ", "y".repeat(500)))),
    ]);
    hostile.push(("a wide mistake", format!("{{ {} }}", times(19, |n| format!("x{n}{} ", "y".repeat(700))))));
    let deep = format!(
        "{{\"query\":\"{{viewer{{id}}}}\",\"variables\":{{\"a\":{}1{}}}}}",
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    let mut bodies: Vec<_> = hostile
        .into_iter()
        .map(|(name, document)| (name, json!({ "query": document }).to_string()))
        .collect();
    bodies.push(("5k nested JSON", deep));
    gateway.forget_calls();
    for (name, body) in bodies {
        let status = if body.len() > 128 * 1024 { 413 } else { 400 };
        let reply = post(&gateway, &[("accept", NEW)], body).await;
        assert_eq!(reply.status, status, "{name}: {reply:?}");
        let answer = reply.json();
        let errors = answer["errors"].as_array().unwrap();
        assert!((1..=10).contains(&errors.len()) && reply.text.len() <= 4 * 1024, "{name}: {reply:?}");
        assert!(errors.iter().all(|error| error["extensions"]["code"].is_string()), "{name}: {answer}");
        assert!(answer.get("data").is_none(), "{name}");
        for excerpt in ["secretWord", "-->", "expected", "^---", "\n"] {
            assert!(!reply.text.contains(excerpt), "{name}: {}", reply.text);
        }
    }
    assert_eq!(gateway.calls(), []);
    assert_eq!(ask(&gateway, &[], "{ viewer { id } }", json!({})).await.status, 200);
}

#[tokio::test]
async fn a_misspelt_name_gets_no_suggestion() {
    let gateway = Gateway::start().await;
    for document in [
        "{ viewr { id } }",
        "{ viewer { profil { email } } }",
        "{ viewer { invoices(frst: 1) { totalCount } } }",
        "{ viewer { invoices(sort: ISSUED_LATES) { totalCount } } }",
        "{ viewer { ...on Viewr { id } } }",
        "query($n: Itn) { viewer { invoices(first: $n) { totalCount } } }",
        "mutation { sessionCreate(input: { emial: \"x\" }) { viewer { id } } }",
        "{ viewer { id @skp(if: true) } }",
    ] {
        let reply = ask(&gateway, &[("accept", NEW)], document, json!({})).await;
        assert_eq!(reply.status, 400, "{document}");
        let text = reply.text.to_lowercase();
        for hint in ["did you mean", "\\\"viewer\\\"?", "issued_latest", "\"profile\\\""] {
            assert!(!text.contains(hint), "{document}: {}", reply.text);
        }
    }
}

#[tokio::test]
async fn introspection_is_there_in_development_and_refused_where_it_is_off() {
    let documents = [
        "{ __schema { queryType { name } } }",
        "{ __type(name: \"Viewer\") { name } }",
        "{ viewer { id } ...F } fragment F on Query { __schema { types { name } } }",
    ];
    let open = Gateway::start().await;
    let closed =
        Gateway::with(Wishes { env: [("INTROSPECTION", "false".to_owned())].into(), ..Wishes::default() })
            .await;
    for document in documents {
        let reply = ask(&open, &[], document, json!({})).await;
        assert!(reply.json()["errors"].is_null(), "{document}: {reply:?}");
        for (accept, status) in [(NEW, 400), (OLD, 200)] {
            let reply = ask(&closed, &[("accept", accept)], document, json!({})).await;
            assert_eq!((reply.status, reply.code().as_str()), (status, "INTROSPECTION_DISABLED"));
            assert!(reply.json().get("data").is_none(), "{document}");
        }
    }
    // The name of a type is no introspection: clients ask for it everywhere.
    let reply = ask(&closed, &[], "{ __typename viewer { __typename } }", json!({})).await;
    assert_eq!(reply.json()["data"], json!({ "__typename": "Query", "viewer": null }));
}

#[tokio::test]
async fn every_answer_names_its_request_and_has_the_safe_headers() {
    let gateway = Gateway::start().await;
    let customer = gateway.sign_in(1).await;
    let bearer = format!("Bearer {}", customer.token.clone().unwrap());
    let large = format!("/graphql?query={}", "x".repeat(20_000));
    let query = "/graphql?query=%7Bviewer%7Bprofile%7Bemail%7D%7D%7D";
    let json = ("content-type", "application/json");
    let with = |method: &'static str, path: &str, headers: &[(&'static str, &str)]| {
        let request = gateway.request(method, path).header("x-request-id", "a-request-1");
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    for (request, status) in [
        (with("GET", query, &[("authorization", &bearer)]), 200),
        (with("GET", query, &[]), 200),
        (with("POST", "/graphql", &[json]).body(FAULTS[0].0), 200),
        (with("OPTIONS", "/graphql", &[]), 204),
        (with("POST", "/graphql", &[json]), 400),
        (with("GET", &large, &[("accept", NEW)]), 400),
        (with("GET", query, &[("authorization", "Bearer x")]), 401),
        (with("GET", query, &[("cookie", "__Host-access=x")]), 403),
        (with("GET", "/nothing/here", &[]), 404),
        (with("GET", "/metrics", &[]), 404),
        (with("PUT", "/graphql", &[]), 405),
        (with("POST", "/health/live", &[]), 405),
        (with("GET", query, &[("accept", "text/html")]), 406),
        (with("POST", "/graphql", &[json]).body(" ".repeat(128 * 1024 + 1)), 413),
        (with("POST", "/graphql", &[]), 415),
        (with("GET", "/health/live", &[]), 200),
        (with("GET", "/health/ready", &[]), 200),
    ] {
        let reply = Reply::to(request).await;
        assert_eq!(reply.status, status, "{reply:?}");
        assert_eq!(reply.header("x-request-id"), "a-request-1", "{reply:?}");
        // What bears a tag may be kept, by whoever asked, and is asked for again each time.
        let kept = match (reply.headers.contains_key("etag"), reply.text.contains("email\":\"")) {
            (false, _) => "no-store",
            (true, false) => "no-cache",
            (true, true) => "private, no-store",
        };
        assert_eq!(reply.header("cache-control"), kept, "{reply:?}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{reply:?}");
        assert!(reply.header("strict-transport-security").starts_with("max-age="), "{reply:?}");
        for banner in ["server", "x-powered-by", "via"] {
            assert!(reply.headers.get(banner).is_none(), "{reply:?}");
        }
        if reply.text.starts_with('{') {
            assert_eq!(reply.json()["extensions"]["requestId"], "a-request-1");
        }
    }
    let own = ask(&gateway, &[("x-request-id", "a b")], "{ viewer { id } }", json!({})).await;
    assert_eq!(own.header("x-request-id").len(), 32);
    assert_eq!(own.json()["extensions"]["requestId"], own.header("x-request-id"));
}

#[tokio::test]
async fn it_is_alive_and_ready_and_not_ready_without_its_database() {
    let gateway = Gateway::start().await;
    let health = async |path| Reply::to(gateway.request("GET", path)).await;
    let (live, ready) = (health("/health/live").await, health("/health/ready").await);
    assert_eq!((live.status, live.text.as_str()), (200, "alive\n"));
    assert_eq!((ready.status, ready.text.as_str()), (200, "ready\n"));
    // An upstream system that is down is no reason to take a replica away.
    use portal_gateway::sandbox::core::{Rule, RuleKind, System};
    for system in System::ALL {
        gateway.sandbox.core().faults.add(Rule::every(system, RuleKind::Drop));
    }
    assert_eq!(health("/health/ready").await.status, 200);
    gateway.app.store.close().await;
    let ready = health("/health/ready").await;
    assert_eq!((ready.status, ready.text.as_str()), (503, "not ready: the database is not answering\n"));
    assert_eq!(health("/health/live").await.status, 200);
}

#[tokio::test]
async fn without_its_database_nothing_of_it_shows() {
    let gateway = Gateway::start().await;
    gateway.app.store.close().await;
    let input = json!({ "email": "nobody@example.jp", "password": "correct horse battery" });
    let reply = ask(
        &gateway,
        &[],
        "mutation($input: SessionCreateInput!) { sessionCreate(input: $input) { viewer { id } } }",
        json!({ "input": input }),
    )
    .await;
    assert_eq!((reply.status, reply.code().as_str()), (200, "SERVICE_UNAVAILABLE"), "{reply:?}");
    assert_eq!(reply.json()["data"], json!({ "sessionCreate": Value::Null }));
    assert_eq!(reply.json()["errors"][0]["message"], "the gateway cannot answer now");
    for leak in ["pool", "sql", "users", "src/", "panicked"] {
        assert!(!reply.text.to_lowercase().contains(leak), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_not_waited_for() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let gateway = Gateway::start().await;
    let address = gateway.url.strip_prefix("http://").unwrap();
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n{}";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut line = [0; 12];
    // Long before the ten seconds that a body may take.
    let read = tokio::time::timeout(std::time::Duration::from_secs(5), socket.read_exact(&mut line));
    read.await.expect("an answer at once").unwrap();
    assert_eq!(&line, b"HTTP/1.1 413");
}
