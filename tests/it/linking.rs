//! Customers whom billing has already get a portal user.

use futures::future::join_all;
use portal_gateway::sandbox::{
    core::{Rule, RuleKind, System},
    credentials::DEMO_PASSWORD,
};
use serde_json::{Value, json};

use crate::{
    gateway::Gateway,
    sign_up::{PASSWORD, accounts, address, clients, hasty, staff_cases, until, verified},
    totp,
};

pub const DOCUMENT: &str = include_str!("../../examples/queries/account-link.graphql");

/// Customers of the sandbox who have no portal user.
pub const N: u64 = 20;

pub async fn by_billing(gateway: &Gateway, email: &str, password: &str) -> crate::gateway::Answer {
    let variables = json!({ "email": email, "password": password });
    gateway.nobody().operate(DOCUMENT, "VerifyByBilling", variables).await
}

pub async fn link(gateway: &Gateway, token: &Value, more: Value) -> Value {
    let mut variables = json!({ "verification": token, "password": PASSWORD, "termsVersion": "1" });
    variables.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = gateway.nobody().operate(DOCUMENT, "AccountLink", variables).await;
    answer.data()["accountLink"].clone()
}

fn email(gateway: &Gateway, n: u64) -> String {
    gateway.sandbox.core().world.customer(n).email.clone()
}

async fn portal_sign_in(gateway: &Gateway, email: &str, password: &str) -> Value {
    let input = json!({ "input": { "email": email, "password": password } });
    gateway.nobody().ask(crate::sessions::SIGN_IN, input).await.data()["sessionCreate"].clone()
}

#[tokio::test]
async fn a_customer_links_by_the_mailed_code_and_gets_a_password_of_the_portal() {
    let gateway = hasty().await;
    let customer = gateway.sandbox.core().world.customer(N);
    let verification = verified(&gateway, &customer.email).await;
    assert_eq!(verification["routing"]["route"], "BILLING_UNMAPPED");
    let since = gateway.mailed_so_far().await;
    let done = link(&gateway, &verification["token"], json!({})).await;
    assert_eq!((&done["status"], &done["userErrors"]), (&json!("COMPLETE"), &json!([])), "{done}");
    assert_eq!(done["viewer"]["profile"]["customerNumber"], customer.customer_number);
    let mail = gateway.sandbox.mail().next(&customer.email, since).await;
    assert!(mail.code.is_none() && mail.text.is_some(), "{}", mail.subject);
    // Nothing that the customer did not change has changed.
    let client = clients(&gateway, &customer.email).await.remove(0);
    assert_eq!(client["phonenumber"], customer.phone);
    assert_eq!(client["address1"].as_str().unwrap().replace("&quot;", "\""), customer.address.address1());
    until("the CRM is told", async || {
        let account = accounts(&gateway, &customer.email).await.remove(0);
        (account["Portal_Registration_Source__c"] == "Migrated"
            && account["Portal_Last_SignIn__c"].is_string())
        .then_some(())
    })
    .await;
    let refused = portal_sign_in(&gateway, &customer.email, DEMO_PASSWORD).await;
    assert_eq!(refused["userErrors"][0]["code"], "AUTH_INVALID_CREDENTIALS", "billing's is billing's");
    let id = json!({ "id": done["viewer"]["id"] });
    assert!(id["id"].is_string());
}

#[tokio::test]
async fn a_billing_password_is_checked_once_and_what_is_corrected_is_written() {
    let gateway = hasty().await;
    let email = email(&gateway, N);
    let wrong = by_billing(&gateway, &email, "wrong horse").await.data();
    assert_eq!(wrong["signUpVerifyByBilling"]["userErrors"][0]["code"], "AUTH_INVALID_CREDENTIALS");
    let right = by_billing(&gateway, &email, DEMO_PASSWORD).await.data();
    let verification = right["signUpVerifyByBilling"]["verification"].clone();
    assert_eq!(verification["routing"]["route"], "BILLING_UNMAPPED", "{right}");
    let more = json!({ "profile": { "phone": "０８０－１２３４－５６７８" }, "address": address() });
    let done = link(&gateway, &verification["token"], more).await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
    let client = clients(&gateway, &email).await.remove(0);
    assert_eq!(
        (&client["phonenumber"], &client["address2"]),
        (&json!("080-1234-5678"), &json!("Jinnan 1-19-11"))
    );
    let account = accounts(&gateway, &email).await.remove(0);
    assert_eq!(account["BillingStreet"], "神南1-19-11 サニーハイツ203号室");
    // Once: who is linked has a password of the portal, and billing's proves nothing any more.
    gateway.forget_calls();
    let again = by_billing(&gateway, &email, DEMO_PASSWORD).await.data();
    let again = &again["signUpVerifyByBilling"];
    assert_eq!(again["userErrors"], wrong["signUpVerifyByBilling"]["userErrors"], "in the same words");
    assert_eq!(again["verification"], Value::Null);
    // Mails of the linking may still leave.
    let asked: Vec<_> = gateway.calls().into_iter().filter(|(system, ..)| *system != "smtp").collect();
    assert_eq!(asked, [("whmcs", "ValidateLogin".to_owned(), 1)], "billing is asked as for everybody");
}

