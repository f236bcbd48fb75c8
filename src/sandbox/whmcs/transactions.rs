//! Transactions.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::sandbox::whmcs::account::Transaction;
use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::installation::{self, CURRENCIES};
use crate::sandbox::whmcs::payments::book_transaction;
use crate::sandbox::whmcs::reply::{Reply, date_time, error, money, refuse};
use crate::sandbox::whmcs::store::{Store, Table};

/// A transaction as GetTransactions and GetInvoice list it.
pub fn row(client: u64, transaction: &Transaction) -> Value {
    json!({
        "id": transaction.id.to_string(), "userid": client.to_string(), "currency": transaction.currency.to_string(),
        "gateway": transaction.gateway, "date": date_time(transaction.date),
        "description": transaction.description, "amountin": money(transaction.amountin),
        "fees": money(transaction.fees), "amountout": money(transaction.amountout),
        "rate": format!("{:.5}", transaction.rate), "transid": transaction.transid,
        "invoiceid": transaction.invoiceid.to_string(), "refundid": transaction.refundid.to_string(),
    })
}

/// `GetTransactions`: all matches in one answer.
pub fn get_transactions(store: &Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let (invoice, client, transid) = (params.id("invoiceid"), params.id("clientid"), params.text("transid"));
    let clients: Box<dyn Iterator<Item = u64> + '_> = match (client, invoice) {
        (Some(client), _) => Box::new(std::iter::once(client)),
        (None, Some(invoice)) => Box::new(store.client_of(Table::Invoice, invoice).into_iter()),
        (None, None) => Box::new(store.client_ids()),
    };
    let mut rows: Vec<Value> = Vec::new();
    for account in clients.filter_map(|id| store.account(id)) {
        let wanted = account.transactions.iter().filter(|row| {
            invoice.is_none_or(|id| row.invoiceid == id)
                && transid.is_none_or(|transid| row.transid == transid)
        });
        rows.extend(wanted.map(|transaction| row(account.client.id, transaction)));
    }
    if client.is_none() {
        let loose = store.loose_transactions.iter().filter(|row| {
            invoice.is_none_or(|id| row.invoiceid == id)
                && transid.is_none_or(|transid| row.transid == transid)
        });
        rows.extend(loose.map(|transaction| row(0, transaction)));
    }
    Ok(json!({
        "totalresults": rows.len(), "startnumber": 0, "numreturned": rows.len(), "transactions": {"transaction": rows},
    }))
}

/// `AddTransaction`: the one way to record a refund. It does not change an invoice's status by itself.
pub fn add_transaction(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let client = params.id("userid");
    let invoice = params.id("invoiceid");
    let owner = match invoice {
        Some(id) => {
            let account = store.account_with(Table::Invoice, id);
            let owner =
                account.filter(|account| account.invoice(id).is_some()).map(|account| account.client.id);
            Some(owner.ok_or_else(error("Invoice ID Not Found"))?)
        }
        None => None,
    };
    if client.is_some_and(|id| store.account(id).is_none()) {
        return refuse("Client ID Not Found");
    }
    if let (Some(client), Some(owner)) = (client, owner)
        && client != owner
    {
        return refuse("User ID does not own the given Invoice ID");
    }
    let client = client.or(owner);
    let currency = params.id("currencyid");
    if currency.is_some_and(|id| !CURRENCIES.iter().any(|currency| currency.id == id)) {
        return refuse("Currency ID Not Found");
    }
    match client.and_then(|id| store.account(id)) {
        Some(account) if currency.is_some_and(|id| id != account.client.currency) => {
            return refuse("Currency ID does not match Client currency");
        }
        None if currency.is_none() => {
            return refuse("A Currency ID is required for non-customer related transactions");
        }
        _ => {}
    }
    let gateway = params.text("paymentmethod").ok_or_else(error("Payment Method is required"))?.to_owned();
    let transid = params.text("transid").unwrap_or_default();
    if !transid.is_empty() && !params.flag("allowduplicatetransid") && store.has_transid(transid, client) {
        return refuse("Transaction ID must be Unique");
    }
    let amount = |name: &str| params.amount(name).unwrap_or(Decimal::ZERO);
    let transaction = Transaction {
        id: store.mint(Table::Transaction, client.unwrap_or(0)),
        currency: if client.is_some() { 0 } else { currency.unwrap_or(installation::JPY) },
        gateway,
        date: Some(params.date_time("date").unwrap_or_else(|| store.now())),
        description: params.text("description").unwrap_or_default().to_owned(),
        amountin: amount("amountin"),
        fees: amount("fees"),
        amountout: amount("amountout"),
        rate: params.amount("rate").unwrap_or(Decimal::ONE),
        transid: transid.to_owned(),
        invoiceid: invoice.unwrap_or(0),
        refundid: 0,
    };
    if let (Some(client), true) = (client, params.flag("credit") && invoice.is_none()) {
        let description = format!("Transaction {}", transaction.id);
        store.book_credit(client, transaction.amountin - transaction.amountout, &description, 0);
    }
    book_transaction(store, client, transaction);
    Ok(json!({}))
}

/// `UpdateTransaction`.
pub fn update_transaction(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let id = params.id("transactionid").unwrap_or(0);
    let not_found = error("Transaction ID Not Found");
    let client = store.client_of(Table::Transaction, id);
    let row = match client.filter(|client| *client != 0) {
        Some(client) => store
            .account_mut(client)
            .and_then(|account| account.transactions.iter_mut().find(|transaction| transaction.id == id)),
        None => store.loose_transactions.iter_mut().find(|transaction| transaction.id == id),
    };
    let row = row.ok_or_else(not_found)?;
    for (name, field) in [
        ("transid", &mut row.transid),
        ("paymentmethod", &mut row.gateway),
        ("description", &mut row.description),
    ] {
        if let Some(text) = params.text(name) {
            text.clone_into(field);
        }
    }
    for (name, field) in [
        ("amountin", &mut row.amountin),
        ("fees", &mut row.fees),
        ("amountout", &mut row.amountout),
        ("rate", &mut row.rate),
    ] {
        if let Some(amount) = params.amount(name) {
            *field = amount;
        }
    }
    if let Some(at) = params.date_time("date") {
        row.date = Some(at);
    }
    for (name, field) in [("refundid", &mut row.refundid), ("invoiceid", &mut row.invoiceid)] {
        if let Some(number) = params.number(name) {
            *field = number;
        }
    }
    Ok(json!({"transactionid": params.sent("transactionid")}))
}
