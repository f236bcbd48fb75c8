//! Clients: reads.

use serde_json::{Value, json};

use crate::sandbox::whmcs::account::{Account, Client};
use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::installation::{self, CLIENT_FIELDS};
use crate::sandbox::whmcs::reply::{Page, Refusal, Reply, date, error, extend, has_prefix, money};
use crate::sandbox::whmcs::stats::client_stats;
use crate::sandbox::whmcs::store::Store;
use crate::sandbox::whmcs::users::is_descending;

/// `GetClients`. In id order and without filters it reads no more clients than it returns.
pub fn get_clients(store: &Store, call: &Call<'_>) -> Reply {
    let page = Page::of(call.params);
    let search = call.params.text("search");
    let status = call.params.text("status");
    let order = call.params.text("orderby").unwrap_or("id").to_ascii_lowercase();
    let filtered = search.is_some() || status.is_some() || order != "id";
    let (total, ids) = if filtered {
        let exact = search.map(|email| store.clients_by_email(email)).unwrap_or_default();
        let candidates: Box<dyn Iterator<Item = u64> + '_> =
            if exact.is_empty() { Box::new(store.client_ids()) } else { Box::new(exact.into_iter()) };
        let mut found: Vec<(String, u64)> = candidates
            .filter_map(|id| store.account(id))
            .filter(|account| status.is_none_or(|status| account.client.status.eq_ignore_ascii_case(status)))
            .filter(|account| search.is_none_or(|prefix| matches(&account.client, prefix)))
            .map(|account| (sort_key(&account.client, &order), account.client.id))
            .collect();
        found.sort();
        if is_descending(call) {
            found.reverse();
        }
        (found.len() as u64, page.cut(found.into_iter().map(|(_, id)| id)))
    } else if is_descending(call) {
        (store.count_clients(), page.cut(store.client_ids().rev()))
    } else {
        (store.count_clients(), page.cut(store.client_ids()))
    };
    let rows = ids.into_iter().filter_map(|id| Some(row(&store.account(id)?.client))).collect();
    Ok(page.answer(total, "clients", "client", rows))
}

fn row(client: &Client) -> Value {
    json!({
        "id": client.id, "firstname": client.firstname, "lastname": client.lastname,
        "companyname": client.companyname, "email": client.email, "datecreated": date(client.created),
        "groupid": client.groupid, "status": client.status,
    })
}

/// A prefix of e-mail, first, last or full name, or company.
fn matches(client: &Client, prefix: &str) -> bool {
    let name = client.fullname();
    [&client.email, &client.firstname, &client.lastname, &name, &client.companyname]
        .into_iter()
        .any(|text| has_prefix(text, prefix))
}

fn sort_key(client: &Client, order: &str) -> String {
    match order {
        "firstname" => client.firstname.to_lowercase(),
        "lastname" => client.lastname.to_lowercase(),
        "companyname" => client.companyname.to_lowercase(),
        "email" => client.email.to_lowercase(),
        "groupid" => format!("{:020}", client.groupid),
        "datecreated" => date(client.created),
        "status" => client.status.clone(),
        _ => String::new(),
    }
}

/// The client that `clientid` or `email` names.
fn named(store: &Store, call: &Call<'_>) -> Result<u64, Refusal> {
    if let Some(id) = call.params.id("clientid") {
        return Ok(id);
    }
    let email = call.params.text("email").ok_or_else(error("Either clientid Or email Is Required"))?;
    store.clients_by_email(email).first().copied().ok_or_else(error("Client Not Found"))
}

/// `GetClientsDetails`: the client, the same fields again at the top, and `stats` when asked.
pub fn get_clients_details(store: &Store, call: &Call<'_>) -> Reply {
    let account = store.account(named(store, call)?).ok_or_else(error("Client Not Found"))?;
    let client = details(store, &account);
    let mut answer = client.clone();
    extend(&mut answer, json!({"client": client}));
    if call.params.flag("stats") {
        extend(&mut answer, json!({"stats": client_stats(store, &account)}));
    }
    Ok(answer)
}