#[tokio::test]
async fn who_is_proved_by_billings_password_has_to_choose_another() {
    let gateway = hasty().await;
    let email = email(&gateway, N);
    let verified = by_billing(&gateway, &email, DEMO_PASSWORD).await.data();
    let token = &verified["signUpVerifyByBilling"]["verification"]["token"];
    let same = link(&gateway, token, json!({ "password": DEMO_PASSWORD })).await;
    assert_eq!(same["status"], "REFUSED", "{same}");
    let error = &same["userErrors"][0];
    assert_eq!(
        (&error["code"], &error["field"]),
        (&json!("PASSWORD_UNCHANGED"), &json!(["password"])),
        "{same}"
    );
    let done = link(&gateway, token, json!({})).await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
}

#[tokio::test]
async fn whether_advertising_is_welcome_reaches_billing_either_way() {
    let gateway = hasty().await;
    // The last two do not say: it stays as it is.
    let cases = [("1", Some(false), false), ("0", Some(true), true), ("1", None, true), ("0", None, false)];
    for (n, (before, said, is_welcome)) in (N..).zip(cases) {
        let email = email(&gateway, n);
        let id = clients(&gateway, &email).await[0]["id"].to_string();
        let before = [("clientid", id.trim_matches('"')), ("marketingoptin", before)];
        gateway.sandbox.billing().staff("UpdateClient", &before).await;
        let verification = verified(&gateway, &email).await;
        let said = said.map_or(json!({}), |said| json!({ "acceptsMarketing": said }));
        let done = link(&gateway, &verification["token"], said).await;
        assert_eq!(done["status"], "COMPLETE", "{done}");
        let client = clients(&gateway, &email).await.remove(0);
        assert_eq!(client["marketing_emails_opt_in"], is_welcome, "{client}");
        let user = gateway.app.store.user_by_email(&email).await.unwrap().unwrap();
        assert_eq!(gateway.app.store.consent(user.id).await.unwrap().unwrap().1, is_welcome);
    }
}

#[tokio::test]
async fn a_billing_password_spares_nobody_the_second_factor() {
    let gateway = hasty().await;
    let email = email(&gateway, N);
    let proved = async || {
        let answer = by_billing(&gateway, &email, DEMO_PASSWORD).await.data();
        answer["signUpVerifyByBilling"]["verification"]["token"].clone()
    };
    let (first, second) = (proved().await, proved().await);
    assert_eq!(link(&gateway, &first, json!({})).await["status"], "COMPLETE");
    // What was proved before says where one belongs now, and no more.
    let resume = include_str!("../../examples/queries/sign-up-resume.graphql");
    let resumed = gateway.nobody().ask(resume, json!({ "verification": second })).await.data();
    let routing = &resumed["signUpResume"]["verification"]["routing"];
    assert_eq!(
        (&routing["route"], &routing["handOff"]),
        (&json!("PORTAL_EXISTS"), &Value::Null),
        "{resumed}"
    );
    assert_eq!(link(&gateway, &second, json!({})).await["userErrors"][0]["code"], "ACCOUNT_EXISTS");
    // The mailed code does.
    let mailed = verified(&gateway, &email).await;
    assert_eq!(mailed["routing"]["route"], "PORTAL_EXISTS");
    assert!(mailed["routing"]["handOff"]["token"].is_string(), "{mailed}");
}

