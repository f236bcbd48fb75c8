//! What objects there are, and what fields they have. Source: Salesforce reference §7.

use serde_json::{Value, json};

use crate::sandbox::salesforce::{
    answer::Answer,
    call::Call,
    node::Node,
    rest::{Desk, recent},
    schema::{
        Home, Object,
        field::{Field, Kind},
        objects,
    },
};

/// When the schema was last changed: an HTTP date.
const CHANGED: &str = "Sat, 03 Oct 2026 00:00:00 GMT";

/// 304 when the caller has the schema already.
fn unless_known(call: &Call, answer: impl FnOnce() -> Value) -> Answer {
    let date = |text: &str| chrono::DateTime::parse_from_rfc2822(text).ok();
    let known = call.header("if-modified-since").and_then(date);
    if known.zip(date(CHANGED)).is_some_and(|(known, changed)| known >= changed) {
        return Answer::bare(304);
    }
    Answer::ok(Node::Value(answer())).with("last-modified", CHANGED)
}

/// `GET /sobjects`.
pub fn global(call: &Call) -> Answer {
    unless_known(call, || {
        let all: Vec<Value> = objects().iter().map(|object| summary(object, call.version)).collect();
        json!({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": all})
    })
}

/// `GET /sobjects/{object}`.
pub fn basic(desk: &Desk<'_>, call: &Call, object: &'static Object) -> Answer {
    Answer::ok(Node::object([
        ("objectDescribe", Node::Value(summary(object, call.version))),
        ("recentItems", Node::List(recent::items(desk, call, Some(object)))),
    ]))
}

/// `GET /sobjects/{object}/describe`.
pub fn object(call: &Call, object: &Object) -> Answer {
    unless_known(call, || {
        let mut description = summary(object, call.version);
        description["fields"] = object.fields.iter().map(|field| self::field(object, field)).collect();
        description["childRelationships"] = object
            .children
            .iter()
            .map(|child| {
                json!({
                    "childSObject": child.object, "field": child.field, "relationshipName": child.name,
                    "cascadeDelete": child.cascades, "restrictedDelete": false, "deprecatedAndHidden": false,
                    "junctionIdListNames": [], "junctionReferenceTo": []
                })
            })
            .collect();
        description["recordTypeInfos"] = json!([{
            "active": true, "available": true, "defaultRecordTypeMapping": true, "developerName": "Master",
            "master": true, "name": "Master", "recordTypeId": "012000000000000AAA", "urls": {}
        }]);
        description["namedLayoutInfos"] = json!([]);
        description["supportedScopes"] = json!([{"label": "All", "name": "everything"}]);
        description
    })
}

fn summary(object: &Object, version: u32) -> Value {
    let base = format!("/services/data/v{version}.0/sobjects/{}", object.name);
    let writable = object.writable;
    let createable = writable && object.name != "ContentDocument";
    json!({
        "activateable": false,
        "createable": createable,
        "custom": object.is_custom(),
        "customSetting": false,
        "deletable": writable && object.name != "ContentVersion",
        "deprecatedAndHidden": false,
        "feedEnabled": false,
        "hasSubtypes": object.name == "Account",
        "isSubtype": false,
        "keyPrefix": object.prefix,
        "label": object.label,
        "labelPlural": object.plural,
        "layoutable": true,
        "mergeable": matches!(object.name, "Account" | "Contact" | "Case"),
        "mruEnabled": true,
        "name": object.name,
        "queryable": true,
        "replicateable": true,
        "retrieveable": true,
        "searchable": object.home != Home::Written,
        "triggerable": true,
        "undeletable": writable,
        "updateable": writable,
        "urls": {"sobject": base, "describe": format!("{base}/describe"), "rowTemplate": format!("{base}/{{ID}}")}
    })
}

fn field(object: &Object, field: &Field) -> Value {
    let is_blob = field.kind == Kind::Base64;
    let is_compound = field.kind == Kind::Address;
    let number = |digits: u32| if field.kind.is_number() && field.kind != Kind::Int { digits } else { 0 };
    let picklist: Vec<Value> = field
        .values
        .iter()
        .map(|value| {
            let is_default = field.default == Some(*value);
            json!({"active": true, "defaultValue": is_default, "label": value, "validFor": null, "value": value})
        })
        .collect();
    let mut attributes = json!({
        "aggregatable": field.filterable,
        "autoNumber": field.auto_number,
        "byteLength": if field.length_in_bytes { field.length } else { field.length * 3 },
        "calculated": false,
        "calculatedFormula": null,
        "cascadeDelete": false,
        "caseSensitive": field.case_sensitive,
        "compoundFieldName": compound(object, field),
        "controllerName": null,
        "createable": field.createable && object.writable,
        "custom": field.is_custom(),
        "defaultValue": if field.kind == Kind::Boolean { json!(false) } else { Value::Null },
        "defaultedOnCreate": field.defaulted_on_create() || field.kind == Kind::Id,
        "dependentPicklist": false,
        "deprecatedAndHidden": false,
        "digits": if field.kind == Kind::Int { 9 } else { 0 },
        "externalId": field.external_id,
        "filterable": field.filterable,
    });
    let more = json!({
        "groupable": field.filterable && !matches!(field.kind, Kind::DateTime | Kind::Double | Kind::Currency | Kind::Percent),
        "htmlFormatted": false,
        "idLookup": field.id_lookup,
        "inlineHelpText": null,
        "label": field.label,
        "length": if is_blob || is_compound { 0 } else { field.length },
        "name": field.name,
        "nameField": field.name == object.name_field && field.name != "Id",
        "namePointing": field.targets.len() > 1,
        "nillable": !field.required && field.kind != Kind::Boolean,
        "permissionable": !field.required && field.kind != Kind::Id,
        "picklistValues": picklist,
        "polymorphicForeignKey": field.targets.len() > 1,
        "precision": number(18),
        "queryByDistance": false,
        "referenceTo": field.targets,
        "relationshipName": field.relationship,
        "relationshipOrder": null,
        "restrictedDelete": false,
        "restrictedPicklist": field.restricted,
        "scale": number(2),
        "soapType": field.kind.soap_type(),
        "sortable": field.filterable,
        "type": field.kind.as_str(),
        "unique": field.unique,
        "updateable": field.updateable && object.writable,
        "writeRequiresMasterRead": false
    });
    if let (Value::Object(attributes), Value::Object(more)) = (&mut attributes, more) {
        attributes.extend(more);
    }
    attributes
}

/// The compound field that a field is a part of.
fn compound(object: &Object, field: &Field) -> Option<&'static str> {
    let parts = ["Street", "City", "State", "PostalCode", "Country"];
    let stem = parts.iter().find_map(|part| field.name.strip_suffix(part))?;
    object.field(&format!("{stem}Address")).map(|field| field.name)
}
