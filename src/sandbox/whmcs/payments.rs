//! Money that arrives: payments, captures, and what the payment of an invoice sets off.

use chrono::{Months, NaiveDateTime};
use rust_decimal::Decimal;
use serde_json::json;

use crate::sandbox::whmcs::account::{Item, Transaction};
use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::installation;
use crate::sandbox::whmcs::modules::{self, Command};
use crate::sandbox::whmcs::reply::{Refusal, Reply, date_time, error, money, refuse};
use crate::sandbox::whmcs::store::{Store, Table};

/// Cards that end in this are declined.
pub const DECLINED_CARD: &str = "0002";

/// How an amount came in.
pub struct Payment {
    pub amount: Decimal,
    pub fees: Decimal,
    pub gateway: String,
    pub transid: String,
    pub at: NaiveDateTime,
    pub mail: bool,
}

/// Writes a transaction down.
pub fn book_transaction(store: &mut Store, client: Option<u64>, transaction: Transaction) {
    let params = json!({
        "id": transaction.id, "userid": client.unwrap_or(0), "currency": transaction.currency,
        "gateway": transaction.gateway, "date": date_time(transaction.date),
        "amountin": money(transaction.amountin), "fees": money(transaction.fees),
        "amountout": money(transaction.amountout), "rate": format!("{:.5}", transaction.rate),
        "transid": transaction.transid, "invocieid": transaction.invoiceid, "refundid": transaction.refundid,
    });
    match client.and_then(|client| store.account_mut(client)) {
        Some(account) => account.transactions.push(transaction),
        None => store.loose_transactions.push(transaction),
    }
    store.fire("AddTransaction", params);
}

/// The client of an existing invoice.
pub fn owner_of_invoice(store: &Store, id: u64) -> Option<u64> {
    let account = store.account_with(Table::Invoice, id)?;
    account.invoice(id).map(|_| account.client.id)
}

/// Books a payment on an invoice. What it does not need becomes credit; when nothing is left to pay it is Paid.
pub fn pay(store: &mut Store, client: u64, invoice: u64, payment: Payment, number_on_payment: bool) {
    let transaction = Transaction {
        id: store.mint(Table::Transaction, client),
        gateway: payment.gateway,
        date: Some(payment.at),
        description: "Invoice Payment".to_owned(),
        amountin: payment.amount,
        fees: payment.fees,
        rate: Decimal::ONE,
        transid: payment.transid,
        invoiceid: invoice,
        ..Transaction::default()
    };
    let before = balance(store, client, invoice);
    book_transaction(store, Some(client), transaction);
    store.fire("AddInvoicePayment", json!({"invoiceid": invoice}));
    let surplus = payment.amount - before.max(Decimal::ZERO);
    if surplus > Decimal::ZERO {
        store.book_credit(client, surplus, &format!("Invoice #{invoice} Overpayment"), invoice);
    }
    settle(store, client, invoice, payment.at, payment.mail, number_on_payment);
}

/// What is still to be paid of an invoice.
pub fn balance(store: &Store, client: u64, invoice: u64) -> Decimal {
    let account = store.account(client);
    account
        .as_ref()
        .and_then(|account| Some(account.balance(account.invoice(invoice)?)))
        .unwrap_or(Decimal::ZERO)
}

/// Makes an invoice Paid once nothing is left to pay, and runs what follows from that.
pub fn settle(store: &mut Store, client: u64, invoice: u64, at: NaiveDateTime, mail: bool, number: bool) {
    if balance(store, client, invoice) > Decimal::ZERO {
        return;
    }
    let next_number = store.invoice_numbers + 1;
    let Some(row) = store.account_mut(client).and_then(|account| account.invoice_mut(invoice)) else {
        return;
    };
    if row.status == "Paid" {
        return;
    }
    "Paid".clone_into(&mut row.status);
    row.datepaid = Some(at);
    row.updated_at = Some(at);
    let items = row.items.clone();
    if number && row.invoicenum.is_empty() {
        row.invoicenum = format!("INV-S{next_number:06}");
        store.invoice_numbers = next_number;
    }
    store.fire("InvoicePaidPreEmail", json!({"invoiceid": invoice}));
    if mail {
        store.mail(
            client,
            "Invoice Payment Confirmation",
            &format!("Your payment of invoice #{invoice} arrived."),
        );
    }
    for item in &items {
        fulfil(store, client, item, at, number);
    }
    store.fire("InvoicePaid", json!({"invoiceid": invoice}));
    let order = store.account(client).and_then(|account| {
        account.orders.iter().find(|order| order.invoiceid == invoice).map(|order| order.id)
    });
    if let Some(order) = order {
        store.fire("OrderPaid", json!({"orderId": order, "userId": client, "invoiceId": invoice}));
    }
}

/// What the payment of one line sets off.
fn fulfil(store: &mut Store, client: u64, item: &Item, at: NaiveDateTime, number: bool) {
    match item.kind.as_str() {
        "AddFunds" => store.book_credit(client, item.amount, "Add Funds Invoice", 0),
        // A mass payment pays the invoices that it stands for.
        "Invoice" => {
            if let Some(row) = store.account_mut(client).and_then(|account| account.invoice_mut(item.relid)) {
                row.credit = row.totals().total + row.credit;
            }
            settle(store, client, item.relid, at, false, number);
        }
        "Hosting" => renew(store, client, item.relid),
        _ => {}
    }
}

