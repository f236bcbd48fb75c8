//! The fields of the roots, read from the schema, each with the smallest document that asks it.

use std::collections::BTreeMap;

use async_graphql::parser::{
    parse_schema,
    types::{BaseType, FieldDefinition, Type, TypeDefinition, TypeKind, TypeSystemDefinition},
};
use portal_gateway::schema;
use serde_json::{Map, Value, json};

/// An id of nothing: `Nothing:1`.
const NOTHING: &str = "Tm90aGluZzox";

/// Types whose fields are asked by themselves: the roots, and what hangs from the viewer.
const OF: [(&str, &str, &str); 5] = [
    ("Query", "query", ""),
    ("Mutation", "mutation", ""),
    ("LiveUpdates", "subscription", ""),
    ("Viewer", "query", "viewer"),
    ("Summary", "query", "viewer { summary"),
];

/// A field that is asked.
pub struct Root {
    /// `Mutation.sessionEnd`.
    pub name: String,
    /// Its arguments with their types.
    arguments: Vec<(String, String)>,
    kind: &'static str,
    path: &'static str,
    is_plain: bool,
    /// What fills the arguments that must be there.
    pub variables: Value,
}

impl Root {
    /// The name of the field alone.
    pub fn field(&self) -> &str {
        self.name.split_once('.').unwrap().1
    }

    pub fn is_mutation(&self) -> bool {
        self.kind == "mutation"
    }

    pub fn is_subscription(&self) -> bool {
        self.kind == "subscription"
    }

    /// A document that asks it and shows so much of it.
    pub fn document(&self, shown: &str) -> String {
        let declared: Vec<_> = self.arguments.iter().map(|(name, ty)| format!("${name}: {ty}")).collect();
        let given: Vec<_> = self.arguments.iter().map(|(name, _)| format!("{name}: ${name}")).collect();
        let parens = |all: &[String]| match all {
            [] => String::new(),
            all => format!("({})", all.join(", ")),
        };
        let shown = if self.is_plain { String::new() } else { format!("{{ {shown} }}") };
        let (open, closed) = match self.path {
            "" => (String::new(), String::new()),
            path => (format!("{path} {{"), "}".repeat(1 + path.matches('{').count())),
        };
        let (declared, given) = (parens(&declared), parens(&given));
        format!("{} Asked{declared} {{ {open} {}{given} {shown} {closed} }}", self.kind, self.field())
    }
}

/// All of them.
pub fn roots() -> Vec<Root> {
    let mut types = BTreeMap::new();
    for definition in parse_schema(schema::sdl()).unwrap().definitions {
        if let TypeSystemDefinition::Type(definition) = definition {
            types.insert(definition.node.name.node.to_string(), definition.node);
        }
    }
    let mut roots = Vec::new();
    for (of, kind, path) in OF {
        let TypeKind::Object(object) = &types[of].kind else { panic!("{of}") };
        for field in &object.fields {
            let FieldDefinition { name, arguments, ty, .. } = &field.node;
            let must = arguments.iter().map(|one| &one.node).filter(|one| !one.ty.node.nullable);
            let filled = must.clone().map(|one| (one.name.node.to_string(), filled(&one.ty.node, &types)));
            // What may be left out is left out, but for the input of an act.
            let arguments = must.map(|one| (one.name.node.to_string(), one.ty.node.to_string()));
            let mut arguments: Vec<_> = arguments.collect();
            if arguments.is_empty() && kind == "mutation" {
                let inputs = field.node.arguments.iter().map(|one| &one.node);
                arguments = inputs.map(|one| (one.name.node.to_string(), one.ty.node.to_string())).collect();
            }
            roots.push(Root {
                name: format!("{of}.{}", name.node),
                arguments,
                kind,
                path,
                is_plain: is_plain(&ty.node, &types),
                variables: Value::Object(filled.collect()),
            });
        }
    }
    roots
}

fn named(base: &BaseType) -> &str {
    match base {
        BaseType::Named(name) => name,
        BaseType::List(inner) => named(&inner.base),
    }
}

fn is_plain(ty: &Type, types: &BTreeMap<String, TypeDefinition>) -> bool {
    let known = types.get(named(&ty.base));
    known.is_none_or(|known| matches!(known.kind, TypeKind::Scalar | TypeKind::Enum(_)))
}

/// Something of a type.
fn filled(ty: &Type, types: &BTreeMap<String, TypeDefinition>) -> Value {
    let name = match &ty.base {
        BaseType::List(inner) => return json!([filled(inner, types)]),
        BaseType::Named(name) => name.as_str(),
    };
    match types.get(name).map(|known| (known, &known.kind)) {
        Some((_, TypeKind::Enum(values))) => json!(values.values[0].node.value.node),
        Some((known, TypeKind::InputObject(input))) => {
            let is_one_of = known.directives.iter().any(|one| one.node.name.node == "oneOf");
            let must = input.fields.iter().map(|one| &one.node);
            let must = must.enumerate().filter(|(n, one)| match is_one_of {
                true => *n == 0,
                false => !one.ty.node.nullable && one.default_value.is_none(),
            });
            let fields: Map<_, _> =
                must.map(|(_, one)| (one.name.node.to_string(), filled(&one.ty.node, types))).collect();
            Value::Object(fields)
        }
        _ => match name {
            "ID" => json!(NOTHING),
            "Int" => json!(1),
            "Boolean" => json!(true),
            "NaiveDate" => json!("2000-01-02"),
            "JSON" => json!({}),
            _ => json!("nothing"),
        },
    }
}
