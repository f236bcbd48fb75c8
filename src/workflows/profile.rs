//! Changes of a customer's own data: billing has them first, the CRM gets its copy, durably.
//!
//! Before billing is told, a job is stored that will look, a little later, what billing has by then, and bring the CRM in step
//! with it: whoever is killed in between leaves no difference. When all goes well the CRM is told at once, and the job finds
//! nothing to do but to say it again. What the audit log says of a change is what came of it: a change whose outcome
//! nobody knows is settled there by the same job. Source: domain reference §8, §9.

use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::form::{AddressInput, Details, Faults, ProfileChange, WrittenAddress};
use crate::{
    billing::{self, Billing, ClientChanges, Gender},
    clock::Clock,
    crm::{AccountChanges, Crm, Sex},
    deadline::{Budget, Lane},
    error::{Error, Result},
    id::{AccountId, ClientId, UserId},
    identity::Viewer,
    jobs::{Job, Queue, Setback},
    notify::{Hint, Live, Subject, Topic},
    store::{
        Store,
        audit::{Actor, Event},
    },
};

/// When the job looks: later than any request ends.
const AFTER: TimeDelta = TimeDelta::seconds(30);
/// How long the job's calls may take.
const WITHIN: Duration = Duration::from_secs(20);

/// What the CRM is to be told, if billing has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CopyToCrm {
    client: ClientId,
    account: AccountId,
    details: Details,
    address: Option<WrittenAddress>,
    /// Which change it was; `None` in jobs of earlier releases.
    #[serde(default)]
    change: Option<Change>,
}

/// A change as the audit log knows it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Change {
    id: Uuid,
    user: UserId,
}

impl Job for CopyToCrm {
    const KIND: &'static str = "copy-to-crm";
}

/// Changes of customers' own data. Clones share everything.
#[derive(Clone)]
pub struct Profiles {
    store: Store,
    queue: Queue,
    clock: Clock,
    billing: Billing,
    crm: Crm,
    live: Live,
    least_age: u32,
}

impl Profiles {
    /// Over the two systems that keep the data.
    pub fn new(
        store: Store,
        queue: Queue,
        clock: Clock,
        (billing, crm): (Billing, Crm),
        live: Live,
        least_age: u32,
    ) -> Self {
        Self { store, queue, clock, billing, crm, live, least_age }
    }

    /// Changes telephone number, birth date, gender and nationality.
    ///
    /// # Errors
    /// [`Error::Rejected`] with everything that is wrong; [`Error::Uncertain`] and [`Error::Unavailable`] of billing.
    pub async fn change(&self, viewer: &Viewer, change: &ProfileChange) -> Result<()> {
        let mut faults = Faults::default();
        let details = change.read(self.clock.today(), self.least_age, &mut faults);
        faults.refuse()?;
        self.write(viewer, details, None).await
    }

    /// Changes the address, in both writings.
    ///
    /// # Errors
    /// As [`Profiles::change`].
    pub async fn change_address(&self, viewer: &Viewer, input: &AddressInput) -> Result<()> {
        let mut faults = Faults::default();
        let address = faults.within("address", |faults| input.read(faults));
        faults.refuse()?;
        self.write(viewer, Details::default(), address).await
    }

