//! What an event holds: its fields in order, and the Avro schema that they make.
//! Source: Salesforce reference §20.4, §22, §23.1.

use apache_avro::{
    Schema, reader::datum::GenericDatumReader, types::Value as Avro, writer::datum::GenericDatumWriter,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use md5::{Digest, Md5};
use serde_json::{Value, json};

use crate::sandbox::salesforce::{
    pubsub::platform::PlatformEvent,
    schema::{
        Object,
        field::{Field, Kind, Source},
    },
};

/// Members of an address, in order, with their types.
const ADDRESS: [(&str, &str); 11] = [
    ("Street", "string"),
    ("City", "string"),
    ("State", "string"),
    ("PostalCode", "string"),
    ("Country", "string"),
    ("StateCode", "string"),
    ("CountryCode", "string"),
    ("Latitude", "double"),
    ("Longitude", "double"),
    ("Xyz", "string"),
    ("GeocodeAccuracy", "string"),
];

/// Members of a person's name, in order.
const PERSON_NAME: [(&str, &str); 3] =
    [("Salutation", "string"), ("FirstName", "string"), ("LastName", "string")];

/// Kinds of change, in the order of the schema.
pub const CHANGE_TYPES: [&str; 10] = [
    "CREATE",
    "UPDATE",
    "DELETE",
    "UNDELETE",
    "GAP_CREATE",
    "GAP_UPDATE",
    "GAP_DELETE",
    "GAP_UNDELETE",
    "GAP_OVERFLOW",
    "SNAPSHOT",
];

/// A field of a change event.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name in the schema.
    pub name: &'static str,
    /// Where its value comes from.
    pub parts: Parts,
}

/// What a field of a change event is made of.
#[derive(Clone, Debug)]
pub enum Parts {
    /// One field of the record.
    One(&'static Field),
    /// Several fields of the record together; a member that the record does not have is always null.
    Compound {
        /// Name of the Avro record.
        record: &'static str,
        /// Members in order, with their types.
        members: &'static [(&'static str, &'static str)],
        /// The record's field behind each member.
        fields: Vec<Option<&'static Field>>,
        /// What stands instead of the parts when the record has none: the name of a business.
        whole: Option<&'static Field>,
    },
}

/// An event's definition. A changed definition is another one, with another id.
#[derive(Debug)]
pub struct Definition {
    /// Fields behind the header; none for a platform event.
    pub members: Vec<Member>,
    /// 16 bytes in base64url: the fingerprint of the schema.
    pub schema_id: String,
    /// The schema.
    pub schema_json: String,
    /// Text fields that were added since, always null.
    pub extra: usize,
    schema: Schema,
}

impl Definition {
    /// The change event of an object. `extra`: how many fields were added to it since.
    pub fn change(object: &'static Object, extra: usize) -> Option<Self> {
        let members = members(object);
        let mut seen = Vec::new();
        let mut fields = vec![header()];
        fields.extend(members.iter().map(|member| member.to_avro(&mut seen)));
        Self::new(&change_event(object), members, fields, extra)
    }

    /// The union of all change events: what they have in common.
    pub fn changes(extra: usize) -> Option<Self> {
        Self::new("ChangeEvents", Vec::new(), vec![header()], extra)
    }

    /// A platform event.
    pub fn platform(event: &PlatformEvent, extra: usize) -> Option<Self> {
        let mut fields = vec![
            json!({"name": "CreatedDate", "type": "long", "doc": "CreatedDate:DateTime"}),
            json!({"name": "CreatedById", "type": "string", "doc": "CreatedBy:EntityId"}),
        ];
        fields.extend(event.fields.iter().map(|field| {
            if field.required {
                json!({"name": field.name, "type": avro_type(field.kind), "doc": doc(field.kind)})
            } else {
                optional(field.name, avro_type(field.kind), doc(field.kind))
            }
        }));
        Self::new(event.name, Vec::new(), fields, extra)
    }

    fn new(name: &str, members: Vec<Member>, mut fields: Vec<Value>, extra: usize) -> Option<Self> {
        fields.extend((1..=extra).map(|n| optional(&format!("Added_{n}__c"), "string", "Data:Text")));
        let mut schema = json!({
            "name": name, "namespace": "com.sforce.eventbus", "type": "record", "fields": fields
        });
        let schema_id = URL_SAFE_NO_PAD.encode(Md5::digest(schema.to_string()));
        schema["uuid"] = schema_id.as_str().into();
        let schema_json = schema.to_string();
        let schema = Schema::parse_str(&schema_json).ok()?;
        Some(Self { members, schema_id, schema_json, extra, schema })
    }

