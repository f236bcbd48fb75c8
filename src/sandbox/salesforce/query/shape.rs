//! What a row shows: `attributes`, fields in the order of the `SELECT`, parents and children nested.

use std::sync::Arc;

use serde_json::Value;

use crate::sandbox::salesforce::{
    node::Node,
    query::{
        Terms,
        bind::Plan,
        filter::{Column, Filter, Operand, Subject},
        narrow::narrow,
        run::{self, Search},
    },
    schema::{
        Child, Object,
        field::{Field, Kind},
    },
    soql::ast::Operator,
    store::{Record, View},
};

/// The parts of a row.
pub struct Shape {
    /// The object.
    pub object: &'static Object,
    /// In the order of the `SELECT`.
    pub parts: Vec<Part>,
}

/// A part of a row.
pub enum Part {
    /// A field.
    Field(&'static Field),
    /// A parent with its own parts.
    Parent(&'static Field, Shape),
    /// The children of a relationship.
    Children(Child, Box<Plan>),
    /// A parent of one of several objects.
    TypeOf(&'static Field, Vec<Shape>),
}

impl Shape {
    /// A row without parts.
    pub fn new(object: &'static Object) -> Self {
        Self { object, parts: Vec::new() }
    }

    /// Adds a column; `false` when it is there already.
    pub fn add(&mut self, column: &Column) -> bool {
        let [hop, rest @ ..] = &column.hops[..] else {
            let is_new = !self
                .parts
                .iter()
                .any(|part| matches!(part, Part::Field(field) if field.name == column.field.name));
            if is_new {
                self.parts.push(Part::Field(column.field));
            }
            return is_new;
        };
        let is_same = |part: &Part| matches!(part, Part::Parent(field, _) if field.name == hop.name);
        let at = self.parts.iter().position(is_same).unwrap_or_else(|| {
            let target = hop
                .targets
                .first()
                .map_or(self.object, |target| crate::sandbox::salesforce::schema::known(target));
            self.parts.push(Part::Parent(hop, Self::new(target)));
            self.parts.len() - 1
        });
        match &mut self.parts[at] {
            Part::Parent(_, shape) => shape.add(&Column { hops: rest.to_vec(), field: column.field }),
            _ => true,
        }
    }

    /// The row of a record.
    pub fn row(&self, view: &View<'_>, record: &Arc<Record>, terms: Terms) -> Node {
        let mut parts = vec![("attributes".into(), attributes(record, terms.version))];
        for part in &self.parts {
            let (name, node) = match part {
                Part::Field(field) => (field.name, value(view, record, field, terms.version)),
                Part::Parent(reference, shape) => (
                    reference.relationship.unwrap_or(reference.name),
                    match record.reference(reference.name).and_then(|id| view.get(id)) {
                        Some(parent) => shape.row(view, &parent, terms),
                        None => Node::NULL,
                    },
                ),
                Part::Children(child, plan) => (child.name, children(view, record, child, plan, terms)),
                Part::TypeOf(reference, shapes) => {
                    let parent = record.reference(reference.name).and_then(|id| view.get(id));
                    let row = parent.and_then(|parent| {
                        let shape = shapes.iter().find(|shape| shape.object == parent.object)?;
                        Some(shape.row(view, &parent, terms))
                    });
                    (reference.relationship.unwrap_or(reference.name), row.unwrap_or(Node::NULL))
                }
            };
            parts.push((name.into(), node));
        }
        Node::Object(parts)
    }
}

/// `attributes` of a row.
pub fn attributes(record: &Record, version: u32) -> Node {
    Node::object([
        ("type", Node::from(record.object.name)),
        ("url", Node::from(url(record, version).as_str())),
    ])
}

/// The path of a record.
pub fn url(record: &Record, version: u32) -> String {
    format!("/services/data/v{version}.0/sobjects/{}/{}", record.object.name, record.id)
}

/// A field's value as rows show it: of bytes, where they are.
pub fn value(view: &View<'_>, record: &Record, field: &Field, version: u32) -> Node {
    if field.kind == Kind::Base64 {
        return match record.blob {
            Some(_) => Node::Value(Value::String(format!("{}/{}", url(record, version), field.name))),
            None => Node::NULL,
        };
    }
    Node::Value(view.value(record, field))
}

/// The children of a record, or null when there are none.
fn children(view: &View<'_>, record: &Record, child: &Child, plan: &Plan, terms: Terms) -> Node {
    let Some(field) = plan.object.field(child.field) else { return Node::NULL };
    let of_parent = Filter::Compare(
        Subject::Column(Column { hops: Vec::new(), field }),
        Operator::Equal,
        Operand::Exact(record.id.to_string()),
    );
    let candidates = narrow(view, plan.object, &of_parent);
    let mut search = Search { candidates: candidates.as_ref(), ..Search::of(plan) };
    search.filters.push(&of_parent);
    let ids = run::select(view, &search, terms);
    let rows: Vec<Node> =
        ids.into_iter().filter_map(|id| Some(plan.shape.row(view, &view.get(id)?, terms))).collect();
    if rows.is_empty() {
        return Node::NULL;
    }
    Node::object([("totalSize", rows.len().into()), ("done", true.into()), ("records", rows.into())])
}