fn details(store: &Store, account: &Account) -> Value {
    let client = &account.client;
    let (country_name, dial) = installation::country(&client.country).unwrap_or((&client.country, ""));
    let digits: String = client.phonenumber.chars().filter(char::is_ascii_digit).collect();
    let formatted =
        if dial.is_empty() { digits.clone() } else { format!("+{dial}.{}", digits.trim_start_matches('0')) };
    let mut details = json!({
        "client_id": client.id, "userid": client.id, "id": client.id, "owner_user_id": client.owner_user_id,
        "uuid": uuid_of(client.id),
        "firstname": client.firstname, "lastname": client.lastname, "fullname": client.fullname(),
        "companyname": client.companyname, "email": client.email,
        "address1": client.address1, "address2": client.address2, "city": client.city,
        "fullstate": client.state, "state": client.state, "statecode": client.state, "postcode": client.postcode,
        "country": client.country, "countrycode": client.country, "countryname": country_name,
        "phonenumber": client.phonenumber, "phonenumberformatted": formatted, "telephoneNumber": formatted,
        "phonecc": dial, "tax_id": client.tax_id, "notes": client.notes, "language": client.language,
        "defaultgateway": client.defaultgateway,
    });
    let rest = json!({
        "email_preferences": preferences(client),
        "billingcid": client.billingcid, "currency": client.currency, "groupid": client.groupid,
        "currency_code": installation::currency(client.currency).code,
        "status": client.status, "credit": money(client.credit),
        "email_verified": client.email_verified, "emailoptout": !client.marketing,
        "marketing_emails_opt_in": client.marketing, "isOptedInToMarketingEmails": client.marketing,
        "allowSingleSignOn": u8::from(client.allow_sso),
        "lastlogin": last_login(client),
        "customfields": custom_fields(client),
    });
    extend(&mut details, rest);
    for flag in FLAGS {
        extend(&mut details, json!({*flag: client.flags.get(flag).copied().unwrap_or(false)}));
    }
    for (place, (id, ..)) in (1..).zip(CLIENT_FIELDS) {
        let value = client.customfields.get(id).map_or("", String::as_str);
        extend(&mut details, json!({format!("customfields{place}"): value}));
    }
    extend(&mut details, json!({"users": {"user": users(store, client)}}));
    details
}

/// Flags that UpdateClient sets.
pub const FLAGS: &[&str] = &[
    "taxexempt",
    "latefeeoveride",
    "overideduenotices",
    "separateinvoices",
    "disableautocc",
    "overrideautoclose",
];

/// Kinds of mail that a client may refuse.
pub const PREFERENCES: &[&str] = &["general", "invoice", "support", "product", "domain", "affiliate"];

fn preferences(client: &Client) -> Value {
    let value =
        |key: &&str| if client.email_preferences.get(*key).copied().unwrap_or(true) { "1" } else { "0" };
    Value::Object(PREFERENCES.iter().map(|key| ((*key).to_owned(), value(key).into())).collect())
}

fn custom_fields(client: &Client) -> Value {
    let value = |id: &u64| client.customfields.get(id).cloned().unwrap_or_default();
    CLIENT_FIELDS.iter().map(|(id, ..)| json!({"id": id, "value": value(id)})).collect()
}

fn users(store: &Store, client: &Client) -> Vec<Value> {
    let invited =
        store.members.range((client.id, 0)..=(client.id, u64::MAX)).map(|((_, user), _)| (*user, false));
    std::iter::once((client.owner_user_id, true))
        .chain(invited)
        .filter_map(|(id, is_owner)| {
            let user = store.user(id)?;
            Some(json!({"id": id, "name": user.fullname(), "email": user.email, "is_owner": is_owner}))
        })
        .collect()
}

fn last_login(client: &Client) -> String {
    client.last_login.map_or_else(
        || "No Login Logged".to_owned(),
        |at| format!("Date: {}<br>IP Address: 127.0.0.1<br>Host: localhost", at.format("%Y/%m/%d %H:%M")),
    )
}

/// A stable UUID of a client.
fn uuid_of(client: u64) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&client.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    bytes[8..].copy_from_slice(&client.rotate_left(32).wrapping_mul(0xC2B2_AE3D_27D4_EB4F).to_be_bytes());
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// `GetClientGroups`.
pub fn get_client_groups(_: &Store, _: &Call<'_>) -> Reply {
    let rows: Vec<Value> = installation::GROUPS
        .iter()
        .map(|(id, name, colour, discount)| {
            json!({
                "id": id, "groupname": name, "groupcolour": colour, "discountpercent": discount,
                "susptermexempt": if *id == 1 { "on" } else { "" }, "separateinvoices": "",
            })
        })
        .collect();
    Ok(json!({"totalresults": rows.len(), "groups": {"group": rows}}))
}
