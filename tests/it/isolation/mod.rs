//! Two customers can never see each other, nor touch what is the other's (requirements Z2, Z3).

mod alike;
mod doors;

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt, stream};
use portal_gateway::{
    identity::{NewPartner, PartnerDesk, Scopes, Terms},
    notify::{Hint, Subject, Topic},
    sandbox::credentials::{DEMO_DEVICE, DEMO_PASSWORD},
};
use serde_json::{Value, json};

use self::doors::{Chance, Door, Graph, Pool, Question, Root};
use crate::{
    gateway::{Customer, Gateway, LostOwner, Wishes},
    passkeys::register,
    phone::Phone,
    sessions::SIGN_IN,
    sign_up::until,
    socket::Socket,
    wire::{Reply, ask, post},
};

/// Things of somebody else's that are sent in one run.
const CASES: usize = 10_000;
/// The same of a run that has a fault to find.
const PLANTED_CASES: usize = 1_000;
/// Questions under way at once.
const AT_ONCE: usize = 8;

/// Everything that a customer can see, with every id.
const ALL: &str = r"query All {
  viewer {
    id
    profile { email phone customerNumber fullName address { line1 } }
    subscriptions(first: 100) { edges { cursor } nodes { id name line { phoneNumber state { iccid } } order { id } } }
    invoices(first: 100) { edges { cursor } nodes { id number } }
    orders(first: 100) { edges { cursor } nodes { id number lines { subscription { id } } } }
    cases(first: 100) { edges { cursor } nodes { id number subject conversation { id body } subscription { id } } }
    paymentMethods { id }
    sessions { id network deviceName }
    devices { id name trustedUntil }
    passkeys { id name }
    signIns(first: 100) { edges { cursor } nodes { id outcome } }
    notifications(first: 100) { edges { cursor } nodes { id title readAt } }
    grants { id clientId partnerName scopes }
    dataExports { id path readyAt }
  }
}";

/// What is somebody's own, by the names of its fields. `name` is looked for only where people give names: those of products
/// are public.
const OWN: [&str; 16] = [
    "email",
    "phone",
    "customerNumber",
    "phoneNumber",
    "iccid",
    "number",
    "id",
    "fullName",
    "line1",
    "subject",
    "body",
    "title",
    "deviceName",
    "clientId",
    "partnerName",
    "path",
];

/// What a browser calls itself that only the second customer has.
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const RENAME: &str = "mutation($id: ID!, $name: String!) { passkeyRename(input: { id: $id, name: $name }) {
    userErrors { code } } }";
const GRANT: &str = include_str!("../../../examples/queries/grant-create.graphql");
const EXPORT: &str = include_str!("../../../examples/queries/data-export.graphql");

/// Every string under a field of one of these names.
fn gather(value: &Value, names: &[&str], found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if names.contains(&name.as_str()) => {
                        found.insert(text.clone());
                    }
                    _ => gather(value, names, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, names, found)),
        _ => {}
    }
}

fn gathered(value: &Value, names: &[&str]) -> Vec<String> {
    let mut found = BTreeSet::new();
    gather(value, names, &mut found);
    found.into_iter().collect()
}

/// All that is somebody's own in an answer to [`ALL`].
fn owned(all: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    gather(all, &OWN, &mut found);
    for named in ["passkeys", "devices"] {
        gather(&all["viewer"][named], &["name"], &mut found);
    }
    found
}

/// Lets a partner that only one customer has read something.
async fn allow_a_partner(gateway: &Gateway, customer: &Customer<'_>, name: &str) {
    let terms = Terms { requests_per_second: 1_000, cost_maximum: 1_000_000, cost_restore: 100_000 };
    let scopes = Scopes::parse("orders:read").unwrap();
    let new = NewPartner { name: name.to_owned(), scopes, is_first_party: false, terms };
    let desk = PartnerDesk::new(gateway.app.store.clone(), gateway.app.clock.clone());
    let (client_id, _) = desk.create(new).await.unwrap();
    let input = json!({ "clientId": client_id, "scopes": ["orders:read"] });
    let made = customer.ask(GRANT, json!({ "input": input })).await.data();
    assert_eq!(made["grantCreate"]["userErrors"], json!([]), "{made}");
}

/// Has all that is known of a customer gathered.
async fn export(customer: &Customer<'_>) {
    customer.operate(EXPORT, "DataExportRequest", json!({})).await.data();
    until("it is gathered", async || {
        let exports = customer.operate(EXPORT, "DataExports", json!({})).await.data();
        exports["viewer"]["dataExports"][0]["path"].is_string().then_some(())
    })
    .await;
}

