//! Orders, their lines, and the stock of SIM cards.

use crate::sandbox::salesforce::schema::{
    Draft, Home,
    field::{address, boolean, currency, date, datetime, double, int, picklist, reference, text, text_area},
};

/// Statuses of an order. Those of [`DRAFT_STATUSES`] are of category Draft.
pub const STATUSES: &[&str] = &[
    "Draft",
    "Pending Review",
    "Approved",
    "Activated",
    "Processed",
    "Completed",
    "Rejected",
    "Cancelled",
    "Failed",
];

/// Statuses that a new order may take.
pub const DRAFT_STATUSES: &[&str] = &["Draft", "Pending Review"];

/// Statuses in which lines can no longer be added or removed.
pub const ACTIVATED_STATUSES: &[&str] = &["Activated", "Processed", "Completed"];

/// Statuses on which the organisation asks for an order's fulfilment. Source: domain reference §17.1.
pub const APPROVED_STATUSES: &[&str] = &["Approved", "Reactivate"];

/// Order. Source: domain reference §15, §16.
pub(crate) fn order() -> Draft {
    Draft::new(["Order", "Order", "Orders", "801"], Home::Customer)
        .named_by("OrderNumber")
        .fields([
            text("OrderNumber", 30).auto_number(),
            reference("AccountId", "Account", &["Account"]).required(),
            date("EffectiveDate").required().label("Order Start Date"),
            date("EndDate").label("Order End Date"),
            picklist("Status", STATUSES).required(),
            picklist("StatusCode", &["Draft", "Activated"]).read_only().label("Status Category"),
            picklist("Type", &["Internet", "SIM", "VPN", "Other"]).label("Order Type"),
            text_area("Description", 32_000),
            reference("Pricebook2Id", "Pricebook2", &["Pricebook2"]).label("Price Book ID"),
            reference("OpportunityId", "Opportunity", &["Opportunity"]),
            reference("OwnerId", "Owner", &["User"]).label("Owner ID"),
            currency("TotalAmount").computed().not_filterable().label("Order Amount"),
            datetime("ActivatedDate").read_only(),
            picklist("Order_Type__c", &["Internet", "SIM", "VPN", "Other"]),
            picklist("Activation_Type__c", &["Immediate", "Scheduled"]),
            datetime("Activation_Scheduled_At__c"),
            picklist("Activation_Status__c", &["Not Started", "Activating", "Activated", "Failed"]),
            text("Activation_Error_Code__c", 255),
            text("Activation_Error_Message__c", 255),
            picklist("Internet_Plan_Tier__c", &["Silver", "Gold", "Platinum"]),
            picklist("Installation_Type__c", &["Single Payment", "12-Month", "24-Month"]),
            boolean("Weekend_Install__c"),
            picklist("Access_Mode__c", &["IPoE-HGW", "IPoE-BYOR", "PPPoE"]),
            boolean("Hikari_Denwa__c"),
            picklist("SIM_Type__c", &["Physical SIM", "eSIM"]),
            text("EID__c", 32),
            boolean("SIM_Voice_Mail__c"),
            boolean("SIM_Call_Waiting__c"),
            boolean("MNP_Application__c"),
            text("MNP_Reservation_Number__c", 10),
            date("MNP_Expiry_Date__c"),
            text("MNP_Phone_Number__c", 11),
            text("MVNO_Account_Number__c", 50),
            text("Porting_FirstName__c", 80),
            text("Porting_LastName__c", 80),
            text("Porting_FirstName_Katakana__c", 80),
            text("Porting_LastName_Katakana__c", 80),
            picklist("Porting_Gender__c", &["Male", "Female", "Corporate/Other"]),
            date("Porting_DateOfBirth__c"),
            picklist("VPN_Region__c", &["USA-SF", "UK-London", "Global"]),
            text("WHMCS_Order_ID__c", 20),
            boolean("Address_Changed__c"),
            text("Portal_Order_Key__c", 80).external_key(),
        ])
        .fields(address([
            "BillingStreet",
            "BillingCity",
            "BillingState",
            "BillingPostalCode",
            "BillingCountry",
            "BillingAddress",
        ]))
        .owns("OrderItems", "OrderItem", "OrderId")
        .owns("Attachments", "Attachment", "ParentId")
        .owns("ContentDocumentLinks", "ContentDocumentLink", "LinkedEntityId")
        .child("Assigned_SIMs__r", "SIM_Inventory__c", "Assigned_Order__c")
}

/// OrderItem.
pub(crate) fn order_item() -> Draft {
    Draft::new(["OrderItem", "Order Product", "Order Products", "802"], Home::Customer)
        .named_by("OrderItemNumber")
        .fields([
            text("OrderItemNumber", 30).auto_number().label("Order Product Number"),
            reference("OrderId", "Order", &["Order"]).required().create_only(),
            reference("PricebookEntryId", "PricebookEntry", &["PricebookEntry"])
                .required()
                .create_only()
                .label("Price Book Entry ID"),
            reference("Product2Id", "Product2", &["Product2"]).create_only().label("Product ID"),
            double("Quantity").required(),
            currency("UnitPrice").required(),
            currency("ListPrice").read_only(),
            currency("TotalPrice").read_only(),
            text("Description", 255).label("Line Description"),
            date("ServiceDate").label("Start Date"),
            date("EndDate"),
            foreign_key("WHMCS_Service_ID__c"),
            picklist("Billing_Cycle__c", &["Monthly", "Onetime"]),
        ])
}

/// A physical SIM card in stock. Source: domain reference §17.4.
pub(crate) fn sim_inventory() -> Draft {
    Draft::new(["SIM_Inventory__c", "SIM Inventory", "SIM Inventory", "a0S"], Home::Shared).fields([
        text("Name", 80).auto_number().label("SIM Inventory Number"),
        text("Phone_Number__c", 11).external_key(),
        text("PT_Number__c", 40).external_key().label("Product Number"),
        picklist("Status__c", &["Available", "Reserved", "Assigned", "Retired"])
            .restricted()
            .default("Available"),
        picklist("SIM_Type__c", &["Physical SIM", "eSIM"]),
        reference("Assigned_Account__c", "Assigned_Account__r", &["Account"]),
        reference("Assigned_Order__c", "Assigned_Order__r", &["Order"]),
        int("Batch__c"),
    ])
}

/// The id of a record in another system, and a key for upsert.
fn foreign_key(name: &'static str) -> crate::sandbox::salesforce::schema::field::Field {
    let mut field = text(name, 20);
    field.external_id = true;
    field.id_lookup = true;
    field
}
