//! The installation's state: an overlay of what was written over the generated world.
//!
//! An account is generated whenever it is read and kept only once it is written, so customers that
//! nobody touches cost nothing. Ids of generated rows lead back to their client by arithmetic; ids
//! that a call mints are remembered.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{NaiveDate, NaiveDateTime, Timelike as _};
use serde_json::Value;

use crate::clock::TOKYO;
use crate::sandbox::core::Core;
use crate::sandbox::whmcs::account::{Account, Transaction};
use crate::sandbox::whmcs::users::{Invite, Membership, User};
use crate::sandbox::whmcs::{base, sso};
use crate::sandbox::world::ids;

/// Tables whose rows get ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    Client,
    User,
    Service,
    Invoice,
    Transaction,
    Order,
    PayMethod,
    Contact,
    Credit,
    Email,
    Cancellation,
    Upgrade,
}

/// A hook that fired: its name and its documented parameters.
#[derive(Clone, Debug)]
pub struct Event {
    pub hook: &'static str,
    pub params: Value,
}

/// All tables of the installation.
#[derive(Clone)]
pub struct Store {
    pub core: Arc<Core>,
    accounts: BTreeMap<u64, Account>,
    deleted: BTreeSet<u64>,
    users: BTreeMap<u64, User>,
    deleted_users: BTreeSet<u64>,
    /// Users beside the owner, by (client, user).
    pub members: BTreeMap<(u64, u64), Membership>,
    /// Invitations that nobody has accepted, by token.
    pub invites: HashMap<String, Invite>,
    /// Live single sign-on tokens.
    pub tokens: HashMap<String, sso::Token>,
    minted: HashMap<(Table, u64), u64>,
    last: BTreeMap<Table, u64>,
    events: Vec<Event>,
    /// Transactions of no client.
    pub loose_transactions: Vec<Transaction>,
    /// Sequential invoice numbers given out.
    pub invoice_numbers: u64,
}

