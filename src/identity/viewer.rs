//! The principal of a request, as the domains see it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    deadline::Budget,
    freshness::{Owner, Reader},
    id::{AccountId, ClientId, UserId},
    identity::Context,
    store::audit::{Actor, Event},
};

/// Who an access token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The user here.
    pub user: UserId,
    /// The client in billing.
    pub client: ClientId,
    /// The account in the CRM.
    pub account: AccountId,
    /// The session.
    pub session: Uuid,
    /// The access token is refused from then on.
    pub expires_at: DateTime<Utc>,
}

impl Principal {
    /// Whose data this principal reads, in the keys of the cache.
    pub fn owner(&self) -> Owner {
        Owner::person(self.user)
    }
}

/// A principal with what its request reads with. Every read and write of a domain takes one, so nothing
/// is asked without saying for whom.
#[derive(Clone, Debug)]
pub struct Viewer {
    principal: Principal,
    reader: Reader,
    context: Arc<Context>,
}

impl Viewer {
    /// The viewer of one request.
    pub fn new(principal: Principal, budget: Budget) -> Self {
        Self { principal, reader: Reader::new(budget), context: Arc::default() }
    }

    /// The same, of a request that came from there.
    #[must_use]
    pub fn from(mut self, context: Context) -> Self {
        self.context = Arc::new(context);
        self
    }

    /// Where the request came from.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// What the audit log is to say of an act of this viewer, to be handed to [`crate::store::Tx::audit`]. `act` is a
    /// thing and what was done to it: `session.end`.
    pub fn event(&self, act: &'static str, at: DateTime<Utc>) -> Event {
        self.context.event(act, Actor::User(self.user()), at).with("session", self.session())
    }

    /// The user here.
    pub fn user(&self) -> UserId {
        self.principal.user
    }

    /// Whose data this viewer reads, in the keys of the cache.
    pub fn owner(&self) -> Owner {
        self.principal.owner()
    }

    /// The client in billing.
    pub fn client(&self) -> ClientId {
        self.principal.client
    }

    /// The account in the CRM.
    pub fn account(&self) -> AccountId {
        self.principal.account
    }

    /// The session.
    pub fn session(&self) -> Uuid {
        self.principal.session
    }

    /// What it reads with, and what it read.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Time and place in the queue.
    pub fn budget(&self) -> Budget {
        self.reader.budget()
    }
}
