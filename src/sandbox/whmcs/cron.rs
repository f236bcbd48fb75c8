//! The daily automation, run on request on the sandbox's clock.
//!
//! It looks at the accounts that were written, and at the one that the request names: what nobody has touched is
//! generated relative to the day the sandbox started and needs no automation.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use chrono::{Days, Months, NaiveDate};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::sandbox::whmcs::account::{Account, Invoice, Item, Service};
use crate::sandbox::whmcs::door::Door;
use crate::sandbox::whmcs::installation;
use crate::sandbox::whmcs::invoice_edit::{Opening, open_invoice, tax_rate};
use crate::sandbox::whmcs::modules::{self, Command};
use crate::sandbox::whmcs::payments::cycle_months;
use crate::sandbox::whmcs::store::Store;

/// Invoices are made this many days before they are due.
const AHEAD: Days = Days::new(14);
/// Services are suspended this many days after the due date of an unpaid invoice.
const GRACE: Days = Days::new(5);

/// The query of the request.
#[derive(Deserialize)]
pub struct Run {
    clientid: Option<u64>,
}

/// What one run did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub terminated: u64,
    pub suspended: u64,
    pub invoiced: u64,
}

/// `POST {prefix}/crons/cron.php?clientid=N`: answers how much was done. A control of the sandbox, not of the vendor.
pub async fn run_now(State(door): State<Arc<Door>>, Query(query): Query<Run>) -> Json<Value> {
    let number = door.settings.dialect.number_on_payment;
    let done = door.write(|store| run(store, query.clientid, number));
    Json(json!({"terminated": done.terminated, "suspended": done.suspended, "invoiced": done.invoiced}))
}

/// Terminates what was cancelled, suspends what is overdue, bills what falls due.
pub fn run(store: &mut Store, named: Option<u64>, number: bool) -> Done {
    let mut clients = store.written_ids();
    clients.extend(named.filter(|id| !clients.contains(id)));
    let mut done = Done::default();
    for client in clients {
        for service in cancelled(store, client) {
            modules::run(store, client, service, Command::Terminate);
            done.terminated += 1;
        }
        for service in overdue(store, client) {
            modules::run(store, client, service, Command::Suspend);
            if let Some(row) = store.account_mut(client).and_then(|account| account.service_mut(service)) {
                "Overdue on Payment".clone_into(&mut row.suspensionreason);
            }
            done.suspended += 1;
        }
        for (due, items) in renewals(store, client) {
            bill(store, client, due, items, number);
            done.invoiced += 1;
        }
    }
    store.fire("DailyCronJob", Value::Null);
    store.fire("AfterCronJob", Value::Null);
    done
}

fn runs(service: &Service) -> bool {
    matches!(service.status.as_str(), "Active" | "Suspended")
}

/// Running services whose cancellation is due.
fn cancelled(store: &Store, client: u64) -> Vec<u64> {
    let today = store.today();
    let Some(account) = store.account(client) else { return Vec::new() };
    let is_due = |relid: u64, kind: &str| {
        let service = account.service(relid).filter(|service| runs(service));
        service.is_some_and(|s| kind == "Immediate" || s.nextduedate.is_none_or(|due| due <= today))
    };
    let requests = account.cancellations.iter().filter(|request| is_due(request.relid, &request.kind));
    requests.map(|request| request.relid).collect()
}

/// Active services that an unpaid invoice, past its grace, bills.
fn overdue(store: &Store, client: u64) -> Vec<u64> {
    let today = store.today();
    let Some(account) = store.account(client) else { return Vec::new() };
    let late = account
        .invoices
        .iter()
        .filter(|row| row.status == "Unpaid" && row.duedate.is_some_and(|due| due + GRACE < today))
        .flat_map(|row| &row.items)
        .filter(|item| item.kind == "Hosting")
        .map(|item| item.relid);
    let mut services: Vec<u64> =
        late.filter(|id| account.service(*id).is_some_and(|service| service.status == "Active")).collect();
    services.sort_unstable();
    services.dedup();
    services
}

/// Lines of services that fall due soon and are not billed yet, by due date.
fn renewals(store: &Store, client: u64) -> BTreeMap<NaiveDate, Vec<Item>> {
    let horizon = store.today() + AHEAD;
    let mut due: BTreeMap<NaiveDate, Vec<Item>> = BTreeMap::new();
    let Some(account) = store.account(client).filter(|account| account.client.status == "Active") else {
        return due;
    };
    for service in
        account.services.iter().filter(|service| runs(service) && !service.recurringamount.is_zero())
    {
        let ends = account.cancellations.iter().any(|request| request.relid == service.id);
        if let Some(day) = service.nextduedate.filter(|day| *day <= horizon && !ends)
            && !is_billed(&account, service.id, day)
        {
            due.entry(day).or_default().push(line(service, day));
        }
    }
    due
}

fn is_billed(account: &Account, service: u64, day: NaiveDate) -> bool {
    account.invoices.iter().any(|row| {
        row.duedate == Some(day)
            && row.status != "Cancelled"
            && row.items.iter().any(|item| item.kind == "Hosting" && item.relid == service)
    })
}

fn line(service: &Service, from: NaiveDate) -> Item {
    let name = installation::product(service.pid).map_or("", |product| product.name);
    let number = if service.domain.is_empty() { String::new() } else { format!(" - {}", service.domain) };
    let until = from + Months::new(cycle_months(&service.billingcycle).unwrap_or(1)) - Days::new(1);
    Item {
        kind: "Hosting".to_owned(),
        relid: service.id,
        description: format!("{name}{number} ({} - {})", from.format("%Y/%m/%d"), until.format("%Y/%m/%d")),
        amount: service.recurringamount,
        taxed: true,
        ..Item::default()
    }
}

fn bill(store: &mut Store, client: u64, due: NaiveDate, items: Vec<Item>, number: bool) {
    let relid = items.first().map_or(0, |item| item.relid);
    let gateway =
        store.account(client).and_then(|a| a.service(relid).map(|service| service.paymentmethod.clone()));
    let row = Invoice {
        duedate: Some(due),
        items,
        taxrate: tax_rate(store, client),
        taxrate2: Decimal::ZERO,
        paymentmethod: gateway.unwrap_or_default(),
        ..Invoice::default()
    };
    open_invoice(store, client, row, Opening { source: "autogen", mail: true, number });
}
