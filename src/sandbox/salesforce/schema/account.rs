//! Accounts of persons and businesses, contacts, opportunities.

use crate::sandbox::salesforce::schema::{
    Draft, Home,
    field::{
        address, boolean, currency, date, datetime, email, percent, phone, picklist, reference, text,
        text_area, url,
    },
};

/// Values of `Sex__c`.
const SEX: &[&str] = &["男性", "女性", "Other"];

/// Stages of an opportunity: open, won, lost. Source: domain reference §12.
pub const STAGES: &[&str] =
    &["Introduction", "Ready", "Post Processing", "Active", "Cancelling", "Cancelled", "Void"];

/// Values of a cancellation notice: received, not yet, not required, relocation.
const NOTICE: &[&str] = &["有", "未", "不要", "移転"];

/// Account.
pub(crate) fn account() -> Draft {
    Draft::new(["Account", "Account", "Accounts", "001"], Home::Customer)
        .fields([
            text("Name", 255).required().label("Account Name"),
            boolean("IsPersonAccount").read_only(),
            text("LastName", 80),
            text("FirstName", 40),
            picklist("Salutation", &["Mr.", "Ms.", "Mrs.", "Dr.", "Prof."]),
            reference("RecordTypeId", "RecordType", &["RecordType"]).label("Record Type ID"),
            text("AccountNumber", 40),
            picklist("Type", &["Customer", "Prospect", "Partner", "Other"]).label("Account Type"),
            phone("Phone").label("Account Phone"),
            url("Website"),
            text_area("Description", 32_000).label("Account Description"),
            reference("OwnerId", "Owner", &["User"]).label("Owner ID"),
            reference("ParentId", "Parent", &["Account"]).label("Parent Account ID"),
            reference("PersonContactId", "PersonContact", &["Contact"]).read_only(),
            email("PersonEmail").label("Email"),
            phone("PersonMobilePhone").label("Mobile"),
            date("PersonBirthdate").label("Birthdate"),
        ])
        .fields(address([
            "BillingStreet",
            "BillingCity",
            "BillingState",
            "BillingPostalCode",
            "BillingCountry",
            "BillingAddress",
        ]))
        .fields(address([
            "ShippingStreet",
            "ShippingCity",
            "ShippingState",
            "ShippingPostalCode",
            "ShippingCountry",
            "ShippingAddress",
        ]))
        .fields(address([
            "PersonMailingStreet",
            "PersonMailingCity",
            "PersonMailingState",
            "PersonMailingPostalCode",
            "PersonMailingCountry",
            "PersonMailingAddress",
        ]))
        .fields([
            text("SF_Account_No__c", 30).external_key(),
            text("WH_Account__c", 255),
            picklist("Portal_Status__c", &["Active", "Not Yet", "Migrated", "Closed"]),
            picklist("Portal_Registration_Source__c", &["New Signup", "Migrated", "Staff"]),
            datetime("Portal_Last_SignIn__c"),
            text("Internet_Eligibility__c", 255),
            picklist("Internet_Eligibility_Status__c", &["Pending", "Checked", "Eligible", "Ineligible"]),
            datetime("Internet_Eligibility_Request_Date_Time__c"),
            datetime("Internet_Eligibility_Checked_Date_Time__c"),
            text("Internet_Eligibility_Case_Id__c", 18),
            text_area("Internet_Eligibility_Notes__c", 32_000),
            picklist("Id_Verification_Status__c", &["Not Submitted", "Submitted", "Verified", "Rejected"]),
            datetime("Id_Verification_Submitted_Date_Time__c"),
            datetime("Id_Verification_Verified_Date_Time__c"),
            text("Id_Verification_Rejection_Message__c", 255),
            picklist("Sex__pc", SEX),
        ])
        .child("Contacts", "Contact", "AccountId")
        .child("ChildAccounts", "Account", "ParentId")
        .owns("Opportunities", "Opportunity", "AccountId")
        .child("Orders", "Order", "AccountId")
        .child("Cases", "Case", "AccountId")
        .owns("Attachments", "Attachment", "ParentId")
        .owns("ContentDocumentLinks", "ContentDocumentLink", "LinkedEntityId")
        .child("Assigned_SIMs__r", "SIM_Inventory__c", "Assigned_Account__c")
}

