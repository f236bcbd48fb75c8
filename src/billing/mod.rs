//! Clients, invoices, payment methods and services: what the billing system knows of a viewer.
//!
//! Whole lists are read and kept, not pages: a customer has tens of services and a few hundred
//! invoices at most, so one call serves every page, filter, sort and total, and one tag makes it old.
//! Source of the rules: domain reference §8, §9, §20, §23.

mod client;
mod compare;
mod email;
mod invoice;
mod mirror;
mod payment_method;
mod profile;
mod subscription;
pub mod tags;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures::future::try_join_all;

pub use self::{
    client::{Client, ClientChanges, Clients, Gender, Login, NewClient},
    compare::Drift,
    email::{EMAIL_TAKEN, Emails, LoginId},
    invoice::{Invoice, InvoiceDetails, InvoiceLine, InvoiceLineKind, InvoiceStatus, InvoiceTotals},
    mirror::Mirrors,
    payment_method::{PaymentMethod, PaymentMethodKind},
    profile::{Address, Profile},
    subscription::{BillingCycle, Subscription, SubscriptionKind, SubscriptionStatus},
};
use crate::{
    clock::Clock,
    deadline::Budget,
    error::{Error, Result, Service},
    freshness::{Cache, Kind, Lifetime, Read},
    id::{ClientId, InvoiceId},
    identity::Viewer,
    money::Currency,
    upstream::whmcs,
};

/// Rows asked for in one call of a list. Hosts time out before the vendor refuses; 100 to 250 is sane
/// (WHMCS reference §1.9).
const PAGE: u64 = 250;

/// How long each kind of answer is of use (domain reference §27).
#[derive(Clone, Debug)]
pub struct Times {
    /// The profile with its address.
    pub profile: Lifetime,
    /// The list of subscriptions.
    pub subscriptions: Lifetime,
    /// The list of invoices.
    pub invoices: Lifetime,
    /// One invoice with its lines, which is never shown old.
    pub invoice: Duration,
    /// The stored payment methods.
    pub payment_methods: Lifetime,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            profile: Lifetime::fresh_for(Duration::from_secs(300)),
            subscriptions: Lifetime::fresh_for(Duration::from_secs(300)),
            invoices: Lifetime::fresh_for(Duration::from_secs(90)),
            invoice: Duration::from_secs(300),
            payment_methods: Lifetime::fresh_for(Duration::from_secs(900)),
        }
    }
}

/// Ids of the billing system's custom client fields; they differ between installations.
#[derive(Clone, Debug)]
pub struct CustomFields {
    /// The field that holds the customer number.
    pub customer_number: u64,
    /// The field that holds the birth date, `1990-01-31`.
    pub birth_date: u64,
    /// The field that holds the gender: `Male`, `Female` or `Other`.
    pub gender: u64,
    /// The field that holds the nationality.
    pub nationality: u64,
}

impl Default for CustomFields {
    fn default() -> Self {
        Self { customer_number: 198, birth_date: 201, gender: 202, nationality: 203 }
    }
}

/// The billing domain. Clones share everything.
#[derive(Clone)]
pub struct Billing {
    whmcs: whmcs::Client,
    cache: Cache,
    clock: Clock,
    fields: CustomFields,
    kinds: Arc<Kinds>,
    mirrors: Option<Mirrors>,
}

struct Kinds {
    profile: Kind,
    subscriptions: Kind,
    invoices: Kind,
    invoice: Kind,
    payment_methods: Kind,
}

impl Billing {
    /// The domain over one client of the billing system.
    pub fn new(
        whmcs: whmcs::Client,
        cache: Cache,
        clock: Clock,
        fields: CustomFields,
        times: &Times,
    ) -> Self {
        let kind = |name, lifetime| cache.kind(name, Service::Billing, lifetime);
        let kinds = Kinds {
            profile: kind("profile", times.profile),
            subscriptions: kind("subscriptions", times.subscriptions),
            invoices: kind("invoices", times.invoices),
            // It shows the balance, before somebody pays it.
            invoice: kind("invoice", Lifetime::fresh_for(times.invoice)).never_stale(),
            payment_methods: kind("payment_methods", times.payment_methods),
        };
        Self { whmcs, cache, clock, fields, kinds: Arc::new(kinds), mirrors: None }
    }

