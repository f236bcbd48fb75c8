//! Credit: the balance, its log, and its use on invoices.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::sandbox::whmcs::account::CreditEntry;
use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::payments::{self, owner_of_invoice};
use crate::sandbox::whmcs::reply::{Reply, date, error, money, refuse};
use crate::sandbox::whmcs::store::{Store, Table};

impl Store {
    /// Changes a client's credit balance and writes the log.
    pub fn book_credit(&mut self, client: u64, amount: Decimal, description: &str, relid: u64) {
        let entry = CreditEntry {
            id: self.mint(Table::Credit, client),
            date: Some(self.today()),
            description: description.to_owned(),
            amount,
            relid,
        };
        if let Some(account) = self.account_mut(client) {
            account.client.credit += amount;
            account.credits.push(entry);
        }
    }
}

/// `GetCredits`.
pub fn get_credits(store: &Store, call: &Call<'_>) -> Reply {
    let account = call.params.id("clientid").and_then(|id| store.account(id));
    let account = account.ok_or_else(error("Client ID Not Found"))?;
    let rows: Vec<Value> = account
        .credits
        .iter()
        .map(|entry| {
            json!({
                "id": entry.id, "date": date(entry.date), "description": entry.description,
                "amount": money(entry.amount), "relid": entry.relid,
            })
        })
        .collect();
    Ok(json!({
        "totalresults": rows.len(), "clientid": call.params.sent("clientid"), "credits": {"credit": rows},
    }))
}

/// `AddCredit`.
pub fn add_credit(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let remove = match params.text("type").unwrap_or("add") {
        "add" => false,
        "remove" => true,
        _ => return refuse("Type can only be add or remove"),
    };
    let client = params.id("clientid").filter(|id| store.account(*id).is_some());
    let client = client.ok_or_else(error("Client ID Not Found"))?;
    // One administrator exists.
    if params.number("adminid").is_some_and(|admin| admin != 1) {
        return refuse("Admin ID Not Found");
    }
    let text = params.text("amount").ok_or_else(error("No Amount Provided"))?;
    let amount = decimal_amount(text).ok_or_else(error("Amount must be in decimal format: ### or ###.##"))?;
    if amount.is_zero() {
        return refuse("No Amount Provided");
    }
    if params.text("date").is_some() && params.date("date").is_none() {
        return refuse("Date Format is not Valid");
    }
    let description = params.text("description").unwrap_or_default().to_owned();
    store.book_credit(client, if remove { -amount } else { amount }, &description, 0);
    let day = params.date("date");
    let account = store.account_mut(client).ok_or_else(error("Client ID Not Found"))?;
    if let (Some(day), Some(entry)) = (day, account.credits.last_mut()) {
        entry.date = Some(day);
    }
    let balance = account.client.credit;
    store.fire("LogActivity", json!({"description": "Credit changed", "user": "API", "userid": client}));
    Ok(json!({"newbalance": money(balance)}))
}

/// `###` or `###.##`, positive.
fn decimal_amount(text: &str) -> Option<Decimal> {
    let (whole, cents) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (digits(whole) && digits(cents) && cents.len() <= 2).then(|| text.parse().ok()).flatten()
}

/// `ApplyCredit`.
pub fn apply_credit(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let invoice = params.id("invoiceid").unwrap_or(0);
    let client = owner_of_invoice(store, invoice).ok_or_else(error("Invoice ID Not Found"))?;
    let account = store.account(client).ok_or_else(error("Invoice ID Not Found"))?;
    if account.invoice(invoice).is_none_or(|row| row.status != "Unpaid") {
        return refuse("Invoice Not in Unpaid Status");
    }
    let (has, due) = (account.client.credit, payments::balance(store, client, invoice));
    let amount = match params.text("amount") {
        Some("full") => has.min(due),
        _ => params.amount("amount").unwrap_or(Decimal::ZERO),
    };
    if amount <= Decimal::ZERO {
        return refuse("Credit Amount to apply must be greater than zero");
    }
    if amount > has {
        return refuse("Amount exceeds customer credit balance");
    }
    if amount > due {
        return refuse("Amount Exceeds Invoice Balance");
    }
    store.apply_credit(client, invoice, amount, !params.flag("noemail"), call.dialect.number_on_payment);
    let account = store.account(client).ok_or_else(error("Invoice ID Not Found"))?;
    let is_paid = account.invoice(invoice).is_some_and(|row| row.status == "Paid");
    Ok(json!({
        "invoiceid": params.sent("invoiceid"), "amount": money(amount),
        "invoicepaid": if is_paid { "true" } else { "false" },
    }))
}

impl Store {
    /// Moves credit of the client into an invoice.
    pub fn apply_credit(&mut self, client: u64, invoice: u64, amount: Decimal, mail: bool, number: bool) {
        self.book_credit(client, -amount, &format!("Credit Applied to Invoice #{invoice}"), invoice);
        let now = self.now();
        if let Some(row) = self.account_mut(client).and_then(|account| account.invoice_mut(invoice)) {
            row.credit += amount;
            row.updated_at = Some(now);
        }
        payments::settle(self, client, invoice, now, mail, number);
    }
}
