//! What is somebody else's is answered like what does not exist: in the same bytes and in the same time.

use std::{collections::BTreeMap, time::Instant};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use portal_gateway::sandbox::world::ids::sf_id;
use uuid::Uuid;

use super::*;
use crate::measure::{PLANTED, PLANTED_EVERY, SAMPLES, assert_alike};

/// Pairs of ids of each kind whose answers are compared.
const PAIRS: usize = 5;

/// The type that an id names, and its key.
fn opened(id: &str) -> (String, String) {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(id).unwrap()).unwrap();
    let (kind, key) = text.split_once(':').unwrap();
    (kind.to_owned(), key.to_owned())
}

/// An id of the same kind and length that nothing has.
fn nothing_like(id: &str, chance: &mut Chance) -> String {
    let (kind, key) = opened(id);
    let n = chance.below(90_000);
    let key = if Uuid::try_parse(&key).is_ok() {
        Uuid::from_u64_pair(chance.below(usize::MAX) as u64, chance.below(usize::MAX) as u64).to_string()
    } else if key.bytes().all(|byte| byte.is_ascii_digit()) {
        let nines = 10_u64.pow(u32::try_from(key.len()).unwrap()) - 1;
        (nines - n as u64 % nines.div_ceil(10)).to_string()
    } else {
        sf_id(&key[..3], 900_000 + n as u64, 0)
    };
    BASE64_URL_SAFE_NO_PAD.encode(format!("{kind}:{key}"))
}

/// An answer without what is another in each: the id that was sent, the id of the request, and how old what was read is.
fn plain(reply: &Reply, id: &str) -> String {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("requestId");
                fields.remove("ageSeconds");
                fields.remove("cost");
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut body = reply.json();
    strip(&mut body);
    let headers: BTreeMap<_, _> = reply
        .headers
        .iter()
        .filter(|(name, _)| !["x-request-id", "date", "etag", "content-length"].contains(&name.as_str()))
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    format!("{} {headers:?} {body}", reply.status).replace(id, "[id]")
}

/// The other's ids by their kind.
fn kinds(pair: &Pair<'_>) -> BTreeMap<String, Vec<String>> {
    let mut kinds = BTreeMap::<_, Vec<_>>::new();
    for id in &pair.pool.ids {
        kinds.entry(opened(id).0).or_default().push(id.clone());
    }
    kinds
}

fn only(id: &str, pair: &Pair<'_>) -> Pool {
    Pool { ids: vec![id.to_owned()], cursors: pair.pool.cursors.clone(), texts: vec!["nothing".to_owned()] }
}

#[tokio::test]
async fn what_is_anothers_is_answered_in_the_bytes_of_what_does_not_exist() {
    let gateway = roomy(Wishes::default()).await;
    let pair = Pair::of(&gateway).await;
    let graph = Graph::read();
    let mut compared = 0;
    for door in
        graph.doors().iter().filter(|door| door.root != Root::Subscription && door.takes_an_id(&graph))
    {
        for (kind, ids) in kinds(&pair) {
            for id in ids.iter().take(PAIRS) {
                let seed = rand::random();
                let answer = async |who: &Customer<'_>, id: &str| {
                    // The same chances: everything but the id is the same.
                    let question = graph.question(door, 0, 1, &only(id, &pair), &mut Chance::new(seed));
                    let reply = put(&gateway, who, &question).await;
                    assert!(reply.json()["data"].is_object(), "{}: {reply:?}", door.name());
                    plain(&reply, id)
                };
                let random = nothing_like(id, &mut Chance::new(rand::random()));
                let (foreign, missing) = (answer(&pair.a, id).await, answer(&pair.a, &random).await);
                assert_eq!(foreign, missing, "{} of a {kind}", door.name());
                compared += 1;
                // What is one's own differs: the comparison sees something.
                if door.name() == "node" && door.root == Root::Query && kind != "Session" {
                    let own = answer(&pair.b, id).await;
                    let is_node =
                        ["Subscription", "Invoice", "PaymentMethod", "Order", "Case", "Notification"];
                    assert_eq!(own != missing, is_node.contains(&kind.as_str()), "{kind}: {own}");
                }
            }
        }
    }
    assert!(compared > 100, "{compared} comparisons");
}

/// Times a question with ids of somebody else's and with ids that nothing has, in turn: neither warms anything for the other.
/// `pairs` gives both for a round.
async fn time(gateway: &Gateway, pair: &Pair<'_>, door: &Door, mut pairs: impl FnMut() -> (String, String)) {
    let graph = Graph::read();
    let ask_for = async |id: &str, fault: Duration| {
        let question = graph.question(door, 0, 1, &only(id, pair), &mut Chance::new(1));
        let began = Instant::now();
        let reply = put(gateway, &pair.a, &question).await;
        assert!(reply.text.starts_with("{\"data\":{"), "{reply:?}");
        tokio::time::sleep(fault).await;
        began.elapsed().as_secs_f64()
    };
    assert_alike(door.name(), ["foreign", "missing"], async || {
        let (mut foreign, mut missing, mut planted) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..SAMPLES {
            let (theirs, nothing) = pairs();
            if round % 2 == 0 {
                foreign.push(ask_for(&theirs, Duration::ZERO).await);
                missing.push(ask_for(&nothing, Duration::ZERO).await);
            } else {
                missing.push(ask_for(&nothing, Duration::ZERO).await);
                foreign.push(ask_for(&theirs, Duration::ZERO).await);
            }
            if round % PLANTED_EVERY == 0 {
                planted.push(ask_for(&theirs, PLANTED).await);
            }
        }
        vec![foreign, missing, planted]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_anothers_is_answered_in_the_time_of_what_does_not_exist() {
    let gateway = roomy(Wishes::default()).await;
    let pair = Pair::of(&gateway).await;
    let (kinds, mut chance) = (kinds(&pair), Chance::new(seed()));
    let doors = Graph::read().doors();
    let door = |name: &str| doors.iter().find(|door| door.name() == name).unwrap_or_else(|| panic!("{name}"));
    // Acts, whose answers are never kept.
    for (name, kind) in
        [("deviceRevoke", "Device"), ("sessionRevoke", "Session"), ("notificationMarkRead", "Notification")]
    {
        let pairs = || {
            let id = chance.pick(&kinds[kind]).clone();
            let nothing = nothing_like(&id, &mut chance);
            (id, nothing)
        };
        time(&gateway, &pair, door(name), pairs).await;
    }
    // What is read, known of both or of neither: the first is of what is kept, the second of what is asked for.
    let id = kinds["Invoice"][0].clone();
    let nothing = nothing_like(&id, &mut chance);
    time(&gateway, &pair, door("node"), || (id.clone(), nothing.clone())).await;
}
