//! Another e-mail address, for a person who has proved both: the one that is in force and the one that is to be.
//!
//! | step | does | and when nobody knows what became of it |
//! |---|---|---|
//! | `look` | is the address free, and which addresses does billing have? | looks again |
//! | `client` | billing's client gets the address | reads back, and sends it again when it is not there |
//! | `login` | and the login that owns it, if that had the old one | the same |
//! | `user` | the user here, all that follows, and the job for the CRM: all or nothing | is one transaction |
//! | `restore_login`, `restore` | only after a refusal: billing gets back what it had | says it again |
//! | `report` | only when billing refuses that: staff are told | puts the case again: it has a key |
//!
//! Whoever asks does not learn whether the new address is somebody's: that gets a notice instead of a code, and a code that
//! was never mailed is never right. Source: domain reference §8.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    engine::{Act, Begun, Engine, Next, Outcome, Step, Turn, Workflow},
    jobs::CopyEmail,
    refusals::{self, of_codes, refused},
    registration::Desk,
};
use crate::{
    billing::LoginId,
    crm::StaffCase,
    deadline::Budget,
    error::{Error, Result, UserError},
    id::{AccountId, ClientId, UserId},
    identity::{
        Context, EmailSwap, Swapped, Viewer,
        challenge::{Answer, Asker, Kind, Opened, Refusal, refused as void},
    },
    mail::{Language, Message},
    secret::SecretString,
    store::{
        Tx,
        audit::{Actor, Event},
    },
};

/// An address that takes the place of another: what was proved, and what was found and done so far.
#[derive(Serialize, Deserialize)]
pub struct EmailChange {
    /// Names it to staff.
    seed: Uuid,
    user: UserId,
    client: ClientId,
    account: AccountId,
    /// The session that goes on.
    kept: Uuid,
    /// The normalised address that is in force.
    old: String,
    /// The normalised address that is to be.
    new: String,
    language: Language,
    /// The address that billing's client had.
    was: String,
    /// The login of billing, if it has the old address.
    login: Option<LoginId>,
    /// The request in which it began, for the audit log.
    #[serde(default)]
    request_id: Option<String>,
}

impl Workflow for EmailChange {
    const KIND: &'static str = "email-change";
    const STEPS: &'static [Step<Self>] = &[
        Step {
            name: "look",
            act: Act::Ask(|it, desk, turn| it.look(desk, turn.budget).boxed()),
            otherwise: None,
            gives_up: true,
        },
        Step {
            name: "client",
            act: Act::Ask(|it, desk, turn| it.change_client(desk, turn).boxed()),
            otherwise: None,
            gives_up: true,
        },
        Step {
            name: "login",
            act: Act::Ask(|it, desk, turn| it.change_login(desk, turn).boxed()),
            otherwise: Some("restore_login"),
            gives_up: false,
        },
        Step { name: "user", act: Act::Store(user), otherwise: Some("restore_login"), gives_up: false },
        Step {
            name: "restore_login",
            act: Act::Ask(|it, desk, turn| it.restore_login(desk, turn.budget).boxed()),
            otherwise: Some("report"),
            gives_up: false,
        },
        Step {
            name: "restore",
            act: Act::Ask(|it, desk, turn| it.restore(desk, turn.budget).boxed()),
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
        self.begun_in().event("email.change", Actor::User(self.user), at).with("session", self.kept)
    }

    fn event(&self, step: &'static str, at: DateTime<Utc>) -> Option<Event> {
        let event = |act| self.begun_in().event(act, Actor::System, at).about(self.user);
        match step {
            "restore_login" if self.login.is_some() => Some(event("email.restore").with("of", "login")),
            "restore" => Some(event("email.restore").with("of", "client")),
            "report" => Some(event("staff.tell").with("case", self.case_key())),
            _ => None,
        }
    }
}

impl EmailChange {
    /// The request in which it began, as far as it is kept.
    fn begun_in(&self) -> Context {
        Context { request_id: self.request_id.clone(), ..Context::default() }
    }

    /// What the case that staff are given is known by.
    fn case_key(&self) -> String {
        format!("email-{}", self.seed)
    }

    async fn look(&mut self, desk: &Desk, budget: Budget) -> Result<Next> {
        let stands = desk.store.user(self.user).await?.filter(|(user, _)| !user.is_disabled);
        if stands.is_none_or(|(_, email)| email != self.old) {
            return refused(refusals::ACCOUNT_CHANGED);
        }
        if desk.store.user_by_email(&self.new).await?.is_some() {
            return refused(refusals::EMAIL_TAKEN);
        }
        let clients = desk.billing.clients_of_email(budget, &self.new).await?;
        if clients.open.iter().any(|client| client.id != self.client) {
            return refused(refusals::EMAIL_TAKEN);
        }
        let emails = desk.billing.emails(budget, self.client).await?;
        self.was = emails.client;
        // A login with another address is another person's, such as a company's bookkeeper.
        self.login = emails.login.filter(|(_, email)| is_same(email, &self.old)).map(|(login, _)| login);
        Ok(Next::On)
    }

