//! Nobody learns who has an account, nor of which kind: not from what is answered over HTTP, and not from its time
//! (requirement A3). Sign-ins and resets are timed in `identity::timing`, in process: a floor hides their work, and behind it
//! the noise of HTTP is all that there is. Here is timed what has no floor, or asks another system.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use portal_gateway::{
    id::{AccountId, ClientId},
    identity::{Credential, Registration},
    sandbox::{
        core::{Rule, RuleKind, System},
        world::ids,
    },
};
use serde_json::{Value, json};

use crate::{
    gateway::{Gateway, Wishes},
    measure::{PLANTED, SAMPLES, assert_alike, floor_over, order},
    wire::{Reply, ask},
};

const SIGN_IN: &str = include_str!("../../examples/queries/session.graphql");
const RESET: &str = include_str!("../../examples/queries/password-reset-request.graphql");
const SIGN_UP: &str = "mutation($email: String!) { signUpBegin(input: { email: $email }) {
    challenge { id sentTo expiresAt triesLeft } userErrors { code field message } } }";
const BY_BILLING: &str = "mutation($email: String!, $password: String!) {
    signUpVerifyByBilling(input: { email: $email, password: $password }) {
        verification { token } userErrors { code field message } } }";
const WRONG: &str = "wrong horse battery";
/// A customer of billing without an account.
const UNLINKED: u64 = 20;
/// Rounds by which it is found out how long the work takes on this machine as it is now.
const PROBES: usize = 20;

/// The ways in which somebody could try to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    SignIn,
    Reset,
    SignUp,
    ByBilling,
}

impl Door {
    const ALL: [Self; 4] = [Self::SignIn, Self::Reset, Self::SignUp, Self::ByBilling];

    async fn knock(self, gateway: &Gateway, email: &str, address: &str) -> Reply {
        let (document, variables) = match self {
            Self::SignIn => (SIGN_IN, json!({ "input": { "email": email, "password": WRONG } })),
            Self::Reset => (RESET, json!({ "email": email })),
            Self::SignUp => (SIGN_UP, json!({ "email": email })),
            Self::ByBilling => (BY_BILLING, json!({ "email": email, "password": WRONG })),
        };
        ask(gateway, &[("x-forwarded-for", address)], document, variables).await
    }
}

