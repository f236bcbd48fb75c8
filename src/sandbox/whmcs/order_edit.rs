//! Orders: writes.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::sandbox::whmcs::account::{Invoice, Item, Order, Service};
use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::installation;
use crate::sandbox::whmcs::invoice_edit::{Opening, open_invoice, tax_rate};
use crate::sandbox::whmcs::modules::{self, Command};
use crate::sandbox::whmcs::params::{Params, decode_texts, leading_number};
use crate::sandbox::whmcs::reply::{Refusal, Reply, error, money, refuse};
use crate::sandbox::whmcs::service_edit::write_custom_fields;
use crate::sandbox::whmcs::store::{Store, Table};

const ARRAYS: &[&str] = &[
    "pid",
    "qty",
    "billingcycle",
    "domain",
    "hostname",
    "priceoverride",
    "customfields",
    "configoptions",
    "domaintype",
    "regperiod",
    "servicerenewals",
];

/// `AddOrder`. Nothing is provisioned until AcceptOrder.
pub fn add_order(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let client = params.id("clientid").unwrap_or(0);
    let account = store.account(client).ok_or_else(error("Client ID Not Found"))?;
    if account.client.status == "Closed" {
        return refuse("Unable to add order when client status is Closed");
    }
    let (currency, owner) = (account.client.currency, account.client.owner_user_id);
    drop(account);
    let gateway = params.text("paymentmethod").unwrap_or_default();
    if installation::gateway(gateway).is_none() {
        return refuse(installation::invalid_gateway());
    }
    for name in ARRAYS {
        if params.text(name).is_some() {
            return refuse(format!("Expecting parameter '{name}' to be an array"));
        }
    }
    // This installation has neither add-ons nor domains.
    if params.has("addonid") || params.has("addonids") || params.has("addons") {
        return refuse("Addon ID invalid");
    }
    if params.array("domainrenewals").is_some() {
        return refuse("Domain not owned by Client ID provided");
    }
    if let Some((_, id)) = params.entries("servicerenewals").first() {
        let id = leading_number(id).unwrap_or(0);
        let owned = store.account(client).is_some_and(|account| account.service(id).is_some());
        return refuse(if owned {
            format!("Service ID {id} can not be renewed at this time.")
        } else {
            "Service ID not owned by Client ID provided".to_owned()
        });
    }
    let ordered = services(store, params, currency, gateway);
    if ordered.is_empty() {
        return refuse("No items added to cart so order cannot proceed");
    }
    Ok(place(store, call, client, owner, ordered))
}

/// The services that an order's items become. An unknown product is dropped without a word.
fn services(store: &Store, params: &Params, currency: u64, gateway: &str) -> Vec<Service> {
    let today = store.today();
    let mut ordered = Vec::new();
    for (key, pid) in params.entries("pid") {
        let Some(product) = leading_number(&pid).and_then(installation::product) else { continue };
        let text = |name: &str| params.at(name, &key).filter(|text| !text.is_empty());
        let default = if product.is_onetime() { "onetime" } else { "monthly" };
        let wanted = text("billingcycle").unwrap_or_else(|| default.to_owned());
        // A cycle that is not offered falls back to the product's own.
        let offered = installation::price(product, &wanted, currency);
        let (cycle, price) = match offered {
            Some(price) => (wanted, price),
            None => (default.to_owned(), installation::in_currency(product.price(), currency)),
        };
        let qty = text("qty").and_then(|qty| leading_number(&qty)).unwrap_or(1).max(1);
        let price =
            text("priceoverride").and_then(|price| price.parse().ok()).unwrap_or(price) * Decimal::from(qty);
        let recurs = installation::normal_cycle(&cycle) == "monthly";
        let mut service = Service {
            qty,
            pid: u64::from(product.whmcs_pid),
            regdate: Some(today),
            nextduedate: recurs.then_some(today),
            domain: text("domain").or_else(|| text("hostname")).unwrap_or_default(),
            firstpaymentamount: price,
            recurringamount: if recurs { price } else { Decimal::ZERO },
            paymentmethod: gateway.to_owned(),
            billingcycle: installation::spelled_cycle(&cycle).unwrap_or("One Time").to_owned(),
            status: "Pending".to_owned(),
            ..Service::default()
        };
        if let Some(encoded) = text("customfields") {
            write_custom_fields(&mut service, decode_texts(&encoded));
        }
        ordered.push(service);
    }
    ordered
}

