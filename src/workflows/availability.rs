//! Somebody wants to know what internet can be had at an address: an opportunity and a case for staff, of a guest or of
//! whoever has just signed up. Source: domain reference §6.3, §10, §12.
//!
//! | step | does | and when nobody knows what became of it |
//! |---|---|---|
//! | `look` | finds the guest's account by the address, or chooses the number of a new one | looks again |
//! | `account` | creates it, unless it is there | looks the number up first |
//! | `match` | finds an opportunity that is still in its first stage, or chooses the key of a new one | looks again |
//! | `opportunity` | opens it, unless it is there | looks the key up first |
//! | `case` | opens the case for staff | looks the key up first |
//! | `pending` | notes at the account that the check is pending, since when and in which case | looks whether the case is noted |
//!
//! Nothing here changes a record that was there before: what is created has a key that the CRM lets one record have, so two
//! requests at one moment, or a request and a sign-up, meet in one account and one opportunity without a lock. Whoever only
//! types an address owns nothing of what it leads to: an account that was found, or whose owner came meanwhile, is linked to
//! the case and left as it is. A guest is told the same at once, whatever is found, since all of it happens later.

use chrono::{DateTime, Days, SecondsFormat, Utc};
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    engine::{Act, Engine, Next, Step, Turn, Workflow},
    form::{AddressInput, Faults, WrittenAddress, names},
    numbers::{self, Holder, uuid_of},
    refusals::INVALID_EMAIL,
    registration::Registration,
};
use crate::{
    clock::{Clock, TOKYO},
    crm::{AccountChanges, CheckRequest, Crm, Interest, NewAccount},
    deadline::Budget,
    error::{Error, Result, UserError},
    id::{AccountId, CaseId, RecordId},
    identity::{Context, Identity, Purpose},
    jobs::Queue,
    store::{
        Store,
        audit::{Actor, Event},
    },
};

/// After so many days an opportunity is expected to have come to an end.
const CLOSES_WITHIN: Days = Days::new(30);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asker {
    /// Somebody who typed an address.
    Guest,
    /// Somebody who proved it, and has just become a user.
    Owner,
}

/// How a request came to its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// It is the one of who signed up.
    Theirs,
    /// It was there, under the address.
    Found,
    /// There were several under the address: it is the oldest.
    FoundAmongSeveral,
    /// It was made for this request.
    Made,
}

/// A request: what was said, and what was found and made so far.
#[derive(Serialize, Deserialize)]
pub struct AvailabilityRequest {
    /// What the case is known by. Every request has its own.
    pub reference: Uuid,
    /// Who asks.
    pub asker: Asker,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// The normalised address; proved if an owner asks.
    pub email: String,
    /// Where, in both writings.
    pub address: WrittenAddress,
    /// When it was asked.
    pub requested_at: DateTime<Utc>,
    /// The number with which a new account is made.
    pub number: String,
    /// The account, and how it came; `None` until it is there.
    pub account: Option<(AccountId, Origin)>,
    /// The opportunity that was found, or the key of the one that is to be; `None` until that is known.
    pub interest: Option<Interest>,
    /// The opportunity that is there, and whether it is new.
    pub opportunity: Option<(RecordId, bool)>,
    /// The case.
    pub case: Option<CaseId>,
}

/// What the steps work with.
#[derive(Clone)]
pub struct Bench {
    /// For names that say nothing.
    pub identity: Identity,
    /// The CRM.
    pub crm: Crm,
}

impl Workflow for AvailabilityRequest {
    const KIND: &'static str = "availability";
    const STEPS: &'static [Step<Self>] = &[
        step("look", |it, bench, turn| it.look(bench, turn.budget).boxed()),
        step("account", |it, bench, turn| it.make_account(bench, turn).boxed()),
        step("match", |it, bench, turn| it.match_opportunity(bench, turn.budget).boxed()),
        step("opportunity", |it, bench, turn| it.open_opportunity(bench, turn).boxed()),
        step("case", |it, bench, turn| it.open_case(bench, turn).boxed()),
        step("pending", |it, bench, turn| it.mark_pending(bench, turn).boxed()),
    ];
    type Tools = Bench;

    fn refusal(&self, at: DateTime<Utc>) -> Event {
        Event::done("availability.request", Actor::System, at)
    }
}

type Ask =
    for<'a> fn(&'a mut AvailabilityRequest, &'a Bench, Turn) -> futures::future::BoxFuture<'a, Result<Next>>;

/// Nobody waits for it, so it is tried until it is done, and left to people where the CRM refuses it.
const fn step(name: &'static str, ask: Ask) -> Step<AvailabilityRequest> {
    Step { name, act: Act::Ask(ask), otherwise: None, gives_up: false }
}

