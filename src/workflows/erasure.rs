//! A person leaves the portal: what it holds of them is erased, and each system does what law asks of it.
//!
//! One transaction erases everything that is stored here, and puts in the jobs that follow: the case for staff, the CRM's
//! mark, what caches hold, and the mail that confirms it. A process that is killed has erased all or nothing, and the jobs are
//! another's. There is no time of grace: whoever is sure has proved it twice, and a copy that is kept for second thoughts is a
//! copy.
//!
//! | where | what becomes of it |
//! |---|---|
//! | portal | erased |
//! | audit log | stays as long as it is kept, of a random id that leads to nobody any more: a chain of hashes bears no gap |
//! | billing | kept: tax law asks for books and invoices |
//! | CRM | a case asks staff to erase what law permits |
//! | mobile network | the same case: a line and its usage stay as long as its contract, which only staff end |
//!
//! Source: domain reference §30.

use std::time::Duration;

use async_graphql::SimpleObject;
use chrono::{Days, Months, NaiveDate, TimeDelta};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{jobs::OpenStaffCase, registration::Desk};
use crate::{
    billing::Billing,
    crm::{Crm, StaffCase},
    deadline::{Budget, Lane},
    error::{Error, Result},
    id::{AccountId, ClientId},
    identity::{
        Viewer,
        challenge::{Answer, Kind, Opened, Refusal, refused as void},
    },
    jobs::{Job, Setback},
    mail::{Mail, Message},
    secret::SecretString,
    store::Store,
};

/// For how long tax law asks for books and invoices (domain reference §30).
const BOOKS: Months = Months::new(7 * 12);
/// The law that asks for them.
const TAX_LAW: &str = "Corporation Tax Act and Consumption Tax Act of Japan: books and invoices for 7 years";
/// When what was under way during the erasure has ended for certain.
const AFTER: TimeDelta = TimeDelta::minutes(2);
/// How long a job's calls may take.
const WITHIN: Duration = Duration::from_secs(20);

/// Where something about a person lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
#[graphql(name = "ErasureScope")]
pub enum Scope {
    /// The portal: account, sessions, devices, passkeys, history, notifications, exports, copies of invoices and services.
    Portal,
    /// The log of what was done about the account.
    AuditLog,
    /// Billing: the client, invoices, services.
    Billing,
    /// The customer register: account, orders, cases.
    Crm,
    /// The mobile network: lines with their numbers and usage.
    MobileNetwork,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
#[graphql(name = "ErasureOutcome")]
pub enum Outcome {
    /// It is gone.
    Erased,
    /// It stays, and leads to nobody any more.
    Anonymised,
    /// It stays, since a law asks for it.
    KeptByLaw,
    /// Staff are asked to erase what law permits.
    AskedStaff,
}

/// What becomes of one part of what is known of a person.
#[derive(Clone, Debug, PartialEq, Eq, SimpleObject)]
#[graphql(name = "ErasurePart")]
pub struct Part {
    /// Where it lies.
    pub scope: Scope,
    /// What becomes of it.
    pub outcome: Outcome,
    /// The law that asks for it. Null unless one does.
    pub law: Option<String>,
    /// It is kept until then at least. Null where nothing is kept, and where it is staff's to say.
    pub until: Option<NaiveDate>,
}

/// What is left of a person outside the tables is to be erased: see [`Erasures::forget`].
#[derive(Serialize, Deserialize)]
pub struct ForgetTraces {
    client: ClientId,
    account: AccountId,
}

impl Job for ForgetTraces {
    const KIND: &'static str = "forget-traces";
}

/// Erasures of accounts. Clones share everything.
#[derive(Clone)]
pub struct Erasures {
    desk: Desk,
    /// How long the audit log is kept.
    audit_keep: Duration,
}

impl Erasures {
    /// With the tools of workflows. The audit log is kept so long.
    pub fn new(desk: Desk, audit_keep: Duration) -> Self {
        Self { desk, audit_keep }
    }

