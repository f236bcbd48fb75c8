//! Answers that are kept: when the graph is asked again, and when it is not.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_graphql::{Context, EmptySubscription, Object, Request, Schema};
use axum::body::{Body, HttpBody};
use chrono::TimeDelta;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

use crate::{
    clock::Clock,
    error::{Error, Result, Service},
    freshness::{Cache, Kind, Lifetime, Owner, Reader, Settings, Tag},
    http::{Answers, Asker, Executed, Presented, State, router, tests::Answer},
    id::UserId,
    seal::{DataKey, Keyring},
};

const MINUTE: Lifetime = Lifetime::fresh_for(Duration::from_secs(60));
const THING: Kind = Kind::new("thing", Service::Billing, MINUTE);
const BALANCE: Kind = Kind::new("balance", Service::Billing, MINUTE).never_stale();

struct Query;
struct Mutation;

/// What a resolver finds.
#[derive(Clone)]
struct Shop {
    cache: Cache,
    /// How often something was loaded: it is what is loaded, too.
    loads: Arc<AtomicUsize>,
    clock: Clock,
}

async fn read(ctx: &Context<'_>, kind: &Kind, id: i32) -> Result<String> {
    let (shop, reader) = (ctx.data_unchecked::<Shop>(), ctx.data_unchecked::<Reader>());
    let owner = *ctx.data_unchecked::<Owner>();
    let Owner::User(user) = owner else { panic!("nobody reads") };
    let loads = Arc::clone(&shop.loads);
    let load = || async move { Ok(format!("{user} {id} {}", loads.fetch_add(1, Ordering::SeqCst))) };
    let tags = vec![Tag::new(format!("thing:{id}"))];
    let read = shop.cache.read(reader, kind, owner.key(kind, id), tags, load).await?;
    reader.see(ctx.path_node.unwrap().to_string(), &read);
    Ok((*read).clone())
}

#[Object]
impl Query {
    async fn thing(&self, ctx: &Context<'_>, #[graphql(default = 1)] id: i32) -> Option<Result<String>> {
        Some(read(ctx, &THING, id).await)
    }
    async fn balance(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        Some(read(ctx, &BALANCE, 1).await)
    }
    async fn note(&self, ctx: &Context<'_>) -> &str {
        ctx.data_unchecked::<Reader>().keep_not();
        "from the store"
    }
    async fn fails(&self) -> Option<Result<i32>> {
        Some(Err(Error::internal("not today")))
    }
    async fn sum(&self, #[graphql(default)] a: i32, #[graphql(default)] b: i32) -> i32 {
        a - b
    }
}

#[Object]
impl Mutation {
    async fn change(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        Some(read(ctx, &THING, 1).await)
    }
}

/// A door with answers kept; the token is the name of who asks.
struct Door {
    router: axum::Router,
    shop: Shop,
    runs: Arc<AtomicUsize>,
}

fn owner(name: &String) -> Owner {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Owner::User(UserId(Uuid::from_bytes(bytes)))
}

fn door() -> Door {
    let clock = Clock::system();
    let key = DataKey::parse(&format!("1:{}=", "A".repeat(43))).unwrap();
    let keys = Keyring::new(&[key], Path::new("/nowhere")).unwrap();
    let cache = Cache::new(Settings::default(), keys, clock.clone()).unwrap();
    let shop = Shop { cache: cache.clone(), loads: Arc::default(), clock: clock.clone() };
    let schema = Schema::build(Query, Mutation, EmptySubscription).data(shop.clone()).finish();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let execute = move |request: Request, asker: Asker<String>| {
        let (schema, reader) = (schema.clone(), Reader::new(asker.budget));
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let request =
                request.data(reader.clone()).data(asker.viewer.as_ref().map_or(Owner::Public, owner));
            Executed { response: schema.execute(request).await, reader: asker.viewer.map(|_| reader) }
        }) as _
    };
    let authenticate = |Presented { token, .. }: Presented| {
        Box::pin(async move { if token == "ended" { Err(Error::Unauthenticated) } else { Ok(token) } }) as _
    };
    let mut state = State::new(Arc::new(execute), Arc::new(authenticate));
    state.answers = Some(Answers::new(cache, 1 << 20, owner));
    state.clock = clock;
    Door { router: router(Arc::new(state)), shop, runs }
}

