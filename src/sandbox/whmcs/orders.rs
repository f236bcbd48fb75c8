//! Orders: reads.

use serde_json::{Value, json};

use crate::sandbox::whmcs::account::{Account, Order};
use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::installation;
use crate::sandbox::whmcs::reply::{Page, Reply, date_time, money};
use crate::sandbox::whmcs::store::{Store, Table};

/// `GetOrders`, newest first: one order, a client's, or everybody's.
pub fn get_orders(store: &Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let page = Page::of(params);
    let (id, client, requestor) = (params.id("id"), params.id("userid"), params.id("requestor_id"));
    let status = params.text("status");
    let wanted = |order: &Order| {
        id.is_none_or(|id| order.id == id)
            && requestor.is_none_or(|user| order.requestor_id == user)
            && status.is_none_or(|status| order.status.eq_ignore_ascii_case(status))
    };
    let clients: Box<dyn Iterator<Item = u64> + '_> = match (client, id) {
        (Some(client), _) => Box::new(std::iter::once(client)),
        (None, Some(id)) => Box::new(store.client_of(Table::Order, id).into_iter()),
        (None, None) => Box::new(store.client_ids()),
    };
    let mut found: Vec<_> = clients
        .filter_map(|client| store.account(client))
        .flat_map(|account| {
            let rows = account.orders.iter().filter(|order| wanted(order));
            rows.map(|order| ((order.date, order.id), row(&account, order))).collect::<Vec<_>>()
        })
        .collect();
    found.sort_by_key(|(newest, _)| std::cmp::Reverse(*newest));
    let total = found.len() as u64;
    Ok(page.answer(total, "orders", "order", page.cut(found.into_iter().map(|(_, row)| row))))
}

fn row(account: &Account, order: &Order) -> Value {
    let currency = installation::currency(account.client.currency);
    let invoice = account.invoice(order.invoiceid);
    json!({
        "id": order.id, "ordernum": order.ordernum, "userid": account.client.id, "contactid": order.contactid,
        "requestor_id": order.requestor_id, "admin_requestor_id": 0, "date": date_time(order.date),
        "nameservers": "", "transfersecret": "", "renewals": "",
        "renewalsByType": {"domains": [], "services": [], "addons": []},
        "promocode": order.promocode, "promotype": "", "promovalue": "", "orderdata": "[]",
        "amount": money(order.amount), "paymentmethod": order.paymentmethod, "invoiceid": order.invoiceid,
        "status": order.status, "ipaddress": order.ipaddress, "fraudmodule": "", "fraudoutput": "", "frauddata": "",
        "validationdata": "", "notes": order.notes,
        "paymentmethodname": installation::gateway_name(&order.paymentmethod),
        "paymentstatus": invoice.map_or("No Invoice", |invoice| &invoice.status),
        "name": account.client.fullname(), "currencyprefix": currency.prefix, "currencysuffix": currency.suffix,
        "lineitems": {"lineitem": lines(account, order)},
    })
}

fn lines(account: &Account, order: &Order) -> Vec<Value> {
    order
        .service_ids
        .iter()
        .filter_map(|id| account.service(*id))
        .map(|service| {
            let product = installation::product(service.pid);
            let name = product.map(|product| format!("{} - {}", product.whmcs_group, product.name));
            json!({
                "type": "product", "relid": service.id, "producttype": "Other Product/Service",
                "product": name.unwrap_or_default(), "domain": service.domain,
                "billingcycle": service.billingcycle, "amount": money(service.firstpaymentamount),
                "status": service.status,
            })
        })
        .collect()
}

/// `GetOrderStatuses`, with how many orders are in each.
pub fn get_order_statuses(store: &Store, _: &Call<'_>) -> Reply {
    let mut counts = vec![0_u64; installation::ORDER_STATUSES.len()];
    for account in store.client_ids().filter_map(|id| store.account(id)) {
        for order in &account.orders {
            if let Some(at) = installation::ORDER_STATUSES.iter().position(|status| *status == order.status) {
                counts[at] += 1;
            }
        }
    }
    let rows: Vec<Value> = installation::ORDER_STATUSES
        .iter()
        .zip(counts)
        .map(|(title, count)| json!({"title": title, "count": count}))
        .collect();
    Ok(json!({"totalresults": rows.len(), "statuses": {"status": rows}}))
}
