//! Whose record a change is of, when the event does not say so.
//!
//! An update names only what changed, so the account is asked for: the records of all events at hand with one
//! statement an object, in the background lane. Answers are kept for a while; an event that names the account itself
//! corrects them.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures::future::try_join_all;
use moka::future::Cache;

use super::report::Entity;
use crate::{
    deadline::{Budget, Lane},
    error::Error,
    id::{AccountId, RecordId},
    upstream::salesforce::{
        Client, Record,
        soql::{Filter, Select, Soql, Value},
    },
};

/// Owners that are kept.
const OWNERS: u64 = 100_000;
/// How long they are: another replica may have seen the event that corrects one.
const KEPT: Duration = Duration::from_secs(600);
/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(10);
/// Records of one statement.
const AT_ONCE: usize = 200;

/// To whom a record belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// The account.
    pub(super) account: AccountId,
    /// The order or case: the record itself, or the one to which it belongs.
    pub(super) parent: RecordId,
}

/// Finds owners. Clones share what is kept.
#[derive(Clone)]
pub(super) struct Owners {
    crm: Client,
    kept: Cache<RecordId, Owner>,
}

impl Owners {
    pub(super) fn new(crm: Client) -> Self {
        Self { crm, kept: Cache::builder().max_capacity(OWNERS).time_to_live(KEPT).build() }
    }

    /// The owner that is kept of a record.
    pub(super) async fn kept(&self, record: RecordId) -> Option<Owner> {
        self.kept.get(&record).await
    }

    /// An event says to whom a record belongs.
    pub(super) async fn keep(&self, record: RecordId, owner: Owner) {
        self.kept.insert(record, owner).await;
    }

    /// The owners of records. Those that are gone, and those of nobody, are absent.
    pub(super) async fn of(
        &self,
        wanted: &HashSet<(Entity, RecordId)>,
    ) -> Result<HashMap<RecordId, Owner>, Error> {
        let mut found = HashMap::new();
        let mut missing: HashMap<Entity, Vec<RecordId>> = HashMap::new();
        for (entity, record) in wanted {
            match self.kept(*record).await {
                Some(owner) => drop(found.insert(*record, owner)),
                None => missing.entry(*entity).or_default().push(*record),
            }
        }
        let asked = missing
            .iter()
            .flat_map(|(entity, records)| records.chunks(AT_ONCE).map(|records| self.ask(*entity, records)));
        for (record, owner) in try_join_all(asked).await?.into_iter().flatten() {
            self.keep(record, owner).await;
            found.insert(record, owner);
        }
        Ok(found)
    }

    async fn ask(&self, entity: Entity, records: &[RecordId]) -> Result<Vec<(RecordId, Owner)>, Error> {
        let budget = Budget::new(WITHIN, Lane::Background);
        let rows: Vec<Record> = self.crm.query(budget, select(entity, records)?).await?;
        let mut found = Vec::new();
        for row in &rows {
            let id = row.required("Id", Record::id)?;
            let parent = entity.parent_field().map_or(Ok(Some(id)), |field| row.id(field))?;
            if let (Some(account), Some(parent)) = (row.id(account_field(entity))?, parent) {
                found.push((id, Owner { account: AccountId(account), parent }));
            }
        }
        Ok(found)
    }
}

fn select(entity: Entity, records: &[RecordId]) -> Result<Soql, Error> {
    Select::from(entity.as_str())
        .fields(["Id", account_field(entity)])
        .fields(entity.parent_field())
        .filter(Filter::one_of("Id", records.iter().copied().map(Value::Id)))
        .build()
        .map_err(Error::internal)
}

fn account_field(entity: Entity) -> &'static str {
    match entity {
        Entity::OrderItem => "Order.AccountId",
        Entity::EmailMessage => "Parent.AccountId",
        _ => "AccountId",
    }
}
