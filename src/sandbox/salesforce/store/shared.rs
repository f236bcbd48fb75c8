//! Records that belong to no customer: the catalogue, SIM cards in stock, users, the organisation.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Days, Utc};
use serde_json::Value;

use crate::sandbox::{
    credentials::SALESFORCE_USERNAME,
    salesforce::store::{
        record::Record,
        seed::{
            audited, integration_user, midnight, number, person_record_type, portal_pricebook, staff_user,
        },
    },
    world::{
        Product, World,
        ids::{prefix, sf_id},
    },
};

/// SIM cards in stock.
const CARDS: u32 = 200;

/// `k` of the standard price book; its entries' `k` is this far above the portal's.
const STANDARD: u32 = 2;
const STANDARD_ENTRIES: u32 = 1_000;

/// Shared records by object.
pub type Shared = HashMap<&'static str, Vec<Arc<Record>>>;

/// The id of the organisation.
pub fn organization_id() -> String {
    sf_id(prefix::ORGANIZATION, 0, 1)
}

/// The queue that new cases go to.
pub fn support_queue() -> String {
    sf_id("00G", 0, 1)
}

/// The standard price book.
pub fn standard_pricebook() -> String {
    sf_id(prefix::PRICEBOOK, 0, STANDARD)
}

/// Makes the shared records.
pub fn make(world: &World) -> Shared {
    let at = midnight(world.today - Days::new(900));
    let products = world.catalogue();
    let mut records: Vec<Option<Record>> = Vec::new();
    records.extend(products.iter().map(|item| product(item, at)));
    for (k, name, is_standard) in [(1, "Portal", false), (STANDARD, "Standard Price Book", true)] {
        let book = audited("Pricebook2", &sf_id(prefix::PRICEBOOK, 0, k), at, at, &staff_user());
        records.push(
            book.map(|book| book.with("Name", name).with("IsActive", true).with("IsStandard", is_standard)),
        );
    }
    records.extend(products.iter().map(|item| entry(item, item.index, &portal_pricebook(), at)));
    records.extend(
        products.iter().map(|item| entry(item, STANDARD_ENTRIES + item.index, &standard_pricebook(), at)),
    );
    records.extend((1..=CARDS).map(|k| card(k, at)));
    records.extend(people(at));
    records.push(audited("Organization", &organization_id(), at, at, &staff_user()).map(|org| {
        org.with("Name", "Portal Sandbox")
            .with("IsSandbox", true)
            .with("InstanceName", "SBX0")
            .with("OrganizationType", "Enterprise Edition")
            .with("TimeZoneSidKey", "Asia/Tokyo")
            .with("LanguageLocaleKey", "en_US")
            .with("DefaultLocaleSidKey", "ja_JP")
            .with("Country", "JP")
    }));
    records.push(
        audited("Group", &support_queue(), at, at, &staff_user()).map(|queue| {
            queue.with("Name", "Support").with("DeveloperName", "Support").with("Type", "Queue")
        }),
    );
    records.push(audited("RecordType", &person_record_type(), at, at, &staff_user()).map(|kind| {
        kind.with("Name", "Person Account")
            .with("DeveloperName", "PersonAccount")
            .with("SobjectType", "Account")
            .with("IsActive", true)
            .with("IsPersonType", true)
    }));
    let mut shared = Shared::new();
    for record in records.into_iter().flatten() {
        shared.entry(record.object.name).or_default().push(Arc::new(record));
    }
    shared
}

fn product(product: &Product, at: DateTime<Utc>) -> Option<Record> {
    let id = sf_id(prefix::PRODUCT, 0, product.index);
    let is_internet_plan = product.tier.is_some();
    Some(
        audited("Product2", &id, at, at, &staff_user())?
            .with("Name", product.name)
            .with("ProductCode", product.sku)
            .with("StockKeepingUnit", product.sku)
            .with("IsActive", true)
            .with("Family", product.category)
            .with("Product2Categories1__c", product.category)
            .with("Item_Class__c", product.item_class)
            .with("Billing_Cycle__c", product.billing_cycle)
            .with("WH_Product_ID__c", f64::from(product.whmcs_pid))
            .with("WH_Product_Name__c", product.name)
            .with("Internet_Plan_Tier__c", product.tier)
            .with("Internet_Offering_Type__c", product.offering)
            .with(
                "Internet_Monthly_Price__c",
                if is_internet_plan { number(product.price()) } else { Value::Null },
            )
            .with("SIM_Data_Size__c", product.data_size)
            .with("SIM_Plan_Type__c", product.plan_type)
            .with("SIM_Has_Family_Discount__c", product.has_family_discount)
            .with("VPN_Region__c", product.region)
            .with("Is_Default__c", product.is_default)
            .with("Auto_Add__c", product.auto_add)
            .with("Portal_Catalog__c", product.portal_catalog)
            .with("Portal_Accessible__c", product.portal_accessible)
            .with("Display_Order__c", f64::from(product.display_order))
            .with("Catalog_Order__c", f64::from(product.display_order)),
    )
}

fn entry(product: &Product, k: u32, book: &str, at: DateTime<Utc>) -> Option<Record> {
    Some(
        audited("PricebookEntry", &sf_id(prefix::PRICEBOOK_ENTRY, 0, k), at, at, &staff_user())?
            .with("Name", product.name)
            .with("ProductCode", product.sku)
            .with("Pricebook2Id", book)
            .with("Product2Id", sf_id(prefix::PRODUCT, 0, product.index))
            .with("UnitPrice", number(product.price()))
            .with("IsActive", true),
    )
}

fn card(k: u32, at: DateTime<Utc>) -> Option<Record> {
    Some(
        audited("SIM_Inventory__c", &sf_id("a0S", 0, k), at, at, &staff_user())?
            .with("Name", format!("SIM-{k:05}"))
            .with("Phone_Number__c", format!("0809999{k:04}"))
            .with("PT_Number__c", format!("PT0220024{k:06}"))
            .with("Status__c", "Available")
            .with("SIM_Type__c", "Physical SIM")
            .with("Batch__c", 1),
    )
}

fn people(at: DateTime<Utc>) -> [Option<Record>; 2] {
    let user = |id: &str, username: &str, first: &str, last: &str, alias: &str| {
        audited("User", id, at, at, id).map(|user| {
            user.with("Username", username)
                .with("Name", format!("{first} {last}"))
                .with("FirstName", first)
                .with("LastName", last)
                .with("Email", username)
                .with("Alias", alias)
                .with("IsActive", true)
                .with("UserType", "Standard")
                .with("TimeZoneSidKey", "Asia/Tokyo")
                .with("LocaleSidKey", "ja_JP")
                .with("LanguageLocaleKey", "en_US")
        })
    };
    [
        user(&integration_user(), SALESFORCE_USERNAME, "Portal", "Gateway", "gateway"),
        user(&staff_user(), "support@portal.sandbox", "Hanako", "Support", "support"),
    ]
}
