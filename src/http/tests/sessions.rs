//! Tokens, cookies, and the pages that may send them.

use crate::http::tests::door;

const OWN_PAGE: (&str, &str) = ("sec-fetch-site", "same-origin");
const CUSTOM: (&str, &str) = ("x-portal-csrf", "1");
const PORTAL: (&str, &str) = ("origin", "https://portal.example.jp");
const ACCESS: (&str, &str) = ("cookie", "theme=dark; __Host-access=good; __Host-refresh=r1");

#[tokio::test]
async fn a_bearer_token_names_the_viewer_and_none_is_anonymous() {
    let door = door();
    let good = door.query(&[("authorization", "Bearer good")], "{ who }").await;
    assert_eq!(good.json()["data"]["who"], "taro");
    let nobody = door.query(&[], "{ who }").await;
    assert!(nobody.json()["data"]["who"].is_null());
}

#[tokio::test]
async fn a_bad_token_is_401_before_anything_runs() {
    let door = door();
    let long = format!("Bearer {}", "x".repeat(100 * 1024));
    for value in ["Bearer bad", "Bearer ", "Bearer", "Basic Z29vZA==", "good", "Bearer a b", &long] {
        let answer = door.query(&[("authorization", value)], "mutation { sessionCreate }").await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "UNAUTHENTICATED"));
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let answer = door.query(&[("authorization", "Bearer unlucky")], "{ who }").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "INTERNAL"));
    assert!(!answer.text.contains("store"));
    assert_eq!(door.effects(), 0);
}

#[tokio::test]
async fn cookies_count_only_with_a_custom_header_from_an_allowed_page() {
    let door = door();
    for (headers, is_allowed) in [
        (vec![ACCESS], false),
        (vec![ACCESS, CUSTOM], false),
        (vec![ACCESS, OWN_PAGE], false),
        (vec![ACCESS, CUSTOM, ("sec-fetch-site", "cross-site")], false),
        (vec![ACCESS, CUSTOM, ("sec-fetch-site", "same-site")], false),
        (vec![ACCESS, CUSTOM, ("origin", "null")], false),
        (vec![ACCESS, CUSTOM, ("origin", "https://portal.example.jp.evil.test")], false),
        (vec![ACCESS, CUSTOM, ("origin", "http://portal.example.jp")], false),
        (vec![ACCESS, CUSTOM, ("origin", "https://portal.example.jp:444")], false),
        (vec![("cookie", "__Host-refresh=r1")], false),
        (vec![ACCESS, CUSTOM, OWN_PAGE], true),
        (vec![ACCESS, CUSTOM, PORTAL], true),
        (vec![ACCESS, ("graphql-preflight", "1"), PORTAL], true),
        (vec![("cookie", "__Host-refresh=r1"), CUSTOM, PORTAL], true),
        (vec![("cookie", "theme=dark")], true),
    ] {
        let before = door.effects();
        let answer = door.query(&headers, "mutation { sessionCreate }").await;
        assert_eq!(answer.status, if is_allowed { 200 } else { 403 }, "{headers:?}");
        assert_eq!(door.effects() - before, usize::from(is_allowed));
    }
    // As an image would ask.
    let image =
        door.call("GET", "/graphql?query=%7Bwho%7D", &[ACCESS, ("sec-fetch-site", "cross-site")]).await;
    assert_eq!((image.status.as_u16(), image.code().as_str()), (403, "FORBIDDEN"));
    let own = door.query(&[ACCESS, CUSTOM, OWN_PAGE], "{ who }").await;
    assert_eq!(own.json()["data"]["who"], "taro");
}

#[tokio::test]
async fn signing_in_and_out_write_host_cookies() {
    let door = door();
    let answer = door.query(&[], "mutation { sessionCreate }").await;
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap()).collect();
    assert_eq!(
        cookies,
        [
            "__Host-access=new-access; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax",
            "__Host-refresh=new-refresh; Max-Age=1200; Path=/; Secure; HttpOnly; SameSite=Lax",
        ]
    );
    let answer = door.query(&[ACCESS, CUSTOM, OWN_PAGE], "mutation { sessionEnd }").await;
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap()).collect();
    assert_eq!(cookies.len(), 2);
    assert!(cookies.iter().all(|cookie| cookie.contains("=; Max-Age=0;")));
}

#[tokio::test]
async fn a_resolver_reads_the_refresh_cookie() {
    let door = door();
    let answer = door.query(&[ACCESS, CUSTOM, OWN_PAGE], "mutation { sessionRefresh }").await;
    assert_eq!(answer.json()["data"]["sessionRefresh"], "r1");
    let twice =
        door.query(&[ACCESS, CUSTOM, OWN_PAGE], "mutation { a: sessionRefresh b: sessionRefresh }").await;
    assert_eq!(twice.code(), "REPEATED_SIGN_IN");
}

#[tokio::test]
async fn an_ended_cookie_session_is_401_and_the_cookie_is_forgotten() {
    let door = door();
    let answer = door.query(&[("cookie", "__Host-access=old"), CUSTOM, OWN_PAGE], "{ who }").await;
    assert_eq!(answer.status, 401);
    assert!(answer.header("set-cookie").starts_with("__Host-access=; Max-Age=0;"));
}

#[tokio::test]
async fn only_listed_origins_may_read_across_origins() {
    let door = door();
    let asks =
        [("access-control-request-method", "POST"), ("access-control-request-headers", "content-type")];
    let allowed = door.call("OPTIONS", "/graphql", &[PORTAL, asks[0], asks[1]]).await;
    assert_eq!(allowed.status, 204);
    assert_eq!(allowed.header("access-control-allow-origin"), "https://portal.example.jp");
    assert!(allowed.header("access-control-allow-headers").contains("x-portal-csrf"));
    assert_eq!(allowed.header("access-control-allow-credentials"), "true");
    for origin in
        ["null", "https://evil.test", "https://portal.example.jp.evil.test", "https://PORTAL.example.jp"]
    {
        let preflight = door.call("OPTIONS", "/graphql", &[("origin", origin), asks[0]]).await;
        let answer = door.query(&[("origin", origin)], "{ hello }").await;
        for answer in [preflight, answer] {
            assert!(answer.headers.get("access-control-allow-origin").is_none(), "{origin}");
            assert_eq!(answer.header("vary"), "Origin");
        }
    }
    let answer = door.query(&[PORTAL], "{ hello }").await;
    assert_eq!(answer.header("access-control-allow-origin"), "https://portal.example.jp");
    // The page must be able to read a refusal too.
    let refused = door.query(&[PORTAL, ("authorization", "Bearer bad")], "{ hello }").await;
    assert_eq!(refused.header("access-control-allow-origin"), "https://portal.example.jp");
}
