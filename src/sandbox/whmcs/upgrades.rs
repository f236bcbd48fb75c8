//! Changing a service to another product.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::sandbox::whmcs::account::{Invoice, Item, Order, cents};
use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::installation;
use crate::sandbox::whmcs::invoice_edit::{Opening, open_invoice, tax_rate};
use crate::sandbox::whmcs::modules::{self, Command};
use crate::sandbox::whmcs::payments::cycle_months;
use crate::sandbox::whmcs::reply::{Reply, error, extend, refuse};
use crate::sandbox::whmcs::service_edit::target;
use crate::sandbox::whmcs::store::{Store, Table};

/// `UpgradeProduct`. The difference is billed for the days until the next due date; a free change happens at once.
pub fn upgrade_product(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let (client, id) = target(store, call)?;
    let account = store.account(client).ok_or_else(error("Service ID Not Found"))?;
    let service = account.service(id).cloned().ok_or_else(error("Service ID Not Found"))?;
    let waits = account.invoices.iter().any(|invoice| {
        invoice.status == "Unpaid"
            && invoice.items.iter().any(|item| item.kind == "Upgrade" && item.relid == id)
    });
    let (currency, owner) = (account.client.currency, account.client.owner_user_id);
    drop(account);
    if waits {
        return refuse(
            "You cannot currently upgrade or downgrade this product because an invoice has already been generated for the next renewal. To proceed, please first pay the outstanding invoice.",
        );
    }
    let gateway = params.text("paymentmethod").unwrap_or_default();
    if installation::gateway(gateway).is_none() {
        return refuse(installation::invalid_gateway());
    }
    let new = match params.text("type") {
        Some("product") => installation::product(params.id("newproductid").unwrap_or(0)),
        // No product of this catalogue has options.
        Some("configoptions") => return Ok(json!({"price": installation::display(Decimal::ZERO, currency)})),
        _ => return refuse("Invalid Upgrade Type"),
    };
    let new = new.ok_or_else(error("Invalid Upgrade Type"))?;
    let cycle = params.text("newproductbillingcycle").unwrap_or(&service.billingcycle).to_owned();
    let new_price =
        installation::price(new, &cycle, currency).ok_or_else(error("Invalid Billing Cycle Requested"))?;
    let today = store.today();
    let days = service.nextduedate.map_or(0, |due| (due - today).num_days().max(0));
    let total_days = i64::from(cycle_months(&service.billingcycle).unwrap_or(1)) * 30;
    let share = Decimal::from(days.min(total_days)) / Decimal::from(total_days);
    let price = cents((new_price - service.recurringamount).max(Decimal::ZERO) * share);
    let old_name = installation::product(service.pid).map_or("", |product| product.name);
    let new_pid = u64::from(new.whmcs_pid);
    let mut answer = json!({
        "oldproductid": service.pid, "oldproductname": old_name, "newproductid": new_pid, "newproductname": new.name,
        "daysuntilrenewal": days, "totaldays": total_days,
        "newproductbillingcycle": installation::normal_cycle(&cycle), "price": installation::display(price, currency),
    });
    if params.flag("calconly") {
        extend(&mut answer, json!({"upgradeinprogress": 0}));
        return Ok(answer);
    }
    let invoice = (!price.is_zero()).then(|| {
        let item = Item {
            kind: "Upgrade".to_owned(),
            relid: id,
            description: format!("Upgrade: {old_name} => {}", new.name),
            amount: price,
            taxed: true,
            ..Item::default()
        };
        let row = Invoice {
            items: vec![item],
            taxrate: tax_rate(store, client),
            paymentmethod: gateway.to_owned(),
            ..Invoice::default()
        };
        let opening = Opening { source: "api", mail: true, number: call.dialect.number_on_payment };
        open_invoice(store, client, row, opening)
    });
    let order_id = store.mint(Table::Order, client);
    let order = Order {
        id: order_id,
        ordernum: installation::order_number(order_id),
        requestor_id: owner,
        date: Some(store.now()),
        amount: price,
        paymentmethod: gateway.to_owned(),
        invoiceid: invoice.unwrap_or(0),
        status: "Pending".to_owned(),
        ..Order::default()
    };
    let number = order.ordernum;
    let upgrade = store.mint(Table::Upgrade, client);
    let account = store.account_mut(client).ok_or_else(error("Service ID Not Found"))?;
    account.orders.push(order);
    if let Some(row) = account.service_mut(id) {
        row.pid = new_pid;
        row.recurringamount = new_price;
        if let Some(cycle) = installation::spelled_cycle(&cycle) {
            cycle.clone_into(&mut row.billingcycle);
        }
    }
    modules::run(store, client, id, Command::ChangePackage);
    store.fire("AfterProductUpgrade", json!({"upgradeid": upgrade}));
    extend(
        &mut answer,
        json!({
            "id": upgrade, "orderid": order_id, "order_number": number,
            "invoiceid": invoice.map_or(Value::Null, Value::from),
        }),
    );
    Ok(answer)
}
