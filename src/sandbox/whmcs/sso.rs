//! Single sign-on: tokens that live a minute and work once, and the door that redeems them.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::json;

use crate::sandbox::core::{FaultKind, System};
use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::door::Door;
use crate::sandbox::whmcs::reply::{Refusal, Reply, error, refuse};
use crate::sandbox::whmcs::store::{Store, Table};
use crate::sandbox::whmcs::user_edit::accept_invite;

const LIFE: TimeDelta = TimeDelta::seconds(60);

/// A token that was not used yet.
#[derive(Clone, Debug)]
pub struct Token {
    client: Option<u64>,
    user: u64,
    /// Path below the system URL.
    target: String,
    expires: DateTime<Utc>,
}

/// Destinations without an id, and where they usually land.
const DESTINATIONS: &[(&str, &str)] = &[
    ("clientarea:profile", "clientarea.php?action=details"),
    ("clientarea:billing_info", "index.php?rp=/account/paymentmethods"),
    ("clientarea:emails", "clientarea.php?action=emails"),
    ("clientarea:announcements", "index.php?rp=/announcements"),
    ("clientarea:downloads", "index.php?rp=/download"),
    ("clientarea:knowledgebase", "index.php?rp=/knowledgebase"),
    ("clientarea:network_status", "serverstatus.php"),
    ("clientarea:services", "clientarea.php?action=services"),
    ("clientarea:domains", "clientarea.php?action=domains"),
    ("clientarea:invoices", "clientarea.php?action=invoices"),
    ("clientarea:tickets", "supporttickets.php"),
    ("clientarea:submit_ticket", "submitticket.php"),
    ("clientarea:shopping_cart", "cart.php"),
    ("clientarea:shopping_cart_addons", "cart.php?gid=addons"),
    ("clientarea:shopping_cart_domain_register", "cart.php?a=add&domain=register"),
    ("clientarea:shopping_cart_domain_transfer", "cart.php?a=add&domain=transfer"),
];

/// `CreateSsoToken`.
pub fn create_sso_token(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let client = params.id("client_id");
    let user = params.id("user_id");
    if params.text("client_id").is_some() && client.is_none_or(|id| store.account(id).is_none()) {
        return refuse("Invalid client_id");
    }
    if params.text("user_id").is_some() && user.is_none_or(|id| store.user(id).is_none()) {
        return refuse("Invalid user_id");
    }
    let (client, user) = match (client, user) {
        (Some(client), Some(user)) if !store.is_associated(user, client) => {
            return refuse("Invalid user_id for client");
        }
        (client, Some(user)) => (client, user),
        (Some(client), None) => {
            let account = store.account(client).ok_or_else(error("Invalid client_id"))?;
            (Some(client), account.client.owner_user_id)
        }
        (None, None) => return refuse("A valid client_id or user_id is required"),
    };
    if let Some(account) = client.and_then(|id| store.account(id))
        && (account.client.status == "Closed" || !account.client.allow_sso)
    {
        return refuse(format!("SSO authentication blocked for client {}", account.client.id));
    }
    let target = target(store, call, client.or_else(|| store.owned_by(user).first().copied()))?;
    let now = store.core.clock.now();
    store.tokens.retain(|_, token| token.expires > now);
    let text = new_token();
    store.tokens.insert(text.clone(), Token { client, user, target, expires: now + LIFE });
    let url = format!("{}/oauth/singlesignon.php?access_token={text}", call.public_url);
    Ok(json!({"access_token": text, "redirect_url": url}))
}

/// 40 hexadecimal characters.
fn new_token() -> String {
    let random = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    random[..40].to_owned()
}

