//! Orders and cases: what the CRM knows of a viewer.
//!
//! As in billing, an account's whole list is read and kept, since calls are what the CRM counts. The
//! two lists and whatever else is asked in the same tick travel in one composite request.
//! Source of the rules: domain reference §15, §24.

mod account;
mod case;
mod compare;
mod conversation;
mod eligibility;
mod fields;
mod opportunity;
mod order;
mod register;
pub mod tags;

use std::{collections::HashMap, sync::Arc, time::Duration};

pub use self::{
    account::{Access, Account, AccountChanges, JapaneseAddress, NewAccount, Sex, Source, StaffCase},
    case::{Case, CaseCounts, CasePriority, CaseStatus},
    compare::Drift,
    conversation::{CaseMessage, MessageAuthor, MessageChannel},
    eligibility::{CheckRequest, EligibilityStatus},
    fields::FieldMap,
    opportunity::Interest,
    order::{
        ActivationKind, Order, OrderAddress, OrderKind, OrderLine, OrderLineCycle, OrderProblem, OrderStatus,
    },
    register::RegisterEntry,
};
use crate::{
    deadline::Budget,
    error::{Result, Service},
    freshness::{Cache, Key, Kind, Lifetime, Read},
    id::{AccountId, CaseId, SubscriptionId},
    identity::Viewer,
    upstream::salesforce::{self, Record},
};

/// What the organisation calls things that are written (domain reference §12, §24).
#[derive(Clone, Debug)]
pub struct Words {
    /// The origin of the cases that are opened for staff.
    pub staff_origin: String,
    /// The origin of the cases in which an address is checked.
    pub check_origin: String,
    /// The first stage of an opportunity.
    pub introduction_stage: String,
}

impl Default for Words {
    fn default() -> Self {
        Self {
            staff_origin: "Portal Notification".to_owned(),
            check_origin: "Eligibility Request".to_owned(),
            introduction_stage: "Introduction".to_owned(),
        }
    }
}

/// How long each kind of answer is of use (domain reference §27).
#[derive(Clone, Debug)]
pub struct Times {
    /// The orders of an account. A safety time of 12 h is enough while events tell of every change.
    pub orders: Lifetime,
    /// The cases of an account.
    pub cases: Lifetime,
    /// The conversation of a case.
    pub conversation: Lifetime,
    /// What an account says of its person.
    pub account: Lifetime,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            orders: Lifetime::fresh_for(Duration::from_secs(60)),
            cases: Lifetime::fresh_for(Duration::from_secs(60)),
            conversation: Lifetime::fresh_for(Duration::from_secs(30)),
            account: Lifetime::fresh_for(Duration::from_secs(300)),
        }
    }
}

/// The CRM domain. Clones share everything.
#[derive(Clone)]
pub struct Crm {
    salesforce: salesforce::Client,
    cache: Cache,
    fields: Arc<FieldMap>,
    /// Origins of the cases that the customer may see.
    origins: Arc<[String]>,
    words: Arc<Words>,
    kinds: Arc<Kinds>,
}

struct Kinds {
    orders: Kind,
    cases: Kind,
    conversation: Kind,
    account: Kind,
}

impl Crm {
    /// The domain over one client of the CRM. `origins` are the case origins that a customer may see.
    pub fn new(
        salesforce: salesforce::Client,
        cache: Cache,
        fields: FieldMap,
        origins: Vec<String>,
        times: &Times,
    ) -> Self {
        let kind = |name, lifetime| cache.kind(name, Service::Crm, lifetime);
        let kinds = Kinds {
            orders: kind("orders", times.orders),
            cases: kind("cases", times.cases),
            conversation: kind("conversation", times.conversation),
            account: kind("account", times.account),
        };
        Self {
            salesforce,
            cache,
            fields: Arc::new(fields),
            origins: origins.into(),
            words: Arc::default(),
            kinds: Arc::new(kinds),
        }
    }

    /// With other words than the usual ones.
    #[must_use]
    pub fn with_words(self, words: Words) -> Self {
        Self { words: Arc::new(words), ..self }
    }

    /// All orders of the viewer's account with their lines, newest first.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`] when the CRM does not answer.
    pub async fn orders(&self, viewer: &Viewer) -> Result<Read<Vec<Order>>> {
        let (account, budget) = (viewer.account(), viewer.budget());
        self.cache
            .read(
                viewer.reader(),
                &self.kinds.orders,
                viewer.owner().key(&self.kinds.orders, ""),
                vec![tags::orders(account)],
                || {
                    let crm = self.clone();
                    async move { crm.ask_orders(account, budget).await }
                },
            )
            .await
    }

