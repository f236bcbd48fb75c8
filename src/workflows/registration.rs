//! The workflow that makes a verified person a user: of somebody new, or of a customer whom billing has already.
//!
//! | step | does | and when nobody knows what became of it |
//! |---|---|---|
//! | `look` | finds what is there already | looks again |
//! | `account` | puts the account of the CRM, by its customer number | puts it again: the number is a key |
//! | `client` | creates the client of billing, or changes the one that is linked | looks for the address and the number until the settling time is over, before it creates another |
//! | `user` | user, mapping and consent here, and the jobs and the check of the address that follow from them: all or nothing | is one transaction |
//! | `deactivate` | only when `user` is refused: the client that was made is made inactive | says it again |
//! | `report` | and staff are told | puts the case again: it has a key |
//!
//! A new account has the number of its address ([`numbers`]), so that another try, or a guest's request of the same moment,
//! meets it there. An account of which only a guest has said anything is put as if it were new: the owner's words replace the
//! guest's. What is undone is the client alone, never an account: a request may use it.
//! Source: domain reference §6.5, §6.6.

use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize};

use super::{
    availability::AvailabilityRequest,
    engine::{Act, Engine, Next, Step, Turn, Workflow},
    form::{Details, WrittenAddress},
    jobs::{GrantAccess, OpenStaffCase},
    numbers::{self, Holder},
    profile::sex,
    refusals::{self, refused},
};
use crate::{
    billing::{self, Billing, ClientChanges, NewClient},
    clock::Clock,
    crm::{Access, Account, AccountChanges, Crm, NewAccount, Source, StaffCase},
    deadline::Budget,
    error::{Error, Result, Service, SourceError},
    id::{AccountId, ClientId, UserId},
    identity::{Context, Identity, Newcomer},
    jobs::Queue,
    mail::{Language, Mail, Message},
    secret::SecretString,
    store::{
        self, Store, Tx,
        audit::{Actor, Event},
    },
};

/// What a registration begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// Somebody new to billing.
    New,
    /// A client whom billing has already.
    Linked,
}

/// A registration: what the person said, and what was found and made so far.
#[derive(Serialize, Deserialize)]
pub struct Registration {
    /// Which of both.
    pub origin: Origin,
    /// The normalised address, which is proved.
    pub email: String,
    /// The language of mails: `en` or `ja`.
    pub locale: String,
    /// Given name. Of a linked client, filled in from billing.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// Company.
    pub company: Option<String>,
    /// Telephone number and the rest.
    pub details: Details,
    /// The address in both writings; `None` when a linked client keeps the one that billing has.
    pub address: Option<WrittenAddress>,
    /// Whether advertising is welcome.
    pub marketing: bool,
    /// Whether a linked client did not say: then it is as billing has it.
    #[serde(default)]
    pub leaves_marketing: bool,
    /// The terms that were accepted.
    pub terms_version: String,
    /// When.
    pub accepted_at: DateTime<Utc>,
    /// A PHC string.
    pub password_hash: String,
    /// For the login in billing, which nobody gets to know.
    pub billing_password: String,
    /// The user that is to be.
    pub user: UserId,
    /// The customer number: that of the account or client that was found, else that of the address. It begins as one that
    /// follows from the verification, which an account without a number is given.
    pub number: String,
    /// The client that was proved, found or made.
    pub client: Option<ClientId>,
    /// Whether that client was made by us.
    pub is_client_ours: bool,
    /// Whether billing refused the client of an earlier try under this verification, or seemed to.
    #[serde(default)]
    pub was_refused_by_billing: bool,
    /// Whether it was made inactive, since the user could not be stored.
    #[serde(default)]
    pub is_client_inactive: bool,
    /// The account that was found or made.
    pub account: Option<AccountId>,
    /// Whether the account had no customer number.
    pub lacks_number: bool,
    /// Whether the contact in the CRM has another address.
    pub differs: bool,
    /// Whether staff shall check what internet can be had at the address.
    #[serde(default)]
    pub wants_check: bool,
    /// The request in which it began, for the audit log.
    #[serde(default)]
    pub request_id: Option<String>,
}

