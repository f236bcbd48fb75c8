//! What ends a session on one replica ends it on the other within five seconds: its tokens, the answers that are kept for
//! it, its sockets and its event streams; with Redis, and without (requirement A8).

use std::{collections::BTreeMap, time::Duration};

use portal_gateway::{
    freshness::Tally,
    identity::{Context, Grant},
    sandbox::credentials::DEMO_PASSWORD,
    secret::ExposeSecret,
};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{Fleet, Wishes};
use crate::socket::Socket;

const QUESTION: &str = "{ viewer { profile { email } invoices(first: 2) { nodes { number } } } }";
const LISTEN: &str = "subscription { accountChanged { kind } }";
const NEW: &str = "an entirely different staple";
/// The figure of the requirement.
const REACH: Duration = Duration::from_secs(5);
/// How long a busy machine may take to tell it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What ends sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    SignOut,
    Revoke,
    RevokeOthers,
    PasswordChange,
    PasswordReset,
    Disable,
    Reuse,
    DeviceRevoke,
    TooMany,
}

const WAYS: [Way; 9] = [
    Way::SignOut,
    Way::Revoke,
    Way::RevokeOthers,
    Way::PasswordChange,
    Way::PasswordReset,
    Way::Disable,
    Way::Reuse,
    Way::DeviceRevoke,
    Way::TooMany,
];

/// A session in use on the second replica.
struct InUse {
    token: String,
    socket: Socket,
    events: reqwest::Response,
}

struct Bench {
    fleet: Fleet,
    http: reqwest::Client,
}

impl Bench {
    fn email(&self, n: u64) -> String {
        self.fleet.sandbox.core().world.customer(n).email.clone()
    }

    async fn enter(&self, n: u64) -> Grant {
        self.fleet.replicas[0].app.identity.enter(&self.email(n)).await.unwrap()
    }

    fn request(&self, replica: usize, token: &str, query: &str, variables: Value) -> reqwest::RequestBuilder {
        let url = format!("http://{}/graphql", self.fleet.replicas[replica].address);
        self.http.post(url).bearer_auth(token).json(&json!({ "query": query, "variables": variables }))
    }

    async fn ask(&self, replica: usize, token: &str, query: &str, variables: Value) -> Value {
        let answer = self.request(replica, token, query, variables).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        assert!(body["errors"].is_null(), "{body}");
        body["data"].clone()
    }

    /// The id of what is marked as the current one.
    async fn current(&self, token: &str, list: &str) -> Value {
        let query = format!("{{ viewer {{ {list} {{ id isCurrent }} }} }}");
        let data = self.ask(0, token, &query, json!({})).await;
        let all = data["viewer"][list].as_array().unwrap().clone();
        all.iter().find(|one| one["isCurrent"] == true).unwrap()["id"].clone()
    }

    /// Asks until the second replica gives an answer that it keeps, for which it reads nothing. What changes meanwhile, as a
    /// sign-in that the CRM is told of, makes it read anew.
    async fn keep_an_answer(&self, token: &str) {
        const TRIES: usize = 20;
        let cache = &self.fleet.replicas[1].app.cache;
        let mut reads = Vec::new();
        for _ in 0..TRIES {
            let before = cache.tally();
            let data = self.ask(1, token, QUESTION, json!({})).await;
            assert!(data["viewer"]["profile"]["email"].is_string(), "{data}");
            let after = cache.tally();
            let read = |tally: Tally| tally.hits + tally.misses + tally.joined + tally.stale;
            reads.push(read(after) - read(before));
            if *reads.last().unwrap() == 0 {
                assert!(reads[0] > 0, "the first answer is read, or the look is blind");
                return;
            }
        }
        panic!("no answer is kept: {reads:?} reads");
    }

    async fn begin(&self, token: &str) -> InUse {
        self.keep_an_answer(token).await;
        let url = format!("http://{}", self.fleet.replicas[1].address);
        let mut socket =
            Socket::at(&url, &[("sec-websocket-protocol", "graphql-transport-ws")]).await.unwrap();
        let payload = json!({ "authorization": format!("Bearer {token}") });
        socket.say(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.hear().await, json!({ "type": "connection_ack" }));
        let events = self.request(1, token, LISTEN, json!({})).header("accept", "text/event-stream");
        let events = events.send().await.unwrap();
        assert_eq!(events.status(), 200);
        InUse { token: token.to_owned(), socket, events }
    }

