//! Who is asked to show that they are a person, and when (domain reference §7.2).

use portal_gateway::sandbox::{
    core::{Rule, RuleKind, System},
    credentials::{CAPTCHA_SITE_KEY, DEMO_DEVICE, DEMO_PASSWORD},
};
use serde_json::{Value, json};

use crate::{
    availability,
    gateway::{Gateway, Wishes},
    wire::{Reply, ask},
    with_redis,
};

const DOCUMENT: &str = include_str!("../../examples/queries/captcha.graphql");
const SIGN_IN: &str = include_str!("../../examples/queries/session.graphql");
const REQUIRED: &str = "AUTH_CAPTCHA_REQUIRED";
const INVALID: &str = "AUTH_INVALID_CREDENTIALS";
const WRONG: &str = "wrong horse battery";

/// A gateway that asks, and believes its proxy.
async fn with(redis: bool, env: &[(&'static str, &str)]) -> Gateway {
    let mut wishes = Wishes { captcha: true, ..Wishes::default() };
    wishes.env.insert("TRUST_PROXY", "127.0.0.1".to_owned());
    wishes.env.extend(env.iter().map(|(name, value)| (*name, (*value).to_owned())));
    if redis {
        wishes.env.extend(with_redis::settings());
    }
    Gateway::with(wishes).await
}

fn email(gateway: &Gateway, n: u64) -> String {
    gateway.sandbox.core().world.customer(n).email.clone()
}

/// What a widget gives whoever solves it on a page.
async fn solved_on(gateway: &Gateway, hostname: &str, site_key: &str) -> String {
    let widget = format!("{}/widget", gateway.sandbox.captcha_url());
    let query = [("sitekey", site_key), ("hostname", hostname)];
    let widget = url::Url::parse_with_params(&widget, query).unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let given: Value = http.post(widget).send().await.unwrap().json().await.unwrap();
    given["token"].as_str().unwrap().to_owned()
}

async fn solved(gateway: &Gateway) -> String {
    solved_on(gateway, "portal.example.jp", CAPTCHA_SITE_KEY).await
}

/// A sign-in as far as it was tried.
struct Try<'a> {
    email: &'a str,
    password: &'a str,
    device: Option<&'a str>,
    captcha: Option<&'a str>,
    network: &'a str,
}

impl<'a> Try<'a> {
    fn of(email: &'a str, password: &'a str) -> Self {
        Self { email, password, device: None, captcha: None, network: "198.51.100.7" }
    }

    fn with(self, captcha: &'a str) -> Self {
        Self { captcha: Some(captcha), ..self }
    }

    fn from(self, network: &'a str) -> Self {
        Self { network, ..self }
    }

    /// What was said: an error, or `in` or `code`.
    async fn at(self, gateway: &Gateway) -> String {
        let input = json!({ "email": self.email, "password": self.password, "deviceToken": self.device,
                            "captchaToken": self.captcha });
        let headers = [("x-forwarded-for", self.network)];
        said(&ask(gateway, &headers, SIGN_IN, json!({ "input": input })).await, "sessionCreate")
    }
}

/// What a mutation said.
fn said(reply: &Reply, field: &str) -> String {
    let body = reply.json();
    if body["errors"].is_array() {
        return reply.code();
    }
    let payload = &body["data"][field];
    let error = &payload["userErrors"][0];
    match error["code"].as_str() {
        Some(REQUIRED) => {
            assert_eq!(error["field"], json!(["captchaToken"]), "{body}");
            REQUIRED.to_owned()
        }
        Some(code) => code.to_owned(),
        None if payload["session"].is_object() => "in".to_owned(),
        None => "code".to_owned(),
    }
}

/// Three that are wrong, of which none is asked for a person.
async fn three_wrong(gateway: &Gateway, email: &str) {
    for _ in 0..3 {
        assert_eq!(Try::of(email, WRONG).at(gateway).await, INVALID);
    }
}

async fn after_three_a_person_is_asked_for(redis: bool) {
    let gateway = with(redis, &[]).await;
    let (known, unknown) = (email(&gateway, 1), "nobody.at.all@example.jp".to_owned());
    // Nobody learns from it who has an account.
    for who in [&known, &unknown] {
        three_wrong(&gateway, who).await;
        assert_eq!(Try::of(who, DEMO_PASSWORD).at(&gateway).await, REQUIRED, "{who}");
        assert_eq!(Try::of(who, DEMO_PASSWORD).with("made-up").at(&gateway).await, REQUIRED, "{who}");
        assert_eq!(Try::of(who, DEMO_PASSWORD).with("").at(&gateway).await, REQUIRED, "{who}");
        let long = "sbx.".repeat(2_000);
        assert_eq!(Try::of(who, DEMO_PASSWORD).with(&long).at(&gateway).await, REQUIRED, "{who}");
        let token = solved(&gateway).await;
        assert_eq!(Try::of(who, WRONG).with(&token).at(&gateway).await, INVALID, "{who}");
        assert_eq!(Try::of(who, DEMO_PASSWORD).with(&token).at(&gateway).await, REQUIRED, "once: {who}");
    }
    let token = solved(&gateway).await;
    assert_eq!(Try::of(&known, DEMO_PASSWORD).with(&token).at(&gateway).await, "code");
    // Whoever was right has begun anew.
    three_wrong(&gateway, &known).await;
    assert_eq!(Try::of(&known, WRONG).at(&gateway).await, REQUIRED);
}

mod after_three_wrong_passwords {
    #[tokio::test]
    async fn alone() {
        super::after_three_a_person_is_asked_for(false).await;
    }

    #[tokio::test]
    async fn with_redis() {
        super::after_three_a_person_is_asked_for(true).await;
    }
}

#[tokio::test]
async fn a_solved_one_spares_no_delay() {
    let gateway = with(false, &[]).await;
    let email = email(&gateway, 1);
    three_wrong(&gateway, &email).await;
    for _ in 3..5 {
        let token = solved(&gateway).await;
        assert_eq!(Try::of(&email, WRONG).with(&token).at(&gateway).await, INVALID);
    }
    let token = solved(&gateway).await;
    assert_eq!(Try::of(&email, DEMO_PASSWORD).with(&token).at(&gateway).await, "RATE_LIMITED");
}

#[tokio::test]
async fn the_owner_at_a_device_of_theirs_is_not_asked_because_others_guess() {
    let gateway = with(false, &[]).await;
    let email = email(&gateway, 1);
    three_wrong(&gateway, &email).await;
    assert_eq!(Try::of(&email, DEMO_PASSWORD).at(&gateway).await, REQUIRED);
    let at_home = |password| Try { device: Some(DEMO_DEVICE), ..Try::of(&email, password) };
    assert_eq!(at_home(DEMO_PASSWORD).at(&gateway).await, "in");
    // The device has three of its own.
    for _ in 0..3 {
        assert_eq!(at_home(WRONG).at(&gateway).await, INVALID);
    }
    assert_eq!(at_home(DEMO_PASSWORD).at(&gateway).await, REQUIRED);
    let token = solved(&gateway).await;
    assert_eq!(at_home(DEMO_PASSWORD).with(&token).at(&gateway).await, "in");
}

#[tokio::test]
async fn a_network_that_tries_many_accounts_is_asked_and_its_neighbours_are_not() {
    let gateway = with(false, &[("AUTH_PEOPLE_PER_ADDRESS", "2")]).await;
    for n in 0..6 {
        let email = format!("stuffed.{n}@example.jp");
        assert_eq!(Try::of(&email, WRONG).at(&gateway).await, INVALID, "{n}");
    }
    assert_eq!(Try::of("stuffed.7@example.jp", WRONG).at(&gateway).await, REQUIRED);
    let elsewhere = Try::of("stuffed.7@example.jp", WRONG).from("198.51.100.8");
    assert_eq!(elsewhere.at(&gateway).await, INVALID);
    // Those who are right count for nothing.
    for n in 1..=9 {
        let right = email(&gateway, n);
        let right = Try::of(&right, DEMO_PASSWORD).from("198.51.100.9");
        assert_eq!(right.at(&gateway).await, "code", "{n}");
    }
}

#[tokio::test]
async fn while_nobody_can_judge_people_are_let_through_and_still_wait() {
    for kind in [RuleKind::Status, RuleKind::Hang, RuleKind::Garbage, RuleKind::Drop, RuleKind::Expire] {
        // One each: what the one before did to the breaker is not the next one's.
        let gateway = with(false, &[("CAPTCHA_TIMEOUT", "300ms")]).await;
        let email = email(&gateway, 1);
        three_wrong(&gateway, &email).await;
        gateway.sandbox.core().faults.add(Rule::every(System::Captcha, kind));
        // Nobody is let through who shows nothing.
        assert_eq!(Try::of(&email, DEMO_PASSWORD).at(&gateway).await, REQUIRED, "{kind:?}");
        for _ in 3..5 {
            assert_eq!(Try::of(&email, WRONG).with("sbx.any").at(&gateway).await, INVALID, "{kind:?}");
        }
        assert_eq!(Try::of(&email, WRONG).with("sbx.any").at(&gateway).await, "RATE_LIMITED", "{kind:?}");
    }
}

#[tokio::test]
async fn whoever_floods_the_judge_is_let_nowhere() {
    let gateway = with(false, &[("AUTH_PEOPLE_PER_ADDRESS", "1"), ("CAPTCHA_RATE_LIMIT_LIMIT", "2")]).await;
    let email = email(&gateway, 1);
    three_wrong(&gateway, &email).await;
    let shown = || Try::of(&email, DEMO_PASSWORD).with("sbx.junk");
    for expected in [REQUIRED, REQUIRED, "RATE_LIMITED", "RATE_LIMITED"] {
        assert_eq!(shown().at(&gateway).await, expected);
    }
    // Whoever sits at a device of theirs does not wait for what neighbours show.
    let at_home = |password| Try { device: Some(DEMO_DEVICE), ..Try::of(&email, password) };
    for _ in 0..3 {
        assert_eq!(at_home(WRONG).at(&gateway).await, INVALID);
    }
    let token = solved(&gateway).await;
    assert_eq!(at_home(DEMO_PASSWORD).with(&token).at(&gateway).await, "in");
    // What is none is not even shown, and counts for nothing.
    let calls = gateway.calls().len();
    let odd = Try::of(&email, DEMO_PASSWORD).with("<script>' OR 1=1").from("198.51.100.8");
    assert_eq!(odd.at(&gateway).await, REQUIRED);
    assert_eq!(gateway.calls().len(), calls);
    // The service's own limit is no way through either.
    let limit = Rule { status: Some(429), ..Rule::every(System::Captcha, RuleKind::Status) };
    gateway.sandbox.core().faults.add(limit);
    assert_eq!(shown().from("198.51.100.9").at(&gateway).await, "RATE_LIMITED");
}

#[tokio::test]
async fn one_that_was_solved_on_another_page_or_for_another_key_is_worth_nothing() {
    let gateway = with(false, &[("CAPTCHA_HOSTNAMES", "portal.example.jp, www.example.jp")]).await;
    let email = email(&gateway, 1);
    three_wrong(&gateway, &email).await;
    let token = solved_on(&gateway, "phishing.example", CAPTCHA_SITE_KEY).await;
    assert_eq!(Try::of(&email, DEMO_PASSWORD).with(&token).at(&gateway).await, REQUIRED);
    let token = solved_on(&gateway, "www.example.jp", "somebody-elses").await;
    assert_eq!(Try::of(&email, DEMO_PASSWORD).with(&token).at(&gateway).await, REQUIRED);
    let token = solved_on(&gateway, "www.example.jp", CAPTCHA_SITE_KEY).await;
    assert_eq!(Try::of(&email, DEMO_PASSWORD).with(&token).at(&gateway).await, "code");
}

#[tokio::test]
async fn the_login_of_billing_asks_as_well() {
    const PROVE: &str = "mutation($input: SignUpVerifyByBillingInput!) {
        signUpVerifyByBilling(input: $input) { verification { token } userErrors { code field } } }";
    let gateway = with(false, &[]).await;
    let email = email(&gateway, 30);
    let prove = async |captcha: Option<String>| {
        let input = json!({ "email": email, "password": "not theirs", "captchaToken": captcha });
        said(&ask(&gateway, &[], PROVE, json!({ "input": input })).await, "signUpVerifyByBilling")
    };
    for _ in 0..3 {
        assert_eq!(prove(None).await, INVALID);
    }
    let asked = || gateway.calls().iter().map(|(_, _, count)| count).sum::<u64>();
    let before = asked();
    assert_eq!(prove(None).await, REQUIRED);
    assert_eq!(asked(), before, "billing is not asked for a program");
    assert_eq!(prove(Some(solved(&gateway).await)).await, INVALID);
}

