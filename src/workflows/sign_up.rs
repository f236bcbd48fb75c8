//! Sign-up and linking, as a person goes through them: an address is proved, what is known of it is found out, the rest is
//! asked, and a [`Registration`] makes a user of it. Source: domain reference §6.

use std::{sync::Arc, time::Duration};

use chrono::{NaiveDate, TimeDelta};
use moka::sync::Cache;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{
    Settings,
    engine::{Begun, Engine, Outcome},
    form::{AddressInput, Details, Faults, PersonInput, ProfileChange, WrittenAddress},
    numbers,
    refusals::{self, of_codes, refused},
    registration::{Desk, Origin, Registration},
};
use crate::{
    billing::{Gender, Login},
    crm::Sex,
    deadline::Budget,
    error::{Error, Result, UserError},
    id::UserId,
    identity::{
        Context, Entrance, Entry, Evidence, HandOff, Purpose, Verification,
        challenge::{Answer, Asker, Kind, Opened, Refusal, refused as void},
    },
    mail::Language,
    secret::{ExposeSecret, SecretString},
    store::audit::Actor,
};

/// People who complete a sign-up at one moment, on one replica: those of one verification go one by one.
const AT_ONCE: u64 = 10_000;

/// Where a person who proved an address belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
#[graphql(name = "SignUpRoute")]
pub enum Route {
    /// There is an account: sign in, with the hand-off and the password.
    PortalExists,
    /// Billing knows the person: `accountLink` makes the account.
    BillingUnmapped,
    /// Staff know the person, billing does not: `signUpComplete`, with what is known filled in.
    CrmUnmapped,
    /// Nobody knows the person: `signUpComplete`.
    NewCustomer,
}

/// What is known of a person who has proved the address.
#[derive(Clone, Debug, Default)]
pub struct Prefill {
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
    /// Birth date.
    pub birth_date: Option<NaiveDate>,
    /// Gender.
    pub gender: Option<Gender>,
    /// Whether billing has a complete address.
    pub has_address: bool,
}

/// Where a person belongs, with what goes with it.
#[derive(Clone, Debug)]
pub struct Routed {
    /// Where.
    pub route: Route,
    /// What is known.
    pub prefill: Prefill,
    /// For whoever has an account and proved its address minutes ago: good for one sign-in without another code.
    pub hand_off: Option<HandOff>,
}

/// An address that was proved.
#[derive(Clone, Debug)]
pub struct Verified {
    /// For the next steps.
    pub token: SecretString,
    /// What it stands for.
    pub verification: Verification,
}

/// What completes a sign-up of somebody new.
pub struct SignUpForm {
    /// The person.
    pub profile: PersonInput,
    /// The address.
    pub address: AddressInput,
    /// Whether staff shall check what internet can be had there.
    pub availability: bool,
    /// What everybody says at the end.
    pub ending: Ending,
}

/// What links a client of billing.
pub struct LinkForm {
    /// What the person corrects of what billing knows.
    pub profile: ProfileChange,
    /// The address, when it is another than billing has.
    pub address: Option<AddressInput>,
    /// What everybody says at the end.
    pub ending: Ending,
}

/// What everybody says at the end.
pub struct Ending {
    /// The portal password.
    pub password: SecretString,
    /// The terms that are accepted.
    pub terms_version: String,
    /// Whether advertising is welcome; of a linked client `None` leaves it as billing has it.
    pub marketing: Option<bool>,
}

/// How far a sign-up came.
pub enum Completion {
    /// It is done; the person is signed in.
    SignedIn(Box<Entrance>),
    /// It goes on; ask again, with the same verification.
    InProgress,
}

/// Sign-up and linking. Clones share everything.
#[derive(Clone)]
pub struct SignUp {
    desk: Desk,
    engine: Engine<Registration>,
    settings: Arc<Settings>,
    /// Passwords are hashed once for each verification, however often it is shown at one moment.
    turns: Cache<Uuid, Arc<Mutex<Option<Chosen>>>>,
}

/// The password with which a sign-up was begun here, as a keyed name that says nothing of it, and its PHC string.
struct Chosen {
    name: [u8; 32],
    hash: SecretString,
}

