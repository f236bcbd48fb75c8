//! Every setting: its variable, unit, default, and what it is for.
//!
//! A setting is declared where it is read (`server.rs`, `auth.rs`, `upstreams.rs`, `cache.rs`), once; the list of
//! all settings and `.env.example` are made by the same reading. Reading does not stop at the first fault: all are
//! collected, so that an operator puts everything right in one go. Files that a setting names are read here, too.
//!
//! Two environments are kept apart: production refuses test endpoints and secrets of our own making, and
//! development refuses the production CRM.

mod auth;
mod cache;
mod captcha;
mod crm_events;
mod data_keys;
mod jobs;
mod limits;
mod live;
mod mail;
mod passkeys;
mod reader;
mod reconcile;
mod server;
#[cfg(test)]
mod tests;
mod upstreams;
mod webhooks;
mod workflows;

use std::{fmt, fmt::Write, time::Duration};

pub use cache::Redis;
pub use data_keys::DataKeys;
pub use limits::Limits;
pub use live::Live;
pub use reader::Setting;
pub use server::{Environment, LogFormat, Network, Server};
pub use webhooks::Webhooks;

use crate::{
    billing,
    config::reader::Reader,
    crm, events, freshness, identity, notify, postal, sim, store,
    upstream::{captcha as captcha_service, freebit, japan_post, salesforce, whmcs},
};

/// All settings, read and found good.
#[derive(Clone)]
pub struct Config {
    /// The HTTP door, logs and times of a request.
    pub server: Server,
    /// What a document may cost.
    pub limits: Limits,
    /// What open connections may cost.
    pub live: Live,
    /// Live hints and notifications; the address of Redis stands above.
    pub notify: notify::Settings,
    /// The gateway's own database.
    pub store: store::Settings,
    /// The keys of what lies sealed in it.
    pub data_keys: DataKeys,
    /// How jobs are done.
    pub jobs: crate::jobs::Settings,
    /// How mails leave.
    pub mail: crate::mail::Settings,
    /// The shared cache; `None` for one replica.
    pub redis: Option<Redis>,
    /// Accounts and sessions.
    pub identity: identity::Settings,
    /// The billing system.
    pub whmcs: whmcs::Settings,
    /// The CRM.
    pub salesforce: salesforce::Settings,
    /// Events of the CRM; `None` when they are not read.
    pub crm_events: Option<events::salesforce::Settings>,
    /// The mobile network.
    pub freebit: freebit::Settings,
    /// Postal look-up; `None` when it is not set up.
    pub japan_post: Option<japan_post::Settings>,
    /// Who tells people from programs; `None` where nobody is asked.
    pub captcha: Option<captcha_service::Settings>,
    /// Postal look-ups of one client address in a minute.
    pub postal_per_minute: u32,
    /// Ids of custom fields in billing.
    pub billing_fields: billing::CustomFields,
    /// Names of custom fields in the CRM.
    pub crm_fields: crm::FieldMap,
    /// Origins of the cases that customers may see.
    pub case_origins: Vec<String>,
    /// What the CRM calls things that are written.
    pub crm_words: crm::Words,
    /// How sign-up and the other workflows behave.
    pub workflows: crate::workflows::Settings,
    /// Who may report changes.
    pub webhooks: Webhooks,
    /// How reported changes are applied.
    pub events: events::Settings,
    /// How often what is served is compared with the systems.
    pub reconcile: events::reconcile::Settings,
    /// The memory tier of the cache.
    pub cache: freshness::Settings,
    /// How old a mirrored list may be that is shown while billing does not answer.
    pub mirror_within: Duration,
    /// The most bytes that kept answers may weigh together.
    pub response_bytes: u64,
    /// Times of billing.
    pub billing_times: billing::Times,
    /// Times of the CRM.
    pub crm_times: crm::Times,
    /// Times of the mobile network.
    pub sim_times: sim::Times,
    /// Times of postal look-up.
    pub postal_times: postal::Times,
}

impl Config {
    /// Reads every setting from what `variable` gives for a name; an empty value counts as none.
    ///
    /// # Errors
    /// Every fault, in the order of the settings.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<Fault>> {
        let mut reader = Reader::new(&variable);
        let config = Self::read(&mut reader);
        let faults = reader.faults();
        if faults.is_empty() { Ok(config) } else { Err(faults) }
    }

    /// Every setting there is.
    pub fn settings() -> Vec<Setting> {
        let mut reader = Reader::new(&|_| None);
        Self::read(&mut reader);
        reader.settings()
    }

    /// The text of `.env.example`.
    pub fn example() -> String {
        let mut text = String::from(
            "# Every setting of the gateway. What begins with `#` may stay as it is; the others must be set.\n\
             # Durations are a number with ms, s, m, h or d; lists are separated by commas.\n",
        );
        let mut section = "";
        for setting in Self::settings() {
            if setting.section != section {
                section = setting.section;
                let _ = write!(text, "\n\n# == {section} ==\n");
            }
            let _ = write!(text, "\n{setting}\n");
        }
        text
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let server = Server::read(reader);
        let limits = Limits::read(reader, server.introspection);
        let (live, notify) = live::read(reader);
        let (store, data_dir) = cache::store(reader);
        let data_keys = data_keys::read(reader, server.environment, data_dir.clone());
        let redis = Redis::read(reader);
        let mut identity = auth::read(reader, &server, data_dir);
        let (whmcs, billing_fields) = upstreams::whmcs(reader, server.environment);
        let salesforce = upstreams::salesforce(reader, server.environment);
        let (crm_fields, case_origins, crm_words) = upstreams::crm(reader);
        let (crm_events, tell_orders) = crm_events::salesforce(reader, server.environment);
        let freebit = upstreams::freebit(reader, server.environment);
        let (japan_post, postal_per_minute) = upstreams::japan_post(reader, server.environment);
        let (captcha, rule) = captcha::read(reader, server.environment).unzip();
        identity.captcha = rule;
        let (webhooks, events) = webhooks::read(reader);
        let reconcile = reconcile::read(reader);
        let jobs = jobs::read(reader, &server);
        let mail = mail::read(reader, server.environment);
        let workflows = workflows::read(reader);
        let (cache, stale_within) = cache::tiers(reader, redis.as_ref());
        let mirror_within = cache::mirror_within(reader);
        let response_bytes = cache::responses(reader);
        let (billing_times, crm_times, sim_times, postal_times) =
            cache::times(reader, stale_within, tell_orders);
        Self {
            server,
            limits,
            live,
            notify,
            store,
            data_keys,
            jobs,
            mail,
            redis,
            identity,
            whmcs,
            salesforce,
            crm_events,
            freebit,
            japan_post,
            captcha,
            postal_per_minute,
            billing_fields,
            crm_fields,
            case_origins,
            crm_words,
            workflows,
            webhooks,
            events,
            reconcile,
            cache,
            mirror_within,
            response_bytes,
            billing_times,
            crm_times,
            sim_times,
            postal_times,
        }
    }
}

/// One thing that is wrong with the configuration. It never shows the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The variable to be changed.
    pub variable: String,
    /// What is wrong with it.
    pub reason: String,
    /// A value that would do.
    pub example: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{0}: {1}; for example {0}={2}", self.variable, self.reason, self.example)
    }
}
