//! Login identities and what they may do: writes.

use serde_json::{Value, json};

use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::login::is_email;
use crate::sandbox::whmcs::reply::{Refusal, Reply, error, refuse};
use crate::sandbox::whmcs::store::{Store, Table};
use crate::sandbox::whmcs::users::{Invite, Membership, PERMISSIONS, User, pair};

/// The refusal of an address that a user already has.
pub const TAKEN: &str = "A user already exists with that email address";

impl Store {
    /// Adds a user whose fields were checked, and fires the hooks that go with it.
    pub fn create_user(&mut self, user: User) -> u64 {
        let id = self.mint(Table::User, 0);
        let params = json!({"user_id": id, "language": user.language});
        self.fire("PreUserAdd", params.clone());
        let created = Some(self.now());
        self.insert_user(User { id, created, ..user });
        self.fire("UserAdd", params);
        id
    }
}

/// `AddUser`.
pub fn add_user(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let required = |name: &str, what: &str| -> Result<String, Refusal> {
        params.text(name).map(str::to_owned).ok_or_else(error(&format!("You did not enter {what}")))
    };
    let user = User {
        firstname: required("firstname", "a first name")?,
        lastname: required("lastname", "a last name")?,
        email: required("email", "an email address")?,
        password: required("password2", "a password")?,
        language: params.text("language").unwrap_or("english").to_owned(),
        ..User::default()
    };
    check_email(store, &user.email, None)?;
    Ok(json!({"user_id": store.create_user(user)}))
}

fn check_email(store: &Store, email: &str, own: Option<u64>) -> Result<(), Refusal> {
    if !is_email(email) {
        return refuse("The email address entered is not valid");
    }
    match store.user_by_email(email) {
        Some(user) if Some(user.id) != own => refuse(TAKEN),
        _ => Ok(()),
    }
}

/// `UpdateUser`.
pub fn update_user(store: &mut Store, call: &Call<'_>) -> Reply {
    const FIELDS: &[&str] = &["email", "firstname", "lastname", "language"];
    let params = call.params;
    let id = params.id("user_id").filter(|id| store.user(*id).is_some());
    let id = id.ok_or_else(error("Invalid User ID requested"))?;
    if !FIELDS.iter().any(|field| params.text(field).is_some()) {
        return refuse("At least one of email, firstname, lastname, or language is required");
    }
    if let Some(email) = params.text("email") {
        check_email(store, email, Some(id))?;
    }
    if let Some(user) = store.user_mut(id) {
        for (name, field) in [
            ("email", &mut user.email),
            ("firstname", &mut user.firstname),
            ("lastname", &mut user.lastname),
            ("language", &mut user.language),
        ] {
            if let Some(text) = params.text(name) {
                text.clone_into(field);
            }
        }
    }
    store.fire("UserEdit", json!({"user_id": id}));
    Ok(json!({"user_id": params.sent("user_id")}))
}

/// The known names in a comma list.
fn permissions(call: &Call<'_>) -> Option<Vec<String>> {
    let list = call.params.text("permissions")?;
    let known = list.split(',').map(str::trim).filter(|name| PERMISSIONS.contains(name));
    let known: Vec<String> = known.map(str::to_owned).collect();
    (!known.is_empty()).then_some(known)
}

/// `UpdateUserPermissions`.
pub fn update_user_permissions(store: &mut Store, call: &Call<'_>) -> Reply {
    let (user, client) = pair(store, call)?;
    let Some(membership) = store.members.get_mut(&(client, user)) else {
        return refuse("Permissions cannot be set on a client owner");
    };
    membership.permissions = permissions(call).ok_or_else(error("Missing permissions definition"))?;
    Ok(Value::Object(serde_json::Map::new()))
}

/// `CreateClientInvite`: mails a link. The association appears when somebody with that address follows it.
pub fn create_client_invite(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let email = params.text("email").ok_or_else(error("Email is required"))?.to_owned();
    let client = params.id("client_id").filter(|id| store.account(*id).is_some());
    let client = client.ok_or_else(error("Invalid client id"))?;
    if !is_email(&email) {
        return refuse("The email address entered is not valid");
    }
    let permissions = permissions(call).ok_or_else(error("User permissions are required"))?;
    let user = store.user_by_email(&email).map(|user| user.id);
    if user.is_some_and(|user| store.is_associated(user, client)) {
        return refuse("User already associated with client");
    }
    let token = uuid::Uuid::new_v4().simple().to_string();
    let link = format!("{}/index.php?rp=/invite/{token}", call.public_url);
    store.mail(client, "Account Access Invitation", &format!("Follow {link} to join the account."));
    store.invites.insert(token, Invite { client, email, permissions });
    Ok(Value::Object(serde_json::Map::new()))
}

/// Accepts an invitation on behalf of the user that it was sent to; works once that user exists.
pub fn accept_invite(store: &mut Store, token: &str) -> bool {
    let Some(invite) = store.invites.get(token).cloned() else { return false };
    let Some(user) = store.user_by_email(&invite.email).map(|user| user.id) else { return false };
    store.invites.remove(token);
    store.members.insert((invite.client, user), Membership { permissions: invite.permissions });
    true
}

/// `DeleteUserClient`.
pub fn delete_user_client(store: &mut Store, call: &Call<'_>) -> Reply {
    let (user, client) = pair(store, call)?;
    if store.members.remove(&(client, user)).is_none() {
        return refuse("You cannot remove the account owner");
    }
    Ok(Value::Object(serde_json::Map::new()))
}