impl SignUp {
    /// Over the engine that runs the registrations, with the same tools.
    pub fn new(desk: Desk, engine: Engine<Registration>, settings: Settings) -> Self {
        let turns = Cache::builder().max_capacity(AT_ONCE).time_to_idle(Duration::from_secs(60)).build();
        Self { desk, engine, settings: Arc::new(settings), turns }
    }

    /// The terms that are to be accepted.
    pub fn terms_version(&self) -> &str {
        &self.settings.terms_version
    }

    /// Mails a code to an address. The answer is the same whether or not it is known.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `AUTH_CAPTCHA_REQUIRED`, or with `INVALID_EMAIL` (field `email`); [`Error::RateLimited`],
    /// [`Error::Maintenance`].
    pub async fn begin(&self, email: &str, language: Language, from: &Context) -> Result<Opened> {
        let identity = &self.desk.identity;
        identity.check_open()?;
        let email = &self.read_email(email)?;
        identity.check_person(from).await?;
        identity.pass(Purpose::SignUp, Some(email), from).await?;
        let draft = identity.challenges().draft(Kind::SignUp, email, language, Asker::Anybody, from).await?;
        let mut tx = self.desk.store.begin().await?;
        let opened = identity.challenges().open(&mut tx, draft, &()).await?;
        tx.audit(
            from.event("sign-up.begin", Actor::Nobody, self.desk.clock.now()).with("challenge", opened.id),
        );
        tx.commit().await?;
        identity.challenges().wake();
        Ok(opened)
    }

    /// Mails another code.
    ///
    /// # Errors
    /// [`Error::RateLimited`], [`Error::Maintenance`].
    pub async fn resend(&self, challenge: Uuid, from: &Context) -> Result<Result<Opened, Refusal>> {
        self.desk.identity.check_open()?;
        self.desk.identity.challenges().resend(Kind::SignUp, challenge, from).await
    }

    /// Tries a code.
    ///
    /// # Errors
    /// [`Error::RateLimited`], [`Error::Maintenance`].
    pub async fn verify(
        &self,
        challenge: Uuid,
        code: &SecretString,
        from: &Context,
    ) -> Result<Result<Verified, Refusal>> {
        self.desk.identity.check_open()?;
        let challenges = self.desk.identity.challenges();
        let proved = match challenges.prove::<()>(Kind::SignUp, challenge, code, from).await? {
            Answer::Proved(proved) => proved,
            Answer::Refused(refusal) => {
                let event = from.event("verification.create", Actor::Nobody, self.desk.clock.now());
                self.desk.store.audit(event.with("challenge", challenge).refused(refusal.error.code)).await?;
                return Ok(Err(refusal));
            }
        };
        let mut tx = self.desk.store.begin().await?;
        if !challenges.consume(&mut tx, &proved).await? {
            return Ok(Err(void()));
        }
        let locale = proved.language.tag().to_owned();
        let email = proved.address.clone();
        let evidence = Evidence { email, locale, client: None, was_refused_by_billing: false };
        let lifetime = self.settings.verification_lifetime;
        let (token, verification) = self.desk.identity.attest(&mut tx, evidence, lifetime, from).await?;
        tx.commit().await?;
        Ok(Ok(Verified { token, verification }))
    }