impl Store {
    /// Nothing written yet.
    pub fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            accounts: BTreeMap::new(),
            deleted: BTreeSet::new(),
            users: BTreeMap::new(),
            deleted_users: BTreeSet::new(),
            members: BTreeMap::new(),
            invites: HashMap::new(),
            tokens: HashMap::new(),
            minted: HashMap::new(),
            last: BTreeMap::new(),
            events: Vec::new(),
            loose_transactions: Vec::new(),
            invoice_numbers: 0,
        }
    }

    /// Now, in the installation's zone, to the second.
    pub fn now(&self) -> NaiveDateTime {
        let now = self.core.clock.now().with_timezone(&TOKYO).naive_local();
        now.with_nanosecond(0).unwrap_or(now)
    }

    /// Today, in the installation's zone.
    pub fn today(&self) -> NaiveDate {
        self.core.clock.today()
    }

    /// Fires a hook. This is the one place through which every change becomes known outside.
    pub fn fire(&mut self, hook: &'static str, params: Value) {
        self.events.push(Event { hook, params });
    }

    /// The hooks fired since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Gives out an id and remembers whose row it is.
    pub fn mint(&mut self, table: Table, client: u64) -> u64 {
        let first = self.first_minted(table);
        let id = self.last.get(&table).map_or(first, |last| last + 1);
        self.last.insert(table, id);
        self.minted.insert((table, id), client);
        id
    }

    /// Ids that calls mint begin above all generated ones.
    fn first_minted(&self, table: Table) -> u64 {
        let n = self.core.world.customers + 1;
        match table {
            Table::Client => ids::client_id(n),
            Table::User => ids::user_id(n),
            Table::Service | Table::Order => 150_000_001,
            Table::Invoice => 1_500_000_001,
            Table::Transaction => 20_000_000_001,
            Table::PayMethod => 20_000_001,
            Table::Email | Table::Credit => 3_000_000_001,
            Table::Contact | Table::Cancellation | Table::Upgrade => 1,
        }
    }

    /// The client that a row belongs to, if there can be such a row.
    pub fn client_of(&self, table: Table, id: u64) -> Option<u64> {
        if let Some(client) = self.minted.get(&(table, id)) {
            return Some(*client);
        }
        let n = match table {
            Table::Client => ids::client_n(id)?,
            Table::User => ids::user_n(id)?,
            Table::Service => ids::service_parse(id).0,
            Table::Order => ids::whmcs_order_parse(id).0,
            Table::Invoice => ids::invoice_parse(id).0,
            Table::Transaction => ids::invoice_parse(id / 10).0,
            Table::PayMethod => ids::pay_method_parse(id).0,
            Table::Contact | Table::Credit | Table::Email | Table::Cancellation | Table::Upgrade => {
                return None;
            }
        };
        self.core.world.has(n).then(|| ids::client_id(n))
    }

    /// The account of a client, generated unless it was written before.
    pub fn account(&self, client: u64) -> Option<Cow<'_, Account>> {
        if let Some(account) = self.accounts.get(&client) {
            return Some(Cow::Borrowed(account));
        }
        let n = ids::client_n(client).filter(|n| self.core.world.has(*n))?;
        (!self.deleted.contains(&client)).then(|| Cow::Owned(base::account(&self.core.world.customer(n))))
    }

    /// The account of a client, to change: from now on it is kept.
    pub fn account_mut(&mut self, client: u64) -> Option<&mut Account> {
        if !self.accounts.contains_key(&client) {
            let account = self.account(client)?.into_owned();
            self.accounts.insert(client, account);
        }
        self.accounts.get_mut(&client)
    }

    /// The account that owns a row.
    pub fn account_with(&self, table: Table, id: u64) -> Option<Cow<'_, Account>> {
        self.account(self.client_of(table, id)?)
    }

    /// Adds a new client.
    pub fn insert_account(&mut self, account: Account) {
        self.accounts.insert(account.client.id, account);
    }

    /// Removes a client with all its rows.
    pub fn delete_account(&mut self, client: u64) {
        self.accounts.remove(&client);
        self.members.retain(|(c, _), _| *c != client);
        if ids::client_n(client).is_some_and(|n| self.core.world.has(n)) {
            self.deleted.insert(client);
        }
    }

    /// Accounts that were written.
    pub fn written_accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// Ids of the accounts that were written.
    pub fn written_ids(&self) -> Vec<u64> {
        self.accounts.keys().copied().collect()
    }

    /// How many clients there are.
    pub fn count_clients(&self) -> u64 {
        let world = self.core.world.customers;
        let added = self.accounts.range(ids::client_id(world + 1)..).count() as u64;
        world - self.deleted.len() as u64 + added
    }

    /// Ids of all clients, ascending; lazy, and readable from both ends.
    pub fn client_ids(&self) -> impl DoubleEndedIterator<Item = u64> {
        let world = self.core.world.customers;
        (1..=world)
            .map(ids::client_id)
            .filter(|id| !self.deleted.contains(id))
            .chain(self.accounts.range(ids::client_id(world + 1)..).map(|(id, _)| *id))
    }

    /// Accounts that were written, with those whose generated e-mail address matches.
    pub fn clients_by_email(&self, email: &str) -> Vec<u64> {
        let mut found: BTreeSet<u64> = self
            .accounts
            .iter()
            .filter(|(_, account)| account.client.email.eq_ignore_ascii_case(email))
            .map(|(id, _)| *id)
            .collect();
        if let Some(client) = self.core.world.by_email(email).map(ids::client_id)
            && !self.accounts.contains_key(&client)
            && !self.deleted.contains(&client)
        {
            found.insert(client);
        }
        found.into_iter().collect()
    }

    /// A user by id.
    pub fn user(&self, id: u64) -> Option<Cow<'_, User>> {
        if let Some(user) = self.users.get(&id) {
            return Some(Cow::Borrowed(user));
        }
        let n = ids::user_n(id).filter(|n| self.core.world.has(*n))?;
        (!self.deleted_users.contains(&id)).then(|| Cow::Owned(base::user(&self.core.world.customer(n))))
    }

    /// A user, to change: from now on it is kept.
    pub fn user_mut(&mut self, id: u64) -> Option<&mut User> {
        if !self.users.contains_key(&id) {
            let user = self.user(id)?.into_owned();
            self.users.insert(id, user);
        }
        self.users.get_mut(&id)
    }

    /// Adds a new user.
    pub fn insert_user(&mut self, user: User) {
        self.users.insert(user.id, user);
    }

    /// Removes a user.
    pub fn delete_user(&mut self, id: u64) {
        self.users.remove(&id);
        self.members.retain(|(_, user), _| *user != id);
        if ids::user_n(id).is_some_and(|n| self.core.world.has(n)) {
            self.deleted_users.insert(id);
        }
    }

    /// The user with an e-mail address; addresses of users are unique.
    pub fn user_by_email(&self, email: &str) -> Option<Cow<'_, User>> {
        if let Some(user) = self.users.values().find(|user| user.email.eq_ignore_ascii_case(email)) {
            return Some(Cow::Borrowed(user));
        }
        let id = ids::user_id(self.core.world.by_email(email)?);
        if self.users.contains_key(&id) { None } else { self.user(id) }
    }

    /// How many users there are.
    pub fn count_users(&self) -> u64 {
        let world = self.core.world.customers;
        let added = self.users.range(ids::user_id(world + 1)..).count() as u64;
        world - self.deleted_users.len() as u64 + added
    }

    /// Ids of all users, ascending; lazy, and readable from both ends.
    pub fn user_ids(&self) -> impl DoubleEndedIterator<Item = u64> {
        let world = self.core.world.customers;
        (1..=world)
            .map(ids::user_id)
            .filter(|id| !self.deleted_users.contains(id))
            .chain(self.users.range(ids::user_id(world + 1)..).map(|(id, _)| *id))
    }

    /// Clients that a user owns.
    pub fn owned_by(&self, user: u64) -> Vec<u64> {
        let mut owned: BTreeSet<u64> = self
            .accounts
            .values()
            .filter(|account| account.client.owner_user_id == user)
            .map(|account| account.client.id)
            .collect();
        if let Some(n) = ids::user_n(user).filter(|n| self.core.world.has(*n)) {
            let client = ids::client_id(n);
            if !self.accounts.contains_key(&client) && !self.deleted.contains(&client) {
                owned.insert(client);
            }
        }
        owned.into_iter().collect()
    }

    /// Whether a user owns a client or was invited to it.
    pub fn is_associated(&self, user: u64, client: u64) -> bool {
        self.members.contains_key(&(client, user)) || self.owned_by(user).contains(&client)
    }
}
