//! What the CRM's events mean in the portal's words.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    owners::{Owner, Owners},
    report::{Entity, Report},
};
use crate::{
    clock::Clock,
    crm::{Crm, EligibilityStatus},
    deadline::{Budget, Lane},
    error::Error,
    events::{Change, Meaning, Notice},
    id::{AccountId, CaseId, OrderId, RecordId},
    store::{self, Store, inbox::Claimed},
    upstream::salesforce,
};

/// How long the CRM may take to say what was decided. Nobody waits for it.
const WITHIN: Duration = Duration::from_secs(10);

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
    crm: Crm,
    clock: Clock,
    reconcile: Arc<Notify>,
}

impl Changes {
    /// With a client to ask for owners, and the domain to ask what was decided. `reconcile` is notified when a
    /// comparison is asked for.
    pub fn new(
        store: Store,
        client: salesforce::Client,
        crm: Crm,
        clock: Clock,
        reconcile: Arc<Notify>,
    ) -> Self {
        Self { store, owners: Owners::new(client), crm, clock, reconcile }
    }

    /// What each event means, in the order of the events; nothing for one that concerns nobody. The owners of all
    /// are asked for together, and so are all decisions.
    pub async fn of(&self, events: &[Claimed]) -> Vec<Result<Meaning, Unmapped>> {
        let reports: Vec<Option<Report>> =
            events.iter().map(|event| serde_json::from_str(&event.payload).ok()).collect();
        let wanted: HashSet<_> = reports.iter().flatten().filter_map(wanted).collect();
        // The answers are kept: each event then finds its own, and an outage fails those alone that need it.
        let (asked, decided) = tokio::join!(self.owners.of(&wanted), self.decided(&reports));
        let mut meanings = Vec::with_capacity(events.len());
        for report in &reports {
            let meaning = async {
                let report = report.as_ref().ok_or(Unmapped::Unreadable)?;
                let notice = notice(report, &decided)?;
                Ok(Meaning { notice, ..Meaning::from(self.changes(report, &asked).await?) })
            };
            meanings.push(meaning.await);
        }
        meanings
    }

    /// Where the checks stand of which an event says that they were decided, of the accounts that somebody here has.
    async fn decided(
        &self,
        reports: &[Option<Report>],
    ) -> Result<HashMap<AccountId, EligibilityStatus>, Error> {
        let mut accounts = HashSet::new();
        for report in reports {
            if let Some(Report::Eligibility { account }) = report
                && self.store.mapping_of_account(*account).await?.is_some()
            {
                accounts.insert(*account);
            }
        }
        let accounts: Vec<_> = accounts.into_iter().collect();
        match self.crm.ask_eligibility(&accounts, Budget::new(WITHIN, Lane::Background)).await {
            Err(error) if !matches!(error, Error::Unavailable { .. } | Error::RateLimited { .. }) => {
                // It would not be understood later either, and the answers have to become old.
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the CRM does not say what was decided; customers are not told"
                );
                Ok(HashMap::new())
            }
            decided => decided,
        }
    }

    async fn changes(
        &self,
        report: &Report,
        asked: &Result<HashMap<RecordId, Owner>, Error>,
    ) -> Result<Vec<Change>, Unmapped> {
        let later = |error: store::Error| Unmapped::Later(error.into());
        match report {
            // Its workflow reads the row; nothing that is served changes by it.
            Report::Fulfilment { .. } => Ok(Vec::new()),
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

/// What the customer is to be told. A check that goes on is no news.
fn notice(
    report: &Report,
    decided: &Result<HashMap<AccountId, EligibilityStatus>, Error>,
) -> Result<Option<Notice>, Unmapped> {
    let Report::Eligibility { account } = *report else { return Ok(None) };
    let is_eligible = match decided.as_ref().map_err(|error| Unmapped::Later(error.clone()))?.get(&account) {
        Some(EligibilityStatus::Eligible) => true,
        Some(EligibilityStatus::Ineligible) => false,
        Some(EligibilityStatus::NotRequested | EligibilityStatus::Pending) | None => return Ok(None),
    };
    Ok(Some(Notice::Eligibility { account, is_eligible }))
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
