//! What an object does on its own when a record of it is written. Source: Salesforce reference §16.

use serde_json::{Value, json};

use crate::{
    id::RecordId,
    sandbox::salesforce::{
        refusal::Refusal,
        schema::{
            known,
            order::{ACTIVATED_STATUSES, APPROVED_STATUSES, DRAFT_STATUSES},
        },
        store::{
            Record,
            record::instant,
            seed::person_record_type,
            shared::{standard_pricebook, support_queue},
        },
        write::{Writer, files},
    },
};

type Result<T> = std::result::Result<T, Refusal>;

/// Sets an opportunity's stage with what follows from it.
pub fn set_stage(record: &mut Record, stage: &str) {
    let (probability, is_closed, is_won) = match stage {
        "Introduction" => (10.0, false, false),
        "Ready" => (50.0, false, false),
        "Post Processing" => (80.0, false, false),
        "Active" | "Cancelling" => (100.0, true, true),
        "Cancelled" | "Void" => (0.0, true, false),
        _ => (10.0, false, false),
    };
    record.set("StageName", stage);
    record.set("Probability", probability);
    record.set("IsClosed", is_closed);
    record.set("IsWon", is_won);
}

/// The category of an order's status.
pub fn status_category(status: &str) -> &'static str {
    if ACTIVATED_STATUSES.contains(&status) { "Activated" } else { "Draft" }
}

