//! Relay connections over whole lists.

use async_graphql::{
    OutputType, SimpleObject,
    connection::{Connection, Edge, EmptyFields},
};

use crate::page::Page;

/// A page of a list, with fields that speak of the whole list.
pub(super) type Paged<T, F = Counted> = Connection<String, T, F, EmptyFields>;

/// What every connection says of the whole list.
#[derive(SimpleObject)]
pub struct Counted {
    /// How many items the whole list has, filters applied.
    pub total_count: i32,
}

impl Counted {
    /// Counts.
    pub(super) fn new(total: usize) -> Self {
        Self { total_count: i32::try_from(total).unwrap_or(i32::MAX) }
    }
}

/// Cuts a page out of a list that is filtered and sorted. `key` names an item for its cursor; `fields`
/// are made from the length of the whole list.
pub(super) fn paged<T, F>(
    page: &Page,
    list: Vec<T>,
    key: impl Fn(&T) -> String,
    fields: impl FnOnce(usize) -> F,
) -> Paged<T, F>
where
    T: OutputType,
    F: async_graphql::ObjectType,
{
    let cut = page.cut(list, key);
    let mut connection =
        Connection::with_additional_fields(cut.has_previous, cut.has_next, fields(cut.total));
    connection.edges = cut.items.into_iter().map(|(cursor, item)| Edge::new(cursor.encode(), item)).collect();
    connection
}