fn place(store: &mut Store, call: &Call<'_>, client: u64, owner: u64, ordered: Vec<Service>) -> Value {
    let params = call.params;
    let gateway = params.text("paymentmethod").unwrap_or_default().to_owned();
    let order = store.mint(Table::Order, client);
    let ordered: Vec<Service> = ordered
        .into_iter()
        .map(|service| Service { id: store.mint(Table::Service, client), orderid: order, ..service })
        .collect();
    let service_ids: Vec<u64> = ordered.iter().map(|service| service.id).collect();
    let amount: Decimal = ordered.iter().map(|service| service.firstpaymentamount).sum();
    let items: Vec<Item> = ordered.iter().map(line).collect();
    let row = Order {
        id: order,
        ordernum: installation::order_number(order),
        requestor_id: owner,
        date: Some(store.now()),
        amount,
        paymentmethod: gateway.clone(),
        status: "Pending".to_owned(),
        promocode: params.text("promocode").unwrap_or_default().to_owned(),
        notes: params.text("notes").unwrap_or_default().to_owned(),
        ipaddress: params.text("clientip").unwrap_or("127.0.0.1").to_owned(),
        service_ids: service_ids.clone(),
        ..Order::default()
    };
    let number = row.ordernum;
    if let Some(account) = store.account_mut(client) {
        account.services.extend(ordered);
        account.orders.push(row);
    }
    let wants_invoice = !params.flag("noinvoice") && !amount.is_zero();
    let invoice = wants_invoice.then(|| {
        let taxrate = tax_rate(store, client);
        let row = Invoice { items, taxrate, paymentmethod: gateway.clone(), ..Invoice::default() };
        let mail = !params.flag("noinvoiceemail") && !params.flag("noemail");
        let opening = Opening { source: "api", mail, number: call.dialect.number_on_payment };
        open_invoice(store, client, row, opening)
    });
    if let Some(row) = store.account_mut(client).and_then(|account| account.order_mut(order)) {
        row.invoiceid = invoice.unwrap_or(0);
    }
    if !params.flag("noemail") {
        store.mail(client, "Order Confirmation", &format!("We received your order {number}."));
    }
    store.fire(
        "AfterShoppingCartCheckout",
        json!({
            "OrderID": order, "OrderNumber": number, "ServiceIDs": service_ids, "AddonIDs": [], "DomainIDs": [],
            "RenewalIDs": [], "PaymentMethod": gateway, "InvoiceID": invoice.unwrap_or(0), "TotalDue": money(amount),
        }),
    );
    let joined: Vec<String> = service_ids.iter().map(u64::to_string).collect();
    let mut answer =
        json!({"orderid": order, "serviceids": joined.join(","), "addonids": "", "domainids": ""});
    if let Some(invoice) = invoice {
        answer["invoiceid"] = invoice.into();
    }
    answer
}

fn line(service: &Service) -> Item {
    let name = installation::product(service.pid).map_or("", |product| product.name);
    let label = if service.domain.is_empty() { String::new() } else { format!(" - {}", service.domain) };
    Item {
        kind: "Hosting".to_owned(),
        relid: service.id,
        description: format!("{name}{label}"),
        amount: service.firstpaymentamount,
        taxed: true,
        ..Item::default()
    }
}

/// The client and order that a call names, in any of the statuses (any when none is given).
fn target(store: &Store, call: &Call<'_>, statuses: &[&str], message: &str) -> Result<(u64, Order), Refusal> {
    let id = call.params.id("orderid").unwrap_or(0);
    let account = store.account_with(Table::Order, id).ok_or_else(error(message))?;
    let order = account.order(id).filter(|o| statuses.is_empty() || statuses.contains(&o.status.as_str()));
    order.map(|order| (account.client.id, order.clone())).ok_or_else(error(message))
}

const NOT_PENDING: &str = "Order ID not found or Status not Pending";

fn set_status(store: &mut Store, client: u64, order: u64, status: &str) {
    if let Some(row) = store.account_mut(client).and_then(|account| account.order_mut(order)) {
        status.clone_into(&mut row.status);
    }
}

