//! The contract: `schema.graphql` is in step, and reads as the house wants it.

use std::collections::BTreeSet;

use async_graphql::parser::{
    parse_schema,
    types::{BaseType, FieldDefinition, Type, TypeDefinition, TypeKind, TypeSystemDefinition},
};
use portal_gateway::{config::Limits, schema};

fn types() -> Vec<TypeDefinition> {
    let document = parse_schema(schema::sdl()).unwrap();
    document
        .definitions
        .into_iter()
        .filter_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) => Some(definition.node),
            _ => None,
        })
        .collect()
}

fn fields(definition: &TypeDefinition) -> Vec<&FieldDefinition> {
    match &definition.kind {
        TypeKind::Object(object) => object.fields.iter().map(|field| &field.node).collect(),
        TypeKind::Interface(interface) => interface.fields.iter().map(|field| &field.node).collect(),
        _ => Vec::new(),
    }
}

/// `(name of the item, whether it is described)` for everything that a reader of the schema meets.
fn described() -> Vec<(String, bool)> {
    let mut items = Vec::new();
    for definition in types() {
        let name = definition.name.node.to_string();
        let mut note = |item: String, text: Option<&str>| {
            items.push((item, text.is_some_and(|text| !text.trim().is_empty())));
        };
        note(name.clone(), definition.description.as_ref().map(|d| d.node.as_str()));
        for field in fields(&definition) {
            let path = format!("{name}.{}", field.name.node);
            note(path.clone(), field.description.as_ref().map(|d| d.node.as_str()));
            for argument in &field.arguments {
                let text = argument.node.description.as_ref().map(|d| d.node.as_str());
                note(format!("{path}({})", argument.node.name.node), text);
            }
        }
        match &definition.kind {
            TypeKind::Enum(values) => {
                for value in &values.values {
                    let text = value.node.description.as_ref().map(|d| d.node.as_str());
                    note(format!("{name}.{}", value.node.value.node), text);
                }
            }
            TypeKind::InputObject(input) => {
                for field in &input.fields {
                    let text = field.node.description.as_ref().map(|d| d.node.as_str());
                    note(format!("{name}.{}", field.node.name.node), text);
                }
            }
            _ => {}
        }
    }
    items
}

#[test]
fn the_committed_schema_is_in_step() {
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql")).unwrap();
    assert!(committed == schema::sdl(), "schema.graphql is out of step: run `cargo sdl` and read its diff");
}

#[test]
fn everything_is_described() {
    let items = described();
    assert!(items.len() > 200, "the walk found next to nothing");
    let bare: Vec<_> = items.iter().filter(|(_, described)| !described).map(|(name, _)| name).collect();
    assert!(bare.is_empty(), "without a description: {bare:?}");
}

#[test]
fn growing_lists_are_connections_with_their_arguments() {
    for definition in types() {
        for field in fields(&definition) {
            let connection =
                matches!(&field.ty.node.base, BaseType::Named(name) if name.ends_with("Connection"));
            if connection {
                for argument in ["first", "after"] {
                    assert!(
                        field.arguments.iter().any(|found| found.node.name.node == argument),
                        "{}.{} takes no `{argument}`",
                        definition.name.node,
                        field.name.node
                    );
                }
                assert!(
                    field.ty.node.nullable,
                    "{}.{} would take its parent down",
                    definition.name.node, field.name.node
                );
            }
        }
        if definition.name.node.ends_with("Connection") {
            let names: Vec<_> = fields(&definition).iter().map(|field| field.name.node.to_string()).collect();
            for wanted in ["edges", "nodes", "pageInfo", "totalCount"] {
                assert!(names.iter().any(|name| name == wanted), "{} has no {wanted}", definition.name.node);
            }
        }
    }
}

#[test]
fn mutations_take_one_input_and_give_a_nullable_payload_with_user_errors() {
    let types = types();
    let mutation = types.iter().find(|definition| definition.name.node == "Mutation").unwrap();
    for field in fields(mutation) {
        let name = &field.name.node;
        assert!(field.arguments.len() <= 1, "{name} takes more than one argument");
        assert!(
            field.arguments.iter().all(|argument| argument.node.name.node == "input"),
            "{name} takes no `input`"
        );
        let Type { base: BaseType::Named(payload), nullable: true } = &field.ty.node else {
            panic!("{name} gives no nullable payload");
        };
        assert!(payload.ends_with("Payload"), "{name} gives {payload}");
        let payload = types.iter().find(|definition| definition.name.node == *payload).unwrap();
        assert!(
            fields(payload).iter().any(|field| field.name.node == "userErrors"),
            "{name} has no userErrors"
        );
    }
}

#[test]
fn what_is_said_to_stand_once_in_an_operation_is_held_so() {
    let types = types();
    let mutation = types.iter().find(|definition| definition.name.node == "Mutation").unwrap();
    let says_so = |field: &&FieldDefinition| {
        let text = field.description.as_ref().map(|text| text.node.as_str()).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ").contains("At most once per operation")
    };
    let said: BTreeSet<_> =
        fields(mutation).into_iter().filter(says_so).map(|field| field.name.node.to_string()).collect();
    let held: BTreeSet<_> = Limits::default().once.iter().map(ToString::to_string).collect();
    assert_eq!(said, held);
    // What guesses at a secret, mails or makes an account has no other place in its name.
    for field in fields(mutation) {
        let name = field.name.node.as_str();
        let guesses =
            ["session", "signUp", "passwordReset", "stepUp"].iter().any(|part| name.starts_with(part));
        let is_free = ["sessionEnd", "sessionRevoke", "sessionRevokeOthers", "signUpResume", "stepUpBegin"]
            .contains(&name);
        assert_eq!(guesses && !is_free, guesses && held.contains(name), "{name}");
    }
}

#[test]
fn no_vendor_shows() {
    let sdl = schema::sdl().to_lowercase();
    for word in ["whmcs", "salesforce", "freebit", "japan post", "japanpost", "soql", "__c", "aladin"] {
        assert!(!sdl.contains(word), "`{word}` shows in the schema");
    }
}