    /// What would become of everything, if it were erased now.
    pub fn parts(&self) -> Vec<Part> {
        let today = self.desk.clock.today();
        let part = |scope, outcome| Part { scope, outcome, law: None, until: None };
        let days = self.audit_keep.as_secs().div_ceil(24 * 60 * 60);
        vec![
            part(Scope::Portal, Outcome::Erased),
            Part {
                until: today.checked_add_days(Days::new(days)),
                ..part(Scope::AuditLog, Outcome::Anonymised)
            },
            Part {
                law: Some(TAX_LAW.to_owned()),
                until: today.checked_add_months(BOOKS),
                ..part(Scope::Billing, Outcome::KeptByLaw)
            },
            part(Scope::Crm, Outcome::AskedStaff),
            part(Scope::MobileNetwork, Outcome::AskedStaff),
        ]
    }

    /// Mails the code that confirms the erasure.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `STEP_UP_REQUIRED`; [`Error::RateLimited`].
    pub async fn begin(&self, viewer: &Viewer) -> Result<Opened> {
        self.desk.identity.begin_erasure(viewer).await
    }

    /// Takes the code, and erases the account. Gives what became of everything.
    ///
    /// # Errors
    /// [`Error::RateLimited`], [`Error::StoreAway`]; then nothing was erased.
    pub async fn finish(
        &self,
        viewer: &Viewer,
        challenge: Uuid,
        code: &SecretString,
    ) -> Result<Result<Vec<Part>, Refusal>> {
        let desk = &self.desk;
        let (challenges, now) = (desk.identity.challenges(), desk.clock.now());
        let answer = challenges.prove::<Uuid>(Kind::Erasure, challenge, code, viewer.context()).await?;
        let refusal = match answer {
            Answer::Refused(refusal) => refusal,
            Answer::Proved(proved) => {
                let mut tx = desk.store.begin().await?;
                // The code goes with the user, so it counts once.
                if proved.payload == viewer.session()
                    && desk.identity.erase(&mut tx, viewer, &proved.address).await?
                {
                    let key = viewer.user().to_string();
                    let traces = ForgetTraces { client: viewer.client(), account: viewer.account() };
                    desk.queue.put(&mut tx, &format!("{key}:now"), &traces).await?;
                    desk.queue.put_at(&mut tx, &format!("{key}:later"), &traces, now + AFTER).await?;
                    desk.queue.put(&mut tx, &format!("erasure-{key}"), &OpenStaffCase(case(viewer))).await?;
                    let message = Message::AccountErased { at: now };
                    let mail = Mail { to: proved.address.clone(), language: proved.language, message };
                    desk.queue.put(&mut tx, &format!("account-erased:{key}"), &mail).await?;
                    tx.commit().await?;
                    desk.queue.wake();
                    desk.identity.recheck(viewer.user());
                    return Ok(Ok(self.parts()));
                }
                void()
            }
        };
        desk.store.audit(viewer.event("account.erase", now).refused(refusal.error.code)).await?;
        Ok(Err(refusal))
    }

    /// Does the job: marks the account of the CRM as one without access, and makes everything old that caches hold. Its second
    /// time is when nothing that was under way can have put anything back.
    ///
    /// # Errors
    /// [`Setback`].
    pub async fn forget(
        traces: ForgetTraces,
        store: Store,
        billing: Billing,
        crm: Crm,
    ) -> Result<(), Setback> {
        let later = |error: Error| Setback::Later(error.to_string());
        let ForgetTraces { client, account } = traces;
        let mut tx = store.begin().await.map_err(|error| later(error.into()))?;
        tx.forget_stray_mirrors(client).await.map_err(|error| later(error.into()))?;
        tx.commit().await.map_err(|error| later(error.into()))?;
        billing.forget(client).await;
        // Who came back meanwhile has access again.
        if store.mapping_of_account(account).await.map_err(|error| later(error.into()))?.is_some() {
            return Ok(());
        }
        match crm.end_access(Budget::new(WITHIN, Lane::Background), account).await {
            Ok(()) => Ok(()),
            Err(Error::Rejected(_)) => Err(Setback::Hopeless("the CRM refuses it".to_owned())),
            Err(error) => Err(later(error)),
        }
    }
}

fn case(viewer: &Viewer) -> StaffCase {
    StaffCase {
        key: format!("erasure-{}", viewer.user()),
        account: viewer.account(),
        subject: "Erasure of personal data was asked for".to_owned(),
        description: format!(
            "The customer of billing client #{} has erased their portal account and asks for the erasure of their \
             personal data. Please erase what law permits, here and of any mobile lines in the network, within one month, \
             and tell the customer what was kept and why. Books and invoices in billing are kept as tax law asks.",
            viewer.client()
        ),
    }
}
