//! Files: versions, documents, links; classic attachments.

use crate::sandbox::salesforce::schema::{
    Draft, Home,
    field::{base64, boolean, int, picklist, reference, text, text_area},
};

/// Records that a file may be linked to.
const LINKABLE: &[&str] = &["Account", "Contact", "Opportunity", "Order", "Case", "User", "Organization"];

/// ContentVersion. Source: Salesforce reference §16.6.
pub(crate) fn content_version() -> Draft {
    Draft::new(["ContentVersion", "Content Version", "Content Versions", "068"], Home::Written)
        .named_by("Title")
        .fields([
            text("Title", 255),
            text("PathOnClient", 500).create_only(),
            base64("VersionData").create_only(),
            reference("ContentDocumentId", "ContentDocument", &["ContentDocument"]).create_only(),
            reference("FirstPublishLocationId", "FirstPublishLocation", LINKABLE).create_only(),
            text_area("Description", 1_000),
            picklist("Origin", &["C", "H"]).restricted().create_only().default("H"),
            picklist("ContentLocation", &["S", "E", "L"]).restricted().create_only().default("S"),
            text("ReasonForChange", 1_000),
            text("VersionNumber", 20).read_only(),
            boolean("IsLatest").read_only(),
            int("ContentSize").read_only(),
            text("FileExtension", 40).read_only(),
            text("FileType", 20).read_only(),
            text("Checksum", 50).read_only(),
            reference("OwnerId", "Owner", &["User"]).label("Owner ID"),
            text("Portal_File_Key__c", 80).external_key(),
        ])
}

/// ContentDocument.
pub(crate) fn content_document() -> Draft {
    Draft::new(["ContentDocument", "Content Document", "Content Documents", "069"], Home::Written)
        .named_by("Title")
        .fields([
            text("Title", 255),
            reference("LatestPublishedVersionId", "LatestPublishedVersion", &["ContentVersion"]).read_only(),
            reference("OwnerId", "Owner", &["User"]).label("Owner ID"),
            text_area("Description", 1_000),
            int("ContentSize").read_only(),
            text("FileExtension", 40).read_only(),
            text("FileType", 20).read_only(),
        ])
        .owns("ContentVersions", "ContentVersion", "ContentDocumentId")
        .owns("ContentDocumentLinks", "ContentDocumentLink", "ContentDocumentId")
}

/// ContentDocumentLink.
pub(crate) fn content_document_link() -> Draft {
    Draft::new(
        ["ContentDocumentLink", "Content Document Link", "Content Document Links", "06A"],
        Home::Written,
    )
    .named_by("Id")
    .fields([
        reference("ContentDocumentId", "ContentDocument", &["ContentDocument"]).required().create_only(),
        reference("LinkedEntityId", "LinkedEntity", LINKABLE).required().create_only(),
        picklist("ShareType", &["V", "C", "I"]).restricted().required(),
        picklist("Visibility", &["AllUsers", "InternalUsers", "SharedUsers"])
            .restricted()
            .default("AllUsers"),
    ])
}

/// Attachment.
pub(crate) fn attachment() -> Draft {
    Draft::new(["Attachment", "Attachment", "Attachments", "00P"], Home::Written).fields([
        reference("ParentId", "Parent", &["Account", "Contact", "Opportunity", "Order", "Case"])
            .required()
            .create_only(),
        text("Name", 255).required().label("File Name"),
        base64("Body").required(),
        text("ContentType", 120),
        int("BodyLength").read_only(),
        boolean("IsPrivate").label("Private"),
        text_area("Description", 500),
        reference("OwnerId", "Owner", &["User"]).label("Owner ID"),
    ])
}