/// A gateway on which anything may be tried as often as wanted.
async fn roomy(mut wishes: Wishes) -> Gateway {
    for name in ["LOGIN", "LOGIN_FAILURES", "OTP_VERIFY", "OTP_SEND", "SIGNUP", "PASSWORD_RESET"] {
        let name: &'static str = Box::leak(format!("{name}_RATE_LIMIT_LIMIT").into_boxed_str());
        wishes.env.insert(name, "1000000".to_owned());
    }
    Gateway::with(wishes).await
}

/// Two customers, of whom the second has one of everything; and what only that one's answers may hold.
struct Pair<'a> {
    a: Customer<'a>,
    b: Customer<'a>,
    pool: Pool,
    values: Vec<String>,
}

impl<'a> Pair<'a> {
    async fn of(gateway: &'a Gateway) -> Self {
        let (a, b) = (gateway.sign_in(2).await, gateway.sign_in(1).await);
        for (customer, n) in [(&a, 2), (&b, 1)] {
            let passkey = register(customer, &mut Phone::new()).await;
            let name = json!({ "id": passkey["id"], "name": format!("Telephone {n} of the family") });
            customer.ask(RENAME, name).await.data();
            allow_a_partner(gateway, customer, &format!("Household Books {n}")).await;
            export(customer).await;
            let token = customer.token.as_ref().unwrap();
            let account = gateway.app.identity.authenticate(token).await.unwrap().account;
            let email = &gateway.sandbox.core().world.customer(n).email;
            for n in 0..3 {
                let event = format!("event {n} of {account}");
                let bell = &gateway.app.notifications;
                assert!(bell.eligibility_changed(account, n % 2 == 0, &event).await.unwrap());
                // And some history.
                let wrong = json!({ "input": { "email": email, "password": "wrong horse battery" } });
                gateway.nobody().ask(SIGN_IN, wrong).await.data();
            }
        }
        // One signs in with a browser that the other has not.
        let email = &gateway.sandbox.core().world.customer(1).email;
        let input = json!({ "email": email, "password": DEMO_PASSWORD, "deviceToken": DEMO_DEVICE });
        let body = json!({ "query": SIGN_IN, "variables": { "input": input } }).to_string();
        let entered = post(gateway, &[("user-agent", BROWSER)], body).await;
        assert!(entered.json()["data"]["sessionCreate"]["session"].is_object(), "{entered:?}");

        let (mine, theirs) = (a.ask(ALL, json!({})).await.data(), b.ask(ALL, json!({})).await.data());
        let own = owned(&mine);
        let values: Vec<_> =
            owned(&theirs).into_iter().filter(|value| !own.contains(value) && value.len() > 3).collect();
        let viewer = &theirs["viewer"];
        for (kind, field) in [
            ("cases", "subject"),
            ("cases", "body"),
            ("passkeys", "name"),
            ("sessions", "deviceName"),
            ("grants", "clientId"),
            ("grants", "partnerName"),
            ("dataExports", "path"),
        ] {
            let has = gathered(&viewer[kind], &[field]).iter().any(|value| values.contains(value));
            assert!(has, "no {field} of the other's {kind} is told from one's own");
        }
        let sent = b.ask("mutation { stepUpCodeSend { challengeId } }", json!({})).await.data();
        let mut ids = gathered(&theirs, &["id"]);
        ids.push(sent["stepUpCodeSend"]["challengeId"].as_str().unwrap().to_owned());
        for kind in [
            "sessions",
            "devices",
            "passkeys",
            "signIns",
            "notifications",
            "paymentMethods",
            "grants",
            "dataExports",
        ] {
            assert!(!gathered(&theirs["viewer"][kind], &["id"]).is_empty(), "the other has no {kind}");
        }
        assert!(values.len() > 20, "the other has something to lose");
        let texts = values.iter().filter(|value| value.chars().count() <= 60).cloned().collect();
        Self { a, b, pool: Pool { ids, cursors: gathered(&theirs, &["cursor"]), texts }, values }
    }