    async fn change_client(&mut self, desk: &Desk, turn: Turn) -> Result<Next> {
        if turn.again && is_same(&desk.billing.emails(turn.budget, self.client).await?.client, &self.new) {
            desk.billing.forget(self.client).await;
            return Ok(Next::On);
        }
        let changed = desk.billing.change_email(turn.budget, self.client, &self.new).await;
        changed.map(|()| Next::On).map_err(not_taken)
    }

    async fn change_login(&mut self, desk: &Desk, turn: Turn) -> Result<Next> {
        let Some(login) = self.login else { return Ok(Next::On) };
        if turn.again {
            let known = desk.billing.emails(turn.budget, self.client).await?.login;
            if known.is_some_and(|(id, email)| id == login && is_same(&email, &self.new)) {
                return Ok(Next::On);
            }
        }
        let changed = desk.billing.change_login_email(turn.budget, login, &self.new).await;
        changed.map(|()| Next::On).map_err(not_taken)
    }

    async fn restore_login(&mut self, desk: &Desk, budget: Budget) -> Result<Next> {
        if let Some(login) = self.login {
            desk.billing.change_login_email(budget, login, &self.old).await?;
        }
        Ok(Next::On)
    }

    async fn restore(&mut self, desk: &Desk, budget: Budget) -> Result<Next> {
        desk.billing.change_email(budget, self.client, &self.was).await?;
        Ok(Next::Refused)
    }

    async fn report(&mut self, desk: &Desk, budget: Budget) -> Result<Next> {
        let case = StaffCase {
            key: self.case_key(),
            account: self.account,
            subject: "Portal e-mail change could not be undone".to_owned(),
            description: format!(
                "Billing client #{} or its login has an e-mail address that the portal has not. Please put the \
                 portal's back, and contact the customer.",
                self.client
            ),
        };
        desk.crm.open_staff_case(budget, &case).await?;
        Ok(Next::Refused)
    }
}

/// Changes the user, and stores what follows: all of it, or nothing.
fn user<'a>(it: &'a mut EmailChange, desk: &'a Desk, tx: &'a mut Tx) -> BoxFuture<'a, Result<Next>> {
    async move {
        let swap = EmailSwap {
            user: it.user,
            old: &it.old,
            new: &it.new,
            kept: it.kept,
            language: it.language,
            request_id: it.request_id.as_deref(),
        };
        match desk.identity.swap_email(tx, &swap).await? {
            Swapped::Done => {}
            Swapped::Outdated => return refused(refusals::ACCOUNT_CHANGED),
            Swapped::Taken => return refused(refusals::EMAIL_TAKEN),
        }
        let copy = CopyEmail { account: it.account, user: it.user };
        desk.queue.put(tx, &Uuid::now_v7().to_string(), &copy).await?;
        Ok(Next::Done(it.user.to_string()))
    }
    .boxed()
}

fn is_same(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

fn not_taken(error: Error) -> Error {
    match error {
        Error::Rejected(errors) if errors.contains(&refusals::EMAIL_TAKEN) => Error::Rejected(errors),
        Error::Rejected(_) => Error::Rejected(vec![refusals::EMAIL_REFUSED]),
        error => error,
    }
}

/// What the code at the present address proves.
#[derive(Clone, Serialize, Deserialize)]
struct Wanted {
    user: UserId,
    session: Uuid,
    /// The normalised address that is to be.
    email: String,
    /// The challenge of that address.
    other: Uuid,
}

/// What the code at the new address proves.
#[derive(Clone, Serialize, Deserialize)]
struct Arrived {
    user: UserId,
    session: Uuid,
    /// The address is somebody's: no code was mailed.
    is_decoy: bool,
}

/// A change that waits for both codes.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Names it.
    pub id: Uuid,
    /// The code to the address that is to be.
    pub new: Opened,
    /// The code to the address that is in force.
    pub present: Opened,
}

/// Which of both addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
#[graphql(name = "EmailChangeAddress")]
pub enum Which {
    /// The address that is to be.
    New,
    /// The address that is in force.
    Present,
}

/// How far a change came.
#[derive(Clone, Debug)]
pub enum Finished {
    /// The new address is in force.
    Changed,
    /// It goes on; ask again, with the same codes.
    InProgress,
    /// A code does not count. Nothing was changed.
    Refused(Box<Refused>),
}

