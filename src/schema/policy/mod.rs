//! Who may ask what: every field of the graph declares it ([`declared`]), and every operation is held against that before
//! it runs (requirements Z1, Z4).
//!
//! What is not declared is for nobody: a test walks the schema and fails for such a field, and for an argument that its
//! field's line does not name; and should one slip through, it is refused here.
//!
//! A document is judged as a whole. One field that its asker may not have refuses all of it, with `FORBIDDEN` and the name
//! of the field, and nothing runs. The other way, to answer the rest and leave null where something was refused, would
//! take non-null parents down, spend a partner's budget on half an answer, and let a program live with a hole that
//! nobody reads about. What a document asks for is found in its text: `@skip` and `@include` do not matter, since a
//! document that asks only sometimes for what it may not have is wrong always.
//!
//! What a document demands does not depend on who asks. So it is found once for each document, in one walk that looks
//! at every fragment once, and is kept by the document's hash; the verdict on an asker is then a few comparisons. A kept
//! answer is not judged again: it is found only by whom it was given to, with the scopes of then.
//!
//! Rules about objects stand elsewhere: a domain looks whether what is asked for is the viewer's own. For who is
//! not signed in, the roots decide: what hangs below was given to them, as the `viewer` of a sign-in is.

mod declared;
mod demand;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock},
};

use async_graphql::{
    Request, Response, ServerError,
    parser::{
        parse_schema,
        types::{BaseType, Type, TypeKind, TypeSystemDefinition},
    },
};
use moka::sync::Cache;

use self::demand::Demand;
use crate::identity::{Scope, Scopes};

/// Who may ask a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody.
    Anybody,
    /// People, signed in or not; never a partner.
    People,
    /// Whoever is a customer, or a partner for one. For others it is null, which is no refusal.
    Viewer,
    /// A customer, for themselves; never a partner.
    Customer,
    /// A customer, and a partner who acts for one, whatever its scopes: it says nothing that needs one.
    ForCustomer,
    /// A customer, and a partner who acts for one and has this scope.
    Scoped(Scope),
    /// A partner.
    Partner,
    /// Whoever was given the object: it is reached only by fields that have lines of their own.
    Given,
    /// Not declared.
    Nobody,
}

/// Who asks, as far as a policy depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// Nobody is signed in.
    Nobody,
    /// A customer.
    Customer,
    /// A partner, for a customer or for none.
    Partner {
        /// What it may see.
        scopes: Scopes,
        /// Whether it acts for a customer.
        for_customer: bool,
    },
}

/// The name of a document among all, put beside a request that it stands in: then what it demands is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentName(pub [u8; 32]);

/// Documents whose demands are remembered at most: a few hundred bytes each.
const REMEMBERED: u64 = 10_000;

/// A field as the policy sees it.
#[derive(Debug)]
struct Field {
    access: Access,
    /// `Type.field`.
    name: Arc<str>,
    /// The type that it gives.
    of: Arc<str>,
    arguments: Vec<String>,
}

/// Every field of the graph, by type and name.
struct Graph {
    types: HashMap<String, HashMap<String, Field>>,
    remembered: Cache<[u8; 32], Arc<Vec<Demand>>, foldhash::quality::RandomState>,
}

static GRAPH: LazyLock<Graph> = LazyLock::new(|| Graph::read(&super::sdl()));