/// What the steps work with.
#[derive(Clone)]
pub struct Desk {
    /// Users and what else is ours.
    pub store: Store,
    /// For what follows from a registration.
    pub queue: Queue,
    /// The time.
    pub clock: Clock,
    /// Accounts.
    pub identity: Identity,
    /// Billing.
    pub billing: Billing,
    /// The CRM.
    pub crm: Crm,
    /// Checks of an address, which begin with the user.
    pub availability: Engine<AvailabilityRequest>,
    /// How long what an unknown call may have made can still appear.
    pub settle: TimeDelta,
    /// See [`super::Settings::plant_blind_resend`].
    #[cfg(any(test, feature = "sandbox"))]
    pub plant_blind_resend: bool,
}

impl Desk {
    /// Whether what may have been made is looked for before it is made again: always, but for a fault that a test plants.
    const fn looks_first(&self) -> bool {
        #[cfg(any(test, feature = "sandbox"))]
        if self.plant_blind_resend {
            return false;
        }
        true
    }
}

impl Workflow for Registration {
    const KIND: &'static str = "registration";
    const STEPS: &'static [Step<Self>] = &[
        Step {
            name: "look",
            act: Act::Ask(|it, desk, turn| it.look(desk, turn.budget).boxed()),
            otherwise: None,
            gives_up: true,
        },
        Step {
            name: "account",
            act: Act::Ask(|it, desk, turn| it.put_account(desk, turn.budget).boxed()),
            otherwise: None,
            gives_up: true,
        },
        Step {
            name: "client",
            act: Act::Ask(|it, desk, turn| it.put_client(desk, turn).boxed()),
            otherwise: None,
            gives_up: true,
        },
        Step { name: "user", act: Act::Store(user), otherwise: Some("deactivate"), gives_up: false },
        Step {
            name: "deactivate",
            act: Act::Ask(|it, desk, turn| it.deactivate(desk, turn.budget).boxed()),
            otherwise: Some("report"),
            gives_up: false,
        },
        Step {
            name: "report",
            act: Act::Ask(|it, desk, turn| it.report(desk, turn.budget).boxed()),
            otherwise: None,
            gives_up: false,
        },
    ];
    type Tools = Desk;

    fn refusal(&self, at: DateTime<Utc>) -> Event {
        // Nobody is a user yet.
        self.begun_in().event("user.register", Actor::Nobody, at)
    }

    fn event(&self, step: &'static str, at: DateTime<Utc>) -> Option<Event> {
        let act = match step {
            "deactivate" if self.is_client_ours => "client.deactivate",
            "report" => "staff.tell",
            _ => return None,
        };
        (self.client.is_some() && self.account.is_some())
            .then(|| self.begun_in().event(act, Actor::System, at).with("case", self.case_key()))
    }
}

impl Registration {
    /// The request in which it began, as far as it is kept.
    fn begun_in(&self) -> Context {
        Context { request_id: self.request_id.clone(), ..Context::default() }
    }

    /// What the case that staff are given is known by.
    fn case_key(&self) -> String {
        format!("registration-{}", self.user)
    }

