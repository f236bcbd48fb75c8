//! All that is known of a person, as JSON for themselves: what the portal holds, and what the systems do.
//!
//! It is gathered by a job. Each part is there whole or not at all: while a system does not answer, the job comes back, and
//! when that has lasted too long, what is there is given, with the names of the parts that are not. It lies sealed for some
//! days, and is given to its person alone, in a session that has just proved who is there. Source: domain reference §30.

mod gather;

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    billing::Billing,
    clock::Clock,
    crm::Crm,
    deadline::{Budget, Lane},
    error::{Error, Result},
    identity::{Identity, Principal, Viewer},
    jobs::{Job, Queue, Setback, Try},
    mail::{Language, Mail, Message},
    notify::Notifications,
    seal::{Keyring, Place},
    sim::Sim,
    store::{
        ExportRow, Gathered, Store,
        audit::{Actor, Event},
    },
};

/// How long a try may ask the systems: less than the lease of a job, of which a run gets three quarters.
const WITHIN: Duration = Duration::from_secs(40);
/// What is gathered for longer than this is not gathered any more.
const LOST: TimeDelta = TimeDelta::days(2);
/// Who asks again within this gets what was asked for before.
const AGAIN: TimeDelta = TimeDelta::hours(1);

/// A part of what is known of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, async_graphql::Enum)]
#[graphql(name = "DataExportPart")]
pub enum Part {
    /// The portal's account: address, language, the ids in the other systems.
    Account,
    /// The terms that were accepted, and whether advertising is welcome.
    Consents,
    /// Sessions that stand.
    Sessions,
    /// Devices in which the person signed in.
    Devices,
    /// Passkeys, without what is secret of them.
    Passkeys,
    /// The authenticator app and how many recovery codes are left, without what is secret of them.
    SecondFactors,
    /// What partners are and were allowed.
    Grants,
    /// Sign-ins and tries.
    SignIns,
    /// What the log says that was done by and about the person.
    AuditLog,
    /// What the bell shows.
    Notifications,
    /// The portal's copies of invoices and services.
    Mirrors,
    /// Name, contact data and address.
    Profile,
    /// Services.
    Subscriptions,
    /// Invoices with their lines.
    Invoices,
    /// Stored cards and bank accounts, without what could pay.
    PaymentMethods,
    /// What the customer register says of the person: names, contact data, birth date, sex, address, how the portal is used,
    /// whether internet can be had at the address, and what may become a service.
    CustomerRegister,
    /// The address in Japanese writing.
    JapaneseAddress,
    /// Orders.
    Orders,
    /// Support cases with their conversations.
    Cases,
    /// Mobile lines with their usage.
    Lines,
}

impl Part {
    const ALL: [Self; 20] = [
        Self::Account,
        Self::Consents,
        Self::Sessions,
        Self::Devices,
        Self::Passkeys,
        Self::SecondFactors,
        Self::Grants,
        Self::SignIns,
        Self::AuditLog,
        Self::Notifications,
        Self::Mirrors,
        Self::Profile,
        Self::Subscriptions,
        Self::Invoices,
        Self::PaymentMethods,
        Self::CustomerRegister,
        Self::JapaneseAddress,
        Self::Orders,
        Self::Cases,
        Self::Lines,
    ];

    /// Its name in the document and in the store.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Consents => "consents",
            Self::Sessions => "sessions",
            Self::Devices => "devices",
            Self::Passkeys => "passkeys",
            Self::SecondFactors => "secondFactors",
            Self::Grants => "grants",
            Self::SignIns => "signIns",
            Self::AuditLog => "auditLog",
            Self::Notifications => "notifications",
            Self::Mirrors => "mirrors",
            Self::Profile => "profile",
            Self::Subscriptions => "subscriptions",
            Self::Invoices => "invoices",
            Self::PaymentMethods => "paymentMethods",
            Self::CustomerRegister => "customerRegister",
            Self::JapaneseAddress => "japaneseAddress",
            Self::Orders => "orders",
            Self::Cases => "cases",
            Self::Lines => "lines",
        }
    }
}

/// An export, as its person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Names it.
    pub id: Uuid,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it was gathered; `None` while it is.
    pub ready_at: Option<DateTime<Utc>>,
    /// It is gone from then on; `None` while it is gathered.
    pub expires_at: Option<DateTime<Utc>>,
    /// Parts that are not in it, since their system did not answer for too long.
    pub missing: Vec<Part>,
}

impl From<ExportRow> for Export {
    fn from(row: ExportRow) -> Self {
        let names: BTreeSet<_> = row.missing.split(' ').collect();
        Self {
            id: row.export_id,
            requested_at: row.requested_at,
            ready_at: row.ready_at,
            expires_at: row.expires_at,
            missing: Part::ALL.into_iter().filter(|part| names.contains(part.as_str())).collect(),
        }
    }
}

/// An export is to be gathered.
#[derive(Serialize, Deserialize)]
pub struct GatherExport {
    id: Uuid,
}

impl Job for GatherExport {
    const KIND: &'static str = "gather-export";
}

/// What exports are made of.
#[derive(Clone)]
pub struct Sources {
    /// What is ours.
    pub store: Store,
    /// Sessions, devices, second factors, grants, history.
    pub identity: Identity,
    /// The bell.
    pub notifications: Notifications,
    /// Billing.
    pub billing: Billing,
    /// The customer register, orders and cases.
    pub crm: Crm,
    /// Mobile lines.
    pub sim: Sim,
}

