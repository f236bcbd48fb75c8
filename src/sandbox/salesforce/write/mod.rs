//! Writing records: checked against the schema, then against the object's own rules.
//! Source: Salesforce reference §4.3, §5, §6.

pub mod files;
pub mod rules;
pub mod value;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::{
    id::RecordId,
    sandbox::salesforce::{
        org::Org,
        refusal::Refusal,
        schema::{
            Object,
            field::{Field, Kind},
            known, object_of,
        },
        settings::Settings,
        store::{Overlay, Record, View, record::instant},
    },
};

type Result<T> = std::result::Result<T, Refusal>;

/// Writes the records of one request.
pub struct Writer<'a> {
    /// The organisation.
    pub org: &'a Org,
    /// Where records are written.
    pub overlay: &'a mut Overlay,
    /// The knobs.
    pub settings: Settings,
    /// When.
    pub now: DateTime<Utc>,
    /// By whom.
    pub user: String,
    /// Assignment rules may change the owner of a new case.
    pub assigns: bool,
    /// A duplicate rule that only warns may be overridden.
    pub saves_duplicates: bool,
    /// The bytes of the blob field, when they came beside the JSON.
    pub blob: Option<(String, Bytes)>,
}

impl Writer<'_> {
    /// All records as they are now.
    pub fn view(&self) -> View<'_> {
        View::new(&self.org.core.world, &self.org.shared, self.overlay)
    }

    /// The record with its audit fields brought up to now.
    pub fn stamped(&self, mut record: Record, is_new: bool) -> Record {
        let now = instant(self.now);
        if is_new {
            record.set("CreatedDate", now.as_str());
            record.set("CreatedById", self.user.as_str());
        }
        record.set("LastModifiedDate", now.as_str());
        record.set("LastModifiedById", self.user.as_str());
        record.set("SystemModstamp", now);
        record
    }

    /// Creates a record.
    ///
    /// # Errors
    /// Unknown or read-only fields, wrong values, missing required ones, duplicates, the object's rules.
    pub fn create(&mut self, object: &'static Object, body: &Map<String, Value>) -> Result<RecordId> {
        if !object.writable || object.name == "ContentDocument" {
            let message = format!("entity type {object} does not support create");
            return Err(Refusal::new("INVALID_TYPE_FOR_OPERATION", message));
        }
        let id =
            self.overlay.new_id(object).ok_or_else(|| Refusal::new("UNKNOWN_EXCEPTION", "no id left"))?;
        let mut record = Record::new(object, id);
        let comment = self.assign(&mut record, body, true)?;
        for field in &object.fields {
            if let Some(default) = field.default
                && record.get(field.name).is_null()
            {
                record.set(field.name, default);
            }
        }
        if object.field("OwnerId").is_some() && record.text("OwnerId").is_none() {
            record.set("OwnerId", self.user.as_str());
        }
        if let Some(Field { auto_number: true, name, .. }) = object.field("Name") {
            let number = self.overlay.next_number();
            record.set(name, format!("{:08}", 90_000_000 + number));
        }
        self.store(record, None)?;
        if let Some(comment) = comment {
            let body = json!({"ParentId": id.as_str(), "CommentBody": comment});
            if let Value::Object(body) = body {
                self.create(known("CaseComment"), &body)?;
            }
        }
        self.overlay.effect("create", json!({"object": object.name, "id": id.as_str()}));
        Ok(id)
    }

    /// Changes a record.
    ///
    /// # Errors
    /// As [`Writer::create`]; a record that is not there, or deleted.
    pub fn update(&mut self, object: &'static Object, id: RecordId, body: &Map<String, Value>) -> Result<()> {
        let before = self.living(object, id)?;
        if !object.writable {
            let message = format!("entity type {object} does not support update");
            return Err(Refusal::new("INVALID_TYPE_FOR_OPERATION", message));
        }
        let mut record = before.clone();
        let comment = self.assign(&mut record, body, false)?;
        self.store(record, Some(&before))?;
        if let Some(comment) = comment
            && let Value::Object(body) = json!({"ParentId": id.as_str(), "CommentBody": comment})
        {
            self.create(known("CaseComment"), &body)?;
        }
        let fields: Vec<&String> = body.keys().filter(|key| *key != "attributes").collect();
        self.overlay.effect("update", json!({"object": object.name, "id": id.as_str(), "fields": fields}));
        Ok(())
    }

    /// Deletes a record and the children that go with it.
    ///
    /// # Errors
    /// A record that is not there, deleted already, or not deletable.
    pub fn delete(&mut self, object: &'static Object, id: RecordId) -> Result<()> {
        let record = self.living(object, id)?;
        if !object.writable || object.name == "ContentVersion" {
            let message = format!("entity type {object} does not support delete");
            return Err(Refusal::new("INVALID_TYPE_FOR_OPERATION", message));
        }
        self.check_lock(&record)?;
        self.bin(&record);
        self.overlay.effect("delete", json!({"object": object.name, "id": id.as_str()}));
        Ok(())
    }

    fn bin(&mut self, record: &Record) {
        for child in record.object.children.iter().filter(|child| child.cascades) {
            for child in self.view().children(known(child.object), child.field, record.id) {
                self.bin(&child);
            }
        }
        let record = self.stamped(record.clone().with("IsDeleted", true), false);
        self.overlay.put(record);
    }

    /// A record that can be changed.
    ///
    /// # Errors
    /// 404.
    pub fn living(&self, object: &'static Object, id: RecordId) -> Result<Record> {
        let record =
            self.view().get(id).filter(|record| record.object == object).ok_or_else(Refusal::not_found)?;
        if record.is_deleted() {
            return Err(Refusal::new("ENTITY_IS_DELETED", "entity is deleted"));
        }
        Ok(Record::clone(&record))
    }

    /// Puts a body's values into a record. Gives the text of the `Comments` convenience field.
    fn assign(
        &mut self,
        record: &mut Record,
        body: &Map<String, Value>,
        is_new: bool,
    ) -> Result<Option<String>> {
        let object = record.object;
        let mut comment = None;
        let mut unwritable = Vec::new();
        for (name, value) in body {
            if name.eq_ignore_ascii_case("attributes") {
                check_type(object, value)?;
                continue;
            }
            let Some(field) = object.field(name) else {
                if let Some(reference) = object.parent(name)
                    && value.is_object()
                {
                    let id = self.by_key(reference, value)?;
                    record.set(reference.name, id.as_str());
                    continue;
                }
                let message = format!("No such column '{name}' on sobject of type {object}");
                return Err(Refusal::new("INVALID_FIELD", message));
            };
            // The name of a person account is derived; only a business account's is written.
            if !(if is_new { field.createable } else { field.updateable }) {
                unwritable.push(field.name);
                continue;
            }
            if object.name == "Case" && field.name == "Comments" {
                comment = value::coerce(&self.view(), field, value)?.as_str().map(str::to_owned);
                continue;
            }
            if field.kind == Kind::Base64 {
                record.blob = if value.is_null() { None } else { Some(value::blob(field, value)?) };
                continue;
            }
            let coerced = value::coerce(&self.view(), field, value)?;
            if coerced.is_null() && field.required && !is_new {
                return Err(missing(&[field.name]));
            }
            record.set(field.name, coerced);
        }
        if !unwritable.is_empty() {
            let names = unwritable.join(", ");
            let mut refusal = Refusal::new(
                "INVALID_FIELD_FOR_INSERT_UPDATE",
                format!(
                    "Unable to create/update fields: {names}. Please check the security settings of this field and \
                     verify that it is read/write for your profile or permission set."
                ),
            );
            refusal.fields = unwritable.into_iter().map(str::to_owned).collect();
            return Err(refusal);
        }
        if let Some((name, bytes)) = self.blob.take()
            && object.field(&name).is_some_and(|field| field.kind == Kind::Base64)
        {
            record.blob = Some(bytes);
        }
        Ok(comment)
    }

    /// Checks a whole record and stores it.
    fn store(&mut self, mut record: Record, before: Option<&Record>) -> Result<()> {
        self.check_lock(&record)?;
        if let Some(text) = self.settings.validation_rules.get(record.object.name) {
            return Err(Refusal::new("FIELD_CUSTOM_VALIDATION_EXCEPTION", text.clone()));
        }
        rules::before(self, &mut record, before)?;
        let lacks = |field: &&Field| {
            let blank = if field.kind == Kind::Base64 {
                record.blob.is_none()
            } else {
                record.get(field.name).is_null()
            };
            field.required && field.kind != Kind::Id && blank
        };
        let missing_fields: Vec<&str> =
            record.object.fields.iter().filter(lacks).map(|field| field.name).collect();
        if !missing_fields.is_empty() {
            return Err(missing(&missing_fields));
        }
        self.check_unique(&record, before)?;
        self.check_duplicates(&record, before)?;
        let id = record.id;
        let record = self.stamped(record, before.is_none());
        self.overlay.put(record);
        rules::after(self, id, before.is_none())
    }

    fn check_unique(&self, record: &Record, before: Option<&Record>) -> Result<()> {
        for field in record.object.fields.iter().filter(|field| field.unique) {
            let Some(value) = record.text(field.name) else { continue };
            if before.is_some_and(|before| before.get(field.name) == record.get(field.name)) {
                continue;
            }
            let others = self.with_value(record.object, field, value);
            if let Some(other) = others.iter().find(|other| other.id != record.id) {
                let message = format!(
                    "duplicate value found: {} duplicates value on record with id: {}",
                    field.name,
                    &other.id.as_str()[..15]
                );
                return Err(Refusal::new("DUPLICATE_VALUE", message));
            }
        }
        Ok(())
    }

    /// The living records with a value in a field, without regard to case.
    pub fn with_value(
        &self,
        object: &'static Object,
        field: &'static Field,
        value: &str,
    ) -> Vec<std::sync::Arc<Record>> {
        let view = self.view();
        let candidates = view.with_values(object, &[], field, &[value.to_owned()]);
        let mut found = Vec::new();
        let _ = view.scan(object, candidates.as_ref(), |record| {
            let is_same =
                record.text(field.name).is_some_and(|other| other.to_lowercase() == value.to_lowercase());
            if is_same && !record.is_deleted() {
                found.push(std::sync::Arc::clone(record));
            }
            std::ops::ControlFlow::Continue(())
        });
        found
    }

    /// The duplicate rule of an object compares the e-mail address.
    fn check_duplicates(&self, record: &Record, before: Option<&Record>) -> Result<()> {
        let object = record.object;
        if before.is_some()
            || self.saves_duplicates
            || !self.settings.duplicate_rules.iter().any(|name| name == object.name)
        {
            return Ok(());
        }
        let email = ["PersonEmail", "Email"].into_iter().find_map(|name| object.field(name));
        let Some((field, value)) = email.and_then(|field| Some((field, record.text(field.name)?))) else {
            return Ok(());
        };
        let matches = self.with_value(object, field, value);
        if matches.is_empty() {
            return Ok(());
        }
        let records: Vec<Value> = matches
            .iter()
            .map(|found| {
                let url = format!("/services/data/v68.0/sobjects/{object}/{}", found.id);
                json!({
                    "additionalInformation": [], "fieldDiffs": [], "matchConfidence": 100.0,
                    "record": {"attributes": {"type": object.name, "url": url}, "Id": found.id.as_str()}
                })
            })
            .collect();
        let rule = format!("Standard_{object}_Duplicate_Rule");
        let mut refusal = Refusal::new("DUPLICATES_DETECTED", "Use one of these records?");
        refusal.duplicates = Some(json!({
            "allowSave": true, "duplicateRule": rule, "duplicateRuleEntityType": object.name,
            "errorMessage": "Use one of these records?",
            "matchResults": [{
                "entityType": object.name, "errors": [], "matchEngine": "FuzzyMatchEngine", "matchRecords": records,
                "rule": format!("Standard_{object}_Match_Rule_v1_0"), "size": matches.len(), "success": true
            }]
        }));
        Err(refusal)
    }

    /// Children lock their parent.
    fn check_lock(&self, record: &Record) -> Result<()> {
        let mut ids = vec![record.id.as_str()];
        ids.extend(["AccountId", "OrderId", "ParentId"].into_iter().filter_map(|field| record.text(field)));
        let is_locked = |id: &&&str| {
            self.settings.locked_ids.iter().any(|locked| RecordId::parse(locked) == RecordId::parse(id))
        };
        match ids.iter().find(is_locked) {
            None => Ok(()),
            Some(id) => Err(Refusal::new(
                "UNABLE_TO_LOCK_ROW",
                format!("unable to obtain exclusive access to this record or 1 records: {id}"),
            )),
        }
    }

    /// The parent that an external key names: `"Account": {"SF_Account_No__c": "C0000001"}`.
    fn by_key(&self, reference: &'static Field, value: &Value) -> Result<RecordId> {
        let keys = value
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("attributes"));
        let [(name, key)] = &keys.collect::<Vec<_>>()[..] else {
            return Err(Refusal::new(
                "INVALID_FIELD",
                "More than 1 field provided in an external foreign key reference",
            ));
        };
        for target in reference.targets {
            let object = known(target);
            let Some(field) = object.field(name).filter(|field| field.external_id || field.id_lookup) else {
                continue;
            };
            let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
            return match &self.with_value(object, field, &key)[..] {
                [one] => Ok(one.id),
                [] => Err(Refusal::new(
                    "INVALID_FIELD",
                    format!(
                        "Foreign key external ID: {key} not found for field {} in entity {object}",
                        field.name
                    ),
                )),
                _ => Err(Refusal::new(
                    "INVALID_FIELD",
                    format!("Foreign key external ID: {key} is not unique"),
                )),
            };
        }
        Err(Refusal::new(
            "INVALID_FIELD",
            format!("{name} is not an external id of {}", reference.targets.join(", ")),
        ))
    }
}

