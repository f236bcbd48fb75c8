//! The way in: reads the form, journals the call, checks the caller, runs the action, writes the body.
//!
//! The checks come in the vendor's order: source address, credentials, action present, role.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::to_bytes;
use axum::extract::{ConnectInfo, FromRequest as _, Multipart, Request, State};
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::sandbox::core::{Core, FaultKind, System};
use crate::sandbox::credentials;
use crate::sandbox::whmcs::Settings;
use crate::sandbox::whmcs::action::{self, Action, Call, Run};
use crate::sandbox::whmcs::hooks::{self, Hooks};
use crate::sandbox::whmcs::params::Params;
use crate::sandbox::whmcs::php::{PhpArray, from_pairs, parse_form};
use crate::sandbox::whmcs::render::ResponseType;
use crate::sandbox::whmcs::reply::{Refusal, Reply};
use crate::sandbox::whmcs::store::{Event, Store, Table};

/// PHP's `post_max_size`.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// Actions that read every account unless an id narrows them.
const SCANS: &[&str] = &[
    "GetClients",
    "GetUsers",
    "GetClientsProducts",
    "GetInvoices",
    "GetOrders",
    "GetTransactions",
    "GetOrderStatuses",
    "GetStats",
];

/// Who may call.
#[derive(Clone)]
pub struct Access {
    /// Exact addresses that may call; `None` lets everyone in.
    pub allowed_ips: Option<Vec<String>>,
    /// The text that bypasses the list of addresses, when it is set.
    pub access_key: Option<String>,
    /// Credential pairs, and administrators with the MD5 of their password.
    pub credentials: Vec<Credential>,
}

/// A way to sign a call.
#[derive(Clone)]
pub struct Credential {
    /// `identifier`, or `username`.
    pub name: String,
    /// `secret`, or for an administrator the lower-case hex MD5 of the password.
    pub secret: String,
    /// Whether this is an administrator's login from before credential pairs.
    pub is_admin: bool,
    /// The administrator is enabled.
    pub enabled: bool,
    /// The administrator holds "API Access".
    pub api_access: bool,
    /// Actions that the roles allow; `None` for all. Does not bind an administrator.
    pub actions: Option<Vec<String>>,
}

impl Credential {
    /// A pair that may call every action.
    pub fn pair(name: &str, secret: &str) -> Self {
        Self {
            name: name.to_owned(),
            secret: secret.to_owned(),
            is_admin: false,
            enabled: true,
            api_access: true,
            actions: None,
        }
    }

    /// An administrator, with the MD5 of the password.
    pub fn admin(name: &str, md5: &str) -> Self {
        Self { is_admin: true, ..Self::pair(name, md5) }
    }
}

impl Default for Access {
    /// The sandbox's pair, and the administrator `admin` with the password `sandbox-admin`.
    fn default() -> Self {
        Self {
            allowed_ips: None,
            access_key: None,
            credentials: vec![
                Credential::pair(credentials::WHMCS_IDENTIFIER, credentials::WHMCS_SECRET),
                Credential::admin("admin", "1ce5b84053c2062d172cc939ed25d85a"),
            ],
        }
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.credentials.iter().map(|credential| &credential.name).collect();
        f.debug_struct("Access").field("allowed_ips", &self.allowed_ips).field("credentials", &names).finish()
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("name", &self.name).field("is_admin", &self.is_admin).finish()
    }
}

/// One running installation.
pub struct Door {
    pub core: Arc<Core>,
    pub public_url: String,
    pub settings: Settings,
    pub store: RwLock<Store>,
    pub hooks: Hooks,
}

impl Door {
    /// An installation that nobody has written to.
    pub fn new(core: Arc<Core>, public_url: String, settings: Settings) -> Self {
        let store = RwLock::new(Store::new(Arc::clone(&core)));
        Self { store, core, public_url, settings, hooks: Hooks::default() }
    }

