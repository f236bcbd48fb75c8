//! What a document demands of its asker: found in one walk, whoever asks.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{
    Name, Pos,
    parser::types::{ExecutableDocument, OperationType, Selection, SelectionSet},
};

use super::{Access, Asker, Fault, Field, Graph, Why};

/// What one operation of a document demands: of each kind of access the first field that needs it.
#[derive(Debug, Default)]
pub(super) struct Demand {
    pub(super) operation: Option<String>,
    /// By access, fields at the root apart.
    fields: Vec<(Access, bool, Arc<str>, Pos)>,
}

impl Demand {
    fn note(&mut self, field: &Field, is_root: bool, at: Pos) {
        if !self.fields.iter().any(|(access, root, ..)| (*access, *root) == (field.access, is_root)) {
            self.fields.push((field.access, is_root, Arc::clone(&field.name), at));
        }
    }

    /// What a fragment demands, where it is spread.
    fn add(&mut self, other: &Self, is_root: bool) {
        for (access, root, name, at) in &other.fields {
            let is_root = is_root && *root;
            if !self.fields.iter().any(|(known, root, ..)| (*known, *root) == (*access, is_root)) {
                self.fields.push((*access, is_root, Arc::clone(name), *at));
            }
        }
    }

    /// Why an asker may not ask this, one for each kind of access.
    pub(super) fn faults(&self, asker: Asker) -> impl Iterator<Item = Fault> {
        self.fields.iter().filter_map(move |(access, is_root, field, at)| {
            let why = fault(*access, asker, *is_root)?;
            Some(Fault { field: Arc::clone(field), at: *at, why })
        })
    }
}

/// Why an asker may not have a field; `None` when they may.
pub(super) fn fault(access: Access, asker: Asker, is_root: bool) -> Option<Why> {
    use Access::{Anybody, Customer, ForCustomer, Given, Nobody, Partner, People, Scoped, Viewer};
    match (asker, access) {
        (_, Nobody) => Some(Why::NotFor("anybody")),
        (_, Anybody | Given) => None,
        (Asker::Nobody, People | Viewer) => None,
        // Whatever is not at the root was given to them by what is.
        (Asker::Nobody, _) => is_root.then_some(Why::Unauthenticated),
        (Asker::Customer, Partner) => Some(Why::NotFor("customers")),
        (Asker::Customer, _) => None,
        (Asker::Partner { .. }, Partner) => None,
        (Asker::Partner { .. }, People | Customer) => Some(Why::NotFor("partners")),
        (Asker::Partner { for_customer: false, .. }, Viewer | ForCustomer | Scoped(_)) => {
            Some(Why::NoCustomer)
        }
        (Asker::Partner { scopes, .. }, Scoped(scope)) if !scopes.has(scope) => Some(Why::Scope(scope)),
        (Asker::Partner { .. }, Viewer | ForCustomer | Scoped(_)) => None,
    }
}

struct Walk<'a> {
    graph: &'a Graph,
    document: &'a ExecutableDocument,
    /// `None` while a fragment is being read: one that spreads itself is refused elsewhere.
    fragments: HashMap<&'a Name, Option<Arc<Demand>>>,
}

/// Reads what each operation of a document demands.
pub(super) fn read(graph: &Graph, document: &ExecutableDocument) -> Vec<Demand> {
    let mut walk = Walk { graph, document, fragments: HashMap::new() };
    let mut demands = Vec::new();
    for (name, operation) in document.operations.iter() {
        let root = match operation.node.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "LiveUpdates",
        };
        let mut demand = Demand { operation: name.map(ToString::to_string), ..Demand::default() };
        walk.set(root, &operation.node.selection_set.node, true, &mut demand);
        demands.push(demand);
    }
    demands
}

impl<'a> Walk<'a> {
    fn set(&mut self, of: &str, set: &'a SelectionSet, is_root: bool, demand: &mut Demand) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    // What the schema does not have is refused by the engine, and `__typename` says nothing.
                    let graph = self.graph;
                    let Some(known) = graph.field(of, field.node.name.node.as_str()) else { continue };
                    demand.note(known, is_root, field.pos);
                    self.set(&known.of, &field.node.selection_set.node, false, demand);
                }
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref();
                    let of = condition.map_or(of, |condition| condition.node.on.node.as_str());
                    self.set(of, &inline.node.selection_set.node, is_root, demand);
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(inner) = self.fragment(&spread.node.fragment_name.node) {
                        demand.add(&inner, is_root);
                    }
                }
            }
        }
    }

    fn fragment(&mut self, name: &'a Name) -> Option<Arc<Demand>> {
        if let Some(known) = self.fragments.get(name) {
            return known.clone();
        }
        let fragment = &self.document.fragments.get(name)?.node;
        self.fragments.insert(name, None);
        let mut demand = Demand::default();
        let of = fragment.type_condition.node.on.node.as_str();
        self.set(of, &fragment.selection_set.node, true, &mut demand);
        let demand = Arc::new(demand);
        self.fragments.insert(name, Some(Arc::clone(&demand)));
        Some(demand)
    }
}