fn done() -> Reply {
    Ok(Value::Object(serde_json::Map::new()))
}

/// `AcceptOrder`. Its hook fires before any work.
pub fn accept_order(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let (client, order) = target(store, call, &["Pending"], NOT_PENDING)?;
    store.fire("AcceptOrder", json!({"orderid": order.id}));
    for id in &order.service_ids {
        let Some(service) = store.account_mut(client).and_then(|account| account.service_mut(*id)) else {
            continue;
        };
        if let Some(server) = params.number("serverid") {
            service.serverid = server;
        }
        for (name, field) in
            [("serviceusername", &mut service.username), ("servicepassword", &mut service.password)]
        {
            if let Some(text) = params.text(name) {
                text.clone_into(field);
            }
        }
        if service.status != "Pending" {
            continue;
        }
        let is_once = service.billingcycle == "One Time";
        if params.flag("autosetup") {
            modules::run(store, client, *id, Command::Create);
        } else {
            "Active".clone_into(&mut service.status);
        }
        let service = store.account_mut(client).and_then(|account| account.service_mut(*id));
        if let Some(service) = service.filter(|_| is_once) {
            "Completed".clone_into(&mut service.status);
        }
    }
    set_status(store, client, order.id, "Active");
    if params.flag("sendemail") {
        store.mail(client, "New Product Information", "Your service is ready.");
    }
    done()
}

/// Ends what an order brought: services, and its unpaid invoice.
fn undo(store: &mut Store, client: u64, order: &Order, status: &str) {
    set_status(store, client, order.id, status);
    let now = store.now();
    let Some(account) = store.account_mut(client) else { return };
    for service in account.services.iter_mut().filter(|service| order.service_ids.contains(&service.id)) {
        status.clone_into(&mut service.status);
    }
    let invoice = account.invoices.iter_mut().find(|row| row.id == order.invoiceid && row.status == "Unpaid");
    if let Some(row) = invoice {
        "Cancelled".clone_into(&mut row.status);
        row.date_cancelled = Some(now);
        store.fire("InvoiceCancelled", json!({"invoiceid": order.invoiceid}));
    }
}

/// `CancelOrder`. Its hook fires before the change.
pub fn cancel_order(store: &mut Store, call: &Call<'_>) -> Reply {
    let (client, order) = target(store, call, &["Pending"], NOT_PENDING)?;
    let subscribed = store.account(client).is_some_and(|account| {
        account.services.iter().any(|s| order.service_ids.contains(&s.id) && !s.subscriptionid.is_empty())
    });
    // No gateway of this installation keeps subscriptions that could be cancelled from here.
    if call.params.flag("cancelsub") && subscribed {
        return refuse(
            "Subscription Cancellation Failed - Please check the gateway log for further information",
        );
    }
    store.fire("CancelOrder", json!({"orderid": order.id}));
    undo(store, client, &order, "Cancelled");
    done()
}

/// `FraudOrder`.
pub fn fraud_order(store: &mut Store, call: &Call<'_>) -> Reply {
    let (client, order) = target(store, call, &["Pending"], NOT_PENDING)?;
    store.fire("FraudOrder", json!({"orderid": order.id}));
    undo(store, client, &order, "Fraud");
    done()
}

/// `PendingOrder`: back to Pending, from any status.
pub fn pending_order(store: &mut Store, call: &Call<'_>) -> Reply {
    let (client, order) = target(store, call, &[], "Order ID Not Found")?;
    store.fire("PendingOrder", json!({"orderid": order.id}));
    set_status(store, client, order.id, "Pending");
    done()
}

/// `DeleteOrder`.
pub fn delete_order(store: &mut Store, call: &Call<'_>) -> Reply {
    let (client, order) = target(store, call, &[], "Order ID Not Found")?;
    if !matches!(order.status.as_str(), "Cancelled" | "Fraud") {
        return refuse("The order status must be in Cancelled or Fraud to be deleted");
    }
    store.fire("DeleteOrder", json!({"orderid": order.id}));
    if let Some(account) = store.account_mut(client) {
        account.orders.retain(|row| row.id != order.id);
        account.services.retain(|service| !order.service_ids.contains(&service.id));
    }
    done()
}