impl AvailabilityRequest {
    /// The request of somebody who has just signed up, for the account and at the address of that.
    pub fn of_owner(registration: &Registration, account: AccountId, at: DateTime<Utc>) -> Option<Self> {
        Some(Self {
            reference: Uuid::now_v7(),
            asker: Asker::Owner,
            first_name: registration.first_name.clone(),
            last_name: registration.last_name.clone(),
            email: registration.email.clone(),
            address: registration.address.clone()?,
            requested_at: at,
            number: String::new(),
            account: Some((account, Origin::Theirs)),
            interest: None,
            opportunity: None,
            case: None,
        })
    }

    async fn look(&mut self, bench: &Bench, budget: Budget) -> Result<Next> {
        if self.account.is_some() {
            return Ok(Next::On);
        }
        match bench.crm.accounts_of_email(budget, &self.email).await?.as_slice() {
            [] => match numbers::holder(&bench.identity, &bench.crm, budget, &self.email).await? {
                Holder::Nobody(number) => self.number = number,
                Holder::Account(account) => self.account = Some((account.id, Origin::Found)),
            },
            [account] => self.account = Some((account.id, Origin::Found)),
            [oldest, ..] => self.account = Some((oldest.id, Origin::FoundAmongSeveral)),
        }
        Ok(Next::On)
    }

    async fn make_account(&mut self, bench: &Bench, turn: Turn) -> Result<Next> {
        if self.account.is_some() {
            return Ok(Next::On);
        }
        let details = AccountChanges { address: Some(&self.address.japanese), ..AccountChanges::default() };
        let new = NewAccount {
            first_name: &self.first_name,
            last_name: &self.last_name,
            email: &self.email,
            details,
        };
        let made = bench.crm.create_account(turn.budget, turn.again, &self.number, &new).await;
        let (account, is_new) = made.map_err(left_to_people)?;
        // One that is there when we ask again is ours, or of a sign-up of the same moment: its number was free.
        let origin = if is_new || turn.again { Origin::Made } else { Origin::Found };
        self.account = Some((account, origin));
        Ok(Next::On)
    }

    async fn match_opportunity(&mut self, bench: &Bench, budget: Budget) -> Result<Next> {
        let (account, _) = self.there()?;
        self.interest = Some(bench.crm.internet_interest(budget, account).await?);
        Ok(Next::On)
    }

    async fn open_opportunity(&mut self, bench: &Bench, turn: Turn) -> Result<Next> {
        let (account, _) = self.there()?;
        self.opportunity = Some(match &self.interest {
            Some(Interest::Known(opportunity)) => (*opportunity, false),
            Some(Interest::New(key)) => {
                let closes_on = self.requested_at.with_timezone(&TOKYO).date_naive() + CLOSES_WITHIN;
                let (budget, again) = (turn.budget, turn.again);
                let opened =
                    bench.crm.open_internet_opportunity(budget, again, account, key, closes_on).await;
                let (opportunity, is_new) = opened.map_err(left_to_people)?;
                (opportunity, is_new || again)
            }
            None => return Err(Error::internal("a request that was not matched")),
        });
        Ok(Next::On)
    }

    async fn open_case(&mut self, bench: &Bench, turn: Turn) -> Result<Next> {
        let ((account, origin), (opportunity, is_new)) = (self.there()?, self.opened()?);
        let request = CheckRequest {
            key: &format!("availability-{}", self.reference),
            account,
            opportunity,
            description: &self.description(origin, opportunity, is_new),
        };
        let opened = bench.crm.open_check(turn.budget, turn.again, &request).await;
        self.case = Some(opened.map_err(left_to_people)?);
        Ok(Next::On)
    }

    async fn mark_pending(&mut self, bench: &Bench, turn: Turn) -> Result<Next> {
        let (account, origin) = self.there()?;
        let case = self.case.ok_or_else(|| Error::internal("a request without a case"))?;
        if self.may_mark(bench, turn.budget, account, origin).await? {
            let (budget, again, at) = (turn.budget, turn.again, self.requested_at);
            let marked = bench.crm.mark_check_pending(budget, again, account, case, at).await;
            marked.map_err(left_to_people)?;
        }
        Ok(Next::Done(case.to_string()))
    }

    /// What belongs to somebody else is not for a guest to change: neither an account that was there before, nor one whose
    /// owner has come since it was made.
    async fn may_mark(
        &self,
        bench: &Bench,
        budget: Budget,
        account: AccountId,
        origin: Origin,
    ) -> Result<bool> {
        Ok(match origin {
            Origin::Theirs => true,
            Origin::Found | Origin::FoundAmongSeveral => false,
            Origin::Made => bench.crm.account(budget, account).await?.is_some_and(|account| {
                account.is_bare() && numbers::is_unproven(&bench.identity, &account, &self.email)
            }),
        })
    }

    fn there(&self) -> Result<(AccountId, Origin)> {
        self.account.ok_or_else(|| Error::internal("a request without an account"))
    }

    fn opened(&self) -> Result<(RecordId, bool)> {
        self.opportunity.ok_or_else(|| Error::internal("a request without an opportunity"))
    }

