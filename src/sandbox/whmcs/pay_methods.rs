//! Stored cards and bank accounts. Numbers are checked and forgotten; reads are masked.

use chrono::{Datelike as _, NaiveDate};
use serde_json::{Value, json};

use crate::sandbox::whmcs::account::PayMethod;
use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::installation::{self, GATEWAYS, Gateway};
use crate::sandbox::whmcs::reply::{Refusal, Reply, error, refuse};
use crate::sandbox::whmcs::store::{Store, Table};

/// `GetPayMethods`: a flat list.
pub fn get_pay_methods(store: &Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let id = params.id("clientid").ok_or_else(error("Client ID Is Required"))?;
    let account = store.account(id).ok_or_else(error("Client Not Found"))?;
    let kind = params.text("type");
    if kind.is_some_and(|kind| !matches!(kind, "BankAccount" | "CreditCard")) {
        return refuse("Invalid Pay Method Type. Should be 'BankAccount' or 'CreditCard'");
    }
    let rows: Vec<Value> = account
        .pay_methods
        .iter()
        .filter(|method| kind.is_none_or(|kind| method.kind.ends_with(kind)))
        .filter(|method| params.id("paymethodid").is_none_or(|id| method.id == id))
        .map(|method| row(account.client.id, method))
        .collect();
    Ok(json!({"clientid": params.sent("clientid"), "paymethods": rows}))
}

fn row(client: u64, method: &PayMethod) -> Value {
    let mut row = json!({
        "id": method.id, "type": method.kind, "description": method.description, "gateway_name": method.gateway,
        "contact_type": "Client", "contact_id": client, "remote_token": method.remote_token,
        "last_updated": method.updated.map_or_else(String::new, |at| at.format("%d/%m/%Y %H:%M").to_string()),
    });
    let fields = if method.kind.ends_with("CreditCard") {
        json!({
            "card_last_four": method.last_four, "expiry_date": method.expiry, "start_date": method.start,
            "issue_number": method.issue, "card_type": method.card_type,
        })
    } else {
        json!({"bank_name": method.bank_name})
    };
    crate::sandbox::whmcs::reply::extend(&mut row, fields);
    row
}

/// `MMYY` as `MM/YY`.
fn expiry(text: &str) -> Option<String> {
    let digits = text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
    let month: u32 = text.get(..2)?.parse().ok()?;
    (digits && (1..=12).contains(&month)).then(|| format!("{}/{}", &text[..2], &text[2..]))
}

/// A card that has not run out.
fn valid_expiry(text: &str, today: NaiveDate) -> Option<String> {
    let expiry = expiry(text)?;
    let (month, year) = (expiry[..2].parse::<u32>().ok()?, 2000 + expiry[3..].parse::<i32>().ok()?);
    ((year, month) >= (today.year(), today.month())).then_some(expiry)
}

fn card_type(number: &str) -> &'static str {
    match number.as_bytes() {
        [b'4', ..] => "Visa",
        [b'5', ..] | [b'2', ..] => "Mastercard",
        [b'3', b'4' | b'7', ..] => "American Express",
        [b'3', b'5', ..] => "JCB",
        _ => "Card",
    }
}