    /// Under the lock that a running registration is: what is there already?
    async fn look(&mut self, desk: &Desk, budget: Budget) -> Result<Next> {
        if desk.store.user_by_email(&self.email).await?.is_some() {
            return refused(refusals::ACCOUNT_EXISTS);
        }
        let clients = desk.billing.clients_of(budget, self.client, &self.email).await?;
        let known_number = match (self.origin, only(clients.open)?) {
            // Whether it is opened again is for staff to say.
            (_, None) if clients.has_closed => return refused(refusals::SUPPORT_NEEDED),
            (Origin::New, None) => None,
            (Origin::New, Some(client)) => {
                if !self.has_made(desk, &client) {
                    return refused(refusals::ACCOUNT_LINK_REQUIRED);
                }
                (self.client, self.is_client_ours) = (Some(client.id), true);
                None
            }
            (Origin::Linked, None) => return refused(refusals::NOTHING_TO_LINK),
            (Origin::Linked, Some(client)) => self.know(desk, client).await?,
        };
        let found = match &known_number {
            Some(number) => desk.crm.account_of_number(budget, number).await?,
            None => None,
        };
        let found = match found {
            Some(account) => Some(account),
            None => only(desk.crm.accounts_of_email(budget, &self.email).await?)?,
        };
        match (found, known_number) {
            (Some(account), number) => {
                // Whoever gave the client its number took the account for the client's: it says more than a guest did.
                let is_named = number.is_some() && account.customer_number == number;
                let is_unproven = !is_named && numbers::is_unproven(&desk.identity, &account, &self.email);
                self.recognise(desk, account, is_unproven).await?;
            }
            (None, Some(number)) => self.number = number,
            (None, None) => match numbers::holder(&desk.identity, &desk.crm, budget, &self.email).await? {
                Holder::Nobody(number) => self.number = number,
                Holder::Account(account) => {
                    let is_unproven = numbers::is_unproven(&desk.identity, &account, &self.email);
                    self.recognise(desk, *account, is_unproven).await?;
                }
            },
        }
        Ok(Next::On)
    }

    /// Whether an earlier try under this verification made a client. The number of the address alone proves nothing: staff may
    /// have made a client for whom a guest's account was there.
    fn has_made(&self, desk: &Desk, client: &billing::Client) -> bool {
        client.profile.customer_number.as_ref().is_some_and(|number| {
            *number == self.number
                || (self.was_refused_by_billing
                    && numbers::is_of_address(&desk.identity, number, &self.email))
        })
    }

    /// Takes over what billing knows of a client who is to be linked. Gives the client's customer number.
    async fn know(&mut self, desk: &Desk, client: billing::Client) -> Result<Option<String>> {
        if desk.store.mapping_of_client(client.id).await?.is_some() {
            return refused(refusals::ACCOUNT_EXISTS);
        }
        let profile = client.profile;
        self.client = Some(client.id);
        if self.leaves_marketing {
            self.marketing = client.marketing;
        }
        self.company = profile.company_name;
        self.first_name = profile.first_name;
        self.last_name = match (profile.last_name.is_empty(), &self.company) {
            (false, _) => profile.last_name,
            (true, Some(company)) => company.clone(),
            (true, None) => self.email.clone(),
        };
        self.details.phone = self.details.phone.take().or(profile.phone);
        self.details.birth_date = self.details.birth_date.or(profile.birth_date);
        self.details.gender = self.details.gender.or(profile.gender);
        Ok(profile.customer_number)
    }

    /// Takes over an account that is there; one that says nothing proved is put under its number as if it were new.
    async fn recognise(&mut self, desk: &Desk, account: Account, is_unproven: bool) -> Result<()> {
        if desk.store.mapping_of_account(account.id).await?.is_some() {
            tracing::error!("an account of the CRM belongs to a user with another address");
            return refused(refusals::SUPPORT_NEEDED);
        }
        self.account = (!is_unproven).then_some(account.id);
        self.lacks_number = account.customer_number.is_none();
        self.differs = account.email.is_some() && !account.has_email(&self.email);
        self.number = account.customer_number.unwrap_or_else(|| self.number.clone());
        Ok(())
    }

    async fn put_account(&mut self, desk: &Desk, budget: Budget) -> Result<Next> {
        let details = AccountChanges {
            customer_number: self.lacks_number.then_some(&*self.number),
            email: None,
            phone: self.details.phone.as_deref(),
            birth_date: self.details.birth_date,
            sex: self.details.gender.map(sex),
            address: self.address.as_ref().map(|address| &address.japanese),
        };
        match self.account {
            Some(account) => desk.crm.change_account(budget, account, &details).await?,
            None => {
                let new = NewAccount {
                    first_name: &self.first_name,
                    last_name: &self.last_name,
                    email: &self.email,
                    details,
                };
                self.account = Some(desk.crm.put_account(budget, &self.number, &new).await?);
            }
        }
        Ok(Next::On)
    }

