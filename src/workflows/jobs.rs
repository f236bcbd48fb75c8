//! What follows from a workflow, in the CRM, as soon as that answers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    crm::{Access, AccountChanges, Crm, StaffCase},
    deadline::{Budget, Lane},
    error::Error,
    id::{AccountId, UserId},
    jobs::{Job, Setback},
    store::Store,
};

/// How long a try may take.
const WITHIN: Duration = Duration::from_secs(20);

/// The account is to be marked as one whose customer uses the portal.
#[derive(Serialize, Deserialize)]
pub struct GrantAccess {
    /// Which account.
    pub account: AccountId,
    /// What is said of it.
    pub access: Access,
}

impl Job for GrantAccess {
    const KIND: &'static str = "grant-access";
}

/// A case is to be opened for staff.
#[derive(Serialize, Deserialize)]
pub struct OpenStaffCase(pub StaffCase);

impl Job for OpenStaffCase {
    const KIND: &'static str = "open-staff-case";
}

/// The account's contact is to have the address that the user has.
#[derive(Serialize, Deserialize)]
pub struct CopyEmail {
    /// Which account.
    pub account: AccountId,
    /// Whose address.
    pub user: UserId,
}

impl Job for CopyEmail {
    const KIND: &'static str = "copy-email";
}

impl CopyEmail {
    /// Does the job, with the address that is in force by then: of two changes the later one stays.
    ///
    /// # Errors
    /// [`Setback`].
    pub async fn perform(self, crm: Crm, store: Store) -> Result<(), Setback> {
        let budget = Budget::new(WITHIN, Lane::Background);
        let known = store.user(self.user).await.map_err(|error| setback(error.into()))?;
        let Some((_, email)) = known else { return Ok(()) };
        let changes = AccountChanges { email: Some(&email), ..AccountChanges::default() };
        crm.change_account(budget, self.account, &changes).await.map_err(setback)
    }
}

impl GrantAccess {
    /// Does the job, unless the account is nobody's any more: who has left has no access that could be granted late.
    ///
    /// # Errors
    /// [`Setback`].
    pub async fn perform(self, crm: Crm, store: Store) -> Result<(), Setback> {
        let budget = Budget::new(WITHIN, Lane::Background);
        let mapped = store.mapping_of_account(self.account).await;
        if mapped.map_err(|error| setback(error.into()))?.is_none() {
            return Ok(());
        }
        crm.grant_access(budget, self.account, &self.access).await.map_err(setback)
    }
}

impl OpenStaffCase {
    /// Does the job.
    ///
    /// # Errors
    /// [`Setback`].
    pub async fn perform(self, crm: Crm) -> Result<(), Setback> {
        crm.open_staff_case(Budget::new(WITHIN, Lane::Background), &self.0).await.map_err(setback)
    }
}

fn setback(error: Error) -> Setback {
    match error {
        Error::Rejected(_) => Setback::Hopeless("the CRM refuses it".to_owned()),
        error => Setback::Later(error.to_string()),
    }
}
