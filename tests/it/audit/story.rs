//! One story in which every mutation of the schema is done once, each under the request id `story.<name>`; and what of it
//! is nobody else's business.

use std::time::Duration;

use portal_gateway::{
    app::App,
    identity::{NewPartner, PartnerDesk, Scopes, Terms},
    sandbox::{Sandbox, credentials::DEMO_PASSWORD},
    secret::ExposeSecret,
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use totp_rs::Totp;

use crate::{
    gateway::{Gateway, Wishes, mailed_so_far},
    phone::{ORIGIN, Phone},
    roots::{Root, roots},
    sign_up::address,
    stage::Door,
    wire::Reply,
};

const PASSWORD: &str = "an entirely different staple";
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// A customer of billing without an account.
const UNLINKED: u64 = 20;

/// With these a gateway lets anything be tried as often as wanted, and believes whatever address it is told.
pub const SETTINGS: [(&str, &str); 7] = [
    ("TRUST_PROXY", "127.0.0.1"),
    ("SIGN_UP_SETTLE", "0ms"),
    ("QUEUE_POLL", "50ms"),
    ("LOGIN_RATE_LIMIT_LIMIT", "100000"),
    ("LOGIN_FAILURES_RATE_LIMIT_LIMIT", "100000"),
    ("OTP_SEND_RATE_LIMIT_LIMIT", "100000"),
    ("OTP_VERIFY_RATE_LIMIT_LIMIT", "100000"),
];

/// Fields whose texts anybody may see: names of things and their kinds. Of what a browser asks of an authenticator its
/// answer holds all that counts.
const OPEN: &[&str] = &[
    "id",
    "challengeId",
    "clientId",
    "scopes",
    "status",
    "gender",
    "residence",
    "options",
    "passkeyOptions",
    "type",
    "authenticatorAttachment",
    "transports",
    "freshUntil",
    "__typename",
];
/// Shorter texts are found anywhere.
const TELLING: usize = 5;

/// A gateway with [`SETTINGS`].
pub async fn gateway(mut wishes: Wishes) -> Gateway {
    wishes.env.extend(SETTINGS.map(|(name, value)| (name, value.to_owned())));
    Gateway::with(wishes).await
}

/// Where it is played: a gateway, and its application in this process.
pub struct Scene<'a> {
    pub door: Door,
    pub app: &'a App,
    pub sandbox: &'a Sandbox,
}

impl<'a> Scene<'a> {
    fn of(gateway: &'a Gateway) -> Self {
        Self { door: gateway.door(), app: &gateway.app, sandbox: &gateway.sandbox }
    }

    async fn mailed_so_far(&self) -> u64 {
        mailed_so_far(&self.app.store, self.sandbox).await
    }
}

/// The request id of a mutation.
pub fn request_id(mutation: &str) -> String {
    format!("story.{mutation}")
}

struct Story<'a> {
    scene: &'a Scene<'a>,
    roots: Vec<Root>,
    /// Who acts; nobody without a token.
    token: Option<String>,
    /// What each act is tried with before, which must refuse it.
    hindrance: Option<&'a Hindrance>,
    /// What was typed and answered, by the act and the field: nobody else may see it.
    secrets: Vec<(String, String)>,
}

/// A log that takes no events while an act is tried, and the acts that are tried so.
pub struct Hindrance {
    pub begin: &'static str,
    pub end: &'static str,
    pub spared: &'static [&'static str],
}

/// Plays it.
pub async fn play(gateway: &Gateway) {
    play_with(gateway, None).await;
}

/// Plays it, and tries each act before with a hindrance: it must be refused, and must be possible afterwards.
pub async fn play_with(gateway: &Gateway, hindrance: Option<&Hindrance>) {
    play_on(&Scene::of(gateway), hindrance).await;
}

/// The same anywhere. Gives what was typed and answered that nobody else may see, by the act and the field.
pub async fn play_on(scene: &Scene<'_>, hindrance: Option<&Hindrance>) -> Vec<(String, String)> {
    let mut story = Story { scene, roots: roots(), token: None, hindrance, secrets: Vec::new() };
    story.signs_in().await;
    story.proves_who_they_are().await;
    story.has_passkeys().await;
    story.has_an_app().await;
    story.changes_what_is_known().await;
    story.reads_the_bell().await;
    story.allows_a_partner().await;
    story.changes_the_address().await;
    story.changes_the_password().await;
    story.ends_sessions().await;
    story.leaves().await;
    story.wonders().await;
    story.signs_up().await;
    story.links().await;
    story.secrets
}

