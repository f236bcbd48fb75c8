//! Open queries: what `nextRecordsUrl` leads to.

use std::{collections::VecDeque, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    id::RecordId,
    sandbox::{salesforce::query::shape::Shape, world::ids::sf_id},
};

/// Queries that stay open; the oldest ends when one more is opened.
const MOST: usize = 50;

/// An open query: its records in order, and how to show them.
#[derive(Clone)]
pub struct Cursor {
    /// The records.
    pub ids: Arc<[RecordId]>,
    /// How to show them.
    pub shape: Arc<Shape>,
    opened_at: DateTime<Utc>,
}

/// The open queries.
#[derive(Default)]
pub struct Cursors {
    open: VecDeque<(String, Cursor)>,
    opened: u64,
}

impl Cursors {
    /// Opens a query; gives the id with which its locators begin.
    pub fn open(&mut self, ids: Arc<[RecordId]>, shape: Arc<Shape>, now: DateTime<Utc>) -> String {
        self.opened += 1;
        let id = sf_id("01g", self.opened, 0);
        if self.open.len() == MOST {
            self.open.pop_front();
        }
        self.open.push_back((id.clone(), Cursor { ids, shape, opened_at: now }));
        id
    }

    /// The query and the row that a locator names; `None` when it is unknown, closed or two days old.
    pub fn find(&self, locator: &str, now: DateTime<Utc>) -> Option<(String, Cursor, usize)> {
        let (id, row) = locator.rsplit_once('-')?;
        let row = row.parse().ok()?;
        let (_, cursor) = self.open.iter().find(|(open, _)| open == id || open[..15] == *id)?;
        let is_live = now - cursor.opened_at < TimeDelta::days(2) && row < cursor.ids.len();
        is_live.then(|| (id.to_owned(), cursor.clone(), row))
    }
}
