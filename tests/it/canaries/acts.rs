//! What is not typed in a mutation: a partner's secret, what an export holds, a hand-off.

use chrono::Utc;
use portal_gateway::{
    identity::{NewPartner, PartnerDesk, Scopes, Terms},
    sandbox::credentials::{CAPTCHA_SITE_KEY, DEMO_PASSWORD},
    secret::ExposeSecret,
};
use reqwest::Response;
use serde_json::{Value, json};
use totp_rs::Totp;

use super::{CREATE, DOCUMENT, PATIENCE, search::Canaries, stored::Watch};
use crate::{
    audit::story::Scene,
    gateway::DASHBOARD,
    passkeys::{REGISTER, REGISTERED},
    phone::{ORIGIN, Phone},
    stage::until,
};

const EXPORTS: &str = include_str!("../../../examples/queries/data-export.graphql");
const ENROL: &str = include_str!("../../../examples/queries/totp-enrol-begin.graphql");
const ENROLLED: &str = include_str!("../../../examples/queries/totp-enrol-finish.graphql");
const GRANT: &str = include_str!("../../../examples/queries/grant-create.graphql");
/// Whose account is left as it was.
const CUSTOMER: u64 = 1;
/// Fields of an export whose texts are somebody's own.
const OWN: &[&str] = &[
    "email",
    "phone",
    "fullName",
    "lastName",
    "companyName",
    "line1",
    "line2",
    "street",
    "subject",
    "body",
    "description",
    "phoneNumber",
    "iccid",
    "cardLastFour",
];

/// The token of a customer who has just entered.
async fn enter(scene: &Scene<'_>) -> String {
    let email = &scene.sandbox.core().world.customer(CUSTOMER).email;
    let grant = scene.app.identity.enter(email).await.unwrap();
    grant.access_token.expose_secret().to_owned()
}

/// A CAPTCHA that is asked for: what the widget gave, and what it did not.
pub async fn captcha(canaries: &mut Canaries, scene: &Scene<'_>) {
    let widget = format!("{}/widget?sitekey={CAPTCHA_SITE_KEY}", scene.sandbox.captcha_url());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let given: Value = http.post(widget).send().await.unwrap().json().await.unwrap();
    let solved = canaries.token("solved CAPTCHA", &given["token"]);
    let made_up = canaries.plant("made-up CAPTCHA", "sbx.5521-nobody-solved-this");
    let password = canaries.plant("password of nobody", "Zorilla-5521-of-nobody");
    let mut told = Vec::new();
    for captcha in [None, None, None, None, Some(made_up), Some(solved)] {
        let input = json!({ "email": canaries.plant("address of nobody", "nobody.5521@example.jp"),
                            "password": password, "captchaToken": captcha });
        let answer = scene.door.ask(None, CREATE, "SessionCreate", json!({ "input": input })).await;
        told.push(answer["data"]["sessionCreate"]["userErrors"][0]["code"].clone());
    }
    let (invalid, required) = (json!("AUTH_INVALID_CREDENTIALS"), json!("AUTH_CAPTCHA_REQUIRED"));
    assert_eq!(told, [&invalid, &invalid, &invalid, &required, &required, &invalid].map(Clone::clone));
}

/// Waits until every system is asked again after all that it failed.
pub async fn believe_again(scene: &Scene<'_>) {
    let token = enter(scene).await;
    until("every system answers", async || {
        let answer = scene.door.ask(Some(&token), DASHBOARD, "Dashboard", json!({})).await;
        answer["errors"].is_null().then_some(())
    })
    .await;
}

fn plant_own(canaries: &mut Canaries, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if OWN.contains(&name.as_str()) && text.chars().count() >= 6 => {
                        canaries.plant(&format!("{name} of the export"), text);
                    }
                    _ => plant_own(canaries, value),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| plant_own(canaries, item)),
        _ => {}
    }
}

/// Downloads the export that was asked for.
pub async fn export(canaries: &mut Canaries, scene: &Scene<'_>) {
    let (token, door) = (enter(scene).await, &scene.door);
    let path = until("it is gathered", async || {
        let exports = door.ask(Some(&token), EXPORTS, "DataExports", json!({})).await;
        exports["data"]["viewer"]["dataExports"][0]["path"].as_str().map(str::to_owned)
    })
    .await;
    let request = door.http.get(format!("{}{path}", door.url)).bearer_auth(token);
    let document: Value = request.send().await.unwrap().json().await.unwrap();
    let before = canaries.count();
    plant_own(canaries, &document["parts"]);
    assert!(canaries.count() > before + 10, "{document}");
}