    /// The first of the other's values that an answer holds and the question did not.
    fn leak<'v>(&'v self, reply: &Reply, question: &Question) -> Option<&'v String> {
        let sent = question.variables.to_string();
        let mut headers = reply.headers.clone();
        // A length may be any number.
        headers.remove("content-length");
        let told = format!("{} {headers:?}", reply.text);
        let is_told = |value: &str| match value.bytes().all(|byte| byte.is_ascii_digit()) {
            // Digits stand in times and ids as well.
            true => told.contains(&format!("\"{value}\"")),
            false => told.contains(value),
        };
        self.values.iter().find(|value| is_told(value) && !sent.contains(value.as_str()))
    }
}

async fn put(gateway: &Gateway, who: &Customer<'_>, question: &Question) -> Reply {
    let bearer = format!("Bearer {}", who.token.as_ref().unwrap());
    ask(gateway, &[("authorization", &bearer)], &question.document, question.variables.clone()).await
}

/// How deep the answers of a door may be shown, and how often it may be asked in one document.
struct Fit {
    depth: usize,
    wide: (usize, usize),
}

async fn fit(gateway: &Gateway, pair: &Pair<'_>, graph: &Graph, door: &Door, chance: &mut Chance) -> Fit {
    let mut fits = async |depth, times| {
        let question = graph.question(door, depth, times, &pair.pool, chance);
        let reply = put(gateway, &pair.a, &question).await;
        // A document that is over a limit is not executed.
        reply.json()["data"].is_object()
    };
    let mut depth = 3;
    while !fits(depth, 1).await {
        assert!(depth > 0, "{} cannot be asked at all", door.name());
        depth -= 1;
    }
    for times in [20, 12, 8, 4, 2] {
        if fits(depth.min(1), times).await {
            return Fit { depth, wide: (depth.min(1), times) };
        }
    }
    Fit { depth, wide: (depth, 1) }
}

/// A seed of one's own, or that of a run that failed.
fn seed() -> u64 {
    let given = std::env::var("ISOLATION_SEED").ok().map(|text| text.parse().unwrap());
    let seed = given.unwrap_or_else(rand::random);
    println!("ISOLATION_SEED={seed} asks the same again");
    seed
}

