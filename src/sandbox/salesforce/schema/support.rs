//! Cases and their conversation.

use crate::sandbox::salesforce::schema::{
    Draft, Home,
    field::{boolean, datetime, email, phone, picklist, reference, text, text_area},
};

/// Statuses of a case; the last closes it. The organisation uses more than a customer sees.
pub const STATUSES: &[&str] = &[
    "New",
    "In Progress",
    "Awaiting Customer",
    "Awaiting Approval",
    "VPN Pending",
    "Pending Eligibility Check",
    "Pending",
    "Replied",
    "Escalated to NTT",
    "Closed",
];

/// Case. Source: Salesforce reference §16.3.
pub(crate) fn case() -> Draft {
    Draft::new(["Case", "Case", "Cases", "500"], Home::Customer)
        .named_by("CaseNumber")
        .fields([
            text("CaseNumber", 30).auto_number(),
            text("Subject", 255),
            text_area("Description", 32_000),
            picklist("Status", STATUSES).default("New"),
            picklist("Priority", &["High", "Medium", "Low"]).default("Medium"),
            picklist(
                "Origin",
                &["Phone", "Email", "Web", "Portal Support", "Portal Notification", "Eligibility Request"],
            )
            .label("Case Origin"),
            picklist(
                "Type",
                &[
                    "Billing",
                    "Technical",
                    "General",
                    "Internet",
                    "SIM",
                    "VPN",
                    "Account",
                    "Order",
                    "Question",
                    "Problem",
                    "Other",
                ],
            )
            .label("Case Type"),
            picklist("Reason", &["Installation", "Performance", "Breakdown", "Feedback", "Other"])
                .label("Case Reason"),
            reference("AccountId", "Account", &["Account"]),
            reference("ContactId", "Contact", &["Contact"]),
            reference("ParentId", "Parent", &["Case"]).label("Parent Case ID"),
            reference("MasterRecordId", "MasterRecord", &["Case"]).read_only(),
            reference("OwnerId", "Owner", &["User", "Group"]).label("Owner ID"),
            reference("RecordTypeId", "RecordType", &["RecordType"]).label("Record Type ID"),
            boolean("IsClosed").read_only().label("Closed"),
            boolean("IsEscalated").label("Escalated"),
            datetime("ClosedDate").read_only(),
            email("ContactEmail").computed().not_filterable(),
            phone("ContactPhone").computed().not_filterable(),
            phone("ContactMobile").computed().not_filterable(),
            phone("ContactFax").computed().not_filterable(),
            text("SuppliedName", 80).create_only().label("Name"),
            text("SuppliedCompany", 80).create_only().label("Company"),
            email("SuppliedEmail").create_only().label("Email Address"),
            text("SuppliedPhone", 40).create_only().label("Phone"),
            text_area("Comments", 4_000).label("Internal Comments"),
            datetime("LastViewedDate").read_only(),
            datetime("LastReferencedDate").read_only(),
            text("WHMCS_Service_ID__c", 20),
            reference("Opportunity__c", "Opportunity__r", &["Opportunity"]),
            text("Portal_Case_Key__c", 80).external_key(),
        ])
        .owns("CaseComments", "CaseComment", "ParentId")
        .owns("EmailMessages", "EmailMessage", "ParentId")
        .owns("Attachments", "Attachment", "ParentId")
        .owns("ContentDocumentLinks", "ContentDocumentLink", "LinkedEntityId")
        .child("Cases", "Case", "ParentId")
}

/// CaseComment. The body's length counts bytes. Source: Salesforce reference §16.4.
pub(crate) fn case_comment() -> Draft {
    Draft::new(["CaseComment", "Case Comment", "Case Comments", "00a"], Home::Customer).named_by("Id").fields(
        [
            reference("ParentId", "Parent", &["Case"]).required().create_only(),
            text_area("CommentBody", 4_000).in_bytes().create_only().label("Body"),
            boolean("IsPublished").label("Published"),
            boolean("IsNotificationSelected"),
            text("CreatorName", 121).computed().not_filterable(),
            text("CreatorSmallPhotoUrl", 1_024).computed().not_filterable(),
            picklist("Portal_Author__c", &["CUSTOMER", "SUPPORT"]),
        ],
    )
}

/// EmailMessage. Source: Salesforce reference §16.5.
pub(crate) fn email_message() -> Draft {
    Draft::new(["EmailMessage", "Email Message", "Email Messages", "02s"], Home::Customer).fields([
        text("Name", 255).read_only(),
        reference("ParentId", "Parent", &["Case"]).create_only().label("Case ID"),
        reference("RelatedToId", "RelatedTo", &["Case", "Account", "Opportunity", "Order"]).create_only(),
        text("Subject", 3_000).create_only(),
        text_area("TextBody", 32_000).create_only(),
        text_area("HtmlBody", 131_072).create_only(),
        text_area("Headers", 32_000).create_only(),
        text("FromAddress", 1_000).create_only(),
        text("FromName", 1_000).create_only(),
        text_area("ToAddress", 4_000).create_only(),
        text_area("CcAddress", 4_000).create_only(),
        text_area("BccAddress", 4_000).create_only(),
        boolean("Incoming").create_only().label("Is Incoming"),
        picklist("Status", &["0", "1", "2", "3", "4", "5"]).restricted().default("0"),
        datetime("MessageDate").create_only(),
        message_identifier(),
        reference("ReplyToEmailMessageId", "ReplyToEmailMessage", &["EmailMessage"]).create_only(),
        boolean("HasAttachment").read_only(),
        boolean("IsExternallyVisible"),
        boolean("IsPrivateDraft").read_only(),
        boolean("IsBounced").read_only(),
        boolean("IsTracked").read_only(),
        boolean("IsOpened").read_only(),
    ])
}

fn message_identifier() -> crate::sandbox::salesforce::schema::field::Field {
    let mut field = text("MessageIdentifier", 765).create_only();
    field.id_lookup = true;
    field
}