    /// Ends a session of a customer on the first replica.
    async fn end(&self, way: Way, n: u64, token: &str, grant: Option<&Grant>) {
        let identity = &self.fleet.replicas[0].app.identity;
        let from = Context::default();
        let other = self.enter(n).await.access_token.expose_secret().to_owned();
        match way {
            Way::SignOut => {
                self.ask(0, token, "mutation { sessionEnd { ended } }", json!({})).await;
            }
            Way::Revoke => {
                let id = self.current(token, "sessions").await;
                let revoke = "mutation($id: ID!) { sessionRevoke(input: { id: $id }) { revoked } }";
                let told = self.ask(0, &other, revoke, json!({ "id": id })).await;
                assert_eq!(told["sessionRevoke"]["revoked"], true);
            }
            Way::RevokeOthers => {
                self.ask(0, &other, "mutation { sessionRevokeOthers { userErrors { code } } }", json!({}))
                    .await;
            }
            Way::PasswordChange => {
                let change =
                    "mutation($input: PasswordChangeInput!) { passwordChange(input: $input) { changed } }";
                let input = json!({ "currentPassword": DEMO_PASSWORD, "newPassword": NEW });
                let told = self.ask(0, &other, change, json!({ "input": input })).await;
                assert_eq!(told["passwordChange"]["changed"], true);
            }
            Way::PasswordReset => {
                let email = self.email(n);
                identity.request_password_reset(&email, &from).await.unwrap();
                let mail = timeout(PATIENCE, self.fleet.sandbox.mail().next(&email, 0)).await.unwrap();
                let (_, link) = mail.links[0].split_once("#token=").unwrap();
                identity.reset_password(&link.into(), &NEW.into(), &from).await.unwrap();
            }
            Way::Disable => {
                let user = identity.authenticate(token).await.unwrap().user;
                assert!(identity.disable(user).await.unwrap());
            }
            Way::Reuse => {
                let first = &grant.unwrap().refresh_token;
                let second = identity.refresh(first, &from).await.unwrap().refresh_token;
                identity.refresh(&second, &from).await.unwrap();
                identity.refresh(first, &from).await.unwrap_err();
            }
            Way::DeviceRevoke => {
                let id = self.current(token, "devices").await;
                let revoke = "mutation($id: ID!) { deviceRevoke(input: { id: $id }) { revoked } }";
                let told = self.ask(0, &other, revoke, json!({ "id": id })).await;
                assert_eq!(told["deviceRevoke"]["revoked"], true);
            }
            Way::TooMany => {
                for _ in 0..10 {
                    self.enter(n).await;
                }
            }
        }
    }
}

/// How long after an instant each of a session's uses was over.
async fn over(
    http: reqwest::Client,
    url: String,
    mut used: InUse,
    ended: Instant,
) -> BTreeMap<&'static str, Duration> {
    let token = async {
        loop {
            let question = json!({ "query": QUESTION });
            let answer = http.post(&url).bearer_auth(&used.token).json(&question).send().await.unwrap();
            if answer.status() == 401 {
                return ended.elapsed();
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let socket = async {
        used.socket.closed().await;
        ended.elapsed()
    };
    let events = async {
        while let Ok(Some(_)) = used.events.chunk().await {}
        ended.elapsed()
    };
    let all = async { tokio::join!(token, socket, events) };
    let (token, socket, events) = timeout(PATIENCE, all).await.expect("all of it ends");
    BTreeMap::from([("token", token), ("socket", socket), ("events", events)])
}

async fn revoked_everywhere(with_redis: bool) {
    let fleet = Fleet::with(Wishes { replicas: 2, ..Wishes::default() }).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let bench = Bench { fleet, http };
    let mut all = Vec::new();
    for (n, way) in (1..).zip(WAYS) {
        let grant = match way {
            Way::DeviceRevoke => None,
            _ => Some(bench.enter(n).await),
        };
        let token = match &grant {
            Some(grant) => grant.access_token.expose_secret().to_owned(),
            None => bench.fleet.sign_in(n).await,
        };
        all.push((n, way, grant, bench.begin(&token).await));
    }
    let bystander = bench.enter(10).await.access_token.expose_secret().to_owned();
    let mut standing = bench.begin(&bystander).await;
    if !with_redis {
        bench.fleet.redis.lock().await.kill().await;
    }
    let mut watchers = JoinSet::new();
    for (n, way, grant, used) in all {
        bench.end(way, n, &used.token, grant.as_ref()).await;
        let url = format!("http://{}/graphql", bench.fleet.replicas[1].address);
        let watched = over(bench.http.clone(), url, used, Instant::now());
        watchers.spawn(async move { (way, watched.await) });
    }
    let mut seen = Vec::new();
    while let Some(one) = watchers.join_next().await {
        let (way, took) = one.unwrap();
        for (what, took) in took {
            assert!(took <= REACH, "{way:?}: the {what} lived for {took:?}, with Redis: {with_redis}");
        }
        seen.push(way);
    }
    seen.sort();
    assert_eq!(seen, WAYS);
    // Whoever has nothing to do with it goes on.
    bench.ask(1, &bystander, QUESTION, json!({})).await;
    standing.socket.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_ends_a_session_on_one_replica_ends_it_on_the_other_within_five_seconds() {
    revoked_everywhere(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_there_as_soon_while_redis_is_away() {
    revoked_everywhere(false).await;
}
