//! The schemas that events are written with: Avro, and the bitmaps that name fields by their place.

use std::{
    collections::HashMap,
    io::{self, Read},
};

use apache_avro::{
    Schema as Avro,
    reader::datum::GenericDatumReader,
    schema::{Name, RecordSchema},
};
use serde_json::{Map, Value};

/// An event that cannot be read. Says where it broke, never what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Undecodable(pub &'static str);

/// A schema, parsed.
#[derive(Debug)]
pub struct Schema {
    avro: Avro,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    name: String,
    /// Of a compound field, such as an address; else none.
    members: Vec<String>,
}

impl Schema {
    /// Parses the text of a schema.
    ///
    /// # Errors
    /// When it is not the Avro schema of a record.
    pub fn parse(text: &str) -> Result<Self, Undecodable> {
        let avro = Avro::parse_str(text).map_err(|_| Undecodable("the schema cannot be parsed"))?;
        let Avro::Record(record) = &avro else { return Err(Undecodable("the schema is not a record's")) };
        let mut known = HashMap::new();
        let fields = record
            .fields
            .iter()
            .map(|field| Field { name: field.name.clone(), members: members(&field.schema, &mut known) });
        Ok(Self { fields: fields.collect(), avro })
    }

    /// The fields of an event by name; of a union only the value, of an enumeration the word.
    ///
    /// # Errors
    /// When the bytes are not what the schema says, to the last one.
    pub fn decode(&self, payload: &[u8]) -> Result<Map<String, Value>, Undecodable> {
        let mut bytes = Bytes { rest: payload, is_short: false };
        let value = GenericDatumReader::builder(&self.avro)
            .build()
            .and_then(|reader| reader.read_value(&mut bytes))
            .map_err(|_| Undecodable("the payload does not fit its schema"))?;
        if bytes.is_short || !bytes.rest.is_empty() {
            return Err(Undecodable("the payload is not as long as its schema says"));
        }
        match Value::try_from(value) {
            Ok(Value::Object(fields)) => Ok(fields),
            _ => Err(Undecodable("the payload holds a value that has no form in JSON")),
        }
    }

    /// The names that bitmaps stand for: `Industry`, and `BillingAddress.City` for a member of a compound field.
    /// Bits past the last field are ignored.
    ///
    /// # Errors
    /// When an element is no bitmap.
    ///
    /// Source: Salesforce reference §23.3.
    pub fn names(&self, bitmaps: &[String]) -> Result<Vec<String>, Undecodable> {
        let mut names = Vec::new();
        for element in bitmaps {
            match element.split_once('-') {
                None => names.extend(
                    bits(element)?.into_iter().filter_map(|bit| Some(self.fields.get(bit)?.name.clone())),
                ),
                Some((parent, bitmap)) => {
                    let parent: usize = parent.parse().map_err(|_| NO_BITMAP)?;
                    let Some(parent) = self.fields.get(parent) else { continue };
                    let member = |bit| Some(format!("{}.{}", parent.name, parent.members.get(bit)?));
                    names.extend(bits(bitmap)?.into_iter().filter_map(member));
                }
            }
        }
        Ok(names)
    }
}

/// A payload that knows whether more was wanted of it: the decoder takes its end for an absent value.
struct Bytes<'a> {
    rest: &'a [u8],
    is_short: bool,
}

impl Read for Bytes<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.is_short |= self.rest.len() < into.len();
        self.rest.read(into)
    }
}

const NO_BITMAP: Undecodable = Undecodable("a list of changed fields is no bitmap");

