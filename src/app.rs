//! Builds stores, clients and domains once. The only place that wires them together.

use std::{sync::Arc, time::Duration};

use crate::{
    billing::{self, Billing},
    clock::Clock,
    crm::{self, Crm},
    deadline::{Budget, Lane},
    freshness::{self, Cache},
    identity::{self, Identity},
    sim::{self, Sim},
    store::{self, Store},
    upstream::{freebit, salesforce, whmcs},
};

/// What the application is built from. `config` reads it from the environment.
#[derive(Clone)]
pub struct Settings {
    /// The gateway's own database.
    pub store: store::Settings,
    /// Accounts and sessions.
    pub identity: identity::Settings,
    /// The memory tier of the cache.
    pub cache: freshness::Settings,
    /// The billing system.
    pub whmcs: whmcs::Settings,
    /// The CRM.
    pub salesforce: salesforce::Settings,
    /// The mobile network.
    pub freebit: freebit::Settings,
    /// Custom field ids in billing.
    pub billing_fields: billing::CustomFields,
    /// Custom field names in the CRM.
    pub crm_fields: crm::FieldMap,
    /// Origins of the cases that customers may see.
    pub case_origins: Vec<String>,
    /// Fresh times of billing.
    pub billing_times: billing::Times,
    /// Fresh times of the CRM.
    pub crm_times: crm::Times,
    /// Fresh times of the mobile network.
    pub sim_times: sim::Times,
}

/// Why the application could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The database cannot be reached or brought up to date.
    #[error("the database: {0}")]
    Store(#[from] store::Error),
    /// A client cannot be made.
    #[error(transparent)]
    Upstream(#[from] MisconfiguredClient),
    /// Keys cannot be read or kept.
    #[error("sessions: {0}")]
    Identity(crate::error::Error),
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

/// The clients of the three systems.
#[derive(Clone)]
pub struct Upstreams {
    /// Billing.
    pub whmcs: whmcs::Client,
    /// The CRM.
    pub salesforce: salesforce::Client,
    /// The mobile network.
    pub freebit: freebit::Client,
}

impl Upstreams {
    /// Makes the clients. Nothing is asked yet.
    ///
    /// # Errors
    /// When a setting is unusable.
    pub fn new(settings: &Settings, clock: &Clock) -> Result<Self, MisconfiguredClient> {
        Ok(Self {
            whmcs: whmcs::Client::new(settings.whmcs.clone()).map_err(MisconfiguredClient::new)?,
            salesforce: salesforce::Client::new(settings.salesforce.clone(), clock.clone())
                .map_err(MisconfiguredClient::new)?,
            freebit: freebit::Client::new(settings.freebit.clone()).map_err(MisconfiguredClient::new)?,
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
    /// Mobile lines.
    pub sim: Sim,
    /// The cache of all domains.
    pub cache: Cache,
    /// The time.
    pub clock: Clock,
    /// The clients, for warming up and checks.
    pub upstreams: Arc<Upstreams>,
}

impl App {
    /// Connects to the database, brings it up to date, and builds everything on top.
    ///
    /// # Errors
    /// [`BuildError`] names the part at fault.
    pub async fn build(settings: &Settings, clock: Clock) -> Result<Self, BuildError> {
        let store = Store::connect(&settings.store).await?;
        store.migrate().await?;
        let identity =
            Identity::new(store.clone(), &settings.identity, clock.clone()).map_err(BuildError::Identity)?;
        let upstreams = Upstreams::new(settings, &clock)?;
        let cache = Cache::new(&settings.cache);
        Ok(Self {
            billing: Billing::new(
                upstreams.whmcs.clone(),
                cache.clone(),
                clock.clone(),
                settings.billing_fields.clone(),
                &settings.billing_times,
            ),
            crm: Crm::new(
                upstreams.salesforce.clone(),
                cache.clone(),
                settings.crm_fields.clone(),
                settings.case_origins.clone(),
                &settings.crm_times,
            ),
            sim: Sim::new(upstreams.freebit.clone(), cache.clone(), clock.clone(), &settings.sim_times),
            store,
            identity,
            cache,
            clock,
            upstreams: Arc::new(upstreams),
        })
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