    /// All cases of the viewer's account that the portal shows, last changed first.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`] when the CRM does not answer.
    pub async fn cases(&self, viewer: &Viewer) -> Result<Read<Vec<Case>>> {
        let (account, budget) = (viewer.account(), viewer.budget());
        self.cache
            .read(
                viewer.reader(),
                &self.kinds.cases,
                viewer.owner().key(&self.kinds.cases, ""),
                vec![tags::cases(account)],
                || {
                    let crm = self.clone();
                    async move { crm.ask_cases(account, budget).await }
                },
            )
            .await
    }

    /// All orders of an account as the CRM says now, newest first.
    async fn ask_orders(&self, account: AccountId, budget: Budget) -> Result<Vec<Order>> {
        let soql = order::select(&self.fields, account)?;
        let rows: Vec<Record> = self.salesforce.query(budget, soql).await?;
        let mut orders =
            rows.iter().map(|row| Order::new(row, &self.fields)).collect::<Result<Vec<_>, _>>()?;
        orders.sort_by_key(|o| std::cmp::Reverse((o.placed_at, o.key)));
        Ok(orders)
    }

    /// All cases of an account that the portal shows as the CRM says now, last changed first.
    async fn ask_cases(&self, account: AccountId, budget: Budget) -> Result<Vec<Case>> {
        let soql = case::select(&self.fields, account, &self.origins)?;
        let rows: Vec<Record> = self.salesforce.query(budget, soql).await?;
        let mut cases = rows.iter().map(|row| Case::new(row, &self.fields)).collect::<Result<Vec<_>, _>>()?;
        cases.sort_by_key(|c| std::cmp::Reverse((c.updated_at, c.key)));
        Ok(cases)
    }

    /// The conversations of some of the viewer's cases, oldest message first. Cases that are not the
    /// viewer's are absent.
    ///
    /// # Errors
    /// [`crate::error::Error::Unavailable`] when the CRM does not answer.
    pub async fn conversations(
        &self,
        viewer: &Viewer,
        cases: &[CaseId],
    ) -> Result<HashMap<CaseId, Read<Vec<CaseMessage>>>> {
        let budget = viewer.budget();
        let owned = self.cases(viewer).await?;
        let keys: HashMap<Key, CaseId> = cases
            .iter()
            .filter(|case| owned.iter().any(|c| c.key == **case))
            .map(|case| (viewer.owner().key(&self.kinds.conversation, case), *case))
            .collect();
        let wanted: Vec<_> =
            keys.iter().map(|(key, case)| (key.clone(), vec![tags::conversation(*case)])).collect();
        let found = self
            .cache
            .read_many(viewer.reader(), &self.kinds.conversation, &wanted, |missing| {
                let crm = self.clone();
                let missing: HashMap<CaseId, Key> =
                    missing.into_iter().filter_map(|key| Some((*keys.get(&key)?, key))).collect();
                async move { crm.load_conversations(budget, missing).await }
            })
            .await?;
        Ok(found.into_iter().filter_map(|(key, messages)| Some((*keys.get(&key)?, messages))).collect())
    }

    async fn load_conversations(
        &self,
        budget: Budget,
        mut missing: HashMap<CaseId, Key>,
    ) -> Result<HashMap<Key, Vec<CaseMessage>>> {
        let cases: Vec<_> = missing.keys().copied().collect();
        // Both to their end, as in billing.
        let (comments, mails) = tokio::join!(
            self.salesforce.query(budget, conversation::select_comments(&self.fields, &cases)?),
            self.salesforce.query(budget, conversation::select_mails(&cases)?),
        );
        let (comments, mails): (Vec<Record>, Vec<Record>) = (comments?, mails?);
        let mut conversations = conversation::merge(&comments, &mails, &self.fields)?;
        Ok(missing
            .drain()
            .map(|(case, key)| (key, conversations.remove(&case).unwrap_or_default()))
            .collect())
    }
}

/// A subscription's number in a field that may be text or a number, as the installation chose.
fn subscription_of(row: &Record, field: &str) -> Option<SubscriptionId> {
    match row.text(field) {
        Ok(text) => text?.trim().parse().ok().map(SubscriptionId),
        Err(_) => u64::try_from(row.number(field).ok()??).ok().map(SubscriptionId),
    }
}