    async fn put_client(&mut self, desk: &Desk, turn: Turn) -> Result<Next> {
        if self.client.is_none() && turn.again && desk.looks_first() {
            return self.await_client(desk, turn).await;
        }
        if let Some(client) = self.client {
            let changes = ClientChanges {
                phone: self.details.phone.as_deref(),
                address: self.address.as_ref().map(|address| &address.romanised),
                customer_number: Some(&self.number),
                birth_date: self.details.birth_date,
                gender: self.details.gender,
                nationality: self.details.nationality.as_deref(),
                marketing: (!self.leaves_marketing).then_some(self.marketing),
                // An earlier try may have made ours inactive. What staff made inactive, they make active.
                is_active: self.is_client_ours.then_some(true),
            };
            let changed = desk.billing.change_client(turn.budget, client, &changes).await;
            return changed.map(|()| Next::On).map_err(not_created);
        }
        let Some(address) = &self.address else {
            return Err(Error::internal("a new client without an address"));
        };
        let password = SecretString::from(self.billing_password.as_str());
        let new = NewClient {
            first_name: &self.first_name,
            last_name: &self.last_name,
            company: self.company.as_deref(),
            email: &self.email,
            phone: self.details.phone.as_deref().unwrap_or_default(),
            address: &address.romanised,
            is_japanese: self.locale == "ja",
            password: &password,
            customer_number: &self.number,
            birth_date: self.details.birth_date,
            gender: self.details.gender,
            nationality: self.details.nationality.as_deref(),
            marketing: self.marketing,
        };
        match desk.billing.create_client(turn.budget, &new).await.map_err(not_created)? {
            Some(client) => (self.client, self.is_client_ours) = (Some(client), true),
            // Somebody has the address: an earlier call of ours, or another.
            None => {
                self.find_own_client(desk, turn.budget).await?;
                if self.client.is_none() {
                    // A closed one cannot be linked.
                    let known = desk.billing.clients_of_email(turn.budget, &self.email).await?;
                    let why = if known.open.is_empty() {
                        refusals::SUPPORT_NEEDED
                    } else {
                        refusals::ACCOUNT_LINK_REQUIRED
                    };
                    return refused(why);
                }
            }
        }
        Ok(Next::On)
    }

    /// Looks for the client that a call without an answer may have made. Only one that is not there when the settling time
    /// is over is created anew.
    async fn await_client(&mut self, desk: &Desk, turn: Turn) -> Result<Next> {
        self.find_own_client(desk, turn.budget).await?;
        if self.client.is_some() {
            return Ok(Next::On);
        }
        if desk.clock.now() < turn.since + desk.settle {
            let source = SourceError::new("a client that may have been made is waited for");
            return Err(Error::Uncertain { service: Service::Billing, source });
        }
        Ok(Next::Anew)
    }

    /// Looks whether a call whose answer was lost has made the client.
    async fn find_own_client(&mut self, desk: &Desk, budget: Budget) -> Result<()> {
        let clients = desk.billing.clients_of_email(budget, &self.email).await?;
        let is_own = |client: &billing::Client| client.profile.customer_number.as_ref() == Some(&self.number);
        if let Some(own) = clients.open.into_iter().find(is_own) {
            (self.client, self.is_client_ours) = (Some(own.id), true);
        }
        Ok(())
    }

    async fn deactivate(&mut self, desk: &Desk, budget: Budget) -> Result<Next> {
        if let Some(client) = self.client.filter(|_| self.is_client_ours) {
            let changes = ClientChanges { is_active: Some(false), ..ClientChanges::default() };
            desk.billing.change_client(budget, client, &changes).await?;
            self.is_client_inactive = true;
        }
        Ok(Next::On)
    }