async fn gateway(env: &[(&'static str, &str)]) -> Gateway {
    let mut all = HashMap::from([("TRUST_PROXY", "127.0.0.1".to_owned())]);
    all.extend(env.iter().map(|(name, value)| (*name, (*value).to_owned())));
    Gateway::with(Wishes { env: all, ..Wishes::default() }).await
}

const ROOMY: [(&str, &str); 5] = [
    ("LOGIN_RATE_LIMIT_LIMIT", "1000000"),
    ("LOGIN_FAILURES_RATE_LIMIT_LIMIT", "1000000"),
    ("PASSWORD_RESET_RATE_LIMIT_LIMIT", "1000000"),
    ("SIGNUP_RATE_LIMIT_LIMIT", "1000000"),
    ("OTP_SEND_RATE_LIMIT_LIMIT", "1000000"),
];

/// An address of each class. All begin with the same letter, which is what is shown of them.
async fn classes(gateway: &Gateway) -> Vec<(&'static str, String)> {
    let identity = &gateway.app.identity;
    let mut classes = vec![("unknown", "zoe.unknown@example.jp".to_owned())];
    let phc = bcrypt::hash("Correct1horse", 4).unwrap();
    for (n, class) in ["existing", "disabled", "legacy"].into_iter().enumerate() {
        let (n, email) = (30 + n as u64, format!("zoe.{class}@example.jp"));
        let person = Registration {
            email: email.clone(),
            client: ClientId(ids::client_id(n)),
            account: AccountId::parse(&ids::sf_id("001", n, 0)).unwrap(),
            locale: "en",
        };
        let credential = match class {
            "legacy" => Credential::Phc(phc.clone().into()),
            _ => Credential::Password("correct horse battery staple".into()),
        };
        let user = identity.register(&person, credential).await.unwrap();
        if class == "disabled" {
            assert!(identity.disable(user).await.unwrap());
        }
        classes.push((class, email));
    }
    classes
}

/// A whole answer, without what is another in each: ids, instants, and how long to wait still.
fn plain(reply: &Reply) -> String {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for name in ["requestId", "id", "expiresAt", "retryAfterMs"] {
                    if let Some(found) = fields.get_mut(name) {
                        // That it is there, and how it looks, is not another.
                        *found = match &*found {
                            Value::String(text) => json!(text.len()),
                            Value::Number(_) => json!("a number"),
                            _ => json!("something"),
                        };
                    }
                }
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut body = reply.json();
    strip(&mut body);
    let mut headers = BTreeMap::new();
    for (name, value) in &reply.headers {
        let value = match name.as_str() {
            "x-request-id" | "date" | "retry-after" => "another each time",
            _ => value.to_str().unwrap(),
        };
        headers.insert(name.as_str(), value);
    }
    format!("{} {headers:?} {body}", reply.status)
}

#[tokio::test]
async fn every_kind_of_account_gets_the_same_bytes() {
    let gateway = gateway(&[]).await;
    let classes = classes(&gateway).await;
    for door in Door::ALL {
        let mut told = Vec::new();
        for (n, (class, email)) in classes.iter().enumerate() {
            let reply = door.knock(&gateway, email, &format!("198.51.100.{n}")).await;
            assert_eq!(reply.status, 200, "{class}: {reply:?}");
            assert!(reply.json()["errors"].is_null(), "{class}: {reply:?}");
            told.push((class, plain(&reply)));
        }
        for (class, text) in &told {
            assert_eq!(*text, told[0].1, "{door:?}: {class}");
        }
        // Until there were too many tries: the answer to that is the same, too, and is another than before.
        let mut limited = Vec::new();
        for (class, email) in &classes {
            let mut last = None;
            for n in 0..12 {
                last = Some(door.knock(&gateway, email, &format!("203.0.113.{n}")).await);
                if last.as_ref().unwrap().code() == "RATE_LIMITED" {
                    break;
                }
            }
            let last = last.unwrap();
            assert_eq!(last.code(), "RATE_LIMITED", "{door:?}: {class}: {last:?}");
            limited.push((class, plain(&last)));
            // One address of one's own for each class, so that no class is limited by another's tries.
            gateway.app.clock.advance(chrono::TimeDelta::hours(25));
        }
        for (class, text) in &limited {
            assert_eq!(*text, limited[0].1, "{door:?}: {class}, limited");
        }
    }
    // Whoever billing knows and we do not is told the same by billing's password, as long as it is wrong.
    let unlinked = gateway.sandbox.core().world.customer(UNLINKED).email.clone();
    let mut told = Vec::new();
    for (n, email) in [unlinked.as_str(), "nobody@example.jp"].into_iter().enumerate() {
        told.push(plain(&Door::ByBilling.knock(&gateway, email, &format!("192.0.2.{n}")).await));
    }
    assert_eq!(told[0], told[1]);
    assert!(told[0].contains("AUTH_INVALID_CREDENTIALS"), "{}", told[0]);
}

/// The floor under refusals.
const FLOOR: Duration = Duration::from_millis(1_500);

#[tokio::test]
async fn while_billing_is_away_or_slow_nobody_learns_who_has_an_account() {
    let gateway = gateway(&ROOMY).await;
    let classes = classes(&gateway).await;
    let unlinked = ("unlinked", gateway.sandbox.core().world.customer(UNLINKED).email.clone());
    let faults = &gateway.sandbox.core().faults;
    for rule in [
        Rule::every(System::Whmcs, RuleKind::Status),
        Rule { delay_ms: 2_000, ..Rule::every(System::Whmcs, RuleKind::Delay) },
    ] {
        let (kind, delay) = (rule.kind, Duration::from_millis(rule.delay_ms));
        faults.add(rule);
        let mut told = Vec::new();
        for (class, email) in classes.iter().chain([&unlinked]) {
            let began = Instant::now();
            let reply = Door::ByBilling.knock(&gateway, email, "198.51.100.1").await;
            // All behind the same multiple of the floor.
            assert!(began.elapsed() >= delay, "{kind:?}: {class} is told without billing");
            told.push((class, plain(&reply)));
        }
        for (class, text) in &told {
            assert_eq!(*text, told[0].1, "{kind:?}: {class}");
        }
        let code = if delay > FLOOR { "AUTH_INVALID_CREDENTIALS" } else { "SERVICE_UNAVAILABLE" };
        assert!(told[0].1.contains(code), "{}", told[0].1);
        faults.clear();
        // The breaker has to see that billing is back.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
}

/// The times of a door for each address and, behind them, for the planted class, in rounds of which each has its own order.
async fn times(
    gateway: &Gateway,
    door: Door,
    emails: &[String],
    rounds: usize,
    at_once: usize,
) -> Vec<Vec<f64>> {
    let planted = emails.len();
    let tries = order(planted, rounds).into_iter().map(async |class| {
        let began = Instant::now();
        let reply = door.knock(gateway, &emails[class % planted], "198.51.100.1").await;
        if class == planted {
            tokio::time::sleep(PLANTED).await;
        }
        let took = began.elapsed().as_secs_f64();
        assert!(reply.json()["errors"].is_null(), "{reply:?}");
        (class, took)
    });
    let samples: Vec<_> = stream::iter(tries).buffer_unordered(at_once).collect().await;
    let of = |class| samples.iter().filter(|sample| sample.0 == class).map(|sample| sample.1).collect();
    (0..=planted).map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beginning_a_sign_up_takes_everybody_as_long() {
    let gateway = gateway(&ROOMY).await;
    let emails: Vec<_> = classes(&gateway).await.into_iter().map(|(_, email)| email).collect();
    // One after the other: there is no floor behind which one could wait for another.
    assert_alike("sign-up", &emails, async || times(&gateway, Door::SignUp, &emails, SAMPLES, 1).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_of_billing_takes_everybody_as_long() {
    const AT_ONCE: usize = 16;
    let of_all = async |gateway: &Gateway| {
        let mut emails: Vec<_> = classes(gateway).await.into_iter().map(|(_, email)| email).collect();
        emails.push(gateway.sandbox.core().world.customer(UNLINKED).email.clone());
        emails
    };
    let hasty = gateway(&ROOMY).await;
    let emails = of_all(&hasty).await;
    let work = async |at_once| times(&hasty, Door::ByBilling, &emails, PROBES, at_once).await;
    // Billing is asked for everybody, so that what it takes tells nothing either.
    hasty.forget_calls();
    for email in &emails {
        Door::ByBilling.knock(&hasty, email, "198.51.100.1").await;
    }
    let asked = hasty.sandbox.core().journal.count(System::Whmcs, Some("ValidateLogin"));
    assert_eq!(asked, emails.len() as u64);
    assert_alike("billing password", &emails, async || {
        // The floor has to be longer than the work, which an operator sees to. A busy machine needs a longer one.
        let floor = floor_over(work(AT_ONCE).await.concat(), Duration::from_millis(50));
        let floor = format!("{}ms", floor.as_millis());
        let gateway = gateway(&[&ROOMY[..], &[("AUTH_FAILURE_FLOOR", floor.as_str())]].concat()).await;
        of_all(&gateway).await;
        times(&gateway, Door::ByBilling, &emails, SAMPLES, AT_ONCE).await
    })
    .await;
}