impl Graph {
    fn read(sdl: &str) -> Self {
        let declared: HashMap<&str, Access> =
            declared::lines().map(|line| (line.name, line.access)).collect();
        let mut types = HashMap::new();
        // Our own text: what cannot be read is not declared, and so for nobody.
        let definitions = parse_schema(sdl).map(|document| document.definitions).unwrap_or_default();
        for definition in definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let fields = match definition.node.kind {
                TypeKind::Object(object) => object.fields,
                TypeKind::Interface(interface) => interface.fields,
                _ => continue,
            };
            let of = definition.node.name.node.as_str();
            let read = |field: async_graphql::Positioned<async_graphql::parser::types::FieldDefinition>| {
                let field = field.node;
                let name = format!("{of}.{}", field.name.node);
                let whole = declared.get(format!("{of}.*").as_str());
                let access = declared.get(name.as_str()).or(whole).copied().unwrap_or(Access::Nobody);
                let of = named(&field.ty.node).into();
                let arguments = field.arguments.iter().map(|one| one.node.name.node.to_string()).collect();
                (field.name.node.to_string(), Field { access, name: name.into(), of, arguments })
            };
            types.insert(of.to_owned(), fields.into_iter().map(read).collect());
        }
        let remembered = Cache::builder().max_capacity(REMEMBERED);
        Self { types, remembered: remembered.build_with_hasher(foldhash::quality::RandomState::default()) }
    }

    fn field(&self, of: &str, name: &str) -> Option<&Field> {
        self.types.get(of)?.get(name)
    }
}

/// The name of a type without what surrounds it.
fn named(of: &Type) -> &str {
    match &of.base {
        BaseType::Named(name) => name.as_str(),
        BaseType::List(inner) => named(inner),
    }
}

/// Reads what has to be read once, so that the first request does not.
pub fn prepare() {
    LazyLock::force(&GRAPH);
}

/// Holds a request against what is declared. Gives the answer that refuses it, or nothing when it may run.
pub(super) fn refuse(request: &mut Request, asker: Asker) -> Option<Response> {
    let graph = &*GRAPH;
    let name = std::any::TypeId::of::<DocumentName>();
    let name = request.data.get(&name).and_then(|name| name.downcast_ref::<DocumentName>()).copied();
    let known = name.and_then(|DocumentName(hash)| graph.remembered.get(&hash));
    let demands = match known {
        Some(known) => known,
        None => {
            // What cannot be parsed is refused by the engine, in its words.
            let demands = Arc::new(demand::read(graph, request.parsed_query().ok()?));
            if let Some(DocumentName(hash)) = name {
                graph.remembered.insert(hash, Arc::clone(&demands));
            }
            demands
        }
    };
    let wanted = request.operation_name.as_deref();
    // Without a name a document has one operation, or is refused by the engine.
    let demand = demands.iter().find(|one| wanted.is_none() || one.operation.as_deref() == wanted)?;
    let errors: Vec<_> = demand.faults(asker).map(Fault::into_error).collect();
    (!errors.is_empty()).then(|| Response::from_errors(errors))
}

/// A field that its asker may not have.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    /// `Type.field`.
    field: Arc<str>,
    at: async_graphql::Pos,
    why: Why,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Nobody is signed in.
    Unauthenticated,
    /// It is for others than this asker.
    NotFor(&'static str),
    /// The partner does not say for which customer.
    NoCustomer,
    /// The partner has not the scope.
    Scope(Scope),
}

impl Fault {
    fn into_error(self) -> ServerError {
        let Self { field, at, why } = self;
        let (code, message) = match why {
            Why::Unauthenticated => ("UNAUTHENTICATED", format!("{field}: sign in to continue")),
            Why::NotFor(whom) => ("FORBIDDEN", format!("{field} is not for {whom}")),
            Why::NoCustomer => ("FORBIDDEN", format!("{field} needs the header portal-customer")),
            Why::Scope(scope) => ("FORBIDDEN", format!("{field} needs the scope {}", scope.as_str())),
        };
        let mut error = ServerError::new(message, Some(at));
        let extensions = error.extensions.get_or_insert_default();
        extensions.set("code", code);
        extensions.set("retryable", false);
        extensions.set("field", &*field);
        if let Why::Scope(scope) = why {
            extensions.set("scope", scope.as_str());
        }
        error
    }
}

/// The field at fault, of an answer that [`refuse`] gave to somebody who is known.
pub(super) fn refused_field(response: &Response) -> Option<String> {
    let error = response.errors.first()?;
    match error.extensions.as_ref()?.get("field") {
        Some(async_graphql::Value::String(field)) => Some(field.clone()),
        _ => None,
    }
}

