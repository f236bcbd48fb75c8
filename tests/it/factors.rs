//! What an operator does for a person who lost app, recovery codes and passkeys; and what customers are told of partners.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use portal_gateway::{
    demo,
    identity::{AccountDesk, NewPartner, PartnerDesk, Scopes, Terms},
    sandbox::credentials::{DEMO_DEVICE, DEMO_PASSWORD},
    store::audit::Filter,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    gateway::{ACCOUNTS, Customer, Gateway},
    passkeys::{self, register},
    phone::{ORIGIN, Phone},
    process::run,
    totp::enrol,
};

const SIGN_IN: &str = include_str!("../../examples/queries/session.graphql");
const FACTORS: &str = include_str!("../../examples/queries/second-factors.graphql");
const PASSKEYS: &str = include_str!("../../examples/queries/passkeys.graphql");
const GRANT: &str = include_str!("../../examples/queries/grant-create.graphql");
const REVOKE: &str = include_str!("../../examples/queries/grant-revoke.graphql");
/// Longer than any mail may take.
const PATIENCE: Duration = Duration::from_secs(60);

async fn create(gateway: &Gateway, email: &str, device: Value) -> Value {
    let input = json!({ "email": email, "password": DEMO_PASSWORD, "deviceToken": device });
    gateway.nobody().ask(SIGN_IN, json!({ "input": input })).await.data()["sessionCreate"].clone()
}

async fn told(gateway: &Gateway, email: &str, since: u64) -> String {
    let mail = timeout(PATIENCE, gateway.sandbox.mail().next(email, since)).await.expect("a mail arrives");
    mail.text.clone().unwrap()
}

