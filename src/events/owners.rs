//! Whose an invoice, a service or an order of billing is, for hooks that do not say.

use std::{future::Future, time::Duration};

use moka::future::Cache;

use crate::{
    deadline::{Budget, Lane},
    events::whmcs::Ids,
    id::{ClientId, InvoiceId},
    store::Store,
    upstream::{
        error::{Error, Kind},
        whmcs,
    },
};

/// Owners remembered at most. They change only when two clients are merged.
const CAPACITY: u64 = 50_000;
/// How long an owner is remembered.
const MEMORY: Duration = Duration::from_secs(60 * 60);
/// How long billing may take to say whose it is. Nobody waits for it.
const WITHIN: Duration = Duration::from_secs(10);

/// A row of billing that has an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Row {
    Invoice(u64),
    Service(u64),
    Order(u64),
}

/// Why an owner is not known.
#[derive(Debug)]
pub(super) enum Unknown {
    /// Billing does not answer now.
    Away(Error),
    /// Billing answers, but not what we understand.
    Odd(Error),
}

/// Finds owners, and remembers them. Clones share the memory.
#[derive(Clone)]
pub struct Owners {
    whmcs: whmcs::Client,
    store: Store,
    known: Cache<Row, ClientId>,
}

impl Owners {
    /// Owners as the mirrors in a store tell them, and else a client of billing.
    pub fn new(whmcs: whmcs::Client, store: Store) -> Self {
        Self { whmcs, store, known: Cache::builder().max_capacity(CAPACITY).time_to_live(MEMORY).build() }
    }

    /// The client that the ids belong to; `None` when there is no such row any more, or no id that would tell.
    pub(super) async fn find(&self, ids: &Ids) -> Result<Option<ClientId>, Unknown> {
        if let Some(client) = ids.client {
            self.learn(ids, ClientId(client)).await;
            return Ok(Some(ClientId(client)));
        }
        for row in rows(ids) {
            if let Some(client) = self.known.get(&row).await {
                return Ok(Some(client));
            }
        }
        // An invoice never changes hands, except when clients are merged, and then their mirrors are deleted.
        if let Some(invoice) = ids.invoice
            && let Ok(Some(client)) = self.store.owner_of_mirrored_invoice(InvoiceId(invoice)).await
        {
            self.known.insert(Row::Invoice(invoice), client).await;
            return Ok(Some(client));
        }
        for row in rows(ids) {
            let budget = Budget::new(WITHIN, Lane::Background);
            let owner = match row {
                Row::Invoice(id) => ask(self.whmcs.owner_of_invoice(budget, id)).await?,
                Row::Service(id) => ask(self.whmcs.owner_of_service(budget, id)).await?,
                Row::Order(id) => ask(self.whmcs.owner_of_order(budget, id)).await?,
            };
            if let Some(owner) = owner {
                self.known.insert(row, ClientId(owner)).await;
                return Ok(Some(ClientId(owner)));
            }
        }
        Ok(None)
    }

    /// Forgets everything: two clients were merged.
    pub(super) fn forget(&self) {
        self.known.invalidate_all();
    }

    /// A hook that names the client saves the next one the question.
    async fn learn(&self, ids: &Ids, client: ClientId) {
        for row in rows(ids) {
            self.known.insert(row, client).await;
        }
    }
}

fn rows(ids: &Ids) -> impl Iterator<Item = Row> + use<> {
    let rows = [ids.invoice.map(Row::Invoice), ids.service.map(Row::Service), ids.order.map(Row::Order)];
    rows.into_iter().flatten()
}

async fn ask(owner: impl Future<Output = Result<Option<u64>, Error>>) -> Result<Option<u64>, Unknown> {
    owner.await.map_err(|error| match error.kind {
        Kind::Decode { .. } | Kind::Refused { .. } | Kind::TooLarge { .. } | Kind::Request => {
            Unknown::Odd(error)
        }
        _ => Unknown::Away(error),
    })
}
