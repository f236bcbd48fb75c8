//! Login identities and what they may do: reads.

use chrono::NaiveDateTime;
use serde_json::{Value, json};

use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::reply::{Page, Refusal, Reply, date_time, error, has_prefix, refuse};
use crate::sandbox::whmcs::store::Store;

/// What a user can be allowed, in the vendor's order.
pub const PERMISSIONS: &[&str] = &[
    "profile",
    "contacts",
    "products",
    "manageproducts",
    "productsso",
    "domains",
    "managedomains",
    "invoices",
    "quotes",
    "tickets",
    "affiliates",
    "emails",
    "orders",
];

/// A login identity.
#[derive(Clone, Debug, Default)]
pub struct User {
    pub id: u64,
    pub firstname: String,
    pub lastname: String,
    pub email: String,
    pub language: String,
    pub created: Option<NaiveDateTime>,
    pub password: String,
    pub second_factor: bool,
    pub last_login: Option<NaiveDateTime>,
}

/// What an invited user may do with a client.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    pub permissions: Vec<String>,
}

/// An invitation that nobody has accepted.
#[derive(Clone, Debug)]
pub struct Invite {
    pub client: u64,
    pub email: String,
    pub permissions: Vec<String>,
}

impl User {
    /// First and last name.
    pub fn fullname(&self) -> String {
        format!("{} {}", self.firstname, self.lastname).trim().to_owned()
    }
}

/// `GetUsers`. Without a search it reads no more users than it returns.
pub fn get_users(store: &Store, call: &Call<'_>) -> Reply {
    let page = Page::of(call.params);
    let search = call.params.text("search");
    let ids: Box<dyn Iterator<Item = u64> + '_> = match search {
        Some(email) if store.user_by_email(email).is_some() => {
            Box::new(store.user_by_email(email).map(|user| user.id).into_iter())
        }
        _ if is_descending(call) => Box::new(store.user_ids().rev()),
        _ => Box::new(store.user_ids()),
    };
    let matches = |id: &u64| {
        search.is_none_or(|prefix| {
            store.user(*id).is_some_and(|user| {
                let name = user.fullname();
                [&user.email, &user.firstname, &user.lastname, &name]
                    .into_iter()
                    .any(|text| has_prefix(text, prefix))
            })
        })
    };
    let (total, ids) = if search.is_some() {
        let all: Vec<u64> = ids.filter(matches).collect();
        (all.len() as u64, page.cut(all.into_iter()))
    } else {
        (store.count_users(), page.cut(ids))
    };
    let rows: Vec<Value> = ids.into_iter().filter_map(|id| Some(row(store, &*store.user(id)?))).collect();
    Ok(json!({
        "totalresults": total, "startnumber": page.start, "numreturned": rows.len(), "users": rows,
    }))
}

/// Whether `sorting` asks for the newest first.
pub fn is_descending(call: &Call<'_>) -> bool {
    call.params.text("sorting").is_some_and(|text| text.eq_ignore_ascii_case("desc"))
}

fn row(store: &Store, user: &User) -> Value {
    let owned = store.owned_by(user.id);
    let invited = store.members.keys().filter(|(_, id)| *id == user.id).map(|(client, _)| (*client, false));
    let clients: Vec<Value> = owned
        .into_iter()
        .map(|client| (client, true))
        .chain(invited)
        .map(|(id, is_owner)| json!({"id": id, "isOwner": is_owner}))
        .collect();
    json!({
        "id": user.id, "firstname": user.firstname, "lastname": user.lastname, "email": user.email,
        "datecreated": date_time(user.created), "validationdata": "", "clients": clients,
    })
}

/// `GetPermissionsList`; its verdict is called `status`.
pub fn get_permissions_list(_: &Store, _: &Call<'_>) -> Reply {
    Ok(json!({"permissions": {"permission": PERMISSIONS}}))
}

/// `GetUserPermissions`.
pub fn get_user_permissions(store: &Store, call: &Call<'_>) -> Reply {
    let (user, client) = pair(store, call)?;
    let permissions = match store.members.get(&(client, user)) {
        Some(membership) => json!(membership.permissions),
        None => json!(PERMISSIONS),
    };
    Ok(json!({"permissions": {"permission": permissions}}))
}

/// The associated user and client that a call names.
pub fn pair(store: &Store, call: &Call<'_>) -> Result<(u64, u64), Refusal> {
    let user = call.params.id("user_id").filter(|id| store.user(*id).is_some());
    let user = user.ok_or_else(error("Invalid user id"))?;
    let client = call.params.id("client_id").filter(|id| store.account(*id).is_some());
    let client = client.ok_or_else(error("Invalid client id"))?;
    if !store.is_associated(user, client) {
        return refuse("User is not associated with client");
    }
    Ok((user, client))
}
