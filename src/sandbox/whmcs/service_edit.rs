//! Services: writes.

use serde_json::json;

use crate::sandbox::whmcs::account::{Cancellation, Service};
use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::installation::{self, SERVICE_FIELDS, service_field};
use crate::sandbox::whmcs::params::{Params, key_id};
use crate::sandbox::whmcs::php::Key;
use crate::sandbox::whmcs::reply::{Refusal, Reply, error, refuse};
use crate::sandbox::whmcs::services::USAGE;
use crate::sandbox::whmcs::store::{Store, Table};

/// Statuses of a service.
const STATUSES: &[&str] =
    &["Pending", "Active", "Suspended", "Terminated", "Cancelled", "Fraud", "Completed"];

/// The client and service that a call names.
pub fn target(store: &Store, call: &Call<'_>) -> Result<(u64, u64), Refusal> {
    let id = call.params.id("serviceid").unwrap_or(0);
    let account = store.account_with(Table::Service, id).ok_or_else(error("Service ID Not Found"))?;
    account.service(id).map(|_| (account.client.id, id)).ok_or_else(error("Service ID Not Found"))
}

/// `UpdateClientProduct`. It changes the record; no module runs. Hooks are certain only for edits in the admin area
/// (WHMCS reference §5).
pub fn update_client_product(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let (client, id) = target(store, call)?;
    if call.is_staff {
        store.fire("PreServiceEdit", json!({"serviceid": id}));
    }
    let account = store.account_mut(client).ok_or_else(error("Service ID Not Found"))?;
    let currency = account.client.currency;
    let service = account.service_mut(id).ok_or_else(error("Service ID Not Found"))?;
    write_fields(service, params);
    if params.flag("autorecalc") {
        let product = installation::product(service.pid);
        let price = product.and_then(|product| installation::price(product, &service.billingcycle, currency));
        if let Some(price) = price.filter(|_| service.billingcycle == "Monthly") {
            service.recurringamount = price;
        }
    }
    for (_, name) in params.entries("unset") {
        if let Some(field) = text_field(service, &name) {
            field.clear();
        }
    }
    if call.is_staff {
        store.fire("ServiceEdit", json!({"userid": client, "serviceid": id}));
    }
    Ok(json!({"serviceid": params.sent("serviceid")}))
}

/// The texts of a service that a call can write and blank.
fn text_field<'a>(service: &'a mut Service, name: &str) -> Option<&'a mut String> {
    Some(match name {
        "domain" => &mut service.domain,
        "serviceusername" => &mut service.username,
        "servicepassword" => &mut service.password,
        "subscriptionid" => &mut service.subscriptionid,
        "ns1" => &mut service.ns1,
        "ns2" => &mut service.ns2,
        "dedicatedip" => &mut service.dedicatedip,
        "assignedips" => &mut service.assignedips,
        "notes" => &mut service.notes,
        "suspendreason" => &mut service.suspensionreason,
        _ => return None,
    })
}

const TEXTS: &[&str] = &[
    "domain",
    "serviceusername",
    "servicepassword",
    "subscriptionid",
    "ns1",
    "ns2",
    "dedicatedip",
    "assignedips",
    "notes",
    "suspendreason",
];

fn write_fields(service: &mut Service, params: &Params) {
    // Empty text does not blank a field; `unset` does.
    for name in TEXTS {
        if let (Some(text), Some(field)) = (params.text(name), text_field(service, name)) {
            text.clone_into(field);
        }
    }
    if let Some(pid) = params.id("pid").filter(|pid| installation::product(*pid).is_some()) {
        service.pid = pid;
    }
    for (name, field) in [("serverid", &mut service.serverid), ("promoid", &mut service.promoid)] {
        if let Some(number) = params.number(name) {
            *field = number;
        }
    }
    for (name, field) in [
        ("regdate", &mut service.regdate),
        ("nextduedate", &mut service.nextduedate),
        ("terminationdate", &mut service.terminationdate),
        ("overidesuspenduntil", &mut service.overidesuspenduntil),
    ] {
        if let Some(day) = params.date(name) {
            *field = Some(day);
        }
    }
    for (name, field) in [
        ("firstpaymentamount", &mut service.firstpaymentamount),
        ("recurringamount", &mut service.recurringamount),
    ] {
        if let Some(amount) = params.amount(name) {
            *field = amount;
        }
    }
    if let Some(gateway) = params.text("paymentmethod").filter(|name| installation::gateway(name).is_some()) {
        gateway.clone_into(&mut service.paymentmethod);
    }
    if let Some(cycle) = params.text("billingcycle").and_then(installation::spelled_cycle) {
        cycle.clone_into(&mut service.billingcycle);
    }
    if let Some(text) = params.text("status")
        && let Some(status) = STATUSES.iter().find(|known| known.eq_ignore_ascii_case(text))
    {
        (*status).clone_into(&mut service.status);
    }
    if let Some(text) = params.text("overideautosuspend") {
        service.overideautosuspend = if text == "on" { "on".to_owned() } else { String::new() };
    }
    for name in USAGE {
        if let Some(number) = params.number(name) {
            service.usage.insert(name, number);
        }
    }
    write_custom_fields(service, params.serialized("customfields"));
    for (key, value) in params.serialized("configoptions") {
        if let Some(id) = key_id(&key) {
            service.configoptions.insert(id, value);
        }
    }
}

/// Writes the custom fields that the product has; others are ignored.
pub fn write_custom_fields(service: &mut Service, fields: Vec<(Key, String)>) {
    for (key, value) in fields {
        let known = |id: &u64| SERVICE_FIELDS.iter().any(|name| service_field(service.pid, name) == *id);
        if let Some(id) = key_id(&key).filter(known) {
            service.customfields.insert(id, value);
        }
    }
}

/// `AddCancelRequest`. The service keeps its status until the daily automation runs.
pub fn add_cancel_request(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let (client, service) = target(store, call)?;
    let kind = params.text("type").unwrap_or("End of Billing Period");
    let kind = if kind.eq_ignore_ascii_case("immediate") { "Immediate" } else { "End of Billing Period" };
    let reason = params.text("reason").unwrap_or_default();
    let exists =
        store.account(client).is_some_and(|account| account.cancellations.iter().any(|r| r.relid == service));
    if exists {
        return refuse("Existing Cancellation Request Exists");
    }
    let request = Cancellation {
        id: store.mint(Table::Cancellation, client),
        date: Some(store.now()),
        relid: service,
        reason: reason.to_owned(),
        kind: kind.to_owned(),
    };
    if let Some(account) = store.account_mut(client) {
        account.cancellations.push(request);
    }
    store.mail(client, "Cancellation Request Confirmation", &format!("We will cancel service {service}."));
    store.fire("CancellationRequest", json!({"userid": client, "relid": service, "type": kind}));
    Ok(json!({"serviceid": params.sent("serviceid"), "userid": client.to_string()}))
}