/// Every text of an act that is somebody's own.
fn learn(secrets: &mut Vec<(String, String)>, of: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(name, _)| !OPEN.contains(&name.as_str())) {
                learn(secrets, &format!("{of}.{name}"), value);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| learn(secrets, of, item)),
        Value::String(text) if text.chars().count() >= TELLING => secrets.push((of.to_owned(), text.clone())),
        _ => {}
    }
}

impl Story<'_> {
    /// Does a mutation, which must succeed. Gives what it answers.
    async fn act(&mut self, name: &str, input: Value, shown: &str) -> Value {
        let root = self.roots.iter().find(|root| root.name == format!("Mutation.{name}"));
        let root = root.unwrap_or_else(|| panic!("there is no {name}"));
        let document = root.document(&format!("{shown} userErrors {{ code field }}"));
        let variables = if input.is_null() { json!({}) } else { json!({ "input": input }) };
        learn(&mut self.secrets, name, &input);
        if let Some(hindrance) = self.hindrance.filter(|one| !one.spared.contains(&name)) {
            self.scene.app.store.execute(hindrance.begin).await;
            let reply = self.put(name, &document, &variables).await;
            self.scene.app.store.execute(hindrance.end).await;
            assert_eq!(reply.code(), "INTERNAL", "{name} was done without its event: {reply:?}");
        }
        let reply = self.put(name, &document, &variables).await;
        let body = reply.json();
        assert!(body["errors"].is_null(), "{name}: {body}");
        let answer = body["data"][name].clone();
        assert_eq!(answer["userErrors"], json!([]), "{name}: {answer}");
        learn(&mut self.secrets, name, &answer);
        answer
    }

    async fn put(&self, name: &str, document: &str, variables: &Value) -> Reply {
        let Door { url, http } = &self.scene.door;
        let question = json!({ "query": document, "variables": variables });
        let request = http.post(format!("{url}/graphql")).header("x-request-id", request_id(name));
        let request = self.token.iter().fold(request, |request, token| request.bearer_auth(token));
        Reply::to(request.json(&question)).await
    }

    /// The same again until it is no longer in progress.
    async fn act_at_last(&mut self, name: &str, input: Value, shown: &str) -> Value {
        timeout(PATIENCE, async {
            loop {
                let answer = self.act(name, input.clone(), shown).await;
                if answer["status"] != "IN_PROGRESS" {
                    return answer;
                }
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{name} does not end"))
    }

    async fn ask(&self, query: &str) -> Value {
        let answer = self.scene.door.ask(self.token.as_deref(), query, "", json!({})).await;
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"].clone()
    }

    fn email(&self, n: u64) -> String {
        self.scene.sandbox.core().world.customer(n).email.clone()
    }

    async fn becomes(&mut self, n: u64) {
        let grant = self.scene.app.identity.enter(&self.email(n)).await.unwrap();
        self.token = Some(grant.access_token.expose_secret().to_owned());
    }

    async fn mailed(&self, email: &str, since: u64) -> String {
        let mail = timeout(PATIENCE, self.scene.sandbox.mail().next(email, since)).await;
        mail.expect("the mail arrives").code.clone().unwrap()
    }

    async fn signs_in(&mut self) {
        let email = self.email(1);
        let input = json!({ "email": email, "password": DEMO_PASSWORD });
        let created = self.act("sessionCreate", input, "challenge { id }").await;
        let id = created["challenge"]["id"].clone();
        let since = self.scene.mailed_so_far().await;
        self.act("sessionCodeResend", json!({ "challengeId": id }), "challenge { id }").await;
        let code = self.mailed(&email, since).await;
        let session = "session { accessToken refreshToken }";
        let verified = self.act("sessionVerify", json!({ "challengeId": id, "code": code }), session).await;
        let refresh = json!({ "refreshToken": verified["session"]["refreshToken"] });
        let refreshed = self.act("sessionRefresh", refresh, session).await;
        self.token = Some(refreshed["session"]["accessToken"].as_str().unwrap().to_owned());
    }

    async fn proves_who_they_are(&mut self) {
        let since = self.scene.mailed_so_far().await;
        let sent = self.act("stepUpCodeSend", Value::Null, "challengeId").await;
        let code = self.mailed(&self.email(1), since).await;
        let mailed = json!({ "mailedCode": { "challengeId": sent["challengeId"], "code": code } });
        self.act("stepUp", mailed, "freshUntil").await;
    }

    async fn has_passkeys(&mut self) {
        let mut phone = Phone::new();
        let begun = self.act("passkeyRegistrationBegin", Value::Null, "options").await;
        let credential = phone.create(ORIGIN, &begun["options"]).await.unwrap();
        let input = json!({ "credential": credential, "name": "Zoë's telephone" });
        let made = self.act("passkeyRegistrationFinish", input, "passkey { id }").await;
        let id = made["passkey"]["id"].clone();
        self.act("passkeyRename", json!({ "id": id, "name": "Zoë's former telephone" }), "passkey { id }")
            .await;
        self.act("stepUpBegin", Value::Null, "passkeyOptions").await;
        let own = self.token.take();
        let begun = self.act("passkeySignInBegin", Value::Null, "options").await;
        let credential = phone.get(ORIGIN, &begun["options"]).await;
        let input = json!({ "credential": credential });
        self.act("passkeySignInFinish", input, "session { accessToken }").await;
        self.token = own;
        self.act("passkeyRemove", json!({ "id": id }), "removed").await;
    }

    async fn has_an_app(&mut self) {
        let begun = self.act("totpEnrolBegin", Value::Null, "enrolment { otpauthUri }").await;
        let address = begun["enrolment"]["otpauthUri"].as_str().unwrap();
        let (_, secret) = address.split_once("secret=").unwrap();
        self.secrets.push(("totp secret".to_owned(), secret.split('&').next().unwrap().to_owned()));
        let app = Totp::from_url(address).unwrap();
        let now = self.scene.app.clock.now().timestamp();
        let code = app.generate(u64::try_from(now).unwrap()).to_string();
        self.act("totpEnrolFinish", json!({ "code": code }), "recoveryCodes").await;
        let codes = self.act("recoveryCodesRegenerate", Value::Null, "recoveryCodes").await;
        self.act("stepUp", json!({ "totp": codes["recoveryCodes"][0] }), "freshUntil").await;
        self.act("totpRemove", Value::Null, "removed").await;
    }

    async fn changes_what_is_known(&mut self) {
        let phone = json!({ "phone": "+81 80 1234 5678" });
        self.act("profileUpdate", phone, "__typename").await;
        self.act("addressUpdate", json!({ "address": address() }), "__typename").await;
        self.act("dataExportRequest", Value::Null, "export { id }").await;
    }

    async fn reads_the_bell(&mut self) {
        let token = self.token.clone().unwrap();
        let account = self.scene.app.identity.authenticate(&token).await.unwrap().account;
        for n in 0..3 {
            let event = format!("event {n}");
            let told = self.scene.app.notifications.eligibility_changed(account, n % 2 == 0, &event).await;
            assert!(told.unwrap());
        }
        let data = self.ask("{ viewer { notifications { nodes { id } } } }").await;
        let id = data["viewer"]["notifications"]["nodes"][0]["id"].clone();
        self.act("notificationMarkRead", json!({ "id": id }), "__typename").await;
        self.act("notificationMarkAllRead", Value::Null, "markedCount").await;
        self.act("notificationDismiss", json!({ "id": id }), "__typename").await;
    }

    async fn allows_a_partner(&mut self) {
        let terms = Terms { requests_per_second: 1_000, cost_maximum: 1_000_000, cost_restore: 100_000 };
        let scopes = Scopes::parse("orders:read").unwrap();
        let new = NewPartner { name: "Household Books".to_owned(), scopes, is_first_party: false, terms };
        let desk = PartnerDesk::new(self.scene.app.store.clone(), self.scene.app.clock.clone());
        let (client_id, _) = desk.create(new).await.unwrap();
        let input = json!({ "clientId": client_id, "scopes": ["orders:read"] });
        let made = self.act("grantCreate", input, "grant { id }").await;
        self.act("grantRevoke", json!({ "id": made["grant"]["id"] }), "revoked").await;
    }

    async fn changes_the_address(&mut self) {
        self.becomes(2).await;
        let (present, new) = (self.email(2), "somebody.new@example.jp");
        let begin = json!({ "newEmail": new });
        let since = self.scene.mailed_so_far().await;
        let begun = self.act("emailChangeBegin", begin, "challenge { id }").await;
        let id = begun["challenge"]["id"].clone();
        let present_code = self.mailed(&present, since).await;
        let since = self.scene.mailed_so_far().await;
        let again = json!({ "challengeId": id, "address": "NEW" });
        self.act("emailChangeResend", again, "__typename").await;
        let new_code = self.mailed(new, since).await;
        let input = json!({ "challengeId": id, "newCode": new_code, "presentCode": present_code });
        self.act_at_last("emailChangeFinish", input, "status").await;
    }

    async fn changes_the_password(&mut self) {
        self.becomes(3).await;
        let input = json!({ "currentPassword": DEMO_PASSWORD, "newPassword": PASSWORD });
        self.act("passwordChange", input, "__typename").await;
        self.token = None;
        let email = self.email(4);
        let since = self.scene.mailed_so_far().await;
        self.act("passwordResetRequest", json!({ "email": email }), "accepted").await;
        let mail = timeout(PATIENCE, self.scene.sandbox.mail().next(&email, since)).await.unwrap();
        let (_, token) = mail.links[0].split_once("#token=").unwrap();
        self.act("passwordReset", json!({ "token": token, "newPassword": PASSWORD }), "changed").await;
    }

    async fn ends_sessions(&mut self) {
        self.becomes(1).await;
        let data = self.ask("{ viewer { sessions { id isCurrent } devices { id } } }").await;
        let sessions = data["viewer"]["sessions"].as_array().unwrap().clone();
        let other = sessions.iter().find(|session| session["isCurrent"] == false).unwrap();
        self.act("sessionRevoke", json!({ "id": other["id"] }), "revoked").await;
        let device = data["viewer"]["devices"][0]["id"].clone();
        self.act("deviceRevoke", json!({ "id": device }), "revoked").await;
        self.act("sessionRevokeOthers", Value::Null, "__typename").await;
        self.act("sessionEnd", Value::Null, "ended").await;
    }

    async fn leaves(&mut self) {
        self.becomes(5).await;
        let since = self.scene.mailed_so_far().await;
        let begun = self.act("accountEraseBegin", Value::Null, "challengeId").await;
        let code = self.mailed(&self.email(5), since).await;
        let input = json!({ "challengeId": begun["challengeId"], "code": code });
        self.act("accountErase", input, "__typename").await;
        self.token = None;
    }

    async fn wonders(&mut self) {
        let input = json!({
            "firstName": "Zoë", "lastName": "O'Brien", "email": "guest@example.jp", "address": address(),
        });
        self.act("availabilityRequest", input, "submitted").await;
    }

    async fn signs_up(&mut self) {
        let email = "zoe.obrien@example.jp";
        let begun = self.act("signUpBegin", json!({ "email": email }), "challenge { id }").await;
        let id = begun["challenge"]["id"].clone();
        let since = self.scene.mailed_so_far().await;
        self.act("signUpResend", json!({ "challengeId": id }), "challenge { id }").await;
        let code = self.mailed(email, since).await;
        let input = json!({ "challengeId": id, "code": code });
        let verified = self.act("signUpVerify", input, "verification { token }").await;
        let token = verified["verification"]["token"].clone();
        self.act("signUpResume", json!({ "verification": token }), "__typename").await;
        let input = json!({
            "verification": token,
            "profile": {
                "firstName": "Zoë", "lastName": "O'Brien", "phone": "+81 90 1234 5678",
                "birthDate": "1990-01-31", "gender": "FEMALE",
            },
            "address": address(), "password": PASSWORD, "termsVersion": "1",
        });
        self.act_at_last("signUpComplete", input, "status").await;
    }

    async fn links(&mut self) {
        let input = json!({ "email": self.email(UNLINKED), "password": DEMO_PASSWORD });
        let verified = self.act("signUpVerifyByBilling", input, "verification { token }").await;
        let input = json!({
            "verification": verified["verification"]["token"], "password": PASSWORD, "termsVersion": "1",
        });
        self.act_at_last("accountLink", input, "status").await;
    }
}
