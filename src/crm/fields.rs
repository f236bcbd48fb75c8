//! The field map: what an installation calls each custom field.

macro_rules! field_map {
    ($($(#[$doc:meta])* $logical:ident: $object:literal . $default:literal,)*) => {
        /// Names of custom fields in the CRM, by what they mean. Every installation may differ
        /// (domain reference §29); `portal-gateway check` holds the names against the CRM's own
        /// description.
        #[derive(Clone, Debug)]
        pub struct FieldMap {
            $($(#[$doc])* pub $logical: String,)*
        }

        impl Default for FieldMap {
            fn default() -> Self {
                Self { $($logical: $default.to_owned(),)* }
            }
        }

        impl FieldMap {
            /// Every logical name with its object and default.
            pub const FIELDS: &'static [(&'static str, &'static str, &'static str)] =
                &[$((stringify!($logical), $object, $default),)*];

            /// Gives a field another name. False when there is no such logical name.
            pub fn set(&mut self, logical: &str, name: String) -> bool {
                match logical {
                    $(stringify!($logical) => self.$logical = name,)*
                    _ => return false,
                }
                true
            }

            /// Each object with the names that are used of it.
            pub fn used(&self) -> Vec<(&'static str, &str)> {
                vec![$(($object, self.$logical.as_str()),)*]
            }
        }
    };
}

field_map! {
    /// The internet offering that staff granted at the customer's address.
    account_eligibility: "Account"."Internet_Eligibility__c",
    /// Where the check of the address stands.
    account_eligibility_status: "Account"."Internet_Eligibility_Status__c",
    /// When the check was asked for.
    account_eligibility_requested_at: "Account"."Internet_Eligibility_Request_Date_Time__c",
    /// The id of the case in which staff check it.
    account_eligibility_case: "Account"."Internet_Eligibility_Case_Id__c",
    /// The customer number: a key of the object.
    account_customer_number: "Account"."SF_Account_No__c",
    /// The client in billing, as `#<client> - <name>`.
    account_billing_client: "Account"."WH_Account__c",
    /// Whether the customer uses the portal.
    account_portal_status: "Account"."Portal_Status__c",
    /// How the customer came to the portal.
    account_portal_source: "Account"."Portal_Registration_Source__c",
    /// When the customer last signed in.
    account_portal_last_sign_in: "Account"."Portal_Last_SignIn__c",
    /// The sex of the person.
    account_sex: "Account"."Sex__pc",
    /// The address in Japanese: town, block numbers, building and room.
    account_street: "Account"."BillingStreet",
    /// The address in Japanese: city or ward.
    account_city: "Account"."BillingCity",
    /// The address in Japanese: prefecture.
    account_state: "Account"."BillingState",
    /// The address in Japanese: postal code.
    account_postal_code: "Account"."BillingPostalCode",
    /// The address in Japanese: country.
    account_country: "Account"."BillingCountry",
    /// What is ordered: Internet, SIM, VPN.
    order_type: "Order"."Order_Type__c",
    /// Immediate or scheduled.
    order_activation_type: "Order"."Activation_Type__c",
    /// When a scheduled activation is due.
    order_activation_scheduled_at: "Order"."Activation_Scheduled_At__c",
    /// Where the activation stands.
    order_activation_status: "Order"."Activation_Status__c",
    /// Why it failed, as a code.
    order_activation_error_code: "Order"."Activation_Error_Code__c",
    /// Whether the customer changed the address while ordering.
    order_address_changed: "Order"."Address_Changed__c",
    /// The subscription that a line became.
    order_item_service: "OrderItem"."WHMCS_Service_ID__c",
    /// How often a line is billed.
    order_item_billing_cycle: "OrderItem"."Billing_Cycle__c",
    /// What an opportunity is about: Internet, SIM, VPN.
    opportunity_product: "Opportunity"."CommodityType__c",
    /// Where an opportunity began.
    opportunity_source: "Opportunity"."Opportunity_Source__c",
    /// How far staff came with it.
    opportunity_application_stage: "Opportunity"."Application_Stage__c",
    /// The subscription that an opportunity became.
    opportunity_service: "Opportunity"."WHMCS_Service_ID__c",
    /// The key of an opportunity that the portal opened: a key of the object.
    opportunity_key: "Opportunity"."Portal_Opportunity_Key__c",
    /// The opportunity to which a case belongs.
    case_opportunity: "Case"."Opportunity__c",
    /// The subscription that a case is about.
    case_service: "Case"."WHMCS_Service_ID__c",
    /// The key of a case that the portal opened: a key of the object.
    case_key: "Case"."Portal_Case_Key__c",
    /// Who wrote a comment: the customer or support.
    comment_author: "CaseComment"."Portal_Author__c",
}