/// Exports of what is known of people. Clones share everything.
#[derive(Clone)]
pub struct Exports {
    sources: Sources,
    queue: Queue,
    keys: Keyring,
    clock: Clock,
    /// How long an export can be had.
    keep: TimeDelta,
    /// After so many tries what is there is given.
    attempts: u32,
}

impl Exports {
    /// Over what exports are made of. An export can be had for `keep`.
    pub fn new(
        sources: Sources,
        queue: Queue,
        keys: Keyring,
        clock: Clock,
        keep: Duration,
        attempts: u32,
    ) -> Self {
        let keep = TimeDelta::from_std(keep).unwrap_or(TimeDelta::days(7));
        Self { sources, queue, keys, clock, keep, attempts }
    }

    /// Lets an export be gathered. Whoever asks again within the hour, or while one is gathered, gets that one.
    ///
    /// # Errors
    /// [`Error::StoreAway`], [`Error::Internal`].
    pub async fn request(&self, viewer: &Viewer) -> Result<Export> {
        let (store, now, user) = (&self.sources.store, self.now(), viewer.user());
        let newest = async || Ok::<_, Error>(store.exports_of_user(user, now).await?.into_iter().next());
        if let Some(export) = newest().await?.filter(|export| now < export.requested_at + AGAIN) {
            return Ok(export.into());
        }
        let id = Uuid::new_v4();
        let mut tx = store.begin().await?;
        if tx.insert_export(id, user, now - LOST, now).await? {
            self.queue.put(&mut tx, &id.to_string(), &GatherExport { id }).await?;
            tx.audit(viewer.event("export.request", now).with("export", id));
            tx.commit().await?;
            self.queue.wake();
        } else {
            drop(tx);
        }
        newest()
            .await?
            .map(Export::from)
            .ok_or_else(|| Error::internal("an export that was stored is not there"))
    }

    /// The exports of a person that are not gone, newest first.
    ///
    /// # Errors
    /// [`Error::StoreAway`], [`Error::Internal`].
    pub async fn list(&self, viewer: &Viewer) -> Result<Vec<Export>> {
        viewer.reader().keep_not();
        let rows = self.sources.store.exports_of_user(viewer.user(), self.now()).await?;
        Ok(rows.into_iter().map(Export::from).collect())
    }

    /// An export's JSON; `None` when there is none of that id, it is somebody else's, not ready or gone: all alike.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `STEP_UP_REQUIRED`; [`Error::StoreAway`], [`Error::Internal`].
    pub async fn download(&self, viewer: &Viewer, id: Uuid) -> Result<Option<Vec<u8>>> {
        self.sources.identity.require_fresh(viewer, "export.download").await?;
        let now = self.now();
        let Some(sealed) = self.sources.store.export_content(viewer.user(), id, now).await? else {
            return Ok(None);
        };
        let plain = self.keys.open(place(&id), &sealed).map_err(Error::internal)?;
        self.sources.store.audit(viewer.event("export.download", now).with("export", id)).await?;
        Ok(Some(plain))
    }

    /// Does the job: gathers an export and tells its person.
    ///
    /// # Errors
    /// [`Setback::Later`] while a system is away, unless it was the last try.
    pub async fn gather(&self, wanted: GatherExport, this: Try) -> Result<(), Setback> {
        let is_last = this.number >= self.attempts;
        self.gathered(wanted.id, is_last).await.map_err(|error| Setback::Later(error.to_string()))
    }

    async fn gathered(&self, id: Uuid, is_last: bool) -> Result<()> {
        let store = &self.sources.store;
        let Some(user) = store.export_to_gather(id).await? else { return Ok(()) };
        let Some(mapping) = store.mapping_of_user(user).await? else { return Ok(()) };
        let Some((known, email)) = store.user(user).await? else { return Ok(()) };
        let principal = Principal {
            user,
            client: mapping.client,
            account: mapping.account,
            session: Uuid::nil(),
            expires_at: self.now() + TimeDelta::hours(1),
        };
        let viewer = Viewer::new(principal, Budget::new(WITHIN, Lane::Background));
        let found = gather::everything(&self.sources, &viewer, &email, &known.locale, self.now()).await;
        if let Some(error) = found.failure.filter(|_| !is_last) {
            return Err(error);
        }
        let plain = serde_json::to_vec_pretty(&found.document)
            .map_err(|_| Error::internal("an export cannot be written"))?;
        let content = self.keys.seal(place(&id), &plain).map_err(Error::internal)?;
        let missing: Vec<_> = found.missing.iter().map(|part| part.as_str()).collect();
        let (at, missing) = (self.now(), missing.join(" "));
        let expires_at = at + self.keep;
        let mut tx = store.begin().await?;
        // Whoever was erased meanwhile has no row any more.
        if tx.finish_export(id, &Gathered { content: &content, missing: &missing, at, expires_at }).await? {
            let message = Message::ExportReady { at, until: expires_at };
            let mail = Mail { to: email, language: Language::of(&known.locale), message };
            self.queue.put(&mut tx, &format!("export-ready:{id}"), &mail).await?;
            let event = Event::done("export.gather", Actor::System, at).about(user);
            tx.audit(event.with("export", id).with("missing", found.missing.len()));
            tx.commit().await?;
            self.queue.wake();
        }
        Ok(())
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now().trunc_subsecs(6)
    }
}

fn place(id: &Uuid) -> Place<'_> {
    Place { table: "data_exports", column: "content", row: id.as_bytes() }
}
