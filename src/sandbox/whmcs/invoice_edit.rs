//! Invoices: writes.

use rust_decimal::Decimal;
use serde_json::json;

use crate::sandbox::whmcs::account::{Invoice, Item};
use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::installation;
use crate::sandbox::whmcs::params::{Params, key_id};
use crate::sandbox::whmcs::payments::{self, owner_of_invoice};
use crate::sandbox::whmcs::reply::{Refusal, Reply, error, refuse};
use crate::sandbox::whmcs::store::{Store, Table};
use crate::sandbox::world::ids;

/// Statuses of an invoice.
const STATUSES: &[&str] =
    &["Draft", "Unpaid", "Paid", "Cancelled", "Refunded", "Collections", "Payment Pending"];

/// Consumption tax, per cent.
const TAX_RATE: Decimal = Decimal::TEN;

/// How an invoice comes about.
#[derive(Clone, Copy)]
pub struct Opening {
    /// `api`, or `autogen` for the daily automation.
    pub source: &'static str,
    /// Whether the client is told.
    pub mail: bool,
    /// Whether a paid invoice gets its sequential number.
    pub number: bool,
}

/// The tax rate of a client's invoices, per cent.
pub fn tax_rate(store: &Store, client: u64) -> Decimal {
    let account = store.account(client);
    let is_exempt = account.is_some_and(|a| a.client.flags.get("taxexempt").copied().unwrap_or(false));
    if is_exempt { Decimal::ZERO } else { TAX_RATE }
}

/// Adds an invoice: fills what is missing and fires the hooks. A zero total is born Paid.
pub fn open_invoice(store: &mut Store, client: u64, invoice: Invoice, opening: Opening) -> u64 {
    let id = store.mint(Table::Invoice, client);
    let (now, today) = (store.now(), store.today());
    let mut invoice = Invoice {
        id,
        date: invoice.date.or(Some(today)),
        duedate: invoice.duedate.or(Some(today)),
        created_at: Some(now),
        updated_at: Some(now),
        status: if invoice.status.is_empty() { "Unpaid".to_owned() } else { invoice.status.clone() },
        ..invoice
    };
    for (j, item) in (1..).zip(&mut invoice.items) {
        item.id = ids::item_id(id, j);
    }
    let status = invoice.status.clone();
    if let Some(account) = store.account_mut(client) {
        account.invoices.push(invoice);
    }
    let params = json!({"invoiceid": id, "source": opening.source, "user": "system", "status": status});
    store.fire("InvoiceCreation", params.clone());
    store.fire("UpdateInvoiceTotal", json!({"invoiceid": id}));
    if status == "Draft" {
        return id;
    }
    publish(store, client, id, opening);
    if status == "Unpaid" {
        payments::settle(store, client, id, now, opening.mail, opening.number);
    }
    id
}

/// What happens when an invoice leaves Draft.
fn publish(store: &mut Store, client: u64, id: u64, opening: Opening) {
    let params = json!({"invoiceid": id, "source": opening.source, "user": "system", "status": "Unpaid"});
    store.fire("InvoiceCreationPreEmail", params.clone());
    if opening.mail {
        store.mail(client, "Invoice Created", &format!("Invoice #{id} has been created."));
    }
    store.fire("InvoiceCreated", params);
}

/// `CreateInvoice`.
pub fn create_invoice(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let client = params.id("userid").filter(|id| store.account(*id).is_some());
    let client = client.ok_or_else(error("Client ID Not Found"))?;
    let draft =
        params.flag("draft") || params.text("status").is_some_and(|s| s.eq_ignore_ascii_case("draft"));
    if draft && params.flag("sendinvoice") {
        return refuse(
            "Cannot create and send a draft invoice in a single API request. Please create and send separately.",
        );
    }
    let status = match params.text("status") {
        _ if draft => "Draft",
        Some(status) => known_status(status)?,
        None => "Unpaid",
    };
    let gateway =
        store.account(client).map(|account| account.client.defaultgateway.clone()).unwrap_or_default();
    let gateway = params.text("paymentmethod").map(str::to_owned).unwrap_or(gateway);
    let invoice = Invoice {
        date: params.date("date"),
        duedate: params.date("duedate"),
        items: numbered_items(params),
        taxrate: params.amount("taxrate").unwrap_or_else(|| tax_rate(store, client)),
        taxrate2: params.amount("taxrate2").unwrap_or(Decimal::ZERO),
        status: status.to_owned(),
        paymentmethod: if gateway.is_empty() { installation::GATEWAYS[0].module.to_owned() } else { gateway },
        notes: params.text("notes").unwrap_or_default().to_owned(),
        ..Invoice::default()
    };
    let number = call.dialect.number_on_payment;
    let opening = Opening { source: "api", mail: params.flag("sendinvoice"), number };
    let id = open_invoice(store, client, invoice, opening);
    if params.flag("autoapplycredit") && status == "Unpaid" {
        let has = store.account(client).map_or(Decimal::ZERO, |account| account.client.credit);
        let amount = has.min(payments::balance(store, client, id));
        if amount > Decimal::ZERO {
            store.apply_credit(client, id, amount, false, number);
        }
    }
    let account = store.account(client).ok_or_else(error("Client ID Not Found"))?;
    Ok(json!({"invoiceid": id, "status": account.invoice(id).map(|row| &row.status)}))
}

fn known_status(text: &str) -> Result<&'static str, Refusal> {
    let known = STATUSES.iter().find(|status| status.eq_ignore_ascii_case(text));
    known.copied().ok_or_else(error(&format!("Invalid status {text}")))
}