    async fn report(&mut self, desk: &Desk, budget: Budget) -> Result<Next> {
        if let (Some(account), Some(client)) = (self.account, self.client) {
            let state = match (self.is_client_ours, self.is_client_inactive) {
                (true, true) => "It was made inactive.",
                (true, false) => "It could not be made inactive: please do that.",
                (false, _) => "It was left as it is.",
            };
            let case = StaffCase {
                key: self.case_key(),
                account,
                subject: "Portal sign-up could not be finished".to_owned(),
                description: format!(
                    "The portal could not store the user for billing client #{client}. {state} \
                     Please clean up, and contact the customer."
                ),
            };
            desk.crm.open_staff_case(budget, &case).await?;
        }
        Ok(Next::Refused)
    }
}

/// Stores the user, and what follows: all of it, or nothing.
fn user<'a>(it: &'a mut Registration, desk: &'a Desk, tx: &'a mut Tx) -> BoxFuture<'a, Result<Next>> {
    async move {
        let (Some(client), Some(account)) = (it.client, it.account) else {
            return Err(Error::internal("a registration without a client or an account"));
        };
        let password_hash = SecretString::from(it.password_hash.as_str());
        let newcomer = Newcomer {
            user: it.user,
            email: &it.email,
            password_hash: &password_hash,
            locale: &it.locale,
            client,
            account,
            request_id: it.request_id.as_deref(),
        };
        match desk.identity.admit(tx, &newcomer).await {
            Ok(()) => {}
            Err(store::Error::Taken) => return refused(refusals::ACCOUNT_EXISTS),
            Err(error) => return Err(error.into()),
        }
        tx.insert_consent(it.user, &it.terms_version, it.marketing, it.accepted_at).await?;
        let now = desk.clock.now();
        let key = it.user.to_string();
        let source = match it.origin {
            Origin::New => Source::NewSignup,
            Origin::Linked => Source::Migrated,
        };
        let name = format!("{} {}", it.first_name, it.last_name).trim().to_owned();
        let access = Access { client, name, source, at: now };
        desk.queue.put(tx, &key, &GrantAccess { account, access }).await?;
        if it.origin == Origin::Linked {
            let language = Language::of(&it.locale);
            let mail = Mail { to: it.email.clone(), language, message: Message::AccountLinked { at: now } };
            desk.queue.put(tx, &format!("account-linked:{key}"), &mail).await?;
        }
        if it.wants_check
            && let Some(request) = AvailabilityRequest::of_owner(it, account, now)
        {
            let id = request.reference;
            desk.availability.begin_within(tx, id, id.as_bytes(), request).await?;
        }
        if it.differs {
            let case = StaffCase {
                key: format!("contact-{key}"),
                account,
                subject: "Contact e-mail differs from the portal's".to_owned(),
                description: format!(
                    "Billing client #{client} was linked to the portal. The e-mail address that the customer \
                     proved is not the one of this contact. Please ask which one is right."
                ),
            };
            desk.queue.put(tx, &case.key.clone(), &OpenStaffCase(case)).await?;
        }
        Ok(Next::Done(key))
    }
    .boxed()
}

/// The one that is there; several with one address are for people to sort out.
fn only<T>(found: Vec<T>) -> Result<Option<T>> {
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (one, None) => Ok(one),
        _ => refused(refusals::SUPPORT_NEEDED),
    }
}

fn not_created(error: Error) -> Error {
    match error {
        Error::Rejected(_) => Error::Rejected(vec![refusals::BILLING_CREATE_FAILED]),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_registration_of_an_earlier_release_is_read() {
        let id = uuid::Uuid::now_v7();
        let row = serde_json::json!({
            "origin": "New", "email": "a@example.jp", "locale": "en", "first_name": "A", "last_name": "B",
            "company": null, "details": Details::default(), "address": null, "marketing": false,
            "terms_version": "1", "accepted_at": "2026-11-20T03:00:00Z", "password_hash": "-",
            "billing_password": "-", "user": id, "seed": id, "number": "P0000000001", "client": null,
            "is_client_ours": false, "account": null, "lacks_number": false, "differs": false,
        });
        let read: Registration = serde_json::from_value(row).unwrap();
        assert_eq!((read.number.as_str(), read.was_refused_by_billing), ("P0000000001", false));
        assert!(!read.leaves_marketing);
    }
}