/// The table of every operation and type with who may ask it: `docs/authorization.md`.
pub fn table() -> String {
    let mut text = String::from(HEAD);
    let mark = |yes: bool| if yes { "yes" } else { "–" };
    let graph = &*GRAPH;
    for (title, root) in [("Queries", "Query"), ("Mutations", "Mutation"), ("Subscriptions", "LiveUpdates")] {
        text += &format!(
            "\n## {title}\n\n| field | nobody | customer | partner | partner for a customer | scope |\n|---|---|---|---|---|---|\n"
        );
        text += &rows(graph, root, &mark);
    }
    text += "\n## Objects\n\nWhat is asked of an object, once a field of an operation gave it. A line with `*` is for all fields of its type.\n\n\
             | field | nobody | customer | partner | partner for a customer | scope |\n|---|---|---|---|---|---|\n";
    let roots = ["Query", "Mutation", "LiveUpdates"];
    let objects: BTreeMap<_, _> =
        graph.types.iter().filter(|(of, _)| !roots.contains(&of.as_str())).collect();
    for of in objects.keys() {
        text += &rows(graph, of, &mark);
    }
    text
}

/// The rows of one type: one for all of it, when its fields are alike.
fn rows(graph: &Graph, of: &str, mark: &dyn Fn(bool) -> &'static str) -> String {
    let Some(fields) = graph.types.get(of) else { return String::new() };
    let fields: BTreeMap<_, _> = fields.iter().collect();
    let is_alike = fields.values().all(|field| field.access == Access::Given)
        || declared::lines().any(|line| line.name == format!("{of}.*"))
            && !declared::lines().any(|line| {
                line.name.split_once('.').is_some_and(|(whose, field)| whose == of && field != "*")
            });
    let shown: Vec<(String, Access)> = match fields.values().next() {
        Some(first) if is_alike => vec![(format!("{of}.*"), first.access)],
        _ => fields
            .values()
            .map(|field| {
                let arguments = if field.arguments.is_empty() {
                    String::new()
                } else {
                    format!("({})", field.arguments.join(", "))
                };
                (format!("{}{arguments}", field.name), field.access)
            })
            .collect(),
    };
    let row = |(name, access): (String, Access)| {
        let (scope, scopes) = match access {
            Access::Scoped(scope) => (format!("`{}`", scope.as_str()), Scopes::NONE.with(scope)),
            Access::Given => ("as what gave it".to_owned(), Scopes::NONE),
            _ => (String::new(), Scopes::NONE),
        };
        let may = |asker| demand::fault(access, asker, true).is_none();
        let nobody = match access {
            Access::Viewer => "null",
            _ => mark(may(Asker::Nobody)),
        };
        format!(
            "| `{name}` | {nobody} | {} | {} | {} | {scope} |\n",
            mark(may(Asker::Customer)),
            mark(may(Asker::Partner { scopes, for_customer: false })),
            mark(may(Asker::Partner { scopes, for_customer: true })),
        )
    };
    shown.into_iter().map(row).collect()
}

const HEAD: &str = "\
# Who may ask what

Generated from what every field declares (`src/schema/policy/declared.rs`) by `cargo run -- schema --authorization docs/authorization.md`;
a test compares it. What is not declared is for nobody, and a test fails for it.

- **nobody**: no session and no token. What hangs below an operation was given to whoever asks it, so only operations are judged.
- **customer**: a person with a session.
- **partner**: a program with a token of its own, without the header `portal-customer`.
- **partner for a customer**: the same with the header, for a customer who allowed it; where a scope is named, with that scope. The scopes
  that count are those of the token that the customer granted, too, and that the partner still has.

A document is judged as a whole, before it runs: one field that its asker may not have refuses all of it, with `FORBIDDEN` and the field's name
(`UNAUTHENTICATED` for who is not signed in). Whether an object is the customer's own is looked at where it is loaded; somebody else's
looks like one that does not exist. `node` and `nodes` find for a partner only what its scopes cover.
";