    /// What staff read.
    fn description(&self, origin: Origin, opportunity: RecordId, is_new: bool) -> String {
        let Self { first_name, last_name, email, address, .. } = self;
        let (japanese, romanised) = (&address.japanese, &address.romanised);
        let asker = match self.asker {
            Asker::Guest => "a guest on the availability page; the e-mail address is NOT verified",
            Asker::Owner => "a customer at sign-up; the e-mail address is verified",
        };
        let account = match origin {
            Origin::Theirs => "the customer's own.",
            Origin::Found => "matched by the e-mail address, and left as it was.",
            Origin::FoundAmongSeveral => {
                "matched by the e-mail address, and left as it was. Several accounts have that address: this is the oldest."
            }
            Origin::Made => "newly created.",
        };
        let state = if is_new { "newly created" } else { "matched" };
        let lines = [
            format!("Asked by: {first_name} {last_name} <{email}>, {asker}."),
            format!("Asked at: {}", self.requested_at.to_rfc3339_opts(SecondsFormat::Secs, true)),
            format!(
                "Address: 〒{} {}{} {}",
                japanese.postal_code, japanese.prefecture, japanese.city, japanese.street
            ),
            format!(
                "Romanised: {}, {}, {}, {} {}",
                romanised.line1,
                romanised.line2.as_deref().unwrap_or("-"),
                romanised.city,
                romanised.state,
                romanised.postal_code
            ),
            format!("Account: {account}"),
            format!("Opportunity: {state} ({opportunity})."),
        ];
        lines.join("\n")
    }
}

/// What the CRM refuses is kept for people to look at, instead of being forgotten: nobody else would hear of it.
fn left_to_people(error: Error) -> Error {
    match error {
        Error::Rejected(_) => Error::internal("the CRM refuses a request for a check"),
        error => error,
    }
}

/// What a guest says.
#[derive(Clone, Debug, Serialize)]
pub struct GuestForm {
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// The address, in any spelling.
    pub email: String,
    /// Where.
    pub address: AddressInput,
}

/// Requests of guests. Clones share everything.
#[derive(Clone)]
pub struct Availability {
    store: Store,
    queue: Queue,
    clock: Clock,
    identity: Identity,
    engine: Engine<AvailabilityRequest>,
}

impl Availability {
    /// Over the engine that runs the requests.
    pub fn new(
        store: Store,
        queue: Queue,
        clock: Clock,
        identity: Identity,
        engine: Engine<AvailabilityRequest>,
    ) -> Self {
        Self { store, queue, clock, identity, engine }
    }

    /// Takes a request of somebody who is not signed in. Nothing is asked of any system before it answers, so it says nothing
    /// of what is known of the address. The same form again within a week is the same request.
    ///
    /// # Errors
    /// [`Error::Rejected`] with everything that is wrong with the form, which counts for no limit, or with
    /// `AUTH_CAPTCHA_REQUIRED`; [`Error::RateLimited`] when it was asked too often for the address or from the network; [`Error::StoreAway`].
    pub async fn request(&self, form: GuestForm, from: &Context) -> Result<()> {
        let mut faults = Faults::default();
        let invalid = |_| Error::Rejected(vec![UserError { field: vec!["email"], ..INVALID_EMAIL }]);
        let email = faults.take(self.identity.normalised(&form.email).map_err(invalid))?;
        let named = names(&form.first_name, &form.last_name, &mut faults);
        let address = faults.within("address", |faults| form.address.read(faults));
        faults.refuse()?;
        let Some((email, ((first_name, last_name), address))) = email.zip(named.zip(address)) else {
            return Err(Error::internal("a form without faults that could not be read"));
        };
        self.identity.check_person(from).await?;
        self.identity.pass(Purpose::Availability, Some(&email), from).await?;
        let now = self.clock.now();
        let request = AvailabilityRequest {
            reference: Uuid::now_v7(),
            asker: Asker::Guest,
            first_name,
            last_name,
            email,
            address,
            requested_at: now,
            number: String::new(),
            account: None,
            interest: None,
            opportunity: None,
            case: None,
        };
        let id = self.name_of(&request)?;
        let mut tx = self.store.begin().await?;
        if self.engine.begin_within(&mut tx, id, id.as_bytes(), request).await? {
            tx.audit(from.event("availability.request", Actor::Nobody, now).with("request", id));
            tx.commit().await?;
            self.queue.wake();
        }
        Ok(())
    }

    /// The same for the same form, and says nothing of it.
    fn name_of(&self, request: &AvailabilityRequest) -> Result<Uuid> {
        let AvailabilityRequest { first_name, last_name, email, address, .. } = request;
        let said = serde_json::to_string(&(first_name, last_name, email, address))
            .map_err(|_| Error::internal("a request cannot be written"))?;
        Ok(uuid_of(self.identity.keyed("availability", &said)))
    }
}
