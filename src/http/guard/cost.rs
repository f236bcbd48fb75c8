//! What an operation may cause: each of its selections, times the page sizes above it.
//!
//! Pages are seen from the document's form, without the schema: `first` or `last` gives the size,
//! and `nodes` and `edges` are what there is so many of. A fragment within a connection does not know
//! how large the page will be, so its price has two parts, and is reckoned once for all its spreads.

use std::collections::HashMap;

use async_graphql::{
    Positioned, Variables,
    parser::types::{ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet},
};

use async_graphql_value::{ConstValue, Value};

use crate::http::guard::{Limits, Refusal};

/// The price of one selection set.
#[derive(Clone, Copy, Debug, Default)]
struct Price {
    /// What counts once.
    once: u64,
    /// What counts for every item of the connection that holds this set.
    each: u64,
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    variables: &'a Variables,
    limits: &'a Limits,
    fragments: HashMap<&'a str, Price>,
    reads_variables: bool,
}

/// The cost of one operation, and whether other variables could change it. The document's fragments
/// are known not to be circular.
pub(super) fn operation(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: &Variables,
    limits: &Limits,
) -> Result<(u64, bool), Refusal> {
    let fragments = HashMap::new();
    let mut walk = Walk { document, operation, variables, limits, fragments, reads_variables: false };
    let root = walk.set(&operation.selection_set.node)?;
    let cost = root.once.saturating_add(root.each.saturating_mul(limits.default_page));
    if cost > limits.cost {
        return Err(Refusal::over("COST_LIMIT", "selections times their page sizes", limits.cost));
    }
    Ok((cost, walk.reads_variables))
}

impl<'a> Walk<'a> {
    fn set(&mut self, set: &'a SelectionSet) -> Result<Price, Refusal> {
        let mut sum = Price::default();
        for selection in &set.items {
            let part = match &selection.node {
                Selection::Field(field) => self.field(&field.node)?,
                Selection::InlineFragment(inline) => self.set(&inline.node.selection_set.node)?.and_one(),
                Selection::FragmentSpread(spread) => {
                    self.fragment(&spread.node.fragment_name.node)?.and_one()
                }
            };
            sum.once = sum.once.saturating_add(part.once);
            sum.each = sum.each.saturating_add(part.each);
        }
        Ok(sum)
    }

    fn fragment(&mut self, name: &'a str) -> Result<Price, Refusal> {
        if let Some(price) = self.fragments.get(name) {
            return Ok(*price);
        }
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(Price::default()) };
        let price = self.set(&fragment.node.selection_set.node)?;
        self.fragments.insert(name, price);
        Ok(price)
    }

    fn field(&mut self, field: &'a Field) -> Result<Price, Refusal> {
        let inner = self.set(&field.selection_set.node)?;
        let page = self.page(field)?;
        let size = page.unwrap_or(self.limits.default_page);
        let times = if inner.each == 0 && page.is_some() { size } else { 1 };
        let own = inner
            .once
            .saturating_mul(times)
            .saturating_add(inner.each.saturating_mul(size))
            .saturating_add(1)
            .saturating_mul(self.ids(field));
        let is_item = matches!(field.name.node.as_str(), "nodes" | "edges")
            && field.arguments.is_empty()
            && !field.selection_set.node.items.is_empty();
        Ok(if is_item { Price { once: 0, each: own } } else { Price { once: own, each: 0 } })
    }

    /// The page size that the field asks for; at least 1, so that a cost never falls below the size.
    fn page(&mut self, field: &'a Field) -> Result<Option<u64>, Refusal> {
        let mut page = None;
        for (name, value) in &field.arguments {
            if !matches!(name.node.as_str(), "first" | "last") {
                continue;
            }
            let Some(size) = self.integer(&value.node) else { continue };
            if size > self.limits.page {
                return Err(Refusal::over("PAGE_SIZE_LIMIT", "items of a page", self.limits.page));
            }
            page = page.max(Some(u64::try_from(size).unwrap_or(0).max(1)));
        }
        Ok(page)
    }

    fn integer(&mut self, value: &'a Value) -> Option<i64> {
        match value {
            Value::Number(number) => number.as_i64().or(Some(i64::MAX).filter(|_| number.is_u64())),
            Value::Variable(name) => match self.variable(name)? {
                ConstValue::Number(number) => number.as_i64().or(Some(i64::MAX).filter(|_| number.is_u64())),
                _ => None,
            },
            _ => None,
        }
    }

    /// How many objects a field fetches by a list of ids.
    fn ids(&mut self, field: &'a Field) -> u64 {
        let ids = field.arguments.iter().find(|(name, _)| name.node == "ids");
        let count = match ids.map(|(_, value)| &value.node) {
            Some(Value::List(items)) => items.len(),
            Some(Value::Variable(name)) => match self.variable(name) {
                Some(ConstValue::List(items)) => items.len(),
                _ => 1,
            },
            _ => 1,
        };
        u64::try_from(count.max(1)).unwrap_or(u64::MAX)
    }

    fn variable(&mut self, name: &str) -> Option<&'a ConstValue> {
        self.reads_variables = true;
        self.variables.get(name).or_else(|| {
            let definitions = &self.operation.variable_definitions;
            let definition = definitions.iter().find(|definition| definition.node.name.node == name)?;
            definition.node.default_value.as_ref().map(|value: &Positioned<ConstValue>| &value.node)
        })
    }
}

impl Price {
    /// The spread or inline fragment itself.
    const fn and_one(self) -> Self {
        Self { once: self.once.saturating_add(1), each: self.each }
    }
}