fn target(store: &Store, call: &Call<'_>, client: Option<u64>) -> Result<String, Refusal> {
    let params = call.params;
    let missing = |what: &str| refuse(format!("Token could not be provisioned: {what}"));
    match params.text("destination") {
        None => Ok("clientarea.php".to_owned()),
        Some("clientarea:product_details") => {
            let service = params.id("service_id").filter(|id| {
                let account = store.account_with(Table::Service, *id);
                account.is_some_and(|a| a.service(*id).is_some() && Some(a.client.id) == client)
            });
            match service {
                Some(id) => Ok(format!("clientarea.php?action=productdetails&id={id}")),
                None => missing("invalid_scope. service_id is required"),
            }
        }
        Some("clientarea:domain_details") => match params.id("domain_id") {
            Some(id) => Ok(format!("clientarea.php?action=domaindetails&id={id}")),
            None => missing("invalid_scope. domain_id is required"),
        },
        Some("sso:custom_redirect") => match params.text("sso_redirect_path") {
            Some(path) if is_relative(path) => Ok(path.trim_start_matches('/').to_owned()),
            Some(_) => missing("invalid_redirect. sso_redirect_path must be relative"),
            None => missing("invalid_redirect. sso_redirect_path is required"),
        },
        Some(name) => match DESTINATIONS.iter().find(|(destination, _)| *destination == name) {
            Some((_, target)) => Ok((*target).to_owned()),
            None => refuse("Invalid destination"),
        },
    }
}

/// A path below the system URL: no scheme, no other host.
fn is_relative(path: &str) -> bool {
    let before_query = path.split(['?', '#']).next().unwrap_or_default();
    !before_query.contains(':')
        && !path.starts_with("//")
        && !path.contains('\\')
        && !path.chars().any(char::is_control)
}

/// The query of the redeeming door.
#[derive(Deserialize)]
pub struct Redeem {
    #[serde(default)]
    access_token: String,
}

/// `GET {prefix}/oauth/singlesignon.php`: a redirect with a login cookie, once.
pub async fn redeem(State(door): State<Arc<Door>>, Query(query): Query<Redeem>) -> Response {
    let fault = door.core.enter(System::Whmcs, "SingleSignOn", json!(null)).await;
    if let Some(fault) = fault {
        if fault.applied {
            door.write(|store| store.tokens.remove(&query.access_token));
        }
        return match fault.kind {
            FaultKind::Business { message, .. } => refusal(&message),
            kind => kind.act_out().await,
        };
    }
    let taken = door.write(|store| {
        let token = store
            .tokens
            .remove(&query.access_token)
            .filter(|token| token.expires > store.core.clock.now())?;
        let account = token.client.and_then(|id| store.account(id));
        let blocked = account.map(|a| (a.client.status == "Closed", !a.client.allow_sso)).unwrap_or_default();
        let now = store.now();
        if let Some(user) = store.user_mut(token.user).filter(|_| blocked == (false, false)) {
            user.last_login = Some(now);
            store.fire("UserLogin", json!({"user": {"id": token.user}}));
        }
        Some((token, blocked))
    });
    match taken {
        None => refusal("Unable to authenticate with the provided token."),
        Some((_, (true, _))) => refusal("Single Sign-On is denied for a \"Closed\" account."),
        Some((_, (_, true))) => refusal("Single Sign-On is denied per account configuration."),
        Some((token, _)) => {
            let mut headers = HeaderMap::new();
            let cookie =
                format!("WHMCSsandbox={}; Path=/; HttpOnly; SameSite=Lax", uuid::Uuid::new_v4().simple());
            for (name, value) in [
                (header::LOCATION, format!("{}/{}", door.public_url, token.target)),
                (header::SET_COOKIE, cookie),
            ] {
                if let Ok(value) = value.parse() {
                    headers.insert(name, value);
                }
            }
            (StatusCode::FOUND, headers).into_response()
        }
    }
}

/// The query of the front page.
#[derive(Deserialize)]
pub struct Front {
    #[serde(default)]
    rp: String,
}

/// `GET {prefix}/index.php?rp=/invite/<token>`: the invited person follows the mailed link.
pub async fn front(State(door): State<Arc<Door>>, Query(query): Query<Front>) -> Response {
    let token = query.rp.strip_prefix("/invite/").unwrap_or_default();
    if door.write(|store| accept_invite(store, token)) {
        Html("<!DOCTYPE html><html><body><p>You have joined the account.</p></body></html>").into_response()
    } else {
        (StatusCode::NOT_FOUND, Html("<!DOCTYPE html><html><body><p>Nothing here.</p></body></html>"))
            .into_response()
    }
}

fn refusal(text: &str) -> Response {
    let text = html_escape::encode_text(text);
    (StatusCode::FORBIDDEN, Html(format!("<!DOCTYPE html><html><body><p>{text}</p></body></html>")))
        .into_response()
}
