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

use std::sync::Arc;

use axum::{Router, routing};

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
    let public_url = public_url.trim_end_matches('/').to_owned();
    let prefix = url::Url::parse(&public_url).map(|url| url.path().trim_end_matches('/').to_owned());
    let prefix = prefix.unwrap_or_default();
    let door = Arc::new(door::Door::new(core, public_url, settings));
    Router::new()
        .route(&format!("{prefix}/includes/api.php"), routing::any(door::api))
        .route(&format!("{prefix}/oauth/singlesignon.php"), routing::get(sso::redeem))
        .route(&format!("{prefix}/crons/cron.php"), routing::post(cron::run_now))
        .route(&format!("{prefix}/index.php"), routing::get(sso::front))
        .with_state(door)
}
