//! Every field that takes an id, a cursor or a text to search for, read from the schema, and questions that go through it.
//!
//! The questions are made from the types of the arguments and of the answer, so a field that comes is asked without anybody
//! thinking of it here.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_graphql::parser::{
    parse_schema,
    types::{
        BaseType, FieldDefinition, InputValueDefinition, Type, TypeDefinition, TypeKind, TypeSystemDefinition,
    },
};
use portal_gateway::schema;
use serde_json::{Map, Value, json};

/// What is put into arguments.
pub struct Pool {
    pub ids: Vec<String>,
    pub cursors: Vec<String>,
    pub texts: Vec<String>,
}

/// Chances that are the same for the same seed.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Which root a field hangs from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    Query,
    Mutation,
    Subscription,
}

/// A field that takes something of somebody's.
pub struct Door {
    pub root: Root,
    /// Whether it hangs from `viewer`.
    of_viewer: bool,
    pub field: FieldDefinition,
}

impl Door {
    pub fn name(&self) -> &str {
        &self.field.name.node
    }

    /// Whether it takes exactly one id, so that the answers to two ids can be compared.
    pub fn takes_an_id(&self, graph: &Graph) -> bool {
        self.field.arguments.iter().any(|argument| graph.has_id(&argument.node))
    }
}

/// A document with its variables, and how many things of somebody's it sends.
pub struct Question {
    pub document: String,
    pub variables: Value,
    pub sent: usize,
}

/// The schema by names.
pub struct Graph {
    types: BTreeMap<String, TypeDefinition>,
    roots: HashMap<String, Root>,
}

impl Graph {
    pub fn read() -> Self {
        let (mut types, mut roots) = (BTreeMap::new(), HashMap::new());
        for definition in parse_schema(schema::sdl()).unwrap().definitions {
            match definition {
                TypeSystemDefinition::Type(definition) => {
                    types.insert(definition.node.name.node.to_string(), definition.node);
                }
                TypeSystemDefinition::Schema(definition) => {
                    let node = definition.node;
                    let all = [
                        (node.query, Root::Query),
                        (node.mutation, Root::Mutation),
                        (node.subscription, Root::Subscription),
                    ];
                    for (name, root) in all {
                        roots.extend(name.map(|name| (name.node.to_string(), root)));
                    }
                }
                TypeSystemDefinition::Directive(_) => {}
            }
        }
        Self { types, roots }
    }

    /// All of them. A field deeper in the graph that took something of somebody's would have to be reached first.
    pub fn doors(&self) -> Vec<Door> {
        let mut doors = Vec::new();
        for (name, definition) in &self.types {
            let root = self.roots.get(name).copied();
            // Given to no customer: see `partners`.
            if name == "Partner" {
                continue;
            }
            for field in fields(definition) {
                if !field.arguments.iter().any(|argument| self.names_something(&argument.node)) {
                    continue;
                }
                let of_viewer = name == "Viewer";
                assert!(root.is_some() || of_viewer, "{name}.{} is not asked about", field.name.node);
                doors.push(Door { root: root.unwrap_or(Root::Query), of_viewer, field: field.clone() });
            }
        }
        doors
    }

    /// One question through a door, `times` side by side, whose answers are shown so deep.
    pub fn question(
        &self,
        door: &Door,
        depth: usize,
        times: usize,
        pool: &Pool,
        chance: &mut Chance,
    ) -> Question {
        let (mut declared, mut fields, mut variables, mut sent) =
            (String::new(), String::new(), Map::new(), 0);
        let shown = self.shown(&door.field.ty.node, depth, times == 1);
        for n in 0..times {
            let mut arguments = Vec::new();
            for argument in &door.field.arguments {
                let argument = &argument.node;
                if argument.ty.node.nullable
                    && !self.names_something(argument)
                    && argument.name.node != "first"
                {
                    continue;
                }
                let name = format!("v{n}_{}", argument.name.node);
                declared += &format!("${name}: {} ", argument.ty.node);
                arguments.push(format!("{}: ${name}", argument.name.node));
                variables.insert(name, self.value(argument, pool, chance, &mut sent));
            }
            fields += &format!("a{n}: {}({}) {shown}\n", door.name(), arguments.join(", "));
        }
        let root = match door.root {
            Root::Query => "query",
            Root::Mutation => "mutation",
            Root::Subscription => "subscription",
        };
        let fields = if door.of_viewer { format!("viewer {{ {fields} }}") } else { fields };
        let document = format!("{root}({declared}) {{ {fields} }}");
        Question { document, variables: Value::Object(variables), sent }
    }

    fn value(
        &self,
        argument: &InputValueDefinition,
        pool: &Pool,
        chance: &mut Chance,
        sent: &mut usize,
    ) -> Value {
        self.value_of(&argument.ty.node.base, &argument.name.node, pool, chance, sent)
    }