/// The members of a compound field. A record is spelled out where it comes first, and named from then on.
fn members(schema: &Avro, known: &mut HashMap<Name, Vec<String>>) -> Vec<String> {
    match schema {
        Avro::Record(RecordSchema { name, fields, .. }) => {
            let members: Vec<_> = fields.iter().map(|field| field.name.clone()).collect();
            known.insert(name.clone(), members.clone());
            members
        }
        Avro::Ref { name } => known.get(name).cloned().unwrap_or_default(),
        Avro::Union(union) => {
            let compound = union.variants().iter().map(|variant| members(variant, known));
            compound.reduce(|one, other| if other.is_empty() { one } else { other }).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

/// The places of the bits of `0x400800`, the least significant first.
fn bits(bitmap: &str) -> Result<Vec<usize>, Undecodable> {
    let digits = bitmap.strip_prefix("0x").ok_or(NO_BITMAP)?;
    let mut places = Vec::new();
    for (at, digit) in digits.chars().rev().enumerate() {
        let digit = digit.to_digit(16).ok_or(NO_BITMAP)?;
        places.extend((0..4).filter(|bit| digit >> bit & 1 == 1).map(|bit| at * 4 + bit));
    }
    Ok(places)
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The header of change events, as the vendor writes it.
    pub fn header() -> Value {
        let texts = json!({ "type": "array", "items": "string" });
        json!({ "name": "ChangeEventHeader", "type": { "type": "record", "name": "ChangeEventHeader", "fields": [
            { "name": "entityName", "type": "string" },
            { "name": "recordIds", "type": texts },
            { "name": "changeType", "type": { "type": "enum", "name": "ChangeType", "symbols": [
                "CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_CREATE", "GAP_UPDATE", "GAP_DELETE",
                "GAP_UNDELETE", "GAP_OVERFLOW", "SNAPSHOT"] } },
            { "name": "changeOrigin", "type": "string" },
            { "name": "transactionKey", "type": "string" },
            { "name": "sequenceNumber", "type": "int" },
            { "name": "commitTimestamp", "type": "long" },
            { "name": "commitNumber", "type": "long" },
            { "name": "commitUser", "type": "string" },
            { "name": "nulledFields", "type": texts },
            { "name": "diffFields", "type": texts },
            { "name": "changedFields", "type": texts },
        ] } })
    }

    /// A record of `AccountChangeEvent` with these fields after the header.
    pub fn change_schema(fields: &[Value]) -> String {
        let mut all = vec![header()];
        all.extend_from_slice(fields);
        json!({ "type": "record", "name": "AccountChangeEvent", "namespace": "com.sforce.eventbus", "fields": all })
            .to_string()
    }

    fn schema(fields: usize) -> Schema {
        let fields: Vec<_> = (1..fields)
            .map(|n| json!({ "name": format!("F{n}"), "type": ["null", "string"], "default": null }))
            .collect();
        Schema::parse(&change_schema(&fields)).unwrap()
    }

    fn names(schema: &Schema, bitmaps: &[&str]) -> Vec<String> {
        schema.names(&bitmaps.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn bitmaps_name_fields_as_the_published_vectors_say() {
        let schema = schema(24);
        assert_eq!(names(&schema, &["0x400800"]), ["F11", "F22"]);
        assert_eq!(names(&schema, &["0x16"]), ["F1", "F2", "F4"]);
        assert_eq!(names(&schema, &["0x0A"]), ["F1", "F3"]);
        assert_eq!(names(&schema, &["0x0a"]), ["F1", "F3"]);
        assert!(names(&schema, &[]).is_empty());
        assert_eq!(names(&schema, &["0xFF0000000A"]), ["F1", "F3"], "bits past the last field are ignored");
        for broken in ["", "0A", "0xZZ", "x-0x02", "4-02"] {
            assert_eq!(schema.names(&[broken.to_owned()]), Err(NO_BITMAP), "{broken}");
        }
    }

    #[test]
    fn members_of_compound_fields_are_named_wherever_the_record_was_spelled_out() {
        let address = json!({ "type": "record", "name": "Address", "fields": [
            { "name": "Street", "type": ["null", "string"] }, { "name": "City", "type": ["null", "string"] }] });
        let schema = change_schema(&[
            json!({ "name": "A", "type": ["null", "string"] }),
            json!({ "name": "B", "type": ["null", "string"] }),
            json!({ "name": "C", "type": ["null", "string"] }),
            json!({ "name": "BillingAddress", "type": ["null", address] }),
            json!({ "name": "ShippingAddress", "type": ["null", "string", "Address"] }),
        ]);
        let schema = Schema::parse(&schema).unwrap();
        assert_eq!(names(&schema, &["0x0A", "4-0x02"]), ["A", "C", "BillingAddress.City"]);
        assert_eq!(names(&schema, &["0x20", "5-0x01"]), ["ShippingAddress", "ShippingAddress.Street"]);
        assert!(names(&schema, &["0x00", "9-0x01", "1-0x01"]).is_empty());
    }

    #[test]
    fn what_is_no_schema_of_a_record_is_an_error() {
        for text in ["", "{}", "\"string\"", r#"{"type":"record","name":"X"}"#] {
            assert!(Schema::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn bytes_of_anything_are_read_or_refused_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = schema(6).decode(&bytes);
        }

        #[test]
        fn texts_of_anything_are_bitmaps_or_refused_and_never_a_panic(text in ".{0,40}") {
            let _ = schema(6).names(&[text]);
        }
    }
}
