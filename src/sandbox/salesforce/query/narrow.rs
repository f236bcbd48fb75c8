//! Where a condition can hold at all: the customers and written records that are worth a look.

use crate::sandbox::salesforce::{
    query::filter::{Column, Filter, Operand, Subject},
    schema::Object,
    soql::ast::{Operator, Piece},
    store::{View, home, view::Candidates},
};

/// The candidates for a condition; `None` when it says nothing about where.
pub fn narrow(view: &View<'_>, object: &'static Object, filter: &Filter) -> Option<Candidates> {
    let with =
        |column: &Column, values: &[String]| view.with_values(object, &column.hops, column.field, values);
    match filter {
        Filter::And(terms) => {
            terms.iter().filter_map(|term| narrow(view, object, term)).reduce(|one, other| Candidates {
                customers: one.customers.intersection(&other.customers).copied().collect(),
                written: one.written.intersection(&other.written).copied().collect(),
            })
        }
        Filter::Or(terms) => {
            let mut union = Candidates { customers: Default::default(), written: Default::default() };
            for term in terms {
                let one = narrow(view, object, term)?;
                union.customers.extend(one.customers);
                union.written.extend(one.written);
            }
            Some(union)
        }
        Filter::Compare(Subject::Column(column), Operator::Equal, operand) => with(column, &[key(operand)?]),
        Filter::In(Subject::Column(column), false, operands) => {
            with(column, &operands.iter().map(key).collect::<Option<Vec<_>>>()?)
        }
        Filter::InSet(Subject::Column(column), false, ids) => {
            with(column, &ids.iter().map(ToString::to_string).collect::<Vec<_>>())
        }
        // `WH_Account__c LIKE '#1005 %'`: the mark begins with the billing client.
        Filter::Like(Subject::Column(column), pattern)
            if column.hops.is_empty() && column.field.name == "WH_Account__c" =>
        {
            let prefix: String = pattern
                .iter()
                .map_while(|piece| match piece {
                    Piece::Char(c) => Some(*c),
                    Piece::Any | Piece::One => None,
                })
                .collect();
            let n = home::billing_client(&prefix)?;
            Some(Candidates {
                customers: [n].into_iter().filter(|n| view.world.has(*n)).collect(),
                written: view.overlay.of(object).collect(),
            })
        }
        _ => None,
    }
}

fn key(operand: &Operand) -> Option<String> {
    match operand {
        Operand::Text(text) | Operand::Exact(text) => Some(text.clone()),
        _ => None,
    }
}
