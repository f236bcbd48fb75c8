//! Somebody who comes in, from the proof of an address to the end, whichever gateway is there to be asked.

use portal_gateway::{
    app::App,
    id::{AccountId, ClientId},
    identity::{Credential, Registration},
    sandbox::{
        Sandbox,
        core::{Rule, RuleKind, System},
    },
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    linking, records,
    sign_up::{DOCUMENT, EMAIL, PASSWORD, form},
    stage::{Door, PATIENCE, until},
};

/// The customer of the sandbox who has no portal user yet.
const CUSTOMER: u64 = 20;

/// How they come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// As somebody new.
    New,
    /// As a customer whom billing has already.
    Linked,
    /// As somebody new, while somebody else takes the address: all is undone.
    Undone,
}

/// Somebody who has proved an address.
pub struct Newcomer {
    pub path: Path,
    pub email: String,
    pub verification: Value,
}

impl Newcomer {
    /// Proves an address.
    pub async fn verified(sandbox: &Sandbox, door: &Door, path: Path) -> Self {
        let email = match path {
            Path::New | Path::Undone => EMAIL.to_owned(),
            Path::Linked => sandbox.core().world.customer(CUSTOMER).email.clone(),
        };
        Self::verified_as(sandbox, door, path, email).await
    }

    /// The same with a certain address.
    pub async fn verified_as(sandbox: &Sandbox, door: &Door, path: Path, email: String) -> Self {
        let wanted = json!({ "email": email });
        let begun =
            until("it can be begun", async || door.try_ask(None, DOCUMENT, "SignUpBegin", &wanted).await)
                .await;
        let mail = timeout(PATIENCE, sandbox.mail().next(&email, 0)).await.expect("the code arrives");
        let challenge = &begun["data"]["signUpBegin"]["challenge"]["id"];
        let answer = json!({ "challengeId": challenge, "code": mail.code });
        let verified = door.ask(None, DOCUMENT, "SignUpVerify", answer).await;
        let verification = verified["data"]["signUpVerify"]["verification"]["token"].clone();
        assert!(verification.is_string(), "{begun} {verified}");
        if path == Path::Undone {
            // The account and the client take long enough for the other to come first.
            for (system, operation) in [(System::Salesforce, "upsert"), (System::Whmcs, "AddClient")] {
                sandbox.core().faults.add(Rule {
                    operation: operation.to_owned(),
                    delay_ms: 1_500,
                    times: Some(1),
                    ..Rule::every(system, RuleKind::Delay)
                });
            }
        }
        Self { path, email, verification }
    }

    /// Says the last word once. `None` when that has no answer, or one that says to come back.
    pub async fn try_finish(&self, door: &Door) -> Option<Value> {
        let (document, operation, field, variables) = match self.path {
            Path::New | Path::Undone => {
                (DOCUMENT, "SignUpComplete", "signUpComplete", form(&self.verification))
            }
            Path::Linked => {
                let said = json!({
                    "verification": self.verification, "password": PASSWORD, "termsVersion": "1"
                });
                (linking::DOCUMENT, "AccountLink", "accountLink", said)
            }
        };
        let answer = door.try_ask(None, document, operation, &variables).await?;
        let ended = answer["data"][field].clone();
        (ended.is_object() && ended["status"] != "IN_PROGRESS").then_some(ended)
    }

    /// Says it again until it has ended.
    pub async fn finish(&self, door: &Door) -> Value {
        until("it ends", async || self.try_finish(door).await).await
    }

    /// What happens meanwhile: somebody else takes the address while account and client are being made.
    pub async fn meet_fate(&self, sandbox: &Sandbox, app: &App) {
        if self.path != Path::Undone {
            return;
        }
        let journal = &sandbox.core().journal;
        let made = async || (journal.count(System::Salesforce, Some("upsert")) > 0).then_some(());
        until("the account is being made", made).await;
        let other = Registration {
            email: self.email.clone(),
            client: ClientId(9_000_001),
            account: AccountId::parse("001000000000001").unwrap(),
            locale: "en",
        };
        app.identity.register(&other, Credential::Password(PASSWORD.into())).await.unwrap();
    }

    /// It ended as it was to, and all systems agree about it.
    pub async fn assert_ended(&self, ended: &Value, sandbox: &Sandbox, app: &App, case: &str) {
        let (status, end) = match self.path {
            Path::New | Path::Linked => ("COMPLETE", records::End::Joined),
            Path::Undone => ("REFUSED", records::End::Undone),
        };
        assert_eq!(ended["status"], status, "{case}: {ended}");
        if self.path == Path::Undone {
            assert_eq!(ended["userErrors"][0]["code"], "ACCOUNT_EXISTS", "{case}: {ended}");
        }
        records::settled(app).await;
        let found = records::disagreements(sandbox, app, &self.email, end).await;
        assert_eq!(found, [""; 0], "{case}");
    }
}

/// Lets the call behind some others of its kind fail once.
pub fn fail_behind(sandbox: &Sandbox, behind: u32, fault: Rule) {
    let faults = &sandbox.core().faults;
    let harmless = Rule { operation: fault.operation.clone(), ..Rule::every(fault.system, RuleKind::Delay) };
    faults.add(Rule { times: Some(behind), ..harmless });
    faults.add(Rule { times: Some(1), ..fault });
}
