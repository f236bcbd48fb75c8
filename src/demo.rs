//! Puts a gateway in front of the sandbox: its settings, and customers who can sign in. For `dev` and tests.

use std::collections::HashMap;

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{
    error::{Error, Result},
    id::{AccountId, ClientId},
    identity::{Identity, Registration},
    sandbox::{
        Sandbox, credentials,
        world::{Customer, Language, World, ids},
    },
    secret::SecretString,
};

/// Variables of the configuration that point a gateway at a sandbox.
pub fn settings(sandbox: &Sandbox) -> HashMap<&'static str, String> {
    let mut settings = HashMap::from([
        ("ENVIRONMENT", "development".to_owned()),
        ("DATA_KEYS", credentials::DATA_KEY.to_owned()),
        ("WHMCS_BASE_URL", sandbox.whmcs_url()),
        ("WHMCS_API_IDENTIFIER", credentials::WHMCS_IDENTIFIER.to_owned()),
        ("WHMCS_API_SECRET", credentials::WHMCS_SECRET.to_owned()),
        ("WHMCS_WEBHOOK_SECRETS", credentials::WHMCS_WEBHOOK_SECRET.to_owned()),
        ("SF_LOGIN_URL", sandbox.salesforce_url()),
        ("SF_CLIENT_ID", credentials::SALESFORCE_CLIENT_ID.to_owned()),
        ("SF_USERNAME", credentials::SALESFORCE_USERNAME.to_owned()),
        ("SF_PRIVATE_KEY_BASE64", BASE64_STANDARD.encode(credentials::SALESFORCE_PRIVATE_KEY)),
        ("FREEBIT_BASE_URL", sandbox.freebit_url()),
        ("FREEBIT_OEM_ID", credentials::FREEBIT_OEM_ID.to_owned()),
        ("FREEBIT_OEM_KEY", credentials::FREEBIT_OEM_KEY.to_owned()),
        ("JAPAN_POST_BASE_URL", sandbox.japan_post_url()),
        ("JAPAN_POST_CLIENT_ID", credentials::JAPAN_POST_CLIENT_ID.to_owned()),
        ("JAPAN_POST_SECRET_KEY", credentials::JAPAN_POST_SECRET_KEY.to_owned()),
        ("JAPAN_POST_SOURCE_ADDRESS", "127.0.0.1".to_owned()),
        ("SMTP_URL", sandbox.smtp_url()),
        ("MAIL_FROM", "no-reply@portal.example.jp".to_owned()),
        ("SF_EVENTS_ENABLED", "true".to_owned()),
        ("SF_PUBSUB_ENDPOINT", sandbox.pubsub_url()),
    ]);
    if let Some(file) = sandbox.ca_file() {
        settings.insert("SF_PUBSUB_CA_FILE", file.display().to_string());
    }
    settings
}

/// Variables that ask for a person, with the sandbox as judge.
pub fn captcha(sandbox: &Sandbox) -> [(&'static str, String); 3] {
    [
        ("CAPTCHA_VERIFY_URL", format!("{}/siteverify", sandbox.captcha_url())),
        ("CAPTCHA_SECRET", credentials::CAPTCHA_SECRET.to_owned()),
        ("CAPTCHA_SITE_KEY", credentials::CAPTCHA_SITE_KEY.to_owned()),
    ]
}

/// Lets the first customers of the sandbox sign in, all with the demo password, and on the demo device without a code; who
/// could before still can.
///
/// # Errors
/// When the store refuses.
pub async fn register(identity: &Identity, world: &World, customers: u64) -> Result<()> {
    // Rows in one transaction.
    const AT_ONCE: usize = 1_000;
    let password = SecretString::from(credentials::DEMO_PASSWORD);
    let phc = identity.hash_password(&password).await?;
    let mut people = Vec::with_capacity(AT_ONCE);
    for n in 1..=customers {
        people.push(registration(&world.customer(n))?);
        if people.len() == AT_ONCE || n == customers {
            identity.register_many(&people, &phc).await?;
            people.clear();
        }
    }
    identity.trust_everywhere(&SecretString::from(credentials::DEMO_DEVICE)).await
}

fn registration(customer: &Customer) -> Result<Registration> {
    let account = ids::sf_id("001", customer.n, 0);
    Ok(Registration {
        email: customer.email.clone(),
        client: ClientId(ids::client_id(customer.n)),
        account: AccountId::parse(&account)
            .ok_or_else(|| Error::internal("the sandbox made an account id that is none"))?,
        locale: match customer.language {
            Language::English => "en",
            Language::Japanese => "ja",
        },
    })
}