/// Before a record is stored: derived values, and rules over several fields. `before` is `None` on create.
///
/// # Errors
/// What the object refuses.
pub fn before(writer: &mut Writer<'_>, record: &mut Record, before: Option<&Record>) -> Result<()> {
    match record.object.name {
        "Account" => account(writer, record, before),
        "Contact" => {
            let name = [record.text("FirstName"), record.text("LastName")];
            let name = name.into_iter().flatten().collect::<Vec<_>>().join(" ");
            record.set("Name", name);
            Ok(())
        }
        "Opportunity" => {
            if let Some(stage) = record.text("StageName").map(str::to_owned) {
                set_stage(record, &stage);
            }
            Ok(())
        }
        "PricebookEntry" => entry(writer, record, before),
        "Order" => order(writer, record, before),
        "OrderItem" => order_item(writer, record, before),
        "Case" => case(writer, record, before),
        "EmailMessage" => email(record, before),
        "ContentVersion" => files::version(writer, record, before),
        "ContentDocumentLink" => files::link(writer, record, before),
        "Attachment" => {
            record.set("BodyLength", record.blob.as_ref().map_or(0, bytes::Bytes::len));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// After a record is stored: records that come with it.
///
/// # Errors
/// What those records' objects refuse.
pub fn after(writer: &mut Writer<'_>, id: RecordId, is_new: bool) -> Result<()> {
    let Some(record) = writer.view().get(id) else { return Ok(()) };
    match record.object.name {
        "Account" if record.is("IsPersonAccount") => contact_of(writer, &record),
        "ContentVersion" => files::after_version(writer, &record, is_new),
        _ => Ok(()),
    }
}

/// A person account's name comes from the person's; the paired contact gets its id here.
fn account(writer: &mut Writer<'_>, record: &mut Record, before: Option<&Record>) -> Result<()> {
    let is_person = record.text("RecordTypeId") == Some(person_record_type().as_str())
        || record.text("LastName").is_some()
        || record.is("IsPersonAccount");
    if !is_person {
        return Ok(());
    }
    let was_named = before.map_or(&Value::Null, |before| before.get("Name"));
    if record.get("Name") != was_named {
        let message = "Account: bad field names on insert/update call: Name";
        return Err(Refusal::new("INVALID_FIELD_FOR_INSERT_UPDATE", message).on("Name"));
    }
    if record.text("LastName").is_none() {
        return Err(
            Refusal::new("REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]").on("LastName")
        );
    }
    let name = [record.text("FirstName"), record.text("LastName")]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ");
    record.set("Name", name);
    record.set("IsPersonAccount", true);
    record.set("RecordTypeId", person_record_type());
    if record.text("PersonContactId").is_none()
        && let Some(id) = writer.overlay.new_id(known("Contact"))
    {
        record.set("PersonContactId", id.as_str());
    }
    Ok(())
}

/// Keeps the contact of a person account in step.
fn contact_of(writer: &mut Writer<'_>, account: &Record) -> Result<()> {
    let Some(id) = account.reference("PersonContactId") else { return Ok(()) };
    let existing = writer.view().get(id);
    let mut contact = match &existing {
        Some(contact) => Record::clone(contact),
        None => writer.stamped(Record::new(known("Contact"), id), true),
    };
    for (to, from) in [
        ("Name", "Name"),
        ("LastName", "LastName"),
        ("FirstName", "FirstName"),
        ("Email", "PersonEmail"),
        ("MobilePhone", "PersonMobilePhone"),
        ("Phone", "Phone"),
        ("Birthdate", "PersonBirthdate"),
        ("Sex__c", "Sex__pc"),
        ("MailingStreet", "PersonMailingStreet"),
        ("MailingCity", "PersonMailingCity"),
        ("MailingState", "PersonMailingState"),
        ("MailingPostalCode", "PersonMailingPostalCode"),
        ("MailingCountry", "PersonMailingCountry"),
        ("OwnerId", "OwnerId"),
    ] {
        contact.set(to, account.get(from).clone());
    }
    contact.set("AccountId", account.id.as_str());
    contact.set("IsPersonAccount", true);
    let contact = writer.stamped(contact, existing.is_none());
    writer.overlay.put(contact);
    Ok(())
}

fn integrity(message: &str, field: &str) -> Refusal {
    Refusal::new("FIELD_INTEGRITY_EXCEPTION", message).on(field)
}

/// A price in another book needs one in the standard book first; one price per product and book.
fn entry(writer: &Writer<'_>, record: &mut Record, before: Option<&Record>) -> Result<()> {
    let view = writer.view();
    let product = record.reference("Product2Id").and_then(|id| view.living(id));
    let Some(product) = product else { return Ok(()) };
    record.set("Name", product.get("Name").clone());
    record.set("ProductCode", product.get("ProductCode").clone());
    if before.is_some() {
        return Ok(());
    }
    let prices = view.children(known("PricebookEntry"), "Product2Id", product.id);
    let book = record.text("Pricebook2Id");
    if prices.iter().any(|price| price.text("Pricebook2Id") == book) {
        return Err(Refusal::new(
            "DUPLICATE_VALUE",
            "This price definition already exists in this price book",
        ));
    }
    let standard = standard_pricebook();
    let has_standard = prices.iter().any(|price| price.text("Pricebook2Id") == Some(standard.as_str()));
    if book != Some(standard.as_str()) && !has_standard {
        return Err(Refusal::new(
            "STANDARD_PRICE_NOT_DEFINED",
            "Before creating a custom price, create a standard price.",
        ));
    }
    Ok(())
}

fn order(writer: &mut Writer<'_>, record: &mut Record, before: Option<&Record>) -> Result<()> {
    let status = record.text("Status").unwrap_or_default().to_owned();
    match before {
        None => {
            if !DRAFT_STATUSES.contains(&status.as_str()) && !status.is_empty() {
                return Err(Refusal::new(
                    "FAILED_ACTIVATION",
                    "Choose a valid order status and save again. A new order starts with a status of category Draft.",
                )
                .on("Status"));
            }
            let number = writer.overlay.next_number();
            record.set("OrderNumber", format!("{:08}", 90_000_000 + number));
        }
        Some(before) => {
            let has_items = || !writer.view().children(known("OrderItem"), "OrderId", record.id).is_empty();
            if before.get("Pricebook2Id") != record.get("Pricebook2Id")
                && before.text("Pricebook2Id").is_some()
                && has_items()
            {
                return Err(integrity(
                    "The price book cannot be changed once the order has products.",
                    "Pricebook2Id",
                ));
            }
            if status_category(&status) == "Activated" && before.text("StatusCode") != Some("Activated") {
                if !has_items() {
                    return Err(Refusal::new(
                        "FAILED_ACTIVATION",
                        "An order must have at least one product.",
                    )
                    .on("Status"));
                }
                record.set("ActivatedDate", instant(writer.now));
            }
            // The organisation's own automation; its event follows when the transaction commits.
            if before.get("Status") != record.get("Status") && APPROVED_STATUSES.contains(&status.as_str()) {
                record.set("Activation_Status__c", "Activating");
                record.set("Activation_Error_Code__c", Value::Null);
                record.set("Activation_Error_Message__c", Value::Null);
            }
        }
    }
    record.set("StatusCode", status_category(&status));
    Ok(())
}

/// A line's entry belongs to the order's price book; the rest follows from the entry.
fn order_item(writer: &mut Writer<'_>, record: &mut Record, before: Option<&Record>) -> Result<()> {
    let found = |field: &str| record.reference(field).and_then(|id| writer.view().living(id));
    let (order, entry) = (found("OrderId"), found("PricebookEntryId"));
    if let (Some(order), Some(entry)) = (order, entry) {
        if before.is_none() {
            if order.text("StatusCode") == Some("Activated") {
                return Err(Refusal::new(
                    "FAILED_ACTIVATION",
                    "unable to create a product on an activated order",
                ));
            }
            if order.get("Pricebook2Id") != entry.get("Pricebook2Id") {
                return Err(integrity(
                    "field integrity exception: PricebookEntryId (pricebook entry is in a different pricebook than the \
                     one assigned to the order, or the order has no pricebook)",
                    "PricebookEntryId",
                ));
            }
        }
        record.set("Product2Id", entry.get("Product2Id").clone());
        record.set("ListPrice", entry.get("UnitPrice").clone());
    }
    let price = record.get("UnitPrice").as_f64().zip(record.get("Quantity").as_f64());
    if let Some((price, quantity)) = price {
        if quantity <= 0.0 {
            return Err(integrity("Quantity: must be greater than zero", "Quantity"));
        }
        record.set("TotalPrice", price * quantity);
    }
    if before.is_none() {
        let number = writer.overlay.next_number();
        record.set("OrderItemNumber", format!("{:010}", 9_000_000_000 + number));
    }
    Ok(())
}

/// A contact brings its account; a closing status closes; a new case goes to the queue when rules may assign it.
fn case(writer: &mut Writer<'_>, record: &mut Record, before: Option<&Record>) -> Result<()> {
    if record.text("AccountId").is_none()
        && let Some(contact) = record.reference("ContactId").and_then(|id| writer.view().living(id))
    {
        record.set("AccountId", contact.get("AccountId").clone());
    }
    let is_closed = record.text("Status") == Some("Closed");
    if is_closed != record.is("IsClosed") {
        record.set("ClosedDate", if is_closed { json!(instant(writer.now)) } else { Value::Null });
    }
    record.set("IsClosed", is_closed);
    if before.is_none() {
        let number = writer.overlay.next_number();
        record.set("CaseNumber", format!("{:08}", 90_000_000 + number));
        if writer.assigns {
            record.set("OwnerId", support_queue());
        }
    }
    Ok(())
}

fn email(record: &mut Record, before: Option<&Record>) -> Result<()> {
    if let Some(before) = before {
        let is_draft = before.text("Status") == Some("5");
        let (from, to) = (before.text("Status"), record.text("Status"));
        if !is_draft && from != to && (from, to) != (Some("0"), Some("1")) {
            return Err(integrity("Status: only New can be changed, and only to Read", "Status"));
        }
        return Ok(());
    }
    let subject: String = record.text("Subject").unwrap_or_default().chars().take(255).collect();
    record.set("Name", subject);
    if record.text("RelatedToId").is_none() {
        record.set("RelatedToId", record.get("ParentId").clone());
    }
    if record.text("ParentId").is_none() && record.text("RelatedToId").is_some_and(|id| id.starts_with("500"))
    {
        record.set("ParentId", record.get("RelatedToId").clone());
    }
    Ok(())
}
