//! Products, currencies and gateways: reads.

use serde_json::{Value, json};

use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::installation::{self, CURRENCIES, GATEWAYS, SERVICE_FIELDS, service_field};
use crate::sandbox::whmcs::params::leading_number;
use crate::sandbox::whmcs::reply::{Reply, money};
use crate::sandbox::whmcs::store::Store;
use crate::sandbox::world::Product;

/// `GetProducts`. An unknown id is a success without rows.
pub fn get_products(store: &Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let list = |name: &str| -> Option<Vec<u64>> {
        params.text(name).map(|text| text.split(',').filter_map(|part| leading_number(part.trim())).collect())
    };
    let (pids, groups, module) = (list("pid"), list("gid"), params.text("module"));
    let rows: Vec<Value> = store
        .core
        .world
        .catalogue()
        .iter()
        .filter(|product| pids.as_ref().is_none_or(|pids| pids.contains(&u64::from(product.whmcs_pid))))
        .filter(|product| {
            groups.as_ref().is_none_or(|groups| groups.contains(&installation::group_id(product.whmcs_group)))
        })
        .filter(|product| module.is_none_or(|module| installation::module(product) == module))
        .map(row)
        .collect();
    Ok(json!({
        "totalresults": rows.len(), "startnumber": 0, "numreturned": rows.len(), "products": {"product": rows},
    }))
}

fn row(product: &Product) -> Value {
    let pid = u64::from(product.whmcs_pid);
    let slug = product.sku.to_ascii_lowercase();
    let fields: Vec<Value> = SERVICE_FIELDS
        .iter()
        .map(|name| json!({"id": service_field(pid, name), "name": name, "description": "", "required": ""}))
        .collect();
    let pricing = CURRENCIES.iter().map(|currency| (currency.code.to_owned(), pricing(product, currency)));
    json!({
        "pid": pid, "gid": installation::group_id(product.whmcs_group), "type": "other", "name": product.name,
        "slug": slug, "product_url": format!("/store/{slug}"), "description": "", "module": installation::module(product),
        "paytype": if product.is_onetime() { "onetime" } else { "recurring" }, "allowqty": 0, "quantity_available": 0,
        "pricing": Value::Object(pricing.collect()), "customfields": {"customfield": fields},
        "configoptions": {"configoption": []},
    })
}

/// One-time prices sit in the monthly column; `-1.00` means that a cycle is not offered.
fn pricing(product: &Product, currency: &installation::Currency) -> Value {
    json!({
        "prefix": currency.prefix, "suffix": currency.suffix,
        "msetupfee": "0.00", "qsetupfee": "0.00", "ssetupfee": "0.00", "asetupfee": "0.00", "bsetupfee": "0.00",
        "tsetupfee": "0.00", "monthly": money(installation::in_currency(product.price(), currency.id)),
        "quarterly": "-1.00", "semiannually": "-1.00", "annually": "-1.00", "biennially": "-1.00",
        "triennially": "-1.00",
    })
}

/// `GetCurrencies`.
pub fn get_currencies(_: &Store, _: &Call<'_>) -> Reply {
    let rows: Vec<Value> = CURRENCIES
        .iter()
        .map(|currency| {
            json!({
                "id": currency.id, "code": currency.code, "prefix": currency.prefix, "suffix": currency.suffix,
                "format": currency.format, "rate": currency.rate,
            })
        })
        .collect();
    Ok(json!({"totalresults": rows.len(), "currencies": {"currency": rows}}))
}

/// `GetPaymentMethods`.
pub fn get_payment_methods(_: &Store, _: &Call<'_>) -> Reply {
    let rows: Vec<Value> = GATEWAYS
        .iter()
        .map(|gateway| json!({"module": gateway.module, "displayname": gateway.name}))
        .collect();
    Ok(json!({"totalresults": rows.len(), "paymentmethods": {"paymentmethod": rows}}))
}