impl Door {
    async fn send(&self, request: axum::http::request::Builder, body: String) -> Answer {
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let announced = body.size_hint().exact();
        let bytes = body.collect().await.unwrap().to_bytes();
        assert_eq!(announced, Some(bytes.len() as u64), "an answer tells its length");
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    /// Posts a body as somebody.
    async fn post(&self, name: &str, body: impl ToString) -> Answer {
        let request = axum::http::Request::post("/graphql").header("content-type", "application/json");
        let request =
            if name.is_empty() { request } else { request.header("authorization", format!("Bearer {name}")) };
        self.send(request, body.to_string()).await
    }

    async fn ask(&self, name: &str, query: &str) -> Answer {
        self.post(name, json!({ "query": query })).await
    }

    async fn get(&self, name: &str, query: &str, tag: &str) -> Answer {
        let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let request = axum::http::Request::get(format!("/graphql?query={query}"))
            .header("authorization", format!("Bearer {name}"))
            .header("if-none-match", tag);
        self.send(request, String::new()).await
    }

    /// How often the graph was asked since the last look.
    fn runs(&self) -> usize {
        self.runs.swap(0, Ordering::SeqCst)
    }
}

fn without_id(answer: &Answer) -> Value {
    let mut value = answer.json();
    assert_eq!(value["extensions"]["requestId"], answer.header("x-request-id"));
    value["extensions"].as_object_mut().unwrap().remove("requestId");
    value
}

#[tokio::test]
async fn the_same_question_is_answered_by_the_same_bytes_and_their_age() {
    let door = door();
    let first = door.ask("taro", "{ thing }").await;
    let data = json!({ "thing": "7461726f-0000-0000-0000-000000000000 1 0" });
    assert_eq!(without_id(&first), json!({ "data": data, "extensions": {} }), "read live");
    door.shop.clock.advance(TimeDelta::seconds(7));
    let second = door.ask("taro", "{ thing }").await;
    let seen = json!([{ "path": "thing", "source": "MEMORY", "ageSeconds": 7, "stale": false }]);
    assert_eq!(without_id(&second), json!({ "data": data, "extensions": { "freshness": seen } }));
    assert_eq!(door.runs(), 1);
    for name in ["content-type", "cache-control", "x-content-type-options", "strict-transport-security"] {
        assert_eq!(first.header(name), second.header(name), "{name}");
    }
    assert_eq!(first.header("cache-control"), "no-store");
}

#[tokio::test]
async fn what_is_asked_counts_and_not_how_it_is_written() {
    let door = door();
    let query = "query Sum($a: Int, $b: Int) { sum(a: $a, b: $b) thing }";
    for (body, runs) in [
        (json!({ "query": query, "variables": { "a": 3, "b": 1 } }).to_string(), 1),
        (format!(r#"{{"variables": {{"b": 1,  "a": 3}}, "query": {}}}"#, json!(query)), 0),
        (json!({ "query": query, "variables": { "a": 1, "b": 3 } }).to_string(), 1),
        (json!({ "query": query, "variables": { "a": 3, "b": 2 } }).to_string(), 1),
        (json!({ "query": format!("{query} "), "variables": { "a": 3, "b": 2 } }).to_string(), 1),
    ] {
        let answer = door.post("taro", &body).await;
        assert!(answer.json()["errors"].is_null(), "{}", answer.text);
        assert_eq!(door.runs(), runs, "{body}");
        assert_eq!(door.post("taro", &body).await.json()["data"], answer.json()["data"]);
        assert_eq!(door.runs(), 0, "{body}");
    }
    let two = "query A { thing } query B { sum thing }";
    for name in ["A", "B"] {
        let body = json!({ "query": two, "operationName": name });
        assert_eq!(door.post("taro", &body).await.json()["data"]["sum"].is_null(), name == "A");
        assert_eq!(door.runs(), 1);
    }
}

#[tokio::test]
async fn nobody_gets_the_answer_of_another() {
    let door = door();
    let taro = door.ask("taro", "{ thing }").await.json()["data"].clone();
    let hanako = door.ask("hanako", "{ thing }").await.json()["data"].clone();
    assert_ne!(taro, hanako);
    assert_eq!(door.runs(), 2);
    assert_eq!(door.ask("taro", "{ thing }").await.json()["data"], taro);
    assert_eq!(door.ask("hanako", "{ thing }").await.json()["data"], hanako);
    assert_eq!(door.runs(), 0);
    // Who asks is found out before anything is looked up.
    let ended = door.ask("ended", "{ thing }").await;
    assert_eq!((ended.status.as_u16(), door.runs()), (401, 0));
}

#[tokio::test]
async fn a_change_of_anything_in_it_makes_an_answer_old_at_once() {
    let door = door();
    let query = "{ a: thing(id: 1) b: thing(id: 2) }";
    let first = door.ask("taro", query).await.json()["data"].clone();
    assert_eq!(door.runs(), 1);
    for (tag, changed, same) in [("thing:1", "a", "b"), ("thing:2", "b", "a")] {
        let before = door.ask("taro", query).await.json()["data"].clone();
        assert_eq!(door.runs(), 0);
        door.shop.cache.invalidate(&[Tag::new(tag)]).await.unwrap();
        let after = door.ask("taro", query).await.json()["data"].clone();
        assert_eq!(door.runs(), 1, "{tag}");
        assert_ne!(after[changed], before[changed], "{tag}");
        assert_eq!(after[same], before[same], "{tag}");
    }
    door.shop.cache.invalidate(&[Tag::new("thing:3")]).await.unwrap();
    let last = door.ask("taro", query).await.json()["data"].clone();
    assert_eq!(door.runs(), 0, "nothing of it changed");
    assert_ne!(last, first);
}

#[tokio::test]
async fn an_answer_lasts_as_long_as_the_first_part_of_it_is_fresh() {
    let door = door();
    door.ask("taro", "{ thing }").await;
    door.shop.clock.advance(TimeDelta::seconds(40));
    door.ask("taro", "{ a: thing b: thing(id: 2) }").await;
    assert_eq!(door.runs(), 2);
    door.shop.clock.advance(TimeDelta::seconds(10));
    door.ask("taro", "{ a: thing b: thing(id: 2) }").await;
    assert_eq!(door.runs(), 0);
    // The first is a minute old, give or take a tenth; the second is not.
    door.shop.clock.advance(TimeDelta::seconds(20));
    let answer = door.ask("taro", "{ a: thing b: thing(id: 2) }").await;
    assert_eq!(door.runs(), 1);
    let extensions = &answer.json()["extensions"];
    assert_eq!(extensions["stale"], true, "{extensions}");
    let seen = extensions["freshness"].as_array().unwrap();
    let shown = |n: usize| (seen[n]["path"].as_str(), seen[n]["stale"].as_bool(), seen[n]["reason"].as_str());
    assert_eq!(shown(0), (Some("a"), Some(true), Some("REFRESHING")));
    assert_eq!(shown(1), (Some("b"), Some(false), None));
}

#[tokio::test]
async fn what_must_not_be_kept_is_asked_for_each_time() {
    let door = door();
    for (who, query) in [
        ("taro", "{ thing fails }"),
        ("taro", "{ thing balance }"),
        ("taro", "{ thing note }"),
        ("taro", "{ sum }"),
        ("taro", "mutation { change }"),
        ("taro", "{ thing unknown }"),
        ("", "{ sum }"),
    ] {
        for _ in 0..2 {
            door.ask(who, query).await;
            assert_eq!(door.runs(), 1, "{query}");
        }
    }
}

#[tokio::test]
async fn a_get_is_validated_by_a_weak_tag_over_the_data() {
    let door = door();
    let first = door.get("taro", "{ thing }", "").await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    assert_eq!(first.header("cache-control"), "private, no-store");
    assert_eq!(first.header("vary"), "Accept, Authorization, Cookie, Portal-Customer");
    assert_eq!(door.get("taro", "{ thing }", "").await.header("etag"), tag, "kept or not, it is the same");
    for known in [tag.clone(), format!("\"x\", {tag}"), tag.replace("W/", ""), "*".to_owned()] {
        let answer = door.get("taro", "{ thing }", &known).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (304, ""), "{known}");
        assert_eq!((answer.header("etag"), answer.header("cache-control")), (&*tag, "private, no-store"));
    }
    assert_eq!(door.runs(), 1);
    assert_eq!(door.get("hanako", "{ thing }", &tag).await.status, 200);
    door.shop.cache.invalidate(&[Tag::new("thing:1")]).await.unwrap();
    let changed = door.get("taro", "{ thing }", &tag).await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), tag);
    // What failed is not to be kept by anybody.
    let failed = door.get("taro", "{ thing fails }", &tag).await;
    assert_eq!((failed.header("etag"), failed.header("cache-control")), ("", "no-store"));
    let posted = door.ask("taro", "{ thing }").await;
    assert_eq!((posted.header("etag"), posted.header("cache-control")), ("", "no-store"));
}

#[tokio::test]
async fn one_answer_has_either_media_type() {
    let door = door();
    let ask = |accept: &'static str| {
        let request = axum::http::Request::post("/graphql")
            .header("content-type", "application/json")
            .header("authorization", "Bearer taro")
            .header("accept", accept);
        door.send(request, json!({ "query": "{ thing }" }).to_string())
    };
    for accept in ["application/json", "application/graphql-response+json"] {
        assert_eq!(ask(accept).await.header("content-type"), format!("{accept}; charset=utf-8"));
    }
    assert_eq!(door.runs(), 1);
}
