//! How large a parsed document is once its fragments are expanded, found in one walk over what is
//! written: every fragment is measured once and its figures are added wherever it is spread.
//!
//! Sums saturate, so doubling fragments cannot wrap around; the walk is linear in the document.

use std::collections::HashMap;

use async_graphql::{
    Positioned,
    parser::types::{Directive, ExecutableDocument, OperationType, Selection, SelectionSet},
};

use crate::http::guard::{Limits, Refusal};

/// The expanded figures of one selection set.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    /// Fields, spreads and inline fragments at any level.
    selections: u64,
    /// Fields at this level.
    fields: u64,
    /// Fields at this level that may stand once in an operation.
    once: u64,
    /// Whether one of the fields at this level hashes a password.
    hashes: bool,
    /// Fields below one another, itself included.
    depth: u32,
    /// The same below `__schema` and `__type`.
    introspection_depth: u32,
    /// Lists of the introspection that hold themselves again, below one another.
    circles: u32,
}

/// How often an introspection may go round: the usual client query does once.
const CIRCLES: u32 = 2;

/// What the walk finds about one operation.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub name: Option<String>,
    pub kind: OperationType,
    /// Whether the root asks for `__schema` or `__type`.
    pub introspects: bool,
    /// Fields that may stand once in an operation, however they are called and spread.
    pub once: u64,
    /// Whether a password is hashed for it.
    pub hashes: bool,
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    limits: &'a Limits,
    fragments: HashMap<&'a str, Option<Size>>,
    aliases: usize,
    directives: usize,
}

/// Holds a document against every limit that does not depend on variables.
pub(super) fn document(document: &ExecutableDocument, limits: &Limits) -> Result<Vec<Operation>, Refusal> {
    if document.fragments.len() > limits.fragments {
        return Err(Refusal::over("FRAGMENT_LIMIT", "fragments of a document", limits.fragments));
    }
    let mut walk = Walk { document, limits, fragments: HashMap::new(), aliases: 0, directives: 0 };
    // Unused fragments too: validation walks through all that is written. For the same reason the
    // operations count together below.
    for name in document.fragments.keys() {
        let size = walk.fragment(name)?;
        walk.check_selections(size.selections)?;
    }
    let mut operations = Vec::new();
    let mut selections = 0_u64;
    for (name, operation) in document.operations.iter() {
        let operation = &operation.node;
        walk.directives(&operation.directives)?;
        for variable in &operation.variable_definitions {
            walk.directives(&variable.node.directives)?;
        }
        let size = walk.set(&operation.selection_set.node, 1)?;
        if size.fields > limits.root_fields {
            return Err(Refusal::over("ROOT_FIELD_LIMIT", "fields at the root", limits.root_fields));
        }
        selections = selections.saturating_add(size.selections);
        walk.check(&Size { selections, ..size })?;
        operations.push(Operation {
            name: name.map(ToString::to_string),
            kind: operation.ty,
            introspects: size.introspection_depth > 0,
            once: size.once,
            hashes: size.hashes,
        });
    }
    Ok(operations)
}

impl<'a> Walk<'a> {
    fn check(&self, size: &Size) -> Result<(), Refusal> {
        self.check_selections(size.selections)?;
        if size.depth > self.limits.depth {
            return Err(self.too_deep());
        }
        if size.introspection_depth > self.limits.introspection_depth {
            let limit = self.limits.introspection_depth;
            return Err(Refusal::over("DEPTH_LIMIT", "fields inside one another in an introspection", limit));
        }
        Ok(())
    }

    fn check_selections(&self, selections: u64) -> Result<(), Refusal> {
        let limit = self.limits.selections;
        if selections > limit {
            let what = "selections of a document, fragments expanded";
            return Err(Refusal::over("SELECTION_LIMIT", what, limit));
        }
        Ok(())
    }

    fn too_deep(&self) -> Refusal {
        Refusal::over("DEPTH_LIMIT", "fields inside one another", self.limits.depth)
    }

    fn fragment(&mut self, name: &'a str) -> Result<Size, Refusal> {
        match self.fragments.get(name) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err(Refusal::new("CIRCULAR_FRAGMENT", "a fragment spreads itself")),
            None => {}
        }
        // An unknown name is for validation to report.
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(Size::default()) };
        self.fragments.insert(name, None);
        self.directives(&fragment.node.directives)?;
        let size = self.set(&fragment.node.selection_set.node, 1)?;
        self.fragments.insert(name, Some(size));
        Ok(size)
    }

    /// `level` counts the fields above within this definition, so that the walk itself stays shallow.
    fn set(&mut self, set: &'a SelectionSet, level: u32) -> Result<Size, Refusal> {
        if level > self.limits.depth.max(self.limits.introspection_depth) + 1 {
            return Err(self.too_deep());
        }
        let mut size = Size::default();
        for selection in &set.items {
            let part = match &selection.node {
                Selection::Field(field) => {
                    let field = &field.node;
                    self.directives(&field.directives)?;
                    if field.alias.is_some() {
                        self.aliases += 1;
                        if self.aliases > self.limits.aliases {
                            return Err(Refusal::over(
                                "ALIAS_LIMIT",
                                "aliases of a document",
                                self.limits.aliases,
                            ));
                        }
                    }
                    let name = field.name.node.as_str();
                    let inner = self.set(&field.selection_set.node, level + 1)?;
                    let is_root_of_introspection = matches!(name, "__schema" | "__type");
                    let depth = inner.depth.saturating_add(1);
                    if is_root_of_introspection && inner.circles > CIRCLES {
                        let what = "lists of fields or types inside one another in an introspection";
                        return Err(Refusal::over("DEPTH_LIMIT", what, CIRCLES));
                    }
                    Size {
                        selections: inner.selections,
                        fields: 1,
                        once: u64::from(self.limits.once.contains(&name)),
                        hashes: self.limits.hashing.contains(&name),
                        depth: if is_root_of_introspection { 1 } else { depth },
                        introspection_depth: if is_root_of_introspection {
                            depth
                        } else {
                            inner.introspection_depth
                        },
                        circles: inner.circles.saturating_add(u32::from(goes_round(name))),
                    }
                }
                Selection::InlineFragment(inline) => {
                    self.directives(&inline.node.directives)?;
                    self.set(&inline.node.selection_set.node, level)?
                }
                Selection::FragmentSpread(spread) => {
                    self.directives(&spread.node.directives)?;
                    self.fragment(&spread.node.fragment_name.node)?
                }
            };
            size.selections = size.selections.saturating_add(part.selections).saturating_add(1);
            size.fields = size.fields.saturating_add(part.fields);
            size.once = size.once.saturating_add(part.once);
            size.hashes |= part.hashes;
            size.depth = size.depth.max(part.depth);
            size.introspection_depth = size.introspection_depth.max(part.introspection_depth);
            size.circles = size.circles.max(part.circles);
        }
        Ok(size)
    }

    fn directives(&mut self, here: &[Positioned<Directive>]) -> Result<(), Refusal> {
        self.directives += here.len();
        if here.len() > self.limits.directives_here {
            return Err(Refusal::over(
                "DIRECTIVE_LIMIT",
                "directives at one place",
                self.limits.directives_here,
            ));
        }
        if self.directives > self.limits.directives {
            return Err(Refusal::over("DIRECTIVE_LIMIT", "directives of a document", self.limits.directives));
        }
        Ok(())
    }
}

/// The fields of `__Type` that lead to types again.
fn goes_round(name: &str) -> bool {
    matches!(name, "fields" | "inputFields" | "interfaces" | "possibleTypes")
}