    /// Writes an event's fields, without those that were added since.
    pub fn encode(&self, mut fields: Vec<(String, Avro)>) -> Option<Vec<u8>> {
        fields.extend((1..=self.extra).map(|n| (format!("Added_{n}__c"), null())));
        let writer = GenericDatumWriter::builder(&self.schema).build().ok()?;
        writer.write_value_to_vec(Avro::Record(fields)).ok()
    }

    /// Whether bytes are an event of this definition.
    pub fn reads(&self, payload: &[u8]) -> bool {
        let mut rest = payload;
        let reader = GenericDatumReader::builder(&self.schema).build();
        reader.is_ok_and(|reader| reader.read_value(&mut rest).is_ok()) && rest.is_empty()
    }
}

/// Null, in a union.
pub fn null() -> Avro {
    Avro::Union(0, Box::new(Avro::Null))
}

/// A value that is not null, in a union with null.
pub fn some(value: Avro) -> Avro {
    Avro::Union(1, Box::new(value))
}

/// A stored value as Avro; `None` for null.
pub fn to_avro(kind: Kind, value: &Value) -> Option<Avro> {
    match kind {
        Kind::Boolean => value.as_bool().map(Avro::Boolean),
        Kind::Int => value.as_i64().and_then(|number| i32::try_from(number).ok()).map(Avro::Int),
        Kind::Double | Kind::Currency | Kind::Percent => value.as_f64().map(Avro::Double),
        Kind::Date => {
            let day: chrono::NaiveDate = value.as_str()?.parse().ok()?;
            Some(Avro::Long(day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis()))
        }
        Kind::DateTime => {
            let at = chrono::DateTime::parse_from_str(value.as_str()?, "%Y-%m-%dT%H:%M:%S%.f%z").ok()?;
            Some(Avro::Long(at.timestamp_millis()))
        }
        _ => value.as_str().map(|text| Avro::String(text.to_owned())),
    }
}

/// Name of an object's change event: `AccountChangeEvent`, `Foo__ChangeEvent`.
pub fn change_event(object: &Object) -> String {
    match object.name.strip_suffix("__c") {
        Some(stem) => format!("{stem}__ChangeEvent"),
        None => format!("{}ChangeEvent", object.name),
    }
}

/// The fields of an object's change event: those that are stored, parts of addresses and of a person's name together.
/// What is worked out from elsewhere never appears.
fn members(object: &'static Object) -> Vec<Member> {
    let compound = |name, record, members: &'static [(&'static str, &'static str)], stem: &str, whole| {
        let fields = members.iter().map(|(part, _)| object.field(&format!("{stem}{part}"))).collect();
        Member { name, parts: Parts::Compound { record, members, fields, whole } }
    };
    let is_person = object.name == "Account";
    let addresses: Vec<&str> = object.fields.iter().filter_map(|field| address_stem(field)).collect();
    let mut found = Vec::new();
    for field in &object.fields {
        let is_part = addresses.iter().any(|stem| {
            field.name.strip_prefix(stem).is_some_and(|part| ADDRESS.iter().any(|(name, _)| *name == part))
        }) || (is_person && PERSON_NAME.iter().any(|(name, _)| *name == field.name));
        if let Some(stem) = address_stem(field) {
            found.push(compound(field.name, "Address", &ADDRESS, stem, None));
        } else if is_person && field.name == "Name" {
            found.push(compound(field.name, "Switchable_PersonName", &PERSON_NAME, "", Some(field)));
        } else if !is_part && is_carried(object, field) {
            found.push(Member { name: field.name, parts: Parts::One(field) });
        }
    }
    found
}

fn address_stem(field: &Field) -> Option<&'static str> {
    field.name.strip_suffix("Address").filter(|_| field.kind == Kind::Address)
}

fn is_carried(object: &Object, field: &Field) -> bool {
    field.source == Source::Stored
        && !matches!(field.kind, Kind::Id | Kind::Base64 | Kind::Address)
        && !["IsDeleted", "SystemModstamp"].contains(&field.name)
        // Written, and never kept.
        && (object.name, field.name) != ("Case", "Comments")
}

