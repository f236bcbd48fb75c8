//! The page and its files.

use crate::http::{
    graphiql::{Demo, DemoCustomer, Example, Graphiql},
    tests::{door, door_with},
};

#[tokio::test]
async fn the_page_and_every_file_it_names_are_served_from_here() {
    let door = door_with(|state| state.graphiql = Some(Graphiql::default()));
    let moved = door.call("GET", "/graphiql", &[]).await;
    assert_eq!((moved.status.as_u16(), moved.header("location")), (308, "/graphiql/"));
    let page = door.call("GET", "/graphiql/", &[]).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("cache-control"), "no-cache");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; script-src 'self';"));
    assert!(!page.text.contains("http://") || page.text.matches("http://").count() == 1, "{}", page.text);
    let assets: Vec<&str> = page.text.split('"').filter(|text| text.starts_with("./assets/")).collect();
    assert!(assets.len() >= 2, "{}", page.text);
    for asset in assets {
        let path = asset.replacen('.', "/graphiql", 1);
        let file = door.call("GET", &path, &[]).await;
        assert_eq!(file.status, 200, "{path}");
        assert!(file.text.len() > 500 && file.header("content-encoding").is_empty(), "{path}");
        assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
        let known = door.call("GET", &path, &[("if-none-match", file.header("etag"))]).await;
        assert_eq!((known.status.as_u16(), known.text.as_str()), (304, ""));
    }
    for missing in ["/graphiql/assets/none.js", "/graphiql/assets/..%2Findex.html", "/graphiql/none"] {
        assert_eq!(door.call("GET", missing, &[]).await.status, 404, "{missing}");
    }
}

#[tokio::test]
async fn the_page_learns_examples_and_demo_customers() {
    let customer = DemoCustomer { email: "taro@example.jp".to_owned(), name: "Taro".to_owned() };
    let graphiql = Graphiql {
        examples: vec![Example { name: "Hello".to_owned(), query: "{hello}".to_owned(), variables: None }],
        demo: Some(Demo {
            customers: vec![customer],
            password: "demo-password".to_owned(),
            device_token: "demo-device".to_owned(),
        }),
    };
    let door = door_with(|state| state.graphiql = Some(graphiql));
    let examples = door.call("GET", "/graphiql/examples.json", &[]).await;
    assert_eq!(examples.json(), serde_json::json!([{"name": "Hello", "query": "{hello}"}]));
    let session = door.call("GET", "/graphiql/session.json", &[]).await;
    assert_eq!(session.json()["customers"][0]["email"], "taro@example.jp");
    assert_eq!(session.json()["deviceToken"], "demo-device");
    assert_eq!(session.header("cache-control"), "no-store");
}

#[tokio::test]
async fn without_graphiql_there_is_nothing() {
    for path in ["/graphiql", "/graphiql/", "/graphiql/session.json"] {
        assert_eq!(door().call("GET", path, &[]).await.status, 404);
    }
}
