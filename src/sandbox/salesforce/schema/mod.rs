//! The objects of the organisation: fields with types, sizes and flags, and the relationships between them.
//! Source: Salesforce reference §16; domain reference §12-§17, §34.

pub mod account;
pub mod field;
pub mod file;
pub mod order;
pub mod org;
pub mod product;
pub mod support;

use std::{collections::HashMap, fmt, sync::LazyLock};

use field::{Field, audit, id};

/// Where the records of an object come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// Each customer of the world has some.
    Customer,
    /// They belong to no customer: catalogue, users.
    Shared,
    /// There are only those written since the start.
    Written,
}

/// An object.
#[derive(Debug)]
pub struct Object {
    /// API name in its canonical case.
    pub name: &'static str,
    /// What people see.
    pub label: &'static str,
    /// What people see for several.
    pub plural: &'static str,
    /// First three characters of the ids.
    pub prefix: &'static str,
    /// The field that names a record.
    pub name_field: &'static str,
    /// May be created, updated and deleted through the API.
    pub writable: bool,
    /// Where its records come from.
    pub home: Home,
    /// Its fields; the first is `Id`.
    pub fields: Vec<Field>,
    /// Relationships to children.
    pub children: Vec<Child>,
    by_name: HashMap<String, usize>,
}

/// A relationship from a parent to its children.
#[derive(Clone, Copy, Debug)]
pub struct Child {
    /// Name, as subqueries use it.
    pub name: &'static str,
    /// The children's object.
    pub object: &'static str,
    /// The children's reference to the parent.
    pub field: &'static str,
    /// Children go with the parent.
    pub cascades: bool,
}

impl Object {
    /// A field by name, in any case.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.by_name.get(&name.to_ascii_lowercase()).map(|at| &self.fields[*at])
    }

    /// A reference by its relationship's name, in any case.
    pub fn parent(&self, relationship: &str) -> Option<&Field> {
        self.fields
            .iter()
            .find(|field| field.relationship.is_some_and(|name| name.eq_ignore_ascii_case(relationship)))
    }

    /// Children by their relationship's name, in any case.
    pub fn child(&self, relationship: &str) -> Option<&Child> {
        self.children.iter().find(|child| child.name.eq_ignore_ascii_case(relationship))
    }

    /// Whether the organisation added it.
    pub fn is_custom(&self) -> bool {
        self.name.ends_with("__c")
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What an object's file declares.
pub(crate) struct Draft {
    names: [&'static str; 4],
    name_field: &'static str,
    home: Home,
    writable: bool,
    fields: Vec<Field>,
    children: Vec<Child>,
}

impl Draft {
    /// Names: API name, label, plural, key prefix.
    pub(crate) fn new(names: [&'static str; 4], home: Home) -> Self {
        Self { names, name_field: "Name", home, writable: true, fields: vec![id()], children: Vec::new() }
    }

    pub(crate) fn named_by(mut self, field: &'static str) -> Self {
        self.name_field = field;
        self
    }

    pub(crate) fn read_only(mut self) -> Self {
        self.writable = false;
        self
    }

    pub(crate) fn fields(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.fields.extend(fields);
        self
    }

    pub(crate) fn child(mut self, name: &'static str, object: &'static str, field: &'static str) -> Self {
        self.children.push(Child { name, object, field, cascades: false });
        self
    }

    /// Children that go with their parent.
    pub(crate) fn owns(mut self, name: &'static str, object: &'static str, field: &'static str) -> Self {
        self.children.push(Child { name, object, field, cascades: true });
        self
    }

    fn build(mut self) -> Object {
        self.fields.extend(audit());
        let by_name =
            self.fields.iter().enumerate().map(|(at, field)| (field.name.to_ascii_lowercase(), at)).collect();
        let [name, label, plural, prefix] = self.names;
        Object {
            name,
            label,
            plural,
            prefix,
            name_field: self.name_field,
            writable: self.writable,
            home: self.home,
            fields: self.fields,
            children: self.children,
            by_name,
        }
    }
}

static OBJECTS: LazyLock<Vec<Object>> = LazyLock::new(|| {
    let drafts = [
        account::account(),
        account::contact(),
        account::opportunity(),
        product::product(),
        product::pricebook(),
        product::pricebook_entry(),
        order::order(),
        order::order_item(),
        order::sim_inventory(),
        support::case(),
        support::case_comment(),
        support::email_message(),
        file::content_version(),
        file::content_document(),
        file::content_document_link(),
        file::attachment(),
        org::organization(),
        org::user(),
        org::group(),
        org::record_type(),
    ];
    drafts.into_iter().map(Draft::build).collect()
});

static BY_NAME: LazyLock<HashMap<String, &'static Object>> =
    LazyLock::new(|| OBJECTS.iter().map(|object| (object.name.to_ascii_lowercase(), object)).collect());

/// All objects.
pub fn objects() -> &'static [Object] {
    &OBJECTS
}

/// An object by name, in any case.
pub fn object(name: &str) -> Option<&'static Object> {
    BY_NAME.get(&name.to_ascii_lowercase()).copied()
}

/// The object of an id.
pub fn object_of(id: &str) -> Option<&'static Object> {
    OBJECTS.iter().find(|object| id.starts_with(object.prefix))
}

/// An object that the code itself names.
#[expect(
    clippy::expect_used,
    reason = "the names are constants of this module, and a test goes through them"
)]
pub fn known(name: &'static str) -> &'static Object {
    object(name).expect("an object of this schema")
}

/// Fields that are not declared unique and yet name few records.
const NATURAL_KEYS: [&str; 7] = [
    "CaseNumber",
    "OrderNumber",
    "PersonEmail",
    "Email",
    "WH_Account__c",
    "WHMCS_Service_ID__c",
    "WHMCS_Order_ID__c",
];

/// Whether a field leads to few records when it is compared with a value: ids, references and keys.
pub fn is_key(field: &Field) -> bool {
    field.kind.is_id() || field.unique || field.external_id || NATURAL_KEYS.contains(&field.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_sound() {
        for object in objects() {
            assert_eq!(object.prefix.len(), 3);
            assert_eq!(OBJECTS.iter().filter(|other| other.prefix == object.prefix).count(), 1, "{object}");
            assert_eq!(object.by_name.len(), object.fields.len(), "{object} has a field twice");
            assert!(object.field(object.name_field).is_some(), "{object}");
            for field in &object.fields {
                assert!(
                    field.targets.iter().all(|target| super::object(target).is_some()),
                    "{object}.{}",
                    field.name
                );
                assert_eq!(
                    field.kind == field::Kind::Reference,
                    field.relationship.is_some(),
                    "{object}.{}",
                    field.name
                );
            }
            for child in &object.children {
                let reference = known(child.object).field(child.field);
                assert!(
                    reference.is_some_and(|field| field.targets.contains(&object.name)),
                    "{object}.{}",
                    child.name
                );
            }
        }
    }
}