/// Why codes do not count.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What is wrong, for each code.
    pub errors: Vec<UserError>,
    /// Tries that the code at the new address has left.
    pub new_tries_left: Option<u32>,
    /// Tries that the code at the present address has left.
    pub present_tries_left: Option<u32>,
}

const UNCHANGED: UserError = UserError {
    code: "EMAIL_UNCHANGED",
    field: Vec::new(),
    message: "This is the e-mail address that you have.",
};

/// Changes of addresses, as a person goes through them. Clones share everything.
#[derive(Clone)]
pub struct EmailChanges {
    desk: Desk,
    engine: Engine<EmailChange>,
    wait: Duration,
}

impl EmailChanges {
    /// Over the engine that runs the changes, with the same tools. An answer waits so long for the end of one.
    pub fn new(desk: Desk, engine: Engine<EmailChange>, wait: Duration) -> Self {
        Self { desk, engine, wait }
    }

    /// Mails a code to each address. The answer is the same whether or not the new one is somebody's.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `STEP_UP_REQUIRED`, or with `INVALID_EMAIL` or `EMAIL_UNCHANGED` (field `newEmail`);
    /// [`Error::RateLimited`].
    pub async fn begin(&self, viewer: &Viewer, new: &str) -> Result<Asked> {
        let (desk, identity, from) = (&self.desk, &self.desk.identity, viewer.context());
        identity.require_fresh(viewer, "email.change-begin").await?;
        let at_fault = |error| Error::Rejected(vec![UserError { field: vec!["newEmail"], ..error }]);
        let email = identity.normalised(new).map_err(|_| at_fault(refusals::INVALID_EMAIL))?;
        let (user, present) = desk.store.user(viewer.user()).await?.ok_or(Error::Unauthenticated)?;
        if email == present {
            return Err(at_fault(UNCHANGED));
        }
        let language = Language::of(&user.locale);
        let challenges = identity.challenges();
        let session = viewer.session();
        let asker = Asker::AtHome(user.id);
        let to_present = challenges.draft(Kind::PresentEmail, &present, language, asker, from).await?;
        let to_new = challenges.draft(Kind::NewEmail, &email, language, asker, from).await?;
        let is_decoy = desk.store.user_by_email(&email).await?.is_some();
        let arrived = Arrived { user: user.id, session, is_decoy };
        let mut tx = desk.store.begin().await?;
        let new = if is_decoy {
            challenges.open_decoy(&mut tx, to_new, &arrived, self.notice()).await?
        } else {
            challenges.open(&mut tx, to_new, &arrived).await?
        };
        let wanted = Wanted { user: user.id, session, email, other: new.id };
        let present = challenges.open(&mut tx, to_present, &wanted).await?;
        tx.audit(viewer.event("email.change-begin", desk.clock.now()));
        tx.commit().await?;
        challenges.wake();
        Ok(Asked { id: present.id, new, present })
    }

    fn notice(&self) -> Message {
        Message::EmailInUse { at: self.desk.clock.now() }
    }

    /// Mails another code to one of the addresses.
    ///
    /// # Errors
    /// [`Error::RateLimited`].
    pub async fn resend(
        &self,
        viewer: &Viewer,
        challenge: Uuid,
        which: Which,
    ) -> Result<Result<Opened, Refusal>> {
        let (challenges, from) = (self.desk.identity.challenges(), viewer.context());
        let Some(wanted) = self.wanted(viewer, challenge).await? else { return Ok(Err(void())) };
        if which == Which::Present {
            return challenges.resend(Kind::PresentEmail, challenge, from).await;
        }
        let (kind, id) = (Kind::NewEmail, wanted.other);
        match challenges.peek::<Arrived>(kind, id).await? {
            Some(arrived) if arrived.is_decoy => challenges.resend_decoy(kind, id, from, self.notice()).await,
            _ => challenges.resend(kind, id, from).await,
        }
    }

    /// What a challenge is for, if this session began it.
    async fn wanted(&self, viewer: &Viewer, challenge: Uuid) -> Result<Option<Wanted>> {
        let wanted = self.desk.identity.challenges().peek::<Wanted>(Kind::PresentEmail, challenge).await?;
        Ok(wanted.filter(|wanted| wanted.user == viewer.user() && wanted.session == viewer.session()))
    }