/// `itemdescriptionN`, `itemamountN`, `itemtaxedN`; numbers may begin anywhere and have gaps.
fn numbered_items(params: &Params) -> Vec<Item> {
    params
        .numbered("itemdescription")
        .into_iter()
        .map(|(number, description)| Item {
            description,
            amount: params.amount(&format!("itemamount{number}")).unwrap_or(Decimal::ZERO),
            taxed: params.flag(&format!("itemtaxed{number}")),
            ..Item::default()
        })
        .collect()
}

/// `UpdateInvoice`.
pub fn update_invoice(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let id = params.id("invoiceid").unwrap_or(0);
    let client = owner_of_invoice(store, id).ok_or_else(error("Invoice ID Not Found"))?;
    let before = store.account(client).and_then(|account| account.invoice(id).cloned());
    let before = before.ok_or_else(error("Invoice ID Not Found"))?;
    let publishes = params.flag("publish") || params.flag("publishandsendemail");
    if publishes && before.status != "Draft" {
        return refuse("Invoice must be in Draft status to be published");
    }
    let status = params.text("status").map(known_status).transpose()?;
    let edits_items = ["itemdescription", "itemamount", "itemtaxed", "newitemdescription", "deletelineids"]
        .into_iter()
        .any(|name| params.has(name));
    if edits_items && call.dialect.immutable_invoices && before.status != "Draft" {
        let status = &before.status;
        return refuse(format!(
            "This is an {status} Invoice. You cannot modify an Invoice that is {status}."
        ));
    }
    let changed = changed_lines(params)?;
    let (now, account) = (store.now(), store.account_mut(client));
    let row =
        account.and_then(|account| account.invoice_mut(id)).ok_or_else(error("Invoice ID Not Found"))?;
    for (line, description, amount, taxed) in changed {
        if let Some(item) = row.items.iter_mut().find(|item| item.id == line) {
            (item.description, item.amount, item.taxed) = (description, amount, taxed);
        }
    }
    let deleted: Vec<u64> =
        params.entries("deletelineids").iter().filter_map(|(_, id)| id.parse().ok()).collect();
    row.items.retain(|item| !deleted.contains(&item.id));
    for (key, description) in params.entries("newitemdescription") {
        let last = row.items.iter().map(|item| item.id).max().unwrap_or(ids::item_id(id, 0));
        let text = |name: &str| params.at(name, &key).unwrap_or_default();
        row.items.push(Item {
            id: last + 1,
            description,
            amount: text("newitemamount").parse().unwrap_or(Decimal::ZERO),
            taxed: params.is_true(&text("newitemtaxed")),
            ..Item::default()
        });
    }
    write_fields(row, params);
    row.updated_at = Some(now);
    let gateway = row.paymentmethod.clone();
    if publishes {
        "Unpaid".clone_into(&mut row.status);
    }
    if let Some(status) = status {
        status.clone_into(&mut row.status);
        match status {
            "Cancelled" => row.date_cancelled = Some(now),
            "Refunded" => row.date_refunded = Some(now),
            "Paid" if row.datepaid.is_none() => row.datepaid = Some(now),
            _ => {}
        }
    }
    if edits_items {
        store.fire("UpdateInvoiceTotal", json!({"invoiceid": id}));
    }
    if gateway != before.paymentmethod {
        store.fire("InvoiceChangeGateway", json!({"invoiceid": id, "paymentmethod": gateway}));
    }
    if publishes {
        let mail = params.flag("publishandsendemail");
        publish(store, client, id, Opening { source: "api", mail, number: call.dialect.number_on_payment });
    }
    let hook = match status {
        Some("Cancelled") => Some("InvoiceCancelled"),
        Some("Unpaid") => Some("InvoiceUnpaid"),
        Some("Refunded") => Some("InvoiceRefunded"),
        _ => None,
    };
    if let Some(hook) = hook.filter(|_| status != Some(before.status.as_str())) {
        store.fire(hook, json!({"invoiceid": id}));
    }
    Ok(json!({"invoiceid": id}))
}

/// Lines to change: all three maps must name each.
fn changed_lines(params: &Params) -> Result<Vec<(u64, String, Decimal, bool)>, Refusal> {
    const MAPS: [&str; 3] = ["itemdescription", "itemamount", "itemtaxed"];
    let mut lines = Vec::new();
    let mut keys: Vec<_> = MAPS.iter().flat_map(|name| params.entries(name)).map(|(key, _)| key).collect();
    keys.sort_by_key(std::string::ToString::to_string);
    keys.dedup();
    for key in keys {
        let [Some(description), Some(amount), Some(taxed)] = MAPS.map(|name| params.at(name, &key)) else {
            return refuse(
                "Missing Variables: itemdescription, itemamount and itemtaxed are required for each item being changed",
            );
        };
        let amount = amount.parse().unwrap_or(Decimal::ZERO);
        lines.push((key_id(&key).unwrap_or(0), description, amount, params.is_true(&taxed)));
    }
    Ok(lines)
}

fn write_fields(row: &mut Invoice, params: &Params) {
    if let Some(gateway) = params.text("paymentmethod") {
        gateway.clone_into(&mut row.paymentmethod);
    }
    if let Some(notes) = params.text("notes") {
        notes.clone_into(&mut row.notes);
    }
    for (name, field) in
        [("taxrate", &mut row.taxrate), ("taxrate2", &mut row.taxrate2), ("credit", &mut row.credit)]
    {
        if let Some(amount) = params.amount(name) {
            *field = amount;
        }
    }
    for (name, field) in [("date", &mut row.date), ("duedate", &mut row.duedate)] {
        if let Some(day) = params.date(name) {
            *field = Some(day);
        }
    }
    if let Some(at) = params.date_time("datepaid") {
        row.datepaid = Some(at);
    }
}
