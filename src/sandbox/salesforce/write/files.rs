//! Files: a version makes its document, and a link to where it is published first. Source: Salesforce reference §17.

use md5::{Digest, Md5};
use serde_json::Value;

use crate::sandbox::salesforce::{refusal::Refusal, schema::known, store::Record, write::Writer};

type Result<T> = std::result::Result<T, Refusal>;

/// Before a version is stored.
///
/// # Errors
/// A new document without a path.
pub fn version(writer: &mut Writer<'_>, record: &mut Record, before: Option<&Record>) -> Result<()> {
    if before.is_some() {
        return Ok(());
    }
    let document = record.reference("ContentDocumentId");
    let path = record.text("PathOnClient").map(str::to_owned);
    if record.blob.is_none() {
        return Err(missing("VersionData"));
    }
    let Some(path) = path else { return Err(missing("PathOnClient")) };
    let versions = match document {
        Some(document) => writer.view().children(known("ContentVersion"), "ContentDocumentId", document),
        None => Vec::new(),
    };
    if document.is_none()
        && let Some(id) = writer.overlay.new_id(known("ContentDocument"))
    {
        record.set("ContentDocumentId", id.as_str());
    }
    let name = path.rsplit(['/', '\\']).next().unwrap_or(&path);
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    if record.text("Title").is_none() {
        record.set("Title", stem.chars().take(255).collect::<String>());
    }
    let bytes = record.blob.clone().unwrap_or_default();
    record.set("VersionNumber", (versions.len() + 1).to_string());
    record.set("IsLatest", true);
    record.set("ContentSize", bytes.len());
    record.set("FileExtension", extension.to_ascii_lowercase().chars().take(40).collect::<String>());
    record.set("FileType", file_type(extension));
    record.set("Checksum", hex::encode(Md5::digest(&bytes)));
    for older in versions {
        let older = Record::clone(&older).with("IsLatest", false);
        writer.overlay.put(older);
    }
    Ok(())
}

fn missing(field: &str) -> Refusal {
    Refusal::new("REQUIRED_FIELD_MISSING", format!("Required fields are missing: [{field}]")).on(field)
}

fn file_type(extension: &str) -> String {
    match extension.to_ascii_lowercase().as_str() {
        "" => "UNKNOWN".to_owned(),
        "txt" => "TEXT".to_owned(),
        "jpeg" => "JPG".to_owned(),
        "docx" => "WORD_X".to_owned(),
        "xlsx" => "EXCEL_X".to_owned(),
        other => other.to_ascii_uppercase().chars().take(20).collect(),
    }
}

/// After a version is stored: the document, and the links to its owner and its first place.
///
/// # Errors
/// None of its own.
pub fn after_version(writer: &mut Writer<'_>, version: &Record, is_new: bool) -> Result<()> {
    let Some(id) = version.reference("ContentDocumentId") else { return Ok(()) };
    let existing = writer.view().get(id);
    let is_first = existing.is_none();
    let mut document = match &existing {
        Some(document) => Record::clone(document),
        None => Record::new(known("ContentDocument"), id),
    };
    for field in ["Title", "Description", "ContentSize", "FileExtension", "FileType", "OwnerId"] {
        document.set(field, version.get(field).clone());
    }
    if version.is("IsLatest") {
        document.set("LatestPublishedVersionId", version.id.as_str());
    }
    let document = writer.stamped(document, is_first);
    writer.overlay.put(document);
    if !is_new || !is_first {
        return Ok(());
    }
    let owner = (Value::String(writer.user.clone()), "I");
    let place = (version.get("FirstPublishLocationId").clone(), "V");
    for (entity, share) in [owner, place] {
        if let (Value::String(entity), Some(link)) =
            (entity, writer.overlay.new_id(known("ContentDocumentLink")))
        {
            let record = Record::new(known("ContentDocumentLink"), link)
                .with("ContentDocumentId", id.as_str())
                .with("LinkedEntityId", entity)
                .with("ShareType", share)
                .with("Visibility", "AllUsers");
            let record = writer.stamped(record, true);
            writer.overlay.put(record);
        }
    }
    Ok(())
}

/// A document is linked to a record once.
///
/// # Errors
/// `DUPLICATE_VALUE`.
pub fn link(writer: &Writer<'_>, record: &Record, before: Option<&Record>) -> Result<()> {
    let Some(document) = record.reference("ContentDocumentId").filter(|_| before.is_none()) else {
        return Ok(());
    };
    let links = writer.view().children(known("ContentDocumentLink"), "ContentDocumentId", document);
    match links.iter().find(|link| link.get("LinkedEntityId") == record.get("LinkedEntityId")) {
        None => Ok(()),
        Some(link) => Err(Refusal::new(
            "DUPLICATE_VALUE",
            format!(
                "duplicate value found: LinkedEntityId duplicates value on record with id: {}",
                &link.id.as_str()[..15]
            ),
        )),
    }
}