    /// Changes state, then tells the journal and the hook file which hooks fired.
    pub fn write<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        self.write_after(false, change)
    }

    /// The same; when `announced`, hooks that fire early were sent before.
    fn write_after<T>(&self, announced: bool, change: impl FnOnce(&mut Store) -> T) -> T {
        let (result, events) = {
            let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
            let result = change(&mut store);
            let events = store.take_events();
            let with_ids = events.into_iter().map(|event| (ids(&store, &event), event));
            (result, with_ids.collect::<Vec<_>>())
        };
        for (ids, event) in events {
            if !(announced && hooks::is_early(event.hook)) {
                self.hooks.send(&self.core, &event, ids);
            }
            self.core.journal.effect(System::Whmcs, event.hook, event.params);
        }
        result
    }

    /// Sends the hooks that fire early, and waits, so that their change is not visible yet. What would fire is found
    /// out on a copy. Gives whether it did.
    async fn announce(&self, run: fn(&mut Store, &Call<'_>) -> Reply, call: &Call<'_>) -> bool {
        let Some(early_by) = self.hooks.early_by() else { return false };
        {
            let mut copy = self.store.read().unwrap_or_else(PoisonError::into_inner).clone();
            // Its refusal is met again by the real run.
            let _ = run(&mut copy, call);
            for event in copy.take_events().iter().filter(|event| hooks::is_early(event.hook)) {
                self.hooks.send(&self.core, event, ids(&copy, event));
            }
        }
        tokio::time::sleep(early_by).await;
        true
    }

    fn call<'a>(&'a self, params: &'a Params) -> Call<'a> {
        let dialect = &self.settings.dialect;
        Call { params, dialect, public_url: &self.public_url, is_staff: false }
    }

    /// An action without checking who calls.
    pub async fn staff(&self, action: &str, parameters: &[(&str, &str)]) -> Value {
        let Some(action) = action::find(action) else { return error_body("no such action") };
        let pairs = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let params = Params::new(from_pairs(pairs), self.settings.dialect.php_truthiness);
        self.perform(action, &Call { is_staff: true, ..self.call(&params) }).await
    }

    async fn perform(&self, action: &Action, call: &Call<'_>) -> Value {
        let announced = match action.run {
            Run::Read(_) => false,
            Run::Write(run) => self.announce(run, call).await,
        };
        self.execute(action, call, announced)
    }

    /// Runs a call; one that reads every account runs beside the other calls, not in their way.
    async fn work(
        self: Arc<Self>,
        caller: IpAddr,
        name: String,
        action: Option<&'static Action>,
        params: Params,
    ) -> (StatusCode, Value) {
        let reads_all = action.is_some_and(|action| SCANS.contains(&action.name))
            && !["userid", "clientid", "serviceid", "invoiceid", "id"]
                .iter()
                .any(|id| params.text(id).is_some());
        let action = match self.admit(caller, &name, action, &params) {
            Ok(action) => action,
            Err((status, message)) => return (status, error_body(&message)),
        };
        if !reads_all {
            return (StatusCode::OK, self.perform(action, &self.call(&params)).await);
        }
        let answer = tokio::task::spawn_blocking(move || {
            (StatusCode::OK, self.execute(action, &self.call(&params), false))
        });
        answer.await.unwrap_or((StatusCode::INTERNAL_SERVER_ERROR, Value::Null))
    }

    fn execute(&self, action: &Action, call: &Call<'_>, announced: bool) -> Value {
        let reply = match action.run {
            Run::Read(run) => run(&self.store.read().unwrap_or_else(PoisonError::into_inner), call),
            Run::Write(run) => self.write_after(announced, |store| run(store, call)),
        };
        match reply {
            Ok(Value::Object(fields)) => {
                let verdict = if action.name == "GetPermissionsList" { "status" } else { "result" };
                let mut body = Map::from_iter([(verdict.to_owned(), Value::from("success"))]);
                body.extend(fields);
                self.settings.dialect.apply(body)
            }
            Ok(other) => other,
            Err(Refusal::Error(message)) => error_body(&message),
            Err(Refusal::Status(message)) => json!({"status": "error", "message": message}),
            Err(Refusal::Warning(warning)) => json!({"warning": warning}),
        }
    }

    fn admit(
        &self,
        caller: IpAddr,
        name: &str,
        action: Option<&'static Action>,
        params: &Params,
    ) -> Result<&'static Action, (StatusCode, String)> {
        let access = &self.settings.access;
        let forbidden = |message: String| Err((StatusCode::FORBIDDEN, message));
        let has_key = access.access_key.is_some() && access.access_key.as_deref() == params.sent("accesskey");
        if let Some(allowed) = &access.allowed_ips
            && !has_key
            && !allowed.iter().any(|ip| *ip == caller.to_string())
        {
            return forbidden(format!("Invalid IP {caller}"));
        }
        let given = ["identifier", "username"].into_iter().find_map(|key| params.text(key));
        let secret = ["secret", "password"].into_iter().find_map(|key| params.text(key));
        // A body that PHP does not parse brings neither.
        if name.is_empty() && given.is_none() {
            return Err((StatusCode::BAD_REQUEST, "Empty action request".to_owned()));
        }
        let (Some(given), Some(secret)) = (given, secret) else {
            return forbidden("Invalid or missing credentials".to_owned());
        };
        let Some(credential) = access.credentials.iter().find(|credential| credential.name == given) else {
            return forbidden("Authentication Failed".to_owned());
        };
        if credential.secret != secret {
            let text =
                if credential.is_admin { "Invalid password provided" } else { "Authentication Failed" };
            return forbidden(text.to_owned());
        }
        if !credential.enabled {
            return forbidden("Administrator Account Disabled".to_owned());
        }
        if !credential.api_access {
            return forbidden("Access Denied".to_owned());
        }
        if name.is_empty() {
            return Err((StatusCode::BAD_REQUEST, "Empty action request".to_owned()));
        }
        let lower = name.to_ascii_lowercase();
        let allowed = credential.is_admin
            || credential
                .actions
                .as_ref()
                .is_none_or(|list| list.iter().any(|a| a.eq_ignore_ascii_case(&lower)));
        match action {
            Some(action) if allowed => Ok(action),
            _ => forbidden(format!("Invalid Permissions: API action \"{lower}\" is not allowed")),
        }
    }
}