    async fn write(&self, viewer: &Viewer, details: Details, address: Option<WrittenAddress>) -> Result<()> {
        let change = Change { id: Uuid::now_v7(), user: viewer.user() };
        let (client, account) = (viewer.client(), viewer.account());
        let copy = CopyToCrm { client, account, details, address, change: Some(change) };
        let (begun, done) = copy.acts();
        let event = |act| viewer.event(act, self.clock.now()).with("change", change.id);
        let mut tx = self.store.begin().await?;
        let due_at = self.clock.now() + AFTER;
        self.queue.put_at(&mut tx, &change.id.to_string(), &copy, due_at).await?;
        tx.audit(event(begun));
        tx.commit().await?;
        let changes = ClientChanges {
            phone: copy.details.phone.as_deref(),
            address: copy.address.as_ref().map(|address| &address.romanised),
            birth_date: copy.details.birth_date,
            gender: copy.details.gender,
            nationality: copy.details.nationality.as_deref(),
            ..ClientChanges::default()
        };
        let changed = self.billing.change_client(viewer.budget(), copy.client, &changes).await;
        let outcome = match &changed {
            Ok(()) => Some(event(done)),
            // The job finds out.
            Err(Error::Uncertain { .. }) => None,
            Err(Error::Rejected(errors)) => {
                Some(event(done).refused(errors.first().map_or("REFUSED", |error| error.code)))
            }
            Err(error) => Some(event(done).refused(error.code())),
        };
        if let Some(outcome) = outcome
            && let Err(error) = self.store.audit(outcome).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "the job tells the log of a change");
        }
        changed?;
        if let Err(error) = self.tell(viewer.budget(), &copy).await {
            tracing::info!(error = &error as &dyn std::error::Error, "the CRM is told of a change later");
        }
        // The customer's other devices need not wait for billing to report what was written here.
        self.live.publish(Hint::new(Topic::Client(copy.client), Subject::Profile)).await;
        Ok(())
    }

    async fn tell(&self, budget: Budget, copy: &CopyToCrm) -> Result<()> {
        let changes = AccountChanges {
            customer_number: None,
            email: None,
            phone: copy.details.phone.as_deref(),
            birth_date: copy.details.birth_date,
            sex: copy.details.gender.map(sex),
            address: copy.address.as_ref().map(|address| &address.japanese),
        };
        self.crm.change_account(budget, copy.account, &changes).await
    }

    /// Does the job: tells the CRM what of a change billing has.
    ///
    /// # Errors
    /// [`Setback::Later`] while a system is away, [`Setback::Hopeless`] when the CRM refuses it.
    pub async fn copy(&self, copy: CopyToCrm) -> Result<(), Setback> {
        let budget = Budget::new(WITHIN, Lane::Background);
        let told = async {
            let Some(client) = self.billing.client(budget, copy.client).await? else {
                return self.settle(&copy, false).await;
            };
            let confirmed = copy.clone().confirmed_by(&client.profile);
            self.settle(&copy, confirmed.parts() == copy.parts()).await?;
            self.tell(budget, &confirmed).await
        };
        told.await.map_err(|error: Error| match error {
            Error::Rejected(_) => Setback::Hopeless("the CRM refuses it".to_owned()),
            error => Setback::Later(error.to_string()),
        })
    }
}

impl Profiles {
    /// Tells the audit log what came of a change, unless it was told when billing answered.
    async fn settle(&self, copy: &CopyToCrm, is_done: bool) -> Result<()> {
        let Some(Change { id, user }) = copy.change else { return Ok(()) };
        let (_, done) = copy.acts();
        if self.store.audit_tells(user, done, "change", id).await? {
            return Ok(());
        }
        let event = Event::done(done, Actor::System, self.clock.now()).about(user).with("change", id);
        Ok(self.store.audit(if is_done { event } else { event.refused("NOT_APPLIED") }).await?)
    }
}

impl CopyToCrm {
    /// What the audit log calls it when it begins, and when it has ended.
    fn acts(&self) -> (&'static str, &'static str) {
        match self.address {
            Some(_) => ("address.begin-change", "address.change"),
            None => ("profile.begin-change", "profile.change"),
        }
    }

    /// How many things it changes.
    fn parts(&self) -> usize {
        let Details { phone, birth_date, gender, nationality } = &self.details;
        [
            phone.is_some(),
            birth_date.is_some(),
            gender.is_some(),
            nationality.is_some(),
            self.address.is_some(),
        ]
        .into_iter()
        .filter(|is_there| *is_there)
        .count()
    }

    /// Without what billing never got, or has otherwise by now.
    fn confirmed_by(mut self, profile: &billing::Profile) -> Self {
        let details = &mut self.details;
        details.phone = details.phone.take().filter(|phone| profile.phone.as_ref() == Some(phone));
        details.birth_date = details.birth_date.filter(|day| profile.birth_date == Some(*day));
        details.gender = details.gender.filter(|gender| profile.gender == Some(*gender));
        details.nationality =
            details.nationality.take().filter(|name| profile.nationality.as_ref() == Some(name));
        self.address = self.address.filter(|address| profile.address.as_ref() == Some(&address.romanised));
        self
    }
}

/// The CRM's word for a gender.
pub(super) fn sex(gender: Gender) -> Sex {
    match gender {
        Gender::Male => Sex::Male,
        Gender::Female => Sex::Female,
        Gender::Other => Sex::Other,
    }
}