#[tokio::test]
async fn fifty_first_logins_at_once_make_one_user() {
    let gateway = hasty().await;
    let email = email(&gateway, N);
    let token = async || {
        let answer = by_billing(&gateway, &email, DEMO_PASSWORD).await.body;
        let token = answer["data"]["signUpVerifyByBilling"]["verification"]["token"].clone();
        let limited = answer["errors"][0]["extensions"]["code"] == "RATE_LIMITED";
        assert!(token.is_string() || limited, "{answer}");
        token
    };
    // Tries that are under way count as wrong until they are right, so most of fifty at once are told to wait.
    let mut tokens = join_all((0..50).map(|_| token())).await;
    tokens.retain(Value::is_string);
    while tokens.len() < 50 {
        match token().await {
            Value::Null => tokio::time::sleep(std::time::Duration::from_millis(200)).await,
            token => tokens.push(token),
        }
    }
    let answers = join_all(tokens.iter().map(async |token| {
        let variables = json!({ "verification": token, "password": PASSWORD, "termsVersion": "1" });
        gateway.nobody().operate(DOCUMENT, "AccountLink", variables).await.body
    }))
    .await;
    let is = |answer: &Value, status: &str| answer["data"]["accountLink"]["status"] == status;
    let done = answers.iter().filter(|answer| is(answer, "COMPLETE")).count();
    assert!(done <= 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| !is(answer, "COMPLETE")) {
        let told = &answer["data"]["accountLink"]["userErrors"][0]["code"];
        let later = answer["errors"][0]["extensions"]["retryable"] == true;
        assert!(is(answer, "IN_PROGRESS") || told == "ACCOUNT_EXISTS" || later, "{answer}");
    }
    assert_eq!(clients(&gateway, &email).await.len(), 1);
    assert_eq!(accounts(&gateway, &email).await.len(), 1);
    let users = until("somebody is stored", async || {
        Some(gateway.app.store.count_mappings().await.unwrap())
            .filter(|users| *users > crate::gateway::ACCOUNTS)
    });
    assert_eq!(users.await, crate::gateway::ACCOUNTS + 1);
}

#[tokio::test]
async fn a_login_with_a_second_factor_proves_nothing_by_its_password() {
    let gateway = hasty().await;
    let known = email(&gateway, 2);
    let refused = by_billing(&gateway, &known, DEMO_PASSWORD).await.data();
    let told = &refused["signUpVerifyByBilling"]["userErrors"][0]["code"];
    assert_eq!(told, "AUTH_INVALID_CREDENTIALS", "who has an account is not told even that");
    let email = email(&gateway, 19);
    let refused = by_billing(&gateway, &email, DEMO_PASSWORD).await.data();
    let refused = &refused["signUpVerifyByBilling"];
    assert_eq!(refused["userErrors"][0]["code"], "BILLING_SECOND_FACTOR");
    assert_eq!(refused["verification"], Value::Null);
}

#[tokio::test]
async fn guessing_billing_passwords_is_slowed_down() {
    let gateway = hasty().await;
    let email = email(&gateway, N);
    for _ in 0..5 {
        let wrong = by_billing(&gateway, &email, "wrong horse").await.data();
        assert_eq!(wrong["signUpVerifyByBilling"]["userErrors"][0]["code"], "AUTH_INVALID_CREDENTIALS");
    }
    gateway.forget_calls();
    let limited = by_billing(&gateway, &email, DEMO_PASSWORD).await;
    assert_eq!(limited.body["errors"][0]["extensions"]["code"], "RATE_LIMITED", "{}", limited.body);
    assert_eq!(gateway.calls(), [], "billing is not asked");
}

#[tokio::test]
async fn a_right_billing_password_forgives_no_guess_of_the_portals() {
    let gateway = hasty().await;
    let email = email(&gateway, N);
    for _ in 0..5 {
        let wrong = portal_sign_in(&gateway, &email, "wrong horse battery").await;
        assert_eq!(wrong["userErrors"][0]["code"], "AUTH_INVALID_CREDENTIALS");
    }
    let right = by_billing(&gateway, &email, DEMO_PASSWORD).await.data();
    assert!(right["signUpVerifyByBilling"]["verification"]["token"].is_string(), "{right}");
    let input = json!({ "input": { "email": email, "password": "wrong horse battery" } });
    let limited = gateway.nobody().ask(crate::sessions::SIGN_IN, input).await.body;
    assert_eq!(limited["errors"][0]["extensions"]["code"], "RATE_LIMITED", "{limited}");
}

