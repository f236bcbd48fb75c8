//! Invoices: reads.

use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::sandbox::whmcs::account::{Account, Client, Invoice};
use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::installation;
use crate::sandbox::whmcs::reply::{Page, Reply, date, date_time, error, extend, money, rate};
use crate::sandbox::whmcs::store::{Store, Table};
use crate::sandbox::whmcs::transactions;

/// `GetInvoices`: of a client (`userid`), or of everybody.
pub fn get_invoices(store: &Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let page = Page::of(params);
    let status = params.text("status").map(str::to_ascii_lowercase);
    let today = store.today();
    let wanted = |invoice: &Invoice| match status.as_deref() {
        None => true,
        Some("overdue") => invoice.is_overdue(today),
        Some(status) => invoice.status.eq_ignore_ascii_case(status),
    };
    let clients: Box<dyn Iterator<Item = u64> + '_> = match params.id("userid") {
        Some(client) => Box::new(std::iter::once(client)),
        None => Box::new(store.client_ids()),
    };
    let mut found: Vec<(Client, Invoice)> = Vec::new();
    for client in clients {
        let Some(account) = store.account(client) else { continue };
        let rows = account.invoices.iter().filter(|row| wanted(row));
        found.extend(rows.map(|row| (account.client.clone(), row.clone())));
    }
    let order = params.text("orderby").unwrap_or("date").to_ascii_lowercase();
    let descending = params.text("order").is_some_and(|order| order.eq_ignore_ascii_case("desc"));
    found.sort_by(|(_, a), (_, b)| {
        let ordering = compare(a, b, &order).then(a.id.cmp(&b.id));
        if descending { ordering.reverse() } else { ordering }
    });
    let total = found.len() as u64;
    let rows = page.cut(found.into_iter()).into_iter().map(|(client, invoice)| list_row(&client, &invoice));
    Ok(page.answer(total, "invoices", "invoice", rows.collect()))
}

fn compare(a: &Invoice, b: &Invoice, order: &str) -> Ordering {
    match order {
        "id" => a.id.cmp(&b.id),
        "invoicenumber" | "invoicenum" => a.invoicenum.cmp(&b.invoicenum),
        "duedate" => a.duedate.cmp(&b.duedate),
        "total" => a.totals().total.cmp(&b.totals().total),
        "status" => a.status.cmp(&b.status),
        _ => a.date.cmp(&b.date),
    }
}

/// What the list and the single invoice have in common.
fn common(client: &Client, invoice: &Invoice) -> Value {
    let totals = invoice.totals();
    json!({
        "userid": client.id, "invoicenum": invoice.invoicenum,
        "date": date(invoice.date), "duedate": date(invoice.duedate), "datepaid": date_time(invoice.datepaid),
        "subtotal": money(totals.subtotal), "credit": money(invoice.credit), "tax": money(totals.tax),
        "tax2": money(totals.tax2), "total": money(totals.total), "taxrate": rate(invoice.taxrate),
        "taxrate2": rate(invoice.taxrate2), "status": invoice.status, "paymentmethod": invoice.paymentmethod,
        "notes": invoice.notes,
    })
}

fn list_row(client: &Client, invoice: &Invoice) -> Value {
    let currency = installation::currency(client.currency);
    let mut row = common(client, invoice);
    extend(
        &mut row,
        json!({
            "id": invoice.id, "firstname": client.firstname, "lastname": client.lastname,
            "companyname": client.companyname, "paymethodid": invoice.paymethodid,
            "last_capture_attempt": date_time(invoice.last_capture_attempt),
            "date_refunded": date_time(invoice.date_refunded), "date_cancelled": date_time(invoice.date_cancelled),
            "created_at": date_time(invoice.created_at), "updated_at": date_time(invoice.updated_at),
            "currencycode": currency.code, "currencyprefix": currency.prefix, "currencysuffix": currency.suffix,
        }),
    );
    row
}

/// `GetInvoice`.
pub fn get_invoice(store: &Store, call: &Call<'_>) -> Reply {
    let not_found = error("Invoice ID Not Found");
    let id = call.params.id("invoiceid").unwrap_or(0);
    let account = store.account_with(Table::Invoice, id);
    let found = account.as_ref().and_then(|account| Some((account, account.invoice(id)?)));
    let (account, invoice) = found.ok_or_else(not_found)?;
    let mut answer = common(&account.client, invoice);
    extend(
        &mut answer,
        json!({
            "invoiceid": invoice.id, "lastcaptureattempt": date_time(invoice.last_capture_attempt),
            "balance": money(account.balance(invoice)),
            "ccgateway": installation::gateway(&invoice.paymentmethod).is_some_and(|gateway| gateway.captures),
            "items": {"item": items(invoice)},
            "transactions": transactions_of(account, invoice),
        }),
    );
    Ok(answer)
}

fn items(invoice: &Invoice) -> Vec<Value> {
    invoice
        .items
        .iter()
        .map(|item| {
            json!({
                "id": item.id, "type": item.kind, "relid": item.relid, "description": item.description,
                "amount": money(item.amount), "taxed": u8::from(item.taxed),
            })
        })
        .collect()
}

/// `""` when nothing was paid.
fn transactions_of(account: &Account, invoice: &Invoice) -> Value {
    let rows: Vec<Value> = account
        .transactions
        .iter()
        .filter(|row| row.invoiceid == invoice.id)
        .map(|row| transactions::row(account.client.id, row))
        .collect();
    if rows.is_empty() { Value::from("") } else { json!({"transaction": rows}) }
}