/// The ids that the hook file would send.
fn ids(store: &Store, event: &Event) -> Map<String, Value> {
    hooks::ids(event, |upgrade| store.client_of(Table::Upgrade, upgrade))
}

fn error_body(message: &str) -> Value {
    json!({"result": "error", "message": message})
}

/// `POST {prefix}/includes/api.php`.
pub async fn api(State(door): State<Arc<Door>>, request: Request) -> Response {
    let caller = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |ConnectInfo(address)| address.ip());
    let params = Params::new(read_form(request).await, door.settings.dialect.php_truthiness);
    let response_type = ResponseType::parse(params.text("responsetype"));
    let name = params.text("action").unwrap_or_default().to_owned();
    let action = action::find(&name);
    let operation = action.map_or_else(|| name.to_ascii_lowercase(), |action| action.name.to_owned());
    let fault = door.core.enter(System::Whmcs, &operation, detail(&params)).await;
    let send = |status: StatusCode, body: &Value| {
        let text = response_type.body(&name, body, &door.settings.dialect);
        (status, [(CONTENT_TYPE, response_type.content_type())], text).into_response()
    };
    if let Some(fault) = fault {
        if fault.applied {
            Arc::clone(&door).work(caller, name.clone(), action, params).await;
        }
        return match fault.kind {
            FaultKind::Business { message, .. } => send(StatusCode::OK, &error_body(&message)),
            FaultKind::Expire => send(StatusCode::FORBIDDEN, &error_body("Authentication Failed")),
            kind => kind.act_out().await,
        };
    }
    let (status, body) = Arc::clone(&door).work(caller, name.clone(), action, params).await;
    send(status, &body)
}

/// Query and body, merged as PHP's `$_REQUEST`: the body wins. A JSON body is not read.
async fn read_form(request: Request) -> PhpArray {
    let mut array = parse_form(request.uri().query().unwrap_or_default().as_bytes());
    let content_type =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = content_type.to_ascii_lowercase();
    if content_type.starts_with("multipart/form-data") {
        let mut pairs = Vec::new();
        if let Ok(mut form) = Multipart::from_request(request, &()).await {
            while let Ok(Some(field)) = form.next_field().await {
                let name = field.name().unwrap_or_default().to_owned();
                if field.file_name().is_none()
                    && let Ok(text) = field.text().await
                {
                    pairs.push((name, text));
                }
            }
        }
        array.merge(from_pairs(pairs.into_iter()));
    } else if content_type.starts_with("application/x-www-form-urlencoded") {
        let body = to_bytes(request.into_body(), MAX_BODY).await.unwrap_or_default();
        array.merge(parse_form(&body));
    }
    array
}

/// Ids, paging and order of a call, for the journal, and whom it is about: nothing personal, nothing secret. `who` tells
/// addresses apart without saying them.
fn detail(params: &Params) -> Value {
    const IDS: &[&str] = &[
        "clientid",
        "client_id",
        "userid",
        "user_id",
        "invoiceid",
        "orderid",
        "serviceid",
        "accountid",
        "paymethodid",
        "contactid",
        "transactionid",
        "id",
        "pid",
        "gid",
        "limitstart",
        "limitnum",
    ];
    const WORDS: &[&str] = &["status", "orderby", "order", "sorting", "type", "stats", "destination"];
    let ids = IDS.iter().filter_map(|key| Some(((*key).to_owned(), Value::from(params.number(key)?))));
    let words = WORDS.iter().filter_map(|key| {
        let word = params.text(key).filter(|text| text.len() <= 40)?;
        Some(((*key).to_owned(), Value::from(word)))
    });
    let who = ["email", "search"].iter().find_map(|key| {
        let hash = Sha256::digest(params.text(key)?.trim().to_lowercase());
        Some(("who".to_owned(), Value::from(hex::encode(&hash[..8]))))
    });
    Value::Object(ids.chain(words).chain(who).collect())
}