#[tokio::test]
async fn an_operator_takes_lost_factors_away_and_the_owner_is_told() {
    let gateway = Gateway::start().await;
    let email = gateway.sandbox.core().world.customer(1).email.clone();
    let (customer, stranger) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let mut phone = Phone::new();
    register(&customer, &mut phone).await;
    enrol(&gateway, &customer).await;
    register(&stranger, &mut Phone::new()).await;
    assert_eq!(create(&gateway, &email, Value::Null).await["challenge"]["methods"][0], "TOTP");
    let since = gateway.mailed_so_far().await;

    let mut env = demo::settings(&gateway.sandbox);
    env.extend(gateway.state());
    let reset = |email: &str| ["account", "reset-factors", "--email", email].map(str::to_owned);
    let command = async |email: &str| {
        let arguments = reset(email);
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &env).await
    };
    let nobody = command("nobody@example.jp").await;
    assert!(nobody.code == Some(1) && nobody.err.contains("nobody has this address"), "{nobody:?}");
    let done = command(&email.to_uppercase()).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out.contains("authenticator app") && done.out.contains("1 passkey was removed"), "{done:?}");
    assert!(!done.out.contains(&email) && !done.err.contains(&email), "{done:?}");

    // The sessions have ended, here within the time for which they are believed.
    gateway.app.clock.advance(TimeDelta::seconds(5));
    assert_eq!(customer.ask(FACTORS, json!({})).await.status, 401);
    // The command has the time of the machine: until then its mail is not due.
    let ahead = Utc::now() - gateway.app.clock.now();
    gateway.app.clock.advance(ahead.max(TimeDelta::zero()) + TimeDelta::seconds(1));
    assert!(!told(&gateway, &email, since).await.is_empty());
    // The password and a mailed code sign in, on a device that was trusted as well.
    for device in [Value::Null, json!(DEMO_DEVICE)] {
        let asked = create(&gateway, &email, device).await;
        assert_eq!(asked["challenge"]["methods"], json!(["MAILED_CODE"]), "{asked}");
    }
    let credential = phone.get(ORIGIN, &passkeys::challenge(&gateway).await).await;
    let refused = passkeys::sign_in(&gateway, &credential).await;
    assert_eq!(refused["userErrors"][0]["code"], "PASSKEY_REFUSED");
    let now = gateway.sign_in(1).await;
    let left = now.ask(FACTORS, json!({})).await.data()["viewer"]["secondFactors"].clone();
    assert_eq!((&left["totp"], &left["recoveryCodesLeft"]), (&Value::Null, &json!(0)), "{left}");
    assert_eq!(now.ask(PASSKEYS, json!({})).await.data()["viewer"]["passkeys"], json!([]));

    let filter = Filter { act: Some("factors.reset".to_owned()), ..Filter::default() };
    let events = gateway.app.store.audit_events(&filter, 0, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    let user = gateway.app.store.user_by_email(&email).await.unwrap().unwrap().id;
    assert_eq!((events[0].actor_kind.as_str(), events[0].subject_id), ("operator", Some(user.0)));
    assert!(events[0].details.contains("sessionsEnded"), "{}", events[0].details);

    // Nobody else's were touched, and what is not there is not taken twice.
    let stranger = gateway.sign_in(2).await;
    let theirs = stranger.ask(PASSKEYS, json!({})).await.data()["viewer"]["passkeys"].clone();
    assert_eq!(theirs.as_array().unwrap().len(), 1);
    let again = command(&email).await;
    assert!(again.code == Some(1) && again.err.contains("nothing was done"), "{again:?}");
    assert_eq!(now.ask(FACTORS, json!({})).await.status, 200, "nor did a session end");
    assert_eq!(gateway.app.store.audit_events(&filter, 0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_operator_closes_an_account_and_opens_it_again() {
    let gateway = Gateway::start().await;
    let email = gateway.sandbox.core().world.customer(1).email.clone();
    let (customer, stranger) = (gateway.sign_in(1).await, gateway.sign_in(2).await);
    let mut env = demo::settings(&gateway.sandbox);
    env.extend(gateway.state());
    let command = async |act: &str, email: &str| run(&["account", act, "--email", email], &env).await;
    let nobody = command("disable", "nobody@example.jp").await;
    assert!(nobody.code == Some(1) && nobody.err.contains("nobody has this address"), "{nobody:?}");
    let open = command("enable", &email).await;
    assert!(open.code == Some(1) && open.err.contains("nothing was done"), "{open:?}");

    let done = command("disable", &email.to_uppercase()).await;
    assert_eq!((done.code, done.out.as_str()), (Some(0), "The account is disabled.\n"), "{done:?}");
    gateway.app.clock.advance(TimeDelta::seconds(5));
    assert_eq!(customer.ask(FACTORS, json!({})).await.status, 401);
    assert_eq!(stranger.ask(FACTORS, json!({})).await.status, 200);
    let refused = create(&gateway, &email, json!(DEMO_DEVICE)).await;
    assert_eq!(refused["userErrors"][0]["code"], "AUTH_INVALID_CREDENTIALS", "{refused}");
    let again = command("disable", &email).await;
    assert!(again.code == Some(1) && again.err.contains("nothing was done"), "{again:?}");

    let done = command("enable", &email).await;
    assert_eq!((done.code, done.out.as_str()), (Some(0), "The account is open again.\n"), "{done:?}");
    gateway.app.clock.advance(TimeDelta::seconds(5));
    assert_eq!(customer.ask(FACTORS, json!({})).await.status, 401, "what ended stays so");
    let entered = create(&gateway, &email, json!(DEMO_DEVICE)).await;
    assert!(entered["session"]["accessToken"].is_string(), "{entered}");
    for act in ["user.disable", "user.enable"] {
        let filter = Filter { act: Some(act.to_owned()), ..Filter::default() };
        let events = gateway.app.store.audit_events(&filter, 0, 10).await.unwrap();
        assert_eq!(events.len(), 1, "{act}");
        assert_eq!(events[0].actor_kind, "operator");
    }
}

#[tokio::test]
async fn of_two_operators_at_once_one_takes_them_away() {
    let gateway = Gateway::start().await;
    let email = gateway.sandbox.core().world.customer(1).email.clone();
    enrol(&gateway, &gateway.sign_in(1).await).await;
    let app = &gateway.app;
    let desk = AccountDesk::new(app.store.clone(), app.jobs.clone(), app.clock.clone());
    let (one, other) = tokio::join!(desk.reset_factors(&email), desk.reset_factors(&email));
    let had = [one, other].map(|reset| reset.unwrap().unwrap().had_app);
    assert_eq!(had.iter().filter(|had| **had).count(), 1);
}

#[tokio::test]
async fn a_grant_that_is_given_or_taken_back_is_told_to_its_customer() {
    let gateway = Gateway::start().await;
    let desk = PartnerDesk::new(gateway.app.store.clone(), gateway.app.clock.clone());
    let new = NewPartner {
        name: "Household Books".to_owned(),
        scopes: Scopes::parse("billing:read orders:read").unwrap(),
        is_first_party: false,
        terms: Terms { requests_per_second: 1, cost_maximum: 1, cost_restore: 1 },
    };
    let (client_id, _) = desk.create(new).await.unwrap();
    // In the language of each.
    for (locale, allows, taken) in
        [("en", "See your orders", "taken back"), ("ja", "ご注文の閲覧", "取り消しました")]
    {
        let n = customer_of(&gateway, locale).await;
        let customer = gateway.sign_in(n).await;
        let email = gateway.sandbox.core().world.customer(n).email.clone();
        let since = gateway.mailed_so_far().await;
        let grant = given(&customer, &client_id).await;
        let mail = told(&gateway, &email, since).await;
        assert!(mail.contains("Household Books") && mail.contains(allows), "{mail}");

        let revoke = async |id: &Value| {
            let answer = customer.ask(REVOKE, json!({ "input": { "id": id } })).await.data();
            answer["grantRevoke"]["revoked"] == true
        };
        let since = gateway.mailed_so_far().await;
        assert!(revoke(&grant).await);
        let mail = told(&gateway, &email, since).await;
        assert!(mail.contains("Household Books") && mail.contains(taken), "{mail}");
        let since = gateway.mailed_so_far().await;
        assert!(!revoke(&grant).await, "it stands no more");
        assert_eq!(gateway.mailed_so_far().await, since, "and nobody is told again");
    }
}

async fn given(customer: &Customer<'_>, client_id: &str) -> Value {
    let input = json!({ "clientId": client_id, "scopes": ["orders:read"] });
    let made = customer.ask(GRANT, json!({ "input": input })).await.data();
    assert_eq!(made["grantCreate"]["userErrors"], json!([]), "{made}");
    made["grantCreate"]["grant"]["id"].clone()
}

/// A customer who reads mails in a language.
async fn customer_of(gateway: &Gateway, locale: &str) -> u64 {
    for n in 1..=ACCOUNTS {
        let email = gateway.sandbox.core().world.customer(n).email.clone();
        if gateway.app.store.user_by_email(&email).await.unwrap().unwrap().locale == locale {
            return n;
        }
    }
    panic!("nobody reads {locale}");
}
