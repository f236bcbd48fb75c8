//! Builds stores, clients and domains once. The only place that wires them together.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    billing::{Billing, Mirrors},
    clock::Clock,
    config::{self, Config},
    crm::Crm,
    deadline::{Budget, Lane},
    events::{self, Inbox, Owners, Worker, reconcile::Reconciler, salesforce as crm_events},
    freshness::{self, Cache},
    identity::{self, Ground, Identity},
    jobs,
    mail::{self, Mail, Mailer},
    notify::{self, Live, Notifications},
    postal::Postal,
    seal::{self, DataKey, Keyring},
    sim::Sim,
    store::{self, Store},
    upstream::{captcha, freebit, japan_post, salesforce, whmcs},
    workflows::{
        availability::{Availability, AvailabilityRequest, Bench},
        email_change::{EmailChange, EmailChanges},
        engine::{Engine, Visit},
        erasure::{Erasures, ForgetTraces},
        export::{Exports, GatherExport, Sources},
        jobs::{CopyEmail, GrantAccess, OpenStaffCase},
        profile::{CopyToCrm, Profiles},
        registration::{Desk, Registration},
        sign_up::{self, SignUp},
    },
};

/// Why the application could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The database cannot be reached or brought up to date.
    #[error("the database: {0}")]
    Store(#[from] store::Error),
    /// A client cannot be made.
    #[error(transparent)]
    Upstream(#[from] MisconfiguredClient),
    /// The way between replicas cannot be made.
    #[error("live updates: {0}")]
    Live(String),
    /// The keys of what lies sealed in the database cannot be read or kept.
    #[error("data keys: {0}")]
    DataKeys(#[from] seal::Error),
    /// The mail server's address is unusable.
    #[error(transparent)]
    Mail(#[from] mail::Error),
    /// Keys cannot be read or kept.
    #[error("keys of the sessions: {0}")]
    Identity(String),
}

impl BuildError {
    /// The sentence for clients says nothing; the cause behind it names the file and what is wrong with it.
    pub fn keys(error: crate::error::Error) -> Self {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        Self::Identity(cause.unwrap_or_else(|| error.to_string()))
    }
}

/// A client whose settings are unusable, in a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MisconfiguredClient(String);

impl MisconfiguredClient {
    fn new(reason: impl std::fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

/// The database, up to date and open, and the keys of what lies sealed in it.
///
/// # Errors
/// [`BuildError::Store`], also when the database was written with other keys; then nothing was written anywhere.
pub async fn open_store(config: &Config) -> Result<(Store, Keyring), BuildError> {
    let store = Store::connect(&config.store).await?;
    let opened = async {
        let keys = data_keys(config, &store).await?;
        store.migrate(&keys).await?;
        Ok(keys)
    };
    match opened.await {
        Ok(keys) => Ok((store, keys)),
        Err(error) => {
            store.close().await;
            Err(error)
        }
    }
}

/// The keys of what lies sealed in the database. One is made only for a database in which nothing does: it would open
/// nothing of another.
///
/// # Errors
/// [`BuildError::Store`] when the database was written with other keys, [`BuildError::DataKeys`].
pub async fn data_keys(config: &Config, store: &Store) -> Result<Keyring, BuildError> {
    let config::DataKeys { keys, data_dir } = &config.data_keys;
    if keys.is_empty() && !DataKey::is_kept(data_dir) {
        store.check_data_keys(None).await?;
    }
    let keys = Keyring::new(keys, data_dir)?;
    store.check_data_keys(Some(&keys)).await?;
    Ok(keys)
}

/// The clients of the systems.
#[derive(Clone)]
pub struct Upstreams {
    /// Billing.
    pub whmcs: whmcs::Client,
    /// The CRM.
    pub salesforce: salesforce::Client,
    /// The mobile network.
    pub freebit: freebit::Client,
    /// Postal look-up; `None` when it is not set up.
    pub japan_post: Option<japan_post::Client>,
    /// Who tells people from programs; `None` where nobody is asked.
    pub captcha: Option<captcha::Client>,
}

impl Upstreams {
    /// Makes the clients. Nothing is asked yet.
    ///
    /// # Errors
    /// When a setting is unusable.
    pub fn new(config: &Config, clock: &Clock) -> Result<Self, MisconfiguredClient> {
        Ok(Self {
            whmcs: whmcs::Client::new(config.whmcs.clone()).map_err(MisconfiguredClient::new)?,
            salesforce: salesforce::Client::new(config.salesforce.clone(), clock.clone())
                .map_err(MisconfiguredClient::new)?,
            freebit: freebit::Client::new(config.freebit.clone()).map_err(MisconfiguredClient::new)?,
            japan_post: config
                .japan_post
                .clone()
                .map(|settings| japan_post::Client::new(settings).map_err(MisconfiguredClient::new))
                .transpose()?,
            captcha: config
                .captcha
                .clone()
                .map(|settings| captcha::Client::new(settings).map_err(MisconfiguredClient::new))
                .transpose()?,
        })
    }
}

/// The domains, and what they share. Clones share everything.
#[derive(Clone)]
pub struct App {
    /// The gateway's own database.
    pub store: Store,
    /// Accounts and sessions.
    pub identity: Identity,
    /// Billing.
    pub billing: Billing,
    /// Orders and cases.
    pub crm: Crm,
    /// Changes of customers' own data.
    pub profiles: Profiles,
    /// Sign-up and linking.
    pub sign_up: SignUp,
    registrations: Engine<Registration>,
    /// Requests of guests for a check of an address.
    pub availability: Availability,
    availability_engine: Engine<AvailabilityRequest>,
    /// Changes of customers' addresses.
    pub email_changes: EmailChanges,
    email_engine: Engine<EmailChange>,
    /// Erasures of accounts.
    pub erasures: Erasures,
    /// What people are given of what is known of them.
    pub exports: Exports,
    /// Mobile lines.
    pub sim: Sim,
    /// Postal look-up.
    pub postal: Postal,
    /// Hints to open subscriptions.
    pub live: Live,
    /// What the bell shows.
    pub notifications: Notifications,
    /// Reads the CRM's events; `None` when they are not read.
    pub crm_events: Option<crm_events::Consumer>,
    /// Compares what is served with the systems.
    pub reconciler: Reconciler,
    /// The cache of all domains.
    pub cache: Cache,
    /// The time.
    pub clock: Clock,
    /// The clients, for warming up and checks.
    pub upstreams: Arc<Upstreams>,
    /// The way in for events.
    pub inbox: Inbox,
    /// The way in for durable work, mails among it.
    pub jobs: jobs::Queue,
    mailer: Mailer,
    mail_attempts: u32,
    workflow_attempts: u32,
    events: events::Settings,
    job_settings: jobs::Settings,
}

impl App {
    /// Connects to the database, brings it up to date, and builds everything on top.
    ///
    /// # Errors
    /// [`BuildError`] names the part at fault.
    pub async fn build(config: &Config, clock: Clock) -> Result<Self, BuildError> {
        let (store, keys) = open_store(config).await?;
        let upstreams = Upstreams::new(config, &clock)?;
        let cache =
            Cache::new(cache_settings(config), keys.clone(), clock.clone()).map_err(BuildError::keys)?;
        let inbox = Inbox::new(store.clone(), clock.clone());
        let jobs = jobs::Queue::new(store.clone(), keys.clone(), clock.clone());
        let redis = config.redis.as_ref().map(config::Redis::settings);
        let ground = Ground {
            store: store.clone(),
            jobs: jobs.clone(),
            keys: keys.clone(),
            redis: redis.clone(),
            clock: clock.clone(),
            captcha: upstreams.captcha.clone(),
        };
        let identity = Identity::new(ground, &config.identity).map_err(BuildError::keys)?;
        identity.open_keys().await.map_err(BuildError::keys)?;
        let mailer = Mailer::new(config.mail.clone(), clock.clone())?;
        let live = Live::new(&notify::Settings { redis, ..config.notify.clone() })
            .map_err(|error| BuildError::Live(error.to_string()))?;
        let crm_events = config
            .crm_events
            .clone()
            .map(|settings| {
                let crm = upstreams.salesforce.clone();
                crm_events::Consumer::new(settings, crm, &inbox).map_err(MisconfiguredClient::new)
            })
            .transpose()?;
        let billing = Billing::new(
            upstreams.whmcs.clone(),
            cache.clone(),
            clock.clone(),
            config.billing_fields.clone(),
            &config.billing_times,
        )
        .mirrored(Mirrors::new(store.clone(), config.mirror_within));
        let crm = Crm::new(
            upstreams.salesforce.clone(),
            cache.clone(),
            config.crm_fields.clone(),
            config.case_origins.clone(),
            &config.crm_times,
        )
        .with_words(config.crm_words.clone());
        let profiles = Profiles::new(
            store.clone(),
            jobs.clone(),
            clock.clone(),
            (billing.clone(), crm.clone()),
            live.clone(),
            config.workflows.least_age,
        );
        let availability_engine = Engine::new(
            store.clone(),
            keys.clone(),
            clock.clone(),
            jobs.clone(),
            Bench { identity: identity.clone(), crm: crm.clone() },
            config.workflows.attempts,
        );
        let desk = Desk {
            store: store.clone(),
            queue: jobs.clone(),
            clock: clock.clone(),
            identity: identity.clone(),
            billing: billing.clone(),
            crm: crm.clone(),
            availability: availability_engine.clone(),
            settle: sign_up::settle(&config.workflows),
            #[cfg(any(test, feature = "sandbox"))]
            plant_blind_resend: config.workflows.plant_blind_resend,
        };
        let email_engine = Engine::new(
            store.clone(),
            keys.clone(),
            clock.clone(),
            jobs.clone(),
            desk.clone(),
            config.workflows.attempts,
        );
        let registrations = Engine::new(
            store.clone(),
            keys.clone(),
            clock.clone(),
            jobs.clone(),
            desk.clone(),
            config.workflows.attempts,
        );
        let reconciler = Reconciler::new(
            &inbox,
            billing.clone(),
            crm.clone(),
            cache.clone(),
            live.clone(),
            config.reconcile.clone(),
        );
        let notifications = Notifications::new(
            store.clone(),
            cache.clone(),
            live.clone(),
            clock.clone(),
            config.notify.lifetime,
        );
        let sim = Sim::new(upstreams.freebit.clone(), cache.clone(), clock.clone(), &config.sim_times);
        let sources = Sources {
            store: store.clone(),
            identity: identity.clone(),
            notifications: notifications.clone(),
            billing: billing.clone(),
            crm: crm.clone(),
            sim: sim.clone(),
        };
        let exports = Exports::new(
            sources,
            jobs.clone(),
            keys.clone(),
            clock.clone(),
            config.workflows.export_keep,
            config.workflows.attempts,
        );
        Ok(Self {
            exports,
            billing,
            crm,
            profiles,
            email_changes: EmailChanges::new(desk.clone(), email_engine.clone(), config.workflows.wait),
            email_engine,
            erasures: Erasures::new(desk.clone(), config.identity.audit_keep),
            sign_up: SignUp::new(desk, registrations.clone(), config.workflows.clone()),
            registrations,
            availability: Availability::new(
                store.clone(),
                jobs.clone(),
                clock.clone(),
                identity.clone(),
                availability_engine.clone(),
            ),
            availability_engine,
            reconciler,
            notifications,
            live,
            sim,
            postal: Postal::new(
                upstreams.japan_post.clone(),
                cache.clone(),
                clock.clone(),
                &config.postal_times,
                config.postal_per_minute,
            ),
            crm_events,
            store,
            identity,
            cache,
            clock,
            upstreams: Arc::new(upstreams),
            inbox,
            jobs,
            mailer,
            mail_attempts: config.mail.attempts,
            workflow_attempts: config.workflows.attempts,
            events: config.events.clone(),
            job_settings: config.jobs.clone(),
        })
    }

    /// Receives and applies events, does jobs, and compares what is served with the systems, until `stopping` is
    /// cancelled.
    pub async fn work(&self, stopping: CancellationToken) {
        let owners = Owners::new(self.upstreams.whmcs.clone(), self.store.clone());
        let crm = self.crm_events.as_ref().map(|events| events.changes(self.crm.clone()));
        let (cache, live, bell) = (self.cache.clone(), self.live.clone(), self.notifications.clone());
        let worker = Worker::new(&self.inbox, cache, owners, crm, live, bell, self.events.clone());
        let reading = async {
            if let Some(consumer) = &self.crm_events {
                consumer.run(stopping.clone()).await;
            }
        };
        tokio::join!(
            worker.run(stopping.clone()),
            reading,
            self.reconciler.run(stopping.clone()),
            self.identity.keep_house(stopping.clone()),
            self.identity.count_partners(stopping.clone()),
            self.doers().run(stopping.clone())
        );
    }

    /// Who does which jobs.
    fn doers(&self) -> jobs::Worker {
        let (mailer, profiles) = (self.mailer.clone(), self.profiles.clone());
        let (registrations, crm, same) = (self.registrations.clone(), self.crm.clone(), self.crm.clone());
        let (email_engine, contacts, store, holders) =
            (self.email_engine.clone(), self.crm.clone(), self.store.clone(), self.store.clone());
        let (exports, checks) = (self.exports.clone(), self.availability_engine.clone());
        let (leavers, billing, marks) = (self.store.clone(), self.billing.clone(), self.crm.clone());
        let worker = jobs::Worker::new(self.jobs.clone(), self.job_settings.clone());
        worker
            .on(Some(self.mail_attempts), move |mail: Mail, this| {
                let mailer = mailer.clone();
                async move { mailer.send(mail, this).await }
            })
            .on(Some(self.workflow_attempts), move |copy: CopyToCrm, _| {
                let profiles = profiles.clone();
                async move { profiles.copy(copy).await }
            })
            .on(Some(registrations.attempts()), move |visit: Visit<Registration>, this| {
                let registrations = registrations.clone();
                async move { registrations.visit(visit, this).await }
            })
            .on(Some(checks.attempts()), move |visit: Visit<AvailabilityRequest>, this| {
                let checks = checks.clone();
                async move { checks.visit(visit, this).await }
            })
            .on(Some(email_engine.attempts()), move |visit: Visit<EmailChange>, this| {
                let email_engine = email_engine.clone();
                async move { email_engine.visit(visit, this).await }
            })
            .on(Some(self.workflow_attempts), move |wanted: GatherExport, this| {
                let exports = exports.clone();
                async move { exports.gather(wanted, this).await }
            })
            .on(Some(self.workflow_attempts), move |traces: ForgetTraces, _| {
                Erasures::forget(traces, leavers.clone(), billing.clone(), marks.clone())
            })
            .on(Some(self.workflow_attempts), move |copy: CopyEmail, _| {
                copy.perform(contacts.clone(), store.clone())
            })
            .on(Some(self.workflow_attempts), move |grant: GrantAccess, _| {
                grant.perform(crm.clone(), holders.clone())
            })
            .on(Some(self.workflow_attempts), move |case: OpenStaffCase, _| case.perform(same.clone()))
    }

    /// Opens the sessions with the systems that need one, so that the first question does not wait for
    /// them. A failure is only logged: the first question tries again.
    pub async fn warm_up(&self) {
        let budget = Budget::new(Duration::from_secs(10), Lane::Interactive);
        let (crm, sim) =
            tokio::join!(self.upstreams.salesforce.warm_up(budget), self.upstreams.freebit.warm_up(budget));
        for error in [crm.err(), sim.err()].into_iter().flatten() {
            tracing::warn!(error = &error as &dyn std::error::Error, "a session could not be opened yet");
        }
    }
}

/// The settings of the cache, less the memory that is taken for sessions: a quarter of all at most.
fn cache_settings(config: &Config) -> freshness::Settings {
    let all = config.cache.memory_bytes;
    freshness::Settings {
        memory_bytes: all - identity::REMEMBERED_BYTES.min(all / 4),
        ..config.cache.clone()
    }
}