#[tokio::test]
async fn where_everybody_is_asked_nothing_that_is_typed_begins_for_a_program() {
    const SIGN_UP: &str = "mutation($input: SignUpBeginInput!) {
        signUpBegin(input: $input) { challenge { id } userErrors { code field } } }";
    const RESET: &str = "mutation($input: PasswordResetRequestInput!) {
        passwordResetRequest(input: $input) { accepted userErrors { code field } } }";
    const PROVE: &str = "mutation($input: SignUpVerifyByBillingInput!) {
        signUpVerifyByBilling(input: $input) { verification { token } userErrors { code field } } }";
    const GUEST: &str = "mutation($input: AvailabilityRequestInput!) {
        availabilityRequest(input: $input) { submitted userErrors { code field } } }";
    let gateway = with(false, &[("AUTH_CAPTCHA_ALWAYS_ON", "true")]).await;
    let email = email(&gateway, 1);
    let login = json!({ "email": email, "password": DEMO_PASSWORD });
    let guest = availability::guest("guest@example.jp");
    let doors = [
        ("sessionCreate", SIGN_IN, login.clone(), "code"),
        ("signUpBegin", SIGN_UP, json!({ "email": "new@example.jp" }), "code"),
        ("passwordResetRequest", RESET, json!({ "email": email }), "code"),
        ("signUpVerifyByBilling", PROVE, login, INVALID),
        ("availabilityRequest", GUEST, guest, "code"),
    ];
    let mails = gateway.mailed_so_far().await;
    // A mistyped address costs nobody a solved one.
    let typo = ask(&gateway, &[], SIGN_UP, json!({ "input": { "email": "nothing" } })).await;
    assert_eq!(
        typo.json()["data"]["signUpBegin"]["userErrors"][0],
        json!({ "code": "INVALID_EMAIL", "field": ["email"] })
    );
    for (field, document, input, _) in &doors {
        assert_eq!(
            said(&ask(&gateway, &[], document, json!({ "input": input })).await, field),
            REQUIRED,
            "{field}"
        );
    }
    assert_eq!(gateway.mailed_so_far().await, mails, "nothing was begun");
    for (field, document, mut input, expected) in doors {
        input["captchaToken"] = json!(solved(&gateway).await);
        assert_eq!(
            said(&ask(&gateway, &[], document, json!({ "input": input })).await, field),
            expected,
            "{field}"
        );
    }
}

