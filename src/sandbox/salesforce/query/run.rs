//! Runs a plan: which records, in which order.

use std::{cmp::Ordering, ops::ControlFlow, sync::Arc};

use serde_json::Value;

use crate::{
    id::RecordId,
    sandbox::salesforce::{
        query::{
            Found, Terms, aggregate,
            bind::{Order, Plan},
            filter::{Filter, Subject},
        },
        refusal::Refusal,
        schema::Object,
        store::{Record, View, view::Candidates},
    },
};

/// A search: what a plan says, with what a parent adds.
pub struct Search<'a> {
    /// The object.
    pub object: &'static Object,
    /// All of them hold.
    pub filters: Vec<&'a Filter>,
    /// Where to look; `None` for everywhere.
    pub candidates: Option<&'a Candidates>,
    /// `ORDER BY`.
    pub order: &'a [Order],
    /// `LIMIT`.
    pub limit: Option<usize>,
    /// `OFFSET`.
    pub offset: usize,
}

impl<'a> Search<'a> {
    /// The search of a whole plan.
    pub fn of(plan: &'a Plan) -> Self {
        Self {
            object: plan.object,
            filters: plan.filter.iter().collect(),
            candidates: plan.candidates.as_ref(),
            order: &plan.order,
            limit: plan.limit,
            offset: plan.offset,
        }
    }
}

/// Answers a plan.
///
/// # Errors
/// Too many groups.
pub fn run(view: &View<'_>, plan: Plan, terms: Terms) -> Result<Found, Refusal> {
    if let Some(grouping) = &plan.grouping {
        return aggregate::rows(view, &plan, grouping, terms).map(Found::Rows);
    }
    if plan.counts {
        let mut count = 0_usize;
        let _ = matching(view, &Search::of(&plan), terms, |_| {
            count += 1;
            ControlFlow::Continue(())
        });
        let count = count.saturating_sub(plan.offset);
        return Ok(Found::Count(plan.limit.map_or(count, |limit| count.min(limit))));
    }
    let ids = select(view, &Search::of(&plan), terms);
    Ok(Found::Records(ids, plan.shape))
}

/// Goes through the records that match.
pub fn matching(
    view: &View<'_>,
    search: &Search<'_>,
    terms: Terms,
    mut look: impl FnMut(&Arc<Record>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    view.scan(search.object, search.candidates, |record| {
        if record.is_deleted() && !terms.with_deleted {
            return ControlFlow::Continue(());
        }
        let value = |subject: &Subject| match subject {
            Subject::Column(column) => column.value(view, record),
            Subject::Aggregate(_) => Value::Null,
        };
        if search.filters.iter().all(|filter| filter.holds(&value)) {
            return look(record);
        }
        ControlFlow::Continue(())
    })
}

/// The records of a search, in order.
pub fn select(view: &View<'_>, search: &Search<'_>, terms: Terms) -> Vec<RecordId> {
    let wanted = search.limit.map(|limit| limit.saturating_add(search.offset));
    if search.order.is_empty() {
        let mut ids = Vec::new();
        if wanted != Some(0) {
            let _ = matching(view, search, terms, |record| {
                ids.push(record.id);
                if Some(ids.len()) == wanted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        }
        ids.drain(..search.offset.min(ids.len()));
        return ids;
    }
    let mut rows: Vec<(Vec<Value>, RecordId)> = Vec::new();
    let _ = matching(view, search, terms, |record| {
        let keys = search.order.iter().map(|order| match &order.subject {
            Subject::Column(column) => column.value(view, record),
            Subject::Aggregate(_) => Value::Null,
        });
        rows.push((keys.collect(), record.id));
        ControlFlow::Continue(())
    });
    rows.sort_by(|(one, _), (other, _)| by_keys(search.order, one, other));
    let end = wanted.unwrap_or(usize::MAX).min(rows.len());
    rows.drain(search.offset.min(end)..end).map(|(_, id)| id).collect()
}

/// The order of two rows by their keys.
pub fn by_keys(orders: &[Order], one: &[Value], other: &[Value]) -> Ordering {
    let keys = orders.iter().zip(one.iter().zip(other));
    keys.map(|(order, (one, other))| match (one.is_null(), other.is_null()) {
        (true, true) => Ordering::Equal,
        (true, false) if order.nulls_last => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, true) if order.nulls_last => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) if order.descending => of_values(other, one),
        (false, false) => of_values(one, other),
    })
    .find(|order| order.is_ne())
    .unwrap_or(Ordering::Equal)
}

/// The order of two values of one field. Text without regard to case.
pub fn of_values(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one.as_f64().partial_cmp(&other.as_f64()).unwrap_or(Ordering::Equal)
        }
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::String(one), Value::String(other)) => {
            one.to_lowercase().cmp(&other.to_lowercase()).then_with(|| one.cmp(other))
        }
        _ => one.is_null().cmp(&other.is_null()).reverse(),
    }
}