    /// The viewer's profile with the current address.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when billing does not answer.
    pub async fn profile(&self, viewer: &Viewer) -> Result<Read<Profile>> {
        let (client, budget) = (viewer.client(), viewer.budget());
        self.cache
            .read(
                viewer.reader(),
                &self.kinds.profile,
                viewer.owner().key(&self.kinds.profile, ""),
                vec![tags::profile(client)],
                || {
                    let billing = self.clone();
                    async move { billing.ask_profile(client, budget).await }
                },
            )
            .await
    }

    /// All subscriptions of the viewer, newest first; from the mirror when billing does not answer and nothing is cached.
    ///
    /// The rows carry no currency, so the profile is asked beside them.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when billing does not answer.
    pub async fn subscriptions(&self, viewer: &Viewer) -> Result<Read<Vec<Subscription>>> {
        let (client, budget) = (viewer.client(), viewer.budget());
        let read = self.cache.read(
            viewer.reader(),
            &self.kinds.subscriptions,
            viewer.owner().key(&self.kinds.subscriptions, ""),
            vec![tags::subscriptions(client), tags::profile(client)],
            || {
                let (billing, viewer) = (self.clone(), viewer.clone());
                async move {
                    let asked_at = billing.clock.now();
                    let currency = async { Ok(billing.profile(&viewer).await?.currency) };
                    let all = billing.load_subscriptions(client, budget, currency).await?;
                    billing.keep(client, &all, asked_at);
                    Ok(all)
                }
            },
        );
        match read.await {
            Err(error) => self.last_source(viewer.reader(), client, error).await,
            found => found,
        }
    }

    /// All invoices of the viewer without their lines, newest first; from the mirror when billing does not answer and
    /// nothing is cached.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when billing does not answer.
    pub async fn invoices(&self, viewer: &Viewer) -> Result<Read<Vec<Invoice>>> {
        let (client, budget) = (viewer.client(), viewer.budget());
        let read = self.cache.read(
            viewer.reader(),
            &self.kinds.invoices,
            viewer.owner().key(&self.kinds.invoices, ""),
            vec![tags::invoices(client)],
            || {
                let billing = self.clone();
                async move {
                    let asked_at = billing.clock.now();
                    let all = billing.ask_invoices(client, budget).await?;
                    billing.keep(client, &all, asked_at);
                    Ok(all)
                }
            },
        );
        match read.await {
            Err(error) => self.last_source(viewer.reader(), client, error).await,
            found => found,
        }
    }

    /// Lets the mirror of a list that was read be written, if there is one.
    fn keep<T: mirror::Mirrored>(&self, client: ClientId, list: &[T], asked_at: DateTime<Utc>) {
        if let Some(mirrors) = &self.mirrors {
            mirrors.keep_later(client, list, asked_at);
        }
    }

    /// The profile of a client as billing says now.
    async fn ask_profile(&self, client: ClientId, budget: Budget) -> Result<Profile> {
        let details = self.whmcs.get_clients_details(budget, client.0).await?;
        Ok(Profile::new(details, &self.fields))
    }

    /// The payment methods of a client as billing says now.
    async fn ask_payment_methods(&self, client: ClientId, budget: Budget) -> Result<Vec<PaymentMethod>> {
        let rows = self.whmcs.get_pay_methods(budget, client.0).await?;
        Ok(rows.into_iter().map(PaymentMethod::new).collect())
    }

    /// All invoices of a client as billing says now, newest first.
    async fn ask_invoices(&self, client: ClientId, budget: Budget) -> Result<Vec<Invoice>> {
        let rows = every_page(|offset| async move {
            let page = self.whmcs.get_invoices(budget, client.0, offset, PAGE).await?;
            Ok((page.total, page.invoices))
        })
        .await?;
        let today = self.clock.today();
        let mut all: Vec<_> = rows.into_iter().map(|row| Invoice::new(row, today)).collect();
        all.sort_by_key(|i| std::cmp::Reverse((i.issued_on, i.key)));
        Ok(all)
    }

