//! The people outside the gateway who change things in the systems, over the systems' own interfaces.

use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use portal_gateway::sandbox::{
    Sandbox,
    credentials::{
        SALESFORCE_CLIENT_ID, SALESFORCE_PRIVATE_KEY, SALESFORCE_USERNAME, WHMCS_IDENTIFIER, WHMCS_SECRET,
    },
};
use serde_json::{Value, json};

/// Somebody who has signed in to the systems.
#[derive(Clone)]
pub struct Desk {
    http: reqwest::Client,
    whmcs: String,
    salesforce: String,
    token: String,
}

impl Desk {
    /// Signs in.
    pub async fn open(sandbox: &Sandbox) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let salesforce = sandbox.salesforce_url();
        let expires = sandbox.core().clock.now() + TimeDelta::minutes(3);
        let claims = json!({
            "iss": SALESFORCE_CLIENT_ID,
            "sub": SALESFORCE_USERNAME,
            "aud": salesforce,
            "exp": expires.timestamp(),
        });
        let key = EncodingKey::from_rsa_pem(SALESFORCE_PRIVATE_KEY.as_bytes()).unwrap();
        let assertion = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap();
        let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &assertion)];
        let url = format!("{salesforce}/services/oauth2/token");
        let granted: Value = http.post(url).form(&form).send().await.unwrap().json().await.unwrap();
        let token = granted["access_token"].as_str().unwrap_or_else(|| panic!("{granted}")).to_owned();
        Self { http, whmcs: sandbox.whmcs_url(), salesforce, token }
    }

    /// Changes fields of a record in the CRM.
    pub async fn update_record(&self, object: &str, id: &str, fields: Value) {
        let url = format!("{}/services/data/v67.0/sobjects/{object}/{id}", self.salesforce);
        let response = self.http.patch(url).bearer_auth(&self.token).json(&fields).send().await.unwrap();
        let status = response.status();
        assert!(status.is_success(), "{object} {id}: {status} {}", response.text().await.unwrap());
    }

    /// Calls an action of billing; the answer of a success.
    pub async fn billing(&self, action: &str, parameters: &[(&str, String)]) -> Value {
        let mut form = vec![
            ("identifier", WHMCS_IDENTIFIER.to_owned()),
            ("secret", WHMCS_SECRET.to_owned()),
            ("action", action.to_owned()),
            ("responsetype", "json".to_owned()),
        ];
        form.extend_from_slice(parameters);
        let url = format!("{}/includes/api.php", self.whmcs);
        let answer: Value = self.http.post(url).form(&form).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["result"], "success", "{action}: {answer}");
        answer
    }

    /// Sets the amount of one line of an invoice.
    pub async fn set_line(&self, invoice: u64, line: u64, amount: u64) {
        let parameters = [
            ("invoiceid", invoice.to_string()),
            (&*format!("itemdescription[{line}]"), "Written by the desk".to_owned()),
            (&*format!("itemamount[{line}]"), amount.to_string()),
            (&*format!("itemtaxed[{line}]"), "0".to_owned()),
        ];
        self.billing("UpdateInvoice", &parameters).await;
    }
}