/// Asks for a partner's token rightly and wrongly, and asks with it for a customer.
pub async fn partner(canaries: &mut Canaries, scene: &Scene<'_>) {
    let terms = Terms { requests_per_second: 1_000, cost_maximum: 1_000_000, cost_restore: 100_000 };
    let scopes = Scopes::parse("orders:read").unwrap();
    let new = NewPartner { name: "Quokka Books".to_owned(), scopes, is_first_party: false, terms };
    let desk = PartnerDesk::new(scene.app.store.clone(), scene.app.clock.clone());
    let (id, secret) = desk.create(new).await.unwrap();
    let secret = canaries.plant("partner's secret", secret.expose_secret());
    let wrong = canaries.plant("partner's wrong secret", format!("{}5521", &secret[..secret.len() - 4]));
    let customer = enter(scene).await;
    let input = json!({ "clientId": id, "scopes": ["orders:read"] });
    let granted = scene.door.ask(Some(&customer), GRANT, "", json!({ "input": input })).await;
    assert_eq!(granted["data"]["grantCreate"]["userErrors"], json!([]), "{granted}");
    let viewer = scene.door.ask(Some(&customer), "{ viewer { id } }", "", json!({})).await;
    let viewer = viewer["data"]["viewer"]["id"].as_str().unwrap();

    let (http, url) = (&scene.door.http, format!("{}/oauth/token", scene.door.url));
    let credentials = [("grant_type", "client_credentials")];
    let by_form = [credentials[0], ("client_id", &id), ("client_secret", &secret)];
    let mut token = String::new();
    for request in [
        http.post(&url).basic_auth(&id, Some(&wrong)).form(&credentials),
        http.post(&url).basic_auth(&id, Some(&secret)).form(&credentials),
        http.post(&url).form(&by_form),
    ] {
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        if answer["access_token"].is_string() {
            token = canaries.token("partner's token", &answer["access_token"]);
        }
    }
    let stranger = canaries.plant("customer whom a partner made up", "strangercustomer5521");
    let question = json!({ "query": "{ viewer { orders(first: 5) { nodes { number } } } }" });
    let ask = async |customer: &str| -> Response {
        let request = http.post(format!("{}/graphql", scene.door.url)).bearer_auth(&token);
        request.header("portal-customer", customer).json(&question).send().await.unwrap()
    };
    let shown: Value = ask(viewer).await.json().await.unwrap();
    assert!(shown["data"]["viewer"]["orders"]["nodes"].is_array(), "{shown}");
    ask(&stranger).await;
}

/// Goes from getting started to the sign-in.
pub async fn hand_off(canaries: &mut Canaries, scene: &Scene<'_>, watch: &Watch) {
    let (email, door) = (&scene.sandbox.core().world.customer(CUSTOMER).email, &scene.door);
    let since = crate::gateway::mailed_so_far(&scene.app.store, scene.sandbox).await;
    let begun = door.ask(None, DOCUMENT, "SignUpBegin", json!({ "email": email })).await;
    let mail = tokio::time::timeout(PATIENCE, scene.sandbox.mail().next(email, since)).await.unwrap();
    let code = canaries.plant("code", mail.code.clone().unwrap());
    let answer = json!({ "challengeId": begun["data"]["signUpBegin"]["challenge"]["id"], "code": code });
    let verified = door.ask(None, DOCUMENT, "SignUpVerify", answer).await;
    let verification = &verified["data"]["signUpVerify"]["verification"];
    canaries.token("verification", &verification["token"]);
    let token = canaries.token("hand-off", &verification["routing"]["handOff"]["token"]);
    watch.look().await;
    let input = json!({ "email": email, "password": DEMO_PASSWORD, "handOffToken": token });
    let entered = door.ask(None, CREATE, "SessionCreate", json!({ "input": input })).await;
    canaries.token("access token", &entered["data"]["sessionCreate"]["session"]["accessToken"]);
}

/// Enrols an app and a passkey: what lies in the store then does not stay there as the story is told.
pub async fn factors(canaries: &mut Canaries, scene: &Scene<'_>, watch: &Watch) {
    let (token, door) = (enter(scene).await, &scene.door);
    let act = async |document: &str, variables: Value, root: &str| {
        let done = door.ask(Some(&token), document, "", variables).await["data"][root].clone();
        assert_eq!(done["userErrors"], json!([]), "{root}: {done}");
        done
    };
    let begun = act(ENROL, json!({}), "totpEnrolBegin").await;
    watch.look().await;
    let app = Totp::from_url(begun["enrolment"]["otpauthUri"].as_str().unwrap()).unwrap();
    let code = app.generate(u64::try_from(Utc::now().timestamp()).unwrap()).to_string();
    let done = act(ENROLLED, json!({ "code": code }), "totpEnrolFinish").await;
    canaries.token("recovery code", &done["recoveryCodes"][0]);
    let begun = act(REGISTER, json!({}), "passkeyRegistrationBegin").await;
    let credential = Phone::new().create(ORIGIN, &begun["options"]).await.unwrap();
    let named = json!({ "credential": credential, "name": canaries.plant("passkey", "Quokka's phone") });
    act(REGISTERED, named, "passkeyRegistrationFinish").await;
    watch.look().await;
}