impl Member {
    fn to_avro(&self, seen: &mut Vec<&'static str>) -> Value {
        match &self.parts {
            Parts::One(field) => optional(self.name, avro_type(field.kind), doc(field.kind)),
            Parts::Compound { record, members, whole, .. } => {
                let compound = if seen.contains(record) {
                    json!(record)
                } else {
                    seen.push(record);
                    let parts = members.iter().map(|(name, kind)| optional(name, kind, ""));
                    json!({"type": "record", "name": record, "fields": parts.collect::<Vec<_>>()})
                };
                let kinds = match whole {
                    Some(_) => json!(["null", "string", compound]),
                    None => json!(["null", compound]),
                };
                json!({"name": self.name, "type": kinds, "default": null})
            }
        }
    }
}

fn optional(name: &str, kind: &str, doc: &str) -> Value {
    let mut field = json!({"name": name, "type": ["null", kind], "default": null});
    if !doc.is_empty() {
        field["doc"] = doc.into();
    }
    field
}

const fn avro_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean => "boolean",
        Kind::Int => "int",
        Kind::Double | Kind::Currency | Kind::Percent => "double",
        Kind::Date | Kind::DateTime => "long",
        _ => "string",
    }
}

const fn doc(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean => "Data:Boolean",
        Kind::Int => "Data:Integer",
        Kind::Double => "Data:Double",
        Kind::Currency => "Data:Currency",
        Kind::Percent => "Data:Percent",
        Kind::Date => "Data:DateOnly",
        Kind::DateTime => "Data:DateTime",
        Kind::Reference => "Data:EntityId",
        _ => "Data:Text",
    }
}

fn header() -> Value {
    let list = json!({"type": "array", "items": "string"});
    json!({"name": "ChangeEventHeader", "type": {
        "type": "record", "name": "ChangeEventHeader", "fields": [
            {"name": "entityName", "type": "string"},
            {"name": "recordIds", "type": list},
            {"name": "changeType", "type": {"type": "enum", "name": "ChangeType", "symbols": CHANGE_TYPES}},
            {"name": "changeOrigin", "type": "string"},
            {"name": "transactionKey", "type": "string"},
            {"name": "sequenceNumber", "type": "int"},
            {"name": "commitTimestamp", "type": "long"},
            {"name": "commitNumber", "type": "long"},
            {"name": "commitUser", "type": "string"},
            {"name": "nulledFields", "type": list},
            {"name": "diffFields", "type": list},
            {"name": "changedFields", "type": list},
        ]
    }})
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::sandbox::salesforce::{
        pubsub::{platform::PLATFORM_EVENTS, topic::CAPTURED},
        schema::known,
    };

    #[test]
    fn every_definition_is_an_avro_schema_with_a_fingerprint_of_its_own() {
        let mut ids = std::collections::HashSet::new();
        let changes = CAPTURED.iter().map(|name| Definition::change(known(name), 0).unwrap());
        let platform = PLATFORM_EVENTS.iter().map(|event| Definition::platform(event, 0).unwrap());
        for definition in changes.chain(platform) {
            assert_eq!(definition.schema_id.len(), 22);
            assert_eq!(URL_SAFE_NO_PAD.decode(&definition.schema_id).unwrap().len(), 16);
            assert!(ids.insert(definition.schema_id));
        }
        let (first, again) =
            (Definition::change(known("Order"), 0).unwrap(), Definition::change(known("Order"), 0).unwrap());
        assert_eq!(first.schema_id, again.schema_id);
        assert_ne!(first.schema_id, Definition::change(known("Order"), 1).unwrap().schema_id);
    }

    #[test]
    fn an_account_has_its_addresses_and_its_name_in_parts() {
        let definition = Definition::change(known("Account"), 0).unwrap();
        let schema: Value = serde_json::from_str(&definition.schema_json).unwrap();
        let field = |name: &str| {
            schema["fields"].as_array().unwrap().iter().find(|field| field["name"] == name).cloned()
        };
        assert_eq!(schema["fields"][0]["name"], "ChangeEventHeader");
        assert_eq!(field("Name").unwrap()["type"][2]["name"], "Switchable_PersonName");
        assert_eq!(field("BillingAddress").unwrap()["type"][1]["fields"][3]["name"], "PostalCode");
        assert_eq!(field("ShippingAddress").unwrap()["type"], json!(["null", "Address"]));
        for absent in ["Id", "LastName", "BillingCity", "SystemModstamp", "IsDeleted"] {
            assert_eq!(field(absent), None, "{absent}");
        }
    }
}