/// Activates a new service, brings a suspended one back, moves the due date of a running one.
fn renew(store: &mut Store, client: u64, service: u64) {
    let Some(row) = store.account(client).and_then(|account| account.service(service).cloned()) else {
        return;
    };
    match row.status.as_str() {
        "Pending" => {
            modules::run(store, client, service, Command::Create);
            let orders = store.account_mut(client).map(|account| &mut account.orders);
            let order = orders
                .into_iter()
                .flatten()
                .find(|order| order.id == row.orderid && order.status == "Pending");
            if let Some(order) = order {
                "Active".clone_into(&mut order.status);
            }
        }
        "Suspended" => modules::run(store, client, service, Command::Unsuspend),
        _ => {}
    }
    let Some(row) = store.account_mut(client).and_then(|account| account.service_mut(service)) else {
        return;
    };
    if let (Some(due), Some(months)) = (row.nextduedate, cycle_months(&row.billingcycle)) {
        row.nextduedate = due.checked_add_months(Months::new(months));
    }
}

/// Months of a billing cycle; `None` for what does not recur.
pub fn cycle_months(cycle: &str) -> Option<u32> {
    Some(match installation::normal_cycle(cycle).as_str() {
        "monthly" => 1,
        "quarterly" => 3,
        "semiannually" => 6,
        "annually" => 12,
        "biennially" => 24,
        "triennially" => 36,
        _ => return None,
    })
}

/// `AddInvoicePayment`. Nothing keeps the same payment from being booked twice.
pub fn add_invoice_payment(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let invoice = params.id("invoiceid").unwrap_or(0);
    let client = owner_of_invoice(store, invoice).ok_or_else(error("Invoice ID Not Found"))?;
    let row = store.account(client).and_then(|account| account.invoice(invoice).cloned());
    let row = row.ok_or_else(error("Invoice ID Not Found"))?;
    if row.status == "Cancelled" {
        return refuse("It is not possible to add a payment to an invoice that is Cancelled");
    }
    let due = balance(store, client, invoice).max(Decimal::ZERO);
    let payment = Payment {
        amount: params.amount("amount").filter(|amount| !amount.is_zero()).unwrap_or(due),
        fees: params.amount("fees").unwrap_or(Decimal::ZERO),
        gateway: params.text("gateway").unwrap_or(&row.paymentmethod).to_owned(),
        transid: params.text("transid").unwrap_or_default().to_owned(),
        at: params.date_time("date").unwrap_or_else(|| store.now()),
        mail: !params.flag("noemail"),
    };
    pay(store, client, invoice, payment, call.dialect.number_on_payment);
    Ok(json!({}))
}

/// `CapturePayment`: charges the stored card of the invoice's gateway.
pub fn capture_payment(store: &mut Store, call: &Call<'_>) -> Reply {
    let invoice = call.params.id("invoiceid").unwrap_or(0);
    let not_unpaid = || Refusal::Error("Invoice Not Found or Not Unpaid".to_owned());
    let client = owner_of_invoice(store, invoice).ok_or_else(not_unpaid)?;
    let now = store.now();
    let account = store.account_mut(client).ok_or_else(not_unpaid)?;
    let row = account.invoices.iter_mut().find(|row| row.id == invoice && row.status == "Unpaid");
    let row = row.ok_or_else(not_unpaid)?;
    row.last_capture_attempt = Some(now);
    let gateway = row.paymentmethod.clone();
    let captures = installation::gateway(&gateway).is_some_and(|gateway| gateway.captures);
    let chosen = row.paymethodid;
    let mut cards: Vec<_> =
        account.pay_methods.iter().filter(|method| captures && method.gateway == gateway).collect();
    cards.sort_by_key(|card| (chosen != Some(card.id), !card.is_default));
    let works = cards.first().is_some_and(|card| card.last_four != DECLINED_CARD);
    if !works {
        let text = if cards.is_empty() {
            "Invalid or missing payment information"
        } else {
            "Payment Attempt Failed"
        };
        return Err(if call.dialect.capture_warning {
            Refusal::Warning(text.to_owned())
        } else {
            Refusal::Error("Payment Attempt Failed".to_owned())
        });
    }
    let amount = balance(store, client, invoice);
    let payment = Payment {
        amount,
        fees: Decimal::ZERO,
        gateway,
        transid: format!("ch_{}", uuid::Uuid::new_v4().simple()),
        at: now,
        mail: true,
    };
    pay(store, client, invoice, payment, call.dialect.number_on_payment);
    Ok(json!({}))
}

impl Store {
    /// Whether a transaction with this reference exists, anywhere.
    pub fn has_transid(&self, transid: &str, client: Option<u64>) -> bool {
        let seeded = ["ch_sandbox_", "re_sandbox_"]
            .iter()
            .find_map(|prefix| transid.strip_prefix(prefix)?.parse().ok())
            .and_then(|invoice| self.client_of(Table::Invoice, invoice));
        let known = seeded
            .into_iter()
            .chain(client)
            .filter_map(|client| self.account(client))
            .any(|account| account.transactions.iter().any(|transaction| transaction.transid == transid));
        known
            || self.loose_transactions.iter().any(|transaction| transaction.transid == transid)
            || self
                .written_accounts()
                .any(|account| account.transactions.iter().any(|transaction| transaction.transid == transid))
    }
}