    /// Takes both codes, and changes the address everywhere. Said again, it makes no second change.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `EMAIL_TAKEN`, `EMAIL_REFUSED` or `ACCOUNT_CHANGED`; [`Error::Unavailable`] when nothing was
    /// done, since billing is away: the codes are good still; [`Error::RateLimited`].
    pub async fn finish(
        &self,
        viewer: &Viewer,
        challenge: Uuid,
        new_code: &SecretString,
        present_code: &SecretString,
    ) -> Result<Finished> {
        let (desk, from) = (&self.desk, viewer.context());
        let (identity, challenges) = (&desk.identity, desk.identity.challenges());
        // Of this user alone: nobody learns of another's change what became of it.
        let name = identity.keyed("email change", &format!("{}:{challenge}", viewer.user()));
        let id = name_of(&name);
        let before = self.engine.outcome(id).await?;
        if matches!(before, Some(Outcome::Running | Outcome::Done(_))) {
            return self.wait(viewer, id).await;
        }
        let Some(wanted) = self.wanted(viewer, challenge).await? else {
            return match before {
                Some(Outcome::Refused(codes)) => Err(of_codes(&codes)),
                _ => Ok(Finished::Refused(Box::new(Refused::of(Some(void()), Some(void()))))),
            };
        };
        let present = challenges.prove::<Wanted>(Kind::PresentEmail, challenge, present_code, from).await?;
        let new = challenges.prove::<Arrived>(Kind::NewEmail, wanted.other, new_code, from).await;
        if let (Answer::Proved(present), Err(_)) = (&present, &new) {
            // It was not even looked at.
            challenges.give_back(present).await?;
        }
        let (present, new) = match (present, new?) {
            (Answer::Proved(present), Answer::Proved(new)) => (present, new),
            (present, new) => {
                // Of several at once the first may have used up what the others came with.
                if matches!(self.engine.outcome(id).await?, Some(Outcome::Running | Outcome::Done(_))) {
                    return self.wait(viewer, id).await;
                }
                let refused = Refused::of(refusal(new), refusal(present));
                let code = refused.errors.first().map_or("AUTH_OTP_EXPIRED", |error| error.code);
                desk.store.audit(viewer.event("email.prove", desk.clock.now()).refused(code)).await?;
                return Ok(Finished::Refused(Box::new(refused)));
            }
        };
        let change = EmailChange {
            seed: challenge,
            user: viewer.user(),
            client: viewer.client(),
            account: viewer.account(),
            kept: viewer.session(),
            old: present.address.clone(),
            new: new.address.clone(),
            language: present.language,
            was: String::new(),
            login: None,
            request_id: from.request_id.clone(),
        };
        let key = identity.keyed("email change", &viewer.user().to_string());
        let is_busy = self.engine.begin(id, &key, change).await? == Begun::Busy;
        let finished = if is_busy {
            Ok(Finished::InProgress)
        } else {
            self.wait(viewer, id).await.inspect_err(|refused| from.noted(refused))
        };
        if matches!(finished, Ok(Finished::InProgress) | Err(Error::Unavailable { .. })) {
            // Nothing came of the codes, as far as is known: they are good still, however often this is said. Once it is done,
            // they prove an address that is not theirs any more.
            if !is_busy {
                desk.store.audit(viewer.event("email.prove", desk.clock.now())).await?;
            }
            challenges.give_back(&new).await?;
            challenges.give_back(&present).await?;
            return finished;
        }
        let mut tx = desk.store.begin().await?;
        // The user before the codes, as an erasure takes them.
        tx.lock_user(viewer.user()).await?;
        challenges.consume(&mut tx, &new).await?;
        challenges.consume(&mut tx, &present).await?;
        tx.audit(viewer.event("email.prove", desk.clock.now()));
        tx.commit().await?;
        finished
    }

    async fn wait(&self, viewer: &Viewer, id: Uuid) -> Result<Finished> {
        let left = viewer.budget().left().saturating_sub(Duration::from_millis(500));
        match self.engine.wait(id, self.wait.min(left)).await? {
            Outcome::Running => Ok(Finished::InProgress),
            Outcome::Refused(codes) => Err(of_codes(&codes)),
            Outcome::Done(_) => {
                self.desk.identity.recheck(viewer.user());
                Ok(Finished::Changed)
            }
        }
    }
}

impl Refused {
    fn of(new: Option<Refusal>, present: Option<Refusal>) -> Self {
        let at = |field, refusal: &Refusal| UserError { field: vec![field], ..refusal.error.clone() };
        let errors = [
            new.as_ref().map(|refusal| at("newCode", refusal)),
            present.as_ref().map(|refusal| at("presentCode", refusal)),
        ];
        Self {
            errors: errors.into_iter().flatten().collect(),
            new_tries_left: new.map(|refusal| refusal.tries_left),
            present_tries_left: present.map(|refusal| refusal.tries_left),
        }
    }
}

/// A uuid made of a keyed hash.
fn name_of(hash: &[u8; 32]) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn refusal<P>(answer: Answer<P>) -> Option<Refusal> {
    match answer {
        Answer::Refused(refusal) => Some(refusal),
        Answer::Proved(_) => None,
    }
}