#[tokio::test]
async fn a_client_that_was_closed_is_opened_again_by_nobody_but_staff() {
    let gateway = hasty().await;
    let (closing, closed) = (email(&gateway, N), email(&gateway, N + 1));
    let close = async |email: &str| {
        let id = clients(&gateway, email).await[0]["id"].to_string();
        let id = id.trim_matches('"').to_owned();
        gateway.sandbox.billing().staff("CloseClient", &[("clientid", &id)]).await;
        assert_eq!(clients(&gateway, email).await[0]["status"], "Closed");
    };
    // Closed between the proof and its use.
    let right = by_billing(&gateway, &closing, DEMO_PASSWORD).await.data();
    let token = right["signUpVerifyByBilling"]["verification"]["token"].clone();
    close(&closing).await;
    close(&closed).await;
    gateway.mailed_so_far().await;
    gateway.forget_calls();
    let refused = link(&gateway, &token, json!({})).await;
    assert_eq!(refused["userErrors"][0]["code"], "SUPPORT_NEEDED", "{refused}");
    let refused = crate::sign_up::complete(&gateway, crate::sign_up::form(&token)).await;
    assert_eq!(refused["userErrors"][0]["code"], "SUPPORT_NEEDED", "{refused}");
    // Closed before: whoever proves the address is not sent round in a circle.
    let verification = verified(&gateway, &closed).await;
    let routing = &verification["routing"];
    assert_eq!((&routing["route"], &routing["prefill"]), (&Value::Null, &Value::Null), "{verification}");
    assert_eq!(routing["userErrors"][0]["code"], "SUPPORT_NEEDED", "{verification}");
    let refused = crate::sign_up::complete(&gateway, crate::sign_up::form(&verification["token"])).await;
    assert_eq!(refused["userErrors"][0]["code"], "SUPPORT_NEEDED", "{refused}");
    let refused = link(&gateway, &verification["token"], json!({})).await;
    assert_eq!(refused["userErrors"][0]["code"], "SUPPORT_NEEDED", "{refused}");
    let mut written = gateway.written();
    written.retain(|effect| !effect.starts_with("smtp"));
    assert_eq!(written, [""; 0], "they are refused before anything is changed");
    for email in [&closing, &closed] {
        assert_eq!(clients(&gateway, email).await[0]["status"], "Closed");
        assert!(gateway.app.store.user_by_email(email).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn what_staff_made_inactive_stays_so_when_it_is_linked() {
    let gateway = hasty().await;
    let email = email(&gateway, N);
    let id = clients(&gateway, &email).await[0]["id"].to_string();
    let id = id.trim_matches('"');
    gateway.sandbox.billing().staff("UpdateClient", &[("clientid", id), ("status", "Inactive")]).await;
    let verification = verified(&gateway, &email).await;
    let done = link(&gateway, &verification["token"], json!({})).await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
    assert_eq!(clients(&gateway, &email).await[0]["status"], "Inactive");
}

#[tokio::test]
async fn while_billing_is_away_others_sign_in_and_a_link_is_told_to_come_back() {
    let gateway = hasty().await;
    let (known, email) = (email(&gateway, 1), email(&gateway, N));
    let right = by_billing(&gateway, &email, DEMO_PASSWORD).await.data();
    let token = right["signUpVerifyByBilling"]["verification"]["token"].clone();
    gateway.sandbox.core().faults.add(Rule::every(System::Whmcs, RuleKind::Drop));
    let is_told = |answer: &Value| {
        let error = &answer["errors"][0]["extensions"];
        let told = (&error["code"], &error["service"], &error["retryable"]);
        assert_eq!(told, (&json!("SERVICE_UNAVAILABLE"), &json!("BILLING"), &json!(true)), "{answer}");
    };
    is_told(&by_billing(&gateway, &email, DEMO_PASSWORD).await.body);
    let variables = json!({ "verification": token, "password": PASSWORD, "termsVersion": "1" });
    is_told(&gateway.nobody().operate(DOCUMENT, "AccountLink", variables).await.body);
    // Who came in before needs billing for nothing.
    let entered = totp::create(&gateway, json!({ "email": known, "password": DEMO_PASSWORD })).await;
    assert!(entered["challenge"]["id"].is_string(), "{entered}");
    gateway.sandbox.core().faults.clear();
    // The breaker has to see that billing is back.
    let done = until("it is linked", async || {
        let variables = json!({ "verification": token, "password": PASSWORD, "termsVersion": "1" });
        let answer = gateway.nobody().operate(DOCUMENT, "AccountLink", variables).await.body;
        let ended = answer["data"]["accountLink"].clone();
        (ended.is_object() && ended["status"] != "IN_PROGRESS").then_some(ended)
    })
    .await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
}

#[tokio::test]
async fn a_contact_with_another_address_is_linked_and_staff_are_told() {
    let gateway = hasty().await;
    let customer = gateway.sandbox.core().world.customer(N);
    let account = portal_gateway::sandbox::world::ids::sf_id("001", N, 0);
    let fields = json!({ "PersonEmail": "old.address@example.jp" });
    gateway.sandbox.salesforce().edit("Account", &account, &fields).unwrap();
    let verification = verified(&gateway, &customer.email).await;
    let done = link(&gateway, &verification["token"], json!({})).await;
    assert_eq!(done["status"], "COMPLETE", "{done}");
    let cases = until("staff are told", async || {
        Some(staff_cases(&gateway, &account).await).filter(|cases| !cases.is_empty())
    })
    .await;
    assert_eq!(cases.len(), 1);
    assert_eq!(cases[0]["Subject"], "Contact e-mail differs from the portal's");
    assert!(!cases[0]["Description"].as_str().unwrap().contains('@'));
}