    /// Checks a billing password once, instead of a code. It is kept nowhere. Whoever has an account has a password of
    /// the portal: theirs of billing proves nothing any more, and is not even shown to billing. Billing is asked all the same,
    /// with another one: while it is away or slow, that tells nobody who has an account.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `AUTH_INVALID_CREDENTIALS`, or with `BILLING_SECOND_FACTOR` for a login that one password
    /// does not prove, or with `AUTH_CAPTCHA_REQUIRED`; [`Error::RateLimited`] after wrong ones; [`Error::Unavailable`] while billing does not answer;
    /// [`Error::Maintenance`].
    pub async fn verify_by_billing(
        &self,
        email: &str,
        password: &SecretString,
        language: Language,
        from: &Context,
        budget: Budget,
    ) -> Result<Verified> {
        let identity = &self.desk.identity;
        identity.check_open()?;
        let email = self.read_email(email)?;
        let judge = async {
            let is_here = self.desk.store.user_by_email(&email).await?.is_some();
            let none_of_theirs = SecretString::from(hex::encode(rand::random::<[u8; 16]>()));
            let shown = if is_here { &none_of_theirs } else { password };
            let login = self.desk.billing.check_login(budget, &email, shown).await?;
            Ok(Some(login).filter(|login| !is_here && !matches!(login, Login::Wrong)))
        };
        let client = match identity.guarded(&email, from, judge).await? {
            Some(Login::Proven(client)) => client,
            Some(Login::SecondFactor) => return refused(refusals::SECOND_FACTOR),
            Some(Login::Wrong) | None => return refused(refusals::INVALID_CREDENTIALS),
        };
        let locale = language.tag().to_owned();
        let evidence = Evidence { email, locale, client: Some(client), was_refused_by_billing: false };
        let lifetime = self.settings.verification_lifetime;
        let mut tx = self.desk.store.begin().await?;
        let (token, verification) = identity.attest(&mut tx, evidence, lifetime, from).await?;
        tx.commit().await?;
        Ok(Verified { token, verification })
    }

    fn read_email(&self, email: &str) -> Result<String> {
        let field = vec!["email"];
        let invalid = |_| Error::Rejected(vec![UserError { field, ..refusals::INVALID_EMAIL }]);
        self.desk.identity.normalised(email).map_err(invalid)
    }

    /// What a token stands for.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `VERIFICATION_EXPIRED`.
    pub async fn resume(&self, token: SecretString) -> Result<Verified> {
        let known = self.desk.identity.verification(&token).await?;
        match known {
            Some(verification) => Ok(Verified { token, verification }),
            None => refused(refusals::VERIFICATION_EXPIRED),
        }
    }

    /// Where a person belongs, asked of the systems now.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; [`Error::Rejected`] with `SUPPORT_NEEDED` where only people can tell.
    pub async fn route(&self, verification: &Verification, budget: Budget) -> Result<Routed> {
        let desk = &self.desk;
        let evidence = &verification.evidence;
        let routed = |route, prefill| Ok(Routed { route, prefill, hand_off: None });
        if let Some(user) = desk.store.user_by_email(&evidence.email).await? {
            if desk.store.mapping_of_user(user.id).await?.is_none() {
                tracing::error!(user = %user.id, "a user has no mapping to a client and an account");
                return refused(refusals::SUPPORT_NEEDED);
            }
            // Only the mailed code is as good as the one that the hand-off spares: a password of billing is no factor of ours.
            if evidence.client.is_some() {
                return routed(Route::PortalExists, Prefill::default());
            }
            let mut tx = desk.store.begin().await?;
            let hand_off =
                desk.identity.hand_off(&mut tx, user.id, &evidence.email, verification.proved_at).await?;
            tx.commit().await?;
            return Ok(Routed { route: Route::PortalExists, prefill: Prefill::default(), hand_off });
        }
        let clients = desk.billing.clients_of(budget, evidence.client, &evidence.email).await?;
        match clients.open.as_slice() {
            [] if clients.has_closed => return refused(refusals::SUPPORT_NEEDED),
            [] => {}
            [client] if desk.store.mapping_of_client(client.id).await?.is_none() => {
                let profile = client.profile.clone();
                let prefill = Prefill {
                    first_name: Some(profile.first_name),
                    last_name: Some(profile.last_name),
                    phone: profile.phone,
                    birth_date: profile.birth_date,
                    gender: profile.gender,
                    has_address: profile.address.is_some(),
                };
                return routed(Route::BillingUnmapped, prefill);
            }
            _ => return refused(refusals::SUPPORT_NEEDED),
        }
        match desk.crm.accounts_of_email(budget, &evidence.email).await?.as_slice() {
            [] => routed(Route::NewCustomer, Prefill::default()),
            [account] if desk.store.mapping_of_account(account.id).await?.is_none() => {
                // What a guest said of whoever has the address is nobody's to see.
                if numbers::is_unproven(&desk.identity, account, &evidence.email) {
                    return routed(Route::CrmUnmapped, Prefill::default());
                }
                let account = account.clone();
                let prefill = Prefill {
                    first_name: account.first_name,
                    last_name: account.last_name,
                    phone: account.phone,
                    birth_date: account.birth_date,
                    gender: account.sex.map(|sex| match sex {
                        Sex::Male => Gender::Male,
                        Sex::Female => Gender::Female,
                        Sex::Other => Gender::Other,
                    }),
                    has_address: false,
                };
                routed(Route::CrmUnmapped, prefill)
            }
            _ => refused(refusals::SUPPORT_NEEDED),
        }
    }