#[tokio::test]
async fn a_frontend_is_told_what_to_show() {
    let asks = with(false, &[]).await;
    let query = "{ captcha { siteKey isAlwaysOn } }";
    let shown = ask(&asks, &[], query, json!({})).await.json();
    let captcha = json!({ "siteKey": CAPTCHA_SITE_KEY, "isAlwaysOn": false });
    assert_eq!(shown["data"]["captcha"], captcha, "{shown}");
    let asks_nobody = Gateway::start().await;
    let shown = asks_nobody.nobody().ask(query, json!({})).await.data();
    assert!(shown["captcha"].is_null(), "{shown}");

    // The example's two documents, one after the other.
    let email = email(&asks, 1);
    three_wrong(&asks, &email).await;
    let shown = asks.nobody().operate(DOCUMENT, "Captcha", json!({})).await.data();
    assert_eq!(shown["captcha"], captcha, "{shown}");
    let input = json!({ "email": email, "password": DEMO_PASSWORD, "captchaToken": solved(&asks).await });
    let begun = asks.nobody().operate(DOCUMENT, "SignInAsAPerson", json!({ "input": input })).await.data();
    assert_eq!(begun["sessionCreate"]["challenge"]["methods"], json!(["MAILED_CODE"]), "{begun}");
}

#[tokio::test]
async fn what_is_refused_is_on_record_once_and_says_no_token() {
    let gateway = with(false, &[]).await;
    let email = email(&gateway, 1);
    three_wrong(&gateway, &email).await;
    for _ in 0..5 {
        assert_eq!(Try::of(&email, WRONG).with("sbx.not-a-token").at(&gateway).await, REQUIRED);
    }
    let log = gateway.app.store.dump().await;
    let of = |text: &str| log.iter().filter(|(_, row)| row.contains(text)).count();
    assert_eq!(of(&REQUIRED.to_lowercase()), 1, "one of a network in a while");
    assert_eq!(of("sbx.not-a-token"), 0);
}