fn missing(fields: &[&str]) -> Refusal {
    let mut refusal = Refusal::new(
        "REQUIRED_FIELD_MISSING",
        format!("Required fields are missing: [{}]", fields.join(", ")),
    );
    refusal.fields = fields.iter().map(|field| (*field).to_owned()).collect();
    refusal
}

/// `attributes.type`, when given, is the object's name.
fn check_type(object: &Object, attributes: &Value) -> Result<()> {
    match attributes.get("type").and_then(Value::as_str) {
        Some(name) if !name.eq_ignore_ascii_case(object.name) => {
            Err(Refusal::new("INVALID_TYPE", format!("{name} is not the type of this record: {object}")))
        }
        _ => Ok(()),
    }
}

/// Reads an id of an object.
///
/// # Errors
/// `MALFORMED_ID`; `NOT_FOUND` for an id of another object.
pub fn id_of(object: &'static Object, id: &str) -> Result<RecordId> {
    let malformed = || {
        let message = format!("{} ID: id value of incorrect type: {id}", object.label);
        Refusal::new("MALFORMED_ID", message).on("Id")
    };
    let parsed = RecordId::parse(id).ok_or_else(malformed)?;
    if object_of(parsed.as_str()) == Some(object) { Ok(parsed) } else { Err(malformed()) }
}