    /// All subscriptions of a client as billing says now, newest first.
    async fn ask_subscriptions(&self, client: ClientId, budget: Budget) -> Result<Vec<Subscription>> {
        let currency = async { Ok(self.ask_profile(client, budget).await?.currency) };
        self.load_subscriptions(client, budget, currency).await
    }

    async fn load_subscriptions(
        &self,
        client: ClientId,
        budget: Budget,
        currency: impl Future<Output = Result<Currency>>,
    ) -> Result<Vec<Subscription>> {
        let rows = every_page(|offset| async move {
            let page = self.whmcs.get_clients_products(budget, client.0, offset, PAGE).await?;
            Ok((page.total, page.products))
        });
        // Both to their end: a call that is dropped half way may be the one that a
        // breaker waits for to learn that billing is back.
        let (rows, currency) = tokio::join!(rows, currency);
        let (rows, currency) = (rows?, currency?);
        let mut all: Vec<_> = rows.into_iter().map(|row| Subscription::new(row, currency)).collect();
        all.sort_by_key(|s| std::cmp::Reverse((s.registered_on, s.key)));
        Ok(all)
    }

    /// One invoice of the viewer with its lines and balance; `None` when there is none of that number
    /// or it is somebody else's.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when billing does not answer.
    pub async fn invoice_details(
        &self,
        viewer: &Viewer,
        invoice: InvoiceId,
    ) -> Result<Option<Read<InvoiceDetails>>> {
        let (client, budget) = (viewer.client(), viewer.budget());
        let owned = self.invoices(viewer).await?;
        let Some(row) = owned.iter().find(|row| row.key == invoice) else { return Ok(None) };
        let currency = row.total.currency;
        let details = self
            .cache
            .read(
                viewer.reader(),
                &self.kinds.invoice,
                viewer.owner().key(&self.kinds.invoice, invoice),
                vec![tags::invoices(client), tags::invoice(client, invoice)],
                || {
                    let billing = self.clone();
                    async move { billing.load_invoice(budget, client, invoice, currency).await }
                },
            )
            .await?;
        Ok(Some(details))
    }

    async fn load_invoice(
        &self,
        budget: Budget,
        client: ClientId,
        invoice: InvoiceId,
        currency: Currency,
    ) -> Result<InvoiceDetails> {
        match self.whmcs.get_invoice(budget, invoice.0).await? {
            Some(details) if details.userid == client.0 => Ok(InvoiceDetails::new(details, currency)),
            // The list named it a moment ago, so billing disagrees with itself.
            _ => Err(Error::internal("an invoice of the list is not the client's when asked for alone")),
        }
    }

    /// The viewer's stored payment methods.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when billing does not answer.
    pub async fn payment_methods(&self, viewer: &Viewer) -> Result<Read<Vec<PaymentMethod>>> {
        let (client, budget) = (viewer.client(), viewer.budget());
        self.cache
            .read(
                viewer.reader(),
                &self.kinds.payment_methods,
                viewer.owner().key(&self.kinds.payment_methods, ""),
                vec![tags::payment_methods(client)],
                || {
                    let billing = self.clone();
                    async move { billing.ask_payment_methods(client, budget).await }
                },
            )
            .await
    }
}

/// Reads a whole list: the first page tells the length, the others follow side by side.
async fn every_page<T, F>(page: impl Fn(u64) -> F) -> Result<Vec<T>>
where
    F: Future<Output = Result<(u64, Vec<T>)>>,
{
    let (total, mut rows) = page(0).await?;
    let got = rows.len() as u64;
    if got > 0 && got < total {
        let offsets = (got..total).step_by(usize::try_from(got).unwrap_or(usize::MAX));
        for (_, more) in try_join_all(offsets.map(&page)).await? {
            rows.extend(more);
        }
    }
    Ok(rows)
}