    /// Completes the sign-up of somebody whom billing does not know. When that is done already, the same password opens
    /// another session for a few minutes, since answers get lost; then, or with another, one has to sign in.
    ///
    /// # Errors
    /// [`Error::Rejected`] with everything that is wrong, `ACCOUNT_EXISTS`, `ACCOUNT_LINK_REQUIRED`,
    /// `BILLING_CREATE_FAILED` and others; [`Error::Unavailable`] when nothing was done, since a system is away;
    /// [`Error::RateLimited`] after wrong passwords; [`Error::Maintenance`].
    pub async fn complete(
        &self,
        token: SecretString,
        form: SignUpForm,
        entry: &Entry<'_>,
        budget: Budget,
    ) -> Result<Completion> {
        let SignUpForm { profile, address, availability, ending } = form;
        self.register(token, entry, budget, ending, |faults, today| {
            let least = self.settings.least_age;
            let person = faults.within("profile", |faults| profile.read(today, least, faults));
            let address = faults.within("address", |faults| address.read(faults));
            let person = person?;
            Some(Said {
                origin: Origin::New,
                first_name: person.first_name,
                last_name: person.last_name,
                company: person.company,
                details: person.details,
                address: Some(address?),
                wants_check: availability,
            })
        })
        .await
    }

    /// Makes a user of somebody whom billing knows.
    ///
    /// # Errors
    /// As [`SignUp::complete`], and `NOTHING_TO_LINK`.
    pub async fn link(
        &self,
        token: SecretString,
        form: LinkForm,
        entry: &Entry<'_>,
        budget: Budget,
    ) -> Result<Completion> {
        let LinkForm { profile, address, ending } = form;
        self.register(token, entry, budget, ending, |faults, today| {
            let least = self.settings.least_age;
            let details = faults.within("profile", |faults| profile.read(today, least, faults));
            let address = address.map(|input| faults.within("address", |faults| input.read(faults)));
            Some(Said {
                origin: Origin::Linked,
                first_name: String::new(),
                last_name: String::new(),
                company: None,
                details,
                address: address.flatten(),
                wants_check: false,
            })
        })
        .await
    }

    async fn register(
        &self,
        token: SecretString,
        entry: &Entry<'_>,
        budget: Budget,
        ending: Ending,
        read: impl FnOnce(&mut Faults, NaiveDate) -> Option<Said>,
    ) -> Result<Completion> {
        self.desk.identity.check_open()?;
        let mut verification = self.resume(token).await?.verification;
        let password = ending.password.clone();
        let name = self.desk.identity.keyed("chosen password", password.expose_secret());
        let turn = self.turns.get_with(verification.id, Arc::default);
        let mut is_own = false;
        {
            let mut chosen = turn.lock().await;
            let begun = match self.engine.outcome(verification.id).await? {
                Some(Outcome::Running | Outcome::Done(_)) => Begun::Here,
                standing @ (Some(Outcome::Refused(_)) | None) => {
                    // With the verification: the next try may end otherwise, before it has looked.
                    if matches!(standing, Some(Outcome::Refused(codes))
                        if codes.iter().any(|code| code == refusals::BILLING_CREATE_FAILED.code))
                    {
                        self.desk.identity.was_refused_by_billing(&mut verification).await?;
                    }
                    let registration = self.read(&verification, ending, (entry.from, budget), read).await?;
                    let hash = SecretString::from(registration.password_hash.as_str());
                    *chosen = Some(Chosen { name, hash });
                    let key = self.desk.identity.keyed("registration", &verification.evidence.email);
                    is_own = true;
                    self.engine.begin(verification.id, &key, registration).await?
                }
            };
            if begun == Begun::Busy {
                return Ok(Completion::InProgress);
            }
        }
        let within = self.settings.wait.min(budget.left().saturating_sub(Duration::from_millis(500)));
        match self.engine.wait(verification.id, within).await? {
            Outcome::Running => Ok(Completion::InProgress),
            Outcome::Refused(codes) => {
                let refused = of_codes(&codes);
                if is_own {
                    entry.from.noted(&refused);
                }
                Err(refused)
            }
            Outcome::Done(user) => {
                let user = Uuid::parse_str(&user).map(UserId);
                let user = user.map_err(|_| Error::internal("a registration ended without a user"))?;
                let chosen = turn.lock().await;
                let hashed =
                    chosen.as_ref().filter(|chosen| chosen.name == name).map(|chosen| chosen.hash.clone());
                drop(chosen);
                let entered = self.desk.identity.welcome(user, &password, hashed.as_ref(), entry).await?;
                entered.map_or_else(
                    || refused(refusals::ACCOUNT_EXISTS),
                    |entrance| Ok(Completion::SignedIn(Box::new(entrance))),
                )
            }
        }
    }

