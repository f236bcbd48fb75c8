//! A stateful emulator of the billing system's action API (WHMCS 8.x) and its single sign-on door.
//!
//! It serves `POST {prefix}/includes/api.php` and `GET {prefix}/oauth/singlesignon.php`, where the
//! prefix is the path of the public URL; `POST {prefix}/crons/cron.php` runs the daily automation. State is an overlay over the generated [world]: what one call
//! writes, the next reads. It shares nothing with the gateway's client of this vendor, so that it cannot agree
//! with that client's mistakes. [`Settings`] chooses among the ways in which real installations differ.
//!
//! [world]: crate::sandbox::world

mod account;
mod action;
mod base;
mod catalogue;
mod client_edit;
mod clients;
mod contacts;
mod credits;
mod cron;
mod dialect;
mod door;
mod emails;
mod hooks;
mod installation;
mod invoice_edit;
mod invoices;
mod login;
mod modules;
mod order_edit;
mod orders;
mod params;
mod pay_methods;
mod payments;
mod php;
mod render;
mod reply;
mod serialize;
mod service_edit;
mod services;
mod sso;
mod stats;
mod store;
mod system;
mod transactions;
mod upgrades;
mod user_edit;
mod users;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use axum::{Router, routing};
use serde_json::Value;

pub use dialect::{Dialect, EmptyLists, Numbers};
pub use door::{Access, Credential};

use crate::sandbox::core::Core;

/// How this installation differs from the next.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What answers look like.
    pub dialect: Dialect,
    /// Who may call.
    pub access: Access,
}

/// The emulator with default settings. `public_url` is the system URL (`http://127.0.0.1:4011`, a path prefix
/// allowed): answers that contain links begin with it, and its path is where the routes hang.
pub fn router(core: Arc<Core>, public_url: String) -> Router {
    router_with(core, public_url, Settings::default())
}

/// The emulator of an installation with other settings.
pub fn router_with(core: Arc<Core>, public_url: String, settings: Settings) -> Router {
    Installation::new(core, public_url, settings).router()
}

/// One running installation, for who stands behind its doors. Clones share it.
#[derive(Clone)]
pub struct Installation(Arc<door::Door>);

impl Installation {
    /// An installation that nobody has written to; the arguments are those of [`router_with`].
    pub fn new(core: Arc<Core>, public_url: String, settings: Settings) -> Self {
        let public_url = public_url.trim_end_matches('/').to_owned();
        Self(Arc::new(door::Door::new(core, public_url, settings)))
    }

    /// Its doors.
    pub fn router(&self) -> Router {
        let prefix =
            url::Url::parse(&self.0.public_url).map(|url| url.path().trim_end_matches('/').to_owned());
        let prefix = prefix.unwrap_or_default();
        Router::new()
            .route(&format!("{prefix}/includes/api.php"), routing::any(door::api))
            .route(&format!("{prefix}/oauth/singlesignon.php"), routing::get(sso::redeem))
            .route(&format!("{prefix}/crons/cron.php"), routing::post(cron::run_now))
            .route(&format!("{prefix}/index.php"), routing::get(sso::front))
            .with_state(Arc::clone(&self.0))
    }

    /// What a member of the staff does: an action of the API with its parameters, without credentials, faults, delay
    /// and journal of calls. Gives the body of the answer. The hooks are those of the admin area, which are the API's and
    /// those that are certain there alone.
    pub async fn staff(&self, action: &str, parameters: &[(&str, &str)]) -> Value {
        self.0.staff(action, parameters).await
    }

    /// From now on every hook is sent to an address, signed with
    /// [`credentials::WHMCS_WEBHOOK_SECRET`](crate::sandbox::credentials::WHMCS_WEBHOOK_SECRET). Hooks that fire before
    /// or during their change are sent `early_by` before it is visible; with zero, right after it.
    pub fn send_hooks_to(&self, url: String, early_by: Duration) {
        self.0.hooks.send_to(Arc::clone(&self.0.core), url, early_by);
    }

    /// Hooks that were fired and that nobody has taken yet.
    pub fn hooks_waiting(&self) -> u64 {
        self.0.hooks.waiting()
    }
}

impl fmt::Debug for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Installation").field(&self.0.public_url).finish()
    }
}
