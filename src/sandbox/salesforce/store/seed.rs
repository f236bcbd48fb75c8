//! A customer's records as they were before anybody wrote.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde_json::Value;

use crate::{
    id::RecordId,
    sandbox::{
        salesforce::{
            schema::{Object, known},
            store::record::{Record, day, instant},
        },
        world::{
            CaseSeed, Customer, OpportunitySeed, OrderSeed, Sex,
            ids::{self, prefix, sf_id},
        },
    },
};

/// The integration user: whoever writes through the API.
pub fn integration_user() -> String {
    sf_id(prefix::USER, 0, 1)
}

/// A person of the support staff.
pub fn staff_user() -> String {
    sf_id(prefix::USER, 0, 2)
}

/// The record type of person accounts.
pub fn person_record_type() -> String {
    sf_id("012", 0, 1)
}

/// The portal's price book.
pub fn portal_pricebook() -> String {
    sf_id(prefix::PRICEBOOK, 0, 1)
}

/// A number as rows show it.
pub fn number(amount: Decimal) -> Value {
    amount.to_f64().map_or(Value::Null, Value::from)
}

/// A record with its audit fields; `None` only for an id that is none.
pub fn audited(
    object: &'static str,
    id: &str,
    created: DateTime<Utc>,
    modified: DateTime<Utc>,
    by: &str,
) -> Option<Record> {
    let mut record = Record::new(known(object), RecordId::parse(id)?);
    record.set("CreatedDate", instant(created));
    record.set("CreatedById", by);
    record.set("LastModifiedDate", instant(modified));
    record.set("LastModifiedById", by);
    record.set("SystemModstamp", instant(modified));
    Some(record)
}

/// Midnight of a day in Tokyo.
pub fn midnight(date: NaiveDate) -> DateTime<Utc> {
    date.and_time(chrono::NaiveTime::MIN).and_utc() - TimeDelta::hours(9)
}

/// A customer's records of an object.
pub fn records(customer: &Customer, object: &Object) -> Vec<Record> {
    match object.name {
        "Account" => account(customer).into_iter().collect(),
        "Contact" => contact(customer).into_iter().collect(),
        "Opportunity" => {
            customer.opportunities.iter().filter_map(|seed| opportunity(customer, seed)).collect()
        }
        "Order" => customer.orders.iter().filter_map(|seed| order(customer, seed)).collect(),
        "OrderItem" => customer.orders.iter().flat_map(|seed| order_items(customer, seed)).collect(),
        "Case" => customer.cases.iter().filter_map(|seed| case(customer, seed)).collect(),
        "CaseComment" => customer.cases.iter().flat_map(|seed| comments(customer, seed)).collect(),
        "EmailMessage" => customer.cases.iter().flat_map(|seed| emails(customer, seed)).collect(),
        _ => Vec::new(),
    }
}

fn account(customer: &Customer) -> Option<Record> {
    let n = customer.n;
    let at = midnight(customer.registered_on) + TimeDelta::hours(10);
    let record = audited("Account", &sf_id(prefix::ACCOUNT, n, 0), at, at, &integration_user())?
        .with("Name", customer.name())
        .with("IsPersonAccount", true)
        .with("LastName", customer.family)
        .with("FirstName", customer.given)
        .with("RecordTypeId", person_record_type())
        .with("Type", "Customer")
        .with("Phone", customer.phone.as_str())
        .with("OwnerId", integration_user())
        .with("PersonContactId", sf_id(prefix::CONTACT, n, 0))
        .with("PersonEmail", customer.email.as_str())
        .with("PersonMobilePhone", customer.phone.as_str())
        .with("PersonBirthdate", day(customer.birth_date))
        .with("Sex__pc", sex(customer.sex))
        .with("SF_Account_No__c", customer.customer_number.as_str())
        .with("WH_Account__c", format!("#{} - {}", ids::client_id(n), customer.name()))
        .with("Portal_Status__c", "Active")
        .with("Portal_Registration_Source__c", "Migrated");
    let record = match customer.services.iter().find_map(|service| service.product.offering) {
        Some(offering) => record
            .with("Internet_Eligibility__c", offering)
            .with("Internet_Eligibility_Status__c", "Eligible")
            .with("Internet_Eligibility_Checked_Date_Time__c", instant(at + TimeDelta::days(1))),
        None => record,
    };
    Some(in_japanese(record, BILLING, &customer.address))
}

const BILLING: [&str; 5] =
    ["BillingStreet", "BillingCity", "BillingState", "BillingPostalCode", "BillingCountry"];
const MAILING: [&str; 5] =
    ["MailingStreet", "MailingCity", "MailingState", "MailingPostalCode", "MailingCountry"];

