//! The principal of a request, as the domains see it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    deadline::Budget,
    freshness::{Owner, Reader},
    id::{AccountId, ClientId, PartnerId, UserId},
    identity::{Context, Scope, Scopes, Terms},
    store::audit::{Actor, Event},
};

/// A customer in a session, for whom an access token speaks.
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
        Owner::User(self.user)
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A customer, in a session.
    Customer(Principal),
    /// A partner's program.
    Partner(Representative),
}

/// A partner's program, with what counts for one of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Representative {
    /// Whose it is.
    pub partner: PartnerId,
    /// The secret with which it got its token.
    pub secret: Uuid,
    /// What it may see: what its token says, the customer allowed, and the operator allows.
    pub scopes: Scopes,
    /// For whom it acts; `None` when it names nobody.
    pub customer: Option<Represented>,
    /// How much it may ask.
    pub terms: Terms,
    /// The access token is refused from then on.
    pub expires_at: DateTime<Utc>,
}

/// The customer for whom a partner acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Represented {
    /// The user here.
    pub user: UserId,
    /// The client in billing.
    pub client: ClientId,
    /// The account in the CRM.
    pub account: AccountId,
    /// The grant by which it may; for a partner that needs none, the user.
    pub stands_by: Uuid,
}

impl Caller {
    /// Whose data this caller reads, in the keys of the cache.
    pub fn owner(&self) -> Owner {
        match self {
            Self::Customer(principal) => principal.owner(),
            Self::Partner(caller) => Owner::Partner {
                partner: caller.partner,
                scopes: caller.scopes.bits(),
                user: caller.customer.map(|customer| customer.user),
            },
        }
    }

    /// The partner, when it is one.
    pub fn partner(&self) -> Option<&Representative> {
        match self {
            Self::Customer(_) => None,
            Self::Partner(caller) => Some(caller),
        }
    }

    /// What a connection that stays open is known by: whose it is, what it stands by, all of it, and when its token ends.
    pub fn badge(&self) -> (Uuid, [Uuid; 2], DateTime<Utc>) {
        match self {
            Self::Customer(principal) => (principal.user.0, [principal.session; 2], principal.expires_at),
            Self::Partner(caller) => {
                let customer = caller.customer.map_or(caller.secret, |customer| customer.stands_by);
                // So many for each customer; none of them counts as the customer's own.
                let user = caller.customer.map_or(0, |customer| customer.user.0.as_u128());
                let user = Uuid::from_u128(caller.partner.0.as_u128() ^ user);
                (user, [caller.secret, customer], caller.expires_at)
            }
        }
    }
}

/// By what somebody sees a customer's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is the customer, in this session.
    Session(Uuid),
    /// A partner, with what it may see.
    Partner(PartnerId, Scopes),
}

/// A customer with who asks for their data, and what the request reads with. Every read and write of a domain takes one,
/// so nothing is asked without saying for whom.
#[derive(Clone, Debug)]
pub struct Viewer {
    user: UserId,
    client: ClientId,
    account: AccountId,
    standing: Standing,
    reader: Reader,
    context: Arc<Context>,
}

impl Viewer {
    /// The viewer of one request of a customer.
    pub fn new(principal: Principal, budget: Budget) -> Self {
        let Principal { user, client, account, session, .. } = principal;
        let standing = Standing::Session(session);
        Self { user, client, account, standing, reader: Reader::new(budget), context: Arc::default() }
    }

    /// The viewer of one request of whoever asks; `None` for a partner that acts for nobody.
    pub fn of(caller: &Caller, budget: Budget) -> Option<Self> {
        let caller = match caller {
            Caller::Customer(principal) => return Some(Self::new(*principal, budget)),
            Caller::Partner(caller) => caller,
        };
        let Represented { user, client, account, .. } = caller.customer?;
        let standing = Standing::Partner(caller.partner, caller.scopes);
        Some(Self { user, client, account, standing, reader: Reader::new(budget), context: Arc::default() })
    }

    /// The same, of a request that came from there.
    #[must_use]
    pub fn from(mut self, mut context: Context) -> Self {
        context.user = matches!(self.standing, Standing::Session(_)).then_some(self.user);
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
        match self.standing {
            Standing::Session(session) => {
                self.context.event(act, Actor::User(self.user), at).with("session", session)
            }
            Standing::Partner(partner, _) => {
                self.context.event(act, Actor::Partner(partner.to_string()), at).about(self.user)
            }
        }
    }

    /// The user here.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// Whose data this viewer reads, in the keys of the cache.
    pub fn owner(&self) -> Owner {
        match self.standing {
            Standing::Session(_) => Owner::User(self.user),
            Standing::Partner(partner, scopes) => {
                Owner::Partner { partner, scopes: scopes.bits(), user: Some(self.user) }
            }
        }
    }

    /// Whether what needs a scope may be seen. A customer sees everything of their own.
    pub fn may(&self, scope: Scope) -> bool {
        match self.standing {
            Standing::Session(_) => true,
            Standing::Partner(_, scopes) => scopes.has(scope),
        }
    }

    /// The client in billing.
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// The account in the CRM.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The session; of a partner one that does not exist, so that no act of a session can be done with it.
    pub fn session(&self) -> Uuid {
        match self.standing {
            Standing::Session(session) => session,
            Standing::Partner(..) => Uuid::nil(),
        }
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