    /// Reads what the person says; all that is wrong is told at once. The password is hashed last.
    async fn read(
        &self,
        verification: &Verification,
        ending: Ending,
        (from, budget): (&Context, Budget),
        read: impl FnOnce(&mut Faults, NaiveDate) -> Option<Said>,
    ) -> Result<Registration> {
        let (identity, now) = (&self.desk.identity, self.desk.clock.now());
        let evidence = &verification.evidence;
        let mut faults = Faults::default();
        let said = read(&mut faults, self.desk.clock.today());
        let names = said.as_ref().map_or([""; 2], |said| [&said.first_name, &said.last_name]);
        let words = [evidence.email.as_str(), names[0], names[1]].map(str::to_owned).to_vec();
        faults.take(identity.may_choose(&ending.password, words, "password").await)?;
        if ending.terms_version != self.settings.terms_version {
            let message = "The terms have changed. Please read and accept them as they are now.";
            faults.add("TERMS_OUTDATED", &["termsVersion"], message);
        }
        faults.refuse()?;
        // The password that was proved is kept nowhere, so billing is asked whether it is the same.
        if evidence.client.is_some() {
            match self.desk.billing.check_login(budget, &evidence.email, &ending.password).await? {
                Login::Wrong => {}
                Login::Proven(_) | Login::SecondFactor => {
                    return refused(UserError { field: vec!["password"], ..refusals::BILLINGS_PASSWORD });
                }
            }
        }
        let said = said.ok_or_else(|| Error::internal("a form without faults that could not be read"))?;
        let password_hash = identity.new_password(&ending.password).await?;
        let billing_password: [u8; 24] = rand::random();
        Ok(Registration {
            origin: said.origin,
            email: evidence.email.clone(),
            locale: evidence.locale.clone(),
            first_name: said.first_name,
            last_name: said.last_name,
            company: said.company,
            details: said.details,
            address: said.address,
            marketing: ending.marketing.unwrap_or_default(),
            leaves_marketing: ending.marketing.is_none(),
            terms_version: ending.terms_version,
            accepted_at: now,
            password_hash: password_hash.expose_secret().to_owned(),
            billing_password: hex::encode(billing_password),
            user: UserId(Uuid::now_v7()),
            number: numbers::number_of(identity, verification.id, 0),
            client: evidence.client,
            is_client_ours: false,
            was_refused_by_billing: evidence.was_refused_by_billing,
            is_client_inactive: false,
            account: None,
            lacks_number: false,
            differs: false,
            wants_check: said.wants_check,
            request_id: from.request_id.clone(),
        })
    }
}

/// What a person said of themselves, read and found good.
struct Said {
    origin: Origin,
    first_name: String,
    last_name: String,
    company: Option<String>,
    details: Details,
    address: Option<WrittenAddress>,
    /// Staff shall check what internet can be had there.
    wants_check: bool,
}

/// The settling time as the steps take it.
pub fn settle(settings: &Settings) -> TimeDelta {
    TimeDelta::from_std(settings.settle).unwrap_or(TimeDelta::MAX)
}