fn gateway_named(call: &Call<'_>) -> Result<Option<&'static Gateway>, Refusal> {
    let Some(name) = call.params.text("gateway_module_name") else { return Ok(None) };
    match installation::gateway(name) {
        Some(gateway) => Ok(Some(gateway)),
        None => {
            let names: Vec<_> = GATEWAYS.iter().map(|gateway| gateway.module).collect();
            refuse(format!("Invalid Gateway Module Name. Must be one of: {}", names.join(", ")))
        }
    }
}

/// `AddPayMethod`.
pub fn add_pay_method(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let client = params.id("clientid").ok_or_else(error("Client ID Is Required"))?;
    if store.account(client).is_none() {
        return refuse("Invalid Client ID");
    }
    let kind = params.text("type").unwrap_or("CreditCard");
    let mut method = match kind {
        "CreditCard" | "RemoteCreditCard" => card(store, call, kind)?,
        "BankAccount" => bank_account(call)?,
        _ => {
            return refuse(
                "Invalid Pay Method Type. Type should be one of 'BankAccount', 'CreditCard', or 'RemoteCreditCard'",
            );
        }
    };
    method.id = store.mint(Table::PayMethod, client);
    method.updated = Some(store.now());
    params.text("description").unwrap_or_default().clone_into(&mut method.description);
    let id = method.id;
    let is_card = kind != "BankAccount";
    let card_kind = method.card_type.clone();
    let account = store.account_mut(client).ok_or_else(error("Invalid Client ID"))?;
    method.is_default = params.flag("set_as_default") || account.pay_methods.is_empty();
    if method.is_default {
        account.pay_methods.iter_mut().for_each(|other| other.is_default = false);
    }
    account.pay_methods.push(method);
    if is_card {
        store.fire("CCUpdate", json!({"userid": client, "cardtype": card_kind}));
    }
    Ok(json!({"clientid": params.sent("clientid"), "paymethodid": id}))
}

fn card(store: &Store, call: &Call<'_>, kind: &str) -> Result<PayMethod, Refusal> {
    let params = call.params;
    let gateway = gateway_named(call)?;
    if kind == "RemoteCreditCard" && gateway.is_none() {
        return refuse("Gateway is Required for RemoteCreditCard type");
    }
    if gateway.is_some_and(|gateway| !gateway.captures) {
        return refuse("Unsupported Gateway Type for Storage");
    }
    // Every card gateway of this installation keeps cards at the provider.
    if kind == "CreditCard" && gateway.is_none() {
        return refuse("No Local Credit Card Payment Gateways Enabled");
    }
    let number = params.text("card_number");
    let number =
        number.ok_or_else(error("Card Number is required for 'CreditCard' or 'RemoteCreditCard' type"))?;
    let number: String = number.chars().filter(char::is_ascii_digit).collect();
    let expiry = params.text("card_expiry");
    let expiry =
        expiry.ok_or_else(error("Expiry Date is required for 'CreditCard' or 'RemoteCreditCard' type"))?;
    let expiry = valid_expiry(expiry, store.today()).ok_or_else(error("Expiry Date is invalid"))?;
    let (start, issue) = optional_card_fields(call)?;
    if !is_luhn(&number) {
        return refuse("Error Creating Remote Token: Your card number is incorrect.");
    }
    Ok(PayMethod {
        kind: "RemoteCreditCard".to_owned(),
        gateway: gateway.map_or("", |gateway| gateway.module).to_owned(),
        last_four: number[number.len().saturating_sub(4)..].to_owned(),
        expiry,
        start,
        issue,
        card_type: card_type(&number).to_owned(),
        remote_token: format!(
            "{{\"customer\":\"cus_{}\"}}",
            &uuid::Uuid::new_v4().simple().to_string()[..14]
        ),
        ..PayMethod::default()
    })
}

fn optional_card_fields(call: &Call<'_>) -> Result<(String, String), Refusal> {
    let start = match call.params.text("card_start") {
        Some(text) => expiry(text).ok_or_else(error("Start Date is invalid"))?,
        None => String::new(),
    };
    let issue = call.params.text("card_issue_number").unwrap_or_default();
    if !issue.bytes().all(|b| b.is_ascii_digit()) {
        return refuse("Issue Number is invalid");
    }
    Ok((start, issue.to_owned()))
}

fn bank_account(call: &Call<'_>) -> Result<PayMethod, Refusal> {
    let params = call.params;
    params.text("bank_code").ok_or_else(error("Routing number is required"))?;
    let number = params.text("bank_account").ok_or_else(error("Account number is required"))?;
    let gateway = gateway_named(call)?.ok_or_else(error("Gateway is Required for Bank Account Storage"))?;
    if !gateway.banks {
        return refuse("Unsupported Gateway Type for Storage");
    }
    let tail = number.chars().rev().take(4).collect::<Vec<_>>();
    Ok(PayMethod {
        kind: "BankAccount".to_owned(),
        gateway: gateway.module.to_owned(),
        last_four: tail.into_iter().rev().collect(),
        bank_name: params.text("bank_name").unwrap_or_default().to_owned(),
        ..PayMethod::default()
    })
}

fn is_luhn(number: &str) -> bool {
    let sum: u32 = number
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit - b'0') * if place % 2 == 1 { 2 } else { 1 };
            if digit > 9 { digit - 9 } else { digit }
        })
        .sum();
    (12..=19).contains(&number.len()) && sum.is_multiple_of(10)
}