/// Contact.
pub(crate) fn contact() -> Draft {
    Draft::new(["Contact", "Contact", "Contacts", "003"], Home::Customer)
        .fields([
            text("Name", 121).read_only().label("Full Name"),
            text("LastName", 80).required(),
            text("FirstName", 40),
            picklist("Salutation", &["Mr.", "Ms.", "Mrs.", "Dr.", "Prof."]),
            reference("AccountId", "Account", &["Account"]),
            boolean("IsPersonAccount").read_only(),
            email("Email"),
            phone("Phone").label("Business Phone"),
            phone("MobilePhone"),
            date("Birthdate"),
            text("Title", 128),
            text_area("Description", 32_000).label("Contact Description"),
            reference("OwnerId", "Owner", &["User"]).label("Owner ID"),
            picklist("Sex__c", SEX),
        ])
        .fields(address([
            "MailingStreet",
            "MailingCity",
            "MailingState",
            "MailingPostalCode",
            "MailingCountry",
            "MailingAddress",
        ]))
        .child("Cases", "Case", "ContactId")
        .owns("Attachments", "Attachment", "ParentId")
        .owns("ContentDocumentLinks", "ContentDocumentLink", "LinkedEntityId")
}

/// Opportunity.
pub(crate) fn opportunity() -> Draft {
    Draft::new(["Opportunity", "Opportunity", "Opportunities", "006"], Home::Customer)
        .fields([
            text("Name", 120).required(),
            reference("AccountId", "Account", &["Account"]),
            picklist("StageName", STAGES).required().label("Stage"),
            date("CloseDate").required(),
            currency("Amount"),
            percent("Probability").read_only(),
            boolean("IsClosed").read_only(),
            boolean("IsWon").read_only(),
            reference("Pricebook2Id", "Pricebook2", &["Pricebook2"]).label("Price Book ID"),
            reference("RecordTypeId", "RecordType", &["RecordType"]).label("Record Type ID"),
            reference("OwnerId", "Owner", &["User"]).label("Owner ID"),
            text_area("Description", 32_000),
            picklist("Type", &["New Business", "Existing Business"]).label("Opportunity Type"),
            picklist("LeadSource", &["Web", "Phone", "Portal", "Other"]),
            picklist("Application_Stage__c", &["INTRO-1", "UNRESPONSIVE-1", "N/A"]),
            picklist("CommodityType__c", &["Internet", "SIM", "VPN", "Other"]),
            picklist(
                "Opportunity_Source__c",
                &[
                    "Portal - Internet Eligibility Request",
                    "Portal - SIM Checkout Registration",
                    "Portal - Order Placement",
                    "Staff",
                ],
            ),
            foreign_key("WHMCS_Service_ID__c"),
            text("Portal_Opportunity_Key__c", 80).external_key(),
            text("WH_Registeration__c", 255),
            datetime("ScheduledCancellationDateAndTime__c"),
            picklist("CancellationNotice__c", NOTICE),
            picklist("LineReturn__c", &["NotYet", "SentKit", "AS/Pickup debit", "Returned", "Closed", "N/A"]),
            picklist("SIMCancellationNotice__c", NOTICE),
            datetime("SIMScheduledCancellationDateAndTime__c"),
        ])
        .child("Orders", "Order", "OpportunityId")
        .owns("Attachments", "Attachment", "ParentId")
        .owns("ContentDocumentLinks", "ContentDocumentLink", "LinkedEntityId")
}

/// The id of a record in another system: a key for upsert, not unique.
fn foreign_key(name: &'static str) -> crate::sandbox::salesforce::schema::field::Field {
    let mut field = text(name, 20);
    field.external_id = true;
    field.id_lookup = true;
    field
}