fn in_japanese(
    record: Record,
    fields: [&'static str; 5],
    address: &crate::sandbox::world::Address,
) -> Record {
    let [street, city, state, postal_code, country] = fields;
    record
        .with(street, address.street_ja())
        .with(city, address.city_ja)
        .with(state, address.prefecture_ja)
        .with(postal_code, address.postal_code)
        .with(country, "日本")
}

fn sex(sex: Sex) -> &'static str {
    match sex {
        Sex::M => "男性",
        Sex::F => "女性",
    }
}

fn contact(customer: &Customer) -> Option<Record> {
    let at = midnight(customer.registered_on) + TimeDelta::hours(10);
    let record = audited("Contact", &sf_id(prefix::CONTACT, customer.n, 0), at, at, &integration_user())?
        .with("Name", customer.name())
        .with("LastName", customer.family)
        .with("FirstName", customer.given)
        .with("AccountId", sf_id(prefix::ACCOUNT, customer.n, 0))
        .with("IsPersonAccount", true)
        .with("Email", customer.email.as_str())
        .with("Phone", customer.phone.as_str())
        .with("MobilePhone", customer.phone.as_str())
        .with("Birthdate", day(customer.birth_date))
        .with("Sex__c", sex(customer.sex))
        .with("OwnerId", integration_user());
    Some(in_japanese(record, MAILING, &customer.address))
}

fn opportunity(customer: &Customer, seed: &OpportunitySeed) -> Option<Record> {
    let id = sf_id(prefix::OPPORTUNITY, customer.n, seed.k);
    let mut record = audited("Opportunity", &id, seed.created_at, seed.created_at, &integration_user())?
        .with("Name", seed.name.as_str())
        .with("AccountId", sf_id(prefix::ACCOUNT, customer.n, 0))
        .with("CloseDate", day(seed.close_date))
        .with("CommodityType__c", seed.product_type)
        .with("Application_Stage__c", seed.application_stage)
        .with("Opportunity_Source__c", seed.source)
        .with("OwnerId", staff_user());
    crate::sandbox::salesforce::write::rules::set_stage(&mut record, seed.stage);
    if let Some(k) = seed.service_k {
        let service = ids::service_id(customer.n, k).to_string();
        record.set("WHMCS_Service_ID__c", service.as_str());
        record.set("WH_Registeration__c", format!("#{} - {service}", ids::client_id(customer.n)));
    }
    if let Some(date) = seed.cancels_on {
        let at = instant(midnight(date) + TimeDelta::hours(24) - TimeDelta::seconds(1));
        if seed.product_type == "SIM" {
            record.set("SIMScheduledCancellationDateAndTime__c", at);
            record.set("SIMCancellationNotice__c", "有");
        } else {
            record.set("ScheduledCancellationDateAndTime__c", at);
            record.set("CancellationNotice__c", "有");
        }
    }
    Some(record)
}

fn order(customer: &Customer, seed: &OrderSeed) -> Option<Record> {
    let id = sf_id(prefix::ORDER, customer.n, seed.k);
    let record = audited("Order", &id, seed.created_at, seed.modified_at, &integration_user())?
        .with("OrderNumber", seed.number.as_str())
        .with("AccountId", sf_id(prefix::ACCOUNT, customer.n, 0))
        .with("EffectiveDate", day(seed.effective_date))
        .with("Status", seed.status)
        .with("StatusCode", crate::sandbox::salesforce::write::rules::status_category(seed.status))
        .with("Type", seed.order_type)
        .with("Order_Type__c", seed.order_type)
        .with("Pricebook2Id", portal_pricebook())
        .with("OpportunityId", seed.opportunity_k.map(|k| sf_id(prefix::OPPORTUNITY, customer.n, k)))
        .with("OwnerId", integration_user())
        .with("Activation_Type__c", seed.activation_type)
        .with("Activation_Scheduled_At__c", seed.activation_scheduled_at.map(instant))
        .with("Activation_Status__c", seed.activation_status)
        .with("Activation_Error_Code__c", seed.activation_error_code)
        .with("Activation_Error_Message__c", seed.activation_error_message)
        .with(
            "ActivatedDate",
            (seed.activation_status == Some("Activated")).then(|| instant(seed.modified_at)),
        )
        .with("Internet_Plan_Tier__c", seed.plan_tier)
        .with("Installation_Type__c", seed.installation_type)
        .with("Weekend_Install__c", seed.weekend_install)
        .with("Access_Mode__c", seed.access_mode)
        .with("Hikari_Denwa__c", seed.hikari_denwa)
        .with("SIM_Type__c", seed.sim_type)
        .with("EID__c", seed.eid.as_deref())
        .with("SIM_Voice_Mail__c", seed.voice_mail)
        .with("SIM_Call_Waiting__c", seed.call_waiting)
        .with("VPN_Region__c", seed.vpn_region)
        .with("WHMCS_Order_ID__c", seed.whmcs_order.map(|id| id.to_string()))
        .with("Address_Changed__c", seed.address_changed);
    Some(in_japanese(record, BILLING, &seed.address))
}