/// Sends what is the other's through every door, and gives what came back of the other, and how many things were sent.
async fn search(gateway: &Gateway, pair: &Pair<'_>, cases: usize) -> (Vec<String>, usize) {
    let (graph, mut chance) = (Graph::read(), Chance::new(seed()));
    let doors: Vec<_> = graph.doors().into_iter().filter(|door| door.root != Root::Subscription).collect();
    let mut fits = Vec::new();
    for door in &doors {
        fits.push(fit(gateway, pair, &graph, door, &mut chance).await);
    }
    let (mut questions, mut sent) = (Vec::new(), 0);
    while sent < cases {
        for (door, fit) in doors.iter().zip(&fits) {
            let (depth, times) = if chance.below(8) == 0 { (fit.depth, 1) } else { fit.wide };
            let question = graph.question(door, depth, times, &pair.pool, &mut chance);
            sent += question.sent;
            questions.push(question);
        }
    }
    let found = stream::iter(questions)
        .map(async |question| {
            let reply = put(gateway, &pair.a, &question).await;
            assert!(
                reply.json()["data"].is_object(),
                "{} {}: {reply:?}",
                question.document,
                question.variables
            );
            let found = pair.leak(&reply, &question);
            found.map(|value| format!("{value} by {} {}", question.document, question.variables))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(async |found| found)
        .collect()
        .await;
    (found, sent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_another_customer_is_read_or_changed_through_any_argument() {
    let gateway = roomy(Wishes::default()).await;
    let pair = Pair::of(&gateway).await;
    let before = pair.b.ask(ALL, json!({})).await.data();
    // The one door that is none of the graph's.
    let path = before["viewer"]["dataExports"][0]["path"].as_str().unwrap();
    for (customer, status) in [(&pair.a, 404), (&pair.b, 200)] {
        let request = gateway.request("GET", path).bearer_auth(customer.token.as_ref().unwrap());
        let reply = Reply::to(request).await;
        assert_eq!(reply.status, status, "{path}");
        let found = pair.values.iter().find(|value| **value != path && reply.text.contains(value.as_str()));
        assert_eq!(found.is_some(), status == 200, "{found:?}");
    }
    gateway.forget_calls();
    let (found, sent) = search(&gateway, &pair, CASES).await;
    assert!(sent >= CASES);
    assert_eq!(found, Vec::<String>::new());
    // A mail may leave: who wants another's address as their own makes its owner be told.
    let written = gateway.written();
    assert!(written.iter().all(|effect| effect.starts_with("smtp ")), "{written:?}");
    assert_eq!(pair.b.ask(ALL, json!({})).await.data(), before, "nothing of the other's has changed");

    // The same ids do open what they name, for their owner. Pages are cut so oddly by cursors and words that they may be
    // empty for anybody.
    let (graph, mut chance) = (Graph::read(), Chance::new(1));
    let theirs: Pair<'_> = Pair { a: Customer::with(&gateway, pair.b.token.clone().unwrap()), ..pair };
    for door in graph.doors().iter().filter(|door| door.root == Root::Query && door.takes_an_id(&graph)) {
        let mut opened = false;
        for _ in 0..200 {
            let question = graph.question(door, 1, 1, &theirs.pool, &mut chance);
            let reply = put(&gateway, &theirs.a, &question).await;
            opened |= theirs.leak(&reply, &question).is_some() || reply.text.contains("\"nodes\":[{");
            if opened {
                break;
            }
        }
        assert!(opened, "{} opens nothing for anybody", door.name());
    }
    for door in graph.doors().iter().filter(|door| door.root == Root::Mutation) {
        // What proves or ends a session is tested where it is; here each at least takes the ids of its kind.
        let question = graph.question(door, 1, 1, &theirs.pool, &mut chance);
        assert!(put(&gateway, &theirs.a, &question).await.json()["data"].is_object(), "{}", door.name());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_search_finds_a_key_that_has_lost_its_owner() {
    // What is the other's is read where nothing is wrong: the people of both sandboxes are the same.
    let sound = roomy(Wishes::default()).await;
    let Pair { pool, values, .. } = Pair::of(&sound).await;
    let planted = roomy(Wishes { plant: Some(LostOwner::OfEntries), ..Wishes::default() }).await;
    let (a, b) = (planted.sign_in(2).await, planted.sign_in(1).await);
    // Whoever asks first leaves what they read to everybody.
    b.ask(ALL, json!({})).await.data();
    let pair = Pair { a, b, pool, values };
    let (found, _) = search(&planted, &pair, PLANTED_CASES).await;
    assert!(!found.is_empty(), "the search is blind");
}

#[tokio::test]
async fn nobody_listens_to_what_is_anothers() {
    let gateway = roomy(Wishes::default()).await;
    let pair = Pair::of(&gateway).await;
    let principal = gateway.app.identity.authenticate(pair.b.token.as_ref().unwrap()).await.unwrap();
    let (graph, mut chance) = (Graph::read(), Chance::new(seed()));
    let doors: Vec<_> = graph.doors().into_iter().filter(|door| door.root == Root::Subscription).collect();
    assert!(!doors.is_empty());
    let hints = async || {
        for topic in
            [Topic::User(principal.user), Topic::Client(principal.client), Topic::Account(principal.account)]
        {
            for subject in
                [Subject::Invoice(None), Subject::Order(None), Subject::Case(None), Subject::Profile]
            {
                gateway.app.live.publish(Hint::new(topic.clone(), subject)).await;
            }
        }
    };
    let mut heard = Vec::new();
    for customer in [&pair.a, &pair.b] {
        let mut socket = Socket::of(&gateway, customer).await;
        let (mut told, mut n) = (0, 0);
        for door in &doors {
            for id in &pair.pool.ids {
                n += 1;
                let pool = Pool { ids: vec![id.clone()], cursors: Vec::new(), texts: Vec::new() };
                let question = graph.question(door, 1, 1, &pool, &mut chance);
                socket.subscribe_with(&n.to_string(), &question.document, question.variables).await;
                let mut told_of = hear_all(&mut socket).await;
                hints().await;
                told_of.extend(hear_all(&mut socket).await);
                for message in told_of.iter().filter(|message| message["type"] == "next") {
                    let payload = message["payload"].to_string();
                    told += usize::from(pair.values.iter().any(|value| payload.contains(value.as_str())));
                }
                socket.say(json!({ "id": n.to_string(), "type": "complete" })).await;
            }
        }
        heard.push(told);
    }
    assert_eq!(heard[0], 0, "a stranger heard something");
    assert!(heard[1] > 0, "the owner hears it");
}

/// Everything that was said up to now.
async fn hear_all(socket: &mut Socket) -> Vec<Value> {
    socket.say(json!({ "type": "ping" })).await;
    let mut all = Vec::new();
    loop {
        match socket.hear().await {
            message if message["type"] == "pong" => return all,
            message => all.push(message),
        }
    }
}
