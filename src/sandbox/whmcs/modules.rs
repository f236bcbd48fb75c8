//! Provisioning commands. The products' module always works; injected faults make it fail.

use serde_json::{Value, json};

use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::installation;
use crate::sandbox::whmcs::reply::{Refusal, Reply, error, refuse};
use crate::sandbox::whmcs::store::{Store, Table};

/// A command to a provisioning module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Create,
    Suspend,
    Unsuspend,
    Terminate,
    ChangePassword,
    ChangePackage,
    Custom,
}

impl Command {
    fn hooks(self) -> (&'static str, &'static str) {
        match self {
            Self::Create => ("PreModuleCreate", "AfterModuleCreate"),
            Self::Suspend => ("PreModuleSuspend", "AfterModuleSuspend"),
            Self::Unsuspend => ("PreModuleUnsuspend", "AfterModuleUnsuspend"),
            Self::Terminate => ("PreModuleTerminate", "AfterModuleTerminate"),
            Self::ChangePassword => ("PreModuleChangePassword", "AfterModuleChangePassword"),
            Self::ChangePackage => ("PreModuleChangePackage", "AfterModuleChangePackage"),
            Self::Custom => ("PreModuleCustom", "AfterModuleCustom"),
        }
    }

    fn status(self) -> Option<&'static str> {
        match self {
            Self::Create | Self::Unsuspend => Some("Active"),
            Self::Suspend => Some("Suspended"),
            Self::Terminate => Some("Terminated"),
            Self::ChangePassword | Self::ChangePackage | Self::Custom => None,
        }
    }
}

/// Runs a command on a service and changes its status. Services without a module change directly.
pub fn run(store: &mut Store, client: u64, service: u64, command: Command) {
    let (before, after) = command.hooks();
    let Some(row) = store.account(client).and_then(|account| account.service(service).cloned()) else {
        return;
    };
    let has_module =
        installation::product(row.pid).is_some_and(|product| !installation::module(product).is_empty());
    let ids = json!({"params": {"serviceid": service, "userid": client, "pid": row.pid}});
    if has_module {
        store.fire(before, ids.clone());
    }
    let today = store.today();
    if let Some(row) = store.account_mut(client).and_then(|account| account.service_mut(service)) {
        if let Some(status) = command.status() {
            status.clone_into(&mut row.status);
        }
        match command {
            Command::Unsuspend => row.suspensionreason.clear(),
            Command::Terminate => row.terminationdate = Some(today),
            _ => {}
        }
    }
    if has_module {
        let flat = json!({"serviceid": service});
        store.fire(after, if command == Command::ChangePassword { flat } else { ids });
    }
}

/// The service that a call names, if its product has a module: client and service.
fn target(store: &Store, call: &Call<'_>) -> Result<(u64, u64), Refusal> {
    let id = ["serviceid", "accountid"].into_iter().find_map(|name| call.params.id(name));
    let id = id.ok_or_else(error("Service ID is required"))?;
    let account = store.account_with(Table::Service, id).ok_or_else(error("Service ID not found"))?;
    let service = account.service(id).ok_or_else(error("Service ID not found"))?;
    match installation::product(service.pid) {
        Some(product) if !installation::module(product).is_empty() => Ok((account.client.id, id)),
        _ => refuse("Service not assigned to a module"),
    }
}

fn command(store: &mut Store, call: &Call<'_>, command: Command) -> Result<(u64, u64), Refusal> {
    let (client, service) = target(store, call)?;
    run(store, client, service, command);
    Ok((client, service))
}

fn done() -> Reply {
    Ok(Value::Object(serde_json::Map::new()))
}

/// `ModuleCreate`.
pub fn create(store: &mut Store, call: &Call<'_>) -> Reply {
    command(store, call, Command::Create)?;
    done()
}

/// `ModuleSuspend`.
pub fn suspend(store: &mut Store, call: &Call<'_>) -> Reply {
    let (client, service) = command(store, call, Command::Suspend)?;
    let reason = call.params.text("suspendreason").unwrap_or("Overdue on Payment");
    if let Some(row) = store.account_mut(client).and_then(|account| account.service_mut(service)) {
        reason.clone_into(&mut row.suspensionreason);
    }
    done()
}

/// `ModuleUnsuspend`.
pub fn unsuspend(store: &mut Store, call: &Call<'_>) -> Reply {
    command(store, call, Command::Unsuspend)?;
    done()
}

/// `ModuleTerminate`.
pub fn terminate(store: &mut Store, call: &Call<'_>) -> Reply {
    command(store, call, Command::Terminate)?;
    done()
}

/// `ModuleChangePw`.
pub fn change_password(store: &mut Store, call: &Call<'_>) -> Reply {
    let (client, service) = command(store, call, Command::ChangePassword)?;
    if let (Some(password), Some(row)) = (
        call.params.text("servicepassword"),
        store.account_mut(client).and_then(|account| account.service_mut(service)),
    ) {
        password.clone_into(&mut row.password);
    }
    done()
}

/// `ModuleChangePackage`.
pub fn change_package(store: &mut Store, call: &Call<'_>) -> Reply {
    command(store, call, Command::ChangePackage)?;
    done()
}

/// `ModuleCustom`.
pub fn custom(store: &mut Store, call: &Call<'_>) -> Reply {
    target(store, call)?;
    if call.params.text("func_name").is_none() {
        return refuse("Function name is required");
    }
    command(store, call, Command::Custom)?;
    done()
}