/// The client and pay method that Update and Delete name.
fn target(store: &Store, call: &Call<'_>) -> Result<(u64, u64), Refusal> {
    let id = call.params.id("paymethodid").ok_or_else(error("Pay Method ID is Required"))?;
    let client = call.params.id("clientid").ok_or_else(error("Client ID is Required"))?;
    let account = store.account_with(Table::PayMethod, id).ok_or_else(error("Invalid Pay Method ID"))?;
    if !account.pay_methods.iter().any(|method| method.id == id) {
        return refuse("Invalid Pay Method ID");
    }
    if account.client.id != client {
        return refuse("Pay Method does not belong to passed Client ID");
    }
    Ok((client, id))
}

/// `UpdatePayMethod`.
pub fn update_pay_method(store: &mut Store, call: &Call<'_>) -> Reply {
    const DETAILS: &[&str] = &[
        "description",
        "card_number",
        "card_expiry",
        "card_start",
        "card_issue_number",
        "bank_name",
        "bank_account_type",
        "bank_code",
        "bank_account",
        "set_as_default",
        "gateway_module_name",
    ];
    let params = call.params;
    let (client, id) = target(store, call)?;
    if !DETAILS.iter().any(|name| params.text(name).is_some()) {
        return refuse("No Details Provided for Update");
    }
    let (today, now) = (store.today(), store.now());
    let expiry = match params.text("card_expiry") {
        Some(text) => Some(valid_expiry(text, today).ok_or_else(error("Expiry Date is invalid"))?),
        None => None,
    };
    let (start, issue) = optional_card_fields(call)?;
    let account = store.account_mut(client).ok_or_else(error("Invalid Pay Method ID"))?;
    let method = account.pay_methods.iter_mut().find(|method| method.id == id);
    let method = method.ok_or_else(error("Invalid Pay Method ID"))?;
    let is_card = method.kind.ends_with("CreditCard");
    if is_card && params.text("card_number").is_some() {
        return refuse("Unable to Update Card Number for Assisted Gateway");
    }
    if is_card && params.text("bank_account").is_some() {
        return refuse("Unsupported Gateway Type for Update");
    }
    if let Some(text) = params.text("description") {
        text.clone_into(&mut method.description);
    }
    if let Some(text) = params.text("bank_name").filter(|_| !is_card) {
        text.clone_into(&mut method.bank_name);
    }
    if is_card {
        method.expiry = expiry.unwrap_or_else(|| method.expiry.clone());
        for (new, field) in [(start, &mut method.start), (issue, &mut method.issue)] {
            if !new.is_empty() {
                *field = new;
            }
        }
    }
    method.updated = Some(now);
    let card_kind = method.card_type.clone();
    if params.flag("set_as_default") {
        account.pay_methods.iter_mut().for_each(|method| method.is_default = method.id == id);
    }
    if is_card {
        store.fire("CCUpdate", json!({"userid": client, "cardtype": card_kind}));
    }
    Ok(json!({"clientid": params.sent("clientid"), "paymethodid": id}))
}

/// `DeletePayMethod`.
pub fn delete_pay_method(store: &mut Store, call: &Call<'_>) -> Reply {
    let (client, id) = target(store, call)?;
    if let Some(account) = store.account_mut(client) {
        let was_default = account.pay_methods.iter().any(|method| method.id == id && method.is_default);
        account.pay_methods.retain(|method| method.id != id);
        if let (true, Some(first)) = (was_default, account.pay_methods.first_mut()) {
            first.is_default = true;
        }
    }
    Ok(json!({"paymethodid": call.params.sent("paymethodid")}))
}
