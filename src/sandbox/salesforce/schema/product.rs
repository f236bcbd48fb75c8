//! Products, price books and their entries.

use crate::sandbox::salesforce::schema::{
    Draft, Home,
    field::{boolean, currency, double, picklist, reference, text, text_area},
};

/// Product2. Source: domain reference §13.2.
pub(crate) fn product() -> Draft {
    Draft::new(["Product2", "Product", "Products", "01t"], Home::Shared)
        .fields([
            text("Name", 255).required().label("Product Name"),
            text("ProductCode", 255),
            text_area("Description", 4_000).label("Product Description"),
            boolean("IsActive").label("Active"),
            picklist("Family", &["Internet", "SIM", "VPN", "None"]).label("Product Family"),
            text("StockKeepingUnit", 180).unique().label("Product SKU"),
            picklist("Product2Categories1__c", &["Internet", "SIM", "VPN", "Other"]),
            picklist("Item_Class__c", &["Service", "Installation", "Add-on", "Activation"]),
            picklist("Billing_Cycle__c", &["Monthly", "Onetime"]),
            double("WH_Product_ID__c"),
            text("WH_Product_Name__c", 255),
            picklist("Internet_Plan_Tier__c", &["Silver", "Gold", "Platinum"]),
            picklist("Internet_Offering_Type__c", &["Home 1G", "Apartment 1G", "Apartment 100M", "Home 10G"]),
            currency("Internet_Monthly_Price__c"),
            text("SIM_Data_Size__c", 40),
            picklist("SIM_Plan_Type__c", &["DataOnly", "DataSmsVoice", "VoiceOnly"]),
            boolean("SIM_Has_Family_Discount__c"),
            picklist("VPN_Region__c", &["USA-SF", "UK-London", "Global"]),
            boolean("Is_Default__c"),
            boolean("Auto_Add__c"),
            boolean("Portal_Catalog__c"),
            boolean("Portal_Accessible__c"),
            double("Display_Order__c"),
            double("Catalog_Order__c"),
            text("Internet_Region__c", 255),
            text_area("Eligibility_Condition__c", 4_000),
            text_area("Required_Products__c", 4_000),
            text_area("Dependent_Products__c", 4_000),
            text_area("Mutually_Exclusive__c", 4_000),
            reference("Bundled_Addon__c", "Bundled_Addon__r", &["Product2"]),
            boolean("Is_Bundled_Addon__c"),
        ])
        .owns("PricebookEntries", "PricebookEntry", "Product2Id")
}

/// Pricebook2.
pub(crate) fn pricebook() -> Draft {
    Draft::new(["Pricebook2", "Price Book", "Price Books", "01s"], Home::Shared)
        .fields([
            text("Name", 255).required().label("Price Book Name"),
            text_area("Description", 255),
            boolean("IsActive").label("Active"),
            boolean("IsStandard").read_only().label("Is Standard Price Book"),
        ])
        .owns("PricebookEntries", "PricebookEntry", "Pricebook2Id")
}

/// PricebookEntry.
pub(crate) fn pricebook_entry() -> Draft {
    Draft::new(["PricebookEntry", "Price Book Entry", "Price Book Entries", "01u"], Home::Shared)
        .fields([
            text("Name", 255).read_only().label("Product Name"),
            text("ProductCode", 255).read_only(),
            reference("Pricebook2Id", "Pricebook2", &["Pricebook2"])
                .required()
                .create_only()
                .label("Price Book ID"),
            reference("Product2Id", "Product2", &["Product2"]).required().create_only().label("Product ID"),
            currency("UnitPrice").required().label("List Price"),
            boolean("IsActive").label("Active"),
            boolean("UseStandardPrice"),
        ])
        .child("OrderItems", "OrderItem", "PricebookEntryId")
}
