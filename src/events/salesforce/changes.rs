//! What the CRM's events mean in the portal's words.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tokio::sync::Notify;

use super::{
    owners::{Owner, Owners},
    report::{Entity, Report},
};
use crate::{
    clock::Clock,
    error::Error,
    events::Change,
    id::{AccountId, CaseId, OrderId, RecordId},
    store::{self, Store, inbox::Claimed},
    upstream::salesforce,
};

/// Why it cannot be said what an event means.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unmapped {
    /// The CRM or the database does not answer: later, without counting it against the event.
    #[error("what the event means cannot be asked for now")]
    Later(#[source] Error),
    /// The row is not ours.
    #[error("the row of the event cannot be read")]
    Unreadable,
}

/// Says what rows of the inbox mean. Clones share what is known of owners.
#[derive(Clone)]
pub struct Changes {
    store: Store,
    owners: Owners,
    clock: Clock,
    reconcile: Arc<Notify>,
}

impl Changes {
    /// With a client to ask for owners. `reconcile` is notified when a comparison is asked for.
    pub fn new(store: Store, crm: salesforce::Client, clock: Clock, reconcile: Arc<Notify>) -> Self {
        Self { store, owners: Owners::new(crm), clock, reconcile }
    }

    /// What each event changed, in the order of the events; nothing for one that concerns nobody. The owners of all
    /// are asked for together.
    pub async fn of(&self, events: &[Claimed]) -> Vec<Result<Vec<Change>, Unmapped>> {
        let reports: Vec<Option<Report>> =
            events.iter().map(|event| serde_json::from_str(&event.payload).ok()).collect();
        let wanted: HashSet<_> = reports.iter().flatten().filter_map(wanted).collect();
        // The answers are kept: each event then finds its own, and an outage fails those alone that need it.
        let asked = self.owners.of(&wanted).await;
        let mut changes = Vec::with_capacity(events.len());
        for report in &reports {
            changes.push(match report {
                None => Err(Unmapped::Unreadable),
                Some(report) => self.meaning(report, &asked).await,
            });
        }
        changes
    }

    async fn meaning(
        &self,
        report: &Report,
        asked: &Result<HashMap<RecordId, Owner>, Error>,
    ) -> Result<Vec<Change>, Unmapped> {
        let later = |error: store::Error| Unmapped::Later(error.into());
        match report {
            // Its workflow reads the row; nothing that is served changes by it.
            Report::Fulfilment { .. } => Ok(Vec::new()),
            // The customer is to be told as well: the notice belongs beside this change.
            Report::Eligibility { account } => Ok(vec![Change::Eligibility { account: *account }]),
            Report::Comment { account: None, .. } => Ok(Vec::new()),
            Report::Comment { case, account: Some(account) } => {
                Ok(vec![Change::Conversation { account: *account, case: *case }])
            }
            Report::Whole { entity } => {
                Ok(if is_catalogue(*entity) { vec![Change::Catalogue] } else { Vec::new() })
            }
            Report::Record { is_internal: true, .. } => Ok(Vec::new()),
            Report::Record { entity, .. } if is_catalogue(*entity) => Ok(vec![Change::Catalogue]),
            Report::Record { entity: Entity::Account, id, .. } => {
                let account = AccountId(*id);
                let mapping = self.store.mapping_of_account(account).await.map_err(later)?;
                let profile = mapping.map(|mapping| Change::Profile { client: mapping.client });
                let eligibility = Change::Eligibility { account };
                Ok([Change::Account { account }, eligibility].into_iter().chain(profile).collect())
            }
            Report::Record { entity, id, is_deleted, account, .. } => {
                let before = self.owners.kept(*id).await;
                let owner = match (wanted(report), asked) {
                    // The event says so.
                    (None, _) => account.map(|account| Owner { account, parent: *id }),
                    (Some((_, target)), Ok(found)) => found.get(&target).copied(),
                    (Some((_, target)), Err(error)) => match self.owners.kept(target).await {
                        Some(owner) => Some(owner),
                        None => return Err(Unmapped::Later(error.clone())),
                    },
                };
                if let Some(owner) = owner {
                    self.owners.keep(*id, owner).await;
                } else if *is_deleted && before.is_none() {
                    // Nobody can say whose it was.
                    self.compare(*entity).await.map_err(later)?;
                }
                let mut owners: Vec<_> = before.into_iter().chain(owner).collect();
                owners.dedup();
                Ok(owners.into_iter().flat_map(|owner| of_record(*entity, owner)).collect())
            }
        }
    }

    async fn compare(&self, entity: Entity) -> store::Result<()> {
        let mut tx = self.store.begin().await?;
        let reason = "a record was deleted whose owner is not known";
        tx.request_reconciliation(entity.as_str(), reason, self.clock.now()).await?;
        tx.commit().await?;
        self.reconcile.notify_one();
        Ok(())
    }
}

fn is_catalogue(entity: Entity) -> bool {
    matches!(entity, Entity::Product2 | Entity::PricebookEntry)
}

/// The record whose owner has to be asked for: the one that changed, or the one to which it belongs.
fn wanted(report: &Report) -> Option<(Entity, RecordId)> {
    let Report::Record { entity, id, is_internal: false, account: None, parent, .. } = report else {
        return None;
    };
    match (entity, parent) {
        (Entity::OrderItem, Some(order)) => Some((Entity::Order, *order)),
        (Entity::EmailMessage, Some(case)) => Some((Entity::Case, *case)),
        (Entity::Product2 | Entity::PricebookEntry | Entity::Account, _) => None,
        _ => Some((*entity, *id)),
    }
}

fn of_record(entity: Entity, Owner { account, parent }: Owner) -> Vec<Change> {
    match entity {
        Entity::Order | Entity::OrderItem => {
            vec![Change::Order { account, order: Some(OrderId(parent)) }]
        }
        Entity::Case => {
            let case = CaseId(parent);
            vec![Change::Case { account, case: Some(case) }, Change::Conversation { account, case }]
        }
        Entity::EmailMessage => vec![Change::Conversation { account, case: CaseId(parent) }],
        Entity::Opportunity => vec![Change::Order { account, order: None }, Change::Account { account }],
        Entity::Product2 | Entity::PricebookEntry | Entity::Account => Vec::new(),
    }
}
