//! `GROUP BY` and the aggregate functions.

use std::{
    collections::{BTreeSet, HashMap},
    ops::ControlFlow,
};

use serde_json::{Value, json};

use crate::sandbox::salesforce::{
    node::Node,
    query::{
        Terms,
        bind::{Grouping, Plan},
        filter::Subject,
        run::{Search, by_keys, matching, of_values},
    },
    refusal::Refusal,
    schema::field::Kind,
    soql::ast::Function,
    store::View,
};

/// Groups that a statement may yield.
const MOST_GROUPS: usize = 2_000;

struct Group {
    keys: Vec<Value>,
    sums: Vec<Sum>,
}

#[derive(Clone, Default)]
struct Sum {
    count: u64,
    total: f64,
    least: Option<Value>,
    greatest: Option<Value>,
    distinct: BTreeSet<String>,
}

impl Sum {
    fn add(&mut self, function: Function, value: Value) {
        if value.is_null() {
            return;
        }
        self.count += 1;
        self.total += value.as_f64().unwrap_or(0.0);
        match function {
            Function::CountDistinct => {
                self.distinct.insert(value.to_string().to_lowercase());
            }
            Function::Min if self.least.as_ref().is_none_or(|least| of_values(&value, least).is_lt()) => {
                self.least = Some(value);
            }
            Function::Max
                if self.greatest.as_ref().is_none_or(|greatest| of_values(&value, greatest).is_gt()) =>
            {
                self.greatest = Some(value);
            }
            _ => {}
        }
    }

    fn value(&self, function: Function) -> Value {
        match function {
            Function::Count => json!(self.count),
            Function::CountDistinct => json!(self.distinct.len()),
            Function::Sum if self.count > 0 => json!(self.total),
            Function::Avg if self.count > 0 => json!(self.total / self.count as f64),
            Function::Min => self.least.clone().unwrap_or(Value::Null),
            Function::Max => self.greatest.clone().unwrap_or(Value::Null),
            Function::Sum | Function::Avg => Value::Null,
        }
    }
}

/// The rows of an aggregated statement.
///
/// # Errors
/// More groups than an answer may have.
pub fn rows(view: &View<'_>, plan: &Plan, grouping: &Grouping, terms: Terms) -> Result<Vec<Node>, Refusal> {
    let mut groups: Vec<Group> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let blank = || vec![Sum::default(); grouping.aggregates.len()];
    if grouping.by.is_empty() {
        groups.push(Group { keys: Vec::new(), sums: blank() });
        places.insert(String::new(), 0);
    }
    let flow = matching(view, &Search::of(plan), terms, |record| {
        let keys: Vec<Value> = grouping.by.iter().map(|column| column.value(view, record)).collect();
        let place = keys.iter().map(|key| key.to_string().to_lowercase()).collect::<Vec<_>>().join("\0");
        let at = *places.entry(place).or_insert(groups.len());
        if at == groups.len() {
            if at == MOST_GROUPS {
                return ControlFlow::Break(());
            }
            groups.push(Group { keys, sums: blank() });
        }
        for (sum, (function, column)) in groups[at].sums.iter_mut().zip(&grouping.aggregates) {
            sum.add(*function, column.value(view, record));
        }
        ControlFlow::Continue(())
    });
    if flow.is_break() {
        return Err(Refusal::new(
            "EXCEEDED_ID_LIMIT",
            "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch",
        ));
    }
    let value = |group: &Group, subject: &Subject| match subject {
        Subject::Column(column) => {
            let at = grouping.by.iter().position(|by| by == column);
            at.map_or(Value::Null, |at| group.keys[at].clone())
        }
        Subject::Aggregate(at) => {
            let (function, column) = &grouping.aggregates[*at];
            match (function, group.sums[*at].value(*function), column.field.kind) {
                (Function::Sum, Value::Number(total), Kind::Int) => {
                    json!(total.as_f64().unwrap_or(0.0) as i64)
                }
                (_, value, _) => value,
            }
        }
    };
    if let Some(having) = &grouping.having {
        groups.retain(|group| having.holds(&|subject| value(group, subject)));
    }
    let mut keyed: Vec<(Vec<Value>, Group)> = groups
        .into_iter()
        .map(|group| (plan.order.iter().map(|order| value(&group, &order.subject)).collect(), group))
        .collect();
    keyed.sort_by(|(one, _), (other, _)| by_keys(&plan.order, one, other));
    let shown = keyed.iter().skip(plan.offset).take(plan.limit.unwrap_or(usize::MAX));
    Ok(shown
        .map(|(_, group)| {
            let mut parts =
                vec![("attributes".into(), Node::object([("type", Node::from("AggregateResult"))]))];
            for (name, subject) in &grouping.output {
                parts.push((name.clone().into(), Node::Value(value(group, subject))));
            }
            Node::Object(parts)
        })
        .collect())
}
