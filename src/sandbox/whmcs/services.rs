//! Services, add-ons, domains and cancellation requests: reads.

use serde_json::{Value, json};

use crate::sandbox::whmcs::account::{Account, Service};
use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::installation::{self, SERVICE_FIELDS, service_field};
use crate::sandbox::whmcs::reply::{Page, Reply, date, date_time, extend, money};
use crate::sandbox::whmcs::store::{Store, Table};

/// `GetClientsProducts`: of a client, of one service, or of everybody.
pub fn get_clients_products(store: &Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let page = Page::of(params);
    let (client, service, pid) = (params.id("clientid"), params.id("serviceid"), params.id("pid"));
    let (domain, username) = (params.text("domain"), params.text("username2"));
    let wanted = |row: &Service| {
        service.is_none_or(|id| row.id == id)
            && pid.is_none_or(|pid| row.pid == pid)
            && domain.is_none_or(|domain| row.domain == domain)
            && username.is_none_or(|name| row.username == name)
    };
    let of_account = |id: u64| -> Vec<Value> {
        let Some(account) = store.account(id) else { return Vec::new() };
        account.services.iter().filter(|row| wanted(row)).map(|row| product_row(&account, row)).collect()
    };
    let owner = service.and_then(|id| store.client_of(Table::Service, id));
    let rows: Vec<Value> = match (client, service) {
        (Some(client), None) => of_account(client),
        (_, Some(_)) => {
            owner.filter(|owner| client.is_none_or(|id| id == *owner)).map(of_account).unwrap_or_default()
        }
        (None, None) => store.client_ids().flat_map(of_account).collect(),
    };
    let total = rows.len();
    let rows = page.cut(rows.into_iter());
    let echo = |name: &str| params.sent(name).map_or(Value::Null, Value::from);
    let returned = rows.len();
    let products = if rows.is_empty() { Value::from("") } else { json!({"product": rows}) };
    Ok(json!({
        "clientid": echo("clientid"), "serviceid": echo("serviceid"), "pid": echo("pid"), "domain": echo("domain"),
        "totalresults": total.to_string(), "startnumber": page.start, "numreturned": returned, "products": products,
    }))
}

fn product_row(account: &Account, service: &Service) -> Value {
    let product = installation::product(service.pid);
    let name = product.map_or("", |product| product.name);
    let group = product.map_or("", |product| product.whmcs_group);
    let mut row = json!({
        "id": service.id.to_string(), "qty": service.qty.to_string(), "clientid": account.client.id.to_string(),
        "orderid": service.orderid.to_string(), "pid": service.pid.to_string(), "regdate": date(service.regdate),
        "name": name, "translated_name": name, "groupname": group, "translated_groupname": group,
        "domain": service.domain, "dedicatedip": service.dedicatedip,
        "serverid": service.serverid.to_string(), "servername": "", "serverip": null, "serverhostname": null,
        "suspensionreason": service.suspensionreason, "promoid": service.promoid.to_string(),
        "firstpaymentamount": money(service.firstpaymentamount), "recurringamount": money(service.recurringamount),
        "paymentmethod": service.paymentmethod,
        "paymentmethodname": installation::gateway_name(&service.paymentmethod),
        "billingcycle": service.billingcycle, "nextduedate": date(service.nextduedate), "status": service.status,
        "username": service.username, "password": service.password, "subscriptionid": service.subscriptionid,
        "overideautosuspend": service.overideautosuspend,
        "overidesuspenduntil": date(service.overidesuspenduntil),
        "ns1": service.ns1, "ns2": service.ns2, "assignedips": service.assignedips, "notes": service.notes,
        "lastupdate": date_time(None),
        "customfields": {"customfield": custom_fields(service)},
        "configoptions": {"configoption": config_options(service)},
    });
    for name in USAGE {
        extend(&mut row, json!({*name: service.usage.get(name).copied().unwrap_or(0).to_string()}));
    }
    if let Some(order) = account.order(service.orderid) {
        extend(&mut row, json!({"ordernumber": order.ordernum.to_string()}));
    }
    row
}

/// Counters of a service, MB.
pub const USAGE: &[&str] = &["diskusage", "disklimit", "bwusage", "bwlimit"];

fn custom_fields(service: &Service) -> Vec<Value> {
    SERVICE_FIELDS
        .iter()
        .map(|name| {
            let id = service_field(service.pid, name);
            let value = service.customfields.get(&id).map_or("", String::as_str);
            json!({"id": id, "name": name, "translated_name": name, "value": value})
        })
        .collect()
}

fn config_options(service: &Service) -> Vec<Value> {
    service
        .configoptions
        .iter()
        .map(|(id, value)| json!({"id": id, "option": format!("Option {id}"), "type": "dropdown", "value": value}))
        .collect()
}

/// `GetClientsAddons`: this installation sells its extras as products, so there are none.
pub fn get_clients_addons(_: &Store, call: &Call<'_>) -> Reply {
    let echo = |name: &str| call.params.sent(name).map_or(Value::Null, Value::from);
    Ok(json!({
        "serviceid": echo("serviceid"), "clientid": echo("clientid"), "totalresults": 0, "addons": {"addon": []},
    }))
}

/// `GetClientsDomains`: this installation sells no domains.
pub fn get_clients_domains(_: &Store, call: &Call<'_>) -> Reply {
    let echo = |name: &str| call.params.sent(name).map_or(Value::Null, Value::from);
    let page = Page::of(call.params);
    Ok(json!({
        "clientid": echo("clientid"), "domainid": echo("domainid"), "totalresults": 0, "startnumber": page.start,
        "numreturned": 0, "domains": "",
    }))
}

/// `GetCancelledPackages`: the requests, of everybody.
pub fn get_cancelled_packages(store: &Store, call: &Call<'_>) -> Reply {
    let page = Page::of(call.params);
    let mut requests: Vec<_> = store.written_accounts().flat_map(|account| &account.cancellations).collect();
    requests.sort_by_key(|request| request.id);
    let total = requests.len() as u64;
    let rows = page.cut(requests.into_iter()).into_iter().map(|request| {
        let at = date_time(request.date);
        json!({
            "id": request.id, "date": at, "relid": request.relid, "reason": request.reason, "type": request.kind,
            "created_at": at, "updated_at": at,
        })
    });
    Ok(page.answer(total, "packages", "package", rows.collect()))
}