fn order_items(customer: &Customer, seed: &OrderSeed) -> Vec<Record> {
    let item = |line: &crate::sandbox::world::OrderLineSeed| {
        let id = sf_id(prefix::ORDER_ITEM, customer.n, ids::order_item_k(seed.k, line.line));
        Some(
            audited("OrderItem", &id, seed.created_at, seed.modified_at, &integration_user())?
                .with("OrderItemNumber", format!("{}{:02}", seed.number, line.line))
                .with("OrderId", sf_id(prefix::ORDER, customer.n, seed.k))
                .with("PricebookEntryId", sf_id(prefix::PRICEBOOK_ENTRY, 0, line.product.index))
                .with("Product2Id", sf_id(prefix::PRODUCT, 0, line.product.index))
                .with("Quantity", f64::from(line.quantity))
                .with("UnitPrice", number(line.unit_price))
                .with("ListPrice", number(line.product.price()))
                .with("TotalPrice", number(line.unit_price * Decimal::from(line.quantity)))
                .with("Billing_Cycle__c", line.billing_cycle)
                .with(
                    "WHMCS_Service_ID__c",
                    line.service_k.map(|k| ids::service_id(customer.n, k).to_string()),
                ),
        )
    };
    seed.lines.iter().filter_map(item).collect()
}

fn case(customer: &Customer, seed: &CaseSeed) -> Option<Record> {
    let is_closed = seed.closed_at.is_some();
    let id = sf_id(prefix::CASE, customer.n, seed.k);
    let by = if seed.origin == "Portal Support" { integration_user() } else { staff_user() };
    Some(
        audited("Case", &id, seed.created_at, seed.modified_at, &by)?
            .with("CaseNumber", seed.number.as_str())
            .with("Subject", seed.subject)
            .with("Description", seed.description)
            .with("Status", seed.status)
            .with("Priority", seed.priority)
            .with("Origin", seed.origin)
            .with("Type", seed.kind)
            .with("AccountId", sf_id(prefix::ACCOUNT, customer.n, 0))
            .with("ContactId", sf_id(prefix::CONTACT, customer.n, 0))
            .with("OwnerId", staff_user())
            .with("IsClosed", is_closed)
            .with("ClosedDate", seed.closed_at.map(instant))
            .with("WHMCS_Service_ID__c", seed.service_k.map(|k| ids::service_id(customer.n, k).to_string())),
    )
}

fn comments(customer: &Customer, seed: &CaseSeed) -> Vec<Record> {
    let comment = |(j, comment): (u32, &crate::sandbox::world::CommentSeed)| {
        let id = sf_id(prefix::CASE_COMMENT, customer.n, ids::message_k(seed.k, j));
        let (by, author) =
            if comment.by_customer { (integration_user(), "CUSTOMER") } else { (staff_user(), "SUPPORT") };
        Some(
            audited("CaseComment", &id, comment.at, comment.at, &by)?
                .with("ParentId", sf_id(prefix::CASE, customer.n, seed.k))
                .with("CommentBody", comment.body)
                .with("IsPublished", comment.published)
                .with("Portal_Author__c", author),
        )
    };
    (0..).zip(&seed.comments).filter_map(comment).collect()
}

fn emails(customer: &Customer, seed: &CaseSeed) -> Vec<Record> {
    let email = |(j, email): (u32, &crate::sandbox::world::EmailSeed)| {
        let id = sf_id(prefix::EMAIL_MESSAGE, customer.n, ids::message_k(seed.k, j));
        let support = crate::sandbox::world::cases::SUPPORT_EMAIL;
        let (name, to) = if email.incoming {
            (customer.name(), support)
        } else {
            ("Support".to_owned(), customer.email.as_str())
        };
        Some(
            audited("EmailMessage", &id, email.at, email.at, &staff_user())?
                .with("ParentId", sf_id(prefix::CASE, customer.n, seed.k))
                .with("RelatedToId", sf_id(prefix::CASE, customer.n, seed.k))
                .with("Name", email.subject.chars().take(255).collect::<String>())
                .with("Subject", email.subject.as_str())
                .with("TextBody", email.text_body.as_str())
                .with("FromAddress", email.from.as_str())
                .with("FromName", name)
                .with("ToAddress", to)
                .with("Incoming", email.incoming)
                .with("Status", if email.incoming { "1" } else { "3" })
                .with("MessageDate", instant(email.at))
                .with("IsExternallyVisible", true),
        )
    };
    (0..).zip(&seed.emails).filter_map(email).collect()
}
