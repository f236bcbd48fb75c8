//! From a value of a key field to the customers whose seeded records can have it, without a search.

use crate::sandbox::{
    salesforce::{
        schema::{
            Home, Object,
            field::{Field, Kind},
            object_of,
        },
        store::overlay::CREATED,
    },
    world::{World, ids},
};

/// The customers whose seeded records of an object can have a value in a field. `None`: any.
pub fn customers(world: &World, object: &Object, field: &Field, value: &str) -> Option<Vec<u64>> {
    let there = |n: Option<u64>| Some(n.filter(|n| world.has(*n)).into_iter().collect());
    match field.kind {
        Kind::Id => there(home(value).filter(|(prefix, _)| *prefix == object.prefix).map(|(_, n)| n)),
        Kind::Reference => {
            let target = object_of(value)?;
            if target.home == Home::Customer { there(home(value).map(|(_, n)| n)) } else { None }
        }
        _ => match field.name {
            "PersonEmail" | "Email" => there(world.by_email(value)),
            "SF_Account_No__c" => there(world.by_customer_number(&value.to_ascii_uppercase())),
            "WH_Account__c" => there(billing_client(value)),
            // n * 8 + k, k from 1 to 8.
            "CaseNumber" | "OrderNumber" => {
                there(value.parse::<u64>().ok().map(|number| number.saturating_sub(1) / 8))
            }
            "WHMCS_Service_ID__c" => there(value.parse().ok().map(|id| ids::service_parse(id).0)),
            "WHMCS_Order_ID__c" => there(value.parse().ok().map(|id| ids::whmcs_order_parse(id).0)),
            name if name.starts_with("Portal_") && field.external_id => Some(Vec::new()),
            _ => None,
        },
    }
}

/// The customer of an account's billing mark, `#1005 - Taro Yamada`.
pub fn billing_client(mark: &str) -> Option<u64> {
    let (client, _) = mark.strip_prefix('#')?.split_once(' ')?;
    ids::client_n(client.parse().ok()?)
}

fn home(id: &str) -> Option<(&str, u64)> {
    let (prefix, n, _) = ids::sf_parse(id)?;
    (n > 0 && n < CREATED).then_some((prefix, n))
}
