//! What the systems hold of somebody who signed up or was linked, and whether they agree, whatever went wrong on the way.

use portal_gateway::{
    app::App,
    deadline::{Budget, Lane},
    sandbox::{
        Sandbox,
        core::System,
        journal::{Filter, Kind},
    },
    upstream::salesforce::soql::{self, Select},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::stage::{PATIENCE, until};

/// How it was to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As a customer of all systems.
    Joined,
    /// Undone: the client that was made is inactive, and staff were told, once.
    Undone,
}

/// The clients with an address, as staff see them.
pub async fn clients(sandbox: &Sandbox, email: &str) -> Vec<Value> {
    let found = sandbox.billing().staff("GetClients", &[("search", email)]).await;
    let mut clients = Vec::new();
    for row in found["clients"]["client"].as_array().into_iter().flatten() {
        let id = text(&row["id"]);
        let details = sandbox.billing().staff("GetClientsDetails", &[("clientid", &id)]).await;
        clients.push(details["client"].clone());
    }
    clients
}

/// Records of the CRM with everything that sign-up writes.
pub async fn accounts(app: &App, email: &str) -> Vec<Value> {
    let soql = Select::from("Account")
        .fields([
            "Id",
            "FirstName",
            "LastName",
            "PersonEmail",
            "Phone",
            "PersonMobilePhone",
            "PersonBirthdate",
            "Sex__pc",
            "SF_Account_No__c",
            "WH_Account__c",
            "Portal_Status__c",
            "Portal_Registration_Source__c",
            "Portal_Last_SignIn__c",
            "BillingStreet",
            "BillingCity",
            "BillingState",
            "BillingPostalCode",
            "BillingCountry",
        ])
        .filter(soql::Filter::eq("PersonEmail", email))
        .build()
        .unwrap();
    let budget = Budget::new(PATIENCE, Lane::Interactive);
    app.upstreams.salesforce.query(budget, soql).await.unwrap()
}

/// Cases of an account that were opened for staff.
pub async fn staff_cases(app: &App, account: &str) -> Vec<Value> {
    let soql = Select::from("Case")
        .fields(["Subject", "Description", "Origin", "Portal_Case_Key__c"])
        .filter(soql::Filter::eq("AccountId", account).and(soql::Filter::eq("Origin", "Portal Notification")))
        .build()
        .unwrap();
    let budget = Budget::new(PATIENCE, Lane::Interactive);
    let all: Vec<Value> = app.upstreams.salesforce.query(budget, soql).await.unwrap();
    all.into_iter().filter(|case| !case["Portal_Case_Key__c"].is_null()).collect()
}

/// How often a client was created again without a look for the one that the call before may have made. Billing takes no
/// second client of an address, so that alone would hide it.
pub fn sent_blindly(sandbox: &Sandbox, email: &str) -> usize {
    let who = format!("\"who\":\"{}\"", hex::encode(&Sha256::digest(email)[..8]));
    let filter = Filter { kind: Some(Kind::Call), system: Some(System::Whmcs), ..Filter::default() };
    let (mut blind, mut is_unknown) = (0, false);
    for call in sandbox.core().journal.entries(&filter) {
        if !call.detail.is_some_and(|detail| detail.get().contains(&who)) {
            continue;
        }
        match &*call.operation {
            "AddClient" => {
                blind += usize::from(is_unknown);
                is_unknown = true;
            }
            "GetClients" => is_unknown = false,
            _ => {}
        }
    }
    blind
}

/// Waits until nothing is left to be done.
pub async fn settled(app: &App) {
    until("everything is done", async || {
        let backlog = app.store.job_backlog().await.ok()?;
        backlog.iter().all(|one| one.waiting == 0).then_some(())
    })
    .await;
}

/// What is not as it should be about a person, in words; asked when everything is [`settled`].
pub async fn disagreements(sandbox: &Sandbox, app: &App, email: &str, end: End) -> Vec<String> {
    let mut found = Vec::new();
    let mut expect = |is_so: bool, what: String| {
        if !is_so {
            found.push(format!("{email}: {what}"));
        }
    };
    let (clients, accounts) = (clients(sandbox, email).await, accounts(app, email).await);
    expect(clients.len() == 1, format!("{} clients of billing", clients.len()));
    expect(accounts.len() == 1, format!("{} accounts of the CRM", accounts.len()));
    let blind = sent_blindly(sandbox, email);
    expect(blind == 0, format!("a client was sent again without a look, {blind} times"));
    let dead: i64 = app.store.job_backlog().await.unwrap().iter().map(|one| one.dead).sum();
    expect(dead == 0, format!("{dead} jobs were given up"));
    let (Some(client), Some(account)) = (clients.first(), accounts.first()) else { return found };
    let (client_id, account_id) = (text(&client["id"]), text(&account["Id"]));
    let cases = staff_cases(app, &account_id).await.len();
    let mapping = match app.store.user_by_email(email).await.unwrap() {
        Some(user) => app.store.mapping_of_user(user.id).await.unwrap(),
        None => None,
    };
    let is_mapped = mapping.is_some_and(|mapping| {
        mapping.client.to_string() == client_id && mapping.account.to_string() == account_id
    });
    let status = text(&client["status"]);
    match end {
        End::Joined => {
            expect(is_mapped, format!("{mapping:?} is not client {client_id} and account {account_id}"));
            expect(status == "Active", format!("the client is {status}"));
            expect(cases == 0, format!("{cases} cases for staff"));
            let (ours, theirs) = (customer_number(client), text(&account["SF_Account_No__c"]));
            expect(ours == theirs, format!("the customer numbers {ours} and {theirs}"));
            let status = text(&account["Portal_Status__c"]);
            expect(status == "Active", format!("the CRM says {status:?} of the access"));
            let mark = text(&account["WH_Account__c"]);
            expect(mark.starts_with(&format!("#{client_id} - ")), format!("the CRM's mark is {mark:?}"));
        }
        End::Undone => {
            expect(!is_mapped, "it has a user nevertheless".to_owned());
            expect(status == "Inactive", format!("the client is {status}"));
            expect(cases == 1, format!("{cases} cases for staff"));
        }
    }
    found
}

fn customer_number(client: &Value) -> String {
    let fields = client["customfields"].as_array().into_iter().flatten();
    let mut number = fields.filter(|field| text(&field["id"]) == "198");
    number.next().map_or_else(String::new, |field| text(&field["value"]))
}

/// A text, or a number as a text: billing says ids in either way.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