    fn value_of(
        &self,
        ty: &BaseType,
        name: &str,
        pool: &Pool,
        chance: &mut Chance,
        sent: &mut usize,
    ) -> Value {
        let ty = match ty {
            BaseType::List(item) => {
                let n = 1 + chance.below(20);
                return (0..n).map(|_| self.value_of(&item.base, name, pool, chance, sent)).collect();
            }
            BaseType::Named(ty) => ty.as_str(),
        };
        if let Some(definition) = self.types.get(ty) {
            match &definition.kind {
                TypeKind::Enum(values) => return json!(chance.pick(&values.values).node.value.node),
                TypeKind::InputObject(input) => {
                    let mut object = Map::new();
                    let is_one_of = definition.directives.iter().any(|one| one.node.name.node == "oneOf");
                    for field in &input.fields {
                        let field = &field.node;
                        if is_one_of && !self.names_something(field) {
                            continue;
                        }
                        if !field.ty.node.nullable || self.names_something(field) || chance.below(3) == 0 {
                            object.insert(field.name.node.to_string(), self.value(field, pool, chance, sent));
                        }
                    }
                    return Value::Object(object);
                }
                _ => {}
            }
        }
        match (ty, name) {
            ("ID", _) => {
                *sent += 1;
                json!(chance.pick(&pool.ids))
            }
            (_, "after" | "before") => {
                *sent += 1;
                json!(chance.pick(&pool.cursors))
            }
            (_, "search") => {
                *sent += 1;
                json!(chance.pick(&pool.texts))
            }
            ("Int" | "BigInt" | "Decimal" | "Float", _) => json!(5),
            ("Boolean", _) => json!(chance.below(2) == 0),
            ("NaiveDate", _) => json!("2000-01-02"),
            ("DateTime", _) => json!("2026-11-20T00:00:00Z"),
            ("JSON", _) => json!({}),
            (_, "code") => json!("000000"),
            (_, "idempotencyKey") => json!(format!("key-{:016x}", chance.next())),
            _ => json!("planted by another"),
        }
    }

    /// Whether an argument names something of somebody's.
    fn names_something(&self, argument: &InputValueDefinition) -> bool {
        matches!(&*argument.name.node, "after" | "before" | "search") || self.has_id(argument)
    }

    fn has_id(&self, argument: &InputValueDefinition) -> bool {
        let ty = named(&argument.ty.node.base);
        ty == "ID"
            || self.types.get(ty).is_some_and(|definition| match &definition.kind {
                TypeKind::InputObject(input) => {
                    input.fields.iter().any(|field| self.names_something(&field.node))
                }
                _ => false,
            })
    }

    /// The selection of a type: everything that needs no argument, so deep. What several types have under one name and of
    /// different types is shown under another name, or, since there may be few of those, not at all.
    fn shown(&self, ty: &Type, depth: usize, renamed: bool) -> String {
        let name = named(&ty.base);
        let Some(definition) = self.types.get(name) else { return String::new() };
        let parts = match &definition.kind {
            TypeKind::Interface(_) => {
                let all = self.types.values().filter(|candidate| match &candidate.kind {
                    TypeKind::Object(object) => object.implements.iter().any(|one| one.node == name),
                    _ => false,
                });
                let all: Vec<_> = all.collect();
                let mut kinds = BTreeMap::<&str, BTreeSet<String>>::new();
                for field in all.iter().flat_map(|one| fields(one)) {
                    kinds.entry(&field.name.node).or_default().insert(field.ty.node.to_string());
                }
                let differs = |name: &str| kinds.get(name).is_some_and(|kinds| kinds.len() > 1);
                let part = |one: &&TypeDefinition| {
                    let of = &one.name.node;
                    let alias = |name: &str| match (differs(name), renamed) {
                        (false, _) => Some(String::new()),
                        (true, true) => Some(format!("{of}_{name}: ")),
                        (true, false) => None,
                    };
                    format!("... on {of} {{ {} }}", self.fields_of(one, depth, renamed, alias))
                };
                all.iter().map(part).collect()
            }
            TypeKind::Object(_) => self.fields_of(definition, depth, renamed, |_| Some(String::new())),
            _ => return String::new(),
        };
        format!("{{ __typename {parts} }}")
    }

    fn fields_of(
        &self,
        definition: &TypeDefinition,
        depth: usize,
        renamed: bool,
        alias: impl Fn(&str) -> Option<String>,
    ) -> String {
        let mut text = String::new();
        for field in fields(definition) {
            let needs = |argument: &InputValueDefinition| {
                !argument.ty.node.nullable && argument.default_value.is_none()
            };
            let name = &field.name.node;
            if field.arguments.iter().any(|argument| needs(&argument.node)) || name == "edges" {
                continue;
            }
            let is_plain = self
                .types
                .get(named(&field.ty.node.base))
                .is_none_or(|definition| matches!(definition.kind, TypeKind::Enum(_) | TypeKind::Scalar));
            if !is_plain && depth == 0 {
                continue;
            }
            let Some(alias) = alias(name) else { continue };
            let few = field.arguments.iter().any(|argument| argument.node.name.node == "first");
            let few = if few { "(first: 2)" } else { "" };
            let shown = if is_plain { String::new() } else { self.shown(&field.ty.node, depth - 1, renamed) };
            text += &format!("{alias}{name}{few} {shown} ");
        }
        text
    }
}

fn fields(definition: &TypeDefinition) -> Vec<&FieldDefinition> {
    match &definition.kind {
        TypeKind::Object(object) => object.fields.iter().map(|field| &field.node).collect(),
        _ => Vec::new(),
    }
}

fn named(base: &BaseType) -> &str {
    match base {
        BaseType::Named(name) => name,
        BaseType::List(item) => named(&item.base),
    }
}
